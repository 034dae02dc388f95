"""What a compression was predicted to do, and what it did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glasscurv._typing import FloatArray
from glasscurv.compression import CompressionEffect
from glasscurv.plotting.style import BLUE, FIELDS, GREEN, LINES, ORANGE, PERCENT, decades, tidy, within_percent

TOGETHER = "together"
AMOUNTS = {"pruning": "weights removed (%)", "rounding": "bits per weight"}


def plot_compression(effects: Sequence[CompressionEffect]) -> Figure:
    """Draw the changes of the loss that were predicted and measured, layer by layer and against what was removed.

    A row of panels for each effect: the change when each group by itself is compressed, and all together; then loss and
    accuracy with other amounts, where any were tried. A star marks what came of the chosen amount in the end: all
    rounds, allocation and fine-tuning included, which the lines do without.

    Parameters
    ----------
    effects : sequence of CompressionEffect
        Effects, such as those of pruning and of rounding after it.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which no window knows of.

    Raises
    ------
    TypeError
        Something else than a CompressionEffect among the effects.
    ValueError
        No effects.

    See Also
    --------
    glasscurv.compression.predicted_changes : Predicts the changes.
    glasscurv.compression.measured_changes : Measures the changes.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> from glasscurv import plotting
    >>> effect = gc.compression.CompressionEffect(
    ...     "pruning", ("layer1", "layer2"), predicted=np.array([0.02, 0.01]), measured=np.array([0.03, 0.01]),
    ...     predicted_total=0.05, measured_total=0.06, amount=0.8, amounts=np.array([0.5, 0.8]),
    ...     predicted_losses=np.array([0.11, 0.15]), losses=np.array([0.12, 0.16]), accuracies=np.array([0.97, 0.9]),
    ...     result=(0.16, 0.9))
    >>> figure = plotting.plot_compression([effect])
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['', 'weights removed (%)', 'weights removed (%)']
    """
    for effect in effects:
        if not isinstance(effect, CompressionEffect):
            raise TypeError(f"effects must be CompressionEffects, got {type(effect).__name__}")
    if not effects:
        raise ValueError("effects must hold at least one, got none")
    tried = any(effect.amounts.size for effect in effects)
    labelled = any(np.isfinite(effect.accuracies).any() for effect in effects)
    columns = 1 + tried + (tried and labelled)
    figure = Figure(figsize=(1.2 + 4.4 * columns, 0.9 + 3.7 * len(effects)), layout="constrained")
    figure.suptitle("Compression: what was predicted, and what happened", fontsize=15)
    for effect, panels in zip(effects, figure.subplots(len(effects), columns, squeeze=False), strict=True):
        for ax in panels:
            tidy(ax)
        _draw_groups(panels[0], effect)
        if tried:
            _draw_losses(panels[1], effect)
        if tried and labelled:
            _draw_accuracies(panels[2], effect)
    return figure


def _draw_groups(ax: Axes, effect: CompressionEffect) -> None:
    names = [*effect.groups, TOGETHER]
    predicted = np.append(effect.predicted, effect.predicted_total)
    measured = np.append(effect.measured, effect.measured_total)
    x = np.arange(len(names))
    ax.vlines(x, np.minimum(predicted, measured), np.maximum(predicted, measured), color=BLUE, lw=1.5, alpha=0.5)
    ax.plot(x, predicted, "D", color=BLUE, mfc="white", mew=2, ms=9, label="predicted", zorder=3)
    ax.plot(x, measured, "o", color=ORANGE, ms=9, label="measured", zorder=4)
    _scale(ax, np.concatenate([predicted, measured]))
    ax.axvline(len(x) - 1.5, color="black", lw=0.8, alpha=0.4)
    few = len(x) <= 5
    ax.set_xticks(x, names, rotation=0 if few else 60, ha="center" if few else "right")
    ax.set_xlim(-0.6, len(x) - 0.4)
    ax.grid(visible=False, axis="x")
    ax.set_ylabel(f"change of the loss\nby {effect.kind}", fontsize=13)
    ax.legend(fontsize=11, handletextpad=0.3)


def _scale(ax: Axes, values: FloatArray) -> None:
    """Choose a logarithmic axis, or where some changes are gains one that holds them too."""
    if (values > 0).all():
        ax.set_yscale("log")
        ax.margins(y=0.15)
        decades(ax)
    else:
        ax.axhline(0, color="black", lw=0.8)
        ax.margins(y=0.15)


def _draw_losses(ax: Axes, effect: CompressionEffect) -> None:
    x = _shown(effect, effect.amounts)
    ax.plot(x, effect.predicted_losses, color=BLUE, ls=LINES[1], lw=2, marker="D", mfc="white", ms=5, label="predicted")
    ax.plot(x, effect.losses, color=ORANGE, lw=2, marker="o", ms=5, label="measured")
    _draw_result(ax, effect, effect.result[0])
    ax.set_yscale("log", nonpositive="mask")
    decades(ax)
    ax.set_ylabel(FIELDS["loss"], fontsize=13)
    ax.set_xlabel(AMOUNTS[effect.kind], fontsize=13)
    ax.legend(fontsize=11)


def _draw_accuracies(ax: Axes, effect: CompressionEffect) -> None:
    ax.plot(_shown(effect, effect.amounts), PERCENT * effect.accuracies, color=GREEN, lw=2, marker="s", ms=5)
    _draw_result(ax, effect, PERCENT * effect.result[1])
    within_percent(ax, "y")
    ax.set_ylabel(FIELDS["validation_accuracy"], fontsize=13)
    ax.set_xlabel(AMOUNTS[effect.kind], fontsize=13)


def _draw_result(ax: Axes, effect: CompressionEffect, value: float) -> None:
    x = _shown(effect, np.array([effect.amount]))
    unit = "%" if effect.kind == "pruning" else "bits"
    ax.plot(x, [value], "*", color="black", ms=15, mec="white", label=f"in the end: {x[0]:.3g} {unit}", zorder=5)


def _shown(effect: CompressionEffect, amounts: FloatArray) -> FloatArray:
    return PERCENT * amounts if effect.kind == "pruning" else amounts
