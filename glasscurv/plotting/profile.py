"""Where a network is glass."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glasscurv.curvature import CurvatureProfile
from glasscurv.plotting.style import (
    BLUE,
    DENSITY,
    EXPONENT,
    GREEN,
    GREY,
    HESSIAN,
    ORANGE,
    SKY,
    decades,
    draw_kinds,
    finite,
    tidy,
)

FEW = 5
"""Up to so many groups have their names side by side."""

MANY = 16
"""More groups have the panels below each other, each as wide as the figure."""


def plot_profile(profile: CurvatureProfile) -> Figure:
    """Draw where a network is glass: density, Hessian, exponent and share of the bend of every group.

    Parameters
    ----------
    profile : CurvatureProfile
        What `glasscurv.curvature_profile` returned.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which no window knows of.

    Raises
    ------
    TypeError
        Something else than a CurvatureProfile.

    See Also
    --------
    glasscurv.curvature_profile : Measures the profile.
    plot_history : Draws the curvature on the way of a training.

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
    many = len(profile.groups) > MANY
    shape = (max(10.8, 0.24 * len(profile.groups)), 14) if many else (10.8, 7.7)
    figure = Figure(figsize=shape, layout="constrained")
    panels = (figure.subplots(4, 1, sharex=True) if many else figure.subplots(2, 2)).ravel()
    density, hessian, exponent, share = panels
    for ax in panels:
        tidy(ax)
    figure.suptitle(f"Where is it glass? Movements of length {profile.length:g}", fontsize=15)
    x = np.arange(len(profile.groups))
    colours = [ORANGE if verdict == "glass" else GREY for verdict in profile.verdict]
    density.scatter(x, profile.glass_density, s=110, c=colours, zorder=3)
    density.set_ylabel(DENSITY, fontsize=13)
    _draw_hessian(hessian, profile)
    for ax in (density, hessian):
        ax.set_yscale("log", nonpositive="mask")
        decades(ax)
    _draw_exponents(exponent, profile, colours)
    _draw_shares(share, profile, colours)
    turn: dict[str, Any] = {"rotation": 90} if many else {"rotation": 60, "ha": "right"} if len(x) > FEW else {}
    for ax in panels:
        ax.set_xticks(x, profile.groups, **turn)
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
        ax.errorbar(k, profile.exponent[k], finite(profile.exponent_error[k]), fmt="o", **style)
    ax.set_ylabel(EXPONENT, fontsize=13)
    draw_kinds(ax)


def _draw_shares(ax: Axes, profile: CurvatureProfile, colours: list[str]) -> None:
    few, many = len(profile.groups) <= FEW, len(profile.groups) > MANY
    bars = ax.bar(np.arange(len(profile.groups)), 100 * profile.glass_share, width=0.6, color=colours, zorder=3)
    for bar, verdict in zip(bars, profile.verdict, strict=True):
        bar.set_hatch("" if verdict == "glass" else "///")
        bar.set_edgecolor("white")
        height = np.nan_to_num(bar.get_height())
        turn: dict[str, Any] = {"rotation": 0 if few else 90 if many else 60, "ha": "center", "fontsize": 12}
        ax.annotate(verdict, (bar.get_x() + 0.3, height), (0, 4), textcoords="offset points", **turn)
    ax.set_ylim(0, 108 if few else 125)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_ylabel("share of the bend\nbeyond the Hessian (%)", fontsize=13)
