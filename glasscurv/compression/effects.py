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

    Parameters
    ----------
    kind : {"pruning", "rounding"}
        What was done to the weights.
    groups : tuple of str
        Names of the G groups, such as those of layers.
    predicted, measured : float64 ndarray of shape (G,)
        Change of the loss when each group by itself is compressed: `predicted_changes` and `measured_changes`.
    predicted_total, measured_total : float
        The same for all groups together.
    amount : float
        Share of the weights that is removed, in (0, 1), or bits per weight.
    amounts : float64 ndarray of shape (K,)
        Other amounts that were tried, in ascending order; it may be empty.
    predicted_losses, losses, accuracies : float64 ndarray of shape (K,)
        Loss as predicted and as it is, and share of right labels, with each of them. The accuracies are nan where there
        are no labels.
    result : tuple of two floats
        Loss and accuracy that came of it in the end, fine-tuned if that was asked for.

    See Also
    --------
    predicted_changes : Predicts the changes.
    measured_changes : Measures the changes.
    glasscurv.plotting.plot_compression : Draws it.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> none = np.array([])
    >>> effect = gc.compression.CompressionEffect(
    ...     "pruning", ("layer1",), predicted=np.array([0.02]), measured=np.array([0.03]), predicted_total=0.02,
    ...     measured_total=0.03, amount=0.8, amounts=none, predicted_losses=none, losses=none, accuracies=none,
    ...     result=(0.13, 0.97))
    >>> effect.kind, effect.amount, effect.result
    ('pruning', 0.8, (0.13, 0.97))
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
    theta : array_like of shape (n,)
        Parameters θ before.
    compressed : array_like of shape (n,)
        Parameters after: pruned, rounded or both. How far they moved is δ.
    groups : mapping of str to slice or index array, optional
        Which parameters move together, such as ``network.weight_groups()``; by default all.
    samples : int
        Movements δ∘s of every group, ≥ 1, with random signs s; gradients are taken at θ ± δ∘s/√2.
    rng : None, int or Generator
        Source of the signs. The same seed gives the same result, bit for bit.

    Returns
    -------
    float64 ndarray of shape (G,)
        Change g·δ + ½ E (δ∘s)·H(δ∘s) of every group, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the group).

    See Also
    --------
    measured_changes : What the same compression really does.
    directional_quantization_changes : Predicts what rounding does, for many numbers of bits at once.

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
    theta : array_like of shape (n,)
        Parameters θ before.
    compressed : array_like of shape (n,)
        Parameters after: pruned, rounded or both.
    groups : mapping of str to slice or index array, optional
        Which parameters move together, such as ``network.weight_groups()``; by default all.

    Returns
    -------
    float64 ndarray of shape (G,)
        Change L(θ with the group as compressed) − L(θ) of every group, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.
    NonFiniteError
        A loss that is nan or infinite (a ValueError that names the group).

    See Also
    --------
    predicted_changes : Predicts them from gradients.
    measured_saliency : The same for single weights that are removed.

    Notes
    -----
    Costs G + 1 evaluations of the loss.

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
