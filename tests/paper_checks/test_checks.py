"""Every check states what it does, and fails when what it checks is broken on purpose."""

from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from paper_checks import outcome
from paper_checks.registry import CHECKS, SECTIONS
from paper_checks.runner import run_checks

numba = pytest.importorskip("numba")

BREAKS = {name: import_module(f"tests.paper_checks.breaks.{name}").BREAKS for name in CHECKS}


def test_every_check_stands_in_one_section():
    files = Path(outcome.__file__).parent.glob("*.py")
    assert sorted(CHECKS) == sorted(file.stem for file in files if "\nCLAIM = " in file.read_text("utf-8"))
    assert sum(len(section) for section in SECTIONS.values()) == len(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_check_states_claim_source_prediction_measurement_and_tolerance(name):
    module = CHECKS[name]
    for part in ("Claim.", "Source.", "Prediction.", "Measurement.", "Tolerance."):
        assert f"\n\n{part} " in module.__doc__
    assert module.CLAIM
    assert len(module.CLAIM) <= 90
    assert module.SOURCE
    assert module.STANDING in {"confirmed", "limited", "corrected", "new"}
    if module.STANDING in {"limited", "corrected"}:
        assert "\n\nLimits. " in module.__doc__


# Breaking the library


class Caught(BaseException):
    """A finding disagrees; no check takes this for an error of its own."""


@pytest.fixture
def caught_at_once(monkeypatch):
    """End a check at the first finding that disagrees: one is enough, and the rest takes time.

    Findings without a name are no result of a check, but numbers for a figure; `test_claims` sees to it that all others
    are results. One that has only become too blunt to tell has not caught anything.
    """
    init = outcome.Finding.__init__

    def checked(finding, *arguments, **options):
        init(finding, *arguments, **options)
        if finding.quantity and not finding.agrees:
            raise Caught

    monkeypatch.setattr(outcome.Finding, "__init__", checked)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes in plain Python")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a broken rule may overflow
@pytest.mark.parametrize(("name", "what"), [(name, what) for name, broken in BREAKS.items() for what in broken])
def test_check_catches(name, what, monkeypatch, caught_at_once):
    BREAKS[name][what](monkeypatch)
    try:
        (record,) = run_checks({name: CHECKS[name]}, seed=0)
    except Caught:
        return
    pytest.fail(record.error or "every finding agrees")


def test_every_check_is_broken():
    assert [name for name, broken in BREAKS.items() if not broken] == []


def table_of_breaks():
    rows = [("check", "claim", "catches"), ("---",) * 3]
    rows += [(f"`{name}`", CHECKS[name].CLAIM, "; ".join(broken)) for name, broken in BREAKS.items()]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def test_the_documentation_lists_what_each_check_catches():
    page = Path(__file__).parents[2] / "docs" / "checks.md"
    assert page.read_text("utf-8").endswith(f"\n\n{table_of_breaks()}\n")


# When a finding holds


def test_equality_needs_agreement_and_sharpness():
    finding = partial(outcome.Finding, "x", 1.0)
    assert finding(1.04, 0.05).holds
    assert not finding(1.06, 0.05).holds
    assert finding(1.045, 0.04, tolerance=0.01).holds
    assert not finding(1.0, 0.06).holds  # too blunt to notice an error of 10 %
    assert not finding(1.0, 0.04, tolerance=0.03).holds
    assert finding(1.0, 0.06, resolution=0.15).holds
    assert not finding(np.nan, 0.01).holds
    assert not outcome.Finding("zero", 0.0, 0.0, 0.1).holds
    assert outcome.Finding("zero", 0.0, 0.04, 0.05, scale=1.0).holds


def test_inequality_must_hold_beyond_the_interval():
    above = partial(outcome.Finding, "x", 1.0, relation=">=")
    assert above(1.2, 0.1).holds
    assert not above(1.05, 0.1).holds
    below = partial(outcome.Finding, "x", 1.0, relation="<=")
    assert below(0.8, 0.1).holds
    assert not below(0.95, 0.1).holds


def test_outcome_holds_only_if_it_found_something_and_all_of_it_holds():
    good, bad = outcome.Finding("x", 1.0, 1.0), outcome.Finding("x", 1.0, 2.0)
    assert outcome.Outcome([good]).holds
    assert not outcome.Outcome([good, bad]).holds
    assert not outcome.Outcome([]).holds


@pytest.mark.parametrize("count", [6, 10, 100, 10_000])
def test_interval_of_a_mean_misses_as_rarely_however_few_the_samples_are(count):
    samples = np.random.default_rng(0).standard_normal(count)
    finding = outcome.mean_finding("x", 0.0, samples)
    errors = finding.interval / (samples.std(ddof=1) / np.sqrt(count))
    assert 2 * stats.t.sf(errors, count - 1) == pytest.approx(2 * stats.norm.sf(5))
    assert (finding.measurement, finding.samples) == (pytest.approx(samples.mean()), count)


@given(
    prediction=st.floats(-2, 2),
    measurement=st.floats(-2, 2),
    interval=st.just(0.0) | st.floats(0.01, 2),
    tolerance=st.just(0.0) | st.floats(0.01, 2),
    relation=st.sampled_from(["=", "<=", ">="]),
)
def test_a_finding_agrees_as_long_as_it_uses_no_more_than_is_allowed(**numbers):
    finding = outcome.Finding("x", **numbers)
    assert finding.used >= 0
    assume(abs(finding.used - 1) > 1e-9)
    assert finding.agrees == (finding.used < 1)


def test_standard_scores_of_means_are_standard_normal():
    """Of 400 means; the root mean square of 400 scores is 1 with a standard error of 0.035."""
    samples = np.random.default_rng(0).standard_normal((400, 100))
    scores = [outcome.mean_finding("x", 0.0, row).standard_score for row in samples]
    assert np.sqrt(np.mean(np.square(scores))) == pytest.approx(1.0, abs=0.2)
    assert outcome.Finding("x", 1.0, 1.0).standard_score is None
    assert outcome.mean_finding("x", 0.0, samples[0], tolerance=0.1).standard_score is None
    assert outcome.mean_finding("x", 0.0, samples[0], relation=">=").standard_score is None
