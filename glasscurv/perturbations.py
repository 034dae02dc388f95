"""Distributions of perturbation directions and what each costs (theory, section 4).

Every coordinate of a direction z is symmetric. The estimators need only E|z|^p, so a distribution is two methods:
``sample(n, rng)`` and ``absolute_moment(p)``; any object that has both can be used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from glasscurv._typing import Distribution, FloatArray, RngLike
from glasscurv._validation import choice, generator, integer, number, vector
from glasscurv.core import vectors as core

BLOCK = 1 << 17
"""Coordinates whose random bits are in memory at one time."""


def _signs(n: int, rng: np.random.Generator) -> FloatArray:
    signs = np.empty(integer(n, "n", 1))
    _fill_with_signs(signs, rng)
    return signs


def _fill_with_signs(out: FloatArray, rng: np.random.Generator) -> None:
    """Write random signs into `out`, one bit each."""
    for start in range(0, out.size, BLOCK):
        block = out[start : start + BLOCK]
        core.signs(np.frombuffer(rng.bytes(-(-block.size // 8)), np.uint8), block)


@dataclass(frozen=True)
class Rademacher:
    """±1 with equal probability: the optimal distribution for the glass and the Hessian alike.

    See Also
    --------
    SparseRademacher : The same, with most coordinates at rest.
    contamination : What other distributions cost.

    References
    ----------
    Theory, section 4; [D24].

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> gc.Rademacher().sample(4, np.random.default_rng(2))
    array([-1.,  1.,  1.,  1.])
    >>> gc.Rademacher().absolute_moment(3)
    1.0
    """

    def sample(self, n: int, rng: RngLike = None) -> FloatArray:
        """Draw one direction.

        Parameters
        ----------
        n : int
            Number of coordinates, ≥ 1.
        rng : None, int or Generator
            Source of the direction.

        Returns
        -------
        ndarray of shape (n,)
            Direction z (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `n` is not a positive integer, or `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        return _signs(n, generator(rng))

    def absolute_moment(self, p: float) -> float:
        """Return E|z|^p = 1.

        Parameters
        ----------
        p : float
            Power, of either sign.

        Returns
        -------
        float
            Moment of one coordinate (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `p` is not a finite number.
        """
        number(p, "p")
        return 1.0


@dataclass(frozen=True)
class Gaussian:
    """Standard normal coordinates; E|z|^p is infinite for p ≤ −1.

    See Also
    --------
    Rademacher : The optimal distribution.
    Sphere : Normal directions, scaled to one length.
    contamination : What a distribution costs.

    References
    ----------
    Theory, section 4.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.Gaussian().absolute_moment(2), gc.Gaussian().absolute_moment(-1)
    (1.0, inf)
    """

    def sample(self, n: int, rng: RngLike = None) -> FloatArray:
        """Draw one direction.

        Parameters
        ----------
        n : int
            Number of coordinates, ≥ 1.
        rng : None, int or Generator
            Source of the direction.

        Returns
        -------
        ndarray of shape (n,)
            Direction z (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `n` is not a positive integer, or `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        return generator(rng).standard_normal(integer(n, "n", 1))

    def absolute_moment(self, p: float) -> float:
        """Return E|z|^p = 2^{p/2} Γ((p+1)/2) / sqrt(π), infinite for p ≤ −1.

        Parameters
        ----------
        p : float
            Power, of either sign.

        Returns
        -------
        float
            Moment of one coordinate (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `p` is not a finite number.
        """
        if number(p, "p") <= -1:
            return math.inf
        return float(2 ** (p / 2) * scipy.special.gamma((p + 1) / 2) / math.sqrt(math.pi))


@dataclass(frozen=True)
class Uniform:
    """A random sign times a number drawn uniformly from [low, high].

    ``Uniform(0.5, 1.5)`` is uniform on ±[½, 3/2]; ``Uniform(-1, 1)`` and ``Uniform(0, 1)`` are both uniform on [−1, 1].

    Parameters
    ----------
    low, high : float
        Ends of the interval, low < high (dimensionless).

    Raises
    ------
    ValueError, TypeError
        An end is not a finite number, or low ≥ high.

    See Also
    --------
    Rademacher : The optimal distribution.
    contamination : What a distribution costs.

    References
    ----------
    Theory, section 4.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.Uniform(0.5, 1.5).absolute_moment(1)
    1.0
    >>> gc.Uniform(0, 1).absolute_moment(-1)
    inf
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if number(self.low, "low") >= number(self.high, "high"):
            raise ValueError(f"low must be below high, got low={self.low} and high={self.high}")

    def sample(self, n: int, rng: RngLike = None) -> FloatArray:
        """Draw one direction.

        Parameters
        ----------
        n : int
            Number of coordinates, ≥ 1.
        rng : None, int or Generator
            Source of the direction.

        Returns
        -------
        ndarray of shape (n,)
            Direction z (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `n` is not a positive integer, or `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        source = generator(rng)
        return _signs(n, source) * source.uniform(self.low, self.high, n)

    def absolute_moment(self, p: float) -> float:
        """Return E|z|^p, infinite for p ≤ −1 when 0 is in [low, high].

        Parameters
        ----------
        p : float
            Power, of either sign.

        Returns
        -------
        float
            Moment of one coordinate (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `p` is not a finite number.
        """
        if number(p, "p") <= -1 and self.low <= 0 <= self.high:
            return math.inf
        return (_power_primitive(self.high, p) - _power_primitive(self.low, p)) / (self.high - self.low)


@dataclass(frozen=True)
class Sphere:
    """Uniform on the sphere of radius sqrt(dimension): coordinates of unit variance, not quite independent.

    Parameters
    ----------
    dimension : int
        Number n ≥ 1 of coordinates.

    Raises
    ------
    ValueError, TypeError
        `dimension` is not a positive integer.

    See Also
    --------
    Gaussian : The same directions, of varying length.
    Rademacher : Directions of one length with independent coordinates.
    contamination : What a distribution costs.

    References
    ----------
    Theory, section 4.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> z = gc.Sphere(3).sample(3, np.random.default_rng(0))
    >>> round(float(z @ z), 12), round(gc.Sphere(3).absolute_moment(2), 12)
    (3.0, 1.0)
    """

    dimension: int

    def __post_init__(self) -> None:
        integer(self.dimension, "dimension", 1)

    def sample(self, n: int, rng: RngLike = None) -> FloatArray:
        """Draw one direction.

        Parameters
        ----------
        n : int
            Number of coordinates: that of the sphere.
        rng : None, int or Generator
            Source of the direction.

        Returns
        -------
        ndarray of shape (n,)
            Direction z, ‖z‖ = sqrt(n) (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `n` is not the sphere's dimension, or `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        if integer(n, "n", 1) != self.dimension:
            raise ValueError(f"n must be the sphere's dimension {self.dimension}, got {n}")
        z = generator(rng).standard_normal(n)
        scaled: FloatArray = z * (math.sqrt(n) / np.linalg.norm(z))
        return scaled

    def absolute_moment(self, p: float) -> float:
        """Return E|z|^p = n^{p/2} Γ((p+1)/2) Γ(n/2) / (sqrt(π) Γ((n+p)/2)), infinite for p ≤ −1 when n > 1.

        Parameters
        ----------
        p : float
            Power, of either sign.

        Returns
        -------
        float
            Moment of one coordinate (dimensionless), 1 for n = 1.

        Raises
        ------
        ValueError, TypeError
            `p` is not a finite number.
        """
        n, power = self.dimension, number(p, "p")
        if n == 1:
            return 1.0
        if power <= -1:
            return math.inf
        gammaln = scipy.special.gammaln
        logarithm = p / 2 * math.log(n) + gammaln((p + 1) / 2) + gammaln(n / 2) - gammaln((n + p) / 2)
        return math.exp(logarithm) / math.sqrt(math.pi)


@dataclass(frozen=True)
class SparseRademacher:
    """Each coordinate moves by ±1 with probability q and stays with probability 1 − q.

    As q → 0 the other coordinates contaminate less: E[v_i² | i moves]/σ → R_ii, at the price of 1/q more samples.
    This separates the diagonal of the glass density matrix from its row sum. `estimate_curvature` averages over all
    samples, whether i moves or not: its density tends to the row sum Σ_j R_ij as q → 0.

    Parameters
    ----------
    probability : float
        Probability q in (0, 1] of a movement.

    Raises
    ------
    ValueError, TypeError
        `probability` is not a number in (0, 1].

    See Also
    --------
    Rademacher : The case q = 1.
    glass_density_diagonal : Estimate the diagonal of the glass density matrix by directions of this law.

    References
    ----------
    Theory, section 4, sparse Rademacher.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.SparseRademacher(0.25).absolute_moment(1)
    0.25
    """

    probability: float

    def __post_init__(self) -> None:
        number(self.probability, "probability", 0, 1, open_low=True)

    def sample(self, n: int, rng: RngLike = None) -> FloatArray:
        """Draw one direction.

        Parameters
        ----------
        n : int
            Number of coordinates, ≥ 1.
        rng : None, int or Generator
            Source of the direction.

        Returns
        -------
        ndarray of shape (n,)
            Direction z (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `n` is not a positive integer, or `rng` is neither None, an int ≥ 0 nor a Generator.
        """
        source = generator(rng)
        return _signs(n, source) * (source.random(n) < self.probability)

    def absolute_moment(self, p: float) -> float:
        """Return E|z|^p: q for p > 0, 1 for p = 0, infinite for p < 0 unless q = 1.

        Parameters
        ----------
        p : float
            Power, of either sign.

        Returns
        -------
        float
            Moment of one coordinate (dimensionless).

        Raises
        ------
        ValueError, TypeError
            `p` is not a finite number.
        """
        if number(p, "p") > 0 or self.probability == 1:
            return float(self.probability)
        return 1.0 if p == 0 else math.inf


def contamination(distribution: Distribution, term: Literal["glass", "hessian"] = "glass") -> float:
    r"""Return the factor by which other coordinates contaminate a coordinate's own estimate.

    The estimate normalised by its own movement, v_i²/|z_i| for the glass or (Hz)_i/z_i for the Hessian, picks up
    the other coordinates' glass with weight E|z| E|1/z| and their squared Hessian entries with weight E z² E z⁻². By
    Jensen both are at least 1, with equality only for constant |z|: Rademacher is optimal for both terms.

    The glass weight is that of the additive bound E v_i² = Σ_j R_ij |δ_j|. For hinges, where E v_i² is proportional
    to |∇y·δ|, Rademacher is optimal too: given E|z|, Jensen in z_i and in every other |z_j| gives it the least mean.

    Parameters
    ----------
    distribution : distribution
        Law of the directions: anything with ``absolute_moment``.
    term : {"glass", "hessian"}
        Which estimate.

    Returns
    -------
    float
        Dimensionless, ≥ 1, possibly infinite. Infinite for `SparseRademacher`, whose coordinates may stand still;
        given that the coordinate moves, the factor there is q for the glass and for the Hessian.

    Raises
    ------
    ValueError
        `term` is neither "glass" nor "hessian".

    See Also
    --------
    Rademacher : The optimal distribution.
    Uniform : A sign times a uniform number.
    Gaussian : Normal directions.

    References
    ----------
    Theory, section 4; [D24].

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.contamination(gc.Rademacher(), term="glass")
    1.0
    >>> round(gc.contamination(gc.Uniform(0.5, 1.5), term="hessian"), 6)    # 13/9
    1.444444
    """
    power = 1 if choice(term, "term", ("glass", "hessian")) == "glass" else 2
    return distribution.absolute_moment(power) * distribution.absolute_moment(-power)


def check_distribution(distribution: Distribution) -> Distribution:
    """Return `distribution` if it has the methods ``sample`` and ``absolute_moment``; raise TypeError if not."""
    if isinstance(distribution, type):
        raise TypeError(f"distribution must be an instance, got the class {distribution.__name__} itself")
    for method in ("sample", "absolute_moment"):
        if not callable(getattr(distribution, method, None)):
            raise TypeError(
                f"distribution must have the methods sample and absolute_moment, got {type(distribution).__name__}"
            )
    return distribution


def draw_direction(distribution: Distribution, out: FloatArray, rng: np.random.Generator) -> None:
    """Write a direction into `out`, checked: a user's distribution may return anything."""
    if type(distribution) is Rademacher:  # needs no array of its own; a subclass may sample in another way
        _fill_with_signs(out, rng)
    else:
        out[:] = vector(distribution.sample(out.size, rng), "the distribution's sample", out.size)


def _power_primitive(x: float, p: float) -> float:
    """Return the primitive of |x|^p that is odd in x."""
    if p == -1:
        return math.copysign(1, x) * math.log(abs(x))
    return math.copysign(1, x) * float(abs(x) ** (p + 1)) / (p + 1)
