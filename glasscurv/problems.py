"""Toys whose Hessian and glass are known exactly (theory, section 1).

============  ==========================================================
code          theory
============  ==========================================================
``normals``   a_k, normals of the hinges, (K, n)
``offsets``   b_k ~ U[−B, B]
``signals``   s_k, independent with zero mean and variance ς²
============  ==========================================================
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import choice, generator, integer, matrix, number, vector


class Problem:
    """A loss over flat parameter vectors; problems of one size add up with ``+``.

    Attributes
    ----------
    size : int
        Number n of parameters.
    """

    size: int

    def value(self, theta: ArrayLike) -> float:
        """Return the loss at theta (n,)."""
        return self.value_and_grad(theta)[0]

    def gradient(self, theta: ArrayLike) -> FloatArray:
        """Return the gradient (n,) at theta (n,)."""
        return self.value_and_grad(theta)[1]

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient (n,) at theta (n,)."""
        raise NotImplementedError

    def __add__(self, other: Problem) -> Sum:
        return Sum(self, other)


class Quadratic(Problem):
    """L(θ) = ½ θᵀHθ + lᵀθ + constant for any symmetric H: a loss without glass.

    Parameters
    ----------
    hessian : (n, n) array_like
        Symmetric matrix H, definite or not (gradient/length).
    linear : (n,) array_like, optional
        l; zero by default.
    constant : float
        Added to the loss.

    Raises
    ------
    ValueError, TypeError
        `hessian` is not square and symmetric, or `linear` has another size.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[2.0, 1.0], [1.0, 3.0]], linear=[-1.0, 0.0])
    >>> problem.value_and_grad([1.0, 1.0])
    (2.5, array([2., 4.]))
    """

    def __init__(self, hessian: ArrayLike, linear: ArrayLike | None = None, constant: float = 0.0) -> None:
        self.hessian = matrix(hessian, "hessian").copy()
        rows, columns = self.hessian.shape
        if rows != columns or abs(self.hessian - self.hessian.T).max() > 1e-12 * abs(self.hessian).max():
            raise ValueError(f"hessian must be square and symmetric, got shape {self.hessian.shape}")
        self.hessian = (self.hessian + self.hessian.T) / 2  # symmetric up to rounding will do
        self.size = rows
        self.linear = np.zeros(rows) if linear is None else vector(linear, "linear", rows).copy()
        self.constant = number(constant, "constant")

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient Hθ + l, shape (n,), at theta (n,)."""
        x = vector(theta, "theta", self.size)
        product = self.hessian @ x
        return float(x @ (0.5 * product + self.linear)) + self.constant, product + self.linear


class RandomHinges(Problem):
    r"""L(θ) = Σ_k s_k relu(a_k·θ − b_k): the toy that satisfies every assumption of the glass exactly.

    Offsets are uniform on [−B, B] and signals independent with zero mean and variance ς², so while
    |a_k·θ| + |a_k·δ| ≤ B for every hinge the gradient variation v of a displacement δ has, over the draw of
    offsets and signals and with no approximation,

    .. math:: E[v v^T] = \sum_k \frac{\varsigma^2}{2B} |a_k \cdot \delta|\, a_k a_k^T .

    The Hessian is zero wherever it exists.

    Parameters
    ----------
    dimension : int
        Number n of parameters.
    hinges : int
        Number K of hinges.
    half_width : float
        B > 0.
    signal_scale : float
        ς > 0, the standard deviation of the signals.
    signals : {"gaussian", "rademacher"}
        Law of s_k: normal, or ±ς with equal probability.
    normals : (K, n) array_like, optional
        The a_k; by default independent standard normal.
    rng : None, int or Generator
        Source of normals, offsets and signals, in this order.

    Attributes
    ----------
    size : int
        Number n of parameters.
    normals : (K, n) float64
    offsets, signals : (K,) float64
    half_width, signal_scale : float

    Raises
    ------
    ValueError, TypeError
        An argument out of range, or `normals` of another shape than (hinges, dimension).

    References
    ----------
    Theory, section 1, equations (2), (3) and (5).

    Examples
    --------
    >>> import glasscurv as gc
    >>> toy = gc.RandomHinges(dimension=3, hinges=1000, half_width=10.0, rng=0)
    >>> R = toy.density_matrix()
    >>> bool(R[0, 0] / R[0, 1] > 1.5)                 # diagonal dominance: the ratio is 2 on average
    True
    >>> toy.density([1.0, 0.0, 0.0]).round(6).tolist() == R[:, 0].round(6).tolist()
    True
    """

    def __init__(
        self,
        dimension: int,
        hinges: int,
        half_width: float = 1.0,
        signal_scale: float = 1.0,
        signals: Literal["gaussian", "rademacher"] = "gaussian",
        normals: ArrayLike | None = None,
        rng: RngLike = None,
    ) -> None:
        self.size = integer(dimension, "dimension", 1)
        count = integer(hinges, "hinges", 1)
        self.half_width = number(half_width, "half_width", 0, open_low=True)
        self.signal_scale = number(signal_scale, "signal_scale", 0, open_low=True)
        self.signal_law = choice(signals, "signals", ("gaussian", "rademacher"))
        source = generator(rng)
        if normals is None:
            self.normals: FloatArray = source.standard_normal((count, self.size))
        else:
            self.normals = matrix(normals, "normals", self.size).astype(np.float64)
            if len(self.normals) != count:
                raise ValueError(f"normals must have shape {(count, self.size)}, got {self.normals.shape}")
        self._draw(source)

    def redraw(self, rng: RngLike = None) -> RandomHinges:
        """Return a landscape with the same normals and fresh offsets and signals."""
        other = object.__new__(RandomHinges)
        vars(other).update(vars(self))
        other._draw(generator(rng))
        return other

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient Σ s_k 1[a_k·θ > b_k] a_k, shape (n,), at theta (n,)."""
        margin = self.normals @ vector(theta, "theta", self.size) - self.offsets
        active = np.where(margin > 0, self.signals, 0.0)
        gradient: FloatArray = active @ self.normals
        return float(active @ margin), gradient

    def covers(self, theta: ArrayLike, displacement: ArrayLike) -> bool:
        """Tell whether |a_k·θ| + |a_k·δ| ≤ B for every hinge, so that the exact formulas hold."""
        x = vector(theta, "theta", self.size)
        delta = vector(displacement, "displacement", self.size)
        return bool((abs(self.normals @ x) + abs(self.normals @ delta)).max() <= self.half_width)

    def covariance(self, displacement: ArrayLike) -> FloatArray:
        """Return E[v vᵀ], shape (n, n) (gradient²), for a displacement (n,); equation (2)."""
        rates = self._rates(vector(displacement, "displacement", self.size))
        covariance: FloatArray = (self.normals.T * rates) @ self.normals
        return covariance

    def density(self, direction: ArrayLike) -> FloatArray:
        """Return E[v_i²]/σ for the displacement σ·direction, shape (n,) (gradient²/length).

        The direction is used as given, not normalised: ±1 in every coordinate gives what a Rademacher perturbation
        measures, a unit vector a column of the density matrix.
        """
        rates = self._rates(vector(direction, "direction", self.size))
        density: FloatArray = rates @ np.square(self.normals)
        return density

    def density_matrix(self) -> FloatArray:
        """Return R_ij, shape (n, n): E[v_i²] = R_ij |δ_j| when only coordinate j moves; equation (3)."""
        weight = self.signal_scale**2 / (2 * self.half_width)
        densities: FloatArray = weight * np.square(self.normals).T @ abs(self.normals)
        return densities

    def directional_density(self, direction: ArrayLike) -> float:
        """Return ρ_u, the variance of u·v per unit length along u = direction/‖direction‖; equation (5)."""
        u = vector(direction, "direction", self.size)
        norm = np.linalg.norm(u)
        if norm == 0:
            raise ValueError("direction must not be zero, got a zero vector")
        slopes = self.normals @ (u / norm)
        return float(self._rates(u / norm) @ np.square(slopes))

    def expected_crossings(self, displacement: ArrayLike) -> float:
        """Return the expected number of hinges that a displacement (n,) crosses."""
        delta = vector(displacement, "displacement", self.size)
        return float(abs(self.normals @ delta).sum() / (2 * self.half_width))

    def _rates(self, displacement: FloatArray) -> FloatArray:
        """p_k ς² |a_k·δ|."""
        rates: FloatArray = self.signal_scale**2 / (2 * self.half_width) * abs(self.normals @ displacement)
        return rates

    def _draw(self, rng: np.random.Generator) -> None:
        count = len(self.normals)
        self.offsets = rng.uniform(-self.half_width, self.half_width, count)
        law = rng.standard_normal(count) if self.signal_law == "gaussian" else rng.choice([-1.0, 1.0], count)
        self.signals = self.signal_scale * law


class Sum(Problem):
    """The sum of problems of one size.

    Parameters
    ----------
    *problems : Problem
        The terms.

    Raises
    ------
    ValueError
        No problems, or problems of different sizes.
    TypeError
        A term is not a `Problem`.

    Examples
    --------
    >>> import glasscurv as gc
    >>> both = gc.Quadratic([[2.0]]) + gc.RandomHinges(1, hinges=50, rng=0)
    >>> both.size
    1
    """

    def __init__(self, *problems: Problem) -> None:
        for problem in problems:
            if not isinstance(problem, Problem):
                raise TypeError(f"problems must be Problem instances, got {type(problem).__name__}")
        sizes = {problem.size for problem in problems}
        if len(sizes) != 1:
            raise ValueError(f"problems must be of one size, got sizes {sorted(sizes)}")
        self.problems = problems
        self.size = sizes.pop()

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the summed loss and gradient (n,) at theta (n,)."""
        value, gradient = 0.0, np.zeros(self.size)
        for problem in self.problems:
            term, slope = problem.value_and_grad(theta)
            value += term
            gradient += slope
        return value, gradient
