import glasscurv as gc
from tests.paper_checks.breaks.common import gaussian_estimates, gaussian_for_rademacher, scaled


def wrong_contamination(monkeypatch):
    monkeypatch.setattr(gc, "contamination", scaled(gc.contamination, 1.1))


BREAKS = {
    "Gaussian for Rademacher": gaussian_for_rademacher,
    "estimates from Gaussian directions": gaussian_estimates,
    "contamination factor 10 % too large": wrong_contamination,
}
