"""The one style of all figures that are drawn while the site is built."""

from typing import Any

import matplotlib.pyplot as plt

STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def apply(gallery_conf: dict[str, Any], script: str) -> None:
    """Set the style before a script of the gallery."""
    plt.rcParams.update(STYLE)
