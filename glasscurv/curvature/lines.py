"""Gradients on lines through one centre: what every estimate of this package is made of."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import Distribution, FloatArray, Gradient
from glasscurv._validation import function, real_array, refuse_nonfinite, returned_gradient, vector
from glasscurv.core import vectors as core
from glasscurv.perturbations import draw_direction


@dataclass(frozen=True)
class Line:
    """One random line through the centre, small enough to be sent to other machines.

    Attributes
    ----------
    sample : int
        Its number, for error messages.
    seed : SeedSequence
        Every line has its own stream of random numbers, so that it does not matter who draws which.
    distribution : distribution
        Law of the direction z.
    stops : sequence of (float, float)
        Node and length of every evaluation: the point is μ + node · length · z.
    """

    sample: int
    seed: np.random.SeedSequence
    distribution: Distribution
    stops: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Center:
    """Where all lines of an estimate meet.

    Attributes
    ----------
    gradient : callable
        The user's gradient.
    theta : (n,) array
        The centre μ; the callable gets a read-only view.
    start : (n,) array
        The gradient there.
    resolution : float
        Relative rounding error of a gradient: that of its dtype or of the centre's, whichever is coarser.
    """

    gradient: Gradient
    theta: FloatArray
    start: FloatArray
    resolution: float

    def at(self, direction: FloatArray, offset: float, where: str) -> FloatArray:
        """Return a copy of the gradient at μ + offset · direction; `where` names the point in errors."""
        # A fresh array: a gradient may keep the point it gets.
        point = np.empty_like(self.theta)
        parallel(core.perturb, self.theta, direction, abs(offset), math.copysign(1, offset), point)
        point.setflags(write=False)
        returned = self.gradient(point)
        # The copy takes the place of the point in memory.
        del point
        return _copied(returned, self.theta, where)

    def on_line(self, line: Line) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Return the direction of a line and the gradients at its stops."""
        direction = np.empty_like(self.theta)
        draw_direction(line.distribution, direction, np.random.default_rng(line.seed))
        return direction, tuple(
            self.at(direction, node * length, f"in sample {line.sample}, node {node:g}, length {length:g}")
            for node, length in line.stops
        )


def evaluate_center(gradient: Gradient, theta: ArrayLike) -> Center:
    """Check the callable and the centre, and evaluate the one at the other."""
    function(gradient, "gradient")
    center = np.require(vector(theta, "theta"), requirements=["A", "W"])  # the compiled loops know one kind of array
    view = center.view()
    view.setflags(write=False)
    returned = gradient(view)
    start = _copied(returned, center, "at the centre")
    dtypes = (center.dtype, real_array(returned, "the gradient returned by the callable").dtype)
    return Center(gradient, center, start, float(max(np.finfo(dtype).eps for dtype in dtypes)))


def _copied(returned: ArrayLike, like: FloatArray, where: str) -> FloatArray:
    """Return a copy of a gradient that a user's callable gave back, checked."""
    gradient = returned_gradient(returned, like, where)
    result = np.empty_like(like)
    if not all(parallel(core.copy_within, gradient, float(np.finfo(like.dtype).max), result)):
        refuse_nonfinite(gradient, where)
    return result


def random_lines(
    rng: np.random.Generator, count: int, distribution: Distribution, stops: Sequence[tuple[float, float]]
) -> Iterator[Line]:
    """Give `count` lines whose directions depend on the state of `rng` alone."""
    root = np.random.SeedSequence(rng.integers(2**32, size=8, dtype=np.uint64).tolist())
    for sample in range(count):
        yield Line(sample, root.spawn(1)[0], distribution, stops)


def warn_of_resolution(center: Center, length: float) -> None:
    """Warn where the least distance between two points of a line is lost in the rounding of the points."""
    spacing = float(np.sqrt(np.mean(np.square(np.spacing(abs(center.theta)), dtype=np.float64))))
    if length < 100 * spacing:
        warn(f"a length of {length:g} is within a hundred times the spacing of theta's own numbers, {spacing:.1g}")


def warn_of_rounding(length: float, difference_square: float, rounding_square: float) -> None:
    """Warn where gradients differ by little more than rounding.

    `difference_square` and `rounding_square` are sums of squared differences between the gradients at both ends of
    lines, and of their squared rounding errors.
    """
    if 0 < difference_square < 16 * rounding_square:
        warn(f"at length={length:g} the gradients on a line differ by no more than rounding explains")


def warn(reason: str) -> None:
    """Warn that rounding is measured; called two levels below the public function."""
    # Out of the library, to the line of the user's call.
    warnings.warn(f"{reason}: what is measured is rounding; use a larger length", RuntimeWarning, stacklevel=4)
