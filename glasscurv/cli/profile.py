"""``glasscurv profile``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import glasscurv as gc
from glasscurv import _validation
from glasscurv._json import plain
from glasscurv._typing import FloatArray
from glasscurv.cli import inputs, options
from glasscurv.cli.output import (
    check_figure,
    check_readable,
    count,
    make_table,
    number,
    print_json,
    print_table,
    print_text,
    save_figure,
    saves_nothing,
)
from glasscurv.cli.training import Training
from glasscurv.data import Split

NOT_OF_TRAINING = (
    "checkpoint", "data", "labels", "validation", "length", "samples", "rows", "seed", "plot", "as_json", "quiet",
)  # fmt: skip


def profile(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None, typer.Argument(help="What `glasscurv train --checkpoint` saved. Without it, a network is trained.")
    ] = None,
    data: options.Data = "digits",
    labels: options.Labels = None,
    validation: options.Validation = None,
    length: Annotated[
        float,
        typer.Option(
            help="Size of the movements of every parameter for which the curvature is wanted, in its own unit."
        ),
    ] = 1e-3,
    samples: Annotated[
        int, typer.Option(help="Random directions, for the curvature and for each of five lengths.", min=2)
    ] = 16,
    rows: options.Rows = None,
    seed: options.Seed = 0,
    layers: options.Layers = "64,64",
    activation: options.ActivationOption = options.Activation.relu,
    loss: options.LossOption = None,
    dtype: options.Dtype = options.Precision.float64,
    optimizer: options.OptimizerName = "alice",
    lr: options.LearningRate = None,
    option: options.Options = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training data; 0 measures the start.", min=0)] = 20,
    batch_size: options.BatchSize = 100,
    plot: options.Plot = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    r"""Measure where a network is glass: density, Hessian and exponent of every layer.

    Takes the network from a checkpoint, or trains one as `glasscurv train` does with the same options.

    \b
    glasscurv profile run.ckpt --data digits --plot profile.png
    glasscurv profile --data digits --layers 64,64 --epochs 5
    glasscurv profile --data digits --activation tanh --epochs 5

    The exponent p tells what bends the loss: half the second difference of the gradient grows like length^p in the mean
    square. 1 is glass (the gradient jumps at random boundaries), 4 a smooth loss, 3 a gradient with kinks, as in the
    output layer of a network of rectified linear units. It is fitted from a fourth of the length to four times it.

    Densities are gradient² per length, Hessians gradient per length: means over the parameters of a layer. The share is
    that of the loss's bend which no Hessian explains, for movements of the given length.
    """
    check_figure(plot)
    _validation.number(length, "--length", 0, open_low=True)
    if checkpoint is not None:
        _check_checkpoint(context, checkpoint)
        network, theta, split = inputs.load_network(checkpoint, inputs.load_data(data, labels, validation))
    else:
        chosen = Training(
            data, labels, validation, layers, activation.value, None if loss is None else loss.value, dtype.value,
            optimizer, lr, tuple(option or ()), batch_size, seed, epochs=epochs,
        )  # fmt: skip
        with saves_nothing():
            network, theta, split = chosen.start() if epochs == 0 else _trained(chosen, not quiet)
    X, y = inputs.some_rows(split, rows, seed)
    inputs.check_memory(network, theta.dtype, len(X))

    def gradient(point: FloatArray) -> FloatArray:
        return network.value_and_grad(point, X, y)[1]

    # What overflows becomes a nan, which is reported as the error.
    with saves_nothing(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        random = gc.comparison.trials.streams(seed).directions
        found = gc.curvature_profile(gradient, theta, network.groups, length, samples, rng=random)
        found = gc.curvature.profile.above_rounding(found, gradient(theta), network.groups)
    if as_json:
        print_json(_record(found, network, len(X)))
    else:
        _print(found, network, len(X))
    if plot is not None:
        from glasscurv.plotting import plot_profile

        save_figure(plot_profile(found), plot)


def _check_checkpoint(context: typer.Context, path: Path) -> None:
    check_readable(path, "the checkpoint")
    if given := options.given(context, but=NOT_OF_TRAINING):
        raise ValueError(f"{given[0]} is for training, and the checkpoint holds a trained network")


def _trained(chosen: Training, progress: bool) -> tuple[gc.MLP, Any, Split]:
    run = chosen.run(progress)
    if run.history.status == "interrupted":
        raise KeyboardInterrupt
    return run.network, run.optimizer.theta, run.split


def _record(found: gc.CurvatureProfile, network: gc.MLP, rows: int) -> dict[str, Any]:
    measures = {field.name: getattr(found, field.name) for field in fields(found)}
    names = measures.pop("groups")
    common = {name: measures.pop(name) for name in ("length", "evaluations")}
    table = [
        {"layer": name, **{measure: plain(values[k]) for measure, values in measures.items()}}
        for k, name in enumerate(names)
    ]
    return {
        "layers": list(network.layers),
        "activation": network.activation.name,
        "rows": rows,
        **common,
        "table": table,
    }


def _print(found: gc.CurvatureProfile, network: gc.MLP, rows: int) -> None:
    wording = gc.curvature.profile
    widths = "-".join(map(str, network.layers))
    print_text(
        f"{widths} {network.activation.name} network on {count(rows, 'row')}, movements of length {found.length:g}, "
        f"{count(found.evaluations, 'gradient')}"
    )
    table = make_table(wording.COLUMNS)
    for k, group in enumerate(found.groups):
        measures = (found.glass_density, found.hessian_abs, found.hessian_rms, found.hessian_diagonal)
        table.add_row(
            group,
            str(found.parameters[k]),
            *(number(values[k], digits=3) for values in measures),
            _exponent(found, k),
            number(100 * found.glass_share[k], digits=3),
        )
    print_table(table)
    print_text(wording.UNITS)
    print("Where is it glass?")
    for k, (group, verdict) in enumerate(zip(found.groups, found.verdict, strict=True)):
        print_text(f"  {group}: {verdict}, exponent {_exponent(found, k)}: {wording.MEANINGS[verdict]}")


def _exponent(found: gc.CurvatureProfile, k: int) -> str:
    exponent, error = found.exponent[k], found.exponent_error[k]
    return "–" if np.isnan(exponent) else f"{exponent:.2f} ± {error:.2f}"
