"""Alice as a PyTorch optimizer (theory, section 8).

==================  =====================================================
code                theory
==================  =====================================================
the parameters      μ, the centre, between steps
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
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glasscurv._interrupts import deferred_interrupts
from glasscurv._validation import NonFiniteError, choice, function, integer, number
from glasscurv.integrations.torch.replay import KeptBuffers, RandomState
from glasscurv.integrations.torch.steps import Rule, measure, update
from glasscurv.nesterov import exact_step_fraction
from glasscurv.optimizers.adam import check_betas
from glasscurv.optimizers.alice import HESSIANS, Hessian, average_weights, scaled_bounds, warm_up_steps
from glasscurv.steps import LIMITERS, Limiter

STATE = ("lookahead", "gradient", "second_moment", "curvature", "density")
STATE_DTYPES = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
COUNTERS = ("steps", "evaluations")
OF_THE_OPTIMIZER = ("quick_steps", "seed", "base_lr", *COUNTERS)
"""Entries of a group that no group may bring."""

Closure = Callable[[], Any]
Averages = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


class Alice(torch.optim.Optimizer):
    """Alice for PyTorch models: `glasscurv.Alice` on tensors, with a closure as ``torch.optim.LBFGS`` takes it.

    Full steps evaluate the closure at ν + σz, ν − σz and ν and refresh the curvature; quick steps evaluate it at ν. The
    first 1/(1−β₁) steps are full ones that gather averages without moving. Between steps the parameters are the centre
    μ.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        Parameters, or groups of them; a group may have its own value of each option but `quick_steps` and `seed`.
        Parameters that do not require a gradient are left out: they are neither perturbed nor moved.
    lr : float
        Learning rate > 0 (length): the scale of the bounds and, unless `length` is given, the perturbation length.
        Schedulers may set it to 0.
    betas : tuple of two floats
        Averaging weights β₁ of the gradient and β₂ of its square, in [0, 1).
    eps : float
        Small ε > 0 in the unit of what it is added to: |G|, the curvature of the step and, in the ``"adam"`` limiter,
        the root of V. Its square must be a normal number of the state's dtype.
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
        Lower bound ≥ 0 of the step in that unit, for the group's first `lr`; it scales with `lr` when that is changed.
    lr_max : float, optional
        Upper bound ≥ `lr_min`, in the same way; by default 2 lr.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: the average of |Hz|, the root of that of (Hz)², none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    length : float, optional
        Perturbation length σ > 0; by default the current `lr`.
    seed : int
        Seed ≥ 0 of the directions z. They are Rademacher's, the optimal ones; other distributions and the joint step
        are `glasscurv.Alice`'s alone.

    Raises
    ------
    ValueError, TypeError
        Bad arguments; parameters that are not of float16, bfloat16, float32 or float64.

    See Also
    --------
    glasscurv.Alice : The same on flat NumPy vectors, with masks and other directions.
    profile : Where a model is glass, layer by layer.

    Notes
    -----
    The state of a parameter (``lookahead``, ``gradient``, ``second_moment``, ``curvature`` and ``density``) is created
    at the first step that meets it, on its device, in float64 for float64 and in float32 otherwise. With float16 and
    bfloat16 there is also ``center``, μ in float32; a parameter that was changed between steps replaces it.

    Each group counts its steps, and so has a warm-up of its own: a step is full if any group warms up. The counters
    are entries of ``param_groups``.

    On the CPU a gradient with a nan or an infinity raises at once. On other devices looking would wait for them: the
    first step with such a gradient is noted there and raises at the first later step that sees the note, or in
    ``state_dict``, which waits for it.

    References
    ----------
    Theory, section 8; [D24].

    Examples
    --------
    >>> import torch
    >>> from glasscurv.integrations.torch import Alice
    >>> _ = torch.manual_seed(0)
    >>> inputs = torch.randn(64, 3)
    >>> targets = inputs.abs().sum(1, keepdim=True)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    >>> optimizer = Alice(model.parameters(), lr=0.01)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(model(inputs), targets)
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(200)]
    >>> losses[-1] < losses[0] / 20
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
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
        seed: int = 0,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "l1": l1,
            "l2": l2,
            "step_fraction": step_fraction,
            "lookahead": lookahead,
            "limiter": limiter,
            "lr_min": lr_min,
            "lr_max": lr_max,
            "hessian": hessian,
            "glass": glass,
            "length": length,
        }
        own = {"quick_steps": integer(quick_steps, "quick_steps", 0), "seed": integer(seed, "seed", 0)}
        self._noted: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._modules: weakref.WeakSet[torch.nn.Module] | None = None  # those with buffers, once a step has met them
        super().__init__(params, _checked(options) | own)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, which then has its own warm-up.

        Parameters
        ----------
        param_group : dict
            ``params`` and the group's own options; it is not changed.

        Raises
        ------
        ValueError, TypeError
            Bad options or parameters; the optimizer is then as before.
        """
        if isinstance(param_group, dict):
            for name in OF_THE_OPTIMIZER:
                if name in param_group:
                    raise ValueError(f"{name} belongs to the whole optimizer, got a group with {param_group[name]!r}")
            param_group = dict(param_group)
        super().add_param_group(param_group)
        try:
            group = self.param_groups[-1]
            group.update(_checked(group))
            group.update(base_lr=group["lr"], **dict.fromkeys(COUNTERS, 0))
            self._modules = None  # the model may have grown
            for parameter in group["params"]:
                _check_parameter(parameter, group["eps"])
        except BaseException:
            self.param_groups.pop()
            raise

    @property
    def steps(self) -> int:
        """Steps taken, by the first group."""
        return int(self.param_groups[0]["steps"])

    @property
    def evaluations(self) -> int:
        """Evaluations of the closure in these steps."""
        return int(self.param_groups[0]["evaluations"])

    def is_full_step(self, step: int) -> bool:
        """Tell whether a step measures the curvature: in a warm-up, and every quick_steps + 1 steps.

        Parameters
        ----------
        step : int
            Number of the step, from 1.

        Returns
        -------
        bool
            Whether it evaluates the closure three times.
        """
        ahead = step - self.steps
        return self._periodic(step) or any(_warming_up(group, group["steps"] + ahead) for group in self.param_groups)

    def _periodic(self, step: int) -> bool:
        return bool(step % (self.param_groups[0]["quick_steps"] + 1) == 0)

    @torch.no_grad()
    def step(self, closure: Closure | None = None, scaler: Any = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable
            ``closure() -> loss``: sets the gradients to zero, computes the loss, backpropagates and returns the loss.
            It is called once or three times, with the same random state on every device and the same buffers, so
            random layers and batch normalisation do what they would do in one evaluation. The minibatch must be the
            same in every call.
        scaler : torch.amp.GradScaler, optional
            Scaler with which the closure scales its loss, ``scaler.scale(loss).backward()``; call ``scaler.update()``
            after the step. If an evaluation overflows, the step is skipped: all is as before it, but for the random
            states, which go on, and the scaler will reduce its scale.

        Returns
        -------
        object
            What the closure returned at the look-ahead point ν.

        Raises
        ------
        NonFiniteError
            A gradient with a nan or an infinity, or one so large that the state would overflow. On the CPU at once, and
            then, as after any exception out of the closure, parameters, state, counters, buffers and random states are
            as before the step.
        ValueError, TypeError
            No closure, no gradients, a sparse gradient, a learning rate that is no number, or a learning rate of 0 that
            would be the perturbation length.
        """
        if closure is None:
            raise TypeError("step needs a closure: a full step evaluates loss and gradient three times")
        function(closure, "closure")
        if scaler is not None and not scaler.is_enabled():
            scaler = None
        self._raise_noted(wait=False)
        full = self.is_full_step(self.steps + 1)
        rules = [_rule(group, index, full) for index, group in enumerate(self.param_groups)]
        with deferred_interrupts() as interrupts:  # Ctrl-C ends an evaluation, but never the writing of the state
            random_state = RandomState()
            parts, created = self._parts(rules)
            excesses: dict[torch.device, Tensor] = {}

            def evaluate(sign: int) -> Any:
                for part in parts:
                    part.move(sign)
                loss = interrupts.call(torch.enable_grad()(lambda _: closure()), None)
                if parts and all(parameter.grad is None for part in parts for parameter in part.parameters):
                    raise ValueError("closure must leave gradients, by loss.backward(), got None for every parameter")
                for part in parts:
                    part.take_gradients(scaler, copy=sign != 0)
                    self._judge(part, scaler, excesses)
                return loss

            try:
                with KeptBuffers(self._modules, after_errors=True) as kept:
                    if full:
                        self._draw(parts)
                        for sign in (1, -1):
                            evaluate(sign)
                            for part in parts:
                                part.perturbed.append(part.gradients)
                            random_state.restore()
                            kept.restore()
                    loss = evaluate(0)
                    if scaler is not None:
                        self._unscale(parts, scaler, excesses)
            except BaseException as error:
                for part in parts:
                    torch._foreach_copy_(part.parameters, part.center)
                for parameter in created:
                    del self.state[parameter]
                if isinstance(error, _OverflowError):
                    return loss
                random_state.restore()
                raise
            if self._modules is None:
                self._modules = weakref.WeakSet(kept.modules)
            if scaler is None:
                self._note(excesses)
            for part in parts:
                part.update()
            for group in self.param_groups:
                group["steps"] += 1
                group["evaluations"] += 3 if full else 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups with their counters, as ``torch.optim.Optimizer.state_dict`` does.

        Returns
        -------
        dict
            What `load_state_dict` takes; the tensors are the optimizer's own.

        Raises
        ------
        NonFiniteError
            A gradient on an accelerator had a nan or an infinity.
        """
        self._raise_noted(wait=True)
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned: the same numbers follow, bit for bit.

        Parameters
        ----------
        state_dict : dict
            Saved state, of an optimizer with groups of the same sizes; its options and counters replace this one's,
            its tensors are copied.

        Raises
        ------
        ValueError
            The state is not one of Alice, or its groups are of other sizes; nothing is then changed.
        """
        saved: list[dict[str, Any]] = []

        def look(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
            _check_state(state)
            saved.append(state)

        hook = self.register_load_state_dict_pre_hook(look)  # the last of them: it sees what will be loaded
        try:
            super().load_state_dict(state_dict)
        finally:
            hook.remove()
        names = [name for group in saved[0]["param_groups"] for name in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for name, parameter in zip(names, parameters, strict=True):
            # PyTorch has cast it to the parameter's dtype, and shares it with the saved state.
            for key, tensor in saved[0]["state"].get(name, {}).items():
                dtype = STATE_DTYPES[parameter.dtype]
                self.state[parameter][key] = tensor.to(device=parameter.device, dtype=dtype, copy=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._noted, self._modules = {}, None

    def _directions(self, like: list[Tensor], step: int) -> list[Tensor]:
        """Return random signs in tensors like those given, the same for the same step in every process."""
        generators: dict[torch.device, torch.Generator] = {}
        signs = []
        for tensor in like:
            if tensor.device not in generators:
                seed = np.random.SeedSequence([self.param_groups[0]["seed"], step, len(generators)])
                generator = torch.Generator(tensor.device).manual_seed(int(seed.generate_state(1, np.uint64)[0]))
                generators[tensor.device] = generator
            sign = torch.empty_like(tensor).random_(0, 2, generator=generators[tensor.device])
            signs.append(sign.mul_(2).sub_(1))
        return signs

    def _draw(self, parts: list[_Part]) -> None:
        signs = iter(self._directions([tensor for part in parts for tensor in part.lookahead], self.steps + 1))
        for part in parts:
            part.direction = [next(signs) for _ in part.parameters]

    def _parts(self, rules: list[Rule]) -> tuple[list[_Part], list[Tensor]]:
        """Return the parameters by group, device and dtype, and those whose state has just been created."""
        parts: list[_Part] = []
        created: list[Tensor] = []
        for index, (group, rule) in enumerate(zip(self.param_groups, rules, strict=True)):
            kinds: dict[tuple[torch.device, torch.dtype], _Part] = {}
            for parameter in group["params"]:
                if not parameter.requires_grad or not parameter.numel():
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(_new_state(parameter))
                    created.append(parameter)
                kind = parameter.device, parameter.dtype
                if kind not in kinds:
                    kinds[kind] = _Part(index, rule, *kind)
                kinds[kind].add(parameter, state)
            parts.extend(kinds.values())
        return parts, created

    def _judge(self, part: _Part, scaler: Any, excesses: dict[torch.device, Tensor]) -> None:
        """Look for gradients that are too large or not finite: raise, or keep the answer where looking would wait."""
        excess = part.excess()
        if scaler is not None or looking_waits(part.device):
            excesses[part.device] = excesses[part.device] | excess if part.device in excesses else excess
        elif excess:
            raise NonFiniteError(f"{part.complaint()} at step {self.steps + 1}")

    def _note(self, excesses: dict[torch.device, Tensor]) -> None:
        """Note on each device the first step with an excess, and let the host know when it can."""
        for device, excess in excesses.items():
            if device not in self._noted:
                pinned = torch.zeros((), dtype=torch.int64, device="cpu", pin_memory=device.type == "cuda")
                self._noted[device] = torch.zeros_like(pinned, device=device), pinned
            first, seen = self._noted[device]
            first.copy_(torch.where(excess & (first == 0), self.steps + 1, first))
            seen.copy_(first, non_blocking=True)

    def _raise_noted(self, wait: bool) -> None:
        """Raise if there is a note that the host knows of, or if it waits for the devices, any."""
        for first, seen in self._noted.values():
            if step := int(first if wait else seen):
                raise NonFiniteError(f"non-finite or too large gradient at step {step}")

    def _unscale(self, parts: list[_Part], scaler: Any, excesses: dict[torch.device, Tensor]) -> None:
        """Unscale the last gradients, infinite if any evaluation overflowed, so that the scaler learns of it."""
        for part in parts:
            if part.device in excesses:
                part.spoil(excesses[part.device])
        scaler.unscale_(self)
        if any(excesses.values()):
            raise _OverflowError


class _OverflowError(Exception):
    """A scaled gradient overflowed; the step is to be skipped."""


class _Part:
    """Parameters of one group, of one device and dtype, with their state and gradients, in parallel lists."""

    def __init__(self, index: int, rule: Rule, device: torch.device, dtype: torch.dtype) -> None:
        self.index, self.rule, self.device, self.dtype = index, rule, device, STATE_DTYPES[dtype]
        self.has_master = self.dtype != dtype
        self.parameters: list[Tensor] = []
        self.center: list[Tensor] = []
        self.lookahead: list[Tensor] = []
        self.averages: Averages = ([], [], [], [])
        self.gradients: list[Tensor] = []
        self.perturbed: list[list[Tensor]] = []
        self.direction: list[Tensor] = []

    def add(self, parameter: Tensor, state: dict[str, Tensor]) -> None:
        self.parameters.append(parameter)
        if self.has_master:
            center = state["center"]
            kept = center.to(parameter.dtype) == parameter
            self.center.append(center.copy_(torch.where(kept, center, parameter)))
        else:
            self.center.append(parameter.clone())
        self.lookahead.append(state["lookahead"])
        for tensors, name in zip(self.averages, STATE[1:], strict=True):
            tensors.append(state[name])

    def move(self, sign: int) -> None:
        """Bring the parameters to ν + sign σz."""
        shift = sign * self.rule.length
        if sign and self.has_master:  # to be rounded once
            torch._foreach_copy_(self.parameters, torch._foreach_add(self.lookahead, self.direction, alpha=shift))
            return
        torch._foreach_copy_(self.parameters, self.lookahead)
        if sign:
            torch._foreach_add_(self.parameters, self.direction, alpha=shift)

    def take_gradients(self, scaler: Any, copy: bool) -> None:
        """Take the gradients that the closure has left, in the state's dtype, 0 where there is none, and unscaled.

        Without `copy` they may be the very tensors that the next evaluation overwrites.
        """
        self.gradients = [
            torch.zeros_like(nu) if parameter.grad is None else self._dense(parameter.grad).to(self.dtype, copy=copy)
            for parameter, nu in zip(self.parameters, self.lookahead, strict=True)
        ]
        if scaler is not None:
            self.gradients = list(torch._foreach_mul(self.gradients, _inverse_scale(scaler, self.device)))

    def _dense(self, gradient: Tensor) -> Tensor:
        if gradient.layout != torch.strided:
            raise TypeError(
                f"gradients must be dense, got {gradient.layout} for a parameter of shape {tuple(gradient.shape)} "
                f"in group {self.index}"
            )
        return gradient

    def excess(self) -> Tensor:
        """Return on the device whether a gradient is not finite or so large that the state might overflow."""
        return ~(torch.stack(torch._foreach_norm(self.gradients)).max() <= self._limit())

    def complaint(self) -> str:
        """Return what is wrong with the gradients of which there is an `excess`."""
        for gradient in self.gradients:
            finite = gradient.isfinite()
            if not finite.all():
                return (
                    f"non-finite gradient of a parameter of shape {tuple(gradient.shape)} in group {self.index}, "
                    f"{finite.numel() - int(finite.sum())} of {finite.numel()} entries,"
                )
        return f"gradient of group {self.index} too large for {self.dtype}, with a norm above {self._limit():g},"

    def _limit(self) -> float:
        """Return the largest |g_i| with which neither V nor, in a full step, a term of C and R overflows."""
        length = self.rule.length if self.direction else 1.0
        return math.sqrt(0.999 * torch.finfo(self.dtype).max) * min(1.0, length, math.sqrt(length / 8))

    def spoil(self, excess: Tensor) -> None:
        """Make a gradient of the parameters infinite where there was an excess."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.add_(torch.where(excess, math.inf, 0.0))
                return

    def update(self) -> None:
        """Refresh the state and bring the parameters to the centre."""
        if self.direction:
            plus, minus = self.perturbed
            measure(self.rule, plus, minus, self.gradients, self.direction, *self.averages[2:])
        update(self.rule, self.parameters, self.gradients, self.center, self.lookahead, *self.averages)


def looking_waits(device: torch.device) -> bool:
    """Tell whether reading a number of a device waits for it."""
    return device.type != "cpu"


def _inverse_scale(scaler: Any, device: torch.device) -> Tensor:
    """Return the reciprocal of the scale as the scaler itself rounds it, on the device."""
    scale: Tensor = scaler.scale(torch.ones((), device=device))
    return (scale if device.type == "mps" else scale.double()).reciprocal().float()


def _new_state(parameter: Tensor) -> dict[str, Tensor]:
    dtype = STATE_DTYPES[parameter.dtype]
    state = dict.fromkeys(STATE)
    new = {name: torch.zeros_like(parameter, dtype=dtype) for name in state}
    new["lookahead"].copy_(parameter)
    if dtype != parameter.dtype:
        new["center"] = new["lookahead"].clone()
    return new


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a group, checked."""
    checked = {
        "lr": _rate(options["lr"], positive=True),
        "betas": check_betas(options["betas"]),
        "eps": number(options["eps"], "eps", 0, open_low=True),
        "l1": number(options["l1"], "l1", 0),
        "l2": number(options["l2"], "l2", 0),
        "step_fraction": _optional(options["step_fraction"], "step_fraction"),
        "lookahead": number(options["lookahead"], "lookahead", 0),
        "limiter": choice(options["limiter"], "limiter", tuple(LIMITERS)),
        "lr_min": number(options["lr_min"], "lr_min", 0),
        "lr_max": _optional(options["lr_max"], "lr_max"),
        "hessian": choice(options["hessian"], "hessian", tuple(HESSIANS)),
        "glass": bool(options["glass"]),
        "length": _optional(options["length"], "length", open_low=True),
    }
    _bounds(checked, checked["lr"], checked["lr"])
    return checked


def _optional(value: Any, name: str, open_low: bool = False) -> float | None:
    return None if value is None else number(value, name, 0, open_low=open_low)


def _rate(lr: Any, positive: bool = False) -> float:
    if isinstance(lr, Tensor):
        raise TypeError("lr must be a real number, got a Tensor, for which every step would wait: pass lr.item()")
    return number(lr, "lr", 0, open_low=positive)


def _bounds(group: dict[str, Any], lr: float, base_lr: float) -> tuple[float, float]:
    lower, upper = scaled_bounds(group["lr_min"], group["lr_max"], lr, base_lr)
    return float(lower), float(upper)


def _check_parameter(parameter: Tensor, eps: float) -> None:
    if not (parameter.is_floating_point() or parameter.is_complex()):
        return  # an integer cannot require a gradient
    if parameter.dtype not in STATE_DTYPES:
        raise TypeError(
            f"params must be of float16, bfloat16, float32 or float64, got {parameter.dtype} of shape "
            f"{tuple(parameter.shape)}"
        )
    dtype = STATE_DTYPES[parameter.dtype]
    least = math.sqrt(torch.finfo(dtype).tiny)
    if eps < least:
        raise ValueError(f"eps must be ≥ {least:g} for state in {dtype}, got {eps:g}")


def _check_state(state: dict[str, Any]) -> None:
    """Check that a saved state is Alice's."""
    for index, group in enumerate(state["param_groups"]):
        missing = {"lr", "betas", "lookahead", *OF_THE_OPTIMIZER} - group.keys()
        if missing:
            raise ValueError(f"group {index} of the state must be one of Alice, got one without {sorted(missing)}")
    for name, tensors in state["state"].items():
        missing = set(STATE) - tensors.keys()
        if missing:
            raise ValueError(f"the state of parameter {name} must be one of Alice, got one without {sorted(missing)}")


def _warming_up(group: dict[str, Any], step: int) -> bool:
    return bool(step <= warm_up_steps(group["betas"][0]))


def _rule(group: dict[str, Any], index: int, full: bool) -> Rule:
    """Return what the group's next step goes by; what schedulers change is checked again."""
    step, lr = group["steps"] + 1, _rate(group["lr"])
    betas = check_betas(group["betas"])
    lr_min, lr_max = _bounds(group, lr, group["base_lr"])
    length = lr if group["length"] is None else group["length"]
    if full and length == 0:
        raise ValueError(f"group {index} must have a perturbation length at a full step, got lr=0 and length=None")
    step_fraction = group["step_fraction"]
    return Rule(
        weights=average_weights(betas, group["quick_steps"], step),
        eps=group["eps"],
        l1=group["l1"],
        l2=group["l2"],
        step_fraction=exact_step_fraction(betas[0], group["lookahead"]) if step_fraction is None else step_fraction,
        lookahead=group["lookahead"],
        limiter=group["limiter"],
        lr_min=lr_min,
        lr_max=lr_max,
        hessian=group["hessian"],
        glass=group["glass"],
        length=length,
        warming_up=_warming_up(group, step),
    )
