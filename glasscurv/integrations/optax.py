"""Alice as a gradient transformation of Optax, and the estimators for functions of JAX.

Names are those of the table in `glasscurv.optimizers.alice`; every state is a pytree like the parameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray
from glasscurv._validation import choice, function, integer, number, vector
from glasscurv.constants import GLASS_STEP_COEFFICIENT
from glasscurv.integrations._extras import needed
from glasscurv.nesterov import exact_step_fraction
from glasscurv.optimizers.adam import check_betas
from glasscurv.optimizers.alice import HESSIANS, Hessian, warm_up_steps
from glasscurv.steps import LIMITERS, Limiter

with needed("jax", "jax", "optax"):
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

__all__ = ["AliceState", "GradientFunction", "alice", "gradient_function"]

NO_PARAMS = "alice needs the parameters: update(updates, state, params, value_and_grad_fn=...)"


class AliceState(NamedTuple):
    """State of `alice`: a pytree of arrays and nothing else, so that it is saved and restored as any other.

    Parameters
    ----------
    count : int32 array of shape ()
        Updates so far. It is what schedules see, and what decides which updates are full.
    key : uint32 array of shape (words of the key,)
        Data of the random key. It never changes: the directions of an update come from it and the count.
    lookahead : pytree
        Point ν where the next gradient is taken.
    gradient, second_moment : pytree
        Running averages G (regularised) and V of the gradient and its square.
    curvature, density : pytree
        Running averages C and R: the Hessian measure that ``hessian`` names, and the glass density.
    value : array of shape ()
        Loss at the look-ahead point of the last update; infinite before the first.
    first_rate : array of shape ()
        Learning rate of the first update, to which ``lr_min`` and ``lr_max`` belong.
    evaluations : int32 array of shape ()
        Gradients so far.
    skipped, first_nonfinite : int32 array of shape ()
        Number of updates that were left out because something was not finite or too large, and the first of them,
        counted from 1; -1 while there is none.

    See Also
    --------
    alice : The transformation whose ``init`` and ``update`` return it.

    References
    ----------
    Theory, section 8.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from glasscurv.integrations.optax import alice
    >>> state = alice(0.1).init({"a": jnp.ones(3)})
    >>> state.lookahead["a"].tolist(), int(state.count), int(state.first_nonfinite)
    ([1.0, 1.0, 1.0], 0, -1)
    """

    count: Any  # an array; tuples have a method of this name
    key: jax.Array
    lookahead: Any
    gradient: Any
    second_moment: Any
    curvature: Any
    density: Any
    value: jax.Array
    first_rate: jax.Array
    evaluations: jax.Array
    skipped: jax.Array
    first_nonfinite: jax.Array


def alice(
    learning_rate: Any,
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
    seed: Any = 0,
) -> optax.GradientTransformationExtraArgs:
    """Return `glasscurv.Alice` as a gradient transformation of Optax.

    Parameters
    ----------
    learning_rate : float or callable
        Learning rate > 0 (length), or a schedule, a function of the number of updates so far: the scale of the bounds
        and, unless `length` is given, the perturbation length. With `length` and without `lr_min` and `lr_max` it may
        start at 0.
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
        Lower bound ≥ 0 of the step in that unit, for the first learning rate; it scales when that changes.
    lr_max : float, optional
        Upper bound ≥ `lr_min`, in the same way; by default 2 lr.
    hessian : {"abs", "rms", "zero", "diagonal"}
        Curvature h of the step: the average of |Hz|, the root of that of (Hz)², none, or the absolute average of z∘Hz.
    glass : bool
        Whether the glass density enters the step.
    quick_steps : int
        Quick steps between full steps, ≥ 0.
    length : float, optional
        Perturbation length σ > 0; by default the current learning rate.
    seed : int or jax.Array
        Source of the directions: an int in [0, 2³²), or a random key of JAX, of either kind.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``init(params)`` gives an `AliceState`. ``update(updates, state, params, value_and_grad_fn=f)`` gives updates
        and the next state; ``optax.apply_updates(params, updates)`` is the centre μ.

        ``f(params) -> (value, gradients)``, such as ``jax.value_and_grad(loss)``, is pure, with the same minibatch
        in every call. It is called at the look-ahead point and, in full steps, at its two perturbed neighbours.

        ``updates``, the gradient in other transformations, is **not used**: no gradient at ``params`` is needed. Pass
        anything of that structure, such as ``params``. Other keyword arguments are ignored.

    Raises
    ------
    ValueError, TypeError
        Bad arguments; parameters that are not real floating-point numbers; of ``update``, missing arguments, or an
        ``f`` that returns something else. Numbers that are traced are taken as they are; `betas` cannot be traced.

    See Also
    --------
    glasscurv.Alice : The same on flat NumPy vectors, with masks and other directions.
    gradient_function : A loss of JAX for the estimators and optimizers of glasscurv.

    Notes
    -----
    Under ``jax.jit`` nothing can be raised. So, everywhere, an update with a value or gradient that is not finite, or
    so large that an average might overflow, changes neither the parameters nor the averages, and the look-ahead point
    stays. It only takes its place in the count; ``skipped`` counts such updates, and ``first_nonfinite`` names the
    first.

    Quick steps evaluate one gradient, under ``jax.jit`` too. Under ``jax.vmap`` they do so where ``count`` is the same
    for all, as in ``jax.vmap(train)(seeds)``; mapped over states, every update takes three.

    State and arithmetic have the precision of each parameter, and at least float32. The function is called with
    parameters of their own dtype: in bfloat16 and float16 most perturbations of the length of a learning rate are
    rounded away, so keep parameters in float32 and convert them in the function.

    References
    ----------
    Theory, section 8.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, optax
    >>> from glasscurv.integrations.optax import alice
    >>> def loss(params):
    ...     return jnp.sum((params["a"] - 1) ** 2) + 100 * jnp.sum(params["b"] ** 2)
    >>> params = {"a": jnp.zeros(3), "b": jnp.ones(2)}
    >>> optimizer = alice(optax.linear_schedule(0.2, 0.1, 200))
    >>> @jax.jit
    ... def step(params, state):
    ...     f = jax.value_and_grad(loss)
    ...     updates, state = optimizer.update(params, state, params, value_and_grad_fn=f)
    ...     return optax.apply_updates(params, updates), state
    >>> state = optimizer.init(params)
    >>> for _ in range(200):
    ...     params, state = step(params, state)
    >>> bool(loss(params) < 1e-4), int(state.evaluations), int(state.skipped)
    (True, 316, 0)
    """
    first_rate = learning_rate(jnp.zeros([], jnp.int32)) if callable(learning_rate) else learning_rate
    name = "learning_rate at step 0" if callable(learning_rate) else "learning_rate"
    may_be_zero = length is not None and lr_max is None and _is_zero(lr_min)
    first_rate = _number(first_rate, name, open_low=not may_be_zero)
    rule = _Alice(
        learning_rate=learning_rate if callable(learning_rate) else first_rate,
        betas=check_betas(betas),
        eps=_number(eps, "eps", open_low=True),
        l1=_number(l1, "l1"),
        l2=_number(l2, "l2"),
        step_fraction=None if step_fraction is None else _number(step_fraction, "step_fraction"),
        lookahead=_number(lookahead, "lookahead"),
        limiter=choice(limiter, "limiter", tuple(LIMITERS)),
        lr_min=_number(lr_min, "lr_min"),
        lr_max=None if lr_max is None else _number(lr_max, "lr_max"),
        hessian=choice(hessian, "hessian", tuple(HESSIANS)),
        glass=bool(glass),
        period=_integer(quick_steps, "quick_steps") + 1,
        length=None if length is None else _number(length, "length", open_low=True),
        key=_random_key(seed),
    )
    lower, upper = rule.lr_min, 2 * first_rate if rule.lr_max is None else rule.lr_max
    if not isinstance(lower, jax.core.Tracer) and not isinstance(upper, jax.core.Tracer) and lower > upper:
        raise ValueError(f"lr_min must not exceed lr_max, got {lower} and {upper}")
    return optax.GradientTransformationExtraArgs(rule.init, rule.update)


@dataclass(frozen=True)
class _Alice:
    """Checked options of `alice`: numbers, possibly traced ones."""

    learning_rate: Any
    betas: tuple[float, float]
    eps: Any
    l1: Any
    l2: Any
    step_fraction: Any
    lookahead: Any
    limiter: str
    lr_min: Any
    lr_max: Any
    hessian: str
    glass: bool
    period: Any
    length: Any
    key: Any

    def init(self, params: Any) -> AliceState:
        dtypes = jax.tree.map(_state_dtype, _checked(params))
        zeros = partial(jax.tree.map, lambda p, dtype: jnp.zeros(jnp.shape(p), dtype), params, dtypes)
        # of the scalars: that of the most precise parameter
        dtype = reduce(jnp.promote_types, jax.tree.leaves(dtypes), jnp.float32)
        return AliceState(
            count=jnp.zeros([], jnp.int32),
            # copies, so that buffers of the state can be donated
            key=jnp.array(jax.random.key_data(self.key), copy=True),
            lookahead=jax.tree.map(lambda p, dtype: jnp.array(p, dtype, copy=True), params, dtypes),
            gradient=zeros(),
            second_moment=zeros(),
            curvature=zeros(),
            density=zeros(),
            value=jnp.full([], jnp.inf, dtype),
            first_rate=jnp.array(self._rate(jnp.zeros([], jnp.int32)), dtype),
            evaluations=jnp.zeros([], jnp.int32),
            skipped=jnp.zeros([], jnp.int32),
            first_nonfinite=jnp.full([], -1, jnp.int32),
        )

    def update(
        self,
        updates: Any,
        state: AliceState,
        params: Any = None,
        *,
        value_and_grad_fn: Any = None,
        **extra: Any,
    ) -> tuple[Any, AliceState]:
        del updates, extra
        if params is None:
            raise ValueError(NO_PARAMS)
        evaluate = partial(_evaluate, function(value_and_grad_fn, "value_and_grad_fn"), _checked(params))
        rate = jnp.asarray(self._rate(state.count), state.value.dtype)
        call, warm_up = state.count + 1, warm_up_steps(self.betas[0])
        step = call - state.skipped  # of section 8, which knows no updates that were left out
        plain_mean = (step - 1) / _like(rate, step)

        value, gradients = evaluate(state.lookahead)
        sound = jnp.isfinite(value) & _bounded(gradients)
        # `count` alone decides, which depends on no data: under jax.vmap over seeds this remains a branch.
        full = (call <= warm_up) | (call % self.period == 0)
        curvature, density, sound = _branch(
            full,
            lambda: self._measure(evaluate, state, gradients, sound, rate, plain_mean),
            lambda: (state.curvature, state.density, sound),
        )

        weight, moment_weight = (jnp.minimum(beta, plain_mean) for beta in self.betas)

        def kept(old: jax.Array, new: jax.Array, weight: Any) -> jax.Array:
            # chosen here, not at the end: what the step is computed from is then what is stored, and computed once
            return jnp.where(sound, _average(old, new, weight), old)

        gradient = jax.tree.map(
            lambda old, g, nu: kept(old, self._regularised(g, nu), weight), state.gradient, gradients, state.lookahead
        )
        second_moment = jax.tree.map(lambda old, g: kept(old, g * g, moment_weight), state.second_moment, gradients)

        bounds = self._bounds(rate, state.first_rate)
        displacements = jax.tree.map(partial(self._displacement, bounds), gradient, second_moment, curvature, density)
        moving = sound & (step > warm_up)
        lookahead, changes = self._move(state.lookahead, params, displacements, moving)
        return changes, AliceState(
            count=call,
            key=state.key,
            lookahead=lookahead,
            gradient=gradient,
            second_moment=second_moment,
            curvature=curvature,
            density=density,
            value=_like(state.value, value),
            first_rate=state.first_rate,
            evaluations=state.evaluations + jnp.where(full, 3, 1),
            skipped=state.skipped + ~sound,
            first_nonfinite=jnp.where(sound | (state.skipped > 0), state.first_nonfinite, call),
        )

    def _move(self, lookahead: Any, params: Any, displacements: Any, moving: jax.Array) -> tuple[Any, Any]:
        """Section 8, the end of step 3: the new ν, and what is to be added to μ."""

        def new_lookahead(nu: jax.Array, mu: jax.Array, delta: jax.Array) -> jax.Array:
            return jnp.where(moving, _like(nu, mu) + _like(nu, self.lookahead) * delta, nu)

        changes = jax.tree.map(lambda delta: jnp.where(moving, _like(delta, self._fraction) * delta, 0), displacements)
        return jax.tree.map(new_lookahead, lookahead, params, displacements), changes

    @property
    def _fraction(self) -> Any:
        if self.step_fraction is None:
            return exact_step_fraction(self.betas[0]) * self.lookahead
        return self.step_fraction

    def _rate(self, count: jax.Array) -> Any:
        return self.learning_rate(count) if callable(self.learning_rate) else self.learning_rate

    def _bounds(self, rate: jax.Array, first_rate: jax.Array) -> tuple[Any, Any]:
        if self.lr_max is None and _is_zero(self.lr_min):
            return 0.0, 2 * rate  # nothing belongs to the first rate, which may be 0
        scale = rate / first_rate  # exactly 1 at the first rate
        return self.lr_min * scale, 2 * rate if self.lr_max is None else self.lr_max * scale

    def _measure(
        self,
        evaluate: Callable[[Any], tuple[Any, Any]],
        state: AliceState,
        center: Any,
        sound: jax.Array,
        rate: Any,
        plain_mean: Any,
    ) -> tuple[Any, Any, jax.Array]:
        """Section 8, step 1: C and R from the gradients of a full step, and whether the step is still sound."""
        length = rate if self.length is None else self.length
        weight = jnp.minimum(jnp.maximum(1 - self.period * (1 - self.betas[1]), 0), plain_mean)
        key = jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(self.key))
        directions = _directions(jax.random.fold_in(key, state.count), state.lookahead)

        def beside(sign: int) -> tuple[Any, Any]:
            move = lambda nu, z: nu + sign * _like(nu, length) * z  # noqa: E731
            return evaluate(jax.tree.map(move, state.lookahead, directions))

        def new_curvature(old: jax.Array, plus: jax.Array, minus: jax.Array, z: jax.Array) -> jax.Array:
            product = 0.5 * (plus - minus) / _like(old, length)  # e of section 8, an estimate of Hz
            l2 = _like(old, self.l2)
            if self.hessian == "rms":
                return _average(old, product * product + l2 * l2, weight)
            return _average(old, (z * product if self.hessian == "diagonal" else abs(product)) + l2, weight)

        def new_density(old: jax.Array, plus: jax.Array, minus: jax.Array, center: jax.Array) -> jax.Array:
            # Differences from the centre are small and so nearly exact; the sum of both gradients would be rounded.
            second = 0.5 * ((plus - center) + (minus - center))
            return _average(old, 2 * second * (second / _like(old, length)), weight)

        (value_plus, plus), (value_minus, minus) = beside(1), beside(-1)
        sound &= jnp.isfinite(value_plus) & jnp.isfinite(value_minus) & _bounded((center, plus, minus), length)
        new = (
            jax.tree.map(new_curvature, state.curvature, plus, minus, directions),
            jax.tree.map(new_density, state.density, plus, minus, center),
        )
        return *jax.tree.map(partial(jnp.where, sound), new, (state.curvature, state.density)), sound

    def _regularised(self, g: jax.Array, nu: jax.Array) -> jax.Array:
        l1, l2 = _like(g, self.l1), _like(g, self.l2)
        return g + jnp.where(nu < 0, -l1, l1) + l2 * nu

    def _displacement(
        self,
        bounds: tuple[Any, Any],
        gradient: jax.Array,
        second_moment: jax.Array,
        curvature: jax.Array,
        density: jax.Array,
    ) -> jax.Array:
        """Section 8, step 3: δ = −G / clamp(h* + ε, U/lr_max, U/lr_min), of equation (11) and section 6, U the unit.

        With b = aρ/2 and m = b + h(|G| + ε), h* = (√b + √m)²/(|G| + ε): roots before products, so nothing overflows
        but an h* that is too large itself, and nothing cancels. No divisor is below ε, so no step is a nan.
        """
        like, number = partial(_like, gradient), np.finfo(gradient.dtype)
        eps = jnp.maximum(like(self.eps), float(number.tiny))  # a smaller one would be 0 in float32
        slope = abs(gradient)
        shifted = slope + eps
        if self.hessian == "zero":
            mixed = jnp.zeros_like(shifted)
        else:
            mixed = (jnp.sqrt(curvature) if self.hessian == "rms" else abs(curvature)) * shifted
        if self.glass:
            half = 0.5 * GLASS_STEP_COEFFICIENT * density
            root = jnp.sqrt(half) + jnp.sqrt(half + mixed)
            mixed = root * root
        divisor = mixed / shifted + eps

        lower, upper = (like(bound) for bound in bounds)
        if self.limiter == "fixed":
            length = jnp.clip(slope / divisor, lower, upper)
            return jnp.where(gradient > 0, -length, length)
        unit = jnp.sqrt(second_moment) + eps if self.limiter == "adam" else jnp.ones_like(slope)
        delta = -gradient / jnp.clip(divisor, unit * (1 / upper), unit * (1 / lower))
        return jnp.clip(delta, -float(number.max), float(number.max))


class GradientFunction:
    """Gradient of a loss of JAX as a function of one flat NumPy vector, for every estimator; see `gradient_function`.

    Parameters
    ----------
    loss : callable
        Loss ``loss(params) -> ()`` array, traceable by JAX and compiled once.
    params : pytree
        Parameters in float32 or float64, in the order of whose leaves the vector goes.

    Attributes
    ----------
    theta : ndarray of shape (n,)
        The parameters it was made from.
    groups : dict of str to slice
        The parameters of each leaf of the pytree, by its path, such as ``"layer1/weight"``.

    Raises
    ------
    ValueError, TypeError
        What `gradient_function` refuses.

    See Also
    --------
    gradient_function : Makes one.
    glasscurv.estimate_curvature : Takes it for a gradient.
    glasscurv.Alice : Takes its `value_and_grad`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from glasscurv.integrations.optax import GradientFunction
    >>> f = GradientFunction(lambda params: jnp.sum(params["a"] ** 2) / 2, {"a": jnp.zeros(2)})
    >>> f([3.0, -4.0]).tolist(), f.value_and_grad([3.0, -4.0])[0], f.unflatten(f.theta)["a"].shape
    ([3.0, -4.0], 12.5, (2,))
    """

    def __init__(self, loss: Callable[[Any], jax.Array], params: Any) -> None:
        function(loss, "loss")
        for path, leaf in _leaves(_checked(params)):
            if (dtype := jnp.result_type(leaf)) not in (jnp.float32, jnp.float64):
                raise TypeError(
                    f"params must be float32 or float64, got {dtype}{_at(path)}, in which perturbations are rounded "
                    "away: convert them, and back in the loss"
                )
        flat, unravel = ravel_pytree(params)
        self.theta: FloatArray = np.array(flat)
        vector(self.theta, "params")
        self.groups = _groups(params)
        self._unravel = unravel
        self._process = os.getpid()
        self._value_and_grad = jax.jit(jax.value_and_grad(lambda theta: loss(unravel(theta))))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _process=os.getpid())  # what was sent to another process is at home there

    def __call__(self, theta: ArrayLike) -> FloatArray:
        """Return the gradient.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Where to evaluate.

        Returns
        -------
        ndarray of shape (n,)
            Gradient of the loss, of the dtype of the attribute `theta`.

        Raises
        ------
        ValueError, TypeError
            A `theta` of another size, or not finite.
        RuntimeError
            The process was forked after the function was made.
        """
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
            Loss of the parameters `theta`.
        gradient : ndarray of shape (n,)
            Its gradient, of the dtype of the attribute `theta`.

        Raises
        ------
        ValueError, TypeError
            A `theta` of another size, or not finite.
        RuntimeError
            The process was forked after the function was made.
        """
        if os.getpid() != self._process:  # compiled code would wait for threads that the fork left behind
            raise RuntimeError("JAX does not survive a fork: use threads, workers=ThreadPoolExecutor().map")
        value, gradient = self._value_and_grad(self._flat(theta))
        return float(value), np.array(gradient)

    def unflatten(self, theta: ArrayLike) -> Any:
        """Return the pytree of parameters with the entries of a vector.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Entries, in the order of the leaves.

        Returns
        -------
        pytree
            Parameters like those the function was made from.

        Raises
        ------
        ValueError, TypeError
            A `theta` of another size, or not finite.
        """
        return self._unravel(self._flat(theta))

    def _flat(self, theta: ArrayLike) -> jax.Array:
        return jnp.asarray(vector(theta, "theta", self.theta.size), self.theta.dtype)


