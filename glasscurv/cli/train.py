"""``glasscurv train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glasscurv.cli import INTERRUPTED, options
from glasscurv.cli.output import check_figure, check_writable, count, note, print_json, save_figure
from glasscurv.cli.training import Training


def train(
    data: options.Data = "digits",
    labels: options.Labels = None,
    validation: options.Validation = None,
    layers: options.Layers = "64,64",
    activation: options.ActivationOption = options.Activation.relu,
    loss: options.LossOption = None,
    dtype: options.Dtype = options.Precision.float64,
    optimizer: options.OptimizerName = "alice",
    lr: options.LearningRate = None,
    option: options.Options = None,
    schedule: Annotated[
        str,
        typer.Option(
            help="Learning rate over the steps: constant; step:EVERY[,FACTOR], by default a tenth of it each time; "
            "cosine[:FINAL], falling to FINAL (0) at the end; warmup:STEPS, growing from 0, then constant or, as in "
            "warmup:100+cosine, along another.",
            rich_help_panel=options.OPTIMIZER,
        ),
    ] = "constant",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data; 20 if neither is given.", min=1)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps (minibatches) instead of epochs.", min=1)] = None,
    batch_size: options.BatchSize = 100,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a smaller validation loss.", min=1)
    ] = None,
    seed: options.Seed = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Save the run in this file. One that exists is refused, unless --resume is given."),
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; by default one an epoch.", min=1)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from --checkpoint if it exists, as if nothing had happened.")
    ] = False,
    snapshots: Annotated[
        int | None,
        typer.Option(help="Measure glass and Hessian of every layer each so many steps.", metavar="STEPS", min=1),
    ] = None,
    plot: options.Plot = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Write the learning curves: .csv (a row an epoch) or .json (everything).",
            metavar="FILE",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    r"""Train a network on minibatches and say how good it became.

    Alice, the default optimizer, measures the glass of the loss as it goes and takes steps that know about it. A step
    of it costs one or three gradients; the number of gradient evaluations says what a run cost.

    \b
    glasscurv train --data digits --epochs 20 --plot curves.png
    glasscurv train --data spirals --optimizer sgd --lr 0.1 --option momentum=0.9 --epochs 50
    glasscurv train --data digits --option hessian=rms --snapshots 50 --history curves.csv

    A run with --checkpoint can be interrupted: the same command with --resume goes on, to the same result, bit for bit.

    \b
    glasscurv train --data digits --epochs 100 --checkpoint run.ckpt
    glasscurv train --data digits --epochs 100 --checkpoint run.ckpt --resume

    Losses are means over rows: nats for cross_entropy, squared target units for mse. The loss of an epoch is the mean
    over its steps, at the points where the optimizer took its gradients.
    """
    check_figure(plot)
    check_writable(history, "--history", (".csv", ".json"))
    _check_checkpoint(checkpoint, checkpoint_every, resume)
    if epochs is not None and steps is not None:
        raise ValueError("--epochs and --steps exclude each other")
    chosen = Training(
        data, labels, validation, layers, activation.value, None if loss is None else loss.value, dtype.value,
        optimizer, lr, tuple(option or ()), batch_size, seed, schedule, steps, epochs, patience, snapshots,
    )  # fmt: skip
    run = chosen.run(not quiet, checkpoint=checkpoint, checkpoint_every=checkpoint_every)
    found = run.history
    if as_json:
        print_json(run.summary() | {"checkpoint": None if checkpoint is None else str(checkpoint)})
    else:
        run.print_summary()
    run.note_rest()
    if history is not None:
        (found.to_csv if history.suffix.lower() == ".csv" else found.to_json)(history)
        note(f"history: {history}")
    if plot is not None and len(found.loss):
        from glasscurv.plotting import plot_history

        save_figure(plot_history(found), plot)
    if found.status == "interrupted":
        where = "nothing was saved: --checkpoint would have"
        if checkpoint is not None:
            where = f"checkpoint: {checkpoint}; the same command with --resume goes on"
        note(f"interrupted after {count(len(found.step_loss), 'step')}; {where}")
        raise typer.Exit(INTERRUPTED)


def _check_checkpoint(path: Path | None, every: int | None, resume: bool) -> None:
    if path is None:
        if every is not None or resume:
            raise ValueError(f"{'--resume' if resume else '--checkpoint-every'} needs --checkpoint FILE")
        return
    check_writable(path, "--checkpoint")
    if path.exists() and not resume:
        raise ValueError(f"checkpoint {path} exists: add --resume to go on from it, or name another file")
    if resume and not path.exists():
        note(f"no checkpoint {path} yet: starting anew")
