"""The gradient of a PyTorch model as a function of one flat vector, for everything that glasscurv measures."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy

from glasscurv._interrupts import deferred_interrupts
from glasscurv._typing import FloatArray
from glasscurv._validation import function, vector
from glasscurv.integrations.torch.replay import KeptBuffers, RandomState

Loss = Callable[[Any], torch.Tensor]

ROOT = "(model)"
"""Name of the group of those parameters that belong to the model itself and not to a module in it."""

COMPILED = "_orig_mod."
"""What `torch.compile` puts before the names in a model."""

_ONE_AT_A_TIME = threading.RLock()  # a model has one set of parameters, and the program one random state
_PROCESS = os.getpid()


class GradientFunction:
    """Loss and gradient of a model at any parameters, in NumPy; the model stays as it is, bit for bit.

    Made by `gradient_function`. Called with a vector of shape (n,), it returns the gradient there.

    Parameters
    ----------
    model : torch.nn.Module
        The model; those of its parameters that require grad count.
    losses : sequence of callable
        Terms of the loss, each ``loss(model) -> scalar tensor``. They are differentiated one after another, so that the
        memory for one is enough.
    weights : sequence of float
        Factors with which the losses are added up.
    helper : object, optional
        What the losses call. If it is a module, its buffers and mode stay as they are too.

    Attributes
    ----------
    groups : dict of str to slice
        Name of every module with parameters of its own, such as ``"0"`` or ``"encoder.fc1"``, to their part of the
        vector, in order; ``"(model)"`` for those of the model itself.

    Raises
    ------
    ValueError, TypeError
        What `gradient_function` refuses.

    See Also
    --------
    gradient_function : Makes one of a single loss.
    glasscurv.estimate_curvature : Takes it for a gradient.
    glasscurv.Alice : Takes its `value_and_grad`.

    Examples
    --------
    >>> import torch
    >>> from glasscurv.integrations.torch import GradientFunction
    >>> model = torch.nn.Linear(2, 1, bias=False).double()
    >>> f = GradientFunction(model, [lambda model: (model.weight**2).sum()], [0.5])
    >>> f([3.0, -4.0]), f.value_and_grad([3.0, -4.0])[0]
    (array([ 3., -4.]), 12.5)
    """

    def __init__(
        self, model: torch.nn.Module, losses: Sequence[Loss], weights: Sequence[float], helper: object = None
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if isinstance(model, DistributedDataParallel):
            raise TypeError("model must be the module that DistributedDataParallel wraps, model.module: the wrapper "
                            "only knows gradients in .grad")  # fmt: skip
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        for name, parameter in named:
            if is_lazy(parameter):
                raise ValueError(f"model must know the shapes of its parameters: call it once, {name} has none yet")
            if parameter.is_complex():
                raise TypeError(f"model must have real parameters, got {name} of dtype {parameter.dtype}")
        if not named:
            raise ValueError("model must have parameters that require grad, got none")
        self._model = model
        self._roots = [root for root in (model, helper) if isinstance(root, torch.nn.Module)]
        self._losses = [(function(loss, "loss"), weight) for loss, weight in zip(losses, weights, strict=True)]
        self._parameters = [parameter for _, parameter in named]
        self._sizes = [parameter.numel() for parameter in self._parameters]
        self.groups = _groups([name for name, _ in named], self._sizes)
        self._random = RandomState()

    @property
    def theta(self) -> FloatArray:
        """Present parameters of the model, shape (n,): a copy, float64 if all of them are float64 and else float32."""
        flat: FloatArray = self._flat([parameter.detach() for parameter in self._parameters]).numpy()
        return flat

    def __call__(self, theta: ArrayLike) -> FloatArray:
        """Return the gradient, shape (n,), at `theta` of shape (n,)."""
        return self.value_and_grad(theta)[1]

    def value_and_grad(self, theta: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss and its gradient, as `glasscurv.Alice` and other optimizers take them.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Where to evaluate.

        Returns
        -------
        loss : float
            Weighted sum of the losses.
        gradient : ndarray of shape (n,)
            Its gradient, of the dtype of the attribute `theta`.

        Raises
        ------
        ValueError, TypeError
            `theta` has another size or is not finite, or the loss is no real scalar that depends on the parameters.
        """
        point = vector(theta, "theta", sum(self._sizes))
        if os.getpid() != _PROCESS:
            torch.set_num_threads(1)  # PyTorch's threads do not survive the fork that made this process
        with deferred_interrupts() as interrupts, _ONE_AT_A_TIME, self._undone():
            return interrupts.call(self._evaluate, point)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """Start from the first random state, and leave everything as it was."""
        random = RandomState()
        modules = [module for root in self._roots for module in root.modules()]
        modes = [(module, module.training) for module in modules]
        with torch.inference_mode(False), torch.enable_grad():
            before = [(parameter, parameter.detach().clone(), parameter.grad) for parameter in self._parameters]
            try:
                for parameter in self._parameters:
                    parameter.grad = None  # what a loss may add to a gradient goes elsewhere
                with KeptBuffers(modules):
                    self._random.restore()
                    yield
            finally:
                random.restore()
                for module, training in modes:
                    module.training = training
                for parameter, value, gradient in before:
                    # On .data: a graph that waits for its backward pass has not seen a change.
                    parameter.data.copy_(value)
                    parameter.grad = gradient
                torch.clear_autocast_cache()

    def _evaluate(self, point: FloatArray) -> tuple[float, FloatArray]:
        flat = torch.from_numpy(point.copy()).to(self._dtype).to(self._parameters[0].device)
        for parameter, part in zip(self._parameters, torch.split(flat, self._sizes), strict=True):
            parameter.data.copy_(part.view_as(parameter))
        torch.clear_autocast_cache()  # it may hold parameters in another precision
        value, total = 0.0, torch.zeros(len(point), dtype=self._dtype)
        for loss, weight in self._losses:
            found = _check_loss(loss(self._model))
            parts: Sequence[torch.Tensor | None] = torch.autograd.grad(found, self._parameters, allow_unused=True)
            if all(part is None for part in parts):
                raise _independent()
            pairs = zip(self._parameters, parts, strict=True)
            total += weight * self._flat([torch.zeros_like(known) if part is None else part for known, part in pairs])
            value += weight * found.item()
        return value, total.numpy()

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if all(known.dtype == torch.float64 for known in self._parameters) else torch.float32

    def _flat(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the entries of tensors on the host; they leave the device together."""
        device = tensors[0].device
        return torch.cat([tensor.to_dense().reshape(-1).to(device, self._dtype) for tensor in tensors]).cpu()


def gradient_function(model: torch.nn.Module, loss: Loss) -> GradientFunction:
    """Make a model's gradient a function of one flat vector, as every estimator of glasscurv takes it.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters that require grad count, in the order of ``model.named_parameters()``; shared ones count once.
    loss : callable
        Loss ``loss(model) -> scalar tensor``, such as ``lambda model: cross_entropy(model(X), y)``: a real number that
        depends on the parameters.

    Returns
    -------
    GradientFunction
        ``gradient(theta: (n,)) -> (n,)`` with the attributes ``theta``, the present parameters, and ``groups``, those
        of each module, for `glasscurv.curvature_profile`; and with ``gradient.value_and_grad(theta)``.

    Raises
    ------
    ValueError, TypeError
        Not a module, no parameters that require grad, parameters that are complex or have no shape yet, a model wrapped
        in DistributedDataParallel, or a loss that cannot be called.

    See Also
    --------
    profile : Density, Hessian and exponent of every layer in one call.
    glasscurv.estimate_curvature : Takes the function for a gradient.

    Notes
    -----
    After each evaluation, also one that fails or is interrupted, the model is what it was, bit for bit: parameters,
    their .grad, buffers (running statistics of batch normalisation), training or evaluation mode; and so are buffers
    and mode of a loss that is a module, and the state of the random generators of Python, NumPy and PyTorch. Each
    evaluation starts from the state that they had when the function was made: dropout repeats itself. Evaluations from
    several threads wait for each other.

    Parameters in half precision keep it, and movements below their spacing are lost; convert the model to float32 to
    measure it. So does TF32, which PyTorch uses for convolutions on a GPU unless
    ``torch.backends.cudnn.allow_tf32 = False``: what is measured at short lengths is then rounding. Gradients that are
    not deterministic spoil estimates too: see ``torch.use_deterministic_algorithms``.

    With ``workers=2``, a number of processes, the model must be on the CPU; where processes are not forked, model and
    loss must be picklable too: a function at the top of a module, not a lambda. A process that was forked computes with
    one thread.

    Examples
    --------
    >>> import torch, glasscurv as gc
    >>> from glasscurv.integrations.torch import gradient_function
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).double()
    >>> X, y = torch.randn(50, 4, dtype=torch.float64), torch.randint(3, (50,))
    >>> gradient = gradient_function(model, lambda model: torch.nn.functional.cross_entropy(model(X), y))
    >>> gradient.groups
    {'0': slice(0, 80, None), '2': slice(80, 131, None)}
    >>> estimate = gc.estimate_curvature(gradient, gradient.theta, length=1e-2, rng=0)
    >>> estimate.glass_density.shape, estimate.evaluations
    ((131,), 33)
    """
    return GradientFunction(model, [loss], [1.0], loss)


def _groups(names: list[str], sizes: list[int]) -> dict[str, slice]:
    """Return the part of every module; `named_parameters` gives what belongs to one module together."""
    groups: dict[str, slice] = {}
    start = 0
    for name, size in zip(names, sizes, strict=True):
        owner = name.replace(COMPILED, "").rpartition(".")[0] or ROOT
        groups[owner] = slice(groups[owner].start if owner in groups else start, start + size)
        start += size
    return groups


def _check_loss(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"loss must return a tensor, got {type(value).__name__}")
    if value.numel() != 1:
        raise ValueError(f"loss must return a scalar, got shape {tuple(value.shape)}")
    if value.is_complex():
        raise TypeError(f"loss must return a real number, got dtype {value.dtype}")
    if not value.requires_grad:
        raise _independent()
    return value


def _independent() -> ValueError:
    return ValueError("loss must depend on the parameters of the model, through operations that PyTorch differentiates")
