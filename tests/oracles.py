"""Slow, obvious rewrites of the theory, independent of the code under test."""

import math

import mpmath
import numpy as np
from scipy.special import log_softmax, softmax

C = mpmath.sqrt(2 / (3 * mpmath.pi))


def two_sided_brownian_covariance(nodes, density, length):
    """Cov[W(s), W(t)] = ρ σ min(|s|, |t|) on the same side of 0, else 0 (theory, section 3)."""
    m = len(nodes)
    covariance = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            if nodes[i] * nodes[j] > 0:
                covariance[i, j] = density * length * min(abs(nodes[i]), abs(nodes[j]))
    return covariance


def step_model(d, slope, hessian, density):
    """m(d) = −|g| d + ½ h d² + c sqrt(ρ) d^{3/2} (section 5)."""
    return -slope * d + hessian * d**2 / 2 + float(C) * math.sqrt(density) * d**1.5


def best_step_length(slope, hessian, density):
    """Minimiser of m(d) to 50 digits, by bisection on the sign of m'."""
    with mpmath.workdps(50):
        g, h, rho = mpmath.mpf(slope), mpmath.mpf(hessian), mpmath.mpf(density)
        # The minimiser is below both one-term minimisers and above a quarter of the smaller: m' < 0 there.
        single = [g / h] if h else []
        single += [(2 * g / (3 * mpmath.sqrt(2 / (3 * mpmath.pi)) * mpmath.sqrt(rho))) ** 2] if rho else []
        high = min(single)
        low = high / 4
        for _ in range(170):
            middle = (low + high) / 2
            glass = mpmath.mpf(3) / 2 * mpmath.sqrt(2 / (3 * mpmath.pi)) * mpmath.sqrt(rho * middle)
            if -g + h * middle + glass < 0:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def joint_model(d, slope, hessian, density):
    """Σ (−|g| d + ½ h d²) + c sqrt(Σ ρ d³) (section 5, joint step)."""
    return float(np.sum(-slope * d + hessian * d**2 / 2) + float(C) * np.sqrt(np.sum(density * d**3)))


def joint_model_gradient(d, slope, hessian, density):
    """Gradient of `joint_model` for d > 0."""
    root = np.sqrt(np.sum(density * d**3))
    return -slope + hessian * d + 1.5 * float(C) * density * d**2 / root


def joint_model_hessian(d, hessian, density):
    """Hessian of `joint_model` for d > 0."""
    root = np.sqrt(np.sum(density * d**3))
    slope = 1.5 * density * d**2 / root
    return np.diag(hessian) + float(C) * (np.diag(3 * density * d / root) - np.outer(slope, slope) / root)


def preactivations_on_a_line(net, theta, direction, x, positions):
    """Hidden pre-activations of one sample at theta + t direction in extended precision: [layer][position, unit]."""
    theta, direction = theta.astype(np.longdouble), direction.astype(np.longdouble)
    inputs, layers = np.array([x] * len(positions), np.longdouble), []
    points = [net.unflatten(theta + t * direction) for t in np.asarray(positions, np.longdouble)]
    for layer in range(len(net.layers) - 2):
        y = np.array([h @ point[layer][0] + point[layer][1] for h, point in zip(inputs, points, strict=True)])
        layers.append(y)
        inputs = net.activation.value(y)
    return layers


def crossings_on_a_line(net, theta, direction, X, distance, cells=1000, splits=()):
    """Sign changes of hidden pre-activations for 0 < t ≤ distance: dense sampling, then bisection.

    Two crossings of a unit in one cell are missed; further `splits` make cells smaller. Rows (position, sample, layer
    from 1, unit, on) in order.
    """
    found = []
    grid = np.unique(np.concatenate([np.linspace(0, distance, cells + 1), splits]))
    for sample, x in enumerate(X):
        dense = preactivations_on_a_line(net, theta, direction, x, grid)
        events = []
        for layer, y in enumerate(dense, start=1):
            for k, unit in np.argwhere((y[1:] > 0) != (y[:-1] > 0)):
                events.append([grid[k], grid[k + 1], layer, unit, y[k + 1, unit] > 0])
        low, high = (np.array([event[end] for event in events], np.longdouble) for end in (0, 1))
        for _ in range(60):
            middle = (low + high) / 2
            y = preactivations_on_a_line(net, theta, direction, x, middle)
            for k, (_, _, layer, unit, on) in enumerate(events):
                if (y[layer - 1][k, unit] > 0) == on:
                    high[k] = middle[k]
                else:
                    low[k] = middle[k]
        found += [(float(t), sample, *event[2:]) for t, event in zip(high, events, strict=True)]
    return sorted(found)


def cross_entropy(outputs, y):
    """Mean of −log p_y over the rows, and its derivative (p − onehot(y))/b."""
    rows = np.arange(len(y))
    derivative = softmax(outputs, axis=1)
    derivative[rows, y] -= 1
    return -float(log_softmax(outputs, axis=1)[rows, y].mean()), derivative / len(y)


def squared_error(outputs, y):
    """Mean of (f − y)² over rows and outputs, and its derivative."""
    residual = outputs - y.reshape(outputs.shape)
    return float(np.mean(residual**2)), residual * residual.dtype.type(2 / residual.size)


def backpropagation(net, theta, X, y):
    """Loss and gradient of a network, layer by layer, a new array for everything."""
    layers = net.unflatten(theta)
    inputs, preactivations = [X.astype(theta.dtype)], []
    for weights, biases in layers:
        preactivations.append(inputs[-1] @ weights + biases)
        inputs.append(net.activation.value(preactivations[-1]))
    known = {"cross_entropy": cross_entropy, "mse": squared_error}.get(net.loss.name)
    outputs = preactivations[-1]
    loss, delta = known(outputs, y) if known else (net.loss.value(outputs, y), net.loss.derivative(outputs, y))
    parts = []
    for k in reversed(range(len(layers))):
        parts = [(inputs[k].T @ delta).ravel(), delta.sum(axis=0), *parts]
        if k:
            delta = delta @ layers[k][0].T * net.activation.derivative(preactivations[k - 1])
    return loss, np.concatenate(parts).astype(theta.dtype)
