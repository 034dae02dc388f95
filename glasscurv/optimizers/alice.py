"""Alice: the optimizer that measures glass and Hessian as it goes (theory, section 8).

==================  =====================================================
code                theory
==================  =====================================================
``theta``           μ, the centre
``lookahead``       ν in the state; ω among the options
``gradient``        G, the averaged gradient
``second_moment``   V
``curvature``       C
``density``         R
``step_fraction``   φ
``length``          σ
==================  =====================================================
"""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike

from glasscurv._typing import Distribution, FloatArray, RngLike, ValueAndGrad
from glasscurv._validation import choice, integer, number
from glasscurv.constants import GLASS_STEP_COEFFICIENT
from glasscurv.core import steps as core
from glasscurv.nesterov import exact_step_fraction
from glasscurv.optimizers.adam import check_betas
from glasscurv.optimizers.base import Optimizer
from glasscurv.perturbations import Rademacher, check_distribution, draw_direction
from glasscurv.steps import LIMITERS, Limiter

Hessian = Literal["abs", "rms", "zero", "diagonal"]
HESSIANS: dict[str, int] = {
    "zero": core.ZERO,
    "abs": core.ABS,
    "rms": core.RMS,
    "diagonal": core.DIAGONAL,
}


class Alice(Optimizer):
    """Quasi-Newton steps with glass and Hessian, averaged look-ahead gradients and bounded lengths.

    Full steps take three gradients (at ν + σz, ν − σz and ν) and refresh the curvature; quick steps take one. The
    first 1/(1−β₁) steps are full ones that gather averages without moving.

    Parameters
    ----------
    theta0 : (n,) array_like
        Initial parameters, copied. float32 stays float32.
    lr : float
        Learning rate > 0: the scale of the upper bound and, unless `length` is given, the perturbation length.
    betas : (float, float)
        β₁ and β₂ in [0, 1): averaging weights of the gradient and of its square.
    eps : float
        ε > 0 in the step and in the ``"adam"`` limiter.
    l1, l2 : float
        Regularisation weights λ₁ and λ₂ ≥ 0.
    step_fraction : float, optional
        φ ≥ 0, the part of the step that the centre takes; by default (1−β₁) times `lookahead`, which makes the averaged
        gradient exact on quadratics.
    lookahead : float
        ω ≥ 0.
    limiter : {"adam", "sgdm", "fixed"}
        Unit of the bounds, as in `bound_step`.
    lr_min, lr_max : float
        Bounds of the step in that unit; `lr_max` is by default 2 lr. Both scale with `lr` when it is changed.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: averages of |Hz|, of (Hz)² (its root), none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    length : float, optional
        Perturbation length σ > 0; by default the current lr.
    distribution : distribution
        Law of the directions z.
    rng : None, int or Generator
        Source of the directions.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    Notes
    -----
    `step` returns the loss at the look-ahead point ν where the gradient was taken.

    References
    ----------
    Theory, section 8; [D24]. The reference implementation rounds 3/(4π) to 0.238732; here it is exact.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> problem = gc.Quadratic([[1.0, 0.0], [0.0, 400.0]])
    >>> optimizer = gc.Alice([1.0, 1.0], lr=0.1, rng=0)
    >>> losses = [optimizer.step(problem.value_and_grad) for _ in range(300)]
    >>> bool(losses[-1] < 1e-6)
    True
    """

    def __init__(
        self,
        theta0: ArrayLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        l1: float = 0.0,
        l2: float = 0.0,
        step_fraction: float | None = None,
        lookahead: float = 1.0,
        limiter: Limiter = "adam",
        lr_min: float = 0.0,
        lr_max: float | None = None,
        hessian: Hessian = "abs",
        glass: bool = True,
        quick_steps: int = 3,
        length: float | None = None,
        distribution: Distribution = Rademacher(),  # noqa: B008 (frozen)
        rng: RngLike = None,
    ) -> None:
        super().__init__(theta0, number(lr, "lr", 0, open_low=True), rng)
        self.betas = check_betas(betas)
        self.eps = number(eps, "eps", 0, open_low=True)
        self.l1 = number(l1, "l1", 0)
        self.l2 = number(l2, "l2", 0)
        self.lookahead = number(lookahead, "lookahead", 0)
        if step_fraction is None:
            self.step_fraction = exact_step_fraction(self.betas[0], self.lookahead)
        else:
            self.step_fraction = number(step_fraction, "step_fraction", 0)
        self.limiter = choice(limiter, "limiter", tuple(LIMITERS))
        self._lr_min = number(lr_min, "lr_min", 0)
        self._lr_max = 2 * self.lr if lr_max is None else number(lr_max, "lr_max", 0)
        if self.lr_min > self.lr_max:
            raise ValueError(f"lr_min must not exceed lr_max, got {self.lr_min} and {self.lr_max}")
        self.hessian = choice(hessian, "hessian", tuple(HESSIANS))
        self.glass = bool(glass)
        self.quick_steps = integer(quick_steps, "quick_steps", 0)
        self.length = None if length is None else number(length, "length", 0, open_low=True)
        self.distribution = check_distribution(distribution)
        self._glass_moment = distribution.absolute_moment(1)
        self._hessian_moment = distribution.absolute_moment(1 if self.hessian in ("abs", "zero") else 2)
        theta = self._arrays["theta"]
        self._arrays["lookahead"] = theta.copy()
        for name in ("gradient", "second_moment", "curvature", "density"):
            self._arrays[name] = self._zeros()
        self._plus, self._minus, self._center = self._zeros(), self._zeros(), self._zeros()
        self._point = self._zeros()

    @property
    def lr(self) -> float:
        """Learning rate > 0; setting it scales the bounds by the same factor."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        new = number(value, "lr", 0, open_low=True)
        if hasattr(self, "_lr"):
            self._lr_min *= new / self._lr
            self._lr_max *= new / self._lr
        self._lr = new

    @property
    def lr_min(self) -> float:
        """Lower bound of the step, in the limiter's unit."""
        return self._lr_min

    @property
    def lr_max(self) -> float:
        """Upper bound of the step, in the limiter's unit."""
        return self._lr_max

    def is_full_step(self, step: int) -> bool:
        """Tell whether step 1, 2, … measures the curvature: in the warm-up, and every quick_steps + 1 steps."""
        return self._warming_up(step) or step % (self.quick_steps + 1) == 0

    def _hyperparameters(self) -> dict[str, float]:
        return {"lr": self.lr, "lr_min": self.lr_min, "lr_max": self.lr_max}

    def _warming_up(self, step: int) -> bool:
        # As in the reference in floating point, where 1/(1 − 0.95) is 19.99999999999998: 19 steps, not 20.
        return step <= 1 / (1 - self.betas[0])

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        arrays, step = self._arrays, self.steps + 1
        nu = arrays["lookahead"]
        period = self.quick_steps + 1
        plain_mean = (step - 1) / step  # the weight with which running averages start as plain means
        full = self.is_full_step(step)
        length = self.lr if self.length is None else self.length
        if full:
            direction = draw_direction(self.distribution, nu, self._rng)
            for sign, gradient in ((1, self._plus), (-1, self._minus)):
                core.perturb(nu, direction, sign * length, self._point)
                self._evaluate(value_and_grad, self._point, gradient)
                self._check_square(gradient)
        loss = self._evaluate(value_and_grad, nu, self._center)
        self._check_square(self._center)
        if full:
            self._measure(direction, length, min(max(1 - period * (1 - self.betas[1]), 0.0), plain_mean))
        core.alice_update(
            self._center,
            arrays["theta"],
            nu,
            arrays["gradient"],
            arrays["second_moment"],
            arrays["curvature"],
            arrays["density"],
            min(self.betas[0], plain_mean),
            min(self.betas[1], plain_mean),
            self.l1,
            self.l2,
            HESSIANS[self.hessian],
            self.glass,
            GLASS_STEP_COEFFICIENT,
            self.eps,
            LIMITERS[self.limiter],
            self.lr_min,
            self.lr_max,
            self.step_fraction,
            self.lookahead,
            not self._warming_up(step),
        )
        return loss

    def _measure(self, direction: FloatArray, length: float, weight: float) -> None:
        """Refresh curvature and density from the three gradients of a full step."""
        core.alice_curvature(
            self._plus,
            self._minus,
            self._center,
            direction,
            length,
            weight,
            self.l2,
            HESSIANS[self.hessian],
            self._hessian_moment,
            self._glass_moment,
            self._arrays["curvature"],
            self._arrays["density"],
        )
