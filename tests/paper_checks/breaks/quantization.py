from dataclasses import replace
from functools import partial

import glasscurv as gc
from paper_checks import quantization
from tests.paper_checks.breaks.common import looking_at, wrong_density_matrix, wrong_hessian_vector

on_hinges = partial(looking_at, quantization, NETWORKS=0)
on_networks = partial(looking_at, quantization, _on_hinges=lambda scale, rng: [])


def wrong_constant(monkeypatch, factor):
    name = "glasscurv.compression.quantization.GLASS_LOSS_COEFFICIENT"
    monkeypatch.setattr(name, factor * gc.GLASS_LOSS_COEFFICIENT)


def wrong_change(monkeypatch, **factors):
    """Some arguments of the expected change are too large by a factor."""
    exact = gc.compression.expected_quantization_change

    def broken(step, hessian=0.0, density=0.0, model="coordinate"):
        given = {"step": step, "hessian": hessian, "density": density}
        return exact(**{name: factors.get(name, 1.0) * value for name, value in given.items()}, model=model)

    monkeypatch.setattr(gc.compression, "expected_quantization_change", broken)


def one_model_for_another(monkeypatch, given, used):
    exact = gc.compression.expected_quantization_change

    def broken(step, hessian=0.0, density=0.0, model="coordinate"):
        return exact(step, hessian, density, used if model == given else model)

    monkeypatch.setattr(gc.compression, "expected_quantization_change", broken)


def wrong_gradients(monkeypatch, factor):
    exact = gc.compression.directional_quantization_changes

    def broken(*arguments, **options):
        found = exact(*arguments, **options)
        return replace(found, hessian=factor * found.hessian)

    monkeypatch.setattr(gc.compression, "directional_quantization_changes", broken)


def wrong_node(monkeypatch, node):
    """Gradients are taken somewhere else on the way, and weighted as is right for boundaries."""
    for module in ("points", "quantization"):
        monkeypatch.setattr(f"glasscurv.compression.{module}.NODE", node)


def wrong_grid(monkeypatch):
    """Weights are cut off instead of rounded: half a step too low."""
    exact = gc.compression.quantize

    def broken(*arguments, **options):
        found = exact(*arguments, **options)
        return replace(found, theta=found.theta - found.step / 2)

    monkeypatch.setattr(gc.compression, "quantize", broken)


BREAKS = {
    "loss constant c 10 % too large": on_hinges(partial(wrong_constant, factor=1.1)),
    "loss constant c 10 % too small": on_hinges(partial(wrong_constant, factor=0.9)),
    "Hessian's term 10 % too large": on_hinges(partial(wrong_change, hessian=1.1)),
    "step of the grid 10 % too small": on_hinges(partial(wrong_change, step=0.9)),
    "density matrix 25 % too large": on_hinges(partial(wrong_density_matrix, factor=1.25)),
    "(8a) in the place of (8b)": on_hinges(partial(one_model_for_another, given="independent", used="coordinate")),
    "Hessian-vector product 10 % too large": on_networks(
        partial(wrong_hessian_vector, factor=1.1), BITS=(6,), NETWORKS=8
    ),
    "gradients along the step half as large": on_networks(partial(wrong_gradients, factor=0.5), BITS=(4,), NETWORKS=16),
    "gradients at the ends θ ± δ": on_networks(partial(wrong_node, node=1.0), BITS=(2,)),
    "weights cut off instead of rounded": on_networks(wrong_grid, BITS=(3,), NETWORKS=8),
}
