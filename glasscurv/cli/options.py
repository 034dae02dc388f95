"""Options that several commands share, with their help."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def given(context: typer.Context, but: Collection[str] = ()) -> list[str]:
    """Return the options that the command line gave, as they are written, but for some."""
    sources = {name: context.get_parameter_source(name) for name in context.params if name not in but}
    names = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    written = {each.name: each.opts[0] for each in context.command.params}
    return [written[name] for name in names]


class Activation(StrEnum):
    """Activations of the hidden layers."""

    relu = "relu"
    leaky_relu = "leaky_relu"
    tanh = "tanh"
    silu = "silu"
    gelu = "gelu"


class LossName(StrEnum):
    """Losses."""

    cross_entropy = "cross_entropy"
    mse = "mse"


class Precision(StrEnum):
    """Floating-point types."""

    float32 = "float32"
    float64 = "float64"


DATA, NETWORK, OPTIMIZER, OUTPUT = "Data", "Network", "Optimizer", "Output"

Data = Annotated[
    str,
    typer.Option(
        help="digits (needs scikit-learn), spirals or regression; FILE.npz with arrays X and y; FILE.csv, whose last "
        "column is the target; or an IDX file of images, with --labels. Whole-number targets are labels.",
        metavar="NAME|FILE",
        rich_help_panel=DATA,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="IDX file of the labels, for IDX images.", metavar="FILE", rich_help_panel=DATA),
]
Validation = Annotated[
    float | None,
    typer.Option(
        help="Share of a file's rows set apart for validation, between 0 and 1; always the same rows. 0.2 if not "
        "given; digits, spirals and regression have validation data of their own.",
        rich_help_panel=DATA,
    ),
]
Layers = Annotated[
    str,
    typer.Option(
        help="Widths of the hidden layers, from input to output. The widths of input and output come from the data.",
        metavar="WIDTH,…",
        rich_help_panel=NETWORK,
    ),
]
ActivationOption = Annotated[
    Activation, typer.Option("--activation", help="Activation of the hidden layers.", rich_help_panel=NETWORK)
]
LossOption = Annotated[
    LossName | None,
    typer.Option(
        "--loss", help="By default cross_entropy for labels and mse for other targets.", rich_help_panel=NETWORK
    ),
]
Dtype = Annotated[Precision, typer.Option(help="Precision of all arithmetic.", rich_help_panel=NETWORK)]
OptimizerName = Annotated[
    str,
    typer.Option(help="alice, sgd, adam, adamw or adahessian.", metavar="NAME", rich_help_panel=OPTIMIZER),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        help="Learning rate; for alice the scale of its longest steps, and the length at which it measures curvature. "
        "By default a middling one for the optimizer.",
        rich_help_panel=OPTIMIZER,
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="Option of the optimizer, such as quick_steps=0, hessian=rms or betas=0.9/0.99; may be repeated. A name "
        "that does not exist lists those that do.",
        metavar="NAME=VALUE",
        rich_help_panel=OPTIMIZER,
    ),
]
BatchSize = Annotated[int, typer.Option(help="Rows per step.", min=1, rich_help_panel=OPTIMIZER)]
Seed = Annotated[
    int,
    typer.Option(
        help="Seed of initial parameters, the optimizer's random directions and the shuffling, each with a stream of "
        "its own. The same seed gives the same result, bit for bit.",
        min=0,
    ),
]
Rows = Annotated[
    int | None,
    typer.Option(help="Measure the loss on so many training rows, drawn with the seed; by default on all.", min=1),
]
Plot = Annotated[
    Path | None,
    typer.Option(help="Draw the figure into this .png, .svg or .pdf.", metavar="FILE", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object instead of text.", rich_help_panel=OUTPUT),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.", rich_help_panel=OUTPUT)]
