r"""
Boundaries along a line
=======================

Where does the gradient of a network jump, by how much, and how often? :func:`glasscurv.trace_crossings` follows a line
through the parameters of a ReLU network and solves for every boundary on it. This example looks at the jumps one by
one, compares them with :ref:`equation (1) <eq-1>` of the theory (:doc:`section 1 </theory/boundaries>`), and their
number with Rice's formula (:doc:`section 1.2 </theory/initialisation>`).
"""

# %%
# One image
# ---------
# A network with three hidden layers at initialisation, a random direction :math:`z`, and the line
# :math:`\theta + tz`. We begin with a single image. A boundary is met where the pre-activation :math:`y_k` of one unit
# changes its sign.

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

BLUE, ORANGE, GREEN = COLOURS = "#0072B2", "#D55E00", "#009E73"

X, y, *_ = gc.data.load_digits()
network = gc.MLP((64, 32, 32, 32, 10))
rng = np.random.default_rng(0)
theta, z = network.initialize(rng), gc.Gaussian().sample(network.size, rng)

met = gc.trace_crossings(network, theta, z, X[:1], y[:1], distance=0.05)
for k in range(3):
    print(f"t = {met.position[k]:.4f}: layer {met.layer[k]}, unit {met.unit[k]} goes {'on' if met.on[k] else 'off'}")
print(f"{len(met)} boundaries in all")

# %%
# The upper panel has the pre-activations of these units. The lower one has the slope :math:`z\cdot\nabla L` of the loss
# along the line, which jumps at every boundary.

along = np.linspace(0, 0.05, 1001)
hidden = [network.preactivations(theta + t * z, X[:1]) for t in along]
slopes = [network.value_and_grad(theta + t * z, X[:1], y[:1])[1] @ z for t in along]

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5, 6.4), sharex=True)
for layer, unit in zip(met.layer, met.unit, strict=True):
    top.plot(along, [each[layer - 1][0, unit] for each in hidden], color=COLOURS[layer - 1], lw=1.2)
bottom.plot(along, slopes, color="black", lw=1.2)
for layer, colour in enumerate(COLOURS, start=1):
    t = met.position[met.layer == layer]
    top.plot(t, np.zeros_like(t), "o", color=colour, label=f"layer {layer}")
    bottom.vlines(t, 0, 1, transform=bottom.get_xaxis_transform(), color=colour, lw=1)
top.set_ylabel("pre-activation")
top.legend()
bottom.set(xlabel="distance t", ylabel="slope of the loss\n(loss / unit of t)")

# %%
# The pre-activations bend where a unit of a layer below switches. Between the jumps the slope changes smoothly: that
# part of the curvature is in the Hessian.
#
# The jumps
# ---------
# :ref:`Equation (1) <eq-1>` says that the gradient jumps by :math:`\pm s_k\nabla y_k`, plus where the unit goes on and
# minus where it goes off. ``jumps`` returns these vectors, one a boundary, from the signals :math:`s_k` at the kinks.
# To measure them, take the gradient on both sides of each boundary. Now the minibatch has twenty images.

batch = X[:20], y[:20]
met = gc.trace_crossings(network, theta, z, *batch, distance=0.05)
predicted = met.jumps()


def measured_jumps(gap):
    def gradient(t):
        return network.value_and_grad(theta + t * z, *batch)[1]

    return np.array([gradient(t + gap / 2) - gradient(t - gap / 2) for t in met.position])


for gap in (1e-7, 1e-8, 1e-9):
    left_over = np.linalg.norm(measured_jumps(gap) - predicted, axis=1) / np.linalg.norm(predicted, axis=1)
    print(f"gap {gap:.0e}: at most {left_over.max():.1e} left over")
print(f"{len(met)} boundaries")

# %%
# What is left over, as a share of the jump, is the smooth change over the gap, which shrinks with it. Along the line
# the jumps are these:

figure, ax = plt.subplots(figsize=(5, 4))
measured = measured_jumps(1e-9)
for layer, colour in enumerate(COLOURS, start=1):
    here = met.layer == layer
    ax.plot(predicted[here] @ z, measured[here] @ z, "o", color=colour, mfc="none", label=f"layer {layer}")
ax.axline((0, 0), slope=1, color="black", lw=1.2, zorder=1)
ax.set_xlabel("predicted jump, $\\pm s_k\\nabla y_k\\cdot z$ (loss / unit of t)")
ax.set_ylabel("measured jump\n(loss / unit of t)")
ax.legend()

