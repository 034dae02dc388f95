"""One run of one method from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from glasscurv._typing import FloatArray
from glasscurv._validation import NonFiniteError
from glasscurv.comparison.methods import LBFGS, Method, lbfgs_options, make_optimizer
from glasscurv.comparison.results import Trial
from glasscurv.data import Split
from glasscurv.networks import MLP
from glasscurv.training import EpochRecord, train

Metric = Literal["validation_loss", "validation_accuracy", "loss"]
METRICS: dict[str, int] = {"validation_loss": 1, "validation_accuracy": -1, "loss": 1}
"""What a target can be set for, with the sign that makes less of it better."""


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


class Task(NamedTuple):
    """A method with a learning rate (None where it has none) and a seed."""

    method: Method
    lr: float | None
    seed: int


def run_trial(setting: Setting, task: Task) -> Trial:
    """Train once; whatever diverges is reported as failed."""
    streams = np.random.SeedSequence(task.seed).spawn(3)
    initial, directions, shuffling = (np.random.default_rng(stream) for stream in streams)
    theta0 = setting.network.initialize(initial)
    record = _Record(setting)
    # Overflow on the way to a nan is what a failed run is made of: it is reported as such, not as a warning.
    with _one_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            if task.method.optimizer == LBFGS:
                _run_lbfgs(setting, task.method, theta0, record)
            else:
                _run_minibatches(setting, task, theta0, directions, shuffling, record)
            failed = False
        except NonFiniteError:
            failed = True
    return record.trial(task, failed)


class _Record:
    """Rows of (steps, evaluations, seconds, loss, validation loss, validation accuracy); the watch rests meanwhile."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.rows = setting, list[tuple[float, ...]]()
        self.seconds, self.resumed = 0.0, perf_counter()

    def start(self) -> None:
        self.resumed = perf_counter()

    def add(self, steps: int, evaluations: int, loss: float, theta: FloatArray) -> None:
        self.seconds += perf_counter() - self.resumed
        network, (_, _, X, y) = self.setting.network, self.setting.split
        validation, accuracy = network.value(theta, X, y), np.nan
        if not np.isfinite([loss, validation]).all():
            raise NonFiniteError(f"non-finite loss after step {steps}")
        if network.loss.name == "cross_entropy":
            accuracy = float(np.mean(network.predict(theta, X) == y))
        self.rows.append((steps, evaluations, self.seconds, loss, validation, accuracy))
        self.resumed = perf_counter()

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


def _run_minibatches(
    setting: Setting,
    task: Task,
    theta0: FloatArray,
    directions: np.random.Generator,
    shuffling: np.random.Generator,
    record: _Record,
) -> None:
    network, (X, y, _, _) = setting.network, setting.split

    def built(rng: np.random.Generator) -> Any:
        return make_optimizer(task.method.optimizer, theta0, task.lr, task.method.options, rng)

    with suppress(NonFiniteError):  # compiles the loops before the watch starts
        built(np.random.default_rng(0)).step(lambda theta: network.value_and_grad(theta, X[:1], y[:1]))

    def callback(epoch: EpochRecord) -> None:
        record.add(epoch.steps, epoch.evaluations, epoch.loss, epoch.theta)
        if epoch.evaluations >= setting.budget:
            raise StopIteration

    optimizer = built(directions)
    record.start()
    history = train(
        network,
        optimizer,
        X,
        y,
        setting.epochs,
        setting.batch_size,
        rng=shuffling,
        progress=False,
        callback=callback,
    )
    if history.status == "interrupted":  # the trainer ends in peace; a comparison of half a run would not be one
        raise KeyboardInterrupt


class _Spent(Exception):  # noqa: N818 (no error)
    """The evaluations are used up."""


def _run_lbfgs(setting: Setting, method: Method, theta0: FloatArray, record: _Record) -> None:
    network, (X, y, _, _) = setting.network, setting.split
    iterations = calls = 0

    def value_and_grad(theta: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        if calls == setting.epochs:  # each costs an epoch of minibatches
            raise _Spent
        calls += 1
        loss, gradient = network.value_and_grad(theta, X, y)
        if calls == 1 and not np.isfinite(loss):  # later ones are the line search's to deal with
            raise NonFiniteError(f"non-finite loss at the start: {loss}")
        return loss, gradient

    def callback(intermediate_result: OptimizeResult) -> None:
        nonlocal iterations
        iterations += 1
        record.add(iterations, calls * setting.batches, float(intermediate_result.fun), intermediate_result.x)

    # No tolerance and no limit ends it but the evaluations, or a line search that finds nothing better.
    unlimited: Any = {"ftol": 0.0, "gtol": 0.0, "maxiter": setting.epochs, "maxfun": setting.epochs + 1}
    record.start()
    with suppress(_Spent):
        minimize(
            value_and_grad,
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
