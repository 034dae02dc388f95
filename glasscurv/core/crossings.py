"""Where the pre-activations of one sample change sign on a line: roots of piecewise polynomials, solved exactly.

On the line the weights of a layer are W + t D, so between two events below it every pre-activation is a polynomial in t
whose degree is the number of moving layers up to its own. The variable runs over [0, 1].

Rounding makes a polynomial jump a little where the events below change it. So a unit keeps the state it has, and an
event needs a value of the other sign that exceeds the noise, at a turning point or at the end of the piece: a root next
to the start is then neither missed nor met twice, and touching zero is no event.
"""

import numpy as np
from numpy.typing import NDArray

from glasscurv._jit import jit
from glasscurv._typing import FloatArray

NOISE = 32 * np.finfo(np.float64).eps  # rounding of a sum of products, per unit of the sum of their sizes


@jit
def evaluate(p: FloatArray, t: float) -> float:
    """Return Σ p_k t^k."""
    value = 0.0
    for k in range(p.size - 1, -1, -1):
        value = value * t + p[k]
    return value


@jit
def slope(p: FloatArray, t: float) -> float:
    """Return Σ k p_k t^(k−1)."""
    value = 0.0
    for k in range(p.size - 1, 0, -1):
        value = value * t + k * p[k]
    return value


@jit
def starts_positive(p: FloatArray) -> bool:
    """Tell whether p > 0 right of 0; an identical zero is not."""
    for k in range(p.size):
        if p[k] != 0:
            return bool(p[k] > 0)
    return False


@jit
def sign_change(p: FloatArray, low: float, high: float, positive: bool) -> float:
    """Return where p changes sign that is positive, or not, right of `low` and the opposite at `high`.

    Newton's method, with a bisection where it would leave the bracket or converge too slowly.
    """
    t = 0.5 * (low + high)
    previous = high - low
    for _ in range(200):
        value = evaluate(p, t)
        if (value > 0) == positive:
            low = t
        else:
            high = t
        step = -value / slope(p, t)
        if abs(step) <= np.finfo(np.float64).eps * t:
            return t
        if not (low <= t + step <= high) or abs(step) > 0.5 * previous:
            step = 0.5 * (low + high) - t
            if t + step == low or t + step == high:
                return high
        previous = abs(step)
        t += step
    return t


@jit
def turning_points(p: FloatArray, low: float, high: float, points: FloatArray) -> int:
    """Write `low`, the points between where p turns, and `high`; return how many: p is monotone between neighbours.

    The roots of each derivative separate those of the next lower one. `points` has room for p.size + 1.
    """
    points[0], points[1] = low, high
    count = 2
    q = np.empty(p.size)
    for order in range(p.size - 2, 0, -1):
        size = p.size - order
        for k in range(size):
            q[k] = p[k + order]
            for factor in range(k + 1, k + order + 1):
                q[k] *= factor
        found = 1
        left, positive = low, evaluate(q[:size], low) > 0
        for i in range(1, count):
            right = points[i]
            after = evaluate(q[:size], right) > 0
            if after != positive:
                points[found] = sign_change(q[:size], left, right, positive)
                found += 1
            left, positive = right, after
        points[found] = high
        count = found + 1
    return count


@jit
def next_crossing(p: FloatArray, on: bool, low: float, high: float, noise: FloatArray) -> float:
    """Return where p, positive up to `low` or not as `on` says, changes sign in [low, high]; inf if it does not.

    `noise` is the polynomial, with nonnegative coefficients, of the rounding to expect in p(t). The state counts, not
    p(low), which may be rounding. At an end of the piece below 1 the next piece decides what
    lies within the noise; 1 is the end of the line, and p = 0 there is off.
    """
    if low >= high and low < 1:
        return np.inf
    start = evaluate(p, low)
    reach, largest = 0.0, 0.0
    for k in range(p.size):
        reach += k * abs(p[k])
        largest = max(largest, abs(p[k]))
    if (start > 0) == on and abs(start) > reach * (high - low) + evaluate(noise, high):
        return np.inf
    if largest == 0:
        return low if on else np.inf
    points = np.empty(p.size + 1)
    count = turning_points(p, low, high, points)
    left = low
    for i in range(1, count):
        right = points[i]
        value = evaluate(p, right)
        if right < 1 and abs(value) <= evaluate(noise, right):
            continue
        if (value > 0) != on:
            return sign_change(p, left, right, on)
        left = right
    return np.inf


