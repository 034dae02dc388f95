r"""
Loss-change models
==================

By how much does the glass change the loss when the parameters move by :math:`\delta`? The theory
(:doc:`section 2 </theory/expectation>`) has three models, with :math:`c = \sqrt{2/(3\pi)} \approx 0.46`:

.. math::

    \text{(8a), coordinate:} \quad & c \sum_i \sqrt{\rho_i}\, |\delta_i|^{3/2} , \\
    \text{(8b), independent:} \quad & c\, \Bigl(\sum_i \rho_i |\delta_i|^3\Bigr)^{1/2} , \\
    \text{(8c), directional:} \quad & c\, \sqrt{\rho_u}\; \lVert\delta\rVert^{3/2} .

The first two need one density :math:`\rho_i` a coordinate and serve every movement. The third needs the density
:math:`\rho_u` along the movement itself, :math:`u = \delta/\lVert\delta\rVert`. This example compares all three with
measured changes, first where every density is known, then on a network. :doc:`Section 10 </theory/models>` derives what
each of them is a bound for.
"""

# %%
# A landscape with known densities
# --------------------------------
# :class:`glasscurv.RandomHinges` is a sum of rectified linear units of linear functions with random offsets and
# signals. Here it has 400 parameters and 1000 boundaries. The normals of the boundaries share a direction, as those in
# networks do, whose inputs are never negative; without that, the gradient would be a direction like any other.
#
# :math:`\rho_i` is the density with all coordinates moving by random signs. :meth:`glasscurv.RandomHinges.density`
# has it exactly for one draw of the signs; the mean over draws is what :func:`glasscurv.estimate_curvature` measures.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

import glasscurv as gc

GREY, BLUE, ORANGE = "#6E6E6E", "#0072B2", "#D55E00"

rng = np.random.default_rng(0)
n = 400
normals = 0.5 + rng.standard_normal((1000, n))
toy = gc.RandomHinges(n, len(normals), half_width=60, normals=normals, rng=rng)
origin = np.zeros(n)


def signs(n):
    return gc.Rademacher().sample(n, rng)


rho = np.mean([toy.density(signs(n)) for _ in range(50)], axis=0)

# %%
# Four kinds of movement
# ----------------------
# The movements differ in how many coordinates take part and whether they run along the normals of boundaries. The
# gradient is that of another landscape with the same normals: the own one knows which boundaries lie next to the start.

KINDS = ("all, random signs", "1 in 100", "a single one", "down the gradient")


def toy_movement(kind):
    if kind == "all, random signs":
        return 0.5 * signs(n)
    if kind == "1 in 100":
        return 3 * signs(n) * (rng.permutation(n) < n / 100)
    if kind == "a single one":
        return 6.0 * (np.arange(n) == rng.integers(n))
    gradient = toy.redraw(rng).gradient(origin)
    return -3 * gradient / np.linalg.norm(gradient)


# %%
# The glass part :math:`X` of the change is what the gradient does not explain: the Hessian of this toy is zero wherever
# it exists. Each movement gets a landscape of its own, since the theory speaks of means over landscapes.
# :func:`glasscurv.expected_glass_change` is (8a) and (8b), :func:`glasscurv.directional_glass_change` is (8c).


def models(delta, rho, rho_u):
    return (
        gc.expected_glass_change(delta, rho),
        gc.expected_glass_change(delta, rho, model="independent"),
        gc.directional_glass_change(np.linalg.norm(delta), rho_u),
    )


def toy_sample(kind):
    """|X|, and the three models."""
    delta, landscape = toy_movement(kind), toy.redraw(rng)
    loss, gradient = landscape.value_and_grad(origin)
    X = landscape.value(delta) - loss - gradient @ delta
    return abs(X), *models(delta, rho, toy.directional_density(delta))


samples = {kind: np.array([toy_sample(kind) for _ in range(300)]) for kind in KINDS}

# %%
# How large is :math:`\mathrm E|X|`, in units of what each model predicts? Bars are 95 % intervals.

MODELS = {
    "(8a) coordinate": {"fmt": "^", "color": GREY},
    "(8b) independent": {"fmt": "s", "color": BLUE},
    "(8c) directional": {"fmt": "o", "color": ORANGE},
}


