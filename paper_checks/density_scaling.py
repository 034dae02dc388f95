"""Glass density of a fresh network from its architecture alone, against batch size, length, width and depth.

Claim. The glass density of a ReLU network at initialisation follows from its architecture and the size of its inputs,
without any constant to be fitted. It falls like 1/B with the rows B of the minibatch and does not depend on the length of
the perturbation. In wide networks it falls like n^{−1/2} with the width n, in the first as in the later layers. In deep
ones it grows like D^{3/2} with the number D of hidden layers in the first layer, and like D^{1/2} in the last hidden one.

Source. Theory, sections 1 and 3, equations (2) and (10); new.

Prediction. He weights have the variance 2/(fan-in). A pixel row x of mean square m has hidden pre-activations that are
normal of variance 2m in every layer, and so are its outputs. When every parameter moves by ±t, the pre-activations of
layer l move with the variance V_l = Σ_{j<l} (n_j m + 1) per t², n_j being the width of layer j and n_0 that of the input:
each layer adds the movement of its own weights and bias, and He's rule passes on what comes from below. By Kac and Rice
each unit then meets its kink sqrt(V_l/2m)/π times per length. The signal there has the variance 2e/(n_l B²), where e(m)
is the mean of ‖softmax − label‖² for independent normal outputs of variance 2m, an integral. The squares of ∂_i y_l add
up to n_{k−1} m + 1 over the parameters i of any layer k ≤ l. With n_l units in layer l their number cancels, and the mean
over the parameters of layer k is

    ρ_k = 2/(πB) · E_m [ e(m) (n_{k−1} m + 1) Σ_{l=k}^{D} sqrt(V_l/2m) ] / (n_k (n_{k−1} + 1)).

Rows of the minibatch contribute one by one: two rows whose signals are alike, or of one unit, have boundaries on
independent sides of the centre, which give the jumps independent signs in the second difference. So 1/B needs no
pseudorandom signals. It needs short lengths: what a pair of rows has in common, as it lies on the same side of the centre
for both, is a bending of the mean loss, grows as the third power of the length and does not fall with B.

Measurement. Density by `estimate_curvature` from the backpropagated gradients of networks on digits. Nothing but the
mean squares m of the images enters the prediction. Lengths are given by the part of their spread by which the
pre-activations of the last hidden layer move, 0.03 unless it is varied. What pairs have in common is measured by itself,
as the product of the second differences of two halves of a minibatch, and added to the prediction at long lengths.

Tolerance. Five standard errors, each network being one sample. The mean square of a hidden layer fluctuates by 5/n of
itself from network to network, and the density depends on it with powers between ½ and 1; a power ½ has a mean that is
too small by 5/(8n). So 5D/(8n) is allowed: 8 % for width 16 and for depth 8, 3 % in the mean of all. One exponent notices
an error of 0.1 to 0.35, enough to tell powers from each other; the mean of all densities notices 10 %.

Limits. The normal law of widths needs no more than 16 units here. With pairs of rows, 64 rows and a length of 0.1 give
an excess of about a twentieth, 512 rows as much at 0.05; beyond, the density is no longer one.
"""

from functools import cache
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, panels
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding

CLAIM = "Architecture alone predicts the glass density: 1/B, any length, width^(-1/2), depth^(3/2)"
SOURCE = "theory 1 and 3, eqs. (2), (10); new"

Array = NDArray[np.float64]
Batch = tuple[Array, digits.Labels]
INPUTS, CLASSES = 64, 10


class Case(NamedTuple):
    """A network of equal hidden layers, a minibatch and a length, as a part of the pre-activations' spread."""

    width: int = 64
    depth: int = 2
    rows: int = 64
    reach: float = 0.03


SWEEPS = {
    "batch size": [Case(rows=rows) for rows in (8, 64, 256)],
    "length": [Case(reach=reach) for reach in (0.003, 0.03)],
    "width": [Case(width=width) for width in (16, 64, 256)],
    "depth": [Case(depth=depth) for depth in (1, 2, 4, 6)],
}
NETWORKS = {
    Case(): 700,
    Case(rows=8): 700,
    Case(rows=256): 200,
    Case(reach=0.003): 600,
    Case(width=16): 1000,
    Case(width=256): 90,
    Case(depth=1): 300,
    Case(depth=4): 300,
    Case(depth=6): 300,
}
"""How many networks are measured in every case of a sweep."""

LONG = [Case(reach=reach) for reach in (0.1, 0.2)]
LONG_NETWORKS = 150
TOGETHER = 10
"""Networks whose parameters stand side by side in one estimate, which is faster."""


