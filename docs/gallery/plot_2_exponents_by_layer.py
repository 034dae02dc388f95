r"""
Exponents by layer
==================

Is the curvature of a network glass, or is it in the Hessian? The power tells, with which differences of its gradient
grow with the length of the movement. The :ref:`exponents <exponents>` of the theory predict it for every layer: second
differences,

.. math:: \tfrac12\bigl(g(\mu+\sigma z) + g(\mu-\sigma z)\bigr) - g(\mu) ,

from which the Hessian drops out, have a mean square that grows like :math:`\sigma^1` where the gradient jumps, like
:math:`\sigma^3` where only its slope does, and like :math:`\sigma^4` where it is smooth.
"""

# %%
# One network
# -----------
# Two hidden layers at initialisation, and a minibatch of 200 digits.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

import glasscurv as gc

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6E6E6E"
STYLES = {"layer1": (BLUE, "o"), "layer2": (ORANGE, "s"), "layer3": (GREEN, "^")}
LENGTHS = np.geomspace(1e-4, 1.6e-3, 5)

X, y, *_ = gc.data.load_digits()
rng = np.random.default_rng(0)


def draw(activation):
    """Return a network, random parameters and a random minibatch."""
    network = gc.MLP((64, 64, 64, 10), activation)
    rows = rng.choice(len(X), 200, replace=False)
    return network, network.initialize(rng), (X[rows], y[rows])


# %%
# :func:`glasscurv.variation_exponent` takes gradients along random directions at several lengths, and fits a power to
# every group of parameters; ``groups`` of :class:`glasscurv.MLP` has one for each layer.


def minibatch_gradient(network, batch):
    return lambda theta: network.value_and_grad(theta, *batch)[1]


def fit_powers(network, theta, batch, lengths=LENGTHS, order=2, samples=4):
    gradient = minibatch_gradient(network, batch)
    return gc.variation_exponent(gradient, theta, lengths, order, network.groups, samples, rng=rng)


fit = fit_powers(*draw("relu"), samples=16)
for layer, exponent in fit.exponent.items():
    print(f"{layer}: {exponent:.2f}, error {fit.standard_error[layer]:.2f}")

# %%
# Many networks
# -------------
# The error is the standard error over directions. All of them start at one centre and share the boundaries next to it,
# which may be many or few. Another network on another minibatch has others. So we take several.

NETWORKS = {"relu": 40, "tanh": 16}
fits = {activation: [fit_powers(*draw(activation)) for _ in range(count)] for activation, count in NETWORKS.items()}

print("            exponent     spread error")
for activation, several in fits.items():
    for layer in STYLES:
        found = np.array([fit.exponent[layer] for fit in several])
        interval = t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
        error = np.mean([fit.standard_error[layer] for fit in several])
        print(f"{activation} {layer} {found.mean():.2f} ± {interval:.2f}  {found.std(ddof=1):5.2f} {error:5.2f}")

# %%
# These are the mean exponents with their 95 % intervals, the spread between networks and the mean standard error. The
# hidden layers of the ReLU networks are glass, and tanh has none. The last layer of a ReLU network does not jump: its
# gradient is a product of activations and of derivatives of the loss, which are continuous. Its exponent is a little
# above 3, as in the longest movements the smooth part of the loss begins to show, whose power is 4. In the hidden
# layers the spread between ReLU networks is about twice the standard error.

figure, axes = plt.subplots(2, 1, figsize=(5, 7), sharex=True, sharey=True)
POWERS = {"relu": {"layer1": 1, "layer2": 1, "layer3": 3}, "tanh": {"layer1": 4, "layer3": 4}}
for ax, (activation, several) in zip(axes, fits.items(), strict=True):
    for layer, (colour, marker) in STYLES.items():
        squares = np.mean([fit.mean_square[layer] for fit in several], axis=0)
        ax.loglog(LENGTHS, squares, marker, color=colour, mfc="none", mew=1.8, label=layer)
        if power := POWERS[activation].get(layer):
            ax.plot(LENGTHS, squares[1] * (LENGTHS / LENGTHS[1]) ** power, color=GREY, lw=1.2, zorder=1)
    ax.set_ylabel("mean square of the\nsecond difference (gradient²)")
    ax.plot([], [], color=GREY, lw=1.2, label="predicted power")
    ax.legend(title=activation)
axes[1].set_xlabel("movement σ of each parameter (length)")

# %%
# Where the Hessian takes over
# ----------------------------
# The first difference :math:`g(\mu+\sigma z) - g(\mu)` contains both. Its mean square is :math:`\rho\sigma` from the
# glass and :math:`(Hz)^2\sigma^2` from the Hessian, which are equal at the length :math:`\rho/(Hz)^2`.
# :func:`glasscurv.estimate_curvature` measures :math:`\rho`, and ``hessian_vector`` has :math:`Hz` exactly. We look at
# the first layer.

WIDE = np.geomspace(1e-4, 1e-1, 7)
first, second, densities, curvatures = [], [], [], []
for _ in range(16):
    network, theta, batch = draw("relu")
    first.append(fit_powers(network, theta, batch, WIDE, order=1).mean_square["layer1"])
    second.append(fit_powers(network, theta, batch, WIDE, order=2).mean_square["layer1"])
    gradient, part = minibatch_gradient(network, batch), network.groups["layer1"]
    estimate = gc.estimate_curvature(gradient, theta, length=1e-3, samples=4, rng=rng)
    densities.append(estimate.glass_density[part].mean())
    z = gc.Rademacher().sample(network.size, rng)
    curvatures.append(np.mean(network.hessian_vector(theta, z, *batch)[part] ** 2))

rho, squared = np.mean(densities), np.mean(curvatures)
print(f"ρ     = {rho:.2g} gradient²/length")
print(f"(Hz)² = {squared:.2g} (gradient/length)²")
print(f"equal at the length {rho / squared:.2g}")

# %%
# The two sides of a second difference meet different boundaries. Half the sum of their variations has half the variance
# of each, so :math:`\rho\sigma/2` of the glass is left.

figure, ax = plt.subplots(figsize=(5, 4.4))
for found, colour, marker, label in (
    (first, BLUE, "o", "first difference"),
    (second, ORANGE, "s", "second difference"),
):
    interval = t.ppf(0.975, len(found) - 1) * np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    ax.errorbar(WIDE, np.mean(found, axis=0), interval, fmt=marker, color=colour, capsize=3, label=label)
ax.loglog(WIDE, rho * WIDE + squared * WIDE**2, color=BLUE, lw=1.2, label="$\\rho\\sigma + (Hz)^2\\sigma^2$")
ax.loglog(WIDE, rho * WIDE / 2, color=ORANGE, lw=1.2, label="$\\rho\\sigma/2$")
ax.axvline(rho / squared, color=GREY, lw=1.2, ls="--")
ax.set(xlabel="movement σ of each parameter (length)", ylabel="mean square (gradient²)")
ax.legend(title="16 networks, 95 %")

# %%
# Left of the dashed line the first difference is mostly glass. Around it and beyond, it exceeds the sum: signals of one
# unit on different samples are alike, so that their jumps add up to a drift
# (:doc:`theory, section 1.3 </theory/walk>`), which no Hessian contains. The second difference cancels the drift as it
# cancels the Hessian, and follows its line until the smooth part of the loss, with the power 4, takes over.
#
# For a network of your own :func:`glasscurv.curvature_profile` does all this in one call: density, Hessian and exponent
# of every layer. :func:`glasscurv.plotting.plot_profile` draws them.
