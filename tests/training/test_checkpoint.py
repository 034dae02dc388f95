import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import glasscurv as gc
from glasscurv.training import files as module

ROOT = Path(__file__).parent.parent.parent
NET = gc.MLP((2, 5, 3))
X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.random.default_rng(1).integers(0, 3, 40)

OPTIMIZERS = {
    "sgd": lambda theta: gc.SGD(theta, 0.1, momentum=0.9),
    "adam": lambda theta: gc.Adam(theta, 0.03),
    "alice": lambda theta: gc.Alice(theta, 0.03, rng=1),
    "vector": lambda theta: gc.Alice(theta, np.linspace(0.01, 0.05, theta.size), rng=1),
    "single": lambda theta: gc.Alice(theta.astype(np.float32), 0.03, rng=1),
}


def run(path=None, optimizer="alice", seed=0, **options):
    """Train on noise: (history, optimizer)."""
    opt = OPTIMIZERS[optimizer](NET.initialize(seed))
    settings = {"epochs": 4, "batch_size": 16, "validation": (X[:9], Y[:9]), "rng": 2, "progress": False, **options}
    return gc.train(NET, opt, X, Y, checkpoint=path, **settings), opt


def stop_after(epochs):
    """Return a callback that ends the training early."""

    def callback(record):
        if record.epoch == epochs:
            raise StopIteration

    return callback


# A run that goes on


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_goes_on_equals_one_that_never_stopped(tmp_path, optimizer, stop):
    whole, expected = run(tmp_path / "whole", optimizer)
    first, _ = run(tmp_path / "run", optimizer, callback=stop_after(stop))
    assert (first.status, len(first.loss)) == ("stopped", stop)
    history, resumed = run(tmp_path / "run", optimizer)
    assert (tmp_path / "run").read_bytes() == (tmp_path / "whole").read_bytes()
    assert resumed.theta.tobytes() == expected.theta.tobytes()
    assert history.to_dict() == whole.to_dict()
    assert history.best_theta.tobytes() == whole.best_theta.tobytes()


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 7, 11])
def test_a_run_stopped_within_an_epoch_goes_on_with_the_same_order(tmp_path, stop):
    whole, expected = run(tmp_path / "whole")
    run(tmp_path / "run", epochs=None, steps=stop)
    history, resumed = run(tmp_path / "run")
    assert resumed.theta.tobytes() == expected.theta.tobytes()
    assert history.to_dict() == whole.to_dict()
    assert (tmp_path / "run").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("stop", [1, 3, 4, 7, 11])
