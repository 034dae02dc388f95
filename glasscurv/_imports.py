"""Modules that are imported on first use, by one thread at a time.

NumPy's import fails, for the whole process, where several threads enter its modules at different places.
"""

from importlib import import_module
from threading import RLock
from types import ModuleType

_lock = RLock()


def locked_import(name: str) -> ModuleType:
    """Import a module of the package.

    No module may call this while it is imported: a thread that holds the lock would wait for one that wants it.
    """
    with _lock:
        return import_module(name)
