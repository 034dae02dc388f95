"""What every optimizer promises; the test class of an optimizer inherits it and says how to make one."""

import copy
import inspect
import itertools
import json
import signal
import sys
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import glasscurv as gc

PACKAGE = str(Path(gc.__file__).parent)
THETA0 = np.array([0.9, -1.3, 0.4, 2.1, -0.7, 1.6])
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25, 4.0, 1.5])
LR = 0.05
# The steps that fail: the first, an early one, and later ones of two kinds (an optimizer may measure in some only).
STEPS = [1, 4, 12, 13]
RATES = LR * np.array([1.0, 0.25, 0.5, 2.0, 1.5, 0.75])
# Every choice of at least one parameter, and one of them for tests of one.
MASKS = np.array(list(itertools.product([False, True], repeat=6)))[1:]
KEPT = np.array([True, False, True, True, False, True])
# Another value for every option of every optimizer.
ALTERED = {
    "momentum": 0.25,
    "nesterov": False,
    "betas": (0.6, 0.95),
    "eps": 2e-3,
    "weight_decay": 0.5,
    "hessian_power": 0.5,
    "block_size": 3,
    "length": 0.375,
    "l1": 0.5,
    "l2": 0.5,
    "step_fraction": 0.7,
    "lookahead": 1.1,
    "limiter": "fixed",
    "lr_min": 1e-4,
    "lr_max": 0.15,
    "hessian": "zero",
    "glass": False,
    "quick_steps": 6,
    "distribution": gc.Uniform(0.75, 1.25),
    "joint": True,
}


def smooth(theta):
    """Σ w_i (cosh θ_i − 1) + ½ Σ (θ_i − θ_{i+1})², in the dtype of theta, and its gradient in a fresh array."""
    weights = WEIGHTS[: theta.size].astype(theta.dtype)
    gaps = theta[:-1] - theta[1:]
    gradient = weights * np.sinh(theta)
    gradient[:-1] += gaps
    gradient[1:] -= gaps
    return float(weights @ (np.cosh(theta) - 1) + 0.5 * gaps @ gaps), gradient


def separable(theta):
    """Σ w_i (cosh θ_i − 1), whose Hessian is diagonal."""
    weights = WEIGHTS.astype(theta.dtype)
    return float(weights @ (np.cosh(theta) - 1)), weights * np.sinh(theta)


