"""How much the loss changes when a weight is removed (theory, section 9).

=================  ==================  ========================================================================
term               formula             known as
=================  ==================  ========================================================================
``gradient``       −g θ                predicted change, first order
``hessian``        ½ h θ²              predicted change, second order: Optimal Brain Damage
``glass``          c sqrt(ρ) |θ|^1.5   predicted change of the glass: the mean of its absolute value
``abs_gradient``   |g θ|               gradient times weight, connection sensitivity
``abs_hessian``    ½ |h| θ²            Optimal Brain Damage without signs
``magnitude``      |θ|                 magnitude pruning
``input_norm``     |θ| ‖x‖             weight times norm of its input (Wanda)
=================  ==================  ========================================================================

The first three, together, predict the change of the loss when one weight is removed by itself, sign and all. To remove
many weights at once, take terms without signs: what single removals would gain does not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray
from glasscurv._validation import broadcast_vector, function, nonnegative_vector, number, vector
from glasscurv.compression.groups import disjoint_indices
from glasscurv.compression.points import MovingPoint
from glasscurv.constants import GLASS_LOSS_COEFFICIENT
from glasscurv.curvature.exponents import Groups

Term = Literal["gradient", "hessian", "glass", "abs_gradient", "abs_hessian", "magnitude", "input_norm"]

# What each term needs besides theta; the last two are in other units than the loss and cannot be added.
NEEDS = {
    "gradient": "gradient",
    "hessian": "hessian",
    "glass": "density",
    "abs_gradient": "gradient",
    "abs_hessian": "hessian",
    "magnitude": None,
    "input_norm": "input_norm",
}
ALONE = ("magnitude", "input_norm")


def pruning_saliency(
    theta: ArrayLike,
    gradient: ArrayLike | None = None,
    hessian: ArrayLike | None = None,
    density: ArrayLike | None = None,
    terms: Term | Sequence[Term] = ("gradient", "hessian", "glass"),
    input_norm: ArrayLike | None = None,
) -> FloatArray:
    """Predict what removing each weight, by itself, does to the loss.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters θ (length).
    gradient : array_like of shape (n,), optional
        Gradient g at θ (loss/length).
    hessian : array_like of shape (n,) or float, optional
        Diagonal h of the Hessian (gradient/length); it may be negative.
    density : array_like of shape (n,) or float, optional
        Glass density ρ ≥ 0 (gradient²/length): the diagonal of the density matrix for one weight alone, or the row sums
        that `estimate_curvature` measures, for many weights together.
    terms : str or sequence of str
        Which terms are added; the table in the module's notes lists them. Each needs its argument, and no others are
        looked at. ``"magnitude"`` and ``"input_norm"`` stand alone.
    input_norm : array_like of shape (n,) or float, optional
        Size ≥ 0 of what each weight multiplies, as `MLP.input_norm` returns it.

    Returns
    -------
    ndarray of shape (n,)
        Sum of the terms, in units of the loss (of θ, or of θ times the input, for the terms that stand alone).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative density or norm, an unknown, repeated or missing term, a term whose
        argument is missing, or terms of different units.

    See Also
    --------
    prune : Removes the weights of least saliency.
    measured_saliency : The truth, weight by weight.
    removal_length : At what length to measure the curvature.
    glasscurv.estimate_curvature : Measures gradient, Hessian and density.

    References
    ----------
    Theory, section 9; LeCun, Denker and Solla, Optimal Brain Damage (1989); Lee, Ajanthan and Torr, SNIP (2019); Sun et
    al., A simple and effective pruning approach (2024).

    Examples
    --------
    >>> import glasscurv as gc
    >>> theta = [1.0, -0.25]
    >>> gc.compression.pruning_saliency(theta, gradient=[0.5, 0.5], hessian=2.0, density=0.0)
    array([0.5   , 0.1875])
    >>> gc.compression.pruning_saliency(theta, density=[1.0, 4.0], terms="glass").round(4)
    array([0.4607, 0.1152])
    >>> gc.compression.pruning_saliency(theta, terms="magnitude")
    array([1.  , 0.25])
    """
    weights = vector(theta, "theta")
    chosen = _check_terms(terms)
    given = {"gradient": gradient, "hessian": hessian, "density": density, "input_norm": input_norm}
    arrays: dict[str, FloatArray] = {}
    for term in chosen:
        name = NEEDS[term]
        if name is None or name in arrays:
            continue
        value = given[name]
        if value is None:
            raise ValueError(f"{name} is needed for the term {term!r}, got None")
        check = broadcast_vector if name in ("gradient", "hessian") else nonnegative_vector
        arrays[name] = check(value, name, weights.size).astype(np.float64)
    points = weights.astype(np.float64)  # in which terms of opposite signs cancel, and small densities do not vanish
    saliency = sum(_term(term, points, abs(points), arrays) for term in chosen)
    return np.asarray(saliency, weights.dtype)


def _check_terms(terms: Any) -> tuple[str, ...]:
    if not isinstance(terms, str | Sequence):
        raise TypeError(f"terms must be a name or a sequence of names, got {type(terms).__name__}")
    chosen = (terms,) if isinstance(terms, str) else tuple(terms)
    unknown = [term for term in chosen if term not in list(NEEDS)]
    if unknown or not chosen:
        raise ValueError(f"terms must be of {', '.join(map(repr, NEEDS))}, got {unknown[0] if unknown else chosen!r}")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"terms must be different, got {chosen}")
    for term in ALONE:
        if term in chosen and len(chosen) > 1:
            raise ValueError(f"the term {term!r} is in other units than the loss and must stand alone, got {chosen}")
    return chosen


def _term(term: str, weights: FloatArray, sizes: FloatArray, arrays: dict[str, FloatArray]) -> FloatArray:
    if term == "gradient":
        return -arrays["gradient"] * weights
    if term == "hessian":
        return arrays["hessian"] * weights / 2 * weights
    if term == "glass":
        return GLASS_LOSS_COEFFICIENT * np.sqrt(arrays["density"]) * sizes * np.sqrt(sizes)
    if term == "abs_gradient":
        return abs(arrays["gradient"]) * sizes
    if term == "abs_hessian":
        return abs(arrays["hessian"]) * sizes / 2 * sizes
    return sizes if term == "magnitude" else sizes * arrays["input_norm"]


def measured_saliency(
    value: Callable[[FloatArray], float], theta: ArrayLike, indices: ArrayLike | None = None
) -> FloatArray:
    """Measure what removing each weight, by itself, does to the loss: the truth that `pruning_saliency` predicts.

    Parameters
    ----------
    value : callable
        ``value(theta: (n,)) -> float``, the loss. The point it gets is read-only and reused: copy it to keep it.
    theta : array_like of shape (n,)
        Parameters θ.
    indices : int array_like of shape (k,), optional
        Which weights; by default all.

    Returns
    -------
    float64 ndarray of shape (k,)
        Change L(θ without weight i) − L(θ) for each of them, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or indices out of range.
    NonFiniteError
        A loss that is nan or infinite (a ValueError that names the weight).

    See Also
    --------
    pruning_saliency : Predicts it from curvature.
    measured_changes : The same for whole groups.

    Notes
    -----
    Costs k + 1 evaluations of the loss.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[2.0, 0.0], [0.0, 6.0]])
    >>> gc.compression.measured_saliency(lambda point: problem.value_and_grad(point)[0], [1.0, -1.0])
    array([-1., -3.])
    """
    function(value, "value")
    weights = vector(theta, "theta")
    chosen = np.arange(weights.size) if indices is None else np.asarray(indices)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise TypeError(f"indices must be a (k,) array of integers, got shape {chosen.shape} and dtype {chosen.dtype}")
    if chosen.size and (chosen.min() < 0 or chosen.max() >= weights.size):
        raise ValueError(f"indices must lie in [0, {weights.size}), got {chosen.min()} to {chosen.max()}")
    point = MovingPoint(weights)
    start = point.loss(value, "at theta")
    return np.array([point.loss(value, f"without weight {i}", i) - start for i in chosen], np.float64)


def removal_length(theta: ArrayLike, sparsity: float, groups: Groups | None = None) -> float:
    """Return the length per weight of the displacement that pruning makes: where to measure curvature for it.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters θ.
    sparsity : float
        Share of the weights to be removed, in (0, 1).
    groups : mapping of str to slice or index array, optional
        The weights that may be removed, such as ``network.weight_groups()``; by default all parameters.

    Returns
    -------
    float
        Root mean square of the smallest weights (length), the σ for `estimate_curvature`.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or weights that would be removed and are all 0 already.

    See Also
    --------
    glasscurv.estimate_curvature : Measures curvature at this length.
    prune : Removes the weights.

    Notes
    -----
    Where most weights go at once, each is removed from a network that all the others have moved by this much. What
    curvature is there can be far from what it is at a point, above all after training, when most rows have a saturated
    output and no curvature until they are moved. Single weights, or few in each of many rounds, need a short length.

    References
    ----------
    Theory, section 9.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.compression.removal_length([3.0, 0.3, -0.4, 2.0], sparsity=0.5).__round__(6)
    0.353553
    """
    weights = vector(theta, "theta")
    share = number(sparsity, "sparsity", 0, 1, open_low=True, open_high=True)
    sizes = abs(weights[np.concatenate(list(disjoint_indices(groups, weights.size).values()))]).astype(np.float64)
    count = max(round(share * sizes.size), 1)
    smallest = np.partition(sizes, count - 1)[:count]
    largest = smallest.max()
    if largest == 0:
        zeros = sizes.size - np.count_nonzero(sizes)
        raise ValueError(f"sparsity {share:g} removes nothing: {zeros} of the {sizes.size} weights are 0 already")
    return float(largest * np.sqrt(np.mean((smallest / largest) ** 2)))  # without overflow or underflow
