"""What an integration says where its library is missing."""

import sys
from importlib import import_module

import pytest

import glasscurv.integrations
from glasscurv.integrations._extras import needed


@pytest.mark.parametrize(
    ("integration", "library", "extra"),
    [("torch", "torch", "torch"), ("optax", "jax", "jax"), ("sklearn", "sklearn", "sklearn")],
)
def test_a_missing_library_is_named_in_one_line_with_what_to_install(monkeypatch, integration, library, extra):
    module = f"glasscurv.integrations.{integration}"
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)  # as Python marks what cannot be imported
    with pytest.raises(
        ImportError, match=rf"^this integration needs {library}: pip install 'glasscurv\[{extra}\]'$"
    ) as caught:
        import_module(module)
    assert caught.value.name == library


def test_other_failures_of_an_import_are_passed_on():
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"), needed("torch", "torch"):
        import_module("no_such_dependency")


def test_integrations_are_attributes_and_nothing_else_is():
    assert {"optax", "scipy", "sklearn", "torch"} <= set(dir(glasscurv.integrations))
    with pytest.raises(AttributeError, match=r"^module 'glasscurv.integrations' has no attribute 'keras'$"):
        _ = glasscurv.integrations.keras
