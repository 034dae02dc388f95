from dataclasses import replace
from functools import partial

from paper_checks import hessian_error
from tests.paper_checks.breaks.common import (
    changed_crossings,
    kinked_tanh,
    looking_at,
    missed_boundaries,
    wrong_hessian_vector,
    wrong_loss_constant,
)


def relu_alone(break_it, layers=(1,)):
    return looking_at(hessian_error, break_it, SLOPES=(0.0,), KINKED_LAYERS=layers)


def larger_signals(monkeypatch):
    changed_crossings(monkeypatch, lambda found: replace(found, signal=1.1 * found.signal))


BREAKS = {
    "loss constant c 50 % too large": relu_alone(partial(wrong_loss_constant, factor=1.5), layers=(1, 2)),
    "loss constant c 50 % too small": relu_alone(partial(wrong_loss_constant, factor=0.5), layers=(1, 2)),
    "Hessian-vector product 10 % too large": relu_alone(partial(wrong_hessian_vector, factor=1.1)),
    "Hessian-vector product 10 % too small": relu_alone(partial(wrong_hessian_vector, factor=0.9)),
    "signals at the boundaries 10 % too large": relu_alone(larger_signals),
    "every other boundary missed": relu_alone(missed_boundaries),
    "tanh with a kink": relu_alone(kinked_tanh),
}
