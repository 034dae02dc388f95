"""Networks trained by Alice as estimators of scikit-learn."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.special import log_softmax, softmax

from glasscurv._typing import FloatArray
from glasscurv._validation import NonFiniteError, choice, integer, integers, number
from glasscurv.curvature import CurvatureProfile
from glasscurv.curvature import curvature_profile as measure_profile
from glasscurv.integrations._extras import needed
from glasscurv.networks import ACTIVATIONS, MLP
from glasscurv.optimizers import Alice
from glasscurv.optimizers.alice import Hessian, warm_up_steps
from glasscurv.training import EpochRecord, train

with needed("sklearn", "sklearn"):
    from sklearn import metrics
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

__all__ = ["GlassMLPClassifier", "GlassMLPRegressor"]

AUTO = 200  # rows of a minibatch with batch_size="auto", as in scikit-learn
Score = Callable[[FloatArray], float]


class _GlassMLP(BaseEstimator):  # type: ignore[misc]
    """What both estimators share. A subclass names its loss and checks and scores its targets."""

    _loss: str
    _output: str
    _penalty: float  # of the loss's gradient for alpha/b, so that alpha weighs what it weighs in scikit-learn

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | NDArray[np.integer] = (100,),
        activation: str = "relu",
        *,
        alpha: float = 1e-4,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 0.01,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | float = 10,
        hessian: Hessian = "abs",
        glass: bool = True,
        quick_steps: int = 3,
        curvature_profile: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.hessian = hessian
        self.glass = glass
        self.quick_steps = quick_steps
        self.curvature_profile = curvature_profile

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of every layer, shapes (inputs, outputs): read-only views of `theta_`."""
        return [weights for weights, _ in self.network_.unflatten(self.theta_)]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of every layer, shapes (outputs,): read-only views of `theta_`."""
        return [biases for _, biases in self.network_.unflatten(self.theta_)]

    @property
    def curvature_profile_(self) -> CurvatureProfile:
        """Curvature of every layer where the last `fit` ended, of the loss on the rows that it trained on.

        Raises
        ------
        AttributeError
            It was not asked for, or the parameters have changed since.
        """
        if not hasattr(self, "_profile"):
            raise AttributeError("curvature_profile_ is measured on request: call fit with curvature_profile=True")
        profile: CurvatureProfile = self._profile
        return profile

    def fit(self, X: ArrayLike, y: ArrayLike, **unsupported: object) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs, dense and finite. float32 stays float32, others become float64.
        y : array_like of shape (m,), or of shape (m, k) for regression
            Targets: labels of any type, or numbers.
        **unsupported : object
            Nothing: sample weights are refused with a message of their own.

        Returns
        -------
        GlassMLPClassifier or GlassMLPRegressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            Bad parameters or data, or sample weights.
        NonFiniteError
            The loss or its gradient became nan or infinite; the message names the step. After this, as after every
            error, an estimator is not fitted, unless `warm_start` or `partial_fit` went on from what it was.

        Warns
        -----
        ConvergenceWarning
            `max_iter` epochs passed before `n_iter_no_change` of them were without improvement.
        UserWarning
            Ctrl-C ended the training; the estimator holds what was learned until then. A second Ctrl-C raises
            KeyboardInterrupt at once.
        """
        _refuse(self, unsupported)
        return self._fit(X, y)

    def _fit(self, X: Any, y: Any, classes: ArrayLike | None = None, incremental: bool = False) -> Self:
        hidden = self._check_parameters()
        goes_on = hasattr(self, "network_") and (incremental or self.warm_start)
        if not goes_on:
            self.__dict__.pop("network_", None)  # until the training has succeeded
        X, targets, outputs = self._check_data(X, y, goes_on, classes)
        network = MLP((X.shape[1], *hidden, outputs), self.activation, self._loss)
        source, score = check_random_state(self.random_state), None
        if self.early_stopping:
            X, targets, score = self._hold_out(network, X, targets, source)
        words = source.randint(1 << 32, size=4, dtype=np.uint64).tolist()
        parameters, directions, order, profile = map(np.random.default_rng, np.random.SeedSequence(words).spawn(4))
        if goes_on:
            network = self._same_network(network)
        else:
            self._set_theta(network.initialize(parameters, dtype=X.dtype))
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = None
            self.best_validation_score_: float | None = None
            self.evaluations_ = 0
        if not (goes_on and incremental):
            self._optimizer, self._order = self._new_optimizer(directions), order
        elif isinstance(self.theta_, np.memmap):  # joblib maps what processes share into memory, for reading only
            self._optimizer = copy.deepcopy(self._optimizer)
        rows = min(AUTO if self.batch_size == "auto" else self.batch_size, len(X))
        self._optimizer.lr, self._optimizer.l2 = self.learning_rate_init, self._penalty * self.alpha / rows
        progress = _Progress(self._optimizer, self.tol, self.n_iter_no_change, score, bool(self.verbose))
        status = self._train(network, X, targets, rows, 1 if incremental else self.max_iter, progress)
        self._keep(network, progress)
        if self.early_stopping and progress.best_theta is not None:
            self._optimizer = self._new_optimizer(directions)  # the averages do not belong to the best parameters
        if self.curvature_profile and not incremental:
            self._profile = measure_profile(
                lambda theta: network.value_and_grad(theta, X, targets)[1],
                self.theta_,
                network.groups,
                length=self.learning_rate_init,
                rng=profile,
            )
        if status == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=3)
        elif status == "finished" and not incremental and not progress.ended:
            warnings.warn(
                f"max_iter={self.max_iter} epochs passed and the training has not converged yet",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _keep(self, network: MLP, progress: _Progress) -> None:
        """Set the attributes that say how the training went, and with early stopping the best parameters."""
        if self.early_stopping:
            self.validation_scores_ = (self.validation_scores_ or []) + progress.scores
            if progress.best_theta is not None:
                self.best_validation_score_ = progress.best
                self._set_theta(progress.best_theta)
        self.n_iter_ = len(progress.losses)
        self.loss_curve_ += progress.losses
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        self.best_loss_ = min(self.loss_curve_, default=math.nan)
        self.network_, self.n_layers_, self.n_outputs_ = network, len(network.layers), network.layers[-1]
        self.out_activation_ = self._output

    def _check_parameters(self) -> list[int]:
        """Check what is not checked where it is used; return the widths of the hidden layers."""
        choice(self.activation, "activation", tuple(ACTIVATIONS))
        number(self.alpha, "alpha", 0)
        if self.batch_size != "auto":
            integer(self.batch_size, "batch_size", 1)
        number(self.learning_rate_init, "learning_rate_init", 0, open_low=True)
        integer(self.max_iter, "max_iter", 1)
        number(self.tol, "tol", 0)
        number(self.validation_fraction, "validation_fraction", 0, 1, open_low=True, open_high=True)
        if self.n_iter_no_change != math.inf:
            integer(self.n_iter_no_change, "n_iter_no_change", 1)  # type: ignore[arg-type]
        for name in ("shuffle", "warm_start", "early_stopping", "glass", "curvature_profile"):
            if not isinstance(value := getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False, got {value!r}")
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, np.ndarray):
            sizes = sizes.tolist()
        return integers(sizes if isinstance(sizes, Sequence) else [sizes], "hidden_layer_sizes", 1)

    def _check_data(
        self, X: Any, y: Any, goes_on: bool, classes: ArrayLike | None
    ) -> tuple[FloatArray, NDArray[Any], int]:
        """Return inputs, targets as the loss takes them, and how many outputs they need."""
        raise NotImplementedError

    @staticmethod
    def _score(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
        """Return the score of predictions in the form of the loss's targets."""
        raise NotImplementedError

    def _validated(self, X: Any, y: Any, goes_on: bool, **options: Any) -> tuple[FloatArray, NDArray[Any]]:
        """Return checked inputs, in the dtype of the parameters if there are any, and targets."""
        if issparse(y):
            raise TypeError(f"y must be dense, got a sparse {type(y).__name__}: pass y.toarray()")
        dtype = self.theta_.dtype if goes_on else (np.float64, np.float32)
        X, y = validate_data(self, X, y, reset=not goes_on, dtype=dtype, order="C", multi_output=True, **options)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _same_network(self, wanted: MLP) -> MLP:
        """Return the network that is there, if it is like the one that parameters and data ask for."""
        network: MLP = self.network_
        if (network.layers, network.activation) != (wanted.layers, wanted.activation):
            raise ValueError(f"training must go on with the same network, {network}, got {wanted}: fit a clone instead")
        return network

    def _hold_out(
        self, network: MLP, X: FloatArray, targets: NDArray[Any], source: np.random.RandomState
    ) -> tuple[FloatArray, NDArray[Any], Score]:
        """Return the rows to train on, and what scores parameters on the others."""
        X, X_validation, targets, kept = train_test_split(
            X,
            targets,
            test_size=float(self.validation_fraction),
            random_state=source,
            stratify=targets if network.loss.name == "cross_entropy" else None,
        )
        if len(kept) < 2:
            raise ValueError(
                f"validation_fraction must leave at least 2 rows for validation, got {self.validation_fraction} of "
                f"{len(X) + len(kept)} rows"
            )
        return X, targets, lambda theta: self._score(network.predict(theta, X_validation), kept)

    def _new_optimizer(self, rng: np.random.Generator) -> Alice:
        return Alice(
            self.theta_,
            self.learning_rate_init,
            hessian=self.hessian,
            glass=self.glass,
            quick_steps=self.quick_steps,
            rng=rng,
        )

    def _train(
        self, network: MLP, X: FloatArray, targets: NDArray[Any], rows: int, epochs: int, progress: _Progress
    ) -> str:
        """Advance the optimizer, keep its parameters and count its gradients, also after a failure."""
        optimizer = self._optimizer
        before = optimizer.evaluations
        try:
            return train(
                network,
                optimizer,
                X,
                targets,
                epochs,
                rows,
                rng=self._order,
                progress=False,
                callback=progress,
                shuffle=self.shuffle,
            ).status
        except NonFiniteError as error:
            raise NonFiniteError(f"{error}. Scale X and y, or lower learning_rate_init") from error
        finally:
            self._set_theta(optimizer.theta)
            self.evaluations_ += optimizer.evaluations - before

    def _set_theta(self, theta: FloatArray) -> None:
        """Keep parameters, for reading only, because the optimizer has its own; what was measured at others goes."""
        theta.setflags(write=False)
        self.theta_ = theta
        self.__dict__.pop("_profile", None)

    def _outputs(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        inputs = validate_data(self, X, reset=False, dtype=self.theta_.dtype, order="C")
        outputs: FloatArray = self.network_.outputs(self.theta_, inputs)
        return outputs


class GlassMLPClassifier(ClassifierMixin, _GlassMLP):  # type: ignore[misc]
    """A multilayer perceptron that classifies, trained by `glasscurv.Alice` on the softmax cross-entropy.

    Names and meaning are those of scikit-learn's ``MLPClassifier`` where it has the same thing.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Width of every hidden layer; an empty sequence makes a linear model.
    activation : {"relu", "leaky_relu", "tanh", "silu", "gelu"}
        Activation of the hidden layers.
    alpha : float
        L2 penalty ≥ 0: the gradient is that of the loss and ½ alpha/b |θ|², b the rows of a minibatch. Unlike
        scikit-learn's, it holds for the biases too. For two classes, the two outputs share the weights that
        scikit-learn has in one, and have half its penalty.
    batch_size : int or "auto"
        Rows of a minibatch, ≥ 1; ``"auto"`` is 200. There are never more than the data have.
    learning_rate_init : float
        Alice's learning rate > 0 (length), which is also the length of its perturbations. On the
        digits, good rates are two to five times those of ``MLPClassifier``.
    max_iter : int
        Most epochs, ≥ 1.
    shuffle : bool
        Whether every epoch takes the rows in another order.
    random_state : None, int or RandomState
        Source of the initial parameters, Alice's directions, the order of the rows and the rows held out.
    tol : float
        Least improvement ≥ 0 that counts, of the training loss, or with `early_stopping` of the validation score.
    verbose : bool
        Whether to print the loss of every epoch, and its validation score.
    warm_start : bool
        Whether `fit` goes on from the parameters of the last fit, with a new Alice.
    early_stopping : bool
        Whether some rows are held out, stratified by class (at least two rows of each are needed), to stop by their
        accuracy and keep the parameters of the epoch in which it was best.
    validation_fraction : float
        Part of the rows to hold out, in (0, 1).
    n_iter_no_change : int or inf
        Training ends after more epochs than this, ≥ 1, without improvement by `tol`. Epochs in which Alice still
        gathers averages without moving do not count.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: the average of |Hz|, the root of that of (Hz)², none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    curvature_profile : bool
        Whether `fit` ends by measuring `curvature_profile_`, with 194 gradients on all rows that it trained on.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels, sorted.
    n_features_in_ : int
        Number of columns d of ``X``.
    feature_names_in_ : str ndarray of shape (d,)
        Names of the columns; only if ``X`` has them and all are strings.
    network_ : MLP
        The network, for the functions of this library.
    theta_ : ndarray of shape (n,)
        Its parameters, read-only.
    coefs_ : list of ndarray of shape (inputs, outputs)
        Weights of every layer, views of `theta_`.
    intercepts_ : list of ndarray of shape (outputs,)
        Biases of every layer, views of `theta_`.
    curvature_profile_ : CurvatureProfile
        Curvature of every layer, for perturbations of the length `learning_rate_init`, of the loss without penalty on
        the rows that were trained on; on request only.
    n_iter_ : int
        Epochs of the last fit; 1 after `partial_fit`.
    evaluations_ : int
        Gradients on minibatches that the training took, since the parameters were drawn.
    loss_curve_ : list of float
        Mean loss of the minibatches of every epoch, plus the penalty at its end, since the parameters were drawn.
    loss_, best_loss_ : float
        Its last and its least value; nan if Ctrl-C came in the first epoch.
    validation_scores_ : list of float or None
        Accuracy on the rows held out, after every epoch; None without early stopping.
    best_validation_score_ : float or None
        That of the parameters that were kept.
    n_layers_, n_outputs_ : int
        Number of layers, the input counted, and of classes.
    out_activation_ : str
        Function of the outputs: ``"softmax"``, also for two classes.

    See Also
    --------
    GlassMLPRegressor : The same for real targets.
    glasscurv.MLP : The network.
    glasscurv.train : Trains it.

    Notes
    -----
    The same `random_state` gives the same result, bit for bit, on any number of threads. `fit` is `glasscurv.train`
    with `glasscurv.Alice` on a network of ``MLP.initialize``. A seed for each of initial parameters, directions, order
    and profile comes, by ``SeedSequence(words).spawn(4)``, from four words of 32 bits of `random_state`, which are
    drawn after the rows to hold out.

    Alice's step takes three gradients once in ``quick_steps + 1`` steps and for the first ten, and else one.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from glasscurv.integrations.sklearn import GlassMLPClassifier
    >>> X, y = make_moons(200, noise=0.1, random_state=0)
    >>> labels = ["upper", "lower"]
    >>> model = GlassMLPClassifier((16,), learning_rate_init=0.02, batch_size=50, tol=0.01, random_state=0)
    >>> model.fit(X[:150], [labels[k] for k in y[:150]]).predict([[0.0, 1.0], [1.0, -0.5]])
    array(['upper', 'lower'], dtype='<U5')
    >>> bool(model.score(X[150:], [labels[k] for k in y[150:]]) > 0.95)
    True
    """

    _loss, _output, _penalty = "cross_entropy", "softmax", 1.0

    classes_: NDArray[Any]

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, **unsupported: object) -> Self:
        """Train for one epoch, going on from parameters, averages and random state as they are.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.
        y : array_like of shape (m,)
            Labels.
        classes : array_like of shape (k,), optional
            All labels that will ever come. It is needed in the first call, if nothing was fitted before.
        **unsupported : object
            Nothing, as in `fit`.

        Returns
        -------
        GlassMLPClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            As `fit`; or no `classes` or others than before, labels that are not among them, a changed network, or
            early stopping.
        NonFiniteError
            As `fit`.

        Notes
        -----
        `learning_rate_init`, `alpha`, `batch_size` and `shuffle` may be changed between calls. The options of Alice
        are those of the first call or the last `fit`.
        """
        _refuse(self, unsupported)
        _refuse_early_stopping(self)
        if not hasattr(self, "network_"):
            if classes is None:
                raise ValueError("classes must be given in the first call of partial_fit, got None")
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, got {classes}")
        return self._fit(X, y, classes, incremental=True)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the label of every row.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.

        Returns
        -------
        ndarray of shape (m,)
            The most probable labels.

        Raises
        ------
        ValueError, TypeError
            Bad data, or an estimator that is not fitted.
        """
        best = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Predict the probability of every class.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.

        Returns
        -------
        ndarray of shape (m, k)
            Probabilities of the classes, in the order of `classes_`.

        Raises
        ------
        ValueError, TypeError
            Bad data, or an estimator that is not fitted.
        """
        probabilities: FloatArray = softmax(self._outputs(X), axis=1)
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Predict the logarithm of the probability of every class.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.

        Returns
        -------
        ndarray of shape (m, k)
            Logarithms of the probabilities, finite where these are rounded to 0.

        Raises
        ------
        ValueError, TypeError
            Bad data, or an estimator that is not fitted.
        """
        logarithms: FloatArray = log_softmax(self._outputs(X), axis=1)
        return logarithms

    def _check_data(
        self, X: Any, y: Any, goes_on: bool, classes: ArrayLike | None
    ) -> tuple[FloatArray, NDArray[Any], int]:
        X, y = self._validated(X, y, goes_on)
        if y.ndim > 1:
            raise ValueError(
                f"y must be one label for each row, got shape {y.shape}: several outputs need "
                "sklearn.multioutput.MultiOutputClassifier"
            )
        check_classification_targets(y)
        encoder = LabelEncoder().fit(self.classes_ if goes_on else y if classes is None else classes)
        unknown = np.setdiff1d(y, encoder.classes_)  # `transform` would cut long strings and wrap large integers to fit
        if unknown.size:
            raise ValueError(f"y must hold no labels besides {encoder.classes_}, got {unknown}")
        self.classes_ = encoder.classes_
        return X, encoder.transform(y), len(self.classes_)

    @staticmethod
    def _score(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
        return float(np.mean(predicted == targets))


class GlassMLPRegressor(RegressorMixin, MultiOutputMixin, _GlassMLP):  # type: ignore[misc]
    """A multilayer perceptron for one or several real targets, trained by `glasscurv.Alice` on the mean squared error.

    Names and meaning are those of scikit-learn's ``MLPRegressor`` where it has the same thing.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Width of every hidden layer; an empty sequence makes a linear model.
    activation : {"relu", "leaky_relu", "tanh", "silu", "gelu"}
        Activation of the hidden layers.
    alpha : float
        L2 penalty ≥ 0: the gradient is that of the loss and alpha/b |θ|², b the rows of a minibatch. The loss is twice
        that of ``MLPRegressor``, beside which `alpha` then weighs the same, but it holds for the biases too.
    batch_size : int or "auto"
        Rows of a minibatch, ≥ 1; ``"auto"`` is 200. There are never more than the data have.
    learning_rate_init : float
        Alice's learning rate > 0 (length), which is also the length of its perturbations.
    max_iter : int
        Most epochs, ≥ 1.
    shuffle : bool
        Whether every epoch takes the rows in another order.
    random_state : None, int or RandomState
        Source of the initial parameters, Alice's directions, the order of the rows and the rows held out.
    tol : float
        Least improvement ≥ 0 that counts, of the training loss, or with `early_stopping` of the validation score.
    verbose : bool
        Whether to print the loss of every epoch, and its validation score.
    warm_start : bool
        Whether `fit` goes on from the parameters of the last fit, with a new Alice.
    early_stopping : bool
        Whether some rows are held out, to stop by their R² and keep the parameters of the epoch in which it was best.
    validation_fraction : float
        Part of the rows to hold out, in (0, 1).
    n_iter_no_change : int or inf
        Training ends after more epochs than this, ≥ 1, without improvement by `tol`. Epochs in which Alice still
        gathers averages without moving do not count.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: the average of |Hz|, the root of that of (Hz)², none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    curvature_profile : bool
        Whether `fit` ends by measuring `curvature_profile_`, with 194 gradients on all rows that it trained on.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns d of ``X``.
    feature_names_in_ : str ndarray of shape (d,)
        Names of the columns; only if ``X`` has them and all are strings.
    network_ : MLP
        The network, for the functions of this library.
    theta_ : ndarray of shape (n,)
        Its parameters, read-only.
    coefs_ : list of ndarray of shape (inputs, outputs)
        Weights of every layer, views of `theta_`.
    intercepts_ : list of ndarray of shape (outputs,)
        Biases of every layer, views of `theta_`.
    curvature_profile_ : CurvatureProfile
        Curvature of every layer, for perturbations of the length `learning_rate_init`, of the loss without penalty on
        the rows that were trained on; on request only.
    n_iter_ : int
        Epochs of the last fit; 1 after `partial_fit`.
    evaluations_ : int
        Gradients on minibatches that the training took, since the parameters were drawn.
    loss_curve_ : list of float
        Mean squared error (targets²) of the minibatches of every epoch, plus the penalty at its end, since the
        parameters were drawn.
    loss_, best_loss_ : float
        Its last and its least value; nan if Ctrl-C came in the first epoch.
    validation_scores_ : list of float or None
        R² on the rows held out, after every epoch; None without early stopping.
    best_validation_score_ : float or None
        That of the parameters that were kept.
    n_layers_, n_outputs_ : int
        Number of layers, the input counted, and of targets.
    out_activation_ : str
        Function of the outputs: ``"identity"``.

    See Also
    --------
    GlassMLPClassifier : The same for labels.
    glasscurv.MLP : The network.
    glasscurv.train : Trains it.

    Notes
    -----
    Targets are taken as they are: scale them, as with ``TransformedTargetRegressor``, to a variance of about 1. What
    the notes of `GlassMLPClassifier` say of seeds and gradients holds here too.

    Examples
    --------
    >>> import numpy as np
    >>> from glasscurv.integrations.sklearn import GlassMLPRegressor
    >>> X = np.linspace(-2, 2, 200)[:, None]
    >>> model = GlassMLPRegressor((32,), learning_rate_init=0.02, batch_size=50, tol=1e-3, random_state=0)
    >>> bool(model.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.95)
    True
    """

    _loss, _output, _penalty = "mse", "identity", 2.0

    def partial_fit(self, X: ArrayLike, y: ArrayLike, **unsupported: object) -> Self:
        """Train for one epoch, going on from parameters, averages and random state as they are.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.
        y : array_like of shape (m,) or (m, k)
            Targets.
        **unsupported : object
            Nothing, as in `fit`.

        Returns
        -------
        GlassMLPRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As `fit`; or a changed network or number of targets, or early stopping.
        NonFiniteError
            As `fit`.

        Notes
        -----
        What may be changed between calls is said in `GlassMLPClassifier.partial_fit`.
        """
        _refuse(self, unsupported)
        _refuse_early_stopping(self)
        return self._fit(X, y, incremental=True)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predict the targets of every row.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Inputs.

        Returns
        -------
        ndarray of shape (m,) or (m, k)
            Targets, of the shape that they had in `fit`.

        Raises
        ------
        ValueError, TypeError
            Bad data, or an estimator that is not fitted.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _check_data(
        self, X: Any, y: Any, goes_on: bool, classes: ArrayLike | None
    ) -> tuple[FloatArray, NDArray[Any], int]:
        X, y = self._validated(X, y, goes_on, y_numeric=True)
        return X, y.astype(X.dtype, copy=False), 1 if y.ndim == 1 else y.shape[1]

    @staticmethod
    def _score(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
        return float(metrics.r2_score(targets, predicted))


class _Progress:
    """What `train` calls after every epoch: keeps losses, scores and the best parameters, and ends the training.

    Attributes
    ----------
    losses, scores : list of float
    best : float
        Best score, or best loss with the opposite sign.
    best_theta : ndarray of shape (n,) or None
        Parameters after that epoch.
    ended : bool
        Whether there was no improvement for long.
    """

    def __init__(self, optimizer: Alice, tol: float, patience: float, score: Score | None, verbose: bool) -> None:
        self._l2, self._gathering = optimizer.l2, warm_up_steps(optimizer.betas[0])
        self._tol, self._patience, self._score, self._verbose = tol, patience, score, verbose
        self.losses, self.scores = list[float](), list[float]()
        self.best, self.ended, self._stalled = -math.inf, False, 0
        self.best_theta: FloatArray | None = None

    def __call__(self, record: EpochRecord) -> None:
        loss = record.loss + self._l2 / 2 * float(np.square(record.theta, dtype=np.float64).sum())
        self.losses.append(loss)
        self._say(f"Iteration {record.epoch}, loss = {loss:.8f}")
        value = -loss
        if self._score is not None:
            value = self._score(record.theta)
            self.scores.append(value)
            self._say(f"Validation score: {value:f}")
        # As in scikit-learn. Steps that only gather averages cannot improve anything.
        self._stalled = self._stalled + 1 if value < self.best + self._tol and record.steps > self._gathering else 0
        if value > self.best:
            self.best, self.best_theta = value, record.theta
        if self._stalled > self._patience:
            self.ended = True
            what = "Training loss" if self._score is None else "Validation score"
            self._say(f"{what} did not improve more than tol={self._tol} for {self._patience} consecutive epochs.")
            raise StopIteration

    def _say(self, text: str) -> None:
        if self._verbose:
            print(text)


def _refuse(estimator: _GlassMLP, unsupported: dict[str, object]) -> None:
    if unsupported.pop("sample_weight", None) is not None:
        raise TypeError(
            f"{type(estimator).__name__} does not support sample_weight: its loss is the plain mean over the rows"
        )
    if unsupported:
        raise TypeError(f"{type(estimator).__name__} got an unexpected argument {next(iter(unsupported))!r}")


def _refuse_early_stopping(estimator: _GlassMLP) -> None:
    if estimator.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True: it trains on every row that it gets")
