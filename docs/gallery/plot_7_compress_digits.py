"""
Compress a network
==================

Which weights of a trained network can go, and how few bits do the others need? Both questions ask what a movement of
the weights does to the loss. This example answers them with the glass and with the Hessian, measured at the length of
the movement, and checks every answer: for single weights, for most weights at once, for rounding. The glass is a good
guide in the first two and of no use in the third. The theory behind it is :doc:`section 9 </theory/compression>`.
"""

# %%
# A network to compress
# ---------------------
# The handwritten digits of scikit-learn and two hidden layers, trained to the end. The loss is that of all training
# data; accuracies are those on the 360 images that were held out.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr, t

import glasscurv as gc
from glasscurv.compression import (
    allocate_bits,
    directional_quantization_changes,
    measured_saliency,
    pack,
    prune,
    pruning_saliency,
    quantization_changes,
    quantize,
    removal_length,
)

GREY, BLUE, ORANGE = "#6E6E6E", "#0072B2", "#D55E00"

X, y, X_validation, y_validation = gc.data.load_digits()
network = gc.MLP((64, 64, 64, 10), activation="relu")
groups = network.weight_groups()  # biases are few, and stay
weights = np.concatenate([np.arange(network.size)[group] for group in groups.values()])


def loss(theta):
    return network.value(theta, X, y)


def gradient(theta):
    return network.value_and_grad(theta, X, y)[1]


def accuracy(theta):
    return np.mean(network.predict(theta, X_validation) == y_validation)


def train(theta, epochs, rng, lr=3e-3, mask=None):
    optimizer = gc.Adam(theta, lr=lr)
    optimizer.mask = mask  # what is False there is 0, and stays so
    gc.train(network, optimizer, X, y, epochs=epochs, batch_size=50, rng=rng, progress=False)
    return optimizer.theta


networks = [train(network.initialize(rng=seed), epochs=50, rng=seed) for seed in range(8)]
theta = networks[0]
print(f"{network.size} parameters, loss {loss(theta):.5f}, accuracy {accuracy(theta):.3f}")

# %%
# One weight
# ----------
# What does it cost to set a single weight to zero? Magnitude pruning ranks by :math:`|\theta|`, Optimal Brain Damage by
# :math:`\tfrac12|h|\theta^2` with the diagonal :math:`h` of the Hessian, and the glass predicts
# :math:`c\sqrt\rho\,|\theta|^{3/2}` with its density :math:`\rho`. One call measures both :math:`h` and :math:`\rho`,
# from 201 gradients. To move one weight is a short movement, hence the small length.

curvature = gc.estimate_curvature(gradient, theta, length=0.01, samples=100, rng=1)
known = {
    "gradient": curvature.gradient,
    "hessian": curvature.hessian_diagonal,
    "density": curvature.glass_density,
    "input_norm": network.input_norm(theta, X),
}
CRITERIA = {
    "magnitude": ("magnitude", GREY, "^"),
    "Optimal Brain Damage": ("abs_hessian", BLUE, "s"),
    "glass": ("glass", ORANGE, "o"),
}

some = np.random.default_rng(2).choice(weights, 500, replace=False)
measured = abs(measured_saliency(loss, theta, some))

figure, axes = plt.subplots(3, 1, figsize=(5, 10), sharey=True)
for ax, (name, (term, colour, marker)) in zip(axes, CRITERIA.items(), strict=True):
    predicted = pruning_saliency(theta, terms=term, **known)[some]
    ax.loglog(predicted, measured, marker, color=colour, ms=3.5, alpha=0.6, mew=0)
    ax.set_title(f"{name}\nrank correlation {spearmanr(predicted, measured).statistic:.2f}")
    ax.set_xlabel("|weight|" if term == "magnitude" else "predicted change")
    if term != "magnitude":
        ax.axline((1e-8, 1e-8), (1e-4, 1e-4), c="black", lw=1.2, ls="--", label="predicted = measured")
        ax.set(xlim=(1e-9, 1e-2), ylim=(1e-9, 1e-2))
        ax.legend(loc="upper left")
figure.supylabel("measured |change of the loss|")

