from functools import partialmethod

import glasscurv as gc
from paper_checks import boundary_density
from tests.paper_checks.breaks.common import missed_boundaries, scaled


def less(monkeypatch):
    """Two widths and two layers of images are enough to notice, and faster."""
    monkeypatch.setattr(boundary_density, "NETWORKS", {n: boundary_density.NETWORKS[n] for n in (16, 64)})
    monkeypatch.setattr(boundary_density, "DEEP", 2)


def missed(monkeypatch):
    less(monkeypatch)
    missed_boundaries(monkeypatch)


def wrong_weights(monkeypatch):
    less(monkeypatch)
    monkeypatch.setattr(gc.MLP, "initialize", partialmethod(gc.MLP.initialize, method="glorot"))


def scaled_weights(monkeypatch, factor):
    less(monkeypatch)
    monkeypatch.setattr(gc.MLP, "initialize", scaled(gc.MLP.initialize, factor))


def scaled_directions(monkeypatch, factor):
    less(monkeypatch)
    monkeypatch.setattr(gc.Gaussian, "sample", scaled(gc.Gaussian.sample, factor))


BREAKS = {
    "every other boundary missed": missed,
    "Glorot's weights for He's": wrong_weights,
    "weights 10 % too large": lambda monkeypatch: scaled_weights(monkeypatch, 1.1),
    "weights 10 % too small": lambda monkeypatch: scaled_weights(monkeypatch, 0.9),
    "directions 10 % too long": lambda monkeypatch: scaled_directions(monkeypatch, 1.1),
}
