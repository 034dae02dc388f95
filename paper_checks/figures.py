"""Style of the figures: colour-blind safe, legible at half size, no global state."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"


def axes(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Return a figure with one labelled pair of axes."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.add_subplot()
    _label(ax, title, xlabel, ylabel)
    return figure, ax


def panels(
    titles: Sequence[str], xlabels: Sequence[str], ylabels: Sequence[str], columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with labelled pairs of axes side by side, or in rows of so many columns."""
    columns = columns or len(titles)
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(1.2 + 4.2 * columns, 4.2 * rows), layout="constrained")
    every = [figure.add_subplot(rows, columns, k + 1) for k in range(len(titles))]
    for ax, title, xlabel, ylabel in zip(every, titles, xlabels, ylabels, strict=True):
        _label(ax, title, xlabel, ylabel)
    return figure, every


def note(ax: Axes, text: str = "bars: five standard errors") -> None:
    """Write small grey text under the label of the x axis, where it covers no data."""
    ax.annotate(
        text,
        (1, 0),
        xycoords=("axes fraction", ax.xaxis.label),
        xytext=(0, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
        color=GREY,
    )


def _label(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    ax.set_title(title, fontsize=13)
    ax.set_xlabel(xlabel, fontsize=12)
    ax.set_ylabel(ylabel, fontsize=12)
    ax.tick_params(labelsize=11)
    ax.grid(alpha=0.25)
