"""Command line of the paper checks."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from paper_checks.registry import CHECKS
from paper_checks.report import claim_table, summary, write_report
from paper_checks.runner import Record, run_checks


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Run this check alone; may be given several times.", metavar="NAME")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Eight times the samples: narrower intervals.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.", min=0)] = 0,
    report: Annotated[Path, typer.Option(help="Folder for figures, results.json and index.html.")] = Path("report"),
    list_: Annotated[bool, typer.Option("--list", help="Name the checks and stop.")] = False,
) -> None:
    """Check the paper's claims numerically: predictions against independent measurements.

    Exits with 0 only if every claim holds, with 1 if one fails, and with 2 on a mistake in the command.
    """
    console = Console()
    if list_:
        table = Table("name", "claim", "source")
        for name, module in CHECKS.items():
            table.add_row(name, module.CLAIM, module.SOURCE)
        console.print(table)
        return
    unknown = sorted(set(only or ()) - CHECKS.keys())
    if unknown:
        raise typer.BadParameter(f"no check is named {', '.join(unknown)}; --list names them", param_hint="--only")
    try:
        report.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{report} cannot be made: {error.strerror}", param_hint="--report") from error
    chosen = [(name, module) for name, module in CHECKS.items() if not only or name in only]
    records: list[Record] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))

        def announce(name: str, claim: str) -> None:
            progress.update(task, description=f"[{len(records) + 1}/{len(chosen)}] {name}: {claim}")

        for record in run_checks(chosen, seed, full, announce):
            records.append(record)
            verdict = "holds" if record.holds else "FAILS"
            progress.console.print(f"{record.name}: {verdict} ({record.seconds:.1f} s)")
            if record.error is not None:
                progress.console.print(record.error.splitlines()[-1], style="red", markup=False)
            progress.advance(task)
    console.print(claim_table(records))
    page = write_report(records, report, seed, full)
    console.print(f"{summary(records)} Report with figures: {page}", soft_wrap=True)
    if not all(record.holds for record in records):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
