"""What a comparison found, as arrays, as a table and as a file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from glasscurv._json import plain
from glasscurv._typing import FloatArray
from glasscurv.comparison.methods import Method

FORMAT = "glasscurv comparison 1"
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Trial:
    """One run of a method from one seed, with up to 201 records on the way (of L-BFGS one an iteration).

    Record 0 is the start, from which every method of that seed begins: no steps, evaluations or seconds.

    Parameters
    ----------
    seed : int
        Seed of initial parameters, random directions and order of the minibatches.
    lr : float
        Learning rate; nan for L-BFGS.
    failed : bool
        Whether a loss or gradient became nan or infinite; the records up to there are kept.
    steps, evaluations : int64 ndarray of shape (records,)
        Steps and minibatch gradients so far.
    seconds : ndarray of shape (records,)
        Wall-clock time (s) spent in training so far, without validation.
    loss : ndarray of shape (records,)
        Training loss: mean minibatch loss of the last steps, as many as an epoch has minibatches or as there were, at
        the points where the optimizer took its gradients; at the start, and for L-BFGS, loss on the training set.
    validation_loss, validation_accuracy : ndarray of shape (records,)
        Loss and share of right labels, in [0, 1], on the validation set; the accuracy is nan for a regression.
    reached : int or None
        First record at which the target was reached; None if there is none or the run failed.

    See Also
    --------
    MethodResult : All runs of one method.
    compare : Makes the runs.

    Examples
    --------
    >>> import glasscurv as gc
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd:lr=0.1"], net, spirals, seeds=[0], epochs=2, batch_size=20,
    ...                                    progress=False)
    >>> trial = comparison.results[0].trials[0]
    >>> trial.evaluations.tolist(), trial.failed, trial.final("steps")
    ([0, 1, 2, 3, 4, 5, 6], False, 6.0)
    """

    seed: int
    lr: float
    failed: bool
    steps: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    seconds: FloatArray
    loss: FloatArray
    validation_loss: FloatArray
    validation_accuracy: FloatArray
    reached: int | None

    def final(self, field: str) -> float:
        """Return the last record of a field.

        Parameters
        ----------
        field : str
            Name of one of the arrays, such as ``"loss"``.

        Returns
        -------
        float
            Its last entry, nan for a failed run.
        """
        values = getattr(self, field)
        return math.nan if self.failed or not len(values) else float(values[-1])

    def at_target(self, field: str) -> float:
        """Return the record of a field at which the target was reached.

        Parameters
        ----------
        field : str
            Name of one of the arrays, such as ``"evaluations"``.

        Returns
        -------
        float
            Its entry there, nan where the target was missed.
        """
        return math.nan if self.reached is None else float(getattr(self, field)[self.reached])


@dataclass(frozen=True, eq=False)
class Tuning:
    """How the learning rate of a method was found, on seeds of its own.

    Parameters
    ----------
    lr : ndarray of shape (g,)
        Learning rates tried.
    evaluations : ndarray of shape (g,)
        Mean gradient evaluations to the target, nan where a seed missed it.
    metric : ndarray of shape (g,)
        Mean of the metric at the end, nan where a seed failed.

    See Also
    --------
    compare : Says which of the rates it takes.
    learning_rates : The rates that are tried.

    Examples
    --------
    >>> import glasscurv as gc
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd"], net, spirals, seeds=[0], epochs=1, batch_size=30,
    ...                                    lr_grid=(0.01, 1.0, 3), tuning_seeds=[1], progress=False)
    >>> tuning = comparison.results[0].tuning
    >>> tuning.lr.tolist(), tuning.metric.shape
    ([0.01, 0.1, 1.0], (3,))
    """

    lr: FloatArray
    evaluations: FloatArray
    metric: FloatArray


@dataclass(frozen=True, eq=False)
class MethodResult:
    """All runs of one method.

    Parameters
    ----------
    method : Method
        The optimizer with its options.
    lr : float
        Learning rate of the runs, tuned or given; nan for L-BFGS.
    at_edge : bool
        Whether the tuned rate is the smallest or largest of its grid: a better one may lie outside.
    tuning : Tuning or None
        How the rate was found; None if nothing was tuned.
    trials : tuple of Trial
        The runs, one a seed.

    See Also
    --------
    Comparison : The results of all methods.
    Trial : One run.

    Examples
    --------
    >>> import glasscurv as gc
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd:lr=0.1"], net, spirals, seeds=[0, 1], epochs=1, batch_size=30,
    ...                                    target=100.0, progress=False)
    >>> result = comparison.results[0]
    >>> result.final("evaluations").tolist(), result.at_target("evaluations").tolist(), result.reached
    ([2.0, 2.0], [0.0, 0.0], 2)
    """

    method: Method
    lr: float
    at_edge: bool
    tuning: Tuning | None
    trials: tuple[Trial, ...]

    def final(self, field: str) -> FloatArray:
        """Return the last record of a field in every run.

        Parameters
        ----------
        field : str
            Name of one of the arrays of `Trial`, such as ``"loss"``.

        Returns
        -------
        float64 ndarray of shape (seeds,)
            Its last entries, nan where the run failed.
        """
        return np.array([trial.final(field) for trial in self.trials])

    def at_target(self, field: str) -> FloatArray:
        """Return the record of a field at which every run reached the target.

        Parameters
        ----------
        field : str
            Name of one of the arrays of `Trial`, such as ``"evaluations"``.

        Returns
        -------
        float64 ndarray of shape (seeds,)
            Its entries there, nan where the target was missed.
        """
        return np.array([trial.at_target(field) for trial in self.trials])

    @property
    def failed(self) -> int:
        """Number of runs that failed."""
        return sum(trial.failed for trial in self.trials)

    @property
    def reached(self) -> int:
        """Number of runs that reached the target."""
        return sum(trial.reached is not None for trial in self.trials)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Parameters
    ----------
    results : tuple of MethodResult
        Results, in the order of the methods.
    metric : {"validation_loss", "validation_accuracy", "loss"}
        What the target is set for.
    target : float or None
        Value of the metric that is to be reached.
    epochs : int
        Passes over the data that the budget allows.
    batch_size : int
        Rows per minibatch.
    budget : int
        Minibatch gradients that every run may take.
    seeds, tuning_seeds : tuple of int
        Seeds of the runs and of the tuning.
    layers : tuple of int
        Widths of the network's layers.
    activation, loss : str
        Names of the network's activation and loss.
    training_rows, validation_rows : int
        Rows of the training and validation sets.

    See Also
    --------
    compare : Returns it.
    glasscurv.plotting.plot_comparison : Draws it.

    Examples
    --------
    >>> import os, tempfile, glasscurv as gc
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd:lr=0.1"], net, spirals, seeds=[0], epochs=3, batch_size=30,
    ...                                    progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "comparison.json")
    ...     comparison.to_json(path)
    ...     same = gc.comparison.Comparison.from_json(path)
    >>> same.budget, same.layers, same.rows()[0]["method"]
    (6, (2, 8, 2), 'sgd:lr=0.1')
    """

    results: tuple[MethodResult, ...]
    metric: str
    target: float | None
    epochs: int
    batch_size: int
    budget: int
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    layers: tuple[int, ...]
    activation: str
    loss: str
    training_rows: int
    validation_rows: int

    def rows(self) -> list[dict[str, Any]]:
        """Return a table, a dict a method.

        Returns
        -------
        list of dict
            ``method``, ``lr`` (nan for L-BFGS), ``at_edge``, ``seeds``, ``failed`` and ``reached`` (numbers of runs),
            then means over seeds, each with the half width of its 95 % Student-t interval under the same key and
            ``_interval``: the final ``loss``, ``validation_loss`` and ``validation_accuracy`` of the runs that did not
            fail, and ``steps``, ``evaluations`` and ``seconds`` to the target of the runs that reached it. Those means
            favour a method that misses often: read them with ``reached``. ``evaluations_median`` does not, it counts a
            miss as infinite. nan where there is nothing to average, and intervals also of a single run.
        """
        return [_row(result) for result in self.results]

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write everything, curves included; what is nan here is null there.

        Parameters
        ----------
        path : path-like
            File to write; one that exists is replaced.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        text = json.dumps({"format": FORMAT, **plain(self)}, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> Comparison:
        """Read what `to_json` wrote.

        Parameters
        ----------
        path : path-like
            File to read.

        Returns
        -------
        Comparison
            The comparison that was written.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is no comparison, or a damaged one.
        """
        try:
            data: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is not a {FORMAT}")
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return cls(**{**values, "results": tuple(_read_result(result) for result in data["results"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is a damaged comparison: {error!r}") from error


def mean_interval(values: FloatArray) -> tuple[float, float]:
    """Return the mean of what is not nan and the half width of its Student-t interval."""
    kept = values[~np.isnan(values)]
    if not kept.size:
        return math.nan, math.nan
    if kept.size == 1:
        return float(kept[0]), math.nan
    exponent = int(np.frexp(np.abs(kept).max())[1])
    scaled = np.ldexp(kept, -exponent)  # exact, and the squares of runs that went far astray do not overflow
    half = stdtrit(kept.size - 1, (1 + CONFIDENCE) / 2) * scaled.std(ddof=1) / math.sqrt(kept.size)
    return float(np.ldexp(scaled.mean(), exponent)), float(np.ldexp(half, exponent))


def _row(result: MethodResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": result.method.name,
        "lr": result.lr,
        "at_edge": result.at_edge,
        "seeds": len(result.trials),
        "failed": result.failed,
        "reached": result.reached,
    }
    columns = {name: result.final(name) for name in ("loss", "validation_loss", "validation_accuracy")}
    columns |= {name: result.at_target(name) for name in ("steps", "evaluations", "seconds")}
    for name, values in columns.items():
        row[name], row[f"{name}_interval"] = mean_interval(values)
    evaluations = columns["evaluations"]
    middle = float(np.median(np.where(np.isnan(evaluations), np.inf, evaluations)))
    row["evaluations_median"] = middle if math.isfinite(middle) else math.nan
    return row


def _read_result(data: dict[str, Any]) -> MethodResult:
    method = dict(data["method"])
    method["options"] = {k: tuple(v) if isinstance(v, list) else v for k, v in method["options"].items()}
    tuning = data["tuning"]
    return MethodResult(
        method=Method(**method),
        lr=_number(data["lr"]),
        at_edge=data["at_edge"],
        tuning=None if tuning is None else Tuning(**{name: _array(column) for name, column in tuning.items()}),
        trials=tuple(_read_trial(trial) for trial in data["trials"]),
    )


def _read_trial(data: dict[str, Any]) -> Trial:
    columns = {name: _array(column) for name, column in data.items() if isinstance(column, list)}
    for name in ("steps", "evaluations"):
        columns[name] = columns[name].astype(np.int64)
    return Trial(**{**data, **columns, "lr": _number(data["lr"])})


def _array(column: list[float | None]) -> Any:
    return np.array([_number(value) for value in column], np.float64)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
