"""Figures: learning curves, where a network is glass, optimizers side by side. The only module with matplotlib.

The functions return a ``matplotlib.figure.Figure`` that no window knows of: ``figure.savefig("name.png")`` writes it.
Colours are those of Okabe and Ito, which the colour-blind tell apart; line styles and markers repeat what they say.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray
from glasscurv.comparison import Comparison, MethodResult
from glasscurv.comparison.results import mean_interval
from glasscurv.curvature import CurvatureProfile
from glasscurv.training import History, SnapshotHistory

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'glasscurv[plot]'") from error

__all__ = ["plot_comparison", "plot_history", "plot_profile"]

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
PERCENT = 100
FIELDS = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy (%)",
    "evaluations": "gradient evaluations",
    "seconds": "seconds",
}
FAR = 1000
"""Losses so many times the largest of the best-behaved method are left out of view: on the way to infinity."""

EXPONENT = "exponent of the\nsecond difference"


def plot_history(history: History) -> Figure:
    """Draw learning curves and, where there are snapshots, the curvature of every layer on the way.

    Parameters
    ----------
    history : History
        What `glasscurv.train` returned, with at least one epoch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        Not a History.
    ValueError
        A history without any epoch.

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
        _tidy(ax)
    _draw_losses(axes["loss"], history)
    if history.validation_accuracy is not None:
        _draw_accuracy(axes["accuracy"], history)
    if snapshots is not None:
        _draw_snapshots(axes["density"], snapshots, snapshots.glass_density, DENSITY)
        axes["density"].set_yscale("log", nonpositive="mask")
        _draw_snapshots(axes["exponent"], snapshots, snapshots.exponent, EXPONENT, snapshots.exponent_error)
        _draw_kinds(axes["exponent"])
        figure.legend(handles=axes["density"].lines, loc="outside lower center", ncols=6, fontsize=12)
    return figure


def plot_profile(profile: CurvatureProfile) -> Figure:
    """Draw where a network is glass: density, Hessian, exponent and share of the bend of every group.

    Parameters
    ----------
    profile : CurvatureProfile
        What `glasscurv.curvature_profile` returned.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        Not a CurvatureProfile.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> from glasscurv import plotting
    >>> toy = gc.RandomHinges(20, hinges=2000, half_width=30.0, rng=0)
    >>> groups = {"first": slice(0, 10), "second": slice(10, 20)}
    >>> profile = gc.curvature_profile(toy.gradient, np.zeros(20), groups, length=0.1, rng=1)
    >>> figure = plotting.plot_profile(profile)
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['first', 'second']
    """
    if not isinstance(profile, CurvatureProfile):
        raise TypeError(f"profile must be a CurvatureProfile, got {type(profile).__name__}")
    figure = Figure(figsize=(10.8, 7.7), layout="constrained")
    density, hessian, exponent, share = panels = figure.subplots(2, 2).flat
    for ax in panels:
        _tidy(ax)
    figure.suptitle(f"Where is it glass? Movements of length {profile.length:g}", fontsize=15)
    x = np.arange(len(profile.groups))
    colours = [ORANGE if verdict == "glass" else GREY for verdict in profile.verdict]
    density.scatter(x, profile.glass_density, s=110, c=colours, zorder=3)
    density.set_ylabel(DENSITY, fontsize=13)
    _draw_hessian(hessian, profile)
    for ax in (density, hessian):
        ax.set_yscale("log", nonpositive="mask")
        _decades(ax)
    _draw_exponents(exponent, profile, colours)
    _draw_shares(share, profile, colours)
    for ax in (density, hessian, exponent, share):
        ax.set_xticks(x, profile.groups, rotation=0 if len(x) <= 5 else 60, ha="center" if len(x) <= 5 else "right")
        ax.set_xlim(-0.6, len(x) - 0.4)
        ax.grid(visible=False, axis="x")
    return figure


