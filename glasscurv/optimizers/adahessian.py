"""AdaHessian."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import RngLike, ValueAndGrad
from glasscurv._validation import integer, number
from glasscurv.core import optimizers as core
from glasscurv.core import vectors
from glasscurv.optimizers.adam import check_betas
from glasscurv.optimizers.base import Optimizer
from glasscurv.perturbations import Rademacher, draw_direction


class AdaHessian(Optimizer):
    r"""Adam with the Hessian's diagonal in place of the gradient in the second moment (Yao et al. 2021).

    With D the average of z∘Hz over every block of `block_size` consecutive parameters, for a Rademacher direction z,

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \quad v \leftarrow \beta_2 v + (1 - \beta_2)\, D^2, \quad
              \theta \leftarrow \theta - \mathrm{lr}\, \hat m / (\hat v^{k/2} + \epsilon),

    where hats are bias corrections and k is `hessian_power`. A step takes three gradients.

    Parameters
    ----------
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate ≥ 0, one for all or one for every parameter; dimensionless for k = 1.
    betas : tuple of two floats
        Averaging weights β₁ of the gradient and β₂ of the squared diagonal, in [0, 1).
    eps : float
        Small ε > 0 in the unit of what it is added to, the power of the second moment.
    hessian_power : float
        Power k in [0, 1]: 1 is Newton's step by the root mean square diagonal, 0 is momentum.
    block_size : int
        Parameters, ≥ 1, that share the mean of their diagonal; the last block may be shorter.
    length : float
        Distance > 0 along z of the two gradients whose difference is Hz.
    rng : None, int or Generator
        Source of the directions.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    Adam : The same with the square of the gradient.
    Alice : Steps by row norms of the Hessian and by the glass.
    glasscurv.optimizers.Optimizer : What all optimizers share.

    Notes
    -----
    Only gradients are asked for, so Hz is the central difference (g(θ + length z) − g(θ − length z))/(2 length). It is
    exact for losses up to cubic. Otherwise its relative error is of the order of length²/6 by truncation and of the
    rounding unit over the length, for parameters, gradients and derivatives of order 1. The default, the cube root
    of float32's rounding unit, keeps both near 1e-5 in float32, and is the same in float64 so that the glass is too.

    In a glass the difference also counts the jumps between its two points, which the Hessian-vector products of
    automatic differentiation never see. Their part in D² grows like ρ/length as the length falls.

    ε is that of the paper's reference implementation, which averages abs(z∘Hz) over a block; this class averages z∘Hz,
    as the paper does. Blocks are cut from the flat vector, whatever layer an entry belongs to, and with a mask the mean
    is that of the parameters that are kept. `step` returns the loss at θ.

    References
    ----------
    Z. Yao et al., "ADAHESSIAN: An adaptive second order optimizer for machine learning", AAAI 2021,
    arXiv:2006.00719, algorithm 1.

    Examples
    --------
    >>> import glasscurv as gc
    >>> problem = gc.Quadratic([[1.0, 0.0], [0.0, 400.0]])
    >>> optimizer = gc.AdaHessian([1.0, 1.0], lr=0.1, rng=0)
    >>> losses = [optimizer.step(problem.value_and_grad) for _ in range(300)]
    >>> bool(losses[-1] < 1e-6)
    True
    """

    def __init__(
        self,
        theta0: ArrayLike,
        lr: ArrayLike = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-4,
        hessian_power: float = 1.0,
        block_size: int = 1,
        length: float = 5e-3,
        rng: RngLike = None,
    ) -> None:
        super().__init__(theta0, lr, rng)
        self.betas = check_betas(betas)
        self.eps = number(eps, "eps", 0, open_low=True)
        self.hessian_power = number(hessian_power, "hessian_power", 0, 1)
        self.block_size = integer(block_size, "block_size", 1)
        self.length = number(length, "length", 0, open_low=True)
        for name in ("gradient", "second_moment"):
            self._arrays[name] = self._zeros()
        self._plus, self._minus, self._point, self._direction = (self._zeros() for _ in range(4))

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return {
            "betas": list(self.betas),
            "eps": self.eps,
            "hessian_power": self.hessian_power,
            "block_size": self.block_size,
            "length": self.length,
        }

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        arrays = self._arrays
        theta, diagonal = arrays["theta"], self._point
        draw_direction(Rademacher(), self._direction, self._rng)
        self._clear_masked([self._direction])
        for sign, out in ((1.0, self._plus), (-1.0, self._minus)):
            parallel(vectors.perturb, theta, self._direction, self.length, sign, self._point)
            self._evaluate(value_and_grad, self._point, out=out)
        loss, gradient = self._evaluate(value_and_grad, theta)
        measured, masked = (self._plus, self._minus, self._direction), self._mask is not None
        core.hutchinson_diagonal(*measured, self.length, self.block_size, masked, diagonal)
        self._check_squares(diagonal, "Hessian diagonal")
        parallel(
            core.adam_update,
            gradient,
            diagonal,
            theta,
            arrays["gradient"],
            arrays["second_moment"],
            self.steps + 1,
            self._lr,
            *self.betas,
            self.eps,
            0.0,
            self.hessian_power,
        )
        return loss
