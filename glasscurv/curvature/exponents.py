"""How gradient differences grow with the length: glass or Hessian (theory, section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import Distribution, FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import generator, integer, vector
from glasscurv._workers import ordered_map
from glasscurv.curvature.lines import evaluate_center, random_lines, warn, warn_of_resolution
from glasscurv.perturbations import Rademacher, check_distribution

Groups = Mapping[str, slice | NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class VariationExponent:
    """How the mean square of a gradient difference grows with the length, per group of parameters.

    Parameters
    ----------
    exponent : dict of str to float
        Slope p of log(mean square) against log(length); nan where fewer than two lengths could be used, or a
        mean square is exactly 0.
    standard_error : dict of str to float
        Standard error of p over directions at this centre; it includes the misfit to a straight line where that is
        larger than the sampling error. It says nothing of other centres or minibatches, and is too small with
        fewer than about ten samples.
    lengths : ndarray of shape (k,)
        Perturbation lengths, increasing.
    mean_square : dict of str to ndarray of shape (k,)
        Mean square of the difference over directions and the group's coordinates (gradient²).
    local_slope : dict of str to ndarray of shape (k − 1,)
        Slope of log(mean square) between each length and the next: where it changes, glass gives way to Hessian.
    rounding_floor : dict of str to ndarray of shape (k,)
        Mean square that rounding alone explains (gradient²). Lengths where the mean square is below sixteen times of
        this do not enter the fit.
    order : {1, 2}
        Order of the difference: 1 for g(μ+σz) − g(μ), 2 for ½(g₊ + g₋) − g₀.
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    variation_exponent : Measure it.

    References
    ----------
    Theory, section 1, exponents.

    Examples
    --------
    A smooth loss: the second difference of the gradient x³ is 3σ² at x = 1.

    >>> import numpy as np, glasscurv as gc
    >>> fit = gc.variation_exponent(lambda x: x**3, np.ones(5), [0.1, 0.2, 0.4], rng=0)
    >>> fit.mean_square["all"].round(4), round(fit.exponent["all"], 6)
    (array([0.0009, 0.0144, 0.2304]), 4.0)
    """

    exponent: dict[str, float]
    standard_error: dict[str, float]
    lengths: FloatArray
    mean_square: dict[str, FloatArray]
    local_slope: dict[str, FloatArray]
    rounding_floor: dict[str, FloatArray]
    order: int
    evaluations: int


def variation_exponent(
    gradient: Gradient,
    theta: ArrayLike,
    lengths: Sequence[float],
    order: Literal[1, 2] = 2,
    groups: Groups | None = None,
    samples: int = 16,
    distribution: Distribution = Rademacher(),  # noqa: B008 (frozen)
    rng: RngLike = None,
    workers: Workers = 1,
) -> VariationExponent:
    """Fit the exponent with which gradient differences grow: it tells glass from Hessian.

    The first difference has exponent 1 where glass dominates and 2 where the Hessian does; the second difference,
    which cancels the Hessian, has exponent 1 for glass and 4 for a smooth loss.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length).
    lengths : sequence of float
        At least two different perturbation lengths σ > 0.
    order : {1, 2}
        Order of the difference.
    groups : mapping of str to slice or ndarray of int, optional
        Groups of parameters, such as ``network.groups``; by default one group ``"all"``.
    samples : int
        Directions per length, at least 2, drawn independently for every length.
    distribution : distribution
        Law of the directions.
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        As in `estimate_curvature`.

    Returns
    -------
    VariationExponent
        Exponent of every group, with its error and what it was fitted to.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the sample and the length).

    Warns
    -----
    RuntimeWarning
        Lengths at which a group's differences are no larger than rounding explains; they are left out of the fit.

    See Also
    --------
    curvature_profile : Say in words what the exponents tell.
    suggest_length : Choose the length at which a group is glass.

    Notes
    -----
    A straight line is fitted to the logarithms by least squares, weighted with the sampling error of each mean. A
    group whose difference is exactly zero at some length has no logarithm there; its exponent is nan.

    References
    ----------
    Theory, section 1, exponents.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.RandomHinges(4, hinges=2000, half_width=8.0, rng=0)
    >>> fit = gc.variation_exponent(toy.gradient, np.zeros(4), [0.02, 0.06, 0.2, 0.6], samples=40, rng=1)
    >>> bool(abs(fit.exponent["all"] - 1) < 0.2)
    True
    """
    sigmas = increasing_lengths(lengths)
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    count = integer(samples, "samples", 2)
    law, source = check_distribution(distribution), generator(rng)
    center = evaluate_center(gradient, theta)
    parts = check_groups(groups, center.theta.size)
    warn_of_resolution(center, sigmas[0])

    # One line a length: the lengths are independent of each other.
    sides = (1.0,) if order == 1 else (-1.0, 1.0)
    lines = (
        line for sigma in sigmas for line in random_lines(source, count, law, [(side, float(sigma)) for side in sides])
    )
    squares = {name: np.empty(sigmas.size * count) for name in parts}
    floors = {name: np.empty(sigmas.size * count) for name in parts}
    with ordered_map(workers) as map_:
        for k, (_, rows) in enumerate(map_(center.on_line, lines)):
            largest = np.maximum(abs(center.start), abs(rows[0]))
            difference = rows[0] - center.start
            if order == 2:
                difference = (difference + (rows[1] - center.start)) / 2
            for name, part in parts.items():
                squares[name][k] = np.mean(np.square(difference[part], dtype=np.float64))
                floors[name][k] = center.resolution**2 * np.mean(np.square(largest[part], dtype=np.float64))
    shape = (sigmas.size, count)
    samples_of = {name: square.reshape(shape) for name, square in squares.items()}
    mean_square = {name: square.mean(axis=1) for name, square in samples_of.items()}
    rounding = {name: floor.reshape(shape).mean(axis=1) for name, floor in floors.items()}
    usable = {name: _above_rounding(name, sigmas, mean_square[name], rounding[name]) for name in parts}
    fits = {name: _weighted_slope(np.log(sigmas[usable[name]]), samples_of[name][usable[name]]) for name in parts}
    with np.errstate(divide="ignore", invalid="ignore"):  # a mean of exactly 0 has no logarithm: inf or nan
        slopes = {name: np.diff(np.log(mean)) / np.diff(np.log(sigmas)) for name, mean in mean_square.items()}
    return VariationExponent(
        exponent={name: slope for name, (slope, _) in fits.items()},
        standard_error={name: error for name, (_, error) in fits.items()},
        lengths=sigmas,
        mean_square=mean_square,
        local_slope=slopes,
        rounding_floor=rounding,
        order=order,
        evaluations=1 + sigmas.size * count * len(sides),
    )


def increasing_lengths(lengths: Sequence[float], at_least: int = 2) -> FloatArray:
    """Return the different lengths, checked, in increasing order."""
    sigmas = np.unique(vector(lengths, "lengths").astype(np.float64))
    if sigmas[0] <= 0 or sigmas.size < at_least:
        words = {2: "two", 5: "five"}[at_least]
        raise ValueError(f"lengths must be positive and hold at least {words} different values, got {list(lengths)}")
    return sigmas


def check_groups(groups: Groups | None, size: int) -> Groups:
    """Return the groups, each of which must select something."""
    if groups is None:
        return {"all": slice(None)}
    if not isinstance(groups, Mapping):
        raise TypeError(f"groups must map names to slices or index arrays, got {type(groups).__name__}")
    coordinates = np.arange(size)
    for name, part in groups.items():
        try:
            selected = coordinates[part]
        except (IndexError, TypeError) as error:
            raise ValueError(f"groups[{name!r}] must select some of the {size} coordinates, got {part!r}") from error
        if np.size(selected) == 0:
            raise ValueError(f"groups[{name!r}] must select at least one of the {size} coordinates, got {part!r}")
    return groups


def _above_rounding(name: str, sigmas: FloatArray, mean_square: FloatArray, floor: FloatArray) -> NDArray[np.bool_]:
    """Which lengths can be used: a mean square of exactly 0 is no rounding, and tells that nothing was crossed."""
    rounded = (mean_square > 0) & (mean_square <= 16 * floor)
    if rounded.any():
        some = ", ".join(f"{sigma:g}" for sigma in sigmas[rounded])
        warn(f"differences of group {name!r} are no larger than rounding explains at lengths {some}")
    usable: NDArray[np.bool_] = ~rounded
    return usable


def _weighted_slope(x: FloatArray, squares: FloatArray) -> tuple[float, float]:
    """Slope and standard error of log(mean of squares) against x, weighted by the sampling errors."""
    mean = squares.mean(axis=1)
    if len(mean) < 2 or (mean == 0).any():
        return np.nan, np.nan
    relative_error = squares.std(axis=1, ddof=1) / (np.sqrt(squares.shape[1]) * mean)
    # A group of one value per sample may repeat itself exactly; rounding then bounds the error from below.
    weight = 1 / np.maximum(relative_error, np.finfo(np.float64).eps) ** 2
    deviation = x - np.average(x, weights=weight)
    y = np.log(mean)
    spread = float(weight @ deviation**2)
    slope = float(weight @ (deviation * y)) / spread
    residual = y - np.average(y, weights=weight) - slope * deviation
    misfit = float(weight @ residual**2) / max(x.size - 2, 1)
    return slope, float(np.sqrt(max(misfit, 1.0) / spread))
