"""What the commands print and write. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from glasscurv._json import plain
from glasscurv.cli import INTERRUPTED, started

FIGURES = (".png", ".svg", ".pdf")


def note(text: str) -> None:
    """Tell the user something that is no result."""
    print(text, file=sys.stderr)


@contextmanager
def saves_nothing() -> Iterator[None]:
    """Say after Ctrl-C that the work is lost, and end with its exit status."""
    started()
    try:
        yield
    except KeyboardInterrupt:
        note("interrupted: nothing was saved")
        raise typer.Exit(INTERRUPTED) from None


def count(number: int, thing: str) -> str:
    """Return so many things, in the plural unless there is one."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def print_json(record: Mapping[str, Any]) -> None:
    """Print one JSON object; what is nan or infinite becomes null."""
    print(json.dumps(plain(record), allow_nan=False, indent=2))


def make_table(columns: Mapping[str, str]) -> Table:
    """Return an empty table with titles of columns, the first of texts, which may wrap, and the others of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for k, heading in enumerate(columns.values()):
        table.add_column(heading, justify="right" if k else "left", overflow="fold", no_wrap=bool(k))
    return table


def fits(table: Table) -> bool:
    """Tell whether the terminal is wide enough for a table."""
    console = _console()
    return console.measure(table, options=console.options.update_width(10**4)).maximum <= console.width


def print_table(table: Table) -> None:
    """Print a table, as wide as it needs to be where the output is no terminal."""
    console = _console()
    with console.capture() as captured:
        console.print(table)
    lines = "\n".join(line.rstrip() for line in captured.get().splitlines())
    print("\n" + lines.strip("\n") + "\n")


def print_text(text: str) -> None:
    """Print a paragraph, its lines as long as the terminal allows."""
    console = _console()
    print(
        text if not console.is_terminal else fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    )


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = 200
    return console


LARGEST_PLAIN, SMALLEST_PLAIN = 1e6, 1e-4
"""Numbers in between are written without an exponent."""


def number(value: float, interval: float = math.nan, digits: int = 4) -> str:
    """Return a number as text; with its interval, where there is one, to the same decimal; a dash for nan."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return str(value)
    # No interval says nothing, nor does that of equal runs, whose numbers differ by rounding at most.
    if not 1e-9 * abs(value) < interval < math.inf:
        return f"{float(f'{value:.{digits}g}') + 0.0:.10g}"
    size = max(abs(value), interval)
    exponent = 0 if SMALLEST_PLAIN <= size < LARGEST_PLAIN else math.floor(math.log10(size))
    scaled, half = value / 10.0**exponent, interval / 10.0**exponent
    # Two digits of the interval; rounding it first, because 0.0996 has two digits as 0.10.
    decimals = max(1 - math.floor(math.log10(float(f"{half:.1e}"))), 0)
    text = f"{round(scaled, decimals) + 0.0:.{decimals}f} ± {half:.{decimals}f}"
    return f"({text})e{exponent:+03d}" if exponent else text


def check_writable(path: Path | None, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that could not be written in the end, before anything is computed."""
    if path is None:
        return
    if not path.name:
        raise ValueError(f"{option} must name a file, got {str(path)!r}")
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{option} must end in {', '.join(suffixes)}, got {path}")
    try:
        if not path.parent.is_dir():
            raise ValueError(f"{option}: there is no folder {path.parent}")
        if path.is_dir():
            raise ValueError(f"{option} must be a file, and {path} is a folder")
        target = Path(os.path.realpath(path))  # opening a link that leads nowhere makes what it leads to
        existed = target.exists()
        # Rights do not tell: a file system may be read-only, a name too long.
        with open(target, "ab"):
            pass
        if not existed:
            target.unlink()
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be written: {error.strerror}") from error


def check_readable(path: Path, what: str) -> None:
    """Refuse a file that is none."""
    if path.is_dir():
        raise ValueError(f"{what} must be a file, and {path} is a folder")
    if not path.exists():
        raise ValueError(f"{what}: there is no file {path}")


def check_figure(path: Path | None) -> None:
    """Refuse a figure that could not be drawn, before anything is computed."""
    check_writable(path, "--plot", FIGURES)
    if path is not None and find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install 'glasscurv[plot]'")


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure and say so."""
    figure.savefig(path, dpi=150)
    note(f"figure: {path}")
