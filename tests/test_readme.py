"""Every example of the README runs."""

import re
import shlex
from pathlib import Path

import numba
import numpy as np
import pytest

import glasscurv as gc

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(example):
    namespace = {}
    exec(compile(example, "README.md", "exec"), namespace)
    return namespace


def test_measuring_finds_the_glass_and_the_hessian_of_the_readers_function(capsys):
    namespace = run(EXAMPLES[0])
    estimate = namespace["estimate"]
    # Glass noise of one coordinate: sqrt(ρ/(2σ)/M) = 4.8.
    assert abs(estimate.hessian_diagonal - 30).max() < 30
    # K/(2B) ς² E|a·z| = 5000/16 · 0.09 · 7.98; 100 coordinates with a relative spread of about 0.9.
    assert abs(estimate.glass_density.mean() / 225 - 1) < 0.5
    assert estimate.dense
    # K/(2B) ς² E|a·u|³ = 5000/16 · 0.09 · 1.596, and 94 boundaries of kurtosis 6.
    low, high = namespace["along"].interval(0.95)
    assert low < 44.9 < high
    printed = capsys.readouterr().out
    assert "glass at every length, up to the longest tried, 1;" in printed


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
def test_the_dask_line_gives_the_same_estimate():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        namespace = run(EXAMPLES[0] + EXAMPLES[1].replace("tcp://scheduler:8786", cluster.scheduler_address))
        namespace["client"].close()
    expected = gc.estimate_curvature(namespace["gradient"], np.zeros(100), length=0.3, rng=2)
    np.testing.assert_array_equal(namespace["estimate"].glass_density, expected.glass_density)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_alice_trains(capsys):
    namespace = run(EXAMPLES[2])
    assert namespace["history"].validation_accuracy[-1] > 0.96
    assert "validation accuracy 0.9" in capsys.readouterr().out


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_a_network_is_pruned_tuned_and_rounded(capsys):
    namespace = run(EXAMPLES[3])
    trained, pruned, tuned, rounded = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()[-4:])
    assert pruned < tuned
    assert min(tuned, rounded) > trained - 0.04
    weights = np.concatenate([namespace["small"].theta[part] for part in namespace["weights"].values()])
    assert np.mean(weights == 0) >= 0.8
    assert namespace["allocation"].size <= 5 * 8832


def test_a_torch_model_is_trained_and_measured(capsys):
    pytest.importorskip("torch")
    losses = run(EXAMPLES[4])["losses"]
    assert losses[-1] < losses[0] / 3
    printed = capsys.readouterr().out
    assert printed.startswith("loss 2.")
    assert "glass: the gradient jumps at boundaries" in printed


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_commands_run_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    from glasscurv.cli.app import run as command

    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ glasscurv (.*)$", README, re.MULTILINE)
    printed = []
    for line in lines:
        assert command([*shlex.split(line), "--quiet"]) == 0
        printed.append(capsys.readouterr().out)
    assert [line.split()[0] for line in lines] == ["train", "profile", "compress", "compare"]
    assert "validation accuracy  9" in printed[0]
    assert re.search(r"layer1: glass, exponent (0\.9|1\.)", printed[1])
    assert re.search(r"together +8832 +20\.0 +4 ", printed[2])
    assert "3 of 3" in printed[3]
    assert {"curves.png", "profile.png", "run.ckpt", "small.ckpt"} <= {file.name for file in tmp_path.iterdir()}


def test_there_is_no_example_without_a_test():
    assert len(EXAMPLES) == 5


def test_each_command_is_one_line_that_makes_its_own_environment():
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
