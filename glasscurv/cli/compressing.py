"""A compression as the command line describes it, and how it is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import glasscurv as gc
from glasscurv._typing import FloatArray
from glasscurv.cli import criteria, inputs
from glasscurv.cli.compressed import Compressed, Stage
from glasscurv.compression import CompressionEffect, Pruned, Quantized
from glasscurv.compression.quantization import WIDTHS
from glasscurv.data import Split
from glasscurv.training.data import accuracy, evaluate

SPARSITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""What is tried besides, for the figure, with every number of bits of `WIDTHS`."""


@dataclass(frozen=True)
class Compression:
    """A compression as the command line describes it."""

    sparsity: float | None
    scope: Literal["global", "group"]
    criterion: str
    rounds: int
    tune: int | None
    optimizer: str
    lr: float | None
    batch_size: int
    bits: float | None
    allocate: bool
    scheme: Literal["symmetric", "affine"]
    per: Literal["layer", "unit"]
    samples: int
    seed: int

    @property
    def allocates(self) -> bool:
        """Whether the groups get different numbers of bits."""
        return self.bits is not None and (self.allocate or self.bits != int(self.bits))

    @property
    def widths(self) -> tuple[int, ...]:
        """The numbers of bits among which an allocation chooses: the usual ones, and more if need be."""
        return tuple(range(WIDTHS[0], max(WIDTHS[-1], math.ceil(self.bits or 0)) + 1))


