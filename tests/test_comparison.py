"""Equal starts, equal budgets, honest counts."""

import dataclasses
import json
import math
import sys

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

import glasscurv as gc
from glasscurv.comparison import (
    Comparison,
    Method,
    compare,
    learning_rates,
    parse_method,
)
from glasscurv.comparison import results as results_module
from glasscurv.comparison import trials as trials_module
from glasscurv.comparison.study import best_rate
from glasscurv.core import optimizers as core_optimizers
from glasscurv.core import steps as core_steps
from glasscurv.core import vectors as core_vectors

SPLIT = gc.data.two_spirals(50, rng=0)
NET = gc.MLP((2, 5, 2), activation="tanh")
# 50 rows in batches of 20: three minibatches an epoch
OPTIONS = {"epochs": 4, "batch_size": 20, "seeds": (0, 1), "progress": False}
ALL = ["sgd:lr=0.1", "adam:lr=0.01", "alice:lr=0.01,quick_steps=1", "lbfgs"]


def run(methods=ALL, network=NET, split=SPLIT, **options):
    return compare(methods, network, split, **{**OPTIONS, **options})


class Spy(gc.MLP):
    """A network that notes where and on what its gradient is taken."""

    def __init__(self, layers=(2, 5, 2), loss="cross_entropy", bad_call=None, **options):
        super().__init__(layers, loss=loss, **options)
        self.calls, self.bad_call = [], bad_call

    def value_and_grad(self, theta, X, y):
        self.calls.append((np.array(theta), np.array(X)))
        loss, gradient = super().value_and_grad(theta, X, y)
        if len(self.calls) == self.bad_call:
            gradient[0] = np.nan
        return loss, gradient


def trial_of(method, network=NET, seed=0, **options):
    return run([method], network, seeds=(seed,), **options).results[0].trials[0]


def same(one, other, ignore=("seconds",)):
    """Whether two results agree in every bit, except for the time they took."""
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one) if field.name not in ignore]
        return type(one) is type(other) and all(same(getattr(one, n), getattr(other, n), ignore) for n in names)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b, ignore) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def test_gradients_of_minibatches_share_a_buffer_and_those_that_scipy_keeps_do_not():
    class Buffered(gc.MLP):
        seen = []  # noqa: RUF012

        def value_and_grad(self, theta, X, y, out=None):
            self.seen.append(out)
            return super().value_and_grad(theta, X, y, out)

    network = Buffered(NET.layers, NET.activation)
    for method in ("sgd:lr=0.1", "lbfgs"):
        assert same(trial_of(method, network), trial_of(method))
    shared = [id(out) for out in Buffered.seen if out is not None]
    assert len(set(shared)) == 1
    assert Buffered.seen[-1] is None


# Starts and budgets


def test_at_equal_seed_all_methods_start_alike_and_meet_the_same_minibatches():
    seen = {}
    for method in ["sgd:lr=0.1", "adam:lr=0.01", "sgd:lr=1e-3,momentum=0.5"]:
        spy = Spy()
        trial_of(method, spy, seed=3)
        seen[method] = spy.calls
    first, *others = seen.values()
    assert len(first) == 12
    for other in others:
        assert np.array_equal(other[0][0], first[0][0])
        assert not np.array_equal(other[1][0], first[1][0])
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, other, strict=True))
    for method in ["alice:lr=0.01,quick_steps=0", "lbfgs"]:
        spy = Spy()
        trial_of(method, spy, seed=3)
        theta = [theta for theta, X in spy.calls][2 if method.startswith("alice") else 0]
        np.testing.assert_array_equal(theta, first[0][0])
    spy = Spy()
    trial_of("alice:lr=0.01,quick_steps=0", spy, seed=3)
    # three evaluations a step, on the minibatches that the others met; a budget of 12 is used up after the fourth
    assert [X.tolist() for _, X in spy.calls[::3]] == [X.tolist() for _, X in first[:4]]


