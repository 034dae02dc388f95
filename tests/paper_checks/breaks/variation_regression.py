from functools import partial

import glasscurv as gc
from glasscurv.networks.activations import ACTIVATIONS, leaky_relu
from tests.paper_checks.breaks.common import wrong_hessian_vector


def hessian_forgotten(monkeypatch):
    monkeypatch.setattr(gc.MLP, "hessian_vector", lambda net, theta, v, X, y: 0 * v)


def half_a_kink(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "relu", leaky_relu(0.5))


BREAKS = {
    "Hessian forgotten": hessian_forgotten,
    "Hessian-vector product twice as large": partial(wrong_hessian_vector, factor=2),
    "slope jump halved: leaky for ReLU": half_a_kink,
}