# %%
# Curvature tells far better than magnitude which weights matter. The glass ranks them a little better than the Hessian
# from the same gradients, but mostly because it is known better: :math:`\rho` is a mean of squares, while in each entry
# of the diagonal the rest of its row is noise. With the exact diagonal, at the price of a Hessian-vector product for
# each weight, Optimal Brain Damage ranks as well. So does gradient times weight, from a single gradient; what comes of
# pruning by it stands further down.

few = some[:200]
exact = np.zeros(network.size)
for i in few:
    exact[i] = network.hessian_vector(theta, np.eye(1, network.size, i)[0], X, y)[i]
ranked = {name: (term, known) for name, (term, _, _) in CRITERIA.items()}
ranked["Optimal Brain Damage, exact"] = ("abs_hessian", known | {"hessian": exact})
ranked["gradient × weight"] = ("abs_gradient", known)
ranked["weight × norm of input"] = ("input_norm", known)
for name, (term, arrays) in ranked.items():
    predicted = pruning_saliency(theta, terms=term, **arrays)[few]
    print(f"{name:28} rank correlation {spearmanr(predicted, measured[:200]).statistic:.2f}")

# %%
# Most weights
# ------------
# Pruning removes most weights at once. That is a long movement, and what matters is curvature at its length, which
# ``removal_length`` returns. One network proves little, so here are eight, pruned at once (above) and then trained for
# five more epochs, in which ``optimizer.mask`` keeps at zero what was removed (below).

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
TUNED = 3  # the first of those that need fine-tuning


def saliencies(theta, sparsity=0.8):
    length = removal_length(theta, sparsity, groups)
    found = gc.estimate_curvature(gradient, theta, length, samples=40, rng=3)
    known = {"hessian": found.hessian_diagonal, "density": found.glass_density}
    terms = {name: term for name, (term, _, _) in CRITERIA.items()}
    return {name: pruning_saliency(theta, terms=term, **known) for name, term in terms.items()}


def fine_tune(pruned):
    return train(pruned.theta, epochs=5, rng=4, lr=1e-3, mask=pruned.mask)


at_once = {name: np.empty((len(networks), len(SPARSITIES))) for name in CRITERIA}
trained = {name: np.empty((len(networks), len(SPARSITIES) - TUNED)) for name in CRITERIA}
for k, start in enumerate(networks):
    for name, saliency in saliencies(start).items():
        pruned = [prune(start, saliency, sparsity, groups) for sparsity in SPARSITIES]
        at_once[name][k] = [100 * accuracy(each.theta) for each in pruned]
        trained[name][k] = [100 * accuracy(fine_tune(each)) for each in pruned[TUNED:]]


