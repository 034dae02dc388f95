"""One process of two that train together, and the same training in one process.

Usage: python ranks.py RANK FOLDER. The processes meet in a file of the folder, and each writes its parameters there.
"""

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from glasscurv.integrations.torch import Alice

WORLD, ROWS, STEPS = 2, 24, 9
TIMEOUT = timedelta(seconds=60)
WRAPPERS = {
    "plain": {},
    "bucket view": {"gradient_as_bucket_view": True},
    "static graph": {"static_graph": True},
    "unused parameters": {"find_unused_parameters": True},
}
CASES = [*WRAPPERS, "all_reduce"]


class Network(torch.nn.Module):
    def __init__(self, unused):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).double()
        self.unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) if unused else None
        with torch.no_grad():
            for known in self.layers.parameters():
                known.copy_(torch.randn(known.shape, generator=generator, dtype=torch.float64) / 2)

    def forward(self, x):
        return self.layers(x)


def minibatches():
    """Inputs and labels of every step."""
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(STEPS, WORLD * ROWS, 5, generator=generator, dtype=torch.float64)
    return zip(X, X[..., :3].argmax(-1), strict=True)


def train(case, rows=slice(None), parallel=False):
    """Train on some rows of every minibatch, and return the parameters after each step."""
    model = wrapped = Network(unused=case == "unused parameters")
    if parallel and case in WRAPPERS:
        wrapped = DistributedDataParallel(model, **WRAPPERS[case])
    # Two steps of warm-up; then every other step is a full one.
    optimizer = Alice(model.parameters(), lr=0.03, betas=(0.5, 0.9), quick_steps=1, l2=1e-3)
    path = []
    for X, y in minibatches():

        def closure(X=X[rows], y=y[rows]):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(wrapped(X), y)
            loss.backward()
            if parallel and case == "all_reduce":
                for known in model.parameters():
                    dist.all_reduce(known.grad)
                    known.grad /= WORLD
            return loss

        optimizer.step(closure)
        path.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy())
    assert optimizer.evaluations == 2 * 3 + 4 * 1 + 3 * 3, optimizer.evaluations
    return np.array(path)


def main(rank, folder):
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORLD, timeout=TIMEOUT)
    rows = slice(rank * ROWS, (rank + 1) * ROWS)
    np.savez(folder / f"rank{rank}.npz", **{case: train(case, rows, parallel=True) for case in CASES})
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
