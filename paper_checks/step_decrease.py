"""What the step with glass and Hessian gains over Newton's and over the glass alone, where all is known.

Claim. The step (11) is the best on average in the unlucky half, the landscapes in which the glass does not help. Over
all landscapes Newton's step |g|/h is the best on average, and its risk to raise the loss is larger. Where glass and
Hessian matter alike Newton's step and the glass alone raise the loss in the unlucky half, and the modelled step lowers
it.

Source. Theory, section 5, equation (11), and the two readings in section 2; paper. The joint step is new.

Prediction. With κ = ρ/(|g|h) and lengths in units of |g|/h, Newton's step is 1, glass alone 2π/(3κ), and the modelled
step the square of the root of s² + (3/2)c√κ s = 1, solved here. The glass part X of the change is symmetric and normal:
the mean decrease of a step d is |g|d − ½hd², that of the unlucky half (X ≥ 0) is ``predicted_decrease``, which takes
E|X| off it, and the loss rises with the probability Φ(−(|g|d − ½hd²)/√(ρd³/3)). With n equal coordinates of independent
glass the joint step is the modelled one of density ρ/n.

Measurement. Losses of a parabola and random hinges before and after the steps that the library takes, in many
landscapes, in units of g²/(2h): what the Hessian promises for Newton's step. A landscape and its mirror image, all
signals reversed, are equally likely, and one of the two is unlucky. That the modelled step is the best of its multiples
in the unlucky half is measured with its multiples by 1.4 and 1/1.4, by a parabola that for the promised decreases has
its vertex at 0.95.

Tolerance. Five standard errors, and E|X|/(10 N) where a step crosses N boundaries: with signals of one size X has the
excess kurtosis 1.8/N, which takes a share 0.075/N from E|X| and moves a probability by at most 0.002. The modelled and
the joint step are judged on their own decrease; those of the other steps, of which little or nothing remains, on that
of the gradient, |g|d; probabilities on ½.

Limits. The modelled step is the cautious one. On average it gains 76, 63 and 47 % of Newton's for κ = 1, 2, 4; in
return it raises the loss in 3, 6 and 8 % of the landscapes and Newton's in 19, 27 and 33 %.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, ORANGE, panels
from paper_checks.hinges import BLOCK, draw_landscapes, glass_changes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "The step with glass and Hessian is the best on average where the glass does not help"
SOURCE = "theory 2 and 5, eq. (11)"
STANDING = "limited"

Array = NDArray[np.float64]

STEPS, COLOURS, MARKERS = ("glass and Hessian", "Hessian alone", "glass alone"), (ORANGE, BLUE, GREEN), "osD"
STRENGTHS = (1.0, 2.0, 4.0)
HINGES, HALF_WIDTH = 200, 2.1
SPREAD = 1.4


class Promise(NamedTuple):
    """What theory says of each step: decrease on average and in the unlucky half, probability that the loss rises."""

    average: Array
    unlucky: Array
    rises: Array


class Sample(NamedTuple):
    """Of every landscape and step, the decrease and that in the unlucky one of it and its mirror image."""

    decrease: Array
    unlucky: Array


def run(settings: Settings) -> Outcome:
    """Compare promised and real decreases."""
    samples, best = _toy(13_000 * settings.scale, settings.rng)
    findings = [
        *_ahead(STRENGTHS[1], samples[STRENGTHS[1]].unlucky),
        *(finding for strength, sample in samples.items() for finding in _unlucky(strength, sample)),
        *_everywhere(STRENGTHS[1], samples[STRENGTHS[1]]),
        best,
        *_joint(5_000 * settings.scale, settings.rng),
    ]
    return Outcome(findings, _figure(samples))


def lengths(strength: float) -> Array:
    """Return the lengths of the three steps by theory, in units of Newton's."""
    half = 0.75 * np.sqrt(2 / (3 * np.pi) * strength)
    return np.array([(np.sqrt(half**2 + 1) - half) ** 2, 1.0, 2 * np.pi / (3 * strength)])


def promise(strength: float, multiple: float = 1.0) -> Promise:
    """Return what theory says of (multiples of) the three steps, in units of g²/(2h)."""
    d = multiple * lengths(strength)
    average, unlucky = (
        np.array([2 * gc.predicted_decrease([-x], [1.0], 1.0, density) for x in d]) for density in (0.0, strength)
    )
    return Promise(average, unlucky, norm.cdf(-average / (2 * np.sqrt(strength * d**3 / 3))))


