from dataclasses import replace

import numpy as np

import glasscurv as gc
from paper_checks import density_scaling
from tests.paper_checks.breaks.common import gaussian_estimates


def keep(monkeypatch, sweep, share=1.0):
    """One sweep is enough to notice, or a share of its networks, and faster."""
    whole = density_scaling.SWEEPS[sweep]
    networks = {value: round(share * count) for value, count in whole.networks.items()}
    monkeypatch.setattr(density_scaling, "SWEEPS", {sweep: whole._replace(networks=networks)})
    monkeypatch.setattr(density_scaling, "LONG", ())


def wrong_weights(monkeypatch, change):
    """Another glass kernel in the estimates."""
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        return replace(kernel, weights=change(kernel.weights))

    monkeypatch.setattr("glasscurv.curvature.estimate.glass_kernel", broken)


def one_sided_differences(monkeypatch):
    keep(monkeypatch, "batch size", share=0.4)
    wrong_weights(monkeypatch, lambda weights: np.array([[0.0, -1.0, 1.0]]))


def other_directions(monkeypatch):
    keep(monkeypatch, "batch size", share=0.4)
    gaussian_estimates(monkeypatch)


def large_kernel(monkeypatch):
    keep(monkeypatch, "batch size")
    wrong_weights(monkeypatch, lambda weights: np.sqrt(1.1) * weights)


def small_kernel(monkeypatch):
    keep(monkeypatch, "batch size")
    wrong_weights(monkeypatch, lambda weights: np.sqrt(0.9) * weights)


BREAKS = {
    "glass kernel 10 % too large": large_kernel,
    "glass kernel 10 % too small": small_kernel,
    "one-sided differences": one_sided_differences,
    "normal directions": other_directions,
}
