"""How often the models of the glass cover the loss change, where each fails, and by how much it can.

Claim. "Density estimates bound the loss change" means a probability: |X| ≤ kG happens as often as for a normal X of
the absolute mean G, 57.5 % at k = 1 and 95 % at k = 2.46. (8c) with the exact density does that along any direction.
(8b) covers too little even for random signs. (8a) covers more than it says for those and for single coordinates, and
too little along aligned directions: for n parameters it can be too small by a factor of about (πn/2)^{1/4}, and no more
than that. A density that is itself estimated from few increments covers what Student's law says, not the normal one.

Source. Theory, section 2, equation (8); the coverages, the bound of the failure and its proof are new.

Prediction. In the dense limit P(|X| ≤ kG) = erf(k r/√π), r = G/(c √ρ_u t^{3/2}). With an independent estimate of ρ_u
from m increments X/√ρ̂_u has Student's law of m − 1 degrees of freedom, and P(|X| ≤ kG) = P(|t_{m−1}| ≤ k √(2/π)).
*Theorem.* Let ρ_i be the density of movements of all coordinates by random signs z. Then (8c) ≤ b (8a) for every
movement δ, with b² = n/E|Σ z_i|. *Proof.* Boundaries a_k of weight C_k have ρ_u ‖δ‖³ = Σ C_k |a_k·δ|³ and ρ_i =
Σ C_k E|a_k·z| a_ki². By Hölder's inequality |a·δ|³ ≤ ‖a‖₁ (Σ_i |a_i| |δ_i|^{3/2})². By Jensen's over permutations
of the |a_i|, E|a·z| ≥ ‖a‖₁/b². By the triangle inequality in k, Σ_k C_k E|a_k·z| (Σ_i |a_ki| |δ_i|^{3/2})² ≤ (Σ_i √ρ_i
|δ_i|^{3/2})². ∎ Where all normals are ± one vector of equal entries, the ratio is b along it. b is 1 for one parameter,
√2 for two, and tends to (πn/2)^{1/4}.

Measurement. Random hinges with 32 parameters: how often |X| ≤ kG, X being the loss beyond the tangent in many
landscapes, for all coordinates moving by random signs, for one, and along the gradient where all normals are ± the
vector of ones: it is the gradient. Digits MLPs: X and G as in check `loss_change`, the densities estimated by
``estimate_curvature`` from two directions and by ``directional_density`` from four increments beside the movement.

Tolerance. Five standard errors; a landscape or a network is one sample. 0.006 on hinges for the kurtosis of X, 11/N
after N > 85 crossings, of which coverage feels at most 0.046. A coverage above a half notices a prediction that is a
tenth off, one of 0.2 to 0.5 a fifth, smaller ones a half. On networks the jumps of one unit are alike and few carry
most of ρ: 0.1. Where no theory says what they cover there, the models are compared with round numbers; where all
movements are covered the interval is Clopper and Pearson's.

Limits. On digits MLPs, with a nominal coverage of 95 %: (8c) covers 81 % of the movements at initialisation, where
Student's law says 86 %, and 71 to 76 % after training. There few large jumps carry most of the density, and a stretch
of the movement's own length misses them, however finely it is cut; with one eight times as long (8c) covers about 90 %.
(8b) covers 18 % of the movements along the gradient at initialisation, 37 % after training, and about the predicted
83 % of those by random signs. (8a) covers all movements but some single coordinates and, after training, some
gradients: 94 %. So (8a) was a bound on these networks, one that is far too large for random signs and that no theorem
grants along gradients.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import scipy.special
from matplotlib.axes import Axes
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, note, panels
from paper_checks.hinges import draw_landscapes, glass_changes
from paper_checks.movements import Movement, density, descent, measure, minibatch
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding

CLAIM = "With exact densities (8c) covers what it says; (8a) can miss by (πn/2)^{1/4}, (8b) by more"
SOURCE = "theory 2, eq. (8); bound new"
STANDING = "limited"

Array = NDArray[np.float64]

Relation = Literal["=", "<=", ">="]

MODELS = ("(8a)", "(8b)", "(8c)")
NOMINAL = np.array([0.575, 0.95])
LEVELS = np.sqrt(np.pi) * scipy.special.erfinv(NOMINAL)
"""The factors k on G that a normal X of absolute mean G stays below so often."""

SIZE, LANDSCAPES, HINGES, PARALLEL_HINGES = 32, 8000, 800, 200
"""About a hundred hinges are crossed: all of them, if parallel, otherwise one in eight."""

ALIGNED, RANDOM, ONE = "aligned gradient", "random signs", "one coordinate"
ESTIMATES, SAMPLES, SEGMENTS = 2000, 2, 6
"""Estimates of (8c)'s density; three-node lines of each; segments of a line, the first of which is for the estimate."""

