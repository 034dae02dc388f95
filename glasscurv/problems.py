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

    A subclass sets `size` and defines `value_and_grad`.

    Attributes
    ----------
    size : int
        Number n of parameters.

    See Also
    --------
    Quadratic : A loss without glass.
    RandomHinges : A loss that is nothing but glass.
    Sum : The sum of problems.
    MLP : A network, whose loss needs data as well.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> class Quartic(gc.Problem):
    ...     size = 2
    ...     def value_and_grad(self, theta):
    ...         x = np.asarray(theta)
    ...         return float(np.sum(x**4)), 4 * x**3
    >>> problem = Quartic() + gc.Quadratic(2 * np.eye(2))
    >>> problem.value([1.0, 2.0]), problem.gradient([1.0, 2.0])
    (22.0, array([ 6., 36.]))
    """

    size: int

    def value(self, theta: ArrayLike) -> float:
        """Return the loss.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        float
            The loss at `theta`.

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
        return self.value_and_grad(theta)[0]

    def gradient(self, theta: ArrayLike) -> FloatArray:
        """Return the gradient of the loss.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        ndarray of shape (n,)
            The gradient at `theta` (loss/length).

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
        return self.value_and_grad(theta)[1]

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        loss : float
            The loss at `theta`.
        gradient : ndarray of shape (n,)
            Its gradient (loss/length).

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
        raise NotImplementedError

    def __add__(self, other: Problem) -> Sum:
        return Sum(self, other)


class Quadratic(Problem):
    """L(θ) = ½ θᵀHθ + lᵀθ + constant for any symmetric H: a loss without glass.

    Parameters
    ----------
    hessian : array_like of shape (n, n)
        Symmetric matrix H, definite or not (gradient/length).
    linear : array_like of shape (n,), optional
        Gradient l at 0 (loss/length); zero by default.
    constant : float
        Loss at 0 (loss).

    Raises
    ------
    ValueError, TypeError
        `hessian` is not square and symmetric, or `linear` has another size.

    See Also
    --------
    RandomHinges : A loss that is nothing but glass.
    Sum : The sum of problems.

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
        """Return the loss and its gradient Hθ + l.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        loss : float
            The loss at `theta`.
        gradient : ndarray of shape (n,)
            Its gradient (loss/length).

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
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
        Half width B > 0 of the offsets' interval (length).
    signal_scale : float
        Standard deviation ς > 0 of the signals (loss/length).
    signals : {"gaussian", "rademacher"}
        Law of s_k: normal, or ±ς with equal probability.
    normals : array_like of shape (K, n), optional
        The a_k (dimensionless); by default independent standard normal.
    rng : None, int or Generator
        Source of normals, offsets and signals, in this order.

    Attributes
    ----------
    size : int
        Number n of parameters.
    normals : float64 ndarray of shape (K, n)
        The a_k (dimensionless).
    offsets : float64 ndarray of shape (K,)
        The b_k (length).
    signals : float64 ndarray of shape (K,)
        The s_k (loss/length).

    Raises
    ------
    ValueError, TypeError
        An argument out of range, or `normals` of another shape than (hinges, dimension).

    See Also
    --------
    Quadratic : A loss without glass.
    Sum : The sum of problems.
    trace_crossings : The boundaries of a network along a line.

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
        """Return a landscape with the same normals and fresh offsets and signals.

        Parameters
        ----------
        rng : None, int or Generator
            Source of offsets and signals, in this order.

        Returns
        -------
        RandomHinges
            Another draw of the same law; this one stays as it is.

        Raises
        ------
        ValueError, TypeError
            `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        other = object.__new__(RandomHinges)
        vars(other).update(vars(self))
        other._draw(generator(rng))
        return other

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient Σ s_k 1[a_k·θ > b_k] a_k.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        loss : float
            The loss at `theta`.
        gradient : ndarray of shape (n,)
            Its gradient (loss/length).

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
        margin = self.normals @ vector(theta, "theta", self.size) - self.offsets
        active = np.where(margin > 0, self.signals, 0.0)
        gradient: FloatArray = active @ self.normals
        return float(active @ margin), gradient

    def covers(self, theta: ArrayLike, displacement: ArrayLike) -> bool:
        """Tell whether |a_k·θ| + |a_k·δ| ≤ B for every hinge, so that the exact formulas hold.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Start θ of the movement (length).
        displacement : array_like of shape (n,)
            Movement δ (length).

        Returns
        -------
        bool
            Whether they hold.

        Raises
        ------
        ValueError, TypeError
            An argument has another shape or is not finite.
        """
        x = vector(theta, "theta", self.size)
        delta = vector(displacement, "displacement", self.size)
        return bool((abs(self.normals @ x) + abs(self.normals @ delta)).max() <= self.half_width)

    def covariance(self, displacement: ArrayLike) -> FloatArray:
        """Return the covariance E[v vᵀ] of the gradient variation.

        Parameters
        ----------
        displacement : array_like of shape (n,)
            Movement δ (length).

        Returns
        -------
        ndarray of shape (n, n)
            Covariance over the draw of offsets and signals (gradient²).

        Raises
        ------
        ValueError, TypeError
            `displacement` has another shape or is not finite.

        References
        ----------
        Theory, section 1, equation (2).
        """
        rates = self._rates(vector(displacement, "displacement", self.size))
        covariance: FloatArray = (self.normals.T * rates) @ self.normals
        return covariance

    def density(self, direction: ArrayLike) -> FloatArray:
        """Return the glass density E[v_i²]/σ for the displacement σ·direction.

        Parameters
        ----------
        direction : array_like of shape (n,)
            Direction (dimensionless), used as given, not normalised: ±1 in every coordinate gives what a Rademacher
            perturbation measures, a unit vector a column of the density matrix.

        Returns
        -------
        ndarray of shape (n,)
            Density of every coordinate (gradient²/length).

        Raises
        ------
        ValueError, TypeError
            `direction` has another shape or is not finite.

        References
        ----------
        Theory, section 1, equation (2).
        """
        rates = self._rates(vector(direction, "direction", self.size))
        density: FloatArray = rates @ np.square(self.normals)
        return density

    def density_matrix(self) -> FloatArray:
        """Return the glass density matrix: E[v_i²] = R_ij |δ_j| when only coordinate j moves.

        Returns
        -------
        ndarray of shape (n, n)
            Matrix R (gradient²/length).

        References
        ----------
        Theory, section 1, equation (3).
        """
        weight = self.signal_scale**2 / (2 * self.half_width)
        densities: FloatArray = weight * np.square(self.normals).T @ abs(self.normals)
        return densities

    def directional_density(self, direction: ArrayLike) -> float:
        """Return ρ_u, the variance of u·v per unit length along u = direction/‖direction‖.

        Parameters
        ----------
        direction : array_like of shape (n,)
            Any vector but 0.

        Returns
        -------
        float
            Directional density (gradient²/length).

        Raises
        ------
        ValueError, TypeError
            `direction` has another shape, is not finite or is 0.

        References
        ----------
        Theory, section 2, equation (5).
        """
        u = vector(direction, "direction", self.size)
        norm = np.linalg.norm(u)
        if norm == 0:
            raise ValueError("direction must not be zero, got a zero vector")
        slopes = self.normals @ (u / norm)
        return float(self._rates(u / norm) @ np.square(slopes))

    def expected_crossings(self, displacement: ArrayLike) -> float:
        """Return the expected number of hinges that a displacement crosses.

        Parameters
        ----------
        displacement : array_like of shape (n,)
            Movement δ (length).

        Returns
        -------
        float
            Expected number Σ |a_k·δ|/(2B).

        Raises
        ------
        ValueError, TypeError
            `displacement` has another shape or is not finite.
        """
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

    Attributes
    ----------
    size : int
        Number n of parameters.
    problems : tuple of Problem
        The terms.

    Raises
    ------
    ValueError
        No problems, or problems of different sizes.
    TypeError
        A term is not a `Problem`.

    See Also
    --------
    Problem : What the terms are; they add up with ``+`` as well.

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
        """Return the summed loss and gradient.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).

        Returns
        -------
        loss : float
            The loss at `theta`.
        gradient : ndarray of shape (n,)
            Its gradient (loss/length).

        Raises
        ------
        ValueError, TypeError
            `theta` has another shape or is not finite.
        """
        value, gradient = 0.0, np.zeros(self.size)
        for problem in self.problems:
            term, slope = problem.value_and_grad(theta)
            value += term
            gradient += slope
        return value, gradient