def test_seeds_differ_in_start_and_order():
    spies = [Spy(), Spy()]
    for seed, spy in enumerate(spies):
        trial_of("sgd:lr=0.1", spy, seed=seed)
    (theta, X), (other_theta, other_X) = (spy.calls[0] for spy in spies)
    assert not np.array_equal(theta, other_theta)
    assert not np.array_equal(X, other_X)


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_no_method_takes_a_gradient_beyond_the_budget(epochs):
    for method in ["sgd:lr=0.1", "alice:lr=0.01,quick_steps=0", "alice:lr=0.01,quick_steps=1,betas=0.5/0.9", "lbfgs"]:
        spy = Spy()
        trial = trial_of(method, spy, epochs=epochs, target=10.0, metric="loss")
        assert len(spy.calls) * (3 if method == "lbfgs" else 1) <= 3 * epochs
        assert trial.evaluations[-1] <= 3 * epochs
        assert not trial.failed


def test_a_step_is_taken_only_if_the_gradients_left_suffice():
    comparison = run(["sgd:lr=0.1", "alice:lr=0.01,quick_steps=0", "alice:lr=0.01,quick_steps=1,betas=0.5/0.9"])
    assert comparison.budget == 12
    sgd, slow, quick = (result.trials[0] for result in comparison.results)
    assert sgd.evaluations.tolist() == sgd.steps.tolist() == list(range(13))
    assert slow.evaluations.tolist() == [0, 3, 6, 9, 12]
    assert slow.steps.tolist() == [0, 1, 2, 3, 4]
    # steps 1, 2 (warm-up), 4 and 6 are full ones; 11 of 12 are taken, and the next step would need 3
    assert quick.evaluations.tolist() == [0, 3, 6, 7, 10, 11]


def test_what_is_spent_on_a_step_that_is_not_taken_leaves_no_trace():
    trial = trial_of("alice:lr=0.01,quick_steps=1,betas=0.5/0.9")
    initial, directions, shuffling = (np.random.default_rng(stream) for stream in np.random.SeedSequence(0).spawn(3))
    optimizer = gc.Alice(NET.initialize(initial), 0.01, (0.5, 0.9), quick_steps=1, rng=directions)
    gc.train(NET, optimizer, SPLIT.X, SPLIT.y, steps=5, batch_size=20, rng=shuffling, progress=False)
    assert optimizer.evaluations == trial.evaluations[-1] == 11
    assert trial.validation_loss[-1] == NET.value(optimizer.theta, *SPLIT[2:])


@pytest.mark.parametrize(("epochs", "budget", "every"), [(66, 198, 1), (67, 201, 2), (200, 600, 3), (201, 603, 4)])
def test_there_are_at_most_200_records_besides_the_start(epochs, budget, every):
    comparison = run(["sgd:lr=0.01", "a=alice:lr=0.01,quick_steps=1,betas=0.5/0.9"], epochs=epochs, seeds=(0,))
    assert comparison.budget == budget
    sgd, alice = (result.trials[0].evaluations for result in comparison.results)
    assert sgd.tolist() == [*range(0, budget, every), budget]
    # two steps of three gradients, then one of one and one of three in turn
    after = np.cumsum([3, 3, *[1, 3] * budget])
    multiples = np.arange(every, budget + 1, every)
    due = {int(after[after >= multiple][0]) for multiple in multiples} | {int(after[after <= budget][-1])}
    assert alice.tolist() == [0, *sorted(taken for taken in due if taken <= budget)]


@pytest.mark.parametrize(
    ("method", "build"),
    [
        ("adam:lr=0.02", lambda theta, rng: gc.Adam(theta, 0.02)),
        ("alice:lr=0.5", lambda theta, rng: gc.Alice(theta, 0.5, rng=rng)),
    ],
)
def test_records_are_those_of_the_trainer(method, build):
    trial = trial_of(method, seed=7, epochs=15)  # beyond the warm-up, in which Alice rests
    initial, directions, shuffling = (np.random.default_rng(stream) for stream in np.random.SeedSequence(7).spawn(3))
    optimizer = build(NET.initialize(initial), directions)
    epochs = trial.steps[-1] // 3
    history = gc.train(NET, optimizer, SPLIT.X, SPLIT.y, epochs, 20, SPLIT[2:], rng=shuffling, progress=False)
    assert epochs > 4
    ends = np.flatnonzero((trial.steps % 3 == 0) & (trial.steps > 0))
    assert trial.evaluations[ends].tolist() == history.evaluations.tolist()
    assert trial.loss[ends].tolist() == history.loss.tolist()
    assert trial.validation_loss[ends].tolist() == history.validation_loss.tolist()
    assert trial.validation_accuracy[ends].tolist() == history.validation_accuracy.tolist()
    assert trial.loss[5] == np.mean(history.step_loss[2:5])  # between the ends too, as many steps as an epoch has
    assert trial.loss[2] == np.mean(history.step_loss[:2])
    assert trial.lr == optimizer.lr