NETWORKS, MINIBATCHES = {"initial": 40, "trained": 36}, 3
STUDENT = float(2 * scipy.special.stdtr(2 * SAMPLES - 1, LEVELS[1] * np.sqrt(2 / np.pi)) - 1)
INDEPENDENT = float(scipy.special.erf(LEVELS[1] / np.sqrt(2 * np.pi)))
EXPECTED: dict[str, tuple[tuple[Relation, float] | None, ...]] = {
    f"initial, {RANDOM}": ((">=", 0.6), ("=", INDEPENDENT), ("=", STUDENT)),
    f"initial, {ONE}": ((">=", 0.5), (">=", 0.5), None),
    "initial, gradient": ((">=", 0.8), ("<=", 0.575), ("=", STUDENT)),
    f"trained, {RANDOM}": ((">=", 0.6), ("=", INDEPENDENT), None),
    "trained, gradient": ((">=", 0.5), ("<=", 0.8), None),
}
"""What each of the models is expected to cover on networks, nominal 95 %; None where nothing says."""


def run(settings: Settings) -> Outcome:
    """Measure coverages on random hinges and on networks."""
    rng, landscapes = settings.rng, LANDSCAPES * settings.scale
    normals = np.outer(gc.Rademacher().sample(PARALLEL_HINGES, rng), np.ones(SIZE))
    aligned = gc.RandomHinges(SIZE, PARALLEL_HINGES, normals=normals, rng=rng)
    generic = gc.RandomHinges(SIZE, HINGES, rng=rng)
    rows = _on_hinges(aligned, {ALIGNED: np.ones(SIZE)}, landscapes, rng)
    directions = {RANDOM: gc.Rademacher().sample(SIZE, rng), ONE: np.eye(SIZE)[0]}
    rows |= _on_hinges(generic, directions, landscapes, rng)
    findings = [finding for row in rows.values() for finding in row.values()]
    findings += [_estimated(ESTIMATES * settings.scale, rng), _largest_failure(rng)]
    shares = _on_networks(settings.scale, rng)
    figure, (left, right) = panels(
        ("Random hinges, exact densities", "Digits MLPs, estimated densities"),
        [f"share of movements with |X| ≤ {LEVELS[1]:.2f} G"] * 2,
        [""] * 2,
    )
    _draw(left, {name: [row[model, 1] for model in MODELS] for name, row in rows.items()})
    network_rows = {kind: _network_row(kind, samples) for kind, samples in shares.items()}
    _draw(right, network_rows)
    figure.legend(*left.get_legend_handles_labels(), fontsize=10, loc="outside lower center", ncols=5)
    note(right, "bars: five standard errors, cut at 0 and 1;\nwhere all are covered Clopper and Pearson's")
    for kind, row in network_rows.items():
        findings += [finding for finding, said in zip(row, EXPECTED[kind], strict=True) if said]
    if trained := [samples[:, 3] for kind, samples in shares.items() if kind.startswith("trained")]:
        name = "MLPs, trained, all movements: (8c), density of a stretch eight times as long, covers"
        findings.append(mean_finding(name, 0.7, np.mean(trained, axis=0), relation=">="))
    # The summary shows the first finding: of the model that the claim begins with.
    return Outcome(sorted(findings, key=lambda finding: "(8c) covers" not in finding.quantity), figure)


