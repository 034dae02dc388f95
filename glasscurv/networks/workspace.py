"""What a minibatch leaves in memory on its way through a network, and the pieces in which threads work on it.

The pieces follow from shapes alone, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from glasscurv._threads import pieces
from glasscurv._typing import FloatArray

# Multiply-adds of a pass forward that are worth a thread: to hand it over costs some 20 µs.
WORK = 1 << 21
# A product of few rows with many weights reaches 65 % of the rate of a large one with 32 rows, 80 % with 64, 90 % with
# 128 and 95 % with 256; that of a block of weights, 80 % with 128 rows and 90 % with 384.
BLOCK = 384


def panels(rows: int, parameters: int) -> list[slice]:
    """Cut a minibatch into panels: two or more of 32 rows, four or more of 64, and any number of 256."""
    length = min(max(rows // 2, 32), max(rows // 4, 64), 256)
    return pieces(rows, max(length, -(-WORK // parameters)))


class Panel(NamedTuple):
    """Some rows r of a minibatch.

    A layer's parameters are one matrix, the weights above the biases; so its inputs have a column of ones.

    Attributes
    ----------
    rows : slice
    inputs : list of (r, width + 1) arrays
        Inputs of every layer, with a last column of ones.
    preactivations, deltas : list of (r, width) arrays
        Pre-activations of every layer, and the derivatives of the loss by them.
    signals : list of (width, r) arrays
        Derivatives of the loss by the outputs of the hidden layers; all in the same memory. Transposed, because the
        product W δᵀ is up to 1.4 times as fast as δ Wᵀ when a panel has few rows.
    """

    rows: slice
    inputs: list[FloatArray]
    preactivations: list[FloatArray]
    deltas: list[FloatArray]
    signals: list[FloatArray]


class Block(NamedTuple):
    """Some rows of a layer's parameters, whose gradient is one product inputs (rows, b) × deltas (b, width)."""

    layer: int
    rows: slice
    inputs: FloatArray
    deltas: FloatArray


def empty_panel(layers: tuple[int, ...], rows: slice, dtype: np.dtype[Any]) -> Panel:
    """Return arrays for a pass forward through these rows."""
    count = rows.stop - rows.start
    inputs = [np.empty((count, width + 1), dtype) for width in layers[:-1]]
    for array in inputs:
        array[:, -1] = 1
    return Panel(rows, inputs, [np.empty((count, width), dtype) for width in layers[1:]], [], [])


class Workspace:
    """Arrays for the gradient on a minibatch.

    Attributes
    ----------
    panels : list of Panel
        Views of the rows that are one task forward and backward.
    blocks : list of Block
        Parts of the gradient that are one task each, the largest first.
    preactivations, deltas : list of (b, width) arrays
        Those of the whole minibatch.
    losses : (b,) float64 array
        Loss of every row.
    """

    def __init__(self, layers: tuple[int, ...], rows: int, dtype: np.dtype[Any]) -> None:
        parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layers))
        _, inputs, self.preactivations, *_ = empty_panel(layers, slice(0, rows), dtype)
        self.deltas = [np.empty_like(array) for array in self.preactivations]
        self.losses = np.empty(rows)
        self.panels = []
        for part in panels(rows, parameters):
            parts = [[array[part] for array in arrays] for arrays in (inputs, self.preactivations, self.deltas)]
            signals = _signals(layers[1:-1], part.stop - part.start, dtype)
            self.panels.append(Panel(part, parts[0], parts[1], parts[2], signals))
        blocks = [
            Block(k, part, x[:, part].T, delta)
            for k, (x, delta) in enumerate(zip(inputs, self.deltas, strict=True))
            for part in pieces(x.shape[1], max(BLOCK, -(-WORK // delta.size)))
        ]
        self.blocks = sorted(blocks, key=lambda block: -block.inputs.size * block.deltas.shape[1])
        self.alone = rows * parameters <= WORK  # too little to share


def _signals(hidden: tuple[int, ...], count: int, dtype: np.dtype[Any]) -> list[FloatArray]:
    memory = np.empty(max(hidden, default=0) * count, dtype)
    return [memory[: width * count].reshape(width, count) for width in hidden]
