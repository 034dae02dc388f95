"""The harness of the benchmarks, with clocks that are made up: nothing is timed here."""

import gc as collector
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import glasscurv as gc
from benchmarks import __main__ as command
from benchmarks import estimates, measure, memory, networks, processes, report, torch_steps, updates
from benchmarks.measure import Measurement, NotMeasured
from benchmarks.row import QUICK, Row, Scale
from benchmarks.rows import ROWS

TINY = Scale(parameters=1000, sizes=(100, 1000), samples=2, growth=2, repetitions=7)
BY_NAME = {row.name: row for row in ROWS}


def clocks(**seconds):
    """Clocks that give what is listed, and the order in which they ran."""
    ran = []

    def side(name, times):
        def run():
            ran.append(name)
            return next(times)

        return run

    return {name: side(name, iter(times)) for name, times in seconds.items()}, ran


def test_sides_run_alternately_and_the_order_swaps():
    sides, ran = clocks(a=[1.0] * 7, b=[1.0] * 7, c=[1.0] * 7)
    measure.alternate(sides, measure.growth, 7)
    assert "".join(ran) == "abccbaabccbaabccbaabc"


def test_value_is_the_median_over_repetitions_with_its_range():
    sides, _ = clocks(subject=[3.0, 8.0, 1.0, 5.0, 6.0, 2.0, 90.0], reference=[1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 9.0])
    found = measure.alternate(sides, measure.ratio, 7)
    assert (found.value, found.low, found.high, found.repetitions) == (3.0, 1.0, 10.0, 7)
    assert found.seconds == {"subject": 5.0, "reference": 1.0}


def test_growth_is_from_the_least_to_the_greatest():
    assert measure.growth(2.0, 1.0, 3.0) == 3.0


def test_few_repetitions_are_refused():
    with pytest.raises(ValueError, match="repetitions must be ≥ 7, got 6"):
        measure.alternate({"a": lambda: 1.0}, float, 6)
    assert min(QUICK.repetitions, Scale().repetitions) >= 7


class Time:
    """The time module with a clock that only functions under test move."""

    def __init__(self):
        self.now, self.slept = 0.0, 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.slept += seconds


@pytest.fixture
def fake_time(monkeypatch):
    fake = Time()
    monkeypatch.setattr(measure, "time", fake)
    return fake


def test_clock_repeats_a_short_function_and_wakes_its_threads_first(fake_time):
    calls = []

    def function():
        calls.append(collector.isenabled())
        fake_time.now += 0.006 if len(calls) > 1 else 5.0  # the first one compiles

    run = measure.clock(function)
    before = len(calls)
    assert run() == pytest.approx(0.006)
    assert len(calls) - before == 1 + 4  # four of them fill 0.02 s
    assert fake_time.slept == measure.PAUSE
    assert calls[-5:] == [True, False, False, False, False]
    assert collector.isenabled()


def test_clock_of_single_calls_leaves_out_what_comes_between(fake_time):
    order = []

    def step(name, seconds):
        order.append(name)
        fake_time.now += seconds

    run = measure.clock_between(lambda: step("step", 0.25), lambda: step("other", 3.0), calls=2)
    assert run() == 0.25
    assert order == ["step", "other", "step", "other", "step"]


def test_scaled_clock_counts_more_work():
    assert measure.scaled(lambda: 0.5, 6.0)() == 3.0


def test_collector_is_on_again_after_an_error(fake_time):
    def broken():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        measure._seconds(broken, 1)
    assert collector.isenabled()


def test_targets_are_reached_from_the_right_side():
    row = Row("x", "x", "", 1.25, lambda scale: None)
    assert row.met(1.25)
    assert not row.met(1.26)
    assert not row.met(math.nan)
    assert replace(row, at_least=True).met(1.26)
    assert not replace(row, at_least=True).met(1.24)


