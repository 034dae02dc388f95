"""Where the pre-activations of one sample change sign on a line: roots of piecewise polynomials, solved exactly.

On the line the weights of a layer are W + t D, so between two events below it every pre-activation is a polynomial in t
whose degree is the number of moving layers up to its own. The variable runs over [0, 1].

Rounding makes a polynomial jump a little where the events below change it. So a unit keeps the state it has, and an
event needs a value of the other sign that exceeds the noise, at a turning point or at the end of the piece: a root next
to the start is then neither missed nor met twice, and touching zero is no event.

Two shortcuts make it fast, and neither changes what is found, not by a bit. An event in the layer below the last is
added to the last layer's polynomials, as the change of one of their terms, instead of summing all terms anew. And one
bound, for all units of a layer at a time, excludes nearly all of them; it allows for the rounding of the first
shortcut. A root is only sought in a polynomial that has been summed anew for its unit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._jit import jit
from glasscurv._typing import FloatArray

EPS = np.finfo(np.float64).eps
NOISE = 32 * EPS  # rounding of a sum of products, per unit of the sum of their sizes
EVENT = 7  # sample, position in (0, 1], layer from 0, unit, 1 or 0 for on or off, derivative of pre-activation, signal
Layer = tuple[FloatArray, FloatArray, FloatArray, FloatArray]  # W (fan_in, fan_out), D, b and d


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
def parameters(theta: FloatArray, change: FloatArray, widths: NDArray[np.int64], k: int) -> Layer:
    """Return W (fan_in, fan_out), D, b and d of layer k of the network with these `widths`."""
    start = 0
    for lower in range(k):
        start += (widths[lower] + 1) * widths[lower + 1]
    fan_in, fan_out = widths[k], widths[k + 1]
    middle = start + fan_in * fan_out
    return (
        theta[start:middle].reshape(fan_in, fan_out),
        change[start:middle].reshape(fan_in, fan_out),
        theta[middle : middle + fan_out],
        change[middle : middle + fan_out],
    )


@jit
def add_inputs(
    g: FloatArray,
    h: FloatArray,
    i: int,
    j: int,
    weights: FloatArray,
    weight_change: FloatArray,
    polynomials: FloatArray,
) -> None:
    """Add g(t) (W_i + t D_i) + h(t) (W_j + t D_j), what inputs i and j contribute, to a layer's polynomials.

    Two at a time, because reading and writing the sums takes most of the time. `g` and `h` are (powers,), `polynomials`
    (powers, ≥ fan_out), with one power more if the layer moves.
    """
    v, w, d, e = weights[i], weights[j], weight_change[i], weight_change[j]
    moving = len(polynomials) > g.size
    for k in range(len(polynomials)):
        sums = polynomials[k]
        if k == 0 or not moving:
            g0, h0 = g[k], h[k]
            for u in range(v.size):
                sums[u] = sums[u] + g0 * v[u] + h0 * w[u]
        elif k < g.size:
            g0, g1, h0, h1 = g[k], g[k - 1], h[k], h[k - 1]
            for u in range(v.size):
                sums[u] = sums[u] + g1 * d[u] + g0 * v[u] + h1 * e[u] + h0 * w[u]
        else:
            g1, h1 = g[k - 1], h[k - 1]
            for u in range(v.size):
                sums[u] = sums[u] + g1 * d[u] + h1 * e[u]


@jit
def copy(values: NDArray[Any], target: NDArray[Any]) -> None:
    """Write `values` where `target` begins; assigning to a slice takes the compiler seconds."""
    for i in range(values.size):
        target[i] = values[i]


@jit
def compose(inputs: FloatArray, layer: Layer, polynomials: FloatArray) -> None:
    """Write the polynomials of h(t) (W + t D) + b + t d.

    `inputs` is (powers, fan_in), lowest power first; `polynomials` (powers, ≥ fan_out), with one power more if the
    layer moves: D or d is not zero.
    """
    weights, weight_change, biases, bias_change = layer
    powers, fan_in = inputs.shape
    polynomials[:] = 0.0
    copy(biases, polynomials[0])
    if len(polynomials) > powers:
        copy(bias_change, polynomials[1])
    pair, waiting = np.zeros((2, powers)), -1
    for i in range(fan_in):
        h = pair[int(waiting >= 0)]
        zero = True
        for k in range(powers):
            h[k] = inputs[k, i]
            zero &= h[k] == 0
        if zero:  # half of the units of a ReLU layer
            continue
        if waiting < 0:
            waiting = i
        else:
            add_inputs(pair[0], pair[1], waiting, i, weights, weight_change, polynomials)
            waiting = -1
    if waiting >= 0:
        pair[1] = 0.0
        add_inputs(pair[0], pair[1], waiting, waiting, weights, weight_change, polynomials)


@jit
def compose_unit(inputs: FloatArray, layer: Layer, unit: int, p: FloatArray, noise: FloatArray) -> None:
    """Write the polynomial of one unit, bit for bit as `compose`, and that of the rounding to expect in its values.

    `p` and `noise` have as many powers as `inputs`, or one more if the layer moves. The noise of each power is in
    proportion to the sizes of its terms, so that it fades with t as they do.
    """
    weights, weight_change, biases, bias_change = layer
    powers, fan_in = inputs.shape
    moving = p.size > powers
    p[:] = 0.0
    noise[:] = 0.0
    p[0], noise[0] = biases[unit], NOISE * abs(biases[unit])
    if moving:
        p[1], noise[1] = bias_change[unit], NOISE * abs(bias_change[unit])
    for i in range(fan_in):
        for k in range(powers):
            h = inputs[k, i]
            if h == 0:
                continue
            size = NOISE * abs(h)
            p[k] += h * weights[i, unit]
            noise[k] += size * abs(weights[i, unit])
            if moving:
                p[k + 1] += h * weight_change[i, unit]
                noise[k + 1] += size * abs(weight_change[i, unit])


@jit
def evaluate_units(polynomials: FloatArray, t: float, values: FloatArray) -> None:
    """Write Σ p_k t^k of every unit: `polynomials` is (powers, ≥ units), `values` (units,)."""
    values[:] = 0.0
    for k in range(len(polynomials) - 1, -1, -1):
        p = polynomials[k]
        for j in range(values.size):
            values[j] = values[j] * t + p[j]


@jit
def candidates(
    polynomials: FloatArray, on: NDArray[np.bool_], low: float, high: float, rounding: float
) -> NDArray[np.int64]:
    """Return the units that may change their state in [low, high]; `polynomials` is (powers, ≥ units).

    Between low and high p is within (high − low)²/8 max |p″| of the straight line through its ends. A unit is excluded
    if that line stays on the side of its state by more than this and `rounding`.
    """
    left, right, bend = np.empty((3, on.size))
    evaluate_units(polynomials, low, left)
    evaluate_units(polynomials, high, right)
    bend[:] = rounding
    factor = (high - low) ** 2 / 8
    for k in range(2, len(polynomials)):
        p = polynomials[k]
        size = k * (k - 1) * factor
        for j in range(on.size):
            bend[j] += size * abs(p[j])
        factor *= high
    for j in range(on.size):
        left[j] = min(left[j], right[j]) if on[j] else -max(left[j], right[j])
    units, count = np.empty(on.size, np.int64), 0
    for j in range(on.size):
        if not left[j] > bend[j]:
            units[count] = j
            count += 1
    return units[:count]


@jit
def seek(
    inputs: FloatArray,
    layer: Layer,
    polynomials: FloatArray,
    noise: FloatArray,
    on: NDArray[np.bool_],
    low: float,
    high: float,
    rounding: float,
    upcoming: FloatArray,
) -> None:
    """Write where each unit of a layer next changes its state in [low, high], inf if it does not.

    The polynomials (powers, ≥ units) are off by up to `rounding`. Those of the units that matter are composed afresh,
    with their noise.
    """
    p, p_noise = np.empty(len(polynomials)), np.empty(len(polynomials))
    upcoming[:] = np.inf
    if low >= high and low < 1:
        return
    for j in candidates(polynomials, on, low, high, rounding):
        compose_unit(inputs, layer, j, p, p_noise)
        copy(p, polynomials[:, j])
        copy(p_noise, noise[:, j])
        upcoming[j] = next_crossing(p, on[j], low, high, p_noise)


@jit
def absolute_sum(values: FloatArray) -> float:
    """Return Σ |v|."""
    total = 0.0
    for i in range(values.size):
        total += abs(values[i])
    return total


@jit
def first_of(positions: FloatArray) -> int:
    """Return the first of the smallest positions; −1 if all are infinite."""
    soonest, first = np.inf, -1
    for j in range(positions.size):
        if positions[j] < soonest:
            soonest, first = positions[j], j
    return first


@jit
def outputs_at(
    t: float, polynomials: FloatArray, slopes: FloatArray, layer: Layer, values: FloatArray, outputs: FloatArray
) -> None:
    """Write the network's outputs h (W + t D) + b + t d, from the last hidden layer's polynomials and slopes."""
    weights, weight_change, biases, bias_change = layer
    evaluate_units(polynomials, t, values)
    for j in range(outputs.size):
        outputs[j] = biases[j] + t * bias_change[j]
    for i in range(values.size):
        h = slopes[i] * values[i]
        if h != 0:
            for j in range(outputs.size):
                outputs[j] += h * (weights[i, j] + t * weight_change[i, j])


@jit
def switch_input(
    p: FloatArray,
    before: float,
    after: float,
    h: FloatArray,
    change: FloatArray,
    present: FloatArray,
    added: FloatArray,
) -> bool:
    """Turn an input before·p(t) into after·p(t); tell whether to add the change to the sums or to sum all afresh.

    All arrays are (powers,). Σ |h| over the inputs is `present`, and `added` the same of the changes since all was
    summed. Once these are larger, their rounding may exceed that of what is left.
    """
    add = True
    for k in range(p.size):
        h[k] = after * p[k]
        change[k] = (after - before) * p[k]
        present[k] += (abs(after) - abs(before)) * abs(p[k])
        added[k] += abs(change[k])
        add &= added[k] <= present[k]
    return bool(add)


@jit
def trace_samples(
    theta: FloatArray,
    change: FloatArray,
    widths: NDArray[np.int64],
    largest: FloatArray,
    left_slope: float,
    right_slope: float,
    X: FloatArray,
    active: NDArray[np.bool_],
) -> tuple[FloatArray, FloatArray]:
    """Return every sign change of a hidden pre-activation between theta and theta + change, sample by sample, in order.

    The first result has the columns of `EVENT`; events at one position are in the order of layer and unit, and their
    signals are left empty. The second has the outputs of the network there. `widths` are those of inputs, hidden layers
    and outputs; `largest` (2, layers) is the largest size in each layer's part of theta and of change. The states right
    of 0 are written to `active` (samples, hidden units), layer after layer.
    """
    hidden = widths.size - 2
    last = hidden - 1
    widest = widths.max()
    powers = np.ones(hidden + 1, np.int64)  # of the inputs of each layer
    for k in range(hidden):
        powers[k + 1] = powers[k] + (largest[1, k] > 0)
    most = powers[hidden]
    steepest = max(abs(left_slope), abs(right_slope))

    inputs = np.zeros((hidden, most, widest))
    polynomials, noise = np.zeros((hidden, most, widest)), np.zeros((hidden, most, widest))
    on, slopes = np.zeros((hidden, widest), np.bool_), np.zeros((hidden, widest))
    upcoming, first = np.full((hidden, widest), np.inf), np.zeros(hidden, np.int64)
    sizes = np.zeros((hidden, most))  # Σ |h|, of each power and layer of inputs, if every unit had the steeper slope
    present, added = np.zeros(most), np.zeros(most)  # the same of the last layer as it is, and of what was added to it
    switched, nothing = np.zeros(most), np.zeros(most)
    values = np.zeros(widths[hidden])
    output_layer = parameters(theta, change, widths, hidden)
    events, outputs, count = np.zeros((64, EVENT)), np.zeros((64, widths[-1])), 0

    for sample in range(len(X)):
        time, event_layer, event_unit, terms = 0.0, -1, -1, 0
        while True:
            soonest, next_layer = np.inf, -1
            for k in range(hidden):
                fan_in, fan_out, n, m = widths[k], widths[k + 1], powers[k], powers[k + 1]
                # Beyond the next event below, these polynomials do not hold: events there are sought when it happened.
                horizon = min(soonest, 1.0)
                if k == event_layer:
                    p, p_noise = polynomials[k, :m, event_unit], noise[k, :m, event_unit]
                    state = on[k, event_unit]
                    upcoming[k, event_unit] = next_crossing(p.copy(), state, time, horizon, p_noise.copy())
                elif k > event_layer:
                    layer = parameters(theta, change, widths, k)
                    h = inputs[k, :n, :fan_in]
                    add = False
                    if k == last and k == event_layer + 1 and event_layer >= 0:
                        after = slopes[event_layer, event_unit]
                        before = left_slope if on[event_layer, event_unit] else right_slope
                        p = polynomials[event_layer, :n, event_unit]
                        add = switch_input(p, before, after, h[:, event_unit], switched[:n], present[:n], added[:n])
                    elif k == 0:
                        copy(X[sample], h[0])
                        sizes[0, 0] = absolute_sum(h[0])
                    else:
                        for power in range(n):
                            for i in range(fan_in):
                                h[power, i] = slopes[k - 1, i] * polynomials[k - 1, power, i]
                            sizes[k, power] = steepest * absolute_sum(polynomials[k - 1, power, :fan_in])
                    if add:
                        of_unit = switched[:n], nothing[:n], event_unit, event_unit
                        add_inputs(*of_unit, layer[0], layer[1], polynomials[k, :m])
                        terms += 1
                    else:
                        compose(h, layer, polynomials[k, :m])
                        terms = 0
                        for power in range(n):
                            present[power], added[power] = absolute_sum(h[power]), 0.0
                    if event_layer < 0:
                        for j in range(fan_out):
                            on[k, j] = starts_positive(polynomials[k, :m, j])
                            slopes[k, j] = right_slope if on[k, j] else left_slope
                    size = 1 + evaluate(sizes[k, :n], horizon)  # of the inputs, and of 1, that of the biases
                    size *= largest[0, k] + horizon * largest[1, k]
                    rounding = 4 * EPS * (fan_in + terms + m**3) * size
                    state = on[k, :fan_out]
                    seek(h, layer, polynomials[k, :m], noise[k, :m], state, time, horizon, rounding, upcoming[k])
                if k >= event_layer:
                    first[k] = first_of(upcoming[k, :fan_out])
                if first[k] >= 0 and upcoming[k, first[k]] < soonest:
                    soonest, next_layer = upcoming[k, first[k]], k
            if event_layer < 0:
                start = 0
                for k in range(hidden):
                    copy(on[k, : widths[k + 1]], active[sample, start:])
                    start += widths[k + 1]
            if next_layer < 0:
                break
            time, event_layer, event_unit = soonest, next_layer, first[next_layer]
            if count == len(events):
                events = np.concatenate((events, np.zeros_like(events)))
                outputs = np.concatenate((outputs, np.zeros_like(outputs)))
            outputs_at(time, polynomials[last, :most], slopes[last], output_layer, values, outputs[count])
            on[event_layer, event_unit] = not on[event_layer, event_unit]
            slopes[event_layer, event_unit] = right_slope if on[event_layer, event_unit] else left_slope
            p = polynomials[event_layer, : powers[event_layer + 1], event_unit].copy()
            events[count, 0] = sample
            events[count, 1] = time
            events[count, 2] = event_layer
            events[count, 3] = event_unit
            events[count, 4] = on[event_layer, event_unit]
            events[count, 5] = slope(p, time)
            count += 1
    return events[:count], outputs[:count]


@jit
def row_product(weights: FloatArray, weight_change: FloatArray, t: float, delta: FloatArray) -> float:
    """Return Σ (w + t d) δ, in four sums that need not wait for each other."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = delta.size // 4 * 4
    for i in range(0, whole, 4):
        a += (weights[i] + t * weight_change[i]) * delta[i]
        b += (weights[i + 1] + t * weight_change[i + 1]) * delta[i + 1]
        c += (weights[i + 2] + t * weight_change[i + 2]) * delta[i + 2]
        d += (weights[i + 3] + t * weight_change[i + 3]) * delta[i + 3]
    for i in range(whole, delta.size):
        a += (weights[i] + t * weight_change[i]) * delta[i]
    return (a + b) + (c + d)