# %%
# Their number
# ------------
# ``initialize`` draws independent normal weights and zero biases, and the direction is normal as well.
# :ref:`Rice's formula <rice>` then gives the number of boundaries to expect. If the :math:`m` inputs :math:`x` of a
# layer change by :math:`\dot x` per unit of :math:`t`, a pre-activation changes sign :math:`\omega/\pi` times per unit
# of :math:`t`,
#
# .. math::
#
#    \omega^2 &= D/V - C^2/V^2, \qquad s = 2/m + t^2, \\
#    V &= s|x|^2 + t^2, \\
#    C &= t(|x|^2 + 1) + s\,x\cdot\dot x, \\
#    D &= |x|^2 + 1 + s|\dot x|^2 + 2t\,x\cdot\dot x .


def rice(x, dx, t):
    """Return ω/π for each row of x."""
    s = 2 / x.shape[1] + t**2
    xx, xdx, dxdx = np.sum(x * x, axis=1), np.sum(x * dx, axis=1), np.sum(dx * dx, axis=1)
    V, C, D = s * xx + t**2, t * (xx + 1) + s * xdx, xx + 1 + s * dxdx + 2 * t * xdx
    return np.sqrt(D / V - (C / V) ** 2) / np.pi


# %%
# The inputs of a layer are the outputs of the layer below, at :math:`t`; differences of them give the derivatives.


def layer_inputs(theta, images):
    outputs = [np.maximum(each, 0) for each in network.preactivations(theta, images)]
    return [images, *outputs[:-2]]  # the last hidden layer feeds no hidden layer, the last layer is the output


def expected_density(theta, z, images, t, step=1e-6):
    """Return the expected number of boundaries per unit, image and unit of t, for each hidden layer."""
    before, after = (layer_inputs(theta + side * z, images) for side in (t - step, t + step))
    return [rice((a + b) / 2, (b - a) / (2 * step), t).mean() for a, b in zip(before, after, strict=True)]


# %%
# The numbers vary from network to network, so we need many. Each gets ten random images, and a line on which every
# weight moves about as far as it is large.

NETWORKS, IMAGES, WIDTH = 150, 10, 0.03
edges = WIDTH * np.arange(9)
middles = edges[:-1] + WIDTH / 2
counted, expected = np.empty((2, NETWORKS, 3, len(middles)))
for k in range(NETWORKS):
    rows = rng.choice(len(X), IMAGES, replace=False)
    theta, z = network.initialize(rng), gc.Gaussian().sample(network.size, rng)
    met = gc.trace_crossings(network, theta, z, X[rows], y[rows], distance=edges[-1])
    counts = [np.histogram(met.position[met.layer == layer], edges)[0] for layer in (1, 2, 3)]
    counted[k] = np.array(counts) / (32 * IMAGES * WIDTH)
    expected[k] = np.transpose([expected_density(theta, z, X[rows], t) for t in middles])


def mean_and_interval(values):
    """Mean over the networks, and half of its 95 % interval."""
    return values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(NETWORKS)


figure, ax = plt.subplots(figsize=(5, 4))
for layer, (colour, marker) in enumerate(zip(COLOURS, "os^", strict=True)):
    ax.plot(middles, expected[:, layer].mean(axis=0), color=colour, lw=1.2)
    mean, interval = mean_and_interval(counted[:, layer])
    ax.errorbar(middles, mean, interval, fmt=marker, color=colour, capsize=3, label=f"layer {layer + 1}")
ax.set(xlabel="distance t", ylabel="boundaries per unit, image\nand unit of t", ylim=(0, None))
ax.legend(title="points: counted, 95 %\nlines: Rice's formula")

# %%
# Deeper layers meet more boundaries, as the layers below move their inputs as well. Further on there are fewer: the
# movement has made the pre-activations larger, so that they are seldom near zero. Over the whole line, compared network
# by network:

print("layer counted  Rice  difference")
for layer in range(3):
    over_line = counted[:, layer].mean(axis=1), expected[:, layer].mean(axis=1)
    difference, interval = mean_and_interval(over_line[0] - over_line[1])
    print(f"{layer + 1:5} {over_line[0].mean():7.3f} {over_line[1].mean():5.3f} {difference:+.3f} ± {interval:.3f}")

# %%
# What they add up to
# -------------------
# The squares of the jumps along the line add up, per unit of length, to the glass density :math:`\rho_u` of
# :ref:`equation (5) <eq-5>`, here in gradient²/length. :func:`glasscurv.directional_density` estimates it from
# gradients alone, which is all that other models have.

batch = X[:200], y[:200]
met = gc.trace_crossings(network, theta, z, *batch, distance=0.05)
estimate = gc.directional_density(
    lambda theta: network.value_and_grad(theta, *batch)[1],
    theta + 0.025 * z,
    direction=z,
    length=0.025 * np.linalg.norm(z),
    samples=128,
)
low, high = estimate.interval(0.95)
print(f"{len(met)} jumps:     {met.directional_density():.2e}")
print(f"{estimate.evaluations} gradients:  {estimate:.2e}")
print(f"95 % interval:  {low:.2e} to {high:.2e}")
