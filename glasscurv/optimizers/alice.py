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

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import Distribution, FloatArray, RngLike, ValueAndGrad
from glasscurv._validation import choice, integer, number
from glasscurv.constants import GLASS_STEP_COEFFICIENT
from glasscurv.core import steps as core
from glasscurv.core import vectors
from glasscurv.nesterov import exact_step_fraction
from glasscurv.optimizers.adam import check_betas
from glasscurv.optimizers.base import Optimizer, copied, plain
from glasscurv.perturbations import Rademacher, check_distribution, draw_direction
from glasscurv.steps import LIMITERS, Limiter, write_joint_step

Bounds = tuple[float | FloatArray, float | FloatArray]
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
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate > 0 (length), one for all or one for every parameter: the scale of the bounds and, unless `length`
        is given, the perturbation length.
    betas : tuple of two floats
        Averaging weights β₁ of the gradient and β₂ of its square, in [0, 1).
    eps : float
        Small ε > 0 in the unit of what it is added to: |G|, the curvature of the step and, in the ``"adam"`` limiter,
        the root of V.
    l1, l2 : float
        Regularisation weights λ₁ (gradient) and λ₂ (gradient/length), ≥ 0.
    step_fraction : float, optional
        Part φ ≥ 0 of the step that the centre takes; by default (1−β₁) times `lookahead`, which makes the averaged
        gradient exact on quadratics.
    lookahead : float
        Multiple ω ≥ 0 of the step at which the next gradient is taken.
    limiter : {"adam", "sgdm", "fixed"}
        Unit of the bounds, as in `glasscurv.bound_step`.
    lr_min : float
        Lower bound ≥ 0 of the step in that unit, for the first `lr`; it scales with `lr` when that is changed.
    lr_max : float, optional
        Upper bound ≥ `lr_min`, in the same way; by default 2 lr, of each parameter. Bounds that are given are the same
        for all parameters.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: the average of |Hz|, the root of that of (Hz)², none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    length : float, optional
        Perturbation length σ > 0; by default the current `lr`. Its reciprocal must be a number of the
        parameters' dtype.
    distribution : distribution
        Law of the directions z.
    rng : None, int or Generator
        Source of the directions.
    joint : bool
        Whether the step before the bounds is `joint_quasi_newton_step`, all coordinates together, instead of
        `quasi_newton_step`; not without glass.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    glasscurv.optimizers.Optimizer : What all optimizers share.
    minimize_alice : Alice for deterministic functions, with a rule when to stop.
    glasscurv.integrations.torch.Alice : Alice for PyTorch models.
    glasscurv.integrations.optax.alice : Alice for Optax.

    Notes
    -----
    `step` returns the loss at the look-ahead point ν where the gradient was taken.

    V is taken before regularisation, as in the reference. A parameter whose own gradient is always 0, such as a weight
    of a pixel that never changes, then has no V to bound its step by: with `l1` and the ``"adam"`` limiter it moves by
    up to lr_max λ₁/ε at once. Regularise with another limiter, or with an ε of the size of typical gradients.

    A learning rate for every parameter, lr_i = s_i ℓ, is Alice with the learning rate ℓ on the loss as a function of
    φ = θ/s. There g, h and ρ are s_i g_i, s_i² h_i and s_i³ ρ_i, and with them d is d_i/s_i. So the perturbation of
    coordinate i is lr_i z_i, e_i = (g₊ − g₋)_i/(2 lr_i), new terms of R are divided by lr_i, and the bounds scale with
    lr_i. Both runs agree but for rounding where the unit of the bounds is free of units itself (``"adam"`` and
    ``"fixed"``, not ``"sgdm"``), ε and the regularisation are negligible, and neither bounds nor `length` are given.

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
        lr: ArrayLike = 1e-3,
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
        joint: bool = False,
    ) -> None:
        super().__init__(theta0, lr, rng)
        self.betas = check_betas(betas)
        self.eps = number(eps, "eps", 0, open_low=True)
        self.l1 = number(l1, "l1", 0)
        self.l2 = number(l2, "l2", 0)
        self.lookahead = number(lookahead, "lookahead", 0)
        self._step_fraction = None if step_fraction is None else number(step_fraction, "step_fraction", 0)
        self.limiter = choice(limiter, "limiter", tuple(LIMITERS))
        self._lr_min = number(lr_min, "lr_min", 0)
        self._lr_max = None if lr_max is None else number(lr_max, "lr_max", 0)
        self._base_lr = self._lr
        self._bounds = self._check_bounds(self._lr, self._base_lr)
        self.hessian = choice(hessian, "hessian", tuple(HESSIANS))
        self.glass, self.joint = bool(glass), bool(joint)
        if self.joint and not self.glass:
            raise ValueError("joint needs glass=True, got glass=False")
        self.quick_steps = integer(quick_steps, "quick_steps", 0)
        self.length = None if length is None else number(length, "length", 0, open_low=True)
        self.distribution = check_distribution(distribution)
        self._glass_moment = distribution.absolute_moment(1)
        self._hessian_moment = distribution.absolute_moment(1 if self.hessian in ("abs", "zero") else 2)
        theta = self._arrays["theta"]
        self._arrays["lookahead"] = theta.copy()
        for name in ("gradient", "second_moment", "curvature", "density"):
            self._arrays[name] = self._zeros()
        self._plus, self._minus, self._point, self._direction = (self._zeros() for _ in range(4))

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return {
            "betas": list(self.betas),
            "eps": self.eps,
            "l1": self.l1,
            "l2": self.l2,
            "step_fraction": self._step_fraction,
            "lookahead": self.lookahead,
            "limiter": self.limiter,
            "lr_min": self._lr_min,
            "lr_max": self._lr_max,
            "hessian": self.hessian,
            "glass": self.glass,
            "quick_steps": self.quick_steps,
            "length": self.length,
            "distribution": plain(self.distribution),
            "joint": self.joint,
        }

    @property
    def step_fraction(self) -> float:
        """The part φ of the step that the centre takes."""
        if self._step_fraction is None:
            return exact_step_fraction(self.betas[0], self.lookahead)
        return self._step_fraction

    @property
    def lr_min(self) -> float | FloatArray:
        """Lower bound of the step, in the limiter's unit, for the current `lr`: a number, or a copy of shape (n,)."""
        return copied(self._bounds[0])

    @property
    def lr_max(self) -> float | FloatArray:
        """Upper bound of the step, in the limiter's unit, for the current `lr`: a number, or a copy of shape (n,)."""
        return copied(self._bounds[1])

    def is_full_step(self, step: int) -> bool:
        """Tell whether a step measures the curvature: in the warm-up, and every quick_steps + 1 steps.

        Parameters
        ----------
        step : int
            Number of the step, from 1.

        Returns
        -------
        bool
            Whether it takes three gradients.
        """
        return self._warming_up(step) or step % (self.quick_steps + 1) == 0

    def _hyperparameters(self) -> dict[str, float | FloatArray]:
        return {"lr": self.lr, "base_lr": copied(self._base_lr)}

    def _check_hyperparameters(self, saved: dict[str, Any]) -> dict[str, float | FloatArray]:
        checked = super()._check_hyperparameters(saved)
        self._check_bounds(checked["lr"], checked["base_lr"])
        return checked

    def _set_hyperparameters(self, checked: dict[str, float | FloatArray]) -> None:
        self._base_lr = checked["base_lr"]
        self._set_lr(checked["lr"])

    def _check_lr(self, value: Any, name: str = "lr", positive: bool = True) -> float | FloatArray:
        return super()._check_lr(value, name, positive)

    def _set_lr(self, lr: float | FloatArray) -> None:
        self._lr, self._bounds = lr, self._check_bounds(lr, self._base_lr)

    def _check_bounds(self, lr: float | FloatArray, base_lr: float | FloatArray) -> Bounds:
        return scaled_bounds(self._lr_min, self._lr_max, lr, base_lr)

    def _warming_up(self, step: int) -> bool:
        return step <= warm_up_steps(self.betas[0])

    def _weights(self, step: int) -> tuple[float, float, float]:
        return average_weights(self.betas, self.quick_steps, step)

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        nu, step = self._arrays["lookahead"], self.steps + 1
        full = self.is_full_step(step)
        length = self._lr if self.length is None else self.length
        limit = self._largest_root
        if full:
            limit = min(limit, self._curvature_limit(float(np.min(length))))
            draw_direction(self.distribution, self._direction, self._rng)
            self._clear_masked([self._direction])
            for sign, out in ((1.0, self._plus), (-1.0, self._minus)):
                parallel(vectors.perturb, nu, self._direction, length, sign, self._point)
                self._evaluate(value_and_grad, self._point, limit, out)
        loss, gradient = self._evaluate(value_and_grad, nu, limit)
        if full:
            self._measure(gradient, length, step)
        if self.joint or self._warming_up(step):
            parallel(core.alice_averages, gradient, nu, *self._averages(step))
            if not self._warming_up(step):
                self._move_jointly()
        else:
            self._move(gradient, step)
        return loss

    def _curvature_limit(self, length: float) -> float:
        """Return the largest |g_i| for which no term of C and R overflows: e² ≤ (g/σ)² and 2(2g)²/σ."""
        moments = (self._hessian_moment, self._glass_moment)
        if min(length, moments[0], moments[1] / 2) * self._largest < 1:
            raise ValueError(
                f"perturbations are too short for {self._arrays['theta'].dtype}: it must hold the reciprocals of "
                f"length={length:g} and of the distribution's moments {moments[0]:g} and {moments[1]:g}"
            )
        square = 0.999 * self._largest * min(*moments, 1.0)  # for every factor of a term is rounded
        return math.sqrt(square) * min(length, math.sqrt(length / 8))

    def _measure(self, gradient: FloatArray, length: float | FloatArray, step: int) -> None:
        """Section 8, step 1: refresh curvature and density from the three gradients of a full step."""
        parallel(
            core.alice_curvature,
            self._plus,
            self._minus,
            gradient,
            self._direction,
            length,
            self._weights(step)[2],
            self.l2,
            HESSIANS[self.hessian],
            self._hessian_moment,
            self._glass_moment,
            self._arrays["curvature"],
            self._arrays["density"],
        )

    def _averages(self, step: int) -> tuple[FloatArray, FloatArray, float, float, float, float]:
        """Return the averages of section 8, step 2, and the weights with which a gradient enters them."""
        weights = (*self._weights(step)[:2], self.l1, self.l2)
        return self._arrays["gradient"], self._arrays["second_moment"], *weights

    def _move(self, gradient: FloatArray, step: int) -> None:
        """Section 8, steps 2 and 3, in one pass."""
        arrays = self._arrays
        parallel(
            core.alice_update,
            gradient,
            arrays["lookahead"],
            *self._averages(step),
            arrays["theta"],
            arrays["curvature"],
            arrays["density"],
            HESSIANS[self.hessian],
            GLASS_STEP_COEFFICIENT if self.glass else 0.0,
            self.eps,
            LIMITERS[self.limiter],
            *self._bounds,
            self.step_fraction,
            self.lookahead,
        )

    def _move_jointly(self) -> None:
        """Section 8, step 3, with the joint step in place of equation (11)."""
        arrays, curvature, step = self._arrays, self._point, self._plus
        gradient = arrays["gradient"]
        parallel(core.step_curvatures, arrays["curvature"], HESSIANS[self.hessian], curvature)
        write_joint_step(gradient, curvature, arrays["density"], self.eps, step)
        limits = (*self._bounds, LIMITERS[self.limiter], self.eps, self._largest)
        parallel(core.bound_step, step, gradient, arrays["second_moment"], *limits, step)
        parallel(core.alice_move, step, arrays["theta"], arrays["lookahead"], self.step_fraction, self.lookahead)