def mean_and_interval(values):
    """Mean over the networks, and half of its 95 % interval."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0), t.ppf(0.975, len(values) - 1) * error


panels = {"pruned at once": (at_once, 0), "and trained for 5 epochs": (trained, TUNED)}
# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(2, 1, figsize=(5, 7), sharex=True, sharey=True)
for ax, (title, (found, first)) in zip(axes, panels.items(), strict=True):
    x = 100 * np.array(SPARSITIES[first:])
    for shift, (name, (_, colour, marker)) in zip((-0.4, 0, 0.4), CRITERIA.items(), strict=True):
        mean, interval = mean_and_interval(found[name])
        ax.errorbar(x + shift, mean, interval, color=colour, marker=marker, capsize=3, label=name)
    ax.set(title=title, ylabel="accuracy (%)")
axes[1].set(xlabel="weights removed (%)", xticks=100 * np.array(SPARSITIES))
axes[0].legend(loc="lower left", title="mean of 8 networks, 95 % interval")

# %%
# The same in numbers, network by network: how much more accuracy the glass leaves.

for title, (found, first) in panels.items():
    print(f"{title:24}" + "".join(f"{sparsity:12.0%}" for sparsity in SPARSITIES[first:]))
    for rival in ("magnitude", "Optimal Brain Damage"):
        mean, interval = mean_and_interval(found["glass"] - found[rival])
        cells = (f"{m:+6.1f} ±{i:4.1f}" for m, i in zip(mean, interval, strict=True))
        print(f"  − {rival:20}" + "".join(cells))
by_gradient = pruning_saliency(theta, gradient=gradient(theta), terms="abs_gradient")
left = accuracy(prune(theta, by_gradient, 0.7, groups).theta)
print(f"accuracy without 70 % of the weights, by gradient × weight: {left:.2f}")

# %%
# The glass leaves more than the magnitude does. It is ahead of Optimal Brain Damage, measured at the same length, by
# about as much as the interval. Beyond 80 % everything pruned at once is broken, whoever chose. Five epochs mend what
# can be mended; then curvature of either kind is worth having from 90 % on, and below it magnitude does as well.

# %%
# Fewer bits
# ----------
# We go on with the first network. The glass removes 80 % of its weights, and twenty epochs mend it.

pruned = prune(theta, saliencies(theta)["glass"], 0.8, groups)
theta = train(pruned.theta, epochs=20, rng=5, mask=pruned.mask)
print(f"accuracy {accuracy(pruned.theta):.3f} as pruned, {accuracy(theta):.3f} trained")

# %%
# Rounding a layer to a grid with step :math:`q` moves each of its weights by up to :math:`q/2` either way, and leaves
# the zeros where they are. What does it cost? Three answers, and the truth: :math:`\sum h q^2/24` with the Hessian of a
# tiny length; the Hessian along random movements as long as the rounding; and the glass along the same movements. Where
# a rounding happens to lower the loss, no truth is drawn.

BITS = (2, 3, 4, 5, 6)
along = directional_quantization_changes(gradient, theta, groups, BITS, rng=6)
hessian = gc.estimate_curvature(gradient, theta, length=1e-3, samples=100, rng=7).hessian_diagonal
answers = {
    "Hessian, tiny length": (quantization_changes(theta, groups, hessian, bits=BITS), GREY, "^"),
    "Hessian, length of rounding": (along.hessian, BLUE, "s"),
    "glass": (along.glass, ORANGE, "o"),
}

figure, axes = plt.subplots(3, 1, figsize=(5, 9.5), sharex=True, sharey=True)
for g, (ax, (name, group)) in enumerate(zip(axes, groups.items(), strict=True)):
    changes = [loss(quantize(theta, bits, {name: group}).theta) - loss(theta) for bits in BITS]
    ax.semilogy(BITS, changes, "kD", ms=8, label="measured", zorder=3)
    for label, (table, colour, marker) in answers.items():
        ax.semilogy(BITS, table[g], color=colour, marker=marker, label=label)
    ax.set(title=name, ylabel="change of the loss")
axes[2].set(xlabel="bits per weight", xticks=BITS)
axes[0].legend()

# %%
# The Hessian comes within a factor of four of each single rounding that is drawn, but only at the length of the
# rounding: at a tiny one it misses most of what two bits do. The glass falls short of the truth everywhere. It is the
# size of a change of either sign, and rounding many weights at random averages over the signs; what is left of the
# jumps on average is in the Hessian at that length.
#
# From these changes ``allocate_bits`` finds the best numbers of bits under a budget.

sizes = [np.count_nonzero(theta[group]) for group in groups.values()]
single = theta.astype(np.float32)
for average in (3, 3.5, 4, 4.5):
    allocation = allocate_bits(along.hessian, sizes, average * sum(sizes), BITS)
    rounded = quantize(single, allocation.bits, groups)
    change = loss(rounded.theta) - loss(theta)
    print(f"{average:3} bits on average: {allocation.bits} by layer, ", end="")
    print(f"change {allocation.change:.4f} predicted, {change:.4f} measured, ", end="")
    print(f"accuracy {accuracy(rounded.theta):.3f}")

# %%
# Three layers that are much alike leave little to allocate: a whole number of bits goes to all of them, as it would
# without any curvature, and in between the Hessian says which layers get what is left.
#
# What it comes to
# ----------------
# ``pack`` stores the codes, where they are, and what was not rounded, here the biases; ``gc.save_compressed`` writes
# this to a file.

arrays, _ = pack(rounded.theta, rounded)
before, after = single.nbytes, sum(array.nbytes for array in arrays.values())
print(f"{before} bytes before, {after} after: {before / after:.0f} times smaller")
print(f"accuracy {accuracy(networks[0]):.3f} before, {accuracy(rounded.theta):.3f} after")
