"""Estimates of curvature from gradients (theory, sections 1 to 4)."""

from glasscurv.curvature.diagonal import DiagonalDensity, glass_density_diagonal
from glasscurv.curvature.directional import DirectionalDensity, directional_density, glass_density_matrix
from glasscurv.curvature.estimate import CurvatureEstimate, Diagnostics, estimate_curvature
from glasscurv.curvature.exponents import VariationExponent, variation_exponent
from glasscurv.curvature.lengths import SuggestedLength, suggest_length
from glasscurv.curvature.profile import CurvatureProfile, curvature_profile

__all__ = [
    "CurvatureEstimate",
    "CurvatureProfile",
    "Diagnostics",
    "DiagonalDensity",
    "DirectionalDensity",
    "SuggestedLength",
    "VariationExponent",
    "curvature_profile",
    "directional_density",
    "estimate_curvature",
    "glass_density_diagonal",
    "glass_density_matrix",
    "suggest_length",
    "variation_exponent",
]
