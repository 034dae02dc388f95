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

relu_alone = partial(looking_at, hessian_error, SLOPES=(0.0,))
# Single jumps and smooth layers: the models of a few lines of one layer say nothing.
no_models = partial(relu_alone, KINKED_LAYERS=(1,), LINES=10, _models=lambda lines: [])


def larger_signals(monkeypatch):
    changed_crossings(monkeypatch, lambda found: replace(found, signal=1.1 * found.signal))


BREAKS = {
    "loss constant c 50 % too large": relu_alone(partial(wrong_loss_constant, factor=1.5)),
    "loss constant c 50 % too small": relu_alone(partial(wrong_loss_constant, factor=0.5)),
    "Hessian-vector product 10 % too large": no_models(partial(wrong_hessian_vector, factor=1.1)),
    "Hessian-vector product 10 % too small": no_models(partial(wrong_hessian_vector, factor=0.9)),
    "signals at the boundaries 10 % too large": no_models(larger_signals),
    "every other boundary missed": no_models(missed_boundaries),
    "tanh with a kink": no_models(kinked_tanh),
}
