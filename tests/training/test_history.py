import csv
import json

import numpy as np
import pytest

import glasscurv as gc

NET = gc.MLP((2, 5, 3))
X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.random.default_rng(1).integers(0, 3, 40)


def run(network=NET, y=Y, **options):
    optimizer = gc.Alice(network.initialize(0), 0.03, rng=1)
    settings = {"epochs": 3, "batch_size": 16, "rng": 2, "progress": False, **options}
    return gc.train(network, optimizer, X, y, **settings)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_of_epochs_has_a_row_for_each_and_loses_no_digit(tmp_path):
    history = run(validation=(X, Y))
    history.to_csv(tmp_path / "epochs.csv")
    rows = read(tmp_path / "epochs.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "steps", "evaluations", "loss", "validation_loss", "validation_accuracy"]
    for name in ("steps", "evaluations", "loss", "validation_loss", "validation_accuracy"):
        assert [float(row[name]) for row in rows] == getattr(history, name).tolist()


def test_the_table_of_epochs_has_only_what_was_measured(tmp_path):
    run().to_csv(tmp_path / "epochs.csv")
    assert list(read(tmp_path / "epochs.csv")[0]) == ["epoch", "steps", "evaluations", "loss"]


def test_the_table_of_steps_has_a_row_for_each(tmp_path):
    history = run()
    history.to_csv(tmp_path / "steps.csv", table="steps")
    rows = read(tmp_path / "steps.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 10))
    assert [float(row["loss"]) for row in rows] == history.step_loss.tolist()


def test_the_table_of_snapshots_has_a_row_for_each_layer_of_each(tmp_path):
    history = run(snapshots=gc.Snapshots(every=4, samples=2))
    history.to_csv(tmp_path / "snapshots.csv", table="snapshots")
    rows = read(tmp_path / "snapshots.csv")
    assert [(int(row["step"]), row["layer"]) for row in rows] == [
        (step, layer) for step in (0, 4, 8) for layer in ("layer1", "layer2")
    ]
    density = [float(row["glass_density"]) for row in rows]
    assert density == history.snapshots.glass_density.ravel().tolist()


def test_json_holds_every_number(tmp_path):
    history = run(validation=(X, Y), snapshots=gc.Snapshots(every=4, samples=2))
    history.to_json(tmp_path / "history.json")
    read = json.loads((tmp_path / "history.json").read_text("utf-8"))
    assert read["step_loss"] == history.step_loss.tolist()
    assert read["validation_accuracy"] == history.validation_accuracy.tolist()
    assert read["snapshots"]["exponent"] == history.snapshots.exponent.tolist()
    assert read["snapshots"]["groups"] == ["layer1", "layer2"]
    assert (read["best_epoch"], read["status"]) == (history.best_epoch, "finished")
    assert read == history.to_dict()


def test_json_says_null_where_there_is_no_number(tmp_path):
    class Vanishing(gc.MLP):
        def value(self, theta, X, y):
            return np.nan

    history = run(Vanishing((2, 5, 3)), validation=(X, Y))
    history.to_json(tmp_path / "history.json")
    read = json.loads((tmp_path / "history.json").read_text("utf-8"))
    assert read["validation_loss"] == [None, None, None]
    assert read["snapshots"] is None
    assert np.isnan(history.validation_loss).all()
    assert history.best_epoch is None


def test_the_best_epoch_has_the_least_validation_loss():
    history = run(validation=(X, Y), epochs=12)
    best = int(np.argmin(history.validation_loss)) + 1
    assert history.best_epoch == best
    assert NET.value(history.best_theta, X, Y) == history.validation_loss[best - 1]


def test_without_validation_no_epoch_is_best():
    history = run()
    assert (history.best_epoch, history.best_theta) == (None, None)


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "history.json"
    path.write_text("x" * 100_000)
    run().to_json(path)
    json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("weeks", "table must be one of 'epochs', 'steps', 'snapshots', got 'weeks'"),
        ("snapshots", "table 'snapshots' needs a run with snapshots, and this one took none"),
    ],
)
def test_a_table_that_there_is_not_is_refused_and_no_file_is_made(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        run().to_csv(tmp_path / "table.csv", table=table)
    assert not (tmp_path / "table.csv").exists()


def test_a_history_says_in_one_line_what_happened(tmp_path):
    history = run(checkpoint=tmp_path / "run")
    assert repr(history) == f"<History: finished, 9 steps, 3 epochs, loss {history.loss[-1]:.4g}>"
    assert repr(gc.load_checkpoint(tmp_path / "run")) == f"<Checkpoint: 2-5-3 network, Alice, {history!r}>"
