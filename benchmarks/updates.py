"""Updates over vectors against the memory floor, against PyTorch's Adam, and against themselves.

The *memory floor* of a loop is the time in which its data would move at the bandwidth of the compiled triad
a[i] = b[i] + s c[i] of the same length and dtype, timed in the same run on the library's own threads. An array counts
once when it is read and once when it is written; one that is written without being read counts twice, because the
processor fetches a cache line before it writes to it. So the triad moves four arrays. Loops with fewer written arrays
reach a somewhat higher bandwidth than the triad: a ratio can lie a little below 1.

Per parameter, in arrays:

=====================  ===============================================================  =======
loop                   read; written; written afresh                                    arrays
=====================  ===============================================================  =======
Alice's update         g ν G V μ C R; ν G V μ; none                                     11
Alice's curvature      g₊ g₋ g C R; C R; none                                           7
two perturbed points   ν z and ν z; none; one point each                                8
check of a gradient    g; none; none                                                    1
copy of a gradient     g; none; the copy                                                3
draw of a direction    none; none; z                                                    2
coordinate step        g h ρ; none; δ                                                   5
=====================  ===============================================================  =======

A quick step is a check and an update. A full step draws a direction, moves to two points, copies two gradients, checks
the third, measures the curvature and updates. The callable of a whole step returns a gradient that is ready, at once.

A cache that holds all arrays lowers the cost per parameter: in float32 a quick step of 10⁶ parameters uses 28 MB, which
the last level of a large processor's caches holds and that of a small one does not. So the row that compares sizes
comes twice: back to back, where the smallest size may run from the cache and is then cheaper than memory allows; and
with a large array read before each step on the same threads, as in training, where an evaluation comes in between.
"""

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from benchmarks.measure import Clock, Measurement, NotMeasured, alternate, clock, clock_between, growth, ratio, scaled
from benchmarks.networks import import_torch
from benchmarks.row import Row, Scale
from glasscurv._jit import jit
from glasscurv._threads import parallel
from glasscurv.core import vectors

Array = NDArray[np.floating[Any]]
Float = type[np.floating[Any]]

TRIAD = 4  # b and c are read; a is fetched and written
UPDATE, CURVATURE, POINTS, CHECK, COPY, DRAW = 11, 7, 8, 1, 3, 2
STEP = 5
CACHE = 1 << 28  # bytes, more than most caches
NEVER = 10**9  # quick steps between full ones


@jit
def triad(out: Array, b: Array, c: Array, factor: np.floating[Any]) -> None:
    """Write b + factor c into `out`."""
    for i in range(out.size):
        out[i] = b[i] + factor * c[i]


class Ready:
    """A callable that returns gradients that are ready, another one at every call of a full step."""

    def __init__(self, parameters: int, dtype: Float, gradients: int = 3) -> None:
        rng = np.random.default_rng(0)
        self.gradients = [1e-3 * rng.standard_normal(parameters, dtype) for _ in range(gradients)]
        self._next = itertools.cycle(self.gradients)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Return a loss and the next gradient."""
        return 1.0, next(self._next)


def alice(ready: Ready, quick_steps: int) -> gc.Alice:
    """Return an optimizer past its warm-up, which fills its state: only full steps do that."""
    optimizer = gc.Alice(np.ones_like(ready.gradients[0]), betas=(0.5, 0.999), quick_steps=quick_steps, rng=0)
    while optimizer.steps < 2 or optimizer.is_full_step(optimizer.steps + 1) != (quick_steps == 0):
        optimizer.step(ready)
    return optimizer


def quick_loop(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the fused loop of a quick step, as the step calls it."""
    ready = Ready(parameters, dtype)
    optimizer = alice(ready, quick_steps=NEVER)
    return partial(optimizer._move, ready.gradients[0], optimizer.steps)


