"""Multilayer perceptrons over one flat parameter vector."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from glasscurv._threads import single_threaded_blas, thread_map
from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import choice, finite, generator, integers, matrix, output, real_array, table
from glasscurv.core import networks as core
from glasscurv.networks.activations import ACTIVATIONS, Activation, straight_slopes
from glasscurv.networks.losses import LOSSES, Loss
from glasscurv.networks.workspace import Block, Panel, Workspace, empty_panel, panels

Layer = tuple[FloatArray, FloatArray]
KEPT = 2  # workspaces of a thread: for a minibatch, and for the last one of an epoch


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
        Activation of the hidden layers. The attribute is a `networks.Activation`.
    loss : {"cross_entropy", "mse"} or Loss
        Softmax cross-entropy of integer labels, or mean squared error; means over the minibatch. The attribute is a
        `networks.Loss`.

    Attributes
    ----------
    size : int
        Number n of parameters.
    groups : dict of str to slice
        Names ``"layer1"``, ``"layer2"``, … and the layers' parts of the parameter vector.

    Raises
    ------
    ValueError, TypeError
        Widths that are not positive integers, or an unknown activation or loss.

    See Also
    --------
    train : Train a network.
    trace_crossings : Find the boundaries of a network along a line.
    curvature_profile : Measure where a network is glass.
    networks.Activation : Activations of one's own.

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
        self.layers = tuple(integers(layers, "layers", 1))
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
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

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
        dtype : {float32, float64}
            Type of the numbers.

        Returns
        -------
        ndarray of shape (n,)
            Parameters θ (length).

        Raises
        ------
        ValueError, TypeError
            An unknown method, another dtype, or an `rng` that is neither None, an int ≥ 0 nor a Generator.
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
        """Return the weights and biases of every layer.

        Parameters
        ----------
        theta : ndarray of shape (n,)
            Parameters, or anything of their shape, such as a gradient.

        Returns
        -------
        list of (ndarray of shape (inputs, outputs), ndarray of shape (outputs,))
            Views (W, b) into `theta`.
        """
        views = []
        for group, (fan_in, fan_out) in zip(self.groups.values(), self._shapes(), strict=True):
            split = group.stop - fan_out
            views.append((theta[group.start : split].reshape(fan_in, fan_out), theta[split : group.stop]))
        return views

    def weight_groups(self, per: Literal["layer", "unit"] = "layer") -> dict[str, slice]:
        """Return where the weights, without biases, stand in the parameter vector.

        Parameters
        ----------
        per : {"layer", "unit"}
            One group for every layer, or for every output unit of every layer.

        Returns
        -------
        dict of str to slice
            Names ``"layer1"``, … or ``"layer1/0"``, ``"layer1/1"``, …, whose slices have strides.

        Raises
        ------
        ValueError
            `per` is neither.

        Examples
        --------
        >>> import glasscurv as gc
        >>> net = gc.MLP((2, 3, 1))
        >>> net.weight_groups()
        {'layer1': slice(0, 6, None), 'layer2': slice(9, 12, None)}
        >>> net.weight_groups("unit")["layer1/1"]
        slice(1, 6, 3)
        """
        choice(per, "per", ("layer", "unit"))
        groups = {}
        for (name, group), fan_out in zip(self.groups.items(), self.layers[1:], strict=True):
            weights = slice(group.start, group.stop - fan_out)
            if per == "layer":
                groups[name] = weights
            else:
                groups |= {f"{name}/{j}": slice(weights.start + j, weights.stop, fan_out) for j in range(fan_out)}
        return groups

    def input_norm(self, theta: ArrayLike, X: ArrayLike) -> FloatArray:
        """Return the root mean square over the rows of X of what each parameter multiplies.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).
        X : array_like of shape (b, d)
            Inputs.

        Returns
        -------
        ndarray of shape (n,)
            Size of a weight's input (1 for biases).

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit the network, or an `X` that is not finite.

        Examples
        --------
        >>> import glasscurv as gc
        >>> net = gc.MLP((2, 1), loss="mse")
        >>> net.input_norm([1.0, 1.0, 0.0], [[3.0, 0.0], [4.0, 1.0]]).round(4)
        array([3.5355, 0.7071, 1.    ])
        """
        parameters, inputs = self._parameters(theta), finite(self._inputs(X), "X")
        hidden = self.preactivations(parameters, inputs)[:-1]
        norms = np.ones_like(parameters)
        for (weights, _), values in zip(
            self.unflatten(norms), [inputs, *(self.activation.value(each) for each in hidden)], strict=True
        ):
            weights[:] = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=0))[:, None]
        return norms

    def preactivations(self, theta: ArrayLike, X: ArrayLike) -> list[FloatArray]:
        """Return the pre-activations of every layer.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).
        X : array_like of shape (b, d)
            Inputs.

        Returns
        -------
        list of ndarray of shape (b, width)
            Pre-activations, layer after layer; the last are the outputs.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit the network, or an `X` that is not finite.
        """
        parameters, inputs = self._parameters(theta), self._inputs(X)
        layers, work = self._matrices(parameters), Workspace(self.layers, len(inputs), parameters.dtype)
        with single_threaded_blas:
            thread_map(partial(self._pass_forward, layers, inputs), work.panels)
        return work.preactivations

    def outputs(self, theta: ArrayLike, X: ArrayLike) -> FloatArray:
        """Return the outputs of the last layer.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).
        X : array_like of shape (b, d)
            Inputs.

        Returns
        -------
        ndarray of shape (b, k)
            Logits for cross-entropy, predicted values for mean squared error.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit the network, or an `X` that is not finite.
        """
        parameters, inputs = self._parameters(theta), self._inputs(X)
        return self._outputs(parameters, inputs)

    def predict(self, theta: ArrayLike, X: ArrayLike) -> NDArray[Any]:
        """Return predicted labels or values.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).
        X : array_like of shape (b, d)
            Inputs.

        Returns
        -------
        ndarray of shape (b,) or (b, k)
            Labels (b,) for cross-entropy; else outputs (b, k), or (b,) when k = 1.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit the network, or an `X` that is not finite.
        """
        outputs = self.outputs(theta, X)
        if self.loss.name == "cross_entropy":
            labels: NDArray[np.intp] = outputs.argmax(axis=1)
            return labels
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def value(self, theta: ArrayLike, X: ArrayLike, y: ArrayLike) -> float:
        """Return the mean loss.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length).
        X : array_like of shape (b, d)
            Inputs.
        y : array_like of shape (b,) or (b, k)
            Targets, as in `value_and_grad`.

        Returns
        -------
        float
            Mean loss over the rows of `X`.

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network, or an `X` or `y` that is not finite.
        """
        parameters, inputs, targets = self._arguments(theta, X, y)
        return self.loss.value(self._outputs(parameters, inputs), targets)

    def value_and_grad(
        self, theta: ArrayLike, X: ArrayLike, y: ArrayLike, out: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return the mean loss and its gradient by backpropagation.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length); their dtype is that of the arithmetic.
        X : array_like of shape (b, d)
            Inputs.
        y : array_like of shape (b,) or (b, k)
            Targets: integer labels (b,) for cross-entropy; values (b, k), or (b,) when k = 1, for mean squared error.
        out : ndarray of shape (n,), optional
            Contiguous array of the dtype of the parameters, which gets the gradient. By default the gradient is a new
            array.

        Returns
        -------
        loss : float
            Mean loss over the rows of `X`.
        gradient : ndarray of shape (n,)
            Its gradient (loss/length).

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network, an `X` or `y` that is not finite, or an `out` that cannot take
            the gradient.

        Notes
        -----
        The result is the same, bit for bit, whatever the number of threads. Arrays of the size of the minibatch are
        kept from call to call, a set for each thread that calls.
        """
        parameters, inputs, targets = self._arguments(theta, X, y)
        gradient = output(out, parameters.shape, parameters.dtype)
        layers, slots = self._matrices(parameters), self._matrices(gradient)
        work = self._take_workspace(len(inputs), parameters.dtype)
        row_losses: Callable[..., None] | None = vars(type(self.loss)).get("row_losses")

        def through(panel: Panel, row_losses: Callable[..., None]) -> None:
            self._pass_forward(layers, inputs, panel)
            losses, delta = work.losses[panel.rows], panel.deltas[-1]
            row_losses(self.loss, panel.preactivations[-1], targets[panel.rows], len(inputs), losses, delta)
            self._pass_backward(layers, panel)

        def add_up(block: Block) -> None:
            np.matmul(block.inputs, block.deltas, out=slots[block.layer][block.rows])

        share = _map(work)
        with single_threaded_blas:
            if row_losses is not None:
                share(partial(through, row_losses=row_losses), work.panels)
                loss = float(work.losses.mean())
            else:
                share(partial(self._pass_forward, layers, inputs), work.panels)
                outputs = work.preactivations[-1].copy()  # the loss may keep it
                loss = self.loss.value(outputs, targets)
                work.deltas[-1][:] = self.loss.derivative(outputs, targets)
                share(partial(self._pass_backward, layers), work.panels)
            share(add_up, work.blocks)
        self._keep_workspace(work)
        return loss, gradient

    def hessian_vector(self, theta: ArrayLike, v: ArrayLike, X: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the exact Hessian-vector product Hv by Pearlmutter's forward-over-reverse differentiation.

        Parameters
        ----------
        theta : array_like of shape (n,)
            Parameters (length); their dtype is that of the arithmetic.
        v : array_like of shape (n,)
            Direction.
        X : array_like of shape (b, d)
            Inputs.
        y : array_like of shape (b,) or (b, k)
            Targets, as in `value_and_grad`.

        Returns
        -------
        ndarray of shape (n,)
            Product Hv (gradient/length times the units of v). With a piecewise-linear activation this is the Hessian
            inside the current linear region: it does not see the glass.

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network, or a `v`, `X` or `y` that is not finite.

        References
        ----------
        Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6.
        """
        parameters, inputs, targets = self._arguments(theta, X, y)
        direction = real_array(v, "v")
        if direction.shape != (self.size,):
            raise ValueError(f"v must have shape ({self.size},), got {direction.shape}")
        finite(direction, "v")
        layers, changes = self._matrices(parameters), self._matrices(direction.astype(parameters.dtype))
        product = np.empty_like(parameters)
        slots = self._matrices(product)
        # In `tangent` everything is the derivative along v of what is in `work`.
        work, tangent = (Workspace(self.layers, len(inputs), parameters.dtype) for _ in range(2))

        def forward(pair: tuple[Panel, Panel]) -> None:
            panel, change = pair
            self._pass_forward(layers, inputs, panel)
            change.inputs[0][:] = 0
            for k, y in enumerate(panel.preactivations):
                np.matmul(change.inputs[k], layers[k], out=change.preactivations[k])
                change.preactivations[k] += panel.inputs[k] @ changes[k]
                if k < len(layers) - 1:
                    change.inputs[k + 1][:, :-1] = self.activation.derivative(y) * change.preactivations[k]
                    change.inputs[k + 1][:, -1] = 0

        def backward(pair: tuple[Panel, Panel]) -> None:
            panel, change = pair
            for k in range(len(layers) - 1, 0, -1):
                weights, dweights, y = layers[k][:-1], changes[k][:-1], panel.preactivations[k - 1]
                signal = panel.deltas[k] @ weights.T
                dsignal = change.deltas[k] @ weights.T + panel.deltas[k] @ dweights.T
                slope, bend = self.activation.derivative(y), self.activation.second_derivative(y)
                panel.deltas[k - 1][:] = signal * slope
                change.deltas[k - 1][:] = dsignal * slope + signal * bend * change.preactivations[k - 1]

        def add_up(pair: tuple[Block, Block]) -> None:
            block, change = pair
            slots[block.layer][block.rows] = block.inputs @ change.deltas + change.inputs @ block.deltas

        share, pairs = _map(work), list(zip(work.panels, tangent.panels, strict=True))
        with single_threaded_blas:
            share(forward, pairs)
            outputs, change = work.preactivations[-1], tangent.preactivations[-1]
            work.deltas[-1][:] = self.loss.derivative(outputs, targets)
            tangent.deltas[-1][:] = self.loss.hessian_product(outputs, change, targets)
            share(backward, pairs)
            share(add_up, list(zip(work.blocks, tangent.blocks, strict=True)))
        return product

    def check_data(self, X: ArrayLike, y: ArrayLike) -> None:
        """Raise what `value_and_grad` would raise for these inputs and targets.

        Parameters
        ----------
        X : array_like of shape (b, d)
            Inputs.
        y : array_like of shape (b,) or (b, k)
            Targets, as in `value_and_grad`.

        Raises
        ------
        ValueError, TypeError
            Shapes or labels that do not fit the network, or an `X` or `y` that is not finite.
        """
        inputs = matrix(X, "X", self.layers[0])
        self.loss.targets(y, (len(inputs), self.layers[-1]), np.dtype(np.float64))

    def _outputs(self, theta: FloatArray, X: FloatArray) -> FloatArray:
        """Return the outputs (b, k), without keeping what leads to them for more rows than a panel's."""
        layers, outputs = self._matrices(theta), np.empty((len(X), self.layers[-1]), theta.dtype)

        def forward(rows: slice) -> None:
            panel = empty_panel(self.layers, rows, theta.dtype)
            self._pass_forward(layers, X, panel)
            outputs[rows] = panel.preactivations[-1]

        with single_threaded_blas:
            thread_map(forward, panels(len(X), self.size))
        return outputs

    def _pass_forward(self, layers: list[FloatArray], X: FloatArray, panel: Panel) -> None:
        """Compute pre-activations and inputs of every layer."""
        if not core.copy_rows(X[panel.rows], panel.inputs[0]):
            finite(X, "X")
        slopes = straight_slopes(self.activation, panel.inputs[0].dtype)
        for k, (x, y) in enumerate(zip(panel.inputs, panel.preactivations, strict=True)):
            np.matmul(x, layers[k], out=y)
            if k == len(layers) - 1:
                break
            if slopes is not None:
                core.kinked_value(y, *slopes, panel.inputs[k + 1])
            else:
                panel.inputs[k + 1][:, :-1] = self.activation.value(y)

    def _pass_backward(self, layers: list[FloatArray], panel: Panel) -> None:
        """Compute the derivatives of the loss by the pre-activations, from those of the last layer."""
        slopes = straight_slopes(self.activation, panel.inputs[0].dtype)
        for k in range(len(layers) - 1, 0, -1):
            signal, delta, y = panel.signals[k - 1], panel.deltas[k - 1], panel.preactivations[k - 1]
            np.matmul(layers[k][:-1], panel.deltas[k].T, out=signal)
            if slopes is not None:
                core.kinked_derivative(y, *slopes, signal, delta)
            else:
                np.multiply(signal.T, self.activation.derivative(y), out=delta)

    def _take_workspace(self, rows: int, dtype: np.dtype[Any]) -> Workspace:
        """Return a workspace that is this call's until it is given back: one of this thread, or a new one."""
        kept = self._local.__dict__.setdefault("workspaces", {})
        return kept.pop((rows, dtype), None) or Workspace(self.layers, rows, dtype)

    def _keep_workspace(self, work: Workspace) -> None:
        kept = self._local.workspaces
        kept[len(work.losses), work.deltas[0].dtype] = work
        if len(kept) > KEPT:
            del kept[next(iter(kept))]

    def _arguments(self, theta: ArrayLike, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray, NDArray[Any]]:
        parameters, inputs = self._parameters(theta), self._inputs(X)
        return parameters, inputs, self.loss.targets(y, (len(inputs), self.layers[-1]), parameters.dtype)

    def _parameters(self, theta: ArrayLike) -> FloatArray:
        # A nan in the parameters of a diverging run passes: it reaches the gradient, and the optimizer reports it
        # with the step at which it happened.
        parameters = real_array(theta, "theta")
        if parameters.shape != (self.size,):
            raise ValueError(f"theta must have shape ({self.size},), got {parameters.shape}")
        return np.ascontiguousarray(parameters)

    def _inputs(self, X: ArrayLike) -> FloatArray:
        """Return X, checked but for a nan or an infinity, which the pass forward looks for."""
        return table(X, "X", self.layers[0])

    def _matrices(self, theta: FloatArray) -> list[FloatArray]:
        """Return views (inputs + 1, outputs) of every layer into theta: the weights, and the biases below them."""
        return [
            theta[group].reshape(-1, fan_out)
            for group, fan_out in zip(self.groups.values(), self.layers[1:], strict=True)
        ]

    def _shapes(self) -> list[tuple[int, int]]:
        return list(pairwise(self.layers))


def _map(work: Workspace) -> Callable[[Callable[[Any], None], Sequence[Any]], object]:
    return _in_turn if work.alone else thread_map


def _in_turn(task: Callable[[Any], None], pieces: Sequence[Any]) -> None:
    for piece in pieces:
        task(piece)
