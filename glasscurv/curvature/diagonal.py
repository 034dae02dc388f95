"""The diagonal of the glass density matrix told from its row sums, with sparse perturbations (theory, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, Gradient, RngLike, Workers
from glasscurv._validation import NonFiniteError, generator, integer, number, vector
from glasscurv._workers import ordered_map
from glasscurv.curvature.lines import evaluate_center, random_lines, warn_of_resolution
from glasscurv.kernels import glass_kernel
from glasscurv.perturbations import SparseRademacher


@dataclass(frozen=True, eq=False)
class DiagonalDensity:
    """Diagonal and row sums of the glass density matrix.

    Parameters
    ----------
    diagonal : ndarray of shape (n,)
        Diagonal entries R̂_ii (gradient²/length). They are extrapolations and may be negative by chance. nan for a
        coordinate that never moved at one of the probabilities.
    diagonal_error : ndarray of shape (n,)
        Their standard errors over directions at this centre (gradient²/length); nan for a coordinate that moved once.
    row_sum : ndarray of shape (n,)
        Row sums Σ_j R̂_ij (gradient²/length), extrapolations as well.
    row_sum_error : ndarray of shape (n,)
        Their standard errors over directions at this centre (gradient²/length).
    extrapolation : float
        How far the extrapolation goes: the greater of the changes of the summed diagonal and of the summed row sums
        from the least probability to q = 0, as a share of the latter. Beyond a third the probabilities are too large
        for a straight line, and both numbers are rough.
    probabilities : ndarray of shape (k,)
        Probabilities q, increasing.
    samples : int
        Directions per probability.
    length : float
        Perturbation length σ.
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    glass_density_diagonal : Measure it.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.RandomHinges(4, hinges=1000, half_width=4.0, rng=0)
    >>> found = gc.glass_density_diagonal(toy.gradient, np.zeros(4), 0.5, (0.1, 0.2), samples=50, rng=1)
    >>> found.diagonal.shape, found.row_sum_error.shape, found.probabilities, found.evaluations
    ((4,), (4,), array([0.1, 0.2]), 201)
    """

    diagonal: FloatArray
    diagonal_error: FloatArray
    row_sum: FloatArray
    row_sum_error: FloatArray
    extrapolation: float
    probabilities: FloatArray
    samples: int
    length: float
    evaluations: int


def glass_density_diagonal(
    gradient: Gradient,
    theta: ArrayLike,
    length: float = 1e-3,
    probabilities: Sequence[float] = (0.02, 0.05),
    samples: int = 1000,
    nodes: ArrayLike = (-1, 0, 1),
    rng: RngLike = None,
    workers: Workers = 1,
) -> DiagonalDensity:
    """Separate the diagonal R_ii of the glass density matrix from its row sum, with sparse Rademacher directions.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length).
    length : float
        Perturbation length σ > 0.
    probabilities : sequence of float
        At least two different probabilities q in (0, 1) with which a coordinate moves. The smaller n·q, the smaller the
        bias of the extrapolation and the more samples are needed: the default serves up to about twenty parameters that
        matter for one boundary.
    samples : int
        Directions per probability, at least 2. Coordinate i moves in about q · samples of them.
    nodes : array_like of shape (m,)
        Where on each line gradients are taken, in units of `length`. As q falls, all lines in which coordinate i moves
        become one line, its axis: more nodes lower the variance of the diagonal there, 2R_ii²/(m − 2), and more
        samples do not.
    rng : None, int or Generator
        Source of the directions. The same seed gives the same result, bit for bit, for any `workers`.
    workers : int or callable
        As in `estimate_curvature`.

    Returns
    -------
    DiagonalDensity
        Diagonal and row sums with standard errors (gradient²/length).

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the sample and the node).

    Warns
    -----
    RuntimeWarning
        A length so small that points differ by little more than rounding.

    See Also
    --------
    SparseRademacher : The law of the directions.
    glass_density_matrix : Estimate all entries, one coordinate at a time.
    estimate_curvature : Estimate densities for movements of all coordinates.

    Notes
    -----
    With x_i the density of equation (9) on one line, 2d_i²/σ with the default nodes, E[x_i | i moves] = R_ii + O(q) and
    E[x_i]/q = Σ_j R_ij + O(q): with few movers each boundary is met by one of them at most. Both are
    extrapolated to q = 0 by a straight line, fitted by least squares with weights q, since the variances go as 1/q. The
    line is exact while at most two coordinates that matter for the same boundary move together, n·q ≪ 1 for a dense
    network of n parameters.

    References
    ----------
    Theory, section 4, sparse Rademacher.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy, nodes = gc.RandomHinges(4, hinges=10000, half_width=4.0, rng=0), np.linspace(-1, 1, 65)
    >>> found = gc.glass_density_diagonal(toy.gradient, np.zeros(4), 0.5, (0.1, 0.2), samples=50, nodes=nodes, rng=1)
    >>> R = toy.density_matrix()
    >>> bool(np.all(abs(found.diagonal / R.diagonal() - 1) < 0.5)), bool(np.all(found.diagonal < found.row_sum))
    (True, True)
    """
    sigma = number(length, "length", 0, open_low=True)
    qs = np.unique(vector(probabilities, "probabilities").astype(np.float64))
    if qs[0] <= 0 or qs[-1] >= 1 or qs.size < 2:
        raise ValueError(
            f"probabilities must lie in (0, 1) and hold at least two different values, got {list(probabilities)}"
        )
    count = integer(samples, "samples", 2)
    kernel, source = glass_kernel(nodes), generator(rng)
    center = evaluate_center(gradient, theta)

    # Sums over the directions of one probability: x and x² where i moves, how often it does, x and x² of all.
    sums = np.zeros((qs.size, 5, center.theta.size))
    moving = kernel.nodes != 0
    contrasts = kernel.weights[:, moving]
    stops = [(float(node), sigma) for node in kernel.nodes[moving]]
    warn_of_resolution(center, sigma * float(abs(kernel.nodes[moving]).min()))
    lines = (line for q in qs for line in random_lines(source, count, SparseRademacher(float(q)), stops))
    with ordered_map(workers) as map_:
        for k, (direction, rows) in enumerate(map_(center.on_line, lines)):
            # The weights add up to 0 with that of the centre.
            differences = np.subtract(rows, center.start, dtype=np.float64)
            x = np.square(contrasts @ differences).mean(axis=0) / sigma
            moves = direction != 0
            sums[k // count] += [moves * x, moves * x * x, moves, x, x * x]
    if not np.isfinite(sums).all():
        raise NonFiniteError("the gradients are too large: the fourth powers of their differences overflow float64")
    moved, moved_square, times, total, total_square = sums.swapaxes(0, 1)
    weights = _intercept_weights(qs)
    with np.errstate(divide="ignore", invalid="ignore"):  # a coordinate that moved never or once has no mean or error
        diagonal, diagonal_error = _extrapolate(weights, moved, moved_square, times)
    row_sum, row_sum_error = _extrapolate(weights / qs, total, total_square, np.full_like(total, count))
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.nansum(moved[0] / times[0]), total[0].sum() / (count * qs[0])
        steps = [
            abs(1 - near / limit) for near, limit in zip(nearest, (np.nansum(diagonal), row_sum.sum()), strict=True)
        ]
    dtype = center.theta.dtype
    return DiagonalDensity(
        diagonal=diagonal.astype(dtype),
        diagonal_error=diagonal_error.astype(dtype),
        row_sum=row_sum.astype(dtype),
        row_sum_error=row_sum_error.astype(dtype),
        extrapolation=float(max(steps)),
        probabilities=qs,
        samples=count,
        length=sigma,
        evaluations=1 + qs.size * count * len(stops),
    )


def _intercept_weights(qs: FloatArray) -> FloatArray:
    """How much each value counts in the intercept at q = 0 of the weighted straight line through them."""
    design = np.stack([np.ones_like(qs), qs], axis=1)
    weighted = design * qs[:, None]
    intercept: FloatArray = np.linalg.solve(design.T @ weighted, weighted.T)[0]
    return intercept


def _extrapolate(
    weights: FloatArray, sums: FloatArray, squares: FloatArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted sum over the probabilities of the means of x, and its standard error; arrays are (k, n)."""
    means = sums / counts
    variances = (squares / counts - means**2) / (counts - 1)
    return weights @ means, np.sqrt(weights**2 @ np.maximum(variances, 0))
