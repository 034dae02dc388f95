import itertools
import multiprocessing
import pickle
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import partial

import numpy as np
import pytest
import torch

import glasscurv as gc
from glasscurv.integrations.torch import GradientFunction, gradient_function, replay
from tests.integrations.torch.twins import everything, problem

nn, cross_entropy = torch.nn, torch.nn.functional.cross_entropy
F64 = torch.float64


@dataclass
class Mean:
    """A loss that can be pickled."""

    X: torch.Tensor
    y: torch.Tensor

    def __call__(self, model):
        return cross_entropy(model(self.X), self.y)


def assert_same(found, expected, rtol):
    """Every number of one result is that of the other, relative to the largest of its array."""
    if is_dataclass(expected):
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name), rtol)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            assert_same(found[name], expected[name], rtol)
    elif isinstance(expected, np.ndarray | float | list):
        scale = np.nan_to_num(abs(np.asarray(expected, float))).max(initial=0.0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * scale)
    else:
        assert found == expected


# Equal to the core


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_loss_and_gradient_are_those_of_the_core(activation, device):
    network, theta, model, (X, y), tensors = problem(activation, device=device)
    gradient = gradient_function(model, Mean(*tensors))
    assert isinstance(gradient, GradientFunction)
    np.testing.assert_array_equal(gradient.theta, theta)
    for scale in (1.0, 1.1):
        value, expected = network.value_and_grad(scale * theta, X, y)
        found = gradient.value_and_grad(scale * theta)
        assert found[0] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-12 * abs(expected).max())
        np.testing.assert_array_equal(gradient(scale * theta), found[1])


def test_linear_layers_have_the_cores_gradients_in_their_own_order():
    network, theta, _, (X, y), tensors = problem()
    parts = [nn.Linear(*widths, dtype=F64) for widths in itertools.pairwise(network.layers)]
    model = nn.Sequential(*(part for linear in parts for part in (linear, nn.ReLU())))[:-1]
    order = np.concatenate([part for W, b in network.unflatten(np.arange(network.size)) for part in (W.T.ravel(), b)])
    found = gradient_function(model, Mean(*tensors))(theta[order])
    expected = network.value_and_grad(theta, X, y)[1][order]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


