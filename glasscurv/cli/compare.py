"""``glasscurv compare``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import glasscurv as gc
from glasscurv import _validation
from glasscurv._json import plain
from glasscurv.cli import inputs, options
from glasscurv.cli.output import (
    check_figure,
    check_readable,
    check_writable,
    count,
    fits,
    make_table,
    note,
    number,
    print_json,
    print_table,
    print_text,
    save_figure,
    saves_nothing,
)


class Metric(StrEnum):
    """What a target is set for."""

    validation_loss = "validation_loss"
    validation_accuracy = "validation_accuracy"
    loss = "loss"


OPTIMIZERS = ("alice", "adam", "sgd:momentum=0.9")
FIRST_TUNING_SEED = 1001


def compare(
    context: typer.Context,
    data: options.Data = "digits",
    labels: options.Labels = None,
    validation: options.Validation = None,
    layers: options.Layers = "64,64",
    activation: options.ActivationOption = options.Activation.relu,
    loss: options.LossOption = None,
    optimizer: Annotated[
        list[str] | None,
        typer.Option(
            help="A method: [NAME=]OPTIMIZER[:OPTION=VALUE,…], such as alice:hessian=rms,quick_steps=0,lr=0.01; repeat "
            "it for each. Optimizers are alice, sgd, adam, adamw, adahessian and lbfgs. Without lr the learning rate "
            f"is tuned. By default {', '.join(OPTIMIZERS)}.",
            metavar="METHOD",
            rich_help_panel=options.OPTIMIZER,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each method: seeds 0, 1, …", min=1)] = 10,
    epochs: Annotated[
        int,
        typer.Option(help="Budget: every run may take as many gradients as so many passes have minibatches.", min=1),
    ] = 20,
    batch_size: options.BatchSize = 100,
    target: Annotated[
        float | None, typer.Option(help="Count the work until --metric is as good as this; up to 200 looks a run.")
    ] = None,
    metric: Annotated[Metric, typer.Option(help="Accuracies are shares: 0.95 is 95 %.")] = Metric.validation_loss,
    lr_grid: Annotated[
        str | None,
        typer.Option(
            help="Learning rates to try, the same for all; by default seven around a middling one for each optimizer.",
            metavar="LOW,HIGH,COUNT",
            rich_help_panel=options.OPTIMIZER,
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            help="Tune learning rates that are not given, or take the middling ones.", rich_help_panel=options.OPTIMIZER
        ),
    ] = True,
    tuning_seeds: Annotated[
        int,
        typer.Option(
            help=f"Runs of each learning rate: seeds {FIRST_TUNING_SEED}, …", min=1, rich_help_panel=options.OPTIMIZER
        ),
    ] = 2,
    workers: Annotated[int, typer.Option(help="Processes; the results do not depend on them.", min=1)] = 1,
    load: Annotated[
        Path | None,
        typer.Option(
            help="Show what --save wrote earlier instead of running.", metavar="FILE", rich_help_panel=options.OUTPUT
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write everything, curves included, to this .json.", metavar="FILE", rich_help_panel=options.OUTPUT
        ),
    ] = None,
    plot: options.Plot = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    r"""Compare optimizers fairly: equal starts, equal minibatches, equal numbers of gradients, tuned learning rates.

    A step of Alice costs up to three gradients and gets no discount: all methods may take the same number of them.
    The table gives means over seeds with 95 % Student-t intervals; work to the target is a mean over the runs that
    reached it, so read it together with how many did.

    \b
    glasscurv compare --optimizer alice --optimizer adam --epochs 10 --seeds 5 --target 0.15
    glasscurv compare --data spirals --layers 32,32 --optimizer alice:hessian=rms --optimizer adam:lr=0.01 --epochs 40
    glasscurv compare --epochs 10 --save digits.json --workers 2
    glasscurv compare --load digits.json --plot digits.png

    Evaluations are gradients of one minibatch; seconds are wall-clock time of training without validation and tuning,
    and mean something only on a machine that does nothing else.
    """
    check_figure(plot)
    check_writable(save, "--save", (".json",))
    if load is not None:
        check_readable(load, "--load")
        if given := options.given(context, but=("load", "save", "plot", "as_json", "quiet")):
            raise ValueError(f"{given[0]} is for running, and --load shows what was run before")
        found = gc.comparison.Comparison.from_json(load)
    else:
        if target is not None:
            _validation.number(target, "--target", 0, 1 if metric is Metric.validation_accuracy else math.inf)
        split = inputs.load_data(data, labels, validation)
        network = inputs.make_network(split, layers, activation.value, None if loss is None else loss.value)
        inputs.check_memory(network, "float64", len(split.X), workers)
        with saves_nothing():
            found = gc.comparison.compare(
                _methods(optimizer or OPTIMIZERS, tune),
                network,
                inputs.fit_data(split, network, "float64"),
                seeds=range(seeds),
                epochs=epochs,
                batch_size=batch_size,
                target=target,
                metric=metric.value,
                lr_grid=None if lr_grid is None else _grid(lr_grid),
                tuning_seeds=range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + tuning_seeds),
                workers=workers,
                progress=not quiet,
            )
    if save is not None:
        found.to_json(save)
        note(f"comparison: {save}")
    if as_json:
        print_json(_record(found))
    else:
        _print(found)
    if plot is not None:
        from glasscurv.plotting import plot_comparison

        save_figure(plot_comparison(found), plot)


def _methods(texts: Sequence[str], tune: bool) -> list[gc.comparison.Method]:
    methods = [gc.comparison.parse_method(text) for text in texts]
    if tune:
        return methods
    rates = gc.comparison.LEARNING_RATES
    return [
        gc.comparison.Method(m.name, m.optimizer, rates.get(m.optimizer) if m.lr is None else m.lr, m.options)
        for m in methods
    ]


def _grid(text: str) -> tuple[float, float, int]:
    try:
        low, high, points = text.split(",")
        grid = float(low), float(high), int(points)
    except ValueError:
        raise ValueError(f"--lr-grid must be LOW,HIGH,COUNT, such as 1e-4,1e-1,7, got {text!r}") from None
    try:
        gc.comparison.learning_rates("sgd", grid)
    except ValueError as error:
        raise ValueError(f"--lr-grid {text}: {error}") from None
    return grid


def _record(found: gc.comparison.Comparison) -> dict[str, Any]:
    names = ("metric", "target", "epochs", "batch_size", "budget", "seeds", "layers", "activation", "loss")
    return {**{name: getattr(found, name) for name in names}, "table": plain(found.rows())}


END = {"lr": "lr", "loss": "training\nloss", "validation_loss": "validation\nloss"}
ACCURACY = {"validation_accuracy": "accuracy\n(%)"}
TARGET = {
    "steps": "steps\nto target",
    "evaluations": "gradients\nto target",
    "seconds": "seconds\nto target",
    "reached": "runs that\nreached it",
}


def _print(found: gc.comparison.Comparison) -> None:
    widths, runs = "-".join(map(str, found.layers)), len(found.seeds)
    print_text(
        f"{widths} {found.activation} network, {count(found.training_rows, 'training row')}, "
        f"{count(runs, 'seed')}, at most {count(found.budget, 'gradient')} a run"
    )
    if runs > 1:
        print_text("Means over seeds ± 95 % intervals, where runs differ")
    end = END | (ACCURACY if found.loss == "cross_entropy" else {})
    parts = [end] if found.target is None else [end, TARGET]
    whole = _table(found, {name: title for part in parts for name, title in part.items()})
    for table in [whole] if fits(whole) else [_table(found, part) for part in parts]:
        print_table(table)
    if found.target is not None:
        print_text(f"The target is a {found.metric.replace('_', ' ')} of {found.target:g}.")
    for row in found.rows():
        if row["at_edge"]:
            print_text(
                f"* {row['method']}: the learning rate is at the edge of its grid; a better one may lie outside."
            )
        if row["failed"]:
            print_text(
                f"{row['method']}: {row['failed']} of {count(row['seeds'], 'run')} diverged; "
                "the final values leave them out."
            )


def _table(found: gc.comparison.Comparison, columns: dict[str, str]) -> Table:
    columns = {"method": "method", **columns}
    table = make_table(columns)
    for row in found.rows():
        table.add_row(*(_cell(name, row) for name in columns))
    return table


def _cell(name: str, row: dict[str, Any]) -> str:
    if name == "method":
        return escape(row["method"])
    if name == "reached":
        return f"{row['reached']} of {row['seeds']}"
    if name == "lr":
        return number(row["lr"], digits=3) + ("*" if row["at_edge"] else "")
    scale = 100 if name == "validation_accuracy" else 1
    return number(scale * row[name], scale * row[f"{name}_interval"])
