r"""
Alice against Adam
==================

:class:`glasscurv.Alice` measures glass and Hessian while it trains, and takes steps of the length that they allow
(theory, :doc:`section 5 </theory/step>` and :doc:`section 8 </theory/alice>`). Measuring costs gradients. Does it pay
on a small network? This example gives Alice and :class:`glasscurv.Adam` the same number of gradients, tunes both, and
then looks at what Alice has measured. On this task Adam wins, in gradients and in steps.
"""

# %%
# A fair comparison
# -----------------
# :func:`glasscurv.comparison.compare` starts all methods from the same parameters, shows them the same minibatches, and
# stops each when its budget of gradients is spent, here that of 20 epochs. A step of Alice that measures takes three
# gradients, any other step takes one. Each method gets the best of four learning rates, the one with the fewest
# gradients to a validation loss of 0.2, found on two seeds of their own; eight others are then evaluated.
#
# There are three variants of Alice: as it comes; with the same measurements, but no glass in its steps; and with a
# shorter memory of its averages, :math:`\beta_2 = 0.95` in the place of 0.999.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

import glasscurv as gc
from glasscurv.comparison import Method, compare

GREY, BLUE, ORANGE = "#6E6E6E", "#0072B2", "#D55E00"

data = gc.data.load_digits()
network = gc.MLP((64, 64, 64, 10))
methods = [
    Method("Adam", "adam"),
    Method("Alice", "alice"),
    Method("Alice, no glass", "alice", options={"glass": False}),
    Method("Alice, β₂ 0.95", "alice", options={"betas": (0.9, 0.95)}),
]
comparison = compare(
    methods,
    network,
    data,
    seeds=range(8),
    epochs=20,
    batch_size=100,
    target=0.2,
    lr_grid=(10**-2.5, 10**-1, 4),
    progress=False,
)
print(f"budget: {comparison.budget} gradients")

# %%
# The tuning: gradients to the target, ``nan`` where a seed missed it, and validation loss at the end of the budget.


def print_row(name, values, style):
    print(f"{name:15}" + "".join(f"{value:6{style}}" for value in values))


print_row("learning rate", comparison.results[0].tuning.lr, ".1g")
print("gradients to the target")
for result in comparison.results:
    print_row(result.method.name, result.tuning.evaluations, ".0f")
print("validation loss at the end")
for result in comparison.results:
    print_row(result.method.name, result.tuning.metric, ".3f")

# %%
# The learning curves with the best rates are means over the eight seeds, with 95 % intervals. The dotted line is the
# target.

STYLES = {
    "Adam": (GREY, "-."),
    "Alice": (ORANGE, "-"),
    "Alice, no glass": (BLUE, "--"),
}  # the fourth would lie on the line of Alice


