"""The one place that imports Numba.

``error_model="numpy"`` lets a division by zero give inf or nan, as in NumPy. ``fastmath`` stays off, because it
allows the compiler to assume that nan does not occur, and ``isnan(nan)`` may then be false.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import overload

from glasscurv._typing import FloatArray

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile `function` on first use and keep the machine code on disk.

    With NUMBA_DISABLE_JIT=1 the loop runs as plain Python; NumPy's floating-point warnings are then silenced, so
    that both ways give the same values and the same silence.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return np.errstate(all="ignore")(function)
    try:
        return cast("Function", numba.njit(cache=True, error_model="numpy", nogil=True)(function))
    except RuntimeError:  # no folder to keep the machine code in: compile anew in every process
        return cast("Function", numba.njit(error_model="numpy", nogil=True)(function))


def entry(value: float | FloatArray, i: int) -> float:
    """Return entry i of what is either an array or one number for all, decided when a loop is compiled."""
    return float(value[i]) if isinstance(value, np.ndarray) else value


@overload(entry)
def _compiled_entry(value: Any, i: Any) -> Callable[[Any, Any], Any]:
    def of_array(value: Any, i: Any) -> Any:
        return np.float64(value[i])

    def of_number(value: Any, i: Any) -> Any:
        return value

    return of_array if isinstance(value, numba.types.Array) else of_number


def entries(value: float | FloatArray, part: slice) -> float | FloatArray:
    """Return a part of what is either an array or one number for all."""
    return value[part] if isinstance(value, np.ndarray) else value


@overload(entries)
def _compiled_entries(value: Any, part: Any) -> Callable[[Any, Any], Any]:
    def of_array(value: Any, part: Any) -> Any:
        return value[part]

    def of_number(value: Any, part: Any) -> Any:
        return value

    return of_array if isinstance(value, numba.types.Array) else of_number
