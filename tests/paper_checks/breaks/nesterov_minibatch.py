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


def on_relu_alone(break_it, monkeypatch):
    """What is broken shows without tanh, which only the figure needs."""
    monkeypatch.setattr(nesterov_minibatch, "_figure", lambda sums: None)
    monkeypatch.setattr(nesterov_minibatch, "RUNS", {"ReLU": nesterov_minibatch.RUNS["ReLU"]})
    few_multiples(break_it, monkeypatch)


def on_few_runs(break_it, monkeypatch):
    """What is broken shows on hinges or in the noise of a few runs with φ = ω; of a bias they know nothing."""
    on_relu_alone(break_it, monkeypatch)
    monkeypatch.setattr(nesterov_minibatch, "MULTIPLES", (10.0,))
    monkeypatch.setattr(nesterov_minibatch, "RUNS", {"ReLU": 4})
    monkeypatch.setattr(nesterov_minibatch, "_findings", lambda *key: [])


BREAKS = {
    "step fraction φ 10 % too small": partial(on_relu_alone, wrong_step_fraction),
    "step fraction φ 10 % too large": partial(on_relu_alone, partial(wrong_step_fraction, factor=1.1)),
    "Hessian-vector product 10 % too large": partial(few_multiples, partial(wrong_hessian_vector, factor=1.1)),
    "covariance of (2) 10 % too large": partial(on_few_runs, wrong_covariance),
    "noise variance twice as large": partial(on_few_runs, wrong_noise_variance),
}