def mean_and_interval(values):
    """Mean over the seeds, and half of its 95 % interval."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0), t.ppf(0.975, len(values) - 1) * error


figure, ax = plt.subplots(figsize=(5, 4))
for result in comparison.results:
    name, runs = result.method.name, result.trials
    if name not in STYLES:
        continue
    colour, line = STYLES[name]
    records = min(len(run.evaluations) for run in runs)
    gradients = np.mean([run.evaluations[:records] for run in runs], axis=0)
    losses = np.array([run.validation_loss[:records] for run in runs])
    mean, interval = mean_and_interval(losses)
    ax.semilogy(gradients, mean, line, c=colour, label=f"{name}, {result.lr:.2g}")
    ax.fill_between(gradients, mean - interval, mean + interval, color=colour, alpha=0.2, lw=0)
ax.axhline(comparison.target, color="black", lw=1.2, ls=":")
ax.set(xlabel="gradient evaluations", ylabel="validation loss", ylim=(0.05, 4))
ax.legend(title="method, learning rate")

# %%
# :meth:`glasscurv.comparison.Comparison.rows` has the same in numbers, and
# :func:`glasscurv.plotting.plot_comparison` draws all of it on one large figure. The seeds are shared, so that the
# differences to Adam can be taken seed by seed.

print("to the target     steps   gradients")
for row in comparison.rows():
    print(f"{row['method']:15}{row['steps']:4.0f} ±{row['steps_interval']:2.0f}", end="")
    print(f"{row['evaluations']:8.0f} ±{row['evaluations_interval']:2.0f}")

adam, *alices = comparison.results
print("beyond Adam")
for result in alices:
    cells = []
    for work in ("steps", "evaluations"):
        difference = result.at_target(work) - adam.at_target(work)
        cells.append("{:4.0f} ±{:2.0f}".format(*mean_and_interval(difference)))
    print(f"{result.method.name:15}" + "    ".join(cells))
missed = sum(len(result.trials) - result.reached for result in comparison.results)
print(f"runs that missed the target: {missed}")

# %%
# Alice needs about four times the gradients of Adam, and two and a half times the steps: the price of measuring is only
# a part of it. What Alice leaves out of the step or how soon it forgets makes little difference to this. What about the
# end?

print("validation loss at the end   least")
for result in comparison.results:
    last = result.final("validation_loss")
    least = np.array([run.validation_loss.min() for run in result.trials])
    cells = ("{:.3f} ±{:.3f}".format(*mean_and_interval(values)) for values in (last, least))
    print(f"{result.method.name:15}", *cells)

# %%
# In the end Adam, with a rate that was tuned to be quick, is no better than Alice. But it had been, and the tuning
# shows that with the rate 0.01 it ends as low as the best of Alice, and is nearly as quick.
#
# What a step costs
# -----------------
# Alice begins with ten steps that measure and do not move; later every fourth step measures.
# :meth:`glasscurv.Alice.is_full_step` tells which.

alice = alices[0]
reached = round(np.mean(alice.at_target("steps")))
optimizer = gc.Alice(network.initialize(rng=0), lr=alice.lr, rng=1)
full = [optimizer.is_full_step(step) for step in range(1, reached + 1)]
print(f"{reached} steps, of which {sum(full)} measure")
print(f"gradients: {reached} + 2 · {sum(full)} = {reached + 2 * sum(full)}")

# %%
# What Alice measures
# -------------------
# We train once more, and keep the averages of Alice's state after every epoch: ``density`` is the glass density,
# ``curvature`` the mean of :math:`|Hz|`. For comparison :func:`glasscurv.train` measures the same at the centre on its
# way, with :class:`glasscurv.Snapshots` at Alice's length and with as many rows as a minibatch has.

averages = {"density": [], "curvature": []}


def keep(record):
    for name, values in averages.items():
        average = optimizer.state[name]
        values.append([average[group].mean() for group in network.groups.values()])


snapshots = gc.Snapshots(
    every=30,
    length=alice.lr,
    lengths=(alice.lr / 2, alice.lr),
    rows=100,
)
history = gc.train(
    network,
    optimizer,
    data.X,
    data.y,
    epochs=20,
    batch_size=100,
    rng=2,
    callback=keep,
    snapshots=snapshots,
    progress=False,
)

# %%
# Both for each layer, a mean over its parameters (:func:`glasscurv.plotting.plot_history` draws snapshots as well):

PANELS = {
    "density": ("glass_density", "glass density\n(gradient²/length)", (3e-6, 3e-3)),
    "curvature": ("hessian_abs", "mean of |Hz|\n(gradient/length)", (1e-2, 1)),
}
LAYERS = {"layer1": (GREY, "^"), "layer2": (BLUE, "s"), "layer3": (ORANGE, "o")}

figure, axes = plt.subplots(2, 1, figsize=(5, 5.8), sharex=True)
for ax, (name, (measure, label, limits)) in zip(axes, PANELS.items(), strict=True):
    average, measured = np.array(averages[name]), getattr(history.snapshots, measure)
    for k, (layer, (colour, marker)) in enumerate(LAYERS.items()):
        ax.semilogy(history.steps, average[:, k], c=colour)
        ax.semilogy(history.snapshots.step, measured[:, k], marker, c=colour, label=layer)
    ax.set(ylabel=label, ylim=limits)
axes[1].set_xlabel("step")
handles, labels = axes[0].get_legend_handles_labels()
title = "lines: averages of Alice, markers: measured at the centre"
figure.legend(handles, labels, loc="outside lower center", ncols=3, title=title)

# %%
# The curvature falls as the network learns, the density about tenfold and more. The averages hardly follow: with
# :math:`\beta_2 = 0.999` the first ten steps still have 44 % of the weight after 250
# (:ref:`how long the warm-up is remembered <alice-warm-up>`). All the same, forgetting sooner brought no gain in the
# comparison above.
#
# Is it glass that is measured? Alice's length is its learning rate, and over so long a movement a smooth loss bends as
# well: the density then gains a part that grows with the third power of the length
# (:doc:`theory, section 3 </theory/kernels>`). The exponent of the second difference tells, 1 for glass and 4 for a
# smooth loss. :func:`glasscurv.curvature_profile` measures both where the training has ended.


def gradient(theta):
    return network.value_and_grad(theta, data.X[:100], data.y[:100])[1]


theta, groups = optimizer.theta, network.groups
print(f"{'length':16}" + "".join(f"{layer:>8}" for layer in groups))
for length in (1e-3, alice.lr):
    profile = gc.curvature_profile(gradient, theta, groups, length, rng=3)
    print(f"{length:<6.2g}exponent  " + "".join(f"{x:8.1f}" for x in profile.exponent))
    print("      density   " + "".join(f"{x:8.0e}" for x in profile.glass_density))

# %%
# At 0.001 the two hidden layers are glass. At Alice's own length they no longer are, and the density is several times
# larger. The last layer has no glass at any length: :ref:`its gradient does not jump <last-layer-exponent>`.
#
# What the steps make of it
# -------------------------
# :func:`glasscurv.quasi_newton_step` turns averages into the step that Alice takes, and :func:`glasscurv.bound_step`
# limits it to twice a step of Adam. With and without glass, at the end of this training:

state = optimizer.state
G, C, R = state["gradient"], state["curvature"], state["density"]
bounds = state["second_moment"], optimizer.lr_min, optimizer.lr_max
moving = G != 0  # some pixels are always dark
for name, density in (("Hessian alone", np.zeros_like(R)), ("Hessian and glass", R)):
    step = gc.quasi_newton_step(G, C, density)
    bounded = gc.bound_step(step, G, *bounds)
    size, bound_size = abs(step[moving]), abs(bounded[moving])
    at_bound = np.mean(bound_size < size)
    print(f"{name:18}mean {bound_size.mean():.4f}, {at_bound:3.0%} bounded")

# %%
# With the Hessian alone, half of the coordinates take the bound and not a step of their own. The glass shortens steps
# threefold and leaves few at the bound. It prices each coordinate as if it moved alone, and all move together;
# :doc:`plot_4_loss_change_models` shows how much too much that is.
