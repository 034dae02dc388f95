"""Weights as small integers, and what that does to the loss (theory, section 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray, Gradient, RngLike
from glasscurv._validation import (
    broadcast_vector,
    choice,
    finite,
    function,
    generator,
    integer,
    integers,
    nonnegative_vector,
    number,
    vector,
)
from glasscurv.compression.groups import disjoint_indices
from glasscurv.compression.points import NODE, MovingPoint, mean_change
from glasscurv.constants import GLASS_LOSS_COEFFICIENT, MOST_BITS
from glasscurv.curvature.exponents import Groups

Scheme = Literal["symmetric", "affine"]
WIDTHS = tuple(range(2, 9))


@dataclass(frozen=True, eq=False)
class Quantized:
    """Parameters on a grid: θ_i = scale · (code_i − zero_point), group by group.

    Parameters
    ----------
    theta : ndarray of shape (n,)
        Parameters as rounded; those in no group are as they were.
    codes : int32 ndarray of shape (n,)
        Integers of ``bits`` bits, from −(2^(b−1) − 1) to 2^(b−1) − 1 (symmetric) or from 0 to 2^b − 1 (affine); 0 for
        parameters in no group.
    step : ndarray of shape (n,)
        Distance q between neighbouring values (length); 0 for what does not move, parameters in no group and those that
        are 0. Rounding moves no parameter by more than q/2.
    bits : dict of str to int
        Bits per weight of every group.
    scale : dict of str to float
        Distance q (length) of every group; 0 where all its weights are 0.
    zero_point : dict of str to int
        Code of the value 0, which is always on the grid: what was pruned stays so. For symmetric grids it is 0.
    groups : dict of str to int ndarray of shape (size of the group,)
        Indices of every group's weights.
    scheme : {"symmetric", "affine"}
        Whether the grid goes from −max|θ| to max|θ|, or from min(θ, 0) to max(θ, 0).

    See Also
    --------
    quantize : Returns it.
    pack : Puts it into few bytes.

    Examples
    --------
    >>> import glasscurv as gc
    >>> rounded = gc.compression.quantize([0.9, -0.3, 0.25, 0.0], bits=3)
    >>> rounded
    <Quantized: 4 of 4 parameters, symmetric, 3 bits>
    >>> rounded.codes, round(rounded.scale["all"], 6), rounded.zero_point
    (array([ 3, -1,  1,  0], dtype=int32), 0.3, {'all': 0})
    """

    theta: FloatArray
    codes: NDArray[np.int32]
    step: FloatArray
    bits: dict[str, int]
    scale: dict[str, float]
    zero_point: dict[str, int]
    groups: dict[str, NDArray[np.intp]]
    scheme: Scheme

    def __repr__(self) -> str:
        widths = sorted(set(self.bits.values()))
        bits = " to ".join(map(str, widths[:: max(len(widths) - 1, 1)]))
        count = sum(index.size for index in self.groups.values())
        return f"<Quantized: {count} of {self.theta.size} parameters, {self.scheme}, {bits} bits>"


def quantize(
    theta: ArrayLike,
    bits: int | Sequence[int] | Mapping[str, int],
    groups: Groups | None = None,
    scheme: Scheme = "symmetric",
) -> Quantized:
    """Round the weights of each group to a uniform grid.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters; they are not changed.
    bits : int, sequence of G ints or mapping of str to int
        Bits per weight, 2 to 16: one number, or one for every group, such as ``allocate_bits(...).bits``.
    groups : mapping of str to slice or index array, optional
        Which weights share a grid: ``network.weight_groups()`` for one a layer, ``network.weight_groups("unit")`` for
        one an output unit. What is in no group, such as biases, is left as it is. By default one group ``"all"``.
    scheme : {"symmetric", "affine"}
        A grid from −max|θ| to max|θ|, or from min(θ, 0) to max(θ, 0). Both hold the value 0.

    Returns
    -------
    Quantized
        Parameters as rounded, and the grid of every group.

    Raises
    ------
    ValueError, TypeError
        Bad arguments; groups that overlap or lack their number of bits; weights so large that their grid overflows.

    See Also
    --------
    allocate_bits : Chooses the bits of every group.
    quantization_changes : Predicts what rounding does to the loss.
    glasscurv.save_compressed : Saves a quantised network in a small file.

    References
    ----------
    Theory, section 9; Jacob et al., Quantization and training of neural networks (2018).

    Examples
    --------
    >>> import glasscurv as gc
    >>> rounded = gc.compression.quantize([0.9, -0.3, 0.25, 0.0], bits=3)
    >>> rounded.codes, rounded.theta.round(6)
    (array([ 3, -1,  1,  0], dtype=int32), array([ 0.9, -0.3,  0.3,  0. ]))
    >>> gc.compression.quantize([0.9, -0.3, 0.25, 0.0], bits=2, scheme="affine").codes
    array([3, 0, 2, 1], dtype=int32)
    """
    weights = vector(theta, "theta")
    indices = disjoint_indices(groups, weights.size)
    widths = _check_bits(bits, list(indices))
    choice(scheme, "scheme", ("symmetric", "affine"))
    rounded = Quantized(
        weights.copy(), np.zeros(weights.size, np.int32), np.zeros_like(weights), widths, {}, {}, indices, scheme
    )
    for name, index in indices.items():
        scale, zero, low, high = _grid(weights[index], widths[name], scheme)
        # In float64: the quotients of 16 bits and the halves between them have more digits than a float32.
        codes = np.rint(weights[index].astype(np.float64) / (scale or 1.0)) + zero
        rounded.codes[index] = np.clip(codes, low, high)
        with np.errstate(over="ignore"):
            rounded.theta[index] = (rounded.codes[index] - zero) * scale
        rounded.step[index] = np.where(weights[index] != 0, scale, 0)
        rounded.scale[name], rounded.zero_point[name] = scale, zero
    finite(rounded.theta, "theta, as rounded,")
    return rounded


def _check_bits(bits: Any, names: list[str]) -> dict[str, int]:
    if isinstance(bits, Sequence | np.ndarray) and not isinstance(bits, str):
        if len(bits) != len(names):
            raise ValueError(f"bits must have one entry for each of the groups {names}, got {len(bits)} entries")
        bits = dict(zip(names, bits, strict=True))
    elif not isinstance(bits, Mapping):
        bits = dict.fromkeys(names, bits)
    if set(bits) != set(names):
        raise ValueError(f"bits must have one entry for each of the groups {names}, got {list(bits)}")
    widths = {name: integer(bits[name], f"bits of {name!r}", 2) for name in names}
    for name, width in widths.items():
        if width > MOST_BITS:
            raise ValueError(f"bits of {name!r} must be at most {MOST_BITS}, got {width}")
    return widths


def _grid(weights: FloatArray, bits: int, scheme: str) -> tuple[float, int, int, int]:
    """Return scale, zero point, least and greatest code; the scale is a normal number of the weights' own precision."""
    levels = 2 ** (bits - 1) - 1 if scheme == "symmetric" else 2**bits - 1
    low, high = min(0.0, float(weights.min())), max(0.0, float(weights.max()))  # of equal ones the first: never −0
    span = max(high, -low) / levels if scheme == "symmetric" else high / levels - low / levels
    # A subnormal scale would be rounded by so much that its grid does not reach the weights.
    scale = float(max(weights.dtype.type(span), np.finfo(weights.dtype).tiny)) if weights.any() else 0.0
    if scheme == "symmetric":
        return scale, 0, -levels, levels
    return scale, round(-low / scale) if scale else 0, 0, levels