def quick_step(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the whole quick step."""
    ready = Ready(parameters, dtype)
    return partial(alice(ready, quick_steps=NEVER).step, ready)


def full_loops(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the loops of a full step, as the step calls them."""
    ready = Ready(parameters, dtype)
    optimizer = alice(ready, quick_steps=0)
    nu, gradient, length, step = optimizer._arrays["lookahead"], ready.gradients[0], optimizer._lr, optimizer.steps

    def loops() -> None:
        for sign in (1.0, -1.0):
            parallel(vectors.perturb, nu, optimizer._direction, length, sign, optimizer._point)
        optimizer._measure(gradient, length, step)
        optimizer._move(gradient, step)

    return loops


def full_step(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the whole full step."""
    ready = Ready(parameters, dtype)
    return partial(alice(ready, quick_steps=0).step, ready)


def coordinate_step(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the public step, its checks included, into an array that is there."""
    arguments = _step_arguments(dtype, parameters)
    return partial(gc.quasi_newton_step, *arguments, out=np.empty_like(arguments[0]))


def new_coordinate_step(dtype: Float, parameters: int) -> Callable[[], object]:
    """Return the public step into an array of its own, whose memory the operating system has to clear first."""
    return partial(gc.quasi_newton_step, *_step_arguments(dtype, parameters))


def against_memory(
    side: Callable[[Float, int], Callable[[], object]], arrays: int, dtype: Float, scale: Scale
) -> Measurement:
    """Compare what moves `arrays` arrays with its memory floor."""
    function = side(dtype, scale.parameters)
    out, b, c = (np.ones(scale.parameters, dtype) for _ in range(3))
    floor = scaled(clock(partial(parallel, triad, out, b, c, dtype(2))), arrays / TRIAD)
    found = alternate({"time": clock(function), "floor": floor}, ratio, scale.repetitions)
    bandwidth = arrays * b.nbytes / found.seconds["floor"]
    return replace(found, note=f"triad: {bandwidth / 1e9:.1f} GB/s")


def against_adam(side: Callable[[Float, int], Callable[[], object]], scale: Scale) -> Measurement:
    """Compare the seconds per parameter with those of PyTorch's fused Adam."""
    torch = import_torch()
    parameter = torch.nn.Parameter(torch.ones(scale.parameters))
    (gradient,) = Ready(scale.parameters, np.float32, 1).gradients
    parameter.grad = torch.from_numpy(gradient)
    adam = torch.optim.Adam([parameter], fused=True)
    sides = {"Alice": side(np.float32, scale.parameters), "Adam": adam.step}
    per_parameter = {
        f"{name}, a parameter": _per_parameter(clock(run), scale.parameters) for name, run in sides.items()
    }
    return alternate(per_parameter, ratio, scale.repetitions)


def joint_step(scale: Scale) -> Measurement:
    """Compare the joint step with the coordinate step."""
    arguments = _step_arguments(np.float64, scale.parameters)
    out = np.empty_like(arguments[0])
    joint, coordinate = (
        partial(step, *arguments, out=out) for step in (gc.joint_quasi_newton_step, gc.quasi_newton_step)
    )
    return alternate({"joint": clock(joint), "coordinate": clock(coordinate)}, ratio, scale.repetitions)


def sizes(cold: bool, scale: Scale) -> Measurement:
    """Compare the seconds per parameter of a quick step at several sizes."""
    arrays = 12  # ten of the optimizer, its start and a gradient
    chosen, note = list(scale.sizes), ""
    memory = available_memory()
    if sum(chosen) * arrays * 4 > memory / 2:
        chosen[-1] = 3 * chosen[-2]
        note = f"{memory / 1e9:.0f} GB of memory are too few for {scale.sizes[-1]:.0e} parameters"
    if sum(chosen) * arrays * 4 > memory / 2:
        raise NotMeasured(f"{memory / 1e9:.1f} GB of memory are too few")
    other = partial(parallel, vectors.within, np.ones(CACHE // 4, np.float32), 1.0)
    sides = {}
    for parameters in chosen:
        ready = Ready(parameters, np.float32, 1)
        step = partial(alice(ready, quick_steps=NEVER).step, ready)
        run = clock_between(step, other) if cold else clock(step)
        sides[f"{parameters:.0e}".replace("e+0", "e")] = _per_parameter(run, parameters)
    return replace(alternate(sides, growth, scale.repetitions), note=note)


def available_memory() -> float:
    """Return the bytes of memory that are free, or infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _per_parameter(run: Clock, parameters: int) -> Clock:
    return scaled(run, 1 / parameters)


def _step_arguments(dtype: Float, parameters: int) -> tuple[Array, Array, Array]:
    """Gradient, curvature and density between which the Hessian and the glass share the step."""
    rng = np.random.default_rng(0)
    gradient, hessian, density = (1e-3 * rng.standard_normal(parameters, dtype) for _ in range(3))
    return gradient, 1e3 * abs(hessian), abs(density)


FLOOR = "its memory floor"
ADAM = "torch.optim.Adam(fused=True), a parameter"
QUICK_STEP, FULL_STEP = UPDATE + CHECK, DRAW + POINTS + 2 * COPY + CHECK + CURVATURE + UPDATE
DTYPES: tuple[tuple[str, Float], ...] = (("f32", np.float32), ("f64", np.float64))

ROWS = (
    *(
        Row(
            f"{name}-{suffix}",
            f"{subject}, {np.dtype(dtype).name}",
            FLOOR,
            target,
            partial(against_memory, *what, dtype),
        )
        for name, subject, target, what in (
            ("alice-quick", "Alice's quick step, its update alone", 1.25, (quick_loop, UPDATE)),
            ("alice-quick-step", "Alice's quick step, all but the evaluation", 1.25, (quick_step, QUICK_STEP)),
            (
                "alice-full",
                "Alice's full step, its three updates alone",
                1.4,
                (full_loops, POINTS + CURVATURE + UPDATE),
            ),
            ("alice-full-step", "Alice's full step, all but the evaluations", 1.4, (full_step, FULL_STEP)),
            ("quasi-newton", "quasi_newton_step with out", 1.3, (coordinate_step, STEP)),
            ("quasi-newton-new", "quasi_newton_step, a new array at every call", 1.3, (new_coordinate_step, STEP)),
        )
        for suffix, dtype in DTYPES
    ),
    Row(
        "alice-quick-adam",
        "Alice's quick step, its update alone, float32",
        ADAM,
        1.5,
        partial(against_adam, quick_loop),
    ),
    Row(
        "alice-quick-step-adam",
        "Alice's quick step, all but the evaluation, float32",
        ADAM,
        1.5,
        partial(against_adam, quick_step),
    ),
    Row("joint", "joint_quasi_newton_step with out, float64", "quasi_newton_step with out", 12, joint_step),
    Row(
        "sizes",
        "Alice's quick step, a parameter, float32, back to back",
        "itself at other sizes",
        1.3,
        partial(sizes, False),
    ),
    Row(
        "sizes-cold",
        "Alice's quick step, a parameter, float32, with empty caches",
        "itself at other sizes",
        1.3,
        partial(sizes, True),
    ),
)
