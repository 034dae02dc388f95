import copy
import pickle
import signal
import warnings

import numba
import numpy as np
import pytest
from scipy.sparse import csr_array

import glasscurv as gc
from glasscurv.integrations import sklearn as module
from glasscurv.integrations.sklearn import GlassMLPClassifier, GlassMLPRegressor

pytest.importorskip("sklearn")

from joblib import dump, load, parallel_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

pytestmark = pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
QUICK = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.03, "max_iter": 40, "batch_size": 32}
KINDS = [GlassMLPClassifier, GlassMLPRegressor]


def problem(kind, rows=70, seed=0):
    """Clusters to tell apart, or a smooth function."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3))
    signal = X[:, 0] - 0.5 * X[:, 1] ** 2
    return (X, np.digitize(signal, [-1.0, 0.3])) if kind is GlassMLPClassifier else (X, signal)


def made(kind, **options):
    return kind(**{**QUICK, "max_iter": 4, "random_state": 3, **options})


def fitted(kind, **options):
    return made(kind, **options).fit(*problem(kind))


both = pytest.mark.parametrize("kind", KINDS)


# scikit-learn's own checks


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
@parametrize_with_checks([GlassMLPClassifier(**QUICK), GlassMLPRegressor(**QUICK)])
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


# The same as the core


def by_hand(kind, X, y, options, epochs):
    """Alice, minibatch after minibatch."""
    penalty, loss, outputs = (1, "cross_entropy", 3) if kind is GlassMLPClassifier else (2, "mse", 1)
    words = np.random.RandomState(options["random_state"]).randint(1 << 32, size=4, dtype=np.uint64).tolist()
    parameters, directions, order, _ = map(np.random.default_rng, np.random.SeedSequence(words).spawn(4))
    net = gc.MLP((3, *options["hidden_layer_sizes"], outputs), options["activation"], loss)
    alice = gc.Alice(
        net.initialize(parameters),
        options["learning_rate_init"],
        l2=penalty * options["alpha"] / options["batch_size"],
        hessian=options["hessian"],
        glass=options["glass"],
        quick_steps=options["quick_steps"],
        rng=directions,
    )
    curve = []
    for _ in range(epochs):
        rows, losses = order.permutation(len(X)), []
        for start in range(0, len(X), options["batch_size"]):
            batch = rows[start : start + options["batch_size"]]
            losses.append(alice.step(lambda theta, batch=batch: net.value_and_grad(theta, X[batch], y[batch])))
        curve.append(np.mean(losses) + alice.l2 / 2 * np.sum(alice.theta**2))
    return net, alice, curve


OPTIONS = {"hidden_layer_sizes": (7, 5), "learning_rate_init": 0.02, "batch_size": 32, "random_state": 11}


@both
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu", "alpha": 0.0, "hessian": "abs", "glass": True, "quick_steps": 3},
        {"activation": "tanh", "alpha": 0.7, "hessian": "rms", "glass": False, "quick_steps": 0},
    ],
)
def test_fit_is_alice_on_minibatches(kind, options):
    options, (X, y) = OPTIONS | options, problem(kind)
    net, alice, curve = by_hand(kind, X, y, options, 12)
    model = kind(**options, max_iter=12).fit(X, y)
    np.testing.assert_allclose(model.theta_, alice.theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-10)
    assert model.evaluations_ == alice.evaluations
    if kind is GlassMLPRegressor:
        np.testing.assert_array_equal(model.predict(X), net.predict(model.theta_, X))


@both
def test_alpha_weighs_what_it_weighs_in_scikit_learn(kind):
    # A linear model and all rows in one minibatch: one convex function, but for the penalty of the biases, which are
    # 0 where it is least, because the data look the same after a turn by 120° and one class or by 180° and one sign.
    rng = np.random.default_rng(0)
    if kind is GlassMLPClassifier:
        angles = rng.normal(0, 0.7, 40) + 2 * np.pi / 3 * np.arange(3)[:, None]
        X, y = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(-1, 2), np.repeat(np.arange(3), 40)
    else:
        X = rng.normal(size=(60, 3))
        X, y = np.vstack([X, -X]), np.concatenate([X[:, 0] + X[:, 1] ** 3, -X[:, 0] - X[:, 1] ** 3])
    shared = {"hidden_layer_sizes": (), "alpha": 120.0, "batch_size": 120, "random_state": 0, "max_iter": 1000}
    theirs = MLPClassifier if kind is GlassMLPClassifier else MLPRegressor
    reference = theirs(solver="lbfgs", tol=1e-10, **shared).fit(X, y)
    model = kind(learning_rate_init=0.1, n_iter_no_change=np.inf, **shared).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], reference.coefs_[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.loss_, reference.loss_ * (2 if kind is GlassMLPRegressor else 1), rtol=1e-8)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_inputs_is_that_of_the_network(kind, dtype):
    X, y = problem(kind)
    model = made(kind).fit(X.astype(dtype), y)
    assert model.theta_.dtype == dtype
    outputs = model.predict_proba(X) if kind is GlassMLPClassifier else model.predict(X)
    assert outputs.dtype == dtype
    model.set_params(warm_start=True).fit(X, y)
    assert model.theta_.dtype == dtype
    if dtype == np.float32:
        with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large for dtype\('float32'\)"):
            model.partial_fit(np.full_like(X, 1e50), y)
    assert made(kind).fit(X.astype(np.float16), y).theta_.dtype == np.float64


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
@both
def test_a_seed_gives_the_same_bits_whatever_the_threads(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 64))
    y = (X[:, 0] > 0) if kind is GlassMLPClassifier else X[:, 0]
    thetas = []
    for threads in (1, 3):
        with threadpool_limits(threads):
            model = kind((160,), batch_size=400, max_iter=12, random_state=4)
            thetas.append(model.fit(X, y).theta_)
    assert thetas[0].tobytes() == thetas[1].tobytes()
    assert thetas[0].tobytes() != model.set_params(random_state=5).fit(X, y).theta_.tobytes()


def test_a_random_state_goes_on_from_fit_to_fit():
    source = np.random.RandomState(0)
    first, second = (fitted(GlassMLPClassifier, random_state=source).theta_ for _ in range(2))
    assert (first != second).any()


@both
def test_minibatches_have_200_rows_or_all(kind):
    X, y = problem(kind, 250)
    for rows, size in ((250, 200), (70, 70)):
        auto, plain = (
            made(kind, batch_size=each, alpha=9.0, max_iter=14).fit(X[:rows], y[:rows]) for each in ("auto", size)
        )
        assert auto.theta_.tobytes() == plain.theta_.tobytes()
        assert auto.evaluations_ == plain.evaluations_


# Labels and targets


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["spam", "ham", "eggs"]),
        np.array(["spam", "ham", "eggs"], dtype=object),
        np.array([-7, 0, 5]),
        np.array([2.0, -1.0, 4.0]),
        np.array([False, True]),
        np.array(["only one"]),
    ],
    ids=repr,
)
def test_labels_may_be_anything(labels):
    X, y = problem(GlassMLPClassifier)
    y %= len(labels)
    model = made(GlassMLPClassifier).fit(X, labels[y])
    np.testing.assert_array_equal(model.classes_, np.sort(labels))
    assert model.classes_.dtype == model.predict(X).dtype == labels.dtype
    assert model.n_outputs_ == len(labels)
    plain = made(GlassMLPClassifier).fit(X, np.argsort(np.argsort(labels))[y])
    np.testing.assert_array_equal(model.predict(X), model.classes_[plain.predict(X)])
    assert model.score(X, labels[y]) == plain.score(X, np.argsort(np.argsort(labels))[y])


def test_probabilities_and_their_logarithms_belong_together():
    X, y = problem(GlassMLPClassifier)
    model = made(GlassMLPClassifier).fit(X, y)
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (70, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_allclose(log_loss(y, probabilities), model.network_.value(model.theta_, X, y), rtol=1e-10)
    far = model.predict_log_proba(1e4 * X)
    assert np.isfinite(far).all()
    assert (model.predict_proba(1e4 * X) == 0).any()


@both
def test_a_column_of_targets_is_a_vector_and_warns(kind):
    X, y = problem(kind)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        model = made(kind).fit(X, y[:, None])
    assert model.theta_.tobytes() == fitted(kind).theta_.tobytes()
    assert model.predict(X).shape == (70,)


def test_several_targets_have_an_output_each():
    X, y = problem(GlassMLPRegressor)
    Y = np.stack([y, X[:, 2]], axis=1)
    model = GlassMLPRegressor(**(QUICK | {"max_iter": 100}), random_state=0, early_stopping=True).fit(X, Y)
    assert model.n_outputs_ == 2
    assert model.predict(X).shape == (70, 2)
    assert model.score(X, Y) > 0.8
    with pytest.raises(ValueError, match=r"same network, MLP\(\(3, 8, 2\).*got MLP\(\(3, 8, 1\)"):
        model.set_params(warm_start=True).fit(X, y)


def test_several_labels_are_refused():
    X, y = problem(GlassMLPClassifier)
    message = r"one label for each row, got shape \(70, 2\): several outputs need sklearn.multioutput"
    with pytest.raises(ValueError, match=message):
        made(GlassMLPClassifier).fit(X, np.stack([y > 0, y > 1], axis=1))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        made(GlassMLPClassifier).fit(X, X[:, 0])


# Going on


@both
def test_parts_make_a_fit(kind):
    X, y = problem(kind)
    whole = made(kind, max_iter=5, n_iter_no_change=np.inf).fit(X, y)
    parts = made(kind)
    for _ in range(5):
        assert parts.partial_fit(X, y, *([[0, 1, 2]] if kind is GlassMLPClassifier else [])) is parts
    assert parts.theta_.tobytes() == whole.theta_.tobytes()
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.evaluations_ == whole.evaluations_
    assert (parts.n_iter_, whole.n_iter_) == (1, 5)


@both
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_predicts_and_goes_on_alike_bit_for_bit(kind, copied):
    X, y = problem(kind)
    model = made(kind, max_iter=3, curvature_profile=True).fit(X, y).partial_fit(X[:40], y[:40])
    twin = copied(model)
    assert twin.predict(X).tobytes() == model.predict(X).tobytes()
    for _ in range(4):
        twin.partial_fit(X, y)
        model.partial_fit(X, y)
    assert twin.theta_.tobytes() == model.theta_.tobytes()
    assert twin.predict(X).tobytes() == model.predict(X).tobytes()
    assert clone(model).fit(X, y).theta_.tobytes() == clone(twin).fit(X, y).theta_.tobytes()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(model).predict(X)


def test_not_every_label_must_come_in_the_first_part():
    X, y = problem(GlassMLPClassifier)
    model = made(GlassMLPClassifier).partial_fit(X[y < 2], y[y < 2], classes=[2, 0, 1])
    assert model.classes_.tolist() == [0, 1, 2]
    model.partial_fit(X, y).partial_fit(X, y, classes=[2, 0, 1])
    with pytest.raises(ValueError, match=r"classes must be those of the first call, \[0 1 2\], got \[0, 1\]"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"y must hold no labels besides \[0 1 2\], got \[3\]"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="X has 2 features, but GlassMLPClassifier is expecting 3"):
        model.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match=r"classes must be given in the first call of partial_fit, got None"):
        made(GlassMLPClassifier).partial_fit(X, y)


@pytest.mark.parametrize(
    ("known", "others"),
    [(np.array(["a", "b"]), np.array(["apple", "banana"])), (np.array([0, 1], np.uint8), np.array([256, 257]))],
    ids=["cut", "wrapped"],
)
def test_other_labels_are_not_made_to_fit(known, others):
    X, y = problem(GlassMLPClassifier)
    model = made(GlassMLPClassifier, warm_start=True).fit(X, known[y % 2])
    for go_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="y must hold no labels besides"):
            go_on(X, others[y % 2])


@both
def test_what_is_mapped_into_memory_goes_on(kind, tmp_path):
    X, y = problem(kind)
    model = fitted(kind)
    dump(model, tmp_path / "model")
    mapped = load(tmp_path / "model", mmap_mode="r")
    assert isinstance(mapped.theta_, np.memmap)
    for _ in range(2):
        mapped.partial_fit(X, y)
        model.partial_fit(X, y)
    assert mapped.theta_.tobytes() == model.theta_.tobytes()


@both
def test_the_learning_rate_may_change_between_parts(kind):
    X, y = problem(kind)
    model = fitted(kind)
    before = model.theta_
    model.set_params(learning_rate_init=1e-9, shuffle=False, batch_size=70, alpha=0.0).partial_fit(X, y)
    assert 0 < abs(model.theta_ - before).max() < 1e-8
    expected = model.partial_fit(X, y).loss_ + (0.5 if kind is GlassMLPClassifier else 1.0) * 7 / 70 * np.sum(before**2)
    np.testing.assert_allclose(model.set_params(alpha=7.0).partial_fit(X, y).loss_, expected, rtol=1e-6)


@both
def test_a_warm_start_goes_on_from_the_parameters(kind):
    X, y = problem(kind)
    model = fitted(kind, warm_start=True, max_iter=20)
    first, curve, spent = model.loss_, model.loss_curve_.copy(), model.evaluations_
    model.fit(X, y)
    assert model.loss_ < first
    assert model.loss_curve_[:20] == curve
    assert (model.n_iter_, len(model.loss_curve_), model.evaluations_) == (20, 40, 2 * spent)
    assert model.best_loss_ == min(model.loss_curve_)
    with pytest.raises(ValueError, match=r"got MLP.*tanh.*: fit a clone instead"):
        clone(model).fit(X, y).set_params(activation="tanh").fit(X, y)
    cold = fitted(kind, max_iter=20)
    assert cold.fit(X, y).loss_curve_ == curve


# When it ends


def test_it_warns_when_the_epochs_are_over():
    with pytest.warns(
        ConvergenceWarning, match=r"max_iter=3 epochs passed and the training has not converged yet"
    ) as seen:
        model = fitted(GlassMLPClassifier, max_iter=3)
    assert model.n_iter_ == 3
    assert seen[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        model.partial_fit(*problem(GlassMLPClassifier))


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@both
def test_it_ends_when_the_loss_no_longer_falls(kind, capsys):
    model = fitted(kind, tol=10.0, n_iter_no_change=2, max_iter=500, verbose=True)
    # 3 steps an epoch: the first 3 epochs only gather averages, and 3 more are one too many
    assert model.n_iter_ == 6
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {model.loss_curve_[0]:.8f}"
    assert lines[6:] == ["Training loss did not improve more than tol=10.0 for 2 consecutive epochs."]
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert model.loss_ == model.loss_curve_[-1]


def test_gathering_averages_is_no_standstill():
    model = fitted(GlassMLPRegressor, batch_size="auto", alpha=0, n_iter_no_change=1, max_iter=60)
    # One step an epoch, and ten do not move; the eleventh is measured before it does.
    np.testing.assert_allclose(model.loss_curve_[:11], model.loss_curve_[0], rtol=1e-12)
    assert model.loss_ < 0.8 * model.loss_curve_[0]


@both
def test_early_stopping_keeps_the_best_parameters(kind, capsys):
    X, y = problem(kind, 200)
    options = {"early_stopping": True, "validation_fraction": np.float32(0.25), "n_iter_no_change": 3, "max_iter": 200}
    model = made(kind, learning_rate_init=0.1, verbose=True, **options).fit(X, y)
    source = np.random.RandomState(3)
    stratify = y if kind is GlassMLPClassifier else None
    split = train_test_split(X, y, test_size=0.25, random_state=source, stratify=stratify)
    assert model.score(split[1], split[3]) == model.best_validation_score_ == max(model.validation_scores_)
    assert model.n_iter_ == len(model.validation_scores_) < 200
    assert model.validation_scores_[-1] < model.best_validation_score_ + 1e-4
    printed = capsys.readouterr().out
    assert f"Validation score: {model.best_validation_score_:f}" in printed
    assert "Validation score did not improve more than tol=0.0001 for 3 consecutive epochs." in printed
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, y)
    kept = model.theta_
    cut = made(kind, learning_rate_init=0.1, **(options | {"max_iter": model.n_iter_ - 1})).fit(X, y)
    assert cut.theta_.tobytes() == kept.tobytes()
    assert not capsys.readouterr().out  # without verbose
    model.set_params(early_stopping=False, alpha=0).partial_fit(X[:32], y[:32])
    assert model.theta_.tobytes() == kept.tobytes()  # a new Alice, which begins with averages
    model.set_params(early_stopping=True, warm_start=True, verbose=False).fit(X, y)
    assert len(model.validation_scores_) > model.n_iter_


def test_few_rows_cannot_be_held_out():
    with pytest.raises(ValueError, match=r"leave at least 2 rows for validation, got 0.01 of 70 rows"):
        fitted(GlassMLPRegressor, early_stopping=True, validation_fraction=0.01)


@both
def test_ctrl_c_keeps_what_was_learned(kind, monkeypatch):
    def interrupt(self, record, original=module._Progress.__call__):
        original(self, record)
        if record.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module._Progress, "__call__", interrupt)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = fitted(kind)
    assert model.n_iter_ == 2
    assert model.theta_.tobytes() == made(kind, max_iter=2).fit(*problem(kind)).theta_.tobytes()


@both
def test_ctrl_c_in_the_first_epoch_leaves_no_loss(kind, monkeypatch):
    def interrupt(*args, original=gc.MLP.value_and_grad, **options):
        if interrupts:
            signal.raise_signal(interrupts.pop())
        return original(*args, **options)

    interrupts = [signal.SIGINT]
    monkeypatch.setattr(gc.MLP, "value_and_grad", interrupt)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = fitted(kind, early_stopping=True)
    assert model.n_iter_ == 0
    assert np.isnan([model.loss_, model.best_loss_]).all()
    assert model.validation_scores_ == []
    assert model.predict(problem(kind)[0]).shape == (70,)


# What is refused


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_overflow_is_reported_and_leaves_no_half_fitted_network():
    X, y = problem(GlassMLPRegressor)
    model = fitted(GlassMLPRegressor)
    with pytest.raises(gc.NonFiniteError, match=r"at step 1.*\. Scale X and y, or lower learning_rate_init$"):
        model.fit(X, 1e300 * y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y)
    before, spent = model.predict(X), model.evaluations_
    with pytest.raises(gc.NonFiniteError, match=r"at step 13"):
        model.partial_fit(X, 1e300 * y)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.evaluations_ == spent


@both
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_and_sparse_data_are_refused(kind, method):
    X, y = problem(kind)
    classes = {"classes": [0, 1, 2]} if (kind, method) == (GlassMLPClassifier, "partial_fit") else {}
    model = made(kind)
    call = getattr(model, method)
    with pytest.raises(TypeError, match=rf"{kind.__name__} does not support sample_weight: its loss is the plain mean"):
        call(X, y, sample_weight=np.ones(70), **classes)
    with pytest.raises(TypeError, match=rf"{kind.__name__} got an unexpected argument 'epochs'"):
        call(X, y, epochs=3, **classes)
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        call(csr_array(X), y, **classes)
    with pytest.raises(TypeError, match=r"y must be dense, got a sparse csr_array: pass y.toarray\(\)"):
        call(X, csr_array(np.stack([y, y], axis=1)), **classes)
    assert call(X, y, sample_weight=None, **classes) is model


@both
@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "every entry of hidden_layer_sizes must be ≥ 1, got 0"),
        ({"hidden_layer_sizes": 2.5}, TypeError, "every entry of hidden_layer_sizes must be an integer, got float"),
        (
            {"hidden_layer_sizes": np.array(2.5)},
            TypeError,
            "every entry of hidden_layer_sizes must be an integer, got float",
        ),
        ({"hidden_layer_sizes": iter([8])}, TypeError, "every entry of hidden_layer_sizes .* got list_iterator"),
        ({"activation": "logistic"}, ValueError, "activation must be one of 'relu', .* got 'logistic'"),
        ({"alpha": -1}, ValueError, "alpha must be finite and ≥ 0, got -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be ≥ 1, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be an integer, got str"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init must be finite and > 0, got 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be ≥ 1, got 0"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
        ({"glass": None}, TypeError, "glass must be True or False, got None"),
        ({"random_state": "seed"}, ValueError, "'seed' cannot be used to seed"),
        ({"tol": -1.0}, ValueError, "tol must be finite and ≥ 0"),
        ({"validation_fraction": 1}, ValueError, r"validation_fraction must be in \(0, 1\), got 1"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be ≥ 1, got 0"),
        ({"n_iter_no_change": 2.5}, TypeError, "n_iter_no_change must be an integer, got float"),
        ({"hessian": "exact"}, ValueError, "hessian must be one of 'zero', .* got 'exact'"),
        ({"quick_steps": -1}, ValueError, "quick_steps must be ≥ 0, got -1"),
    ],
)
def test_bad_parameters_are_refused(kind, options, exception, message):
    with pytest.raises(exception, match=message):
        fitted(kind, **options)


# What a fit leaves


@both
def test_weights_and_biases_are_views(kind):
    model = fitted(kind, hidden_layer_sizes=[6, 4], shuffle=False)
    outputs = 3 if kind is GlassMLPClassifier else 1
    assert [w.shape for w in model.coefs_] == [(3, 6), (6, 4), (4, outputs)]
    assert [b.shape for b in model.intercepts_] == [(6,), (4,), (outputs,)]
    assert all(np.shares_memory(array, model.theta_) for array in model.coefs_ + model.intercepts_)
    with pytest.raises(ValueError, match="read-only"):
        model.coefs_[0][0, 0] = 1
    hidden = np.maximum(problem(kind)[0] @ model.coefs_[0] + model.intercepts_[0], 0)
    hidden = np.maximum(hidden @ model.coefs_[1] + model.intercepts_[1], 0)
    result = hidden @ model.coefs_[2] + model.intercepts_[2]
    expected = model.network_.outputs(model.theta_, problem(kind)[0])
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-12)
    assert (model.n_layers_, model.n_outputs_) == (4, outputs)
    assert model.out_activation_ == ("softmax" if kind is GlassMLPClassifier else "identity")
    assert not hasattr(kind(), "coefs_")
    assert kind(5).fit(*problem(kind)).coefs_[0].shape == (3, 5)


@both
def test_rows_may_keep_their_order(kind):
    model, again = fitted(kind, shuffle=False), fitted(kind)
    assert model.theta_.tobytes() != again.theta_.tobytes()
    X, y = problem(kind)
    order = np.random.default_rng(0).permutation(32)
    order = np.concatenate([order, np.arange(32, 70)])
    within = made(kind, shuffle=False).fit(X[order], y[order])  # the same minibatches
    np.testing.assert_allclose(within.theta_, model.theta_, rtol=1e-9, atol=1e-12)


@both
def test_the_curvature_is_measured_on_request(kind):
    X, y = problem(kind)
    model = fitted(kind, curvature_profile=True)
    profile, spent = model.curvature_profile_, model.evaluations_
    assert profile.groups == ("layer1", "layer2")
    assert (profile.length, profile.evaluations) == (0.03, 194)
    words = np.random.RandomState(3).randint(1 << 32, size=4, dtype=np.uint64).tolist()
    seed = np.random.SeedSequence(words).spawn(4)[3]
    expected = gc.curvature_profile(
        lambda theta: model.network_.value_and_grad(theta, X, y)[1],
        model.theta_,
        model.network_.groups,
        length=0.03,
        rng=np.random.default_rng(seed),
    )
    np.testing.assert_array_equal(profile.glass_density, expected.glass_density)
    np.testing.assert_array_equal(profile.exponent, expected.exponent)
    assert model.theta_.tobytes() == fitted(kind).theta_.tobytes()
    assert spent == fitted(kind).evaluations_
    message = "curvature_profile_ is measured on request: call fit with curvature_profile=True"
    for other in (kind(), fitted(kind), model.partial_fit(X, y)):
        with pytest.raises(AttributeError, match=message):
            _ = other.curvature_profile_


@both
def test_it_works_in_pipelines_and_searches(kind):
    X, y = problem(kind)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), made(kind, max_iter=15)),
        {f"{kind.__name__.lower()}__learning_rate_init": [1e-6, 0.05]},
        cv=2,
    )
    search.fit(X, y)
    assert search.best_params_ == {f"{kind.__name__.lower()}__learning_rate_init": 0.05}
    with parallel_config(backend="threading", n_jobs=2):
        again = clone(search).fit(X, y)
    assert again.predict(X).tobytes() == search.predict(X).tobytes()
    assert again.cv_results_["mean_test_score"].tolist() == search.cv_results_["mean_test_score"].tolist()
