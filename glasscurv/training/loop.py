"""The training loop: shuffled minibatches, validation, early stopping, checkpoints, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from glasscurv._interrupts import deferred_interrupts, noted_interrupts
from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import function, generator, integer
from glasscurv.networks import MLP
from glasscurv.optimizers import Optimizer
from glasscurv.training.checkpoint import read_run, write_run
from glasscurv.training.data import digest, evaluate, gradient_into, training_data, validation_data
from glasscurv.training.files import check_path, describe, previous
from glasscurv.training.history import EpochRecord, History, Recorder, Status
from glasscurv.training.snapshots import Snapshots

Callback = Callable[[EpochRecord], object]


def train(
    network: MLP,
    optimizer: Optimizer,
    X: ArrayLike,
    y: ArrayLike,
    epochs: int | None = None,
    batch_size: int = 100,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    rng: RngLike = None,
    progress: bool = True,
    *,
    steps: int | None = None,
    schedule: Callable[[int], ArrayLike] | None = None,
    patience: int | None = None,
    snapshots: Snapshots | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = True,
    callback: Callback | None = None,
    shuffle: bool = True,
) -> History:
    """Train a network on shuffled minibatches.

    Parameters
    ----------
    network : MLP
        The model; its parameters live in the optimizer.
    optimizer : Optimizer
        Built on ``network.initialize()``; it is advanced in place, and ``optimizer.theta`` holds the result.
    X : array_like of shape (m, d)
        Inputs.
    y : array_like of shape (m,) or (m, k)
        Targets: labels for cross-entropy, numbers for the mean squared error.
    epochs : int, optional
        Passes over the data, ≥ 1. Either this or ``steps``.
    batch_size : int
        Rows per step, ≥ 1; the last minibatch of an epoch may be smaller.
    validation : tuple of (X, y), optional
        Data to evaluate on after every epoch.
    rng : None, int or Generator
        Source of the shuffling.
    progress : bool
        Show a progress bar on standard error.
    steps : int, optional
        Minibatches instead of epochs, ≥ 1. The history ends with a record of the epoch that was under way.
    schedule : callable, optional
        ``schedule(step)`` gives the learning rate of each step from the number of steps that this run has taken before
        it, as those of `glasscurv.schedules` do.
    patience : int, optional
        Stop after that many epochs, ≥ 1, without a smaller validation loss.
    snapshots : Snapshots, optional
        Measure the curvature of every layer on the way.
    checkpoint : path-like, optional
        File to save the run in, at the beginning, after every epoch or every `checkpoint_every` steps, and at the end.
        The checkpoint before the last stays beside it, as ``….previous``. One run at a time may write to a file.
    checkpoint_every : int, optional
        Steps between checkpoints, ≥ 1.
    resume : bool
        If the checkpoint exists, go on from it: parameters, optimizer, history and random generators come from the
        file, whatever was passed, and the result is the same to the last bit as without the interruption. A file that
        would bring back what the optimizer's mask removes is an error. With False, a checkpoint that exists is one.
    callback : callable, optional
        ``callback(record)`` gets an `EpochRecord` after every epoch. It may raise StopIteration to end the training. A
        run that is resumed after an epoch begins with the record of that epoch, which the callback may have seen.
    shuffle : bool
        Whether every epoch takes the rows in another order; else in that of `X`.

    Returns
    -------
    History
        Also after Ctrl-C: the step in hand is finished, the checkpoint written, and the history so far returned, its
        status ``"interrupted"``. A second Ctrl-C raises KeyboardInterrupt at once and leaves the last checkpoint.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, data that do not fit the network, or a checkpoint that is truncated, foreign, or of another run;
        it is left as it is.
    NonFiniteError
        The loss or gradient became nan or infinite; the message names the step, and the optimizer is as before it.
    OSError, ImportError
        A checkpoint cannot be written, or safetensors, which it needs, is missing.

    See Also
    --------
    load_checkpoint : Reads what `checkpoint` saved.
    glasscurv.schedules : Learning rates that change.
    glasscurv.comparison.compare : Trains with several optimizers under equal conditions.
    glasscurv.plotting.plot_history : Draws the history.

    Examples
    --------
    >>> import glasscurv as gc
    >>> X, y, X_validation, y_validation = gc.data.load_digits()
    >>> net = gc.MLP((64, 32, 10))
    >>> optimizer = gc.Alice(net.initialize(rng=0), lr=1e-2, rng=1)
    >>> history = gc.train(net, optimizer, X, y, epochs=10, validation=(X_validation, y_validation), rng=2,
    ...                    progress=False)
    >>> bool(history.validation_accuracy[-1] > 0.9)
    True
    """
    if not isinstance(optimizer, Optimizer):
        kind = optimizer.__name__ + " itself" if isinstance(optimizer, type) else type(optimizer).__name__
        raise TypeError(f"optimizer must be an Optimizer, built on the initial parameters, got {kind}")
    if (epochs is None) == (steps is None):
        raise ValueError(f"either epochs or steps must be given, got epochs={epochs} and steps={steps}")
    if patience is not None and validation is None:
        raise ValueError("patience needs validation data, got validation=None")
    if snapshots is not None and not isinstance(snapshots, Snapshots):
        raise TypeError(f"snapshots must be a Snapshots, got {type(snapshots).__name__}")
    if checkpoint_every is not None and checkpoint is None:
        raise ValueError("checkpoint_every needs a checkpoint, got checkpoint=None")
    run = _Run(
        network,
        optimizer,
        *training_data(network, X, y),
        batch_size=integer(batch_size, "batch_size", 1),
        validation=validation_data(network, validation),
        rng=generator(rng),
        schedule=None if schedule is None else function(schedule, "schedule"),
        snapshots=snapshots,
        callback=None if callback is None else function(callback, "callback"),
        file=None if checkpoint is None else check_path(checkpoint, "checkpoint"),
        every=None if checkpoint_every is None else integer(checkpoint_every, "checkpoint_every", 1),
        shuffle=bool(shuffle),
    )
    end = _End(
        epochs=None if epochs is None else integer(epochs, "epochs", 1),
        steps=None if steps is None else integer(steps, "steps", 1),
        patience=None if patience is None else integer(patience, "patience", 1),
    )
    run.restore(resume)
    with tqdm(
        total=end.epochs or end.steps,
        initial=run.epoch if end.epochs else run.steps,
        desc="training",
        unit="epoch" if end.epochs else "step",
        disable=not progress,
    ) as bar:
        return run.go(end, bar)


@dataclass(frozen=True)
class _End:
    """When to stop."""

    epochs: int | None
    steps: int | None
    patience: int | None

    def reached(self, run: _Run) -> Status | None:
        if (self.epochs is not None and run.epoch >= self.epochs) or (
            self.steps is not None and run.steps >= self.steps
        ):
            return "finished"
        if self.patience is not None and run.recorder.epochs_without_progress >= self.patience:
            return "early stopping"
        return None


class _Run:
    """A training under way. What it consists of between two steps is what a checkpoint holds."""

    def __init__(
        self,
        network: MLP,
        optimizer: Optimizer,
        X: FloatArray,
        y: NDArray[Any],
        *,
        batch_size: int,
        validation: tuple[FloatArray, NDArray[Any]] | None,
        rng: np.random.Generator,
        schedule: Callable[[int], ArrayLike] | None,
        snapshots: Snapshots | None,
        callback: Callback | None,
        file: Path | None,
        every: int | None,
        shuffle: bool,
    ) -> None:
        self.network, self.optimizer, self.X, self.y = network, optimizer, X, y
        self.batch_size, self.validation, self.rng = batch_size, validation, rng
        self.schedule, self.snapshots, self.callback = schedule, snapshots, callback
        self.file, self.every, self.shuffle = file, every, shuffle
        self.recorder = Recorder(validation is not None, network.loss.name == "cross_entropy")
        self.value_and_grad = gradient_into(np.empty_like(optimizer.theta), network)
        self.batches = -(-len(X) // batch_size)
        self.position = 0  # minibatches taken of this epoch
        self.order: NDArray[np.intp] | None = None
        self.epoch_rng: Mapping[str, Any] = {}  # state before the order of this epoch was drawn
        self.stopped = False
        self.written: tuple[int, int, Status] | None = None  # steps, epochs and status of the last checkpoint

    @property
    def epoch(self) -> int:
        return len(self.recorder.epochs)

    @property
    def steps(self) -> int:
        return len(self.recorder.step_loss)

    def go(self, end: _End, bar: tqdm[Any]) -> History:
        with noted_interrupts() as interrupted:
            status = self._advance_until(end, bar, interrupted)
            self.save(status)
            if status == "finished" and self.position:
                # The epoch under way is reported but not saved: a run that goes on to more steps ends it in its time.
                self._end_epoch(self.position, end, bar)
        return self.recorder.history(status)

    def _advance_until(self, end: _End, bar: tqdm[Any], interrupted: Event) -> Status:
        try:
            if self.written is None:
                self.save("running")  # what cannot be written is found out now
            if self.epoch and not self.position:
                self._call_back(self._last_record())
            while (status := end.reached(self)) is None:
                if self.stopped:
                    return "stopped"
                if interrupted.is_set():
                    return "interrupted"
                self._step()
                if end.steps:
                    bar.update()
                if self.position == self.batches:
                    self._end_epoch(self.batches, end, bar)
                    if end.epochs:
                        bar.update()
        except KeyboardInterrupt:
            if interrupted.is_set():  # the second one: at once
                raise
            return "interrupted"
        return status

    def _step(self) -> None:
        if self.order is None:
            self.epoch_rng = self.rng.bit_generator.state
            self.order = self._draw_order()
        if self.position == self.batches:  # Ctrl-C came while the epoch was being validated
            return
        self._take_snapshot()
        rows = self.order[self.position * self.batch_size : (self.position + 1) * self.batch_size]
        X, y = self.X[rows], self.y[rows]
        if self.schedule is not None:
            self.optimizer.lr = self.schedule(self.steps)

        def value_and_grad(theta: FloatArray) -> tuple[float, FloatArray]:
            return self.value_and_grad(theta, X, y)

        # Whoever handles interrupts, none comes between a step and its record.
        with deferred_interrupts() as interrupts:
            loss = self.optimizer.step(lambda theta: interrupts.call(value_and_grad, theta))
            self.recorder.step_loss.append(loss)
            self.position += 1
        if self.every is not None and self.steps % self.every == 0 and self.position < self.batches:
            self.save("running")

    def _draw_order(self) -> NDArray[np.intp]:
        return self.rng.permutation(len(self.X)) if self.shuffle else np.arange(len(self.X))

    def _take_snapshot(self) -> None:
        taken = self.recorder.snapshot_steps
        if self.snapshots is None or self.steps % self.snapshots.every or (taken and taken[-1] == self.steps):
            return
        profile = self.snapshots.measure(self.network, self.optimizer.theta, self.X, self.y, self.steps)
        self.recorder.add_snapshot(self.steps, profile)

    def _end_epoch(self, batches: int, end: _End, bar: tqdm[Any]) -> None:
        theta = self.optimizer.theta
        record = EpochRecord(
            epoch=self.epoch + 1,
            steps=self.steps,
            evaluations=self.optimizer.evaluations,
            loss=float(np.mean(self.recorder.step_loss[-batches:])),
            **evaluate(self.network, theta, self.validation),
            theta=theta,
        )
        with deferred_interrupts():
            self.recorder.add_epoch(record)
            self.position, self.order = 0, None
        bar.set_postfix(_shown(record))
        if batches == self.batches and (self.every is None or self.steps % self.every == 0):
            self.save(end.reached(self) or "running")
        self._call_back(record)

    def _call_back(self, record: EpochRecord) -> None:
        if self.callback is not None:
            try:
                self.callback(record)
            except StopIteration:
                self.stopped = True

    def _last_record(self) -> EpochRecord:
        """Return the last record of a resumed run: its callback may not have been called, or may have stopped it."""
        steps, evaluations, loss, validation_loss, validation_accuracy = self.recorder.epochs[-1]
        theta = self.optimizer.theta
        return EpochRecord(self.epoch, steps, evaluations, loss, validation_loss, validation_accuracy, theta)

    def save(self, status: Status) -> None:
        """Write the checkpoint, where one is wanted and there is something new."""
        written, now = self.written, (self.steps, self.epoch, status)
        if self.file is None or now == written:
            return
        state = self.rng.bit_generator.state
        metadata = {
            "status": status,
            **self._identity,
            "rng": {"epoch": state if self.order is None else self.epoch_rng, "now": state, "position": self.position},
        }
        # The one before is kept only when there is progress since: the last word on a run is no reason to lose it.
        keep = written is not None and written[:2] != now[:2]
        write_run(self.file, self.optimizer.state_dict(), self.recorder, metadata, keep)
        self.written = now

    def restore(self, resume: bool) -> None:
        """Go on from the checkpoint if there is one; nothing is changed unless everything fits."""
        if self.file is None:
            return
        path, older = str(self.file), previous(self.file)
        if not self.file.exists():
            if older.exists():
                raise ValueError(
                    f"there is no checkpoint {path!r} but there is {str(older)!r}: rename it to go on from it, "
                    f"or move it away to start afresh"
                )
            return
        if not resume:
            raise ValueError(f"checkpoint {path!r} exists: pass resume=True to go on from it, or move it away")
        optimizer_state, recorder, metadata = read_run(path)
        if difference := _difference(metadata, self._identity):
            raise ValueError(f"checkpoint {path!r} is of another run: {difference}")
        state = metadata["rng"]
        kind, kind_here = state["now"]["bit_generator"], self.rng.bit_generator.state["bit_generator"]
        if kind != kind_here:
            raise ValueError(f"checkpoint {path!r} needs an rng with the bit generator {kind}, got {kind_here}")
        kept, saved = self.optimizer.mask, optimizer_state["arrays"].get("mask", True)
        if kept is not None and np.any(saved & ~kept):
            raise ValueError(
                f"checkpoint {path!r} has weights that the optimizer's mask removes: it is of a run before pruning; "
                "give the fine-tuning a checkpoint of its own"
            )
        self.optimizer.load_state_dict(optimizer_state)
        self.recorder, self.position = recorder, state["position"]
        if self.position:
            self.rng.bit_generator.state = self.epoch_rng = state["epoch"]
            self.order = self._draw_order()
        self.written = (self.steps, self.epoch, metadata["status"])
        # last, because optimizer and shuffling may share one generator
        self.rng.bit_generator.state = state["now"] if self.position else state["epoch"]

    @cached_property  # digests read all data: once a run, not once a checkpoint
    def _identity(self) -> dict[str, Any]:
        """What must agree for a run to go on; the optimizer checks its own part."""
        return {
            "network": describe(self.network),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "data": digest(self.X, self.y),
            "validation": None if self.validation is None else digest(*self.validation),
            "snapshots": None if self.snapshots is None else self.snapshots.describe(),
            "schedule": None if self.schedule is None else _described(self.schedule),
        }


def _shown(record: EpochRecord) -> dict[str, str]:
    """Say what was measured in an epoch, for the progress bar."""
    shown = {"loss": f"{record.loss:.4f}"}
    if not np.isnan(record.validation_loss):
        shown["validation"] = f"{record.validation_loss:.4f}"
    if not np.isnan(record.validation_accuracy):
        shown["accuracy"] = f"{record.validation_accuracy:.3f}"
    return shown


def _described(schedule: Callable[[int], ArrayLike]) -> str:
    """Return what tells a schedule from others in every process: its repr, if that is not an address."""
    text = repr(schedule)
    return f"a {type(schedule).__name__}" if " at 0x" in text else text


def _difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """Say in which setting two runs differ."""
    for name, value in here.items():
        other = there[name]
        if other == value:
            continue
        if name in ("data", "validation") and None not in (other, value):
            return f"the {'training' if name == 'data' else name} data differ in values, shape or dtype"
        if isinstance(value, dict) and isinstance(other, dict):
            return _difference(other, value)
        return f"{name} was {other} there and is {value} here"
    return None
