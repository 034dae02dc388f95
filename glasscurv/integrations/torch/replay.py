"""What is the same in every evaluation of one closure: random numbers and buffers."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

ACCELERATORS = ("cuda", "xpu", "mps")


class RandomState:
    """The present state of every generator that a closure may draw from: Python's, NumPy's, PyTorch's on every device.

    Nothing waits for a device: the states of PyTorch's generators are kept on the host.

    Examples
    --------
    >>> import torch
    >>> state = RandomState()
    >>> first = torch.rand(3)
    >>> state.restore()
    >>> torch.equal(torch.rand(3), first)
    True
    """

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (what closures use)
        self._cpu = torch.get_rng_state()
        self._devices = [
            (kind, device, getattr(torch, kind).get_rng_state(*device))
            for kind in ACCELERATORS
            if _in_use(kind)
            for device in _devices(kind)
        ]

    def restore(self) -> None:
        """Set every generator back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._cpu)
        for kind, device, state in self._devices:
            getattr(torch, kind).set_rng_state(state, *device)


class KeptBuffers:
    """A context that leaves the buffers of modules as they were.

    So batch normalisation may see several evaluations of a minibatch and count one.

    Parameters
    ----------
    modules : iterable of Module, optional
        Modules whose own buffers are kept. By default those of every module that is called in the context: a hook sees
        every call. It costs time, and a compiled model is compiled anew for it, so it is for finding modules, not for
        every step.
    after_errors : bool
        Whether they are set back only if an exception leaves the context.

    Attributes
    ----------
    modules : list of Module
        Those with buffers among the modules given, or called so far.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.BatchNorm1d(2)
    >>> with KeptBuffers():
    ...     _ = layer(torch.randn(8, 2))
    >>> layer.running_mean.tolist(), int(layer.num_batches_tracked)
    ([0.0, 0.0], 0)
    """

    def __init__(self, modules: Iterable[torch.nn.Module] | None = None, after_errors: bool = False) -> None:
        self._given, self._after_errors = modules, after_errors

    def __enter__(self) -> Self:
        self.modules: list[torch.nn.Module] = []
        self._saved: dict[tuple[int, str], tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = {}
        if self._given is None:
            self._hook = register_module_forward_pre_hook(self._save)
            self._filters = warnings.catch_warnings()
            self._filters.__enter__()
            warnings.filterwarnings("ignore", "Using `torch.compile\\(module\\)` when there are global hooks")
        for module in self._given or ():
            self._save(module)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._given is None:
            self._filters.__exit__(kind, error, traceback)
            self._hook.remove()
        if not self._after_errors or kind is not None:
            self.restore()

    def restore(self) -> None:
        """Set the buffers back, for another evaluation within the context."""
        with torch.no_grad():
            for (_, name), (module, buffer, before) in self._saved.items():
                module._buffers[name] = buffer.copy_(before)

    def _save(self, module: torch.nn.Module, inputs: Any = None) -> None:
        if module._buffers:
            self.modules.append(module)
        for name, buffer in module._buffers.items():
            if buffer is not None and (id(module), name) not in self._saved:
                self._saved[id(module), name] = module, buffer, buffer.detach().clone()


def _in_use(kind: str) -> bool:
    """Tell whether a kind of device is in use; asking one that is not in use for its state would start it."""
    initialized = getattr(getattr(torch, kind, None), "is_initialized", None)
    if initialized is None:  # torch.mps has none: its one device is there or not
        return kind == "mps" and torch.backends.mps.is_available()
    return bool(initialized())


def _devices(kind: str) -> list[tuple[int, ...]]:
    """Return the devices of a kind, as arguments; the only one of a kind is the default."""
    return [()] if kind == "mps" else [(index,) for index in range(getattr(torch, kind).device_count())]
