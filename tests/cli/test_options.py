"""Options, data and mistakes, in this process."""

import json
import re
import shlex
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import glasscurv as gc
from glasscurv import cli as package
from glasscurv.cli import app, inputs
from glasscurv.cli.output import number, plain

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
TINY = ("--data", "spirals", "--layers", "8", "--epochs", "2")


@pytest.fixture
def refused(cli):
    """Run the command, which must refuse: the one line that it prints."""

    def call(*arguments):
        status, out, err = cli(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return call


def examples(text, prompt):
    return [
        shlex.split(line.strip().removeprefix(prompt)) for line in text.splitlines() if line.strip().startswith(prompt)
    ]


def helps():
    texts = (app.glasscurv, app.train, app.profile, app.compress, app.compare)
    return [example for text in texts for example in examples(text.__doc__, "glasscurv ")]


def run_cheaply(cli, example):
    """Run an example as it is written, but for shorter."""
    less = {
        "train": ["--epochs", 3],
        "profile": ["--samples", 2, *([] if any(word.endswith(".ckpt") for word in example) else ["--epochs", 1])],
        "compress": ["--samples", 1, "--rows", 50, *(["--tune", 1] if "--tune" in example else [])],
        "compare": ["--epochs", 1, "--seeds", 2, "--tuning-seeds", 1, "--lr-grid", "0.001,0.01,2", "--workers", 1],
    }
    less = {} if "--load" in example else less
    status, out, err = cli(*example, *less.get(example[0], []), *(["--quiet"] if example[0] in less else []))
    assert status == 0, err
    assert out


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
@pytest.mark.filterwarnings("ignore:differences of group:RuntimeWarning")
def test_every_example_of_page_and_help_runs(cli, here):
    of_page = examples(PAGE, "$ glasscurv ")
    of_help = [example for example in helps() if example not in of_page and "--help" not in example]
    assert len(of_page) >= 12
    assert len(of_help) >= 6
    for example in [*of_page, *of_help]:
        if "--checkpoint" in example and "--resume" not in example:
            for path in here.glob("run.ckpt*"):
                path.unlink()
        if example[0] == "compress":
            (here / example[2]).unlink(missing_ok=True)
        run_cheaply(cli, example)


def test_help_shows_its_examples_unwrapped_and_its_units(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    units = {"train": "nats", "profile": "gradient² per length", "compress": "nats", "compare": "wall-clock time"}
    for command, unit in units.items():
        status, out, _ = cli(command, "--help")
        assert status == 0
        assert unit in out
        shown = [line.strip() for line in out.splitlines()]
        for example in examples(getattr(app, command).__doc__, "glasscurv "):
            assert "glasscurv " + " ".join(example) in shown
    status, out, err = cli()
    assert (status, err) == (2, "")
    assert "compare" in out


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_versions_are_those_that_run(cli, arguments):
    status, out, _ = cli(*arguments)
    assert status == 0
    versions = f"python {sys.version.split()[0]}, numpy {np.__version__}, numba {numba.__version__}"
    assert out == f"glasscurv {gc.__version__}, {versions}\n"
    assert json.loads(cli("version", "--json")[1])["numba"] == numba.__version__


def write_table(path, y):
    X = np.random.default_rng(0).normal(size=(len(y), 3))
    if path.suffix == ".npz":
        np.savez(path, X=X, y=y)
    else:
        np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,c,target", comments="")


@pytest.mark.parametrize("name", ["table.npz", "table.csv"])
def test_the_targets_decide_on_loss_and_width(record, here, name):
    write_table(here / name, np.arange(30) % 3)
    labelled = record("train", "--data", name, "--layers", "5,4", "--epochs", 1, "--validation", 0.5)
    assert (labelled["layers"], labelled["loss_function"]) == ([3, 5, 4, 3], "cross_entropy")
    numbers = record("train", "--data", name, "--layers", 5, "--epochs", 1, "--loss", "mse")
    assert (numbers["layers"], numbers["loss_function"]) == ([3, 5, 1], "mse")
    assert numbers["validation_accuracy"] is None
    write_table(here / name, np.arange(30) + 0.5)
    assert record("train", "--data", name, "--layers", 5, "--epochs", 1)["loss_function"] == "mse"


def test_several_targets_make_as_many_outputs(record, here):
    np.savez(here / "two.npz", X=np.ones((10, 3)), y=np.ones((10, 2)))
    assert record("train", "--data", "two.npz", "--layers", 5, "--epochs", 1)["layers"] == [3, 5, 2]


def test_regression_is_built_in(record):
    found = record("train", "--data", "regression", "--layers", 8, "--epochs", 1)
    assert found["loss_function"] == "mse"


def test_train_does_what_the_library_does(record):
    """The three streams of the seed go to parameters, directions and shuffling."""
    found = record(
        "train", *TINY, "--seed", 5, "--lr", 0.01, "--option", "quick_steps=1", "--option", "betas=0.8/0.99",
        "--batch-size", 40, "--schedule", "step:7,0.5", "--dtype", "float32", "--activation", "silu",
    )  # fmt: skip
    split = gc.data.two_spirals(rng=0)
    X, y, X_validation, y_validation = (part.astype(np.float32) if part.ndim == 2 else part for part in split)
    net = gc.MLP((2, 8, 2), activation="silu")
    initial, directions, shuffling = (np.random.default_rng(s) for s in np.random.SeedSequence(5).spawn(3))
    theta0 = net.initialize(initial, dtype=np.float32)
    optimizer = gc.Alice(theta0, lr=0.01, quick_steps=1, betas=(0.8, 0.99), rng=directions)
    history = gc.train(
        net, optimizer, X, y, 2, 40, (X_validation, y_validation), shuffling, False,
        schedule=gc.schedules.step(0.01, 7, 0.5),
    )  # fmt: skip
    assert found["loss"] == history.loss[-1]
    assert found["validation_accuracy"] == history.validation_accuracy[-1]
    assert found["options"]["betas"] == [0.8, 0.99]
    assert (found["lr"], found["parameters"], found["status"]) == (0.01, net.size, "finished")


def test_whole_targets_are_labels_however_the_file_holds_them(record, here):
    y = np.arange(30) % 2
    runs = []
    for name, targets in [("a.npz", y), ("b.npz", y.astype(np.float32)), ("c.npz", y[:, None] * 1.0), ("d.csv", y)]:
        write_table(here / name, y)
        if name.endswith("npz"):
            np.savez(here / name, X=np.random.default_rng(0).normal(size=(30, 3)), y=targets)
        runs.append(record("train", "--data", name, "--layers", 5, "--epochs", 1))
    assert [(run["loss_function"], run["layers"]) for run in runs] == 4 * [("cross_entropy", [3, 5, 2])]
    assert len({run["loss"] for run in runs}) == 1


def test_a_single_class_is_refused(refused, here):
    write_table(here / "ones.csv", np.ones(30))
    assert "the training targets are all of the class 1: there is nothing to learn\n" in refused(
        "train", "--data", "ones.csv"
    )


def test_what_does_not_fit_the_memory_is_refused_whether_or_not_the_machine_tells_it(monkeypatch, refused):
    monkeypatch.setattr(inputs, "available_memory", lambda: 1000)
    for command in ("train", "profile", "compare"):
        message = refused(command, "--data", "spirals", "--layers", 8)
        assert "--layers: a network of 42 parameters needs about " in message
        assert message.endswith("GB of memory, and 1e-06 GB are free\n")
    monkeypatch.setattr(inputs, "available_memory", lambda: None)
    assert "and 2e+08 are the most\n" in refused("train", "--layers", 99999999)


def test_training_leaves_memory_alone_where_it_is_unknown(monkeypatch, record):
    monkeypatch.setattr(inputs, "available_memory", lambda: None)
    assert record("train", *TINY)["status"] == "finished"


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the system does not tell")
def test_the_memory_is_asked_of_the_system(monkeypatch):
    assert inputs.available_memory() > 2**20
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "MemTotal: 5 kB\n")
    assert inputs.available_memory() is None


def test_what_diverges_is_one_line(refused):
    for arguments in (("--lr", 1e300), ("--optimizer", "sgd", "--lr", 1e5)):
        assert "step" in refused("train", *TINY, "--data", "regression", *arguments, "--quiet")


def test_options_that_a_saved_comparison_would_ignore_are_refused(refused):
    Path("found.json").touch()
    for option in (("--target", 0.3), ("--epochs", 3), ("--optimizer", "adam"), ("--tune",)):
        assert refused("compare", "--load", "found.json", *option) == (
            f"error: {option[0]} is for running, and --load shows what was run before\n"
        )


def test_a_run_too_short_for_alice_says_so(cli):
    _, _, err = cli("train", *TINY[:4], "--steps", 10, "--quiet")
    assert err == "Alice has not moved yet: its first 10 steps only gather averages\n"
    assert cli("train", *TINY[:4], "--steps", 11, "--quiet")[2] == ""
    assert cli("train", *TINY[:4], "--steps", 1, "--quiet", "--optimizer", "adam")[2] == ""
    assert "its first 2 steps" in cli("train", *TINY[:4], "--steps", 2, "--quiet", "--option", "betas=0.5/0.9")[2]


@pytest.mark.parametrize(("name", "command"), [("comparison.compare", "compare"), ("curvature_profile", "profile")])
def test_what_is_interrupted_says_that_nothing_was_saved(monkeypatch, cli, name, command):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"glasscurv.{name}", interrupt)
    more = ("--epochs", 0) if command == "profile" else ()
    assert cli(command, *TINY[:4], *more, "--quiet") == (130, "", "interrupted: nothing was saved\n")


