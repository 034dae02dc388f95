from functools import partial

from tests.paper_checks.breaks.common import missed_boundaries, wrong_glass_kernel

BREAKS = {
    "glass kernel 70 % too large": partial(wrong_glass_kernel, factor=1.7),
    "glass kernel 50 % too small": partial(wrong_glass_kernel, factor=0.5),
    "every other boundary missed": missed_boundaries,
}
