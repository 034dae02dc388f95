"""Alice and the estimators at home in other libraries; each module needs the library of its name."""

from types import ModuleType

from glasscurv._imports import locked_import

__all__ = ["optax", "scipy", "sklearn", "torch"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return locked_import(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
