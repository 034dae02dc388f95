"""Mean square of the second difference against the length, where glass and a smooth loss are known."""

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

hinges = gc.RandomHinges(100, hinges=8000, half_width=60.0, rng=0)
scale = hinges.density(np.ones(100)) ** 0.5


def gradient(theta):
    return hinges.gradient(theta) / scale + 30 * theta + 5 * theta**2


lengths = np.geomspace(1e-5, 1, 26)
fit = gc.variation_exponent(gradient, np.zeros(100), lengths, rng=2)
figure, ax = plt.subplots(figsize=(5, 3.6))
ax.loglog(lengths, lengths / 2, "--", color="#D55E00", label="glass, ρσ/2")
ax.loglog(lengths, 25 * lengths**4, ":", color="#0072B2", label="smooth loss, T²σ⁴/4")
ax.loglog(lengths, fit.mean_square["all"], "o", color="black", ms=4, label="measured")
ax.set(xlabel="length σ", ylabel="mean square of the second difference", ylim=(1e-20, 1e5))
for x, text in ((2e-5, "too short"), (2e-3, "glass"), (0.2, "too long")):
    ax.text(x, 1e4, text, va="top")
ax.legend(loc="lower right")
