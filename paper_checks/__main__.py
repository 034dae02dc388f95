"""Command line of the paper checks."""

from pathlib import Path
from typing import Annotated

import typer
from joblib import cpu_count
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from paper_checks.registry import CHECKS
from paper_checks.report import claims, findings, standing, summary, write_report
from paper_checks.runner import Record, run_checks


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Run this check alone; may be given several times.", metavar="NAME")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Eight times the samples: narrower intervals.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.", min=0)] = 0,
    workers: Annotated[
        int, typer.Option(help="Checks that run at the same time; the numbers do not depend on it.", min=1)
    ] = cpu_count(),
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for figures, results.json and index.html.", show_default="report, or report/only with --only"
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the checks and stop.")] = False,
) -> None:
    """Check the paper's claims numerically: predictions against independent measurements.

    Prints a line for every claim, or every comparison of the checks that are named with --only; the report holds all.
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
    folder = report or Path("report", "only" if only else "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise typer.BadParameter(f"{folder} is a file, not a folder", param_hint="--report") from error
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be made: {error.strerror}", param_hint="--report") from error
    chosen = {name: module for name, module in CHECKS.items() if not only or name in only}
    done: dict[str, Record] = {}
    columns = (TextColumn("{task.completed} of {task.total} checks"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        # The last sections hold the longest checks; they start first, so that none runs alone at the end.
        for record in run_checks(dict(reversed(chosen.items())), seed, full, workers):
            done[record.name] = record
            verdict = "holds" if record.holds else "FAILS"
            progress.console.print(f"{record.name}: {verdict} ({record.seconds:.1f} s)")
            if record.error is not None:
                progress.console.print(record.error.splitlines()[-1], style="red", markup=False)
            progress.advance(task)
    records = [done[name] for name in chosen]
    console.print(findings(records) if only else claims(records))
    page = write_report(records, folder, seed, full)
    console.print(f"{summary(records)} {standing(records)} Report with figures: {page}", soft_wrap=True)
    if not all(record.holds for record in records):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