@jit
def compose(
    inputs: FloatArray,
    weights: FloatArray,
    weight_change: FloatArray,
    biases: FloatArray,
    bias_change: FloatArray,
    outputs: FloatArray,
    noise: FloatArray,
) -> None:
    """Write the polynomials of h(t) (W + t D) + b + t d, and those of the rounding to expect in their values.

    `inputs` is (degree + 1, fan_in), lowest power first; `outputs` and `noise` (degree + 1 or + 2, ≥ fan_out), without
    the higher power if D and d are zero. The noise of each power is in proportion to the sizes of its terms, so that it
    fades with t as they do.
    """
    powers, fan_in = inputs.shape
    fan_out = biases.size
    moving = outputs.shape[0] > powers
    outputs[:] = 0.0
    noise[:] = 0.0
    for j in range(fan_out):
        outputs[0, j] = biases[j]
        noise[0, j] = NOISE * abs(biases[j])
        if moving:
            outputs[1, j] = bias_change[j]
            noise[1, j] = NOISE * abs(bias_change[j])
    for i in range(fan_in):
        for k in range(powers):
            h = inputs[k, i]
            if h == 0:
                continue
            size = NOISE * abs(h)
            for j in range(fan_out):
                outputs[k, j] += h * weights[i, j]
                noise[k, j] += size * abs(weights[i, j])
            if moving:
                for j in range(fan_out):
                    outputs[k + 1, j] += h * weight_change[i, j]
                    noise[k + 1, j] += size * abs(weight_change[i, j])


@jit
def trace_sample(
    theta: FloatArray,
    change: FloatArray,
    widths: NDArray[np.int64],
    left_slope: float,
    right_slope: float,
    x: FloatArray,
    active: NDArray[np.bool_],
) -> FloatArray:
    """Return every sign change of a hidden pre-activation of one sample between theta and theta + change, in order.

    Rows are position in (0, 1], layer from 0, unit, 1 or 0 for on or off, and derivative of the pre-activation; events
    at one position are in the order of layer and unit. `widths` are those of inputs, hidden layers and outputs. The
    states right of 0 are written to `active`, layer after layer.
    """
    hidden = widths.size - 2
    widest = widths[1:-1].max()
    starts, degrees = np.zeros(hidden + 1, np.int64), np.zeros(hidden + 1, np.int64)
    first = np.zeros(hidden + 1, np.int64)  # of each layer's units in `active`
    for k in range(hidden):
        starts[k + 1] = starts[k] + (widths[k] + 1) * widths[k + 1]
        degrees[k + 1] = degrees[k] + np.any(change[starts[k] : starts[k + 1]])
        first[k + 1] = first[k] + widths[k + 1]
    polynomials = np.zeros((hidden, hidden + 1, widest))
    noise = np.zeros_like(polynomials)
    on = np.zeros((hidden, widest), np.bool_)
    upcoming = np.full((hidden, widest), np.inf)
    inputs = np.empty((hidden + 1, max(widest, x.size)))
    events, count = np.empty((64, 5)), 0

    time, layer, unit = 0.0, -1, -1
    while True:
        soonest, next_layer, next_unit = np.inf, -1, -1
        for k in range(hidden):
            fan_in, fan_out, powers = widths[k], widths[k + 1], degrees[k + 1] + 1
            # Beyond the next event below, these polynomials do not hold: events there are sought when it has happened.
            horizon = min(soonest, 1.0)
            if k == layer:
                upcoming[k, unit] = next_crossing(
                    polynomials[k, :powers, unit], on[k, unit], time, horizon, noise[k, :powers, unit]
                )
            elif k > layer:
                powers_in = degrees[k] + 1
                if k == 0:
                    inputs[0, :fan_in] = x
                else:
                    for i in range(fan_in):
                        factor = right_slope if on[k - 1, i] else left_slope
                        for power in range(powers_in):
                            inputs[power, i] = factor * polynomials[k - 1, power, i]
                middle, stop = starts[k] + fan_in * fan_out, starts[k + 1]
                compose(
                    inputs[:powers_in, :fan_in],
                    theta[starts[k] : middle].reshape(fan_in, fan_out),
                    change[starts[k] : middle].reshape(fan_in, fan_out),
                    theta[middle:stop],
                    change[middle:stop],
                    polynomials[k, :powers],
                    noise[k, :powers],
                )
                for j in range(fan_out):
                    p = polynomials[k, :powers, j]
                    if layer < 0:
                        on[k, j] = starts_positive(p)
                        active[first[k] + j] = on[k, j]
                    upcoming[k, j] = next_crossing(p, on[k, j], time, horizon, noise[k, :powers, j])
            for j in range(fan_out):
                if upcoming[k, j] < soonest:
                    soonest, next_layer, next_unit = upcoming[k, j], k, j
        if next_layer < 0:
            return events[:count]
        time, layer, unit = soonest, next_layer, next_unit
        on[layer, unit] = not on[layer, unit]
        if count == len(events):
            events = np.concatenate((events, np.empty_like(events)))
        events[count, 0] = time
        events[count, 1] = layer
        events[count, 2] = unit
        events[count, 3] = on[layer, unit]
        events[count, 4] = slope(polynomials[layer, : degrees[layer + 1] + 1, unit], time)
        count += 1
