"""The report: a table on the terminal, and a folder with figures, results.json and index.html."""

import html
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from paper_checks.outcome import Finding
from paper_checks.runner import Record

COLUMNS = ("claim", "prediction ± tolerance", "measurement ± interval", "notices", "verdict")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>glasscurv: paper checks</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; }}
.holds {{ color: #00694f; }} .fails {{ color: #b30000; font-weight: bold; }}
img {{ max-width: 100%; }} pre {{ overflow-x: auto; background: #f4f4f4; padding: .5rem; }}
@media (prefers-color-scheme: dark) {{
body {{ background: #14181e; color: #dde; }} a {{ color: #7ab8ff; }}
pre {{ background: #222; }} img {{ background: white; }}
.holds {{ color: #4fd1a5; }} .fails {{ color: #ff8080; }} }}
</style>
<h1>Paper checks</h1>
<p>{summary}</p>
<p>Each row compares a prediction of the theory with a measurement obtained another way. The interval is five standard
errors, so a true claim misses its interval once in 1.7 million times. A comparison notices a prediction that is off by
the share in the fourth column; one that notices less than it promises does not count. glasscurv {version}, seed
{seed}, {form} form.</p>
<div class="wide"><table><tr>{header}</tr>
{rows}
</table></div>
{sections}
</html>
"""


def claim_table(records: Sequence[Record]) -> Table:
    """Return the table for the terminal: one section a check, one row a finding."""
    table = Table(title="Paper checks", title_justify="left", pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column == "verdict")
    for record in records:
        table.add_row(f"[bold]{record.claim}[/]", "", "", "", _verdict(record.holds, "[green]{}[/]", "[bold red]{}[/]"))
        for finding in record.outcome.findings:
            verdict = _verdict(finding.holds, "{}", "[bold red]{}[/]")
            table.add_row(f"  {finding.quantity}", *_numbers(finding), verdict)
        table.add_section()
    return table


def summary(records: Sequence[Record]) -> str:
    """Return one sentence on how many claims hold."""
    failed = [record.name for record in records if not record.holds]
    findings = sum(len(record.outcome.findings) for record in records)
    seconds = sum(record.seconds for record in records)
    text = f"{len(records) - len(failed)} of {len(records)} claims hold ({findings} comparisons, {seconds:.0f} s)."
    return text + (f" Failing: {', '.join(failed)}." if failed else "")


def write_report(records: Sequence[Record], folder: Path, seed: int, full: bool) -> Path:
    """Write figures (PNG and SVG), results.json and index.html; return the path of the page.

    Parameters
    ----------
    records : sequence of Record
    folder : Path
        Made if missing; files of the same names are replaced.
    seed : int
    full : bool
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for record in records:
        if record.outcome.figure is not None:
            for suffix in ("png", "svg"):
                record.outcome.figure.savefig(folder / "figures" / f"{record.name}.{suffix}", dpi=150)
    form = "full" if full else "quick"
    results = {
        "version": version("glasscurv"),
        "seed": seed,
        "form": form,
        "checks": [_as_json(record) for record in records],
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = PAGE.format(
        summary=html.escape(summary(records)),
        version=html.escape(version("glasscurv")),
        seed=seed,
        form=form,
        header="".join(f"<th>{column}</th>" for column in COLUMNS),
        rows="\n".join(_html_rows(records)),
        sections="\n".join(_html_section(record) for record in records),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _verdict(holds: bool, good: str, bad: str) -> str:
    return good.format("holds") if holds else bad.format("FAILS")


def _numbers(finding: Finding) -> tuple[str, str, str]:
    """Prediction, measurement and the error that the comparison notices, as text."""
    relation = {"=": "", "<=": "≤ ", ">=": "≥ "}[finding.relation]
    tolerance = f" ± {finding.tolerance:.1g}" if finding.tolerance else ""
    interval = f" ± {finding.interval:.2g}" if finding.interval else ""
    blunt = "" if finding.sharp else " (too blunt)"
    # As many digits as the interval leaves meaningful, and enough to tell the measurement from the prediction.
    digits = 4 if finding.interval else 10 if abs(finding.measurement - 1) < 1e-4 else 4
    size = abs(finding.prediction) if finding.scale is None else finding.scale
    notices = "" if finding.relation != "=" or size == 0 else f"{finding.noticeable / size:.1%}"
    prediction = f"{relation}{finding.prediction:.4g}{tolerance}"
    return prediction, f"{finding.measurement:.{digits}g}{interval}{blunt}", notices


def _as_json(record: Record) -> dict[str, object]:
    findings = [
        {
            "quantity": finding.quantity,
            "relation": finding.relation,
            "prediction": finding.prediction,
            "measurement": finding.measurement,
            "interval": finding.interval,
            "tolerance": finding.tolerance,
            "noticeable": finding.noticeable,
            "holds": finding.holds,
        }
        for finding in record.outcome.findings
    ]
    return {
        "name": record.name,
        "claim": record.claim,
        "source": record.source,
        "holds": record.holds,
        "error": record.error,
        "seconds": round(record.seconds, 2),
        "findings": findings,
    }


def _html_rows(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        verdict = _verdict(record.holds, '<span class="holds">{}</span>', '<span class="fails">{}</span>')
        link = f'<a href="#{record.name}">{html.escape(record.claim)}</a>'
        yield f"<tr><th colspan=4>{link} <small>({html.escape(record.source)})</small></th><th>{verdict}</th></tr>"
        for finding in record.outcome.findings:
            verdict = _verdict(finding.holds, '<span class="holds">{}</span>', '<span class="fails">{}</span>')
            cells = "".join(f"<td>{html.escape(text)}</td>" for text in (finding.quantity, *_numbers(finding)))
            yield f"<tr>{cells}<td>{verdict}</td></tr>"


def _html_section(record: Record) -> str:
    image = f'<img src="figures/{record.name}.png" alt="{html.escape(record.claim)}">' if record.outcome.figure else ""
    error = f"<pre>{html.escape(record.error)}</pre>" if record.error else ""
    return f'<h2 id="{record.name}">{html.escape(record.claim)}</h2>\n{image}{error}'