@pytest.mark.parametrize("method", [*ALL, "alice:lr=1e200"])
def test_the_first_record_is_the_start(method):
    trial = trial_of(method, seed=3)
    theta0 = NET.initialize(np.random.default_rng(np.random.SeedSequence(3).spawn(3)[0]))
    assert (trial.steps[0], trial.evaluations[0], trial.seconds[0]) == (0, 0, 0)
    assert trial.loss[0] == NET.value(theta0, SPLIT.X, SPLIT.y)
    assert trial.validation_loss[0] == NET.value(theta0, *SPLIT[2:])
    assert trial.validation_accuracy[0] == np.mean(NET.predict(theta0, SPLIT[2]) == SPLIT[3])


MEASURED = ["signs", "perturb", "copy_within", "within"]
ALICE = ["alice_averages", "alice_curvature", "alice_update"]
JOINT = [
    "alice_averages",
    "alice_curvature",
    "step_curvatures",
    "joint_leader",
    "joint_sums",
    "joint_step",
    "bound_step",
]
COMPILED = {
    core_vectors: MEASURED,
    core_steps: [*ALICE, *JOINT[2:], "alice_move"],
    core_optimizers: ["adam_update", "sgd_update", "hutchinson_diagonal"],
}


@pytest.mark.parametrize(
    ("method", "called"),
    [
        ("sgd:lr=0.1,momentum=0.9", {"sgd_update", "within"}),
        ("adam:lr=0.01", {"adam_update", "within"}),
        ("adahessian:lr=0.1", {"hutchinson_diagonal", "adam_update", *MEASURED}),
        ("alice:lr=0.01,quick_steps=2", {*ALICE, *MEASURED}),
        ("alice:lr=0.01,joint=true", {*JOINT, "alice_move", *MEASURED}),
        ("alice:lr=0.01,joint=true,betas=0.95/0.99,hessian=rms", {*JOINT, "alice_move", *MEASURED}),
        ("lbfgs", set()),
    ],
)
def test_seconds_are_those_of_gradients_without_validation_and_compilation(monkeypatch, method, called):
    seconds, compiled = 0, set()

    def compiling(name, function):
        def call(*arguments):
            nonlocal seconds
            if name not in compiled:
                seconds += 1_000_000
                compiled.add(name)
            return function(*arguments)

        return call

    class Timed(gc.MLP):
        def value_and_grad(self, theta, X, y):
            nonlocal seconds
            seconds += 1
            return super().value_and_grad(theta, X, y)

        def value(self, theta, X, y):
            nonlocal seconds
            seconds += 1000
            return super().value(theta, X, y)

    for module, names in COMPILED.items():
        for name in names:
            monkeypatch.setattr(module, name, compiling(name, getattr(module, name)))
    monkeypatch.setattr(trials_module, "perf_counter", lambda: seconds)
    trial = trial_of(method, Timed((2, 5, 2), activation="tanh"), epochs=25)
    assert len(trial.steps) > 10
    scale = 3 if method == "lbfgs" else 1
    assert trial.seconds.tolist() == (trial.evaluations / scale).tolist()
    assert compiled >= called


def test_seconds_are_those_of_the_clock():
    trial = trial_of("adam:lr=0.02")
    assert (np.diff(trial.seconds) > 0).all()
    assert trial.seconds[-1] < 60


