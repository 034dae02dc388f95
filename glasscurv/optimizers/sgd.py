"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import ValueAndGrad
from glasscurv._validation import number
from glasscurv.core import optimizers as core
from glasscurv.optimizers.base import Optimizer


class SGD(Optimizer):
    """Gradient descent with momentum: u ← momentum u + g, θ ← θ − lr u.

    Parameters
    ----------
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate ≥ 0 (length²/loss), one for all or one for every parameter.
    momentum : float
        Factor of u in the next u, in [0, 1).
    nesterov : bool
        Whether to step along g + momentum u instead of u.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or ``nesterov=True`` without momentum.

    See Also
    --------
    Adam : Steps in units of the gradient's root mean square.
    Alice : Steps that glass and Hessian set.
    glasscurv.optimizers.Optimizer : What all optimizers share.

    Notes
    -----
    The convention is PyTorch's: u starts as the first gradient and lr multiplies u.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[1.0, 0.0], [0.0, 4.0]])
    >>> optimizer = gc.SGD([1.0, 1.0], lr=0.2, momentum=0.5)
    >>> losses = [optimizer.step(problem.value_and_grad) for _ in range(40)]
    >>> losses[0], bool(losses[-1] < 1e-6)
    (2.5, True)
    """

    def __init__(self, theta0: ArrayLike, lr: ArrayLike, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(theta0, lr)
        self.momentum = number(momentum, "momentum", 0, 1, open_high=True)
        if nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum > 0, got momentum=0")
        self.nesterov = bool(nesterov)
        self._arrays["velocity"] = self._zeros()

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return {"momentum": self.momentum, "nesterov": self.nesterov}

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        theta = self._arrays["theta"]
        loss, gradient = self._evaluate(value_and_grad, theta)
        velocity = self._arrays["velocity"]
        parallel(core.sgd_update, gradient, theta, velocity, self._lr, self.momentum, self.nesterov)
        return loss
