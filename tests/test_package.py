"""The package as a whole: names, types, imports."""

import os
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import glasscurv as gc

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_public_names_exist_and_are_documented():
    for name in gc.__all__:
        value = getattr(gc, name)
        if callable(value):
            assert value.__doc__, name
            assert "Examples" in value.__doc__ or "Attributes" in value.__doc__ or issubclass(value, Exception), name


def test_version_is_the_same_everywhere():
    assert gc.__version__ == PROJECT["version"]
    assert f"version: {gc.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {gc.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_says_that_it_is_typed():
    assert files("glasscurv").joinpath("py.typed").is_file()


def fresh(code, **environment):
    """Return what the code prints in a fresh process; where it fails, so does the test."""
    environment = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"} | environment
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


LOADED = "; print(*sorted(name for name in sys.modules if '.' not in name or name.startswith(('glasscurv', 'scipy'))))"
OPTIONAL = {"matplotlib", "sklearn", "torch", "jax", "optax", "rich", "typer", "pandas"}


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("", {"numpy", "scipy", "numba", "tqdm", "glasscurv.core", *OPTIONAL}),
        ("gc.GLASS_STEP_COEFFICIENT", {"numpy", "scipy", "numba"}),
        ("gc.Alice", {"scipy.special", "scipy.linalg", "scipy.optimize", "tqdm", "glasscurv.curvature", *OPTIONAL}),
        ("gc.glass_kernel", {"scipy.special", "scipy.linalg", "numba"}),
        ("gc.integrations, dir(gc.integrations)", {"numpy", "scipy", *OPTIONAL}),
        ("gc.train", {"scipy.optimize", "scipy.stats", "glasscurv.comparison", *OPTIONAL}),
        ("import glasscurv.cli.app", {"scipy", "numba", "tqdm", "glasscurv.core", "matplotlib", "sklearn"}),  # --help
    ],
)
def test_a_use_loads_what_it_needs_and_nothing_heavy_besides(use, absent):
    loaded = set(fresh(f"import sys, glasscurv as gc; {use or 'gc'}{LOADED}").split())
    assert "glasscurv" in loaded
    assert not loaded & absent


def test_everything_loads_at_once_on_request_and_is_the_same_as_one_by_one():
    """The imports that type checkers and EAGER_IMPORT see, against the table that is used otherwise."""
    code = "import glasscurv as gc; print(*((n, getattr(vars(gc)[n], '__module__', '')) for n in gc.__all__))"
    one_by_one = ((name, getattr(getattr(gc, name), "__module__", "")) for name in gc.__all__)
    assert fresh(code, EAGER_IMPORT="1") == " ".join(map(str, one_by_one))
    assert fresh("import sys, glasscurv; print('numpy' in sys.modules)", EAGER_IMPORT="") == "False"


def test_public_names_are_listed_and_a_star_imports_them():
    assert set(gc.__all__) | {"networks", "training", "core", "__version__"} <= set(dir(gc))
    namespace = {}
    exec("from glasscurv import *", namespace)
    assert {name: getattr(gc, name) for name in gc.__all__}.items() <= namespace.items()


def test_modules_are_attributes_without_an_import_of_their_own():
    used = "gc.training.Snapshots, gc.integrations.scipy.minimize_alice, gc.schedules.cosine, gc.core, gc.curvature"
    assert fresh(f"import glasscurv as gc; print(len(({used})))") == "5"


def test_an_unknown_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match=r"^module 'glasscurv' has no attribute 'Alicia'$") as caught:
        _ = gc.Alicia
    assert (caught.value.name, caught.value.obj) == ("Alicia", gc)
    with pytest.raises(ImportError, match="cannot import name 'Alicia' from 'glasscurv'"):
        exec("from glasscurv import Alicia")


def test_names_are_safe_to_use_from_several_threads_at_once():
    code = """
import threading, glasscurv as gc
names, found = sorted(gc.__all__), []
barrier = threading.Barrier(4)
def use(order):
    barrier.wait()
    found.append([getattr(gc, name) for name in order][:: 1 if order is names else -1])
threads = [threading.Thread(target=use, args=(order,)) for order in (names, names[::-1], names, names[::-1])]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), all(a is b for other in found for a, b in zip(other, found[0], strict=True)))
"""
    assert fresh(code) == "4 True"


def test_no_module_looks_a_name_up_in_the_package_while_it_is_imported():
    """A thread that imports one of them never waits for the lock of one that looks up a name, so that neither hangs."""
    code = """
from importlib import import_module
from glasscurv import _NAMES, _imports
_imports._lock = None  # what looks a name up fails
modules = [*_NAMES, "integrations.sklearn", "integrations.torch"]
print([import_module(f"glasscurv.{name}").__name__ for name in modules][-1])
"""
    assert fresh(code) == "glasscurv.integrations.torch"


def test_a_thread_may_begin_when_the_main_program_has_ended():
    code = """
import threading, glasscurv as gc
def use():
    threading.main_thread().join()
    print(gc.estimate_curvature(lambda theta: theta, [1.0], rng=0).evaluations, gc.Alice([1.0]).steps)
threading.Thread(target=use).start()
"""
    assert fresh(code) == "33 0"


def test_extras_are_those_that_the_errors_and_the_readme_name():
    extras = PROJECT["optional-dependencies"]
    assert {"cli", "plot", "data", "checkpoint", "torch", "jax", "sklearn", "checks", "test", "docs"} <= set(extras)
