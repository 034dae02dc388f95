"""The report: tables on the terminal, and a folder with figures, results.json and index.html."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paper_checks.outcome import Finding
from paper_checks.registry import SECTIONS
from paper_checks.runner import Record

COLUMNS = ("comparison", "prediction", "measurement", "notices", "uses", "verdict")


NUMBERS = ("prediction", "measurement", "interval", "tolerance", "noticeable", "used")


# On the terminal


def claims(records: Sequence[Record]) -> Table:
    """Return one row a claim, with the numbers of its first finding, and the findings that fail below it."""
    table = _table("claim", "prediction", "measurement", "verdict")
    for title, members in _by_section(records):
        table.add_section()
        table.add_row(Text(title, "bold"))
        for record in members:
            first = _numbers(record.outcome.findings[0])[:2] if record.outcome.findings else ("", "")
            table.add_row(Text(record.claim), *first, _verdict(record.holds))
            for finding in record.outcome.findings:
                if not finding.holds:
                    table.add_row(Text(f"  {finding.quantity}"), *_numbers(finding)[:2], _verdict(False))
    return table


def findings(records: Sequence[Record]) -> Group:
    """Return one table a check, with all its findings."""
    tables = []
    for record in records:
        table = _table(*COLUMNS)
        table.title = Text(record.claim, "bold")
        for finding in record.outcome.findings:
            numbers = (*_numbers(finding), _percent(finding.used))
            table.add_row(Text(finding.quantity), *numbers, _verdict(finding.holds))
        tables.append(table)
    return Group(*tables)


def summary(records: Sequence[Record]) -> str:
    """Return one sentence on how many claims hold."""
    failed = [record.name for record in records if not record.holds]
    count = sum(len(record.outcome.findings) for record in records)
    text = f"{len(records) - len(failed)} of {len(records)} claims hold ({count} comparisons)."
    return text + (f" Failing: {', '.join(failed)}." if failed else "")


def standing(records: Sequence[Record]) -> str:
    """Return one sentence on what the checks that hold say of the theory."""
    counts = Counter(record.standing for record in records if record.holds)
    words = ("confirmed", "limited", "corrected", "new")
    texts = ("confirmed", "confirmed with limits", "corrected", "new here")
    parts = [f"{counts[word]} {text}" for word, text in zip(words, texts, strict=True) if counts[word]]
    return f"Claims of the theory: {', '.join(parts)}." if parts else ""


def _table(*columns: str) -> Table:
    table = Table(box=None, title_justify="left", header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, ratio=1 if column == columns[0] else None, no_wrap=column == "verdict")
    return table


def _verdict(holds: bool) -> Text:
    return Text("holds", "green") if holds else Text("FAILS", "bold red")


# In the folder


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
    scores = _standard_scores(records)
    results = {
        "version": version("glasscurv"),
        "seed": seed,
        "form": "full" if full else "quick",
        "summary": summary(records),
        "deviations": {"count": len(scores), "standard": float(np.sqrt(np.mean(scores**2))) if len(scores) else None},
        "checks": [_as_json(record) for record in records],
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    environment = Environment(loader=PackageLoader("paper_checks", "."), autoescape=True, trim_blocks=True)
    for function in (_numbers, _percent, _worst, markup, _limited):
        environment.filters[function.__name__.lstrip("_")] = function
    page = environment.get_template("report.html").render(
        results,
        standing=standing(records),
        sections=list(_by_section(records)),
        broken=[record for record in records if not record.holds],
        columns=COLUMNS,
        paragraphs=paragraphs,
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _as_json(record: Record) -> dict[str, object]:
    return {
        "name": record.name,
        "claim": record.claim,
        "source": record.source,
        "standing": record.standing,
        **{label.lower(): text for label, text in paragraphs(record.text)},
        "holds": record.holds,
        "error": record.error,
        "seconds": round(record.seconds, 2),
        "findings": [
            {
                "quantity": finding.quantity,
                "relation": finding.relation,
                **{name: _finite(getattr(finding, name)) for name in NUMBERS},
                "samples": finding.samples or None,
                "shown": _numbers(finding),
                "holds": finding.holds,
            }
            for finding in record.outcome.findings
        ],
    }


def _finite(number: float) -> float | None:
    """Return the number, or None for those that JSON does not know."""
    return float(number) if np.isfinite(number) else None


# Both


def _by_section(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    for title, names in SECTIONS.items():
        if members := [record for record in records if record.name in names]:
            yield title, members


def paragraphs(text: str) -> list[tuple[str, str]]:
    """Split a docstring into its labelled paragraphs; paragraphs without a label belong to the one before."""
    labels = ("Claim", "Source", "Prediction", "Measurement", "Tolerance", "Limits")
    found: list[tuple[str, str]] = []
    for paragraph in text.strip().split("\n\n")[1:]:
        words = " ".join(paragraph.split())
        label, _, rest = words.partition(". ")
        if label in labels:
            found.append((label, rest))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {words}")
    return found


def markup(text: str) -> Markup:
    """Set `code`, *emphasis*, indices and exponents; names of several letters keep their underscores."""
    html = str(escape(text))
    html = re.sub(r"(?<=\S)_(\{([^}]*)\}|[^\W_](?!\w))", lambda found: f"<sub>{found[2] or found[1]}</sub>", html)
    html = re.sub(r"\^(\{([^}]*)\}|[\w½⁺⁻−]+)", lambda found: f"<sup>{found[2] or found[1]}</sup>", html)
    html = re.sub(r"(`+)([^`]+)\1", r"<code>\2</code>", html)
    return Markup(re.sub(r"\*(\w[^*]*\w)\*", r"<em>\1</em>", html))


def _limited(record: Record) -> bool:
    return any(label == "Limits" for label, _ in paragraphs(record.text))


def _numbers(finding: Finding) -> tuple[str, str, str]:
    """Prediction, measurement and the error that the comparison notices, as text."""
    relation = {"=": "", "<=": "≤ ", ">=": "≥ "}[finding.relation]
    tolerance = f" ± {finding.tolerance:.1g}" if finding.tolerance else ""
    interval = f" ± {finding.interval:.2g}" if finding.interval else ""
    blunt = "" if finding.sharp else " (too blunt)"
    # As many digits as the interval leaves meaningful, and enough to tell the measurement from the prediction.
    digits = 4 if finding.interval else 10 if abs(finding.measurement - 1) < 1e-4 else 4
    size = abs(finding.prediction) if finding.scale is None else finding.scale
    notices = "–" if finding.relation != "=" or size == 0 else f"{finding.noticeable / size:.1%}"
    prediction = f"{relation}{finding.prediction:.4g}{tolerance}"
    return prediction, f"{finding.measurement:.{digits}g}{interval}{blunt}", notices


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _worst(record: Record) -> float:
    return max((finding.used for finding in record.outcome.findings), default=0.0)


def _standard_scores(records: Sequence[Record]) -> np.ndarray:
    scores = [finding.standard_score for record in records for finding in record.outcome.findings]
    return np.array([score for score in scores if score is not None])
