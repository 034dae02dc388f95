"""Losses and gradients where some of the parameters have moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, Gradient
from glasscurv._validation import NonFiniteError, refuse_nonfinite, returned_gradient

NODE = math.sqrt(0.5)
"""Where on a movement δ its gradients are taken.

The mean change of the loss by ±δ is the integral of f(s) = δ·(g(θ + sδ) − g(θ − sδ))/2 from s = 0 to 1. Of the rules
f(s)/(2s), all exact for an even growth and right on average for boundaries anywhere on the way, that at s² = ½ is exact
for a cubic growth too.
"""


class MovingPoint:
    """The point that a user's callable gets: read-only, at θ but for some parameters, and reused.

    Parameters
    ----------
    theta : ndarray of shape (n,)
        θ, where the point is again after every evaluation.
    """

    def __init__(self, theta: FloatArray) -> None:
        self._theta = theta
        self._point = theta.copy()
        self._view = self._point.view()
        self._view.setflags(write=False)

    def _call(self, function: Callable[[FloatArray], Any], index: Any, values: ArrayLike) -> Any:
        self._point[index] = values
        try:
            return function(self._view)
        finally:
            self._point[index] = self._theta[index]

    def loss(
        self, value: Callable[[FloatArray], float], where: str, index: Any = slice(0), values: ArrayLike = 0
    ) -> float:
        """Return the loss with these values at these indices."""
        returned = self._call(value, index, values)
        try:
            found = float(returned)
        except (TypeError, ValueError) as error:
            kind = type(returned).__name__
            raise TypeError(f"value must return the loss, one number, got {kind} {where}") from error
        if not math.isfinite(found):
            raise NonFiniteError(f"non-finite loss {where}: {found}")
        return found

    def gradient(self, gradient: Gradient, where: str, index: Any = slice(0), values: ArrayLike = 0) -> FloatArray:
        """Return the gradient, in float64, with these values at these indices."""
        found = returned_gradient(self._call(gradient, index, values), self._theta, where)
        refuse_nonfinite(found, where)
        return found.astype(np.float64)

    def sides(self, gradient: Gradient, where: str, index: Any, movement: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the entries at these indices of the gradients at θ ± `NODE` δ, where δ moves them alone."""
        here = self._theta[index]
        forth = self.gradient(gradient, where, index, here + NODE * movement)[index]
        return forth, self.gradient(gradient, where, index, here - NODE * movement)[index]


def mean_change(movement: FloatArray, plus: FloatArray, minus: FloatArray) -> float:
    """Return the mean change of the loss by a movement and its opposite, from the gradients of `MovingPoint.sides`."""
    return float(movement @ (plus - minus)) / (4 * NODE)
