from functools import partial

from paper_checks import exact_density
from tests.paper_checks.breaks.common import looking_at, missed_boundaries, wrong_glass_kernel

at_initialisation = partial(
    looking_at, exact_density, NETWORKS={"initialisation": exact_density.NETWORKS["initialisation"]}
)


BREAKS = {
    "glass kernel 10 % too large": at_initialisation(wrong_glass_kernel),
    "glass kernel 10 % too small": at_initialisation(partial(wrong_glass_kernel, factor=0.9)),
    "every other boundary missed": at_initialisation(missed_boundaries),
}
