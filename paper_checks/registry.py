"""The checks by section, in the order of the theory."""

from types import ModuleType

from paper_checks import (
    boundary_jump,
    crossing_rate,
    density_scaling,
    density_training,
    diagonal_dominance,
    diffusion,
    exact_density,
    expected_change,
    hessian_choices,
    kernels,
    loss_change,
    nesterov,
    network_steps,
    optimal_step,
    reference,
    sampling,
    shared_boundaries,
    signals,
    step_decrease,
    training,
    uniformity,
)

_MODULES = {
    "Jumps of the gradient": (
        boundary_jump,
        uniformity,
        crossing_rate,
    ),
    "Glass": (
        diffusion,
        signals,
        diagonal_dominance,
        exact_density,
        density_scaling,
        density_training,
    ),
    "Loss change": (
        expected_change,
        loss_change,
    ),
    "Estimates": (
        kernels,
        sampling,
        shared_boundaries,
    ),
    "Steps": (
        optimal_step,
        step_decrease,
        network_steps,
        hessian_choices,
    ),
    "Optimizers": (
        reference,
        nesterov,
        training,
    ),
}

SECTIONS: dict[str, dict[str, ModuleType]] = {
    title: {module.__name__.rpartition(".")[2]: module for module in modules} for title, modules in _MODULES.items()
}
"""The parts of the report and the checks in them; a module has a docstring, ``CLAIM``, ``SOURCE`` and ``run``."""

CHECKS = {name: module for section in SECTIONS.values() for name, module in section.items()}
"""Every check by its name."""