def test_a_run_that_prunes_as_it_goes_on_keeps_its_mask(tmp_path, stop):
    def pruned(path, **options):
        optimizer = OPTIMIZERS["alice"](NET.initialize(0))

        def callback(record):
            size = abs(record.theta)
            optimizer.mask = size >= np.quantile(size, 0.2 * record.epoch)

        settings = {"epochs": 4, "batch_size": 16, "rng": 2, "progress": False, "callback": callback, **options}
        return gc.train(NET, optimizer, X, Y, checkpoint=path, **settings), optimizer

    whole, expected = pruned(tmp_path / "whole")
    pruned(tmp_path / "run", epochs=None, steps=stop)
    history, resumed = pruned(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == (tmp_path / "whole").read_bytes()
    assert history.to_dict() == whole.to_dict()
    assert resumed.theta.tobytes() == expected.theta.tobytes()
    assert resumed.mask.tobytes() == expected.mask.tobytes()
    assert np.count_nonzero(resumed.mask) < 0.3 * resumed.mask.size
    saved = gc.load_checkpoint(tmp_path / "run").optimizer_state["arrays"]
    assert np.array_equal(saved["theta"] != 0, saved["mask"])


def test_a_checkpoint_from_before_pruning_does_not_bring_weights_back(tmp_path):
    def tuned(mask, epochs):
        optimizer = OPTIMIZERS["alice"](NET.initialize(0))
        optimizer.mask = mask
        gc.train(NET, optimizer, X, Y, epochs, rng=2, progress=False, checkpoint=tmp_path / "run")
        return optimizer

    tuned(None, 1)
    few, fewer = np.arange(NET.size) % 2 == 0, np.arange(NET.size) % 4 == 0
    written = (tmp_path / "run").read_bytes()
    with pytest.raises(ValueError, match="has weights that the optimizer's mask removes: it is of a run before"):
        tuned(few, 2)
    assert (tmp_path / "run").read_bytes() == written
    (tmp_path / "run").unlink()
    (tmp_path / "run.previous").unlink(missing_ok=True)
    tuned(few, 1)
    for mask in (few, None, np.ones(NET.size, bool)):
        assert np.array_equal(tuned(mask, 2).mask, few)
    with pytest.raises(ValueError, match="mask removes"):
        tuned(fewer, 3)


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    whole, optimizer = run(tmp_path / "run")
    again, other = run(tmp_path / "run")
    assert again.to_dict() == whole.to_dict()
    assert other.theta.tobytes() == optimizer.theta.tobytes()


def test_checkpoints_do_not_change_the_training(tmp_path):
    history, optimizer = run(tmp_path / "run", checkpoint_every=1)
    plain, other = run()
    assert history.to_dict() == plain.to_dict()
    assert optimizer.theta.tobytes() == other.theta.tobytes()


def test_what_the_file_holds_replaces_what_was_passed(tmp_path):
    _, expected = run(tmp_path / "run")
    _, optimizer = run(tmp_path / "run", seed=99, rng=99)
    assert optimizer.theta.tobytes() == expected.theta.tobytes()


def test_one_generator_may_serve_optimizer_and_shuffling(tmp_path):
    def shared(path, steps):
        rng = np.random.default_rng(5)
        optimizer = gc.Alice(NET.initialize(rng), 0.03, rng=rng)
        gc.train(NET, optimizer, X, Y, steps=steps, batch_size=16, rng=rng, progress=False, checkpoint=path)
        return optimizer

    shared(tmp_path / "run", 4)
    assert shared(tmp_path / "run", 12).theta.tobytes() == shared(tmp_path / "whole", 12).theta.tobytes()


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_every_bit_generator_of_numpy_is_saved(tmp_path, kind):
    _, expected = run(rng=np.random.Generator(kind(3)))
    run(tmp_path / "run", rng=np.random.Generator(kind(3)), epochs=None, steps=4)
    _, resumed = run(tmp_path / "run", rng=np.random.Generator(kind(8)))
    assert resumed.theta.tobytes() == expected.theta.tobytes()


def test_checkpoints_are_written_every_so_many_steps(tmp_path):
    seen = []

    class Watching(gc.MLP):
        def value_and_grad(self, theta, X, y):
            path = tmp_path / "run"
            seen.append(len(gc.load_checkpoint(path).history.step_loss) if path.exists() else 0)
            return super().value_and_grad(theta, X, y)

    optimizer = gc.SGD(NET.initialize(0), 0.1)
    gc.train(
        Watching((2, 5, 3)), optimizer, X, Y, epochs=3, batch_size=16, rng=0, progress=False,
        checkpoint=tmp_path / "run", checkpoint_every=2,
    )  # fmt: skip
    assert seen == [0, 0, 2, 2, 4, 4, 6, 6, 8]
    assert len(gc.load_checkpoint(tmp_path / "run").history.step_loss) == 9


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_a_run_killed_at_fifty_random_moments_ends_in_the_same_bytes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path), "50"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert len(report["steps"]) == 50
    assert len(set(report["steps"])) > 5  # the moments differ
    assert report["identical"]
    assert all(report["identical"])
    assert set(report["files"]) <= {"run.ckpt", "run.ckpt.previous", "run.ckpt.unfinished"}


# The file


