"""Multilayer perceptrons over one flat parameter vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import choice, finite, generator, integer, matrix, real_array
from glasscurv.networks.activations import ACTIVATIONS, Activation
from glasscurv.networks.losses import LOSSES, Loss

Layer = tuple[FloatArray, FloatArray]


class MLP:
    """A network of dense layers with exact gradients and Hessian-vector products.

    The parameters of layer l are its weights W (inputs, outputs), row by row, and its biases b (outputs,), in this
    order; the layers follow one another in one flat vector. Layers compute x W + b; the activation acts on every layer
    but the last. Arithmetic is done in the dtype of the parameters.

    Parameters
    ----------
    layers : sequence of int
        Width of the input, of every hidden layer and of the output, at least two numbers.
    activation : {"relu", "leaky_relu", "tanh", "silu", "gelu"} or Activation
        Activation of the hidden layers.
    loss : {"cross_entropy", "mse"} or Loss
        Softmax cross-entropy of integer labels, or mean squared error; means over the minibatch.

    Attributes
    ----------
    layers : tuple of int
    activation : Activation
    loss : Loss
    size : int
        Number n of parameters.
    groups : dict of str to slice
        ``"layer1"``, ``"layer2"``, … to the layer's part of the parameter vector.

    Raises
    ------
    ValueError, TypeError
        Widths that are not positive integers, or an unknown activation or loss.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> net = gc.MLP((2, 8, 3), activation="tanh")
    >>> theta = net.initialize(rng=0)
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 2])
    >>> loss, gradient = net.value_and_grad(theta, X, y)
    >>> gradient.shape == (net.size,), net.groups
    (True, {'layer1': slice(0, 24, None), 'layer2': slice(24, 51, None)})
    """

    def __init__(
        self,
        layers: Sequence[int],
        activation: str | Activation = "relu",
        loss: str | Loss = "cross_entropy",
    ) -> None:
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a sequence of integers, got {type(layers).__name__}")
        self.layers = tuple(integer(width, "every entry of layers", 1) for width in layers)
        if len(self.layers) < 2:
            raise ValueError(f"layers must hold at least an input and an output width, got {self.layers}")
        if isinstance(activation, Activation):
            self.activation = activation
        else:
            self.activation = ACTIVATIONS[choice(activation, "activation", tuple(ACTIVATIONS))]
        self.loss = loss if isinstance(loss, Loss) else LOSSES[choice(loss, "loss", tuple(LOSSES))]
        self.groups: dict[str, slice] = {}
        start = 0
        for number, (fan_in, fan_out) in enumerate(self._shapes(), start=1):
            stop = start + (fan_in + 1) * fan_out
            self.groups[f"layer{number}"] = slice(start, stop)
            start = stop
        self.size = start

    def __repr__(self) -> str:
        return f"MLP({self.layers}, activation={self.activation.name!r}, loss={self.loss.name!r})"

    def initialize(
        self,
        rng: RngLike = None,
        method: Literal["he", "glorot"] | None = None,
        dtype: DTypeLike = np.float64,
    ) -> FloatArray:
        """Draw initial parameters: normal weights, zero biases.

        Parameters
        ----------
        rng : None, int or Generator
            Source of the weights.
        method : {"he", "glorot"}, optional
            Variance 2/fan_in (He et al. 2015) or 2/(fan_in + fan_out) (Glorot and Bengio 2010). By default Glorot for
            tanh and He for the others.
        dtype : dtype
            float32 or float64.

        Returns
        -------
        (n,) array

        Raises
        ------
        ValueError, TypeError
            An unknown method or another dtype.
        """
        source = generator(rng)
        default: Literal["he", "glorot"] = "glorot" if self.activation.name == "tanh" else "he"
        rule = default if method is None else choice(method, "method", ("he", "glorot"))
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
        theta = np.zeros(self.size, dtype)
        for weights, _ in self.unflatten(theta):
            fan_in, fan_out = weights.shape
            variance = 2 / fan_in if rule == "he" else 2 / (fan_in + fan_out)
            weights[:] = source.normal(0, math.sqrt(variance), weights.shape)
        return theta

    def unflatten(self, theta: FloatArray) -> list[Layer]:
        """Return views (W, b) of every layer, shapes (inputs, outputs) and (outputs,), into theta (n,)."""
        views = []
        for group, (fan_in, fan_out) in zip(self.groups.values(), self._shapes(), strict=True):
            split = group.stop - fan_out
            views.append((theta[group.start : split].reshape(fan_in, fan_out), theta[split : group.stop]))
        return views

    def preactivations(self, theta: ArrayLike, X: ArrayLike) -> list[FloatArray]:
        """Return the pre-activations of every layer, (b, width) each; the last are the outputs."""
        parameters = self._parameters(theta)
        return self._forward(parameters, self._inputs(X, parameters.dtype))[0]

    def outputs(self, theta: ArrayLike, X: ArrayLike) -> FloatArray:
        """Return the outputs (b, k) of the last layer: logits, or predicted values."""
        return self.preactivations(theta, X)[-1]

    def predict(self, theta: ArrayLike, X: ArrayLike) -> NDArray[Any]:
        """Return labels (b,) for cross-entropy; values (b, k), or (b,) when k = 1, for mean squared error."""
        outputs = self.outputs(theta, X)
        if self.loss.name == "cross_entropy":
            labels: NDArray[np.intp] = outputs.argmax(axis=1)
            return labels
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def value(self, theta: ArrayLike, X: ArrayLike, y: ArrayLike) -> float:
        """Return the mean loss over the rows of X; arguments as in `value_and_grad`."""
        parameters, inputs, targets = self._arguments(theta, X, y)
        return self.loss.value(self._forward(parameters, inputs)[0][-1], targets)

    def value_and_grad(self, theta: ArrayLike, X: ArrayLike, y: ArrayLike) -> tuple[float, FloatArray]:
        """Return the mean loss and its gradient by backpropagation.

        Parameters
        ----------
        theta : (n,) array_like
            Parameters; their dtype is that of the arithmetic.
        X : (b, d) array_like
            Inputs.
        y : (b,) integers, or (b, k) array_like for mean squared error
            Targets.

        Returns
        -------
        loss : float
        gradient : (n,) array

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network.
        """
        parameters, inputs, targets = self._arguments(theta, X, y)
        preactivations, activations = self._forward(parameters, inputs)
        gradient = np.empty_like(parameters)
        slots = self.unflatten(gradient)
        delta = self.loss.derivative(preactivations[-1], targets)
        layers = self.unflatten(parameters)
        for k in reversed(range(len(layers))):
            np.matmul(activations[k].T, delta, out=slots[k][0])
            np.sum(delta, axis=0, out=slots[k][1])
            if k:
                delta = delta @ layers[k][0].T
                delta *= self.activation.derivative(preactivations[k - 1])
        return self.loss.value(preactivations[-1], targets), gradient

    def hessian_vector(self, theta: ArrayLike, v: ArrayLike, X: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the exact Hessian-vector product Hv by Pearlmutter's forward-over-reverse differentiation.

        Parameters
        ----------
        theta, X, y
            As in `value_and_grad`.
        v : (n,) array_like
            Direction.

        Returns
        -------
        (n,) array
            Hv (gradient/length times the units of v). With a piecewise-linear activation this is the Hessian inside
            the current linear region: it does not see the glass.

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network.

        References
        ----------
        Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6.
        """
        parameters, inputs, targets = self._arguments(theta, X, y)
        direction = real_array(v, "v")
        if direction.shape != (self.size,):
            raise ValueError(f"v must have shape ({self.size},), got {direction.shape}")
        finite(direction, "v")
        layers, changes = self.unflatten(parameters), self.unflatten(direction.astype(parameters.dtype))
        preactivations, activations = self._forward(parameters, inputs)
        # Forward: derivatives along v of pre-activations (dy) and activations (dx).
        dx, dys, dxs = np.zeros_like(inputs), [], []
        for k, ((weights, _), (dw, db)) in enumerate(zip(layers, changes, strict=True)):
            dxs.append(dx)
            dys.append(dx @ weights + activations[k] @ dw + db)
            if k < len(layers) - 1:
                dx = self.activation.derivative(preactivations[k]) * dys[k]
        # Backward: delta = ∂L/∂y as in backpropagation, and its derivative ddelta along v.
        product = np.empty_like(parameters)
        slots = self.unflatten(product)
        delta = self.loss.derivative(preactivations[-1], targets)
        ddelta = self.loss.hessian_product(preactivations[-1], dys[-1], targets)
        for k in reversed(range(len(layers))):
            slots[k][0][:] = activations[k].T @ ddelta + dxs[k].T @ delta
            slots[k][1][:] = ddelta.sum(axis=0)
            if k:
                y_below = preactivations[k - 1]
                signal, dsignal = delta @ layers[k][0].T, ddelta @ layers[k][0].T + delta @ changes[k][0].T
                slope = self.activation.derivative(y_below)
                bend = self.activation.second_derivative(y_below)
                delta, ddelta = signal * slope, dsignal * slope + signal * bend * dys[k - 1]
        return product

    def check_data(self, X: ArrayLike, y: ArrayLike) -> None:
        """Raise what `value_and_grad` would raise for these inputs and targets."""
        inputs = self._inputs(X, np.dtype(np.float64))
        self.loss.targets(y, (len(inputs), self.layers[-1]), np.dtype(np.float64))

    def _forward(self, theta: FloatArray, X: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        """Pre-activations of every layer and the inputs to every layer."""
        activations: list[FloatArray] = [X]
        preactivations: list[FloatArray] = []
        layers = self.unflatten(theta)
        for k, (weights, biases) in enumerate(layers):
            preactivation = activations[k] @ weights
            preactivation += biases
            preactivations.append(preactivation)
            if k < len(layers) - 1:
                activations.append(self.activation.value(preactivation))
        return preactivations, activations

    def _arguments(self, theta: ArrayLike, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray, NDArray[Any]]:
        parameters = self._parameters(theta)
        inputs = self._inputs(X, parameters.dtype)
        return parameters, inputs, self.loss.targets(y, (len(inputs), self.layers[-1]), parameters.dtype)

    def _parameters(self, theta: ArrayLike) -> FloatArray:
        # A nan in the parameters of a diverging run passes: it reaches the gradient, and the optimizer reports it
        # with the step at which it happened.
        parameters = real_array(theta, "theta")
        if parameters.shape != (self.size,):
            raise ValueError(f"theta must have shape ({self.size},), got {parameters.shape}")
        return parameters

    def _inputs(self, X: ArrayLike, dtype: np.dtype[Any]) -> FloatArray:
        return matrix(X, "X", self.layers[0]).astype(dtype, copy=False)

    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.layers[:-1], self.layers[1:], strict=True))
