"""``glasscurv compress``: what it does, says and refuses."""

from pathlib import Path

import numpy as np
import pytest

import glasscurv as gc
from glasscurv.cli import compressing

SPLIT = gc.data.two_spirals(rng=0)
DATA = ("--data", "spirals", "--samples", 2, "--rows", 100)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Bytes of a checkpoint: two epochs on the spirals."""
    path = tmp_path_factory.mktemp("trained") / "run.ckpt"
    network = gc.MLP((2, 12, 8, 2))
    optimizer = gc.Adam(network.initialize(rng=0), lr=0.02)
    gc.train(network, optimizer, SPLIT.X, SPLIT.y, 2, rng=1, progress=False, checkpoint=path)
    return path.read_bytes()


@pytest.fixture
def run(here, trained):
    """A trained network in the folder, which must be as it was in the end."""
    path = here / "run.ckpt"
    path.write_bytes(trained)
    yield gc.load_checkpoint(path)
    assert path.read_bytes() == trained


@pytest.fixture
def refused(cli, run, here):
    """Run the command, which must refuse and leave all files as they were: the one line that it prints."""

    def call(*arguments):
        before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
        status, out, err = cli("compress", *arguments, "--quiet")
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before
        return err

    return call


def streams():
    """The streams of the first seed, those of the directions split as the command does."""
    _, directions, shuffling = (np.random.default_rng(each) for each in np.random.SeedSequence(0).spawn(3))
    return directions.spawn(5), shuffling


def gradient_on(network, rows):
    return lambda theta: network.value_and_grad(theta, SPLIT.X[rows], SPLIT.y[rows])[1]


def some_rows():
    return np.sort(streams()[1].choice(len(SPLIT.X), 100, replace=False))


def test_the_result_is_that_of_the_library(record, run):
    found = record("compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.5, "--bits", 4)
    network, theta, rows, random = run.network, run.theta, some_rows(), streams()[0]
    groups, gradient = network.weight_groups(), gradient_on(network, rows)
    length = gc.compression.removal_length(theta, 0.5, groups)
    curvature = gc.estimate_curvature(gradient, theta, length, 2, rng=random[0])
    saliency = gc.compression.pruning_saliency(theta, hessian=curvature.hessian_abs, terms="abs_hessian")
    pruned = gc.compression.prune(theta, saliency, 0.5, groups)
    rounded = gc.compression.quantize(pruned.theta, 4, groups)
    saved = gc.load_checkpoint("small.ckpt")
    np.testing.assert_array_equal(saved.theta, rounded.theta)
    assert (saved.network.layers, saved.metadata["compression"]["sparsity"]) == (network.layers, 0.5)

    layers, together = found["table"][:-1], found["table"][-1]
    assert [row["layer"] for row in found["table"]] == ["layer1", "layer2", "layer3", "together"]
    assert [row["kept"] for row in layers] == [pruned.mask[part].mean() for part in groups.values()]
    assert (together["weights"], together["kept"], together["bits"]) == (136, 0.5, 4)
    for kind, before, after in (("pruning", theta, pruned.theta), ("rounding", pruned.theta, rounded.theta)):
        for parts, shown in ((groups, layers), (None, [together])):
            predicted = gc.compression.predicted_changes(gradient, before, after, parts, 2, random[3])
            measured = gc.compression.measured_changes(
                lambda point: network.value(point, SPLIT.X[rows], SPLIT.y[rows]), before, after, parts
            )
            assert [row[f"{kind}_predicted"] for row in shown] == predicted.tolist()
            assert [row[f"{kind}_measured"] for row in shown] == measured.tolist()
    assert [stage["stage"] for stage in found["stages"]] == ["before", "pruned", "rounded"]
    last = found["stages"][-1]
    assert last["loss"] == network.value(rounded.theta, SPLIT.X, SPLIT.y)
    assert last["validation_loss"] == network.value(rounded.theta, SPLIT.X_validation, SPLIT.y_validation)
    right = network.predict(rounded.theta, SPLIT.X_validation) == SPLIT.y_validation
    assert last["validation_accuracy"] == right.mean()
    sizes = {"before": Path("run.ckpt").stat().st_size, "after": Path("small.ckpt").stat().st_size}
    assert found["bytes"] == {**sizes, "parameters": 8 * network.size}
    assert found["ratio"] == sizes["before"] / sizes["after"] > 1


def saliencies(network, theta, rows):
    """What each criterion is, at two directions."""
    length = gc.compression.removal_length(theta, 0.5, network.weight_groups())
    gradient = gradient_on(network, rows)
    curvature = gc.estimate_curvature(gradient, theta, length, 2, rng=streams()[0][0])
    return {
        "curvature": curvature.hessian_abs * theta**2,
        "glass": curvature.glass_density * abs(theta) ** 3,
        "hessian": abs(curvature.hessian_diagonal) * theta**2,
        "gradient": abs(gradient(theta) * theta),
        "magnitude": abs(theta),
        "input-norm": abs(theta) * network.input_norm(theta, SPLIT.X[rows]),
    }


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("criterion", ["curvature", "glass", "hessian", "gradient", "magnitude", "input-norm"])
def test_the_criterion_says_what_is_removed(record, run, criterion, scope):
    record(
        "compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.5, "--criterion", criterion, "--scope", scope
    )  # fmt: skip
    saliency = saliencies(run.network, run.theta, some_rows())[criterion]
    pruned = gc.compression.prune(
        run.theta, saliency, 0.5, run.network.weight_groups(), "group" if scope == "layer" else "global"
    )
    np.testing.assert_array_equal(gc.load_checkpoint("small.ckpt").theta, pruned.theta)


def test_rounds_ask_anew_and_tuning_keeps_the_mask(record, run):
    found = record(
        "compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.6, "--criterion", "gradient", "--rounds", 2,
        "--tune", 3, "--optimizer", "sgd", "--lr", 0.05, "--batch-size", 50,
    )  # fmt: skip
    network, shuffling = run.network, streams()[1]
    gradient = gradient_on(network, some_rows())

    def tune(theta, mask):
        optimizer = gc.SGD(theta, lr=0.05)
        optimizer.mask = mask
        gc.train(network, optimizer, SPLIT.X, SPLIT.y, 3, 50, rng=shuffling, progress=False)
        return optimizer.theta

    pruned = gc.compression.prune(
        run.theta, lambda theta, mask: abs(gradient(theta) * theta), 0.6, network.weight_groups(), rounds=2, tune=tune
    )
    np.testing.assert_array_equal(gc.load_checkpoint("small.ckpt").theta, pruned.theta)
    stages = {stage["stage"]: stage["loss"] for stage in found["stages"]}
    assert list(stages) == ["before", "pruned", "fine-tuned"]
    assert stages["pruned"] == network.value(np.where(pruned.mask, run.theta, 0), SPLIT.X, SPLIT.y)
    assert stages["fine-tuned"] == network.value(pruned.theta, SPLIT.X, SPLIT.y) < stages["pruned"]


def test_curvature_of_later_rounds_moves_only_what_is_left(record, run, monkeypatch):
    sizes = []
    estimate = gc.estimate_curvature

    def watched(gradient, theta, *arguments, **options):
        sizes.append(theta.size)
        return estimate(gradient, theta, *arguments, **options)

    monkeypatch.setattr("glasscurv.estimate_curvature", watched)
    record("compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.5, "--rounds", 2)
    # Of 136 weights and 22 biases half go in the end, 7/8 of them in the first round.
    assert sizes == [158, 158 - round(0.5 * 7 / 8 * 136)]


def test_a_fraction_of_bits_is_allocated(record, run):
    found = record("compress", "run.ckpt", "small.ckpt", *DATA, "--bits", 3.5, "--scheme", "affine")
    network, theta = run.network, run.theta
    groups = network.weight_groups()
    changes = gc.compression.directional_quantization_changes(
        gradient_on(network, some_rows()), theta, groups, range(2, 9), "affine", 2, streams()[0][2]
    ).hessian
    sizes = [part.stop - part.start for part in groups.values()]
    best = gc.compression.allocate_bits(abs(changes), sizes, int(3.5 * 136), range(2, 9))
    widths = dict(zip(groups, best.bits.tolist(), strict=True))
    rounded = gc.compression.quantize(theta, widths, groups, "affine")
    np.testing.assert_array_equal(gc.load_checkpoint("small.ckpt").theta, rounded.theta)
    assert [row["bits"] for row in found["table"][:-1]] == best.bits.tolist()
    assert found["table"][-1]["bits"] == best.size / 136 <= 3.5
    assert len(set(best.bits)) > 1
    assert "kept" not in found["table"][0]


def test_units_get_bits_of_their_own_within_the_budget_of_what_is_left(record, run):
    """A unit that lost all its weights takes nothing of it."""
    found = record(
        "compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.85, "--scope", "layer", "--bits", 4,
        "--allocate", "--per", "unit",
    )  # fmt: skip
    saved, units = gc.load_checkpoint("small.ckpt"), run.network.weight_groups("unit")
    assert saved.bits.keys() == units.keys()
    # Of the first layer 4 weights are left, for 12 units.
    empty = [name for name, part in units.items() if not saved.theta[part].any()]
    assert len(empty) >= 8
    assert {saved.bits[name] for name in empty} == {2}
    assert 3.5 < found["table"][-1]["bits"] <= 4


def test_many_bits_can_be_averages_too(record, run):
    found = record("compress", "run.ckpt", "small.ckpt", *DATA, "--bits", 9.5)
    assert 8 < found["table"][-1]["bits"] <= 9.5
    assert max(gc.load_checkpoint("small.ckpt").bits.values()) == 10


def test_the_smaller_file_is_measured_and_compressed_again(record, cli, run):
    record("compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.5, "--criterion", "magnitude")
    status, out, err = cli("profile", "small.ckpt", "--data", "spirals", "--samples", 2, "--quiet")
    assert status == 0, err
    assert "2-12-8-2 relu network" in out
    record("compress", "small.ckpt", "smaller.ckpt", *DATA, "--bits", 4)
    assert Path("smaller.ckpt").stat().st_size < Path("small.ckpt").stat().st_size


def test_the_same_seed_gives_the_same_with_and_without_figure(record, run, here):
    arguments = ("run.ckpt", *DATA, "--sparsity", 0.5, "--bits", 3.5)
    found = []
    for name, more in (("a", ()), ("b", ("--plot", "b.png")), ("c", ("--seed", 1))):
        found.append(record("compress", arguments[0], name, *arguments[1:], *more))
    assert [{**each, "output": ""} for each in found[:2]] == 2 * [{**found[0], "output": ""}]
    assert found[2]["table"] != found[0]["table"]
    assert (here / "a").read_bytes() == (here / "b").read_bytes()
    assert (here / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sparsity", 0.8, "--criterion", "magnitude", "--plot", "a.png"),  # 95 % would empty a layer
        ("--sparsity", 0.55, "--rounds", 2, "--tune", 1, "--bits", 3.5, "--plot", "a.png"),
        ("--sparsity", 0.5, "--criterion", "gradient", "--bits", 4, "--allocate", "--per", "unit"),
    ],
)
def test_the_bar_ends_where_it_should(cli, run, monkeypatch, arguments):
    bars = []

    class Watched(compressing.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            bars.append(self)

    monkeypatch.setattr(compressing, "tqdm", Watched)
    status, _, err = cli("compress", "run.ckpt", "small.ckpt", *DATA, *arguments)
    assert status == 0, err
    assert "compressing: 100%" in err
    assert bars[0].n == bars[0].total


def test_regression_has_no_accuracies(cli, record, here):
    split = gc.data.regression(rng=0)
    network = gc.MLP((split.X.shape[1], 6, 1), loss="mse")
    theta = network.initialize(rng=0, dtype=np.float32)
    gc.save_compressed("start.ckpt", network, theta)
    arguments = ("--data", "regression", "--samples", 1, "--bits", 4)
    found = record("compress", "start.ckpt", "a.ckpt", *arguments)
    assert {stage["accuracy"] for stage in found["stages"]} == {None}
    assert gc.load_checkpoint("a.ckpt").theta.dtype == np.float32
    _, out, _ = cli("compress", "start.ckpt", "b.ckpt", *arguments, "--quiet")
    assert "changes of the loss in squared target units" in out
    assert "accuracy" not in out
    assert "the bare parameters in float32" in out


@pytest.mark.parametrize("columns", [80, 200])
def test_the_tables_say_what_happened(cli, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    status, out, err = cli("compress", "run.ckpt", "small.ckpt", *DATA, "--sparsity", 0.5, "--bits", 4, "--quiet")
    assert (status, err) == (0, "compressed: small.ckpt\n")
    assert out.startswith(
        "2-12-8-2 relu network, 100 training rows; changes of the loss in nats, each layer by itself and all together\n"
    )
    headings = [line.split() for line in out.splitlines()]
    assert ["layer", "weights", "(%)", "bits", *2 * ["predicted", "measured"]] in headings
    assert ["stage", "loss", "accuracy", "(%)", "loss", "accuracy", "(%)"] in headings
    assert any(line[:4] == ["together", "136", "50.0", "4"] for line in headings)
    sizes = [Path(name).stat().st_size for name in ("run.ckpt", "small.ckpt")]
    share = f"{100 * sizes[1] / sizes[0]:.3g} % of that and "
    assert f"run.ckpt: {sizes[0]} bytes, small.ckpt: {sizes[1]} bytes, {share}" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert max(len(line) for line in out.splitlines() if "   " in line) <= 80


PRUNE = ("run.ckpt", "small.ckpt", "--data", "spirals", "--sparsity", "0.5")
ROUND = ("run.ckpt", "small.ckpt", "--data", "spirals", "--bits", "4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (PRUNE[:4], "nothing to do: give --sparsity, such as 0.8, or --bits, such as 4, or both\n"),
        ((*PRUNE, "--sparsity", "0"), "--sparsity must be in (0, 1), got 0.0\n"),
        ((*PRUNE, "--sparsity", "1"), "--sparsity must be in (0, 1), got 1.0\n"),
        ((*PRUNE, "--sparsity", "nan"), "--sparsity must be in (0, 1), got nan\n"),
        ((*PRUNE, "--sparsity", "80"), "--sparsity must be in (0, 1), got 80.0\n"),
        ((*ROUND, "--bits", "1.9"), "--bits must be in [2, 16], got 1.9\n"),
        ((*ROUND, "--bits", "17"), "--bits must be in [2, 16], got 17.0\n"),
        ((*PRUNE, "--criterion", "wanda"), "'wanda' is not one of 'curvature'"),
        ((*PRUNE, "--rounds", "0"), "--rounds"),
        ((*PRUNE, "--samples", "0"), "--samples"),
        ((*PRUNE, "--per", "unit"), "--per needs --bits\n"),
        ((*PRUNE, "--scheme", "affine"), "--scheme needs --bits\n"),
        ((*PRUNE, "--allocate"), "--allocate needs --bits\n"),
        ((*PRUNE, "--lr", "0.1"), "--lr needs --tune\n"),
        ((*PRUNE, "--optimizer", "sgd"), "--optimizer needs --tune\n"),
        ((*PRUNE, "--batch-size", "9"), "--batch-size needs --tune\n"),
        ((*ROUND, "--tune", "2"), "--tune needs --sparsity\n"),
        ((*ROUND, "--rounds", "2"), "--rounds needs --sparsity\n"),
        ((*ROUND, "--scope", "layer"), "--scope needs --sparsity\n"),
        ((*ROUND, "--criterion", "glass"), "--criterion needs --sparsity\n"),
        (("no.ckpt", *PRUNE[1:]), "the checkpoint: there is no file no.ckpt\n"),
        (("..", *PRUNE[1:]), "the checkpoint must be a file, and .. is a folder\n"),
        (
            ("run.ckpt", "run.ckpt", *PRUNE[2:]),
            "the output run.ckpt is the checkpoint, which is only read: name another",
        ),
        (("run.ckpt", "old.txt", *PRUNE[2:]), "the output old.txt exists: name another file\n"),
        (("run.ckpt", "no/a.ckpt", *PRUNE[2:]), "the output: there is no folder no\n"),
        (("old.txt", *PRUNE[1:]), "'old.txt' is not a whole checkpoint of glasscurv"),
        ((*PRUNE, "--plot", "a.jpg"), "--plot must end in .png, .svg, .pdf, got a.jpg\n"),
        (("run.ckpt", "a.png", *PRUNE[2:], "--plot", "a.png"), "--plot a.png is the output or the checkpoint: name"),
        ((*PRUNE, "--data", "regression"), "the data do not fit the 2-12-8-2 network"),
        ((*PRUNE, "--data", "nothing"), "--data must be digits, spirals, regression, FILE.npz"),
        ((*PRUNE, "--tune", "1", "--optimizer", "addam"), "got 'addam' (did you mean adam?)\n"),
        ((*PRUNE, "--tune", "1", "--lr", "-1"), "--optimizer adam: lr must be finite and ≥ 0, got -1.0\n"),
        (
            (*PRUNE, "--sparsity", "0.97", "--criterion", "magnitude", "--scope", "layer"),
            "sparsity 0.97 would remove all 16 weights of group 'layer3': lower it\n",
        ),
        ((*PRUNE, "--tune", "5", "--optimizer", "sgd", "--lr", "1e200"), "non-finite"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(refused, here, arguments, message):
    (here / "old.txt").write_text("old")
    assert message in refused(*arguments)


def test_another_name_of_the_checkpoint_is_no_output(refused, here):
    (here / "link.ckpt").symlink_to("run.ckpt")
    assert "the output link.ckpt is the checkpoint" in refused("run.ckpt", "link.ckpt", *PRUNE[2:])


def test_a_link_that_leads_nowhere_is_replaced(record, run, here):
    (here / "link.ckpt").symlink_to("nowhere")
    record("compress", "run.ckpt", "link.ckpt", *DATA, "--bits", 4)
    assert gc.load_checkpoint("link.ckpt").bits
    assert sorted(path.name for path in here.iterdir()) == ["link.ckpt", "run.ckpt"]


def test_a_network_with_more_zeros_already_is_refused(refused, here):
    network = gc.MLP((2, 12, 8, 2))
    theta = network.initialize(rng=0)
    pruned = gc.compression.prune(theta, abs(theta), 0.75, network.weight_groups())
    gc.save_compressed("start.ckpt", network, pruned.theta)
    assert refused("start.ckpt", "small.ckpt", "--data", "spirals", "--sparsity", 0.5) == (
        "error: sparsity 0.5 removes nothing: 102 of the 136 weights are 0 already\n"
    )


def test_learning_rates_are_refused_before_anything_is_measured(refused, monkeypatch):
    monkeypatch.setattr("glasscurv.estimate_curvature", lambda *_, **__: pytest.fail("measured"))
    assert "lr must be finite" in refused(*PRUNE, "--tune", "1", "--lr", "nan")


def test_what_loses_a_layer_says_how_to_prune_each(refused, record, here):
    network = gc.MLP((2, 12, 8, 2))
    theta = network.initialize(rng=0)
    theta[network.weight_groups()["layer3"]] *= 1e-3
    gc.save_compressed("start.ckpt", network, theta)
    arguments = ("--data", "spirals", "--sparsity", 0.6, "--criterion", "magnitude", "--samples", 1)
    assert refused("start.ckpt", "small.ckpt", *arguments) == (
        "error: sparsity 0.6 would remove all 16 weights of group 'layer3': lower it, or prune each group by itself "
        "with --scope layer\n"
    )
    record("compress", "start.ckpt", "small.ckpt", *arguments, "--scope", "layer")


@pytest.mark.parametrize("name", ["estimate_curvature", "save_compressed", "train"])
def test_what_is_interrupted_saves_nothing(cli, run, here, monkeypatch, name):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"glasscurv.{name}", interrupt)
    status, out, err = cli("compress", *PRUNE, "--samples", 2, "--tune", 1, "--plot", "a.png", "--quiet")
    assert (status, out, err) == (130, "", "interrupted: nothing was saved\n")
    assert [path.name for path in here.iterdir()] == ["run.ckpt"]


def test_interrupted_fine_tuning_saves_nothing(cli, run, here, monkeypatch):
    train = gc.train

    def interrupted(*arguments, **options):
        history = train(*arguments, **options)
        return type(history)(**{**vars(history), "status": "interrupted"})

    monkeypatch.setattr("glasscurv.train", interrupted)
    status, out, err = cli("compress", *PRUNE, "--samples", 2, "--tune", 1, "--quiet")
    assert (status, out, err) == (130, "", "interrupted: nothing was saved\n")
    assert [path.name for path in here.iterdir()] == ["run.ckpt"]