def test_every_promise_is_a_row():
    promised = {
        "alice-quick-f32": 1.25, "alice-quick-f64": 1.25, "alice-quick-adam": 1.5, "alice-full-f32": 1.4,
        "alice-full-f64": 1.4, "mlp-64": 0.45, "mlp-256": 0.6, "mlp-1024": 0.85, "mlp-1024-large-batch": 1.0,
        "mlp-arithmetic": 80, "estimate": 5, "crossings": 1e5, "crossings-batch": 1.5, "crossings-distance": 1.5,
        "quasi-newton-f32": 1.3, "quasi-newton-f64": 1.3, "joint": 12, "sizes": 1.3, "import": 60, "first-step": 0.5,
        "memory-alice": 0.05, "memory-estimate": 8.05, "torch-alice-quick": 3,
    }  # fmt: skip
    assert len(BY_NAME) == len(ROWS)
    assert promised.items() <= {name: row.target for name, row in BY_NAME.items()}.items()
    assert {row.name for row in ROWS if row.at_least} == {"mlp-arithmetic", "crossings"}


@pytest.fixture
def one_second(monkeypatch):
    """Every side runs once, and takes one second by its clock."""

    def clock(function, *_):
        function()
        return lambda: 1.0

    def process_clock(code):
        exec(compile(code, "<process>", "exec"), {})
        return lambda: 1.0

    for module in (updates, networks, estimates, torch_steps):
        monkeypatch.setattr(module, "clock", clock)
    monkeypatch.setattr(updates, "clock_between", clock)
    monkeypatch.setattr(processes, "process_clock", process_clock)
    monkeypatch.setattr(memory, "PARAMETERS", 1000)
    monkeypatch.setattr(updates, "CACHE", 8)


