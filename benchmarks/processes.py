"""What the library costs in a new process."""

import subprocess
import sys
from functools import partial

from benchmarks.measure import Clock, Measurement, alternate
from benchmarks.row import Row, Scale

BASE = "import numpy, scipy.optimize"
FIRST_STEP = """
import numpy as np, glasscurv as gc
gradient = np.ones(100_000)
gc.Alice(np.zeros(100_000), rng=0).step(lambda theta: (1.0, gradient))
"""


def process_clock(code: str) -> Clock:
    """Return a clock of code in a new process, without the start of the interpreter.

    It runs once here, so that what is kept on disk is there.
    """
    timed = f"import time; start = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"

    def run() -> float:
        done = subprocess.run([sys.executable, "-c", timed], stdout=subprocess.PIPE, check=True, text=True)
        return float(done.stdout)

    run()
    return run


def beyond_base(code: str, scale: Scale) -> Measurement:
    """Measure by how many milliseconds an import takes longer than the import of what the library stands on."""
    sides = {"glasscurv": process_clock(code), "base": process_clock(BASE)}
    return alternate(sides, lambda subject, reference: 1e3 * (subject - reference), scale.repetitions)


def alone(code: str, scale: Scale) -> Measurement:
    """Measure seconds."""
    return alternate({"process": process_clock(code)}, float, scale.repetitions)


ROWS = (
    Row("import", "import glasscurv", BASE, 60, partial(beyond_base, "import glasscurv"), "ms"),
    Row(
        "import-alice",
        "import glasscurv; glasscurv.Alice",
        BASE,
        60,
        partial(beyond_base, "import glasscurv; glasscurv.Alice"),
        "ms",
    ),
    Row("first-step", "import and first step of Alice, warm cache", "", 0.5, partial(alone, FIRST_STEP), "s"),
)
