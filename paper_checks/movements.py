"""Movements of networks: the glass part of the loss change, and what the models predict for it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """The loss of one minibatch."""

    net: gc.MLP
    X: Array
    y: NDArray[np.int64]

    def value(self, theta: Array) -> float:
        """Return the loss."""
        return self.net.value(theta, self.X, self.y)

    def gradient(self, theta: Array) -> Array:
        """Return the gradient."""
        return self.net.value_and_grad(theta, self.X, self.y)[1]

    def curvature(self, theta: Array, delta: Array) -> float:
        """Return δᵀHδ, with the Hessian inside the linear region of θ."""
        return float(delta @ self.net.hessian_vector(theta, delta, self.X, self.y))

    def glass_changes(self, theta: Array, delta: Array) -> tuple[float, float]:
        """Return X after the movements ±δ: the loss less that of the network whose units stay as active as at θ."""
        patterns = [y > 0 for y in self.net.preactivations(theta, self.X)]
        ends = (theta + delta, theta - delta)
        plus, minus = (self.value(end) - self._value_with(patterns, end) for end in ends)
        return plus, minus

    def _value_with(self, patterns: list[NDArray[np.bool_]], theta: Array) -> float:
        x = self.X
        for (weights, biases), active in zip(self.net.unflatten(theta), patterns, strict=True):
            y = x @ weights + biases
            x = y * active
        return self.net.loss.value(y, self.y)


class Movement(NamedTuple):
    """A movement δ from θ, and the density of every coordinate there."""

    kind: str
    task: Task
    theta: Array
    delta: Array
    density: Array


class Line(NamedTuple):
    """The glass part X after the movements ±δ, and G by the models (8a), (8b) and (8c)."""

    plus: float
    minus: float
    coordinate: float
    independent: float
    directional: float


def minibatch(net: gc.MLP, data: gc.data.Split, rows: int, rng: np.random.Generator) -> Task:
    """Draw training images and labels."""
    batch = rng.choice(len(data.X), rows, replace=False)
    return Task(net, data.X[batch], data.y[batch])


def density(task: Task, theta: Array, rng: np.random.Generator) -> Array:
    """Estimate the glass density of every coordinate at the point itself."""
    return gc.estimate_curvature(task.gradient, theta, length=1e-3, samples=2, rng=rng).glass_density


def descent(task: Task, theta: Array) -> Array:
    """Return a movement down the gradient."""
    gradient = task.gradient(theta)
    return -3e-3 * gradient / np.linalg.norm(gradient)


def measure(movement: Movement) -> Line:
    """Measure X; (8c) with the density on the segment from −2δ to −δ, which shares no boundary with ±δ."""
    _, task, theta, delta, rho = movement
    distance = float(np.linalg.norm(delta))
    along = gc.directional_density(task.gradient, theta - 1.5 * delta, delta, length=distance / 2, samples=2)
    plus, minus = task.glass_changes(theta, delta)
    return Line(
        plus,
        minus,
        coordinate=gc.expected_glass_change(delta, rho),
        independent=gc.expected_glass_change(delta, rho, "independent"),
        directional=gc.directional_glass_change(distance, along),
    )
