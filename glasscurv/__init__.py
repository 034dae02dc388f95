"""glasscurv: curvature that the Hessian cannot see.

The loss of a network of rectified linear units has a gradient that jumps wherever a unit crosses its kink. Together the
jumps form a glass: the gradient diffuses, and the expected loss bends like |δ|^{3/2}. This library measures the glass
of any model from ordinary gradients, predicts how the loss changes, and takes the optimal step.

Everything is imported on first use (SPEC 1 of Scientific Python), or at once if EAGER_IMPORT is set in the environment.
"""

import os
from typing import TYPE_CHECKING

from glasscurv._imports import locked_import

if TYPE_CHECKING or os.environ.get("EAGER_IMPORT"):
    from glasscurv import comparison, compression, data, schedules
    from glasscurv._validation import NonFiniteError
    from glasscurv.constants import GLASS_LOSS_COEFFICIENT, GLASS_STEP_COEFFICIENT
    from glasscurv.curvature import (
        CurvatureEstimate,
        CurvatureProfile,
        Diagnostics,
        DiagonalDensity,
        DirectionalDensity,
        SuggestedLength,
        VariationExponent,
        curvature_profile,
        directional_density,
        estimate_curvature,
        glass_density_diagonal,
        glass_density_matrix,
        suggest_length,
        variation_exponent,
    )
    from glasscurv.glass import directional_glass_change, expected_glass_change, predict_loss_change
    from glasscurv.integrations.scipy import minimize_alice
    from glasscurv.kernels import Kernel, glass_kernel, hessian_kernel
    from glasscurv.nesterov import exact_step_fraction
    from glasscurv.networks import MLP, Crossings, trace_crossings
    from glasscurv.optimizers import SGD, AdaHessian, Adam, AdamW, Alice
    from glasscurv.perturbations import Gaussian, Rademacher, SparseRademacher, Sphere, Uniform, contamination
    from glasscurv.problems import Problem, Quadratic, RandomHinges, Sum
    from glasscurv.steps import bound_step, joint_quasi_newton_step, predicted_decrease, quasi_newton_step
    from glasscurv.training import (
        Checkpoint,
        CompressedNetwork,
        History,
        SnapshotHistory,
        Snapshots,
        load_checkpoint,
        save_compressed,
        train,
    )

__version__ = "0.1.0"

__all__ = [
    "GLASS_LOSS_COEFFICIENT",
    "GLASS_STEP_COEFFICIENT",
    "MLP",
    "SGD",
    "AdaHessian",
    "Adam",
    "AdamW",
    "Alice",
    "Checkpoint",
    "CompressedNetwork",
    "Crossings",
    "CurvatureEstimate",
    "CurvatureProfile",
    "Diagnostics",
    "DiagonalDensity",
    "DirectionalDensity",
    "Gaussian",
    "History",
    "Kernel",
    "NonFiniteError",
    "Problem",
    "Quadratic",
    "Rademacher",
    "RandomHinges",
    "SnapshotHistory",
    "Snapshots",
    "SparseRademacher",
    "Sphere",
    "SuggestedLength",
    "Sum",
    "Uniform",
    "VariationExponent",
    "bound_step",
    "comparison",
    "compression",
    "contamination",
    "curvature_profile",
    "data",
    "directional_density",
    "directional_glass_change",
    "estimate_curvature",
    "exact_step_fraction",
    "expected_glass_change",
    "glass_density_diagonal",
    "glass_density_matrix",
    "glass_kernel",
    "hessian_kernel",
    "joint_quasi_newton_step",
    "load_checkpoint",
    "minimize_alice",
    "predict_loss_change",
    "predicted_decrease",
    "quasi_newton_step",
    "save_compressed",
    "schedules",
    "suggest_length",
    "trace_crossings",
    "train",
    "variation_exponent",
]

_NAMES = {
    "_validation": ("NonFiniteError",),
    "comparison": (),
    "compression": (),
    "constants": ("GLASS_LOSS_COEFFICIENT", "GLASS_STEP_COEFFICIENT"),
    "core": (),
    "curvature": (
        "CurvatureEstimate", "CurvatureProfile", "Diagnostics", "DiagonalDensity", "DirectionalDensity",
        "SuggestedLength", "VariationExponent", "curvature_profile", "directional_density", "estimate_curvature",
        "glass_density_diagonal", "glass_density_matrix", "suggest_length", "variation_exponent",
    ),
    "data": (),
    "glass": ("directional_glass_change", "expected_glass_change", "predict_loss_change"),
    "integrations": (),
    "integrations.scipy": ("minimize_alice",),
    "kernels": ("Kernel", "glass_kernel", "hessian_kernel"),
    "nesterov": ("exact_step_fraction",),
    "networks": ("MLP", "Crossings", "trace_crossings"),
    "optimizers": ("SGD", "AdaHessian", "Adam", "AdamW", "Alice"),
    "perturbations": ("Gaussian", "Rademacher", "SparseRademacher", "Sphere", "Uniform", "contamination"),
    "problems": ("Problem", "Quadratic", "RandomHinges", "Sum"),
    "schedules": (),
    "steps": ("bound_step", "joint_quasi_newton_step", "predicted_decrease", "quasi_newton_step"),
    "training": (
        "Checkpoint", "CompressedNetwork", "History", "SnapshotHistory", "Snapshots", "load_checkpoint",
        "save_compressed", "train",
    ),
}  # fmt: skip
"""The modules that can be reached from here, and what each adds to the public names."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # type checkers see the imports above, and nothing beyond them

    def __getattr__(name):
        if name not in _NAMES and name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = locked_import(f"glasscurv.{_HOMES.get(name, name)}")
        if name in _NAMES:
            return module
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *_NAMES, *_HOMES})
