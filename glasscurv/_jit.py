"""The one place that imports Numba.

``error_model="numpy"`` lets a division by zero give inf or nan, as in NumPy. ``fastmath`` stays off, because it
allows the compiler to assume that nan does not occur, and ``isnan(nan)`` may then be false.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import overload

from glasscurv._typing import FloatArray

TRIED = (0, 68)
"""The last version of Numba for which `_load` was tried; later ones load in their own way, slower."""

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile `function` on first use and keep the machine code on disk.

    With NUMBA_DISABLE_JIT=1 the loop runs as plain Python; NumPy's floating-point warnings are then silenced, so
    that both ways give the same values and the same silence.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return np.errstate(all="ignore")(function)
    compiled: Any = numba.njit(error_model="numpy", nogil=True)(function)
    with suppress(RuntimeError):  # no folder to keep the machine code in: compile anew in every process
        compiled.enable_caching()
        if numba.version_info.short <= TRIED:
            compiled._cache.load_overload = partial(_load, compiled._cache)
    return cast("Function", compiled)


def _load(cache: Any, signature: Any, context: Any) -> Any:
    """Load machine code as Numba does, but without all that only compiling needs.

    Numba first registers everything that it can compile, and imports scipy.linalg for it: half the time of a first
    step. Machine code needs the memory management, and names the rest itself.
    """
    from numba.core.runtime import rtsys  # type: ignore[attr-defined]

    rtsys.initialize(context)
    with cache._guard_against_spurious_io_errors():
        return cache._load_overload(signature, context)


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
