"""One run of one method from one seed."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from glasscurv._typing import FloatArray
from glasscurv._validation import NonFiniteError
from glasscurv.comparison.methods import LBFGS, OPTIMIZERS, Method, lbfgs_options, make_optimizer
from glasscurv.comparison.results import Trial
from glasscurv.data import Split
from glasscurv.networks import MLP
from glasscurv.training.data import evaluate, gradient_into

Metric = Literal["validation_loss", "validation_accuracy", "loss"]
METRICS: dict[str, int] = {"validation_loss": 1, "validation_accuracy": -1, "loss": 1}
"""What a target can be set for, with the sign that makes less of it better."""

RECORDS = 200
"""Records of a run, at most, besides that of its start; L-BFGS has one an iteration."""


@dataclass(frozen=True)
class Setting:
    """What all runs of a comparison share."""

    network: MLP
    split: Split
    epochs: int
    batch_size: int
    target: float | None
    metric: Metric

    @property
    def batches(self) -> int:
        """Minibatches in an epoch."""
        return -(-len(self.split.X) // self.batch_size)

    @property
    def budget(self) -> int:
        """Minibatch gradients that a run may take."""
        return self.epochs * self.batches

    @property
    def every(self) -> int:
        """Minibatch gradients between records."""
        return -(-self.budget // RECORDS)


class Task(NamedTuple):
    """A method with a learning rate (None where it has none) and a seed."""

    method: Method
    lr: float | None
    seed: int


class Streams(NamedTuple):
    """Independent sources of random numbers, all from one seed."""

    parameters: np.random.Generator
    directions: np.random.Generator
    shuffling: np.random.Generator


def streams(seed: int) -> Streams:
    """Return the three streams of a seed, the same for every method."""
    return Streams(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)))


def run_trial(setting: Setting, task: Task) -> Trial:
    """Train once; whatever diverges is reported as failed."""
    initial, directions, shuffling = streams(task.seed)
    network, (X, y, _, _) = setting.network, setting.split
    theta0 = network.initialize(initial)
    record = _Record(setting)
    # Overflow on the way to a nan is what a failed run is made of: it is reported as such, not as a warning.
    with _one_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            record.add(0, 0, network.value(theta0, X, y), theta0)
            _compile_gradient(network, theta0, X[:1], y[:1])
            if task.method.optimizer == LBFGS:
                _run_lbfgs(setting, task.method, theta0, record)
            else:
                _run_minibatches(setting, task, theta0, directions, shuffling, record)
            failed = False
        except NonFiniteError:
            failed = True
    return record.trial(task, failed)


class _Record:
    """Rows of (steps, evaluations, seconds, loss, validation loss, validation accuracy), and the stopwatch."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.rows = setting, list[tuple[float, ...]]()
        self.seconds = self.started = 0.0

    def start(self) -> None:
        self.started = perf_counter()

    def stop(self) -> None:
        self.seconds += perf_counter() - self.started

    def add(self, steps: int, evaluations: int, loss: float, theta: FloatArray) -> None:
        """Validate, with the watch stopped."""
        _, _, X, y = self.setting.split
        validation = evaluate(self.setting.network, theta, (X, y))
        if not np.isfinite([loss, validation["validation_loss"]]).all():
            raise NonFiniteError(f"non-finite loss after step {steps}")
        self.rows.append((steps, evaluations, self.seconds, loss, *validation.values()))

    def trial(self, task: Task, failed: bool) -> Trial:
        columns = np.array(self.rows, np.float64).reshape(len(self.rows), 6).T
        curves = dict(zip(("seconds", "loss", "validation_loss", "validation_accuracy"), columns[2:], strict=True))
        trial = Trial(
            seed=task.seed,
            lr=np.nan if task.lr is None else task.lr,
            failed=failed,
            steps=columns[0].astype(np.int64),
            evaluations=columns[1].astype(np.int64),
            **curves,
            reached=None,
        )
        target, metric = self.setting.target, self.setting.metric
        if failed or target is None:
            return trial
        sign = METRICS[metric]
        there = np.flatnonzero(sign * getattr(trial, metric) <= sign * target)
        return replace(trial, reached=int(there[0])) if there.size else trial


