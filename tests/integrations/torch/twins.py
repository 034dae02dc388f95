"""Networks of the core as PyTorch models, and what must not change in a model."""

import random

import numpy as np
import torch

import glasscurv as gc

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}


class Dense(torch.nn.Module):
    """x W + b with the parameters in the order of `gc.MLP`."""

    def __init__(self, weights, biases):
        super().__init__()
        self.weights, self.biases = (torch.nn.Parameter(torch.from_numpy(part.copy())) for part in (weights, biases))

    def forward(self, x):
        return x @ self.weights + self.biases


def twin(network, theta, device="cpu"):
    """The same network, whose flat vector is the same."""
    activation = ACTIVATIONS[network.activation.name]
    parts = [part for layer in network.unflatten(theta) for part in (Dense(*layer), activation())]
    return torch.nn.Sequential(*parts[:-1]).to(device)


def problem(activation="relu", layers=(6, 12, 9, 4), rows=40, dtype=np.float64, device="cpu"):
    """A network of the core, its parameters, its twin and data for both."""
    rng = np.random.default_rng(0)
    network = gc.MLP(layers, activation=activation)
    theta = network.initialize(rng, dtype=dtype)
    X, y = rng.standard_normal((rows, layers[0])).astype(dtype), rng.integers(0, layers[-1], rows)
    tensors = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    return network, theta, twin(network, theta, device), (X, y), tensors


def everything(model):
    """All bits that belong to a model or to a random generator, and the very tensors that hold them."""
    numpy_state = np.random.get_state()  # noqa: NPY002 (what models may draw from)
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors |= {f"{name}.grad": known.grad for name, known in model.named_parameters() if known.grad is not None}
    return (
        {name: (id(tensor), tensor.data_ptr(), bits(tensor)) for name, tensor in tensors.items()},
        {name: (module.training, sorted(vars(module))) for name, module in model.named_modules()},
        random.getstate(),
        (numpy_state[0], numpy_state[1].tobytes(), *numpy_state[2:]),
        [bits(state) for state in states],
    )


def bits(tensor):
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return tensor.dtype, tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes()
