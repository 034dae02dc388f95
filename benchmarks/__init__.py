"""Ratios of running times: the library against the limit, or against itself. Run ``python -m benchmarks``.

Linear algebra runs on one thread unless OMP_NUM_THREADS says otherwise: threads that wait for each other on a busy
machine would time the machine. The variable must be set before NumPy is imported.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
