"""Two processes train as one on the joined minibatches."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.integrations.torch import ranks

SECONDS = 120

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()), reason="PyTorch without gloo"
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The parameters after every step of all cases, by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, ranks.__file__]
    processes = [
        subprocess.Popen([*command, str(rank), str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(ranks.WORLD)
    ]
    try:
        errors = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [dict(np.load(Path(folder) / f"rank{rank}.npz")) for rank in range(ranks.WORLD)]


@pytest.mark.parametrize("case", ranks.CASES)
def test_two_processes_train_as_one_on_the_joined_minibatches(case, paths):
    first, second = (path[case] for path in paths)
    assert first.tobytes() == second.tobytes()
    alone = ranks.train(case)
    assert (alone[1:] != alone[:-1]).any(axis=1).sum() == ranks.STEPS - 2  # the others warm up
    np.testing.assert_allclose(first, alone, rtol=0, atol=1e-10)