def test_methods_take_turns():
    asked = []

    def note(function, tasks):
        tasks = list(tasks)
        asked.append([(task.method.name, task.lr, task.seed) for task in tasks])
        return map(function, tasks)

    run(["a=adam", "b=sgd:lr=0.1"], workers=note, seeds=(4, 5), tuning_seeds=(8, 9), lr_grid=(0.01, 0.1, 2), epochs=1)
    tuning, runs = asked
    assert tuning == [("a", lr, seed) for seed in (8, 9) for lr in (0.01, 0.1)]
    assert [(name, seed) for name, _, seed in runs] == [("a", 4), ("b", 4), ("a", 5), ("b", 5)]


def test_linear_algebra_runs_on_one_thread():
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    class Threads(gc.MLP):
        def value_and_grad(self, theta, X, y):
            seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
            return super().value_and_grad(theta, X, y)

    with threadpool_limits(2):
        trial_of("adam:lr=0.02", Threads((2, 5, 2)), epochs=1)
    assert seen
    assert all(counts == {1} for counts in seen)


def test_without_threadpoolctl_the_numbers_are_the_same(monkeypatch):
    before = run(["adam:lr=0.02"])
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert same(before, run(["adam:lr=0.02"]))


# L-BFGS


def test_an_evaluation_of_lbfgs_counts_as_all_minibatches_and_stays_within_the_budget():
    spy = Spy(activation="tanh")
    trial = trial_of("lbfgs", spy, epochs=9)
    assert len(spy.calls) == 9
    assert all(len(X) == 50 for _, X in spy.calls)
    assert trial.steps.tolist() == list(range(len(trial.steps)))
    assert (trial.evaluations % 3 == 0).all()
    assert trial.evaluations[-1] <= 27
    assert (np.diff(trial.loss) <= 0).all()