def run(settings: Settings) -> Outcome:
    """Compare every density with its prediction."""
    rng, scale = settings.rng, settings.scale
    samples = {case: _measure(case, count * scale, rng) for case, count in NETWORKS.items()}
    ratios = {case: _ratio(case, densities) for case, densities in samples.items()}
    halves = {case: _measure_halves(case, LONG_NETWORKS * scale, rng) for case in LONG}
    long = [_with_pairs(case, *values) for case, values in halves.items()]
    findings = [
        _mean_of_all(ratios),
        _exponent("batch size", "rows", 0, samples, scale=1.0, resolution=0.15),
        _exponent("length", "reach", 0, samples, scale=1.0, resolution=0.3),
        _exponent("width", "width", 0, samples, scale=1.0, resolution=0.2),
        _exponent("width", "width", -1, samples, scale=1.0, resolution=0.25),
        _exponent("depth", "depth", 0, samples, scale=1.0, resolution=0.35),
        *(replace(ratio, resolution=0.4) for ratio in ratios.values()),
        *long,
    ]
    return Outcome(findings, _figure(samples, halves))


def predict(case: Case) -> Array:
    """Return the density of each hidden layer, mean over its parameters and the images."""
    m = _mean_squares()
    errors = np.interp(m, *_expected_errors())
    widths = _widths(case)[:-1]
    powers = np.array([width * m + 1 for width in widths])
    rates = np.sqrt(np.cumsum(powers[:-1], axis=0) / (2 * m)) / np.pi
    totals = [2 * errors * powers[k] * rates[k:].sum(axis=0) / case.rows for k in range(case.depth)]
    return np.array([totals[k].mean() / (widths[k + 1] * (widths[k] + 1)) for k in range(case.depth)])


