"""How far the glass raises the loss from a minimum: what "floor" has to mean for c √ρ t^{3/2} to be the rise.

Claim. The floor reading of (8) says that from a minimum the glass raises the loss by G = c √ρ_u t^{3/2} on average. How
much it does raise it depends on what the start is the minimum of. If at the distance t the loss is not below the
tangent at the start, G is exact. If the start is the lowest point of the whole stretch from −t to t, the rise goes like
t^{3/2} too, and is 25 % larger than G. If the start is a local minimum along the line, the rise is positive but linear
in t: G meets it after about two crossings and is too large beyond.

Source. Theory, section 2, after equation (7): the paper's reading of (8). All that is quantitative here is new.

Prediction. Along the line the slope of the loss is a random walk whose jumps j come at the rate λ. (1) A symmetric X
has E[X | X ≥ 0] = E|X| = G in the dense limit. (2) A local minimum is a jump from a negative to a positive slope.
Where the law of the slope is flat on the scale of a jump, each jump j > 0 is one with a probability ∝ j, and the
slope after it is uniform on (0, j): its mean is E j²/(2 E|j|). Later jumps average to zero, hence the rise t E j²/(2
E|j|) to either side, which is √(N*/N) G after N = λt crossings, N* = E j²/(4c² (E|j|)²): 1.85 for normal jumps of one
size, here 1.97. (3) In the dense limit the loss is integrated Brownian motion from rest, x, with speed v, that stays
positive until t. McKean (1963) gives the law of the time T and the speed w of its first return: from rest it is ∝
w^{3/2} T^{−5/2} exp(−2w²/T). v and x − tv are martingales, so that E[x_t; T > t] = E[(t − T) w; T ≤ t], and after
division by P(T > t) the rise is κ √ρ t^{3/2} with κ = (4/(5√2)) Γ(7/4)/Γ(5/4) = 0.5736 = 1.245 c. (4) On networks
there is a curvature h between the jumps too. A local minimum is at a kink with the probability U/(U + h), U being the
sum of all j > 0 per unit of length, and the slope after it has the mean ½ Σ_{j>0} j²/(U + h). The rise is that times
t, and ½ h t², and half of the jumps' drift times t².

Measurement. Losses of landscapes of random hinges along a line, each of whose local minima is found. On digits MLPs
of one minibatch: local minima along random lines and along the gradient of another minibatch, found by a line search
and by following the slope over all traced kinks; the rise to both sides from losses, h from the exact Hessian.

Tolerance. Five standard errors; a landscape or a network is one sample. 0.2 % for (2): the law of the slope of
finitely many hinges is not quite flat, a share of E j⁴/E j² over six times its variance. 0.02 for (3), whose
corrections are of the order 1/N at N = 32 crossings, 0.01 for (1) at N = 32, where the kurtosis of X lowers E|X| by
0.2/24. On networks the path beyond the minimum is random and few minima are at kinks: rises and numbers of kinks
notice a prediction that is off by a factor of two, rises in trained networks much less. 0.05 for a curvature that
varies along the line.

Limits. On digits MLPs the floor reading holds roughly within the first crossing or two, never as t^{3/2}. After 16
crossings what the loss rises beyond ½ t² uᵀHu is on average 0.6 G, and most of that is no floor either but the drift
of the jumps, a curvature that finite differences see: without it 0.2 G is left. At initialisation seven in ten local
minima along random lines are kinks. After training the Hessian makes the floor: along gradients one minimum in fifty
is a kink, and ½ t² uᵀHu is forty times G. A step that takes G for the rise from where a line search ended is too
careful by √(N/N*).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.special
from matplotlib.axes import Axes
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.lines import Minima, Profiles, Slope
from paper_checks.outcome import Finding, Outcome, Settings, ratio_finding

CLAIM = "From a local minimum along a line the glass raises the loss like t, not like t^{3/2}"
SOURCE = "theory 2, eq. (8): the floor reading; new"
STANDING = "corrected"

Array = NDArray[np.float64]

HINGES, LANDSCAPES = 300, 20_000
CROSSINGS = (0.5, 1, 2, 4, 8, 16, 32)
LOWEST = 4 / (5 * np.sqrt(2)) * scipy.special.gamma(7 / 4) / scipy.special.gamma(5 / 4)
LOCAL, GLOBAL, END = "from a local minimum", "from the lowest of the stretch", "not below the start at t"
TESTED = {LOCAL: (8, 1, 4), GLOBAL: (32,), END: (32,)}


class Lines(NamedTuple):
    """Lines through networks: first guess of the line search and half of the stretch that is traced."""

    state: str
    along_gradient: bool
    guess: float
    half: float


KINDS = {
    "initial, random": Lines("initialisation", False, 2.0, 0.15),
    "initial, gradient": Lines("initialisation", True, 0.2, 0.04),
    "trained, random": Lines("trained", False, 0.5, 0.4),
    "trained, gradient": Lines("trained", True, 0.02, 0.06),
}
NETWORKS = {"initialisation": 40, "trained": 30}
ROWS, LINES, AFTER = 100, 3, 16
"""Rows of a minibatch, lines of each kind through a network, and the crossings after which the rise is measured."""


class Sums(NamedTuple):
    """Sums over the local minima on some lines; rises are divided by G of their line."""

    minima: float = 0.0
    kinks: float = 0.0
    expected_kinks: float = 0.0
    rise: float = 0.0
    smooth: float = 0.0
    drift: float = 0.0
    glass: float = 0.0


def run(settings: Settings) -> Outcome:
    """Measure the rise from minima on random hinges and on networks."""
    figure, (left, right) = panels(
        ("Random hinges", f"Digits MLPs, after {AFTER} crossings"),
        ("crossings N", "rise of the loss / c √ρ t$^{3/2}$ (linear up to 1)"),
        ("rise of the loss / c √ρ t$^{3/2}$", ""),
    )
    findings = _on_hinges(settings, left)
    samples: dict[str, list[Array]] = {kind: [] for kind in KINDS}
    for state, count in NETWORKS.items():
        for kind, sums in _on_networks(state, count * settings.scale, settings.rng):
            samples[kind].append(sums)
    return Outcome(findings + _network_findings({k: np.array(v).T for k, v in samples.items()}, right), figure)


def _on_hinges(settings: Settings, ax: Axes) -> list[Finding]:
    """Compare the rises from the three kinds of minimum with the theory."""
    normals = np.linspace(0.5, 1.5, HINGES) * np.where(np.arange(HINGES) % 2, 1, -1)
    toy = gc.RandomHinges(1, HINGES, half_width=HINGES / 2, normals=normals[:, None], rng=settings.rng)
    density, rate = toy.directional_density([1.0]), toy.expected_crossings([1.0])
    weights = abs(normals) / abs(normals).sum()
    squares, size = weights @ normals**2, np.sqrt(2 / np.pi) * weights @ abs(normals)
    balance = squares / (2 * gc.GLASS_LOSS_COEFFICIENT * size) ** 2
    predictions: dict[str, Callable[[Array], Array]] = {
        LOCAL: lambda n: np.sqrt(balance / n),
        GLOBAL: lambda n: np.full_like(n, LOWEST / gc.GLASS_LOSS_COEFFICIENT),
        END: np.ones_like,
    }
    tolerances = {LOCAL: 0.002, GLOBAL: 0.02, END: 0.01}
    profiles = Profiles(toy, LANDSCAPES * settings.scale, settings.rng)
    minima = profiles.minima()
    edge = toy.half_width / abs(normals).max()
    measured = [
        _rises(profiles, minima, n / rate, edge, gc.directional_glass_change(n / rate, density)) for n in CROSSINGS
    ]
    findings, grid = [], np.geomspace(CROSSINGS[0], CROSSINGS[-1], 50)
    for (name, predict), colour, marker in zip(predictions.items(), (BLUE, ORANGE, GREEN), "osD", strict=True):
        row = {}
        for n, rises in zip(CROSSINGS, measured, strict=True):
            prediction = float(predict(np.array(float(n))))
            quantity = f"hinges, {name}: rise after {n} crossings / G" if n in TESTED[name] else ""
            tolerance = tolerances[name] * prediction
            row[n] = ratio_finding(quantity, prediction, *rises[name], tolerance=tolerance)
        findings += [row[n] for n in TESTED[name]]
        ax.loglog(grid, predict(grid), "-" if name == LOCAL else "--", color=colour)
        intervals = [finding.interval for finding in row.values()]
        values = [finding.measurement for finding in row.values()]
        ax.errorbar(CROSSINGS, values, intervals, fmt=marker, ms=5, capsize=3, color=colour, label=name)
    ax.set_xticks(CROSSINGS, [str(n) for n in CROSSINGS])
    ax.plot([], [], "-", color=GREY, label="predicted")
    ax.plot([], [], "--", color=GREY, label="predicted for N → ∞")
    ax.set_ylim(0.12, 3)  # with room for the legend
    ax.set_yticks((0.2, 0.5, 1, 2), ("0.2", "0.5", "1", "2"))
    ax.minorticks_off()
    ax.legend(fontsize=9, loc="lower left")
    return findings


def _rises(profiles: Profiles, minima: Minima, t: float, edge: float, unit: float) -> dict[str, tuple[Array, Array]]:
    """Sum the mean rises to both sides over the starts in each landscape, and count the starts."""
    rises = [profiles.loss(minima.row, minima.position + side * t) - minima.loss for side in (-1, 1)]
    inside = abs(minima.position) + t < edge  # beyond, steep kinks are missing
    lowest = inside & minima.lowest(t) & (np.minimum(*rises) > 0)
    changes = np.array([profiles.glass_change(side * t) for side in (-1, 1)])

    def sums(which: NDArray[np.bool_]) -> tuple[Array, Array]:
        count = len(profiles.kinks)
        above = np.bincount(minima.row, which * (rises[0] + rises[1]) / (2 * unit), count)
        return above, np.bincount(minima.row, which.astype(float), count)

    end = np.maximum(changes, 0).sum(axis=0) / unit, np.sum(changes >= 0, axis=0)
    return {LOCAL: sums(inside), GLOBAL: sums(lowest), END: end}


def _on_networks(state: str, count: int, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    """Give the sums of each kind of line through each network."""
    net = digits.network()
    kinds = {kind: lines for kind, lines in KINDS.items() if lines.state == state}
    for _ in range(count if kinds else 0):
        theta = digits.parameters(net, state, rng)
        for kind, lines in kinds.items():
            yield kind, np.sum([_on_line(net, theta, lines, rng) for _ in range(LINES)], axis=0)


def _on_line(net: gc.MLP, theta: Array, lines: Lines, rng: np.random.Generator) -> Sums:
    u = gc.Rademacher().sample(net.size, rng)
    if lines.along_gradient:
        u = net.value_and_grad(theta, *digits.minibatch(ROWS, rng))[1]
    slope = Slope(net, theta, u / np.linalg.norm(u), *digits.minibatch(ROWS, rng))
    center = slope.search(lines.guess)
    if center is None:
        return Sums()
    line = slope.line(center, lines.half)
    t = AFTER / line.rate if line.rate else np.inf
    if t > lines.half / 2:
        return Sums()
    minima, unit = line.positions.size, gc.directional_glass_change(t, line.squares)
    rises = [(slope.loss(p + t) + slope.loss(p - t)) / 2 - slope.loss(p) for p in line.positions]
    smooth = [slope.curvature(p + 1e-6 * lines.half) * t**2 / 2 for p in line.positions]
    after = line.up_squares / 2 / (line.up + line.curvature)
    return Sums(
        minima=minima,
        kinks=line.kinks,
        expected_kinks=minima * line.up / (line.up + line.curvature),
        rise=sum(rises) / unit,
        smooth=sum(smooth) / unit,
        drift=minima * line.drift * t**2 / 2 / unit,
        glass=minima * after * t / unit,
    )


def _network_findings(samples: dict[str, Array], ax: Axes) -> list[Finding]:
    """Compare rises and numbers of kinks with the prediction, and the rise with G."""
    findings, parts = [], []
    for k, (kind, (minima, kinks, expected_kinks, rise, smooth, drift, glass)) in enumerate(samples.items()):
        name, options = f"{kind}: rise / prediction (4)", {"tolerance": 0.05, "resolution": 1.0}
        findings.append(ratio_finding(name, 1.0, rise, smooth + drift + glass, **options))
        if kind.startswith("initial"):
            name = f"{kind}: kinks among the minima / prediction (4)"
            findings.append(ratio_finding(name, 1.0, kinks, expected_kinks, resolution=1.0))
        if kind == "trained, gradient":
            findings.append(ratio_finding(f"{kind}: ½ t² uᵀHu / G", 1.0, smooth, minima, relation=">="))
        total, part = (ratio_finding("", 0.0, values, minima) for values in (rise, rise - smooth))
        parts.append(ratio_finding("", 0.0, rise - smooth - drift, minima))
        predicted = (smooth + drift + glass).mean() / minima.mean()
        ax.plot([predicted] * 2, [k - 0.3, k + 0.1], color=ORANGE, lw=2.5, label="" if k else "predicted")
        for finding, shift, colour, marker, label in (
            (total, -0.1, BLUE, "o", "measured"),
            (part, 0.2, GREEN, "s", "measured, less ½ t² uᵀHu"),
        ):
            value, bar = finding.measurement, finding.interval
            label_once = "" if k else label
            ax.errorbar(value, k + shift, xerr=bar, fmt=marker, capsize=3, color=colour, label=label_once)
    _arrange(ax, list(samples))
    measurement = float(np.mean([part.measurement for part in parts]))
    interval = float(np.linalg.norm([part.interval for part in parts])) / len(parts)
    name = "mean of all kinds: rise less curvature and drift / G"
    findings.append(Finding(name, 1.0, measurement, interval, relation="<="))
    return findings


def _arrange(ax: Axes, kinds: list[str]) -> None:
    ax.axvline(1, color=GREY, lw=1)
    ax.set_xscale("symlog", linthresh=1)  # some bars cross 0
    ax.set_xticks(ticks := (0, 0.5, 1, 10, 100), [f"{tick:g}" for tick in ticks])
    ax.set_xticks(np.outer((1, 10), np.arange(2, 10)).ravel(), minor=True)
    ax.set_xlim(min(ax.dataLim.x0, 0) - 0.1, max(1.5 * ax.dataLim.x1, 120))
    ax.set_yticks(range(len(kinds)), [kind.replace(", ", ",\n") for kind in kinds])
    ax.set_ylim(len(kinds) - 0.5, -1.4)  # with room for the legend
    ax.legend(fontsize=9, loc="upper right")
    note(ax)
