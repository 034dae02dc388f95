"""Where a PyTorch model is glass, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import function, integer, number
from glasscurv.curvature.exponents import increasing_lengths
from glasscurv.curvature.profile import COLUMNS, MEANINGS, UNITS, CurvatureProfile, above_rounding, curvature_profile
from glasscurv.integrations.torch.functions import GradientFunction
from glasscurv.integrations.torch.replay import RandomState

Batch = tuple[Any, Any]

WIDTH = 80
"""Characters of a line below the table."""


@dataclass(frozen=True, eq=False)
class ModelProfile(CurvatureProfile):
    """Curvature of each layer of a model: a `glasscurv.CurvatureProfile` that prints and draws itself.

    What rounding explains is nan, and a dash in the table.

    Parameters
    ----------
    groups : tuple of str
        Names of the L layers.
    parameters : int64 ndarray of shape (L,)
        Number of parameters in each.
    glass_density : ndarray of shape (L,)
        Glass density ρ̂ at `length`, mean over the layer's parameters (gradient²/length).
    hessian_abs, hessian_rms, hessian_diagonal : ndarray of shape (L,)
        Measures of the Hessian at `length`, means over the layer's parameters (gradient/length).
    glass_share : ndarray of shape (L,)
        Share of the loss's bend that is glass, in [0, 1].
    exponent, exponent_error : ndarray of shape (L,)
        Exponent of the second difference, 1 for glass and 4 for a smooth loss, and its standard error.
    verdict : tuple of str
        What the exponent says, one word for each layer.
    length : float
        Perturbation length σ.
    evaluations : int
        Gradient evaluations spent.

    See Also
    --------
    profile : Returns it.
    glasscurv.CurvatureProfile : Says more about every field.
    glasscurv.plotting.plot_profile : Draws it.

    Examples
    --------
    >>> import torch
    >>> from glasscurv.integrations.torch import profile
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(8, 3).double()
    >>> X, y = torch.randn(50, 8, dtype=torch.float64), torch.arange(50) % 3
    >>> loss = torch.nn.functional.cross_entropy
    >>> found = profile(model, (X, y), loss, length=1e-2, samples=2, rng=0, progress=False)
    >>> print(found.table().splitlines()[0])
    movements of length 0.01, 27 gradients
    >>> found.verdict
    ('smooth',)
    """

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Return the profile as text.

        Returns
        -------
        str
            One line for each layer, and below what the verdicts mean.
        """
        measures = (self.glass_density, self.hessian_abs, self.hessian_rms, self.hessian_diagonal)
        rows = [
            (
                group,
                str(self.parameters[k]),
                *(_number(values[k]) for values in measures),
                "–" if np.isnan(self.exponent[k]) else f"{self.exponent[k]:.2f} ± {self.exponent_error[k]:.2f}",
                _number(100 * self.glass_share[k]),
                self.verdict[k],
            )
            for k, group in enumerate(self.groups)
        ]
        headings = [*COLUMNS.values(), "verdict"]
        upper, lower = zip(*(("", *heading.split("\n"))[-2:] for heading in headings), strict=True)
        legend = [f"{verdict}: {meaning}" for verdict, meaning in MEANINGS.items() if verdict in self.verdict]
        first = f"movements of length {self.length:g}, {self.evaluations} gradients"
        notes = [line for note in (UNITS, *legend) for line in wrap(note, WIDTH, subsequent_indent="  ")]
        return "\n".join([first, "", *_aligned([upper, lower, *rows]), "", *notes])

    def figure(self) -> Any:
        """Draw the profile as `glasscurv.plotting.plot_profile` does.

        Returns
        -------
        matplotlib.figure.Figure
            The figure, which no window knows of.

        Raises
        ------
        ImportError
            Matplotlib is not installed.
        """
        from glasscurv.plotting import plot_profile

        return plot_profile(self)


