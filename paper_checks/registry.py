"""The checks by section, in the order of the theory."""

from types import ModuleType

from paper_checks import (
    boundary_density,
    boundary_jump,
    coverage,
    crossing_rate,
    curvature_terms,
    density_scaling,
    density_training,
    diagonal_dominance,
    diffusion,
    exact_density,
    expected_change,
    floor,
    hessian_choices,
    hessian_error,
    kernels,
    kernels_on_networks,
    loss_change,
    nesterov,
    nesterov_minibatch,
    network_steps,
    optimal_step,
    pruning,
    quantization,
    random_walk,
    reference,
    sampling,
    sampling_variance,
    shared_boundaries,
    signals,
    slope_jump,
    step_bounds,
    step_decrease,
    uniformity,
    variation_regression,
)

_MODULES = {
    "Jumps": (
        boundary_jump,
        uniformity,
        crossing_rate,
        boundary_density,
    ),
    "Glass": (
        diffusion,
        random_walk,
        signals,
        diagonal_dominance,
        variation_regression,
        exact_density,
        slope_jump,
        density_scaling,
        density_training,
    ),
    "Loss change": (
        hessian_error,
        expected_change,
        loss_change,
        coverage,
        floor,
    ),
    "Estimates": (
        kernels,
        kernels_on_networks,
        sampling,
        sampling_variance,
        shared_boundaries,
    ),
    "Steps": (
        optimal_step,
        step_decrease,
        network_steps,
        hessian_choices,
        step_bounds,
    ),
    "Optimizers": (
        nesterov,
        nesterov_minibatch,
        curvature_terms,
        reference,
    ),
    "Compression": (
        pruning,
        quantization,
    ),
}

SECTIONS: dict[str, dict[str, ModuleType]] = {
    title: {module.__name__.rpartition(".")[2]: module for module in modules} for title, modules in _MODULES.items()
}
"""The parts of the report and the checks in them.

A module has a docstring, ``CLAIM``, ``SOURCE``, ``run``, and ``STANDING``: whether the check, if it holds, confirms a
claim of the theory, limits it, corrects it, or makes a new one.
"""

CHECKS = {name: module for section in SECTIONS.values() for name, module in section.items()}
"""Every check by its name."""
