"""What a compression does to the loss, group by group: predicted from curvature, and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, Gradient, RngLike
from glasscurv._validation import function, generator, integer, vector
from glasscurv.compression.groups import disjoint_indices
from glasscurv.compression.points import MovingPoint, mean_change
from glasscurv.curvature.exponents import Groups


@dataclass(frozen=True, eq=False)
class CompressionEffect:
    """What pruning or rounding was predicted to do to the loss, and what it did.

    Attributes
    ----------
    kind : {"pruning", "rounding"}
    groups : tuple of str
        Names, such as those of layers.
    predicted, measured : (G,) float64 arrays
        Change of the loss when each group by itself is compressed: `predicted_changes` and `measured_changes`.
    predicted_total, measured_total : float
        The same for all groups together.
    amount : float
        Share of the weights that is removed, or bits per weight.
    amounts : (K,) float64 array
        Other amounts that were tried, in ascending order; it may be empty.
    predicted_losses, losses, accuracies : (K,) float64 arrays
        Loss as predicted and as it is, and share of right labels, with each of them. The accuracies are nan where there
        are no labels.
    result : tuple of float
        Loss and accuracy that came of it in the end, fine-tuned if that was asked for.
    """

    kind: Literal["pruning", "rounding"]
    groups: tuple[str, ...]
    predicted: FloatArray
    measured: FloatArray
    predicted_total: float
    measured_total: float
    amount: float
    amounts: FloatArray
    predicted_losses: FloatArray
    losses: FloatArray
    accuracies: FloatArray
    result: tuple[float, float]


def predicted_changes(
    gradient: Gradient,
    theta: ArrayLike,
    compressed: ArrayLike,
    groups: Groups | None = None,
    samples: int = 8,
    rng: RngLike = None,
) -> FloatArray:
    r"""Predict what compressing each group by itself does, without a look at the compressed network.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : (n,) array_like
        Parameters θ before.
    compressed : (n,) array_like
        Parameters after: pruned, rounded or both. δ is how far they moved.
    groups : mapping of str to slice or index array, optional
        Which parameters move together, such as ``network.weight_groups()``; by default all.
    samples : int
        Movements δ∘s of every group, with random signs s; gradients are taken at θ ± δ∘s/√2.
    rng : None, int or Generator
        Source of the signs. The same seed gives the same result, bit for bit.

    Returns
    -------
    (G,) float64 array
        g·δ + ½ E (δ∘s)·H(δ∘s) for every group, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the group).

    Notes
    -----
    Costs 1 + 2 G · samples evaluations. H comes from differences of gradients over the movements themselves: the
    Hessian at the point misses the boundaries on the way, and most of the change when much is compressed. Random signs
    stand for the average of many such compressions; what the signs of this one have in common is not in it.

    References
    ----------
    Theory, section 9.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> problem = gc.Quadratic(np.diag([2.0, 6.0, 1.0]))
    >>> gc.compression.predicted_changes(problem.gradient, [1.0, -1.0, 2.0], [0.0, 0.0, 2.0], rng=0)
    array([-4.])
    """
    weights, moved = _pair(theta, compressed)
    function(gradient, "gradient")
    count, source = integer(samples, "samples", 1), generator(rng)
    parts = disjoint_indices(groups, weights.size)
    point = MovingPoint(weights)
    start = point.gradient(gradient, "at theta")
    changes = np.zeros(len(parts))
    for g, (name, index) in enumerate(parts.items()):
        delta = moved[index].astype(np.float64) - weights[index]
        changes[g] = start[index] @ delta
        for _ in range(count):
            movement = delta * (2 * source.integers(0, 2, index.size) - 1)
            plus, minus = point.sides(gradient, f"for group {name!r}", index, movement)
            changes[g] += mean_change(movement, plus, minus) / count
    return changes


def measured_changes(
    value: Callable[[FloatArray], float], theta: ArrayLike, compressed: ArrayLike, groups: Groups | None = None
) -> FloatArray:
    """Measure what compressing each group by itself does to the loss: the truth that `predicted_changes` predicts.

    Parameters
    ----------
    value : callable
        ``value(theta: (n,)) -> float``, the loss. The point it gets is read-only and reused: copy it to keep it.
    theta, compressed, groups
        As in `predicted_changes`.

    Returns
    -------
    (G,) float64 array
        L(θ with the group as compressed) − L(θ). It costs G + 1 evaluations.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.
    NonFiniteError
        A loss that is nan or infinite (a ValueError that names the group).

    Examples
    --------
    >>> import glasscurv as gc
    >>> loss = lambda point: gc.Quadratic([[2.0, 0.0], [0.0, 6.0]]).value_and_grad(point)[0]
    >>> groups = {"first": slice(0, 1), "second": slice(1, 2)}
    >>> gc.compression.measured_changes(loss, [1.0, -1.0], [0.0, 0.0], groups)
    array([-1., -3.])
    """
    weights, moved = _pair(theta, compressed)
    function(value, "value")
    parts, point = disjoint_indices(groups, weights.size), MovingPoint(weights)
    start = point.loss(value, "at theta")
    return np.array(
        [point.loss(value, f"for group {name!r}", index, moved[index]) - start for name, index in parts.items()]
    )


def _pair(theta: ArrayLike, compressed: ArrayLike) -> tuple[FloatArray, FloatArray]:
    weights = vector(theta, "theta")
    return weights, vector(compressed, "compressed", weights.size)
