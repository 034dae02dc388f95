"""What to say where the library of an integration is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(extra: str, *libraries: str) -> Iterator[None]:
    """Import libraries in this context: if one of them is missing, the error says in one line what to install.

    Parameters
    ----------
    extra : str
        The extra of glasscurv that brings the libraries.
    *libraries : str
        Top-level names of the modules.

    Raises
    ------
    ImportError
        A library is not installed. Other failures of its import are passed on.

    Examples
    --------
    >>> with needed("torch", "torch_of_nowhere"):
    ...     import torch_of_nowhere
    Traceback (most recent call last):
    ImportError: this integration needs torch_of_nowhere: pip install 'glasscurv[torch]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in libraries:
            raise
        message = f"this integration needs {error.name}: pip install 'glasscurv[{extra}]'"
        raise ImportError(message, name=error.name) from None
