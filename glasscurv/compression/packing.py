"""Compressed parameters in few bytes, without loss.

Weights on a grid become codes of as many bits as the grid needs; what is on no grid stays as it is. Zeros are left out
where it takes fewer bits to say where the others are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray
from glasscurv._validation import vector
from glasscurv.compression.quantization import Quantized

Bits = NDArray[np.uint8]
Indices = NDArray[np.intp]
Where = dict[str, int]


def pack(theta: ArrayLike, quantized: Quantized | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Put compressed parameters into few bytes, without loss.

    Parameters
    ----------
    theta : array_like of shape (n,)
        Parameters, such as ``pruned.theta`` or ``quantized.theta``; those in no group of `quantized`, such as biases,
        may have other values than there.
    quantized : Quantized, optional
        The grids of the groups. Without it all parameters that are not 0 are stored as they are.

    Returns
    -------
    arrays : dict of str to ndarray
        ``"bits"``, uint8 bytes of positions and codes of all groups; ``"scales"`` of the groups, one after another;
        ``"values"`` of the parameters in no group. All are of one axis; the last two have the dtype of theta.
    description : dict
        What `unpack` needs besides: names and integers, which JSON can hold.

    Raises
    ------
    ValueError, TypeError
        Bad parameters, or such that are not those of `quantized` in its groups.

    See Also
    --------
    unpack : Gives the parameters back.
    glasscurv.save_compressed : Writes them to a file, with the network's description.

    Notes
    -----
    A group of m weights with b bits each takes m b bits or, if k of them are not 0, k b bits and their positions; the
    smaller is taken. Positions are written as the gaps between them in the code of Golomb and Rice. Where weights are
    removed independently of one another, and at least half of them, that is within 5 % of the least possible, m H(k/m)
    with the binary entropy H. Regular positions, such as those of all weights of a unit, take no bits.

    References
    ----------
    Golomb, Run-length encodings (1966); Rice and Plaunt, Adaptive variable-length coding (1971).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> rounded = gc.compression.quantize(np.linspace(-1, 1, 1000), bits=3)
    >>> arrays, description = gc.compression.pack(rounded.theta, rounded)
    >>> arrays["bits"].nbytes, bool((gc.compression.unpack(arrays, description) == rounded.theta).all())
    (375, True)
    """
    weights = vector(theta, "theta")
    stream: list[Bits] = []
    groups: dict[str, dict[str, Any]] = {}
    parts: list[Indices] = []
    if quantized is not None:
        if quantized.theta.size != weights.size:
            raise ValueError(
                f"theta must have shape {quantized.theta.shape}, as quantized.theta has, got {weights.shape}"
            )
        parts = list(quantized.groups.values())
        groups = {name: _pack_group(quantized, name, stream) for name in quantized.groups}
    values = weights[_outside(parts, weights.size)]
    # As integers, for −0 is a value too.
    kept, where = _put_kept(_integers(values) != 0, 8 * values.itemsize, stream)
    description = {"size": weights.size, "groups": groups, "kept": where}
    arrays = {
        "bits": np.packbits(np.concatenate(stream)),
        "scales": np.array([] if quantized is None else list(quantized.scale.values()), weights.dtype),
        "values": values[kept],
    }
    packed = unpack(arrays, description)
    if (other := _integers(packed) != _integers(weights)).any():
        i = int(np.argmax(other))
        raise ValueError(
            f"theta must be that of quantized in its groups, got {weights[i]} for {packed[i]} at index {i}"
        )
    return arrays, description


def _pack_group(quantized: Quantized, name: str, stream: list[Bits]) -> dict[str, Any]:
    index = np.sort(quantized.groups[name])
    bits, zero, codes = quantized.bits[name], quantized.zero_point[name], quantized.codes[index]
    if quantized.scheme == "symmetric":  # codes ≥ 0 from here on
        levels = 2 ** (bits - 1) - 1
        codes, zero = codes + levels, levels
    where, coded = _code_positions(index)
    stream.append(coded)
    kept, which = _put_kept(codes != zero, bits, stream)
    stream.append(_to_bits(codes[kept], bits))
    return {"bits": bits, "zero_point": zero, "indices": where, "kept": which}


