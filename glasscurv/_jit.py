"""The one place that imports Numba.

``error_model="numpy"`` lets a division by zero give inf or nan, as in NumPy. ``fastmath`` stays off, because it
allows the compiler to assume that nan does not occur, and ``isnan(nan)`` may then be false.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np

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
