"""What the figures share: colours, labels, axes."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK = COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#000000",
)
GREY = "#6E6E6E"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))

DENSITY = "glass density\n(gradient² / length)"
HESSIAN = "Hessian\n(gradient / length)"
EXPONENT = "exponent of the\nsecond difference"
PERCENT = 100
FIELDS = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy (%)",
    "evaluations": "gradient evaluations",
    "seconds": "seconds",
}


def tidy(ax: Axes) -> None:
    """Give an axis the ticks and the grid of all figures."""
    ax.tick_params(labelsize=12)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def draw_kinds(ax: Axes) -> None:
    """Draw the exponents of glass, of kinks and of a smooth loss as lines with names."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.4), max(high, 4.6))
    for value, name in ((1, "glass"), (3, "kinks"), (4, "smooth")):
        ax.axhline(value, color=GREY, ls=LINES[1], lw=1.6, zorder=1)
        ax.annotate(name, (1, value), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=12)
    ax.set_yticks([1, 2, 3, 4])


def decades(ax: Axes, which: Literal["x", "y"] = "y") -> None:
    """Show few numbers on a logarithmic axis, all in one way, whether it spans decades or less than one."""
    low, high = ax.get_ylim() if which == "y" else ax.get_xlim()
    axis = ax.yaxis if which == "y" else ax.xaxis
    if high < 5 * low:  # few round numbers of a logarithmic axis lie so close
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    elif high < 50 * low:
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.tick_params(which="minor", labelsize=11)
    number = plain_number if low >= 1e-3 and high <= 1e5 else power
    axis.set_major_formatter(lambda x, _: number(x))
    axis.set_minor_formatter((lambda x, _: number(x)) if 5 * low <= high < 50 * low else NullFormatter())


def plain_number(x: float) -> str:
    """Return 0.01 or 1000 as such."""
    return f"{x:.10g}"


def power(x: float) -> str:
    """Return a number as a power of ten with a factor where it is not 1."""
    if x <= 0:
        return ""
    exponent = math.floor(math.log10(x) + 1e-9)
    factor = f"{x / 10.0**exponent:.3g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else f"${factor}\\times 10^{{{exponent}}}$"


def finite(values: Any) -> Any:
    """Return 0 where there is no number: an error bar of no length."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0)


def line_style(k: int) -> dict[str, Any]:
    """Return colour, line and marker that no other of the first 21 has."""
    cycle = k // len(COLOURS)
    marker = MARKERS[(k + 3 * cycle) % len(MARKERS)]
    return {"color": COLOURS[k % len(COLOURS)], "ls": LINES[cycle % len(LINES)], "marker": marker, "ms": 6, "lw": 2}


def within_percent(ax: Axes, which: Literal["x", "y"]) -> None:
    """End an axis of percentages where they end, with half a point for the markers."""
    low, high = ax.get_ylim() if which == "y" else ax.get_xlim()
    (ax.set_ylim if which == "y" else ax.set_xlim)(max(low, -0.5), min(high, 100.5))
