"""Kill a training run with SIGKILL at random moments until it has happened often enough; report what became of it.

Usage: python killed.py FOLDER KILLS. Children are forked from this process, which has everything loaded and one thread.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import glasscurv as gc


def run(path):
    """Train with all that a checkpoint has to hold: a random optimizer, schedule, validation, snapshots, a mask."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    network = gc.MLP((2, 8, 2))
    optimizer = gc.Alice(network.initialize(0), 0.05, rng=1)

    def prune(record):
        size = abs(record.theta)
        optimizer.mask = size >= np.quantile(size, 0.1 * record.epoch)

    gc.train(
        network,
        optimizer,
        X,
        y,
        epochs=8,
        batch_size=16,
        validation=(X[:20], y[:20]),
        rng=2,
        progress=False,
        schedule=lambda step: 0.05 / (1 + 0.1 * step),
        snapshots=gc.Snapshots(every=15, samples=2),
        checkpoint=path,
        checkpoint_every=1,
        callback=prune,
    )


def finishes(path, within):
    """Run in a child; kill it if it has not ended `within` seconds. Return its time if it did, else None."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        run(path)
        os._exit(0)
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.perf_counter() - start > within:
            os.kill(pid, signal.SIGKILL)
            if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
                return None
            break
        time.sleep(1e-4)
    return time.perf_counter() - start


def remove(folder):
    for file in folder.iterdir():
        file.unlink()


def main(folder, kills):
    # Forked processes share the semaphore that tqdm takes by default: one killed with it in hand would stop them all.
    tqdm.set_lock(threading.RLock())
    rng = np.random.default_rng(os.getpid())
    whole, killed = folder / "whole", folder / "killed"
    for part in (whole, killed):
        part.mkdir()
    run(whole / "run.ckpt")  # compiles what is not compiled yet
    expected = (whole / "run.ckpt").read_bytes()
    remove(whole)
    duration = finishes(whole / "run.ckpt", within=np.inf)
    steps, identical, path = [], [], killed / "run.ckpt"
    while len(steps) < kills:
        elapsed = finishes(path, within=rng.uniform(0, duration))
        if elapsed is None:
            steps.append(len(gc.load_checkpoint(path).history.step_loss) if path.exists() else 0)
            continue
        duration = max(elapsed, duration / 2)  # the first measurement may have met a slow moment of the disk
        identical.append(path.read_bytes() == expected)
        remove(killed)
    run(path)
    identical.append(path.read_bytes() == expected)
    print(json.dumps({"steps": steps, "identical": identical, "files": sorted(f.name for f in killed.iterdir())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
