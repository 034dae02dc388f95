from functools import partial

from tests.paper_checks.breaks.common import wrong_loss_constant

BREAKS = {
    "loss constant c 10 % too large": wrong_loss_constant,
    "loss constant c 10 % too small": partial(wrong_loss_constant, factor=0.9),
}
