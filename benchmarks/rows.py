"""The rows of the benchmark: what is timed, and against what.

The *memory floor* of a loop is the time in which its data would move at the bandwidth of the compiled triad
a[i] = b[i] + s c[i] of the same length and dtype, timed in the same run. An array counts once when it is read and once
when it is written; one that is written without being read counts twice, because the processor fetches a cache line
before it writes to it. So the triad moves four arrays. Loops with fewer written arrays reach a somewhat higher
bandwidth than the triad: a ratio can lie a little below 1.

With ``--quick`` the arrays are short and may stay in the cache, where the floor is lower and the ratios are higher.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from benchmarks.measure import Clock, Comparison, clock, compare
from glasscurv._jit import jit
from glasscurv.core import steps as core

Array = NDArray[np.floating[Any]]

TRIAD_ARRAYS = 4  # b and c are read; a is fetched and written
BATCH, LAYERS = 128, (784, 128, 10)
SAMPLES = 16


@dataclass(frozen=True)
class Scale:
    """How large and how often: the number n of parameters of a loop, and the repetitions of every row."""

    parameters: int = 10_000_000
    repetitions: int = 15


QUICK = Scale(parameters=1_000_000, repetitions=7)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    name : str
        What ``--only`` selects.
    subject, reference : str
        What is timed, and in units of what.
    measure : callable
        Takes the `Scale` and returns the `Comparison`.
    """

    name: str
    subject: str
    reference: str
    measure: Callable[[Scale], Comparison]


@jit
def triad(out: Array, b: Array, c: Array, factor: np.floating[Any]) -> None:
    """Write b + factor c into `out`."""
    for i in range(out.size):
        out[i] = b[i] + factor * c[i]


def against_memory(
    function: Callable[[], object], arrays: int, dtype: type[np.floating[Any]], scale: Scale
) -> Comparison:
    """Compare a loop that moves `arrays` arrays with its memory floor."""
    out, b, c = (np.ones(scale.parameters, dtype) for _ in range(3))
    floor = clock(partial(triad, out, b, c, dtype(2)))
    return compare(clock(function), floor, scale.repetitions, arrays / TRIAD_ARRAYS)


def alice_update(dtype: type[np.floating[Any]], scale: Scale) -> Comparison:
    """Time a quick step's pass over Alice's state: seven arrays are read, four of them written."""
    rng = np.random.default_rng(0)
    gradient, theta, average = (_normal(rng, scale.parameters, dtype) for _ in range(3))
    moment, curvature, density = (abs(_normal(rng, scale.parameters, dtype)) for _ in range(3))
    # Weights β₁, β₂; λ₁, λ₂; curvature and glass; constants; limiter and bounds; φ, ω; past the warm-up.
    options: tuple[Any, ...] = (0.9, 0.999, 0.0, 0.0, core.ABS, True, gc.GLASS_STEP_COEFFICIENT, 1e-8)
    options += (core.ADAM, 0.0, 2e-3, 0.1, 1.0, True)
    state = (gradient, theta, theta.copy(), average, moment, curvature, density)
    return against_memory(partial(core.alice_update, *state, *options), 11, dtype, scale)


def alice_curvature(dtype: type[np.floating[Any]], scale: Scale) -> Comparison:
    """Time the pass that refreshes Alice's curvature in a full step: six arrays are read, two of them written."""
    rng = np.random.default_rng(0)
    plus, minus, center = (_normal(rng, scale.parameters, dtype) for _ in range(3))
    direction = gc.Rademacher().sample(scale.parameters, rng).astype(dtype)
    curvature, density = np.zeros_like(plus), np.zeros_like(plus)
    arguments = (plus, minus, center, direction, 1e-3, 0.996, 0.0, core.ABS, 1.0, 1.0, curvature, density)
    return against_memory(partial(core.alice_curvature, *arguments), 8, dtype, scale)


def quasi_newton_step(scale: Scale) -> Comparison:
    """Time the public step, its checks and its new array included: three arrays are read, one is written afresh."""
    return against_memory(partial(gc.quasi_newton_step, *_step_arguments(scale)), 5, np.float64, scale)


def joint_step(scale: Scale) -> Comparison:
    """Time the joint step against the coordinate step."""
    arguments = _step_arguments(scale)
    joint, coordinate = partial(gc.joint_quasi_newton_step, *arguments), partial(gc.quasi_newton_step, *arguments)
    return compare(clock(joint), clock(coordinate), scale.repetitions)


def estimate(scale: Scale) -> Comparison:
    """Time an estimate on a network of about 10⁵ parameters against its gradient evaluations."""
    rng = np.random.default_rng(0)
    network = gc.MLP(LAYERS)
    theta = network.initialize(rng)
    X, y = rng.random((BATCH, LAYERS[0])), rng.integers(0, LAYERS[-1], BATCH)

    def gradient(point: Array) -> Array:
        return network.value_and_grad(point, X, y)[1]

    whole = partial(gc.estimate_curvature, gradient, theta, samples=SAMPLES, rng=1)
    return compare(clock(whole), clock(partial(gradient, theta)), scale.repetitions, scale=1 + 2 * SAMPLES)


def start(scale: Scale) -> Comparison:
    """Time the import of the library against the import of what it stands on."""
    return compare(_import_clock("glasscurv"), _import_clock("numpy, scipy.optimize"), scale.repetitions)


FLOOR = "its memory floor"

ROWS = (
    Row(
        "alice-update-f32", "Alice's quick step, update of the state, float32", FLOOR, partial(alice_update, np.float32)
    ),
    Row(
        "alice-update-f64", "Alice's quick step, update of the state, float64", FLOOR, partial(alice_update, np.float64)
    ),
    Row(
        "alice-curvature-f32",
        "Alice's full step, update of the curvature, float32",
        FLOOR,
        partial(alice_curvature, np.float32),
    ),
    Row(
        "alice-curvature-f64",
        "Alice's full step, update of the curvature, float64",
        FLOOR,
        partial(alice_curvature, np.float64),
    ),
    Row("quasi-newton", "quasi_newton_step, float64", FLOOR, quasi_newton_step),
    Row("joint", "joint_quasi_newton_step, float64", "one quasi_newton_step", joint_step),
    Row(
        "estimate",
        f"estimate_curvature with its gradient evaluations, {SAMPLES} samples of an MLP {'-'.join(map(str, LAYERS))}, "
        f"batch {BATCH}, float64, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}",
        f"the {1 + 2 * SAMPLES} gradient evaluations alone",
        estimate,
    ),
    Row("import", "import glasscurv, fresh process", "import numpy, scipy.optimize, fresh process", start),
)


def _normal(rng: np.random.Generator, n: int, dtype: type[np.floating[Any]]) -> Array:
    return (1e-3 * rng.standard_normal(n)).astype(dtype)


def _step_arguments(scale: Scale) -> tuple[Array, Array, Array]:
    """Gradient, curvature and density between which the Hessian and the glass share the step."""
    rng = np.random.default_rng(0)
    gradient, hessian, density = (_normal(rng, scale.parameters, np.float64) for _ in range(3))
    return gradient, 1e3 * abs(hessian), abs(density)


def _import_clock(modules: str) -> Clock:
    """Seconds that an import takes in a fresh process, without the start of the interpreter."""
    code = f"import time; start = time.perf_counter(); import {modules}; print(time.perf_counter() - start)"

    def run() -> float:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        return float(done.stdout)

    run()
    return run
