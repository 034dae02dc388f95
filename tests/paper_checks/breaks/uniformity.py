from paper_checks import uniformity
from tests.paper_checks.breaks.common import missed_boundaries


def missed_late(monkeypatch):
    """Networks at initialisation are enough to notice, and faster."""
    monkeypatch.setattr(uniformity, "NETWORKS", {"initialisation": uniformity.NETWORKS["initialisation"]})
    missed_boundaries(monkeypatch, from_halfway=True)


BREAKS = {
    "every other boundary missed in the second half of a line": missed_late,
}
