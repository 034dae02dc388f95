"""From the texts of the command line to data, networks, optimizers and schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

import glasscurv as gc
from glasscurv import _validation, data, schedules
from glasscurv._typing import FloatArray
from glasscurv.cli.output import note
from glasscurv.data import Split
from glasscurv.data.files import labels_if_whole

BUILT_IN: dict[str, Callable[[], Split]] = {
    "digits": data.load_digits,
    # Always the same points: seeds of a run compare starts, not data.
    "spirals": lambda: data.two_spirals(rng=0),
    "regression": lambda: data.regression(rng=0),
}
VALIDATION = 0.2

ARRAYS = 12
"""Vectors of the size of the parameters that training holds: Alice's ten, a gradient and a copy."""

LARGEST_SIZE = 2 * 10**8
"""Parameters of the largest network where the machine does not tell its memory."""


def load_data(name: str, labels: Path | None, validation: float | None) -> Split:
    """Return built-in data, or those of a file, split."""
    if name in BUILT_IN:
        if validation is not None or labels is not None:
            option = "--labels" if labels is not None else "--validation"
            raise ValueError(f"{option} is for files; {name} comes with labels and validation data of its own")
        return BUILT_IN[name]()
    if validation is not None:
        _validation.number(validation, "--validation", 0, 1, open_low=True, open_high=True)
    path = Path(name)
    kind = path.suffix.lower()
    if kind in (".npz", ".csv"):
        if labels is not None:
            raise ValueError(f"--labels is for IDX images; {path} holds the targets itself")
        X, y = data.load_npz(_existing(path)) if kind == ".npz" else data.load_csv(_existing(path))
    elif labels is not None:
        X, y = data.load_idx(_existing(path), _existing(labels))
    elif {".idx", ".gz"} & set(path.suffixes) or "ubyte" in path.name:
        raise ValueError(f"{path} looks like IDX images: give the file of their labels with --labels")
    else:
        close = get_close_matches(name, BUILT_IN, 1)
        guess = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(
            f"--data must be digits, spirals, regression, FILE.npz, FILE.csv or IDX images with --labels, "
            f"got {name!r}{guess}"
        )
    return data.split(X, _labels(y), VALIDATION if validation is None else validation)