def expected_error(variance: float) -> float:
    """Return the mean of ‖softmax(y) − label‖² for independent normal outputs y and any label.

    It is 1 − 2/K + K E p², and E p² = ∫ t E[a² e^{−ta}] (E e^{−ta})^{K−1} dt with a = e^y, as 1/S² = ∫ t e^{−tS} dt.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    a, weights = np.exp(np.sqrt(variance) * nodes), weights / weights.sum()
    log_t = np.linspace(-40, 20, 600)
    t = np.exp(log_t)
    decay = np.exp(-np.outer(t, a))
    integrand = t**2 * (decay @ (weights * a**2)) * (decay @ weights) ** (CLASSES - 1)
    return float(1 - 2 / CLASSES + CLASSES * np.trapezoid(integrand, log_t))


@cache
def _expected_errors() -> tuple[Array, Array]:
    m = np.linspace(0.1, 0.4, 16)
    return m, np.array([expected_error(2 * square) for square in m])


@cache
def _mean_squares() -> Array:
    X, *_ = gc.data.load_digits()
    return np.asarray(np.mean(X**2, axis=1))


def _widths(case: Case) -> tuple[int, ...]:
    return INPUTS, *[case.width] * case.depth, CLASSES


def _length(case: Case) -> float:
    m = _mean_squares().mean()
    variance = sum(width * m + 1 for width in _widths(case)[: case.depth])
    return float(case.reach * np.sqrt(2 * m / variance))


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


def _densities(
    net: gc.MLP, theta: list[Array], batches: list[Batch], case: Case, rng: np.random.Generator
) -> Array:
    """Return the density of each hidden layer of several networks, each with its own minibatch and direction."""

    def gradient(points: Array) -> Array:
        pairs = zip(np.split(points, len(batches)), batches, strict=True)
        return np.concatenate([net.value_and_grad(point, X, y)[1] for point, (X, y) in pairs])

    found = gc.estimate_curvature(gradient, np.concatenate(theta), length=_length(case), samples=1, rng=rng)
    groups = list(net.groups.values())[: case.depth]
    density = found.glass_density.reshape(len(theta), net.size)
    return np.stack([density[:, group].mean(axis=1) for group in groups], axis=1)


# Findings


def _allowance(case: Case) -> float:
    """Share by which a finite width may shift the density."""
    return 5 * (case.depth - 1) / (8 * case.width)


def _ratio(case: Case, densities: Array) -> Finding:
    """Compare a case with its prediction, in the mean over the layers."""
    ratios = (densities / predict(case)).mean(axis=1)
    return mean_finding(f"{_name(case)}: measured/predicted", 1.0, ratios, tolerance=_allowance(case))


def _mean_of_all(ratios: dict[Case, Finding]) -> Finding:
    """Average the cases: sharper than each of them."""
    findings = list(ratios.values())
    measurement = np.mean([finding.measurement for finding in findings])
    interval = np.linalg.norm([finding.interval for finding in findings]) / len(findings)
    allowance = np.mean([finding.tolerance for finding in findings])
    name = "all networks, batches and lengths: measured/predicted density"
    return Finding(name, 1.0, float(measurement), float(interval), tolerance=float(allowance))


def _exponent(sweep: str, variable: str, layer: int, samples: dict[Case, Array], **options: float) -> Finding:
    """Compare the slopes of log density, measured and predicted, against the logarithm of what is varied."""
    cases = SWEEPS[sweep]
    x = np.log([getattr(case, variable) for case in cases])
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    measured = [samples[case][:, layer] for case in cases]
    errors = [values.std(ddof=1) / values.mean() / np.sqrt(values.size) for values in measured]
    return Finding(
        f"exponent of {sweep}, {'first' if layer == 0 else 'last'} hidden layer",
        float(weights @ np.log([predict(case)[layer] for case in cases])),
        float(weights @ np.log([values.mean() for values in measured])),
        STANDARD_ERRORS * float(np.linalg.norm(weights * errors)),
        tolerance=float(abs(weights) @ [_allowance(case) for case in cases]),
        **options,
    )


def _with_pairs(case: Case, density: Array, common: Array) -> Finding:
    """Compare a long length with the prediction, plus what pairs have in common."""
    ratios = ((density - common) / predict(case)).mean(axis=1)
    name = f"{_name(case)}: (measured − common to pairs)/predicted"
    return mean_finding(name, 1.0, ratios, tolerance=_allowance(case) + 2 * case.reach**2, resolution=0.4)


def _name(case: Case) -> str:
    return f"{case.depth} × {case.width}, {case.rows} rows, reach {case.reach:g}"


def _figure(samples: dict[Case, Array], halves: dict[Case, tuple[Array, Array]]) -> Figure:
    figure, axes = panels(
        ("Batch size", "Length", "Width", "Depth"),
        ("rows of the minibatch", "perturbation length", "units of each hidden layer", "hidden layers"),
        ("glass density", "measured/predicted", "glass density", "glass density"),
        columns=2,
    )
    fields = ("rows", "reach", "width", "depth")
    grids = (np.geomspace(6, 340, 9), (), np.geomspace(13, 320, 9), np.arange(1, 7))
    for ax, field, grid, sweep in zip(axes, fields, grids, SWEEPS, strict=True):
        for layer, name, colour, marker in ((0, "first hidden layer", BLUE, "o"), (-1, "last hidden layer", ORANGE, "s")):
            style = {"fmt": marker, "color": colour, "capsize": 4, "label": name}
            if sweep == "length":
                _length_panel(ax, layer, samples, halves, style)
                continue
            cases = [Case(**{field: int(value)}) for value in grid]
            x = [getattr(case, field) for case in cases]
            ax.plot(x, [predict(case)[layer] for case in cases], color=colour)
            x = [getattr(case, field) for case in SWEEPS[sweep]]
            means, intervals = zip(*(_interval(samples[case][:, layer]) for case in SWEEPS[sweep]), strict=True)
            ax.errorbar(x, means, intervals, **style)
            ax.set_xscale("log", base=2)
            ax.set_xticks(x, x)
            ax.set_yscale("log")
    axes[0].plot([], color=GREY, label="predicted")
    axes[0].legend(fontsize=11)
    return figure


def _length_panel(
    ax: Axes, layer: int, samples: dict[Case, Array], halves: dict[Case, tuple[Array, Array]], style: dict[str, Any]
) -> None:
    ax.axhline(1, color=GREY)
    cases = [*SWEEPS["length"], *LONG]
    x = [_length(case) for case in cases]
    densities = [(samples[case] if case in samples else halves[case][0])[:, layer] for case in cases]
    points = [_interval(values / predict(case)[layer]) for case, values in zip(cases, densities, strict=True)]
    shares = [halves[case][1][:, layer].mean() / predict(case)[layer] for case in LONG]
    ax.plot(x[1:], [1, *(1 + share for share in shares)], "--", color=style["color"], label="with pairs of rows")
    means, intervals = zip(*points, strict=True)
    ax.errorbar(x, means, intervals, **style)
    ax.set_xscale("log")
    ax.set_ylim(0.8)


def _interval(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(STANDARD_ERRORS * values.std(ddof=1) / np.sqrt(values.size))
