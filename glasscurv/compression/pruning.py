"""Removing weights: at once or gradually, over all layers or layer by layer (theory, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray
from glasscurv._validation import choice, function, integer, number, vector
from glasscurv.compression.groups import disjoint_indices
from glasscurv.curvature.exponents import Groups

Mask = NDArray[np.bool_]
Indices = Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class Pruned:
    """Parameters without the weights that were removed.

    Parameters
    ----------
    theta : ndarray of shape (n,)
        Parameters, 0 where removed; as the last fine-tuning left them, if there was one.
    mask : bool ndarray of shape (n,)
        True where a parameter is kept. What is in no group is always kept. ``optimizer.mask = pruned.mask`` keeps the
        others at 0 in further training.
    sparsity : dict of str to float
        Share of every group that was removed, in [0, 1].

    See Also
    --------
    prune : Returns it.
    glasscurv.save_compressed : Saves a pruned network in a small file.

    Examples
    --------
    >>> import glasscurv as gc
    >>> pruned = gc.compression.prune([0.5, -0.1, 2.0, 0.3], saliency=[0.5, 0.1, 2.0, 0.3], sparsity=0.5)
    >>> optimizer = gc.SGD(pruned.theta, lr=0.1)
    >>> optimizer.mask = pruned.mask
    >>> optimizer, pruned.sparsity
    (SGD(n=4, lr=0.1, kept=2 of 4, steps=0), {'all': 0.5})
    """

    theta: FloatArray
    mask: Mask
    sparsity: dict[str, float]


def prune(
    theta: ArrayLike,
    saliency: ArrayLike | Callable[[FloatArray, Mask], ArrayLike],
    sparsity: float,
    groups: Groups | None = None,
    scope: Literal["global", "group"] = "global",
    rounds: int = 1,
    tune: Callable[[FloatArray, Mask], ArrayLike] | None = None,
) -> Pruned:
    """Remove the weights of least saliency.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters; they are not changed.
    saliency : array_like of shape (n,) or callable
        What removing each weight would cost, as `pruning_saliency` predicts it; or ``saliency(theta, mask) -> (n,)``,
        which is asked anew in each round. Equal saliencies: the first weight goes first.
    sparsity : float
        Share of the weights to remove, in (0, 1); the count is rounded.
    groups : mapping of str to slice or index array, optional
        The weights that may be removed, such as ``network.weight_groups()``, which leaves out biases; by default all
        parameters in one group.
    scope : {"global", "group"}
        Whether the sparsity is that of all groups together, so that the saliency decides how much of each group goes,
        or that of each group.
    rounds : int
        Rounds ≥ 1 in which weights are removed: 1 removes all at once. After round k of K the sparsity is
        s (1 − (1 − k/K)³), many weights first and ever fewer (Zhu and Gupta 2017). A weight that was removed stays so.
    tune : callable, optional
        ``tune(theta, mask) -> theta``, fine-tuning after every round; what is removed must stay 0.

    Returns
    -------
    Pruned
        Parameters, mask and share of every group that was removed.

    Raises
    ------
    ValueError, TypeError
        Bad arguments; a group that would lose all its weights; saliencies that are not finite or of another shape; more
        than one round with saliencies that cannot change; fine-tuning that brings a removed weight back.

    See Also
    --------
    pruning_saliency : The saliency, predicted from the curvature of every weight.
    removal_length : At what length to measure that curvature.
    measured_changes : What it does to the loss.

    References
    ----------
    Theory, section 9; Zhu and Gupta, To prune, or not to prune (2017).

    Examples
    --------
    >>> import glasscurv as gc
    >>> pruned = gc.compression.prune([0.5, -0.1, 2.0, 0.3], saliency=[0.5, 0.1, 2.0, 0.3], sparsity=0.5)
    >>> pruned.theta, pruned.mask
    (array([0.5, 0. , 2. , 0. ]), array([ True, False,  True, False]))
    """
    weights = vector(theta, "theta").copy()
    target = number(sparsity, "sparsity", 0, 1, open_low=True, open_high=True)
    indices = disjoint_indices(groups, weights.size)
    choice(scope, "scope", ("global", "group"))
    count = integer(rounds, "rounds", 1)
    if count > 1 and not callable(saliency):
        raise ValueError(f"saliency must be callable for {count} rounds: it is asked anew in each, got an array")
    if tune is not None:
        function(tune, "tune")
    mask = np.ones(weights.size, np.bool_)
    for k in range(1, count + 1):
        found = saliency(weights.copy(), mask.copy()) if callable(saliency) else saliency
        ranked = vector(found, "saliency", weights.size)
        _remove(mask, ranked, target * (1 - (1 - k / count) ** 3), indices, scope)
        weights[~mask] = 0
        if tune is not None:
            weights = _tuned(tune(weights.copy(), mask.copy()), weights, mask)
    return Pruned(weights, mask, {name: float(np.mean(~mask[index])) for name, index in indices.items()})


def _remove(mask: Mask, saliency: FloatArray, sparsity: float, indices: Indices, scope: str) -> None:
    """Remove weights from the mask until the sparsity is reached."""
    pools = indices if scope == "group" else {"all": np.concatenate(list(indices.values()))}
    for pool in pools.values():
        # First those that are gone already, then by saliency, then by position: the last key counts most.
        order = pool[np.lexsort((pool, saliency[pool], mask[pool]))]
        mask[order[: round(sparsity * pool.size)]] = False
    for name, index in indices.items():
        if not mask[index].any():
            raise ValueError(
                f"sparsity {sparsity:g} would remove all {index.size} weights of group {name!r}: lower it"
                + ("" if scope == "group" else ", or prune each group by itself with scope='group'")
            )


def _tuned(found: ArrayLike, before: FloatArray, mask: Mask) -> FloatArray:
    tuned = vector(found, "the result of tune", before.size).astype(before.dtype)
    back = np.flatnonzero(tuned[~mask])
    if back.size:
        raise ValueError(
            f"tune must leave what is removed at 0, got {back.size} of {np.count_nonzero(~mask)} weights back: "
            "set the optimizer's mask"
        )
    return tuned
