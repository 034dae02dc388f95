from dataclasses import replace
from functools import partial

import numpy as np

import glasscurv as gc
from paper_checks import kernels
from tests.paper_checks.breaks.common import wrong_glass_kernel


def one_set_of_nodes(break_it):
    """Break the kernels, and look at one set of nodes alone: it is enough, and faster."""

    def broken(monkeypatch):
        monkeypatch.setattr(kernels, "NODE_SETS", ((-1, 0, 1),))
        break_it(monkeypatch)

    return broken


def one_sided_glass_kernel(monkeypatch):
    """(g₊ − g₀)²/σ instead of the second difference: the Hessian disturbs it."""
    broken = replace(gc.glass_kernel(), weights=np.array([[0.0, -1.0, 1.0]]))
    exact = gc.glass_kernel
    monkeypatch.setattr(gc, "glass_kernel", lambda nodes=(-1, 0, 1): broken if len(nodes) == 3 else exact(nodes))


def inefficient_hessian_kernel(monkeypatch):
    """The forward difference of the two inner nodes: unbiased, but of twice the variance."""
    exact = gc.hessian_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel, weights = exact(nodes), np.zeros((1, len(nodes)))
        weights[0, -2:] = np.array([-1, 1]) / (nodes[-1] - nodes[-2])
        return replace(kernel, weights=weights)

    monkeypatch.setattr(gc, "hessian_kernel", broken)


BREAKS = {
    "glass kernel 10 % too large": one_set_of_nodes(wrong_glass_kernel),
    "glass kernel 10 % too small": one_set_of_nodes(partial(wrong_glass_kernel, factor=0.9)),
    "one-sided glass kernel, which the Hessian disturbs": one_set_of_nodes(one_sided_glass_kernel),
    "Hessian kernel of the inner nodes, of twice the variance": one_set_of_nodes(inefficient_hessian_kernel),
}
