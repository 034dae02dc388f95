from functools import partial

from paper_checks import exact_density
from tests.paper_checks.breaks.common import missed_boundaries, wrong_glass_kernel


def at_initialisation(break_it):
    """Break the library, and look at networks at initialisation alone: they are enough, and faster."""

    def broken(monkeypatch):
        monkeypatch.setattr(exact_density, "NETWORKS", {"initialisation": exact_density.NETWORKS["initialisation"]})
        break_it(monkeypatch)

    return broken


BREAKS = {
    "glass kernel 10 % too large": at_initialisation(wrong_glass_kernel),
    "glass kernel 10 % too small": at_initialisation(partial(wrong_glass_kernel, factor=0.9)),
    "every other boundary missed": at_initialisation(missed_boundaries),
}
