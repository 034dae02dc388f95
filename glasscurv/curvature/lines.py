"""Gradients on lines through one centre: what every estimate of this package is made of."""

from __future__ import annotations

import math
import warnings
import weakref
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

    def at(self, direction: FloatArray, offset: float, where: str, out: FloatArray | None = None) -> FloatArray:
        """Return a copy of the gradient at μ + offset · direction; `where` names the point in errors.

        The copy is in `out`, if that is given and the callable has not kept the point, which is there before it.
        """
        array = np.empty_like(self.theta) if out is None else out
        parallel(core.perturb, self.theta, direction, abs(offset), math.copysign(1, offset), array)
        # On a memoryview, to which whatever the callable makes of the point and keeps refers, its base too.
        point = np.frombuffer(memoryview(array), array.dtype)  # type: ignore[arg-type]
        point.setflags(write=False)
        in_use = weakref.ref(point.base)
        returned = self.gradient(point)
        del point
        gradient = returned_gradient(returned, self.theta, where)
        del returned
        return _copied(gradient, np.empty_like(array) if in_use() is not None else array, where)

    def on_line(self, line: Line, arrays: list[FloatArray] | None = None) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Return the direction of a line and the gradients at its stops.

        They are in `arrays`, if that is given, one array for the direction and one for every stop; an array that the
        callable has kept is replaced. To allocate large arrays anew for every line costs more than to fill them.
        """
        if arrays is None:
            arrays = [np.empty_like(self.theta) for _ in range(1 + len(line.stops))]
        draw_direction(line.distribution, arrays[0], np.random.default_rng(line.seed))
        for k, (node, length) in enumerate(line.stops, start=1):
            where = f"in sample {line.sample}, node {node:g}, length {length:g}"
            arrays[k] = self.at(arrays[0], node * length, where, arrays[k])
        return arrays[0], tuple(arrays[1:])


def evaluate_center(gradient: Gradient, theta: ArrayLike) -> Center:
    """Check the callable and the centre, and evaluate the one at the other."""
    function(gradient, "gradient")
    center = np.require(vector(theta, "theta"), requirements=["A", "W"])  # the compiled loops know one kind of array
    view = center.view()
    view.setflags(write=False)
    returned = gradient(view)
    where = "at the centre"
    start = _copied(returned_gradient(returned, center, where), np.empty_like(center), where)
    dtypes = (center.dtype, real_array(returned, "the gradient returned by the callable").dtype)
    return Center(gradient, center, start, float(max(np.finfo(dtype).eps for dtype in dtypes)))


def _copied(gradient: FloatArray, out: FloatArray, where: str) -> FloatArray:
    """Copy a gradient into `out`, checked."""
    if not all(parallel(core.copy_within, gradient, float(np.finfo(out.dtype).max), out)):
        refuse_nonfinite(gradient, where)
    return out


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