def test_a_checkpoint_gives_network_parameters_and_history_back(tmp_path):
    history, optimizer = run(tmp_path / "run", snapshots=gc.Snapshots(every=5, samples=2))
    saved = gc.load_checkpoint(tmp_path / "run")
    assert saved.theta.tobytes() == optimizer.theta.tobytes()
    assert saved.history.to_dict() == history.to_dict()
    assert saved.network.value(saved.theta, X, Y) == NET.value(optimizer.theta, X, Y)
    other = OPTIMIZERS["alice"](NET.initialize(7))
    other.load_state_dict(saved.optimizer_state)
    assert other.state_dict()["rng"] == optimizer.state_dict()["rng"]
    assert saved.metadata["status"] == "finished"


@pytest.mark.parametrize(
    "network",
    [
        gc.MLP((2, 3, 3), activation="tanh"),
        gc.MLP((2, 3, 3), activation=gc.networks.leaky_relu(0.25)),
        gc.MLP((2, 3, 1), loss="mse"),
    ],
    ids=["tanh", "leaky", "mse"],
)
def test_the_network_is_rebuilt_from_its_description(tmp_path, network):
    y = Y.astype(float) if network.loss.name == "mse" else Y
    optimizer = gc.SGD(network.initialize(0), 0.01)
    gc.train(network, optimizer, X, y, epochs=1, rng=0, progress=False, checkpoint=tmp_path / "run")
    rebuilt = gc.load_checkpoint(tmp_path / "run").network
    assert rebuilt.layers == network.layers
    assert rebuilt.value(optimizer.theta, X, y) == network.value(optimizer.theta, X, y)


def test_a_network_with_an_activation_of_ones_own_cannot_be_rebuilt(tmp_path):
    activation = gc.networks.Activation("cube", lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x)
    network = gc.MLP((2, 3, 3), activation=activation)
    optimizer = gc.SGD(network.initialize(0), 0.01)
    gc.train(network, optimizer, X, Y, epochs=1, rng=0, progress=False, checkpoint=tmp_path / "run")
    saved = gc.load_checkpoint(tmp_path / "run")
    assert saved.theta.tobytes() == optimizer.theta.tobytes()
    with pytest.raises(ValueError, match=r"activation 'cube' or the loss 'cross_entropy' .*is not the library's own"):
        saved.network  # noqa: B018


def test_a_loss_that_only_has_the_name_of_the_librarys_is_not_taken_for_it(tmp_path):
    class Larger(type(gc.MLP((1, 1), loss="mse").loss)):
        def value(self, outputs, y):
            return 100 * super().value(outputs, y)

    network = gc.MLP((2, 3, 1), loss=Larger())
    optimizer = gc.SGD(network.initialize(0), 0.01)
    gc.train(network, optimizer, X, Y.astype(float), epochs=1, rng=0, progress=False, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="or the loss 'mse' of the checkpoint is not the library's own"):
        gc.load_checkpoint(tmp_path / "run").network  # noqa: B018


def test_the_checkpoint_before_the_last_is_kept(tmp_path):
    run(tmp_path / "run", epochs=3)
    older = gc.load_checkpoint(tmp_path / "run.previous")
    assert older.history.status == "running"
    assert len(older.history.loss) == 2
    run(tmp_path / "run", epochs=3)  # has nothing left to do, and nothing to replace
    assert len(gc.load_checkpoint(tmp_path / "run.previous").history.loss) == 2
    assert sorted(os.listdir(tmp_path)) == ["run", "run.previous"]


def test_the_format_is_safetensors_with_json(tmp_path):
    from safetensors.numpy import load_file

    _, optimizer = run(tmp_path / "run")
    arrays = load_file(tmp_path / "run")
    assert arrays["optimizer/theta"].tobytes() == optimizer.theta.tobytes()


