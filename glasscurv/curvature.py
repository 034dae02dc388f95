"""Glass density, Hessian and exponents of any model, from its gradient alone (theory, sections 1, 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from glasscurv._typing import Distribution, FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import NonFiniteError, copy_gradient, function, generator, integer, number, vector
from glasscurv._workers import ordered_map
from glasscurv.core import statistics as core
from glasscurv.kernels import glass_kernel, hessian_kernel
from glasscurv.perturbations import Rademacher, check_distribution, draw_direction

Groups = Mapping[str, slice | NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class CurvatureEstimate:
    """Curvature of every parameter, estimated from gradients at perturbed points.

    Attributes
    ----------
    gradient : (n,) array
        Gradient at the centre.
    glass_density : (n,) array
        ρ̂, variance of the gradient variation per unit length (gradient²/length).
    hessian_diagonal : (n,) array
        Average of z∘Hz: unbiased for the diagonal of the Hessian (gradient/length).
    hessian_abs : (n,) array
        Average of |e|, e = (g(t_m) − g(t_0))/((t_m − t_0)σ): |Hz| and the noise of the glass (gradient/length).
    hessian_rms : (n,) array
        Root of the average of e² (gradient/length). Its square tends to Σ_j H_ij² + ρ_i/((t_m − t_0)σ): the Euclidean
        norm of each row only where glass is negligible at this length. Both absolute measures grow as σ falls.
    samples : int
        Number M of directions.
    length : float
        Perturbation length σ.
    evaluations : int
        Gradient evaluations spent.
    degrees_of_freedom : int
        M (m − 2) for m nodes: those of the χ² law of the density.
    """

    gradient: FloatArray
    glass_density: FloatArray
    hessian_diagonal: FloatArray
    hessian_abs: FloatArray
    hessian_rms: FloatArray
    samples: int
    length: float
    evaluations: int
    degrees_of_freedom: int

    def glass_density_interval(self, level: float = 0.95) -> FloatArray:
        """Return the χ² confidence interval of the density.

        Parameters
        ----------
        level : float
            Confidence level in (0, 1).

        Returns
        -------
        (2, n) array
            Lower and upper ends (gradient²/length).

        Raises
        ------
        ValueError, TypeError
            `level` is not a number in (0, 1).

        Notes
        -----
        k ρ̂/ρ ~ χ²(k) with k = M (m − 2), in the dense limit: every perturbation crosses many boundaries and the
        variation is Gaussian. With few crossings the true spread is larger (section 3).

        For the density at this centre, the average over all directions, the interval is conservative. Lines through
        one centre share the boundaries next to it: the second differences d along two random directions correlate
        with E min(|x|, |y|)/E|x| = 2 − sqrt(2) ≈ 0.586 for independent normal x and y. For the average over landscapes
        too (other minibatches, another initialisation) it is exact with one direction and too short with several:
        ρ̂ then has the relative variance 2 (1/M + (1 − 1/M)(2 − sqrt 2)²), which more directions do not bring below 0.69
        in one coordinate.
        """
        tail = (1 - number(level, "level", 0, 1, open_low=True, open_high=True)) / 2
        k = self.degrees_of_freedom
        scale = np.array([k / chdtri(k, tail), k / chdtri(k, 1 - tail)], self.glass_density.dtype)
        interval: FloatArray = scale[:, None] * self.glass_density
        return interval


def estimate_curvature(
    gradient: Gradient,
    theta: ArrayLike,
    length: float = 1e-3,
    samples: int = 16,
    nodes: ArrayLike = (-1, 0, 1),
    distribution: Distribution = Rademacher(),  # noqa: B008 (frozen)
    rng: RngLike = None,
    workers: Workers = 1,
) -> CurvatureEstimate:
    """Estimate the glass density and the Hessian of every parameter.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta: (n,)) -> (n,)``, deterministic: the same minibatch and random state in every call. It may
        return its own buffer. The point it gets is read-only.
    theta : (n,) array_like
        Centre μ. float32 stays float32.
    length : float
        Perturbation length σ > 0: the density is that of movements of this size. Points are rounded to the dtype of
        `theta`: keep σ far above its resolution, 1e-16 |θ| in float64 and 6e-8 |θ| in float32.
    samples : int
        Number M ≥ 1 of directions.
    nodes : (m,) array_like
        Where on each line gradients are taken, in units of `length`; m ≥ 3, strictly increasing. The gradient at the
        centre is shared by all lines.
    distribution : distribution
        Law of the directions. E z² makes `hessian_diagonal` unbiased for every law; the density and `hessian_abs` are
        per unit of E|z|, and what they measure depends on the law (theory, section 4).
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        Number of processes, or a map-like callable such as an executor's ``map``.

    Returns
    -------
    CurvatureEstimate

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the sample and the node).

    Notes
    -----
    Costs 1 + M · (number of nonzero nodes) evaluations. Statistics are summed as the samples arrive, so memory is
    O(n) whatever M. With Rademacher directions the density of coordinate i is the movement of all coordinates by ±σ:
    between the bounds (4) of section 1.

    References
    ----------
    Theory, sections 3 and 4, equations (9) and (10); [D24].

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.Quadratic(np.diag([1.0, 2.0])) + gc.RandomHinges(2, hinges=5000, half_width=4.0, rng=1)
    >>> estimate = gc.estimate_curvature(toy.gradient, np.zeros(2), length=0.1, samples=400, rng=2)
    >>> exact = toy.problems[1].density([1.0, 1.0]) / 2 + toy.problems[1].density([1.0, -1.0]) / 2
    >>> bool(np.all(abs(estimate.glass_density / exact - 1) < 0.35)), estimate.evaluations
    (True, 801)
    """
    function(gradient, "gradient")
    center = vector(theta, "theta").copy()
    center.setflags(write=False)
    sigma = number(length, "length", 0, open_low=True)
    count = integer(samples, "samples", 1)
    glass, hessian = glass_kernel(nodes), hessian_kernel(nodes)
    mean_length, mean_square = _moments(distribution)
    source = generator(rng)

    start = _evaluate(gradient, center, "at the centre")
    sums = np.zeros((4, center.size), center.dtype)
    on_line = partial(_gradients_on_line, gradient, center, start, glass.nodes, sigma)
    with ordered_map(workers) as map_:
        tasks = enumerate(_directions(distribution, center, count, source))
        done = 0
        for direction, rows in map_(on_line, tasks):
            core.accumulate_curvature(rows, hessian.weights[0], glass.weights, direction, sigma, *sums)
            done += 1
    if done != count:
        raise ValueError(f"workers must give one result for each of the {count} samples, got {done}")
    if not np.isfinite(sums).all():
        raise NonFiniteError(f"the gradients are too large: their squares overflow {center.dtype}")
    density, diagonal, absolute, square = sums / center.dtype.type(count)
    return CurvatureEstimate(
        gradient=start,
        glass_density=density / center.dtype.type(mean_length),
        hessian_diagonal=diagonal / center.dtype.type(mean_square),
        hessian_abs=absolute / center.dtype.type(mean_length),
        hessian_rms=np.sqrt(square / center.dtype.type(mean_square)),
        samples=count,
        length=sigma,
        evaluations=1 + count * int(np.count_nonzero(glass.nodes)),
        degrees_of_freedom=count * len(glass.weights),
    )


@dataclass(frozen=True, eq=False)
class VariationExponent:
    """How the mean square of a gradient difference grows with the length, per group of parameters.

    Attributes
    ----------
    exponent : dict of str to float
        Slope p of log(mean square) against log(length).
    standard_error : dict of str to float
        Standard error of p over directions at this centre; it includes the misfit to a straight line where that is
        larger than the sampling error. It says nothing of other centres or minibatches, and is too small with
        fewer than about ten samples.
    lengths : (k,) array
        Perturbation lengths.
    mean_square : dict of str to (k,) array
        Mean square of the difference over directions and the group's coordinates (gradient²).
    order : {1, 2}
        1 for g(μ+σz) − g(μ), 2 for ½(g₊ + g₋) − g₀.
    evaluations : int
        Gradient evaluations spent.
    """

    exponent: dict[str, float]
    standard_error: dict[str, float]
    lengths: FloatArray
    mean_square: dict[str, FloatArray]
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
) -> VariationExponent:
    """Fit the exponent with which gradient differences grow: it tells glass from Hessian.

    The first difference has exponent 1 where glass dominates and 2 where the Hessian does; the second difference,
    which cancels the Hessian, has exponent 1 for glass and 4 for a smooth loss.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : (n,) array_like
        Centre μ.
    lengths : sequence of float
        At least two different perturbation lengths σ > 0.
    order : {1, 2}
        Order of the difference.
    groups : mapping of str to slice or index array, optional
        Groups of parameters, such as ``network.groups``; by default one group ``"all"``.
    samples : int
        Directions per length, at least 2, drawn independently for every length.
    distribution : distribution
        Law of the directions.
    rng : None, int or Generator
        Source of the directions.

    Returns
    -------
    VariationExponent

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the sample and the length).

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
    function(gradient, "gradient")
    center = vector(theta, "theta").copy()
    center.setflags(write=False)
    sigmas = vector(np.asarray(lengths, np.float64), "lengths")
    if (sigmas <= 0).any() or len(set(sigmas.tolist())) < 2:
        raise ValueError(f"lengths must be positive and hold at least two different values, got {list(lengths)}")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    count = integer(samples, "samples", 2)
    parts: Groups = {"all": slice(None)} if groups is None else groups
    nodes = np.array([0.0, 1.0] if order == 1 else [-1.0, 0.0, 1.0])
    weights = np.array([-1.0, 1.0] if order == 1 else [0.5, -1.0, 0.5], center.dtype)
    source = generator(rng)

    start = _evaluate(gradient, center, "at the centre")
    squares = {name: np.empty((sigmas.size, count)) for name in parts}
    for k, sigma in enumerate(sigmas):
        for task in enumerate(_directions(distribution, center, count, source)):
            _, rows = _gradients_on_line(gradient, center, start, nodes, sigma, task)
            difference = weights @ rows
            for name, part in parts.items():
                squares[name][k, task[0]] = np.mean(np.square(difference[part], dtype=np.float64))
    fits = {name: _weighted_slope(np.log(sigmas), square) for name, square in squares.items()}
    return VariationExponent(
        exponent={name: slope for name, (slope, _) in fits.items()},
        standard_error={name: error for name, (_, error) in fits.items()},
        lengths=sigmas,
        mean_square={name: square.mean(axis=1) for name, square in squares.items()},
        order=order,
        evaluations=1 + sigmas.size * count * order,
    )


