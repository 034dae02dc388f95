"""Command line: ``python -m benchmarks [--only NAME] [--quick] [--json FILE] [--list]``."""

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Comparison
from benchmarks.memory import LIMIT, Peak, estimate_peak
from benchmarks.rows import QUICK, ROWS, Row, Scale

PACKAGES = ("glasscurv", "numpy", "scipy", "numba")


def main(
    only: Annotated[list[str] | None, typer.Option(help="Name of a row; may be given more than once.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter arrays and fewer repetitions.")] = False,
    json_file: Annotated[Path, typer.Option("--json", help="Where to write the results.")] = Path("benchmark.json"),
    list_rows: Annotated[bool, typer.Option("--list", help="List the rows and stop.")] = False,
) -> None:
    """Measure ratios of running times, 1 is the reference and less is faster, and the memory of an estimate."""
    rows = _selected(only)
    if list_rows:
        for row in rows:
            typer.echo(f"{row.name}: {row.subject}, against {row.reference}")
        if not only or MEMORY in only:
            typer.echo(f"{MEMORY}: peak memory of estimate_curvature, in vectors of the parameter's size")
        return
    scale = QUICK if quick else Scale()
    console = Console()
    results: list[tuple[Row, Comparison]] = []
    for row in rows:
        with console.status(row.name):
            results.append((row, row.measure(scale)))
    if results:
        console.print(_table(results, scale))
    peak = None
    if not only or MEMORY in only:
        with console.status(MEMORY):
            peak = estimate_peak(scale.parameters)
        console.print(
            f"[bold]{MEMORY}[/bold]: estimate_curvature, {peak.samples} samples of {peak.parameters:.0e} parameters, "
            f"takes {peak.vectors:.4f} vectors at its peak, beyond the model's own (limit {LIMIT:g} and some kilobytes)"
        )
    json_file.write_text(json.dumps(_record(results, peak, scale), indent=2) + "\n", encoding="utf-8")


MEMORY = "estimate-memory"


def _selected(names: list[str] | None) -> list[Row]:
    if not names:
        return list(ROWS)
    all_names = [*(row.name for row in ROWS), MEMORY]
    unknown = set(names) - set(all_names)
    if unknown:
        known = ", ".join(all_names)
        raise typer.BadParameter(f"no row {', '.join(sorted(unknown))}; the rows are {known}", param_hint="--only")
    return [row for row in ROWS if row.name in names]


def _table(results: list[tuple[Row, Comparison]], scale: Scale) -> Table:
    runs = f"{scale.repetitions} repetitions: median, least and greatest ratio"
    caption = f"n = {scale.parameters:.0e} where not stated; {runs}"
    table = Table(caption=caption, box=SIMPLE)
    table.add_column("time of … / in units of …")
    for heading in ("ratio", "spread", "time", "unit"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, found in results:
        table.add_row(
            f"[bold]{row.name}[/bold]\n{row.subject} / {row.reference}",
            f"{found.ratio:.2f}",
            f"{found.low:.2f}–{found.high:.2f}",
            f"{1e3 * found.subject_seconds:.1f} ms",
            f"{1e3 * found.reference_seconds:.1f} ms",
        )
    return table


def _record(results: list[tuple[Row, Comparison]], peak: Peak | None, scale: Scale) -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        "scale": asdict(scale),
        "rows": [
            {"name": row.name, "subject": row.subject, "reference": row.reference} | asdict(found)
            for row, found in results
        ],
        "memory": None if peak is None else asdict(peak),
    }


if __name__ == "__main__":
    typer.run(main)