def expected_quantization_change(
    step: ArrayLike,
    hessian: ArrayLike = 0.0,
    density: ArrayLike = 0.0,
    model: Literal["coordinate", "independent", "directional"] = "coordinate",
) -> float:
    r"""Return the loss change that rounding to a grid is expected to cause, Σ h_i q_i²/24 + G.

    Rounding moves weight i by δ_i, uniform in ±q_i/2, independently of the others: E δ = 0, E δ² = q²/12.

    Parameters
    ----------
    step : array_like of shape (n,) or float
        Step q_i ≥ 0 of the grid of each weight (length), such as ``quantize(...).step``; 0 for what is not rounded.
    hessian : array_like of shape (n,) or float
        Diagonal of the Hessian (gradient/length); it may be negative. 0 leaves the term out.
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 (gradient²/length) of every weight, or, for the directional model, the single number ρ_u
        along such movements. 0 leaves the term out.
    model : {"coordinate", "independent", "directional"}
        Mean G of the absolute change that the glass causes: c Σ sqrt(ρ_i) E|δ_i|^{3/2} with
        E|δ|^{3/2} = (2/5)(q/2)^{3/2} (8a), c sqrt(Σ ρ_i E|δ_i|³) with E|δ|³ = (1/4)(q/2)³ (8b), or
        c sqrt(ρ_u) (Σ q_i²/12)^{3/4} (8c).

    Returns
    -------
    float
        Expected change in units of the loss.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative step or density, an unknown model.

    See Also
    --------
    quantization_changes : The same for each group and each number of bits.
    glasscurv.expected_glass_change : The glass of a given displacement.

    Notes
    -----
    The Hessian's term is the mean of the change, the glass the mean of the absolute value of a change of either sign:
    which of them matters depends on whether many roundings are averaged or one is feared. The roots of (8b) and (8c)
    are taken of means, which is above the mean of the roots by little when many weights are rounded. Take h from
    differences of gradients over distances such as q, with this group alone moving: a Hessian from tiny ones does not
    see what lies within a long step, and where all weights move as far it is that of another place.

    References
    ----------
    Theory, section 9 and equations (8a) to (8c).

    Examples
    --------
    >>> import glasscurv as gc
    >>> round(gc.compression.expected_quantization_change(0.1, hessian=[2.0, 4.0]), 6)
    0.0025
    >>> round(gc.compression.expected_quantization_change([0.1, 0.0], density=[1.0, 1.0]), 6)
    0.00206
    """
    size = next((np.size(each) for each in (step, hessian, density) if np.size(each) > 1), 1)
    q = nonnegative_vector(step, "step", size).astype(np.float64)
    h = broadcast_vector(hessian, "hessian", size).astype(np.float64)
    change = float(h @ q**2) / 24
    half = q / 2
    if choice(model, "model", ("coordinate", "independent", "directional")) == "directional":
        along: Any = density
        return change + GLASS_LOSS_COEFFICIENT * math.sqrt(number(along, "density", 0)) * math.pow(q @ q / 12, 0.75)
    rho = nonnegative_vector(density, "density", size).astype(np.float64)
    if model == "coordinate":
        return change + GLASS_LOSS_COEFFICIENT * 0.4 * float(np.sqrt(rho) @ half**1.5)
    return change + GLASS_LOSS_COEFFICIENT * math.sqrt(0.25 * float(rho @ half**3))