def unpack(arrays: dict[str, NDArray[Any]], description: dict[str, Any]) -> FloatArray:
    """Return the parameters that were packed, bit for bit.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Bits, scales and values, as `pack` returned them.
    description : dict
        Names and integers, as `pack` returned them with these arrays.

    Returns
    -------
    ndarray of shape (n,)
        Parameters, of the dtype that they had.

    Raises
    ------
    ValueError
        Arrays that do not belong to the description.

    See Also
    --------
    pack : Makes arrays and description.
    glasscurv.load_checkpoint : Reads what `glasscurv.save_compressed` wrote.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.compression.unpack(*gc.compression.pack([0.5, 0.0, -0.25]))
    array([ 0.5 ,  0.  , -0.25])
    """
    stream, values = _Stream(arrays["bits"]), arrays["values"]
    theta = np.zeros(description["size"], values.dtype)
    parts = []
    for record, scale in zip(description["groups"].values(), arrays["scales"], strict=False):
        index, kept = stream.positions(record["indices"]), stream.positions(record["kept"])
        theta[index[kept]] = (stream.integers(kept.size, record["bits"]) - record["zero_point"]) * scale
        parts.append(index)
    kept = stream.positions(description["kept"])
    if stream.left >= 8 or kept.size != values.size:
        raise ValueError(
            f"arrays must be those of the description, got {values.size} values for {kept.size} and "
            f"{stream.left // 8} bytes besides"
        )
    theta[_outside(parts, theta.size)[kept]] = values
    return theta


class _Stream:
    """Reads, one after the other, what `pack` put into the bits."""

    def __init__(self, packed: NDArray[Any]) -> None:
        self.bits = np.unpackbits(packed)
        self.left = self.bits.size

    def take(self, count: int) -> Bits:
        if count > self.left:
            raise ValueError(f"arrays must be those of the description, got {self.left} bits where {count} were packed")
        start = self.bits.size - self.left
        self.left -= count
        return self.bits[start : start + count]

    def integers(self, count: int, width: int) -> NDArray[np.int64]:
        integers = np.zeros(count, np.int64)
        for place in self.take(count * width).reshape(count, width).T:
            integers = 2 * integers + place
        return integers

    def positions(self, where: Where) -> Indices:
        count = where["count"]
        positions: Indices = np.arange(count)
        if "step" in where:
            return where["start"] + where["step"] * positions
        quotients = np.diff(np.flatnonzero(self.take(where["unary"])), prepend=-1) - 1
        gaps = (quotients << where["low"]) + self.integers(count, where["low"])
        return positions + np.cumsum(gaps)


def _put_kept(nonzero: NDArray[np.bool_], width: int, stream: list[Bits]) -> tuple[Indices, Where]:
    """Choose which values of so many bits to store, all or those that are not 0, and put their positions."""
    everything, some = np.arange(nonzero.size), np.flatnonzero(nonzero)
    where, coded = _code_positions(some)
    if coded.size >= width * (everything.size - some.size):
        some = everything
        where, coded = _code_positions(some)
    stream.append(coded)
    return some, where


def _code_positions(positions: Indices) -> tuple[Where, Bits]:
    """Return where increasing positions are, and bits of the gaps between them if these differ.

    A gap g is the quotient g >> low in unary, as so many zeros and a one, and the low bits of g. With none of these the
    unary part is a mask.
    """
    steps = np.diff(positions)
    if (steps == steps[:1]).all():
        start, step = (int(positions[0]) if positions.size else 0), (int(steps[0]) if steps.size else 1)
        return {"count": positions.size, "start": start, "step": step}, np.empty(0, np.uint8)
    gaps = np.diff(positions, prepend=-1) - 1
    low = min(range(int(gaps.max()).bit_length() + 1), key=lambda low: gaps.size * low + (gaps >> low).sum())
    ends = np.cumsum((gaps >> low) + 1) - 1
    unary = np.zeros(ends[-1] + 1, np.uint8)
    unary[ends] = 1
    coded = np.concatenate([unary, _to_bits(gaps & ((1 << low) - 1), low)])
    return {"count": positions.size, "unary": unary.size, "low": low}, coded


def _to_bits(integers: NDArray[Any], width: int) -> Bits:
    """Return the bits of integers ≥ 0, so many each, highest first."""
    bits = np.empty((integers.size, width), np.uint8)
    for place in range(width):
        bits[:, place] = (integers >> (width - 1 - place)) & 1
    return bits.ravel()


def _outside(parts: Sequence[Indices], size: int) -> Indices:
    """Return the indices that are in none of the parts."""
    outside = np.ones(size, np.bool_)
    for index in parts:
        outside[index] = False
    return np.flatnonzero(outside)


def _integers(values: FloatArray) -> NDArray[Any]:
    """Return the bits of floats as integers."""
    return values.view(f"u{values.itemsize}")
