"""Slow, obvious rewrites of the theory, independent of the code under test."""

import functools
import itertools
import math

import mpmath
import numpy as np
from scipy.special import log_softmax, softmax

from glasscurv.core import crossings as core

C = mpmath.sqrt(2 / (3 * mpmath.pi))


def all_vectors(n, entries=(-1.0, 1.0)):
    """All vectors of n such entries, one a row: by default all signs."""
    return np.array(list(itertools.product(entries, repeat=n)))


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


def running_average(new, old, weight):
    return new + weight * (old - new)


def slow_length(g, h, rho, eps):
    """Equation (11) as it is printed."""
    if g == 0:
        return 0.0
    alpha = 3 * rho / (4 * math.pi * (abs(g) + eps))
    return abs(g) / (alpha + h + math.sqrt(alpha * (alpha + 2 * h)) + eps)


def slow_bound(length, g, v, o):
    """Section 6."""
    unit = {"fixed": 1.0, "sgdm": abs(g), "adam": abs(g) / (math.sqrt(v) + o["eps"])}[o["limiter"]]
    return min(max(length, o["lr_min"] * unit), o["lr_max"] * unit)


def slow_averages(g, nu, G, V, B1, B2, o):
    """Section 8, step 2, of one coordinate: G and V."""
    sign = -1.0 if nu < 0 else 1.0
    return running_average(g + o["l1"] * sign + o["l2"] * nu, G, B1), running_average(g**2, V, B2)


def slow_move(mu, G, V, C, R, o):
    """Section 8, step 3, of one coordinate: μ and ν."""
    h = {"zero": 0.0, "abs": C, "rms": math.sqrt(abs(C)), "diagonal": abs(C)}[o["hessian"]]
    length = slow_length(G, h, R if o["glass"] else 0.0, o["eps"])
    delta = slow_bound(length, G, V, o) * (-1.0 if G > 0 else 1.0)
    return mu + o["step_fraction"] * delta, mu + o["lookahead"] * delta


def slow_alice(function, theta0, directions, steps, o):
    """Section 8 line by line, a coordinate at a time; yields a dictionary of lists after every step."""
    n, directions = len(theta0), iter(directions)
    mu, nu = list(theta0), list(theta0)
    G, V, C, R = ([0.0] * n for _ in range(4))
    beta1, beta2 = o["betas"]
    P = o["quick_steps"] + 1
    beta3 = 1 - P * (1 - beta2)
    for t in range(1, steps + 1):
        B1, B2, B3 = (min(beta, (t - 1) / t) for beta in (beta1, beta2, beta3))
        warm_up = t <= 1 / (1 - beta1)
        full = warm_up or t % P == 0
        if full:
            z = next(directions)
            g_plus = function(np.array([nu[i] + o["length"] * z[i] for i in range(n)]))[1]
            g_minus = function(np.array([nu[i] - o["length"] * z[i] for i in range(n)]))[1]
        loss, g_center = function(np.array(nu))
        for i in range(n):
            g0 = g_center[i]
            if full:
                e = (g_plus[i] - g_minus[i]) / (2 * o["length"])
                new = {
                    "zero": abs(e) + o["l2"],
                    "abs": abs(e) + o["l2"],
                    "rms": e**2 + o["l2"] ** 2,
                    "diagonal": z[i] * e + o["l2"],
                }[o["hessian"]]
                C[i] = running_average(new, C[i], B3)
                d = 0.5 * ((g_plus[i] - g0) + (g_minus[i] - g0))  # the sum of both gradients would be rounded more
                R[i] = running_average(2 * d**2 / o["length"], R[i], B3)
            G[i], V[i] = slow_averages(g0, nu[i], G[i], V[i], B1, B2, o)
            if not warm_up:
                mu[i], nu[i] = slow_move(mu[i], G[i], V[i], C[i], R[i], o)
        yield {"theta": mu, "lookahead": nu, "gradient": G, "second_moment": V, "curvature": C, "density": R}, loss


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


def slow_line(start, gradients, hessian_weights, glass_weights, direction, length, resolution):
    """One line of an estimate, a coordinate at a time: (4, n) ρ̂, z∘Hz, |Hz| and (Hz)², and the five sums."""
    rows, sums = np.zeros((4, len(start))), np.zeros(5)
    for i in range(len(start)):
        differences = [float(g[i]) - float(start[i]) for g in gradients]
        product = sum(w * d for w, d in zip(hessian_weights, differences, strict=True)) / length
        contrasts = [sum(w * d for w, d in zip(row, differences, strict=True)) for row in glass_weights]
        density = sum(c**2 for c in contrasts) / (len(contrasts) * length)
        rows[:, i] = density, float(direction[i]) * product, abs(product), product**2
        largest = max(abs(float(g[i])) for g in (start, *gradients))
        rounding = (resolution * largest) ** 2
        noise = 16 * sum(float(np.sum(row**2) + np.sum(row) ** 2) for row in glass_weights) * rounding
        silent = sum(c**2 for c in contrasts) <= noise
        ends = float(gradients[-1][i]) - float(gradients[0][i])
        sums += density, density**2, ends**2, rounding, silent
    return rows, sums