def test_interrupted_while_starting_up_is_one_line(monkeypatch, capsys):
    class Interrupting:
        def find_spec(self, name, path, target=None):
            if name == "glasscurv.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "glasscurv.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        package.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_errors_of_the_system_are_in_plain_words(refused, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "found.json")

    monkeypatch.setattr("glasscurv.cli.inputs.load_data", full)
    assert refused("train") == "error: found.json: No space left on device\n"


def test_steps_patience_and_snapshots_reach_the_trainer(record, here):
    assert record("train", *TINY[:4], "--steps", 3)["steps"] == 3
    stopped = record("train", *TINY[:4], "--epochs", 50, "--patience", 1, "--optimizer", "sgd", "--lr", 5)
    assert stopped["status"] == "early stopping"
    record("train", *TINY, "--snapshots", 4, "--history", "all.json")
    saved = json.loads((here / "all.json").read_text())
    assert saved["snapshots"]["step"] == [0, 4]


def test_schedules_are_those_of_the_library():
    make = inputs.make_schedule
    assert make("constant", 0.1, 9) is None
    assert make("warmup:5", 0.1, 9) == gc.schedules.warmup(0.1, 5)
    assert make("step:5", 0.1, 9) == gc.schedules.step(0.1, 5)
    assert make("step:5,0.5", 0.1, 9) == gc.schedules.step(0.1, 5, 0.5)
    assert make("cosine", 0.1, 9) == gc.schedules.cosine(0.1, 9)
    assert make("cosine:0.01", 0.1, 9) == gc.schedules.cosine(0.1, 9, 0.01)
    assert make("warmup:5+cosine", 0.1, 9) == gc.schedules.warmup(gc.schedules.cosine(0.1, 9), 5)
    assert make("warmup:5+step:2,0.5", 0.1, 9) == gc.schedules.warmup(gc.schedules.step(0.1, 2, 0.5), 5)


