from functools import partial

from tests.paper_checks.breaks.common import wrong_hessian_vector, wrong_loss_constant

BREAKS = {
    "loss constant c 50 % too large": partial(wrong_loss_constant, factor=1.5),
    "loss constant c 33 % too small": partial(wrong_loss_constant, factor=2 / 3),
    "Hessian-vector product 50 % too large": wrong_hessian_vector,
}