EXPECTED = {
    # Arrays: the triad moves 4. Update: 7 read, 4 of them written. Step: one more to check the gradient.
    "alice-quick-f32": 4 / 11,
    "alice-quick-step-f64": 4 / 12,
    # Two points of 2 read and 1 written afresh, the curvature of 5 read and 2 of them written, the update.
    "alice-full-f64": 4 / (2 * 4 + 7 + 11),
    # A direction written afresh, two copies of a gradient, and a check.
    "alice-full-step-f32": 4 / (26 + 2 + 2 * 3 + 1),
    "quasi-newton-f32": 4 / 5,
    "quasi-newton-new-f64": 4 / 5,
    "joint": 1.0,
    "sizes": 10.0,
    "sizes-cold": 10.0,
    # Products of 2bio operations: three a layer, the first layer two; one second against one second.
    "mlp-arithmetic": 100 * (2 * 1024 * (2 * 784 * 1024 + 3 * 1024 * 1024 + 3 * 1024 * 10)) / (2 * 1024**3),
    "estimate-f32": 100 * (1 / 5 - 1),
    "import": 0.0,
    "import-alice": 0.0,
    "first-step": 1.0,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_rows_compare_equal_times_by_the_work_of_their_sides(name, one_second):
    found = BY_NAME[name].measure(TINY)
    assert found.value == found.low == found.high == pytest.approx(EXPECTED[name])
    assert found.repetitions == 7


def test_crossings_are_counted(one_second, monkeypatch):
    monkeypatch.setattr(networks, "TRACED", (4, 8, 8, 3))
    trace, count = networks.crossings_of(networks.TRACED_BATCH, networks.TRACED_DISTANCE)
    assert count == len(trace()) > 0
    assert BY_NAME["crossings"].measure(TINY).value == count
    assert BY_NAME["crossings-batch"].measure(TINY).value > 1
    assert BY_NAME["crossings-distance"].measure(TINY).value > 1
    few, many = networks.batches(100)
    assert (many[0] / few[0], many[1] / few[1]) == (100, 1)
    few, many = networks.distances(100)
    assert (many[0] / few[0], many[1] / few[1]) == (1, pytest.approx(100))


def test_the_loops_alone_are_those_of_the_step():
    for loops, step, evaluations in (
        (updates.quick_loop, updates.quick_step, 1),
        (updates.full_loops, updates.full_step, 3),
    ):
        whole = step(np.float32, 1000)
        optimizer = whole.func.__self__
        before, spent = optimizer.theta, optimizer.evaluations
        whole()
        assert optimizer.evaluations == spent + evaluations
        assert (optimizer.theta != before).any()
        assert all(array.dtype == np.float32 and array.any() for array in optimizer.state.values())
        assert loops(np.float32, 1000)() is None


def test_quick_loop_moves_as_the_quick_step_does():
    alone = updates.quick_loop(np.float64, 1000)
    whole = updates.quick_step(np.float64, 1000)
    by_loop, by_step = alone.func.__self__, whole.func.__self__
    gradient = alone.args[0]
    by_loop._move(gradient, by_loop.steps + 1)
    by_step.step(lambda theta: (1.0, gradient))
    np.testing.assert_array_equal(by_loop.theta, by_step.theta)


def test_sizes_shrink_or_are_left_out_where_memory_is_short(one_second, monkeypatch):
    monkeypatch.setattr(updates, "available_memory", lambda: 2 * 12 * 4 * 500.0)
    found = BY_NAME["sizes"].measure(TINY)
    assert list(found.seconds) == ["1e2", "3e2"]
    assert "too few for 1e+03 parameters" in found.note
    monkeypatch.setattr(updates, "available_memory", lambda: 100.0)
    with pytest.raises(NotMeasured, match=r"0\.0 GB of memory are too few"):
        BY_NAME["sizes"].measure(TINY)


def test_memory_is_infinite_where_the_system_does_not_say(monkeypatch):
    assert updates.available_memory() > 0
    monkeypatch.setattr(updates.os, "sysconf", lambda name: int("no such name"))
    assert updates.available_memory() == math.inf


def test_peaks_count_what_was_freed_again():
    def function():
        np.ones(100_000)
        return np.ones(50_000)

    assert memory.peak_bytes(function) == pytest.approx(800_000, rel=0.01)


@pytest.mark.parametrize("name", ["memory-alice", "memory-sgd", "memory-adam", "memory-adahessian", "memory-estimate"])
def test_memory_is_measured_in_vectors(name, one_second):
    found = BY_NAME[name].measure(TINY)
    assert 0 < found.low <= found.value <= found.high < 100
    assert found.seconds == {}


def test_torch_compares_the_same_network(one_second):
    pytest.importorskip("torch")
    assert BY_NAME["mlp-64"].measure(TINY).seconds == {"MLP": 1.0, "PyTorch": 1.0}
    found = BY_NAME["alice-quick-adam"].measure(TINY)
    assert found.value == 1.0
    assert set(found.seconds.values()) == {1 / 1000}


def test_steps_for_torch_compare_a_step_with_a_step(one_second, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch_steps, "LAYERS", 3)
    assert BY_NAME["torch-alice-quick"].measure(TINY).seconds == {"Alice": 1.0, "Adam": 1.0}
    for quick_steps, evaluations in ((torch_steps.NEVER, 4), (torch_steps.CYCLE - 1, 6)):
        step = torch_steps.alice(torch, 1000, "cpu", quick_steps)
        optimizer = step.func.__self__
        assert optimizer.steps == torch_steps.WARM_UP
        assert not any(optimizer.is_full_step(k) for k in (3, 5, 6, 7))
        assert all(tensor.any() for state in optimizer.state.values() for tensor in state.values())
        before, spent = [known.clone() for known in optimizer.param_groups[0]["params"]], optimizer.evaluations
        for _ in range(torch_steps.CYCLE):
            step()
        assert optimizer.evaluations - spent == evaluations
        after = optimizer.param_groups[0]["params"]
        assert all((one != other).any() for one, other in zip(before, after, strict=True))
        assert len(after) == 6


def test_steps_on_a_gpu_are_measured_where_there_is_one(one_second, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotMeasured, match="no GPU that PyTorch can use"):
        BY_NAME["torch-alice-gpu"].measure(TINY)


def test_rows_say_that_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("mlp-64", "alice-quick-adam", "alice-quick-step-adam", "torch-alice-quick", "torch-alice-gpu"):
        result = command.measured(BY_NAME[name], TINY)
        assert result.found is None
        assert "PyTorch is missing: pip install '.[torch]'" in result.reason
    console = Console(width=100, record=True)
    console.print(report.table([result], TINY, report.machine()))
    assert "not measured: PyTorch is missing" in console.export_text()
    (row,) = report.record([result], TINY, report.machine())["rows"]
    assert row["met"] is None
    assert "value" not in row


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.2345, "", "1.23"),
        (80, "%", "80 %"),
        (1e5, "/s", "1e5 /s"),
        (19609.4, "/s", "19609 /s"),
        (-435.2, "ms", "-435 ms"),
        (0.003, "n", "0.003 n"),
    ],
)
def test_values_have_three_digits_and_a_unit(value, unit, expected):
    assert report.shown(value, unit) == expected