@jit
def backpropagate(
    theta: FloatArray,
    change: FloatArray,
    widths: NDArray[np.int64],
    left_slope: float,
    right_slope: float,
    active: NDArray[np.bool_],
    events: FloatArray,
    gradients: FloatArray,
) -> None:
    """Write ∂L/∂(output of the unit) at the `events` of `trace_samples` into their last column.

    `gradients` (events, outputs) is ∂L/∂(outputs of the network) there. From layer to layer, δ ← φ′ ((W + t D) δ); an
    event sees the states that those before it have left.
    """
    hidden = widths.size - 2
    first = np.zeros(hidden + 1, np.int64)  # of each layer's units in `active`
    for k in range(hidden):
        first[k + 1] = first[k] + widths[k + 1]
    on = np.zeros(active.shape[1], np.bool_)
    delta, below = np.zeros(widths.max()), np.zeros(widths.max())
    sample = -1
    for e in range(len(events)):
        if events[e, 0] != sample:
            sample = int(events[e, 0])
            copy(active[sample], on)
        t, layer, unit = events[e, 1], int(events[e, 2]), int(events[e, 3])
        copy(gradients[e], delta)
        for k in range(hidden, layer + 1, -1):
            weights, weight_change, _, _ = parameters(theta, change, widths, k)
            for i in range(widths[k]):
                factor = right_slope if on[first[k - 1] + i] else left_slope
                below[i] = 0.0
                if factor != 0:
                    below[i] = factor * row_product(weights[i], weight_change[i], t, delta[: widths[k + 1]])
            delta, below = below, delta
        weights, weight_change, _, _ = parameters(theta, change, widths, layer + 1)
        events[e, 6] = row_product(weights[unit], weight_change[unit], t, delta[: widths[layer + 2]])
        on[first[layer] + unit] = not on[first[layer] + unit]
