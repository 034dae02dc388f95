import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from paper_checks.replays import CASES, load, recorded, replay, replay_with_reference_constant
from tests.contracts import FAILURES, LR, NON_FINITE, THETA0, Fault, SecondMomentContract, identical, smooth
from tests.oracles import slow_alice

HESSIANS = ["abs", "rms", "zero", "diagonal"]
LIMITERS = ["adam", "sgdm", "fixed"]


class TestAlice(SecondMomentContract):
    def make(self, theta0, lr):
        return gc.Alice(theta0, lr, rng=5)


class TestAliceWithEveryOption(SecondMomentContract):
    drawn = 4.0

    def make(self, theta0, lr):
        return gc.Alice(
            theta0,
            lr,
            betas=(0.8, 0.99),
            eps=1e-6,
            l1=1e-3,
            l2=1e-2,
            step_fraction=0.3,
            lookahead=1.2,
            limiter="sgdm",
            lr_min=1e-3,
            lr_max=0.2,
            hessian="rms",
            quick_steps=1,
            length=1e-2,
            distribution=gc.Uniform(0.5, 1.5),
            rng=np.random.default_rng(6),
        )


class TestAliceWithTheDiagonal(SecondMomentContract):
    fixed_options = frozenset({"limiter"})

    def make(self, theta0, lr):
        return gc.Alice(theta0, lr, hessian="diagonal", quick_steps=0, limiter="fixed", rng=np.random.default_rng(7))


class TestJointAlice(SecondMomentContract):
    couples = True
    fixed_options = frozenset({"glass", "joint"})

    def make(self, theta0, lr):
        return gc.Alice(theta0, lr, joint=True, rng=8)


class Recording(gc.Rademacher):
    """Rademacher directions, kept for the test to read."""

    def __init__(self):
        object.__setattr__(self, "directions", [])

    def sample(self, n, rng):
        self.directions.append(super().sample(n, rng))
        return self.directions[-1]


class Spy:
    """A callable that keeps the points where it was called and what it returned."""

    def __init__(self, function):
        self.function = function
        self.points, self.losses, self.gradients = [], [], []

    def __call__(self, theta):
        self.points.append(theta.copy())
        loss, gradient = self.function(theta)
        self.losses.append(loss)
        self.gradients.append(gradient.copy())
        return loss, gradient


# The reference implementation


@pytest.mark.parametrize("case", CASES)
def test_replays_agree_to_the_rounding_of_the_reference_constant(case):
    truth, ours = recorded(case), replay(case)
    np.testing.assert_array_equal(ours.evaluations, truth.evaluations)
    # 0.238732 is 3/(4π) but for 1.7e-6, and each step inherits at most that much of its own length; the gradients
    # are given, so errors add up and never feed back.
    travelled = np.abs(np.diff(truth.theta, axis=0, prepend=load(case)["theta0"][None])).cumsum(axis=0)
    assert (np.abs(ours.theta - truth.theta) <= 2e-6 * travelled + 1e-15).all()
    reach = travelled + np.abs(truth.state[:, 0] - truth.theta)
    assert (np.abs(ours.state[:, 0] - truth.state[:, 0]) <= 2e-6 * reach + 1e-15).all()
    np.testing.assert_allclose(ours.points, truth.points, rtol=0, atol=2e-6 * reach.max())
    scale = np.abs(truth.state[:, 1:]).max(axis=(0, 2), keepdims=True)
    # Only L2 regularisation lets the parameters into G.
    assert (np.abs(ours.state[:, 1:] - truth.state[:, 1:]) <= 1e-11 * scale).all()


@pytest.mark.parametrize("case", CASES)
def test_replays_agree_to_rounding_with_the_reference_constant(case):
    truth, ours = recorded(case), replay_with_reference_constant(case)
    np.testing.assert_array_equal(ours.evaluations, truth.evaluations)
    np.testing.assert_allclose(ours.theta, truth.theta, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ours.points, truth.points, rtol=1e-12, atol=1e-15)
    scale = np.abs(truth.state).max(axis=(0, 2), keepdims=True)
    assert (np.abs(ours.state - truth.state) <= 1e-12 * scale).all()


@pytest.mark.parametrize("case", ["case1", "case7"])
def test_replays_tell_the_exact_constant_from_the_rounded_one(case):
    # otherwise the two tests above would say nothing about the constant
    truth, ours = recorded(case), replay(case)
    travelled = np.abs(truth.theta[-1] - load(case)["theta0"]).max()
    assert np.abs(ours.theta - truth.theta).max() > 5e-8 * travelled


# The slow rewrite of section 8


