from tests.paper_checks.breaks.common import missed_boundaries

BREAKS = {
    "every other boundary missed": missed_boundaries,
}