ESTIMATES = {
    "estimate_curvature": partial(gc.estimate_curvature, length=1e-2, second_length=1e-3),
    "variation_exponent": partial(gc.variation_exponent, lengths=[1e-3, 1e-2]),
    "suggest_length": gc.suggest_length,
    "directional_density": lambda gradient, theta, **options: gc.directional_density(
        gradient, theta, np.ones_like(theta), length=1e-2
    ),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_estimates_are_those_of_the_core(name):
    network, theta, model, (X, y), tensors = problem()
    gradient = gradient_function(model, Mean(*tensors))
    found = ESTIMATES[name](gradient, gradient.theta, rng=0)
    expected = ESTIMATES[name](lambda point: network.value_and_grad(point, X, y)[1], theta, rng=0)
    assert_same(found, expected, 1e-10)


def test_a_profile_of_the_groups_is_that_of_the_core(device):
    network, theta, model, (X, y), tensors = problem(device=device)
    gradient = gradient_function(model, Mean(*tensors))
    assert list(gradient.groups.values()) == list(network.groups.values())
    groups = dict(zip(gradient.groups, network.groups.values(), strict=True))
    found = gc.curvature_profile(gradient, gradient.theta, gradient.groups, length=1e-2, samples=4, rng=0)
    core = partial(network.value_and_grad, X=X, y=y)
    expected = gc.curvature_profile(lambda point: core(point)[1], theta, groups, length=1e-2, samples=4, rng=0)
    assert_same(found, expected, 1e-10)


def test_optimizers_take_the_same_path():
    network, theta, model, (X, y), tensors = problem()
    gradient = gradient_function(model, Mean(*tensors))
    here, core = (gc.Alice(theta, lr=1e-2, rng=0) for _ in range(2))
    for _ in range(20):
        here.step(gradient.value_and_grad)
        core.step(partial(network.value_and_grad, X=X, y=y))
    np.testing.assert_allclose(here.theta, core.theta, rtol=0, atol=1e-10)


# Workers


def test_a_function_that_was_pickled_is_the_same():
    *_, tensors = first = problem()
    model = nn.Sequential(first[2], nn.Dropout(0.5))
    gradient = gradient_function(model, Mean(*tensors))
    again = pickle.loads(pickle.dumps(gradient))
    torch.rand(1)
    assert again(1.1 * gradient.theta).tobytes() == gradient(1.1 * gradient.theta).tobytes()
    assert again.groups == gradient.groups


@pytest.mark.skipif(
    multiprocessing.get_start_method() != "fork", reason="other processes need what is at a module's top"
)
def test_other_processes_and_threads_give_the_same_estimate():
    _, _, model, _, tensors = problem()
    gradient = gradient_function(nn.Sequential(model, nn.Dropout(0.2)), Mean(*tensors))
    before = everything(model)
    estimate = partial(gc.estimate_curvature, gradient, gradient.theta, length=1e-2, samples=6, rng=0)
    expected = estimate()
    assert_same(estimate(workers=2), expected, 0)
    with ThreadPoolExecutor(3) as pool:
        assert_same(estimate(workers=pool.map), expected, 0)
    assert everything(model) == before


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_process_that_was_forked_computes_with_one_thread():
    """PyTorch's threads do not survive a fork; what waits for them waits for ever."""
    model = nn.Linear(2, 1, bias=False)
    gradient = gradient_function(model, lambda model: torch.get_num_threads() * model.weight.sum())
    torch.set_num_threads(2)
    try:
        here = gradient([0.0, 0.0])
        with multiprocessing.get_context("fork").Pool(1, _keep, (gradient,)) as pool:
            there = pool.apply_async(_kept, ([0.0, 0.0],)).get(timeout=60)
    finally:
        torch.set_num_threads(1)
    assert (here.tolist(), there.tolist()) == ([2, 2], [1, 1])


def _keep(function):
    global _function
    _function = function


def _kept(theta):
    return _function(theta)


# What stays as it was


class Restless(nn.Module):
    """A model that draws from every generator, keeps statistics and has a frozen part."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.body = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8)
        )
        self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3))
        self.body[4].requires_grad_(False)
        self.body[5].eval()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        noise = random.random() + np.random.rand()  # noqa: NPY002 (what models may draw from)
        return self.scale * self.head(self.body(x) * (1 + 0.1 * noise) + 0.1 * torch.rand_like(x[:, :1]))


@pytest.fixture
def restless(device):
    torch.manual_seed(1)
    model = Restless().to(device)
    X, y = torch.randn(20, 4, device=device), torch.randint(3, (20,), device=device)
    cross_entropy(model(X), y).backward()
    return model, X, y


def test_evaluations_repeat_and_leave_no_trace(restless):
    model, X, y = restless
    before = everything(model)
    gradient = gradient_function(model, Mean(X, y))
    theta = gradient.theta
    found = gradient.value_and_grad(theta)
    gradient(1.1 * theta)
    assert everything(model) == before
    for generator in (random.random, np.random.rand, partial(torch.rand, 5), partial(torch.rand, 5, device=X.device)):
        generator()
    again = gradient.value_and_grad(theta)
    assert (again[0], again[1].tobytes()) == (found[0], found[1].tobytes())
    assert found[1].size == theta.size == sum(known.numel() for known in model.parameters() if known.requires_grad)


def test_the_first_random_state_is_that_of_the_start(device):
    model = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.Linear(30, 3)).to(device)
    X, y = torch.randn(20, 4, device=device), torch.randint(3, (20,), device=device)
    torch.manual_seed(3)
    gradient = gradient_function(model, Mean(X, y))
    value, _ = gradient.value_and_grad(gradient.theta)
    assert value == cross_entropy(model(X), y).item()  # as if this were the first


class BrokenError(Exception):
    pass


def raises(model, X, y):
    model(X)
    raise BrokenError


def interrupts(model, X, y):
    model(X)
    signal.raise_signal(signal.SIGINT)
    model.went_on = True


def no_tensor(model, X, y):
    return model(X).sum().item()


def changes_the_mode(model, X, y):
    model.eval().body[1].train()
    return cross_entropy(model(X), y)


def adds_to_grad(model, X, y):
    model(X).sum().backward()
    return cross_entropy(model(X), y)


def writes_a_buffer(model, X, y):
    model.calls += 7
    model.body[1].running_mean = torch.zeros_like(model.body[1].running_mean)
    return cross_entropy(model(X), y)


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (raises, BrokenError),
        (interrupts, KeyboardInterrupt),
        (no_tensor, TypeError),
        (changes_the_mode, None),
        (adds_to_grad, None),
        (writes_a_buffer, None),
    ],
)
def test_nothing_changes_whatever_the_loss_does(loss, error, restless):
    model, X, y = restless
    gradient = gradient_function(model, lambda model: loss(model, X, y))
    before, theta = everything(model), 1.1 * gradient.theta
    if error is None:
        assert np.isfinite(gradient(theta)).all()
    else:
        with pytest.raises(error):
            gradient(theta)
    assert everything(model) == before


def test_an_interrupt_does_not_end_the_clean_up(monkeypatch, restless):
    model, X, y = restless
    gradient = gradient_function(model, Mean(X, y))
    before, theta, restore, calls = everything(model), 1.1 * gradient.theta, replay.RandomState.restore, []

    def interrupted(state):
        calls.append(state)
        signal.raise_signal(signal.SIGINT)
        restore(state)

    monkeypatch.setattr(replay.RandomState, "restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gradient(theta)
    assert everything(model) == before
    assert calls


def test_nothing_changes_where_theta_is_refused(restless):
    model, X, y = restless
    gradient = gradient_function(model, Mean(X, y))
    before = everything(model)
    with pytest.raises(ValueError, match=r"theta must have shape \(\d+,\), got \(3,\)"):
        gradient(np.ones(3))
    with pytest.raises(ValueError, match="theta must be finite, got nan at index 0"):
        gradient(np.nan * gradient.theta)
    assert everything(model) == before


def test_a_backward_pass_that_waits_does_not_notice():
    _, _, model, _, (X, y) = problem("tanh")
    waiting = cross_entropy(model(X), y)
    gradient = gradient_function(model, Mean(X, y))
    gradient(2 * gradient.theta)
    waiting.backward()
    found = np.concatenate([known.grad.numpy().ravel() for known in model.parameters()])
    np.testing.assert_allclose(found, gradient(gradient.theta), rtol=0, atol=1e-15)


def test_parameters_are_those_at_the_call():
    _, theta, model, _, tensors = problem()
    gradient = gradient_function(model, Mean(*tensors))
    with torch.no_grad():
        for known in model.parameters():
            known.mul_(2)
    copy = gradient.theta
    np.testing.assert_array_equal(copy, 2 * theta)
    copy[:] = 0
    np.testing.assert_array_equal(gradient.theta, 2 * theta)


def test_results_and_points_belong_to_the_caller():
    _, theta, model, _, tensors = problem()
    gradient = gradient_function(model, Mean(*tensors))
    theta.setflags(write=False)
    first = gradient(theta)
    kept = first.copy()
    gradient(2 * theta)
    np.testing.assert_array_equal(first, kept)


class Accelerator:
    """Generators of two devices of a kind that is not at hand."""

    def __init__(self):
        self.states = [torch.tensor([1]), torch.tensor([2])]

    def is_initialized(self):
        return True

    def device_count(self):
        return len(self.states)

    def get_rng_state(self, device):
        return self.states[device].clone()

    def set_rng_state(self, state, device):
        self.states[device] = state.clone()


def test_random_states_of_all_devices_are_kept_and_can_be_pickled(monkeypatch):
    fake = Accelerator()
    monkeypatch.setattr(torch, "fake", fake, raising=False)
    monkeypatch.setattr(replay, "ACCELERATORS", ("fake", "absent"))
    seen = []

    def loss(model):
        seen.append([int(state) for state in fake.states])
        fake.states[1] += 5
        return model.weight.sum()

    gradient = gradient_function(torch.nn.Linear(2, 1), loss)
    fake.states[0] += 10
    gradient(gradient.theta)
    gradient(gradient.theta)
    assert seen == [[1, 2], [1, 2]]
    assert [int(state) for state in fake.states] == [11, 2]
    pickle.loads(pickle.dumps(gradient._random)).restore()
    assert [int(state) for state in fake.states] == [1, 2]


# Contexts around an evaluation


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_where_the_program_takes_none(context):
    _, theta, model, _, tensors = problem()
    gradient = gradient_function(model, Mean(*tensors))
    expected = gradient(theta)
    with context():
        np.testing.assert_array_equal(gradient(theta), expected)
        np.testing.assert_array_equal(gradient_function(model, Mean(*tensors))(theta), expected)


def test_a_cache_of_rounded_parameters_is_not_used_again(device):
    _, theta, model, _, tensors = problem(dtype=np.float32, device=device)
    gradient = gradient_function(model, Mean(*tensors))
    kind = partial(torch.autocast, device.type, dtype=torch.bfloat16)
    with kind():
        expected = gradient(1.5 * theta)
    with kind():
        outputs = model(tensors[0])
        np.testing.assert_array_equal(gradient(1.5 * theta), expected)
        assert torch.equal(model(tensors[0]), outputs)


# Which parameters


def test_shared_parameters_count_once_and_frozen_ones_not_at_all():
    first, last = nn.Linear(4, 4, dtype=F64), nn.Linear(4, 4, bias=False, dtype=F64)
    last.weight = first.weight
    model = nn.Sequential(first, nn.Linear(4, 4, dtype=F64).requires_grad_(False), nn.Tanh(), last)
    X = torch.randn(6, 4, dtype=F64)
    gradient = gradient_function(model, lambda model: model(X).square().mean())
    assert gradient.groups == {"0": slice(0, 20)}
    model(X).square().mean().backward()
    assert model[1].weight.grad is None
    expected = torch.cat([first.weight.grad.ravel(), first.bias.grad])
    np.testing.assert_allclose(gradient(gradient.theta), expected, rtol=0, atol=1e-15)


def test_groups_are_the_modules_that_own_the_parameters():
    gradient = gradient_function(Restless(), lambda model: model.scale.sum())
    assert gradient.groups == {
        "(model)": slice(0, 3),
        "body.0": slice(3, 43),
        "body.1": slice(43, 59),
        "body.5": slice(59, 75),
        "head": slice(75, 78),
        "head.parametrizations.weight": slice(78, 102),
    }
    found = gradient(gradient.theta)  # the loss knows one parameter
    assert found[:3].tolist() == [1, 1, 1]
    assert not found[3:].any()


def test_sparse_gradients_and_other_memory_formats_are_in_order(device):
    embedding = nn.Embedding(7, 3, sparse=True)
    weight = nn.Conv2d(2, 3, (1, 2)).to(memory_format=torch.channels_last)
    model = nn.ModuleList([embedding, weight]).to(device)
    with torch.no_grad():
        for known in model.parameters():
            known.copy_(torch.arange(known.numel(), device=device).reshape(known.shape))

    def loss(model):
        chosen = model[0](torch.tensor([1, 5, 5], device=device))
        return (chosen**2).sum() / 2 + (model[1].weight ** 2).sum() / 2

    gradient = gradient_function(model, loss)
    theta = gradient.theta
    assert theta.tolist() == [*range(21), *range(12), *range(3)]
    expected = np.zeros(36)
    expected[3:6], expected[15:18], expected[21:33] = theta[3:6], 2 * theta[15:18], theta[21:33]
    np.testing.assert_array_equal(gradient(theta), expected)
    np.testing.assert_array_equal(gradient(2 * theta), 2 * expected)


# Precision


@pytest.mark.parametrize(
    ("dtypes", "flat"),
    [
        ((torch.float32, torch.float32), np.float32),
        ((torch.float64, torch.float64), np.float64),
        ((torch.float32, torch.float64), np.float32),
        ((torch.float16, torch.float64), np.float32),
        ((torch.bfloat16, torch.bfloat16), np.float32),
    ],
)
def test_flat_vectors_are_double_only_where_all_parameters_are(dtypes, flat):
    model = nn.ParameterList([torch.full((2,), 0.1, dtype=dtype) for dtype in dtypes])
    seen = []

    def loss(model):
        seen[:] = [known.dtype for known in model]
        return sum((known.double() ** 2).sum() for known in model)

    gradient = gradient_function(model, loss)
    assert gradient.theta.dtype == gradient(gradient.theta.astype(np.float64)).dtype == flat
    assert tuple(seen) == dtypes
    np.testing.assert_allclose(gradient([1, 2, 3, 4]), [2, 4, 6, 8])
    with torch.no_grad():
        rounded = [known.detach().clone() for known in model]
    assert all(torch.equal(known, other) for known, other in zip(model, rounded, strict=True))


# What is refused


def test_models_that_have_no_flat_vector_are_refused():
    loss = torch.sum
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got function"):
        gradient_function(lambda x: x, loss)
    with pytest.raises(TypeError, match="loss must be callable, got Tensor"):
        gradient_function(nn.Linear(2, 1), torch.ones(()))
    with pytest.raises(ValueError, match="model must have parameters that require grad, got none"):
        gradient_function(nn.Linear(2, 1).requires_grad_(False), loss)
    with pytest.raises(ValueError, match=r"model must know the shapes .* call it once, 0\.weight has none yet"):
        gradient_function(nn.Sequential(nn.LazyLinear(2)), loss)
    wrapper = nn.parallel.DistributedDataParallel
    with pytest.raises(TypeError, match=r"model must be the module that DistributedDataParallel wraps, model\.module"):
        gradient_function(wrapper.__new__(wrapper), loss)
    with pytest.raises(TypeError, match=r"model must have real parameters, got weight of dtype torch\.complex64"):
        gradient_function(nn.Linear(2, 1, dtype=torch.complex64), loss)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda model: model.weight.sum().item(), TypeError, "loss must return a tensor, got float"),
        (lambda model: model.weight, ValueError, r"loss must return a scalar, got shape \(1, 2\)"),
        (
            lambda model: 1j * model.weight.sum(),
            TypeError,
            r"loss must return a real number, got dtype torch\.complex64",
        ),
        (lambda model: model.weight.detach().sum(), ValueError, "loss must depend on the parameters of the model"),
        (lambda model: nn.Linear(2, 2).bias.sum(), ValueError, "loss must depend on the parameters of the model"),
    ],
)
def test_losses_that_are_no_real_scalar_of_the_model_are_refused(loss, error, message):
    gradient = gradient_function(nn.Linear(2, 1, bias=False), loss)
    with pytest.raises(error, match=message):
        gradient([1.0, 2.0])


def test_gradients_that_are_not_finite_are_refused_by_the_estimators():
    model = nn.Linear(2, 1, bias=False)
    gradient = gradient_function(
        model, lambda model: torch.where(model.weight > 1, torch.inf, 1.0).sum() * model.weight.sum()
    )
    with pytest.raises(gc.NonFiniteError, match=r"non-finite gradient in sample 0, node -?1, length 0\.1: 2 of 2"):
        gc.estimate_curvature(gradient, [1.0, 1.0], length=0.1, rng=0)
