"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import ValueAndGrad
from glasscurv._validation import number
from glasscurv.core import optimizers as core
from glasscurv.optimizers.base import Optimizer


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015).

    Parameters
    ----------
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate ≥ 0 (length), one for all or one for every parameter.
    betas : tuple of two floats
        Averaging weights β₁ of the gradient and β₂ of its square, in [0, 1).
    eps : float
        Small ε > 0 (gradient), added to the root of the second moment.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    AdamW : Adam with decoupled weight decay.
    AdaHessian : Adam with the Hessian's diagonal in place of the gradient's square.
    Alice : Steps that glass and Hessian set, bounded in Adam's unit.
    glasscurv.optimizers.Optimizer : What all optimizers share.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, arXiv:1412.6980, algorithm 1.

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
        lr: ArrayLike = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(theta0, lr)
        self.betas = check_betas(betas)
        self.eps = number(eps, "eps", 0, open_low=True)
        for name in ("gradient", "second_moment"):
            self._arrays[name] = self._zeros()
        self._weight_decay = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return {"betas": list(self.betas), "eps": self.eps}

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        arrays = self._arrays
        loss, gradient = self._evaluate(value_and_grad, arrays["theta"], limit=self._largest_root)
        parallel(
            core.adam_update,
            gradient,
            gradient,
            arrays["theta"],
            arrays["gradient"],
            arrays["second_moment"],
            self.steps + 1,
            self._lr,
            *self.betas,
            self.eps,
            self._weight_decay,
            1.0,
        )
        return loss


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): θ ← (1 − lr weight_decay) θ, then Adam's step.

    Parameters
    ----------
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate ≥ 0 (length), one for all or one for every parameter.
    betas : tuple of two floats
        Averaging weights β₁ of the gradient and β₂ of its square, in [0, 1).
    eps : float
        Small ε > 0 (gradient), added to the root of the second moment.
    weight_decay : float
        Weight ≥ 0 of the decay (1/length), times `lr`. With 0 it is Adam.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    Adam : The same without the decay.
    glasscurv.optimizers.Optimizer : What all optimizers share.

    Notes
    -----
    As in PyTorch, the gradient is taken before the decay, and the decay scales with the learning rate.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101, algorithm 2.

    Examples
    --------
    The decay pulls towards 0, whatever the scale of the loss:

    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[1.0]], linear=[-1.0])
    >>> optimizer = gc.AdamW([3.0], lr=0.1, weight_decay=0.5)
    >>> losses = [optimizer.step(problem.value_and_grad) for _ in range(500)]
    >>> bool(0 < optimizer.theta[0] < 1)
    True
    """

    def __init__(
        self,
        theta0: ArrayLike,
        lr: ArrayLike = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(theta0, lr, betas, eps)
        self._weight_decay = number(weight_decay, "weight_decay", 0)

    @property
    def weight_decay(self) -> float:
        """Weight of the decay (1/length)."""
        return self._weight_decay

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return super().options | {"weight_decay": self.weight_decay}


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