def quantization_changes(
    theta: ArrayLike,
    groups: Groups | None = None,
    hessian: ArrayLike = 0.0,
    density: ArrayLike = 0.0,
    bits: Sequence[int] = WIDTHS,
    scheme: Scheme = "symmetric",
    model: Literal["coordinate", "independent"] = "coordinate",
) -> FloatArray:
    """Predict, from the curvature of every weight, what rounding each group by itself to each number of bits does.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters; they are not changed.
    groups : mapping of str to slice or index array, optional
        Which weights share a grid, as in `quantize`; by default one group ``"all"``.
    hessian : array_like of shape (n,) or float
        Diagonal of the Hessian (gradient/length); it may be negative. 0 leaves the term out.
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 (gradient²/length) of every weight. 0 leaves the term out.
    bits : sequence of K ints
        Numbers of bits to try, 2 to 16.
    scheme : {"symmetric", "affine"}
        Kind of grid, as in `quantize`.
    model : {"coordinate", "independent"}
        Model of the glass, as in `expected_quantization_change`.

    Returns
    -------
    float64 ndarray of shape (G, K)
        Expected change, in units of the loss, a row for every group: what `allocate_bits` takes.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    expected_quantization_change : The formula, for one group on one grid.
    directional_quantization_changes : The same from gradients along such movements.
    allocate_bits : Chooses the bits by these changes.

    References
    ----------
    Theory, section 9.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.compression.quantization_changes([0.9, -0.3, 0.2], hessian=1.0, bits=(2, 3)).round(6)
    array([[0.10125, 0.01125]])
    """
    weights = vector(theta, "theta")
    h = broadcast_vector(hessian, "hessian", weights.size)
    rho = nonnegative_vector(density, "density", weights.size)
    choice(model, "model", ("coordinate", "independent"))
    indices, steps = _grids(weights, groups, bits, scheme)
    return np.array(
        [
            [expected_quantization_change(step[index], h[index], rho[index], model) for step in steps]
            for index in indices.values()
        ]
    )


def _grids(
    weights: FloatArray, groups: Groups | None, bits: Sequence[int], scheme: Scheme
) -> tuple[dict[str, NDArray[np.intp]], list[FloatArray]]:
    """Return the indices of every group, and the steps (n,) of the grids for each number of bits."""
    widths = integers(bits, "bits", 2)
    if not widths:
        raise ValueError("bits must hold at least one number, got none")
    rounded = [quantize(weights, width, groups, scheme) for width in widths]
    return rounded[0].groups, [each.step for each in rounded]