def test_the_file_is_whole_and_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "link", "replace"):
        original = getattr(module.os, name)

        def recorded(*arguments, name=name, original=original):
            calls.append(name)
            if name == "replace":
                gc.load_checkpoint(arguments[0])
            return original(*arguments)

        monkeypatch.setattr(module.os, name, recorded)
    run(tmp_path / "run", epochs=1)
    first, last = calls[:3], calls[3:]
    assert first == ["fsync", "replace", "fsync"]  # of the file, then of the folder
    assert last == ["fsync", "link", "replace", "fsync"]


def test_a_relative_path_does_not_follow_the_programs_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run("run", callback=lambda record: os.chdir(tmp_path / "elsewhere"))
    assert len(gc.load_checkpoint(tmp_path / "run").history.loss) == 4
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_stopped_run_stays_stopped_for_the_same_callback_and_goes_on_for_another(tmp_path):
    seen = []

    def callback(record):
        seen.append((record.epoch, record.steps, record.evaluations, record.loss, record.validation_loss))
        stop_after(2)(record)

    first, optimizer = run(tmp_path / "run", callback=callback)
    again, other = run(tmp_path / "run", callback=callback)
    assert again.to_dict() == first.to_dict()
    assert other.theta.tobytes() == optimizer.theta.tobytes()
    assert [epoch for epoch, *_ in seen] == [1, 2, 2]
    assert seen[1] == seen[2]
    assert run(tmp_path / "run", callback=stop_after(9))[0].status == "finished"


def test_schedules_are_told_by_their_settings_and_functions_by_nothing(tmp_path):
    first, second = gc.schedules.cosine(0.03, steps=20), gc.schedules.cosine(0.03, steps=30)
    run(tmp_path / "cosine", epochs=1, schedule=first)
    with pytest.raises(ValueError, match=r"schedule was cosine\(.*steps=20.*\) there and is cosine\(.*steps=30"):
        run(tmp_path / "cosine", schedule=second)
    run(tmp_path / "cosine", schedule=gc.schedules.cosine(0.03, steps=20))
    run(tmp_path / "own", epochs=1, schedule=lambda step: 0.03)
    assert run(tmp_path / "own", schedule=lambda step: 0.03)[0].status == "finished"


def test_labels_of_any_integer_type_are_the_same_data(tmp_path):
    run(tmp_path / "run", epochs=1)
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    settings = {
        "epochs": 4,
        "batch_size": 16,
        "rng": 2,
        "progress": False,
        "validation": (X[:9], Y[:9].astype(np.uint8)),
    }
    gc.train(NET, optimizer, X, Y.astype(np.int16), checkpoint=tmp_path / "run", **settings)
    assert optimizer.theta.tobytes() == run()[1].theta.tobytes()


# Trouble


