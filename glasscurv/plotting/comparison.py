"""Optimizers side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glasscurv._typing import FloatArray
from glasscurv.comparison import Comparison, MethodResult
from glasscurv.comparison.results import mean_interval
from glasscurv.plotting.style import (
    FIELDS,
    GREY,
    LINES,
    PERCENT,
    decades,
    finite,
    line_style,
    tidy,
    within_percent,
)

FAR = 1000
"""Losses so many times the largest of the best-behaved method are left out of view: on the way to infinity."""


def plot_comparison(comparison: Comparison) -> Figure:
    """Draw learning curves of every method and the work that it took to the target.

    Above are means over seeds at each record with 95 % intervals, against mean gradient evaluations and seconds, of
    the runs that did not fail. Below is every run as a dot, and means with 95 % intervals: evaluations and seconds to
    the target, or without a target the metric and the training loss in the end. The names there are the legend for all.
    Losses a thousand times the largest of the best-behaved method are out of view, and the figure says whose they are.

    Parameters
    ----------
    comparison : Comparison
        What `glasscurv.comparison.compare` returned.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which no window knows of.

    Raises
    ------
    TypeError
        Something else than a Comparison.

    See Also
    --------
    glasscurv.comparison.compare : Makes the comparison.
    plot_history : Draws one training.

    Examples
    --------
    >>> import glasscurv as gc
    >>> from glasscurv import plotting
    >>> spirals, net = gc.data.two_spirals(60, rng=0), gc.MLP((2, 8, 2))
    >>> comparison = gc.comparison.compare(["sgd:lr=0.1", "adam:lr=0.01"], net, spirals, seeds=range(2), epochs=3,
    ...                                    batch_size=20, progress=False)
    >>> figure = plotting.plot_comparison(comparison)
    >>> [axes.get_xlabel() for axes in figure.axes[:2]]
    ['gradient evaluations', 'seconds']
    """
    if not isinstance(comparison, Comparison):
        raise TypeError(f"comparison must be a Comparison, got {type(comparison).__name__}")
    count = len(comparison.results)
    dots_height = 1.4 + 0.34 * count
    figure = Figure(figsize=(12.4, 5.0 + dots_height), layout="constrained")
    figure.suptitle(_title(comparison), fontsize=14)
    figure.supxlabel(
        "above: means, 95 % intervals as bands;  below: means as markers, 95 % intervals as bars, runs as dots",
        fontsize=12,
    )
    (by_evaluations, by_seconds), (left, right) = figure.subplots(2, 2, height_ratios=(4.2, dots_height))
    for ax in (by_evaluations, by_seconds, left, right):
        tidy(ax)
    by_seconds.sharey(by_evaluations)
    for ax, work, label in (
        (by_evaluations, "evaluations", "gradient evaluations"),
        (by_seconds, "seconds", "seconds"),
    ):
        for k, result in enumerate(comparison.results):
            _draw_curve(ax, result, work, comparison.metric, line_style(k), min(0.18, 0.8 / count))
        ax.set_xlabel(label, fontsize=13)
    drawn = bool(by_seconds.lines)
    for ax in (by_evaluations, by_seconds):
        _draw_metric_axis(ax, comparison)
    by_seconds.set_ylabel("")
    if drawn:
        by_seconds.set_xscale("log")
        decades(by_seconds, "x")
        _name_those_out_of_view(by_evaluations, comparison)
    metrics = dict.fromkeys((comparison.metric, "loss" if comparison.metric != "loss" else "validation_loss"))
    columns = ("evaluations", "seconds") if comparison.target is not None else tuple(metrics)
    for ax, column in ((left, columns[0]), (right, columns[1])):
        _draw_dots(ax, comparison, column)
    right.set_yticklabels([])
    return figure


def _title(comparison: Comparison) -> str:
    widths, seeds = "-".join(map(str, comparison.layers)), len(comparison.seeds)
    return (
        f"{widths} {comparison.activation} network, {comparison.training_rows} training rows, "
        f"at most {comparison.budget} gradients a run, {seeds} seed{'' if seeds == 1 else 's'}"
    )


def _draw_curve(ax: Axes, result: MethodResult, work: str, metric: str, style: dict[str, Any], opacity: float) -> None:
    """Draw a point for each record that all runs have: mean work, mean metric and its interval."""
    runs = [trial for trial in result.trials if not trial.failed]
    records = min((len(trial.loss) for trial in runs), default=0)
    if not records:
        return
    x = np.mean([getattr(trial, work)[:records] for trial in runs], axis=0)
    scale = PERCENT if metric == "validation_accuracy" else 1
    values = scale * np.array([getattr(trial, metric)[:records] for trial in runs])
    mean, half = np.array([mean_interval(column) for column in values.T]).T
    if work == "seconds":  # on a logarithmic axis there is no place for the start
        x, mean, half = (values[x > 0] for values in (x, mean, half))
        if not x.size:
            return
    ax.plot(x, mean, **style, label=result.method.name, markevery=(len(x) // 10, max(len(x) // 5, 1)))
    ax.fill_between(x, mean - half, mean + half, color=style["color"], alpha=opacity, lw=0)


def _draw_metric_axis(ax: Axes, comparison: Comparison) -> None:
    """Draw the target, and set the range to that of the means near the best: bands may reach out of it."""
    if not ax.lines:
        ax.set_axis_off()
        ax.annotate("every run diverged", (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=13)
        return
    scale = PERCENT if comparison.metric == "validation_accuracy" else 1
    shown = [line.get_ydata() for line in ax.lines]
    if comparison.target is not None:
        target = scale * comparison.target
        shown.append([target])
        ax.axhline(target, color=GREY, ls=LINES[1], lw=1.6, zorder=1)
        place = ((1, target), (4, 0), ("axes fraction", "data"), "offset points")
        ax.annotate("target", *place, va="center", fontsize=12)
    values = np.concatenate([np.asarray(y, np.float64) for y in shown]) if shown else np.empty(0)
    values = values[np.isfinite(values)]
    if comparison.metric == "validation_accuracy":
        within_percent(ax, "y")
    else:
        values = values[values <= _limit(comparison, comparison.metric)]
    if comparison.metric != "validation_accuracy" and values.size and values.min() > 0:
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(values.min() / 1.4, values.max() * 1.4)
        decades(ax)
    ax.set_ylabel(FIELDS[comparison.metric], fontsize=13)


def _draw_dots(ax: Axes, comparison: Comparison, column: str) -> None:
    """Draw one line a method: a dot for every run, the mean with its interval, and how many missed the target."""
    reaching = column in ("evaluations", "seconds")
    scale = PERCENT if column == "validation_accuracy" else 1
    table = [scale * (r.at_target(column) if reaching else r.final(column)) for r in comparison.results]
    known = np.concatenate(table)
    known = known[np.isfinite(known)]
    limit = np.inf if reaching or scale == PERCENT else _limit(comparison, column)
    known = known[known <= limit]
    if column != "validation_accuracy" and known.size and known.min() > 0:
        # An interval may reach below 0, where a logarithm ends.
        ax.set_xscale("log", nonpositive="clip")
        ax.set_xlim(known.min() / 1.4, known.max() * 1.4)
        decades(ax, "x")
    for k, values in enumerate(table):
        _draw_line_of_dots(ax, k, values, "missed" if reaching else "failed", limit)
    if column == "validation_accuracy":
        within_percent(ax, "x")
    if not known.size:
        ax.set_xticks([])
    ax.set_yticks(range(len(table)), [result.method.name for result in comparison.results])
    for k, label in enumerate(ax.get_yticklabels()):
        label.set_color(line_style(k)["color"])
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(FIELDS[column] + (" to the target" if reaching else " in the end"), fontsize=13)


def _draw_line_of_dots(ax: Axes, k: int, values: FloatArray, fate: str, limit: float) -> None:
    colour, marker = line_style(k)["color"], line_style(k)["marker"]
    ax.scatter(values, np.full(values.size, k + 0.22), s=14, color=colour, alpha=0.5, lw=0)
    mean, half = mean_interval(values)
    bars: dict[str, Any] = {"capsize": 5, "elinewidth": 2, "capthick": 2, "color": colour, "marker": marker}
    ax.errorbar(mean, k - 0.12, xerr=finite(half), ms=9, **bars)
    fates = ((int(np.isnan(values).sum()), fate), (int((values > limit).sum()), "out of view"))
    if text := ",\n".join(f"{number} of {values.size} {what}" for number, what in fates if number):
        ax.annotate(text, (1, k), (7, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=11)
        hollow: dict[str, Any] = {"color": colour, "marker": marker, "mfc": "white", "ms": 8, "clip_on": False}
        ax.plot(1, k, transform=ax.get_yaxis_transform(), ls="", **hollow)


def _name_those_out_of_view(ax: Axes, comparison: Comparison) -> None:
    """Name the methods whose mean leaves the view at the top: they are on their way to infinity."""
    top = ax.get_ylim()[1]
    names = {result.method.name for result in comparison.results}
    far = [str(line.get_label()) for line in ax.lines if np.max(np.asarray(line.get_ydata())) > top]
    far = [name for name in far if name in names]
    if far:
        text = "out of view: " + ", ".join(far)
        ax.annotate(text, (0.99, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize=11)


def _limit(comparison: Comparison, column: str) -> float:
    """Return the loss beyond which nothing is shown: most losses begin at their largest and fall by decades."""
    largest = [
        np.median([np.max(getattr(trial, column), initial=0.0) for trial in result.trials if not trial.failed])
        for result in comparison.results
        if result.failed < len(result.trials)
    ]
    largest = [value for value in largest if value > 0]
    return FAR * float(min(largest)) if largest else math.inf
