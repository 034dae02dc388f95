"""Tables and figures of docs/pruning.md from what the study saved: python docs/pruning_report.py FOLDER."""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from pruning_criteria import RIVALS
from scipy.special import stdtrit

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
HIGH = (0.8, 0.9, 0.95, 0.98)
JUDGED = (0.8, 0.9, 0.95)
TOTALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
CASES = ("before, minibatch", "before, full", "after, minibatch", "after, full")
OURS = ("glass at length", "glass as curvature", "glass + |Hz| at length")
BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8A8A8A",
)  # fmt: skip
SHOWN = {
    "magnitude": (GREY, "s"), "gradient × weight": (AMBER, "v"), "Fisher": (PURPLE, "^"), "OBD, ½|h|θ²": (SKY, "P"),
    "OBD, exact h": (GREEN, "D"), "glass at length": (ORANGE, "o"), "glass + |Hz| at length": (BLUE, "o"),
}  # fmt: skip
PANELS = {
    "one shot, global, full": "one shot",
    "one shot, group, full": "one shot, layer by layer",
    "gradual, minibatch": "ten rounds, measured anew",
    "fine-tuned": "five rounds with fine-tuning",
}
LINES = {
    "measured": (BLACK, "-", "o"), "½ Σ h δ²": (GREEN, "--", "D"), "½ δ·Hδ": (SKY, "--", "v"),
    "½ Σ h δ², h at length": (BLUE, "-", "s"), "(8a), row sums at length": (AMBER, ":", "^"),
    "(8b), diagonal": (PURPLE, ":", "P"), "(8c)": (ORANGE, "-", "X"),
}  # fmt: skip


def mean_interval(values):
    """Mean over seeds, and half of the 95 % Student interval."""
    values = np.asarray(values, float)
    return values.mean(), float(stdtrit(values.size - 1, 0.975)) * values.std(ddof=1) / np.sqrt(values.size)


def cell(values, digits=2):
    """A mean with its interval."""
    return "{:.{d}f} ± {:.{d}f}".format(*mean_interval(values), d=digits)