def _labels(y: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers as labels, however the file holds them; other targets as they are."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return labels_if_whole(y) if y.ndim == 1 else y


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def make_network(split: Split, layers: str, activation: str, loss: str | None) -> gc.MLP:
    """Return a network whose input and output fit the data."""
    labelled = np.issubdtype(split.y.dtype, np.integer)
    loss = loss or ("cross_entropy" if labelled else "mse")
    if loss == "mse":
        outputs = 1 if split.y.ndim == 1 else split.y.shape[1]
    elif not labelled:
        raise ValueError("--loss cross_entropy needs labels, and the targets of these data are no whole numbers")
    else:
        outputs = _classes(split)
    return gc.MLP((split.X.shape[1], *hidden_widths(layers), outputs), activation=activation, loss=loss)


def _classes(split: Split) -> int:
    """Return the number of classes: the greatest label and one, for labels start at 0."""
    low, high = (int(extreme([extreme(split.y), extreme(split.y_validation)])) for extreme in (np.min, np.max))
    if low < 0 or high >= len(split.y):  # more classes than rows: values rather than labels
        raise ValueError(
            f"labels must be 0 … k−1, of k classes in at least as many rows; the targets are whole numbers "
            f"from {low} to {high} in {len(split.y)} training rows: --loss mse takes them as values"
        )
    if len(np.unique(split.y)) == 1:
        raise ValueError(f"the training targets are all of the class {split.y[0]}: there is nothing to learn")
    return high + 1


def check_memory(network: gc.MLP, dtype: DTypeLike, rows: int, runs: int = 1) -> None:
    """Refuse a network whose training, or whose loss on so many rows, does not fit into the memory."""
    # Inputs, pre-activations and activations of every layer, and the derivatives on the way back.
    needed = runs * np.dtype(dtype).itemsize * (ARRAYS * network.size + 3 * rows * sum(network.layers))
    available = available_memory()
    if needed > available if available is not None else network.size > LARGEST_SIZE:
        most = f"{available / 1e9:.3g} GB are free" if available is not None else f"{LARGEST_SIZE:g} are the most"
        raise ValueError(
            f"--layers: a network of {network.size} parameters needs about {needed / 1e9:.3g} GB of memory, and {most}"
        )


def available_memory() -> int | None:
    """Return the bytes that a program may take, None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def hidden_widths(text: str) -> tuple[int, ...]:
    """Read widths joined by commas."""
    try:
        widths = tuple(int(width) for width in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise ValueError(f"--layers must be widths ≥ 1 joined by commas, such as 64,64, got {text!r}")
    return widths


def fit_data(split: Split, network: gc.MLP, dtype: DTypeLike) -> Split:
    """Return the data in the precision of the parameters, with targets that suit the loss."""

    def targets(y: NDArray[Any]) -> NDArray[Any]:
        return y.astype(dtype) if network.loss.name == "mse" else y

    fitted = Split(
        split.X.astype(dtype), targets(split.y), split.X_validation.astype(dtype), targets(split.y_validation)
    )
    try:
        network.check_data(fitted.X, fitted.y)
    except ValueError as error:
        widths = "-".join(map(str, network.layers))
        raise ValueError(f"the data do not fit the {widths} network: {error}") from error
    return fitted


def load_network(checkpoint: Path, split: Split) -> tuple[gc.MLP, FloatArray, Split]:
    """Return the network of a checkpoint, its parameters, and the data in their precision."""
    saved = gc.load_checkpoint(checkpoint)
    split = fit_data(split, saved.network, saved.theta.dtype)
    if saved.metadata.get("data") not in (None, gc.training.data.digest(split.X, split.y)):
        note(f"the training data are not those of {checkpoint}: --data or --validation differs")
    return saved.network, saved.theta, split


def some_rows(split: Split, rows: int | None, seed: int) -> tuple[Any, Any]:
    """Return so many training rows and their targets, drawn with the seed; None stands for all."""
    if rows is None or rows >= len(split.X):
        return split.X, split.y
    kept = np.sort(gc.comparison.trials.streams(seed).shuffling.choice(len(split.X), rows, replace=False))
    return split.X[kept], split.y[kept]


def make_optimizer(
    name: str,
    theta0: FloatArray,
    lr: float | None,
    options: Sequence[str],
    rng: np.random.Generator,
) -> gc.optimizers.Optimizer:
    """Return an optimizer from its name and texts of the form ``name=value``."""
    check_optimizer(name)
    parsed = gc.comparison.parse_options(name, options)
    rate = gc.comparison.LEARNING_RATES[name] if lr is None else lr
    try:
        return gc.comparison.make_optimizer(name, theta0, rate, parsed, rng)
    except ValueError as error:
        raise ValueError(f"--optimizer {name}: {error}") from error


def check_optimizer(name: str) -> None:
    """Refuse what is no optimizer of minibatches."""
    known = list(gc.comparison.OPTIMIZERS)
    if name not in known:
        close = get_close_matches(name, known, 1)
        guess = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"--optimizer must be one of {', '.join(known)}, got {name!r}{guess}")


SCHEDULES = "constant, step:EVERY[,FACTOR], cosine[:FINAL] or warmup:STEPS, which may go on as warmup:STEPS+cosine"


def make_schedule(text: str, lr: float, steps: int) -> Callable[[int], float] | None:
    """Read a schedule of the learning rate of a run of so many steps; None for a constant rate."""
    if text == "constant":
        return None
    try:
        found = _schedule(text, lr, steps)
    except ValueError as error:
        raise ValueError(f"--schedule {text}: {error}") from error
    if found is None:
        raise ValueError(f"--schedule must be {SCHEDULES}, got {text!r}")
    return found


def _schedule(text: str, lr: float, steps: int) -> Callable[[int], float] | None:
    first, plus, rest = text.partition("+")
    kind, values = _parts(first)
    if kind == "warmup" and len(values) == 1:
        then = _schedule(rest, lr, steps) if plus else lr
        return None if then is None else schedules.warmup(then, _whole(values[0]))
    if kind == "step" and len(values) in (1, 2) and not plus:
        return schedules.step(lr, _whole(values[0]), *values[1:])
    if kind == "cosine" and len(values) < 2 and not plus:
        return schedules.cosine(lr, steps, *values)
    return None


def _parts(text: str) -> tuple[str, list[float]]:
    """Return the name of a schedule and its numbers; no name where they are none."""
    kind, colon, rest = text.partition(":")
    values = _numbers(rest)
    return kind if bool(values) == bool(colon) else "", values


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value:g} is no whole number of steps")
    return int(value)


def _numbers(text: str) -> list[float]:
    """Return finite numbers joined by commas, or none at all."""
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []
