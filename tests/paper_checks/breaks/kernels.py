from dataclasses import replace
from functools import partial

import numpy as np

import glasscurv as gc
from paper_checks import kernels
from tests.paper_checks.breaks.common import kernel_without_one_contrast, looking_at, wrong_glass_kernel

dense_lines = partial(looking_at, kernels, REGIMES={"dense": kernels.REGIMES["dense"]})


def one_sided_glass_kernel(monkeypatch):
    """(g₊ − g₀)²/σ instead of the second difference: the Hessian disturbs it."""
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        if len(kernel.nodes) > 3:
            return kernel
        return replace(kernel, weights=np.array([[0, -1, 1]]) / np.sqrt(kernel.nodes[2] - kernel.nodes[1]))

    monkeypatch.setattr(gc, "glass_kernel", broken)


def second_differences_for_kernel(monkeypatch):
    """Second differences of neighbouring nodes, not made orthogonal: unbiased, but of a larger variance."""
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        rows = [exact(kernel.nodes[k : k + 3]).weights[0] for k in range(len(kernel.nodes) - 2)]
        weights = np.zeros_like(kernel.weights)
        for k, row in enumerate(rows):
            weights[k, k : k + 3] = row
        return replace(kernel, weights=weights)

    monkeypatch.setattr(gc, "glass_kernel", broken)


def inefficient_hessian_kernel(monkeypatch):
    """The difference of the last two nodes: unbiased, but of a larger variance."""
    exact = gc.hessian_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel, weights = exact(nodes), np.zeros((1, len(nodes)))
        weights[0, -2:] = np.array([-1, 1]) / (nodes[-1] - nodes[-2])
        return replace(kernel, weights=weights)

    monkeypatch.setattr(gc, "hessian_kernel", broken)


BREAKS = {
    "glass kernel 10 % too large": dense_lines(wrong_glass_kernel),
    "glass kernel 10 % too small": dense_lines(partial(wrong_glass_kernel, factor=0.9)),
    "one-sided glass kernel, which the Hessian disturbs": dense_lines(one_sided_glass_kernel),
    "second differences averaged instead of orthogonal contrasts": dense_lines(second_differences_for_kernel),
    "one contrast of the glass kernel left out": dense_lines(kernel_without_one_contrast),
    "Hessian kernel of the last two nodes, of a larger variance": dense_lines(inefficient_hessian_kernel),
}
