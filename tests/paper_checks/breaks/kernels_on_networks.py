from functools import partial

from paper_checks import digits
from tests.paper_checks.breaks.common import kernel_without_one_contrast, missed_boundaries, wrong_glass_kernel


def fresh_networks(break_it):
    """Break what initialised networks show, and train none."""

    def broken(monkeypatch):
        monkeypatch.setattr(digits, "STATES", ("initialisation",))
        break_it(monkeypatch)

    return broken


BREAKS = {
    "one contrast of the glass kernel left out": fresh_networks(kernel_without_one_contrast),
    "glass kernel 50 % too large": fresh_networks(partial(wrong_glass_kernel, factor=1.5)),
    "every other boundary missed": fresh_networks(missed_boundaries),
}
