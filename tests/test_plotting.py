"""Figures show what they are given: the numbers are read back from the lines."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import glasscurv as gc
from glasscurv import plotting
from glasscurv.comparison import Comparison, Method, MethodResult, Trial
from glasscurv.plotting import style


def make_history(epochs=5, **changes):
    """A history of ten steps an epoch, two gradients each."""
    steps = 10 * np.arange(1, epochs + 1)
    fields = {
        "step_loss": np.geomspace(2, 0.1, 10 * epochs),
        "loss": np.geomspace(2, 0.1, epochs),
        "validation_loss": np.geomspace(2, 0.5, epochs),
        "validation_accuracy": np.linspace(0.1, 0.9, epochs),
        "evaluations": 2 * steps,
        "steps": steps,
        "best_epoch": epochs,
        "best_theta": None,
        "snapshots": None,
        "status": "finished",
    }
    return gc.History(**(fields | changes))


def make_snapshots(layers=3, count=4):
    shape = (count, layers)
    values = np.geomspace(1e-6, 1e-3, count * layers).reshape(shape)
    return gc.SnapshotHistory(
        groups=tuple(f"layer{k + 1}" for k in range(layers)),
        step=10 * np.arange(count),
        glass_density=values,
        hessian_abs=values,
        hessian_rms=values,
        hessian_diagonal=values,
        exponent=np.linspace(1, 4, count * layers).reshape(shape),
        exponent_error=np.full(shape, 0.1),
    )


def make_profile(layers=3, **changes):
    values = np.geomspace(1e-6, 1e-3, layers)
    fields = {
        "groups": tuple(f"layer{k + 1}" for k in range(layers)),
        "parameters": np.arange(1, layers + 1),
        "glass_density": values,
        "hessian_abs": 3 * values,
        "hessian_rms": 4 * values,
        "hessian_diagonal": -values,
        "glass_share": np.linspace(0.9, 0.1, layers),
        "exponent": np.linspace(1, 4, layers),
        "exponent_error": np.full(layers, 0.1),
        "verdict": ("glass",) * (layers - 1) + ("smooth",),
        "length": 0.01,
        "evaluations": 100,
    }
    return gc.CurvatureProfile(**(fields | changes))


def make_trial(seed, *, failed=False, reached=2, level=1.0, epochs=4):
    x = np.arange(1, epochs + 1)
    loss = level * (1 + 0.1 * seed) / x
    return Trial(
        seed=seed,
        lr=0.1,
        failed=failed,
        steps=10 * x,
        evaluations=20 * x,
        seconds=(0.1 + 0.01 * seed) * x,
        loss=loss,
        validation_loss=2 * loss,
        validation_accuracy=1 - 0.1 * loss,
        reached=None if failed else reached,
    )


def make_comparison(trials, **changes):
    results = tuple(
        MethodResult(Method(f"method {k}", "adam", 0.1), 0.1, False, None, tuple(each)) for k, each in enumerate(trials)
    )
    fields = {
        "results": results,
        "metric": "validation_loss",
        "target": 0.8,
        "epochs": 4,
        "batch_size": 10,
        "budget": 40,
        "seeds": (0, 1, 2),
        "tuning_seeds": (1001,),
        "layers": (2, 3, 2),
        "activation": "relu",
        "loss": "cross_entropy",
        "training_rows": 100,
        "validation_rows": 50,
    }
    return Comparison(**(fields | changes))


def by_label(ax):
    return {line.get_label(): line for line in ax.lines}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_histories_show_losses_accuracy_and_the_best_epoch():
    history = make_history(best_epoch=4)
    figure = plotting.plot_history(history)
    losses, accuracy = figure.axes
    lines = by_label(losses)
    np.testing.assert_array_equal(lines["training, each step"].get_xdata(), np.arange(1, 51))
    np.testing.assert_array_equal(lines["training, mean of epoch"].get_xydata().T, [history.steps, history.loss])
    np.testing.assert_array_equal(lines["validation"].get_ydata(), history.validation_loss)
    assert lines["least, epoch 4"].get_xydata().tolist() == [[40, history.validation_loss[3]]]
    assert losses.get_yscale() == "log"
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), 100 * history.validation_accuracy)
    assert (losses.get_ylabel(), accuracy.get_ylabel()) == ("loss", "validation accuracy (%)")


def test_the_axis_above_counts_gradients():
    history = make_history(evaluations=np.array([30, 60, 70, 80, 90]))
    figure = plotting.plot_history(history)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    (above,) = ax.child_axes
    assert above.get_xlabel() == "gradient evaluations"
    forward, backward = above._functions
    np.testing.assert_allclose(forward(np.array([0, 10, 15, 20, 50.0])), [0, 30, 45, 60, 90])
    x = np.linspace(-3, 60, 20)
    np.testing.assert_allclose(backward(forward(x)), x)


def test_histories_without_validation_have_one_panel():
    history = make_history(validation_loss=None, validation_accuracy=None, best_epoch=None)
    figure = plotting.plot_history(history)
    assert len(figure.axes) == 1
    assert set(by_label(figure.axes[0])) == {"training, each step", "training, mean of epoch"}


def test_losses_of_either_sign_or_small_range_are_not_logarithmic():
    negative = make_history(loss=np.linspace(1, -1, 5))
    assert plotting.plot_history(negative).axes[0].get_yscale() == "linear"
    flat = make_history(step_loss=np.ones(50), loss=np.ones(5), validation_loss=np.ones(5))
    assert plotting.plot_history(flat).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("accuracy", [True, False])
def test_snapshots_show_density_and_exponent_of_every_layer(accuracy):
    snapshots = make_snapshots()
    changes = {} if accuracy else {"validation_accuracy": None}
    figure = plotting.plot_history(make_history(snapshots=snapshots, **changes))
    density, exponent = figure.axes[-2:]
    assert density.get_yscale() == "log"
    assert "gradient² / length" in density.get_ylabel()
    for k, group in enumerate(snapshots.groups):
        line = by_label(density)[group]
        np.testing.assert_array_equal(line.get_xydata().T, [snapshots.step, snapshots.glass_density[:, k]])
        np.testing.assert_array_equal(exponent.containers[k].lines[0].get_ydata(), snapshots.exponent[:, k])
    assert texts(exponent) == ["glass", "kinks", "smooth"]


def test_profiles_show_all_measures_with_their_units():
    profile = make_profile()
    figure = plotting.plot_profile(profile)
    density, hessian, exponent, share = figure.axes
    np.testing.assert_allclose(density.collections[0].get_offsets()[:, 1], profile.glass_density)
    measures = by_label(hessian)
    np.testing.assert_array_equal(measures["mean of |Hz|"].get_ydata(), profile.hessian_abs)
    np.testing.assert_array_equal(measures["rms of Hz"].get_ydata(), profile.hessian_rms)
    np.testing.assert_array_equal(measures["|mean of diagonal|"].get_ydata(), abs(profile.hessian_diagonal))
    assert [float(bar.lines[0].get_ydata()[0]) for bar in exponent.containers] == profile.exponent.tolist()
    np.testing.assert_allclose([bar.get_height() for bar in share.patches], 100 * profile.glass_share)
    assert texts(share) == list(profile.verdict)
    assert "gradient² / length" in density.get_ylabel()
    assert "gradient / length" in hessian.get_ylabel()
    assert "%" in share.get_ylabel()
    assert "0.01" in figure.get_suptitle()
    assert not any(ax.spines["top"].get_visible() for ax in figure.axes)


def test_profiles_of_many_layers_have_panels_below_each_other_with_names_that_do_not_overlap():
    figure = plotting.plot_profile(make_profile(50))
    figure.draw_without_rendering()
    assert len({ax.get_position().x0 for ax in figure.axes}) == 1
    labels = figure.axes[-1].get_xticklabels()
    assert len(labels) == 50
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert not any(label.get_visible() for ax in figure.axes[:-1] for label in ax.get_xticklabels())


@pytest.mark.parametrize("layers", [1, 20])
def test_profiles_of_few_and_many_layers_are_drawn(layers, tmp_path):
    profile = make_profile(layers, glass_share=np.full(layers, np.nan), exponent=np.full(layers, np.nan))
    plotting.plot_profile(profile).savefig(tmp_path / "profile.svg")
    assert (tmp_path / "profile.svg").stat().st_size > 0


def test_comparisons_show_means_with_intervals_over_the_runs_that_did_not_fail():
    trials = [[make_trial(0), make_trial(1), make_trial(2, failed=True)], [make_trial(k, level=2) for k in range(3)]]
    figure = plotting.plot_comparison(make_comparison(trials))
    by_evaluations, by_seconds, *_ = figure.axes
    x = np.arange(1, 5)
    np.testing.assert_allclose(by_evaluations.lines[0].get_xydata().T, [20 * x, 2 * 1.05 / x])
    np.testing.assert_allclose(by_seconds.lines[0].get_xydata().T, [0.105 * x, 2 * 1.05 / x])
    np.testing.assert_allclose(by_evaluations.lines[1].get_ydata(), 4 * 1.1 / x)
    half = 12.706 * 0.1 * 2 / np.sqrt(2) / np.sqrt(2)  # Student's t with one degree of freedom
    band = by_evaluations.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(2 * 1.05 + half, rel=1e-4)
    assert (by_evaluations.get_ylabel(), by_evaluations.get_xlabel()) == ("validation loss", "gradient evaluations")
    assert by_seconds.get_xlabel() == "seconds"


def test_comparisons_count_the_work_to_the_target_and_the_misses():
    trials = [[make_trial(0), make_trial(1, reached=1), make_trial(2, reached=None)], [make_trial(0, reached=None)] * 3]
    figure = plotting.plot_comparison(make_comparison(trials))
    left, right = figure.axes[2:]
    np.testing.assert_array_equal(left.collections[0].get_offsets()[:2, 0], [60, 40])
    assert left.containers[0].lines[0].get_xdata()[0] == 50
    np.testing.assert_allclose(right.containers[0].lines[0].get_xdata()[0], (0.3 + 0.22) / 2)
    assert texts(left) == ["1 of 3 missed", "3 of 3 missed"]
    assert left.get_xlabel() == "gradient evaluations to the target"
    assert [label.get_text() for label in left.get_yticklabels()] == ["method 0", "method 1"]


def test_comparisons_without_a_target_show_the_end():
    trials = [[make_trial(0), make_trial(1, failed=True)]]
    figure = plotting.plot_comparison(make_comparison(trials, target=None, metric="validation_accuracy"))
    top, _, left, right = figure.axes
    assert top.get_yscale() == "linear"
    np.testing.assert_allclose(top.lines[0].get_ydata(), 100 - 10 / np.arange(1, 5))
    assert left.get_xlabel() == "validation accuracy (%) in the end"
    assert left.containers[0].lines[0].get_xdata()[0] == pytest.approx(97.5)
    assert right.get_xlabel() == "training loss in the end"
    assert texts(left) == ["1 of 2 failed"]
    losses = plotting.plot_comparison(make_comparison(trials, target=None, metric="loss")).axes
    assert [ax.get_xlabel() for ax in losses[2:]] == ["training loss in the end", "validation loss in the end"]


def test_the_start_is_shown_where_the_axis_has_a_zero(tmp_path):
    trial = make_trial(0)
    start = {name: getattr(trial, name) - getattr(trial, name)[0] for name in ("steps", "evaluations", "seconds")}
    figure = plotting.plot_comparison(make_comparison([[replace(trial, **start)]]))
    by_evaluations, by_seconds, *_ = figure.axes
    assert by_evaluations.lines[0].get_xdata().tolist() == [0, 20, 40, 60]
    np.testing.assert_allclose(by_seconds.lines[0].get_xydata().T, [[0.1, 0.2, 0.3], 2 / np.arange(2, 5)])
    assert by_seconds.get_xscale() == "log"
    one = {name: getattr(trial, name)[:1] * 0 for name in ("steps", "evaluations", "seconds")}
    losses = {name: getattr(trial, name)[:1] for name in ("loss", "validation_loss", "validation_accuracy")}
    figure = plotting.plot_comparison(make_comparison([[replace(trial, **one, **losses, reached=None)]]))
    figure.savefig(tmp_path / "start.svg")  # a run that took no step


def test_a_method_of_which_every_run_failed_is_named_all_the_same(tmp_path):
    trials = [[make_trial(0, failed=True)], [make_trial(0, failed=True)]]
    figure = plotting.plot_comparison(make_comparison(trials))
    figure.savefig(tmp_path / "failed.svg")
    assert texts(figure.axes[2]) == ["1 of 1 missed", "1 of 1 missed"]
    assert list(figure.axes[2].get_xticks()) == []
    for ax in figure.axes[:2]:
        assert texts(ax) == ["every run diverged"]
        assert not ax.axison


def diverging(seed):
    trial = make_trial(seed)
    return replace(trial, loss=1e160 * trial.loss, validation_loss=1e168 * trial.validation_loss)


def test_a_method_on_its_way_to_infinity_is_named_and_out_of_view():
    trials = [[make_trial(k) for k in range(3)], [diverging(k) for k in range(3)], [make_trial(0, level=1e-9)] * 3]
    top, _, left, right = plotting.plot_comparison(make_comparison(trials[:2], target=None)).axes
    assert top.get_ylim()[1] < 10
    assert left.get_xlim()[1] < 10
    assert texts(top) == ["out of view: method 1"]
    assert texts(left) == texts(right) == ["3 of 3 out of view"]
    # A method that is better by many decades puts no other out of view.
    good = replace(trials[2][0], loss=trials[0][0].loss * [1, 1e-9, 1e-9, 1e-9])
    good = replace(good, validation_loss=good.loss)
    for ax in plotting.plot_comparison(make_comparison([trials[0], [good] * 3], target=None)).axes:
        assert texts(ax) == []


def test_figures_of_comparisons_say_what_was_compared_and_how_to_read_them():
    figure = plotting.plot_comparison(make_comparison([[make_trial(k) for k in range(3)]]))
    assert figure.get_suptitle() == "2-3-2 relu network, 100 training rows, at most 40 gradients a run, 3 seeds"
    assert "95 % intervals as bands" in figure.get_supxlabel()


def test_percentages_end_at_one_hundred():
    trials = [[replace(make_trial(k), validation_accuracy=np.array([0.2, 0.9, 1, 1 - 0.1 * k])) for k in range(3)]]
    figure = plotting.plot_comparison(make_comparison(trials, metric="validation_accuracy", target=None))
    top, _, left, _ = figure.axes
    accuracy = plotting.plot_history(make_history(validation_accuracy=np.array([0.1, 1, 1, 1, 1]))).axes[1]
    for low, high in (top.get_ylim(), left.get_xlim(), accuracy.get_ylim()):
        assert 0 > low >= -0.5 or low > 0
        assert 100 < high <= 100.5


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((0.012, 0.2), ["0.02", "0.05", "0.1", "0.2"]),
        ((0.41, 0.49), ["0.42", "0.44", "0.46", "0.48"]),
        ((2e-6, 5e-5), ["$2\\times 10^{-6}$", "$5\\times 10^{-6}$", "$10^{-5}$", "$2\\times 10^{-5}$"]),
        ((1e-6, 1e-2), ["$10^{-6}$", "$10^{-5}$", "$10^{-4}$", "$10^{-3}$", "$10^{-2}$"]),
    ],
)
def test_numbers_of_logarithmic_axes_are_few_and_alike(limits, labels):
    ax = Figure().subplots()
    ax.set_yscale("log")
    ax.set_ylim(limits)
    style.decades(ax)
    ax.figure.draw_without_rendering()
    ticks = zip(
        [*ax.yaxis.get_majorticklocs(), *ax.yaxis.get_minorticklocs()],
        [*ax.yaxis.get_majorticklabels(), *ax.yaxis.get_minorticklabels()],
        strict=True,
    )
    shown = [label.get_text() for at, label in sorted(ticks, key=lambda tick: tick[0]) if limits[0] <= at <= limits[1]]
    assert set(labels) <= {text for text in shown if text}
    assert len([text for text in shown if text]) <= 6


def test_sixteen_methods_differ_in_colour_line_or_marker():
    figure = plotting.plot_comparison(make_comparison([[make_trial(0, level=1 + k)] for k in range(16)]))
    lines = figure.axes[0].lines[:16]
    looks = {(line.get_color(), str(line._unscaled_dash_pattern), line.get_marker()) for line in lines}
    assert len(looks) == 16
    assert len({line.get_color() for line in lines}) == len(style.COLOURS)
    # Neighbours in the legend differ in both colour and marker, for those who see no colour.
    assert all(a.get_marker() != b.get_marker() for a, b in pairwise(lines))


def luminance(colour):
    """Relative luminance of the web's contrast guidelines."""
    channels = np.array([int(to_hex(colour)[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_stand_out_from_the_paper():
    for colour in (*style.COLOURS, style.GREY):
        assert 1.05 / (luminance(colour) + 0.05) > 2


def test_figures_are_unknown_to_pyplot():
    import matplotlib.pyplot as plt

    plotting.plot_profile(make_profile())
    assert plt.get_fignums() == []


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="history must be a History, got NoneType"):
        plotting.plot_history(None)
    nothing = np.empty(0)
    with pytest.raises(ValueError, match="history must hold at least one epoch, got none"):
        plotting.plot_history(replace(make_history(), loss=nothing))
    with pytest.raises(TypeError, match="profile must be a CurvatureProfile, got dict"):
        plotting.plot_profile({})
    with pytest.raises(TypeError, match="comparison must be a Comparison, got str"):
        plotting.plot_comparison("found.json")


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"figures need matplotlib: pip install 'glasscurv\[plot\]'"):
        importlib.reload(plotting)


def make_effect(kind="pruning", tried=5, **changes):
    """An effect on three layers, predicted a little too small."""
    amounts = np.linspace(0.1, 0.9, tried) if kind == "pruning" else np.arange(2.0, 2 + tried)
    fields = {
        "kind": kind,
        "groups": ("layer1", "layer2", "layer3"),
        "predicted": np.array([0.02, 0.01, 0.003]),
        "measured": np.array([0.03, 0.012, 0.003]),
        "predicted_total": 0.05,
        "measured_total": 0.06,
        "amount": 0.8 if kind == "pruning" else 4,
        "amounts": amounts,
        "predicted_losses": np.geomspace(0.1, 1, tried),
        "losses": np.geomspace(0.1, 2, tried),
        "accuracies": np.linspace(0.98, 0.3, tried),
        "result": (0.3, 0.92),
    }
    return gc.compression.CompressionEffect(**(fields | changes))


def test_compressions_show_predictions_and_what_happened():
    effects = [make_effect(), make_effect("rounding")]
    figure = plotting.plot_compression(effects)
    groups, losses, accuracies, *_, last = figure.axes
    assert len(figure.axes) == 6
    lines = by_label(groups)
    np.testing.assert_array_equal(lines["predicted"].get_ydata(), [0.02, 0.01, 0.003, 0.05])
    np.testing.assert_array_equal(lines["measured"].get_ydata(), [0.03, 0.012, 0.003, 0.06])
    assert [label.get_text() for label in groups.get_xticklabels()] == ["layer1", "layer2", "layer3", "together"]
    assert groups.get_yscale() == "log"
    assert groups.get_ylabel() == "change of the loss\nby pruning"
    lines = by_label(losses)
    np.testing.assert_allclose(lines["measured"].get_xdata(), 100 * effects[0].amounts)
    np.testing.assert_array_equal(lines["measured"].get_ydata(), effects[0].losses)
    np.testing.assert_array_equal(lines["predicted"].get_ydata(), effects[0].predicted_losses)
    assert lines["in the end: 80 %"].get_xydata().tolist() == [[80, 0.3]]
    assert by_label(accuracies)["in the end: 80 %"].get_xydata().tolist() == [[80, 92]]
    assert by_label(last)["in the end: 4 bits"].get_xydata().tolist() == [[4, 92]]
    assert [ax.get_xlabel() for ax in figure.axes[1::3]] == ["weights removed (%)", "bits per weight"]


def test_compressions_without_tries_or_labels_have_fewer_panels():
    nothing = np.empty(0)
    bare = make_effect(tried=0, amounts=nothing, result=(0.3, np.nan))
    assert len(plotting.plot_compression([bare]).axes) == 1
    assert len(plotting.plot_compression([make_effect(accuracies=np.full(5, np.nan))]).axes) == 2


def test_gains_by_compression_are_on_a_straight_axis():
    gains = plotting.plot_compression([make_effect(measured=np.array([0.03, -0.012, 0.003]))]).axes[0]
    assert gains.get_yscale() == "linear"
    assert gains.get_ylim()[0] < -0.012


def test_many_layers_turn_their_names():
    groups = tuple(f"layer{k}" for k in range(9))
    ax = plotting.plot_compression([make_effect(groups=groups, predicted=np.ones(9), measured=np.ones(9))]).axes[0]
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {60}


def test_only_effects_of_compression_are_drawn():
    with pytest.raises(TypeError, match="effects must be CompressionEffects, got str"):
        plotting.plot_compression(["pruning"])
    with pytest.raises(ValueError, match="effects must hold at least one, got none"):
        plotting.plot_compression([])
