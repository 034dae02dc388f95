import numpy as np

import glasscurv as gc
from tests.paper_checks.breaks.common import gaussian_estimates, gaussian_for_rademacher, scaled, wrong_glass_kernel


def wrong_contamination(monkeypatch):
    monkeypatch.setattr(gc, "contamination", scaled(gc.contamination, 1.1))


def wider_uniform(monkeypatch):
    """Uniform on ±[low, 1.1 high]."""
    sample = gc.Uniform.sample

    def broken(self, n, rng=None):
        z = sample(self, n, rng)
        return z + 0.1 * np.sign(z) * self.high * (abs(z) - self.low) / (self.high - self.low)

    monkeypatch.setattr(gc.Uniform, "sample", broken)


def sparse_law_moves_more(monkeypatch):
    """Coordinates move with probability √q."""
    sample = gc.SparseRademacher.sample

    def broken(self, n, rng=None):
        return sample(gc.SparseRademacher(self.probability**0.5), n, rng)

    monkeypatch.setattr(gc.SparseRademacher, "sample", broken)


BREAKS = {
    "Gaussian for Rademacher": gaussian_for_rademacher,
    "estimates from Gaussian directions": gaussian_estimates,
    "contamination factor 10 % too large": wrong_contamination,
    "glass kernel 10 % too large": wrong_glass_kernel,
    "uniform law that reaches 10 % too far": wider_uniform,
    "sparse law with √q for q": sparse_law_moves_more,
}
