from functools import partial

from paper_checks import loss_change
from tests.paper_checks.breaks.common import looking_at, wrong_hessian_vector, wrong_loss_constant

at_initialisation = partial(
    looking_at,
    loss_change,
    EXPECTED={kind: row for kind, row in loss_change.EXPECTED.items() if kind.startswith("initial")},
    NETWORKS=loss_change.NETWORKS | {"first": 0, "trained": 0},
)


BREAKS = {
    "loss constant c 50 % too large": at_initialisation(partial(wrong_loss_constant, factor=1.5)),
    "loss constant c 33 % too small": at_initialisation(partial(wrong_loss_constant, factor=2 / 3)),
    "Hessian-vector product 50 % too large": at_initialisation(wrong_hessian_vector),
}