def taken(slope: float, hessian: float, density: float) -> Array:
    """Return the lengths of the three steps as the library takes them."""
    steps = gc.quasi_newton_step([-slope] * 3, [hessian, hessian, 0.0], [density, 0.0, density], eps=0.0)
    return np.asarray(steps, np.float64)


# One coordinate


def _toy(landscapes: int, rng: np.random.Generator) -> tuple[dict[float, Sample], Finding]:
    """Return samples of every κ, with g = h = 1/√κ so that Newton's step is 1, and the best multiple."""
    normals, signal = np.ones((HINGES, 1)), np.sqrt(2 * HALF_WIDTH / HINGES)
    toy = gc.RandomHinges(1, HINGES, HALF_WIDTH, signal, "rademacher", normals, rng)
    slopes = 1 / np.sqrt(STRENGTHS)
    steps = np.array([taken(slope, slope, toy.directional_density([1.0])) for slope in slopes])
    around = steps[1, 0] * np.array([1 / SPREAD, 1.0, SPREAD])
    every = np.vstack([steps, around])[:, :, None]
    glass = _glass(toy, every.reshape(-1, 1), landscapes, rng).reshape(landscapes, *every.shape[:2])
    parabolas = [gc.Quadratic([[slope]], [-slope]) for slope in (*slopes, slopes[1])]
    rows = [_sample(parabola, every[k], glass[:, k]) for k, parabola in enumerate(parabolas)]
    return dict(zip(STRENGTHS, rows[:-1], strict=True)), _best_multiple(rows[-1].unlucky)


