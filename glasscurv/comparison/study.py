"""The comparison: tuning on some seeds, runs on others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from glasscurv._typing import FloatArray, Workers
from glasscurv._validation import choice, integer, number
from glasscurv._workers import ordered_map
from glasscurv.comparison.methods import Method, learning_rates, parse_method
from glasscurv.comparison.results import Comparison, MethodResult, Trial, Tuning
from glasscurv.comparison.trials import METRICS, Metric, Setting, Task, run_trial
from glasscurv.data import Split
from glasscurv.data.splits import paired
from glasscurv.networks import MLP


def compare(
    methods: Sequence[Method | str],
    network: MLP,
    split: Split,
    *,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 100,
    target: float | None = None,
    metric: Metric = "validation_loss",
    lr_grid: tuple[float, float, int] | None = None,
    tuning_seeds: Sequence[int] = (1001, 1002),
    workers: Workers = 1,
    progress: bool = True,
) -> Comparison:
    """Train a network with several optimizers under equal conditions.

    Every run may take as many minibatch gradients as `epochs` passes over the data have minibatches, and no more. At
    equal seed all methods start from the same parameters and meet the same minibatches in the same order.

    Parameters
    ----------
    methods : sequence of Method or str
        What to compare; text is read by `parse_method`. Names must differ.
    network : MLP
        The model, initialised anew in every run.
    split : Split
        Training and validation data.
    seeds : sequence of int
        Seeds ≥ 0, all different, of one run each.
    epochs : int
        Passes over the data, ≥ 1, that set the budget of gradients.
    batch_size : int
        Rows per minibatch, ≥ 1.
    target : float, optional
        Value of `metric`: work is counted until the first record that is as good.
    metric : {"validation_loss", "validation_accuracy", "loss"}
        What the target is set for and rates are tuned by; ``"loss"`` is the training loss, a mean over as many steps as
        an epoch has minibatches.
    lr_grid : tuple of (low, high, count), optional
        Learning rates that are tried for every method without one; by default those of `learning_rates`.
    tuning_seeds : sequence of int
        Seeds of the tuning, different from `seeds`. The rate with the fewest evaluations to the target wins, where a
        seed that misses counts as infinite; between equals, and without a target, the one with the best final metric.
    workers : int or callable
        Processes, or a map-like callable. Everything but the seconds is the same whatever they are.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Comparison
        All runs of all methods; ``comparison.rows()`` is a table of them.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or data that do not fit the network.

    See Also
    --------
    parse_method : Reads a method from text.
    glasscurv.plotting.plot_comparison : Draws what was found.
    glasscurv.train : Trains once.

    Examples
    --------
    >>> import glasscurv as gc
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd:momentum=0.9,lr=0.1", "alice:lr=0.01"], net, spirals, seeds=range(2),
    ...                                    epochs=6, batch_size=20, target=0.69, progress=False)
    >>> [(row["method"], row["seeds"], row["failed"]) for row in comparison.rows()]
    [('sgd:momentum=0.9,lr=0.1', 2, 0), ('alice:lr=0.01', 2, 0)]
    """
    chosen = _methods(methods)
    grids = {method.name: learning_rates(method.optimizer, lr_grid) for method in chosen if method.tuned}
    runs, tuning_runs = _seeds(seeds, "seeds"), _seeds(tuning_seeds, "tuning_seeds")
    if common := sorted(set(runs) & set(tuning_runs)):
        raise ValueError(f"tuning_seeds must differ from seeds, got {common[0]} in both")
    setting = _setting(network, split, epochs, batch_size, target, metric)
    total = sum(map(len, grids.values())) * len(tuning_runs) + len(chosen) * len(runs)
    with tqdm(total=total, desc="comparing", unit="run", disable=not progress) as bar:
        found = _tune(setting, grids, chosen, tuning_runs, workers, bar)
        results = _evaluate(setting, found, chosen, runs, workers, bar)
    return Comparison(
        results=results,
        metric=setting.metric,
        target=setting.target,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        budget=setting.budget,
        seeds=runs,
        tuning_seeds=tuning_runs,
        layers=network.layers,
        activation=network.activation.name,
        loss=network.loss.name,
        training_rows=len(setting.split.X),
        validation_rows=len(setting.split.X_validation),
    )


def _tune(
    setting: Setting,
    grids: dict[str, FloatArray],
    methods: list[Method],
    seeds: tuple[int, ...],
    workers: Workers,
    bar: tqdm[Any],
) -> dict[str, tuple[Tuning, int]]:
    """Try every learning rate of the grids: what came of it, and the index of the best."""
    tasks = [Task(method, float(lr), seed) for seed in seeds for method in methods for lr in grids.get(method.name, ())]
    trials = _run(setting, tasks, workers, bar, "tuning ")
    sign = METRICS[setting.metric]
    found = {}
    for name, grid in grids.items():
        mine = [trial for task, trial in zip(tasks, trials, strict=True) if task.method.name == name]
        table = [[trial for trial in mine if trial.lr == lr] for lr in grid]
        tuning = Tuning(
            lr=grid,
            evaluations=np.array([_mean([trial.at_target("evaluations") for trial in row]) for row in table]),
            metric=np.array([_mean([trial.final(setting.metric) for trial in row]) for row in table]),
        )
        found[name] = tuning, best_rate(tuning, sign)
    return found


def best_rate(tuning: Tuning, sign: int) -> int:
    """Index with the fewest evaluations; between equals, such as misses, with the best metric."""
    orders = [np.where(np.isnan(key), np.inf, key) for key in (sign * tuning.metric, tuning.evaluations)]
    return int(np.lexsort(orders)[0])


def _mean(values: list[float]) -> float:
    """Mean, nan where an entry is nan or the sum overflows."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(values))
    return mean if math.isfinite(mean) else math.nan


