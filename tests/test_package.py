"""The package as a whole: names, types, imports."""

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


@pytest.mark.parametrize("module", ["matplotlib", "sklearn", "torch", "jax", "rich", "typer", "pandas"])
def test_import_does_not_bring_optional_packages(module):
    code = f"import sys, glasscurv; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_extras_are_those_that_the_errors_and_the_readme_name():
    extras = PROJECT["optional-dependencies"]
    assert {"cli", "plot", "data", "checkpoint", "torch", "jax", "checks", "test", "docs"} <= set(extras)


def test_loops_compile_without_a_folder_for_machine_code(monkeypatch):
    import numba

    from glasscurv import _jit

    def refuse(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", refuse)

    def double(x):
        return 2 * x

    assert _jit.jit(double)(3) == 6
