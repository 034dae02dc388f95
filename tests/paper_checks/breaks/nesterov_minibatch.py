from functools import partial

from paper_checks import nesterov_minibatch
from tests.paper_checks.breaks.common import scaled, wrong_covariance, wrong_hessian_vector, wrong_step_fraction


def few_multiples(break_it, monkeypatch):
    """The exact φ and φ = ω are enough, and faster."""
    monkeypatch.setattr(nesterov_minibatch, "MULTIPLES", (1.0, 10.0))
    break_it(monkeypatch)


def wrong_noise_variance(monkeypatch):
    monkeypatch.setattr(
        nesterov_minibatch, "averaged_noise_variance", scaled(nesterov_minibatch.averaged_noise_variance, 2)
    )


BREAKS = {
    what: partial(few_multiples, break_it)
    for what, break_it in {
        "step fraction φ 10 % too small": wrong_step_fraction,
        "step fraction φ 10 % too large": partial(wrong_step_fraction, factor=1.1),
        "Hessian-vector product 10 % too large": partial(wrong_hessian_vector, factor=1.1),
        "covariance of (2) 10 % too large": wrong_covariance,
        "noise variance twice as large": wrong_noise_variance,
    }.items()
}
