"""The checks in the order of the theory."""

from types import ModuleType

from paper_checks import (
    boundary_jump,
    crossing_rate,
    diagonal_dominance,
    diffusion,
    exact_density,
    expected_change,
    hessian_choices,
    kernels,
    loss_change,
    nesterov,
    optimal_step,
    sampling,
    shared_boundaries,
    signals,
    training,
    uniformity,
)

CHECKS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        boundary_jump,
        uniformity,
        crossing_rate,
        signals,
        exact_density,
        diffusion,
        diagonal_dominance,
        expected_change,
        loss_change,
        kernels,
        shared_boundaries,
        sampling,
        hessian_choices,
        optimal_step,
        nesterov,
        training,
    )
}
"""Name to module; every module has a docstring, ``CLAIM``, ``SOURCE`` and ``run(settings)``."""
