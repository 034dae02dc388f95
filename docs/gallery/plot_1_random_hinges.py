r"""
Random-hinge glass
==================

The simplest loss with glass is a sum of hinges with random offsets and random signals:

.. math:: L(\theta) = \sum_k s_k \operatorname{relu}(a_k\cdot\theta - b_k) .

The theory, :doc:`section 1 </theory/boundaries>` and :doc:`section 2 </theory/expectation>`, holds for it without any
approximation. This example follows its gradient along a line, compares the glass that is met with the glass that was
predicted, and then measures it as one would measure a network.
"""

# %%
# A gradient that walks
# ---------------------
# :class:`glasscurv.RandomHinges` draws the offsets :math:`b_k` uniformly from :math:`[-B, B]` and the signals
# :math:`s_k` from a normal law with mean zero. We choose the normals :math:`a_k` ourselves: ten coordinates, the last
# of which is ten times as steep as the first.

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

GREY, BLUE, ORANGE = "#6E6E6E", "#0072B2", "#D55E00"

rng = np.random.default_rng(0)
normals = rng.standard_normal((2000, 10)) * np.geomspace(0.3, 3, 10)
toy = gc.RandomHinges(10, hinges=2000, half_width=20, normals=normals, rng=rng)

# %%
# Start at the origin and move a distance :math:`t` along a unit vector :math:`u`. Whatever changes beyond the gradient
# at the start is glass, since there is no Hessian: between the hinges the loss is linear.

origin, u = np.zeros(10), np.full(10, 10**-0.5)


def glass(landscape, distances):
    """Return the change of the loss beyond the gradient's, and that of its slope along u, after each distance."""
    loss, gradient = landscape.value_and_grad(origin)
    ends = [landscape.value_and_grad(t * u) for t in distances]
    changes = [end - loss - t * (gradient @ u) for t, (end, _) in zip(distances, ends, strict=True)]
    return np.array(changes), np.array([(slope - gradient) @ u for _, slope in ends])


# %%
# The jumps are independent, so their variances add up: :math:`\mathrm E[vv^\top]` of :ref:`equation (2) <eq-2>` is
# proportional to the distance. Along :math:`u` it is :math:`\rho_u t` with the density :math:`\rho_u` of
# :ref:`equation (5) <eq-5>`.

rho = toy.directional_density(u)
t = 0.7
print(f"by equation (2): {u @ toy.covariance(t * u) @ u:.3f}")
print(f"by equation (5): {rho * t:.3f}")
print(f"hinges met: {toy.expected_crossings(t * u):.0f} on average")

# %%
# Both are exact over the draw of offsets and signals, as long as no hinge comes to lie outside :math:`[-B, B]`, which
# ``covers`` tells. ``redraw`` gives further landscapes with the same normals; here are 1000 of them.

distances = np.geomspace(0.05, 3, 10)
print(f"every distance is covered: {toy.covers(origin, distances[-1] * u)}")
landscapes = [toy.redraw(rng) for _ in range(1000)]
changes, slopes = np.swapaxes([glass(landscape, distances) for landscape in landscapes], 0, 1)


def mean_and_interval(values):
    """Mean over the landscapes, and half of its 95 % interval."""
    return values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))


# %%
# The upper panel has the slope :math:`u\cdot\nabla L` in three of them, within a band of one standard deviation,
# :math:`\pm\sqrt{\rho_u t}`, the lower one its mean square in all of them.

COLOURS = BLUE, ORANGE, "black"
along = np.linspace(0, 1, 1000)
three = [glass(landscape, along) for landscape in landscapes[:3]]

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5, 6.4))
top.fill_between(along, -np.sqrt(rho * along), np.sqrt(rho * along), color=GREY, alpha=0.2, lw=0)
for colour, (_, slope) in zip(COLOURS, three, strict=True):
    top.step(along, slope, color=colour, lw=1.2)
top.set_ylabel("change of the slope\n(gradient)")
bottom.loglog(distances, rho * distances, color="black", lw=1.2, label="exact, $\\rho_u t$")
bottom.errorbar(distances, *mean_and_interval(slopes**2), fmt="o", color=BLUE, capsize=3, label="measured, 95 %")
bottom.set(xlabel="distance t (length)", ylabel="its mean square\n(gradient²)")
bottom.legend()

