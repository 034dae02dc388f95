"""Where the pre-activations of one sample change sign on a line: roots of piecewise polynomials, solved exactly.

On the line the weights of a layer are W + t D, so between two events below it every pre-activation is a polynomial in t
whose degree is the number of moving layers up to its own. The variable runs over [0, 1].

Rounding makes a polynomial jump a little where the events below change it. So a unit keeps the state it has, and an
event needs a value of the other sign that exceeds the noise, at a turning point or at the end of the piece: a root next
to the start is then neither missed nor met twice, and touching zero is no event.

Two things make it fast, and neither changes what is found. An event changes the last layer's polynomials by one term,
which is added to them. And one bound, over all units of a layer at a time, excludes nearly all of them: it allows for
the rounding of those sums. Roots are sought in a polynomial that is summed afresh for the unit in question.
"""

import numpy as np
from numpy.typing import NDArray

from glasscurv._jit import jit
from glasscurv._typing import FloatArray

EPS = np.finfo(np.float64).eps
NOISE = 32 * EPS  # rounding of a sum of products, per unit of the sum of their sizes


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
def parameters(theta: FloatArray, start: int, fan_in: int, fan_out: int) -> tuple[FloatArray, FloatArray]:
    """Return the weights (fan_in, fan_out) and biases of the layer whose part of `theta` begins at `start`."""
    middle = start + fan_in * fan_out
    return theta[start:middle].reshape(fan_in, fan_out), theta[middle : middle + fan_out]


@jit
def add_term(
    h: FloatArray, weights: FloatArray, weight_change: FloatArray, moving: bool, polynomials: FloatArray
) -> None:
    """Add h(t) (w + t d) to the polynomials (powers, ≥ fan_out) of a layer: what one input contributes."""
    for k in range(h.size):
        factor = h[k]
        if factor == 0:
            continue
        outputs = polynomials[k]
        for j in range(weights.size):
            outputs[j] += factor * weights[j]
        if moving:
            outputs = polynomials[k + 1]
            for j in range(weights.size):
                outputs[j] += factor * weight_change[j]


@jit
def compose(
    inputs: FloatArray,
    weights: FloatArray,
    weight_change: FloatArray,
    biases: FloatArray,
    bias_change: FloatArray,
    moving: bool,
    polynomials: FloatArray,
) -> None:
    """Write the polynomials of h(t) (W + t D) + b + t d.

    `inputs` is (degree + 1, ≥ fan_in), lowest power first; `polynomials` (≥ degree + 2, ≥ fan_out). The higher power
    is left alone if the layer is not `moving`: D and d are zero.
    """
    fan_in, fan_out = weights.shape
    polynomials[: len(inputs) + moving] = 0.0
    polynomials[0, :fan_out] = biases
    if moving:
        polynomials[1, :fan_out] = bias_change
    for i in range(fan_in):
        add_term(inputs[:, i].copy(), weights[i], weight_change[i], moving, polynomials)


