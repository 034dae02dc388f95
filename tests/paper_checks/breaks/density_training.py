from functools import partial

import glasscurv as gc
from tests.paper_checks.breaks.common import missed_boundaries, wrong_glass_kernel


def idle_adam(monkeypatch):
    """Steps a hundred times too short."""
    exact = gc.Adam
    monkeypatch.setattr(gc, "Adam", lambda theta, lr: exact(theta, lr=lr / 100))


BREAKS = {
    "glass kernel 10 % too large": wrong_glass_kernel,
    "glass kernel 10 % too small": partial(wrong_glass_kernel, factor=0.9),
    "every other boundary missed": missed_boundaries,
    "steps a hundred times too short": idle_adam,
}
