from functools import partial

from paper_checks import loss_change
from tests.paper_checks.breaks.common import looking_at, wrong_hessian_vector, wrong_loss_constant

initial = loss_change._initial


def at_initialisation(break_it, *kinds):
    """One or two kinds of movement show what is broken."""
    return looking_at(
        loss_change,
        break_it,
        EXPECTED={kind: loss_change.EXPECTED[kind] for kind in kinds},
        NETWORKS=loss_change.NETWORKS | {"first": 0, "trained": 0},
        _initial=lambda *arguments: (movement for movement in initial(*arguments) if movement.kind in kinds),
    )


GRADIENT = "initial: gradient"
BOTH = (loss_change.DENSE, GRADIENT)

BREAKS = {
    "loss constant c 50 % too large": at_initialisation(partial(wrong_loss_constant, factor=1.5), *BOTH),
    "loss constant c 33 % too small": at_initialisation(partial(wrong_loss_constant, factor=2 / 3), *BOTH),
    "Hessian-vector product 50 % too large": at_initialisation(wrong_hessian_vector, GRADIENT),
}
