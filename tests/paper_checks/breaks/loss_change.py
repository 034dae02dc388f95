from functools import partial

from paper_checks import loss_change
from tests.paper_checks.breaks.common import looking_at, wrong_hessian_vector, wrong_loss_constant

KINDS = (loss_change.DENSE, "initial: 1 % of them", "initial: gradient")
initial = loss_change._initial


def some_movements(*arguments):
    return (movement for movement in initial(*arguments) if movement.kind in KINDS)


at_initialisation = partial(
    looking_at,
    loss_change,
    EXPECTED={kind: loss_change.EXPECTED[kind] for kind in KINDS},
    NETWORKS=loss_change.NETWORKS | {"first": 0, "trained": 0},
    _initial=some_movements,
)


BREAKS = {
    "loss constant c 50 % too large": at_initialisation(partial(wrong_loss_constant, factor=1.5)),
    "loss constant c 33 % too small": at_initialisation(partial(wrong_loss_constant, factor=2 / 3)),
    "Hessian-vector product 50 % too large": at_initialisation(wrong_hessian_vector),
}
