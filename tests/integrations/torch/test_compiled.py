"""Models that `torch.compile` has compiled."""

import json
import os
import subprocess
import sys

import numpy as np

from tests.integrations.torch import compiled


def test_a_compiled_model_is_compiled_anew_once_at_most_and_counts_minibatches_once():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error::UserWarning", compiled.__file__]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout
    results = json.loads(printed)
    eager = results.pop("eager")
    assert eager["1.num_batches_tracked"] == compiled.STEPS
    for numbers, state in results.values():
        assert numbers[0] > 0
        assert numbers[1:] == [numbers[1]] * (compiled.STEPS - 1)
        for name, values in eager.items():
            np.testing.assert_allclose(state[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