def identical(one, other):
    """Whether two saved states agree in every bit and every type."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(identical(one[k], other[k]) for k in one)
    if isinstance(one, np.ndarray):
        same_kind = isinstance(other, np.ndarray) and (one.dtype, one.shape) == (other.dtype, other.shape)
        return same_kind and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


class Fault:
    """The smooth problem, except that evaluation `at` returns (or raises) what `outcome` makes of it."""

    def __init__(self, at, outcome):
        self.at, self.outcome, self.calls = at, outcome, 0

    def __call__(self, theta):
        self.calls += 1
        loss, gradient = smooth(theta)
        return self.outcome(loss, gradient) if self.calls == self.at else (loss, gradient)


def with_entries(**entries):
    def outcome(loss, gradient):
        for index, value in entries.items():
            gradient[int(index[1:])] = value
        return loss, gradient

    return outcome


NON_FINITE = {
    "nan entry": with_entries(i2=np.nan),
    "infinite entry": with_entries(i5=-np.inf),
    "opposite infinities": with_entries(i0=np.inf, i1=-np.inf),
    "all nan": lambda loss, gradient: (loss, np.full_like(gradient, np.nan)),
    "nan loss": lambda loss, gradient: (np.nan, gradient),
    "infinite loss": lambda loss, gradient: (np.inf, gradient),
}


UNUSABLE_MASKS = [
    ([1, 0, 1, 1, 0, 1], TypeError, "mask must be booleans, True for what is kept, got dtype int64"),
    (np.ones(6), TypeError, "mask must be booleans.*float64"),
    (["True"] * 6, TypeError, "mask must be booleans.*<U4"),
    (KEPT[:5], ValueError, r"mask must have shape \(6,\), got \(5,\)"),
    (KEPT[:, None], ValueError, r"mask must have shape \(6,\), got \(6, 1\)"),
    (True, ValueError, r"mask must have shape \(6,\), got \(\)"),
    (np.zeros(6, bool), ValueError, "mask must keep something, got 6 times False"),
]


class Interruption(BaseException):
    """Like KeyboardInterrupt, but no test runner takes it for one."""


def _interrupt(loss, gradient):
    raise Interruption


def _fail(loss, gradient):
    raise LookupError("the model failed")


@contextmanager
def interrupt_at(event):
    """Send this process a SIGINT at line, call or return number `event` = 0, 1, … of the package or of this file."""
    sent, left = [], event

    def trace(frame, kind, argument):
        nonlocal left
        code = frame.f_code
        if code.co_name == "interrupt_at" or not code.co_filename.startswith((PACKAGE, __file__, signal.__file__)):
            return None
        if left == 0:
            sent.append(kind)
            signal.raise_signal(signal.SIGINT)
        left -= 1
        return trace

    handler, tracer = signal.signal(signal.SIGINT, signal.default_int_handler), sys.gettrace()
    sys.settrace(trace)
    try:
        yield sent
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGINT, handler)


FAILURES = {
    "exception": (_fail, LookupError),
    "interruption": (_interrupt, Interruption),
    "wrong shape": (lambda loss, gradient: (loss, gradient[:-1]), ValueError),
    "matrix": (lambda loss, gradient: (loss, gradient[:, None]), ValueError),
    "complex gradient": (lambda loss, gradient: (loss, gradient + 1j), TypeError),
    "no gradient": (lambda loss, gradient: (loss, None), TypeError),
    "no loss": (lambda loss, gradient: (None, gradient), TypeError),
    "no pair": (lambda loss, gradient: loss, TypeError),
}


def _without(*keys):
    def spoil(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]

    return spoil


def _with(*keys, value):
    def spoil(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value(inner.get(keys[-1])) if callable(value) else value

    return spoil


def _poisoned(value):
    def change(array):
        array[-1] = value
        return array

    return change


UNUSABLE = {
    "no optimizer": (_without("optimizer"), "lacks optimizer"),
    "no options": (_without("options"), "lacks options"),
    "option too many": (_with("options", "warmth", value=1.0), "options .*warmth"),
    "no steps": (_without("steps"), "lacks steps"),
    "no evaluations": (_without("evaluations"), "lacks evaluations"),
    "no hyperparameters": (_without("hyperparameters"), "lacks hyperparameters"),
    "no rng": (_without("rng"), "lacks rng"),
    "no arrays": (_without("arrays"), "lacks arrays"),
    "foreign": (_with("optimizer", value="Nelder"), "must be of .*Nelder"),
    "array missing": (_without("arrays", "theta"), "arrays"),
    "array too many": (_with("arrays", "extra", value=np.zeros(6)), "arrays .*extra"),
    "shorter array": (_with("arrays", "theta", value=lambda array: array[:-1]), r"'theta' .*shape \(6,\).*\(5,\)"),
    "column": (_with("arrays", "theta", value=lambda array: array[:, None]), r"'theta' .*\(6, 1\)"),
    "float32": (_with("arrays", "theta", value=lambda array: array.astype(np.float32)), "'theta' .*float64.*float32"),
    "complex": (_with("arrays", "theta", value=lambda array: array + 0j), "'theta' .*complex128"),
    "nan": (_with("arrays", "theta", value=_poisoned(np.nan)), "'theta' must be finite"),
    "infinity": (_with("arrays", "theta", value=_poisoned(np.inf)), "'theta' must be finite"),
    "hyperparameter missing": (_without("hyperparameters", "lr"), "hyperparameters"),
    "hyperparameter too many": (_with("hyperparameters", "warmth", value=1.0), "hyperparameters .*warmth"),
    "too few rates": (_with("hyperparameters", "lr", value=np.full(5, 0.1)), r"lr must have shape \(6,\), got \(5,\)"),
    "negative rate": (_with("hyperparameters", "lr", value=np.arange(6) - 1.0), "lr must be ≥ 0, got -1.0 at index 0"),
    "nan lr": (_with("hyperparameters", "lr", value=np.nan), "lr"),
    "negative lr": (_with("hyperparameters", "lr", value=-1.0), "lr"),
    "negative steps": (_with("steps", value=-1), "steps"),
    "negative evaluations": (_with("evaluations", value=-3), "evaluations"),
    "incomplete generator": (_without("rng", "state"), "rng"),
    "other generator": (_with("rng", value=lambda _: np.random.MT19937(0).state), "PCG64|rng"),
}
MISTYPED = {
    "text lr": (_with("hyperparameters", "lr", value="fast"), "lr"),
    "fractional steps": (_with("steps", value=1.5), "steps"),
    "text steps": (_with("steps", value="many"), "steps"),
    "no generator": (_with("rng", value=None), "rng|state"),
    "no dictionary of arrays": (_with("arrays", value=None), "arrays"),
    "no dictionary of options": (_with("options", value="none"), "options"),
    "no dictionary of hyperparameters": (_with("hyperparameters", value=[0.1]), "hyperparameters"),
}


class OptimizerContract:
    """Subclasses override `make`; everything random in it must be seeded."""

    couples = False  # whether a parameter's step depends on others, or on its place among them, beyond its gradient
    fixed_options = frozenset()  # those that cannot take their value in ALTERED, or have it
    drawn = 0.0  # vectors that the law of the directions makes when it draws one

    def make(self, theta0, lr):
        raise NotImplementedError

    def advanced(self, steps, theta0=THETA0, lr=LR):
        optimizer = self.make(theta0, lr)
        for _ in range(steps):
            optimizer.step(smooth)
        return optimizer

    def twins(self, steps):
        """Two optimizers in the same state, one that ran and one that loaded it."""
        one = self.advanced(steps)
        other = self.make(THETA0, LR)
        other.load_state_dict(one.state_dict())
        return one, other

    # Shapes and dtypes

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_parameters_and_every_state_array_keep_the_dtype_and_shape(self, dtype):
        optimizer = self.advanced(14, THETA0.astype(dtype))
        arrays = {"theta": optimizer.theta, **optimizer.state, **optimizer.state_dict()["arrays"]}
        assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == dict.fromkeys(arrays, (dtype, (6,)))
        assert optimizer.state_dict()["arrays"].keys() == {"theta", *optimizer.state}

    @pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16])
    def test_integers_become_float64(self, dtype):
        optimizer = self.advanced(14, np.array([1, 2, 0, 1, 2, 1], dtype=dtype))
        assert optimizer.theta.dtype == np.float64
        assert {array.dtype for array in optimizer.state.values()} <= {np.dtype(np.float64)}
        assert np.array_equal(optimizer.theta, self.advanced(14, [1.0, 2.0, 0.0, 1.0, 2.0, 1.0]).theta)

    def test_float32_follows_float64(self):
        # 14 steps of rounding at 6e-8 of a few units each
        single, double = self.advanced(14, THETA0.astype(np.float32)), self.advanced(14)
        travelled = np.abs(double.theta - THETA0).max()
        assert travelled > 0.01
        np.testing.assert_allclose(single.theta, double.theta, rtol=0, atol=5e-5 * travelled + 2e-7)

    def test_a_float32_optimizer_takes_a_float64_gradient(self):
        optimizer = self.make(THETA0.astype(np.float32), LR)
        loss = optimizer.step(lambda theta: smooth(theta.astype(np.float64)))
        assert isinstance(loss, float)
        assert optimizer.theta.dtype == np.float32

    def test_one_parameter_is_enough(self):
        optimizer = self.advanced(40, [2.0])
        assert optimizer.theta.shape == (1,)
        assert abs(optimizer.theta[0]) < 1.95

    def test_integer_gradients_and_losses_are_taken_as_floats(self):
        whole = self.make(np.arange(6.0), LR)
        real = self.make(np.arange(6.0), LR)
        for _ in range(13):
            whole.step(lambda theta: (3, np.arange(-2, 4)))
            real.step(lambda theta: (3.0, np.arange(-2.0, 4.0)))
        assert whole.theta.tobytes() == real.theta.tobytes()

    # What the caller owns

    def test_the_callers_start_never_changes(self):
        theta0 = THETA0.copy()
        self.advanced(14, theta0)
        assert theta0.tobytes() == THETA0.tobytes()

    def test_a_read_only_start_is_accepted(self):
        theta0 = THETA0.copy()
        theta0.setflags(write=False)
        assert self.advanced(14, theta0).theta.tobytes() == self.advanced(14).theta.tobytes()

    def test_a_strided_start_is_accepted(self):
        assert self.advanced(14, np.repeat(THETA0, 2)[::2]).theta.tobytes() == self.advanced(14).theta.tobytes()

    def test_theta_is_a_copy(self):
        optimizer = self.advanced(3)
        optimizer.theta[:] = 7
        assert optimizer.theta.tobytes() == self.advanced(3).theta.tobytes()

    def test_state_is_read_only_and_follows_the_optimizer(self):
        optimizer = self.make(THETA0, LR)
        views = optimizer.state
        for _ in range(14):
            optimizer.step(smooth)
        for name, view in views.items():
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1.0
            assert view.tobytes() == optimizer.state_dict()["arrays"][name].tobytes()

    def test_a_callable_may_reuse_its_own_buffer(self):
        buffer = np.empty(6)

        def reusing(theta):
            loss, buffer[:] = smooth(theta)
            return loss, buffer

        optimizer = self.make(THETA0, LR)
        for _ in range(14):
            optimizer.step(reusing)
            buffer[:] = np.nan  # what it writes there between the steps is its own affair
        assert optimizer.theta.tobytes() == self.advanced(14).theta.tobytes()

    def test_a_callable_may_return_the_very_point_it_got(self):
        # the gradient of ½‖θ‖²
        same, fresh = self.make(THETA0, LR), self.make(THETA0, LR)
        for _ in range(14):
            same.step(lambda theta: (0.5 * theta @ theta, theta))
            fresh.step(lambda theta: (0.5 * theta @ theta, theta.copy()))
        assert same.theta.tobytes() == fresh.theta.tobytes()

    @pytest.mark.parametrize("masked", [False, True])
    def test_a_step_allocates_nothing_of_the_size_of_the_parameters(self, masked):
        size = 200_000  # beyond the size from which several threads take part
        optimizer, gradient, kept = self.make(np.zeros(size), LR), np.ones(size), np.arange(size) % 3 > 0
        if masked:
            optimizer.mask = kept

        def ready(theta):
            return 0.0, gradient

        for _ in range(14):  # full and quick steps; compiles
            optimizer.step(ready)
        tracemalloc.start()
        for _ in range(4):
            optimizer.step(ready)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (0.1 + self.drawn) * gradient.nbytes
        assert np.array_equal(optimizer.theta != 0, kept | (not masked))

    def test_the_callable_gets_a_read_only_vector(self):
        seen = []

        def probing(theta):
            seen.append((theta.shape, theta.dtype, theta.flags.writeable))
            return smooth(theta)

        optimizer = self.make(THETA0, LR)
        for _ in range(14):
            optimizer.step(probing)
        assert len(seen) >= 14
        assert set(seen) == {((6,), np.dtype(np.float64), False)}

    def test_a_callable_that_writes_into_its_point_is_stopped(self):
        def writing(theta):
            theta += 1
            return smooth(theta)

        optimizer = self.make(THETA0, LR)
        with pytest.raises(ValueError, match="read-only"):
            optimizer.step(writing)
        assert optimizer.theta.tobytes() == THETA0.tobytes()

    # Behaviour

    def test_steps_and_evaluations_are_counted(self):
        calls = Fault(at=-1, outcome=None)
        optimizer = self.make(THETA0, LR)
        assert (optimizer.steps, optimizer.evaluations) == (0, 0)
        for step in range(1, 15):
            optimizer.step(calls)
            assert (optimizer.steps, optimizer.evaluations) == (step, calls.calls)

    def test_equal_seeds_give_equal_bits(self):
        one, other = self.make(THETA0, LR), self.make(THETA0, LR)
        losses = [[optimizer.step(smooth) for _ in range(30)] for optimizer in (one, other)]
        assert losses[0] == losses[1]
        assert identical(one.state_dict()["arrays"], other.state_dict()["arrays"])

    def test_the_returned_loss_is_a_float_from_the_callable(self):
        losses = []

        def recording(theta):
            loss, gradient = smooth(theta)
            losses.append(loss)
            return np.float64(loss), gradient

        optimizer = self.make(THETA0, LR)
        for _ in range(14):
            loss = optimizer.step(recording)
            assert type(loss) is float
            assert loss == losses[-1]

    def test_the_loss_falls(self):
        optimizer = self.make(THETA0, LR)
        for _ in range(150):
            optimizer.step(smooth)
        assert smooth(optimizer.theta)[0] < 0.5 * smooth(THETA0)[0]

    def test_a_changed_learning_rate_takes_effect(self):
        changed, unchanged = self.twins(12)
        changed.lr = LR / 2
        for optimizer in (changed, unchanged):
            optimizer.step(smooth)
        assert changed.lr == LR / 2
        assert not np.array_equal(changed.theta, unchanged.theta)

    # Saving and loading

    @pytest.mark.parametrize("steps", [0, 5, 12, 15])
    def test_a_loaded_run_continues_bit_for_bit(self, steps):
        one, other = self.twins(steps)
        assert identical(one.state_dict(), other.state_dict())
        for _ in range(17):
            assert one.step(smooth) == other.step(smooth)
        assert identical(one.state_dict(), other.state_dict())
        assert one.steps == other.steps == steps + 17

    def test_saving_does_not_disturb_the_run(self):
        optimizer = self.make(THETA0, LR)
        for _ in range(14):
            optimizer.step(smooth)
            optimizer.state_dict()
        assert optimizer.theta.tobytes() == self.advanced(14).theta.tobytes()

    def test_a_learning_rate_changed_in_mid_run_survives(self):
        one = self.advanced(5)
        one.lr = LR / 3
        one.step(smooth)
        other = self.make(THETA0, LR)
        other.load_state_dict(one.state_dict())
        assert other.lr == LR / 3
        for _ in range(17):
            one.step(smooth)
            other.step(smooth)
        assert identical(one.state_dict(), other.state_dict())

    def test_a_state_dict_is_a_copy_both_ways(self):
        optimizer = self.advanced(5)
        saved = optimizer.state_dict()
        kept = copy.deepcopy(saved)
        optimizer.step(smooth)
        assert identical(saved, kept)
        optimizer.load_state_dict(saved)
        for array in saved["arrays"].values():
            array[:] = 99
        saved["hyperparameters"]["lr"] = 99.0
        assert identical(optimizer.state_dict(), kept)

    def test_loading_leaves_the_saved_state_alone(self):
        one, other = self.advanced(5), self.make(THETA0, LR)
        saved = one.state_dict()
        kept = copy.deepcopy(saved)
        other.load_state_dict(saved)
        for _ in range(14):
            other.step(smooth)
        assert identical(saved, kept)

    def test_a_state_dict_holds_plain_values_and_arrays_only(self):
        # so that any format without pickle can store it
        def leaves(value):
            return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

        state = self.advanced(5).state_dict()
        options = state.pop("options")
        assert json.loads(json.dumps(options)) == options
        assert {type(leaf) for leaf in leaves(state)} <= {str, int, float, np.ndarray}

    def test_the_options_are_those_of_the_constructor(self):
        optimizer = self.make(THETA0, LR)
        parameters = inspect.signature(type(optimizer)).parameters.keys()
        assert optimizer.options.keys() == parameters - {"theta0", "lr", "rng"}

    def test_a_state_of_other_options_is_refused_and_changes_nothing(self):
        optimizer = self.make(THETA0, LR)
        options = {name: value for name, value in optimizer.options.items() if name != "distribution"}
        optimizer = type(optimizer)(THETA0, LR, **options)
        for name in optimizer.options.keys() - self.fixed_options:
            other = type(optimizer)(THETA0, LR, **options | {name: ALTERED[name]})
            assert other.options[name] != optimizer.options[name]
            before = optimizer.state_dict()
            with pytest.raises(ValueError, match=f"was saved with {name}=.*, this optimizer has {name}="):
                optimizer.load_state_dict(other.state_dict())
            assert identical(optimizer.state_dict(), before)

    def test_the_repr_says_what_it_is(self):
        text = repr(self.advanced(3))
        assert text.startswith(f"{type(self.make(THETA0, LR)).__name__}(n=6, lr=0.05, ")
        assert text.endswith("steps=3)")
        assert "lr=[0.0125 … 0.1]" in repr(self.make(THETA0, RATES))

    def test_the_repr_shows_the_options_that_are_not_the_default(self):
        optimizer = self.make(THETA0, LR)
        assert repr(type(optimizer)(THETA0, LR)) == f"{type(optimizer).__name__}(n=6, lr=0.05, steps=0)"
        for name in optimizer.options.keys() - {"joint", "nesterov"}:
            altered = type(optimizer)(THETA0, LR, **{name: ALTERED[name]})
            assert f", {name}={altered.options[name]}, steps=0)" in repr(altered)

    # A learning rate for every parameter

    def test_equal_rates_give_the_bits_of_the_one_rate(self):
        one, many = self.advanced(14), self.advanced(14, lr=np.full(6, LR))
        assert identical(one.state_dict()["arrays"], many.state_dict()["arrays"])

    def test_every_parameter_goes_at_its_own_rate(self):
        together = self.make(THETA0, RATES)
        alone = [self.make(THETA0, rate) for rate in RATES.tolist()]
        for _ in range(14):
            for optimizer in (together, *alone):
                optimizer.step(separable)
        assert (together.theta != self.advanced(14).theta)[1:].all()
        if self.couples:
            return
        for i in range(6):
            assert together.theta[i] == alone[i].theta[i]

    def test_rates_are_copied_both_ways_and_take_the_dtype_of_the_parameters(self):
        rates = RATES.copy()
        optimizer = self.make(THETA0.astype(np.float32), rates)
        rates[:] = 7
        optimizer.lr[:] = 7
        assert optimizer.lr.dtype == np.float32
        assert np.array_equal(optimizer.lr, RATES.astype(np.float32))

    def test_equal_float32_rates_follow_the_one_rate(self):
        theta0 = THETA0.astype(np.float32)
        one, many = self.advanced(14, theta0), self.advanced(14, theta0, lr=np.full(6, LR))
        assert many.theta.dtype == np.float32
        # the float32 rates differ from the float64 one by up to 6e-8 of it, and where gradients almost vanish more
        np.testing.assert_allclose(many.theta, one.theta, rtol=0, atol=1e-5)

    def test_rates_survive_in_a_saved_state(self):
        one = self.advanced(5)
        one.lr = RATES
        one.step(smooth)
        other = self.make(THETA0, LR)
        other.load_state_dict(one.state_dict())
        assert other.lr.tobytes() == RATES.tobytes()
        for _ in range(17):
            one.step(smooth)
            other.step(smooth)
        assert identical(one.state_dict(), other.state_dict())

    def test_a_saved_state_does_not_share_its_rates(self):
        optimizer = self.make(THETA0, RATES)
        saved = optimizer.state_dict()
        kept = copy.deepcopy(saved)
        optimizer.load_state_dict(saved)
        saved["hyperparameters"]["lr"][:] = 9
        assert identical(optimizer.state_dict(), kept)

    @pytest.mark.parametrize(
        ("rates", "exception", "message"),
        [
            ([0.1], ValueError, r"lr must have shape \(6,\), got \(1,\)"),
            (np.full((6, 1), 0.1), ValueError, r"lr must have shape \(6,\), got \(6, 1\)"),
            ([0.1, 0.1, -0.1, 0.1, 0.1, 0.1], ValueError, "lr must be ≥ 0, got -0.1 at index 2"),
            ([0.1, 0.1, 0.1, np.nan, 0.1, 0.1], ValueError, "lr must be finite, got nan at index 3"),
            (["0.1"] * 6, TypeError, "lr must be real numbers .*<U3"),
            ([True] * 6, TypeError, "lr must be real numbers .*bool"),
        ],
    )
    def test_unusable_rates_are_refused(self, rates, exception, message):
        with pytest.raises(exception, match=message):
            self.make(THETA0, rates)
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(exception, match=message):
            optimizer.lr = rates
        assert identical(optimizer.state_dict(), before)

    def test_rates_beyond_float32_are_refused(self):
        with pytest.raises(ValueError, match="lr must be finite, got inf at index 0"):
            self.make(THETA0.astype(np.float32), np.full(6, 1e40))

    # Masks

    @pytest.mark.parametrize(("dtype", "masks"), [(np.float32, MASKS[1::3]), (np.float64, MASKS[2::3])])
    def test_a_masked_run_is_the_run_of_the_parameters_that_are_kept(self, dtype, masks, monkeypatch):
        kept = None

        def draw(distribution, out, rng):  # for few parameters what it draws for them among all
            out[:] = distribution.sample(6, rng)[kept if out.size < 6 else slice(None)]

        def watched(theta):
            assert not theta[~kept].any()
            return smooth(theta)

        def of_few(theta):
            whole = np.zeros(6, dtype)
            whole[kept] = theta
            loss, gradient = smooth(whole)
            return loss, gradient[kept]

        for module in ("adahessian", "alice"):
            monkeypatch.setattr(f"glasscurv.optimizers.{module}.draw_direction", draw)
        for kept in masks:
            masked = self.make(THETA0.astype(dtype), RATES)
            masked.mask = kept
            few = self.make(THETA0[kept].astype(dtype), RATES[kept])
            losses = [(masked.step(watched), few.step(of_few)) for _ in range(14)]
            arrays = masked.state_dict()["arrays"]
            assert arrays.pop("mask").tobytes() == kept.tobytes()
            for name, array in few.state_dict()["arrays"].items():
                assert arrays[name][~kept].tobytes() == bytes(array.itemsize * (6 - array.size))  # no -0 either
                assert arrays[name][kept].tobytes() == array.tobytes() or self.couples
            assert all(one == other for one, other in losses) or self.couples

    def test_a_mask_takes_effect_at_once_and_may_change_in_mid_run(self):
        optimizer = self.advanced(13)
        assert optimizer.mask is None
        for kept in (KEPT, KEPT & (THETA0 > 0.5), KEPT):
            before, views = optimizer.state_dict()["arrays"], optimizer.state
            before.pop("mask", None)
            optimizer.mask = kept
            for name, array in {"theta": optimizer.theta, **views}.items():
                assert array.tobytes() == np.where(kept, before[name], 0.0).tobytes()
            for _ in range(5):
                optimizer.step(smooth)
            assert np.array_equal(optimizer.theta != 0, kept)
        optimizer.mask = None
        assert np.array_equal(optimizer.theta != 0, KEPT)
        for _ in range(14):
            optimizer.step(smooth)
        assert optimizer.theta.all()

    def test_a_mask_is_copied_both_ways(self):
        optimizer, kept = self.make(THETA0, LR), KEPT.copy()
        optimizer.mask = kept
        kept[:] = True
        optimizer.mask[:] = True
        optimizer.state_dict()["arrays"]["mask"][:] = True
        assert optimizer.mask.tobytes() == KEPT.tobytes()
        state = optimizer.state_dict()
        optimizer.load_state_dict(state)
        state["arrays"]["mask"][:] = True
        assert optimizer.mask.tobytes() == KEPT.tobytes()
        assert ", kept=4 of 6, steps=0)" in repr(optimizer)

    def test_a_mask_leaves_the_gradients_of_the_callable_alone(self):
        returned = []

        def recording(theta):
            loss, gradient = smooth(theta)
            returned.append((gradient, gradient.copy()))
            return loss, gradient

        optimizer = self.make(THETA0, LR)
        optimizer.mask = KEPT
        for _ in range(14):
            optimizer.step(recording)
        assert all(gradient.tobytes() == copied.tobytes() for gradient, copied in returned)

    @pytest.mark.parametrize("mask", [None, KEPT, ~KEPT])
    def test_a_saved_mask_replaces_any_other(self, mask):
        masked, unmasked = self.advanced(5), self.advanced(5)
        masked.mask = KEPT
        for one in (masked, unmasked):
            for _ in range(8):
                one.step(smooth)
            other = self.advanced(3)
            other.mask = mask
            other.load_state_dict(one.state_dict())
            for _ in range(17):
                one.step(smooth)
                other.step(smooth)
            assert identical(one.state_dict(), other.state_dict())
        assert "mask" not in unmasked.state_dict()["arrays"]

    @pytest.mark.parametrize(("mask", "exception", "message"), UNUSABLE_MASKS)
    def test_an_unusable_mask_is_refused_and_changes_nothing(self, mask, exception, message):
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(exception, match=message):
            optimizer.mask = mask
        assert identical(optimizer.state_dict(), before)
        self._refuses(_with("arrays", "mask", value=mask), message, exception)

    def test_a_saved_mask_that_does_not_fit_the_arrays_is_refused(self):
        message = r"state array 'theta' must be 0 outside the mask, got [-\d.]+ at index 1"
        self._refuses(_with("arrays", "mask", value=KEPT), message, ValueError)

    def test_a_masked_gradient_that_is_not_finite_is_an_error_all_the_same(self):
        optimizer = self.advanced(3)
        optimizer.mask = KEPT
        before = optimizer.state_dict()
        with pytest.raises(gc.NonFiniteError, match=r"non-finite gradient at step 4: 1 of 6 .* at index 1"):
            optimizer.step(Fault(1, with_entries(i1=np.nan)))
        assert identical(optimizer.state_dict(), before)

    def test_an_interrupt_at_any_line_masks_all_or_nothing(self):
        optimizer = self.advanced(3)
        states = [optimizer.state_dict()]
        optimizer.mask = KEPT
        states.append(optimizer.state_dict())
        reached = set()
        for event in range(100_000):
            optimizer.load_state_dict(states[0])
            with interrupt_at(event) as sent:
                try:
                    optimizer.mask = KEPT
                except KeyboardInterrupt:
                    pass
                else:
                    assert not sent, "an interrupt was lost"
            if not sent:
                break
            masked = optimizer.mask is not None
            assert identical(optimizer.state_dict(), states[masked])
            reached.add(masked)
        assert reached == {False, True}

    @pytest.mark.parametrize("name", UNUSABLE)
    def test_an_unusable_state_is_refused_and_changes_nothing(self, name):
        self._refuses(*UNUSABLE[name], ValueError)

    @pytest.mark.parametrize("name", MISTYPED)
    def test_a_mistyped_state_is_refused_and_changes_nothing(self, name):
        self._refuses(*MISTYPED[name], (TypeError, ValueError))

    def test_an_unusable_entry_of_any_array_is_refused_and_changes_nothing(self):
        for array in self.make(THETA0, LR).state:
            self._refuses(_with("arrays", array, value=_poisoned(np.nan)), f"'{array}' must be finite", ValueError)
            self._refuses(_with("arrays", array, value=np.zeros(7)), rf"'{array}' .*\(7,\)", ValueError)
            self._refuses(_without("arrays", array), array, ValueError)

    def _refuses(self, spoil, message, exceptions):
        state = self.advanced(6).state_dict()
        spoil(state)
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(exceptions, match=message):
            optimizer.load_state_dict(state)
        assert identical(optimizer.state_dict(), before)

    def test_a_state_of_another_optimizer_is_refused(self):
        optimizer = self.advanced(3)
        other = gc.SGD(THETA0, LR) if type(optimizer) is not gc.SGD else gc.Adam(THETA0, LR)
        before = optimizer.state_dict()
        with pytest.raises(ValueError, match=f"must be of {type(optimizer).__name__}, got {type(other).__name__}"):
            optimizer.load_state_dict(other.state_dict())
        assert identical(optimizer.state_dict(), before)

    # Failures

    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("name", NON_FINITE)
    def test_a_non_finite_value_names_the_step_and_changes_nothing(self, name, step):
        self._survives(step, NON_FINITE[name], gc.NonFiniteError, rf"non-finite .*at step {step}\b")

    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("name", FAILURES)
    def test_a_failing_callable_changes_nothing(self, name, step):
        self._survives(step, *FAILURES[name], None)

    def _survives(self, step, outcome, exception, message):
        """Let every evaluation of one step fail in turn; the run must go on as if nothing had happened."""
        undisturbed, optimizer = self.twins(step - 1)
        before = optimizer.state_dict()
        undisturbed.step(smooth)
        evaluations = undisturbed.evaluations - before["evaluations"]
        assert evaluations >= 1
        for at in range(1, evaluations + 1):
            with pytest.raises(exception, match=message):
                optimizer.step(Fault(at, outcome))
            assert identical(optimizer.state_dict(), before)
        for _ in range(5):
            optimizer.step(smooth)
        for _ in range(4):
            undisturbed.step(smooth)
        assert identical(optimizer.state_dict(), undisturbed.state_dict())

    @pytest.mark.parametrize("fails", [False, True])
    def test_an_interrupt_at_any_line_leaves_a_step_whole_or_not_begun(self, fails):
        """A real SIGINT at every line in turn, of a step that succeeds or of one whose last evaluation fails."""
        optimizer, undisturbed = self.twins(11)
        states = {11: optimizer.state_dict()}
        undisturbed.step(smooth)
        if not fails:
            states[12] = undisturbed.state_dict()
        last = undisturbed.evaluations - optimizer.evaluations
        reached = set()
        for event in range(100_000):
            optimizer.load_state_dict(states[11])
            with interrupt_at(event) as sent:
                try:
                    optimizer.step(Fault(last if fails else -1, _fail))
                except (KeyboardInterrupt, LookupError) as error:
                    stopped = error
                else:
                    stopped = None
            if not sent:
                break
            assert isinstance(stopped, KeyboardInterrupt), "an interrupt was lost"
            assert identical(optimizer.state_dict(), states[optimizer.steps])
            reached.add(optimizer.steps)
        assert reached == states.keys()
        assert event > 40

    def test_an_interrupt_at_any_line_loads_a_state_wholly_or_not_at_all(self):
        optimizer, later = self.advanced(3), self.advanced(6).state_dict()
        before = optimizer.state_dict()
        reached = set()
        for event in range(100_000):
            with interrupt_at(event) as sent:
                try:
                    optimizer.load_state_dict(later)
                except KeyboardInterrupt:
                    pass
                else:
                    assert not sent, "an interrupt was lost"
            if not sent:
                break
            assert identical(optimizer.state_dict(), before if optimizer.steps == 3 else later)
            reached.add(optimizer.steps)
            optimizer.load_state_dict(before)
        assert reached == {3, 6}

    def test_a_gradient_too_large_for_float32_is_an_error_and_not_an_infinite_state(self):
        optimizer = self.advanced(3, THETA0.astype(np.float32))
        before = optimizer.state_dict()
        with pytest.raises(gc.NonFiniteError, match="at step 4"):
            optimizer.step(lambda theta: (1.0, np.full(6, 1e39)))
        assert identical(optimizer.state_dict(), before)

    def test_a_non_finite_error_is_a_value_error_and_a_floating_point_error(self):
        optimizer = self.make(THETA0, LR)
        for kind in (ValueError, FloatingPointError):
            with pytest.raises(kind, match="non-finite loss at step 1: nan"):
                optimizer.step(lambda theta: (np.nan, np.zeros(6)))

    @pytest.mark.parametrize("result", [1.0, np.zeros(6), (1.0, np.zeros(6), 0), None])
    def test_a_callable_that_does_not_return_a_pair_is_refused(self, result):
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(TypeError, match=r"value_and_grad must return \(loss, gradient\), got"):
            optimizer.step(lambda theta: result)
        assert identical(optimizer.state_dict(), before)

    def test_what_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="value_and_grad must be callable, got float"):
            self.make(THETA0, LR).step(1.0)

    # Arguments

    @pytest.mark.parametrize("lr", [-1e-3, np.nan, np.inf, -np.inf])
    def test_a_learning_rate_out_of_range_is_refused(self, lr):
        with pytest.raises(ValueError, match=rf"lr must be finite and .* 0, got {lr}"):
            self.make(THETA0, lr)
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(ValueError, match=rf"lr must be finite and .* 0, got {lr}"):
            optimizer.lr = lr
        assert identical(optimizer.state_dict(), before)

    @pytest.mark.parametrize("lr", ["0.1", None, True, 0.1j, np.array(0.1)])
    def test_a_learning_rate_that_is_no_number_is_refused(self, lr):
        with pytest.raises(TypeError, match=f"lr must be a real number, got {type(lr).__name__}"):
            self.make(THETA0, lr)
        optimizer = self.advanced(3)
        before = optimizer.state_dict()
        with pytest.raises(TypeError, match=f"lr must be a real number, got {type(lr).__name__}"):
            optimizer.lr = lr
        assert identical(optimizer.state_dict(), before)

    @pytest.mark.parametrize(
        ("theta0", "exception", "message"),
        [
            ([], ValueError, r"theta0 must have shape \(n,\) with n ≥ 1, got \(0,\)"),
            (1.0, ValueError, r"theta0 must have shape .*, got \(\)"),
            ([[1.0, 2.0]], ValueError, r"theta0 must have shape .*, got \(1, 2\)"),
            ([1.0, np.nan], ValueError, "theta0 must be finite, got nan at index 1"),
            ([np.inf, 1.0], ValueError, "theta0 must be finite, got inf at index 0"),
            ([1.0 + 1j], TypeError, "theta0 must be real numbers .*complex128"),
            (np.array([1.0, None]), TypeError, "theta0 must be real numbers .*object"),
            ([True, False], TypeError, "theta0 must be real numbers .*bool"),
            (["1.0"], TypeError, "theta0 must be real numbers .*<U3"),
            (np.ones(2, np.float16), TypeError, "theta0 must be real numbers .*float16"),
            (None, TypeError, "theta0 must be real numbers .*object"),
        ],
    )
    def test_a_bad_start_is_refused(self, theta0, exception, message):
        with pytest.raises(exception, match=message):
            self.make(theta0, LR)


class SecondMomentContract(OptimizerContract):
    """What the optimizers that average squared gradients keep besides."""

    @pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float64, 1e200)])
    def test_a_gradient_whose_square_overflows_is_refused(self, dtype, size):
        """It would make the second moment infinite, and the parameters would never move again."""
        optimizer = self.make(np.ones(3, dtype), LR)
        optimizer.step(lambda theta: (1.0, theta))
        before = optimizer.theta, optimizer.steps, optimizer.evaluations
        with pytest.raises(gc.NonFiniteError, match=r"gradient too large at step 2: the square of .* overflows float"):
            optimizer.step(lambda theta: (1.0, np.full(3, size)))
        np.testing.assert_array_equal(optimizer.theta, before[0])
        assert (optimizer.steps, optimizer.evaluations) == before[1:]
        assert np.isfinite(optimizer.state["second_moment"]).all()