@pytest.mark.parametrize(
    "text",
    [
        "cos",
        "warmup",
        "warmup:",
        "warmup:x",
        "step:x",
        "step:1,2,3",
        "cosine:1,2",
        "constant:1",
        "warmup:2+",
        "step:2+cosine",
    ],
)
def test_schedules_that_are_none_are_refused(refused, text):
    assert refused("train", *TINY, "--schedule", text) == (
        "error: --schedule must be constant, step:EVERY[,FACTOR], cosine[:FINAL] or warmup:STEPS, which may go on as "
        f"warmup:STEPS+cosine, got '{text}'\n"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("warmup:0", "steps must be ≥ 1, got 0"),
        ("warmup:1.5", "1.5 is no whole number of steps"),
        ("step:0", "every must be ≥ 1, got 0"),
        ("warmup:5+cosine:-1", "final must be finite and ≥ 0, got -1.0"),
    ],
)
def test_values_that_a_schedule_refuses_are_named_with_the_option(refused, text, reason):
    assert refused("train", *TINY, "--schedule", text) == f"error: --schedule {text}: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "No such command 'nothing'"),
        (("train", "--nothing"), "No such option: --nothing"),
        (("train", "--epochs", "x"), "--epochs"),
        (("train", "--epochs", "0"), "--epochs"),
        (("train", "--activation", "rely"), "'rely' is not one of 'relu'"),
        (("train", "--epochs", "3", "--steps", "3"), "--epochs and --steps exclude each other"),
        (("train", "--data", "digit"), "got 'digit' (did you mean digits?)"),
        (("train", "--data", "what"), "--data must be digits, spirals, regression, FILE.npz, FILE.csv or IDX images"),
        (("train", "--data", "no.csv"), "there is no file no.csv"),
        (("train", "--data", "a.idx"), "give the file of their labels with --labels"),
        (("train", "--data", "train-images-idx3-ubyte"), "give the file of their labels with --labels"),
        (("train", "--data", "a.npz", "--labels", "b"), "--labels is for IDX images; a.npz holds the targets itself"),
        (("train", "--data", "spirals", "--labels", "b"), "--labels is for files; spirals comes with labels"),
        (("train", "--data", "spirals", "--validation", "0.5"), "--validation is for files; spirals comes with"),
        (("train", *TINY, "--layers", "8,x"), "--layers must be widths ≥ 1 joined by commas, such as 64,64, got '8,x'"),
        (("train", *TINY, "--layers", "0"), "--layers must be widths ≥ 1"),
        (("train", "--data", "regression", "--loss", "cross_entropy"), "--loss cross_entropy needs labels"),
        (
            ("train", *TINY, "--optimizer", "alise"),
            "--optimizer must be one of sgd, adam, adamw, adahessian, alice, got 'alise' (did you mean alice?)\n",
        ),
        (
            ("train", *TINY, "--optimizer", "lbfgs"),
            "--optimizer must be one of sgd, adam, adamw, adahessian, alice, got 'lbfgs'\n",
        ),
        (("train", *TINY, "--option", "quick=3"), "unknown option 'quick' of alice (did you mean 'quick_steps'?)"),
        (("train", *TINY, "--option", "eps"), "an option must have the form option=value, got 'eps'"),
        (("train", *TINY, "--lr", "-1"), "--optimizer alice: lr must be finite and > 0, got -1.0"),
        (("train", "--data", "a.npz", "--validation", "1"), "--validation must be in (0, 1), got 1"),
        (("train", *TINY, "--plot", "a.jpg"), "--plot must end in .png, .svg, .pdf, got a.jpg"),
        (("train", *TINY, "--plot", "no/a.png"), "--plot: there is no folder no"),
        (("train", *TINY, "--history", "a.txt"), "--history must end in .csv, .json, got a.txt"),
        (("train", *TINY, "--checkpoint", "."), "--checkpoint must name a file, got '.'"),
        (("train", *TINY, "--checkpoint", ""), "--checkpoint must name a file, got '.'"),
        (("train", *TINY, "--checkpoint", "../"), "--checkpoint must be a file, and .. is a folder"),
        (("train", *TINY, "--plot", 300 * "a" + ".png"), "a.png cannot be written: File name too long"),
        (("train", "--layers", "99999999"), "--layers: a network of 7499999935 parameters needs about"),
        (("train", *TINY, "--resume"), "--resume needs --checkpoint FILE"),
        (("train", *TINY, "--checkpoint-every", "3"), "--checkpoint-every needs --checkpoint FILE"),
        (("profile", "no.ckpt"), "the checkpoint: there is no file no.ckpt\n"),
        (("profile", ".."), "the checkpoint must be a file, and .. is a folder\n"),
        (("profile", *TINY, "--length", "-1"), "--length must be finite and > 0, got -1"),
        (("compare", *TINY, "--optimizer", "adam:lrate=1"), "unknown option 'lrate' of adam"),
        (("compare", *TINY, "--lr-grid", "1,2"), "--lr-grid must be LOW,HIGH,COUNT, such as 1e-4,1e-1,7, got '1,2'"),
        (("compare", *TINY, "--save", "a.csv"), "--save must end in .json, got a.csv"),
        (("compare", "--load", "no.json"), "--load: there is no file no.json\n"),
        (("compare", "--load", ".."), "--load must be a file, and .. is a folder\n"),
        (
            ("compare", *TINY, "--lr-grid", "1,0.1,3"),
            "--lr-grid 1,0.1,3: high of lr_grid must be finite and ≥ 1, got 0.1\n",
        ),
        (("compare", *TINY, "--target", "-1"), "--target must be finite and ≥ 0, got -1.0\n"),
        (("compare", *TINY, "--target", "nan"), "--target must be finite and ≥ 0, got nan\n"),
        (
            ("compare", *TINY, "--target", "95", "--metric", "validation_accuracy"),
            "--target must be in [0, 1], got 95.0\n",
        ),
    ],
)
def test_mistakes_are_one_line(refused, arguments, message):
    assert message in refused(*arguments)


