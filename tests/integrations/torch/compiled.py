"""Train a compiled model and a twin that is not compiled, and print what became of them as JSON.

A program of its own: some releases of PyTorch cannot differentiate in processes that are forked after a compilation, as
those of other tests are.
"""

import json

import torch
from torch import nn

from glasscurv.integrations.torch import Alice

STEPS = 14  # ten full steps, quick ones, and a full one


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))


def train(model, call, note):
    inputs = torch.linspace(-1, 1, 48).view(16, 3).sin()
    optimizer = Alice(model.parameters(), lr=0.01)

    def closure():
        optimizer.zero_grad()
        loss = (call(inputs) - 1).square().mean()
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
        note()
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def compiled(whole):
    """Return how many graphs there were after every step, and the state at the end."""
    model, graphs, numbers = network(), [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    call = torch.compile(model if whole else lambda inputs: model(inputs), backend=backend)
    return numbers, train(model, call, lambda: numbers.append(len(graphs)))


if __name__ == "__main__":
    twin = network()
    eager = train(twin, twin, lambda: None)
    print(json.dumps({"eager": eager, "model": compiled(True), "function": compiled(False)}))