def print_table(title, head, rows):
    """A table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def percent(sparsity):
    return f"{sparsity:.0%}".replace("%", " %")


def rank_values(found, network, case, layer, name, kind=0):
    """One correlation by seed; kind 0 is that of absolute values, 1 signed, 2 with what gradient and h leave."""
    return np.array([run["ranks"][case][layer][name][kind] for run in found[network]])


def layers_of(found, network):
    return list(found[network][0]["ranks"][CASES[0]])


def print_ranks(found, kind, title):
    """Correlations by layer, a table for each state and loss."""
    columns = [(network, layer) for network in found for layer in layers_of(found, network)]
    criteria = [name for name in found[columns[0][0]][0]["ranks"][CASES[0]][columns[0][1]] if name != "shares"]
    head = ["criterion", *(f"{network}, {layer}" for network, layer in columns)]
    for case in CASES:
        rows = [[name, *(cell(rank_values(found, n, case, la, name, kind)) for n, la in columns)] for name in criteria]
        print_table(f"{title}, {case} loss", head, rows)


def print_rank_means(found):
    """Correlations averaged over all hidden layers of both networks."""
    columns = [(network, layer) for network in found for layer in layers_of(found, network)[:-1]]
    criteria = [name for name in found[columns[0][0]][0]["ranks"][CASES[0]][columns[0][1]] if name != "shares"]
    for kind, what in enumerate(("absolute values", "signed values", "with what gradient and h leave")):
        rows = []
        for name in criteria:
            means = [
                np.mean([rank_values(found, n, case, la, name, kind) for n, la in columns], axis=0) for case in CASES
            ]
            rows.append([name, *map(cell, means)])
        print_table(f"Rank correlation, hidden layers, {what}", ["criterion", *CASES], rows)


def print_rank_bar(found):
    """Paired differences of the glass, at the short length, from its rivals on every hidden layer."""
    rivals = ("magnitude", "OBD, ½hθ²", "OBD, ½|h|θ²", "OBD, exact h", "Fisher")
    rows = []
    for case in CASES:
        for network in found:
            for layer in layers_of(found, network)[:-1]:
                ours = rank_values(found, network, case, layer, "glass, short")
                row = [cell(ours - rank_values(found, network, case, layer, name), 3) for name in rivals]
                three, two = (
                    rank_values(found, network, case, layer, name)
                    for name in ("gradient + h + glass, diagonal", "gradient + h")
                )
                rows.append([case, f"{network}, {layer}", *row, cell(three - two, 4)])
    head = ["loss", "layer", *(f"glass − {name}" for name in rivals), "three terms − two"]
    print_table("Glass (short) less rivals", head, rows)


def print_shares(found):
    """How much gradient and h leave, and how much of that the glass predicts."""
    rows = []
    for case in CASES:
        for network in found:
            for layer in layers_of(found, network):
                shares = np.array([run["ranks"][case][layer]["shares"] for run in found[network]])
                rows.append([case, f"{network}, {layer}", *(cell(column) for column in shares.T)])
    print_table("What gradient and h leave", ["loss", "layer", "share of the change", "diagonal", "row sums"], rows)


def settings(found):
    """Every kind of pruning: its title, its sparsities, and quality by criterion as (seeds, sparsities, 2)."""
    for network, runs in found.items():
        for rows in ("minibatch", "full"):
            for scope in ("global", "group"):
                parts = [run["one shot"][rows][scope] for run in runs]
                yield f"{network}, one shot, {scope}, {rows}", SPARSITIES, gathered(parts)
        yield f"{network}, gradual, minibatch", SPARSITIES, gathered([run["gradual"] for run in runs])
        yield f"{network}, fine-tuned", HIGH, gathered([run["fine-tuned"] for run in runs])
        yield f"{network}, at initialisation", HIGH, gathered([run["at initialisation"] for run in runs])


def gathered(parts):
    return {name: np.array([part[name] for part in parts]) for name in parts[0]}


def print_quality(found):
    """Accuracy and loss by criterion and sparsity in every setting."""
    for title, sparsities, quality in settings(found):
        for k, (what, digits) in enumerate((("accuracy", 3), ("loss", 2))):
            rows = [[name, *(cell(q[:, j, k], digits) for j in range(len(sparsities)))] for name, q in quality.items()]
            print_table(f"{what}: {title}", ["criterion", *map(percent, sparsities)], rows)


def print_accuracy_bar(found):
    """Paired differences in accuracy from the best rival, and how often significantly behind any or ahead of all."""
    rows = []
    for title, sparsities, quality in settings(found):
        for name in OURS:
            row = [title, name]
            for sparsity in JUDGED:
                j = sparsities.index(sparsity)
                rivals = {rival: q[:, j, 0] for rival, q in quality.items() if rival in RIVALS}
                best = max(rivals, key=lambda rival: rivals[rival].mean())
                differences = {rival: mean_interval(quality[name][:, j, 0] - q) for rival, q in rivals.items()}
                behind = [rival for rival, (mean, half) in differences.items() if mean + half < 0]
                ahead = all(mean - half > 0 for mean, half in differences.values())
                verdict = f"behind {', '.join(behind)}" if behind else "ahead of all" if ahead else "even"
                mean, half = differences[best]
                row.append(f"{mean:+.3f} ± {half:.3f} ({best}): {verdict}")
            rows.append(row)
    print_table("Accuracy less that of the best rival", ["setting", "criterion", *map(percent, JUDGED)], rows)


def print_totals(found):
    """Changes of the loss by sparsity, as means, and the mean ratio of predicted to measured."""
    for network, runs in found.items():
        names = list(runs[0]["totals"][0])
        values = {name: np.array([[each[name] for each in run["totals"]] for run in runs]) for name in names}
        head = ["prediction", *map(percent, TOTALS)]
        rows = []
        for name in names:
            shown = values[name] if name == "measured" else values[name] / values["measured"]
            label = "measured change" if name == "measured" else f"{name}, over measured"
            rows.append([label, *("{:.2g} ± {:.2g}".format(*mean_interval(column)) for column in shown.T)])
        print_table(f"totals: {network}", head, rows)


def print_explanation(found):
    """Why the length matters."""
    names = list(next(iter(found.values()))[0]["explanation"])
    rows = [[name, *(cell([run["explanation"][name] for run in runs]) for runs in found.values())] for name in names]
    print_table("explanation", ["", *found], rows)


def axes(columns, width=13.0, height=4.6):
    """A figure with panels side by side that share their vertical axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, columns, sharey=True)
    for ax in grid:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, grid


def finish(figure, grid, columns, path):
    """Add the legend below all panels and save."""
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    figure.savefig(path, dpi=130)


def bars(values):
    """Means (k,) and half intervals (k,) of (seeds, k) values."""
    return np.array([mean_interval(column) for column in np.asarray(values).T]).T


