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
    indices = {name: everything[part].ravel() for name, part in parts.items()}
    owners = np.bincount(np.concatenate(list(indices.values())))
    if owners.max() > 1:
        twice = int(np.argmax(owners > 1))
        names = [name for name, index in indices.items() for _ in range(np.count_nonzero(index == twice))]
        raise ValueError(f"groups must not overlap, got parameter {twice} in {' and in '.join(map(repr, names))}")
    return indices
