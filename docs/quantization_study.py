"""The study of docs/quantization.md: python docs/quantization_study.py FOLDER [--seeds 10] [--workers 1].

Writes quantization.json and the figures into FOLDER and prints the tables of the page. With --tables it reads the .json
that is there instead of measuring.
"""

import argparse
import itertools
import json
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator
from scipy.special import stdtrit

import glasscurv as gc
from glasscurv import compression

NETWORKS = {"2 hidden layers": (64, 64, 64, 10), "3 hidden layers": (64, 64, 64, 64, 10)}
STATES = ("before training", "after training")
LOSSES = {"minibatch": 200, "full loss": None}
BITS = (2, 3, 4, 5, 6, 8)
AVERAGES = (2, 2.5, 3, 3.5, 4, 5, 6, 8)
SMALL = 1e-3
LENGTHS = (SMALL, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
DIRECTIONS = (128, 16, 16, 16, 16, 16)  # most for the first, the usual Hessian
PAIRS = 3  # random roundings δ and −δ, of which the first is traced from kink to kink
BASE = {"grid": "layer", "scheme": "symmetric"}
GRIDS = tuple(itertools.product(("layer", "unit"), ("symmetric", "affine")))
HIDDEN = {name: [f"layer{k}" for k in range(1, len(layers) - 1)] for name, layers in NETWORKS.items()}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
METHODS = {
    "uniform": "uniform bits",
    "squares": "squared error",
    "hessian": "Hessian",
    "|hessian|": "absolute Hessian",
    "own": "Hessian at own length",
    "directional": "directional Hessian",
    "|directional|": "absolute directional Hessian",
    "directional + 8c": "directional Hessian + (8c)",
    "8a": "(8a)",
    "8b": "(8b)",
    "hessian + 8b": "Hessian + (8b)",
    "nearest": "measured, nearest",
    "pairs": "measured, ±δ",
    "oracle": "best of all choices",
}


class Case(NamedTuple):
    """A network at one point, the rows on which its loss is taken, and the whole data."""

    net: gc.MLP
    theta: np.ndarray
    rows: slice | np.ndarray
    data: gc.data.Split
    entropy: list[int]

    @property
    def batch(self):
        return self.data.X[self.rows], self.data.y[self.rows]

    def gradient(self, theta):
        return self.net.value_and_grad(theta, *self.batch)[1]

    def value(self, theta):
        return self.net.value(theta, *self.batch)

    def streams(self, count):
        """Independent generators, the same ones in every call."""
        return [np.random.default_rng([*self.entropy, k]) for k in range(count)]


# Curvature and what it predicts


def measure_curvature(case):
    """Estimate the curvature of every parameter at each of the lengths, all parameters moving."""
    sources = case.streams(len(LENGTHS))
    return [
        gc.estimate_curvature(case.gradient, case.theta, length, directions, rng=source)
        for length, directions, source in zip(LENGTHS, DIRECTIONS, sources, strict=True)
    ]


def at_own_length(curvature, step):
    """Return Hessian and density of every parameter at the length next to the root mean square of its rounding."""
    rms = np.where(step > 0, step, SMALL) / math.sqrt(12)
    nearest = abs(np.log(LENGTHS)[:, None] - np.log(rms)).argmin(axis=0)
    everything = np.arange(step.size)
    hessian = np.array([each.hessian_diagonal for each in curvature])[nearest, everything]
    return hessian, np.array([each.glass_density for each in curvature])[nearest, everything]


def predictions(curvature, step, parts):
    """Predict what rounding each part with the grid steps (n,) does: a list of numbers for every kind of prediction."""
    small, gradient = curvature[0].hessian_diagonal, curvature[0].gradient
    own, density = at_own_length(curvature, step)
    change = compression.expected_quantization_change
    return {
        "squares": [change(step[part], 1.0) for part in parts],
        "linear": [math.sqrt(np.sum((gradient[part] * step[part]) ** 2) / 12) for part in parts],
        "hessian": [change(step[part], small[part]) for part in parts],
        "own": [change(step[part], own[part]) for part in parts],
        "8a": [change(step[part], density=density[part]) for part in parts],
        "8b": [change(step[part], density=density[part], model="independent") for part in parts],
    }


def steps_of(case, groups, scheme):
    return {bits: compression.quantize(case.theta, bits, groups, scheme).step for bits in BITS}


def prediction_tables(case, curvature, groups):
    """Return the tables (group × bits) that `allocate_bits` takes, from curvature alone."""
    parts = list(groups.values())
    columns = [predictions(curvature, step, parts) for step in steps_of(case, groups, "symmetric").values()]
    names = ("squares", "hessian", "own", "8a", "8b")
    tables = {name: np.array([column[name] for column in columns]).T for name in names}
    return tables | {"|hessian|": abs(tables["hessian"]), "hessian + 8b": tables["hessian"] + tables["8b"]}


def directional(case, groups, scheme, samples):
    source = case.streams(len(LENGTHS) + 1)[-1]
    return compression.directional_quantization_changes(
        case.gradient, case.theta, groups, BITS, scheme, samples, source
    )


# (a) What rounding does, and what was predicted


def random_roundings(case, step, part, trace, source):
    """Round one part to grids with random offsets, so that each weight moves by a uniform part of ±q/2."""
    start, gradient = case.value(case.theta), case.gradient(case.theta)
    changes, kinks = [], []
    for pair in range(PAIRS):
        delta = np.zeros_like(step)
        delta[part] = step[part] * source.uniform(-0.5, 0.5, delta[part].size)
        changes.append([case.value(case.theta + sign * delta) - start for sign in (1, -1)])
        if trace and pair == 0:
            kinks = [change_at_kinks(case, sign * delta) for sign in (1, -1)]
            linear = float(gradient @ delta)
    found = {"mean": np.mean(changes), "absolute": np.mean(np.abs(changes))}
    if trace:
        beyond = np.mean(changes[0])  # ±δ: the linear part cancels
        odd = abs(changes[0][0] - changes[0][1] - 2 * linear) / math.sqrt(2)
        found |= {"traced": beyond, "odd": odd, "kinks": np.mean(kinks)}
        found |= {"random": abs(kinks[0] - kinks[1]) / math.sqrt(2)}
    return {name: float(value) for name, value in found.items()}


def change_at_kinks(case, delta):
    """Return the part of L(θ + δ) − L(θ) − g·δ that the jumps of the gradient make, Σ s_k |∇y_k·δ| (1 − t_k)."""
    found = gc.trace_crossings(case.net, case.theta, delta, *case.batch, distance=1.0)
    return float(np.sum(found.signal * abs(found.slope) * (1 - found.position)))


def nearest_changes(case, rounded, parts):
    """Measure the loss change of rounding each part to nearest, all else as it was."""
    start, changes = case.value(case.theta), []
    for part in parts:
        theta = case.theta.copy()
        theta[part] = rounded[part]
        changes.append(case.value(theta) - start)
    return changes


def rounding_rows(case, curvature, grid, scheme, found):
    """Compare predicted and measured changes, for every layer by itself and for all together."""
    groups = case.net.weight_groups(grid)
    layers = case.net.weight_groups()
    names = [*layers, "all"]
    parts = [np.arange(case.theta.size)[part] for part in layers.values()]
    parts.append(np.concatenate(parts))
    source, rows = case.streams(len(LENGTHS) + 2)[-1], []
    for k, bits in enumerate(BITS):
        rounded = compression.quantize(case.theta, bits, groups, scheme)
        predicted = predictions(curvature, rounded.step, parts)
        if found is not None:
            predicted |= along_roundings(found, k, list(groups), list(layers))
        nearest = nearest_changes(case, rounded.theta, parts)
        for p, (name, part) in enumerate(zip(names, parts, strict=True)):
            row = {"grid": grid, "scheme": scheme, "layer": name, "bits": bits, "nearest": nearest[p]}
            row |= {kind: values[p] for kind, values in predicted.items()}
            trace = grid == "layer" and scheme == "symmetric" and name != "all"
            rows.append(row | random_roundings(case, rounded.step, part, trace, source))
    return rows


def along_roundings(found, k, groups, layers):
    """Add up the groups of each layer, and all: means add, random parts of independent movements in the square."""
    owner = np.array([layers.index(name.split("/")[0]) for name in groups])
    hessian = np.bincount(owner, found.hessian[:, k])
    squares = np.bincount(owner, found.glass[:, k] ** 2)
    return {
        "directional": [*hessian, hessian.sum()],
        "8c": [*np.sqrt(squares), math.sqrt(squares.sum())],
    }


# (b) Bits for every group


def allocation_rows(case, curvature, per, found):
    """Quantise with the bits that each table of predicted changes leads to, at every budget."""
    groups = case.net.weight_groups(per)
    tables = prediction_tables(case, curvature, groups)
    tables |= {"directional": found.hessian, "directional + 8c": found.hessian + found.glass}
    tables["|directional|"] = abs(found.hessian)
    tables |= {"nearest": nearest_table(case, groups), "pairs": pairs_table(case, groups)}
    sizes = [case.theta[part].size for part in groups.values()]
    totals = all_choices(case, groups) if len(groups) == 3 else {}
    rows, known = [], {}
    for average in AVERAGES:
        budget = average * sum(sizes)
        chosen = {"uniform": (int(average),) * len(sizes)}
        for method, table in tables.items():
            chosen[method] = tuple(compression.allocate_bits(table, sizes, budget, BITS).bits.tolist())
        if totals:
            fitting = [choice for choice in totals if np.dot(choice, sizes) <= budget]
            chosen["oracle"] = min(fitting, key=totals.__getitem__)
        for method, bits in chosen.items():
            if bits not in known:
                theta = compression.quantize(case.theta, dict(zip(groups, bits, strict=True)), groups).theta
                known[bits] = quality(case, theta)
            rows.append({"per": per, "average": average, "method": method} | known[bits])
    return rows


def nearest_table(case, groups):
    """Measure the loss change of rounding each group to nearest, all else as it was."""
    parts = list(groups.values())
    columns = [nearest_changes(case, compression.quantize(case.theta, bits, groups).theta, parts) for bits in BITS]
    return np.array(columns).T


def pairs_table(case, groups):
    """Measure the mean change of a random rounding δ and −δ of each group, for which the linear part cancels."""
    start, table = case.value(case.theta), np.zeros((len(groups), len(BITS)))
    source = case.streams(len(LENGTHS) + 3)[-1]
    for k, step in enumerate(steps_of(case, groups, "symmetric").values()):
        for g, part in enumerate(groups.values()):
            delta = np.zeros_like(step)
            delta[part] = step[part] * source.uniform(-0.5, 0.5, step[part].size)
            table[g, k] = (case.value(case.theta + delta) + case.value(case.theta - delta)) / 2 - start
    return table


def all_choices(case, groups):
    """Return the loss with every choice of bits."""
    rounded = {bits: compression.quantize(case.theta, bits, groups).theta for bits in BITS}
    totals = {}
    for choice in itertools.product(BITS, repeat=len(groups)):
        theta = case.theta.copy()
        for bits, part in zip(choice, groups.values(), strict=True):
            theta[part] = rounded[bits][part]
        totals[choice] = case.value(theta)
    return totals


def quality(case, theta):
    """Return the losses and the validation accuracy."""
    X, y, X_validation, y_validation = case.data
    return {
        "batch": case.value(theta),
        "training": case.net.value(theta, X, y),
        "validation": case.net.value(theta, X_validation, y_validation),
        "accuracy": float(np.mean(case.net.predict(theta, X_validation) == y_validation)),
    }


# Running it


def trained(net, theta, data, rng):
    """Train to a loss of 1e-3, the mean over the minibatches of an epoch."""

    def stop(record):
        if record.loss < 1e-3:
            raise StopIteration

    optimizer = gc.Adam(theta, lr=3e-3)
    gc.train(net, optimizer, data.X, data.y, epochs=300, batch_size=50, rng=rng, progress=False, callback=stop)
    return optimizer.theta


def run(task):
    """Do all of one network and one seed."""
    name, seed = task
    data, net = gc.data.load_digits(), gc.MLP(NETWORKS[name])
    sources = [np.random.default_rng([seed, net.size, k]) for k in range(3)]
    start = net.initialize(sources[0])
    points = dict(zip(STATES, (start, trained(net, start, data, sources[1])), strict=True))
    batch = sources[2].choice(len(data.X), LOSSES["minibatch"], replace=False)
    records = []
    for (state, theta), loss in itertools.product(points.items(), LOSSES):
        rows = batch if LOSSES[loss] else slice(None)
        entropy = [seed, net.size, STATES.index(state), list(LOSSES).index(loss)]
        case = Case(net, theta, rows, data, entropy)
        # Units are dear: after training only, and not with all rows of the larger network.
        units = state == "after training" and (loss == "minibatch" or len(net.layers) == 4)
        records.append({"network": name, "seed": seed, "state": state, "loss": loss} | examine(case, units))
    return records


def examine(case, units):
    """Do all of one case."""
    curvature, rounding, allocation = measure_curvature(case), [], []
    for grid, scheme in GRIDS:
        found = None
        if grid == "layer" or (scheme == "symmetric" and units):
            found = directional(case, case.net.weight_groups(grid), scheme, 4 if grid == "layer" else 1)
            if scheme == "symmetric":
                allocation += allocation_rows(case, curvature, grid, found)
        if grid == "layer" or not isinstance(case.rows, slice):
            rounding += rounding_rows(case, curvature, grid, scheme, found)
    return {"start": quality(case, case.theta), "rounding": rounding, "allocation": allocation}


def measure(seeds, workers):
    tasks = list(itertools.product(NETWORKS, range(seeds)))
    if workers == 1:
        found = list(map(run, tasks))
    else:
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(run, tasks))
    return list(itertools.chain.from_iterable(found))