def _draw_hessian(ax: Axes, profile: CurvatureProfile) -> None:
    x = np.arange(len(profile.groups))
    measures = (
        ("mean of |Hz|", profile.hessian_abs, "s", BLUE),
        ("rms of Hz", profile.hessian_rms, "^", SKY),
        ("|mean of diagonal|", abs(profile.hessian_diagonal), "D", GREEN),
    )
    for k, (label, values, marker, colour) in enumerate(measures):
        ax.plot(x + 0.16 * (k - 1), values, marker, color=colour, ms=9, label=label, zorder=3)
    ax.set_ylabel(HESSIAN, fontsize=13)
    ax.margins(y=0.15)
    ax.legend(fontsize=11, handletextpad=0)


def _draw_exponents(ax: Axes, profile: CurvatureProfile, colours: list[str]) -> None:
    for k, colour in enumerate(colours):
        style: dict[str, Any] = {
            "color": colour,
            "ms": 10,
            "capsize": 6,
            "elinewidth": 2.2,
            "capthick": 2.2,
            "zorder": 3,
        }
        ax.errorbar(k, profile.exponent[k], _finite(profile.exponent_error[k]), fmt="o", **style)
    ax.set_ylabel(EXPONENT, fontsize=13)
    _draw_kinds(ax)


def _draw_shares(ax: Axes, profile: CurvatureProfile, colours: list[str]) -> None:
    few = len(profile.groups) <= 5
    bars = ax.bar(np.arange(len(profile.groups)), 100 * profile.glass_share, width=0.6, color=colours, zorder=3)
    for bar, verdict in zip(bars, profile.verdict, strict=True):
        bar.set_hatch("" if verdict == "glass" else "///")
        bar.set_edgecolor("white")
        height = np.nan_to_num(bar.get_height())
        turn: dict[str, Any] = {"rotation": 0 if few else 60, "ha": "center", "fontsize": 12}
        ax.annotate(verdict, (bar.get_x() + 0.3, height), (0, 4), textcoords="offset points", **turn)
    ax.set_ylim(0, 108 if few else 125)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_ylabel("share of the bend\nbeyond the Hessian (%)", fontsize=13)


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

    Raises
    ------
    TypeError
        Not a Comparison.

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
        _tidy(ax)
    by_seconds.sharey(by_evaluations)
    for ax, work, label in (
        (by_evaluations, "evaluations", "gradient evaluations"),
        (by_seconds, "seconds", "seconds"),
    ):
        for k, result in enumerate(comparison.results):
            _draw_curve(ax, result, work, comparison.metric, _style(k), min(0.18, 0.8 / count))
        ax.set_xlabel(label, fontsize=13)
    drawn = bool(by_seconds.lines)
    for ax in (by_evaluations, by_seconds):
        _draw_metric_axis(ax, comparison)
    by_seconds.set_ylabel("")
    if drawn:
        by_seconds.set_xscale("log")
        _decades(by_seconds, "x")
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


def _tidy(ax: Axes) -> None:
    ax.tick_params(labelsize=12)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


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
        _decades(ax)
    ax.set_ylabel("loss", fontsize=13)
    ax.legend(fontsize=11)
    _label_steps(ax, history)


def _draw_accuracy(ax: Axes, history: History) -> None:
    assert history.validation_accuracy is not None
    marker = "s" if len(history.loss) < 25 else ""
    ax.plot(history.steps, 100 * history.validation_accuracy, color=ORANGE, marker=marker, lw=2.4, ms=6)
    ax.set_ylabel("validation accuracy (%)", fontsize=13)
    _within_percent(ax, "y")
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
        style = _style(k)
        if errors is None:
            ax.plot(snapshots.step, values[:, k], label=group, **style)
        else:
            bars: dict[str, Any] = {"capsize": 4, "elinewidth": 1.4}
            ax.errorbar(snapshots.step, values[:, k], _finite(errors[:, k]), label=group, **bars, **style)
    ax.set_xlabel("step", fontsize=13)
    ax.set_ylabel(label, fontsize=13)


