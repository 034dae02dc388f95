from functools import partial

from paper_checks import digits, kernels_on_networks
from tests.paper_checks.breaks.common import (
    kernel_without_one_contrast,
    looking_at,
    missed_boundaries,
    wrong_glass_kernel,
)


def fresh_networks(break_it):
    """Fewer than the check takes are enough to notice."""
    fewer = looking_at(kernels_on_networks, break_it, NETWORKS={"initialisation": 60})
    return looking_at(digits, fewer, STATES=("initialisation",))


BREAKS = {
    "one contrast of the glass kernel left out": fresh_networks(kernel_without_one_contrast),
    "glass kernel 50 % too large": fresh_networks(partial(wrong_glass_kernel, factor=1.5)),
    "every other boundary missed": fresh_networks(missed_boundaries),
}