def hinged(seed, n):
    """A random smooth and kinked loss: ½ θᵀAθ + Σ sin(θ_i + a_i) + Σ s_k relu(a_k·θ − b_k)."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    phases, normals = rng.uniform(0, 6, n), rng.normal(size=(40, n))
    offsets, signals = rng.uniform(-3, 3, 40), rng.normal(size=40)

    def function(theta):
        margins = normals @ theta - offsets
        loss = 0.5 * np.sum((root @ theta) ** 2) + np.sin(theta + phases).sum() + signals @ np.maximum(margins, 0)
        return float(loss), root.T @ (root @ theta) + np.cos(theta + phases) + (signals * (margins > 0)) @ normals

    return function, rng.normal(size=n)


OPTIONS = st.fixed_dictionaries(
    {
        "betas": st.tuples(st.sampled_from([0.0, 0.5, 0.8, 0.9]), st.sampled_from([0.8, 0.9, 0.99, 0.999])),
        "eps": st.sampled_from([1e-8, 1e-4, 1e-1]),
        "l1": st.sampled_from([0.0, 0.3]),
        "l2": st.sampled_from([0.0, 0.1]),
        "step_fraction": st.sampled_from([0.0, 0.1, 1.0]),
        "lookahead": st.sampled_from([0.0, 1.0, 1.3]),
        "limiter": st.sampled_from(LIMITERS),
        "lr_min": st.sampled_from([0.0, 1e-3, 1e-2]),
        "lr_max": st.sampled_from([1e-2, 3e-2, 1.0]),
        "hessian": st.sampled_from(HESSIANS),
        "glass": st.booleans(),
        "quick_steps": st.integers(0, 4),
        "length": st.sampled_from([1e-2, 0.5]),
    }
)


def check_against_the_rewrite(seed, n, options):
    """Run Alice on a real problem; the rewrite must ask for the same points, and is given the same gradients there.

    So differences of rounding add up but never feed back through the problem, and the tolerance is near rounding.
    """
    function, theta0 = hinged(seed, n)
    law, spy = Recording(), Spy(function)
    optimizer = gc.Alice(theta0, 0.01, **options, distribution=law, rng=seed)
    path = []
    for _ in range(24):
        loss = optimizer.step(spy)
        path.append((loss, {"theta": optimizer.theta, **{name: a.copy() for name, a in optimizer.state.items()}}))
    known = zip(spy.points, spy.losses, spy.gradients, strict=True)

    def recorded(point):
        expected, loss, gradient = next(known)
        np.testing.assert_allclose(point, expected, rtol=1e-12, atol=1e-13)
        return loss, gradient

    for (loss, state), (expected, expected_loss) in zip(
        path, slow_alice(recorded, theta0, law.directions, 24, options), strict=True
    ):
        assert loss == expected_loss
        assert state.keys() == expected.keys()
        for name in state:
            np.testing.assert_allclose(state[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=name)
    assert next(known, None) is None


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4), options=OPTIONS)
def test_alice_agrees_with_a_slow_rewrite_of_the_theory(seed, n, options):
    check_against_the_rewrite(seed, n, options)


class Chosen(gc.Rademacher):
    """Rademacher directions of some parameters among all."""

    def __init__(self, kept):
        object.__setattr__(self, "kept", kept)

    def sample(self, n, rng):
        return super().sample(self.kept.size, rng)[self.kept if n < self.kept.size else slice(None)]


def noise(seed, n):
    """Gradients that do not depend on the point."""
    rng = np.random.default_rng(seed)
    theta0 = rng.normal(size=n)
    return lambda theta: (0.0, rng.normal(size=n)), theta0


def check_against_the_parameters_that_are_kept(problem, seed, kept, options, tolerance):
    """Masked parameters are 0 wherever the loss is asked for; the others move as if there were no more."""
    (function, theta0), (same, _) = problem(seed, kept.size), problem(seed, kept.size)

    def watched(theta):
        assert not theta[~kept].any()
        return function(theta)

    def of_few(theta):
        whole = np.zeros(kept.size)
        whole[kept] = theta
        loss, gradient = same(whole)
        return loss, gradient[kept]

    masked, few = (gc.Alice(t, 0.01, **options, distribution=Chosen(kept), rng=seed) for t in (theta0, theta0[kept]))
    masked.mask = kept
    for _ in range(24):
        np.testing.assert_allclose(masked.step(watched), few.step(of_few), rtol=tolerance)
    for name, array in {"theta": few.theta, **few.state}.items():
        full = masked.state_dict()["arrays"][name]
        np.testing.assert_allclose(full[kept], array, rtol=tolerance, atol=tolerance, err_msg=name)
        assert full[~kept].tobytes() == bytes(8 * np.count_nonzero(~kept))


MASKS = st.lists(st.booleans(), min_size=2, max_size=5).filter(any).map(np.array)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), kept=MASKS, options=OPTIONS, free=st.booleans())
def test_masked_alice_is_alice_of_the_parameters_that_are_kept(seed, kept, options, free):
    check_against_the_parameters_that_are_kept(hinged, seed, kept, options | {"lr_max": None} if free else options, 0)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), kept=MASKS, options=OPTIONS)
def test_masked_joint_alice_is_joint_alice_of_the_parameters_that_are_kept(seed, kept, options):
    # The sum over all parameters is rounded in another order, but the rounding never feeds back through the problem.
    check_against_the_parameters_that_are_kept(noise, seed, kept, options | {"glass": True, "joint": True}, 1e-12)


def path_end(steps, **options):
    function, theta0 = hinged(3, 4)
    optimizer = gc.Alice(theta0, 0.01, rng=1, **options)
    for _ in range(steps):
        optimizer.step(function)
    return optimizer.theta


def all_differ(ends):
    return all(np.abs(one - other).min() > 1e-6 for one, other in itertools.combinations(ends, 2))


# The comparison with the rewrite has teeth only if the options matter on this problem.


def test_every_choice_of_curvature_changes_the_path():
    choices = itertools.product(HESSIANS, [True, False])
    assert all_differ([path_end(14, hessian=h, glass=g, limiter="fixed", lr_max=1e6, length=0.5) for h, g in choices])


@pytest.mark.parametrize("bounds", [{"lr_min": 0.0, "lr_max": 0.01}, {"lr_min": 10.0, "lr_max": 20.0}])
def test_every_limiter_changes_the_path(bounds):
    assert all_differ([path_end(14, limiter=limiter, **bounds) for limiter in LIMITERS])


# Curvature


def dense_quadratic():
    hessian = np.array([[2.0, 1.5, -1.0, 0.5], [1.5, 2.0, 0.75, -2.0], [-1.0, 0.75, -1.0, 1.0], [0.5, -2.0, 1.0, 1.0]])
    return hessian, gc.Quadratic(hessian).value_and_grad


def measured_curvature(hessian_choice, steps, **options):
    # A memory so long that the running average stays a plain mean; a step too short to matter on a quadratic.
    _, function = dense_quadratic()
    optimizer = gc.Alice(
        np.array([0.3, -0.2, 0.1, 0.4]),
        1e-6,
        betas=(0.9, 1 - 1e-7),
        hessian=hessian_choice,
        quick_steps=0,
        length=0.25,
        rng=11,
        **options,
    )
    for _ in range(steps):
        optimizer.step(function)
    return optimizer.state["curvature"]


def test_diagonal_curvature_converges_to_the_true_diagonal():
    hessian, _ = dense_quadratic()
    diagonal, steps = np.diag(hessian), 1500
    # z_i(Hz)_i has variance Σ_{j≠i} H_ij²; 6 standard errors (error rate 1e-8)
    deviation = np.sqrt((hessian**2).sum(axis=1) - diagonal**2)
    measured = measured_curvature("diagonal", steps)
    assert (abs(measured - diagonal) < 6 * deviation / math.sqrt(steps)).all()
    assert measured[2] < 0  # the sign is kept; the step takes the absolute value


@pytest.mark.parametrize("choice", ["abs", "zero", "rms"])
def test_absolute_and_square_curvature_converge_to_row_norms(choice):
    hessian, _ = dense_quadratic()
    steps, power = 1500, 2 if choice == "rms" else 1
    products = np.abs(np.array(list(itertools.product([-1, 1], repeat=4))) @ hessian) ** power
    expected, deviation = products.mean(axis=0), products.std(axis=0)
    measured = measured_curvature(choice, steps)
    assert (abs(measured - expected) < 6 * deviation / math.sqrt(steps) + 1e-9).all()
    norms = np.linalg.norm(hessian, axis=1)
    if choice == "rms":
        np.testing.assert_allclose(expected, norms**2, rtol=1e-12)
    else:
        assert (expected >= norms / math.sqrt(2) - 1e-12).all()  # Khintchine
        assert (expected <= norms).all()
    # and none of these is the diagonal
    assert (abs(measured ** (1 / power)) > 1.1 * abs(np.diag(hessian))).all()


@pytest.mark.parametrize(("choice", "expected"), [("abs", 3.0), ("rms", 9.0), ("diagonal", 3.0), ("zero", 3.0)])
@pytest.mark.parametrize("law", [gc.Gaussian(), gc.Uniform(0.0, 2.0)])
def test_curvature_is_unbiased_for_other_distributions(law, choice, expected):
    optimizer = gc.Alice(
        np.full(50, 0.1),
        1e-9,
        betas=(0.9, 1 - 1e-9),
        hessian=choice,
        quick_steps=0,
        length=0.5,
        distribution=law,
        rng=2,
    )
    for _ in range(100):
        optimizer.step(lambda theta: (1.5 * theta @ theta, 3.0 * theta))
    # a mean of 5000 terms, each expected·|z|^p/E|z|^p
    power = 2 if choice in ("rms", "diagonal") else 1
    relative = math.sqrt(law.absolute_moment(2 * power) / law.absolute_moment(power) ** 2 - 1)
    assert relative > 0.5  # a law without spread would prove nothing
    assert abs(optimizer.state["curvature"].mean() / expected - 1) < 6 * relative / math.sqrt(5000)


@pytest.mark.parametrize("law", [gc.Gaussian(), gc.Uniform(0.5, 1.5)])
def test_density_is_unbiased_for_other_distributions(law):
    # One hinge a coordinate, at a distance b ~ U[−2, 2]: it is crossed with probability σ|z|/4 on each side, the
    # variation is then 1, so g₊ + g₋ − 2g₀ = ±1 and ρ = E[v²]/(σ E|z|) = 1/4, wherever the hinge is.
    rng = np.random.default_rng(4)
    n, steps, length = 400, 60, 0.2
    measured = []
    for _ in range(steps):
        offsets = rng.uniform(-2, 2, n)
        optimizer = gc.Alice(np.zeros(n), 1e-3, quick_steps=0, length=length, distribution=law, rng=rng)
        optimizer.step(lambda theta, b=offsets: (0.0, 1.0 * (theta > b)))
        measured.append(optimizer.state["density"])
    measured = np.array(measured)
    # 2·(½)²/σ when exactly one side is crossed: Bernoulli with probability 2·σ|z|/4
    assert set(np.unique(np.round(measured * length * law.absolute_moment(1), 12))) == {0.0, 0.5}
    error = measured.std() / math.sqrt(measured.size)
    assert abs(measured.mean() - 0.25) < 6 * error
    assert 6 * error < 0.05


def test_a_memory_shorter_than_the_period_keeps_only_the_last_measurement():
    # β₃ = 1 − P(1 − β₂) would be negative here: the running average never extrapolates
    function, theta0 = hinged(8, 3)
    spy, law = Spy(function), Recording()
    optimizer = gc.Alice(theta0, 0.01, betas=(0.5, 0.5), quick_steps=3, hessian="abs", distribution=law, rng=0)
    for step in range(1, 13):
        before = len(spy.points)
        optimizer.step(spy)
        if optimizer.is_full_step(step):
            plus, minus, center = spy.gradients[before:]
            expected = abs(plus - minus) / 0.02
            np.testing.assert_allclose(optimizer.state["curvature"], expected, rtol=1e-14)
            density = 2 * (0.5 * ((plus - center) + (minus - center))) ** 2 / 0.01
            np.testing.assert_allclose(optimizer.state["density"], density, rtol=1e-14)


# The shape of a run


@pytest.mark.parametrize(
    ("beta", "steps"),
    [(0.0, 1), (0.5, 2), (0.6, 2), (0.75, 4), (0.8, 5), (0.9, 10), (0.875, 8), (0.95, 19)],
)
def test_warm_up_lasts_one_over_one_minus_beta_steps(beta, steps):
    optimizer = gc.Alice(THETA0, LR, betas=(beta, 0.999), quick_steps=1000, rng=0)
    moved = []
    for _ in range(steps + 1):
        optimizer.step(smooth)
        moved.append(not np.array_equal(optimizer.theta, THETA0))
    assert moved == [False] * steps + [True]
    assert optimizer.evaluations == 3 * steps + 1


@pytest.mark.parametrize(
    "options", [{}, {"lr_min": 0.01, "limiter": "fixed"}, {"l1": 1.0, "l2": 1.0}, {"glass": False}]
)
def test_warm_up_does_not_move_the_parameters(options):
    optimizer = gc.Alice(THETA0, LR, rng=0, **options)
    for _ in range(10):
        optimizer.step(smooth)
        assert optimizer.theta.tobytes() == THETA0.tobytes()
        assert optimizer.state["lookahead"].tobytes() == THETA0.tobytes()
    optimizer.step(smooth)
    assert (optimizer.theta != THETA0).all()


def test_averages_are_plain_means_during_the_warm_up():
    rng = np.random.default_rng(0)
    optimizer = gc.Alice(np.zeros(3), LR, rng=1)
    seen = []

    def noisy(theta):
        seen.append(rng.normal(size=3))
        return 0.0, seen[-1]

    for step in range(1, 11):
        optimizer.step(noisy)
        plus, minus, center = (np.array(seen[k::3]) for k in range(3))
        state = optimizer.state
        assert len(center) == step
        np.testing.assert_allclose(state["gradient"], center.mean(axis=0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(state["second_moment"], (center**2).mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(state["curvature"], abs(plus - minus).mean(axis=0) / (2 * LR), rtol=1e-12)
        density = 2 * ((plus + minus) / 2 - center) ** 2 / LR
        np.testing.assert_allclose(state["density"], density.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("quick_steps", [0, 1, 3, 6])
def test_the_curvature_of_the_warm_up_is_forgotten_slowly(quick_steps):
    # A loss whose curvature is 1 in the warm-up and 0 afterwards: C is the weight of the warm-up.
    optimizer, period, weight = gc.Alice([1.0], LR, quick_steps=quick_steps, rng=0), quick_steps + 1, 1.0
    for step in range(1, 1 + round(1 / (period * 0.001))):
        optimizer.step(lambda theta, h=float(step <= 10): (0.0, h * theta))
        weight *= 1 - 1 / step if step > 10 and step % period == 0 else 1
        np.testing.assert_allclose(optimizer.state["curvature"], weight, rtol=1e-9)
    assert weight == pytest.approx((10 / step) ** (1 / period), rel=0.07)


@pytest.mark.parametrize("quick_steps", [0, 1, 3, 6])
def test_full_steps_take_three_gradients_and_quick_steps_one(quick_steps):
    optimizer = gc.Alice(THETA0, LR, quick_steps=quick_steps, rng=0)
    spy = Spy(smooth)
    counts = []
    for _ in range(40):
        before = len(spy.points)
        optimizer.step(spy)
        counts.append(len(spy.points) - before)
    assert counts == [3 if t <= 10 or t % (quick_steps + 1) == 0 else 1 for t in range(1, 41)]
    assert [optimizer.is_full_step(t) for t in range(1, 41)] == [count == 3 for count in counts]
    assert optimizer.evaluations == sum(counts)


def test_gradients_are_taken_on_both_sides_and_then_at_the_lookahead_point():
    law, spy = Recording(), Spy(smooth)
    optimizer = gc.Alice(THETA0, LR, quick_steps=0, length=0.125, distribution=law, rng=0)
    for step in range(15):
        nu = optimizer.state["lookahead"].copy()
        loss = optimizer.step(spy)
        plus, minus, center = spy.points[3 * step :]
        z = law.directions[step]
        assert set(np.abs(z)) == {1.0}
        assert np.array_equal(plus, nu + 0.125 * z)
        assert np.array_equal(minus, nu - 0.125 * z)
        assert np.array_equal(center, nu)
        assert loss == smooth(nu)[0]


def test_the_perturbation_length_is_the_current_learning_rate_unless_given():
    for length, expected in [(None, LR / 4), (0.3, 0.3)]:
        spy = Spy(smooth)
        optimizer = gc.Alice(np.zeros(6), LR, length=length, rng=0)
        optimizer.lr = LR / 4
        optimizer.step(spy)
        assert set(np.abs(spy.points[0])) == {expected}


def test_a_failure_can_hit_each_of_the_three_evaluations():
    # the contract fails every evaluation of a step in turn: here that is three of them, after the warm-up too
    optimizer = gc.Alice(THETA0, LR, rng=5)
    for _ in range(11):
        optimizer.step(smooth)
    before = optimizer.state_dict()
    for at in (1, 2, 3):
        for outcome, exception in [(NON_FINITE["nan entry"], gc.NonFiniteError), FAILURES["exception"]]:
            fault = Fault(at, outcome)
            with pytest.raises(exception):
                optimizer.step(fault)
            assert fault.calls == at
            assert identical(optimizer.state_dict(), before)


def test_the_random_generator_is_used_and_restored():
    rng = np.random.default_rng(3)
    optimizer = gc.Alice(THETA0, LR, rng=rng)
    saved = optimizer.state_dict()
    optimizer.step(smooth)
    assert rng.bit_generator.state != saved["rng"]
    optimizer.load_state_dict(saved)
    assert rng.bit_generator.state == saved["rng"]


def test_different_seeds_take_different_directions():
    spies = [Spy(smooth), Spy(smooth)]
    for seed, spy in enumerate(spies):
        optimizer = gc.Alice(THETA0, LR, rng=seed)
        for _ in range(10):
            optimizer.step(spy)
    # 60 signs: equal by chance with probability 2^-60
    assert not np.array_equal(spies[0].points, spies[1].points)


# Bounds and special cases


def test_the_default_upper_bound_is_twice_the_learning_rate():
    optimizer = gc.Alice(THETA0, lr=0.03)
    assert (optimizer.lr_min, optimizer.lr_max) == (0.0, 0.06)


def test_the_default_step_fraction_is_the_exact_one():
    assert gc.Alice(THETA0, betas=(0.75, 0.999), lookahead=2.0).step_fraction == 0.5
    assert gc.Alice(THETA0, betas=(0.75, 0.999), lookahead=2.0, step_fraction=0.1).step_fraction == 0.1


def test_bounds_scale_with_the_learning_rate():
    optimizer = gc.Alice(THETA0, lr=0.25, lr_min=0.125, lr_max=0.5)
    optimizer.lr = 0.0625
    assert (optimizer.lr, optimizer.lr_min, optimizer.lr_max) == (0.0625, 0.03125, 0.125)
    optimizer.lr = 0.25
    assert (optimizer.lr, optimizer.lr_min, optimizer.lr_max) == (0.25, 0.125, 0.5)


def test_many_changes_of_the_learning_rate_leave_no_rounding_behind():
    optimizer = gc.Alice(THETA0, lr=0.3, lr_min=0.1, lr_max=0.7, rng=0)
    for rate in np.random.default_rng(0).uniform(1e-6, 1.0, 1000):
        optimizer.lr = rate
        assert optimizer.lr_min == 0.1 * (rate / 0.3)
    optimizer.lr = 0.3
    assert (optimizer.lr, optimizer.lr_min, optimizer.lr_max) == (0.3, 0.1, 0.7)


def test_the_default_upper_bound_is_twice_whatever_the_learning_rate_is():
    optimizer = gc.Alice(THETA0, lr=0.3)
    for rate in (0.1, 0.7, np.arange(1.0, 7.0)):
        optimizer.lr = rate
        assert np.array_equal(optimizer.lr_max, 2 * rate)


def test_bounds_are_copies():
    optimizer = gc.Alice(THETA0, np.full(6, 0.25), lr_min=0.125)
    optimizer.lr_min[:] = 9
    optimizer.lr_max[:] = 9
    assert np.array_equal(optimizer.lr_min, np.full(6, 0.125))
    assert np.array_equal(optimizer.lr_max, np.full(6, 0.5))


def test_a_run_that_was_resumed_under_a_schedule_continues_bit_for_bit():
    schedule = gc.schedules.cosine(0.1, 40)
    one = gc.Alice(THETA0, 0.3, lr_min=0.01, lr_max=0.2, limiter="fixed", rng=0)
    # built with another rate: the one for which the bounds were given is part of the state
    other = gc.Alice(THETA0, 0.7, lr_min=0.01, lr_max=0.2, limiter="fixed", rng=1)
    for t in range(40):
        one.lr = schedule(t)
        one.step(smooth)
        if t == 17:
            other.load_state_dict(one.state_dict())
        if t > 17:
            other.lr = schedule(t)
            other.step(smooth)
    assert identical(one.state_dict(), other.state_dict())


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"lr": 0.0}, "lr must be finite and > 0, got 0.0"),
        ({"base_lr": 0.0}, "base_lr must be finite and > 0, got 0.0"),
        ({"base_lr": -1.0}, "base_lr must be finite and > 0, got -1.0"),
        ({"base_lr": np.full(2, 1.0)}, r"base_lr must have shape \(6,\), got \(2,\)"),
        ({"lr": np.array([1.0, 1, 1, 0, 1, 1])}, "lr must be > 0, got 0.0 at index 3"),
        ({"lr": 1e-3, "base_lr": 1e-3}, "lr_min must not exceed lr_max, got 0.01 and 0.002"),
        ({"lr": np.array([1.0, 1, 1, 1e-9, 1, 1]), "base_lr": 1e-3}, "got 10.0 and 2.0 at index 0"),
    ],
)
def test_unusable_saved_rates_are_refused(hyperparameters, message):
    optimizer = gc.Alice(THETA0, 0.1, lr_min=0.01, rng=0)
    state = optimizer.state_dict()
    before = optimizer.state_dict()
    state["hyperparameters"] |= hyperparameters
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert identical(optimizer.state_dict(), before)


def test_a_schedule_scales_the_steps():
    # with equal bounds and the limiter "fixed" every step is the bound itself
    optimizer = gc.Alice(
        THETA0, 0.5, betas=(0.0, 0.9), limiter="fixed", lr_min=0.5, lr_max=0.5, step_fraction=1.0, length=1e-3, rng=0
    )
    optimizer.step(smooth)
    for rate in (0.5, 0.25, 0.125, 0.0625, 0.5):
        optimizer.lr = rate
        before = optimizer.theta
        optimizer.step(smooth)
        np.testing.assert_allclose(abs(optimizer.theta - before), rate, rtol=0, atol=1e-15)


def test_no_step_leaves_its_bounds():
    for limiter in LIMITERS:
        optimizer = gc.Alice(THETA0, LR, limiter=limiter, lr_min=0.01, lr_max=0.02, step_fraction=1.0, rng=0)
        for step in range(1, 25):
            before = optimizer.theta
            optimizer.step(smooth)
            state = optimizer.state
            g = abs(state["gradient"])
            unit = {"fixed": 1.0, "sgdm": g, "adam": g / (np.sqrt(state["second_moment"]) + 1e-8)}[limiter]
            if step > 10:
                moved = abs(optimizer.theta - before)
                assert (moved >= 0.01 * unit - 1e-15).all()
                assert (moved <= 0.02 * unit + 1e-15).all()


def without_memory(limiter):
    """Past a warm-up of one step with β₁ = 0, where the centre takes whole steps and G is the gradient there."""
    optimizer = gc.Alice(
        THETA0, LR, betas=(0.0, 0.875), limiter=limiter, lr_min=0.125, lr_max=0.125, step_fraction=1.0, rng=0
    )
    optimizer.step(smooth)
    return optimizer


def test_equal_fixed_bounds_are_sign_descent():
    optimizer = without_memory("fixed")
    for _ in range(20):
        before = optimizer.theta
        optimizer.step(smooth)
        expected = before - 0.125 * np.sign(smooth(before)[1])
        np.testing.assert_allclose(optimizer.theta, expected, rtol=0, atol=1e-15)


def test_without_a_slope_the_lower_bound_points_up():
    # section 8: the sign is −1 where G > 0, otherwise +1
    optimizer = gc.Alice(np.zeros(2), LR, betas=(0.0, 0.9), limiter="fixed", lr_min=0.03, step_fraction=1.0, rng=0)
    for _ in range(3):
        optimizer.step(lambda theta: (0.0, np.zeros(2)))
    assert optimizer.theta.tolist() == [0.06, 0.06]


def test_equal_sgdm_bounds_are_sgd():
    optimizer, sgd = without_memory("sgdm"), gc.SGD(THETA0, 0.125)
    for _ in range(20):
        optimizer.step(smooth)
        sgd.step(smooth)
        np.testing.assert_allclose(optimizer.theta, sgd.theta, rtol=1e-13, atol=1e-14)


def test_equal_adam_bounds_are_adam_without_bias_correction():
    optimizer = gc.Alice(
        THETA0,
        LR,
        betas=(0.5, 0.875),
        limiter="adam",
        lr_min=0.125,
        lr_max=0.125,
        lookahead=1.0,
        step_fraction=1.0,
        rng=0,
    )
    theta, m, v = THETA0.copy(), np.zeros(6), np.zeros(6)
    for t in range(1, 31):
        g = smooth(theta)[1]
        m += (1 - min(0.5, (t - 1) / t)) * (g - m)
        v += (1 - min(0.875, (t - 1) / t)) * (g**2 - v)
        if t > 2:
            theta -= 0.125 * m / (np.sqrt(v) + 1e-8)
        optimizer.step(smooth)
        np.testing.assert_allclose(optimizer.theta, theta, rtol=1e-12, atol=1e-13)


def test_the_glass_shortens_steps_and_the_hessian_too():
    function, theta0 = hinged(5, 4)
    moved = {}
    for hessian, glass in itertools.product(["zero", "abs"], [True, False]):
        optimizer = gc.Alice(theta0, 1e-2, hessian=hessian, glass=glass, limiter="fixed", lr_max=1e9, rng=0)
        for _ in range(11):
            optimizer.step(function)
        moved[hessian, glass] = abs(optimizer.theta - theta0)
    assert (moved["abs", True] < moved["abs", False]).all()
    assert (moved["abs", True] < moved["zero", True]).all()
    # with neither, only ε limits the step to |g|/ε
    assert (moved["zero", False] > 1e5).all()


def test_the_second_moment_and_density_do_not_see_the_regularisation():
    plain, regularised = (gc.Alice(THETA0, LR, l1=w, l2=w, rng=0) for w in (0.0, 0.5))
    for _ in range(10):
        plain.step(smooth)
        regularised.step(smooth)
    for name in ("second_moment", "density"):
        assert np.array_equal(plain.state[name], regularised.state[name])
    # s(x) = −1 for x < 0, otherwise +1
    expected = plain.state["gradient"] + 0.5 * np.where(THETA0 < 0, -1, 1) + 0.5 * THETA0
    np.testing.assert_allclose(regularised.state["gradient"], expected, rtol=1e-14)
    np.testing.assert_allclose(regularised.state["curvature"], plain.state["curvature"] + 0.5, rtol=1e-14)


def test_l1_pushes_a_parameter_at_zero_down():
    optimizer = gc.Alice(np.zeros(2), LR, betas=(0.0, 0.9), l1=0.5, rng=0)
    for _ in range(2):
        optimizer.step(lambda theta: (0.0, np.zeros(2)))
    assert (optimizer.theta < 0).all()


# A learning rate for every parameter is Alice in coordinates that are scaled by it


def in_scaled_coordinates(function, scales):
    def scaled(phi):
        loss, gradient = function(scales * phi)
        return loss, scales * gradient

    return scaled


def scaled_pair(function, theta0, scales, **options):
    """Alice with lr·scales on a loss, and scales times Alice with lr on that loss of the scaled parameters."""
    one = gc.Alice(theta0, 0.01 * scales, rng=1, **options)
    other = gc.Alice(theta0 / scales, 0.01, rng=1, **options)
    paths = [], []
    for _ in range(24):
        one.step(function)
        other.step(in_scaled_coordinates(function, scales))
        paths[0].append(one.theta)
        paths[1].append(scales * other.theta)
    return np.array(paths)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("hessian", HESSIANS)
@pytest.mark.parametrize("limiter", ["adam", "fixed"])
def test_a_vector_of_rates_is_alice_in_scaled_coordinates(limiter, hessian, joint):
    function, theta0 = hinged(3, 5)
    # powers of 4: the scales and the roots of their powers round nothing
    scales = np.array([1.0, 4.0, 0.25, 16.0, 1.0])
    options = {"limiter": limiter, "hessian": hessian, "joint": joint, "eps": 1e-300, "quick_steps": 1}
    # the same with bounds that never bind: the length of the quasi-Newton step itself
    free = {"lr_max": 1e9, "step_fraction": 1e-3, "lookahead": 1e-2, "quick_steps": 0}
    for bounds in ({}, free):
        one, other = scaled_pair(function, theta0, scales, **options | bounds)
        assert np.abs(one[-1] - theta0).min() > 1e-5
        if joint:  # whose scale S is found through logarithms
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)
        else:
            assert np.array_equal(one, other)


def test_the_sgdm_limiter_is_not_free_of_units():
    function, theta0 = hinged(3, 5)
    one, other = scaled_pair(
        function, theta0, np.array([1.0, 4.0, 0.25, 16.0, 1.0]), limiter="sgdm", lr_max=1e-3, eps=1e-300
    )
    assert np.abs(one - other).max() > 1e-2


# The joint step


def slow_joint_displacement(optimizer, options):
    state = optimizer.state
    h = {
        "zero": lambda average: 0 * average,
        "abs": lambda average: average,
        "rms": np.sqrt,
        "diagonal": abs,
    }[options["hessian"]](state["curvature"])
    step = gc.joint_quasi_newton_step(state["gradient"], h, state["density"], eps=optimizer.eps)
    bounds = optimizer.lr_min, optimizer.lr_max, optimizer.limiter, optimizer.eps
    return gc.bound_step(step, state["gradient"], state["second_moment"], *bounds)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("hessian", HESSIANS)
def test_the_joint_step_is_that_of_the_public_functions(hessian, limiter, dtype):
    function, theta0 = hinged(5, 4)
    options = {"hessian": hessian, "limiter": limiter, "lr_min": 1e-4, "step_fraction": 0.25}
    options["lr_max"] = 0.5 if limiter == "sgdm" else 10.0
    joint, apart = (
        gc.Alice(theta0.astype(dtype), 0.5, joint=joint, lookahead=0.5, rng=0, **options) for joint in (True, False)
    )
    for step in range(1, 25):
        before = joint.theta
        joint.step(function)
        apart.step(function)
        if step > 10:
            displacement = slow_joint_displacement(joint, options)
            assert displacement.dtype == dtype
            wide = displacement.astype(np.float64)
            assert np.array_equal(joint.state["lookahead"], (before + 0.5 * wide).astype(dtype))
            assert np.array_equal(joint.theta, (before + 0.25 * wide).astype(dtype))
        else:
            assert np.array_equal(joint.theta, theta0.astype(dtype))
    assert not np.array_equal(joint.theta, apart.theta)


def test_the_joint_step_of_one_parameter_is_the_coordinate_step():
    function, theta0 = hinged(6, 1)
    joint, apart = (gc.Alice(theta0, 0.05, joint=joint, limiter="fixed", lr_max=10.0, rng=0) for joint in (True, False))
    for _ in range(30):
        joint.step(function)
        apart.step(function)
        np.testing.assert_allclose(joint.theta, apart.theta, rtol=1e-10)
    assert abs(joint.theta - theta0) > 1e-2


def test_the_joint_step_is_longer():
    function, theta0 = hinged(5, 4)
    moved = {}
    for joint in (True, False):
        optimizer = gc.Alice(theta0, 1e-2, joint=joint, limiter="fixed", lr_max=1e9, length=0.5, rng=0)
        for _ in range(11):
            optimizer.step(function)
        moved[joint] = abs(optimizer.theta - theta0)
    assert (moved[True] > 1.01 * moved[False]).all()


def test_a_joint_step_without_glass_or_slope_is_the_coordinate_step():
    quadratic = dense_quadratic()[1]
    joint, apart = (gc.Alice(np.ones(4), 0.125, joint=joint, length=0.5, rng=0) for joint in (True, False))
    for _ in range(14):
        joint.step(quadratic)
        apart.step(quadratic)
    # the density is rounding, and nothing of it is left
    np.testing.assert_allclose(joint.theta, apart.theta, rtol=1e-6)
    still = gc.Alice(np.ones(4), 0.1, joint=True, rng=0)
    for _ in range(14):
        still.step(lambda theta: (0.0, np.zeros(4)))
    assert np.array_equal(still.theta, np.ones(4))


# Nesterov exactness, section 7


def nesterov_defect(steps=60, **options):
    """The largest |G − ∇L(μ)| over a run on a quadratic, the regularisation included in L."""
    rng = np.random.default_rng(9)
    root = rng.normal(size=(5, 5))
    quadratic = gc.Quadratic(root @ root.T + np.eye(5), linear=rng.normal(size=5))
    optimizer = gc.Alice(rng.normal(size=5), 0.02, rng=1, **options)
    l1, l2 = options.get("l1", 0.0), options.get("l2", 0.0)
    defects = []
    for _ in range(steps):
        mu = optimizer.theta
        optimizer.step(quadratic.value_and_grad)
        gradient = quadratic.gradient(mu) + l1 * np.where(mu < 0, -1, 1) + l2 * mu
        defects.append(abs(optimizer.state["gradient"] - gradient).max())
    assert not np.array_equal(optimizer.theta, mu)
    return max(defects)


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("hessian", HESSIANS)
def test_the_averaged_gradient_is_exact_on_a_quadratic_whatever_the_steps(limiter, hessian):
    assert nesterov_defect(limiter=limiter, hessian=hessian) < 1e-12
    assert nesterov_defect(limiter=limiter, hessian=hessian, lookahead=1.7, betas=(0.8, 0.9)) < 1e-12


def test_the_averaged_gradient_stays_exact_with_l2_and_not_with_l1():
    assert nesterov_defect(l2=0.5) < 1e-12
    assert nesterov_defect(steps=400, l1=2.0) > 1e-3


def test_the_averaged_gradient_is_not_exact_with_another_step_fraction():
    assert nesterov_defect(step_fraction=0.2) > 1e-3


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be finite and > 0, got 0.0"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\), got 1.0"),
        ({"betas": (0.9, -0.5)}, r"betas\[1\] must be in \[0, 1\), got -0.5"),
        ({"betas": (0.9, 0.99, 0.999)}, "betas must be two numbers"),
        ({"eps": 0.0}, "eps must be finite and > 0, got 0.0"),
        ({"l1": -0.1}, "l1 must be finite and ≥ 0, got -0.1"),
        ({"l2": np.nan}, "l2 must be finite and ≥ 0, got nan"),
        ({"step_fraction": -1.0}, "step_fraction must be finite and ≥ 0, got -1.0"),
        ({"lookahead": -1.0}, "lookahead must be finite and ≥ 0, got -1.0"),
        ({"limiter": "rmsprop"}, "limiter must be one of .*, got 'rmsprop'"),
        ({"lr_min": -1.0}, "lr_min must be finite and ≥ 0, got -1.0"),
        ({"lr_max": np.inf}, "lr_max must be finite and ≥ 0, got inf"),
        ({"lr_min": 0.2, "lr_max": 0.1}, "lr_min must not exceed lr_max, got 0.2 and 0.1"),
        ({"lr": 0.1, "lr_min": 0.3}, "lr_min must not exceed lr_max, got 0.3 and 0.2"),
        ({"hessian": "full"}, "hessian must be one of 'zero', 'abs', 'rms', 'diagonal', got 'full'"),
        ({"hessian": None}, "hessian must be one of .*, got None"),
        ({"quick_steps": -1}, "quick_steps must be ≥ 0, got -1"),
        ({"length": 0.0}, "length must be finite and > 0, got 0.0"),
        ({"rng": -1}, "rng must be ≥ 0, got -1"),
        ({"joint": True, "glass": False}, "joint needs glass=True, got glass=False"),
        ({"lr": np.arange(6.0)}, "lr must be > 0, got 0.0 at index 0"),
        ({"lr": 0.05 * np.arange(1, 7), "lr_min": 0.3}, "lr_min must not exceed lr_max, got 0.3 and 0.1 at index 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gc.Alice(THETA0, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": "small"}, "eps must be a real number, got str"),
        ({"l1": None}, "l1 must be a real number, got NoneType"),
        ({"l2": True}, "l2 must be a real number, got bool"),
        ({"step_fraction": 1j}, "step_fraction must be a real number, got complex"),
        ({"lookahead": None}, "lookahead must be a real number, got NoneType"),
        ({"quick_steps": 1.5}, "quick_steps must be an integer, got float"),
        ({"quick_steps": True}, "quick_steps must be an integer, got bool"),
        ({"length": "long"}, "length must be a real number, got str"),
        ({"betas": 0.9}, "betas"),
        ({"rng": "seed"}, "rng must be None, an int or a numpy.random.Generator, got str"),
        ({"rng": 1.5}, "rng must be None, an int or a numpy.random.Generator, got float"),
        ({"distribution": "rademacher"}, "distribution"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        gc.Alice(THETA0, **options)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (7,), (6, 1)])
def test_a_direction_of_a_wrong_shape_is_refused(shape):
    # compiled loops do not check their bounds, so nobody would notice
    class Misshapen(gc.Rademacher):
        def sample(self, n, rng):
            return np.ones(shape)

    optimizer = gc.Alice(THETA0, LR, distribution=Misshapen(), rng=0)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match="shape"):
        optimizer.step(smooth)
    assert identical(optimizer.state_dict(), before)


def test_a_state_of_another_alice_size_is_refused():
    small, large = gc.Alice(THETA0[:3], LR, rng=0), gc.Alice(THETA0, LR, rng=0)
    with pytest.raises(ValueError, match=r"shape \(6,\) .*got \(3,\)"):
        large.load_state_dict(small.state_dict())


def test_saved_bounds_survive():
    one, other = gc.Alice(THETA0, 0.1, lr_min=0.01, rng=0), gc.Alice(THETA0, 0.1, lr_min=0.01, rng=1)
    one.lr = 0.025
    other.load_state_dict(one.state_dict())
    assert (other.lr, other.lr_min, other.lr_max) == (0.025, 0.0025, 0.05)


class Nameless:
    """A distribution whose repr is an address, another one in every process."""

    def sample(self, n, rng):
        return np.ones(n)

    def absolute_moment(self, p):
        return 1.0


def test_a_distribution_without_a_repr_is_saved_by_name():
    one, other = (gc.Alice(THETA0, LR, distribution=Nameless(), rng=0) for _ in range(2))
    assert one.options["distribution"] == "Nameless"
    other.load_state_dict(one.state_dict())
    assert "distribution=Nameless" in repr(one)


def test_a_state_of_another_distribution_is_refused():
    one, other = gc.Alice(THETA0, LR), gc.Alice(THETA0, LR, distribution=gc.Uniform(0.5, 1.5))
    with pytest.raises(
        ValueError, match=r"saved with distribution='Uniform\(.*, this .* distribution='Rademacher\(\)'"
    ):
        one.load_state_dict(other.state_dict())


@pytest.mark.parametrize("hessian", ["abs", "rms", "diagonal", "zero"])
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e17), (np.float64, 1e153)])
def test_a_gradient_whose_curvature_would_overflow_is_refused_and_the_state_stays_usable(hessian, dtype, size):
    optimizer = gc.Alice(np.ones(4, dtype), lr=1e-3, hessian=hessian, rng=0)
    optimizer.step(lambda theta: (1.0, theta))
    before = optimizer.state_dict()
    with pytest.raises(gc.NonFiniteError, match=r"gradient too large at step 2: with .* curvature may overflow float"):
        optimizer.step(lambda theta: (1.0, size * np.sign(theta - 1 + 1e-9)))
    assert identical(optimizer.state_dict(), before)
    optimizer.load_state_dict(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("law", [gc.Rademacher(), gc.Uniform(0.0, 1e3), gc.Uniform(-1e-3, 1e-3)])
def test_the_largest_gradients_that_are_accepted_leave_finite_averages(law, dtype):
    largest, rng = float(np.finfo(dtype).max), np.random.default_rng(0)
    for exponent in rng.uniform(-35, 1, 30):
        length = 10.0**exponent
        optimizer = gc.Alice(np.zeros(64, dtype), length=length, hessian="rms", distribution=law, rng=0)
        limit = min(np.sqrt(largest), optimizer._curvature_limit(length))
        gradients = rng.choice([-1, 1], (3, 64)).astype(dtype) * dtype(limit)
        returned = iter(gradients)
        optimizer.step(lambda theta, returned=returned: (0.0, next(returned)))
        assert all(np.isfinite(array).all() for array in optimizer.state.values())


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.float32, {"length": 1e-39}),
        (np.float64, {"length": 1e-310}),
        (np.float32, {"distribution": gc.Uniform(-1e-20, 1e-20), "hessian": "rms"}),
    ],
)
def test_perturbations_whose_reciprocals_overflow_are_refused(dtype, options):
    optimizer = gc.Alice(np.ones(2, dtype), **options)
    with pytest.raises(ValueError, match=r"perturbations are too short for float\d\d: .* reciprocals of length="):
        optimizer.step(lambda theta: (0.0, np.zeros(2, dtype)))


@pytest.mark.parametrize(("options", "length"), [({}, 2e-2 * 1e-3 / 1e-8), ({"limiter": "sgdm"}, 2e-2 * 1e-3)])
def test_regularisation_alone_is_bounded_by_eps_with_the_adam_limiter_and_by_itself_with_the_other(options, length):
    optimizer = gc.Alice(np.ones(3), lr=1e-2, l1=1e-3, step_fraction=1.0, rng=0, **options)
    for _ in range(11):  # ten that gather, one that moves
        optimizer.step(lambda theta: (0.0, np.zeros(3)))
    np.testing.assert_allclose(1 - optimizer.theta, length, rtol=1e-6)
