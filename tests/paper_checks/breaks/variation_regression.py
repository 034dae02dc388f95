from functools import partial

import glasscurv as gc
from tests.paper_checks.breaks.common import smooth_relu, wrong_hessian_vector


def hessian_forgotten(monkeypatch):
    monkeypatch.setattr(gc.MLP, "hessian_vector", lambda net, theta, v, X, y: 0 * v)


BREAKS = {
    "Hessian forgotten": hessian_forgotten,
    "Hessian-vector product 10 % too large": partial(wrong_hessian_vector, factor=1.1),
    "Hessian-vector product 10 % too small": partial(wrong_hessian_vector, factor=0.9),
    "no kinks: silu for ReLU": smooth_relu,
}
