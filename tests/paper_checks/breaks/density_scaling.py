from dataclasses import replace
from functools import partial

import numpy as np

import glasscurv as gc
from paper_checks import density_scaling
from tests.paper_checks.breaks.common import gaussian_estimates


def fewer_cases(monkeypatch):
    """The batch size is enough to notice, and faster."""
    monkeypatch.setattr(density_scaling, "SWEEPS", {"batch size": density_scaling.SWEEPS["batch size"]})
    monkeypatch.setattr(density_scaling, "LONG", ())


def wrong_weights(monkeypatch, change):
    """Another glass kernel in the estimates."""
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        return replace(kernel, weights=change(kernel.weights))

    monkeypatch.setattr("glasscurv.curvature.estimate.glass_kernel", broken)


def one_sided_differences(monkeypatch):
    fewer_cases(monkeypatch)
    wrong_weights(monkeypatch, lambda weights: np.array([[0.0, -1.0, 1.0]]))


def other_directions(monkeypatch):
    fewer_cases(monkeypatch)
    gaussian_estimates(monkeypatch)


BREAKS = {
    "kernel 10 % too large": partial(wrong_weights, change=lambda weights: np.sqrt(1.1) * weights),
    "kernel 10 % too small": partial(wrong_weights, change=lambda weights: np.sqrt(0.9) * weights),
    "one-sided differences": one_sided_differences,
    "normal directions": other_directions,
}