def signals_on_a_line(found):
    """∂L/∂(output of the unit) at each crossing, one by one in extended precision, for the mean squared error."""
    net, signals = found.net, []
    first = np.concatenate([[0], np.cumsum(net.layers[1:-1])])
    on = found.active.copy()
    for t, sample, layer, unit in zip(found.position, found.sample, found.layer, found.unit, strict=True):
        theta, direction = found.theta.astype(np.longdouble), found.direction.astype(np.longdouble)
        layers = net.unflatten(theta + t * direction)
        states = np.split(on[sample], first[1:-1])
        slopes = [np.where(state, net.activation.right_slope, net.activation.left_slope) for state in states]
        h = found.X[sample].astype(np.longdouble)
        for (weights, biases), slope in zip(layers[:-1], slopes, strict=True):
            h = slope * (h @ weights + biases)
        outputs = h @ layers[-1][0] + layers[-1][1]
        delta = 2 * (outputs - found.y[sample]) / found.y.size
        for k in range(len(layers) - 1, layer, -1):
            delta = slopes[k - 1] * (layers[k][0] @ delta)
        signals.append(float(layers[layer][0][unit] @ delta))
        on[sample, first[layer - 1] + unit] ^= True
    return np.array(signals)


def events_without_shortcuts(theta, change, widths, left_slope, right_slope, x):
    """Rows (position, layer, unit, on, derivative) of `core.crossings.trace_samples` for one sample, in plain steps.

    After each event every polynomial of the layers above is summed afresh and every unit is examined.
    """
    hidden = len(widths) - 2
    layers = [core.parameters(theta, change, widths, k) for k in range(hidden)]
    polynomials, noise = [None] * hidden, [None] * hidden
    on, upcoming = [None] * hidden, [None] * hidden
    rows, time, layer, unit = [], 0.0, -1, -1
    while True:
        soonest, where = np.inf, None
        for k in range(hidden):
            horizon = min(soonest, 1.0)
            if k > layer:
                h = x[None] if k == 0 else np.where(on[k - 1], right_slope, left_slope) * polynomials[k - 1]
                moves = any(part.any() for part in layers[k][1::2])
                polynomials[k], noise[k] = np.zeros((2, len(h) + moves, widths[k + 1]))
                for j in range(widths[k + 1]):
                    p, p_noise = np.zeros((2, len(h) + moves))
                    core.compose_unit(h, layers[k], j, p, p_noise)
                    polynomials[k][:, j], noise[k][:, j] = p, p_noise
                if layer < 0:
                    on[k] = np.array([core.starts_positive(p) for p in polynomials[k].T])
                    upcoming[k] = np.zeros(widths[k + 1])
            if k >= layer:
                for j in range(widths[k + 1]) if k > layer else [unit]:
                    p, p_noise = polynomials[k][:, j].copy(), noise[k][:, j].copy()
                    upcoming[k][j] = core.next_crossing(p, on[k][j], time, horizon, p_noise)
            j = int(np.argmin(upcoming[k]))
            if upcoming[k][j] < soonest:
                soonest, where = upcoming[k][j], (k, j)
        if where is None:
            return np.array(rows).reshape(-1, 5)
        time, (layer, unit) = soonest, where
        on[layer][unit] ^= True
        rows.append((time, layer, unit, on[layer][unit], core.slope(polynomials[layer][:, unit].copy(), time)))


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


def slow_saliency(theta, gradient, hessian, density, input_norm, term):
    """One term of a pruning saliency to 40 digits, a list of mpf."""
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in (theta, gradient, hessian, density, input_norm)]
        formula = {
            "gradient": lambda t, g, h, r, x: -g * t,
            "hessian": lambda t, g, h, r, x: h * t**2 / 2,
            "glass": lambda t, g, h, r, x: mpmath.sqrt(2 / (3 * mpmath.pi)) * mpmath.sqrt(r) * mpmath.sqrt(abs(t)) ** 3,
            "abs_gradient": lambda t, g, h, r, x: abs(g * t),
            "abs_hessian": lambda t, g, h, r, x: abs(h) * t**2 / 2,
            "magnitude": lambda t, g, h, r, x: abs(t),
            "input_norm": lambda t, g, h, r, x: abs(t) * x,
        }[term]
        return [formula(*column) for column in zip(*rows, strict=True)]


def slow_pruning(saliency, shares, pools):
    """Keep a list of flags: for each share, remove from every pool one weight after another until it is reached."""
    kept = [True] * len(saliency)
    for share in shares:
        for pool in pools:
            removed = sum(not kept[i] for i in pool)
            for i in sorted((i for i in pool if kept[i]), key=lambda i: (saliency[i], i)):
                if removed >= round(share * len(pool)):
                    break
                kept[i], removed = False, removed + 1
    return kept


def best_allocation(changes, sizes, budget, bits):
    """Least change, and least size with it, over all choices within the budget."""
    totals = functools.reduce(np.add.outer, changes.astype(np.longdouble))
    costs = functools.reduce(np.add.outer, np.outer(sizes, bits))
    fitting = np.where(costs <= budget, totals, np.inf)
    return fitting.min(), costs[fitting == fitting.min()].min()


def directional_rounding(gradient, theta, index, step, movements):
    """½ E δ·Hδ and c sqrt(ρ_u) E‖δ‖^{3/2} from gradients at θ ± δ/√2, for given movements (M, k) in units of q."""
    hessian, density, length = [], [], []
    for movement in movements:
        delta = np.zeros(len(theta))
        delta[index] = movement * step[index]
        t = float(np.linalg.norm(delta))
        near = delta / math.sqrt(2)
        plus, minus, center = gradient(theta + near), gradient(theta - near), gradient(theta)
        hessian.append(near @ (plus - minus) / 2)
        # Two increments along δ/t, each of variance ρ_u t/√2.
        density.append((delta @ (plus - center) / t + delta @ (minus - center) / t) ** 2 / (math.sqrt(2) * t))
        length.append(t**1.5)
    return np.mean(hessian), float(C) * math.sqrt(np.mean(density)) * np.mean(length)
