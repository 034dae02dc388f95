"""The commands together, and what a mistake looks like: one line, exit status 2, no traceback."""

from __future__ import annotations

import inspect
import platform
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated

import typer

from glasscurv import __version__
from glasscurv.cli import INTERRUPTED
from glasscurv.cli.compare import compare
from glasscurv.cli.compress import compress
from glasscurv.cli.output import note, print_json
from glasscurv.cli.profile import profile
from glasscurv.cli.train import train

# The base of Click's usage errors. Newer Typer carries Click within itself, so the class is taken from there.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

MISTAKE = 2

KEPT = r"\b"
"""Click's mark of a paragraph whose lines are not to be wrapped, as it is written in a raw docstring."""

app = typer.Typer(
    name="glasscurv",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _unwrapped(command: Callable[..., None]) -> str:
    r"""Return a docstring whose paragraphs are lines for the terminal to wrap; those that begin with \b stay."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(
        each.replace(KEPT, "\b", 1) if each.startswith(KEPT) else " ".join(each.splitlines()) for each in paragraphs
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


def glasscurv(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the versions and stop.")
    ] = False,
) -> None:
    r"""Curvature that the Hessian cannot see: measure it, train with it, make networks smaller.

    The gradient of a network of rectified linear units jumps wherever a unit crosses its kink. Together the jumps form
    a glass, and the expected loss bends like |δ|^1.5 for a movement δ. These commands measure it and train with it.

    \b
    glasscurv train --data digits --epochs 20 --checkpoint run.ckpt
    glasscurv profile run.ckpt --data digits --plot profile.png
    glasscurv compress run.ckpt small.ckpt --data digits --sparsity 0.8 --bits 4
    glasscurv compare --data digits --optimizer alice --optimizer adam --epochs 10

    Each command explains itself: glasscurv train --help.
    """


def version(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print the versions of the library, Python, NumPy and Numba: what a bug report should say."""
    versions = {"glasscurv": __version__, "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in ("numpy", "numba")}
    if as_json:
        print_json(versions)
    else:
        print(", ".join(f"{name} {number}" for name, number in versions.items()))


app.callback(help=_unwrapped(glasscurv))(glasscurv)
for command in (train, profile, compress, compare, version):
    app.command(help=_unwrapped(command))(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: note(f"warning: {message}")
            result = app(arguments, prog_name="glasscurv", standalone_mode=False)
    except UsageError as error:
        # Without a command there is nothing to say: the help is printed already.
        message = str(error.format_message()).replace("Value error, ", "")  # type: ignore[attr-defined]
        return _mistake(message) if message else MISTAKE
    except typer.Abort:  # what older versions of Click make of Ctrl-C; newer ones return 130
        return INTERRUPTED
    except OSError as error:
        plain = error.filename is not None and error.strerror is not None
        return _mistake(f"{error.filename}: {error.strerror}" if plain else str(error))
    except (ValueError, TypeError, ImportError) as error:
        return _mistake(str(error))
    return result if isinstance(result, int) else 0


def _mistake(message: str) -> int:
    """Say in one line what is wrong."""
    note("error: " + " ".join(message.split()))
    return MISTAKE
