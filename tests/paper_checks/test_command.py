import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from paper_checks import __main__ as command
from paper_checks import report
from paper_checks.outcome import Finding, Outcome
from paper_checks.registry import CHECKS
from paper_checks.runner import run_checks


def invoke(*arguments):
    import typer

    app = typer.Typer()
    app.command()(command.main)
    # One process: checks made up for a test exist only there.
    return CliRunner().invoke(app, ["--workers", "1", *(str(argument) for argument in arguments)])


TEXT = """A check.

Claim. One and all, by `gc.Alice`.

Limits. It ends
here.
"""


@pytest.fixture
def two_checks(monkeypatch):
    """Replace the registry by a check that holds and one that can be made to fail."""

    def check(measurement):
        finding = Finding("a <number>", 1.0, measurement, interval=0.01)
        return SimpleNamespace(
            CLAIM="One & all", SOURCE="theory 0", STANDING="new", __doc__=TEXT, run=lambda settings: Outcome([finding])
        )

    checks = {"good": check(1.0), "other": check(1.0)}
    monkeypatch.setattr(command, "CHECKS", checks)
    monkeypatch.setattr(report, "SECTIONS", {"A part": checks})
    return checks


def test_all_claims_hold_and_the_report_is_written(two_checks, tmp_path):
    result = invoke("--report", tmp_path / "new" / "report")
    assert result.exit_code == 0
    assert "2 of 2 claims hold" in result.output
    page = (tmp_path / "new" / "report" / "index.html").read_text(encoding="utf-8")
    assert "One &amp; all" in page
    assert "a &lt;number&gt;" in page
    results = json.loads((tmp_path / "new" / "report" / "results.json").read_text(encoding="utf-8"))
    assert [check["holds"] for check in results["checks"]] == [True, True]
    assert results["checks"][0]["findings"][0]["measurement"] == 1.0
    assert results["checks"][0]["limits"] == "It ends here."
    assert results["deviations"] == {"count": 2, "standard": 0.0}


def test_the_page_sums_up_and_gives_limits_and_text(two_checks, tmp_path):
    invoke("--report", tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count('<a href="#good">One &amp; all</a> <a href="#limits-good">*</a>') == 1
    assert page.count("<dd>It ends here.</dd>") == 4  # both checks, in the list of limits and in their sections
    assert "<dt>Claim</dt><dd>One and all, by <code>gc.Alice</code>.</dd>" in page
    assert "http" not in page


def test_numbers_that_json_does_not_know_become_null(two_checks, tmp_path):
    two_checks["good"].run = lambda settings: Outcome([Finding("a number", 1.0, float("nan"))])
    assert invoke("--report", tmp_path).exit_code == 1
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["checks"][0]["findings"][0]["measurement"] is None


def test_a_failing_claim_exits_with_one(two_checks, tmp_path):
    two_checks["other"].run = lambda settings: Outcome([Finding("a number", 1.0, 2.0)])
    result = invoke("--report", tmp_path)
    assert result.exit_code == 1
    assert "1 of 2 claims hold" in result.output
    assert "Failing: other" in result.output


def test_a_check_that_breaks_down_fails_and_the_others_still_run(two_checks, tmp_path):
    def broken(settings):
        raise ZeroDivisionError("no landscapes")

    two_checks["good"].run = broken
    result = invoke("--report", tmp_path)
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.output
    assert "1 of 2 claims hold" in result.output


def test_only_runs_the_named_checks(two_checks, tmp_path):
    result = invoke("--only", "other", "--report", tmp_path)
    assert "1 of 1 claims hold" in result.output
    assert "a <number>" in result.output  # every comparison of the named check


def test_unknown_names_are_refused(two_checks, tmp_path):
    result = invoke("--only", "nothing", "--report", tmp_path)
    assert result.exit_code == 2
    assert "no check is named nothing" in result.output


def test_report_that_is_a_file_is_refused_before_anything_runs(two_checks, tmp_path):
    (tmp_path / "report").write_text("mine")
    result = invoke("--report", tmp_path / "report")
    assert result.exit_code == 2
    assert (tmp_path / "report").read_text() == "mine"


def test_full_and_seed_reach_the_checks(two_checks, tmp_path):
    seen = []

    def record(settings):
        seen.append((settings.scale, settings.rng.random()))
        return Outcome([Finding("a number", 1.0, 1.0)])

    two_checks["good"].run = two_checks["other"].run = record
    invoke("--report", tmp_path)
    invoke("--only", "other", "--report", tmp_path)
    invoke("--only", "other", "--full", "--report", tmp_path)
    invoke("--only", "other", "--seed", 5, "--report", tmp_path)
    (_, among), (_, first), (_, alone), (full_scale, full), (_, other_seed) = seen
    assert among == alone == full
    assert len({first, among, other_seed}) == 3
    assert full_scale == 8


def test_the_same_seed_gives_the_same_numbers():
    first, second = (
        [f.measurement for f in next(run_checks({"nesterov": CHECKS["nesterov"]}, seed=3)).outcome.findings]
        for _ in range(2)
    )
    assert first == second


def test_the_numbers_do_not_depend_on_the_workers():
    checks = {name: CHECKS[name] for name in ("nesterov", "optimal_step")}
    alone, together = (
        {record.name: record.outcome.findings for record in run_checks(checks, seed=0, workers=workers)}
        for workers in (1, 2)
    )
    assert alone == together


def test_list_and_a_real_check_from_the_command_line(tmp_path):
    listing = invoke("--list").output
    for name in CHECKS:
        assert name in listing
    options = ["--only", "nesterov", "--report", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "paper_checks", *options], capture_output=True, check=True)
    assert (tmp_path / "figures" / "nesterov.svg").stat().st_size > 0
    assert (tmp_path / "figures" / "nesterov.png").stat().st_size > 0