def _evaluate(
    setting: Setting,
    found: dict[str, tuple[Tuning, int]],
    methods: list[Method],
    seeds: tuple[int, ...],
    workers: Workers,
    bar: tqdm[Any],
) -> tuple[MethodResult, ...]:
    """Run every method with its learning rate from every seed."""
    rates = {method.name: method.lr for method in methods}
    rates |= {name: float(tuning.lr[best]) for name, (tuning, best) in found.items()}
    # Methods take turns, so that a slow minute of the machine falls on all of them.
    tasks = [Task(method, rates[method.name], seed) for seed in seeds for method in methods]
    trials = _run(setting, tasks, workers, bar, "")
    results = []
    for method in methods:
        tuning, best = found.get(method.name, (None, 0))
        rate = rates[method.name]
        results.append(
            MethodResult(
                method=method,
                lr=math.nan if rate is None else rate,
                at_edge=tuning is not None and len(tuning.lr) > 1 and best in (0, len(tuning.lr) - 1),
                tuning=tuning,
                trials=tuple(trial for task, trial in zip(tasks, trials, strict=True) if task.method is method),
            )
        )
    return tuple(results)


def _run(setting: Setting, tasks: list[Task], workers: Workers, bar: tqdm[Any], what: str) -> list[Trial]:
    trials = []
    with ordered_map(workers) as over:
        for task, trial in zip(tasks, over(partial(run_trial, setting), tasks), strict=True):
            bar.set_description(what + task.method.name, refresh=False)
            bar.update()
            trials.append(trial)
    return trials


def _methods(methods: Sequence[Method | str]) -> list[Method]:
    chosen = [parse_method(method) if isinstance(method, str) else method for method in methods]
    for method in chosen:
        if not isinstance(method, Method):
            raise TypeError(f"methods must hold Methods or text, got {type(method).__name__}")
    names = [method.name for method in chosen]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"methods must be at least one, with different names, got {', '.join(names) or 'none'}")
    return chosen


def _seeds(seeds: Iterable[int], name: str) -> tuple[int, ...]:
    numbers = tuple(integer(seed, f"every entry of {name}", 0) for seed in seeds)
    if len(set(numbers)) < len(numbers) or not numbers:
        raise ValueError(f"{name} must be at least one, and different, got {numbers}")
    return numbers


def _setting(network: MLP, split: Split, epochs: int, batch_size: int, target: float | None, metric: Metric) -> Setting:
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an MLP, got {type(network).__name__}")
    if len(split) != 4:
        raise ValueError(f"split must hold training and validation inputs and targets, got {len(split)} arrays")
    parts = Split(*paired(*split[:2], "X", "y"), *paired(*split[2:], "X_validation", "y_validation"))
    network.check_data(parts.X, parts.y)
    network.check_data(parts.X_validation, parts.y_validation)
    if choice(metric, "metric", tuple(METRICS)) == "validation_accuracy" and network.loss.name != "cross_entropy":
        raise ValueError(f"metric must be a loss where the network's loss is {network.loss.name!r}, got {metric!r}")
    return Setting(
        network=network,
        split=parts,
        epochs=integer(epochs, "epochs", 1),
        batch_size=integer(batch_size, "batch_size", 1),
        target=None if target is None else number(target, "target"),
        metric=metric,
    )
