"""The command line, in this process and as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Run in a folder that is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(here, capsys):
    """Run the command in this process: status, output, errors."""
    from glasscurv.cli.app import run

    def call(*arguments):
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def record(cli):
    """Run the command with --json: the object that it prints."""

    def call(*arguments):
        status, out, err = cli(*arguments, "--json", "--quiet")
        assert status == 0, err
        return json.loads(out, parse_constant=pytest.fail)

    return call


@pytest.fixture
def process(here):
    """Run the command as a process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def start(*arguments):
        command = [sys.executable, "-m", "glasscurv", *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=here,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def call(*arguments):
        running = start(*arguments)
        out, err = running.communicate(timeout=120)
        return running.returncode, out, err

    call.start = start
    return call
