from dataclasses import replace

import numpy as np

from tests.paper_checks.breaks.common import changed_crossings


def signals_without_sign(monkeypatch):
    changed_crossings(monkeypatch, lambda found: replace(found, signal=abs(found.signal)))


def shuffled_signals(monkeypatch):
    """Signals of the right law at the wrong units."""
    rng = np.random.default_rng(0)
    changed_crossings(monkeypatch, lambda found: replace(found, signal=rng.permutation(found.signal)))


BREAKS = {
    "signals lose their sign": signals_without_sign,
    "signals at the wrong units": shuffled_signals,
}