def test_lbfgs_is_that_of_scipy():
    theta0 = NET.initialize(np.random.default_rng(np.random.SeedSequence(0).spawn(3)[0]))
    losses, calls = [], 0

    def value_and_grad(theta):
        nonlocal calls
        calls += 1
        return NET.value_and_grad(theta, SPLIT.X, SPLIT.y)

    def callback(xk):
        losses.append((calls, NET.value(xk, SPLIT.X, SPLIT.y), NET.value(xk, *SPLIT[2:])))

    minimize(
        value_and_grad, theta0, jac=True, method="L-BFGS-B", callback=callback, options={"maxcor": 3, "maxiter": 6}
    )
    trial = trial_of("lbfgs:maxcor=3", epochs=losses[-1][0])
    assert (trial.evaluations[1:] // 3).tolist() == [calls for calls, _, _ in losses]
    assert trial.loss[1:].tolist() == [loss for _, loss, _ in losses]
    assert trial.validation_loss[1:].tolist() == [loss for _, _, loss in losses]


@pytest.mark.parametrize(("method", "batch_size"), [("lbfgs", 20), ("alice:lr=0.01", 50)])
def test_a_run_without_gradients_for_a_step_ends_where_it_started(method, batch_size):
    comparison = run([method], epochs=1, batch_size=batch_size, target=1e-3)
    (row,) = comparison.rows()
    assert [trial.steps.tolist() for trial in comparison.results[0].trials] == [[0], [0]]
    assert (row["failed"], row["reached"]) == (0, 0)
    starts = [trial_of("adam:lr=0.01", seed=seed) for seed in OPTIONS["seeds"]]
    assert row["validation_loss"] == np.mean([trial.validation_loss[0] for trial in starts])


# Targets


@pytest.mark.parametrize(("metric", "sign"), [("validation_loss", 1), ("loss", 1), ("validation_accuracy", -1)])
def test_the_target_is_reached_at_the_first_record_that_is_as_good(metric, sign):
    curves = [getattr(trial, metric) for trial in run(["adam:lr=0.05"], epochs=8).results[0].trials]
    target = float(curves[0][4])
    comparison = run(["adam:lr=0.05"], epochs=8, target=target, metric=metric)
    for curve, trial in zip(curves, comparison.results[0].trials, strict=True):
        hits = [k for k, value in enumerate(curve) if sign * value <= sign * target]
        assert trial.reached == (hits[0] if hits else None)
        if hits:
            assert trial.at_target("evaluations") == trial.evaluations[hits[0]] == hits[0]
            assert trial.at_target("seconds") == trial.seconds[hits[0]]
    assert comparison.results[0].trials[0].reached is not None


def test_a_target_out_of_reach_is_missed_by_all():
    (row,) = run(["adam:lr=0.05"], target=1e-6).rows()
    assert row["reached"] == 0
    assert all(math.isnan(row[name]) for name in ("steps", "evaluations", "seconds", "evaluations_median"))
    assert row["loss"] > 0


@pytest.mark.parametrize("method", ["sgd:lr=1e200", "alice:lr=1e200", "lbfgs"])
def test_a_run_that_diverges_is_counted_and_not_raised(method):
    huge = SPLIT._replace(X=SPLIT.X * 1e200) if method == "lbfgs" else SPLIT
    network = gc.MLP((2, 5, 1), loss="mse")
    comparison = run([method, "adam:lr=0.01"], network, huge._replace(y=huge.y * 1.0), target=10.0)
    row, _ = comparison.rows()
    assert (row["failed"], row["reached"]) == (2, 0)
    assert math.isnan(row["loss"])


def test_a_run_that_fails_late_keeps_its_records_and_has_not_reached_the_target():
    spy = Spy(bad_call=9)
    trial = trial_of("sgd:lr=0.1", spy, target=100.0)
    assert trial.failed
    assert trial.steps.tolist() == list(range(9))
    assert (trial.validation_loss < 100).all()
    assert trial.reached is None
    assert math.isnan(trial.final("loss"))


def test_ctrl_c_ends_the_comparison():
    class Interrupted(gc.MLP):
        def value(self, theta, X, y):
            import signal

            signal.raise_signal(signal.SIGINT)
            return super().value(theta, X, y)

    with pytest.raises(KeyboardInterrupt):
        run(["sgd:lr=0.1"], Interrupted((2, 5, 2)))


def test_other_errors_are_not_taken_for_divergence():
    class Broken(gc.MLP):
        def value(self, theta, X, y):
            raise ValueError("the model failed")

    with pytest.raises(ValueError, match="the model failed"):
        run(["sgd:lr=0.1"], Broken((2, 5, 2)))


# Tuning


@pytest.mark.parametrize("target", [0.66, 1e-9, None])
def test_tuning_picks_what_trying_every_rate_picks(target):
    grid = (1e-3, 1.0, 4)
    comparison = run(["adam", "sgd:momentum=0.5", "lbfgs"], epochs=6, target=target, lr_grid=grid, tuning_seeds=(5, 6))
    for result in comparison.results[:2]:
        scores = []
        for lr in np.geomspace(*grid):
            name = "adam" if result.method.optimizer == "adam" else "sgd:momentum=0.5"
            method = Method("m", result.method.optimizer, float(lr), parse_method(name).options)
            trials = run([method], epochs=6, target=target, seeds=(5, 6)).results[0].trials
            costs = [math.inf if trial.reached is None else trial.evaluations[trial.reached] for trial in trials]
            scores.append((np.mean(costs), np.mean([trial.validation_loss[-1] for trial in trials]), lr))
        cost, metric, lr = min(scores)
        assert result.lr == lr
        assert result.at_edge == (lr in (scores[0][2], scores[-1][2]))
        best = result.tuning.lr.tolist().index(lr)
        assert result.tuning.metric[best] == metric
        assert result.tuning.evaluations[best] == cost or (
            math.isinf(cost) and np.isnan(result.tuning.evaluations[best])
        )
        assert {trial.lr for trial in result.trials} == {lr}
    assert comparison.results[2].tuning is None
    assert math.isnan(comparison.results[2].lr)


def test_more_accurate_is_better_in_tuning():
    tuning = gc.comparison.Tuning(np.arange(3.0), np.full(3, np.nan), np.array([0.5, 0.9, np.nan]))
    assert (best_rate(tuning, -1), best_rate(tuning, 1)) == (1, 0)
    tuning = gc.comparison.Tuning(np.arange(4.0), np.array([9, 6, np.nan, 6]), np.array([0.1, 0.4, 0.0, 0.3]))
    assert (best_rate(tuning, 1), best_rate(tuning, -1)) == (3, 1)


def test_a_best_rate_at_the_edge_is_flagged_and_a_given_rate_is_not_tuned():
    comparison = run(["low=sgd", "given=sgd:lr=1e-9"], lr_grid=(1e-9, 1e-1, 2))
    low, given = comparison.results
    assert (low.lr, low.at_edge) == (0.1, True)
    assert (given.lr, given.at_edge, given.tuning) == (1e-9, False, None)
    assert not run(["sgd"], lr_grid=(0.1, 0.1, 1)).results[0].at_edge


def test_grids_of_all_optimizers_have_one_length_and_ratio():
    grids = [learning_rates(name) for name in gc.comparison.OPTIMIZERS]
    assert gc.comparison.LEARNING_RATES.keys() == gc.comparison.OPTIMIZERS.keys()
    for name, grid in zip(gc.comparison.OPTIMIZERS, grids, strict=True):
        assert grid.shape == (7,)
        np.testing.assert_allclose(grid[1:] / grid[:-1], np.sqrt(10), rtol=1e-12)
        assert grid[3] == gc.comparison.LEARNING_RATES[name]


# Tables and files


def test_intervals_are_those_of_student():
    comparison = run(["adam:lr=0.05", "sgd:lr=1e200"], seeds=range(4), epochs=8, target=0.68)
    row, _ = comparison.rows()
    final = [trial.validation_loss[-1] for trial in comparison.results[0].trials]
    low, high = stats.t.interval(0.95, 3, np.mean(final), stats.sem(final))
    assert row["validation_loss"] == pytest.approx((low + high) / 2, rel=1e-12)
    assert row["validation_loss_interval"] == pytest.approx((high - low) / 2, rel=1e-9)


def test_missed_runs_are_left_out_of_the_mean_and_infinite_in_the_median():
    def trial(reached):
        steps = np.arange(1, 11)
        curve = np.ones(10)
        return gc.comparison.Trial(0, 0.1, False, steps, 3 * steps, 0.5 * steps, curve, curve, curve, reached)

    def row(*reached):
        trials = tuple(trial(k) for k in reached)
        result = gc.comparison.MethodResult(Method("m", "adam", 0.1), 0.1, False, None, trials)
        return results_module._row(result)

    table = row(1, 3, None)
    assert (table["reached"], table["seeds"]) == (2, 3)
    assert (table["steps"], table["evaluations"], table["seconds"]) == (3, 9, 1.5)
    assert table["evaluations_median"] == 12
    assert table["evaluations_interval"] == pytest.approx(stats.t.ppf(0.975, 1) * 3)
    table = row(1, None, None)
    assert (table["evaluations"], table["reached"]) == (6, 1)
    assert math.isnan(table["evaluations_median"])
    assert math.isnan(table["evaluations_interval"])


def test_intervals_of_runs_that_went_astray_do_not_overflow():
    values = np.array([1.0, 2.0, 4.0, math.nan])
    mean, half = results_module.mean_interval(values)
    assert results_module.mean_interval(values * 2.0**1000) == (mean * 2.0**1000, half * 2.0**1000)
    assert results_module.mean_interval(np.zeros(3)) == (0, 0)


def test_a_regression_has_no_accuracy():
    data = gc.data.regression(30, rng=0)
    (row,) = run(["adam:lr=0.01"], gc.MLP((6, 5, 1), loss="mse"), data).rows()
    assert math.isnan(row["validation_accuracy"])
    assert row["validation_loss"] > 0
    with pytest.raises(ValueError, match=r"metric must be a loss where the network's loss is 'mse'"):
        run(["adam:lr=0.01"], gc.MLP((6, 5, 1), loss="mse"), data, metric="validation_accuracy")


def test_a_comparison_comes_back_from_its_file_as_it_was(tmp_path):
    methods = ["adam", "alice:lr=0.01,betas=0.5/0.9,length=none", "sgd:lr=1e200", "lbfgs"]
    network, data = gc.MLP((2, 5, 1), loss="mse"), SPLIT._replace(y=SPLIT.y * 1.0)
    comparison = run(methods, network, data, target=3.0, lr_grid=(0.01, 1e200, 3))
    assert [result.failed for result in comparison.results] == [0, 0, 2, 0]
    assert comparison.results[0].reached
    comparison.to_json(tmp_path / "comparison.json")
    back = Comparison.from_json(tmp_path / "comparison.json")
    assert same(comparison, back, ignore=())
    assert "NaN" not in (tmp_path / "comparison.json").read_text()
    json.dumps(comparison.rows())  # plain numbers only


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"comparison.json is not JSON"),
        ("[]", r"comparison.json is not a glasscurv comparison 1"),
        ('{"format": "other"}', r"comparison.json is not a glasscurv comparison 1"),
        ('{"format": "glasscurv comparison 1"}', r"comparison.json is a damaged comparison: KeyError\('results'\)"),
        ('{"format": "glasscurv comparison 1", "results": []}', r"comparison.json is a damaged comparison: TypeError"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, text, message):
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Comparison.from_json(tmp_path / "comparison.json")


