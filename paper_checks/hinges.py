"""Many landscapes of random hinges at once, for checks that need thousands."""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc

Array = NDArray[np.float64]


def draw_landscapes(toy: gc.RandomHinges, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the offsets and the signals of `count` landscapes of the toy's law, (count, hinges) each."""
    shape = (count, len(toy.normals))
    return rng.uniform(-toy.half_width, toy.half_width, shape), toy.signal_scale * rng.standard_normal(shape)
