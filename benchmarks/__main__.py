"""Command line of the benchmarks."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.measure import NotMeasured
from benchmarks.report import Result, listing, machine, record, shown, table
from benchmarks.row import QUICK, Row, Scale
from benchmarks.rows import ROWS


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Measure this row alone; may be given several times.", metavar="NAME")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller arrays and fewer repetitions: less sure.")] = False,
    json_file: Annotated[
        Path, typer.Option("--json", help="File for all numbers, versions and facts of the machine.", dir_okay=False)
    ] = Path("benchmark.json"),
    list_: Annotated[bool, typer.Option("--list", help="Name the rows and their targets, and stop.")] = False,
) -> None:
    """Measure how fast the library is: one table of ratios against the limits of the machine, or against PyTorch.

    Both sides of a ratio run alternately in one process, at least seven times; the table gives the median, the least
    and the greatest, the target, and whether it was met. Linear algebra and the library use as many threads as BLAS
    may: OMP_NUM_THREADS=1 limits both, and PyTorch too. Do nothing else on the machine meanwhile.

    Exits with 0 after measuring, whatever was met, and with 2 on a mistake in the command.
    """
    console = Console()
    chosen = select(only)
    if list_:
        console.print(listing(chosen))
        return
    if not json_file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {json_file.parent}", param_hint="--json")
    scale, facts = QUICK if quick else Scale(), machine()
    results: list[Result] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for row in chosen:
            progress.update(task, description=f"[{len(results) + 1}/{len(chosen)}] {row.name}: {row.subject}")
            results.append(measured(row, scale))
            found = results[-1].found
            value = "not measured" if found is None else shown(found.value, row.unit)
            progress.console.print(f"{row.name}: {value}", markup=False, highlight=False)
            progress.advance(task)
    console.print(table(results, scale, facts))
    json_file.write_text(json.dumps(record(results, scale, facts), indent=2) + "\n", encoding="utf-8")
    console.print(f"All numbers: {json_file}", soft_wrap=True)


def measured(row: Row, scale: Scale) -> Result:
    """Measure a row, or say why it cannot be measured here."""
    try:
        return Result(row, row.measure(scale))
    except NotMeasured as reason:
        return Result(row, None, str(reason))


def select(names: list[str] | None) -> list[Row]:
    """Return the rows of these names, in the order of the table, or all."""
    unknown = sorted(set(names or ()) - {row.name for row in ROWS})
    if unknown:
        raise typer.BadParameter(f"no row is named {', '.join(unknown)}; --list names them", param_hint="--only")
    return [row for row in ROWS if not names or row.name in names]


if __name__ == "__main__":
    typer.run(main)