# Workers and progress


def test_results_do_not_depend_on_the_workers():
    methods = ["adam", "alice:lr=0.01,quick_steps=0", "lbfgs"]
    options = {"target": 0.69, "lr_grid": (0.01, 0.1, 2), "tuning_seeds": (3,)}
    alone = run(methods, **options)
    assert same(alone, run(methods, **options, workers=2))
    assert same(alone, run(methods, **options, workers=map))


def test_the_progress_bar_names_the_method_and_counts_all_runs(capsys):
    run(["ours=adam"], lr_grid=(0.01, 0.1, 2), progress=True)
    shown = capsys.readouterr().err
    assert "ours: 100%" in shown
    assert "6/6" in shown
    run(["ours=adam"], lr_grid=(0.01, 0.1, 2))
    assert capsys.readouterr().err == ""


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": []}, r"methods must be at least one, with different names, got none"),
        ({"methods": ["adam", "adam"]}, r"methods must be at least one, with different names, got adam, adam"),
        ({"seeds": []}, r"seeds must be at least one, and different, got \(\)"),
        ({"seeds": [1, 1]}, r"seeds must be at least one, and different, got \(1, 1\)"),
        ({"seeds": [-1]}, r"every entry of seeds must be ≥ 0, got -1"),
        ({"seeds": [1, 7], "tuning_seeds": [7, 8]}, r"tuning_seeds must differ from seeds, got 7 in both"),
        ({"epochs": 0}, r"epochs must be ≥ 1, got 0"),
        ({"batch_size": 0}, r"batch_size must be ≥ 1, got 0"),
        ({"target": math.nan}, r"target must be finite, got nan"),
        ({"metric": "speed"}, r"metric must be one of 'validation_loss', 'validation_accuracy', 'loss', got 'speed'"),
        ({"methods": ["adam"], "lr_grid": (1, 0.1, 3)}, r"high of lr_grid must be finite and ≥ 1, got 0.1"),
        ({"methods": ["adam"], "lr_grid": (0, 0.1, 3)}, r"low of lr_grid must be finite and > 0, got 0"),
        ({"methods": ["adam"], "lr_grid": (0.1, 1, 0)}, r"count of lr_grid must be ≥ 1, got 0"),
        ({"methods": ["adam"], "lr_grid": (0.1, 1)}, r"lr_grid must be \(low, high, count\), got \(0.1, 1\)"),
        ({"split": SPLIT[:2]}, r"split must hold training and validation inputs and targets, got 2 arrays"),
        ({"split": SPLIT._replace(y=SPLIT.y[1:])}, r"y must have one entry for each of the 50 rows of X"),
        ({"split": SPLIT._replace(X_validation=SPLIT.X_validation * np.nan)}, r"X_validation must be finite"),
        ({"split": SPLIT._replace(y_validation=SPLIT.y + 2)}, r"y must hold labels 0 to 1, got 2 to 3"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(**{"methods": ["adam:lr=0.1"], **options})


def test_arguments_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"methods must hold Methods or text, got int"):
        run([3])
    with pytest.raises(TypeError, match=r"network must be an MLP, got str"):
        run(network="mlp")
    with pytest.raises(ValueError, match=r"optimizer must be one of sgd.*got 'lbfgs'"):
        learning_rates("lbfgs")
