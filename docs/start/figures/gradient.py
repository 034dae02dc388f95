"""The derivative of the loss by one weight along a line through parameter space: ReLU against tanh."""

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

X, y, *_ = gc.data.load_digits()
X, y = X[:50], y[:50]
t = np.linspace(0, 0.1, 1001)

figure, axes = plt.subplots(2, 1, figsize=(5, 4.2), sharex=True)
for ax, activation, colour in zip(axes, ("relu", "tanh"), ("#D55E00", "#0072B2"), strict=True):
    network = gc.MLP((64, 32, 10), activation=activation)
    theta = network.initialize(rng=0)
    z = gc.Rademacher().sample(network.size, np.random.default_rng(1))
    weight = 28 * 32 + 3  # from a pixel in the middle to one of the 32 hidden units
    derivative = [network.value_and_grad(theta + length * z, X, y)[1][weight] for length in t]
    ax.plot(t, derivative, ".", color=colour, ms=2)
    ax.set(title=f"network of {activation} units", ylabel="∂L/∂θ of one weight")
axes[1].set_xlabel("distance t along the line θ + t z")