def _moments(distribution: Distribution) -> tuple[float, float]:
    """E|z| and E z², which normalise the estimates."""
    check_distribution(distribution)
    return distribution.absolute_moment(1), distribution.absolute_moment(2)


def _directions(
    distribution: Distribution, center: FloatArray, count: int, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Draw all directions here, in order, so that the workers do not change them."""
    for _ in range(count):
        yield draw_direction(distribution, center, rng)


def _gradients_on_line(
    gradient: Gradient,
    center: FloatArray,
    start: FloatArray,
    nodes: FloatArray,
    length: float,
    task: tuple[int, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Return the direction and the gradients (m, n) at center + nodes * length * direction."""
    sample, direction = task
    rows = np.empty((nodes.size, center.size), center.dtype)
    for row, node in zip(rows, nodes, strict=True):
        if node == 0:
            row[:] = start
        else:
            point = center + center.dtype.type(node * length) * direction
            row[:] = _evaluate(gradient, point, f"in sample {sample}, node {node:g}, length {length:g}")
    return direction, rows


def _evaluate(gradient: Gradient, point: FloatArray, where: str) -> FloatArray:
    """Call the user's gradient on a read-only point and copy what comes back."""
    point.setflags(write=False)
    result = np.empty_like(point)
    copy_gradient(gradient(point), result, where)
    return result


def _weighted_slope(x: FloatArray, squares: FloatArray) -> tuple[float, float]:
    """Slope and standard error of log(mean of squares) against x, weighted by the sampling errors."""
    mean = squares.mean(axis=1)
    if (mean == 0).any():
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