def test_what_cannot_be_written_is_found_out_before_the_first_step(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    with pytest.raises(OSError, match="No space left"):
        gc.train(NET, optimizer, X, Y, epochs=1, progress=False, checkpoint=tmp_path / "run")
    assert optimizer.evaluations == 0
    assert not list(tmp_path.iterdir())  # nor is half a file left


def test_an_older_checkpoint_without_its_successor_is_not_passed_over(tmp_path):
    run(tmp_path / "run", epochs=2)
    (tmp_path / "run").unlink()
    before = (tmp_path / "run.previous").read_bytes()
    with pytest.raises(ValueError, match=r"no checkpoint .*run' but there is .*run\.previous': rename it to go on"):
        run(tmp_path / "run")
    assert (tmp_path / "run.previous").read_bytes() == before


@pytest.mark.parametrize("operation", ["fsync", "link", "replace"])
@pytest.mark.parametrize("kind", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_the_older_checkpoint_survives_a_failed_write(tmp_path, monkeypatch, operation, kind):
    run(tmp_path / "run", epochs=1)
    before = (tmp_path / "run").read_bytes()

    def fail(*_):
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(module.os, operation, fail)
        if operation == "link" and isinstance(kind, OSError):  # a file system without links: the file is copied
            run(tmp_path / "run", epochs=3)
            assert len(gc.load_checkpoint(tmp_path / "run.previous").history.loss) == 2
            return
        with pytest.raises(type(kind)):
            run(tmp_path / "run", epochs=3)
    assert (tmp_path / "run").read_bytes() == before
    whole, expected = run(epochs=3)
    history, optimizer = run(tmp_path / "run", epochs=3)
    assert optimizer.theta.tobytes() == expected.theta.tobytes()
    assert history.to_dict() == whole.to_dict()


@pytest.mark.parametrize("share", [0, 1e-3, 0.1, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused_and_the_older_one_is_still_there(tmp_path, share):
    path = tmp_path / "run"
    run(path, epochs=2)
    kept, data = (tmp_path / "run.previous").read_bytes(), path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    for attempt in (lambda: run(path), lambda: gc.load_checkpoint(path)):
        with pytest.raises(
            ValueError, match=r"run' is not a whole checkpoint .*truncated.*before it is .*run\.previous"
        ):
            attempt()
    assert path.read_bytes() == data[: int(share * len(data))]
    assert (tmp_path / "run.previous").read_bytes() == kept
    os.replace(tmp_path / "run.previous", path)
    assert run(path)[1].theta.tobytes() == run()[1].theta.tobytes()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run"
    run(path, epochs=1)
    data = bytearray(path.read_bytes())
    for position in np.random.default_rng(0).integers(len(data), size=40):
        spoilt = data.copy()
        spoilt[position] ^= 16
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match="run' is not a whole checkpoint of glasscurv"):
            gc.load_checkpoint(path)


def test_files_of_other_programs_are_refused_and_left_alone(tmp_path):
    from safetensors.numpy import save_file

    foreign = tmp_path / "foreign"
    for write in (
        lambda: save_file({"weights": np.zeros(3)}, foreign),
        lambda: save_file({"weights": np.zeros(3)}, foreign, {"epoch": "3"}),
        lambda: foreign.write_text("theta = [1, 2, 3]\n" * 100),
        lambda: foreign.write_bytes(bytes(range(256)) * 9),
    ):
        write()
        data = foreign.read_bytes()
        optimizer = OPTIMIZERS["alice"](NET.initialize(0))
        with pytest.raises(
            ValueError, match=r"foreign' is not a whole checkpoint of glasscurv: (another program|it is tr)"
        ):
            gc.train(NET, optimizer, X, Y, epochs=1, progress=False, checkpoint=foreign)
        assert foreign.read_bytes() == data
        assert optimizer.evaluations == 0


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    path = tmp_path / "run"
    module.write(path, "glasscurv checkpoint 0", {}, {})
    with pytest.raises(ValueError, match="its format is neither 'glasscurv checkpoint 1' nor 'glasscurv compressed"):
        gc.load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 8}, "is of another run: batch_size was 16 there and is 8 here"),
        ({"shuffle": False}, "is of another run: shuffle was True there and is False here"),
        ({"validation": (X[:8], Y[:8])}, "is of another run: the validation data differ"),
        ({"validation": None}, "is of another run: validation was .* and is None here"),
        ({"schedule": gc.schedules.constant(0.03)}, "is of another run: schedule was None there"),
        ({"snapshots": gc.Snapshots()}, "is of another run: snapshots was None there"),
        ({"optimizer": "adam"}, "state must be of Adam, got Alice"),
        ({"optimizer": "single"}, "float32"),
        ({"rng": np.random.Generator(np.random.MT19937(2))}, "needs an rng with the bit generator PCG64, got MT19937"),
        ({"resume": False}, r"run' exists: pass resume=True to go on from it, or move it away"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_nothing_is_changed(tmp_path, change, message):
    path = tmp_path / "run"
    run(path, epochs=1)
    before = path.read_bytes()
    kind = change.pop("optimizer", "alice")
    optimizer = OPTIMIZERS[kind](NET.initialize(3))
    theta = optimizer.theta
    settings = {"epochs": 2, "batch_size": 16, "validation": (X[:9], Y[:9]), "progress": False, **change}
    with pytest.raises(ValueError, match=message):
        gc.train(NET, optimizer, X, Y, checkpoint=path, **settings)
    assert path.read_bytes() == before
    assert optimizer.theta.tobytes() == theta.tobytes()
    assert optimizer.steps == 0


def test_other_data_and_another_network_are_refused(tmp_path):
    path = tmp_path / "run"
    run(path, epochs=1)
    settings = {"epochs": 2, "batch_size": 16, "validation": (X[:9], Y[:9]), "progress": False, "checkpoint": path}
    with pytest.raises(ValueError, match="is of another run: the training data differ"):
        gc.train(NET, OPTIMIZERS["alice"](NET.initialize(0)), X + 1, Y, **settings)
    other = gc.MLP((2, 5, 3), activation="tanh")
    with pytest.raises(ValueError, match="is of another run: activation was relu there and is tanh here"):
        gc.train(other, OPTIMIZERS["alice"](other.initialize(0)), X, Y, **settings)


@pytest.mark.parametrize(
    ("path", "exception", "message"),
    [
        (7, TypeError, "checkpoint must be a path, got int"),
        ("no/such/folder/run.ckpt", ValueError, "checkpoint must be a file in a folder that exists, got 'no/such"),
        (".", ValueError, "checkpoint must be a file in a folder that exists"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_first_step(path, exception, message):
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    with pytest.raises(exception, match=message):
        gc.train(NET, optimizer, X, Y, epochs=1, progress=False, checkpoint=path)
    assert optimizer.evaluations == 0


def test_a_checkpoint_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*nothing"):
        gc.load_checkpoint(tmp_path / "nothing")


def test_without_safetensors_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"checkpoints need safetensors: pip install 'glasscurv\[checkpoint\]'"):
        run(tmp_path / "run")


# Ctrl-C


class Interrupting(gc.MLP):
    """A network during whose evaluation number `at` Ctrl-C is pressed, `times` times."""

    def __init__(self, at, times=1):
        super().__init__((2, 5, 3))
        self.at, self.times, self.calls = at, times, 0

    def value_and_grad(self, theta, X, y):
        self.calls += 1
        if self.calls == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        return super().value_and_grad(theta, X, y)


@pytest.mark.parametrize("at", [1, 2, 9, 20, 23])
def test_ctrl_c_finishes_the_step_leaves_a_checkpoint_and_returns_the_history(tmp_path, at):
    options = {"epochs": 4, "batch_size": 16, "rng": 2, "progress": False, "validation": (X[:9], Y[:9])}
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    history = gc.train(Interrupting(at), optimizer, X, Y, checkpoint=tmp_path / "run", **options)
    assert history.status == "interrupted"
    assert len(history.step_loss) == optimizer.steps == -(-at // 3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    saved = gc.load_checkpoint(tmp_path / "run")
    assert saved.theta.tobytes() == optimizer.theta.tobytes()
    # the same optimizer goes on, and so does a new one
    for again in (optimizer, OPTIMIZERS["alice"](NET.initialize(0))):
        gc.train(NET, again, X, Y, checkpoint=tmp_path / "run", **options)
        assert again.theta.tobytes() == run()[1].theta.tobytes()


def test_a_second_ctrl_c_stops_at_once_and_leaves_the_last_checkpoint(tmp_path):
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    options = {"epochs": 4, "batch_size": 16, "rng": 2, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        gc.train(Interrupting(14, times=2), optimizer, X, Y, checkpoint=tmp_path / "run", **options)
    assert optimizer.steps == 4
    assert len(gc.load_checkpoint(tmp_path / "run").history.step_loss) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("place", "call"),
    # snapshots take 14 evaluations each, before steps 1, 5 and 9; steps take 3
    [("value_and_grad", 3), ("value_and_grad", 16), ("value_and_grad", 22), ("value", 2), ("callback", 2)],
)
def test_an_interrupt_out_of_the_users_own_code_loses_nothing(tmp_path, place, call):
    class Raising(gc.MLP):
        calls = 0

        def interrupted(self, name, *arguments):
            Raising.calls += name == place
            if Raising.calls == call and name == place:
                raise KeyboardInterrupt
            return getattr(gc.MLP, name)(self, *arguments)

        def value_and_grad(self, *arguments):
            return self.interrupted("value_and_grad", *arguments)

        def value(self, *arguments):
            return self.interrupted("value", *arguments)

    def callback(record):
        if place == "callback" and record.epoch == call:
            raise KeyboardInterrupt

    options = {"snapshots": gc.Snapshots(every=4, samples=2, lengths=(0.01, 0.02)), "validation": (X[:9], Y[:9])}
    whole, expected = run(tmp_path / "whole", **options)
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    path = tmp_path / "run"
    history = gc.train(
        Raising((2, 5, 3)), optimizer, X, Y, epochs=4, batch_size=16, rng=2, progress=False, checkpoint=path,
        callback=callback, **options,
    )  # fmt: skip
    assert history.status == "interrupted"
    history, resumed = run(path, **options)
    assert resumed.theta.tobytes() == expected.theta.tobytes()
    assert history.to_dict() == whole.to_dict()


@pytest.mark.parametrize("moment", range(1, 40, 3))
def test_a_handler_that_interrupts_anywhere_tears_nothing(tmp_path, moment):
    """Somebody else's handler raises KeyboardInterrupt at a moment between or within steps, not only in evaluations."""
    calls = 0

    class Counting(gc.Alice):
        def _averages(self, step):
            nonlocal calls
            calls += 1
            if calls == moment:
                signal.raise_signal(signal.SIGINT)
            return super()._averages(step)

    Counting.__name__ = "Alice"
    options = {"epochs": 4, "batch_size": 4, "rng": 2, "progress": False, "validation": (X[:9], Y[:9])}

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        optimizer = Counting(NET.initialize(0), 0.03, rng=1)
        history = gc.train(NET, optimizer, X, Y, checkpoint=tmp_path / "run", **options)
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.status == "interrupted"
    assert len(history.step_loss) == optimizer.steps == moment
    whole, resumed = (OPTIMIZERS["alice"](NET.initialize(0)) for _ in range(2))
    gc.train(NET, whole, X, Y, **options)
    gc.train(NET, resumed, X, Y, checkpoint=tmp_path / "run", **options)
    assert resumed.theta.tobytes() == whole.theta.tobytes()


def test_ctrl_c_during_the_last_save_does_not_lose_the_history(tmp_path, monkeypatch):
    fsync, calls = os.fsync, []

    def interrupting(descriptor):
        calls.append(descriptor)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        fsync(descriptor)

    monkeypatch.setattr(module.os, "fsync", interrupting)
    history, _ = run(tmp_path / "run", epochs=1)
    assert len(calls) == 4  # first and last checkpoint, file and folder each
    assert history.status == "finished"
    assert gc.load_checkpoint(tmp_path / "run").history.status == "finished"


def test_ctrl_c_without_a_checkpoint_returns_the_history_too():
    optimizer = OPTIMIZERS["alice"](NET.initialize(0))
    history = gc.train(Interrupting(11), optimizer, X, Y, epochs=4, batch_size=16, rng=2, progress=False)
    assert history.status == "interrupted"
    assert history.step_loss.shape == (4,)


def test_somebody_elses_handler_of_ctrl_c_stays_in_place(tmp_path):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        optimizer = OPTIMIZERS["alice"](NET.initialize(0))
        history = gc.train(Interrupting(3), optimizer, X, Y, epochs=2, batch_size=16, rng=2, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.status == "finished"
    assert seen == [1]