def test_whole_numbers_that_are_no_labels_are_pointed_out(refused, here):
    for name, y, extent in [
        ("prices.csv", 1000 * np.arange(30), "0 to 29000 in 24"),
        ("signs.npz", 2 * (np.arange(30) % 2) - 1, "-1 to 1 in 24"),
        ("negative.npz", -np.ones(30, int), "-1 to -1 in 24"),
        ("identity.npz", np.array([0, 10**9] * 15), "0 to 1000000000 in 24"),
    ]:
        write_table(here / name, y)
        message = (
            "labels must be 0 … k−1, of k classes in at least as many rows; the targets are whole numbers "
            f"from {extent} training rows: --loss mse takes them as values"
        )
        for command in ("train", "profile", "compare"):
            assert message in refused(command, "--data", name)


def test_labels_from_one_leave_an_output_without_rows(record, here):
    write_table(here / "months.npz", 1 + np.arange(30) % 12)
    assert record("train", "--data", "months.npz", "--layers", 5, "--epochs", 1)["layers"] == [3, 5, 13]


def test_data_that_do_not_fit_the_checkpoint_are_refused(cli, refused):
    cli("train", *TINY, "--checkpoint", "run.ckpt", "--quiet")
    assert "the data do not fit the 2-8-2 network: X must have shape (rows, 2)" in refused("profile", "run.ckpt")
    assert "--layers is for training" in refused("profile", "run.ckpt", "--layers", "8")


