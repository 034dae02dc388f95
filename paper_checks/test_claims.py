"""The claims as tests, in their quick form and with another seed than the command's."""

from typing import Any

import numba
import pytest

from paper_checks.outcome import Finding
from paper_checks.registry import CHECKS
from paper_checks.runner import run_checks


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes in plain Python")
@pytest.mark.parametrize("name", CHECKS)
def test_claim_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every finding of the check holds, and every one that has a name is among its results."""
    init, named = Finding.__init__, []

    def recorded(finding: Finding, *arguments: Any, **options: Any) -> None:
        init(finding, *arguments, **options)
        named.extend([finding.quantity] if finding.quantity else [])

    monkeypatch.setattr(Finding, "__init__", recorded)
    (record,) = run_checks({name: CHECKS[name]}, seed=1)
    assert record.error is None, record.error
    assert record.holds, [finding for finding in record.outcome.findings if not finding.holds]
    assert sorted(named) == sorted(finding.quantity for finding in record.outcome.findings)
    assert record.outcome.figure is not None
