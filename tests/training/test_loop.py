import dataclasses

import numba
import numpy as np
import pytest

import glasscurv as gc

NET = gc.MLP((2, 6, 3), activation="tanh")
OPTIMIZERS = {
    "sgd": lambda theta: gc.SGD(theta, 0.3, momentum=0.5),
    "adam": lambda theta: gc.Adam(theta, 0.03),
    "alice": lambda theta: gc.Alice(theta, 0.03, rng=1),
}


def clusters(rows, seed=0):
    """Three clusters in the plane, easy to tell apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows)
    centers = np.array([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
    return centers[y] + 0.4 * rng.normal(size=(rows, 2)), y


def run(optimizer="alice", epochs=4, rows=70, batch_size=16, rng=2, **options):
    """Train on the clusters: (history, optimizer)."""
    X, y = clusters(rows)
    opt = OPTIMIZERS[optimizer](NET.initialize(0))
    history = gc.train(NET, opt, X, y, epochs=epochs, batch_size=batch_size, rng=rng, **{"progress": False, **options})
    return history, opt


class Misbehaving(gc.MLP):
    """A network whose gradient is nan at one call."""

    def __init__(self, bad_call):
        super().__init__((2, 6, 3), activation="tanh")
        self.calls, self.bad_call, self.batches = 0, bad_call, []

    def value_and_grad(self, theta, X, y):
        self.calls += 1
        self.batches.append((np.array(X), np.array(y)))
        loss, gradient = super().value_and_grad(theta, X, y)
        if self.calls == self.bad_call:
            gradient[3] = np.nan
        return loss, gradient


def test_gradients_share_one_buffer_where_the_network_takes_one():
    class Buffered(gc.MLP):
        seen = []  # noqa: RUF012

        def value_and_grad(self, theta, X, y, out=None):
            self.seen.append(out)
            return super().value_and_grad(theta, X, y, out)

    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    gc.train(
        Buffered(NET.layers, NET.activation), optimizer, *clusters(70), epochs=4, batch_size=16, rng=2, progress=False
    )
    assert optimizer.theta.tobytes() == run()[1].theta.tobytes()
    assert Buffered.seen[0].shape == (NET.size,)
    assert {id(out) for out in Buffered.seen} == {id(Buffered.seen[0])}


# History


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_history_has_one_entry_a_step_and_one_an_epoch(name):
    history, optimizer = run(name, validation=clusters(30, seed=1))
    # 70 rows in batches of 16 are five steps, the last of 6 rows
    assert history.step_loss.shape == (20,)
    for field in (history.loss, history.validation_loss, history.validation_accuracy, history.evaluations):
        assert field.shape == (4,)
    assert {history.step_loss.dtype, history.loss.dtype, history.validation_loss.dtype} == {np.dtype(np.float64)}
    assert np.issubdtype(history.evaluations.dtype, np.integer)
    assert optimizer.steps == 20
    assert history.evaluations[-1] == optimizer.evaluations


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps():
    history, _ = run()
    np.testing.assert_allclose(history.loss, history.step_loss.reshape(4, 5).mean(axis=1), rtol=1e-15)


def test_evaluations_are_cumulative():
    history, _ = run("alice")
    # ten steps of warm-up take three each, then every fourth of five a epoch: steps 12, 16 and 20
    assert history.evaluations.tolist() == [15, 30, 30 + 5 + 2, 37 + 5 + 4]
    assert run("adam")[0].evaluations.tolist() == [5, 10, 15, 20]


def test_validation_is_measured_at_the_centre_after_each_epoch():
    Xv, yv = clusters(30, seed=1)
    history, optimizer = run(validation=(Xv, yv))
    assert history.validation_loss[-1] == NET.value(optimizer.theta, Xv, yv)
    assert history.validation_accuracy[-1] == np.mean(NET.predict(optimizer.theta, Xv) == yv)
    shorter, _ = run(epochs=3, validation=(Xv, yv))
    assert np.array_equal(shorter.validation_loss, history.validation_loss[:3])


def test_without_validation_there_is_none_in_the_history():
    history, _ = run()
    assert history.validation_loss is None
    assert history.validation_accuracy is None


def test_validation_does_not_disturb_training():
    assert np.array_equal(run()[1].theta, run(validation=clusters(30, seed=1))[1].theta)


def test_a_history_is_frozen():
    history, _ = run(epochs=1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="loss"):
        history.loss = np.zeros(1)


# Minibatches


def test_every_row_is_used_once_an_epoch_with_its_own_target():
    X, y = clusters(70)
    net = Misbehaving(bad_call=-1)
    optimizer = gc.SGD(NET.initialize(0), 0.1)
    gc.train(net, optimizer, X, y, epochs=3, batch_size=16, rng=0, progress=False)
    assert [len(batch[1]) for batch in net.batches] == [16, 16, 16, 16, 6] * 3
    rows = np.column_stack([X, y])
    for epoch in range(3):
        seen = np.vstack([np.column_stack(batch) for batch in net.batches[5 * epoch : 5 * epoch + 5]])
        assert not np.array_equal(seen, rows)
        assert np.array_equal(seen[np.lexsort(seen.T)], rows[np.lexsort(rows.T)])
    assert not np.array_equal(net.batches[0][0], net.batches[5][0])  # each epoch has its own order


def test_the_three_gradients_of_a_step_share_their_minibatch():
    X, y = clusters(70)
    net = Misbehaving(bad_call=-1)
    gc.train(net, gc.Alice(NET.initialize(0), 0.03, rng=1), X, y, epochs=1, batch_size=16, rng=0, progress=False)
    assert len(net.batches) == 15
    for step in range(5):
        plus, minus, center = (batch[0] for batch in net.batches[3 * step : 3 * step + 3])
        assert np.array_equal(plus, minus)
        assert np.array_equal(plus, center)


def test_a_batch_larger_than_the_data_takes_all_of_it():
    history, optimizer = run(epochs=2, batch_size=1000)
    assert history.step_loss.shape == (2,)
    assert optimizer.steps == 2


# Steps, schedules, early stopping, callback


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 20])
def test_steps_count_minibatches(steps):
    history, optimizer = run(epochs=None, steps=steps, validation=clusters(30, seed=1))
    assert optimizer.steps == steps
    assert history.step_loss.shape == (steps,)
    # five steps an epoch; the one under way is recorded too
    assert history.steps.tolist() == sorted({*range(5, steps + 1, 5), steps})
    whole, _ = run(epochs=4, validation=clusters(30, seed=1))
    assert np.array_equal(history.step_loss, whole.step_loss[:steps])
    assert history.validation_loss[-1] == NET.value(optimizer.theta, *clusters(30, seed=1))
    assert history.loss[-1] == pytest.approx(np.mean(history.step_loss[5 * ((steps - 1) // 5) :]), rel=1e-14)


def test_a_schedule_sets_the_learning_rate_of_every_step():
    seen, rates = [], []

    class Watching(gc.SGD):
        def step(self, value_and_grad):
            rates.append(self.lr)
            return super().step(value_and_grad)

    def schedule(step):
        seen.append(step)
        return 0.1 / (step + 1)

    X, y = clusters(70)
    gc.train(
        NET, Watching(NET.initialize(0), 9.0), X, y, epochs=2, batch_size=16, rng=0, progress=False, schedule=schedule
    )
    assert seen == list(range(10))
    assert rates == [0.1 / (step + 1) for step in range(10)]


def test_a_bad_learning_rate_is_refused_where_it_is_set():
    with pytest.raises(ValueError, match=r"lr must be .*got -1"):
        run(schedule=lambda step: -1.0)


def test_early_stopping_waits_as_long_as_it_is_told():
    # a large learning rate makes the validation loss rise now and then
    X, y = clusters(70)
    validation = clusters(30, seed=1)

    def stopped(patience):
        optimizer = gc.SGD(NET.initialize(0), 3.0, momentum=0.9)
        return gc.train(
            NET, optimizer, X, y, epochs=200, batch_size=16, validation=validation, rng=0, progress=False,
            patience=patience,
        )  # fmt: skip

    for patience in (1, 2, 5):
        history = stopped(patience)
        loss = history.validation_loss
        assert history.status == "early stopping"
        assert len(loss) == history.best_epoch + patience
        assert loss[history.best_epoch - 1] == loss.min()
        assert NET.value(history.best_theta, *validation) == loss.min()
        # it did not wait longer than it should have
        least = np.minimum.accumulate(loss)
        assert all(loss[k : k + patience].min() < least[k - 1] for k in range(1, history.best_epoch))


def test_a_loss_that_stays_the_same_is_no_progress():
    history, _ = run("alice", validation=clusters(30, seed=1), epochs=9, patience=1, rows=70)
    assert history.status == "early stopping"  # Alice gathers averages for ten steps, two epochs, without moving
    assert (history.best_epoch, len(history.loss)) == (1, 2)


def test_the_callback_gets_what_the_history_holds():
    records = []
    history, optimizer = run(validation=clusters(30, seed=1), callback=records.append)
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    for name in ("steps", "evaluations", "loss", "validation_loss", "validation_accuracy"):
        assert [getattr(record, name) for record in records] == getattr(history, name).tolist()
    assert records[-1].theta.tobytes() == optimizer.theta.tobytes()
    assert records[2].theta.tobytes() != records[3].theta.tobytes()  # after the warm-up


def test_a_callback_ends_the_training_with_stop_iteration():
    def callback(record):
        if record.epoch == 2:
            raise StopIteration

    history, optimizer = run(callback=callback)
    assert (history.status, len(history.loss), optimizer.steps) == ("stopped", 2, 10)


def test_an_error_in_the_callback_is_the_callers():
    def callback(record):
        raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        run(callback=callback)


def test_a_second_run_of_an_optimizer_counts_its_own_steps():
    _, optimizer = run(epochs=1)
    seen = []
    X, y = clusters(70)
    history = gc.train(
        NET,
        optimizer,
        X,
        y,
        epochs=1,
        batch_size=16,
        rng=0,
        progress=False,
        schedule=lambda step: seen.append(step) or 0.1,
    )  # fmt: skip
    assert seen == [0, 1, 2, 3, 4]
    assert history.steps.tolist() == [5]
    assert history.evaluations.tolist() == [optimizer.evaluations]


# Determinism


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_seeds_give_equal_bits(name):
    (one, first), (other, second) = run(name), run(name)
    assert one.step_loss.tobytes() == other.step_loss.tobytes()
    assert first.theta.tobytes() == second.theta.tobytes()
    assert run(name, rng=np.random.default_rng(2))[1].theta.tobytes() == first.theta.tobytes()
    assert not np.array_equal(run(name, rng=3)[1].theta, first.theta)


def test_the_arrays_of_the_caller_never_change():
    X, y = clusters(70)
    kept = X.copy(), y.copy()
    X.setflags(write=False)
    y.setflags(write=False)
    gc.train(NET, OPTIMIZERS["alice"](NET.initialize(0)), X, y, epochs=1, rng=0, progress=False, validation=(X, y))
    assert X.tobytes() == kept[0].tobytes()
    assert y.tobytes() == kept[1].tobytes()


def test_float32_parameters_stay_float32():
    X, y = clusters(70)
    optimizer = gc.Alice(NET.initialize(0, dtype=np.float32), 0.03, rng=1)
    gc.train(NET, optimizer, X, y, epochs=2, rng=0, progress=False)
    assert optimizer.theta.dtype == np.float32


# Learning


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_falls(name):
    history, _ = run(name, epochs=20, validation=clusters(200, seed=1))
    assert history.loss[-1] < 0.2 * history.loss[0]
    assert history.validation_accuracy[-1] > 0.98


@pytest.mark.parametrize(
    "make",
    [
        lambda theta: gc.SGD(theta, 0.1, momentum=0.5),
        lambda theta: gc.Adam(theta, 0.03),
        lambda theta: gc.Alice(theta, 0.1, rng=1),
    ],
    ids=list(OPTIMIZERS),
)
def test_a_regression_trains(make):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (80, 1))
    y = np.sin(2 * X[:, 0])
    net = gc.MLP((1, 8, 1), activation="tanh", loss="mse")
    optimizer = make(net.initialize(3))
    history = gc.train(net, optimizer, X, y, epochs=100, batch_size=20, validation=(X, y), rng=0, progress=False)
    assert history.validation_accuracy is None
    assert history.validation_loss.shape == (100,)
    # the best constant leaves 0.45, the best line 0.43
    assert history.validation_loss[-1] < 0.1
    assert history.validation_loss[-1] == net.value(optimizer.theta, X, y)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="9000 parameters are too many for loops in plain Python")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("options", [{"hessian": "zero"}, {"glass": False}, {}], ids=["glass", "hessian", "both"])
def test_alice_learns_the_digits_with_either_term_and_with_both(options, seed):
    digits = gc.data.load_digits()
    net = gc.MLP((64, 64, 64, 10))
    optimizer = gc.Alice(net.initialize(seed), lr=1e-2, rng=seed + 10, **options)
    validation = digits.X_validation, digits.y_validation
    history = gc.train(
        net, optimizer, digits.X, digits.y, epochs=40, validation=validation, rng=seed + 20, progress=False
    )
    assert history.validation_accuracy[-1] > 0.96


# Progress


def test_without_progress_nothing_is_printed(capsys):
    run(progress=False, validation=clusters(30, seed=1))
    assert capsys.readouterr() == ("", "")


def test_the_progress_bar_goes_to_standard_error(capsys):
    history, _ = run(progress=True, validation=clusters(30, seed=1))
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
    assert "4/4" in err
    assert f"loss={history.loss[-1]:.4f}" in err
    assert f"validation={history.validation_loss[-1]:.4f}" in err
    assert f"accuracy={history.validation_accuracy[-1]:.3f}" in err


def test_the_progress_bar_shows_only_what_was_measured(capsys):
    history, _ = run(progress=True)
    err = capsys.readouterr().err
    assert f"loss={history.loss[-1]:.4f}" in err
    assert "nan" not in err


def test_progress_does_not_change_the_result(capsys):
    assert run(progress=True)[1].theta.tobytes() == run(progress=False)[1].theta.tobytes()


# Failures


@pytest.mark.parametrize("bad_call", [1, 2, 3])
def test_a_gradient_that_is_not_finite_names_the_step(bad_call):
    X, y = clusters(70)
    optimizer = gc.SGD(NET.initialize(0), 0.1)
    with pytest.raises(gc.NonFiniteError, match=f"non-finite gradient at step {bad_call}: 1 of 39 entries"):
        gc.train(Misbehaving(bad_call), optimizer, X, y, epochs=2, batch_size=16, rng=0, progress=False)
    assert optimizer.steps == bad_call - 1


def test_after_a_failure_the_optimizer_is_as_before_the_step():
    X, y = clusters(70)
    failing, whole = (gc.Alice(NET.initialize(0), 0.03, rng=1) for _ in range(2))
    # calls 13 to 15 are step 5, the last of the first epoch
    with pytest.raises(gc.NonFiniteError, match="at step 5"):
        gc.train(Misbehaving(14), failing, X, y, epochs=1, batch_size=16, rng=0, progress=False)
    order = np.random.default_rng(0).permutation(70)
    for start in (0, 16, 32, 48):
        rows = order[start : start + 16]
        whole.step(lambda theta, rows=rows: NET.value_and_grad(theta, X[rows], y[rows]))
    assert failing.theta.tobytes() == whole.theta.tobytes()
    assert failing.state_dict()["rng"] == whole.state_dict()["rng"]


def test_without_shuffling_minibatches_follow_the_rows_and_nothing_is_drawn():
    X, y = clusters(70)
    net, rng = Misbehaving(bad_call=None), np.random.default_rng(0)
    optimizer = gc.SGD(net.initialize(0), 0.1)
    gc.train(net, optimizer, X, y, epochs=2, batch_size=32, rng=rng, progress=False, shuffle=False)
    for k in range(2):
        rows = net.batches[3 * k : 3 * k + 3]
        assert [len(labels) for _, labels in rows] == [32, 32, 6]
        np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in rows]), X)
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in rows]), y)
    assert rng.random() == np.random.default_rng(0).random()


def test_a_diverging_run_names_the_step():
    X, y = clusters(70)
    net = gc.MLP((2, 6, 1), loss="mse")
    optimizer = gc.SGD(net.initialize(0), 1e200)
    with np.errstate(all="ignore"), pytest.raises(gc.NonFiniteError, match="at step 2"):
        gc.train(net, optimizer, X, y.astype(float), epochs=2, batch_size=16, rng=0, progress=False)
    assert optimizer.steps == 1


GOOD = {"epochs": 1, "batch_size": 16, "rng": 0, "progress": False}


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be ≥ 1, got 0"),
        ({"epochs": None}, ValueError, "either epochs or steps must be given, got epochs=None and steps=None"),
        ({"steps": 3}, ValueError, "either epochs or steps must be given, got epochs=1 and steps=3"),
        ({"epochs": None, "steps": 0}, ValueError, "steps must be ≥ 1, got 0"),
        ({"patience": 3}, ValueError, "patience needs validation data, got validation=None"),
        ({"patience": 0, "validation": clusters(9)}, ValueError, "patience must be ≥ 1, got 0"),
        ({"checkpoint_every": 3}, ValueError, "checkpoint_every needs a checkpoint, got checkpoint=None"),
        ({"checkpoint_every": 0, "checkpoint": "unwritten"}, ValueError, "checkpoint_every must be ≥ 1, got 0"),
        ({"schedule": 0.1}, TypeError, "schedule must be callable, got float"),
        ({"callback": []}, TypeError, "callback must be callable, got list"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got float"),
        ({"epochs": True}, TypeError, "epochs must be an integer, got bool"),
        ({"batch_size": 0}, ValueError, "batch_size must be ≥ 1, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be an integer, got str"),
        ({"rng": "seed"}, TypeError, r"rng must be None, an int or a numpy\.random\.Generator, got str"),
        ({"rng": -1}, ValueError, "rng must be ≥ 0, got -1"),
    ],
)
def test_bad_options_are_refused(options, exception, message):
    X, y = clusters(20)
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    with pytest.raises(exception, match=message):
        gc.train(NET, optimizer, X, y, **{**GOOD, **options})
    assert optimizer.evaluations == 0


X20, Y20 = clusters(20)
# One bad row, in the last minibatch that rng=0 makes
LATE = np.random.default_rng(0).permutation(20)[-1]
ONE_NAN = np.where((np.arange(20) == LATE)[:, None], [0.0, np.nan], X20)
ONE_FOREIGN = np.where(np.arange(20) == LATE, 3, Y20)
REGRESSION = gc.MLP((2, 6, 1), activation="tanh", loss="mse")
ONE_INFINITE = np.where(np.arange(20) == LATE, np.inf, X20[:, 0])


@pytest.mark.parametrize(
    ("X", "y", "exception", "message"),
    [
        (X20, Y20[:-1], ValueError, r"y must have one entry for each of the 20 rows of X, got shape \(19,\)"),
        (X20, 1, ValueError, r"y must have one entry for each of the 20 rows of X, got shape \(\)"),
        (X20[:, :1], Y20, ValueError, r"X must have shape \(rows, 2\) .*got \(\d+, 1\)"),
        (X20[:, 0], Y20, ValueError, r"X must have shape .*got \(20,\)"),
        (X20[:0], Y20[:0], ValueError, r"X must have shape .*got \(0, 2\)"),
        (ONE_NAN, Y20, ValueError, rf"X must be finite, got nan at index \({LATE}, 1\)"),
        (X20 * 1j, Y20, TypeError, "X must be real numbers .*complex128"),
        (X20, Y20.astype(float), TypeError, "y must be integer labels for cross_entropy, got dtype float64"),
        (X20, np.eye(3, dtype=int)[Y20], ValueError, r"y must have shape \(\d+,\) .*got \(\d+, 3\)"),
        (X20, ONE_FOREIGN, ValueError, "y must hold labels 0 to 2, got 0 to 3"),
    ],
)
def test_bad_data_are_refused_before_the_first_step(X, y, exception, message):
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    with pytest.raises(exception, match=message):
        gc.train(NET, optimizer, X, y, **{**GOOD, "batch_size": 2})
    assert (optimizer.steps, optimizer.evaluations) == (0, 0)


@pytest.mark.parametrize(
    ("validation", "exception", "message"),
    [
        ((X20, Y20[:-1]), ValueError, r"y must have shape \(20,\) like the rows of X, got \(19,\)"),
        ((X20[:, :1], Y20), ValueError, r"X must have shape \(rows, 2\) .*got \(20, 1\)"),
        ((ONE_NAN, Y20), ValueError, "X must be finite, got nan"),
        ((X20, ONE_FOREIGN), ValueError, "y must hold labels 0 to 2, got 0 to 3"),
        ((X20,), ValueError, r"validation must be a pair \(X, y\), got tuple"),
        (7, ValueError, r"validation must be a pair \(X, y\), got int"),
    ],
)
def test_bad_validation_data_are_refused_before_the_first_step(validation, exception, message):
    # and not after an epoch has been spent
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    with pytest.raises(exception, match=message):
        gc.train(NET, optimizer, X20, Y20, validation=validation, **GOOD)
    assert (optimizer.steps, optimizer.evaluations) == (0, 0)


def test_a_bad_value_is_refused_before_the_first_step_and_located_in_the_data():
    optimizer = OPTIMIZERS["alice"](REGRESSION.initialize(0))
    with pytest.raises(ValueError, match=f"y must be finite, got inf at index {LATE}"):
        gc.train(REGRESSION, optimizer, X20, ONE_INFINITE, **{**GOOD, "batch_size": 2})
    assert (optimizer.steps, optimizer.evaluations) == (0, 0)


@pytest.mark.parametrize(
    ("optimizer", "got"), [(gc.Alice, "Alice itself"), ("alice", "str"), (np.zeros(39), "ndarray")]
)
def test_something_else_is_no_optimizer(optimizer, got):
    with pytest.raises(TypeError, match=f"optimizer must be an Optimizer, .* got {got}"):
        gc.train(NET, optimizer, X20, Y20, **GOOD)


def test_parameters_of_another_network_are_refused():
    optimizer = gc.SGD(np.zeros(NET.size + 1), 0.1)
    with pytest.raises(ValueError, match=r"theta must have shape \(39,\), got \(40,\)"):
        gc.train(NET, optimizer, X20, Y20, **GOOD)