def _glass(toy: gc.RandomHinges, steps: Array, landscapes: int, rng: np.random.Generator) -> Array:
    """Return the loss after each step less that before and the tangent, (landscapes, steps)."""
    blocks = []
    for rows in np.array_split(np.arange(landscapes), landscapes * len(toy.normals) // BLOCK):
        offsets, signals = draw_landscapes(toy, rows.size, rng)
        blocks.append([glass_changes(toy, step, offsets, signals) for step in steps])
    return np.concatenate(blocks, axis=1).T


def _sample(parabola: gc.Quadratic, steps: Array, glass: Array) -> Sample:
    unit = np.sum(parabola.linear**2 / np.diag(parabola.hessian)) / 2
    gain = np.array([-parabola.value(step) for step in steps])
    return Sample((gain - glass) / unit, (gain - np.abs(glass)) / unit)


def _ahead(strength: float, unlucky: Array) -> list[Finding]:
    """Measure how far the modelled step is ahead in the unlucky half, landscape by landscape."""
    promised = promise(strength).unlucky
    return [
        mean_finding(
            f"κ = {strength:g}, unlucky half: {STEPS[0]} less {STEPS[k]}",
            promised[0] - promised[k],
            unlucky[:, 0] - unlucky[:, k],
            tolerance=_few_crossings(strength)[[0, k]].sum(),
            scale=_scales(strength)[k],
        )
        for k in (1, 2)
    ]


def _few_crossings(strength: float) -> Array:
    promised = promise(strength)
    return (promised.average - promised.unlucky) / (10 * HINGES * lengths(strength) / (2 * HALF_WIDTH))


def _unlucky(strength: float, sample: Sample) -> list[Finding]:
    promised, spare, scales = promise(strength).unlucky, _few_crossings(strength), _scales(strength)
    return [
        mean_finding(
            f"κ = {strength:g}, unlucky half: {step}",
            promised[k],
            sample.unlucky[:, k],
            tolerance=spare[k],
            scale=scales[k],
        )
        for k, step in enumerate(STEPS)
    ]


def _everywhere(strength: float, sample: Sample) -> list[Finding]:
    promised, scales = promise(strength), _scales(strength)
    findings = []
    for k, step in enumerate(STEPS):
        decrease = sample.decrease[:, k]
        name = f"κ = {strength:g}, all landscapes: {step}"
        findings += [
            mean_finding(f"{name}, decrease", promised.average[k], decrease, scale=scales[k]),
            mean_finding(f"{name}, share that rises", promised.rises[k], decrease < 0, tolerance=0.002, scale=0.5),
        ]
    return findings


def _scales(strength: float) -> list[float | None]:
    """Judge the modelled step by its own decrease, the others by that of the gradient alone."""
    return [None, *(2 * lengths(strength)[1:])]


def _best_multiple(unlucky: Array) -> Finding:
    """Find the best multiple of the modelled step, from a parabola over the logarithms of three multiples."""

    def parabola(low: Array, here: Array, high: Array) -> tuple[Array, Array]:
        return (high - low) / 2, 2 * here - low - high

    promised = (promise(STRENGTHS[1], multiple).unlucky[0] for multiple in (1 / SPREAD, 1.0, SPREAD))
    rise, bend = parabola(*promised)
    found = ratio_finding("", 0.0, *parabola(*unlucky.T))
    best = SPREAD**found.measurement
    interval = best * np.log(SPREAD) * found.interval
    name, prediction = f"κ = {STRENGTHS[1]:g}: best multiple of the modelled step", float(SPREAD ** (rise / bend))
    return replace(found, quantity=name, prediction=prediction, measurement=best, interval=float(interval))


# Several coordinates


def _joint(landscapes: int, rng: np.random.Generator) -> list[Finding]:
    """Compare the joint with the coordinate step, on four equal coordinates with hinges of their own."""
    n, strength = 4, STRENGTHS[-1]
    normals, signal = np.repeat(np.eye(n), HINGES, axis=0), np.sqrt(2 * HALF_WIDTH / HINGES)
    toy = gc.RandomHinges(n, n * HINGES, HALF_WIDTH, signal, "rademacher", normals, rng)
    g = np.full(n, 1 / np.sqrt(strength))
    rules = (gc.joint_quasi_newton_step, gc.quasi_newton_step)
    steps = np.array([rule(-g, g, np.diag(toy.density_matrix()), eps=0.0) for rule in rules])
    sample = _sample(gc.Quadratic(np.diag(g), -g), steps, _glass(toy, steps, landscapes, rng))
    findings = []
    for k, (name, length) in enumerate((("joint", lengths(strength / n)[0]), ("coordinate", lengths(strength)[0]))):
        gain = 2 * length - length**2
        glass = 2 / n * gc.expected_glass_change(np.full(n, length), strength, "independent")
        spare = glass / (10 * toy.expected_crossings(np.full(n, length)))
        name = f"{n} coordinates, κ = {strength:g}, {name} step:"
        findings += [
            mean_finding(f"{name} decrease, unlucky half", gain - glass, sample.unlucky[:, k], tolerance=spare),
            mean_finding(f"{name} decrease, average", gain, sample.decrease[:, k]),
        ]
    return findings


def _figure(samples: dict[float, Sample]) -> Figure:
    titles = ("Average of all landscapes", "Unlucky half of them", "Risk")
    decrease, kappa = "decrease of the loss / (g²/2h)", "κ = ρ / (|g| h)"
    figure, every = panels(titles, (kappa,) * 3, (decrease, decrease, "probability that the loss rises"))
    strengths = np.geomspace(0.7, 5.7, 60)
    curves = [promise(strength) for strength in strengths]
    for k, (step, colour, marker) in enumerate(zip(STEPS, COLOURS, MARKERS, strict=True)):
        for panel, (ax, name) in enumerate(zip(every, Promise._fields, strict=True)):
            ax.plot(strengths, [getattr(curve, name)[k] for curve in curves], color=colour)
            data = [(s.decrease, s.unlucky, s.decrease < 0)[panel][:, k].astype(float) for s in samples.values()]
            bars = [STANDARD_ERRORS * values.std() / np.sqrt(len(values)) for values in data]
            means = [values.mean() for values in data]
            ax.errorbar(list(samples), means, bars, fmt=marker, color=colour, markersize=7, capsize=3, label=step)
    for ax in every:
        ax.set_xscale("log")
        ax.set_xticks(list(samples), [f"{strength:g}" for strength in samples])
        ax.minorticks_off()
    for ax in every[:2]:
        ax.axhline(0, color="black", lw=0.8)
        ax.set_ylim(-1.5, 1.3)
    every[2].set_ylim(0, 0.65)
    every[2].legend(fontsize=11, title="lines: theory")
    return figure
