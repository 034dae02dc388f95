from functools import partial

from paper_checks import loss_change
from tests.paper_checks.breaks.common import wrong_hessian_vector, wrong_loss_constant


def at_initialisation(break_it):
    """Break what is measured on networks that need no training: they are enough."""

    def broken(monkeypatch):
        initial = {kind: row for kind, row in loss_change.EXPECTED.items() if kind.startswith("initial")}
        monkeypatch.setattr(loss_change, "EXPECTED", initial)
        monkeypatch.setattr(loss_change, "NETWORKS", loss_change.NETWORKS | {"first": 0, "trained": 0})
        break_it(monkeypatch)

    return broken


BREAKS = {
    "loss constant c 50 % too large": at_initialisation(partial(wrong_loss_constant, factor=1.5)),
    "loss constant c 33 % too small": at_initialisation(partial(wrong_loss_constant, factor=2 / 3)),
    "Hessian-vector product 50 % too large": at_initialisation(wrong_hessian_vector),
}
