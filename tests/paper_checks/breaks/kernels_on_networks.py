from functools import partial

from paper_checks import digits
from tests.paper_checks.breaks.common import (
    kernel_without_one_contrast,
    looking_at,
    missed_boundaries,
    wrong_glass_kernel,
)

fresh_networks = partial(looking_at, digits, STATES=("initialisation",))


BREAKS = {
    "one contrast of the glass kernel left out": fresh_networks(kernel_without_one_contrast),
    "glass kernel 50 % too large": fresh_networks(partial(wrong_glass_kernel, factor=1.5)),
    "every other boundary missed": fresh_networks(missed_boundaries),
}