@jit
def compose_unit(
    inputs: FloatArray,
    weights: FloatArray,
    weight_change: FloatArray,
    bias: float,
    bias_change: float,
    p: FloatArray,
    noise: FloatArray,
) -> None:
    """Write the polynomial of one unit as `compose` does, and that of the rounding to expect in its values.

    `weights` and `weight_change` are a column of W and D; `p` and `noise` have as many powers as `inputs`, or one more
    if the layer moves. The noise of each power is in proportion to the sizes of its terms, so that it fades with t as
    they do.
    """
    powers = len(inputs)
    moving = p.size > powers
    p[:] = 0.0
    noise[:] = 0.0
    p[0], noise[0] = bias, NOISE * abs(bias)
    if moving:
        p[1], noise[1] = bias_change, NOISE * abs(bias_change)
    for i in range(weights.size):
        for k in range(powers):
            h = inputs[k, i]
            if h == 0:
                continue
            size = NOISE * abs(h)
            p[k] += h * weights[i]
            noise[k] += size * abs(weights[i])
            if moving:
                p[k + 1] += h * weight_change[i]
                noise[k + 1] += size * abs(weight_change[i])


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
    polynomials: FloatArray,
    on: NDArray[np.bool_],
    low: float,
    high: float,
    rounding: float,
    work: FloatArray,
    units: NDArray[np.int64],
) -> int:
    """Write the units that may change their state in [low, high], and return how many.

    `polynomials` is (powers, ≥ units). Between low and high p is within (high − low)²/8 max |p″| of the straight line
    through its ends. A unit is excluded where that line stays on the side of the unit's state by more than this and
    `rounding`. `work` is (3, ≥ units).
    """
    width = on.size
    lowest, other, bend = work[0, :width], work[1, :width], work[2, :width]
    evaluate_units(polynomials, low, lowest)
    evaluate_units(polynomials, high, other)
    bend[:] = rounding
    factor = (high - low) ** 2 / 8
    for k in range(2, len(polynomials)):
        p = polynomials[k]
        size = factor * (k * (k - 1))
        for j in range(width):
            bend[j] += size * abs(p[j])
        factor *= high
    for j in range(width):
        lowest[j] = min(lowest[j], other[j]) if on[j] else -max(lowest[j], other[j])
    count = 0
    for j in range(width):
        if not lowest[j] > bend[j]:
            units[count] = j
            count += 1
    return count


@jit
def first_of(positions: FloatArray) -> int:
    """Return the first of the smallest entries; −1 if none is finite."""
    soonest, first = np.inf, -1
    for j in range(positions.size):
        if positions[j] < soonest:
            soonest, first = positions[j], j
    return first


@jit
def outputs_at(
    t: float,
    polynomials: FloatArray,
    on: NDArray[np.bool_],
    slopes: tuple[float, float],
    weights: FloatArray,
    weight_change: FloatArray,
    biases: FloatArray,
    bias_change: FloatArray,
    values: FloatArray,
    outputs: FloatArray,
) -> None:
    """Write the outputs of the network, h (W + t D) + b + t d with the last hidden layer's h at t."""
    evaluate_units(polynomials, t, values)
    for j in range(outputs.size):
        outputs[j] = biases[j] + t * bias_change[j]
    for i in range(values.size):
        h = slopes[int(on[i])] * values[i]
        if h != 0:
            for j in range(outputs.size):
                outputs[j] += h * (weights[i, j] + t * weight_change[i, j])


