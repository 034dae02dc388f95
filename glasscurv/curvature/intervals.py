"""Laws of the density estimates: from which values of ρ an estimate ρ̂ could well have come (theory, section 3).

Where many boundaries are crossed, contrasts of the gradient are normal and ρ̂/ρ is a weighted sum of independent χ²₁
numbers. Contrasts on one line are independent, and the weights are equal: χ². Contrasts on lines through one centre
share the boundaries next to it. If the normals of the boundaries have no preferred direction, the gradient variation
of coordinate i is a random field with

    E[(v_i(x) − v_i(y))²] = ψ_i(x − y),    ψ_i(x) ∝ ‖x‖ (1 + x_i²/‖x‖²),

by equation (2), since E[a_i² |a·x|] ∝ ψ_i(x) for isotropic normals a: up to the term of the own coordinate, Lévy's
Brownian motion in n dimensions. It gives the covariance of any contrasts; the weights are its eigenvalues.
"""

from __future__ import annotations

import numpy as np
import scipy
from scipy.special import chdtri, gammainc

from glasscurv._typing import FloatArray
from glasscurv._validation import number

LARGE_DIMENSION = 64
"""From here on random directions count as orthogonal: the correlation of two lines is then right to 0.2/n."""

JUMP_KURTOSIS = 9.0
"""E J⁴/(E J²)² of the jumps of one coordinate: 9 for normal signals and normals, and the median of a digits network."""

MANY_DIRECTIONS = 128
"""So many directions settle the law: with more, ρ̂ only comes closer to the density at the centre."""


def chi_square_weights(nodes: FloatArray, contrasts: FloatArray, directions: FloatArray) -> FloatArray:
    """Return the weights (n, k) of the χ²₁ numbers whose sum is ρ̂_i/ρ_i, for few parameters.

    Parameters
    ----------
    nodes : (m,) array
        Positions on each line.
    contrasts : (r, m) array
        Weights of the contrasts; every row adds up to 0.
    directions : (M, n) array
        The lines, through one centre.

    Returns
    -------
    (n, M r) array
        Nonnegative weights; each row adds up to 1.
    """
    points = (directions[:, None, :] * nodes[:, None]).reshape(-1, directions.shape[1])
    squares = np.square(points).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    weights = []
    for coordinate in points.T:
        own = np.square(coordinate[:, None] - coordinate)
        variogram = distance + np.divide(own, distance, out=np.zeros_like(own), where=own > 0)
        weights.append(_weights(variogram.reshape(2 * (len(directions), nodes.size)), contrasts))
    return np.array(weights)


def orthogonal_weights(nodes: FloatArray, contrasts: FloatArray, count: int) -> FloatArray:
    """Return the weights (1, count r) for `count` orthogonal lines: every coordinate of many parameters alike."""
    variogram = np.broadcast_to(np.hypot(nodes[:, None], nodes)[None, :, None, :], 2 * (count, nodes.size)).copy()
    for line in range(count):
        variogram[line, :, line, :] = abs(nodes[:, None] - nodes)
    return _weights(variogram, contrasts)[None, :]


def concentrate(weights: FloatArray, nodes: FloatArray, crossings: float, overlap: FloatArray) -> FloatArray:
    """Return weights (n, k) with the larger variance that few crossings give.

    With N boundaries per unit of the nodes, one line of increments Δ_k has the relative variance of a compound Poisson
    process on top, (κ/N) Σ_k (1 − Δ_k/Σ Δ)²/Δ_k / r². Lines through one centre share a part `overlap` (n,) of it: that
    of their second differences. Weight is moved to the largest until the variance 2 Σ_j w_j² has grown by as much, at
    most to that of a single χ²₁ number.
    """
    spacing = np.diff(nodes)
    single = np.sum((1 - spacing / spacing.sum()) ** 2 / spacing) / (nodes.size - 2) ** 2
    largest = weights.max(axis=1, keepdims=True)
    square = np.square(weights).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # no crossings at all: as much as possible
        growth = np.minimum(np.divide(JUMP_KURTOSIS * single / 2 * overlap[:, None], crossings), 1 - square)
    # The root a of Σ_j ((1 − a) w_j)² + 2a(1 − a) w_max + a² = square + growth, in a form that is stable for small a.
    slope = largest - square
    root = np.sqrt(np.maximum(slope**2 + (1 - 2 * largest + square) * growth, 0))
    share = np.minimum(growth / (slope + root + np.finfo(np.float64).tiny), 1)  # rounding may lift it above
    moved: FloatArray = (1 - share) * weights
    moved[np.arange(len(moved)), weights.argmax(axis=1)] += share[:, 0]
    return moved


def mixture_quantile(weights: FloatArray, probability: float) -> float:
    """Return the quantile of Σ_j w_j χ²₁.

    The largest weight is integrated over; the rest count as a gamma variable of the same mean and variance. This is
    exact where the others are equal or fewer than two. Otherwise the upper tail is right to 0.1 %, and the probability
    below the lower quantiles too small, by 1.5 % at worst: an interval errs on the safe side.
    """
    first, *rest = np.sort(weights)[::-1]
    mean, square = np.sum(rest), np.sum(np.square(rest))
    # Below rounding the other lines are this line again.
    alone = square <= (1e-12 * first) ** 2

    def excess(logarithm: float) -> float:
        x = np.exp(logarithm)
        # P(w z² + rest ≤ x) = 2 ∫ φ(z) F_rest(x − w z²) dz; z = sqrt(x/w) sin(a) removes the root at the end.
        z = np.sqrt(x / first) * _SINES
        left = np.ones_like(z) if alone else gammainc(mean**2 / (2 * square), x * _COSINES**2 * mean / (2 * square))
        density = np.exp(-(z**2) / 2) * np.sqrt(2 / np.pi * x / first) * _COSINES
        return float(_ANGLE_WEIGHTS @ (density * left)) - probability

    # Adding the other lines to the first raises the quantile; one line alone has the longest tail for a given mean.
    alone_quantile = chdtri(1, 1 - probability)
    low, high = 0.5 * first * alone_quantile, 4 * (first + mean) * max(alone_quantile, 1.0)
    return float(np.exp(scipy.optimize.brentq(excess, np.log(low), np.log(high), xtol=1e-12)))


def confidence_level(level: float) -> float:
    """Return a checked confidence level; closer to 0 or 1 than this the quantiles are lost to rounding."""
    checked = number(level, "level", 0, 1, open_low=True, open_high=True)
    if not 1e-6 <= checked <= 1 - 1e-6:
        raise ValueError(f"level must be at least 1e-6 away from 0 and 1, got {level}")
    return checked


def _weights(variogram: FloatArray, contrasts: FloatArray) -> FloatArray:
    """Eigenvalues, with sum 1, of the covariance of all contrasts; `variogram` is (M, m, M, m)."""
    covariance = -np.einsum("jk,akbl,il->ajbi", contrasts, variogram, contrasts)
    eigenvalues = np.linalg.eigvalsh(covariance.reshape(2 * (len(variogram) * len(contrasts),)))
    positive = np.maximum(eigenvalues, 0)
    if not positive.any():  # sparse directions in which nothing moved
        positive[:] = 1
    weights: FloatArray = positive / positive.sum()
    return weights


_ABSCISSAS, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(200)
_ANGLES = (_ABSCISSAS + 1) * (np.pi / 4)
_SINES, _COSINES = np.sin(_ANGLES), np.cos(_ANGLES)
_ANGLE_WEIGHTS = _LEGENDRE_WEIGHTS * (np.pi / 4)