def gradient_function(loss: Callable[[Any], jax.Array], params: Any) -> GradientFunction:
    """Return the gradient of a loss of JAX as the function of one flat vector that every estimator takes.

    Parameters
    ----------
    loss : callable
        Loss ``loss(params) -> ()`` array, traceable by JAX and compiled once.
    params : pytree
        Parameters in float32 or float64, in the order of whose leaves the vector goes.

    Returns
    -------
    GradientFunction
        Function ``f(theta: (n,)) -> (n,)``, with the parameters ``theta``, the ``groups``, ``value_and_grad(theta)``,
        for the optimizers, and ``unflatten(theta)``.

    Raises
    ------
    ValueError, TypeError
        `loss` cannot be called, or `params` are not finite float32 or float64 arrays.
    RuntimeError
        The function is called in a process that was forked after it was made.

    See Also
    --------
    alice : Trains parameters of JAX without this detour.
    glasscurv.estimate_curvature : Takes the function for a gradient.

    Notes
    -----
    JAX does not survive a fork: for several workers use threads, ``workers=ThreadPoolExecutor().map``.

    Examples
    --------
    >>> import glasscurv as gc, jax.numpy as jnp
    >>> from glasscurv.integrations.optax import gradient_function
    >>> params = {"a": jnp.ones(3), "b": {"c": jnp.zeros((2, 2))}}
    >>> f = gradient_function(lambda params: 8 * jnp.sum(params["a"] ** 2) + jnp.sum(params["b"]["c"] ** 2), params)
    >>> f(f.theta).tolist(), f.groups
    ([16.0, 16.0, 16.0, 0.0, 0.0, 0.0, 0.0], {'a': slice(0, 3, None), 'b/c': slice(3, 7, None)})
    >>> estimate = gc.estimate_curvature(f, f.theta, length=0.25, rng=0)
    >>> estimate.hessian_diagonal.tolist()
    [16.0, 16.0, 16.0, 2.0, 2.0, 2.0, 2.0]
    """
    return GradientFunction(loss, params)


