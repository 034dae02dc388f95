"""How far the gradient has wandered after a distance σ, beyond what is linear in σ: ReLU against tanh."""

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

X, y, *_ = gc.data.load_digits()
X, y = X[:200], y[:200]
lengths = np.geomspace(1e-3, 3e-2, 6)

figure, ax = plt.subplots(figsize=(5, 3.6))
for activation, colour, marker in (("relu", "#D55E00", "o"), ("tanh", "#0072B2", "s")):
    network = gc.MLP((64, 32, 10), activation=activation)
    found = gc.variation_exponent(
        lambda theta, network=network: network.value_and_grad(theta, X, y)[1],
        network.initialize(rng=0),
        lengths,
        groups={"hidden": network.groups["layer1"]},
        samples=32,
        rng=1,
    )
    label = f"{activation}: grows like σ to the power {found.exponent['hidden']:.2f}"
    ax.loglog(lengths, found.mean_square["hidden"], marker=marker, color=colour, label=label)
ax.set(xlabel="distance σ", ylabel="mean square of\n½(g(θ + σz) + g(θ − σz)) − g(θ)")
ax.legend()
