r"""
Nesterov exactness
==================

An optimizer that averages gradients lags behind: the average holds gradients of points that it has left. Looking ahead
makes up for this, and there is exactly one length that does it right. The theory (:doc:`section 7 </theory/nesterov>`)
takes gradients at look-ahead points :math:`\nu` while a centre :math:`\mu` follows,

.. math::

    G_t &= \beta G_{t-1} + (1-\beta)\nabla L(\nu_t) , \\
    \nu_{t+1} &= \mu_t + \omega\delta_t , \\
    \mu_{t+1} &= \mu_t + \varphi\delta_t ,

and proves that on a quadratic :math:`G_t = \nabla L(\mu_t)`, whatever the steps :math:`\delta_t`, if
:math:`\varphi = (1-\beta)\,\omega`. This example checks it, and then adds what real losses have: noise, and glass.
"""

# %%
# Arbitrary steps on a quadratic
# ------------------------------
# The quadratic is indefinite, and the steps are random, of sizes from 0.01 to 1: nothing here descends.
# :func:`glasscurv.exact_step_fraction` is :math:`(1-\beta)\,\omega`.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

import glasscurv as gc
from glasscurv.nesterov import averaged_noise_variance

GREY, BLUE, ORANGE, PURPLE = "#6E6E6E", "#0072B2", "#D55E00", "#CC79A7"

rng = np.random.default_rng(0)
n, beta, lookahead = 20, 0.9, 1.0
root = rng.standard_normal((n, n))
problem = gc.Quadratic(root + root.T)
start = rng.standard_normal(n)
steps = rng.standard_normal((100, n)) * 10 ** rng.uniform(-2, 0, (100, 1))


def follow(gradient, start, steps, beta, lookahead, fraction):
    """Averages G_t and centres μ_t after each of the steps."""
    center, average = start, gradient(start)
    averages, centers = [], []
    for step in steps:
        average = beta * average + (1 - beta) * gradient(center + lookahead * step)
        center = center + fraction * step
        averages.append(average)
        centers.append(center)
    return np.array(averages), np.array(centers)


def errors(fraction):
    """Errors G_t − ∇L(μ_t), and gradients ∇L(μ_t), (steps, n) each."""
    gradient = problem.gradient
    averages, centers = follow(gradient, start, steps, beta, lookahead, fraction)
    gradients = np.array([gradient(center) for center in centers])
    return averages - gradients, gradients


exact = gc.exact_step_fraction(beta, lookahead)
error, gradients = errors(exact)
print(f"largest error {abs(error).max():.0e}, largest gradient {abs(gradients).max():.0f}")

# %%
# Other fractions
# ---------------
# With another :math:`\varphi` each step adds :math:`\bigl((1-\beta)\omega - \varphi\bigr) H\delta` to the error, and
# what earlier steps have added is multiplied by :math:`\beta`. With :math:`\varphi = \omega` the next gradient is taken
# at the centre itself, as in SGD with momentum and Adam.

FRACTIONS = {
    "ω, no look-ahead": (lookahead, GREY, "-."),
    "0.8 (1−β)ω": (0.8 * exact, ORANGE, "--"),
    "0.99 (1−β)ω": (0.99 * exact, PURPLE, ":"),
    "(1−β)ω, exact": (exact, BLUE, "-"),
}


def predicted_errors(fraction):
    """The recursion of the errors from 0."""
    predicted = [np.zeros(n)]
    for step in steps:
        added = (exact - fraction) * problem.hessian @ step
        predicted.append(beta * predicted[-1] + added)
    return np.array(predicted[1:])


figure, ax = plt.subplots(figsize=(5, 4))
print("φ                  error  off predicted")
for name, (fraction, colour, line) in FRACTIONS.items():
    error, gradients = errors(fraction)
    size = np.sqrt(np.mean(gradients**2))
    share = np.sqrt(np.mean(error**2, axis=1)) / size
    ax.semilogy(np.arange(1, len(steps) + 1), share, line, color=colour, label=name)
    distance = np.sqrt(np.mean((error - predicted_errors(fraction)) ** 2)) / size
    print(f"{name:17}{share.mean():7.0e}  {distance:13.0e}")
ax.set(xlabel="step", ylabel="|G − ∇L(μ)| / |∇L(μ)|", ylim=(1e-17, 1e1))
figure.legend(loc="outside lower center", ncols=2, title="φ")

# %%
# One per cent in :math:`\varphi` is an error of a thousandth of the gradient. Without look-ahead it is a third of the
# gradient.
#
# In an optimizer
# ---------------
# :class:`glasscurv.Alice` has this recursion built in, with steps that depend on the gradients. The average that a step
# uses is the gradient at the centre from which it starts.

optimizer = gc.Alice(start, lr=0.1, betas=(beta, 0.999), rng=1)
largest = 0.0
for _ in range(100):
    center = optimizer.theta
    optimizer.step(problem.value_and_grad)
    error = optimizer.state["gradient"] - problem.gradient(center)
    largest = max(largest, abs(error).max())
print(f"φ = {optimizer.step_fraction:.1f}, largest error {largest:.0e}")

# %%
# Noise
# -----
# Minibatches add noise of variance :math:`\eta^2` to every gradient. The average stays without bias, and its variance
# falls from :math:`\eta^2`, that of the first gradient, to :math:`\eta^2(1-\beta)/(1+\beta)`, which
# :func:`glasscurv.nesterov.averaged_noise_variance` returns. Exactness is not paid for with noise: this is the variance
# of any average with these weights.

