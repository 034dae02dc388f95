"""Curvature per layer, measured during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray
from glasscurv._validation import integer, number
from glasscurv.curvature import CurvatureProfile, curvature_profile
from glasscurv.networks import MLP


@dataclass(frozen=True)
class Snapshots:
    """How `train` measures the curvature of every layer on its way.

    The measurements have a seed of their own, so that they do not change the training.

    Parameters
    ----------
    every : int
        Steps between measurements, ≥ 1; the first is made before the first step.
    length : float
        Perturbation length σ > 0 of density and Hessian.
    samples : int
        Directions of each measurement, ≥ 2.
    lengths : sequence of float, optional
        Lengths over which the exponents are fitted; by default those of `curvature_profile`.
    rows : int, optional
        Measure on that many training rows, the same each time, drawn with the seed; by default on all.
    seed : int
        Seed ≥ 0 of the directions and the rows.

    Raises
    ------
    ValueError, TypeError
        Bad settings.

    See Also
    --------
    SnapshotHistory : What was measured.
    glasscurv.curvature_profile : Measures once.

    References
    ----------
    Theory, sections 1 to 3.

    Examples
    --------
    >>> import glasscurv as gc
    >>> X, y, *_ = gc.data.load_digits()
    >>> net = gc.MLP((64, 16, 10))
    >>> optimizer = gc.Adam(net.initialize(rng=0), lr=1e-2)
    >>> history = gc.train(net, optimizer, X, y, steps=20, rng=0, progress=False,
    ...                    snapshots=gc.Snapshots(every=10, rows=200))
    >>> history.snapshots.step, history.snapshots.groups, history.snapshots.exponent.shape
    (array([ 0, 10]), ('layer1', 'layer2'), (2, 2))
    """

    every: int = 100
    length: float = 1e-3
    samples: int = 8
    lengths: Sequence[float] | None = None
    rows: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        integer(self.every, "every", 1)
        number(self.length, "length", 0, open_low=True)
        integer(self.samples, "samples", 2)
        if self.rows is not None:
            integer(self.rows, "rows", 1)
        integer(self.seed, "seed", 0)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON knows them.

        Returns
        -------
        dict
            Name of each setting to its value.
        """
        settings = asdict(self)
        if self.lengths is not None:
            settings["lengths"] = [float(length) for length in self.lengths]
        return settings

    def measure(self, network: MLP, theta: FloatArray, X: FloatArray, y: NDArray[Any], step: int) -> CurvatureProfile:
        """Measure the curvature of every layer.

        Parameters
        ----------
        network : MLP
            The model.
        theta : ndarray of shape (n,)
            Its parameters.
        X : ndarray of shape (m, d)
            Inputs.
        y : ndarray of shape (m,) or (m, k)
            Targets.
        step : int
            Steps taken before; the directions depend on it and on the seed.

        Returns
        -------
        CurvatureProfile
            Curvature of the loss on these rows, or on those that the seed draws of them.

        Raises
        ------
        ValueError, TypeError
            Data that do not fit the network.
        NonFiniteError
            A gradient with a nan or an infinity.
        """
        if self.rows is not None and self.rows < len(X):
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(X), self.rows, replace=False))
            X, y = X[chosen], y[chosen]
        return curvature_profile(
            lambda point: network.value_and_grad(point, X, y)[1],
            theta,
            network.groups,
            length=self.length,
            samples=self.samples,
            lengths=self.lengths,
            rng=np.random.default_rng([self.seed, step]),
        )
