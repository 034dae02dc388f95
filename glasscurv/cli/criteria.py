"""The criteria of ``glasscurv compress``: which weights are removed first."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from glasscurv._typing import FloatArray, Gradient
from glasscurv.compression.saliency import Term


class Criterion(NamedTuple):
    """A term of the saliency, and which measure of a `CurvatureEstimate` it takes, if any."""

    term: Term
    measure: str | None = None


CRITERIA = {
    "curvature": Criterion("abs_hessian", "hessian_abs"),
    "glass": Criterion("glass", "glass_density"),
    "hessian": Criterion("abs_hessian", "hessian_diagonal"),
    "gradient": Criterion("abs_gradient"),
    "magnitude": Criterion("magnitude"),
    "input-norm": Criterion("input_norm"),
}


class Saliency:
    """What removing each weight would cost by one criterion, asked anew in every round.

    Parameters
    ----------
    criterion : str
        Name of the criterion.
    network, X
        The network and the rows, for the norms of inputs.
    gradient : callable
        ``gradient(theta) -> (n,)``
    length : float
        At which curvature is measured.
    samples : int
        Directions for it.
    rng : Generator
        Source of them.
    """

    def __init__(
        self,
        criterion: str,
        network: gc.MLP,
        X: FloatArray,
        gradient: Gradient,
        length: float,
        samples: int,
        rng: np.random.Generator,
    ) -> None:
        self.criterion, self.network, self.X = CRITERIA[criterion], network, X
        self.gradient, self.length, self.samples, self.rng = gradient, length, samples, rng
        self.first: FloatArray = np.empty(0)

    def __call__(self, theta: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
        """Return the saliency of every weight, and remember the first one."""
        term, measure = self.criterion
        given: dict[str, Any] = {}
        if measure is not None:
            measured = np.zeros_like(theta)
            measured[mask] = getattr(self._curvature(theta, mask), measure)
            given["density" if term == "glass" else "hessian"] = measured
        elif term == "abs_gradient":
            given["gradient"] = self.gradient(theta)
        elif term == "input_norm":
            given["input_norm"] = self.network.input_norm(theta, self.X)
        saliency = gc.compression.pruning_saliency(theta, terms=term, **given)
        if not self.first.size:
            self.first = saliency
        return saliency

    def _curvature(self, theta: FloatArray, mask: NDArray[np.bool_]) -> gc.CurvatureEstimate:
        """Measure curvature along movements of what is still there: the rest will not move again."""
        point = theta.copy()

        def gradient_of_kept(kept: FloatArray) -> FloatArray:
            point[mask] = kept
            return np.asarray(self.gradient(point))[mask]

        return gc.estimate_curvature(gradient_of_kept, theta[mask], self.length, self.samples, rng=self.rng)


def gradients(criterion: str, samples: int) -> int:
    """Return how many gradients a round of a criterion takes."""
    term, measure = CRITERIA[criterion]
    return 1 + 2 * samples if measure is not None else int(term == "abs_gradient")