def _on_hinges(
    toy: gc.RandomHinges, directions: dict[str, Array], landscapes: int, rng: np.random.Generator
) -> dict[str, dict[tuple[str, int], Finding]]:
    """Compare coverages with those of a normal X, for each model and level."""
    all_signs = rng.choice([-1.0, 1.0], (SIZE, 4096))  # enough of them: ρ is good to 1 %
    weights = toy.signal_scale**2 / (2 * toy.half_width)
    rho = weights * abs(toy.normals @ all_signs).mean(axis=1) @ toy.normals**2
    offsets, signals = draw_landscapes(toy, landscapes, rng)
    rows = {}
    for name, direction in directions.items():
        delta = direction * toy.half_width / abs(toy.normals @ direction).max()
        changes = abs(np.stack([glass_changes(toy, side * delta, offsets, signals) for side in (-1, 1)]))
        cubes, roots = weights * np.sum(abs(toy.normals @ delta) ** 3), np.sqrt(rho) * abs(delta) ** 1.5
        ratios = np.array([roots.sum(), np.linalg.norm(roots), np.sqrt(cubes)]) / np.sqrt(cubes)
        predicted = scipy.special.erf(LEVELS * ratios[:, None] / np.sqrt(np.pi))
        along = gc.directional_glass_change(float(np.linalg.norm(delta)), toy.directional_density(delta))
        models = gc.expected_glass_change(delta, rho), gc.expected_glass_change(delta, rho, "independent"), along
        rows[name] = {
            (model, i): _hinge_finding(
                name, model, i, float(predicted[k, i]), np.mean(changes <= LEVELS[i] * G, axis=0)
            )
            for k, (model, G) in enumerate(zip(MODELS, models, strict=True))
            for i in (1, 0)
        }
    return rows


def _hinge_finding(name: str, model: str, level: int, predicted: float, covered: Array) -> Finding:
    quantity = f"hinges, {name}: {model} covers, nominal {NOMINAL[level]:.1%}"
    resolution = 0.1 if predicted > 0.5 else 0.2 if predicted > 0.2 else 0.6
    return mean_finding(quantity, predicted, covered, tolerance=0.006, resolution=resolution)


def _estimated(count: int, rng: np.random.Generator) -> Finding:
    """Compare the coverage by (8c) with an estimated density with Student's law; the line is cut into segments."""
    toy = gc.RandomHinges(1, 100 * SEGMENTS, rng=rng)
    toy = gc.RandomHinges(1, 100 * SEGMENTS, normals=np.sign(toy.normals), rng=rng)
    offsets, signals = draw_landscapes(toy, count, rng)
    length = 2 * toy.half_width / SEGMENTS
    starts = -toy.half_width + length * np.arange(SEGMENTS)
    expected = np.empty(count)
    for k in range(count):
        toy.offsets, toy.signals = offsets[k], signals[k]
        center = [starts[0] + length / 2]
        along = gc.directional_density(toy.gradient, center, [1.0], length=length / 2, samples=SAMPLES)
        expected[k] = gc.directional_glass_change(length, along)
    ahead = [offsets - toy.normals[:, 0] * start for start in starts[1:]]
    changes = abs(np.stack([glass_changes(toy, np.array([length]), shifted, signals) for shifted in ahead]))
    name = f"hinges: (8c), density from {2 * SAMPLES} increments, covers, nominal 95.0%"
    return mean_finding(name, STUDENT, np.mean(changes <= LEVELS[1] * expected, axis=0), tolerance=0.006)


def _largest_failure(rng: np.random.Generator) -> Finding:
    """Look for movements along which (8a) is too small by more than the theorem allows; equal entries attain it."""
    worst = 0.0
    for n in (2, 3, 4, 6, 8):
        patterns = 1.0 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        bound = np.sqrt(n / abs(patterns.sum(axis=1)).mean())
        for spread in (0.0, 0.1, 0.3, 1.0):
            for _ in range(20):
                normals = (1 + spread * rng.standard_normal((3, n))) * rng.exponential(size=(3, 1))
                rho = abs(normals @ patterns.T).mean(axis=1) @ normals**2
                for delta in 1 + spread * rng.standard_normal((10, n)):
                    along = np.sum(abs(normals @ delta) ** 3) / np.linalg.norm(delta) ** 3
                    directional = gc.directional_glass_change(float(np.linalg.norm(delta)), along)
                    worst = max(worst, directional / gc.expected_glass_change(delta, rho) / bound)
    return Finding("largest (8c)/(8a) that was found, over the bound b", 1.0, worst, relation="<=", tolerance=1e-9)


