"""Losses and gradients where some of the parameters have moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, Gradient
from glasscurv._validation import NonFiniteError, refuse_nonfinite, returned_gradient


class MovingPoint:
    """The point that a user's callable gets: read-only, at θ but for some parameters, and reused.

    Parameters
    ----------
    theta : (n,) array
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
        found = float(self._call(value, index, values))
        if not math.isfinite(found):
            raise NonFiniteError(f"non-finite loss {where}: {found}")
        return found

    def gradient(self, gradient: Gradient, where: str, index: Any = slice(0), values: ArrayLike = 0) -> FloatArray:
        """Return the gradient, in float64, with these values at these indices."""
        found = returned_gradient(self._call(gradient, index, values), self._theta, where)
        refuse_nonfinite(found, where)
        return found.astype(np.float64)

    def sides(self, gradient: Gradient, where: str, index: Any, movement: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the entries at these indices of the gradients at θ + δ and θ − δ, where δ moves them alone."""
        here = self._theta[index]
        forth = self.gradient(gradient, where, index, here + movement)[index]
        return forth, self.gradient(gradient, where, index, here - movement)[index]