# Numbers over seeds


def flatten(records, table):
    """Return the rows of a table, with what each record says of itself."""
    head = ("network", "seed", "state", "loss")
    return [{name: record[name] for name in head} | row for record in records for row in record[table]]


def select(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def per_run(rows, name):
    """Add a number up over the rows of each network and seed."""
    sums = {}
    for row in rows:
        key = row["network"], row["seed"]
        sums[key] = sums.get(key, 0.0) + row[name]
    return np.array([sums[key] for key in sorted(sums)])


def interval(values):
    """Return the mean and half of its 95 % Student interval."""
    if len(values) < 2:
        return float(np.mean(values)), math.nan
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values)), float(half)


def ratio(above, below):
    """Return the ratio of two means over runs and half of its interval, to first order in the deviations."""
    value = float(np.mean(above) / np.mean(below))
    return value, interval((above - value * below) / np.mean(below))[1]


def factor(values, reference):
    """Return the geometric mean of paired ratios and the ends of its interval."""
    mean, half = interval(np.log(values / reference))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def change_ratio(records, predicted, measured, bits, layer=None, **wanted):
    """Compare predicted and measured changes: layers one at a time, added up, or the row that is asked for."""
    rows = select(records["rounding"], bits=bits, **wanted)
    rows = [row for row in rows if (row["layer"] == layer if layer else row["layer"] != "all")]
    return ratio(per_run(rows, predicted), per_run(rows, measured))