# %%
# The slope is constant but for its jumps, and walks at random. All distances share the landscapes, so neighbouring
# points err in the same direction. This is diffusion: a Hessian would contribute :math:`(u^\top Hu)^2t^2`, which falls
# below the glass as the distance shrinks.
#
# How far the loss is driven
# --------------------------
# The glass part :math:`X` of the loss is the integral of that walk. Its mean is zero and its spread
# :math:`\sqrt{\rho_u t^3/3}`, :ref:`equation (6) <eq-6>`. Its mean size is at most :math:`c\sqrt{\rho_u}\,t^{3/2}`,
# :ref:`equation (7) <eq-7>`, which :func:`glasscurv.directional_glass_change` returns. The upper panel has :math:`X` of
# the same three landscapes within its spread, the lower one tests both predictions on all 1000.

spread = np.sqrt(rho * distances**3 / 3)
size = np.array([gc.directional_glass_change(t, rho) for t in distances])
squares, interval = mean_and_interval((changes / spread) ** 2)
hinges = toy.expected_crossings(u) * distances

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5, 6.4))
band = np.sqrt(rho * along**3 / 3)
top.fill_between(along, -band, band, color=GREY, alpha=0.2, lw=0)
for colour, (change, _) in zip(COLOURS, three, strict=True):
    top.plot(along, change, color=colour)
top.set(xlabel="distance t (length)", ylabel="X (loss)")
bottom.errorbar(
    hinges, np.sqrt(squares), interval / (2 * np.sqrt(squares)), fmt="s", color=BLUE, capsize=3, label="spread"
)
bottom.errorbar(
    1.05 * hinges, *mean_and_interval(abs(changes) / size), fmt="o", color=ORANGE, capsize=3, label="mean of |X|"
)
bottom.axhline(1, color="black", lw=1.2)
bottom.set(xlabel="hinges met on average", ylabel="measured / predicted", xscale="log")
bottom.set_xticks([3, 10, 30, 100], [3, 10, 30, 100])
bottom.legend(title="1000 landscapes, 95 %")

# %%
# The loss is continuous and looks smooth: nothing about it tells that it has no curvature between the jumps. Its spread
# is as predicted at every distance, within the intervals. Its mean size is as predicted where tens of hinges are met:
# that is the dense limit, in which :math:`X` is normal. Where few are met it stays below, because :math:`X` is then
# mostly small, and seldom large.
#
# Measuring the density
# ---------------------
# Of a network neither normals nor signals are known, only its gradient. :func:`glasscurv.estimate_curvature` moves all
# coordinates by :math:`\pm\sigma` at once and measures the density of each, with an interval. What it estimates is
# known here: the mean of ``density`` over all signs. The opposite direction has the same density, so half of them will
# do.

signs = 1 - 2 * (np.arange(512)[:, None] >> np.arange(10) & 1)
exact = np.mean([toy.density(each) for each in signs], axis=0)

# %%
# Three gradients on a line give one second difference. The directions share the boundaries next to the centre, so that
# many of them are not worth as much as many landscapes. Nine gradients on each line reach further out, where the
# lines do not share anything. In both cases the outermost is at 0.8 from the centre.

designs = {"3 gradients a line": (0.8, [-1, 0, 1], GREY, "s"), "9 gradients a line": (0.2, range(-4, 5), ORANGE, "o")}
coordinates = np.arange(1, 11)
figure, ax = plt.subplots(figsize=(5, 3.8))
ax.semilogy(coordinates, exact, "_", color="black", ms=22, mew=2, label="exact")
for shift, (label, (length, nodes, colour, marker)) in zip((-0.15, 0.15), designs.items(), strict=True):
    estimate = gc.estimate_curvature(toy.gradient, origin, length, samples=16, nodes=nodes, rng=1)
    density, (low, high) = estimate.glass_density, estimate.glass_density_interval(0.95)
    ax.errorbar(
        coordinates + shift, density, (density - low, high - density), fmt=marker, color=colour, capsize=3, label=label
    )
    inside = np.sum((low < exact) & (exact < high))
    print(f"{label}, {estimate.evaluations} in all:")
    print(f"  {inside} of 10 intervals hold the density")
    print(f"  {np.mean(low / density):.2f} to {np.mean(high / density):.2f} times the estimate")
ax.set(xlabel="coordinate", ylabel="glass density\n(gradient² / length)", xticks=coordinates)
ax.legend(title="16 lines, 95 %")

# %%
# The density, in which the square of the steepness stands, grows more than a hundredfold from the first coordinate to
# the last, and both estimates follow it. More gradients on a line make the intervals several times narrower.