def _number(value: Any, name: str, *, open_low: bool = False) -> Any:
    """Return a number ≥ 0 as a float, or > 0, or a traced one as it is."""
    return value if isinstance(value, jax.core.Tracer) else number(_plain(value), name, 0, open_low=open_low)


def _is_zero(value: Any) -> bool:
    """Tell whether a number is known to be 0; a traced one is not."""
    return not isinstance(value, jax.core.Tracer) and value == 0


def _integer(value: Any, name: str) -> Any:
    return value if isinstance(value, jax.core.Tracer) else integer(_plain(value), name, 0)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 else value


def _random_key(seed: Any) -> jax.Array:
    """Return a key of the new kind, possibly a traced one."""
    dtype = seed.dtype if isinstance(seed, jax.Array | np.ndarray) else None
    if dtype == np.uint32 and seed.ndim > 0:
        return _random_key(jax.random.wrap_key_data(jnp.asarray(seed)))
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if seed.ndim > 0:
            raise ValueError(f"seed must be one random key, got shape {seed.shape}")
        key: jax.Array = seed
        return key
    checked = _integer(seed, "seed")
    if not isinstance(checked, jax.core.Tracer) and checked >= 2**32:  # JAX would drop the upper bits
        raise ValueError(f"seed must be in [0, 2**32) or a random key of JAX, got {checked}")
    return jax.random.key(checked)


def _leaves(params: Any) -> list[tuple[Any, Any]]:
    """Return every leaf with its path."""
    leaves: list[tuple[Any, Any]] = jax.tree_util.tree_flatten_with_path(params)[0]
    return leaves


def _checked(params: Any) -> Any:
    """Return `params` if all of it is real floating-point numbers."""
    for path, leaf in _leaves(params):
        # JAX takes the name of a dtype for a dtype; a module may hold names and functions
        known = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
        dtype = jnp.result_type(leaf) if known else None
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            got = type(leaf).__name__ if dtype is None else dtype
            raise TypeError(f"params must be real floating-point arrays, got {got}{_at(path)}")
    return params


def _at(path: Any) -> str:
    return f" at {jax.tree_util.keystr(path)}" if path else ""


def _groups(params: Any) -> dict[str, slice]:
    sizes = {}
    for path, leaf in _leaves(params):
        entries = (getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))) for entry in path)
        sizes["/".join(map(str, entries)) or "all"] = np.size(leaf)
    stops = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(stop - size, stop) for (name, size), stop in zip(sizes.items(), stops, strict=True) if size}


def _state_dtype(leaf: Any) -> Any:
    dtype = jnp.result_type(leaf)
    return dtype if dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


def _evaluate(value_and_grad_fn: Callable[[Any], Any], params: Any, point: Any) -> tuple[Any, Any]:
    """Return the loss and the gradients at a point, which the function gets in the precision of the parameters."""
    result = value_and_grad_fn(jax.tree.map(lambda p, nu: nu.astype(jnp.result_type(p)), params, point))
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(f"value_and_grad_fn must return (value, gradients), got {type(result).__name__}")
    value, gradients = result
    if isinstance(value, tuple | list | dict) or jnp.shape(value) != ():
        got = type(value).__name__ if isinstance(value, tuple | list | dict) else f"shape {jnp.shape(value)}"
        raise ValueError(f"value_and_grad_fn must return a scalar value, got {got}")
    expected, got = (jax.tree.structure(tree) for tree in (point, gradients))
    if expected != got:
        raise ValueError(f"value_and_grad_fn must return gradients of the structure of params, {expected}, got {got}")
    for (path, nu), g in zip(_leaves(point), jax.tree.leaves(gradients), strict=True):
        if jnp.shape(g) != nu.shape:
            raise ValueError(f"the gradient{_at(path)} must have shape {nu.shape}, got {jnp.shape(g)}")
    return value, jax.tree.map(_like, point, gradients)


