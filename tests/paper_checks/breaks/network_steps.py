import glasscurv as gc
from tests.paper_checks.breaks.common import glass_dropped, scaled


def half_of_hessian_vector(monkeypatch):
    monkeypatch.setattr(gc.MLP, "hessian_vector", scaled(gc.MLP.hessian_vector, 0.5))


BREAKS = {
    "Hessian-vector product half as large": half_of_hessian_vector,
    "glass term dropped": glass_dropped,
}
