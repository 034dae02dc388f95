"""Glass density along given lines: one direction, or every coordinate axis (theory, sections 1 to 3)."""

from __future__ import annotations

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri

from glasscurv._typing import FloatArray, Gradient, Workers
from glasscurv._validation import NonFiniteError, integer, number, vector
from glasscurv._workers import ordered_map
from glasscurv.curvature.intervals import confidence_level
from glasscurv.curvature.lines import Center, evaluate_center, warn_of_resolution, warn_of_rounding

KURTOSIS_MARGIN = 1.5
"""The kurtosis of few jumps is underestimated where the large ones are missing. With this factor a nominal 95 % covers
95 to 96.5 % of simulated lines of 128 increments, from six jumps in all to hundreds in each."""

ENOUGH_INCREMENTS, ENOUGH_CROSSED, SMALL_CONTAMINATION = 64, 10, 0.3
"""What a valid interval needs; the contamination of independent increments varies by 1/sqrt(N) by chance."""


class DirectionalDensity(float):
    """A directional glass density ρ_u (gradient²/length): a float that knows its error.

    Parameters
    ----------
    density : float
        Estimate ρ̂_u: the value of the float (gradient²/length).
    relative_error : float
        Standard error of ρ̂_u as a share of it: sqrt(2/(N − 1) + 1.5 K/N) for N increments with the excess kurtosis K
        that sparse crossings give them. inf where nothing was crossed.
    crossed : int
        How many of the increments differ from their median by more than rounding: they crossed a boundary. Where the
        loss is not piecewise quadratic its smooth part counts as well.
    contamination : float
        Share of the density that is no glass but the smooth part of the loss: the correlation of neighbouring
        increments, which jumps leave uncorrelated and a bend makes alike. It varies by 1/sqrt(N) by chance.
    samples : int
        Number M of three-node lines, N = 2M increments.
    length : float
        Distance covered on each side of the centre.

    Attributes
    ----------
    degrees_of_freedom : float
        Those of the χ² law with the same relative variance, 2/relative_error².
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    directional_density : Measure it.
    directional_glass_change : The loss change that follows from it.

    References
    ----------
    Theory, sections 2 and 3, equation (5).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.RandomHinges(3, hinges=4000, half_width=5.0, rng=0)
    >>> density = gc.directional_density(toy.gradient, np.zeros(3), [1.0, 2.0, -1.0], length=1.0)
    >>> density.samples, density.evaluations, density.crossed > 100, 0.1 < density.relative_error < 0.3
    (64, 129, True, True)
    >>> gc.directional_glass_change(4.0, density) == 8 * gc.directional_glass_change(1.0, density)
    True
    """

    relative_error: float
    degrees_of_freedom: float
    crossed: int
    contamination: float
    samples: int
    length: float
    evaluations: int

    def __new__(
        cls,
        density: float,
        relative_error: float,
        crossed: int,
        contamination: float,
        samples: int,
        length: float,
    ) -> Self:
        """Make a float of the density and attach the rest."""
        self = super().__new__(cls, density)
        self.relative_error = relative_error
        self.degrees_of_freedom = 2 / relative_error**2
        self.crossed = crossed
        self.contamination = contamination
        self.samples = samples
        self.length = length
        self.evaluations = 2 * samples + 1
        return self

    def __getnewargs__(self) -> tuple[float, float, int, float, int, float]:  # type: ignore[override]
        """Return the arguments that copies are made with."""
        return float(self), self.relative_error, self.crossed, self.contamination, self.samples, self.length

    def __repr__(self) -> str:
        """Show the density, its error and whether its interval is valid."""
        return f"DirectionalDensity({float(self):.6g}, relative_error={self.relative_error:.3g}, valid={self.valid})"

    @property
    def valid(self) -> bool:
        """Whether the interval is valid.

        There are at least 64 increments, of which at least 10 crossed a boundary, no smooth part shows, and the
        relative error is at most 1.
        """
        enough = 2 * self.samples >= ENOUGH_INCREMENTS and self.crossed >= ENOUGH_CROSSED
        return enough and self.contamination <= SMALL_CONTAMINATION and self.relative_error <= 1

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of ρ_u.

        Parameters
        ----------
        level : float
            Confidence level in (0, 1).

        Returns
        -------
        (float, float)
            Lower and upper end (gradient²/length); 0 and inf where nothing was crossed.

        Raises
        ------
        ValueError, TypeError
            `level` is not a number in (0, 1), or within 1e-6 of either.

        Notes
        -----
        k ρ̂/ρ counts as χ²(k), k = 2/(relative error)²: in the dense limit k = N − 1 up to the error of the kurtosis.
        With sparse crossings the relative variance of a squared increment is that of a compound Poisson process,
        2 + κ/(λσ); the excess kurtosis κ/(λσ) is estimated from the increments themselves, on the safe side.
        """
        tail = (1 - confidence_level(level)) / 2
        k = self.degrees_of_freedom
        if k == 0:
            return 0.0, np.inf
        return float(self) * k / float(chdtri(k, tail)), float(self) * k / float(chdtri(k, 1 - tail))


def directional_density(
    gradient: Gradient,
    theta: ArrayLike,
    direction: ArrayLike,
    length: float = 1e-3,
    samples: int = 64,
    workers: Workers = 1,
) -> DirectionalDensity:
    """Estimate the glass density along one direction, with an interval.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length).
    direction : array_like of shape (n,)
        Any vector but 0; u = direction/‖direction‖.
    length : float
        Distance covered on each side of the centre, ‖movement‖ ≤ length: the density is the average over
        μ − length·u … μ + length·u.
    samples : int
        Number M of three-node lines into which this stretch is divided, by 2M + 1 evaluations. More of them catch
        more of the jumps' size and less of the smooth loss.
    workers : int or callable
        As in `estimate_curvature`.

    Returns
    -------
    DirectionalDensity
        A float, ρ̂_u (gradient²/length), with an interval.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity.

    Warns
    -----
    RuntimeWarning
        A length so small that points or gradients differ by little more than rounding.

    See Also
    --------
    directional_glass_change : The loss change that follows from the density.
    Crossings.directional_density : The exact density of a network on one line.
    estimate_curvature : Estimate the density of every coordinate.

    Notes
    -----
    The glass kernel (9) on 2M + 1 equidistant nodes, applied to u·g: the sample variance of the 2M increments over
    their spacing. The lines lie side by side and share no boundary, so that their increments are independent, and the
    slope of u·g, the Hessian uᵀHu, drops out. The smooth second derivative T of u·g adds T² length³/(3M).

    References
    ----------
    Theory, sections 2 and 3, equations (5) and (9).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy, u = gc.RandomHinges(3, hinges=4000, half_width=5.0, rng=0), np.array([1.0, 2.0, -1.0])
    >>> density = gc.directional_density(toy.gradient, np.zeros(3), u, length=1.0)
    >>> low, high = density.interval(0.95)
    >>> low < toy.directional_density(u) < high, density.valid, density.evaluations
    (True, True, 129)
    """
    sigma, count = _subdivision(length, samples)
    center = evaluate_center(gradient, theta)
    u = vector(direction, "direction", center.theta.size).astype(np.float64)
    largest = abs(u).max()
    if largest == 0:
        raise ValueError("direction must not be zero, got a zero vector")
    u /= largest  # squares of the very large and the very small would be lost
    unit = (u / np.linalg.norm(u)).astype(center.theta.dtype)
    spacing = sigma / count
    with ordered_map(workers) as map_:
        found = list(map_(partial(_along, center, unit, spacing), range(-count, count + 1)))
    slopes, roundings = np.array(found).T
    rounding = float(roundings.max())
    warn_of_resolution(center, spacing)
    warn_of_rounding(sigma, (slopes[-1] - slopes[0]) ** 2, rounding**2)
    increments = np.diff(slopes)
    return DirectionalDensity(
        density=_finite(float(increments.var(ddof=1) / spacing)),
        relative_error=_relative_error(increments),
        crossed=int(np.sum(abs(increments - np.median(increments)) > 8 * rounding)),
        contamination=_correlation(increments),
        samples=count,
        length=sigma,
    )


def glass_density_matrix(
    gradient: Gradient,
    theta: ArrayLike,
    length: float = 1e-3,
    samples: int = 8,
    workers: Workers = 1,
) -> FloatArray:
    """Estimate the glass density matrix R by moving one coordinate at a time.

    Parameters
    ----------
    gradient : callable
        Gradient of the loss (loss/length), ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Centre μ (length), with n up to a few hundred: the result has n² entries and costs 2 n · samples + 1
        evaluations.
    length : float
        Distance that each coordinate moves to either side.
    samples : int
        Number of three-node lines into which this stretch is divided.
    workers : int or callable
        As in `estimate_curvature`; one column is one task.

    Returns
    -------
    ndarray of shape (n, n)
        R̂_ij, E[v_i²] = R_ij |δ_j| when only coordinate j moves (gradient²/length); the dtype of `theta`.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity.

    Warns
    -----
    RuntimeWarning
        A length so small that points differ by little more than rounding.

    See Also
    --------
    glass_density_diagonal : Estimate the diagonal and the row sums of large matrices.
    RandomHinges.density_matrix : The exact matrix of a toy.

    Notes
    -----
    Column j is the glass kernel (9) on 2·samples + 1 equidistant nodes along coordinate axis j, as in
    `directional_density`. A coordinate that moves alone crosses few boundaries: with N of them the relative error of an
    entry is about sqrt(κ/N), κ ≈ 10 being the kurtosis of the jumps.

    References
    ----------
    Theory, section 1, equation (3), and section 3, equation (9).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> toy = gc.RandomHinges(3, hinges=10000, half_width=4.0, rng=0)
    >>> R = gc.glass_density_matrix(toy.gradient, np.zeros(3), length=0.5, samples=128)
    >>> bool(np.all(abs(R / toy.density_matrix() - 1) < 0.3))
    True
    """
    sigma, count = _subdivision(length, samples)
    center = evaluate_center(gradient, theta)
    warn_of_resolution(center, sigma / count)
    column = partial(_column, center, sigma / count, count)
    with ordered_map(workers) as map_:
        densities = np.stack(list(map_(column, range(center.theta.size))), axis=1)
    _finite(float(abs(densities).max()))
    return densities


def _subdivision(length: float, samples: int) -> tuple[float, int]:
    return number(length, "length", 0, open_low=True), integer(samples, "samples", 1)


def _finite(density: float) -> float:
    if not np.isfinite(density):
        raise NonFiniteError("the gradients are too large: the squares of their differences overflow")
    return density


def _along(center: Center, unit: FloatArray, spacing: float, node: int) -> tuple[float, float]:
    """u·g at μ + node · spacing · u, and its rounding error."""
    terms = unit * _gradient_at(center, unit, node, spacing, "on the line").astype(np.float64)
    return float(terms.sum()), center.resolution * float(np.linalg.norm(terms))


def _column(center: Center, spacing: float, count: int, coordinate: int) -> FloatArray:
    """Densities of all coordinates where one of them moves."""
    axis = np.zeros_like(center.theta)
    axis[coordinate] = 1
    where = f"in column {coordinate}"
    rows = np.stack([_gradient_at(center, axis, k, spacing, where) for k in range(-count, count + 1)])
    with np.errstate(over="ignore", invalid="ignore"):
        increments = np.diff(rows.astype(np.float64), axis=0)
        density: FloatArray = (increments.var(axis=0, ddof=1) / spacing).astype(center.theta.dtype)
    return density


def _gradient_at(center: Center, direction: FloatArray, node: int, spacing: float, where: str) -> FloatArray:
    if node == 0:
        return center.start
    return center.at(direction, node * spacing, f"{where}, at {node * spacing:g}")


def _relative_error(increments: FloatArray) -> float:
    """sqrt(2/(N − 1) + 1.5 K/N), K from the fourth moments of the increments."""
    count = increments.size
    deviations = increments - increments.mean()
    largest = abs(deviations).max()
    if largest == 0:
        return np.inf
    squares = np.square(deviations / largest)  # fourth powers of very small or large ones would be lost
    # E x⁴/(E x²)² − 3 with the unbiased estimate of the denominator, from products of different increments.
    pairs = (squares.sum() ** 2 - squares @ squares) / (count * (count - 1))
    excess = max(float(squares @ squares) / count / pairs - 3, 0.0) if pairs > 0 else np.inf
    return float(np.sqrt(2 / (count - 1) + KURTOSIS_MARGIN * excess / count))


def _correlation(increments: FloatArray) -> float:
    """Correlation of neighbouring increments, 0 if they are all alike."""
    deviations = increments - increments.mean()
    largest = abs(deviations).max()
    if largest == 0:
        return 0.0
    deviations /= largest
    return float(deviations[1:] @ deviations[:-1] / (deviations @ deviations))
