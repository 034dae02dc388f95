"""Print the tables of docs/study.md from what docs/study.sh saved: python docs/study_tables.py FOLDER."""

import math
import sys
from pathlib import Path

from glasscurv.comparison import Comparison

COLUMNS = {
    "steps": "steps to target",
    "evaluations": "gradients to target",
    "seconds": "seconds to target",
    "validation_loss": "final validation loss",
}


def cell(row, name):
    """A mean with its interval."""
    value, interval = row[name], row[f"{name}_interval"]
    if math.isnan(value):
        return "–"
    digits = 3 if name in ("seconds", "validation_loss") else 0
    return f"{value:.{digits}f} ± {interval:.{digits}f}" if not math.isnan(interval) else f"{value:.{digits}f}"


def table(comparison):
    """The rows as Markdown."""
    lines = [
        f"| method | learning rate | {' | '.join(COLUMNS.values())} | reached |",
        f"|---|---|{'---|' * len(COLUMNS)}---|",
    ]
    for row in comparison.rows():
        rate = "–" if math.isnan(row["lr"]) else f"{row['lr']:.3g}{' (edge)' if row['at_edge'] else ''}"
        cells = " | ".join(cell(row, name) for name in COLUMNS)
        lines.append(f"| {row['method']} | {rate} | {cells} | {row['reached']} of {row['seeds']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for task in ("digits", "spirals", "regression"):
        print(f"{task}\n\n{table(Comparison.from_json(Path(sys.argv[1]) / f'{task}.json'))}\n")
