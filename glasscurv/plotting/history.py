"""Learning curves and the curvature on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glasscurv._typing import FloatArray
from glasscurv.plotting.style import (
    BLUE,
    DENSITY,
    EXPONENT,
    GREY,
    LINES,
    ORANGE,
    decades,
    draw_kinds,
    finite,
    line_style,
    tidy,
    within_percent,
)
from glasscurv.training import History, SnapshotHistory


def plot_history(history: History) -> Figure:
    """Draw learning curves and, where there are snapshots, the curvature of every layer on the way.

    Parameters
    ----------
    history : History
        What `glasscurv.train` returned, with at least one epoch.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which no window knows of.

    Raises
    ------
    TypeError
        Something else than a History.
    ValueError
        A history without any epoch.

    See Also
    --------
    glasscurv.train : Returns the history.
    plot_profile : Draws the curvature of one moment.
    plot_comparison : Draws several optimizers side by side.

    Examples
    --------
    >>> import glasscurv as gc
    >>> from glasscurv import plotting
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> optimizer = gc.SGD(net.initialize(rng=0), lr=0.1)
    >>> history = gc.train(net, optimizer, [[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], epochs=3, rng=0, progress=False)
    >>> figure = plotting.plot_history(history)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss']
    """
    if not isinstance(history, History):
        raise TypeError(f"history must be a History, got {type(history).__name__}")
    if not len(history.loss):
        raise ValueError("history must hold at least one epoch, got none")
    rows: list[Any] = [["loss"] if history.validation_accuracy is None else ["loss", "accuracy"]]
    snapshots = history.snapshots
    if snapshots is not None:
        rows = [2 * rows[0] if len(rows[0]) == 1 else rows[0], ["density", "exponent"]]
    figure = Figure(figsize=(5.4 * len(rows[0]), 3.7 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplot_mosaic(rows)
    for ax in axes.values():
        tidy(ax)
    _draw_losses(axes["loss"], history)
    if history.validation_accuracy is not None:
        _draw_accuracy(axes["accuracy"], history)
    if snapshots is not None:
        _draw_snapshots(axes["density"], snapshots, snapshots.glass_density, DENSITY)
        axes["density"].set_yscale("log", nonpositive="mask")
        _draw_snapshots(axes["exponent"], snapshots, snapshots.exponent, EXPONENT, snapshots.exponent_error)
        draw_kinds(axes["exponent"])
        figure.legend(handles=axes["density"].lines, loc="outside lower center", ncols=6, fontsize=12)
    return figure


def _draw_losses(ax: Axes, history: History) -> None:
    steps = np.arange(1, len(history.step_loss) + 1)
    curves: list[tuple[str, Any, FloatArray, dict[str, Any]]] = [
        ("training, each step", steps, history.step_loss, {"color": GREY, "lw": 0.8, "alpha": 0.45})
    ]
    few = "o" if len(history.loss) < 25 else ""
    line: dict[str, Any] = {"lw": 2.4, "ms": 6}
    curves.append(("training, mean of epoch", history.steps, history.loss, {"color": BLUE, "marker": few, **line}))
    if history.validation_loss is not None:
        style = {"color": ORANGE, "ls": LINES[1], "marker": few.replace("o", "s"), **line}
        curves.append(("validation", history.steps, history.validation_loss, style))
    for label, x, y, style in curves:
        ax.plot(x, y, label=label, **style)
    if history.validation_loss is not None and history.best_epoch is not None:
        best = history.best_epoch - 1
        point = (history.steps[best], history.validation_loss[best])
        ax.plot(*point, "*", color=ORANGE, mec="black", ms=15, label=f"least, epoch {best + 1}", zorder=4)
    values = np.concatenate([y for _, _, y, _ in curves])
    if values.min() > 0 and values.max() > 10 * values.min():
        ax.set_yscale("log")
        decades(ax)
    ax.set_ylabel("loss", fontsize=13)
    ax.legend(fontsize=11)
    _label_steps(ax, history)


def _draw_accuracy(ax: Axes, history: History) -> None:
    assert history.validation_accuracy is not None
    marker = "s" if len(history.loss) < 25 else ""
    ax.plot(history.steps, 100 * history.validation_accuracy, color=ORANGE, marker=marker, lw=2.4, ms=6)
    ax.set_ylabel("validation accuracy (%)", fontsize=13)
    within_percent(ax, "y")
    _label_steps(ax, history)


def _label_steps(ax: Axes, history: History) -> None:
    """Put steps below and gradient evaluations above."""
    ax.set_xlabel("step", fontsize=13)
    steps, evaluations = (np.concatenate([[0], values]) for values in (history.steps, history.evaluations))

    def to_evaluations(x: Any) -> Any:
        return _piecewise(x, steps, evaluations)

    def to_steps(x: Any) -> Any:
        return _piecewise(x, evaluations, steps)

    above = ax.secondary_xaxis("top", functions=(to_evaluations, to_steps))
    above.set_xlabel("gradient evaluations", fontsize=12)
    above.tick_params(labelsize=11)


def _piecewise(x: FloatArray, start: NDArray[Any], end: NDArray[Any]) -> FloatArray:
    """Straight lines through the points, continued on both sides: the margins of the axis need it."""
    k = np.clip(np.searchsorted(start, x, side="right") - 1, 0, len(start) - 2)
    slope = (end[k + 1] - end[k]) / (start[k + 1] - start[k])
    result: FloatArray = end[k] + slope * (x - start[k])
    return result


def _draw_snapshots(
    ax: Axes, snapshots: SnapshotHistory, values: FloatArray, label: str, errors: FloatArray | None = None
) -> None:
    for k, group in enumerate(snapshots.groups):
        style = line_style(k)
        if errors is None:
            ax.plot(snapshots.step, values[:, k], label=group, **style)
        else:
            bars: dict[str, Any] = {"capsize": 4, "elinewidth": 1.4}
            ax.errorbar(snapshots.step, values[:, k], finite(errors[:, k]), label=group, **bars, **style)
    ax.set_xlabel("step", fontsize=13)
    ax.set_ylabel(label, fontsize=13)