BETAS = {0.5: (GREY, "^"), 0.9: (BLUE, "s"), 0.97: (ORANGE, "o")}
noise_variance, runs = 4.0, 400


def noisy_gradient(theta):
    return problem.gradient(theta) + np.sqrt(noise_variance) * rng.standard_normal(n)


def noise_of_average(beta):
    """G_t − ∇L(μ_t) of every run, (runs, steps, n)."""
    fraction = gc.exact_step_fraction(beta, lookahead)
    noise = []
    for _ in range(runs):
        averages, centers = follow(noisy_gradient, start, steps, beta, lookahead, fraction)
        noise.append(averages - centers @ problem.hessian)
    return np.array(noise)


def mean_and_interval(values):
    """Mean over the runs, and half of its 95 % interval."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0), t.ppf(0.975, len(values) - 1) * error


figure, ax = plt.subplots(figsize=(5, 3.7))
x = np.arange(1, len(steps) + 1)
some = np.unique(np.geomspace(1, len(x), 12).astype(int)) - 1
print("β     bias         variance      predicted")
for beta_, (colour, marker) in BETAS.items():
    noise = noise_of_average(beta_)
    variance, interval = mean_and_interval(np.mean(noise**2, axis=2))
    steady = averaged_noise_variance(beta_, noise_variance)
    predicted = steady + (noise_variance - steady) * beta_ ** (2 * x)
    ax.loglog(x, predicted, color=colour, lw=1.5)
    style = {"fmt": marker, "color": colour, "capsize": 2, "label": f"β = {beta_}"}
    ax.errorbar(x[some], variance[some], interval[some], **style)
    bias = mean_and_interval(noise[:, -1].mean(axis=1))
    print("{:<5} {:+.2f} ±{:.2f}".format(beta_, *bias), end="  ")
    print(f"{variance[-1]:.3f} ±{interval[-1]:.3f}  {predicted[-1]:.3f}")
ax.set(xlabel="step", ylabel="variance of G (gradient²)")
ax.legend(title="lines: predicted")

# %%
# Glass
# -----
# On :class:`glasscurv.RandomHinges` the gradient jumps, and nothing is exact. But jumps of random signs leave no bias.
# With the weights :math:`w_k` of all gradients in :math:`G_t` at their points :math:`x_k`, and :math:`-1` at
# :math:`\mu_t`, the covariance of the error is
#
# .. math::
#
#     -\tfrac12 \sum_{k,l} w_k w_l\, C(x_k - x_l) ,
#
# where :math:`C(\delta)` is the covariance (2) of the gradient's change over :math:`\delta`, which
# :meth:`glasscurv.RandomHinges.covariance` has. The steps are the same in all of 1200 landscapes.

toy = gc.RandomHinges(3, hinges=200, half_width=12, rng=2)
beta, lookahead = 0.8, 1.0
exact = gc.exact_step_fraction(beta, lookahead)
origin = np.zeros(toy.size)
steps = 0.5 * rng.standard_normal((15, toy.size))


def exact_variances(lookahead):
    """E|G_t − ∇L(μ_t)|² after each of the steps."""
    center, points, weights, variances = origin, [origin], np.ones(1), []
    for step in steps:
        points.append(center + lookahead * step)
        weights = np.append(beta * weights, 1 - beta)
        center = center + exact * step
        x, w = [*points, center], np.append(weights, -1)
        distances = np.array([[np.trace(toy.covariance(a - b)) for a in x] for b in x])
        variances.append(-w @ distances @ w / 2)
    return variances


def measured_errors(lookahead):
    """G_t − ∇L(μ_t) in every landscape, (landscapes, steps, 3)."""
    results = []
    for _ in range(1200):
        landscape = toy.redraw(rng)
        gradient = landscape.gradient
        averages, centers = follow(gradient, origin, steps, beta, lookahead, exact)
        results.append(averages - [gradient(center) for center in centers])
    return np.array(results)


# %%
# For comparison the centre takes the same steps, of :math:`\varphi\delta`, with gradients at the centre itself.

VARIANTS = {"look-ahead": (lookahead, BLUE, "s"), "no look-ahead": (exact, GREY, "^")}

figure, ax = plt.subplots(figsize=(5, 3.7))
x = np.arange(1, len(steps) + 1)
for name, (ahead, colour, marker) in VARIANTS.items():
    error = measured_errors(ahead)
    ax.plot(x, exact_variances(ahead), color=colour, lw=1.5)
    style = {"fmt": marker, "color": colour, "capsize": 2, "label": name}
    ax.errorbar(x, *mean_and_interval(np.sum(error**2, axis=2)), **style)
    bias, interval = mean_and_interval(error[:, -1])
    print(f"{name}, bias by coordinate")
    cells = (f"{b:+.2f} ±{i:.2f}" for b, i in zip(bias, interval, strict=True))
    print("  " + "  ".join(cells))
ax.set(xlabel="step", ylabel="mean |G − ∇L(μ)|² (gradient²)", ylim=(0, None))
ax.legend(title="lines: exact")

# %%
# Both averages are without bias, and their variances are those of the formula. On glass alone the look-ahead does not
# pay: with these random steps its gradients come from further away, with more jumps in between. What it removes is the
# error of a change that is linear, and here there is none.
