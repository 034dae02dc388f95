"""Adam."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from glasscurv._typing import ValueAndGrad
from glasscurv._validation import number
from glasscurv.core import optimizers as core
from glasscurv.optimizers.base import Optimizer


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015).

    Parameters
    ----------
    theta0 : (n,) array_like
        Initial parameters, copied.
    lr : float
        Learning rate ≥ 0 (length).
    betas : (float, float)
        Averaging weights of the gradient and of its square, in [0, 1).
    eps : float
        Added to the root of the second moment, > 0.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[1.0, 0.0], [0.0, 4.0]])
    >>> optimizer = gc.Adam([1.0, 1.0], lr=0.1)
    >>> losses = [optimizer.step(problem.value_and_grad) for _ in range(200)]
    >>> bool(losses[-1] < 1e-3)
    True
    """

    def __init__(
        self,
        theta0: ArrayLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(theta0, lr)
        self.betas = check_betas(betas)
        self.eps = number(eps, "eps", 0, open_low=True)
        for name in ("gradient", "second_moment"):
            self._arrays[name] = self._zeros()
        self._gradient = self._zeros()

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        arrays = self._arrays
        loss = self._evaluate(value_and_grad, arrays["theta"], self._gradient)
        self._check_square(self._gradient)
        core.adam_update(
            self._gradient,
            arrays["theta"],
            arrays["gradient"],
            arrays["second_moment"],
            self.steps + 1,
            self.lr,
            *self.betas,
            self.eps,
        )
        return loss


def check_betas(betas: tuple[float, float]) -> tuple[float, float]:
    """Return two averaging weights in [0, 1)."""
    if not isinstance(betas, Sequence):
        raise TypeError(f"betas must be two numbers in [0, 1), got {type(betas).__name__}")
    if len(betas) != 2:
        raise ValueError(f"betas must be two numbers in [0, 1), got {betas!r}")
    return (
        number(betas[0], "betas[0]", 0, 1, open_high=True),
        number(betas[1], "betas[1]", 0, 1, open_high=True),
    )