# What Alice in other frameworks shares with this one.


def warm_up_steps(beta1: float) -> int:
    """Return how many first steps gather averages without moving."""
    # As in the reference in floating point, where 1/(1 − 0.95) is 19.99999999999998: 19 steps, not 20.
    return int(1 / (1 - beta1))


def average_weights(betas: tuple[float, float], quick_steps: int, step: int) -> tuple[float, float, float]:
    """Return B₁, B₂ and B₃ of a step: running averages start as plain means."""
    plain_mean = (step - 1) / step
    beta3 = max(1 - (quick_steps + 1) * (1 - betas[1]), 0.0)
    return min(betas[0], plain_mean), min(betas[1], plain_mean), min(beta3, plain_mean)


def scaled_bounds(lr_min: float, lr_max: float | None, lr: float | FloatArray, base_lr: float | FloatArray) -> Bounds:
    """Return the bounds for `lr`, from those given for `base_lr`: nothing adds up over many changes."""
    with np.errstate(over="ignore", invalid="ignore"):
        scale = lr / base_lr  # exactly 1 at the first rate
        lower = lr_min * scale
        upper = 2 * lr if lr_max is None else lr_max * scale
    ordered = np.less_equal(lower, upper)
    if not ordered.all():
        first = np.unravel_index(np.argmin(ordered), ordered.shape)
        low, high = (np.broadcast_to(bound, ordered.shape)[first] for bound in (lower, upper))
        where = f" at index {first[0]}" if first else ""
        raise ValueError(f"lr_min must not exceed lr_max, got {low} and {high}{where}")
    return lower, upper