def test_a_compressed_network_is_measured_and_not_trained_on(record, refused, here):
    network = gc.MLP((2, 8, 2))
    rounded = gc.compression.quantize(network.initialize(0), 4, network.weight_groups())
    gc.save_compressed(here / "small.ckpt", network, rounded.theta, rounded)
    assert record("profile", "small.ckpt", "--data", "spirals", "--samples", 2)["layers"] == [2, 8, 2]
    assert "holds a compressed network" in refused("train", *TINY, "--checkpoint", "small.ckpt", "--resume")


def test_a_checkpoint_is_never_lost(cli, refused, here):
    run = ("train", *TINY, "--checkpoint", "run.ckpt", "--quiet", "--lr", 0.01)
    status, _, err = cli(*run, "--resume")
    assert status == 0
    assert err.startswith("no checkpoint run.ckpt yet: starting anew\n")
    before = (here / "run.ckpt").read_bytes()
    assert "checkpoint run.ckpt exists: add --resume to go on from it, or name another file" in refused(*run)
    assert "is of another run" in refused(*run, "--resume", "--layers", 9)
    assert "checkpoint run.ckpt is of a run with another --seed" in refused(*run, "--resume", "--seed", 1)
    assert "was saved at a learning rate of 0.01, and this command says 0.5" in refused(*run, "--resume", "--lr", 0.5)
    for more in ((), ("--lr", 0.5), ("--seed", 1)):
        assert "checkpoint run.ckpt is of a run with --optimizer alice, not adam\n" in refused(
            *run, "--resume", "--optimizer", "adam", *more
        )
    assert "schedule" in refused(*run, "--resume", "--schedule", "cosine", "--lr", 0.5)
    assert (here / "run.ckpt").read_bytes() == before


