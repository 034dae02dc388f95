import random

import numpy as np
import pytest
import torch

from glasscurv.integrations.torch.replay import KeptBuffers, RandomState


def draws(device):
    return random.random(), np.random.random(), torch.rand(2).tolist(), torch.rand(2, device=device).tolist()  # noqa: NPY002


def fail_after(layer, inputs):
    layer(inputs)
    raise KeyboardInterrupt


def test_every_generator_is_set_back(device):
    torch.rand(1, device=device)
    state = RandomState()
    first = draws(device)
    assert draws(device) != first
    state.restore()
    assert draws(device) == first


def test_buffers_are_kept_whatever_happens(device):
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)).to(device)
    buffer = model[0].running_mean
    with KeptBuffers():
        for _ in range(2):
            model(torch.ones(8, 2, device=device))
        assert buffer.any()
    with pytest.raises(KeyboardInterrupt), KeptBuffers():
        fail_after(model, torch.ones(8, 2, device=device))
    assert model[0].running_mean is buffer
    assert not buffer.any()
    assert [int(layer.num_batches_tracked) for layer in model] == [0, 0]


def test_buffers_may_be_kept_after_errors_only():
    layer = torch.nn.BatchNorm1d(2)
    with KeptBuffers(after_errors=True):
        layer(torch.ones(8, 2))
    assert int(layer.num_batches_tracked) == 1
    with pytest.raises(KeyboardInterrupt), KeptBuffers(after_errors=True):
        fail_after(layer, torch.ones(8, 2))
    assert int(layer.num_batches_tracked) == 1


def test_buffers_may_be_set_back_between_calls():
    layer = torch.nn.BatchNorm1d(2)
    with KeptBuffers(after_errors=True) as kept:
        for _ in range(3):
            kept.restore()
            layer(torch.ones(8, 2))
    assert int(layer.num_batches_tracked) == 1


def test_a_buffer_that_a_call_replaces_comes_back():
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("none", None)

        def forward(self, inputs):
            self.calls = self.calls + 1
            return inputs

    module = Counter()
    with KeptBuffers():
        module(torch.ones(1))
        module(torch.ones(1))
    assert module.calls == 0


def test_calls_outside_are_not_seen():
    layer = torch.nn.BatchNorm1d(2)
    with KeptBuffers():
        pass
    layer(torch.ones(8, 2))
    assert int(layer.num_batches_tracked) == 1


def test_buffers_of_given_modules_are_kept_and_no_others():
    model, other = (torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.ReLU()) for _ in range(2))
    with KeptBuffers(model.modules()) as kept:
        model(torch.ones(8, 2))
        other(torch.ones(8, 2))
    assert kept.modules == [model[0]]
    assert [int(part[0].num_batches_tracked) for part in (model, other)] == [0, 1]