@jit
def offsets(widths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the parameters of each layer begin, and where each hidden layer's units do among all of them."""
    starts, first = np.zeros(widths.size, np.int64), np.zeros(widths.size - 1, np.int64)
    for k in range(widths.size - 1):
        starts[k + 1] = starts[k] + (widths[k] + 1) * widths[k + 1]
        if k < widths.size - 2:
            first[k + 1] = first[k] + widths[k + 1]
    return starts, first


@jit
def trace_samples(
    theta: FloatArray,
    change: FloatArray,
    widths: NDArray[np.int64],
    largest: FloatArray,
    slopes: tuple[float, float],
    X: FloatArray,
    active: NDArray[np.bool_],
) -> tuple[FloatArray, FloatArray]:
    """Return every sign change of a hidden pre-activation between theta and theta + change, sample by sample, in order.

    The first result has rows sample, position in (0, 1], layer from 0, unit, 1 or 0 for on or off, and derivative of
    the pre-activation; events at one position are in the order of layer and unit. The second has the network's outputs
    there. `widths` are those of inputs, hidden layers and outputs; `largest` (2, layers) the largest sizes among each
    layer's part of theta and of change; `slopes` the activation's, off and on. The states right of 0 are written to
    `active` (samples, hidden units), layer after layer.
    """
    hidden = widths.size - 2
    last = hidden - 1
    widest = widths.max()
    starts, first = offsets(widths)
    degrees = np.zeros(hidden + 1, np.int64)
    for k in range(hidden):
        degrees[k + 1] = degrees[k] + (largest[1, k] > 0)
    steepest = max(abs(slopes[0]), abs(slopes[1]))

    polynomials = np.zeros((hidden, hidden + 1, widest))
    noise = np.zeros_like(polynomials)
    inputs = np.zeros((hidden, hidden + 1, widest))
    on = np.zeros((hidden, widest), np.bool_)
    upcoming = np.full((hidden, widest), np.inf)
    first_unit = np.zeros(hidden, np.int64)
    # Of the inputs of each layer, by power: Σ |h| if all were on, Σ |h|, and the same of the terms added to the sum.
    sizes, present, added = np.zeros((hidden, hidden + 1)), np.zeros(hidden + 1), np.zeros(hidden + 1)
    term, unit_polynomial, unit_noise = np.zeros(hidden + 1), np.zeros(hidden + 1), np.zeros(hidden + 1)
    work, units = np.zeros((3, widest)), np.zeros(widest, np.int64)
    events, outputs, count = np.empty((64, 6)), np.empty((64, widths[-1])), 0
    output_weights, output_biases = parameters(theta, starts[hidden], widths[hidden], widths[-1])
    output_change, output_bias_change = parameters(change, starts[hidden], widths[hidden], widths[-1])

    for sample in range(len(X)):
        time, layer, unit, terms = 0.0, -1, -1, 0
        while True:
            soonest, next_layer = np.inf, -1
            for k in range(hidden):
                fan_in, fan_out = widths[k], widths[k + 1]
                powers_in, powers = degrees[k] + 1, degrees[k + 1] + 1
                # Beyond the next event below, these polynomials do not hold: events there are sought when it happened.
                horizon = min(soonest, 1.0)
                p, p_noise = unit_polynomial[:powers], unit_noise[:powers]
                if k == layer:
                    p[:] = polynomials[k, :powers, unit]
                    p_noise[:] = noise[k, :powers, unit]
                    upcoming[k, unit] = next_crossing(p, on[k, unit], time, horizon, p_noise)
                    first_unit[k] = first_of(upcoming[k, :fan_out])
                elif k > layer:
                    moving = powers > powers_in
                    weights, biases = parameters(theta, starts[k], fan_in, fan_out)
                    weight_change, bias_change = parameters(change, starts[k], fan_in, fan_out)
                    afresh = True
                    if k == last and layer == last - 1 and layer >= 0:
                        # Only one input has changed. Once as much has been added as is there, all is summed afresh.
                        afresh = False
                        before, after = slopes[1 - int(on[layer, unit])], slopes[int(on[layer, unit])]
                        for power in range(powers_in):
                            h = polynomials[layer, power, unit]
                            inputs[k, power, unit] = after * h
                            term[power] = (after - before) * h
                            added[power] += abs(term[power])
                            present[power] += (abs(after) - abs(before)) * abs(h)
                            afresh |= added[power] > present[power]
                        terms += 1
                    elif k == 0:
                        inputs[0, 0, :fan_in] = X[sample]
                    else:
                        for power in range(powers_in):
                            for i in range(fan_in):
                                inputs[k, power, i] = slopes[int(on[k - 1, i])] * polynomials[k - 1, power, i]
                    if afresh:
                        compose(
                            inputs[k, :powers_in],
                            weights,
                            weight_change,
                            biases,
                            bias_change,
                            moving,
                            polynomials[k],
                        )
                        terms = 0
                        for power in range(powers_in):
                            if k == 0:
                                sizes[k, power] = np.abs(inputs[k, power, :fan_in]).sum()
                            else:
                                sizes[k, power] = steepest * np.abs(polynomials[k - 1, power, :fan_in]).sum()
                            present[power] = np.abs(inputs[k, power, :fan_in]).sum()
                            added[power] = 0.0
                    else:
                        add_term(term[:powers_in], weights[unit], weight_change[unit], moving, polynomials[k])
                    if layer < 0:
                        for j in range(fan_out):
                            p[:] = polynomials[k, :powers, j]
                            on[k, j] = starts_positive(p)
                            active[sample, first[k] + j] = on[k, j]
                    upcoming[k] = np.inf
                    if time < horizon or time == 1:
                        size = 1.0 + evaluate(sizes[k, :powers_in], horizon)
                        size *= largest[0, k] + horizon * largest[1, k]
                        rounding = 4 * EPS * (fan_in + terms + powers**3) * size
                        found = candidates(
                            polynomials[k, :powers], on[k, :fan_out], time, horizon, rounding, work, units
                        )
                        for c in range(found):
                            j = units[c]
                            compose_unit(
                                inputs[k, :powers_in],
                                weights[:, j],
                                weight_change[:, j],
                                biases[j],
                                bias_change[j],
                                p,
                                p_noise,
                            )
                            polynomials[k, :powers, j] = p
                            noise[k, :powers, j] = p_noise
                            upcoming[k, j] = next_crossing(p, on[k, j], time, horizon, p_noise)
                    first_unit[k] = first_of(upcoming[k, :fan_out])
                if first_unit[k] >= 0 and upcoming[k, first_unit[k]] < soonest:
                    soonest, next_layer = upcoming[k, first_unit[k]], k
            if next_layer < 0:
                break
            time, layer, unit = soonest, next_layer, first_unit[next_layer]
            if count == len(events):
                events = np.concatenate((events, np.empty_like(events)))
                outputs = np.concatenate((outputs, np.empty_like(outputs)))
            outputs_at(
                time,
                polynomials[last, : degrees[hidden] + 1],
                on[last],
                slopes,
                output_weights,
                output_change,
                output_biases,
                output_bias_change,
                work[0, : widths[hidden]],
                outputs[count],
            )
            on[layer, unit] = not on[layer, unit]
            p = unit_polynomial[: degrees[layer + 1] + 1]
            p[:] = polynomials[layer, : p.size, unit]
            events[count, 0] = sample
            events[count, 1] = time
            events[count, 2] = layer
            events[count, 3] = unit
            events[count, 4] = on[layer, unit]
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
    slopes: tuple[float, float],
    active: NDArray[np.bool_],
    events: FloatArray,
    gradients: FloatArray,
) -> FloatArray:
    """Return ∂L/∂(output of the unit) at each of the events that `trace_samples` has found.

    `gradients` (events, outputs) is ∂L/∂(outputs of the network) there. Each event sees the states that those before it
    have left.
    """
    starts, first = offsets(widths)
    top = widths.size - 2
    signals = np.empty(len(events))
    state = np.empty(active.shape[1], np.bool_)
    delta, below = np.empty(widths.max()), np.empty(widths.max())
    sample = -1
    for e in range(len(events)):
        if events[e, 0] != sample:
            sample = int(events[e, 0])
            state[:] = active[sample]
        t, layer, unit = events[e, 1], int(events[e, 2]), int(events[e, 3])
        delta[: widths[-1]] = gradients[e]
        for k in range(top, layer, -1):
            weights, _ = parameters(theta, starts[k], widths[k], widths[k + 1])
            weight_change, _ = parameters(change, starts[k], widths[k], widths[k + 1])
            d = delta[: widths[k + 1]]
            if k == layer + 1:
                signals[e] = row_product(weights[unit], weight_change[unit], t, d)
                break
            for i in range(widths[k]):
                factor = slopes[int(state[first[k - 1] + i])]
                below[i] = factor * row_product(weights[i], weight_change[i], t, d) if factor != 0 else 0.0
            delta, below = below, delta
        state[first[layer] + unit] = not state[first[layer] + unit]
    return signals
