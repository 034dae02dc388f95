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

import numpy as np

import glasscurv as gc
from glasscurv import compression

NETWORKS = {"2 hidden layers": (64, 64, 64, 10), "3 hidden layers": (64, 64, 64, 64, 10)}
STATES = ("before training", "after training")
LOSSES = {"minibatch": 200, "full loss": None}
BITS = tuple(range(2, 9))
AVERAGES = (2, 2.5, 3, 3.5, 4, 5, 6, 8)
SMALL = 1e-3
LENGTHS = (SMALL, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
DIRECTIONS = (256, 32, 32, 32, 32, 32)  # the usual Hessian is that of the first: it gets as many as its rivals
PAIRS = 3  # random roundings δ and −δ, of which the first is traced from kink to kink


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
            trace = grid == "layer" and scheme == "symmetric"
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
    rows = []
    for average in AVERAGES:
        budget = int(average * sum(sizes))
        chosen = {"uniform": (int(average),) * len(sizes)}
        for method, table in tables.items():
            chosen[method] = tuple(compression.allocate_bits(table, sizes, budget, BITS).bits.tolist())
        if totals:
            fitting = [choice for choice in totals if np.dot(choice, sizes) <= budget]
            chosen["oracle"] = min(fitting, key=totals.__getitem__)
        rows += [
            {"per": per, "average": average, "method": method, **quality(case, groups, bits)}
            for method, bits in chosen.items()
        ]
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


def quality(case, groups, bits):
    """Return the losses and the validation accuracy with these numbers of bits, in order of the groups."""
    theta = compression.quantize(case.theta, dict(zip(groups, bits, strict=True)), groups).theta
    X, y, X_validation, y_validation = case.data
    return {
        "batch": case.value(theta),
        "training": case.net.value(theta, X, y),
        "validation": case.net.value(theta, X_validation, y_validation),
        "accuracy": float(np.mean(case.net.predict(theta, X_validation) == y_validation)),
        "bits": list(bits) if len(bits) < 5 else [],
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
    for grid, scheme in itertools.product(("layer", "unit"), ("symmetric", "affine")):
        found = None
        if grid == "layer" or (scheme == "symmetric" and units):
            found = directional(case, case.net.weight_groups(grid), scheme, 4 if grid == "layer" else 1)
            if scheme == "symmetric":
                allocation += allocation_rows(case, curvature, grid, found)
        rounding += rounding_rows(case, curvature, grid, scheme, found)
    start = {
        "batch": case.value(case.theta),
        "training": case.net.value(case.theta, case.data.X, case.data.y),
        "validation": case.net.value(case.theta, case.data.X_validation, case.data.y_validation),
        "accuracy": float(np.mean(case.net.predict(case.theta, case.data.X_validation) == case.data.y_validation)),
    }
    return {"start": start, "rounding": rounding, "allocation": allocation}


def measure(seeds, workers):
    tasks = list(itertools.product(NETWORKS, range(seeds)))
    if workers == 1:
        found = list(map(run, tasks))
    else:
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(run, tasks))
    return list(itertools.chain.from_iterable(found))


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