@dataclass(frozen=True, eq=False)
class DirectionalChanges:
    """What rounding each group by itself does, from gradients along such movements.

    Parameters
    ----------
    hessian : float64 ndarray of shape (G, K)
        Mean change ½ E δ·Hδ (loss) of every group and number of bits, with H from differences of gradients over the
        movement itself.
    glass : float64 ndarray of shape (G, K)
        Mean absolute change c sqrt(ρ_u) E‖δ‖^{3/2} (loss) by the glass, equation (8c).
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    directional_quantization_changes : Returns it.
    allocate_bits : Takes `hessian`, or its sum with `glass`.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[2.0, 0.0], [0.0, 6.0]])
    >>> found = gc.compression.directional_quantization_changes(problem.gradient, [1.0, -0.5], bits=(2, 4, 8), rng=0)
    >>> found.hessian.shape, found.glass.shape, found.evaluations
    ((1, 3), (1, 3), 25)
    """

    hessian: FloatArray
    glass: FloatArray
    evaluations: int


def directional_quantization_changes(
    gradient: Gradient,
    theta: ArrayLike,
    groups: Groups | None = None,
    bits: Sequence[int] = WIDTHS,
    scheme: Scheme = "symmetric",
    samples: int = 4,
    rng: RngLike = None,
) -> DirectionalChanges:
    """Measure curvature along movements such as rounding makes, for each group by itself and each number of bits.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta: (n,)) -> (n,)``, as in `estimate_curvature`.
    theta : array_like of shape (n,)
        Parameters θ.
    groups : mapping of str to slice or index array, optional
        Which weights share a grid, as in `quantize`; by default one group ``"all"``.
    bits : sequence of K ints
        Numbers of bits to try, 2 to 16.
    scheme : {"symmetric", "affine"}
        Kind of grid, as in `quantize`.
    samples : int
        Movements δ per group and number of bits, ≥ 1, uniform in ±q/2; gradients are taken at θ ± δ/√2.
    rng : None, int or Generator
        Source of the movements. The same seed gives the same result, bit for bit.

    Returns
    -------
    DirectionalChanges
        Mean change and glass of every group and number of bits.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a gradient of the wrong shape.
    NonFiniteError
        A gradient with a nan or an infinity (a ValueError that names the group and the number of bits).

    See Also
    --------
    quantization_changes : The same from the curvature of every weight.
    predicted_changes : The same for parameters that were compressed in any way.
    allocate_bits : Chooses the bits by these changes.

    Notes
    -----
    Costs 1 + 2 G K · samples evaluations. The diagonal Hessian at a point misses what lies between it and the grid's
    next value; in trained networks with few bits that is nearly all. This has it: with gradients g± at θ ± δ/√2, the
    mean change by ±δ is δ·(g₊ − g₋)/(2√2), exact to fourth order in δ for a smooth loss and right on average for
    boundaries anywhere on the way. `glass` comes from g₊ + g₋ − 2g, which over long movements is mostly the smooth
    loss's cubic term: it is the glass only where movements are short.

    References
    ----------
    Theory, section 9 and equation (8c).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> problem, theta = gc.Quadratic(np.diag(np.arange(1.0, 51.0))), np.linspace(-1, 1, 50)
    >>> found = gc.compression.directional_quantization_changes(problem.gradient, theta, bits=(3, 4), rng=0)
    >>> table = gc.compression.quantization_changes(theta, hessian=np.arange(1.0, 51.0), bits=(3, 4))
    >>> bool(np.allclose(found.hessian, table, rtol=0.3)), bool(np.allclose(found.glass, 0, atol=1e-12))
    (True, True)
    """
    weights = vector(theta, "theta")
    function(gradient, "gradient")
    count, source = integer(samples, "samples", 1), generator(rng)
    indices, steps = _grids(weights, groups, bits, scheme)
    point = MovingPoint(weights)
    start = point.gradient(gradient, "at theta")
    hessian, glass = np.zeros((2, len(indices), len(steps)))
    for g, (name, index) in enumerate(indices.items()):
        for k, step in enumerate(steps):
            where = f"for group {name!r} and {bits[k]} bits"
            squares, lengths = 0.0, 0.0
            for _ in range(count):
                delta = step[index] * source.uniform(-0.5, 0.5, index.size)
                plus, minus = point.sides(gradient, where, index, delta)
                length = float(np.linalg.norm(delta))
                if length == 0:  # all weights are 0, and stay so
                    continue
                hessian[g, k] += mean_change(delta, plus, minus) / count
                # Equation (9) with the nodes −1, 0, 1 along the unit direction δ/‖δ‖.
                squares += float(delta @ (plus + minus - 2 * start[index])) ** 2 / (2 * NODE * length**3) / count
                lengths += length**1.5 / count
            glass[g, k] = GLASS_LOSS_COEFFICIENT * math.sqrt(squares) * lengths
    return DirectionalChanges(hessian, glass, 1 + 2 * count * hessian.size)