def test_a_run_with_a_schedule_is_resumed(record):
    run = ("train", *TINY[:4], "--batch-size", 100, "--schedule", "step:3")
    whole = record(*run, "--epochs", 3)
    record(*run, "--epochs", 1, "--checkpoint", "run.ckpt")
    resumed = record(*run, "--epochs", 3, "--checkpoint", "run.ckpt", "--resume")
    assert resumed["loss"] == whole["loss"]
    assert resumed["lr"] == whole["lr"]


def test_interrupted_without_a_checkpoint_says_that_nothing_is_saved(cli, monkeypatch):
    def interrupt(*arguments, **options):
        options["callback"] = None
        history = train(*arguments, **options)
        return type(history)(**{**vars(history), "status": "interrupted"})

    train = gc.train
    monkeypatch.setattr("glasscurv.train", interrupt)
    status, _, err = cli("train", *TINY, "--quiet")
    assert (status, err) == (130, "interrupted after 8 steps; nothing was saved: --checkpoint would have\n")
    assert cli("profile", *TINY, "--quiet")[0] == 130


def test_profile_measures_as_the_library_does(record):
    found = record("profile", *TINY[:4], "--epochs", 0, "--rows", 100, "--seed", 4, "--length", 0.01, "--samples", 3)
    split, net = gc.data.two_spirals(rng=0), gc.MLP((2, 8, 2))
    initial, _, shuffling = (np.random.default_rng(s) for s in np.random.SeedSequence(4).spawn(3))
    rows = np.sort(shuffling.choice(len(split.X), 100, replace=False))
    profile = gc.curvature_profile(
        lambda theta: net.value_and_grad(theta, split.X[rows], split.y[rows])[1],
        net.initialize(initial),
        net.groups,
        0.01,
        3,
        rng=np.random.default_rng(np.random.SeedSequence(4).spawn(3)[1]),
    )
    assert [row["layer"] for row in found["table"]] == ["layer1", "layer2"]
    for name in ("glass_density", "hessian_rms", "exponent", "glass_share", "verdict"):
        assert [row[name] for row in found["table"]] == plain(list(getattr(profile, name)))
    assert (found["rows"], found["length"], found["evaluations"]) == (100, 0.01, profile.evaluations)


@pytest.mark.filterwarnings("ignore:differences of group:RuntimeWarning")
def test_a_profile_of_rounding_shows_no_numbers(cli, record):
    short = ("profile", *TINY[:4], "--epochs", 0, "--length", 1e-10)
    for row in record(*short)["table"]:
        assert (row["verdict"], row["glass_density"], row["glass_share"], row["exponent"]) == ("none", None, None, None)
        assert row["hessian_rms"] > 0  # first differences are far above their rounding
    _, out, _ = cli(*short)
    assert "layer1: none, exponent –: no bend exceeds rounding" in out
    for row in record(*short[:-1], 1e-3)["table"]:
        assert None not in row.values()


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line(cli):
    status, _, err = cli("profile", *TINY[:4], "--epochs", 0, "--length", 1e-15)
    assert status == 0
    assert err
    assert all(line.startswith("warning: ") for line in err.splitlines())


def test_comparison_is_that_of_the_library(cli, record):
    common = ("compare", *TINY, "--batch-size", 50, "--metric", "loss", "--seeds", 2)
    found = record(*common, "--optimizer", "adam:lr=0.01", "--optimizer", "quick=alice:quick_steps=9", "--no-tune")
    rates = gc.comparison.LEARNING_RATES
    split = gc.data.two_spirals(rng=0)
    expected = gc.comparison.compare(
        ["adam:lr=0.01", gc.comparison.Method("quick", "alice", rates["alice"], {"quick_steps": 9})],
        gc.MLP((2, 8, 2)), split, seeds=range(2), epochs=2, batch_size=50, metric="loss", progress=False,
    )  # fmt: skip
    seconds = {"seconds", "seconds_interval"}
    for row, wanted in zip(found["table"], expected.rows(), strict=True):
        assert {k: v for k, v in row.items() if k not in seconds} == {
            k: v for k, v in plain(wanted).items() if k not in seconds
        }
    tuned = record(*common, "--optimizer", "adam", "--lr-grid", "0.001,1,2", "--tuning-seeds", 1)
    assert tuned["table"][0]["lr"] in (0.001, 1)
    assert tuned["table"][0]["at_edge"]