def profile(
    model: torch.nn.Module,
    data: Batch | Iterable[Batch],
    loss: Callable[[Any, Any], torch.Tensor],
    length: float = 1e-3,
    samples: int = 16,
    lengths: Sequence[float] | None = None,
    rng: RngLike = None,
    progress: bool = True,
) -> ModelProfile:
    """Measure where a model is glass: density, Hessian and exponent of each layer. The model is not changed by a bit.

    Parameters
    ----------
    model : torch.nn.Module
        Measured as it is: in training mode with dropout, the same in every evaluation, and with the batch's own
        statistics in batch normalisation. Its layers are the modules that own parameters which require grad.
    data : pair (inputs, targets), or iterable of such pairs
        One batch, as a tuple, or several, such as a DataLoader, which is read once. Inputs and targets are tensors or
        tuples of tensors; of the latter the model gets each as an argument of its own. They are brought to the device
        of the model when they are needed.
    loss : callable
        Loss ``loss(outputs, targets) -> scalar tensor``, a mean over the batch, such as
        ``torch.nn.functional.cross_entropy`` or a module. Batches count in proportion to their number of targets.
    length : float
        Perturbation length σ > 0: the curvature is that of movements of this size of every parameter.
    samples : int
        Directions, at least 2, for the curvature and again for each length of the exponent.
    lengths : sequence of float, optional
        Lengths over which the exponent is fitted, at least two; by default five from σ/4 to 4σ.
    rng : None, int or Generator
        Source of the directions.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    ModelProfile
        ``print(profile)`` shows the table, ``profile.figure()`` draws it.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, data that are no batches, or what `gradient_function` refuses.
    NonFiniteError
        A gradient with a nan or an infinity.

    Warns
    -----
    RuntimeWarning
        Lengths at which gradients differ by no more than rounding.

    See Also
    --------
    glasscurv.curvature_profile : The same for any gradient and any groups.
    gradient_function : A model's gradient, for every other estimator.

    Notes
    -----
    Costs 3 + 2 · samples · (1 + number of lengths) gradients of the whole data, one batch at a time, which are kept
    where they are. See `glasscurv.curvature_profile` for what is measured, and `gradient_function` for what is left
    untouched and for the precision of what is computed.

    References
    ----------
    Theory, sections 1 to 3, equations (8) to (10).

    Examples
    --------
    >>> import torch, glasscurv as gc
    >>> from glasscurv.integrations.torch import profile
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)).double()
    >>> X = torch.randn(500, 8, dtype=torch.float64)
    >>> y = X[:, :3].argmax(1)
    >>> found = profile(model, (X, y), torch.nn.functional.cross_entropy, length=1e-2, rng=0, progress=False)
    >>> found.groups, found.parameters.tolist(), found.verdict[0]
    (('0', '2'), [576, 195], 'glass')
    """
    function(loss, "loss")
    number(length, "length", 0, open_low=True)
    count = 5 if lengths is None else increasing_lengths(lengths).size
    total = 3 + 2 * integer(samples, "samples", 2) * (1 + count)
    batches = _read(data)
    rows = [_rows(targets) for _, targets in batches]
    gradient = GradientFunction(
        model,
        [partial(_loss_of_batch, inputs, targets, loss) for inputs, targets in batches],
        [number / sum(rows) for number in rows],
        loss,
    )
    with tqdm(total=total, desc="profile", unit="gradient", disable=not progress) as bar:

        def counted(theta: FloatArray) -> FloatArray:
            found = gradient(theta)
            bar.update()
            return found

        theta = gradient.theta
        found = curvature_profile(counted, theta, gradient.groups, length, samples, lengths, rng=rng)
        found = above_rounding(found, counted(theta), gradient.groups)
    return ModelProfile(**vars(found) | {"evaluations": total})


def _read(data: Any) -> list[Batch]:
    """Return all batches; reading them leaves the random state as it was."""
    if isinstance(data, tuple):
        found = [data]
    elif isinstance(data, Iterable):
        random = RandomState()
        try:
            found = list(data)
        finally:
            random.restore()
    else:
        raise TypeError(f"data must be a pair (inputs, targets) or an iterable of pairs, got {type(data).__name__}")
    if not found:
        raise ValueError("data must hold at least one batch, got none")
    for batch in found:
        if not isinstance(batch, tuple | list):
            raise TypeError(f"data must hold pairs (inputs, targets), got a {type(batch).__name__}")
        if len(batch) != 2:
            raise ValueError(f"data must hold pairs (inputs, targets), got a {type(batch).__name__} of {len(batch)}")
    return [(inputs, targets) for inputs, targets in found]


def _rows(targets: Any) -> int:
    first = next(iter(targets), targets) if isinstance(targets, tuple | list) else targets
    if not isinstance(first, torch.Tensor):
        raise TypeError(f"targets must be a tensor or a tuple of tensors, got {type(first).__name__}")
    if first.ndim == 0 or len(first) == 0:
        raise ValueError(f"targets must have at least one row, got shape {tuple(first.shape)}")
    return len(first)


def _loss_of_batch(
    inputs: Any, targets: Any, loss: Callable[[Any, Any], torch.Tensor], model: torch.nn.Module
) -> torch.Tensor:
    device = next(model.parameters()).device
    arguments = _moved(inputs, device)
    outputs = model(*arguments) if isinstance(arguments, tuple) else model(arguments)
    return loss(outputs, _moved(targets, device))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_moved(part, device) for part in value)
    return value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of columns of one width each, names and verdicts to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if k in (0, last) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