def _draw_kinds(ax: Axes) -> None:
    """Draw the exponents of glass, of kinks and of a smooth loss as lines with names."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.4), max(high, 4.6))
    for value, name in ((1, "glass"), (3, "kinks"), (4, "smooth")):
        ax.axhline(value, color=GREY, ls=LINES[1], lw=1.6, zorder=1)
        ax.annotate(name, (1, value), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=12)
    ax.set_yticks([1, 2, 3, 4])


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
        _within_percent(ax, "y")
    else:
        values = values[values <= _limit(comparison, comparison.metric)]
    if comparison.metric != "validation_accuracy" and values.size and values.min() > 0:
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(values.min() / 1.4, values.max() * 1.4)
        _decades(ax)
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
        _decades(ax, "x")
    for k, values in enumerate(table):
        _draw_line_of_dots(ax, k, values, "missed" if reaching else "failed", limit)
    if column == "validation_accuracy":
        _within_percent(ax, "x")
    if not known.size:
        ax.set_xticks([])
    ax.set_yticks(range(len(table)), [result.method.name for result in comparison.results])
    for k, label in enumerate(ax.get_yticklabels()):
        label.set_color(_style(k)["color"])
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(FIELDS[column] + (" to the target" if reaching else " in the end"), fontsize=13)


def _draw_line_of_dots(ax: Axes, k: int, values: FloatArray, fate: str, limit: float) -> None:
    colour, marker = _style(k)["color"], _style(k)["marker"]
    ax.scatter(values, np.full(values.size, k + 0.22), s=14, color=colour, alpha=0.5, lw=0)
    mean, half = mean_interval(values)
    bars: dict[str, Any] = {"capsize": 5, "elinewidth": 2, "capthick": 2, "color": colour, "marker": marker}
    ax.errorbar(mean, k - 0.12, xerr=_finite(half), ms=9, **bars)
    fates = ((int(np.isnan(values).sum()), fate), (int((values > limit).sum()), "out of view"))
    if text := ",\n".join(f"{number} of {values.size} {what}" for number, what in fates if number):
        ax.annotate(text, (1, k), (7, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=11)
        hollow: dict[str, Any] = {"color": colour, "marker": marker, "mfc": "white", "ms": 8, "clip_on": False}
        ax.plot(1, k, transform=ax.get_yaxis_transform(), ls="", **hollow)


def _style(k: int) -> dict[str, Any]:
    """Colour, line and marker that no other of the first 21 has."""
    cycle = k // len(COLOURS)
    marker = MARKERS[(k + 3 * cycle) % len(MARKERS)]
    return {"color": COLOURS[k % len(COLOURS)], "ls": LINES[cycle % len(LINES)], "marker": marker, "ms": 6, "lw": 2}


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


def _within_percent(ax: Axes, which: Literal["x", "y"]) -> None:
    """End an axis of percentages where they end, with half a point for the markers."""
    low, high = ax.get_ylim() if which == "y" else ax.get_xlim()
    (ax.set_ylim if which == "y" else ax.set_xlim)(max(low, -0.5), min(high, 100.5))


def _decades(ax: Axes, which: Literal["x", "y"] = "y") -> None:
    """Show few numbers on a logarithmic axis, all in one way, whether it spans decades or less than one."""
    low, high = ax.get_ylim() if which == "y" else ax.get_xlim()
    axis = ax.yaxis if which == "y" else ax.xaxis
    if high < 5 * low:  # few round numbers of a logarithmic axis lie so close
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    elif high < 50 * low:
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.tick_params(which="minor", labelsize=11)
    number = _plain_number if low >= 1e-3 and high <= 1e5 else _power
    axis.set_major_formatter(lambda x, _: number(x))
    axis.set_minor_formatter((lambda x, _: number(x)) if 5 * low <= high < 50 * low else NullFormatter())


def _plain_number(x: float) -> str:
    return f"{x:.10g}"


def _power(x: float) -> str:
    """Return a number as a power of ten with a factor where it is not 1."""
    if x <= 0:
        return ""
    exponent = math.floor(math.log10(x) + 1e-9)
    factor = f"{x / 10.0**exponent:.3g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else f"${factor}\\times 10^{{{exponent}}}$"


def _finite(values: Any) -> Any:
    return np.nan_to_num(values, nan=0.0, posinf=0.0)
