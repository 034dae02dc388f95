"""The study of docs/pruning.md: python docs/pruning_study.py FOLDER [--seeds 10] [--workers N].

Writes pruning.json and three figures into FOLDER and prints the tables of the page.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import pruning_report
from joblib import Parallel, delayed
from pruning_criteria import MANY, NETWORKS, ROWS, SHORT, SINGLE, Measured, trained
from scipy.stats import spearmanr

import glasscurv as gc
from glasscurv.compression import measured_saliency, prune, removal_length

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
HIGH = (0.8, 0.9, 0.95, 0.98)
TOTALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
WEIGHTS = 300  # of each layer
LENGTH_OF = 0.8  # the sparsity whose removal length stands for single weights
ROUNDS = 10  # without training
TUNED_ROUNDS = 5
GRADIENTS = 80  # minibatch gradients of a round with fine-tuning, those that measure included
BATCH = 100
AT_INITIALISATION = 300  # minibatch gradients after pruning at initialisation

# What is asked anew in every round, and its cost in minibatch gradients: h takes a backward pass for each output.
TUNED = {
    "magnitude": 0, "weight × input": 0, "gradient × weight": 1, "Fisher": 1, "OBD, ½|h|θ²": 33, "OBD, exact h": 10,
    "glass at length": 33, "glass as curvature": 33, "glass + |Hz| at length": 33,
}  # fmt: skip


def rows_of(data, count, seed):
    """A random part of the training data, or all of it."""
    if count is None:
        return data.X, data.y
    chosen = np.random.default_rng([seed, 1]).choice(len(data.X), count, replace=False)
    return data.X[chosen], data.y[chosen]


def rank_correlations(measured):
    """Spearman correlations, criterion by layer: of absolute values, of signed values, and with what h leaves."""
    network, theta = measured.network, measured.theta
    predicted = {name: criterion(measured) for name, criterion in SINGLE.items()}
    rng = np.random.default_rng([measured.seed, 2])
    found = {}
    for layer, part in network.weight_groups().items():
        indices = np.arange(theta.size)[part]
        indices = np.sort(rng.choice(indices, min(WEIGHTS, indices.size), replace=False))
        true = measured_saliency(lambda point: network.value(point, measured.X, measured.y), theta, indices)
        left = true - predicted["gradient + h"][indices]
        pairs = {name: (p[indices], abs(p[indices])) for name, p in predicted.items()}
        found[layer] = {
            name: [correlation(size, abs(true)), correlation(signed, true), correlation(size, abs(left))]
            for name, (signed, size) in pairs.items()
        }
        found[layer]["shares"] = [float(abs(left).mean() / abs(true).mean())] + [
            float(predicted[name][indices].mean() / abs(left).mean()) for name in ("glass, diagonal", "glass, short")
        ]
    return found


def correlation(x, y):
    """Spearman's, 0 where all weights are alike."""
    return float(spearmanr(x, y)[0]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0


def quality(network, theta, data):
    """Validation accuracy and loss."""
    accuracy = np.mean(network.predict(theta, data.X_validation) == data.y_validation)
    return [float(accuracy), network.value(theta, data.X_validation, data.y_validation)]


def pruned_quality(network, theta, data, *arguments, **options):
    """Quality after pruning; a network that loses a whole layer answers the same to every input."""
    try:
        pruned = prune(theta, *arguments, groups=network.weight_groups(), **options)
    except ValueError as error:
        if "would remove all" not in str(error):
            raise
        return quality(network, np.zeros_like(theta), data)
    return quality(network, pruned.theta, data)


def one_shot(measured, data):
    """Quality by scope, criterion and sparsity, removing all at once."""
    network, theta = measured.network, measured.theta
    found = {scope: {name: [] for name in MANY} for scope in ("global", "group")}
    for sparsity in SPARSITIES:
        there = measured.at_length(removal_length(theta, sparsity, network.weight_groups()))
        for name, criterion in MANY.items():
            saliency = criterion(there)
            for scope, results in found.items():
                results[name].append(pruned_quality(network, theta, data, saliency, sparsity, scope=scope))
    return found


def anew(name, network, rows, length, seed):
    """A criterion that is measured again in every round, on the weights that are left, with other random directions."""
    random = np.random.default_rng([seed, 3])

    def saliency(theta, mask):
        chosen = rows() if callable(rows) else rows
        seed = int(random.integers(2**31))
        return MANY[name](Measured(network, theta, *chosen, length, samples=16, seed=seed, mask=mask.astype(float)))

    return saliency


def gradual(network, theta, data, rows, seed):
    """Quality by criterion and sparsity, removing in rounds without training."""
    found = {name: [] for name in (*TUNED, "exact h at length")}
    for sparsity in SPARSITIES:
        length = removal_length(theta, sparsity, network.weight_groups())
        for name, results in found.items():
            saliency = anew(name, network, rows, length, seed)
            results.append(pruned_quality(network, theta, data, saliency, sparsity, rounds=ROUNDS))
    return found


def tune(network, data, steps, rng, theta, mask):
    """Train what is left for some minibatches."""
    optimizer = gc.Adam(theta, lr=1e-3)
    optimizer.mask = mask
    gc.train(network, optimizer, data.X, data.y, steps=steps, batch_size=BATCH, rng=rng, progress=False)
    return optimizer.theta


def fine_tuned(network, theta, data, seed):
    """Quality by criterion and sparsity, removing in rounds with training, at an equal number of gradients."""
    found = {name: [] for name in TUNED}
    for sparsity in HIGH:
        length = removal_length(theta, sparsity, network.weight_groups())
        for name, results in found.items():
            batches, shuffling = np.random.default_rng([seed, 4]), np.random.default_rng([seed, 5])

            def minibatch(batches=batches):
                chosen = batches.choice(len(data.X), BATCH, replace=False)
                return data.X[chosen], data.y[chosen]

            training = partial(tune, network, data, GRADIENTS - TUNED[name], shuffling)
            saliency = anew(name, network, minibatch, length, seed)
            results.append(pruned_quality(network, theta, data, saliency, sparsity, rounds=TUNED_ROUNDS, tune=training))
    return found


def at_initialisation(network, theta, data, seed):
    """Quality by criterion and sparsity, removing at once before training, which gets the same gradients for all."""
    found = {name: [] for name in TUNED}
    for sparsity in HIGH:
        length = removal_length(theta, sparsity, network.weight_groups())
        measured = Measured(network, theta, data.X, data.y, length, samples=16, seed=seed)
        for name, results in found.items():
            training = partial(tune, network, data, AT_INITIALISATION, np.random.default_rng([seed, 6]))
            results.append(pruned_quality(network, theta, data, MANY[name](measured), sparsity, tune=training))
    return found


def totals(measured):
    """What removing the smallest weights does to the loss of these rows, measured and predicted, by sparsity."""
    network, theta, rows = measured.network, measured.theta, (measured.X, measured.y)
    start = network.value(theta, *rows)
    found = []
    for sparsity in TOTALS:
        pruned = prune(theta, abs(theta), sparsity, network.weight_groups())
        delta = pruned.theta - theta
        long = measured.at_length(removal_length(theta, sparsity, network.weight_groups())).long
        size = float(np.linalg.norm(delta))
        # The walk from theta to what is left, all of it and nothing else.
        along = gc.directional_density(measured.gradient_at, theta + delta / 2, delta, size / 2, samples=16)
        curved = delta @ network.hessian_vector(theta, delta, *rows) / 2
        slope = measured.gradient @ delta
        changes = {
            "measured": network.value(pruned.theta, *rows) - start,
            "gradient": slope,
            "½ Σ h δ²": measured.exact[0] @ delta**2 / 2,
            "½ δ·Hδ": curved,
            "½ Σ h δ², h at length": long.hessian_diagonal @ delta**2 / 2,
            "(8a), diagonal": gc.expected_glass_change(delta, measured.diagonal),
            "(8a), row sums at length": gc.expected_glass_change(delta, long.glass_density),
            "(8b), diagonal": gc.expected_glass_change(delta, measured.diagonal, "independent"),
            "(8b), row sums at length": gc.expected_glass_change(delta, long.glass_density, "independent"),
            "(8c)": gc.directional_glass_change(size, along),
        }
        changes["gradient + ½ δ·Hδ + (8c)"] = slope + curved + changes["(8c)"]
        found.append({name: float(change) for name, change in changes.items()})
    return found


def explanation(measured):
    """Why the length matters: rows that count, what is curved between θ and the length, and what jumps."""
    network, rows = measured.network, (measured.X, measured.y)
    weights = np.concatenate([np.arange(measured.theta.size)[part] for part in network.weight_groups().values()])
    found = {"rows that count at θ": rows_that_count(network, measured.theta, *rows)}
    for name, length, estimate in (("short", SHORT, measured.short), ("length", measured.length, measured.long)):
        law, rng = gc.Rademacher(), np.random.default_rng([measured.seed, 7])
        lines = [split_line(measured, length * law.sample(measured.theta.size, rng)) for _ in range(8)]
        curved, smooth_curved, second, jumped, counted = np.mean(lines, axis=0)
        found |= {
            f"rows that count, {name}": float(counted),
            f"mean curvature over exact h, {name}": float(curved / length**2 / measured.exact[0].sum()),
            f"share of the jumps in it, {name}": float(1 - smooth_curved / curved),
            f"share of the jumps in the density, {name}": float(jumped / second),
            f"density with Fisher, {name}": correlation(estimate.glass_density[weights], measured.exact[1][weights]),
        }
    return found


def split_line(measured, step, nodes=8):
    """Curvature along a line with and without jumps, second difference, its jumps, and rows that count at the end."""
    network, theta, rows = measured.network, measured.theta, (measured.X, measured.y)
    forth, back = (measured.gradient_at(theta + sign * step) - measured.gradient for sign in (1, -1))
    places = (np.arange(nodes) + 0.5) / nodes
    # Between the jumps the gradient changes by the Hessian alone.
    smooth_forth, smooth_back = (
        sign * np.mean([network.hessian_vector(theta + sign * t * step, step, *rows) for t in places], axis=0)
        for sign in (1, -1)
    )
    second, smooth_second = forth + back, smooth_forth + smooth_back
    return (
        step @ (forth - back) / 2,
        step @ (smooth_forth - smooth_back) / 2,
        second @ second,
        np.square(second - smooth_second).sum(),
        rows_that_count(network, theta + step, *rows),
    )


def rows_that_count(network, theta, X, y):
    """Effective number of rows behind the gradient, from the squared errors of their outputs."""
    outputs = network.outputs(theta, X)
    p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    squares = np.square(p / p.sum(axis=1, keepdims=True) - np.eye(p.shape[1])[y]).sum(axis=1)
    return float(squares.sum() ** 2 / np.square(squares).sum())


def study(layers, seed):
    """Everything for one network and seed."""
    data = gc.data.load_digits()
    network = gc.MLP(layers)
    start = network.initialize(rng=seed)
    theta = trained(network, data, start, seed)
    measured = {}
    for state, point in (("before", start), ("after", theta)):
        length = removal_length(point, LENGTH_OF, network.weight_groups())
        for name, count in ROWS.items():
            rows = rows_of(data, count, seed)
            measured[f"{state}, {name}"] = Measured(network, point, *rows, length, samples=40, seed=seed)
    return {
        "before": quality(network, start, data),
        "after": [*quality(network, theta, data), network.value(theta, data.X, data.y)],
        "ranks": {case: rank_correlations(each) for case, each in measured.items()},
        "one shot": {name: one_shot(measured[f"after, {name}"], data) for name in ROWS},
        "gradual": gradual(network, theta, data, rows_of(data, ROWS["minibatch"], seed), seed),
        "fine-tuned": fine_tuned(network, theta, data, seed),
        "at initialisation": at_initialisation(network, start, data, seed),
        "totals": totals(measured["after, full"]),
        "explanation": explanation(measured["after, full"]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="rules were chosen on seeds from 100 on")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    tasks = [(name, layers, seed) for name, layers in NETWORKS.items() for seed in seeds]
    results = Parallel(given.workers)(delayed(study)(layers, seed) for _, layers, seed in tasks)
    found = {name: [r for (n, _, _), r in zip(tasks, results, strict=True) if n == name] for name in NETWORKS}
    (given.folder / "pruning.json").write_text(json.dumps(found), "utf-8")
    pruning_report.report(found, given.folder)


if __name__ == "__main__":
    main()
