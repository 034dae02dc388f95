"""A training as the command line describes it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import glasscurv as gc
from glasscurv._typing import FloatArray
from glasscurv.cli import inputs, started
from glasscurv.cli.output import count, note, number
from glasscurv.data import Split


@dataclass(frozen=True)
class Training:
    """A training as the command line describes it."""

    data: str
    labels: Path | None
    validation: float | None
    layers: str
    activation: str
    loss: str | None
    dtype: str
    optimizer: str
    lr: float | None
    options: tuple[str, ...]
    batch_size: int
    seed: int
    schedule: str = "constant"
    steps: int | None = None
    epochs: int | None = None
    patience: int | None = None
    snapshots: int | None = None

    def start(self) -> tuple[gc.MLP, FloatArray, Split]:
        """Return network, initial parameters and data."""
        split = inputs.load_data(self.data, self.labels, self.validation)
        network = inputs.make_network(split, self.layers, self.activation, self.loss)
        inputs.check_memory(network, self.dtype, max(min(self.batch_size, len(split.X)), len(split.X_validation)))
        theta0 = network.initialize(gc.comparison.trials.streams(self.seed).parameters, dtype=self.dtype)
        return network, theta0, inputs.fit_data(split, network, self.dtype)

    def run(
        self,
        progress: bool,
        checkpoint: Path | None = None,
        checkpoint_every: int | None = None,
    ) -> Run:
        """Train, from the checkpoint if it exists."""
        network, theta0, split = self.start()
        random = gc.comparison.trials.streams(self.seed)
        optimizer = inputs.make_optimizer(self.optimizer, theta0, self.lr, self.options, random.directions)
        epochs = 20 if self.epochs is None and self.steps is None else self.epochs
        steps = self.steps or (epochs or 0) * -(-len(split.X) // self.batch_size)
        lr = float(optimizer.lr)
        if checkpoint is not None and checkpoint.exists():
            _check_resumed(checkpoint, optimizer, random, self.schedule)
        schedule = inputs.make_schedule(self.schedule, lr, steps)
        train = gc.train  # loaded before Ctrl-C is for the training
        started()
        start = perf_counter()
        # What overflows becomes a nan, which the optimizer reports.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            history = train(
                network,
                optimizer,
                split.X,
                split.y,
                epochs,
                self.batch_size,
                validation=(split.X_validation, split.y_validation),
                rng=random.shuffling,
                progress=progress,
                steps=self.steps,
                schedule=schedule,
                patience=self.patience,
                snapshots=None if self.snapshots is None else gc.Snapshots(every=self.snapshots, rows=1000),
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
            )
        return Run(self, network, optimizer, split, history, theta0, lr, perf_counter() - start)


def _check_resumed(
    path: Path, optimizer: gc.optimizers.Optimizer, random: gc.comparison.trials.Streams, schedule: str
) -> None:
    """Refuse a checkpoint of another optimizer, seed or learning rate; the trainer checks the rest."""
    state, _, metadata = gc.training.checkpoint.read_run(path)
    name, here = state["optimizer"], type(optimizer).__name__
    if name != here:
        raise ValueError(f"checkpoint {path} is of a run with --optimizer {name.lower()}, not {here.lower()}")
    # The increment of PCG64 tells streams apart and never changes.
    if metadata["rng"]["now"]["state"]["inc"] != random.shuffling.bit_generator.state["state"]["inc"]:
        raise ValueError(f"checkpoint {path} is of a run with another --seed")
    rate, lr = state["hyperparameters"]["lr"], optimizer.lr
    # Under a schedule the rate changes, and it is for the trainer to compare schedules.
    if schedule == "constant" and metadata.get("schedule") is None and rate != lr:
        raise ValueError(f"checkpoint {path} was saved at a learning rate of {rate:g}, and this command says {lr:g}")


@dataclass(frozen=True, eq=False)
class Run:
    """A training that is over: what was chosen, what came of it, and the seconds it took."""

    chosen: Training
    network: gc.MLP
    optimizer: gc.optimizers.Optimizer
    split: Split
    history: gc.History
    theta0: FloatArray
    lr: float
    seconds: float

    def note_rest(self) -> None:
        """Say so where a training was too short for Alice to move at all."""
        unmoved = self.history.status == "finished" and np.array_equal(self.optimizer.theta, self.theta0)
        if unmoved and isinstance(self.optimizer, gc.Alice):
            steps = gc.optimizers.alice.warm_up_steps(self.optimizer.betas[0])
            note(f"Alice has not moved yet: its first {count(steps, 'step')} only gather averages")

    def summary(self) -> dict[str, Any]:
        """Return the result for machines."""
        history, best = self.history, self.history.best_epoch
        least = None if best is None or history.validation_loss is None else float(history.validation_loss[best - 1])
        return {
            "status": history.status,
            "data": self.chosen.data,
            "layers": list(self.network.layers),
            "activation": self.network.activation.name,
            "loss_function": self.network.loss.name,
            "parameters": self.network.size,
            "optimizer": self.chosen.optimizer,
            "lr": self.lr,
            "options": self.optimizer.options,
            "seed": self.chosen.seed,
            "epochs": len(history.loss),
            "steps": len(history.step_loss),
            "evaluations": self.optimizer.evaluations,
            "loss": _last(history.loss),
            "validation_loss": _last(history.validation_loss),
            "validation_accuracy": _last(history.validation_accuracy),
            "best_epoch": best,
            "best_validation_loss": least,
            "seconds": round(self.seconds, 3),
        }

    def print_summary(self) -> None:
        """Print the result for people."""
        found = self.summary()
        widths = "-".join(map(str, found["layers"]))
        print(
            f"{found['status']}: {widths} {found['activation']} network, {found['optimizer']} with lr {self.lr:.3g}, "
            f"{count(found['epochs'], 'epoch')}, {count(found['steps'], 'step')}, "
            f"{count(found['evaluations'], 'gradient evaluation')}, {self.seconds:.1f} s"
        )
        if found["loss"] is None:
            return
        print(f"training loss        {number(found['loss'])}")
        best = f"   (least {number(found['best_validation_loss'])} after epoch {found['best_epoch']})"
        print(f"validation loss      {number(found['validation_loss'])}{best if found['best_epoch'] else ''}")
        if found["validation_accuracy"] is not None:
            print(f"validation accuracy  {100 * found['validation_accuracy']:.1f} %")


def _last(values: Any) -> float | None:
    return None if values is None or not len(values) else float(values[-1])