def _branch(condition: Any, true: Callable[[], Any], false: Callable[[], Any]) -> Any:
    """Return `jax.lax.cond`, or a plain branch where nothing is traced: that compiles nothing."""
    if isinstance(condition, jax.core.Tracer):
        return jax.lax.cond(condition, true, false)
    return true() if condition else false()


def _directions(key: jax.Array, like: Any) -> Any:
    """Return Rademacher directions z, a pytree."""
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    signs = [jax.random.rademacher(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, signs)


def _like(array: jax.Array, value: Any) -> jax.Array:
    """Return a value in the precision of an array, which numbers that are traced could otherwise raise."""
    return jnp.asarray(value, array.dtype)


def _average(old: jax.Array, new: jax.Array, weight: Any) -> jax.Array:
    return new + _like(old, weight) * (old - new)


def _bounded(gradients: Any, length: Any = 8.0) -> jax.Array:
    """Tell whether no average overflows; a nan does not pass.

    Squares of gradients must be numbers, and in full steps also e² ≤ (g/σ)², the term of R, at most 2(2g)²/σ, and 1/σ.
    """
    checks = [jnp.asarray(True)]
    for g in jax.tree.leaves(gradients):
        sigma, square = _like(g, length), 0.999 * float(np.finfo(g.dtype).max)  # every factor of a term is rounded
        limit = square**0.5 * jnp.minimum(1, jnp.minimum(sigma, jnp.sqrt(sigma / 8)))
        checks.append(jnp.isfinite(1 / sigma) & jnp.all(abs(g) <= limit))
    return reduce(jnp.logical_and, checks)
