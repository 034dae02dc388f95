import math
import os
from pathlib import Path

import numpy as np
import pytest

import glasscurv as gc
from glasscurv.training import files as module

NET = gc.MLP((6, 20, 3))
X = np.random.default_rng(0).normal(size=(40, 6))
Y = np.random.default_rng(1).integers(0, 3, 40)
THETA = gc.compression.prune(NET.initialize(0), abs(NET.initialize(0)), 0.6, NET.weight_groups()).theta
ROUNDED = gc.compression.quantize(THETA, {"layer1": 3, "layer2": 5}, NET.weight_groups())


def same(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


# The file


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("per", ["layer", "unit"])
def test_what_was_saved_comes_back(tmp_path, dtype, scheme, per):
    rounded = gc.compression.quantize(THETA.astype(dtype), 4, NET.weight_groups(per), scheme)
    gc.save_compressed(tmp_path / "small", NET, rounded.theta, rounded, metadata={"sparsity": 0.6})
    saved = gc.load_checkpoint(tmp_path / "small")
    assert isinstance(saved, gc.CompressedNetwork)
    assert same(saved.theta, rounded.theta)
    assert saved.bits == rounded.bits
    assert saved.metadata["sparsity"] == 0.6
    assert saved.network.value(saved.theta, X, Y) == NET.value(rounded.theta, X, Y)


def test_a_network_that_was_only_pruned_comes_back(tmp_path):
    gc.save_compressed(tmp_path / "small", NET, THETA)
    saved = gc.load_checkpoint(tmp_path / "small")
    assert same(saved.theta, THETA)
    assert saved.bits == {}
    assert saved.metadata == {"network": module.describe(NET)}


def test_a_file_tells_what_it_is(tmp_path):
    gc.save_compressed(tmp_path / "pruned", NET, THETA)
    gc.save_compressed(tmp_path / "mixed", NET, ROUNDED.theta, ROUNDED)
    equal = gc.compression.quantize(THETA, 4)
    gc.save_compressed(tmp_path / "equal", NET, equal.theta, equal)
    shown = {name: repr(gc.load_checkpoint(tmp_path / name)) for name in ("pruned", "mixed", "equal")}
    assert shown["pruned"] == f"<CompressedNetwork: 6-20-3 network, {np.mean(THETA == 0):.1%} zeros>"
    assert shown["mixed"].endswith(" zeros, weights of 3 to 5 bits>")
    assert shown["equal"].endswith(" zeros, weights of 4 bits>")


def test_metadata_become_what_json_can_hold(tmp_path):
    found = gc.compression.Allocation(np.array([2, 3]), 0.5, 10)
    metadata = {
        "allocation": found,
        "loss": np.float32(0.25),
        "lost": math.nan,
        "nested": {"array": [1], "dtype": "no"},
    }
    gc.save_compressed(tmp_path / "small", NET, THETA, metadata=metadata)
    kept = gc.load_checkpoint(tmp_path / "small").metadata
    assert kept["allocation"] == {"bits": [2, 3], "change": 0.5, "size": 10}
    assert (kept["loss"], kept["lost"], kept["nested"]) == (0.25, None, metadata["nested"])


def test_the_same_network_is_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        gc.save_compressed(tmp_path / name, NET, ROUNDED.theta, ROUNDED, metadata={"b": 1, "a": 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_fifth_of_the_weights_at_4_bits_take_a_twentieth_of_the_parameters(tmp_path):
    network = gc.MLP((64, 64, 64, 10))
    theta, groups = network.initialize(0), network.weight_groups()
    theta[theta == 0] = 0.1  # biases
    pruned = gc.compression.prune(theta, abs(theta), 0.8, groups)
    rounded = gc.compression.quantize(pruned.theta, 4, groups)
    gc.save_compressed(tmp_path / "small", network, rounded.theta, rounded)
    assert 20 * (tmp_path / "small").stat().st_size < theta.nbytes
    assert same(gc.load_checkpoint(tmp_path / "small").theta, rounded.theta)


def test_the_file_is_whole_and_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(module.os, name)

        def recorded(*arguments, name=name, original=original):
            calls.append(name)
            if name == "replace":
                assert same(gc.load_checkpoint(arguments[0]).theta, THETA)
            return original(*arguments)

        monkeypatch.setattr(module.os, name, recorded)
    gc.save_compressed(tmp_path / "small", NET, THETA)
    assert calls == ["fsync", "replace", "fsync"]  # of the file, then of the folder
    assert os.listdir(tmp_path) == ["small"]


def test_a_network_with_an_activation_of_ones_own_keeps_its_parameters(tmp_path):
    activation = gc.networks.Activation("cube", lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x)
    gc.save_compressed(tmp_path / "small", gc.MLP((6, 20, 3), activation=activation), THETA)
    saved = gc.load_checkpoint(tmp_path / "small")
    assert same(saved.theta, THETA)
    with pytest.raises(ValueError, match=r"activation 'cube' or the loss 'cross_entropy' .*is not the library's own"):
        saved.network  # noqa: B018


# Trouble


def test_no_training_goes_on_from_a_compressed_network(tmp_path):
    path = tmp_path / "small"
    gc.save_compressed(path, NET, THETA)
    before = path.read_bytes()
    optimizer = gc.Adam(NET.initialize(3), 1e-3)
    theta = optimizer.theta
    with pytest.raises(
        ValueError, match=r"small' holds a compressed network and no training to go on with: start a new"
    ):
        gc.train(NET, optimizer, X, Y, epochs=1, progress=False, checkpoint=path)
    assert path.read_bytes() == before
    assert same(optimizer.theta, theta)


def test_a_file_that_exists_is_left_alone(tmp_path):
    path = tmp_path / "run"
    gc.train(NET, gc.Adam(THETA, 1e-3), X, Y, epochs=1, progress=False, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"path must be a new file, got '.*run', which exists: move it away"):
        gc.save_compressed(path, NET, THETA)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        gc.save_compressed(tmp_path / "small", NET, THETA)
    assert not list(tmp_path.iterdir())


def test_truncated_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "small"
    gc.save_compressed(path, NET, ROUNDED.theta, ROUNDED)
    data = path.read_bytes()
    spoilt = [data[: int(share * len(data))] for share in (0, 1e-3, 0.1, 0.5, 0.999)]
    spoilt += [data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :] for at in range(0, len(data), 7)]
    for each in spoilt:
        path.write_bytes(each)
        with pytest.raises(ValueError, match="small' is not a whole checkpoint of glasscurv: "):
            gc.load_checkpoint(path)


@pytest.mark.parametrize(
    ("arguments", "exception", "message"),
    [
        ({"path": 3}, TypeError, "path must be a path, got int"),
        ({"path": "no/such/folder/small"}, ValueError, "path must be a file in a folder that exists, got 'no/such"),
        ({"network": (6, 20, 3)}, TypeError, "network must be an MLP, got tuple"),
        ({"network": gc.MLP((2, 2))}, ValueError, r"theta must have shape \(6,\), got \(203,\)"),
        ({"theta": THETA[:-1]}, ValueError, r"theta must have shape \(203,\), got \(202,\)"),
        ({"theta": np.full(203, np.nan)}, ValueError, "theta must be finite, got nan at index 0"),
        ({"quantized": THETA}, TypeError, "quantized must be a Quantized, got ndarray"),
        ({"quantized": gc.compression.quantize([1.0], 4)}, ValueError, r"theta must have shape \(1,\), as quantized"),
        ({"quantized": ROUNDED}, ValueError, "theta must be that of quantized in its groups, got"),
        ({"metadata": "sparsity"}, TypeError, "metadata must be a mapping, got str"),
        ({"metadata": {"network": 1}}, ValueError, "metadata must have no key 'network': it is kept for"),
        ({"metadata": {"path": Path()}}, TypeError, "metadata must be what JSON can hold: .*Path is not"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(tmp_path, monkeypatch, arguments, exception, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(exception, match=message):
        gc.save_compressed(**{"path": "small", "network": NET, "theta": THETA} | arguments)
    assert not list(tmp_path.iterdir())
