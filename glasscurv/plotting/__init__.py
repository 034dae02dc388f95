"""Figures: learning curves, where a network is glass, comparisons, compressions. The only import of matplotlib.

The functions return a ``matplotlib.figure.Figure`` that no window knows of: ``figure.savefig("name.png")`` writes it.
Colours are those of Okabe and Ito, which the colour-blind tell apart; line styles and markers repeat what they say.
"""

try:
    import matplotlib  # noqa: F401 (asked first, so that the message says what to install)
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'glasscurv[plot]'") from error

from glasscurv.plotting.comparison import plot_comparison
from glasscurv.plotting.compression import plot_compression
from glasscurv.plotting.history import plot_history
from glasscurv.plotting.profile import plot_profile

__all__ = ["plot_comparison", "plot_compression", "plot_history", "plot_profile"]
