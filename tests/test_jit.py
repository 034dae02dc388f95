"""Machine code: compiled once, kept on disk, loaded in a later process."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from glasscurv import _jit

ROOT = Path(__file__).parents[1]
LOOPS = """
import numpy as np
from glasscurv._jit import jit

@jit
def scaled(x):
    return FACTOR * x

@jit
def scaled_copy(values):
    copy = np.empty_like(values)
    for i in range(values.size):
        copy[i] = scaled(values[i])
    return copy
"""
RUN = """
import sys
import numpy as np
from loops import scaled_copy

result = scaled_copy(np.array([1.0, -2.0])).tolist()
print(result, sum(scaled_copy.stats.cache_hits.values()), "numba.np.arraymath" in sys.modules)
"""


@pytest.fixture
def run(tmp_path):
    """Run the loops with some factor in a fresh process, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path)])

    def call(factor):
        file, text = tmp_path / "loops.py", LOOPS.replace("FACTOR", factor)
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
        process = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        return process.stdout.strip()

    return call


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_machine_code_is_loaded_without_the_compiler_and_compiled_anew_when_its_file_changes(run):
    assert run("2.0") == "[2.0, -4.0] 0 True"
    compiler = numba.version_info.short > _jit.TRIED
    assert run("2.0") == f"[2.0, -4.0] 1 {compiler}"
    assert run("0.25") == "[0.25, -0.5] 0 True"


def test_later_versions_of_numba_load_in_their_own_way(monkeypatch):
    def double(x):
        return 2 * x

    monkeypatch.setattr(_jit, "TRIED", (0, 0))
    assert _jit.jit(double)(3) == 6
    if not numba.config.DISABLE_JIT:
        assert "load_overload" not in vars(_jit.jit(double)._cache)


def test_loops_compile_without_a_folder_for_machine_code(monkeypatch):
    from numba.core.dispatcher import Dispatcher

    def refuse(self):
        raise RuntimeError("cannot cache function: no locator available")

    def double(x):
        return 2 * x

    monkeypatch.setattr(Dispatcher, "enable_caching", refuse)
    assert _jit.jit(double)(3) == 6
