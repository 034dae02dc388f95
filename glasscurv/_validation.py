"""Checks of what users pass in, done once, at the public edge.

Every message names the argument, says what was expected and what came.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glasscurv._typing import FloatArray, RngLike

Choice = TypeVar("Choice", bound=str)
Function = TypeVar("Function", bound=Callable[..., object])


class NonFiniteError(ValueError, FloatingPointError):
    """A loss or gradient came back with a nan or an infinity; the message says at which step or sample.

    See Also
    --------
    estimate_curvature : Raises it, as every estimator does.
    train : Raises it, as every optimizer does.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> try:
    ...     gc.estimate_curvature(lambda theta: theta * np.nan, [1.0, 2.0], rng=0)
    ... except gc.NonFiniteError as error:
    ...     print(error)
    non-finite gradient at the centre: 2 of 2 entries, the first is nan at index 0
    """


def real_array(value: ArrayLike, name: str) -> FloatArray:
    """Return `value` as a native float32 or float64 array; integers become float64; nothing else passes."""
    array = np.asarray(value)
    native = array.dtype.newbyteorder("=")
    if native in (np.float32, np.float64):
        return array.astype(native, copy=False)
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.float64)
    raise TypeError(f"{name} must be real numbers (float32, float64 or integers), got dtype {array.dtype}")


def finite(array: FloatArray, name: str) -> FloatArray:
    """Return `array` itself, after checking that it holds no nan and no infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {array[first]} at index {_index(first)}")
    return array


def vector(value: ArrayLike, name: str, size: int | None = None) -> FloatArray:
    """Return a finite (n,) array with n ≥ 1, and n = `size` where that is given."""
    array = real_array(value, name)
    if array.ndim != 1 or array.size == 0 or size not in (None, array.size):
        expected = f"({size},)" if size is not None else "(n,) with n ≥ 1"
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")
    return np.ascontiguousarray(finite(array, name))


def broadcast_vector(value: ArrayLike, name: str, size: int) -> FloatArray:
    """Return a finite (size,) array; a scalar stands for equal entries."""
    array = real_array(value, name)
    return vector(np.broadcast_to(array, (size,)) if array.ndim == 0 else array, name, size)


def nonnegative_vector(value: ArrayLike, name: str, size: int) -> FloatArray:
    """Return a finite (size,) array without negative entries; a scalar stands for equal entries."""
    array = broadcast_vector(value, name, size)
    if (array < 0).any():
        first = int(np.argmax(array < 0))
        raise ValueError(f"{name} must be ≥ 0, got {array[first]} at index {first}")
    return array


def mask_vector(value: ArrayLike, name: str, size: int) -> NDArray[np.bool_]:
    """Return a (size,) array of booleans, not all False; 0 and 1 are no booleans."""
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} must be booleans, True for what is kept, got dtype {array.dtype}")
    if array.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {array.shape}")
    if not array.any():
        raise ValueError(f"{name} must keep something, got {size} times False")
    return np.ascontiguousarray(array)


def matrix(value: ArrayLike, name: str, columns: int | None = None) -> FloatArray:
    """Return a finite two-dimensional array, not empty, with `columns` columns where that is given."""
    return finite(table(value, name, columns), name)


def table(value: ArrayLike, name: str, columns: int | None = None) -> FloatArray:
    """Return a `matrix` that may hold anything: for those who look at every entry anyway."""
    array = real_array(value, name)
    if array.ndim != 2 or array.size == 0 or columns not in (None, array.shape[1]):
        expected = f"(rows, {columns})" if columns is not None else "(rows, columns)"
        raise ValueError(f"{name} must have shape {expected} and hold something, got {array.shape}")
    return array


def output(out: Any, shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
    """Return `out`, checked to take a result, or a new array if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(
            f"out must be an array of dtype {np.dtype(dtype)}, got {getattr(out, 'dtype', type(out).__name__)}"
        )
    if out.shape != shape or not out.flags.carray:
        layout = "" if out.flags.carray else ", not contiguous or not writeable"
        raise ValueError(f"out must be contiguous, writeable and of shape {shape}, got shape {out.shape}{layout}")
    return out


def number(
    value: float,
    name: str,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a finite float in [low, high]; an open end is excluded."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a real number, got {type(value).__name__}")
    try:
        result = float(value)
    except OverflowError:  # an int beyond the largest float
        result = np.inf
    above = result > low if open_low else result >= low
    below = result < high if open_high else result <= high
    if not (np.isfinite(result) and above and below):
        raise ValueError(f"{name} must be {_interval(low, high, open_low, open_high)}, got {value}")
    return result


def integer(value: int, name: str, low: int) -> int:
    """Return an int ≥ `low`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be ≥ {low}, got {value}")
    return int(value)


def integers(values: Iterable[int], name: str, low: int) -> list[int]:
    """Return a list of ints ≥ `low`."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of integers, got {type(values).__name__}")
    return [integer(value, f"every entry of {name}", low) for value in values]


def choice(value: Choice, name: str, options: Sequence[str]) -> Choice:
    """Return `value` if it is one of `options`."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def function(value: Function, name: str) -> Function:
    """Return `value` if it can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {type(value).__name__}")
    return value


def generator(rng: RngLike, name: str = "rng") -> np.random.Generator:
    """Return a Generator (SPEC 7): None draws a fresh seed, an int seeds one, a Generator is used as it is."""
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng(rng)
    if isinstance(rng, int | np.integer):
        return np.random.default_rng(integer(rng, name, 0))
    raise TypeError(f"{name} must be None, an int or a numpy.random.Generator, got {type(rng).__name__}")


def returned_gradient(value: ArrayLike, like: FloatArray, where: str) -> FloatArray:
    """Return what a user's gradient callable gave back as an array like `like`, its numbers unchecked.

    It is the callable's own array if that has the right dtype and layout. `where` says which evaluation it was.
    """
    unexpected: object = value
    if unexpected is None or isinstance(unexpected, tuple):
        raise TypeError(f"the callable must return the gradient and nothing else, got {type(value).__name__} {where}")
    array = real_array(value, "the gradient returned by the callable")
    if array.shape != like.shape:
        raise ValueError(f"the gradient returned {where} must have shape {like.shape}, got {array.shape}")
    if array.dtype == like.dtype and array.flags.carray:
        return array
    # The compiled loops know one kind of array, and a read-only one may be the very point that was passed.
    with np.errstate(over="ignore"):  # what is finite in float64 may be too large for float32
        return np.array(array, like.dtype, order="C")


def refuse_nonfinite(gradient: FloatArray, where: str) -> None:
    """Raise NonFiniteError if a gradient holds a nan or an infinity."""
    bad = np.flatnonzero(~np.isfinite(gradient))
    if bad.size:
        raise NonFiniteError(
            f"non-finite gradient {where}: {bad.size} of {gradient.size} entries, the first is {gradient[bad[0]]} "
            f"at index {bad[0]}"
        )


def _index(first: tuple[int, ...]) -> str:
    return str(first[0]) if len(first) == 1 else str(first)


def _interval(low: float, high: float, open_low: bool, open_high: bool) -> str:
    if np.isinf(low) and np.isinf(high):
        return "finite"
    if np.isinf(high):
        return f"finite and {'>' if open_low else '≥'} {low:g}"
    if np.isinf(low):
        return f"finite and {'<' if open_high else '≤'} {high:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