def half_interval(values):
    """Half of the 95 % interval of the mean."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return t.ppf(0.975, len(values) - 1) * error


def ratio(measured, predicted):
    """Ratio of the means, and half of its 95 % interval."""
    found = measured.mean() / predicted.mean()
    return found, half_interval(measured - found * predicted) / predicted.mean()


def draw_ratios(samples, title):
    """Draw and print E|X| over each model; `samples` has rows of |X| and the models."""
    figure, ax = plt.subplots(figsize=(5, 3.6))
    ax.axvline(1, color="black", lw=1.2, ls="--")
    print("E|X| over            (8a)   (8b)   (8c)")
    for y, (kind, rows) in enumerate(samples.items()):
        measured, *predicted = rows.T
        found = [ratio(measured, model) for model in predicted]
        for k, style in enumerate(MODELS.values()):
            value, interval = found[k]
            ax.errorbar(value, y + 0.16 * (k - 1), xerr=interval, capsize=3, **style)
        print(f"{kind:18}" + "".join(f"{value:7.2f}" for value, _ in found))
    ax.set(title=title, xscale="log", xlim=(0.02, 40), xlabel="measured E|X| / model")
    ax.set_yticks(range(len(samples)), samples)
    ax.invert_yaxis()
    handles = ax.containers[: len(MODELS)]
    figure.legend(handles, MODELS, loc="outside lower center", ncols=3, handletextpad=0)


draw_ratios(samples, "random hinges")

# %%
# - (8c) is right for every kind of movement.
# - (8a) adds up the coordinates as if each moved alone. It is an upper bound here, and far off where many move: 400
#   coordinates give it about :math:`\sqrt{400/2} \approx 14` times too much.
# - (8b) takes the coordinates as independent. With all of them moving it is too small by about :math:`\sqrt2`: a
#   movement crosses most often the boundaries along whose normals it runs. Down the gradient, where boundaries are
#   crossed head-on, it is too small by far.
# - For a single coordinate both are three times too large, as the :math:`\rho_i` that they use counts what all the
#   other coordinates do to gradient :math:`i`.
#
# (8a) is no bound in general. If all normals were one vector of equal entries, a movement along it would exceed (8a);
# here the common direction of the normals is enough:

delta = np.full(n, 0.05)  # along the mean of the normals
a, b, c = models(delta, rho, toy.directional_density(delta))
print(f"(8c) is {c / a:.2f} times (8a) and {c / b:.0f} times (8b)")

# %%
# A digits network
# ----------------
# A network has a Hessian, and no list of its boundaries. So :math:`\delta^\top H\delta` comes from a product with the
# exact Hessian inside the linear region, :math:`\rho_i` from :func:`glasscurv.estimate_curvature`, and :math:`\rho_u`
# from :func:`glasscurv.directional_density`. The loss is that of 200 digits, the networks are freshly initialised.

data = gc.data.load_digits()
network = gc.MLP((64, 32, 32, 10))


def minibatch():
    """The loss of 200 digits, its gradient, and products with its Hessian."""
    rows = rng.choice(len(data.X), 200, replace=False)
    X, y = data.X[rows], data.y[rows]
    return (
        lambda theta: network.value(theta, X, y),
        lambda theta: network.value_and_grad(theta, X, y)[1],
        lambda theta, v: network.hessian_vector(theta, v, X, y),
    )


def glass_parts(theta, delta, loss, g, hessian):
    """X after the movements δ and −δ."""
    expected = loss(theta) + delta @ hessian(theta, delta) / 2
    slope = g @ delta
    return loss(theta + delta) - slope - expected, loss(theta - delta) + slope - expected


# %%
# The movements are those of above; their lengths are such that each crosses boundaries and that the smooth loss beyond
# the Hessian is small. Each movement is made in both directions. A network is one sample: its movements have much in
# common. A :math:`\rho_u` from five gradients is noisy, and roots of noisy numbers are too small on average, so that
# the models' root mean square over the three minibatches of a network is taken.


def network_movement(kind, gradient, one):
    if kind == "all, random signs":
        return 1e-3 * signs(network.size)
    if kind == "1 in 100":
        return 3e-3 * signs(network.size) * (rng.random(network.size) < 0.01)
    if kind == "a single one":
        return 0.03 * (np.arange(network.size) == one)
    return -3e-3 * gradient / np.linalg.norm(gradient)


def network_samples(theta):
    """E|X| and the three models for each kind of movement, (kinds, 4)."""
    layer2 = network.groups["layer2"]
    one = rng.integers(layer2.start, layer2.stop)
    table = np.empty((3, len(KINDS), 4))
    for row in table:
        loss, gradient, hessian = minibatch()
        curvature = gc.estimate_curvature(gradient, theta, samples=2, rng=rng)
        g, rho = curvature.gradient, curvature.glass_density
        for k, kind in enumerate(KINDS):
            delta = network_movement(kind, g, one)
            length = np.linalg.norm(delta)
            X = glass_parts(theta, delta, loss, g, hessian)
            rho_u = gc.directional_density(gradient, theta, delta, length, samples=2)
            row[k] = np.mean(np.abs(X)), *models(delta, rho, rho_u)
    mean, root_mean_square = table.mean(axis=0), np.sqrt(np.mean(table**2, axis=0))
    return np.column_stack([mean[:, 0], root_mean_square[:, 1:]])


samples = np.array([network_samples(network.initialize(rng)) for _ in range(40)])
samples = {kind: samples[:, k] for k, kind in enumerate(KINDS)}
draw_ratios(samples, "digits network, initialised")

# %%
# The network agrees with the hinges. (8c) is right within the intervals. (8a) is too large, 20 times where all
# coordinates move at random. (8b) is too small by :math:`\sqrt2` there, and about ten times down the gradient.
#
# The three-halves law
# --------------------
# Glass bends the loss like :math:`t^{3/2}`, a Hessian like :math:`t^2`: short movements feel the glass. For movements
# of all coordinates by :math:`\pm\sigma`, so that :math:`t = \sigma\sqrt n`, we measure at many lengths
#
# - the change beyond the gradient, :math:`L(\mu\pm\delta) - L(\mu) \mp g\cdot\delta`,
# - and its random part, the difference of the two signs over :math:`\sqrt2`, from which the Hessian cancels, like all
#   else that is the same on both sides.
#
# The two lines through them are no fits: one is (8c) with a density that was measured at one length, the other one
# the exact Hessian.

LENGTHS = np.geomspace(3e-5, 5e-3, 8)


def changes_with_length(theta):
    """Measured: all and random part; predicted: glass and Hessian, (4, lengths)."""
    loss, gradient, hessian = minibatch()
    z, start, g = signs(network.size), loss(theta), gradient(theta)
    norm = np.linalg.norm(z)
    rho_u = gc.directional_density(gradient, theta, z, length=1e-3 * norm, samples=8)
    bend = abs(z @ hessian(theta, z)) / 2
    columns = []
    for sigma in LENGTHS:
        plus = loss(theta + sigma * z) - start - sigma * g @ z
        minus = loss(theta - sigma * z) - start + sigma * g @ z
        measured = (abs(plus) + abs(minus)) / 2, abs(plus - minus) / np.sqrt(2)
        glass = gc.directional_glass_change(sigma * norm, rho_u)
        columns.append([*measured, glass, bend * sigma**2])
    return np.transpose(columns)


def trained(theta):
    X, y, optimizer = data.X, data.y, gc.Adam(theta, lr=3e-3)
    gc.train(network, optimizer, X, y, epochs=10, batch_size=50, rng=rng, progress=False)
    return optimizer.theta


# %%
# Twelve networks, three movements each, before and after training.

initial = [network.initialize(rng) for _ in range(12)]
states = {"initialised": initial, "trained": [trained(theta) for theta in initial]}

# sphinx_gallery_thumbnail_number = 3
figure, axes = plt.subplots(1, 2, figsize=(5, 4.2), sharey=True)
for ax, (state, networks) in zip(axes, states.items(), strict=True):
    runs = [[changes_with_length(theta) for _ in range(3)] for theta in networks]
    runs = np.mean(runs, axis=1)  # (networks, 4, lengths)
    everything, random, glass, bend = runs.mean(axis=0)
    bars = half_interval(runs)
    style = {"mfc": "white", "capsize": 2, "lw": 1.2}
    ax.errorbar(LENGTHS, everything, bars[0], fmt="kD", label="all beyond g", **style)
    ax.errorbar(LENGTHS, random, bars[1], fmt="o", c=ORANGE, label="random part", **style)
    ax.plot(LENGTHS, glass, c=ORANGE, label="glass (8c), $t^{3/2}$", zorder=1)
    ax.plot(LENGTHS, bend, c=BLUE, ls="--", label="Hessian, $t^2$", zorder=1)
    ax.loglog()
    ax.set(title=state, xlabel="length σ", ylim=(1e-9, 2e-3))
axes[0].set_ylabel("mean |change of the loss|")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=2)

# %%
# Fresh networks follow the glass at short lengths and the Hessian at long ones. Training moves the point where they
# change over to much shorter lengths. The random part stays with (8c) before and after. At the shortest lengths it
# falls below: a movement crosses few boundaries there, and (8c) is only a bound. At the longest it may hold some of the
# smooth loss, whose third derivatives change sign with the movement as well.
#
# The mean of the glass
# ---------------------
# What :math:`\delta` and :math:`-\delta` do on average is free of the gradient and of the random part. If signals
# average to zero it is the Hessian's :math:`\frac12\delta^\top H\delta`. We compare it with this, and with the same
# from gradients at both ends, :math:`\frac14\delta\cdot(g_+ - g_-)`.


def means_of_both_signs(theta):
    """Mean change after ±δ: measured, by the Hessian, by gradients at the ends."""
    loss, gradient, hessian = minibatch()
    delta = 2e-3 * signs(network.size)
    plus, minus = theta + delta, theta - delta
    measured = (loss(plus) + loss(minus)) / 2 - loss(theta)
    by_hessian = delta @ hessian(theta, delta) / 2
    return measured, by_hessian, delta @ (gradient(plus) - gradient(minus)) / 4


print("measured over       Hessian  gradients")
for state, networks in states.items():
    means = [[means_of_both_signs(theta) for _ in range(6)] for theta in networks]
    measured, *predicted = np.mean(means, axis=1).T
    found = ("{:6.2f} ±{:.2f}".format(*ratio(measured, model)) for model in predicted)
    print(f"{state:15}" + "".join(found))

# %%
# After training the mean change is larger than the Hessian's. The rest is :math:`\mathrm E X`: signals at the
# boundaries do not average to zero any more (:ref:`the mean of the glass part <glass-mean>`). None of the three models
# contains it. But it is a curvature, and gradients at the ends of the movement see it. So in
#
# .. math::
#
#     \text{(8)} \quad L(\mu+\delta) \lesssim{} & L(\mu) + g\cdot\delta \\
#     & + \tfrac12 \textstyle\sum_i h_i\delta_i^2 + G(\delta)
#
# :math:`h` is best taken from :func:`glasscurv.estimate_curvature` at the length of the movement.
#
# A prediction
# ------------
# :func:`glasscurv.predict_loss_change` is (8) with (8a) or (8b) for :math:`G`. The glass stands there as a rise of the
# loss, although it lowers the loss as often as it raises it, except near a floor. How cautious is that? We look at 200
# movements of one trained network, and count the changes that a prediction is above.

theta, sigma = states["trained"][0], 2e-3
loss, gradient, _ = minibatch()
curvature = gc.estimate_curvature(gradient, theta, sigma, samples=50, rng=rng)
known = {
    "gradient": curvature.gradient,
    "hessian": curvature.hessian_diagonal,
    "density": curvature.glass_density,
}

movements = [sigma * signs(network.size) for _ in range(200)]
changes = np.array([loss(theta + delta) for delta in movements]) - loss(theta)
print(f"measured         mean {changes.mean():.1e}")
for model in ("coordinate", "independent"):
    predicted = [gc.predict_loss_change(delta, **known, model=model) for delta in movements]
    print(f"(8), {model:12}mean {np.mean(predicted):.1e}, ", end="")
    print(f"above {np.mean(predicted > changes):.0%}")

# %%
# With (8a) the prediction lies above every change, but its mean is several times the measured one. With (8b) the mean
# is nearly right, and a good part of the changes is larger. For a movement that is known in advance,
# :func:`glasscurv.directional_density` and (8c) say how far the changes scatter.
