"""Types that the whole package shares."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Gradient = Callable[[FloatArray], FloatArray]
ValueAndGrad = Callable[[FloatArray], tuple[float, FloatArray]]
RngLike = None | int | np.random.Generator
Workers = int | Callable[..., Iterable[Any]]


class Distribution(Protocol):
    """A law of perturbation directions z with independent, symmetric, identically distributed coordinates."""

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw one direction, shape (n,)."""
        ...

    def absolute_moment(self, p: float) -> float:
        """Return E|z_i|^p, which may be infinite."""
        ...
