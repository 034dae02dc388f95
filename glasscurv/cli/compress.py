"""``glasscurv compress``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import glasscurv as gc
from glasscurv import _validation
from glasscurv.cli import inputs, options
from glasscurv.cli.output import (
    check_figure,
    check_readable,
    check_writable,
    note,
    print_json,
    save_figure,
    saves_nothing,
)
from glasscurv.constants import MOST_BITS


class CriterionName(StrEnum):
    """Which weights are removed first."""

    curvature = "curvature"
    glass = "glass"
    hessian = "hessian"
    gradient = "gradient"
    magnitude = "magnitude"
    input_norm = "input-norm"


class Scope(StrEnum):
    """Where weights compete."""

    everywhere = "global"
    layer = "layer"


class Scheme(StrEnum):
    """Grids of weights."""

    symmetric = "symmetric"
    affine = "affine"


class Per(StrEnum):
    """Which weights share a grid."""

    layer = "layer"
    unit = "unit"


PRUNING, ROUNDING, TUNING = "Pruning", "Rounding", "Fine-tuning"

NEEDS = {
    "--sparsity": ("--scope", "--criterion", "--rounds", "--tune"),
    "--tune": ("--optimizer", "--lr", "--batch-size"),
    "--bits": ("--allocate", "--scheme", "--per"),
}


def compress(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="What `glasscurv train --checkpoint` saved. It is only read.")],
    output: Annotated[Path, typer.Argument(help="Where the smaller one goes. A file that exists is refused.")],
    data: options.Data = "digits",
    labels: options.Labels = None,
    validation: options.Validation = None,
    sparsity: Annotated[
        float | None,
        typer.Option(help="Share of the weights to remove, between 0 and 1; biases stay.", rich_help_panel=PRUNING),
    ] = None,
    scope: Annotated[
        Scope,
        typer.Option(
            help="Whether the sparsity is that of the network, so that the criterion decides what each layer loses, or "
            "that of every layer.",
            rich_help_panel=PRUNING,
        ),
    ] = Scope.everywhere,
    criterion: Annotated[
        CriterionName,
        typer.Option(
            help="What is removed first: the least ½|Hz|θ² (curvature), c√ρ|θ|^1.5 (glass), ½|h|θ² (hessian: Optimal "
            "Brain Damage), |gθ| (gradient), |θ| (magnitude) or |θ| times the norm of its input (input-norm). The "
            "first three are measured at the length of what is removed.",
            rich_help_panel=PRUNING,
        ),
    ] = CriterionName.curvature,
    rounds: Annotated[
        int,
        typer.Option(
            help="Rounds in which weights go, many first and ever fewer; the criterion is asked anew in each.",
            min=1,
            rich_help_panel=PRUNING,
        ),
    ] = 1,
    tune: Annotated[
        int | None,
        typer.Option(
            help="Train what is left for so many epochs after every round.",
            metavar="EPOCHS",
            min=1,
            rich_help_panel=PRUNING,
        ),
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(help="alice, sgd, adam, adamw or adahessian, for --tune.", metavar="NAME", rich_help_panel=TUNING),
    ] = "adam",
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate; by default a middling one for the optimizer.", rich_help_panel=TUNING),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Rows per step.", min=1, rich_help_panel=TUNING)] = 100,
    bits: Annotated[
        float | None,
        typer.Option(
            help=f"Bits of each weight that is left, 2 to {MOST_BITS}. A fraction such as 3.5 is an average: layers in "
            "which rounding does more harm get more.",
            rich_help_panel=ROUNDING,
        ),
    ] = None,
    allocate: Annotated[
        bool,
        typer.Option(
            "--allocate",
            help="Take a whole number of bits as an average too. An average costs 2 · samples gradients for every grid "
            "and each of seven widths or more: with --per unit, take fewer --samples and --rows.",
            rich_help_panel=ROUNDING,
        ),
    ] = False,
    scheme: Annotated[
        Scheme,
        typer.Option(help="Grids from −max|θ| to max|θ|, or from min θ to max θ.", rich_help_panel=ROUNDING),
    ] = Scheme.symmetric,
    per: Annotated[
        Per,
        typer.Option(
            help="One grid for every layer, or for every output unit. A grid takes some twenty bytes besides, which "
            "many small units have to earn.",
            rich_help_panel=ROUNDING,
        ),
    ] = Per.layer,
    samples: Annotated[
        int, typer.Option(help="Random directions for every curvature and every prediction.", min=1)
    ] = 16,
    rows: options.Rows = None,
    seed: Annotated[
        int, typer.Option(help="Seed of directions, rows and shuffling. The same seed gives the same result.", min=0)
    ] = 0,
    plot: options.Plot = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    r"""Make a trained network smaller, and compare what that was predicted to cost with what it did.

    Prunes with --sparsity, rounds weights to few bits with --bits, or both, pruning first.

    \b
    glasscurv compress run.ckpt small.ckpt --data digits --sparsity 0.8 --bits 4 --plot compress.png
    glasscurv compress run.ckpt tuned.ckpt --sparsity 0.9 --rounds 3 --tune 5
    glasscurv compress run.ckpt mixed.ckpt --bits 3.5
    glasscurv profile small.ckpt --data digits

    Many weights go at once, so the curvature that counts is that over movements as long as theirs, glass included; the
    Hessian at the point itself hardly sees what happens there.

    The table gives changes of the training loss when each layer by itself is compressed, and all together: nats for
    cross_entropy, squared target units for mse. Predictions take gradients along movements of the same sizes with
    random signs; the loss of the compressed network is no part of them, nor is fine-tuning: with --tune, pruning is
    that of the weights as they were before.
    """
    from glasscurv.cli.compressing import Compression, Compressor  # not for --help: it loads Numba

    _check(context, sparsity, bits)
    _check_files(checkpoint, output, plot)
    split = inputs.load_data(data, labels, validation)
    network, theta, split = inputs.load_network(checkpoint, split)
    within = inputs.some_rows(split, rows, seed)
    inputs.check_memory(network, theta.dtype, max(len(split.X), len(split.X_validation)))
    if tune is not None:  # what it refuses is refused before anything is measured
        inputs.make_optimizer(optimizer, theta, lr, (), np.random.default_rng(seed))
    chosen = Compression(
        sparsity, "group" if scope is Scope.layer else "global", criterion.value, rounds, tune, optimizer, lr,
        batch_size, bits, allocate, scheme.value, per.value, samples, seed,
    )  # fmt: skip
    # What overflows becomes a nan, which is reported as the error.
    with saves_nothing(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = Compressor(chosen, network, split, within, sweep=plot is not None, progress=not quiet).run(theta)
        made_of = {"compression": asdict(chosen), "data": gc.training.data.digest(split.X, split.y)}
        gc.save_compressed(output, network, found.theta, found.quantized, made_of)
    if as_json:
        print_json(found.summary(checkpoint, output))
    else:
        found.print_summary(checkpoint, output)
    note(f"compressed: {output}")
    if plot is not None:
        from glasscurv.plotting import plot_compression

        save_figure(plot_compression(found.effects), plot)


def _check(context: typer.Context, sparsity: float | None, bits: float | None) -> None:
    """Refuse options that nothing would read, and amounts that are none."""
    given = options.given(context)
    if sparsity is None and bits is None:
        raise ValueError("nothing to do: give --sparsity, such as 0.8, or --bits, such as 4, or both")
    for needed, names in NEEDS.items():
        for name in names:
            if name in given and needed not in given:
                raise ValueError(f"{name} needs {needed}")
    if sparsity is not None:
        _validation.number(sparsity, "--sparsity", 0, 1, open_low=True, open_high=True)
    if bits is not None:
        _validation.number(bits, "--bits", 2, MOST_BITS)


def _check_files(checkpoint: Path, output: Path, plot: Path | None) -> None:
    """Refuse to write over anything but an old figure, and to read what is no file."""
    check_readable(checkpoint, "the checkpoint")
    if output.exists() and output.samefile(checkpoint):
        raise ValueError(f"the output {output} is the checkpoint, which is only read: name another file")
    if output.exists():
        raise ValueError(f"the output {output} exists: name another file")
    check_writable(output, "the output")
    if plot is not None and plot.absolute() in (output.absolute(), checkpoint.absolute()):
        raise ValueError(f"--plot {plot} is the output or the checkpoint: name another file")
    check_figure(plot)
