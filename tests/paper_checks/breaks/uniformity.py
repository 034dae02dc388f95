from functools import partial

from tests.paper_checks.breaks.common import missed_boundaries

BREAKS = {
    "every other boundary missed in the second half of a line": partial(missed_boundaries, from_halfway=True),
}
