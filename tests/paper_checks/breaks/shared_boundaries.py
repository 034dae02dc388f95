import numpy as np

import glasscurv as gc


def constant_directions(monkeypatch):
    monkeypatch.setattr(gc.Rademacher, "sample", lambda self, n, rng: -np.ones(n))


BREAKS = {
    "all directions the same constant": constant_directions,
}
