"""Losses along a line, known exactly: where their local minima are, for many landscapes or one minibatch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.interpolate
import scipy.optimize
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.hinges import draw_landscapes

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class Minima(NamedTuple):
    """Local minima at kinks, landscape after landscape, in the order of their positions.

    Attributes
    ----------
    row : (m,) int
        Landscape.
    position, loss : (m,)
    slope : (m,)
        Mean of the slopes' sizes on both sides.
    """

    row: Index
    position: Array
    loss: Array
    slope: Array

    def lowest(self, reach: float) -> NDArray[np.bool_]:
        """Tell which are the lowest of the local minima within `reach`."""
        lowest = np.ones(self.row.size, np.bool_)
        for k in range(1, self.row.size):
            near = (self.row[k:] == self.row[:-k]) & (self.position[k:] - self.position[:-k] <= reach)
            if not near.any():
                break
            higher = self.loss[k:] > self.loss[:-k]
            lowest[k:] &= ~(near & higher)
            lowest[:-k] &= ~(near & ~higher)
        return lowest


class Profiles:
    """The losses of many landscapes of random hinges along the axis of a toy with one parameter.

    Parameters
    ----------
    toy : RandomHinges
        Of dimension 1.
    count : int
        Number of landscapes.
    rng : Generator
    """

    def __init__(self, toy: gc.RandomHinges, count: int, rng: np.random.Generator) -> None:
        normals = toy.normals[:, 0]
        offsets, signals = draw_landscapes(toy, count, rng)
        kinks, jumps = offsets / normals, signals * abs(normals)
        order = np.argsort(kinks, axis=1)
        self.kinks = np.take_along_axis(kinks, order, axis=1)
        jumps = np.take_along_axis(jumps, order, axis=1)
        # Far to the left the hinges that look there are active.
        self.after = np.cumsum(jumps, axis=1) + np.where(normals < 0, signals * normals, 0.0).sum(axis=1)[:, None]
        self.before = self.after - jumps
        steps = np.diff(self.kinks, axis=1) * self.before[:, 1:]
        self.losses = np.concatenate([np.zeros((count, 1)), np.cumsum(steps, axis=1)], axis=1)
        # One landscape to the right of the other, so that one interpolation serves them all.
        self._shift = 3 * abs(self.kinks).max() * np.arange(count)
        self._knots = (self.kinks + self._shift[:, None]).ravel()

    def loss(self, row: Index, position: Array) -> Array:
        """Return losses, between the outermost kinks."""
        return np.asarray(np.interp(position + self._shift[row], self._knots, self.losses.ravel()))

    def glass_change(self, distance: float) -> Array:
        """Return the loss change from 0 less the tangent there."""
        row, nearby = np.arange(len(self.kinks)), np.copysign(1e-6, distance)
        here, near, there = (self.loss(row, np.full(row.size, t)) for t in (0.0, nearby, distance))
        return there - here - (near - here) * (distance / nearby)

    def minima(self) -> Minima:
        """Return the local minima, all of which are kinks."""
        row, k = np.nonzero((self.before < 0) & (self.after > 0))
        slope = (self.after[row, k] - self.before[row, k]) / 2
        return Minima(row, self.kinks[row, k], self.losses[row, k], slope)


@dataclass(frozen=True)
class Line:
    """The loss of a minibatch on a stretch of a line, and its local minima in the inner half.

    Attributes
    ----------
    rate, up, up_squares, squares, drift : float
        Sums over the kinks per unit of length: their number, upward jumps of the slope, their squares, all squares and
        all jumps.
    curvature : float
        What the slope changes per unit of length between kinks.
    positions : (m,)
        Of the local minima.
    kinks : int
        How many of the minima are kinks.
    """

    rate: float
    up: float
    up_squares: float
    squares: float
    drift: float
    curvature: float
    positions: Array
    kinks: int


class Slope:
    """The derivative of a minibatch's loss along θ + t u, as a function of t."""

    def __init__(self, net: gc.MLP, theta: Array, u: Array, X: Array, y: NDArray[np.int64]) -> None:
        self.net, self.theta, self.u, self.X, self.y = net, theta, u, X, y

    def __call__(self, t: float) -> float:
        """Return the derivative at t."""
        return float(self.net.value_and_grad(self.theta + t * self.u, self.X, self.y)[1] @ self.u)

    def loss(self, t: float) -> float:
        """Return the loss at t."""
        return self.net.value(self.theta + t * self.u, self.X, self.y)

    def curvature(self, t: float) -> float:
        """Return uᵀHu with the exact Hessian."""
        return float(self.u @ self.net.hessian_vector(self.theta + t * self.u, self.u, self.X, self.y))

    def search(self, first: float) -> float | None:
        """Go downhill, by `first` and longer steps; return where the slope changes its sign, or None if too far."""
        downhill = -float(np.sign(self(0.0)))
        low, high = 0.0, downhill * first
        while downhill * self(high) < 0:
            low, high = high, 1.5 * high
            if abs(high) > 50 * first:
                return None
        return float(scipy.optimize.brentq(self, low, high, xtol=first / 100))

    def line(self, center: float, half: float) -> Line:
        """Trace the kinks within `half` of the centre and find the minima within half of that.

        The slope less the jumps is continuous and smooth but for small changes of the curvature: cubic interpolation
        between nine gradients is exact to a hundredth of a jump.
        """
        start = self.theta + (center - half) * self.u
        found = gc.trace_crossings(self.net, start, self.u, self.X, self.y, 2 * half)
        kinks, jumps = found.position + center - half, np.where(found.on, 1, -1) * found.signal * found.slope
        nodes = center + half * np.linspace(-1, 1, 9)
        rest = [self(t) - jumps[kinks < t].sum() for t in nodes]
        after = scipy.interpolate.PchipInterpolator(nodes, rest)(kinks) + np.cumsum(jumps)
        before = after - jumps
        inner = abs(kinks - center) < half / 2
        sharp = kinks[(before < 0) & (after > 0) & inner]
        k = np.flatnonzero((after[:-1] < 0) & (before[1:] > 0) & inner[1:])
        smooth = kinks[k] - after[k] * (kinks[k + 1] - kinks[k]) / (before[k + 1] - after[k])
        rising = jumps[jumps > 0]
        sums = np.array([kinks.size, rising.sum(), rising @ rising, jumps @ jumps, jumps.sum(), rest[-1] - rest[0]])
        return Line(*(sums / (2 * half)).tolist(), np.concatenate([sharp, smooth]), sharp.size)
