"""What happened during training, as arrays and as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glasscurv._json import plain
from glasscurv._typing import FloatArray
from glasscurv._validation import choice
from glasscurv.curvature import CurvatureProfile

Status = Literal["finished", "early stopping", "interrupted", "stopped", "running"]
Table = Literal["epochs", "steps", "snapshots"]


@dataclass(frozen=True, eq=False)
class EpochRecord:
    """What was known at the end of an epoch.

    Parameters
    ----------
    epoch : int
        Number of the epoch, from 1.
    steps : int
        Steps of this run so far.
    evaluations : int
        Gradient evaluations that the optimizer has spent so far.
    loss : float
        Mean of the step losses over the epoch.
    validation_loss : float
        Loss on the validation data; nan where there are none.
    validation_accuracy : float
        Share of right labels there, in [0, 1]; nan where there are no labels.
    theta : ndarray of shape (n,)
        Parameters, a copy.

    See Also
    --------
    glasscurv.train : Gives one to its callback after every epoch.
    glasscurv.History : All epochs, when the training has ended.

    Examples
    --------
    >>> import glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> optimizer = gc.SGD(net.initialize(rng=0), lr=0.1)
    >>> def callback(record):
    ...     print(record.epoch, record.steps, record.theta.shape)
    >>> history = gc.train(net, optimizer, [[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], epochs=2, batch_size=1, rng=0,
    ...                    progress=False, callback=callback)
    1 2 (17,)
    2 4 (17,)
    """

    epoch: int
    steps: int
    evaluations: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    theta: FloatArray


@dataclass(frozen=True, eq=False)
class SnapshotHistory:
    """Curvature of every layer at k moments of the training; the fields are those of `CurvatureProfile`.

    Parameters
    ----------
    groups : tuple of str
        Names of the L layers.
    step : int64 ndarray of shape (k,)
        Steps taken before each measurement.
    glass_density : ndarray of shape (k, L)
        Mean glass density (gradient²/length).
    hessian_abs, hessian_rms, hessian_diagonal : ndarray of shape (k, L)
        Means of the three Hessian measures (gradient/length).
    exponent, exponent_error : ndarray of shape (k, L)
        Exponent of the second difference, 1 for glass and 4 for a smooth loss, and its standard error.

    See Also
    --------
    Snapshots : When and how `train` measures.
    glasscurv.CurvatureProfile : The measurement of one moment.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> X = np.linspace(-1, 1, 40).reshape(20, 2)
    >>> history = gc.train(net, gc.SGD(net.initialize(rng=0), lr=0.1), X, X[:, 0], steps=2, rng=0, progress=False,
    ...                    snapshots=gc.Snapshots(every=1, length=0.1, samples=2))
    >>> history.snapshots.groups, history.snapshots.glass_density.shape
    (('layer1', 'layer2'), (2, 2))
    """

    groups: tuple[str, ...]
    step: NDArray[np.int64]
    glass_density: FloatArray
    hessian_abs: FloatArray
    hessian_rms: FloatArray
    hessian_diagonal: FloatArray
    exponent: FloatArray
    exponent_error: FloatArray


MEASURES = tuple(field.name for field in fields(SnapshotHistory) if field.name not in ("groups", "step"))


@dataclass(frozen=True, eq=False)
class History:
    """What happened during training.

    Parameters
    ----------
    step_loss : ndarray of shape (steps,)
        Minibatch loss of every step, at the point where the optimizer took its gradient.
    loss : ndarray of shape (epochs,)
        Mean of `step_loss` over each epoch.
    validation_loss : ndarray of shape (epochs,) or None
        Loss on the validation data after each epoch.
    validation_accuracy : ndarray of shape (epochs,) or None
        Share of right labels there, in [0, 1]; None for regression.
    evaluations : int64 ndarray of shape (epochs,)
        Gradient evaluations that the optimizer had spent by the end of each epoch.
    steps : int64 ndarray of shape (epochs,)
        Steps taken by the end of each epoch.
    best_epoch : int or None
        Epoch, from 1, with the least validation loss.
    best_theta : ndarray of shape (n,) or None
        Parameters after that epoch.
    snapshots : SnapshotHistory or None
        Curvature per layer, where `train` was asked for it.
    status : {"finished", "early stopping", "interrupted", "stopped", "running"}
        Why training ended: it was done, the validation loss no longer fell, Ctrl-C, or the callback said so. In a
        checkpoint that was written on the way it is ``"running"``.

    See Also
    --------
    train : Returns it.
    glasscurv.plotting.plot_history : Draws it.

    Examples
    --------
    >>> import glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> optimizer = gc.SGD(net.initialize(rng=0), lr=0.1)
    >>> history = gc.train(net, optimizer, [[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], epochs=3, rng=0, progress=False)
    >>> history.steps, history.status
    (array([1, 2, 3]), 'finished')
    """

    step_loss: FloatArray
    loss: FloatArray
    validation_loss: FloatArray | None
    validation_accuracy: FloatArray | None
    evaluations: NDArray[np.int64]
    steps: NDArray[np.int64]
    best_epoch: int | None
    best_theta: FloatArray | None
    snapshots: SnapshotHistory | None
    status: Status

    def __repr__(self) -> str:
        loss = f", loss {self.loss[-1]:.4g}" if self.loss.size else ""
        return f"<History: {self.status}, {self.step_loss.size} steps, {self.loss.size} epochs{loss}>"

    def to_csv(self, path: str | PathLike[str], table: Table = "epochs") -> None:
        """Write one table as comma-separated values with a header.

        Parameters
        ----------
        path : path-like
            File to write; an existing one is replaced.
        table : {"epochs", "steps", "snapshots"}
            One row for each epoch, for each step, or for each layer of each snapshot.

        Raises
        ------
        ValueError, TypeError
            An unknown table, or snapshots where there are none.
        OSError
            The file cannot be written.
        """
        header, rows = self._table(choice(table, "table", ("epochs", "steps", "snapshots")))
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `best_theta` as numbers, texts and lists.

        Returns
        -------
        dict
            Name of each field to its value; a nan becomes None.
        """
        names = (field.name for field in fields(self) if field.name != "best_theta")
        return {name: plain(getattr(self, name)) for name in names}

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write what `to_dict` returns as JSON.

        Parameters
        ----------
        path : path-like
            File to write; an existing one is replaced.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        text = json.dumps(self.to_dict(), allow_nan=False, indent=1)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def _table(self, table: Table) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        if table == "steps":
            return ("step", "loss"), enumerate(self.step_loss.tolist(), start=1)
        if table == "snapshots":
            taken = self.snapshots
            if taken is None:
                raise ValueError("table 'snapshots' needs a run with snapshots, and this one took none")
            rows = (
                (step, group, *(float(getattr(taken, measure)[k, g]) for measure in MEASURES))
                for k, step in enumerate(taken.step.tolist())
                for g, group in enumerate(taken.groups)
            )
            return ("step", "layer", *MEASURES), rows
        columns: dict[str, Any] = {"steps": self.steps, "evaluations": self.evaluations, "loss": self.loss}
        if self.validation_loss is not None:
            columns["validation_loss"] = self.validation_loss
        if self.validation_accuracy is not None:
            columns["validation_accuracy"] = self.validation_accuracy
        epochs = range(1, len(self.loss) + 1)
        return ("epoch", *columns), zip(epochs, *(column.tolist() for column in columns.values()), strict=True)


class Recorder:
    """The history while it grows.

    Parameters
    ----------
    validated, labelled : bool
        Whether there are validation data, and whether these have labels to be right about.
    """

    def __init__(self, validated: bool, labelled: bool) -> None:
        self.validated, self.labelled = validated, validated and labelled
        self.step_loss: list[float] = []
        self.epochs: list[tuple[int, int, float, float, float]] = []  # steps, evaluations, loss, validation
        self.snapshots: list[FloatArray] = []  # (measures, groups) each
        self.snapshot_steps: list[int] = []
        self.groups: tuple[str, ...] = ()
        self.best_epoch = 0
        self.best_theta: FloatArray | None = None

    @property
    def epochs_without_progress(self) -> int:
        """Epochs since the validation loss was least."""
        return len(self.epochs) - self.best_epoch

    def add_epoch(self, record: EpochRecord) -> None:
        """Add an epoch, and keep its parameters if its validation loss is the least so far."""
        best = self.epochs[self.best_epoch - 1][3] if self.best_epoch else np.inf
        if record.validation_loss < best:
            self.best_epoch, self.best_theta = record.epoch, record.theta.copy()
        self.epochs.append(
            (record.steps, record.evaluations, record.loss, record.validation_loss, record.validation_accuracy)
        )

    def add_snapshot(self, step: int, profile: CurvatureProfile) -> None:
        """Add the curvature measured after `step` steps."""
        self.groups = profile.groups
        self.snapshot_steps.append(step)
        self.snapshots.append(np.array([getattr(profile, measure) for measure in MEASURES], dtype=np.float64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {
            "step_loss": np.array(self.step_loss, dtype=np.float64),
            "epochs": np.array(self.epochs, dtype=np.float64).reshape(-1, 5),
        }
        if self.snapshots:
            arrays["snapshot_steps"] = np.array(self.snapshot_steps, dtype=np.int64)
            arrays["snapshots"] = np.array(self.snapshots)
        if self.best_theta is not None:
            arrays["best_theta"] = self.best_theta
        return arrays

    def settings(self) -> dict[str, Any]:
        """Return what is not in the arrays."""
        return {
            "validated": self.validated,
            "labelled": self.labelled,
            "groups": list(self.groups),
            "best_epoch": self.best_epoch,
        }

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Recorder:
        """Return the recorder whose `arrays` and `settings` these are."""
        recorder = cls(settings["validated"], settings["labelled"])
        recorder.step_loss = arrays["step_loss"].tolist()
        # float64 holds the counts exactly up to 2⁵³
        recorder.epochs = [(int(row[0]), int(row[1]), *row[2:]) for row in arrays["epochs"].tolist()]
        if "snapshots" in arrays:
            recorder.snapshot_steps = arrays["snapshot_steps"].tolist()
            recorder.snapshots = list(arrays["snapshots"])
        recorder.groups = tuple(settings["groups"])
        recorder.best_epoch, recorder.best_theta = settings["best_epoch"], arrays.get("best_theta")
        return recorder

    def history(self, status: Status) -> History:
        """Return what was recorded so far."""
        table = np.array(self.epochs, dtype=np.float64).reshape(-1, 5)
        return History(
            step_loss=np.array(self.step_loss, dtype=np.float64),
            loss=table[:, 2].copy(),
            validation_loss=table[:, 3].copy() if self.validated else None,
            validation_accuracy=table[:, 4].copy() if self.labelled else None,
            evaluations=table[:, 1].astype(np.int64),
            steps=table[:, 0].astype(np.int64),
            best_epoch=self.best_epoch or None,
            best_theta=self.best_theta,
            snapshots=self._snapshot_history(),
            status=status,
        )

    def _snapshot_history(self) -> SnapshotHistory | None:
        if not self.snapshots:
            return None
        measures = dict(zip(MEASURES, np.stack(self.snapshots, axis=1), strict=True))
        return SnapshotHistory(groups=self.groups, step=np.array(self.snapshot_steps, dtype=np.int64), **measures)
