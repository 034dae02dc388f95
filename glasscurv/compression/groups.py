"""Which parameters are compressed: disjoint groups, such as the weights of every layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glasscurv.curvature.exponents import Groups, check_groups


def disjoint_indices(groups: Groups | None, size: int) -> dict[str, NDArray[np.intp]]:
    """Return the indices of every group, of which no two share a parameter; None stands for all in one group."""
    parts = check_groups(groups, size)
    if not parts:
        raise ValueError("groups must hold at least one group, got none")
    everything = np.arange(size)
    indices = {name: np.atleast_1d(everything[part]) for name, part in parts.items()}
    owner = np.full(size, -1)
    names = list(indices)
    for k, index in enumerate(indices.values()):
        taken = index[owner[index] >= 0]
        owner[index] = k
        if taken.size or np.unique(index).size != index.size:
            twice = int(taken[0]) if taken.size else int(index[0])
            raise ValueError(f"groups must not overlap, got parameter {twice} of {names[k]!r} twice")
    return indices
