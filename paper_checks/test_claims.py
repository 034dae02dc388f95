"""The claims as tests, in their quick form and with another seed than the command's."""

import numba
import pytest

from paper_checks.registry import CHECKS
from paper_checks.runner import run_checks


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes in plain Python")
@pytest.mark.parametrize("name", CHECKS)
def test_claim_holds(name: str) -> None:
    """Every finding of the check holds."""
    (record,) = run_checks({name: CHECKS[name]}, seed=1)
    assert record.error is None, record.error
    assert record.holds, [finding for finding in record.outcome.findings if not finding.holds]
    assert record.outcome.figure is not None
