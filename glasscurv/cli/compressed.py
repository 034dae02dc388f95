"""What came of a compression, for people and for machines."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from glasscurv._typing import FloatArray
from glasscurv.cli.output import count, make_table, number, print_table, print_text
from glasscurv.compression import CompressionEffect, Quantized

TITLES = {
    "layer": "layer",
    "weights": "weights",
    "kept": "kept\n(%)",
    "bits": "bits",
    "pruning_predicted": "pruning\npredicted",
    "pruning_measured": "pruning\nmeasured",
    "rounding_predicted": "rounding\npredicted",
    "rounding_measured": "rounding\nmeasured",
}
STAGES = {
    "stage": "stage",
    "loss": "training\nloss",
    "accuracy": "training\naccuracy (%)",
    "validation_loss": "validation\nloss",
    "validation_accuracy": "validation\naccuracy (%)",
}
PERCENT = ("kept", "accuracy", "validation_accuracy")


@dataclass(frozen=True)
class Stage:
    """How good the network is at one stage of its compression."""

    stage: str
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class Compressed:
    """A network after its compression: parameters, which of them are kept, and what happened on the way."""

    network: gc.MLP
    rows: int
    theta: FloatArray
    mask: NDArray[np.bool_]
    quantized: Quantized | None
    effects: tuple[CompressionEffect, ...]
    stages: tuple[Stage, ...]

    def summary(self, before: Path, after: Path) -> dict[str, Any]:
        """Return the result for machines, with the sizes of the files before and after."""
        sizes = {"before": before.stat().st_size, "after": after.stat().st_size, "parameters": self.theta.nbytes}
        return {
            "layers": list(self.network.layers),
            "activation": self.network.activation.name,
            "loss_function": self.network.loss.name,
            "rows": self.rows,
            "table": self._table(),
            "stages": [asdict(stage) for stage in self.stages],
            "output": str(after),
            "bytes": sizes,
            "ratio": sizes["before"] / sizes["after"],
        }

    def _table(self) -> list[dict[str, Any]]:
        """Return a row for every layer, and one for all together."""
        parts = {name: np.arange(self.network.size)[part] for name, part in self.network.weight_groups().items()}
        table = [self._row(name, index) for name, index in parts.items()]
        table.append(self._row("together", np.concatenate(list(parts.values()))))
        for effect in self.effects:
            for k, row in enumerate(table):
                whole = k == len(table) - 1
                row[f"{effect.kind}_predicted"] = effect.predicted_total if whole else effect.predicted[k]
                row[f"{effect.kind}_measured"] = effect.measured_total if whole else effect.measured[k]
        return table

    def _row(self, name: str, index: NDArray[np.intp]) -> dict[str, Any]:
        row: dict[str, Any] = {"layer": name, "weights": index.size}
        if not self.mask.all():  # pruned now, or before
            row["kept"] = float(self.mask[index].mean())
        if self.quantized is not None:
            widths = np.zeros(self.network.size)
            for group, part in self.quantized.groups.items():
                widths[part] = self.quantized.bits[group]
            row["bits"] = float(widths[index[self.mask[index]]].mean())
        return row

    def print_summary(self, before: Path, after: Path) -> None:
        """Print the result for people."""
        found, network = self.summary(before, after), self.network
        unit = "nats" if network.loss.name == "cross_entropy" else "squared target units"
        widths = "-".join(map(str, network.layers))
        print_text(
            f"{widths} {network.activation.name} network, {count(self.rows, 'training row')}; "
            f"changes of the loss in {unit}, each layer by itself and all together"
        )
        _print_rows(TITLES, found["table"], digits=3)
        print_text(
            "Predictions take gradients along movements of the same sizes, and evaluate nothing that was compressed."
        )
        _print_rows(STAGES, found["stages"], digits=4)
        size = found["bytes"]
        whole, bare = (number(100 * size["after"] / size[name], digits=3) for name in ("before", "parameters"))
        print_text(
            f"{before}: {size['before']} bytes, {after}: {size['after']} bytes, {whole} % of that and {bare} % of the "
            f"{size['parameters']} bytes of the bare parameters in {self.theta.dtype}"
        )


def _print_rows(titles: dict[str, str], rows: list[dict[str, Any]], digits: int) -> None:
    """Print a table of those columns that have something to say."""
    titles = {name: title for name, title in titles.items() if not _empty(rows[0].get(name))}
    table = make_table(titles)
    for row in rows:
        table.add_row(*(_cell(name, row[name], digits) for name in titles))
    print_table(table)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(name: str, value: Any, digits: int) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{100 * value:.1f}" if name in PERCENT else number(value, digits=digits)
