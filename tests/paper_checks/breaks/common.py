"""Ways to break the library that several checks must notice."""

from dataclasses import replace
from functools import partial

import numpy as np

import glasscurv as gc
from glasscurv.networks.activations import ACTIVATIONS


def looking_at(module, break_it, **parts):
    """Break the library, and let the check look at the parts that show it: they are enough, and faster."""

    def broken(monkeypatch):
        for name, part in parts.items():
            monkeypatch.setattr(module, name, part)
        break_it(monkeypatch)

    return broken


def scaled(function, factor):
    return lambda *arguments, **options: factor * function(*arguments, **options)


def steeper_relu(monkeypatch):
    relu = ACTIVATIONS["relu"]
    broken = replace(relu, derivative=lambda x: 1.1 * relu.derivative(x))
    monkeypatch.setitem(ACTIVATIONS, "relu", broken)


def smooth_relu(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "relu", ACTIVATIONS["silu"])


def kinked_tanh(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["relu"], name="tanh"))


def changed_crossings(monkeypatch, change):
    exact = gc.trace_crossings
    monkeypatch.setattr(gc, "trace_crossings", lambda *arguments, **options: change(exact(*arguments, **options)))


def missed_boundaries(monkeypatch, from_halfway=False):
    """Every other boundary is missed, perhaps only in the second half of the line."""

    def change(found):
        keep = np.arange(len(found)) % 2 == 0
        if from_halfway:
            keep |= found.position < found.distance / 2
        names = ("position", "sample", "layer", "unit", "on", "signal", "slope")
        return replace(found, **{name: getattr(found, name)[keep] for name in names})

    changed_crossings(monkeypatch, change)


def wrong_density_matrix(monkeypatch, factor=1.1):
    monkeypatch.setattr(gc.RandomHinges, "density_matrix", scaled(gc.RandomHinges.density_matrix, factor))


def wrong_covariance(monkeypatch):
    monkeypatch.setattr(gc.RandomHinges, "covariance", scaled(gc.RandomHinges.covariance, 1.1))


def wrong_loss_constant(monkeypatch, factor=1.1):
    monkeypatch.setattr("glasscurv.glass.GLASS_LOSS_COEFFICIENT", factor * gc.GLASS_LOSS_COEFFICIENT)


def wrong_hessian_vector(monkeypatch, factor=1.5):
    monkeypatch.setattr(gc.MLP, "hessian_vector", scaled(gc.MLP.hessian_vector, factor))


def wrong_glass_kernel(monkeypatch, factor=1.1):
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        return replace(kernel, weights=np.sqrt(factor) * kernel.weights)

    monkeypatch.setattr(gc, "glass_kernel", broken)


def kernel_without_one_contrast(monkeypatch):
    """One contrast fewer than there are: unbiased, and 1/(m − 2) of the information lost."""
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        return replace(kernel, weights=kernel.weights[: max(1, len(kernel.weights) - 1)])

    monkeypatch.setattr(gc, "glass_kernel", broken)


def gaussian_for_rademacher(monkeypatch):
    monkeypatch.setattr(gc, "Rademacher", gc.Gaussian)


def gaussian_estimates(monkeypatch):
    monkeypatch.setattr(gc, "estimate_curvature", partial(gc.estimate_curvature, distribution=gc.Gaussian()))


def wrong_step_constant(monkeypatch):
    monkeypatch.setattr("glasscurv.steps.GLASS_STEP_COEFFICIENT", 1.1 * gc.GLASS_STEP_COEFFICIENT)


def wrong_joint_constant(monkeypatch):
    monkeypatch.setattr("glasscurv.steps.GLASS_LOSS_COEFFICIENT", 1.1 * gc.GLASS_LOSS_COEFFICIENT)


def hessian_dropped(monkeypatch):
    exact = gc.quasi_newton_step
    monkeypatch.setattr(gc, "quasi_newton_step", lambda g, h, rho, eps=1e-8: exact(g, 0.0, rho, eps))


def wrong_step_fraction(monkeypatch, factor=0.9):
    broken = scaled(gc.exact_step_fraction, factor)
    for place in ("glasscurv.exact_step_fraction", "glasscurv.optimizers.alice.exact_step_fraction"):
        monkeypatch.setattr(place, broken)


def glass_dropped(monkeypatch):
    exact = gc.quasi_newton_step
    monkeypatch.setattr(gc, "quasi_newton_step", lambda g, h, rho, eps=1e-8: exact(g, h, 0.0, eps))
