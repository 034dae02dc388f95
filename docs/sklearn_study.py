"""The study of docs/sklearn.md: python docs/sklearn_study.py FOLDER [--seeds 10].

Writes sklearn.json into FOLDER and prints the table of the page. With --table it reads the .json that is there instead
of measuring. Everything runs on one thread; times are CPU times of the process.
"""

import argparse
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.special import stdtrit
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import glasscurv as gc
from glasscurv.integrations.sklearn import GlassMLPClassifier

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
TUNING_SEEDS = (1000, 1001, 1002)
EPOCHS = 50
KINDS = {"Alice": GlassMLPClassifier, "Adam": MLPClassifier}
ROWS = {
    "as they come": ("Alice", "Adam"),
    "50 epochs": ("Alice", "Adam"),
    "same gradients": ("Adam",),
}


def make(kind, epochs, rate, seed):
    options = {} if epochs is None else {"max_iter": epochs, "n_iter_no_change": np.inf}
    return KINDS[kind](learning_rate_init=rate, random_state=seed, **options)


def fit(model, train, test):
    """Fit, and say how well and at what cost."""
    start = time.process_time()
    model.fit(*train)
    seconds = time.process_time() - start
    batches = -(-len(train[0]) // 200)
    probabilities = model.predict_proba(test[0])
    return {
        "epochs": model.n_iter_,
        "gradients": getattr(model, "evaluations_", model.n_iter_ * batches),
        "accuracy": 100 * float(np.mean(probabilities.argmax(axis=1) == test[1])),
        "log loss": float(log_loss(test[1], probabilities)),
        "seconds": seconds,
    }


def tuned_rate(kind, epochs, X, y):
    """Return the rate with the least mean log loss on a fifth of the training rows, held out."""
    losses = []
    for rate in RATES:
        found = []
        for seed in TUNING_SEEDS:
            X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y)
            found.append(fit(make(kind, epochs, rate, seed), (X_train, y_train), (X_test, y_test))["log loss"])
        losses.append(np.mean(found))
    return RATES[int(np.argmin(losses))]


def measure(seeds):
    X, y, X_test, y_test = gc.data.load_digits()
    make("Alice", 2, 0.01, 0).fit(X, y)  # compiled now
    gradients = fit(make("Alice", EPOCHS, 0.01, 0), (X, y), (X_test, y_test))["gradients"]
    epochs = {"as they come": None, "50 epochs": EPOCHS, "same gradients": round(gradients / -(-len(X) // 200))}
    settings = []
    for budget, kinds in ROWS.items():
        for kind in kinds:
            settings.append((budget, kind, epochs[budget], KINDS[kind]().learning_rate_init, False))
            settings.append((budget, kind, epochs[budget], tuned_rate(kind, epochs[budget], X, y), True))
    records = []
    for seed in range(seeds):
        for budget, kind, count, rate, tuned in settings:
            found = fit(make(kind, count, rate, seed), (X, y), (X_test, y_test))
            records.append({"budget": budget, "kind": kind, "rate": rate, "tuned": tuned, "seed": seed, **found})
    return records


def cell(values, digits):
    """Mean and half of its 95 % Student interval."""
    values = np.asarray(values, dtype=float)
    half = stdtrit(values.size - 1, 0.975) * values.std(ddof=1) / math.sqrt(values.size)
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"


def print_table(records):
    digits = {"epochs": 0, "gradients": 0, "accuracy": 2, "log loss": 4, "seconds": 3}
    print("| budget | trained by | learning rate | epochs | gradients | accuracy (%) | log loss | CPU (s) |")
    print("|---|---|---|---|---|---|---|---|")
    for budget, kind, rate, tuned in dict.fromkeys(
        (row["budget"], row["kind"], row["rate"], row["tuned"]) for row in records
    ):
        rows = [row for row in records if (row["budget"], row["kind"], row["tuned"]) == (budget, kind, tuned)]
        cells = [cell([row[name] for row in rows], count) for name, count in digits.items()]
        cells[:2] = [text.removesuffix(" ± 0") for text in cells[:2]]
        origin = "tuned" if tuned else "default"
        print(f"| {budget} | {kind} | {rate:g} ({origin}) | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "sklearn.json"
    if not options.table:
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are given
        with threadpool_limits(1):
            path.write_text(json.dumps(measure(options.seeds)))
    print_table(json.loads(path.read_text()))
