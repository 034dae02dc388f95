"""Where a network is glass: density, Hessian and exponent of each group of parameters (theory, sections 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import Distribution, FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import generator, integer, number
from glasscurv.curvature.estimate import CurvatureEstimate, estimate_curvature
from glasscurv.curvature.exponents import Groups, VariationExponent, check_groups, variation_exponent
from glasscurv.perturbations import Rademacher, check_distribution

SPREAD = 4.0
"""The exponent is fitted from a fourth of the length to four times the length."""

LARGE_ERROR = 0.5
"""An exponent with a larger standard error cannot tell its neighbours 1, 3 and 4 apart."""

MEANINGS = {
    "glass": "the gradient jumps at boundaries",
    "mixed": "glass gives way to a smooth loss at these lengths",
    "kinks": "the gradient bends at boundaries but does not jump, or little glass lies in a smooth loss",
    "smooth": "the loss bends smoothly at these lengths",
    "none": "no bend exceeds rounding: the loss is quadratic or flat, or the length too short",
    "unclear": "too few boundaries are met: more samples, more rows or a greater length may tell",
}
"""What each verdict says."""

COLUMNS = {
    "layer": "layer",
    "parameters": "size",
    "glass_density": "density\n(g²/l)",
    "hessian_abs": "|Hz|\n(g/l)",
    "hessian_rms": "rms Hz\n(g/l)",
    "hessian_diagonal": "diagonal\n(g/l)",
    "exponent": "exponent",
    "glass_share": "share\n(%)",
}
"""Headings of a table of a profile."""

UNITS = "g²/l is gradient² per length, g/l gradient per length; the share is that of the bend beyond the Hessian."
"""How to read a table of a profile."""


@dataclass(frozen=True, eq=False)
class CurvatureProfile:
    """Curvature of each group of parameters, such as the layers of a network.

    Parameters
    ----------
    groups : tuple of str
        Names of the L groups.
    parameters : int64 ndarray of shape (L,)
        Number of parameters in each.
    glass_density : ndarray of shape (L,)
        Glass density ρ̂ at `length`, mean over the group's parameters (gradient²/length).
    hessian_abs, hessian_rms, hessian_diagonal : ndarray of shape (L,)
        Measures of the Hessian at `length`, means over the group's parameters, as in `CurvatureEstimate`
        (gradient/length). The first two hold the noise of the glass as well.
    glass_share : ndarray of shape (L,)
        Share of the loss's bend that is glass, in [0, 1], for movements of `length`: see the notes of
        `curvature_profile`. nan where nothing bends.
    exponent : ndarray of shape (L,)
        Exponent of the second difference over lengths around `length`: 1 is glass, 4 a smooth loss, 3 a continuous
        gradient with kinks (the output layer of a ReLU network). nan where it cannot be fitted.
    exponent_error : ndarray of shape (L,)
        Its standard error.
    verdict : tuple of str
        What the exponent says, one word for each group: ``"glass"`` from 0.5, ``"mixed"`` from 1.5, ``"kinks"`` from
        2.5, ``"smooth"`` from 3.5; ``"none"`` where no bend exceeds rounding; ``"unclear"`` where the exponent cannot
        be fitted, is below 0.5 (a few boundaries that every movement crosses), or has a standard error above 0.5.
    length : float
        Perturbation length σ.
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    curvature_profile : Measure it.

    References
    ----------
    Theory, sections 1 to 3.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> profile = gc.curvature_profile(lambda x: x**3, np.ones(5), length=0.1, rng=0)
    >>> profile.groups, profile.verdict, profile.exponent.round(6), profile.hessian_diagonal.round(2)
    (('all',), ('smooth',), array([4.]), array([3.01]))
    """

    groups: tuple[str, ...]
    parameters: NDArray[np.int64]
    glass_density: FloatArray
    hessian_abs: FloatArray
    hessian_rms: FloatArray
    hessian_diagonal: FloatArray
    glass_share: FloatArray
    exponent: FloatArray
    exponent_error: FloatArray
    verdict: tuple[str, ...]
    length: float
    evaluations: int


def curvature_profile(
    gradient: Gradient,
    theta: ArrayLike,
    groups: Groups | None = None,
    length: float = 1e-3,
    samples: int = 16,
    lengths: Sequence[float] | None = None,
    distribution: Distribution = Rademacher(),  # noqa: B008 (frozen)
    rng: RngLike = None,
    workers: Workers = 1,
) -> CurvatureProfile:
    """Measure where a network is glass: density, Hessian and exponent of each group of parameters.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length).
    groups : mapping of str to slice or ndarray of int, optional
        Groups of parameters, such as ``network.groups``; by default one group ``"all"``.
    length : float
        Perturbation length σ > 0: the curvature is that of movements of this size.
    samples : int
        Directions, at least 2, for the curvature and again for each length of the exponent.
    lengths : sequence of float, optional
        Lengths over which the exponent is fitted, at least two; by default five from σ/4 to 4σ.
    distribution : distribution
        Law of the directions.
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        As in `estimate_curvature`.

    Returns
    -------
    CurvatureProfile
        Density, Hessian, exponent and verdict of every group.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity.

    Warns
    -----
    RuntimeWarning
        Lengths at which gradients differ by no more than rounding; see `variation_exponent`.

    See Also
    --------
    estimate_curvature : Estimate the curvature of every parameter.
    variation_exponent : Fit the exponents by themselves.
    suggest_length : Choose the perturbation length.
    plotting.plot_profile : Draw it.

    Notes
    -----
    One call of `estimate_curvature` and one of `variation_exponent`: 2 + 2 · samples · (1 + number of lengths)
    evaluations.

    When all parameters move by σ, the part of the gradient that is glass has the variance ρ̂σ after that movement, and
    the Hessian's part the mean square h²σ². The share is that of the two terms of equation (8), c sqrt(ρ̂) σ^{3/2}
    against that plus ½ sqrt(2/π) h σ²; both are mean absolute changes of normal numbers. For h² serves
    hessian_rms² − ρ̂/(2σ), which is free of the noise of the glass: it is the mean of −v₊v₋/σ², v the changes of the
    gradient on both sides, which are independent for glass and opposite for a Hessian. All are means over the group.
    A share close to 1 is uncertain by a tenth or two with the usual number of samples. Where the verdict is not glass,
    what counts as glass is the smooth loss beyond its Hessian, and the share falls with the length.

    References
    ----------
    Theory, sections 1 to 3, equations (8) to (10).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> hinges = gc.RandomHinges(20, hinges=4000, half_width=30.0, rng=0)
    >>> def gradient(theta):
    ...     return np.concatenate([hinges.gradient(theta[:20]), theta[20:] ** 3])
    >>> theta = np.concatenate([np.zeros(20), np.ones(5)])
    >>> groups = {"hinges": slice(0, 20), "cubic": slice(20, 25)}
    >>> profile = gc.curvature_profile(gradient, theta, groups, length=0.1, rng=1)
    >>> dict(zip(profile.groups, profile.verdict))
    {'hinges': 'glass', 'cubic': 'smooth'}
    >>> profile.hessian_diagonal[1].round(2), profile.evaluations
    (np.float64(3.01), 194)
    """
    sigma = number(length, "length", 0, open_low=True)
    count, law, source = integer(samples, "samples", 2), check_distribution(distribution), generator(rng)
    around = np.geomspace(sigma / SPREAD, sigma * SPREAD, 5).tolist() if lengths is None else lengths
    fit = variation_exponent(
        gradient, theta, around, groups=groups, samples=count, distribution=law, rng=source, workers=workers
    )
    estimate = estimate_curvature(gradient, theta, sigma, count, distribution=law, rng=source, workers=workers)
    coordinates = np.arange(estimate.gradient.size)
    parts = check_groups(groups, coordinates.size)
    density, absolute, rms, diagonal = (
        np.array([values[part].mean(dtype=np.float64) for part in parts.values()])
        for values in (estimate.glass_density, estimate.hessian_abs, estimate.hessian_rms, estimate.hessian_diagonal)
    )
    return CurvatureProfile(
        groups=tuple(parts),
        parameters=np.array([coordinates[part].size for part in parts.values()]),
        glass_density=density,
        hessian_abs=absolute,
        hessian_rms=rms,
        hessian_diagonal=diagonal,
        glass_share=np.array([_share(estimate, part, law) for part in parts.values()]),
        exponent=np.array([fit.exponent[name] for name in parts]),
        exponent_error=np.array([fit.standard_error[name] for name in parts]),
        verdict=tuple(_verdict(fit, name) for name in parts),
        length=sigma,
        evaluations=estimate.evaluations + fit.evaluations,
    )


def above_rounding(profile: CurvatureProfile, gradient: FloatArray, groups: Groups) -> CurvatureProfile:
    """Replace by nan what rounding explains, as where the exponent is fitted; `gradient` (n,) is that at the centre."""
    eps = np.finfo(gradient.dtype).eps
    squares = [np.mean(np.square(gradient[part], dtype=np.float64)) for part in groups.values()]
    floor = 16 * eps**2 * np.array(squares)
    # The mean squares of the second and first differences are about ρσ/2 and h²σ².
    glass = profile.glass_density * profile.length / 2 > floor
    hessian = (profile.hessian_rms * profile.length) ** 2 > floor
    verdict = [
        "none" if np.isnan(exponent) and not above else word
        for word, exponent, above in zip(profile.verdict, profile.exponent, glass, strict=True)
    ]
    return replace(
        profile,
        verdict=tuple(verdict),
        glass_density=np.where(glass, profile.glass_density, np.nan),
        glass_share=np.where(glass, profile.glass_share, np.nan),
        hessian_abs=np.where(hessian, profile.hessian_abs, np.nan),
        hessian_rms=np.where(hessian, profile.hessian_rms, np.nan),
        hessian_diagonal=np.where(hessian, profile.hessian_diagonal, np.nan),
    )


def _share(estimate: CurvatureEstimate, part: slice | NDArray[np.integer], law: Distribution) -> float:
    """Share of the bend that is glass: sqrt(2/π), common to both terms, cancels."""
    density = estimate.glass_density[part].mean(dtype=np.float64)
    noise = density * law.absolute_moment(1) / (2 * estimate.length * law.absolute_moment(2))
    squares = np.square(estimate.hessian_rms[part], dtype=np.float64).mean()
    glass = np.sqrt(density / 3 * estimate.length**3)
    hessian = np.sqrt(max(squares - noise, 0.0)) * estimate.length**2 / 2
    return float(glass / (glass + hessian)) if glass + hessian > 0 else np.nan


def _verdict(fit: VariationExponent, name: str) -> str:
    exponent, error = fit.exponent[name], fit.standard_error[name]
    if np.isnan(exponent):
        bends = fit.mean_square[name] > 16 * fit.rounding_floor[name]
        return "unclear" if bends.any() else "none"
    if error > LARGE_ERROR:
        return "unclear"
    kinds = ("unclear", "glass", "mixed", "kinks", "smooth")
    return kinds[int(np.searchsorted([0.5, 1.5, 2.5, 3.5], exponent, side="right"))]
