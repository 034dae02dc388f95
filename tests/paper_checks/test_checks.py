"""Every check holds as it is and fails when what it checks is broken on purpose."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import glasscurv as gc
from glasscurv.networks.activations import ACTIVATIONS
from paper_checks import outcome
from paper_checks.registry import CHECKS
from paper_checks.runner import run_checks

numba = pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes in plain Python")


def run(name, seed=0):
    (record,) = run_checks([(name, CHECKS[name])], seed)
    assert record.error is None, record.error
    return record


@pytest.mark.parametrize("name", CHECKS)
def test_check_holds(name):
    record = run(name, seed=1)
    assert record.holds, [finding for finding in record.outcome.findings if not finding.holds]
    assert record.outcome.figure is not None


@pytest.mark.parametrize("name", CHECKS)
def test_check_states_claim_source_prediction_measurement_and_tolerance(name):
    module = CHECKS[name]
    for part in ("Claim.", "Source.", "Prediction.", "Measurement.", "Tolerance."):
        assert part in module.__doc__
    assert module.CLAIM
    assert module.SOURCE


def scaled(function, factor):
    return lambda *arguments, **options: factor * function(*arguments, **options)


def steeper_relu(monkeypatch):
    relu = ACTIVATIONS["relu"]
    broken = replace(relu, derivative=lambda x: 1.1 * relu.derivative(x))
    monkeypatch.setitem(ACTIVATIONS, "relu", broken)


def smooth_relu(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "relu", ACTIVATIONS["silu"])


def kinked_tanh(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["relu"], name="tanh"))


def changed_crossings(monkeypatch, change):
    exact = gc.trace_crossings
    monkeypatch.setattr(gc, "trace_crossings", lambda *arguments, **options: change(exact(*arguments, **options)))


def missed_boundaries(monkeypatch, from_halfway=False):
    """Every other boundary is missed, perhaps only in the second half of the line."""

    def change(found):
        keep = np.arange(len(found)) % 2 == 0
        if from_halfway:
            keep |= found.position < found.distance / 2
        names = ("position", "sample", "layer", "unit", "on", "signal", "slope")
        return replace(found, **{name: getattr(found, name)[keep] for name in names})

    changed_crossings(monkeypatch, change)


def signals_without_sign(monkeypatch):
    changed_crossings(monkeypatch, lambda found: replace(found, signal=abs(found.signal)))


def shuffled_signals(monkeypatch):
    """Signals of the right law at the wrong units."""
    rng = np.random.default_rng(0)
    changed_crossings(monkeypatch, lambda found: replace(found, signal=rng.permutation(found.signal)))


def wrong_density_matrix(monkeypatch):
    exact = gc.RandomHinges.density_matrix
    monkeypatch.setattr(gc.RandomHinges, "density_matrix", lambda toy: 1.1 * exact(toy))


def wrong_loss_constant(monkeypatch, factor=1.1):
    monkeypatch.setattr("glasscurv.glass.GLASS_LOSS_COEFFICIENT", factor * gc.GLASS_LOSS_COEFFICIENT)


def wrong_hessian_vector(monkeypatch):
    monkeypatch.setattr(gc.MLP, "hessian_vector", scaled(gc.MLP.hessian_vector, 1.5))


def wrong_glass_kernel(monkeypatch, factor=1.1):
    exact = gc.glass_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel = exact(nodes)
        return replace(kernel, weights=np.sqrt(factor) * kernel.weights)

    monkeypatch.setattr(gc, "glass_kernel", broken)


def one_sided_glass_kernel(monkeypatch):
    """(g₊ − g₀)²/σ instead of the second difference: the Hessian disturbs it."""
    broken = replace(gc.glass_kernel(), weights=np.array([[0.0, -1.0, 1.0]]))
    exact = gc.glass_kernel
    monkeypatch.setattr(gc, "glass_kernel", lambda nodes=(-1, 0, 1): broken if len(nodes) == 3 else exact(nodes))


def inefficient_hessian_kernel(monkeypatch):
    """The forward difference of the two inner nodes: unbiased, but of twice the variance."""
    exact = gc.hessian_kernel

    def broken(nodes=(-1, 0, 1)):
        kernel, weights = exact(nodes), np.zeros((1, len(nodes)))
        weights[0, -2:] = np.array([-1, 1]) / (nodes[-1] - nodes[-2])
        return replace(kernel, weights=weights)

    monkeypatch.setattr(gc, "hessian_kernel", broken)


def gaussian_for_rademacher(monkeypatch):
    monkeypatch.setattr(gc, "Rademacher", gc.Gaussian)


def gaussian_estimates(monkeypatch):
    monkeypatch.setattr(gc, "estimate_curvature", partial(gc.estimate_curvature, distribution=gc.Gaussian()))


def wrong_contamination(monkeypatch):
    monkeypatch.setattr(gc, "contamination", scaled(gc.contamination, 1.1))


def constant_directions(monkeypatch):
    monkeypatch.setattr(gc.Rademacher, "sample", lambda self, n, rng: -np.ones(n))


def wrong_step_constant(monkeypatch):
    monkeypatch.setattr("glasscurv.steps.GLASS_STEP_COEFFICIENT", 1.1 * gc.GLASS_STEP_COEFFICIENT)


def wrong_joint_constant(monkeypatch):
    monkeypatch.setattr("glasscurv.steps.GLASS_LOSS_COEFFICIENT", 1.1 * gc.GLASS_LOSS_COEFFICIENT)


def hessian_dropped(monkeypatch):
    exact = gc.quasi_newton_step
    monkeypatch.setattr(gc, "quasi_newton_step", lambda g, h, rho, eps=1e-8: exact(g, 0.0, rho, eps))


def softer_curvature(monkeypatch):
    exact = gc.quasi_newton_step
    monkeypatch.setattr(gc, "quasi_newton_step", lambda g, h, rho, eps=1e-8: exact(g, h / 1.1, rho, eps))


def wrong_hessian_moment(monkeypatch):
    monkeypatch.setattr(gc.Rademacher, "absolute_moment", lambda self, p: 1.1)


def abs_for_diagonal(monkeypatch):
    from glasscurv.optimizers import alice

    monkeypatch.setitem(alice.HESSIANS, "diagonal", alice.HESSIANS["abs"])


def wrong_step_fraction(monkeypatch):
    monkeypatch.setattr(gc, "exact_step_fraction", scaled(gc.exact_step_fraction, 0.9))


def wrong_noise_variance(monkeypatch):
    from paper_checks import nesterov

    monkeypatch.setattr(nesterov, "averaged_noise_variance", scaled(nesterov.averaged_noise_variance, 1.1))


def ascending_alice(monkeypatch):
    """Alice walks up instead of down."""
    from glasscurv.core import steps

    exact = steps.alice_update

    def broken(*arguments):
        *front, step_fraction, lookahead, move = arguments
        exact(*front, -step_fraction, -lookahead, move)

    monkeypatch.setattr(steps, "alice_update", broken)


def lazy_alice(monkeypatch):
    """Steps a hundred times too short."""
    monkeypatch.setattr(gc, "Alice", lambda theta, lr, **options: ALICE(theta, lr=lr / 100, **options))


ALICE = gc.Alice

BREAKS = [
    ("boundary_jump", steeper_relu),
    ("uniformity", partial(missed_boundaries, from_halfway=True)),
    ("crossing_rate", missed_boundaries),
    ("signals", signals_without_sign),
    ("signals", shuffled_signals),
    ("exact_density", partial(wrong_glass_kernel, factor=1.7)),
    ("exact_density", partial(wrong_glass_kernel, factor=0.5)),
    ("exact_density", missed_boundaries),
    ("diffusion", smooth_relu),
    ("diffusion", kinked_tanh),
    ("diagonal_dominance", wrong_density_matrix),
    ("expected_change", wrong_loss_constant),
    ("expected_change", partial(wrong_loss_constant, factor=0.9)),
    ("loss_change", partial(wrong_loss_constant, factor=1.5)),
    ("loss_change", partial(wrong_loss_constant, factor=2 / 3)),
    ("loss_change", wrong_hessian_vector),
    ("kernels", wrong_glass_kernel),
    ("kernels", partial(wrong_glass_kernel, factor=0.9)),
    ("kernels", one_sided_glass_kernel),
    ("kernels", inefficient_hessian_kernel),
    ("shared_boundaries", constant_directions),
    ("sampling", gaussian_for_rademacher),
    ("sampling", gaussian_estimates),
    ("sampling", wrong_contamination),
    ("hessian_choices", softer_curvature),
    ("hessian_choices", wrong_hessian_moment),
    ("hessian_choices", abs_for_diagonal),
    ("optimal_step", wrong_step_constant),
    ("optimal_step", wrong_joint_constant),
    ("optimal_step", hessian_dropped),
    ("nesterov", wrong_step_fraction),
    ("nesterov", wrong_noise_variance),
    ("training", ascending_alice),
    ("training", lazy_alice),
]


@pytest.fixture(scope="module")
def networks_of_loss_change():
    """The networks of `loss_change`, trained once: no break touches how they are made, only what is made of them."""
    make, made = CHECKS["loss_change"]._networks, []

    def shared(scale, rng):
        if not made:
            made.extend(make(scale, rng))
        return made

    return shared


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a broken rule may overflow
@pytest.mark.parametrize(
    ("name", "break_it"), BREAKS, ids=[f"{name}-{getattr(b, '__name__', 'other factor')}" for name, b in BREAKS]
)
def test_check_fails_when_its_rule_is_broken(name, break_it, monkeypatch, networks_of_loss_change):
    break_it(monkeypatch)
    if name == "loss_change":
        monkeypatch.setattr(CHECKS[name], "_networks", networks_of_loss_change)
    if name == "kernels":
        monkeypatch.setattr(CHECKS[name], "NODE_SETS", ((-1, 0, 1),))  # one set of nodes is enough, and faster
    if name == "training":
        from paper_checks import training

        # The rivals of Alice are not what is broken here, and one Alice is enough.
        alice = {"Alice, both": training.OPTIMIZERS["Alice, both"]}
        monkeypatch.setattr(training, "OPTIMIZERS", alice)
    (record,) = run_checks([(name, CHECKS[name])], seed=0)
    assert not record.holds


def test_every_check_is_broken_at_least_once():
    assert {name for name, _ in BREAKS} == set(CHECKS)


# When a finding holds


def test_equality_needs_agreement_and_sharpness():
    finding = partial(outcome.Finding, "x", 1.0)
    assert finding(1.04, 0.05).holds
    assert not finding(1.06, 0.05).holds
    assert finding(1.045, 0.04, tolerance=0.01).holds
    assert not finding(1.0, 0.06).holds  # too blunt to notice an error of 10 %
    assert not finding(1.0, 0.04, tolerance=0.03).holds
    assert finding(1.0, 0.06, resolution=0.15).holds
    assert not finding(np.nan, 0.01).holds
    assert not outcome.Finding("zero", 0.0, 0.0, 0.1).holds
    assert outcome.Finding("zero", 0.0, 0.04, 0.05, scale=1.0).holds


def test_inequality_must_hold_beyond_the_interval():
    above = partial(outcome.Finding, "x", 1.0, relation=">=")
    assert above(1.2, 0.1).holds
    assert not above(1.05, 0.1).holds
    below = partial(outcome.Finding, "x", 1.0, relation="<=")
    assert below(0.8, 0.1).holds
    assert not below(0.95, 0.1).holds


def test_outcome_holds_only_if_it_found_something_and_all_of_it_holds():
    good, bad = outcome.Finding("x", 1.0, 1.0), outcome.Finding("x", 1.0, 2.0)
    assert outcome.Outcome([good]).holds
    assert not outcome.Outcome([good, bad]).holds
    assert not outcome.Outcome([]).holds


def test_interval_of_a_mean_is_five_standard_errors():
    samples = np.random.default_rng(0).standard_normal(10_000)
    finding = outcome.mean_finding("x", 0.0, samples)
    assert finding.measurement == pytest.approx(samples.mean())
    assert finding.interval == pytest.approx(5 * samples.std(ddof=1) / 100)
