"""The fused loops of the estimates, against their slow rewrites and against themselves."""

import numpy as np
import pytest

import glasscurv as gc
from glasscurv import _threads
from glasscurv.core import statistics as core
from tests.oracles import slow_line


def line(size, dtype, nodes, seed=0):
    rng = np.random.default_rng(seed)
    start, *gradients = rng.standard_normal((len(nodes), size)).astype(dtype)
    gradients[0][: size // 3] = gradients[-1][: size // 3] = start[: size // 3]  # silent
    return start, tuple(gradients), np.sign(rng.standard_normal(size)).astype(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("nodes", [(-1, 0, 1), (-2, -1, 0, 1, 2), (0, 1, 3)])
@pytest.mark.parametrize("size", [1, core.BLOCK - 1, 2 * core.BLOCK + 3])
def test_the_fused_statistics_are_the_slow_rewrite(dtype, tolerance, nodes, size):
    moving = np.array(nodes) != 0
    weights = (
        gc.hessian_kernel(nodes).weights[0, moving],
        np.ascontiguousarray(gc.glass_kernel(nodes).weights[:, moving]),
    )
    start, gradients, direction = line(size, dtype, nodes)
    rows = np.ones((4, size), dtype)
    resolution = 1e-7
    sums = core.accumulate_curvature(start, *weights, direction, 0.1, resolution, *rows, gradients)
    expected, expected_sums = slow_line(start, gradients, *weights, direction, 0.1, resolution)
    np.testing.assert_allclose(rows, 1 + expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-12)


def test_sums_have_the_same_bits_on_any_number_of_threads(monkeypatch):
    size = 3 * _threads.PIECE + 17
    start, gradients, direction = line(size, np.float64, (-1, 0, 1))
    weights = np.array([-0.5, 0.5]), np.array([[0.7, 0.7]])
    runs = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(_threads, "num_threads", lambda threads=threads: threads)
        rows = np.zeros((4, size))
        arguments = (start, *weights, direction, 0.1, 1e-7, *rows, gradients)
        runs.append((_threads.parallel(core.accumulate_curvature, *arguments), rows.tobytes()))
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0][0]) == 4
