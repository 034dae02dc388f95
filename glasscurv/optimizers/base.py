"""What all optimizers share: evaluation with checks, rollback on failure, saved state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, RngLike, ValueAndGrad
from glasscurv._validation import NonFiniteError, copy_gradient, function, generator, integer, number, vector


class Optimizer:
    """Base of the optimizers.

    A subclass adds its arrays to ``self._arrays``, where ``"theta"`` holds the parameters, and writes `_update`,
    which calls `_evaluate` for every gradient it needs *before* it changes an array: a failing evaluation then
    leaves parameters and state as they were.

    Parameters
    ----------
    theta0 : (n,) array_like
        Initial parameters, copied. float32 stays float32.
    lr : float
        Learning rate ≥ 0.
    rng : None, int or Generator
        Source of random directions, for the optimizers that draw some.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.
    """

    def __init__(self, theta0: ArrayLike, lr: float, rng: RngLike = None) -> None:
        theta = vector(theta0, "theta0").copy()
        self._arrays: dict[str, FloatArray] = {"theta": theta}
        self._rng = generator(rng)
        self.lr = lr
        self.steps = 0
        self.evaluations = 0

    @property
    def lr(self) -> float:
        """Learning rate; setting it takes effect at the next step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = number(value, "lr", 0)

    @property
    def theta(self) -> FloatArray:
        """A copy of the current parameters, shape (n,)."""
        return self._arrays["theta"].copy()

    @property
    def state(self) -> dict[str, FloatArray]:
        """The named state arrays, (n,) each, as read-only views that follow the optimizer."""
        views = {name: array.view() for name, array in self._arrays.items() if name != "theta"}
        for view in views.values():
            view.setflags(write=False)
        return views

    def step(self, value_and_grad: ValueAndGrad) -> float:
        """Take one step.

        Parameters
        ----------
        value_and_grad : callable
            ``value_and_grad(theta: (n,)) -> (loss, gradient (n,))``, deterministic during the step: the same minibatch
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
        """
        function(value_and_grad, "value_and_grad")
        generator_state, evaluations = self._rng.bit_generator.state, self.evaluations
        try:
            loss = self._update(value_and_grad)
        except BaseException:
            self._rng.bit_generator.state = generator_state
            self.evaluations = evaluations
            raise
        self.steps += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a bit-exact resume needs, as copies.

        Returns
        -------
        dict
            ``optimizer`` (class name), ``steps``, ``evaluations``, ``hyperparameters`` (floats), ``rng`` (state of the
            bit generator) and ``arrays`` (name to array).
        """
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "hyperparameters": self._hyperparameters(),
            "rng": self._rng.bit_generator.state,
            "arrays": {name: array.copy() for name, array in self._arrays.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, on an optimizer built with the same options.

        Parameters
        ----------
        state : dict
            Saved state; it is checked before anything is changed.

        Raises
        ------
        ValueError
            The state is of another optimizer, of another size or dtype, not finite, or incomplete.
        """
        self._check_state(state)
        hyperparameters = {name: number(value, name, 0) for name, value in state["hyperparameters"].items()}
        steps, evaluations = (integer(state[name], name, 0) for name in ("steps", "evaluations"))
        try:
            self._rng.bit_generator.state = state["rng"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"rng of the state does not fit this generator: {error!r}") from error
        for name, array in self._arrays.items():
            array[:] = state["arrays"][name]
        for name, value in hyperparameters.items():
            setattr(self, f"_{name}", value)
        self.steps, self.evaluations = steps, evaluations

    def _check_state(self, state: dict[str, Any]) -> None:
        """Check what a saved state is made of; numbers and the random generator's state are checked on use."""
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, got {type(state).__name__}")
        missing = {"optimizer", "steps", "evaluations", "hyperparameters", "rng", "arrays"} - state.keys()
        if missing:
            raise ValueError(f"state lacks {', '.join(sorted(missing))}")
        if state["optimizer"] != type(self).__name__:
            raise ValueError(f"state must be of {type(self).__name__}, got {state['optimizer']}")
        for key in ("arrays", "hyperparameters", "rng"):
            if not isinstance(state[key], dict):
                raise TypeError(f"{key} of the state must be a dict, got {type(state[key]).__name__}")
        arrays, names = state["arrays"], self._hyperparameters().keys()
        if arrays.keys() != self._arrays.keys() or state["hyperparameters"].keys() != names:
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

    def _hyperparameters(self) -> dict[str, float]:
        """Return the settings that may change during a run and so belong to the saved state."""
        return {"lr": self.lr}

    def _zeros(self) -> FloatArray:
        return np.zeros_like(self._arrays["theta"])

    def _evaluate(self, value_and_grad: ValueAndGrad, point: FloatArray, out: FloatArray) -> float:
        """Write the gradient at `point` into `out` and return the loss, both checked."""
        view = point.view()
        view.setflags(write=False)
        result: Any = value_and_grad(view)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(f"value_and_grad must return (loss, gradient), got {type(result).__name__}")
        loss, gradient = result
        where = f"at step {self.steps + 1}"
        copy_gradient(gradient, out, where)
        self.evaluations += 1
        if not np.isfinite(loss):
            raise NonFiniteError(f"non-finite loss {where}: {loss}")
        return float(loss)

    def _check_square(self, gradient: FloatArray) -> None:
        """Refuse a gradient whose square would make the running second moment infinite for ever."""
        with np.errstate(over="ignore"):
            total = np.vdot(gradient, gradient)
        if not np.isfinite(total):  # one entry, or only the sum
            largest = float(abs(gradient).max())
            if largest > float(np.sqrt(np.finfo(gradient.dtype).max)):
                raise NonFiniteError(
                    f"gradient too large at step {self.steps + 1}: the square of {largest:g} overflows {gradient.dtype}"
                )

    def _update(self, value_and_grad: ValueAndGrad) -> float:
        raise NotImplementedError
