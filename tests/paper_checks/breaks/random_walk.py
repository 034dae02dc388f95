import numpy as np

import glasscurv as gc
from paper_checks import random_walk
from tests.paper_checks.breaks.common import smooth_relu, wrong_hessian_vector


def less(monkeypatch, share=1.0):
    """One network at long range and one at short range are enough to notice, or a share of them, and faster."""
    kinds = [(1, 200, random_walk.LONG), (2, 30, random_walk.SHORT)]
    networks = {kind: round(share * random_walk.NETWORKS[kind]) for kind in kinds}
    monkeypatch.setattr(random_walk, "NETWORKS", networks)


def wrong_product(monkeypatch):
    less(monkeypatch)
    wrong_hessian_vector(monkeypatch)


def no_product(monkeypatch):
    less(monkeypatch)
    monkeypatch.setattr(gc.MLP, "hessian_vector", lambda net, theta, v, X, y: np.zeros_like(theta))


def without_kink(monkeypatch):
    less(monkeypatch, share=0.1)
    smooth_relu(monkeypatch)


def positive_signals(monkeypatch):
    less(monkeypatch, share=0.1)
    draw = gc.RandomHinges._draw

    def broken(toy, rng):
        draw(toy, rng)
        toy.signals = abs(toy.signals)

    monkeypatch.setattr(gc.RandomHinges, "_draw", broken)


BREAKS = {
    "Hessian dropped": no_product,
    "Hessian too large by a half": wrong_product,
    "ReLU made smooth": without_kink,
    "hinges with signals of one sign": positive_signals,
}