def draw_ranks(found, path):
    """Correlation of every criterion, a panel for each state and loss, a mark for each layer."""
    network = list(found)[-1]
    layers = layers_of(found, network)
    names = [n for n in found[network][0]["ranks"][CASES[0]][layers[0]] if n != "shares"][::-1]
    figure, grid = axes(len(CASES), height=5.6)
    for ax, case in zip(grid, CASES, strict=True):
        for k, layer in enumerate(layers):
            stats = bars(np.transpose([rank_values(found, network, case, layer, name) for name in names]))
            place = np.arange(len(names)) + 0.2 * (1.5 - k)
            label = f"hidden layer {k + 1}" if k + 1 < len(layers) else "output layer"
            colour, marker = (BLUE, ORANGE, GREEN, GREY)[k], "osD^"[k]
            ax.errorbar(stats[0], place, xerr=stats[1], fmt=marker, color=colour, ms=5, lw=1.2, label=label)
        ax.set_yticks(range(len(names)), names)
        ax.set_xlim(0, 1.02)
        ax.set_title(case.replace(",", " training,") + " loss", fontsize=11)
        ax.set_xlabel("rank correlation with |change|")
    finish(figure, grid, len(layers), path)


def draw_accuracy(found, path):
    """Accuracy against sparsity, a panel for each kind of pruning."""
    network = list(found)[-1]
    available = {title: (sparsities, quality) for title, sparsities, quality in settings(found)}
    figure, grid = axes(len(PANELS))
    for ax, (title, shown) in zip(grid, PANELS.items(), strict=True):
        sparsities, quality = available[f"{network}, {title}"]
        for k, (name, (colour, marker)) in enumerate(SHOWN.items()):
            if name in quality:
                mean, half = 100 * bars(quality[name][:, :, 0])
                place = np.arange(len(sparsities)) + 0.05 * (k - 3)
                ax.errorbar(place, mean, half, color=colour, marker=marker, ms=5, lw=1.6, elinewidth=0.9, label=name)
        ax.set_xticks(range(len(sparsities)), [f"{100 * s:.0f}" for s in sparsities])
        ax.set_title(shown, fontsize=11)
        ax.set_xlabel("weights removed (%)")
    grid[0].set_ylabel("validation accuracy (%)")
    grid[0].set_ylim(0, 101)
    finish(figure, grid, len(SHOWN), path)


def draw_totals(found, path):
    """Change of the loss, measured and predicted, a panel for each network."""
    figure, grid = axes(len(found), width=11)
    for ax, (network, runs) in zip(grid, found.items(), strict=True):
        for k, (name, (colour, line, marker)) in enumerate(LINES.items()):
            mean, half = bars([[each[name] for each in run["totals"]] for run in runs])
            ends = [np.minimum(half, 0.9 * mean), half]  # on a logarithmic axis nothing ends below 0
            width, order = (2.4, 4) if name == "measured" else (1.6, 3)
            style = {"color": colour, "ls": line, "marker": marker, "ms": 5, "lw": width, "elinewidth": 0.9}
            ax.errorbar(np.arange(len(TOTALS)) + 0.04 * (k - 3), mean, ends, label=name, zorder=order, **style)
        ax.set_yscale("log")
        ax.set_xticks(range(len(TOTALS)), [f"{100 * s:.0f}" for s in TOTALS])
        ax.set_title(f"{network} layers", fontsize=11)
        ax.set_xlabel("weights removed (%)")
    grid[0].set_ylabel("change of the training loss")
    finish(figure, grid, 4, path)


def report(found, folder):
    """Print all tables, draw all figures."""
    for name, runs in found.items():
        columns = zip(*(run["after"] for run in runs), strict=True)
        print(f"{name}: accuracy, validation and training loss {', '.join(cell(c, 4) for c in columns)}")
    print_ranks(found, 0, "Rank correlation of absolute values")
    print_ranks(found, 1, "Rank correlation of signed values")
    print_ranks(found, 2, "Rank correlation with what gradient and h leave")
    print_rank_means(found)
    print_rank_bar(found)
    print_shares(found)
    print_quality(found)
    print_accuracy_bar(found)
    print_totals(found)
    print_explanation(found)
    with mpl.rc_context({"font.size": 11}):
        draw_ranks(found, folder / "pruning-ranks.png")
        draw_accuracy(found, folder / "pruning-accuracy.png")
        draw_totals(found, folder / "pruning-totals.png")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    report(json.loads((target / "pruning.json").read_text("utf-8")), target)
