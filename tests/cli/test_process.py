"""The command as its users meet it: a process of its own."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from glasscurv import __version__

ROOT = Path(__file__).parents[2]


def idx(numbers, magic):
    sizes = (magic, *numbers.shape)
    return b"".join(size.to_bytes(4, "big") for size in sizes) + numbers.astype(np.uint8).tobytes()


def test_the_version_is_found(process):
    status, out, _ = process("version")
    assert status == 0
    assert out.startswith(f"glasscurv {__version__}, python 3.")


def test_images_train_and_the_figure_is_drawn(process, here):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 100)
    images = rng.integers(0, 50, (100, 4, 5))
    images[np.arange(100), labels] += 200
    (here / "images.idx.gz").write_bytes(gzip.compress(idx(images, 2051)))
    (here / "labels.idx").write_bytes(idx(labels, 2049))
    status, out, err = process(
        "train", "--data", "images.idx.gz", "--labels", "labels.idx", "--layers", 8, "--epochs", 30, "--batch-size", 10,
        "--optimizer", "adam", "--lr", 0.02, "--plot", "curves.png", "--history", "curves.csv",
    )  # fmt: skip
    assert status == 0, err
    assert "20-8-3 relu network, adam with lr 0.02, 30 epochs, 240 steps, 240 gradient evaluations" in out
    assert "validation accuracy  100.0 %" in out
    assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len((here / "curves.csv").read_text().splitlines()) == 31


def test_a_run_that_is_resumed_ends_as_if_uninterrupted(process, record, here):
    run = ("train", "--data", "spirals", "--layers", "16,16", "--batch-size", 50, "--seed", 3)
    whole = record(*run, "--epochs", 4)
    status, _, err = process(*run, "--epochs", 2, "--checkpoint", "run.ckpt", "--quiet")
    assert status == 0, err
    resumed = json.loads(process(*run, "--epochs", 4, "--checkpoint", "run.ckpt", "--resume", "--json", "--quiet")[1])
    for name in ("loss", "validation_loss", "validation_accuracy", "evaluations", "steps"):
        assert resumed[name] == whole[name]
    status, out, err = process("profile", "run.ckpt", "--data", "spirals", "--plot", "profile.svg")
    assert status == 0, err
    assert "Where is it glass?" in out
    assert "  layer1: " in out
    assert "figure: profile.svg" in err


def test_interrupted_training_says_how_to_go_on(process, here):
    running = process.start(
        "train", "--data", "spirals", "--epochs", 1000000, "--checkpoint", "run.ckpt", "--json", "--quiet"
    )
    deadline = time.monotonic() + 60
    while not (here / "run.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(out)["status"] == "interrupted"
    assert err.startswith("interrupted after ")
    assert "checkpoint: run.ckpt; the same command with --resume goes on" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("loaded", ["typer", "numpy", "sklearn", "numba"])
def test_interrupted_while_it_starts_up_is_one_line(here, loaded):
    """A SIGINT at the import of a module."""
    code = f"""
import runpy, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {loaded!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["glasscurv", "train", "--epochs", "1", "--quiet"]
runpy.run_module("glasscurv", run_name="__main__")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_a_comparison_is_shown_and_shown_again(process, cli, here):
    tiny = ("--data", "spirals", "--layers", 8, "--seeds", 2, "--epochs", 3, "--optimizer", "sgd:lr=0.1")
    status, out, err = process(
        "compare", *tiny, "--target", 5, "--save", "found.json", "--plot", "found.pdf", "--quiet"
    )
    assert status == 0, err
    assert "2 of 2" in out
    assert (here / "found.pdf").read_bytes().startswith(b"%PDF")
    again = cli("compare", "--load", "found.json")
    assert again == (0, out, "")


def test_a_mistake_is_one_line(process):
    status, out, err = process("train", "--data", "missing.npz")
    assert (status, out, err) == (2, "", "error: there is no file missing.npz\n")
