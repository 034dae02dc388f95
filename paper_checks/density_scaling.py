"""Glass density of a fresh network from its architecture alone, against batch size, length, width and depth.

Claim. The glass density of a ReLU network at initialisation follows from its architecture and the sizes of its
inputs, with no constant to be fitted. It falls like 1/B with the rows B of the minibatch and is the same at every
length that is short. It falls with the width n of the hidden layers, in the end like n^{−1/2}. In the first layer it
grows with their number D, in the end like D^{3/2}; in the last like D^{1/2}.

Source. Theory, section 1, the density at initialisation; new.

Prediction. He weights have the variance 2/(fan-in) and biases are 0. On an input of mean square m all pre-activations
are then normal of variance 2m, in every layer, and so are the outputs. When each parameter moves by ±t, those of
layer l move with the variance V_l = Σ_{j<l} (n_j m + 1) per t², n_j being the width of layer j and n_0 that of the
input: each layer adds the movement of its weights and its bias, and He's rule passes on what comes from below. By Kac
and Rice a unit meets its kink sqrt(V_l/2m)/π times per length. The signal there has the variance 2e/(n_l B²), e(m)
being the mean of ‖softmax − label‖² for independent normal outputs of variance 2m, an integral. The squares of ∂_i y
add up to n_{k−1} m + 1 over the parameters i of layer k, for a unit of any layer l ≥ k. With n_l units in layer l,
that width cancels, and by (2) the mean over the parameters of layer k is

    ρ_k = 2/(πB) · E [ e(m) (n_{k−1} m + 1) Σ_{l=k}^{D} sqrt(V_l/2m) ] / (n_k (n_{k−1} + 1)),    E over the inputs.

Rows add up as if they were independent, though signals of one unit are alike (check `signals`): two boundaries lie on
independent sides of the centre, which gives their jumps independent signs in a second difference. What remains in
common to two rows is a bending of the mean loss. It does not fall with B, and begins with the third power of the
length.

Measurement. Density by `estimate_curvature` from the backpropagated gradients of networks on the digits. Only the
mean squares of the images enter the prediction. The reach of a length is the part of their spread by which it moves
the pre-activations of the last hidden layer; it is 0.03 where it is not varied. What two rows have in common is the
product of the second differences of two halves of a minibatch; at long lengths it is taken off.

Tolerance. Five standard errors, each network being one sample. The mean square of a hidden layer of n units varies
from network to network by the share 5/n, the kurtosis 6 of its units about 0 less one, and the density with about its
root, whose mean is 5/(8n) too small: so much is allowed for each layer between two hidden ones, 4 % for width 16 and
5 % for six layers. For a long reach r, 2r² is added, as density and signals bend to second order in it. Single
networks and exponents notice errors of 0.15 to 0.5, which tells powers from each other; the mean of all notices 10 %.

Limits. The powers of n and D belong to wide and deep networks. Here n m exceeds n_0 m + 1 from 70 units on only:
between 16 and 256 units the exponent is −0.85, as the formula has it. At 64 rows two rows have 5 % of the density in
common at a reach of 0.1 and a quarter at 0.2, at 256 rows four times as much; the formula gives the rest to 2 and 7
%. In the mean over the layers it is 3 % too high at 16 units (6 % in the last layer), 5 % too low at 8, and right to 2
% for eight layers. How it changes with the activation is the subject of `slope_jump`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits, mean_field
from paper_checks.figures import BLUE, GREY, ORANGE, note, panels
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_and_half_width, mean_finding

CLAIM = "The architecture alone predicts the glass density: like 1/B, at any short length"
SOURCE = "theory 1, density at initialisation; new"
STANDING = "new"

Array = NDArray[np.float64]
Batch = tuple[Array, digits.Labels]
FIRST, LAST = 0, -1


class Case(NamedTuple):
    """Equal hidden layers, rows of the minibatch, and the reach of the length."""

    width: int = 64
    depth: int = 2
    rows: int = 64
    reach: float = 0.03


class Sweep(NamedTuple):
    """What is varied, over which values and how many networks each, and what errors its exponents notice."""

    field: str
    label: str
    networks: dict[Any, int]
    resolutions: dict[int, float]

    def cases(self, values: Sequence[Any] | None = None) -> list[Case]:
        """Return the cases with these values; with those that are measured by default."""
        return [Case()._replace(**{self.field: value}) for value in (self.networks if values is None else values)]


SWEEPS = {
    "batch size": Sweep("rows", "rows of the minibatch", {8: 700, 64: 700, 256: 200}, {FIRST: 0.15, LAST: 0.2}),
    "length": Sweep("reach", "perturbation length", {0.003: 600, 0.03: 700}, {FIRST: 0.2, LAST: 0.25}),
    "width": Sweep("width", "units in each hidden layer", {16: 1000, 64: 700, 256: 90}, {FIRST: 0.2, LAST: 0.25}),
    "depth": Sweep("depth", "hidden layers", {1: 300, 2: 700, 4: 300, 6: 300}, {FIRST: 0.3}),
}
LONG, LONG_NETWORKS = (Case(reach=0.1), Case(reach=0.2)), 150
TOGETHER = 10
"""Networks whose parameters stand side by side in one estimate, which is faster."""


def run(settings: Settings) -> Outcome:
    """Compare every density with its prediction."""
    rng, scale = settings.rng, settings.scale
    networks = {
        case: count
        for sweep in SWEEPS.values()
        for case, count in zip(sweep.cases(), sweep.networks.values(), strict=True)
    }
    samples = {case: _measure(case, count * scale, rng) for case, count in networks.items()}
    halves = {case: _measure_halves(case, LONG_NETWORKS * scale, rng) for case in LONG}
    ratios = [_ratio(case, densities) for case, densities in samples.items()]
    exponents = [
        _exponent(sweep, layer, resolution, samples)
        for sweep in SWEEPS.values()
        for layer, resolution in sweep.resolutions.items()
    ]
    long = [_ratio(case, density - common, long=True) for case, (density, common) in halves.items()]
    return Outcome([_mean_of_all(ratios), *exponents, *ratios, *long], _figure(samples, halves))


def predict(case: Case) -> Array:
    """Return the density of each hidden layer, mean over its parameters and over the images."""
    return mean_field.density(_widths(case), _mean_squares(), case.rows)


def _widths(case: Case) -> tuple[int, ...]:
    return 64, *[case.width] * case.depth, 10


def _length(case: Case) -> float:
    return case.reach / mean_field.relative_speed(_widths(case), float(_mean_squares().mean()))


@cache
def _mean_squares() -> Array:
    X, *_ = gc.data.load_digits()
    return np.asarray(np.mean(X**2, axis=1))


# Measurement


def _measure(case: Case, count: int, rng: np.random.Generator) -> Array:
    """Return the density of each hidden layer of new networks: (count, layers)."""
    net = gc.MLP(_widths(case))
    blocks = []
    for _ in range(count // TOGETHER):
        theta = [net.initialize(rng) for _ in range(TOGETHER)]
        blocks.append(_densities(net, theta, [digits.minibatch(case.rows, rng) for _ in theta], case, rng))
    return np.concatenate(blocks)


def _measure_halves(case: Case, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the density of minibatches, and the part of it that pairs of rows have in common."""
    net = gc.MLP(_widths(case))
    blocks = []
    for _ in range(count // TOGETHER):
        seed, theta = int(rng.integers(2**32)), [net.initialize(rng) for _ in range(TOGETHER)]
        batches = [digits.minibatch(2 * case.rows, rng) for _ in theta]
        first, second, both = (
            # The same seed: the same directions.
            _densities(net, theta, [(X[rows], y[rows]) for X, y in batches], case, np.random.default_rng(seed))
            for rows in (slice(case.rows), slice(case.rows, None), slice(None))
        )
        # With d and d' of the halves, d d' = 2 (½(d + d'))² − ½d² − ½d'².
        blocks.append([(first + second) / 2, 2 * both - (first + second) / 2])
    density, common = np.concatenate(blocks, axis=1)
    return density, (1 - 1 / case.rows) * common


def _densities(net: gc.MLP, theta: list[Array], batches: list[Batch], case: Case, rng: np.random.Generator) -> Array:
    """Return the density of each hidden layer of several networks, each with its own minibatch and direction."""

    def gradient(points: Array) -> Array:
        pairs = zip(np.split(points, len(batches)), batches, strict=True)
        return np.concatenate([net.value_and_grad(point, X, y)[1] for point, (X, y) in pairs])

    found = gc.estimate_curvature(gradient, np.concatenate(theta), length=_length(case), samples=1, rng=rng)
    density = found.glass_density.reshape(len(theta), net.size)
    groups = list(net.groups.values())[: case.depth]
    return np.stack([density[:, group].mean(axis=1) for group in groups], axis=1)


# Findings


def _allowance(case: Case) -> float:
    """Share by which a finite width may shift the density."""
    return 5 * (case.depth - 1) / (8 * case.width)


def _ratio(case: Case, densities: Array, long: bool = False) -> Finding:
    """Compare a case with its prediction, in the mean over the layers."""
    name = f"{case.depth} × {case.width}, {case.rows} rows, reach {case.reach:g}: measured/predicted"
    ratios = (densities / predict(case)).mean(axis=1)
    tolerance = _allowance(case) + (2 * case.reach**2 if long else 0)
    name += ", without pairs" if long else ""
    return mean_finding(name, 1.0, ratios, tolerance=tolerance, resolution=0.5)


def _mean_of_all(ratios: list[Finding]) -> Finding:
    """Average the cases: sharper than each of them."""
    measurement = np.mean([ratio.measurement for ratio in ratios])
    interval = np.linalg.norm([ratio.interval for ratio in ratios]) / len(ratios)
    tolerance = np.mean([ratio.tolerance for ratio in ratios])
    name = "mean of all: measured/predicted density"
    return Finding(name, 1.0, float(measurement), float(interval), tolerance=float(tolerance))


def _exponent(sweep: Sweep, layer: int, resolution: float, samples: dict[Case, Array]) -> Finding:
    """Compare the slopes of the measured and the predicted density, both as logarithms."""
    cases = sweep.cases()
    x = np.log([getattr(case, sweep.field) for case in cases])
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    measured = [samples[case][:, layer] for case in cases]
    errors = [values.std(ddof=1) / values.mean() / np.sqrt(values.size) for values in measured]
    return Finding(
        f"{'first' if layer == FIRST else 'last'} hidden layer: exponent of the {sweep.label}",
        round(float(weights @ np.log([predict(case)[layer] for case in cases])), 12),
        float(weights @ np.log([values.mean() for values in measured])),
        STANDARD_ERRORS * float(np.linalg.norm(weights * errors)),
        tolerance=float(abs(weights) @ [_allowance(case) for case in cases]),
        scale=1.0,
        resolution=resolution,
    )


# Figure


def _figure(samples: dict[Case, Array], halves: dict[Case, tuple[Array, Array]]) -> Figure:
    labels = [sweep.label for sweep in SWEEPS.values()]
    ylabels = ["measured/predicted" if name == "length" else "gradient²/length" for name in SWEEPS]
    titles = [f"({letter}) Glass density against {name}" for letter, name in zip("abcd", SWEEPS, strict=False)]
    figure, every = panels(titles, labels, ylabels, columns=2)
    layers = ((FIRST, BLUE, "o"), (LAST, ORANGE, "s"))
    for ax, (name, sweep) in zip(every, SWEEPS.items(), strict=True):
        for layer, colour, marker in layers:
            style = {"fmt": marker, "color": colour, "capsize": 4}
            if name == "length":
                _draw_lengths(ax, sweep, layer, samples, halves, style)
            else:
                _draw_densities(ax, sweep, layer, samples, style)
        note(ax)
    for (_, colour, marker), name in zip(layers, ("first hidden layer", "last hidden layer"), strict=True):
        every[0].plot([], marker, color=colour, label=name)
    every[0].plot([], color=GREY, label="predicted")
    every[0].legend(fontsize=11)
    return figure


def _draw_densities(ax: Axes, sweep: Sweep, layer: int, samples: dict[Case, Array], style: dict[str, Any]) -> None:
    values = list(sweep.networks)
    between = np.geomspace(values[0], values[-1], 9)
    drawn = range(values[0], values[-1] + 1) if sweep.field == "depth" else [round(value) for value in between]
    ax.plot(drawn, [predict(case)[layer] for case in sweep.cases(drawn)], color=style["color"])
    points = [mean_and_half_width(samples[case][:, layer]) for case in sweep.cases()]
    means, intervals = zip(*points, strict=True)
    ax.errorbar(values, means, intervals, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(values, values)
    ax.set_xticks([], minor=True)
    ax.yaxis.set_minor_formatter(NullFormatter())
    if sweep.field == "depth":
        ax.set_ylim(1e-4)  # two labelled ticks


def _draw_lengths(
    ax: Axes,
    sweep: Sweep,
    layer: int,
    samples: dict[Case, Array],
    halves: dict[Case, tuple[Array, Array]],
    style: dict[str, Any],
) -> None:
    short = sweep.cases()
    densities = [samples[case] for case in short] + [halves[case][0] for case in LONG]
    cases = [*short, *LONG]
    ratios = [density[:, layer] / predict(case)[layer] for case, density in zip(cases, densities, strict=True)]
    means, intervals = zip(*map(mean_and_half_width, ratios), strict=True)
    side = 0.95 if layer == FIRST else 1.05  # bars of the two layers beside each other
    ax.errorbar([side * _length(case) for case in cases], means, intervals, **style)
    ax.axhline(1, color=GREY)
    shares = [halves[case][1][:, layer].mean() / predict(case)[layer] for case in LONG]
    ends = [_length(case) for case in (short[-1], *LONG)]
    ax.plot(ends, [1, *(1 + share for share in shares)], "--", color=style["color"])
    ax.set_xscale("log")
    ax.set_ylim(0.75, 1.75)
    if layer == LAST:
        ax.plot([], "--", color=GREY, label="with what pairs\nof rows have in common")
        ax.legend(fontsize=11, loc="upper left")
