"""Glass density and Hessian of every parameter at once, from gradients on random lines (theory, sections 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import Distribution, FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import NonFiniteError, generator, integer, number
from glasscurv._workers import ordered_map
from glasscurv.core import statistics as core
from glasscurv.curvature.intervals import (
    LARGE_DIMENSION,
    MANY_DIRECTIONS,
    chi_square_weights,
    concentrate,
    confidence_level,
    mixture_quantile,
    orthogonal_weights,
)
from glasscurv.curvature.lines import evaluate_center, random_lines, warn_of_resolution, warn_of_rounding
from glasscurv.kernels import glass_kernel, hessian_kernel
from glasscurv.perturbations import Rademacher, check_distribution

MANY_CROSSINGS = 40
"""With so many boundaries per perturbation the law of a density is close to the dense limit, widened as it is."""

NEGLIGIBLE_DENSITY = 1e-3
"""Share of the mean density below which a coordinate says nothing of the number of crossings."""

PIECE = 1 << 15
"""Coordinates whose statistics are worth a thread."""

SMALL_CONTAMINATION = 0.1
"""Share of the density beyond which the smooth part of the loss spoils the interval."""


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """How far an estimate can be trusted.

    Parameters
    ----------
    silent_fraction : float
        Share of the perturbations, over directions and coordinates, whose contrast is no larger than rounding
        explains: they crossed no boundary that touches the coordinate. Where the loss is not piecewise quadratic its
        smooth part hides this.
    relative_error : float
        Standard error of the density at this centre over the directions, as a share of it, pooled over coordinates:
        sqrt(Σ s_i²/M / Σ ρ̂_i²). nan for a single direction.
    second_length : float or None
        The second perturbation length σ₂, if one was given. Without it the rest is not known.
    crossings : float or None
        Boundaries N that touch a coordinate and are crossed by a perturbation of ``length`` to one side, on average.
        From the share of silent perturbations at σ₂, exp(−2 N σ₂/σ); a lower bound where none is silent. Silent is what
        rounding explains, or the smooth part of the loss, whose second difference goes as σ². Coordinates with less
        than a thousandth of the mean density, dead ones and those of layers that do not jump, do not count.
    contamination : float or None
        Share of the density that is no glass but the smooth part of the loss, whose share grows as σ³; from the ratio
        of the densities at both lengths, summed over coordinates. Where few boundaries are crossed at σ₂ it says
        little: rare large jumps are missed there, which looks smooth, and it may be negative.

    See Also
    --------
    CurvatureEstimate : What it belongs to; its ``dense`` says in one word whether the interval is valid.
    estimate_curvature : Estimate curvature and diagnose the estimate.

    References
    ----------
    Theory, section 3, interval.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.RandomHinges(2, hinges=5000, half_width=4.0, rng=1)
    >>> estimate = gc.estimate_curvature(toy.gradient, np.zeros(2), length=0.1, rng=2, second_length=0.003)
    >>> known = estimate.diagnostics
    >>> known.silent_fraction, known.crossings > 40, abs(known.contamination) < 0.5, known.relative_error < 0.5
    (0.0, True, True, True)
    """

    silent_fraction: float
    relative_error: float
    second_length: float | None
    crossings: float | None
    contamination: float | None


@dataclass(frozen=True, eq=False)
class CurvatureEstimate:
    """Curvature of every parameter, estimated from gradients at perturbed points.

    Parameters
    ----------
    gradient : ndarray of shape (n,)
        Gradient at the centre (loss/length).
    glass_density : ndarray of shape (n,)
        Density ρ̂, the variance of the gradient variation per unit length (gradient²/length).
    hessian_diagonal : ndarray of shape (n,)
        Average of z∘Hz: unbiased for the diagonal of the Hessian (gradient/length).
    hessian_abs : ndarray of shape (n,)
        Average of |e|, e = (g(t_m) − g(t_0))/((t_m − t_0)σ): |Hz| and the noise of the glass (gradient/length).
    hessian_rms : ndarray of shape (n,)
        Root of the average of e² (gradient/length). Its square tends to Σ_j H_ij² + ρ_i/((t_m − t_0)σ): the Euclidean
        norm of each row only where glass is negligible at this length. Both absolute measures grow as σ falls.
    samples : int
        Number M of directions.
    length : float
        Perturbation length σ.
    evaluations : int
        Gradient evaluations spent.
    nodes : ndarray of shape (m,)
        Where on each line gradients were taken, in units of `length`.
    directions : ndarray of shape (≤ M, n) or None
        Up to 128 directions; None for 64 parameters or more, where directions count as orthogonal.
    diagnostics : Diagnostics
        How far the estimate can be trusted.

    See Also
    --------
    estimate_curvature : Measure it.
    Diagnostics : What is known of its quality.

    References
    ----------
    Theory, section 3, equations (9) and (10).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> smooth = gc.Quadratic([[2.0, 0.0], [0.0, 3.0]])
    >>> estimate = gc.estimate_curvature(smooth.gradient, np.zeros(2), length=0.1, rng=0)
    >>> estimate.glass_density.round(9), estimate.hessian_diagonal.round(9), estimate.evaluations
    (array([0., 0.]), array([2., 3.]), 33)
    """

    gradient: FloatArray
    glass_density: FloatArray
    hessian_diagonal: FloatArray
    hessian_abs: FloatArray
    hessian_rms: FloatArray
    samples: int
    length: float
    evaluations: int
    nodes: FloatArray
    directions: FloatArray | None
    diagnostics: Diagnostics

    @cached_property
    def chi_square_weights(self) -> FloatArray:
        """Weights w, (n, k) or (1, k): ρ̂_i/ρ_i is distributed as Σ_j w_ij χ²₁ over landscapes.

        The dense limit, widened for the number of crossings where that is known. One row serves all coordinates when
        there are many.
        """
        dense = _dense_weights(self.nodes, self.directions, self.samples)
        if self.diagnostics.crossings is None:
            return dense
        pairs = _dense_weights(np.array([-1.0, 0.0, 1.0]), self.directions, self.samples)
        return concentrate(dense, self.nodes, self.diagnostics.crossings, pairs.max(axis=1))

    @property
    def dense(self) -> bool | None:
        """Whether the interval is valid; None where it is not known because no second length was given.

        Valid means that a perturbation crosses about forty boundaries or more and that the smooth part of the loss
        makes up less than a tenth of the density, or than chance explains where there are few parameters.
        """
        known = self.diagnostics
        if known.crossings is None or known.contamination is None:
            return None
        # The measured share varies by as much from landscape to landscape.
        chance = min(0.8, 1.5 / self.glass_density.size**0.5)
        return known.crossings >= MANY_CROSSINGS and known.contamination <= SMALL_CONTAMINATION + chance

    def glass_density_interval(self, level: float = 0.95) -> FloatArray:
        """Return the confidence interval of the density of the landscape's law.

        Parameters
        ----------
        level : float
            Confidence level in (0, 1).

        Returns
        -------
        ndarray of shape (2, n)
            Lower and upper ends (gradient²/length); 0 and inf where nothing was crossed.

        Raises
        ------
        ValueError, TypeError
            `level` is not a number in (0, 1), or within 1e-6 of either.

        Notes
        -----
        The density meant is the ρ of theory: that of the law of which this landscape is one draw, which another draw of
        boundaries and signals (another minibatch, another centre nearby) shares. How well the density at this very
        centre is known is another matter: see ``diagnostics.relative_error``.

        With one direction and three nodes ρ̂/ρ ~ χ²(1), ρ being the density along it, which is that of all directions
        where the normals of the boundaries are isotropic. Several lines through one centre share the boundaries next to
        it: their second differences then correlate with 2 − sqrt(2) ≈ 0.586 where they are orthogonal, so that ρ̂/ρ is
        the weighted sum of χ²₁ numbers in `chi_square_weights`. More directions do not bring its relative variance
        below 0.69. The law holds where each perturbation crosses many boundaries and the variation is normal; `dense`
        says whether that is so. A known number N of crossings widens the law by the variance of a compound Poisson
        process, κ/(2N) for one line of nodes −1, 0, 1, with κ = 9, up to the variance of a single χ²₁ number. The
        directions are taken to be Rademacher directions or alike: the spread of ‖z‖ of other laws, with few parameters,
        is not counted.
        """
        tail = (1 - confidence_level(level)) / 2
        quantiles = [[mixture_quantile(row, p) for row in self.chi_square_weights] for p in (1 - tail, tail)]
        interval = self.glass_density / np.array(quantiles).astype(self.glass_density.dtype)
        interval[1, self.glass_density == 0] = np.inf
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
    second_length: float | None = None,
) -> CurvatureEstimate:
    """Estimate the glass density and the Hessian of every parameter.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, deterministic: the same minibatch and
        random state in every call. It may return its own buffer. The point it gets is read-only.
    theta : array_like of shape (n,)
        Centre μ (length). float32 stays float32.
    length : float
        Perturbation length σ > 0: the density is that of movements of this size.
    samples : int
        Number M ≥ 1 of directions.
    nodes : array_like of shape (m,)
        Where on each line gradients are taken, in units of `length`; m ≥ 3, strictly increasing. The gradient at the
        centre is shared by all lines.
    distribution : distribution
        Law of the directions. E z² makes ``hessian_diagonal`` unbiased for every law; the density and ``hessian_abs``
        are per unit of E|z|, and what they measure depends on the law (theory, section 4).
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        Number of processes, or a map-like callable: ``map`` of an executor or of a Dask client.
    second_length : float, optional
        A shorter length σ₂ ≤ σ/2, at which two more gradients are taken on every line. They tell how many boundaries a
        perturbation crosses and how much of the density is smooth, and so whether the interval is valid. A thirtieth
        of `length` serves well.

    Returns
    -------
    CurvatureEstimate
        Density and Hessian of every parameter, with diagnostics.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the sample and the node).

    Warns
    -----
    RuntimeWarning
        A length so small that points or gradients differ by little more than rounding.

    See Also
    --------
    curvature_profile : Estimate the curvature of groups of parameters, and tell what it is.
    suggest_length : Choose the perturbation length.
    directional_density : Estimate the density along one direction.
    glass_density_diagonal : Estimate the density of coordinates that move alone.

    Notes
    -----
    Costs 1 + M · (number of nonzero nodes) evaluations, and 2 M more with a second length. Statistics are summed as the
    samples arrive: with one worker, the default nodes and float64 they take eight vectors of size n and some kilobytes,
    the result's five included, theta and what the callable returns not, whatever M. A second length takes two more.
    With Rademacher directions the density of coordinate i is the movement of all coordinates by ±σ: between the
    bounds (4) of section 1.

    References
    ----------
    Theory, sections 3 and 4, equations (9) and (10); [D24].

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.Quadratic(np.diag([1.0, 2.0])) + gc.RandomHinges(2, hinges=5000, half_width=4.0, rng=1)
    >>> estimate = gc.estimate_curvature(toy.gradient, np.zeros(2), length=0.1, rng=2, second_length=0.003)
    >>> exact = toy.problems[1].density([1.0, 1.0]) / 2 + toy.problems[1].density([1.0, -1.0]) / 2
    >>> low, high = estimate.glass_density_interval(0.95)
    >>> bool(np.all((low < exact) & (exact < high))), estimate.evaluations
    (True, 65)
    """
    sigma = number(length, "length", 0, open_low=True)
    second = None if second_length is None else number(second_length, "second_length", 0, open_low=True)
    if second is not None and second > sigma / 2:
        raise ValueError(f"second_length must be at most half of length={sigma:g}, got {second:g}")
    count = integer(samples, "samples", 1)
    glass, hessian = glass_kernel(nodes), hessian_kernel(nodes)
    law = check_distribution(distribution)
    mean_length, mean_square = law.absolute_moment(1), law.absolute_moment(2)
    source = generator(rng)
    center = evaluate_center(gradient, theta)

    moving = glass.nodes != 0
    hessian_weights, glass_weights = hessian.weights[0, moving], np.ascontiguousarray(glass.weights[:, moving])
    stops = [(float(node), sigma) for node in glass.nodes[moving]]
    all_stops = stops if second is None else [*stops, (-1.0, second), (1.0, second)]
    sums = np.zeros((4, center.theta.size), center.theta.dtype)
    few = center.theta.size < LARGE_DIMENSION
    directions: list[FloatArray] = []
    # Per line: the sums that the loops return.
    totals, seconds = [], []
    on_lines = center.on_line
    if workers == 1:  # a line has been counted when the next one is drawn: it may have its arrays
        on_lines = partial(center.on_line, arrays=[np.empty_like(sums[0]) for _ in range(1 + len(all_stops))])
    with ordered_map(workers) as map_:
        for direction, rows in map_(on_lines, random_lines(source, count, law, all_stops)):
            on_line = rows[: len(stops)]
            weights = (hessian_weights, glass_weights, direction, sigma, center.resolution)
            parts = parallel(core.accumulate_curvature, center.start, *weights, *sums, on_line, piece=PIECE)
            totals.append(np.sum(parts, axis=0))
            if second is not None:
                # Dead units and layers that do not jump have next to no density and would count as silent.
                least = NEGLIGIBLE_DENSITY * totals[-1][0] / center.theta.size
                lengths = (sigma, second, center.resolution, least)
                at_second = (core.second_length, center.start, on_line, glass_weights, rows[-2], rows[-1])
                seconds.append(np.sum(parallel(*at_second, *lengths), axis=0))
                del at_second
            if few and len(directions) < MANY_DIRECTIONS:
                directions.append(direction.copy())
            # Other workers' arrays are freed before the next line is drawn.
            del direction, rows, on_line, weights
    del on_lines
    if not np.isfinite(sums).all():
        raise NonFiniteError(f"the gradients are too large: their squares overflow {sums.dtype}")
    lines = np.array(totals, np.float64)
    warn_of_resolution(center, sigma * abs(glass.nodes[moving]).min() if second is None else second)
    warn_of_rounding(sigma, lines[:, 2].sum(), lines[:, 3].sum())
    kept = np.array(directions, np.float64) if few else None
    diagnostics = _diagnose(lines, sums[0])
    if second is not None:
        second_lines = np.array(seconds, np.float64)
        diagnostics = _diagnose_second(diagnostics, lines, sigma, second, second_lines)
    # In place: at this size every vector counts.
    for row, divisor in zip(sums, (mean_length, mean_square, mean_length, mean_square), strict=True):
        row /= center.theta.dtype.type(count * divisor)
    np.sqrt(sums[3], out=sums[3])
    return CurvatureEstimate(
        gradient=center.start,
        glass_density=sums[0],
        hessian_diagonal=sums[1],
        hessian_abs=sums[2],
        hessian_rms=sums[3],
        samples=count,
        length=sigma,
        evaluations=1 + count * len(all_stops),
        nodes=glass.nodes,
        directions=kept,
        diagnostics=diagnostics,
    )


def _dense_weights(nodes: FloatArray, directions: FloatArray | None, samples: int) -> FloatArray:
    contrasts = glass_kernel(nodes).weights
    if directions is None:
        return orthogonal_weights(nodes, contrasts, min(samples, MANY_DIRECTIONS))
    return chi_square_weights(nodes, contrasts, directions)


def _diagnose(lines: FloatArray, density_sum: FloatArray) -> Diagnostics:
    """Diagnostics from the sums of every line; `density_sum` (n,) is the sum of ρ̂ over the lines."""
    count, size = len(lines), density_sum.size
    squares, silent = lines[:, 1], lines[:, 4]
    # Σ_i of the squared mean and of the variance of the mean of ρ̂_i over the lines.
    square_of_mean = _square(density_sum) / count**2
    variance = (squares.sum() / count - square_of_mean) / max(count - 1, 1)
    known = count > 1 and square_of_mean > 0
    relative_error = float(np.sqrt(max(variance, 0.0) / square_of_mean)) if known else np.nan
    return Diagnostics(float(silent.mean()) / size, relative_error, None, None, None)


def _diagnose_second(
    first: Diagnostics,
    lines: FloatArray,
    length: float,
    second_length: float,
    second_lines: FloatArray,
) -> Diagnostics:
    """Add what the second length tells: Σ_i ρ̂_i, the silent coordinates and all that count, line by line."""
    count, total = len(lines), lines[:, 0].sum()
    # Where none was silent there may be any number from here on: a quarter of a line counts as silent.
    silent = max(second_lines[:, 1].sum() / second_lines[:, 2].sum(), 1 / (4 * count))
    crossings = float(abs(np.log(silent))) * length / (2 * second_length)
    fall = 1 - (second_length / length) ** 3
    ratio = second_lines[:, 0].sum() / total if total > 0 else 1.0
    return replace(first, second_length=second_length, crossings=crossings, contamination=float((1 - ratio) / fall))


def _square(values: FloatArray) -> float:
    """Σ x² in double precision."""
    return float(np.square(values, dtype=np.float64).sum())
