"""The size of a random loss change is c sqrt(ρ) t^{3/2}, and less for few jumps.

Claim. Over a distance t that meets many jumps of the gradient the loss changes by
c sqrt(ρ) t^{3/2} in the absolute mean. Where few are met it changes by less, while the
variance of the change is ρt³/3 for any number of them.

Source. Theory, section 2, equation (8c).

Prediction. ``directional_glass_change``; ρt³/3 for the variance.

Measurement. Walks with a random number of normal jumps s at uniform positions x: each
adds s(t − x) to the change.

Tolerance. 0.225 % of the mean for 100 jumps: with N jumps the change has the excess
kurtosis 27/(5N), of which a 24th is missing in the mean.

Limits. Where only a few boundaries are met the formula is an upper bound.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREY, axes, note
from paper_checks.outcome import Finding, Outcome, Settings, mean_and_half_width, mean_finding

CLAIM = "The size of a random loss change is c sqrt(ρ) t^{3/2}, and less for few jumps"
SOURCE = "theory 2, (8c)"
STANDING = "limited"

DISTANCE, DENSITY = 0.5, 4.0
JUMPS = (1, 3, 10, 30, 100)


def run(settings: Settings) -> Outcome:
    """Compare the size of the changes of random walks with the formula."""
    predicted = gc.directional_glass_change(DISTANCE, DENSITY)
    count, rng = 20_000 * settings.scale, settings.rng
    sizes = {jumps: abs(_changes(jumps, count, rng)) for jumps in JUMPS}
    means = {jumps: mean_and_half_width(size) for jumps, size in sizes.items()}
    variance, few = DENSITY * DISTANCE**3 / 3, _changes(1, 10 * count, rng)
    missing = 0.00225 * predicted
    findings = [
        mean_finding("mean size, 100 jumps", predicted, sizes[100], tolerance=missing),
        Finding("mean size, 1 jump", predicted, *means[1], relation="<="),
        mean_finding("variance, 1 jump", variance, few**2),
    ]
    figure, ax = axes("Size of the loss change", "jumps", "mean size / formula")
    ratios, widths = np.transpose(list(means.values())) / predicted
    ax.errorbar(JUMPS, ratios, widths, fmt="o", color=BLUE, capsize=4)
    ax.axhline(1, color=GREY)
    ax.set_xscale("log")
    note(ax)
    return Outcome(findings, figure)


def _changes(jumps: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the changes of the loss along `count` walks that meet so many jumps."""
    walk = np.repeat(np.arange(count), rng.poisson(jumps, count))
    size = (DENSITY * DISTANCE / jumps) ** 0.5 * rng.standard_normal(walk.size)
    return np.bincount(walk, size * rng.uniform(0, DISTANCE, walk.size), count)