def test_the_table_says_what_to_beware_of(cli):
    status, out, err = cli(
        "compare", *TINY, "--seeds", 2, "--optimizer", "sgd:lr=1e200", "--optimizer", "adam", "--lr-grid",
        "0.01,0.02,2",        "--tuning-seeds", 1, "--metric", "validation_accuracy", "--target", 0.99, "--quiet",
    )  # fmt: skip
    assert status == 0, err
    assert "sgd:lr=1e200: 2 of 2 runs diverged; the final values leave them out." in out
    assert "adam: the learning rate is at the edge of its grid; a better one may lie outside." in out
    assert "The target is a validation accuracy of 0.99." in out
    assert "0 of 2" in out


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal(cli, monkeypatch, columns):
    cli(
        "compare", *TINY, "--seeds", 2, "--optimizer", "sgd:momentum=0.9,lr=0.1", "--optimizer", "adam:lr=0.02",
        "--target", 0.69, "--save", "found.json", "--quiet",
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = re.sub(r"\x1b\[[0-9;]*m", "", cli("compare", "--load", "found.json")[1])
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= columns
    assert sum(line.split()[:1] == ["method"] for line in lines) == (1 if columns == 200 else 2)
    headings = {word for line in lines for word in line.split()}
    assert {"accuracy", "validation", "gradients", "steps", "seconds", "reached"} <= headings
    profile = cli("profile", *TINY[:4], "--epochs", 0, "--samples", 2)[1]
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()) for line in profile.splitlines()) <= max(columns, 80)


def test_tables_in_files_have_no_trailing_blanks_and_count_in_words(cli):
    out = cli("compare", *TINY[:4], "--epochs", 1, "--seeds", 1, "--optimizer", "adam:lr=0.02", "--quiet")[1]
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "1 seed, at most 4 gradients a run\n" in out
    assert "intervals" not in out
    assert (
        "1 epoch, 4 steps, 4 gradient evaluations"
        in cli("train", *TINY[:4], "--epochs", 1, "--optimizer", "adam", "--quiet")[1]
    )


def test_bugs_are_not_hidden(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("glasscurv.cli.inputs.load_data", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        app.run(["train"])


def test_a_missing_package_is_one_line(monkeypatch, capsys, refused):
    monkeypatch.setitem(sys.modules, "glasscurv.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        package.main()
    monkeypatch.delitem(sys.modules, "glasscurv.cli.app")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as stopped:
        package.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: the command needs typer: pip install 'glasscurv[cli]'\n"


def test_a_missing_matplotlib_is_told_before_anything_is_computed(monkeypatch, refused):
    monkeypatch.setattr("glasscurv.cli.output.find_spec", lambda name: None)
    assert "--plot needs matplotlib: pip install 'glasscurv[plot]'" in refused("train", "--plot", "a.png")


def test_old_versions_of_click_end_with_the_same_status(monkeypatch):
    def abort(*_, **__):
        raise app.typer.Abort

    monkeypatch.setattr(app, "app", abort)
    assert app.run([]) == 130


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.123456, np.nan, "0.1235"), (123456.0, np.nan, "123500"), (1e-7, np.nan, "1e-07"), (np.nan, np.nan, "–"),
        (np.inf, np.nan, "inf"), (-0.0, np.nan, "0"), (140.8, 16, "141 ± 16"), (311.2, 104, "311 ± 104"),
        (0.13, 0.0026, "0.1300 ± 0.0026"), (0.0996, 0.0996, "0.10 ± 0.10"), (-1e-9, 0.01, "0.000 ± 0.010"),
        (1e-7, 2e-8, "(1.00 ± 0.20)e-07"), (5e7, 1e6, "(5.00 ± 0.10)e+07"), (123456.0, 0.0, "123500"),
        (99.0, 3.4e-14, "99"),
    ],
)  # fmt: skip
def test_numbers_show_the_digits_that_count(value, interval, text):
    assert number(value, interval) == text


def test_json_holds_no_nan():
    assert plain({"a": np.array([1.0, np.nan]), "b": (np.float64(np.inf), np.int64(2), "x", None)}) == {
        "a": [1.0, None],
        "b": [None, 2, "x", None],
    }
