"""Which perturbation length to use, for the glass and for the Hessian (theory, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from glasscurv._typing import Distribution, FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import generator, integer
from glasscurv._workers import ordered_map
from glasscurv.curvature.exponents import Groups, check_groups, increasing_lengths
from glasscurv.curvature.lines import evaluate_center, random_lines, warn_of_resolution
from glasscurv.perturbations import Rademacher, check_distribution

GLASS_SHARE = 0.9
"""The second difference counts as glass up to the length at which other terms make up a tenth of its mean square."""

MISFIT = 2.0
"""Mean misfit per length beyond which the growth is none of the known kinds."""

CHANCE = 0.5
"""Misfit that an additional term has to save."""


@dataclass(frozen=True, eq=False)
class SuggestedLength:
    """The perturbation lengths that serve each group of parameters best, and why.

    Parameters
    ----------
    glass : dict of str to float
        The largest length at which the second difference is glass; nan where no length tried shows glass.
    hessian : dict of str to float
        The length at which the Hessian kernel has the least mean square error.
    reason : dict of str to str
        Why, in words, with the measured constants.
    lengths : ndarray of shape (k,)
        Lengths tried, increasing.
    glass_density : dict of str to float
        Fitted ρ, mean over the group (gradient²/length).
    second_derivative, third_derivative : dict of str to float
        Fitted root mean squares T and Q of the derivatives of the gradient along a direction (gradient/length²,
        gradient/length³).
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    suggest_length : Find them.

    References
    ----------
    Theory, sections 1 and 3.

    Examples
    --------
    A smooth loss: the gradient x³ has the second derivative T = 6 at x = 1.

    >>> import numpy as np, glasscurv as gc
    >>> found = gc.suggest_length(lambda x: x**3, np.ones(5), np.geomspace(0.01, 0.1, 5), rng=0)
    >>> found.glass, round(found.second_derivative["all"], 2), found.evaluations
    ({'all': nan}, 6.0, 81)
    >>> print(found.reason["all"].split(";")[0])
    no glass: the second difference grows like that of a smooth loss at every length
    """

    glass: dict[str, float]
    hessian: dict[str, float]
    reason: dict[str, str]
    lengths: FloatArray
    glass_density: dict[str, float]
    second_derivative: dict[str, float]
    third_derivative: dict[str, float]
    evaluations: int


def suggest_length(
    gradient: Gradient,
    theta: ArrayLike,
    lengths: Sequence[float] = tuple(np.geomspace(1e-5, 1e-1, 9).tolist()),
    groups: Groups | None = None,
    samples: int = 8,
    distribution: Distribution = Rademacher(),  # noqa: B008 (frozen)
    rng: RngLike = None,
    workers: Workers = 1,
) -> SuggestedLength:
    """Suggest perturbation lengths for the glass and for the Hessian of each group of parameters.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length).
    lengths : sequence of float
        Lengths to try, at least five different ones; all suggestions lie between the least and the greatest.
    groups : mapping of str to slice or ndarray of int, optional
        Groups of parameters, such as ``network.groups``; by default one group ``"all"``.
    samples : int
        Directions, at least 2. Each is followed over all lengths: 2 · samples · lengths evaluations.
    distribution : distribution
        Law of the directions.
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        As in `estimate_curvature`.

    Returns
    -------
    SuggestedLength
        Two lengths for every group, and the reasons.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity.

    Warns
    -----
    RuntimeWarning
        Lengths so small that points differ by little more than rounding.

    See Also
    --------
    variation_exponent : Fit the exponents by themselves.
    estimate_curvature : Estimate the curvature at a length.
    curvature_profile : Estimate the curvature of groups at a length.

    Notes
    -----
    The mean square of the second difference d is fitted by ρσ/2 + aσ³ + T²σ⁴/4 with nonnegative coefficients: glass,
    kinks of the gradient (as in a layer above the last boundary), smooth loss; by the gamma
    likelihood, and with no more of these terms than it takes. The glass length is the largest at which the first term
    makes up nine tenths.

    The Hessian kernel e(σ) = (g₊ − g₋)/(2σ) has the mean square error ρ/(2σ) + σ⁴Q²/36 and that of rounding, which
    counts only where there is no glass; without rounding it is least at (9ρ/(2Q²))^{1/5}. Q comes from the growth of e
    between neighbouring lengths σ < τ of one line: E[(e(τ) − e(σ))²] = (ρ/2)(1/σ − 1/τ) + (τ² − σ²)² Q²/36.

    References
    ----------
    Theory, sections 1 and 3.

    Examples
    --------
    Glass of density 1 in every coordinate next to T = 10 from a cubic: glass up to (2ρ/(9T²))^{1/3} = 0.13.

    >>> import numpy as np, glasscurv as gc
    >>> hinges = gc.RandomHinges(100, hinges=4000, half_width=60.0, rng=0)
    >>> scale = hinges.density(np.ones(100)) ** 0.5
    >>> found = gc.suggest_length(
    ...     lambda x: hinges.gradient(x) / scale + 5 * x**2, np.zeros(100), np.geomspace(0.01, 1, 9), rng=1
    ... )
    >>> bool(0.09 < found.glass["all"] < 0.18), bool(abs(found.second_derivative["all"] - 10) < 1)
    (True, True)
    >>> print(found.reason["all"].split(";")[0])   # doctest: +ELLIPSIS
    glass up to ..., where the smooth loss makes up a tenth of the second difference
    """
    sigmas = increasing_lengths(lengths, at_least=5)
    count = integer(samples, "samples", 2)
    law, source = check_distribution(distribution), generator(rng)
    center = evaluate_center(gradient, theta)
    parts = check_groups(groups, center.theta.size)
    warn_of_resolution(center, sigmas[0])
    mean_length = law.absolute_moment(1)

    stops = [(side, float(sigma)) for sigma in sigmas for side in (-1.0, 1.0)]
    # Mean squares of d at each length, of the growth of e between lengths, and of rounding.
    bends = {name: np.zeros(sigmas.size) for name in parts}
    growths = {name: np.zeros(sigmas.size - 1) for name in parts}
    floors = dict.fromkeys(parts, 0.0)
    with ordered_map(workers) as map_:
        for _, rows in map_(center.on_line, random_lines(source, count, law, stops)):
            largest = np.maximum(abs(center.start), abs(rows[0]))
            before = None
            for k, sigma in enumerate(sigmas):
                minus, plus = rows[2 * k : 2 * k + 2]
                d = ((plus - center.start) + (minus - center.start)) / 2
                e = (plus - minus) / (2 * sigma)
                for name, part in parts.items():
                    bends[name][k] += _mean_square(d[part]) / count
                    if before is not None:
                        growths[name][k - 1] += _mean_square((e - before)[part]) / count
                before = e
            for name, part in parts.items():
                floors[name] += center.resolution**2 * _mean_square(largest[part]) / count
    results = {name: _suggest(sigmas, bends[name], growths[name], floors[name], mean_length) for name in parts}
    return SuggestedLength(
        glass={name: result[0] for name, result in results.items()},
        hessian={name: result[1] for name, result in results.items()},
        reason={name: result[2] for name, result in results.items()},
        lengths=sigmas,
        glass_density={name: result[3] for name, result in results.items()},
        second_derivative={name: result[4] for name, result in results.items()},
        third_derivative={name: result[5] for name, result in results.items()},
        evaluations=1 + count * len(stops),
    )


def _suggest(
    sigmas: FloatArray, bends: FloatArray, growths: FloatArray, floor: float, mean_length: float
) -> tuple[float, float, str, float, float, float]:
    """Glass length, Hessian length, reason, and the constants ρ, T, Q behind them."""
    low, high = sigmas[0], sigmas[-1]
    fine = np.geomspace(low, high, 4001)
    fine[-1] = high
    # Exactly 0 is no rounding: nothing was crossed there.
    usable = (bends > 16 * floor) | (bends == 0)
    terms = np.stack([sigmas / 2, sigmas**3, sigmas**4 / 4], axis=1)
    (density, kinks, bend), misfit = np.zeros(3), 0.0
    if bends[usable].any():
        # A smooth part would show where nothing is crossed: an exact 0 rules it out.
        choices = ([0],) if (bends == 0).any() else ([2], [0], [0, 2], [0, 1, 2])
        (density, kinks, bend), misfit = _fit(terms[usable], bends[usable], choices)
    glass = np.nan
    if not bends[usable].any():
        why = "no glass: the second difference is no larger than rounding explains at every length"
    elif misfit > MISFIT * len(sigmas):
        why = "no glass: the second difference grows neither as glass nor as a smooth loss nor as a sum of them"
    elif density == 0:
        why = "no glass: the second difference grows like that of a smooth loss at every length"
    else:
        # The share falls monotonically with σ: the length lies where the other terms reach a tenth.
        share = density * fine / 2 / (density * fine / 2 + kinks * fine**3 + bend * fine**4 / 4)
        if share[-1] >= GLASS_SHARE:
            glass, why = high, f"glass at every length, up to the longest tried, {high:.2g}"
        elif share[0] >= GLASS_SHARE:
            glass = fine[share >= GLASS_SHARE][-1]
            why = f"glass up to {glass:.2g}, where the smooth loss makes up a tenth of the second difference"
        else:
            why = f"no glass: it makes up only {share[0]:.0%} even at the shortest length"
    short, long = sigmas[:-1], sigmas[1:]
    noisy = growths > 16 * floor / short**2
    terms = np.stack([(1 / short - 1 / long) / 2, (long**2 - short**2) ** 2 / 36], axis=1)
    growth = 0.0
    if noisy.any():
        growth = _fit(terms[noisy], growths[noisy], ([0], [1], [0, 1]))[0][1]
    error = density / (2 * fine) + floor / (2 * fine**2) + growth * fine**4 / 36
    hessian = fine[np.argmin(error)]
    because = f"the error of the Hessian kernel is least at {hessian:.2g}"
    if hessian in (low, high):
        because += f", the {'shortest' if hessian == low else 'longest'} length tried"
    rho, second, third = float(density) / mean_length, float(np.sqrt(bend)), float(np.sqrt(growth))
    reason = f"{why}; {because} (ρ = {rho:.3g}, T = {second:.3g}, Q = {third:.3g})"
    return float(glass), float(hessian), reason, rho, second, third


def _fit(terms: FloatArray, values: FloatArray, choices: Sequence[list[int]]) -> tuple[FloatArray, float]:
    """Fit nonnegative coefficients of as few terms as needed; return them and the misfit.

    The misfit is that of the gamma likelihood, Σ v/m − log(v/m) − 1: a mean square that is far too small by chance,
    where few large jumps were met, weighs little. The last choice holds all terms; of the others the first is taken
    that fits as well, up to a misfit that chance explains.
    """
    fits = []
    for chosen in choices:
        coefficients = np.zeros(terms.shape[1])
        coefficients[chosen], misfit = _fit_terms(terms[:, chosen], values)
        fits.append((coefficients, misfit))
    least = min(misfit for _, misfit in fits)
    return next(fit for fit in fits if fit[1] <= least + CHANCE)


def _fit_terms(terms: FloatArray, values: FloatArray) -> tuple[FloatArray, float]:
    positive = values > 0
    # Each term by itself at the longest length: a scale in whose logarithm the search runs.
    scale = values[positive][-1] / terms[positive][-1]
    relative = terms * scale
    constant = np.sum(np.log(values[positive]) + 1)

    def misfit(x: FloatArray) -> tuple[float, FloatArray]:
        weighted = relative * np.exp(x)
        model = weighted.sum(axis=1)
        slope = (1 - values / model) / model @ weighted
        return float(np.sum(values / model + np.log(model)) - constant), slope

    bounds = [(-80, 80)] * terms.shape[1]
    found = scipy.optimize.minimize(misfit, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    return scale * np.exp(found.x), float(found.fun)


def _mean_square(values: FloatArray) -> float:
    return float(np.mean(np.square(values, dtype=np.float64)))
