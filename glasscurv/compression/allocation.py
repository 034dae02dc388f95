"""How many bits each group of weights gets, under a budget (theory, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray
from glasscurv._validation import integers, matrix, number
from glasscurv.compression.quantization import WIDTHS

Integers = NDArray[np.int64]

ROUNDING = 1e-12
"""Share of the changes by which a bound may be wrong: no choice within it of the best is given up."""


@dataclass(frozen=True, eq=False)
class Allocation:
    """Numbers of bits for every group.

    Parameters
    ----------
    bits : int64 ndarray of shape (G,)
        Bits per weight of every group.
    change : float
        Sum of the groups' changes with these, in units of the loss.
    size : int
        Bits in total, at most the budget.

    See Also
    --------
    allocate_bits : Returns it.
    quantize : Takes `bits`.

    Examples
    --------
    >>> import glasscurv as gc
    >>> found = gc.compression.allocate_bits([[0.4, 0.1], [4.0, 1.0]], sizes=[10, 10], budget=50, bits=(2, 3))
    >>> found.bits, found.change, found.size
    (array([2, 3]), 1.4, 50)
    """

    bits: Integers
    change: float
    size: int


class Segments(NamedTuple):
    """Steps of the linear relaxation: the group, and by how much its size grows and its change falls."""

    group: Integers
    size: Integers
    change: FloatArray


def allocate_bits(changes: ArrayLike, sizes: Sequence[int], budget: float, bits: Sequence[int] = WIDTHS) -> Allocation:
    """Choose the bits of each group so that the sum of the changes is least and the size within the budget.

    Parameters
    ----------
    changes : array_like of shape (G, K)
        Change of the loss when group g alone is rounded to ``bits[k]`` bits, as `quantization_changes` predicts it.
        With ``hessian`` alone it is the usual allocation by the Hessian.
    sizes : sequence of G ints
        Weights in every group, ≥ 1.
    budget : float
        Bits in total, ≥ 1, such as 3.5 times the number of weights for three and a half on average.
    bits : sequence of K ints
        Numbers of bits to choose from, ≥ 1, increasing.

    Returns
    -------
    Allocation
        An optimum; of several, one of the smallest.

    Raises
    ------
    ValueError, TypeError
        Bad arguments; a budget below the least number of bits for all groups.

    See Also
    --------
    quantization_changes : The changes, predicted from the curvature of every weight.
    directional_quantization_changes : The changes, measured along such movements.
    quantize : Rounds to the bits that were chosen.

    Notes
    -----
    A group with a negative change at few bits gets few bits, however large the budget. The sign of a Hessian or of a
    measured change from few rows is often wrong: give absolute values, or add the glass, which is positive.

    This is the multiple-choice knapsack problem, solved exactly by dynamic programming over the groups: of all partial
    choices only those are kept which no other beats in both size and change, and which a lower bound for the groups to
    come (the linear relaxation) does not rule out. A thousand groups take a second, unless the changes of many groups
    of different sizes are exactly proportional to their sizes: nearly all choices are then as good as one another.

    References
    ----------
    Theory, section 9; Kellerer, Pferschy and Pisinger, Knapsack Problems (2004), chapter 11.

    Examples
    --------
    Four bits on average; the second group is a hundred times as sensitive:

    >>> import glasscurv as gc
    >>> changes = [[0.16, 0.04, 0.01], [16.0, 4.0, 1.0]]
    >>> gc.compression.allocate_bits(changes, sizes=[100, 100], budget=800, bits=(3, 4, 5))
    Allocation(bits=array([3, 5]), change=1.16, size=800)
    """
    table = matrix(changes, "changes").astype(np.float64)
    widths = integers(bits, "bits", 1)
    if len(widths) != table.shape[1] or any(low >= high for low, high in pairwise(widths)):
        raise ValueError(f"bits must be {table.shape[1]} increasing numbers, a column of changes each, got {widths}")
    counts = integers(sizes, "sizes", 1)
    if len(counts) != len(table):
        raise ValueError(f"sizes must have {len(table)} entries, a row of changes each, got {len(counts)}")
    most = int(number(budget, "budget", 1))
    costs = np.array(counts, np.int64)[:, None] * np.array(widths, np.int64)
    least = int(costs[:, 0].sum())
    if most < least:
        raise ValueError(f"budget must be at least {least} bits, {widths[0]} for each weight, got {budget}")
    chosen = _best_choices(table, costs, min(most, int(costs[:, -1].sum())))
    rows = np.arange(len(table))
    return Allocation(
        bits=np.array(widths)[chosen],
        change=float(table[rows, chosen].sum()),
        size=int(costs[rows, chosen].sum()),
    )


def _best_choices(table: FloatArray, costs: Integers, budget: int) -> Integers:
    """Return the column of every group in the best choice."""
    slack = ROUNDING * float(abs(table).max(axis=1).sum())
    segments = _hull_segments(table, costs)
    sizes, changes = np.zeros(1, np.int64), np.zeros(1)
    history: list[tuple[Integers, Integers]] = []
    for g in range(len(table)):
        new_sizes = (sizes[:, None] + costs[g]).ravel()
        new_changes = (changes[:, None] + table[g]).ravel()
        origin = np.arange(new_sizes.size)
        rest = costs[g + 1 :, 0].sum()
        fits = np.flatnonzero(new_sizes + rest <= budget)
        order = fits[np.lexsort((new_changes[fits], new_sizes[fits]))]
        # Along increasing size a choice must change less than all before it.
        best_before = np.minimum.accumulate(np.concatenate([[np.inf], new_changes[order][:-1]]))
        order = order[new_changes[order] < best_before]
        low, high = _bounds(table, costs, segments, g + 1, budget - new_sizes[order])
        order = order[new_changes[order] + low <= (new_changes[order] + high).min() + slack]
        history.append((origin[order] // table.shape[1], origin[order] % table.shape[1]))
        sizes, changes = new_sizes[order], new_changes[order]
    state = int(np.argmin(changes))
    chosen = np.empty(len(table), np.int64)
    for g in reversed(range(len(table))):
        before, column = history[g]
        chosen[g], state = column[state], int(before[state])
    return chosen


def _hull_segments(table: FloatArray, costs: Integers) -> Segments:
    """Return the decreasing parts of the groups' lower convex hulls, steepest first."""
    found = []
    for g, (changes, sizes) in enumerate(zip(table, costs, strict=True)):
        hull = [0]
        for k in range(1, len(sizes)):
            if changes[k] >= changes[hull[-1]]:
                continue
            while len(hull) > 1 and _slope(changes, sizes, hull[-2], hull[-1]) >= _slope(changes, sizes, hull[-1], k):
                hull.pop()
            hull.append(k)
        found += [
            (_slope(changes, sizes, a, b), g, sizes[b] - sizes[a], changes[b] - changes[a]) for a, b in pairwise(hull)
        ]
    found.sort()
    columns = list(zip(*found, strict=True))[1:] or [(), (), ()]
    return Segments(np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64))


def _slope(changes: FloatArray, sizes: Integers, a: int, b: int) -> float:
    return float((changes[b] - changes[a]) / (sizes[b] - sizes[a]))


def _bounds(
    table: FloatArray, costs: Integers, segments: Segments, first: int, budgets: Integers
) -> tuple[FloatArray, FloatArray]:
    """Return bounds from below and above on the best change of the groups from `first` on, for each budget.

    The linear relaxation takes the segments of the hulls in order of their slopes, the last of them in part; without
    that part it is a choice that fits, and so a bound from above.
    """
    coming = segments.group >= first
    spent = np.cumsum(np.concatenate([[costs[first:, 0].sum()], segments.size[coming]]))
    changed = np.cumsum(np.concatenate([[table[first:, 0].sum()], segments.change[coming]]))
    low = np.interp(budgets, spent, changed)
    high = changed[np.searchsorted(spent, budgets, side="right") - 1]
    return low, high
