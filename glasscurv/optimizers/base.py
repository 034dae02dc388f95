"""What all optimizers share: evaluation with checks, rollback on failure, saved state."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._interrupts import deferred_interrupts
from glasscurv._threads import parallel
from glasscurv._typing import Distribution, FloatArray, RngLike, ValueAndGrad
from glasscurv._validation import (
    NonFiniteError,
    function,
    generator,
    integer,
    mask_vector,
    nonnegative_vector,
    number,
    real_array,
    refuse_nonfinite,
    returned_gradient,
    vector,
)
from glasscurv.core import vectors


class Optimizer:
    """Base of the optimizers.

    A subclass adds its arrays to ``self._arrays``, where ``"theta"`` holds the parameters, and writes `_update`,
    which calls `_evaluate` for every gradient it needs *before* it changes an array: a failing evaluation then
    leaves parameters and state as they were. Directions of its own it passes to `_clear_masked`, so that no point
    leaves the mask. Its options it returns as `options`.

    Parameters
    ----------
    theta0 : array_like of shape (n,)
        Initial parameters, copied. float32 stays float32.
    lr : float or array_like of shape (n,)
        Learning rate ≥ 0, one for all or one for every parameter; an array is copied to the dtype of the parameters.
    rng : None, int or Generator
        Source of random directions. Optimizers that draw none leave it at a fixed seed: equal runs save equal states.

    Attributes
    ----------
    steps : int
        Steps taken.
    evaluations : int
        Gradients evaluated in these steps.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    glasscurv.train : Runs an optimizer over minibatches.
    glasscurv.Alice : The optimizer that measures glass and Hessian as it goes.

    Examples
    --------
    Gradient descent, as a subclass:

    >>> import glasscurv as gc
    >>> class Descent(gc.optimizers.Optimizer):
    ...     def _update(self, value_and_grad):
    ...         loss, gradient = self._evaluate(value_and_grad, self._arrays["theta"])
    ...         self._arrays["theta"] -= self.lr * gradient
    ...         return loss
    >>> optimizer = Descent([1.0, 1.0], lr=0.5)
    >>> optimizer.step(gc.Quadratic([[1.0, 0.0], [0.0, 2.0]]).value_and_grad)
    1.5
    >>> optimizer.theta.tolist()
    [0.5, 0.0]
    """

    def __init__(self, theta0: ArrayLike, lr: ArrayLike, rng: RngLike = 0) -> None:
        theta = vector(theta0, "theta0").copy()
        self._arrays: dict[str, FloatArray] = {"theta": theta}
        # The largest number in the precision of the parameters, and the largest whose square is one.
        self._largest = float(np.finfo(theta.dtype).max)
        self._largest_root = math.sqrt(self._largest)
        self._rng = generator(rng)
        self._lr = self._check_lr(lr)
        self._mask: NDArray[np.bool_] | None = None
        self._masked_gradient: FloatArray | None = None  # made when a mask first needs it
        self.steps = 0
        self.evaluations = 0

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = {"n": self._arrays["theta"].size, "lr": _shown(self._lr)}
        shown |= {name: value for name, value in self.options.items() if value != plain(parameters[name].default)}
        if self._mask is not None:
            shown["kept"] = f"{np.count_nonzero(self._mask)} of {self._mask.size}"
        listed = ", ".join(f"{name}={value}" for name, value in (shown | {"steps": self.steps}).items())
        return f"{type(self).__name__}({listed})"

    @property
    def lr(self) -> float | FloatArray:
        """Learning rate, a number or a copy of the array of shape (n,); setting it takes effect at the next step."""
        return copied(self._lr)

    @lr.setter
    def lr(self, value: ArrayLike) -> None:
        self._set_lr(self._check_lr(value))

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Which parameters are kept, a copy of the booleans of shape (n,), or None: all. May be set at any time.

        Where it is False, parameters and state become 0 at once and stay 0: from then on the loss is minimised as a
        function of mask∘θ, with 0 for the gradient and the curvature of the other parameters, and no weight decay,
        regularisation, momentum or lower bound of a step moves them. Without a mask, or with a wider one, parameters
        come back from 0 with empty averages.

        Raises
        ------
        TypeError
            The mask holds something else than booleans.
        ValueError
            It has another shape than (n,), or keeps nothing.

        Examples
        --------
        >>> import glasscurv as gc
        >>> optimizer = gc.SGD([3.0, 2.0], lr=0.5)
        >>> optimizer.mask = [False, True]
        >>> optimizer.step(gc.Quadratic([[1.0, 0.5], [0.5, 1.0]]).value_and_grad)
        2.0
        >>> optimizer.theta.tolist(), optimizer
        ([0.0, 1.0], SGD(n=2, lr=0.5, kept=1 of 2, steps=1))
        """
        return None if self._mask is None else self._mask.copy()

    @mask.setter
    def mask(self, value: ArrayLike | None) -> None:
        mask = self._check_mask(value)
        with deferred_interrupts():
            self._set_mask(mask)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the constructor besides theta0, lr and rng, as JSON can hold them."""
        return {}

    @property
    def theta(self) -> FloatArray:
        """A copy of the current parameters, shape (n,)."""
        return self._arrays["theta"].copy()

    @property
    def state(self) -> dict[str, FloatArray]:
        """The named state arrays, each of shape (n,), as read-only views that follow the optimizer."""
        views = {name: array.view() for name, array in self._arrays.items() if name != "theta"}
        for view in views.values():
            view.setflags(write=False)
        return views

    def step(self, value_and_grad: ValueAndGrad) -> float:
        """Take one step.

        Parameters
        ----------
        value_and_grad : callable
            ``value_and_grad(theta: (n,)) -> (loss, gradient: (n,))``, deterministic during the step: the same minibatch
            and random state in every call. It may return its own buffer. The point it gets is read-only and is
            reused: copy it to keep it.

        Returns
        -------
        float
            Loss at the point where the step's gradient was taken.

        Raises
        ------
        NonFiniteError
            A loss or gradient with a nan or an infinity; the message names the step. Parameters, state, counters and
            random generator are as before the step, as they are after any exception out of `value_and_grad`.
        ValueError, TypeError
            A gradient of the wrong shape or kind.

        Notes
        -----
        An interrupt (Ctrl-C) ends a running evaluation, and the step has then not begun. At any other time it waits for
        the next evaluation or for the end of the step.
        """
        function(value_and_grad, "value_and_grad")
        with deferred_interrupts() as interrupts:  # Ctrl-C ends an evaluation, but never the writing of the state
            generator_state, evaluations = self._rng.bit_generator.state, self.evaluations
            try:
                loss = self._update(lambda theta: interrupts.call(value_and_grad, theta))
            except BaseException:
                self._rng.bit_generator.state = generator_state
                self.evaluations = evaluations
                raise
            self._clear_masked(self._arrays.values())
            self.steps += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a bit-exact resume needs, as copies.

        Returns
        -------
        dict
            ``optimizer`` (class name), ``options`` (see `options`), ``steps``, ``evaluations``, ``hyperparameters``
            (floats, or arrays where the learning rate is one), ``rng`` (state of the bit generator) and ``arrays``
            (name to array, with ``mask`` where there is one).
        """
        arrays: dict[str, NDArray[Any]] = {name: array.copy() for name, array in self._arrays.items()}
        if self._mask is not None:
            arrays["mask"] = self._mask.copy()
        return {
            "optimizer": type(self).__name__,
            "options": self.options,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "hyperparameters": self._hyperparameters(),
            "rng": self._rng.bit_generator.state,
            "arrays": arrays,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, on an optimizer built with the same options, whatever its mask.

        Parameters
        ----------
        state : dict
            Saved state; it is checked before anything is changed.

        Raises
        ------
        ValueError, TypeError
            The state is no dict, of another optimizer, of other options, of another size or dtype, not finite, or
            incomplete, or its arrays do not fit its mask.
        """
        self._check_state(state)
        mask = self._check_saved_mask(state["arrays"])
        hyperparameters = self._check_hyperparameters(state["hyperparameters"])
        steps, evaluations = (integer(state[name], name, 0) for name in ("steps", "evaluations"))
        with deferred_interrupts():
            try:
                self._rng.bit_generator.state = state["rng"]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"rng of the state does not fit this generator: {error!r}") from error
            for name, array in self._arrays.items():
                array[:] = state["arrays"][name]
            self._set_mask(mask)
            self._set_hyperparameters(hyperparameters)
            self.steps, self.evaluations = steps, evaluations

    def _check_state(self, state: dict[str, Any]) -> None:
        """Check what a saved state is made of; numbers and the random generator's state are checked on use."""
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, got {type(state).__name__}")
        missing = {"optimizer", "options", "steps", "evaluations", "hyperparameters", "rng", "arrays"} - state.keys()
        if missing:
            raise ValueError(f"state lacks {', '.join(sorted(missing))}")
        if state["optimizer"] != type(self).__name__:
            raise ValueError(f"state must be of {type(self).__name__}, got {state['optimizer']}")
        for key in ("arrays", "hyperparameters", "options", "rng"):
            if not isinstance(state[key], dict):
                raise TypeError(f"{key} of the state must be a dict, got {type(state[key]).__name__}")
        self._check_options(state["options"])
        arrays, names = state["arrays"], self._hyperparameters().keys()
        if arrays.keys() - {"mask"} != self._arrays.keys() or state["hyperparameters"].keys() != names:
            raise ValueError(
                f"state must hold the arrays {sorted(self._arrays)} and the hyperparameters {sorted(names)}, "
                f"got {sorted(arrays)} and {sorted(state['hyperparameters'])}"
            )
        for name, array in self._arrays.items():
            new = np.asarray(arrays[name])
            if new.shape != array.shape or new.dtype != array.dtype or not np.isfinite(new).all():
                raise ValueError(
                    f"state array {name!r} must be finite with shape {array.shape} and dtype {array.dtype}, "
                    f"got {new.shape} and {new.dtype}"
                )

    def _check_options(self, saved: dict[str, Any]) -> None:
        present = self.options
        if saved.keys() != present.keys():
            raise ValueError(f"state must hold the options {sorted(present)}, got {sorted(saved)}")
        for name, value in present.items():
            if saved[name] != value:
                raise ValueError(f"state was saved with {name}={saved[name]!r}, this optimizer has {name}={value!r}")

    def _hyperparameters(self) -> dict[str, float | FloatArray]:
        """Return the settings that may change during a run and so belong to the saved state."""
        return {"lr": self.lr}

    def _check_hyperparameters(self, saved: dict[str, Any]) -> dict[str, float | FloatArray]:
        """Return saved settings, checked; may not change anything."""
        return {name: self._check_lr(value, name) for name, value in saved.items()}

    def _set_hyperparameters(self, checked: dict[str, float | FloatArray]) -> None:
        self._set_lr(checked["lr"])

    def _check_lr(self, value: Any, name: str = "lr", positive: bool = False) -> float | FloatArray:
        """Return one checked rate, or a copy of one for every parameter."""
        if np.ndim(value) == 0:
            return number(value, name, 0, open_low=positive)
        theta = self._arrays["theta"]
        with np.errstate(over="ignore"):
            rates = nonnegative_vector(real_array(value, name).astype(theta.dtype), name, theta.size)
        if positive and not rates.all():
            raise ValueError(f"{name} must be > 0, got 0.0 at index {int(np.argmin(rates))}")
        return rates

    def _set_lr(self, lr: float | FloatArray) -> None:
        self._lr = lr

    def _check_mask(self, value: ArrayLike | None) -> NDArray[np.bool_] | None:
        """Return a checked copy of a mask, or None."""
        return None if value is None else mask_vector(value, "mask", self._arrays["theta"].size).copy()

    def _check_saved_mask(self, arrays: dict[str, Any]) -> NDArray[np.bool_] | None:
        """Return the mask among checked arrays, which it must fit, or None."""
        mask = self._check_mask(arrays.get("mask"))
        if mask is not None:
            for name in self._arrays:
                outside = np.where(mask, 0, arrays[name])
                if outside.any():
                    i = int(np.argmax(outside != 0))
                    raise ValueError(f"state array {name!r} must be 0 outside the mask, got {outside[i]} at index {i}")
        return mask

    def _set_mask(self, mask: NDArray[np.bool_] | None) -> None:
        self._mask = mask
        if mask is None:
            self._masked_gradient = None
        self._clear_masked(self._arrays.values())

    def _clear_masked(self, arrays: Iterable[FloatArray]) -> None:
        """Write 0 into arrays where the mask, if there is one, is False."""
        if self._mask is not None:
            for array in arrays:
                parallel(vectors.clear_masked, array, self._mask)

    def _zeros(self) -> FloatArray:
        return np.zeros_like(self._arrays["theta"])

    def _evaluate(
        self, value_and_grad: ValueAndGrad, point: FloatArray, limit: float | None = None, out: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return the loss and the gradient at `point`, both checked; no entry of the gradient exceeds `limit`.

        The gradient is a copy in `out`, masked where there is a mask. Without `out` and mask, it may be the callable's
        own buffer, which the next evaluation may overwrite; with a mask alone, the next evaluation does overwrite it.
        """
        if out is None and self._mask is not None:
            if self._masked_gradient is None:
                self._masked_gradient = self._zeros()
            out = self._masked_gradient
        view = point.view()
        view.setflags(write=False)
        result: Any = value_and_grad(view)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(f"value_and_grad must return (loss, gradient), got {type(result).__name__}")
        loss, returned = float(result[0]), result[1]
        where = f"at step {self.steps + 1}"
        gradient = returned_gradient(returned, point, where)
        bound = self._largest if limit is None else limit
        if out is None:
            fits = parallel(vectors.within, gradient, bound)
        elif self._mask is not None:
            fits = parallel(vectors.copy_masked_within, gradient, self._mask, bound, out)
        else:
            fits = parallel(vectors.copy_within, gradient, bound, out)
        if not all(fits):
            refuse_nonfinite(gradient, where)
            raise self._too_large(gradient, "gradient")
        self.evaluations += 1
        if not math.isfinite(loss):
            raise NonFiniteError(f"non-finite loss {where}: {loss}")
        return loss, gradient if out is None else out

    def _check_squares(self, values: FloatArray, name: str) -> None:
        """Refuse values whose square would make the running second moment infinite for ever."""
        if not all(parallel(vectors.within, values, self._largest_root)):
            raise self._too_large(values, name)

    def _too_large(self, values: FloatArray, name: str) -> NonFiniteError:
        largest = float(abs(values).max())
        if largest <= self._largest_root:
            reason = f"with an entry of {largest:g} the curvature may overflow {values.dtype}"
        else:
            reason = f"the square of {largest:g} overflows {values.dtype}"
        return NonFiniteError(f"{name} too large at step {self.steps + 1}: {reason}")

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        raise NotImplementedError


def copied(rate: float | FloatArray) -> float | FloatArray:
    """Return a number itself and a copy of an array."""
    return rate if isinstance(rate, float) else rate.copy()


def plain(option: Any) -> Any:
    """Return an option as JSON can hold it: a tuple as a list, a distribution as its repr or its name."""
    if isinstance(option, tuple):
        return list(option)
    if hasattr(option, "absolute_moment"):
        return _described(option)
    return option


def _described(distribution: Distribution) -> str:
    # the default repr is an address, another one in every process
    kind = type(distribution)
    return kind.__qualname__ if kind.__repr__ is object.__repr__ else repr(distribution)


def _shown(lr: float | FloatArray) -> str:
    return f"{lr:g}" if isinstance(lr, float) else f"[{lr.min():g} … {lr.max():g}]"