# Tables


def show(value, half, digits=2):
    """A number with its interval, or a dash where the interval is as large as the number."""
    if math.isnan(value) or (half >= abs(value) and value != 0):
        return "–"
    return f"{value:.{digits}f} ± {half:.{digits}f}" if abs(value) < 20 else f"{value:.0f} ± {half:.0f}"


def small(value, half):
    """A number of any size with its interval."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    power = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"({value / 10.0**exponent:.1f} ± {half / 10.0**exponent:.1f})·10{power}"


def print_table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


def mean_table(records, loss):
    """Predicted over measured mean change of the loss."""
    for layer, name in ((None, "one layer at a time"), ("all", "all layers at once")):
        rows = []
        for bits in BITS:
            cells = [
                show(*change_ratio(records, kind, "mean", bits, layer, **BASE, state=state, loss=loss))
                for state, kind in itertools.product(STATES, ("hessian", "own", "directional"))
            ]
            rows.append([bits, *cells])
        kinds = ("length 0.001", "own length", "directional")
        head = [f"{state}: {kind}" for state, kind in itertools.product(STATES, kinds)]
        print_table(f"Predicted over measured mean change, {loss}, {name}", ["bits", *head], rows)


def glass_table(records):
    """What the kinks do, in the layers that have any above them, and what was predicted of it."""
    for state in STATES:
        rows, loss = [], "minibatch"
        for bits in BITS:
            found = select(records["rounding"], bits=bits, state=state, loss=loss, **BASE)
            hidden = [row for row in found if row["layer"] in HIDDEN[row["network"]]]
            runs = {name: per_run(hidden, name) for name in ("traced", "kinks", "random", "linear", "8a", "8b", "8c")}
            count = per_run([row | {"one": 1} for row in hidden], "one")
            rows.append(
                [
                    bits,
                    small(*interval(runs["traced"] / count)),
                    show(*ratio(100 * runs["kinks"], runs["traced"]), 0),
                    small(*interval(math.sqrt(2 / math.pi) * runs["linear"] / count)),
                    small(*interval(runs["random"] / count)),
                    *(show(*ratio(runs[name], runs["random"]), 1) for name in ("8a", "8b", "8c")),
                ]
            )
        head = ["bits", "mean change", "of it at kinks (%)", "linear", "kinks, random", "(8a)", "(8b)", "(8c)"]
        print_table(f"Hidden layers one at a time, {state}, {loss}", head, rows)


def grid_table(records):
    """Grids side by side, all layers at once."""
    rows = []
    for (grid, scheme), bits in itertools.product(GRIDS, (2, 3, 4, 6)):
        wanted = {"grid": grid, "scheme": scheme, "state": STATES[1], "loss": "minibatch"}
        found = select(records["rounding"], layer="all", bits=bits, **wanted)
        nearest, mean = per_run(found, "nearest"), per_run(found, "mean")
        cells = [small(*interval(mean)), show(*ratio(nearest, mean))]
        for kind in ("hessian", "own", "directional"):
            known = all(kind in row for row in found)
            cells.append(show(*ratio(per_run(found, kind), mean)) if known else "")
        rows.append([f"per {grid}, {scheme}", bits, *cells])
    head = ["grid", "bits", "mean change", "nearest/mean", "length 0.001/mean", "own length/mean", "directional/mean"]
    print_table(f"All layers at once, minibatch, {STATES[1]}", head, rows)


def allocation_table(records, per, loss, state, networks, reference):
    """Training losses over those of a reference, paired by network and seed."""
    rows = []
    for method in METHODS:
        cells = []
        for average in AVERAGES[1:] if method != reference else ():
            value, low, high = allocation_factor(records, method, reference, average, per, loss, state, networks)
            better = "**" if high < 1 else ""
            cells.append("" if math.isnan(value) else f"{better}{value:.2f}{better} ({low:.2f}–{high:.2f})")
        if any(cells):
            rows.append([METHODS[method], *cells])
    title = f"Training loss over that of {METHODS[reference]}, per {per}, {loss}, {state}, {', '.join(networks)}"
    print_table(title, ["allocation", *map(str, AVERAGES[1:])], rows)


def allocation_factor(records, method, reference, average, per, loss, state, networks):
    wanted = {"average": average, "per": per, "loss": loss, "state": state}
    rows = [row for row in select(records["allocation"], **wanted) if row["network"] in networks]
    above = [row for row in rows if row["method"] == method]
    runs = {(row["network"], row["seed"]) for row in above}  # the best of all choices is known for one network only
    below = [row for row in rows if row["method"] == reference and (row["network"], row["seed"]) in runs]
    if not above:
        return math.nan, math.nan, math.nan
    return factor(per_run(above, "training"), per_run(below, "training"))


def quality_table(records, per, loss, state, networks):
    """Training loss (geometric mean) and validation accuracy."""
    rows = []
    for method in METHODS:
        cells = []
        for average in AVERAGES:
            found = select(records["allocation"], method=method, average=average, per=per, loss=loss, state=state)
            found = [row for row in found if row["network"] in networks]
            if found:
                value = math.exp(np.mean(np.log(per_run(found, "training"))))
                accuracy, half = interval(100 * per_run(found, "accuracy"))
                cells.append(f"{value:.2g}, {accuracy:.1f} ± {half:.1f}")
        if cells:
            rows.append([METHODS[method], *cells])
    title = f"Training loss, validation accuracy (%), per {per}, {loss}, {state}, {', '.join(networks)}"
    print_table(title, ["allocation", *map(str, AVERAGES)], rows)


def print_tables(records):
    mean_table(records, "full loss")
    glass_table(records)
    grid_table(records)
    both, first = tuple(NETWORKS), tuple(NETWORKS)[:1]
    for per, loss, state, networks in (
        ("layer", "full loss", STATES[0], both),
        ("layer", "full loss", STATES[1], both),
        ("unit", "minibatch", STATES[1], both),
        ("unit", "full loss", STATES[1], first),
    ):
        quality_table(records, per, loss, state, networks)
        for reference in ("uniform", "hessian", "|hessian|"):
            allocation_table(records, per, loss, state, networks, reference)


# Figures


def axes_grid(rows, columns, size, **options):
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    for ax in axes.flat:
        ax.set_yscale("log")
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw(ax, x, points, style, label, shift=0.0):
    """Draw numbers with intervals (low, value, high) where they are known to be above 0."""
    kept = [(a + shift, *point) for a, point in zip(x, points, strict=True) if point[0] > 0]
    if kept:
        a, low, value, high = np.array(kept).T
        ax.errorbar(a, value, [value - low, high - value], **style, label=label, ms=5, lw=1.8, elinewidth=1)


def around(value, half):
    return value - half, value, value + half


def plot_mean(records, path):
    """Predicted over measured mean change, for layers one at a time and for all at once."""
    figure, axes = axes_grid(2, 2, (10, 7.5), sharex=True, sharey=True)
    kinds = {"hessian": "Hessian, length 0.001", "own": "Hessian, own length", "directional": "directional Hessian"}
    for row, (layer, what) in zip(axes, ((None, "one layer at a time"), ("all", "all layers at once")), strict=True):
        for ax, state in zip(row, STATES, strict=True):
            ax.axhline(1, color="black", lw=1)
            for k, (kind, name) in enumerate(kinds.items()):
                for loss, dashes, shift in (("minibatch", "--", -0.06), ("full loss", "-", 0.06)):
                    wanted = BASE | {"state": state, "loss": loss}
                    points = [around(*change_ratio(records, kind, "mean", bits, layer, **wanted)) for bits in BITS]
                    style = {"color": COLOURS[k], "marker": MARKERS[k], "ls": dashes}
                    draw(ax, BITS, points, style, f"{name}, {loss}", shift + 0.12 * (k - 1))
            ax.set_title(f"{what}, {state}", fontsize=12)
    for ax in axes[-1]:
        ax.set_xlabel("bits per weight")
    for ax in axes[:, 0]:
        ax.set_ylabel("predicted / measured\nmean change of the loss")
    save(figure, axes[0, 0], path, 3)


def plot_glass(records, path):
    """What rounding one hidden layer does to the loss, and the glass in it."""
    figure, axes = axes_grid(2, 2, (10, 7.5), sharex=True, sharey="row")
    names = {
        "absolute": "measured mean |change|",
        "linear": "linear part, predicted mean |g·δ|",
        "kinks": "measured at kinks, |mean|",
        "random": "measured at kinks, random part",
        "8c": "(8c)",
        "8b": "(8b)",
        "8a": "(8a)",
    }
    for row, state in zip(axes, STATES, strict=True):
        for ax, loss in zip(row, LOSSES, strict=True):
            for k, (name, label) in enumerate(names.items()):
                points = [hidden_mean(records, name, bits, state, loss) for bits in BITS]
                dashes = "--" if name.startswith("8") or name == "linear" else "-"
                draw(ax, BITS, points, {"color": COLOURS[k], "marker": MARKERS[k], "ls": dashes}, label)
            ax.set_title(f"{state}, {loss}", fontsize=12)
    for ax in axes[-1]:
        ax.set_xlabel("bits per weight")
    for ax in axes[:, 0]:
        ax.set_ylabel("change of the loss\n(mean over hidden layers)")
    save(figure, axes[1, 0], path, 4)


def hidden_mean(records, name, bits, state, loss):
    """Return the mean over runs of what rounding one hidden layer does, with its interval."""
    rows = select(records["rounding"], bits=bits, state=state, loss=loss, **BASE)
    rows = [row | {"one": 1} for row in rows if row["layer"] in HIDDEN[row["network"]]]
    value, half = interval(per_run(rows, name) / per_run(rows, "one"))
    value = abs(value)
    if name == "linear":
        value, half = math.sqrt(2 / math.pi) * value, math.sqrt(2 / math.pi) * half
    return around(value, half)


def plot_allocations(records, path):
    """Training loss of the allocations over that of uniform bits, paired."""
    panels = (
        ("layer", "full loss", tuple(NETWORKS), "bits per layer, full loss, both networks"),
        ("unit", "minibatch", tuple(NETWORKS), "bits per unit, minibatch, both networks"),
        ("unit", "full loss", tuple(NETWORKS)[:1], f"bits per unit, full loss, {next(iter(NETWORKS))}"),
    )
    figure, axes = axes_grid(1, 3, (14, 5.6), sharex=True)
    shown = ("squares", "hessian", "|hessian|", "8b", "directional + 8c", "pairs", "nearest")
    for ax, (per, loss, networks, title) in zip(axes[0], panels, strict=True):
        ax.axhline(1, color="black", lw=1)
        for k, method in enumerate(shown):
            points = []
            for average in AVERAGES[1:]:
                found = allocation_factor(records, method, "uniform", average, per, loss, STATES[1], networks)
                points.append((found[1], found[0], found[2]))
            style = {"color": COLOURS[k], "marker": MARKERS[k], "ls": "none"}
            draw(ax, range(len(AVERAGES) - 1), points, style, METHODS[method], 0.1 * (k - 3))
        ax.set_title(title, fontsize=12)
        ax.set_xticks(range(len(AVERAGES) - 1), [f"{average:g}" for average in AVERAGES[1:]])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("average bits per weight")
    axes[0, 0].set_ylabel("training loss / that with uniform bits")
    save(figure, axes[0, 0], path, 4)


def save(figure, ax, path, columns):
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "quantization.json"
    if not options.tables:
        path.write_text(json.dumps(measure(options.seeds, options.workers)))
    saved = json.loads(path.read_text())
    found = {table: flatten(saved, table) for table in ("rounding", "allocation")}
    print_tables(found)
    plot_mean(found, options.folder / "quantization-mean.png")
    plot_glass(found, options.folder / "quantization-glass.png")
    plot_allocations(found, options.folder / "quantization-bits.png")
