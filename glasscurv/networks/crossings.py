"""Every kink that a line through the parameters of a network crosses, and the jump of the gradient there.

Pre-activations are piecewise polynomials on the line; their roots are solved, not sampled (theory, section 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._threads import pieces, thread_map
from glasscurv._typing import FloatArray
from glasscurv._validation import finite, matrix, number, vector
from glasscurv.core import crossings as core
from glasscurv.networks.mlp import MLP

Rows = NDArray[np.intp]
TASKS, LARGEST_TASK = 16, 32  # the samples are cut into so many tasks for the threads, or into more of so many samples
CHUNK = 4096  # crossings whose activations are in memory at one time, and those of one sample more


@dataclass(frozen=True, eq=False)
class Crossings:
    """The c boundaries that θ + t·direction meets for 0 < t ≤ distance, in the order of t, sample, layer and unit.

    At one position a lower layer comes first, and each crossing sees the states that those before it have left; so the
    jumps of one sample add up, whatever coincides.

    Parameters
    ----------
    position : float64 ndarray of shape (c,)
        Position t, in units of the direction vector.
    sample : int ndarray of shape (c,)
        Row of X.
    layer : int ndarray of shape (c,)
        Hidden layer, counted from 1 like ``net.groups``.
    unit : int ndarray of shape (c,)
        Unit of that layer, counted from 0.
    on : bool ndarray of shape (c,)
        Whether the pre-activation becomes positive.
    signal : float64 ndarray of shape (c,)
        Signal s_k = ∂L/∂(output of the unit for this sample) at the crossing, with the weight 1/b of the minibatch.
    slope : float64 ndarray of shape (c,)
        Slope ∇y_k·direction, the derivative of the pre-activation by t at the crossing.
    active : bool ndarray of shape (b, h)
        Which of the h hidden units are on right of t = 0, layer after layer.
    net : MLP
        The network.
    theta, direction : float64 ndarray of shape (n,)
        Start and direction of the line.
    X : float64 ndarray of shape (b, d)
        Inputs.
    y : ndarray of shape (b,) or (b, k)
        Targets as the loss takes them.
    distance : float
        How far t goes, in units of the direction vector.

    See Also
    --------
    trace_crossings : Find them.

    References
    ----------
    Theory, section 1, equation (1).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> net = gc.MLP((1, 2, 1), loss="mse")                     # relu(t − 1) + relu(2 − t), target 0
    >>> theta = np.array([1.0, 1.0, -1.0, 2.0, 1.0, 1.0, 0.0])
    >>> direction = np.array([0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    >>> found = gc.trace_crossings(net, theta, direction, [[0.0]], [0.0], distance=5.0)
    >>> len(found), found.variation()                           # one bias by +2, the other by −2
    (2, array([ 0.,  0.,  2., -2.,  0.,  0.,  0.]))
    >>> found.density()                                         # 2²/5
    array([0. , 0. , 0.8, 0.8, 0. , 0. , 0. ])
    """

    position: FloatArray
    sample: NDArray[np.intp]
    layer: NDArray[np.intp]
    unit: NDArray[np.intp]
    on: NDArray[np.bool_]
    signal: FloatArray
    slope: FloatArray
    active: NDArray[np.bool_]
    net: MLP
    theta: FloatArray
    direction: FloatArray
    X: FloatArray
    y: NDArray[Any]
    distance: float

    def __len__(self) -> int:
        """Return the number c of crossings."""
        return self.position.size

    def jumps(self, which: slice | NDArray[np.integer] = slice(None)) -> FloatArray:
        """Return the jumps ±(β − α) s_k ∇y_k of the gradient.

        Parameters
        ----------
        which : slice or int ndarray of shape (m,)
            The crossings; all by default, which takes c·n numbers.

        Returns
        -------
        ndarray of shape (len(which), n)
            One jump a row (gradient): + where the unit goes on, − where it goes off.

        References
        ----------
        Theory, section 1, equation (1).
        """
        chosen = np.arange(len(self))[which]
        place = np.full(len(self), -1)
        place[chosen] = np.arange(chosen.size)
        jumps = np.zeros((chosen.size, self.net.size))
        for rows, layers in self._gradients(place >= 0):
            for slot, inputs, deltas in layers:
                product = np.einsum("ri,rj->rij", _with_bias(inputs), deltas)
                jumps[place[rows], slot] = product.reshape(rows.size, -1)
        again: FloatArray = jumps[place[chosen]]  # a crossing may be chosen twice
        return again

    def variation(self) -> FloatArray:
        """Return the sum of the jumps: the gradient variation that is due to the boundaries.

        Returns
        -------
        ndarray of shape (n,)
            Variation v over the distance (gradient).
        """
        return self._sum(1)

    def density(self) -> FloatArray:
        """Return the glass density of this line, Σ ((β − α) s_k ∂_i y_k)²/distance.

        With a direction of ±1 it is what `estimate_curvature` estimates as ``glass_density`` on this line and the
        opposite one together: second differences have the sum of squared jumps as their mean square even where signals
        are alike. The square of `variation` has it only if the signals are pseudorandom (check ``exact_density``).

        Returns
        -------
        ndarray of shape (n,)
            Density of every coordinate per unit of t (gradient²/length).
        """
        return self._sum(2) / self.distance

    def directional_density(self) -> float:
        """Return ρ_u of this line: Σ ((β − α) s_k ∇y_k·u)² per unit of length along u.

        Here u is the direction divided by its Euclidean norm, and lengths are Euclidean.

        Returns
        -------
        float
            Directional density (gradient²/length).

        References
        ----------
        Theory, section 2, equation (5).
        """
        largest = float(abs(self.direction).max())
        norm = largest * float(np.linalg.norm(self.direction / largest))
        return float(np.sum(np.square(self._weights() * (self.slope / norm)))) / (norm * self.distance)

    def _weights(self) -> FloatArray:
        """±(β − α) s_k."""
        left, right = _slopes(self.net)
        weights: FloatArray = np.where(self.on, 1.0, -1.0) * (right - left) * self.signal
        return weights

    def _sum(self, power: int) -> FloatArray:
        """Sum of the jumps' powers."""
        total = np.zeros(self.net.size)
        for _, layers in self._gradients(np.ones(len(self), np.bool_)):
            for slot, inputs, deltas in layers:
                total[slot] += ((_with_bias(inputs) ** power).T @ deltas**power).ravel()
        return total

    def _gradients(
        self, chosen: NDArray[np.bool_]
    ) -> Iterator[tuple[Rows, list[tuple[slice, FloatArray, FloatArray]]]]:
        """Give some crossings of one layer and their jumps, layer by layer, as outer products (inputs, deltas)."""
        slots = list(self.net.groups.values())
        weights = self._weights()
        for rows, patterns in self._chunks():
            for layer in range(1, len(self.net.layers) - 1):
                pick = (self.layer[rows] == layer) & chosen[rows]
                if not pick.any():
                    continue
                group = rows[pick]
                slopes = self._activation_slopes([pattern[pick] for pattern in patterns])
                inputs = self._forward(group, slopes[: layer - 1])
                delta = np.zeros((group.size, self.net.layers[layer]))
                delta[np.arange(group.size), self.unit[group]] = weights[group]
                parts = []
                for k in reversed(range(layer)):
                    parts.append((slots[k], inputs[k], delta))
                    if k:
                        delta = self._backward(group, k, delta) * slopes[k - 1]
                yield group, parts

    def _chunks(self) -> Iterator[tuple[Rows, list[NDArray[np.bool_]]]]:
        """Give the crossings of a few samples and which units are on there, (rows, width) a layer."""
        if not len(self):
            return
        order = np.argsort(self.sample, kind="stable")
        first = np.searchsorted(self.sample[order], self.sample[order])  # crossing of the same sample
        stops = np.cumsum(self.net.layers[1:-1])
        column = self.unit + np.concatenate([[0], stops])[self.layer - 1]
        for part in np.split(np.arange(order.size), np.flatnonzero(np.diff(first // CHUNK)) + 1):
            rows = order[part]
            flips = np.zeros((rows.size, self.active.shape[1]), np.uint8)
            flips[np.arange(rows.size), column[rows]] = 1
            before = np.cumsum(flips, axis=0, dtype=np.uint8) - flips
            before -= before[first[part] - part[:1]]
            odd = (before & 1).astype(np.bool_)  # the parity survives an overflow
            yield rows, np.split(self.active[self.sample[rows]] ^ odd, stops[:-1], axis=1)

    def _activation_slopes(self, patterns: list[NDArray[np.bool_]]) -> list[FloatArray]:
        left, right = _slopes(self.net)
        return [np.where(pattern, right, left) for pattern in patterns]

    def _forward(self, rows: Rows, slopes: list[FloatArray]) -> list[FloatArray]:
        """Return the inputs of the first layers, each row with the parameters at its own position."""
        inputs = [self.X[self.sample[rows]]]
        for k, slope in enumerate(slopes):
            inputs.append(slope * self._product(rows, k, inputs[k]))
        return inputs

    def _product(self, rows: Rows, layer: int, inputs: FloatArray) -> FloatArray:
        """Return the pre-activations of a layer, each row with the parameters at its own position."""
        (weights, biases), (dweights, dbiases) = self._parameters(layer)
        product: FloatArray = inputs @ weights + biases
        if dweights.any() or dbiases.any():
            product += self.position[rows, None] * (inputs @ dweights + dbiases)
        return product

    def _backward(self, rows: Rows, layer: int, delta: FloatArray) -> FloatArray:
        """Return the derivative by a layer's inputs, each row with the parameters at its own position."""
        (weights, _), (dweights, _) = self._parameters(layer)
        product: FloatArray = delta @ weights.T
        if dweights.any():
            product += self.position[rows, None] * (delta @ dweights.T)
        return product

    def _parameters(self, layer: int) -> list[tuple[FloatArray, FloatArray]]:
        return [self.net.unflatten(vector)[layer] for vector in (self.theta, self.direction)]


def trace_crossings(
    net: MLP, theta: ArrayLike, direction: ArrayLike, X: ArrayLike, y: ArrayLike, distance: float
) -> Crossings:
    """Find every ReLU or leaky-ReLU boundary that θ + t·direction meets for 0 < t ≤ distance.

    Parameters
    ----------
    net : MLP
        A network with a kinked activation.
    theta : array_like of shape (n,)
        Start μ of the line (length). The computation is in float64 whatever its dtype.
    direction : array_like of shape (n,)
        Any vector but 0. Layers whose part is zero stay where they are.
    X : array_like of shape (b, d)
        Inputs.
    y : array_like of shape (b,) or (b, k)
        Targets, as in `MLP.value_and_grad`.
    distance : float
        How far t goes, > 0, in units of the direction vector.

    Returns
    -------
    Crossings
        Where the line meets boundaries, in the order of t, and the jumps of the gradient there.

    Raises
    ------
    ValueError, TypeError
        A smooth activation, or arguments that do not fit the network or are so large that pre-activations overflow.

    See Also
    --------
    directional_density : Estimate the density along a line from gradients alone.
    estimate_curvature : Estimate the density of every coordinate.

    Notes
    -----
    The pre-activations of a sample are piecewise polynomials in t, of a degree that is the number of moving layers up
    to their own. Events are found in the order of t: each changes the polynomials of the layers above, whose next roots
    are isolated between turning points. Samples run in parallel threads; the result does not depend on their number.

    A crossing is a change of sign. A unit that is exactly 0 at t = 0 has the state right of it; an identical zero is
    off, as the activation's derivative at 0 is the left slope; touching zero is no crossing, and neither is a dip
    across zero that is smaller than rounding, about 1e-14 of the terms of the pre-activation there.

    References
    ----------
    Theory, section 1, equation (1).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> net = gc.MLP((1, 2, 1), loss="mse")                     # relu(t − 1) + relu(2 − t), target 0
    >>> theta = np.array([1.0, 1.0, -1.0, 2.0, 1.0, 1.0, 0.0])
    >>> direction = np.array([0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    >>> found = gc.trace_crossings(net, theta, direction, [[0.0]], [0.0], distance=5.0)
    >>> found.position, found.unit, found.on
    (array([1., 2.]), array([0, 1]), array([ True, False]))
    >>> found.signal, found.slope                               # ∂L/∂output = 2 · output, 1 and 1 there
    (array([2., 2.]), array([ 1., -1.]))
    """
    left, right = _slopes(net)
    start = vector(theta, "theta", net.size).astype(np.float64)
    line = vector(direction, "direction", net.size).astype(np.float64)
    if not line.any():
        raise ValueError("direction must not be zero, got a zero vector")
    reach = number(distance, "distance", 0, open_low=True)
    inputs = np.ascontiguousarray(matrix(X, "X", net.layers[0]).astype(np.float64))
    targets = np.array(net.loss.targets(y, (len(inputs), net.layers[-1]), np.dtype(np.float64)))
    with np.errstate(over="ignore", invalid="ignore"):
        change = finite(line * reach, "distance times direction")
        slots = net.groups.values()
        largest = np.array([[np.linalg.norm(part[slot], np.inf) for slot in slots] for part in (start, change)])
        _check_size(net, largest.sum(axis=0), abs(inputs).max())

    active = np.zeros((len(inputs), sum(net.layers[1:-1])), np.bool_)
    widths = np.array(net.layers, np.int64)
    alone = Lock()

    def trace(rows: slice) -> FloatArray:
        events, outputs = core.trace_samples(start, change, widths, largest, left, right, inputs[rows], active[rows])
        if len(events):
            events[:, 0] += rows.start
            with alone:  # a loss need not serve several threads
                # a mean over these rows, to be turned into one over the minibatch
                gradients = net.loss.derivative(outputs, targets[events[:, 0].astype(np.intp)])
                gradients = np.ascontiguousarray(gradients * (len(events) / len(inputs)))
            core.backpropagate(start, change, widths, left, right, active, events, gradients)
        return events

    parts: list[FloatArray] = [np.zeros((0, core.EVENT))]
    if active.size:
        parts = thread_map(trace, pieces(len(inputs), min(-(-len(inputs) // TASKS), LARGEST_TASK)))
    events = np.concatenate(parts)
    sample, layer, unit = events[:, (0, 2, 3)].astype(np.intp).T
    position = events[:, 1] * reach
    order = np.lexsort((unit, layer, sample, position))
    return Crossings(
        position=position[order],
        sample=sample[order],
        layer=layer[order] + 1,
        unit=unit[order],
        on=events[order, 4] > 0,
        signal=events[order, 6],
        slope=events[order, 5] / reach,
        active=active,
        net=net,
        theta=start,
        direction=line,
        X=inputs,
        y=targets,
        distance=reach,
    )


def _slopes(net: MLP) -> tuple[float, float]:
    """Slopes α and β of the activation's kink."""
    left, right = net.activation.left_slope, net.activation.right_slope
    if left is None or right is None:
        raise ValueError(f"net must have an activation with a kink, got {net.activation.name!r}, which is smooth")
    return left, right


def _check_size(net: MLP, largest: FloatArray, size: float) -> None:
    """Raise if a pre-activation, or a coefficient of its polynomial, might overflow.

    `largest` is that of each layer's parameters on the line, `size` of the inputs.
    """
    steepest = max(map(abs, _slopes(net)))
    for fan_in, parameter in zip(net.layers[:-1], largest, strict=True):
        size = (fan_in * size + 1) * float(parameter) * steepest
    if not np.isfinite(size):
        raise ValueError("the pre-activations on the line must not overflow: theta, direction or X is too large")


def _with_bias(inputs: FloatArray) -> FloatArray:
    """Add the constant input 1 of the biases."""
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
