"""What docs/pruning_study.py compares: networks, curvature and criteria for removing weights."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import glasscurv as gc
from glasscurv.compression import pruning_saliency

NETWORKS = {"2 hidden": (64, 64, 64, 10), "3 hidden": (64, 64, 64, 64, 10)}
ROWS = {"minibatch": 200, "full": None}
SHORT = 0.01  # the usual small σ


def trained(network, data, theta, seed, loss=1e-3):
    """Train with Adam until the training loss is below `loss`."""
    optimizer = gc.Adam(theta, lr=1e-3)
    rng = np.random.default_rng(seed)
    for _ in range(300):
        gc.train(network, optimizer, data.X, data.y, epochs=1, batch_size=50, rng=rng, progress=False)
        if network.value(optimizer.theta, data.X, data.y) < loss:
            break
    return optimizer.theta


def exact_curvature(network, theta, X, y):
    """Diagonal of the Hessian inside the linear region, and mean square of the rows' gradients (Fisher).

    With the pattern of active units fixed the outputs are linear in each single weight, so that the Hessian's diagonal
    is that of Gauss and Newton: it is exact, and never negative.
    """
    layers, values = network.unflatten(theta), network.preactivations(theta, X)
    inputs = [X] + [np.maximum(value, 0) for value in values[:-1]]
    p = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    jacobian = np.broadcast_to(np.eye(p.shape[1]), (len(X), p.shape[1], p.shape[1]))
    signal = p - np.eye(p.shape[1])[y]
    hessian, fisher = [], []
    for level in reversed(range(len(layers))):
        second = np.einsum("rc,rcu->ru", p, jacobian**2) - np.einsum("rc,rcu->ru", p, jacobian) ** 2
        for found, each in ((hessian, second), (fisher, signal**2)):
            weights = (inputs[level] ** 2).T @ each / len(X)
            found.insert(0, np.concatenate([weights.ravel(), each.mean(axis=0)]))
        if level:
            active = values[level - 1] > 0
            back = layers[level][0].T
            jacobian = (jacobian @ back) * active[:, None, :]
            signal = (signal @ back) * active
    return np.concatenate(hessian), np.concatenate(fisher)


@dataclass
class Measured:
    """One network at one point on some rows, with whatever curvature a criterion asks for, measured once.

    `mask` holds the weights that are left: what is removed does not move when curvature is measured.
    """

    network: gc.MLP
    theta: np.ndarray
    X: np.ndarray
    y: np.ndarray
    length: float  # σ for "at length"
    samples: int  # random directions
    seed: int
    mask: np.ndarray | float = 1.0

    def at_length(self, length):
        """The same at another length; what does not depend on it and is known already is kept."""
        other = copy(self)
        other.length = length
        for name in ("long", "smoothed"):
            other.__dict__.pop(name, None)
        return other

    def gradient_at(self, theta):
        """Gradient on these rows, with what is removed left at 0."""
        return self.network.value_and_grad(theta * self.mask, self.X, self.y)[1] * self.mask

    @cached_property
    def gradient(self):
        return self.gradient_at(self.theta)

    @cached_property
    def exact(self):
        return exact_curvature(self.network, self.theta, self.X, self.y)

    @cached_property
    def short(self):
        return self.estimate(SHORT)

    @cached_property
    def long(self):
        return self.estimate(self.length)

    def estimate(self, length):
        """Curvature from dense Rademacher directions."""
        return gc.estimate_curvature(self.gradient_at, self.theta, length, self.samples, rng=self.seed)

    @cached_property
    def relative(self):
        """Curvature in the coordinates u of θ (1 + u): each weight moves by a share of itself."""
        return gc.estimate_curvature(
            lambda u: self.gradient_at(self.theta * (1 + u)) * self.theta,
            np.zeros_like(self.theta), 0.3, self.samples, rng=self.seed,
        )  # fmt: skip

    @cached_property
    def row_norm(self):
        """Mean |Hz| with the Hessian inside the linear region, in which there is no glass."""
        law, rng = gc.Rademacher(), np.random.default_rng(self.seed)
        directions = (law.sample(self.theta.size, rng) * self.mask for _ in range(self.samples))
        return np.mean([abs(self.network.hessian_vector(self.theta, z, self.X, self.y)) for z in directions], axis=0)

    @cached_property
    def smoothed(self):
        """Exact diagonal of the Hessian, averaged over points at the length: what is curved without any jump."""
        rng = np.random.default_rng(self.seed)
        points = (self.theta + self.length * gc.Rademacher().sample(self.theta.size, rng) for _ in range(4))
        return np.mean([exact_curvature(self.network, p * self.mask, self.X, self.y)[0] for p in points], axis=0)

    @cached_property
    def diagonal(self):
        """Diagonal of the density matrix; by chance the extrapolation may fall below 0."""
        found = gc.glass_density_diagonal(self.gradient_at, self.theta, SHORT, (0.02, 0.05), 300, rng=self.seed)
        return np.nan_to_num(np.maximum(found.diagonal, 0))

    def saliency(self, terms, **curvature):
        """`pruning_saliency` with the gradient filled in."""
        return pruning_saliency(self.theta, self.gradient, terms=terms, **curvature)


RIVALS = {
    "magnitude": lambda m: m.saliency("magnitude"),
    "weight × input": lambda m: m.saliency("input_norm", input_norm=m.network.input_norm(m.theta, m.X)),
    "gradient × weight": lambda m: m.saliency("abs_gradient"),
    "Fisher": lambda m: m.saliency("abs_hessian", hessian=m.exact[1]),
    "OBD, ½hθ²": lambda m: m.saliency("hessian", hessian=m.short.hessian_diagonal),
    "OBD, ½|h|θ²": lambda m: m.saliency("abs_hessian", hessian=m.short.hessian_diagonal),
    "OBD, exact h": lambda m: m.saliency("hessian", hessian=m.exact[0]),
}
GLASS = {
    "glass, short": lambda m: m.saliency("glass", density=m.short.glass_density),
    "glass at length": lambda m: m.saliency("glass", density=m.long.glass_density),
}
SINGLE = {
    **RIVALS,
    **GLASS,
    "glass, diagonal": lambda m: m.saliency("glass", density=m.diagonal),
    "glass, relative": lambda m: np.sqrt(m.relative.glass_density),
    "gradient + h": lambda m: m.saliency(("gradient", "hessian"), hessian=m.exact[0]),
    "gradient + h + glass": lambda m: m.saliency(
        ("gradient", "hessian", "glass"), hessian=m.exact[0], density=m.short.glass_density
    ),
    "gradient + h + glass, diagonal": lambda m: m.saliency(
        ("gradient", "hessian", "glass"), hessian=m.exact[0], density=m.diagonal
    ),
}
MANY = {
    **RIVALS,
    "exact h at length": lambda m: m.saliency("hessian", hessian=m.smoothed),
    **GLASS,
    "glass as curvature": lambda m: m.saliency("abs_hessian", hessian=np.sqrt(m.long.glass_density / (2 * m.length))),
    "|Hz|, no glass": lambda m: m.saliency("abs_hessian", hessian=m.row_norm),
    "|Hz| at length": lambda m: m.saliency("abs_hessian", hessian=m.long.hessian_abs),
    "glass + |Hz| at length": lambda m: m.saliency(
        ("hessian", "glass"), hessian=m.long.hessian_abs, density=m.long.glass_density
    ),
    "gradient + h + glass": SINGLE["gradient + h + glass"],
}