class Compressor:
    """Compresses one network, with a bar that counts gradients; changes of the loss are those on the given rows.

    With `sweep`, other amounts are tried besides, for a figure.
    """

    def __init__(
        self,
        chosen: Compression,
        network: gc.MLP,
        split: Split,
        rows: tuple[FloatArray, NDArray[Any]],
        sweep: bool,
        progress: bool,
    ) -> None:
        self.chosen, self.network, self.split, self.sweep = chosen, network, split, sweep
        self.X, self.y = rows
        self.groups = network.weight_groups()
        random = gc.comparison.trials.streams(chosen.seed)
        # What a figure asks for besides must not change the rest.
        self.of_pruning, self.of_tuning, self.of_rounding, self.of_effects, self.of_sweeps = random.directions.spawn(5)
        self.shuffling = random.shuffling
        self.stages: list[Stage] = []
        self.bar = tqdm(total=self._gradients(), desc="compressing", unit="gradient", disable=not progress)

    def run(self, theta: FloatArray) -> Compressed:
        """Prune, fine-tune and round, as far as was chosen."""
        quantized, effects, mask = None, [], np.ones(theta.size, np.bool_)
        for part in self.groups.values():
            mask[part] = theta[part] != 0  # it may have been pruned before
        with self.bar:
            self._look("before", theta)
            if self.chosen.sparsity is not None:
                effect, pruned = self._prune(theta, self.chosen.sparsity)
                theta, mask = pruned.theta, pruned.mask
                effects.append(effect)
            if self.chosen.bits is not None:
                effect, quantized = self._round(theta, self.chosen.bits)
                theta = quantized.theta
                effects.append(effect)
        return Compressed(self.network, len(self.X), theta, mask, quantized, tuple(effects), tuple(self.stages))

    def _gradients(self) -> int:
        """Return how many gradients the work takes."""
        chosen, total = self.chosen, 0
        if chosen.sparsity is not None:
            batches = (chosen.tune or 0) * self._batches()
            total += chosen.rounds * (criteria.gradients(chosen.criterion, chosen.samples) + batches)
            total += self._of_effect(len(SPARSITIES) + (chosen.sparsity not in SPARSITIES))
        if chosen.bits is not None:
            groups = len(self.network.weight_groups(chosen.per))
            total += chosen.allocates * (1 + 2 * groups * len(chosen.widths) * chosen.samples)
            total += self._of_effect(len(WIDTHS))
        return total

    def _of_effect(self, tried: int) -> int:
        once = 1 + 2 * self.chosen.samples
        return 2 * self.chosen.samples * len(self.groups) + 1 + once + tried * once * self.sweep

    def _batches(self) -> int:
        return -(-len(self.split.X) // self.chosen.batch_size)

    def _gradient(self, theta: FloatArray) -> FloatArray:
        self.bar.update()
        return self.network.value_and_grad(theta, self.X, self.y)[1]

    def _value(self, theta: FloatArray) -> float:
        return self.network.value(theta, self.X, self.y)

    def _accuracy(self, theta: FloatArray) -> float:
        """Return the accuracy on the validation data."""
        return accuracy(self.network, theta, self.split.X_validation, self.split.y_validation)

    def _look(self, stage: str, theta: FloatArray) -> None:
        split = self.split
        rows = (split.X, split.y), (split.X_validation, split.y_validation)
        found = [measure for pair in rows for measure in evaluate(self.network, theta, pair).values()]
        self.stages.append(Stage(stage, *found))

    def _prune(self, theta: FloatArray, sparsity: float) -> tuple[CompressionEffect, Pruned]:
        chosen, scope, tune = self.chosen, self.chosen.scope, None if self.chosen.tune is None else self._tune
        length = gc.compression.removal_length(theta, sparsity, self.groups)
        saliency = criteria.Saliency(
            chosen.criterion, self.network, self.X, self._gradient, length, chosen.samples, self.of_pruning
        )
        try:
            pruned = gc.compression.prune(theta, saliency, sparsity, self.groups, scope, chosen.rounds, tune)
        except ValueError as error:
            raise ValueError(str(error).replace("scope='group'", "--scope layer")) from error
        without = np.where(pruned.mask, theta, 0)
        self._look("pruned", without)
        if tune is not None:
            self._look("fine-tuned", pruned.theta)

        def at_once(share: float) -> FloatArray:
            return gc.compression.prune(theta, saliency.first, share, self.groups, scope).theta

        tried = self._tried({sparsity, *SPARSITIES}, at_once)
        return self._effect("pruning", theta, without, pruned.theta, sparsity, tried), pruned

    def _tune(self, theta: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
        chosen = self.chosen
        optimizer = inputs.make_optimizer(chosen.optimizer, theta, chosen.lr, (), self.of_tuning)
        optimizer.mask = mask
        history = gc.train(
            self.network,
            optimizer,
            self.split.X,
            self.split.y,
            chosen.tune,
            chosen.batch_size,
            rng=self.shuffling,
            progress=False,
            callback=self._end_epoch,
        )
        if history.status == "interrupted":
            raise KeyboardInterrupt
        return optimizer.theta

    def _end_epoch(self, _: gc.training.EpochRecord) -> None:
        self.bar.update(self._batches())

    def _round(self, theta: FloatArray, bits: float) -> tuple[CompressionEffect, Quantized]:
        groups, scheme = self.network.weight_groups(self.chosen.per), self.chosen.scheme
        left = np.array([np.count_nonzero(theta[part]) for part in groups.values()])
        widths = self._allocate(theta, bits, groups, left) if self.chosen.allocates else int(bits)
        quantized = gc.compression.quantize(theta, widths, groups, scheme)
        self._look("rounded", quantized.theta)
        tried = self._tried(WIDTHS, lambda width: gc.compression.quantize(theta, int(width), groups, scheme).theta)
        reached = float(left @ list(quantized.bits.values())) / max(int(left.sum()), 1)
        return self._effect("rounding", theta, quantized.theta, quantized.theta, reached, tried), quantized

    def _allocate(
        self, theta: FloatArray, bits: float, groups: dict[str, slice], left: NDArray[np.intp]
    ) -> dict[str, int]:
        """Return the bits of every group: so many on average over the weights that are left in it."""
        chosen = self.chosen
        found = gc.compression.directional_quantization_changes(
            self._gradient, theta, groups, chosen.widths, chosen.scheme, chosen.samples, self.of_rounding
        )
        alive = np.flatnonzero(left)  # a unit may have lost all its weights
        sizes, widths = left[alive].tolist(), np.full(left.size, chosen.widths[0])
        # Without signs: what rounding to very few bits might gain is not to be relied on.
        changes, budget = abs(found.hessian[alive]), bits * sum(sizes)
        widths[alive] = gc.compression.allocate_bits(changes, sizes, budget, chosen.widths).bits
        return dict(zip(groups, widths.tolist(), strict=True))

    def _tried(self, amounts: Iterable[float], compress: Callable[[float], FloatArray]) -> dict[float, FloatArray]:
        """Return what other amounts make of the parameters, as far as they leave something of every layer."""
        found: dict[float, FloatArray] = {}
        if self.sweep:
            for amount in sorted(amounts):
                try:
                    found[amount] = compress(amount)
                except ValueError:
                    self.bar.total = (self.bar.total or 0) - 1 - 2 * self.chosen.samples
        return found

    def _effect(
        self,
        kind: Literal["pruning", "rounding"],
        before: FloatArray,
        after: FloatArray,
        result: FloatArray,
        amount: float,
        tried: dict[float, FloatArray],
    ) -> CompressionEffect:
        """Compare what was predicted with what happened."""
        start, others = self._value(before), list(tried.values())

        def predict(to: FloatArray, rng: np.random.Generator, groups: dict[str, slice] | None = None) -> FloatArray:
            return gc.compression.predicted_changes(self._gradient, before, to, groups, self.chosen.samples, rng)

        return CompressionEffect(
            kind=kind,
            groups=tuple(self.groups),
            predicted=predict(after, self.of_effects, self.groups),
            measured=gc.compression.measured_changes(self._value, before, after, self.groups),
            predicted_total=float(predict(after, self.of_effects)[0]),
            measured_total=self._value(after) - start,
            amount=amount,
            amounts=np.array(list(tried), np.float64),
            predicted_losses=np.array([start + predict(each, self.of_sweeps)[0] for each in others]),
            losses=np.array([self._value(each) for each in others]),
            accuracies=np.array([self._accuracy(each) for each in others]),
            result=(self._value(result), self._accuracy(result)),
        )
