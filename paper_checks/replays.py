"""Recorded runs of the authors' reference implementation of Alice, and the same runs by the library."""

import json
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from glasscurv.optimizers import alice

Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "tests" / "data"
OPTIONS = json.loads((DATA / "alice_replay.json").read_text("utf-8"))
CASES = tuple(OPTIONS)
STATE = ("lookahead", "gradient", "density", "curvature", "second_moment")
REFERENCE_CONSTANT = 0.238732
"""What the reference implementation has for 3/(4π)."""


class Trajectory(NamedTuple):
    """One run: where gradients were taken, how many in every step, and what each step left behind.

    Attributes
    ----------
    points : (evaluations, n) array
    evaluations : (steps,) array
    theta : (steps, n) array
    state : (steps, 5, n) array
        In the order of ``STATE``.
    """

    points: Array
    evaluations: NDArray[np.int64]
    theta: Array
    state: Array


class Replayed(gc.Rademacher):
    """Directions that were written down before."""

    def __init__(self, directions: list[Array]) -> None:
        object.__setattr__(self, "directions", iter(directions))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return the next direction, of a size and by a generator that nobody asks."""
        return next(self.directions)


def load(case: str) -> dict[str, Array]:
    """Return what was recorded: the trajectory, its start, directions, losses and gradients."""
    with np.load(DATA / "alice_replay.npz", allow_pickle=False) as arrays:
        return {key.split("/")[1]: arrays[key] for key in arrays.files if key.startswith(f"{case}/")}


def recorded(case: str) -> Trajectory:
    """Return the trajectory of the reference implementation."""
    arrays = load(case)
    return Trajectory(arrays["points"], arrays["evaluations"], arrays["mu"], arrays["state"])


def alice_options(case: str) -> dict[str, Any]:
    """Return the options of a recorded run, the learning rate among them, by the names of the library's Alice."""
    options = OPTIONS[case]
    return {
        "lr": options["lr"],
        "betas": tuple(options["betas"]),
        "eps": options["eps"],
        "l1": options["w1"],
        "l2": options["w2"],
        "step_fraction": options["phi"],
        "lookahead": options["omega"],
        "limiter": options["limit_method"],
        "lr_min": options["lr_min"],
        "lr_max": options["lr_max"],
        "hessian": options["hess_comp"],
        "glass": options["grad_glass"],
        "quick_steps": options["quick_steps"],
    }


def replay(case: str) -> Trajectory:
    """Run the library's Alice on the recorded directions, losses and gradients."""
    arrays = load(case)
    directions = Replayed([signs for signs in arrays["signs"] if signs.any()])
    optimizer = gc.Alice(arrays["theta0"], **alice_options(case), distribution=directions)
    answers = zip(arrays["losses"], arrays["gradients"], strict=True)
    points: list[Array] = []

    def evaluate(theta: Array) -> tuple[float, Array]:
        points.append(theta.copy())
        return next(answers)

    evaluations, thetas, states = [], [], []
    for _ in arrays["evaluations"]:
        before = len(points)
        optimizer.step(evaluate)
        evaluations.append(len(points) - before)
        thetas.append(optimizer.theta)
        states.append([optimizer.state[name].copy() for name in STATE])
    return Trajectory(np.array(points), np.array(evaluations), np.array(thetas), np.array(states))


def replay_with_reference_constant(case: str) -> Trajectory:
    """Replay with the rounded constant of the reference implementation."""
    with patch.object(alice, "GLASS_STEP_COEFFICIENT", REFERENCE_CONSTANT):
        return replay(case)