def _on_networks(scale: int, rng: np.random.Generator) -> dict[str, Array]:
    """Return the share of movements that each model covers, (networks, models) for each kind."""
    samples: dict[str, list[Array]] = {}
    net, data = digits.network(), gc.data.load_digits()
    for state, count in NETWORKS.items():
        for _ in range(count * scale):
            theta = digits.parameters(net, "trained" if state == "trained" else "initialisation", rng)
            covered: dict[str, list[Array]] = {}
            for movement in _movements(net, data, theta, state, rng):
                plus, minus, *models = measure(movement)
                if state == "trained":
                    models.append(_directional_on_long_stretch(movement))
                sizes = np.array([[abs(plus)], [abs(minus)]])
                covered.setdefault(movement.kind, []).append((sizes <= LEVELS[1] * np.array(models)).mean(axis=0))
            for kind, shares in covered.items():
                samples.setdefault(kind, []).append(np.mean(shares, axis=0))
    return {kind: np.array(shares) for kind, shares in samples.items()}


def _network_row(kind: str, samples: Array) -> list[Finding]:
    findings = []
    for model, expected, shares in zip(MODELS, EXPECTED[kind], samples.T[:3], strict=True):
        relation, prediction = expected or (">=", 0.0)
        name = f"MLPs, {kind}: {model} covers, nominal 95.0%" if expected else ""
        options = {"tolerance": 0.1, "resolution": 0.8} if relation == "=" else {}
        finding = mean_finding("", prediction, shares, relation=relation, **options)
        # All movements of all networks: Clopper and Pearson's bound, a network being a trial.
        interval = finding.interval or float(1 - scipy.special.ndtr(-STANDARD_ERRORS) ** (1 / len(shares)))
        findings.append(replace(finding, quantity=name, interval=interval))
    return findings


def _directional_on_long_stretch(movement: Movement) -> float:
    """Return (8c) with the density of the segment from −9δ to −δ."""
    _, task, theta, delta, _ = movement
    distance = float(np.linalg.norm(delta))
    along = gc.directional_density(task.gradient, theta - 5 * delta, delta, length=4 * distance, samples=4)
    return gc.directional_glass_change(distance, along)


def _movements(
    net: gc.MLP, data: gc.data.Split, theta: Array, state: str, rng: np.random.Generator
) -> Iterator[Movement]:
    for _ in range(MINIBATCHES):
        task = minibatch(net, data, 200, rng)
        rho = density(task, theta, rng)
        yield Movement(f"{state}, {RANDOM}", task, theta, 1e-3 * gc.Rademacher().sample(net.size, rng), rho)
        yield Movement(f"{state}, gradient", task, theta, descent(task, theta), rho)
        if state == "initial":
            one = rng.integers(net.groups["layer2"].stop)  # the gradient of the last layer does not jump
            yield Movement(f"{state}, {ONE}", task, theta, 0.03 * (np.arange(net.size) == one), rho)


def _draw(ax: Axes, rows: dict[str, list[Finding]]) -> None:
    ax.axvline(NOMINAL[1], color=GREY, lw=1, label="nominal 95 %")
    ax.plot([], [], color=ORANGE, lw=2.5, label="predicted (without this line: no prediction)")
    for k, (model, colour, marker) in enumerate(zip(MODELS, (PURPLE, GREEN, BLUE), "s^o", strict=True)):
        row = [findings[k] for findings in rows.values()]
        y = np.arange(len(row)) + 0.2 * (k - 1)
        for finding, place in zip(row, y, strict=True):
            if finding.relation == "=":
                ax.plot([finding.prediction] * 2, [place - 0.08, place + 0.08], color=ORANGE, lw=2.5)
        values, intervals = np.array([f.measurement for f in row]), np.array([f.interval for f in row])
        ends = np.minimum(intervals, (values, 1 - values))  # a share is in [0, 1]
        ax.errorbar(values, y, xerr=ends, fmt=marker, ms=5, capsize=2, color=colour, label=model)
    ax.set_xlim(-0.03, 1.03)
    ax.set_yticks(
        range(len(rows)), [name.replace(", ", ",\n") if "," in name else name.replace(" ", "\n") for name in rows]
    )
    ax.invert_yaxis()