class _Spent(Exception):  # noqa: N818 (no error)
    """The gradients of the budget are used up."""


class _Gradients:
    """Gradients, as many as the budget allows."""

    def __init__(self, value_and_grad: Callable[..., tuple[float, FloatArray]], budget: int) -> None:
        self.value_and_grad, self.budget, self.taken = value_and_grad, budget, 0

    def __call__(self, theta: FloatArray, X: FloatArray, y: NDArray[Any]) -> tuple[float, FloatArray]:
        if self.taken == self.budget:
            raise _Spent
        self.taken += 1
        return self.value_and_grad(theta, X, y)


def _run_minibatches(
    setting: Setting,
    task: Task,
    theta0: FloatArray,
    directions: np.random.Generator,
    shuffling: np.random.Generator,
    record: _Record,
) -> None:
    X, y, _, _ = setting.split
    value_and_grad = gradient_into(np.empty_like(theta0), setting.network)
    gradients, every, recorded = _Gradients(value_and_grad, setting.budget), setting.every, 0
    losses: deque[float] = deque(maxlen=setting.batches)
    _compile(task, theta0)
    optimizer = make_optimizer(task.method.optimizer, theta0, task.lr, task.method.options, directions)

    def add() -> None:
        nonlocal recorded
        recorded = optimizer.evaluations
        record.add(optimizer.steps, recorded, float(np.mean(losses)), optimizer.theta)

    record.start()
    with suppress(_Spent):  # a step for which the gradients do not suffice leaves no trace
        for rows in _minibatches(len(X), setting.batch_size, shuffling):
            losses.append(optimizer.step(partial(gradients, X=X[rows], y=y[rows])))
            record.stop()
            if optimizer.evaluations // every > recorded // every:
                add()
            record.start()
    if optimizer.evaluations > recorded:
        add()


def _minibatches(rows: int, batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield indices of rows without end, as `glasscurv.train` draws them."""
    while True:
        order = rng.permutation(rows)
        yield from (order[start : start + batch_size] for start in range(0, rows, batch_size))


def _compile_gradient(network: MLP, theta0: FloatArray, X: FloatArray, y: NDArray[Any]) -> None:
    """Compile the loops of a network, with a gradient that nobody counts."""
    MLP(network.layers, network.activation, network.loss).value_and_grad(theta0, X, y)


def _compile(task: Task, theta0: FloatArray) -> None:
    """Compile the loops of an optimizer, with steps that leave no trace."""
    name, options = task.method.optimizer, dict(task.method.options)
    if "betas" in inspect.signature(OPTIMIZERS[name]).parameters:
        options["betas"] = (0.0, 0.0)  # no warm-up beyond the first step: Alice moves in the second
    rng = np.random.default_rng(0)
    throwaway = make_optimizer(name, theta0, task.lr, options, rng)
    with suppress(NonFiniteError):
        for _ in range(2):  # gradients that differ are glass, without which Alice's joint step ends early
            throwaway.step(lambda theta: (0.0, rng.standard_normal(theta.size, theta.dtype)))


def _run_lbfgs(setting: Setting, method: Method, theta0: FloatArray, record: _Record) -> None:
    X, y, _, _ = setting.split
    # Each gradient costs an epoch of minibatches.
    gradients, iterations = _Gradients(setting.network.value_and_grad, setting.epochs), 0

    def callback(intermediate_result: OptimizeResult) -> None:
        nonlocal iterations
        record.stop()
        iterations += 1
        evaluations = gradients.taken * setting.batches
        record.add(iterations, evaluations, float(intermediate_result.fun), intermediate_result.x)
        record.start()

    # No tolerance and no limit ends it but the evaluations, or a line search that finds nothing better.
    unlimited: Any = {"ftol": 0.0, "gtol": 0.0, "maxiter": setting.epochs, "maxfun": setting.epochs + 1}
    record.start()
    with suppress(_Spent):
        minimize(
            partial(gradients, X=X, y=y),
            theta0,
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options=unlimited | lbfgs_options(**method.options),
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS from starting threads that compete with the other runs, if threadpoolctl is there to do it."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1):
        yield
