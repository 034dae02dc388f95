"""The table on the terminal and the record as JSON."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text
from threadpoolctl import threadpool_info

from benchmarks.measure import Measurement
from benchmarks.row import Row, Scale
from glasscurv._threads import available_cores, num_threads

VERDICTS = {True: Text("yes", "green"), False: Text("NO", "bold red"), None: Text("—")}
PACKAGES = ("glasscurv", "numpy", "scipy", "numba", "torch")


@dataclass(frozen=True)
class Result:
    """A row and what came of it: a measurement, or the reason why there is none.

    Attributes
    ----------
    row : Row
    found : Measurement or None
    reason : str
        In plain words; empty if there is a measurement.
    """

    row: Row
    found: Measurement | None
    reason: str = ""


def table(results: list[Result], scale: Scale, facts: dict[str, Any]) -> Table:
    """Return the table; it marks what misses its target."""
    listed = Table(caption=f"{conditions(facts)}\n{explained(scale)}", box=SIMPLE, caption_justify="left")
    listed.add_column("what is measured / against what", overflow="fold")
    for heading in ("target", "measured", "spread"):
        listed.add_column(heading, justify="right", no_wrap=True)
    listed.add_column("met", no_wrap=True)
    for result in results:
        row, found = result.row, result.found
        lines = (f"\n{described(row)}", f"\n{details(result)}" if details(result) else "")
        what = Text.assemble((row.name, "bold"), lines[0], (lines[1], "dim"))
        if found is None:
            listed.add_row(what, wanted(row), "—", "—", "—")
            continue
        verdict = VERDICTS[row.met(found.value)]
        between = f"{shown(found.low)} … {shown(found.high)}"
        listed.add_row(what, wanted(row), shown(found.value, row.unit), between, verdict)
    return listed


def listing(rows: list[Row]) -> Table:
    """Return names, what is measured, and targets."""
    listed = Table("name", "what is measured / against what", "target", box=SIMPLE)
    listed.columns[0].no_wrap = listed.columns[2].no_wrap = True
    for row in rows:
        listed.add_row(row.name, described(row), wanted(row))
    return listed


def record(results: list[Result], scale: Scale, facts: dict[str, Any]) -> dict[str, Any]:
    """Return everything as JSON can hold it."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": facts,
        "scale": asdict(scale),
        "rows": [
            {
                "name": result.row.name,
                "subject": result.row.subject,
                "reference": result.row.reference,
                "unit": result.row.unit,
                "target": result.row.target,
                "at_least": result.row.at_least,
                "met": None if result.found is None else result.row.met(result.found.value),
                "reason": result.reason,
            }
            | ({} if result.found is None else asdict(result.found))
            for result in results
        ],
    }


def machine() -> dict[str, Any]:
    """Return what a reader of the numbers should know of the machine."""
    facts = ("internal_api", "version", "threading_layer", "architecture", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": available_cores(),
        "threads": num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "blas": [{fact: library.get(fact) for fact in facts} for library in libraries],
    }


def conditions(facts: dict[str, Any]) -> str:
    """Return threads, cores and what else kept them busy in one line."""
    load = "" if facts["load"] is None else f" with a load of {facts['load']:.1f} before"
    names = " ".join(f"{library['internal_api']} {library['version']}" for library in facts["blas"])
    return f"{facts['threads']} threads on {facts['cores']} cores{load}; {facts['processor']}; {names}"


def processor() -> str:
    """Return the name of the processor, or its kind where the system does not say."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def explained(scale: Scale) -> str:
    """Return how to read the table."""
    return (
        f"n = {scale.parameters:.0e} where not stated; medians of {scale.repetitions} repetitions, the spread from the "
        "least to the greatest; the unit n is a vector of n numbers"
    )


def described(row: Row) -> str:
    """Return what is measured, and against what."""
    return f"{row.subject} / {row.reference}" if row.reference else row.subject


def details(result: Result) -> str:
    """Return the times of the sides and the note, or why there is no measurement."""
    if result.found is None:
        return f"not measured: {result.reason}"
    times = [f"{name} {duration(seconds)}" for name, seconds in result.found.seconds.items()]
    return ", ".join([*times, *filter(None, [result.found.note])])


def wanted(row: Row) -> str:
    """Return the target with its direction and unit."""
    if row.target is None:
        return "—"
    return f"{'≥' if row.at_least else '≤'} {shown(row.target, row.unit)}"


def shown(value: float, unit: str = "") -> str:
    """Return a value with three digits and its unit."""
    number = f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}".replace("e+0", "e")
    return f"{number} {unit}".strip()


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
