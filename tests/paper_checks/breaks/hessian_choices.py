import glasscurv as gc
from glasscurv.optimizers import alice


def softer_curvature(monkeypatch):
    exact = gc.quasi_newton_step
    monkeypatch.setattr(gc, "quasi_newton_step", lambda g, h, rho, eps=1e-8: exact(g, h / 1.1, rho, eps))


def wrong_hessian_moment(monkeypatch):
    monkeypatch.setattr(gc.Rademacher, "absolute_moment", lambda self, p: 1.1)


def abs_for_diagonal(monkeypatch):
    monkeypatch.setitem(alice.HESSIANS, "diagonal", alice.HESSIANS["abs"])


BREAKS = {
    "curvature 10 % too small": softer_curvature,
    "moment of the Rademacher law 10 % too large": wrong_hessian_moment,
    "row norm in place of the diagonal": abs_for_diagonal,
}
