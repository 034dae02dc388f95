"""Many landscapes of random hinges at once, for checks that need thousands."""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc

Array = NDArray[np.float64]

BLOCK = 200_000
"""Boundaries that are in memory at one time."""


def draw_landscapes(toy: gc.RandomHinges, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the offsets and the signals of `count` landscapes of the toy's law, (count, hinges) each."""
    shape = (count, len(toy.normals))
    offsets = rng.uniform(-toy.half_width, toy.half_width, shape)
    if toy.signal_law == "gaussian":
        return offsets, toy.signal_scale * rng.standard_normal(shape)
    return offsets, toy.signal_scale * (2.0 * rng.integers(0, 2, shape) - 1)


def glass_changes(toy: gc.RandomHinges, delta: Array, offsets: Array, signals: Array) -> Array:
    """Return the loss at δ, (n,) or one for each landscape, less the tangent at 0 there, (count,)."""
    slopes = delta @ toy.normals.T
    ahead = np.abs(slopes - offsets)
    ahead[(slopes > offsets) == (offsets < 0)] = 0  # not crossed on the way from 0 to δ
    return np.asarray(np.einsum("lk,lk->l", signals, ahead))


def gradients_on_lines(toy: gc.RandomHinges, nodes: Array, steps: Array, rng: np.random.Generator) -> Array:
    """Gradients at the points nodes[k]·steps[l], each line in a landscape of its own.

    Parameters
    ----------
    toy : RandomHinges
    nodes : (m,) array
    steps : (lines, n) array
    rng : Generator

    Returns
    -------
    (m, lines, n) array
    """
    gradients = np.empty((len(nodes), *steps.shape))
    for rows in np.array_split(np.arange(len(steps)), max(1, steps.shape[0] * len(toy.normals) // BLOCK)):
        offsets, signals = draw_landscapes(toy, rows.size, rng)
        slopes = steps[rows] @ toy.normals.T
        for k, node in enumerate(nodes):
            gradients[k, rows] = np.where(node * slopes > offsets, signals, 0.0) @ toy.normals
    return gradients
