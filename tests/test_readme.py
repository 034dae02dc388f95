"""Every example of the README runs."""

import re
from pathlib import Path

import numba
import pytest

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
    # Glass noise of one coordinate: sqrt(ρ/(2σ)/M) = 2.4.
    assert abs(estimate.hessian_diagonal - 30).max() < 15
    # K/(2B) ς² E|a·z| = 5000/16 · 0.09 · 7.98; 100 coordinates with a relative spread of about 0.9.
    assert abs(estimate.glass_density.mean() / 225 - 1) < 0.5
    assert capsys.readouterr().out


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_alice_trains(capsys):
    namespace = run(EXAMPLES[1])
    assert namespace["history"].validation_accuracy[-1] > 0.96
    assert "validation accuracy 0.9" in capsys.readouterr().out


def test_there_is_no_example_without_a_test():
    assert len(EXAMPLES) == 2


def test_each_command_is_one_line_that_makes_its_own_environment():
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