def test_durations_have_a_unit_that_suits_them():
    assert [report.duration(t) for t in (2.5, 0.0125, 3e-5, 7.2e-10)] == ["2.5 s", "12.5 ms", "30 µs", "0.72 ns"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command on two rows: one that reaches its target, and one that does not."""

    def two(scale):
        return Measurement(2.0, 1.5, 2.5, scale.repetitions, {"time": 0.004, "floor": 0.002}, "a note")

    rows = (Row("near", "a loop", "its floor", 3.0, two), Row("far", "a rate", "", 3.0, two, "/s", at_least=True))
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    application = command.typer.Typer()
    application.command()(command.main)
    return lambda *arguments: CliRunner().invoke(application, arguments)


def test_command_prints_one_table_and_writes_the_numbers(run, tmp_path):
    done = run("--json", "numbers.json")
    assert done.exit_code == 0, done.output
    near, far = (next(line for line in done.stdout.splitlines() if name in line.split()) for name in ("near", "far"))
    assert near.split() == ["near", "≤", "3", "2", "1.5", "…", "2.5", "yes"]
    assert far.split() == ["far", "≥", "3", "/s", "2", "/s", "1.5", "…", "2.5", "NO"]
    assert "a loop / its floor" in done.stdout
    assert "time 4 ms, floor 2 ms, a note" in done.stdout
    numbers = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert set(numbers) == {"versions", "machine", "scale", "rows"}
    assert set(numbers["versions"]) == {"python", "glasscurv", "numpy", "scipy", "numba", "torch"}
    assert set(numbers["machine"]) == {"platform", "processor", "cores", "threads", "load", "blas"}
    assert numbers["scale"]["parameters"] == 10**7
    assert numbers["rows"][1] == {
        "name": "far", "subject": "a rate", "reference": "", "unit": "/s", "target": 3.0, "at_least": True,
        "met": False, "reason": "", "value": 2.0, "low": 1.5, "high": 2.5, "repetitions": Scale().repetitions,
        "seconds": {"time": 0.004, "floor": 0.002}, "note": "a note",
    }  # fmt: skip


def test_command_measures_the_chosen_rows_at_the_chosen_scale(run, tmp_path):
    done = run("--only", "far", "--quick")
    assert done.exit_code == 0, done.output
    assert "near" not in done.output
    numbers = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in numbers["rows"]] == ["far"]
    assert numbers["scale"]["parameters"] == QUICK.parameters


def test_command_lists_rows_and_targets_without_measuring(run, tmp_path):
    done = run("--list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if "≤" in line or "≥" in line] == ["near", "far"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nowhere"], "no row is named nowhere; --list names them"),
        (["--json", "missing/numbers.json"], "there is no folder missing"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(run, arguments, message, tmp_path):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert not list(tmp_path.iterdir())


def test_help_teaches(run):
    text = " ".join(run("--help").output.split())
    for part in ("limits of the machine", "median", "OMP_NUM_THREADS", "Exits with 0", "--quick"):
        assert part in text


def test_versions_of_what_is_missing_are_none(monkeypatch):
    monkeypatch.setattr(report, "PACKAGES", ("glasscurv", "no-such-package"))
    versions = report.record([], TINY, report.machine())["versions"]
    assert versions["glasscurv"] == gc.__version__
    assert versions["no-such-package"] is None
