"""The optimizers against PyTorch's own, and AdaHessian against the paper's algorithm with exact Hessian products."""

import numpy as np
import pytest

import glasscurv as gc

torch = pytest.importorskip("torch")

N, STEPS = 7, 100
START = np.random.default_rng(0).normal(size=N)


def shared_loss():
    """Σ log cosh(Aθ − b) + ¼ Σ θ⁴ + sin θ_0 θ_1: smooth, coupled, neither quadratic nor convex."""
    rng = np.random.default_rng(1)
    matrix, offset = (torch.from_numpy(rng.normal(size=shape)) for shape in ((10, N), 10))

    def loss(theta):
        inner = torch.log(torch.cosh(matrix @ theta - offset)).sum()
        return inner + 0.25 * (theta**4).sum() + torch.sin(theta[0] * theta[1])

    return loss


def cubic_loss():
    """½θᵀHθ + Σ (a_k·θ)³/6 near its minimum: central differences of its gradient are exact."""
    rng = np.random.default_rng(2)
    root, slopes = (torch.from_numpy(rng.normal(size=shape)) for shape in ((N, N), (5, N)))

    def loss(theta):
        return 0.5 * ((root @ theta) ** 2).sum() + (theta**2).sum() + ((0.2 * slopes @ theta) ** 3).sum() / 6

    return loss


def value_and_grad(loss):
    def function(theta):
        point = torch.tensor(theta, requires_grad=True)
        value = loss(point)
        (gradient,) = torch.autograd.grad(value, point)
        return value.item(), gradient.numpy()

    return function


def torch_path(make, loss):
    theta = torch.nn.Parameter(torch.from_numpy(START.copy()))
    optimizer = make([theta])
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(theta).backward()
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.array(path)


def our_path(optimizer, loss):
    function, path = value_and_grad(loss), []
    for _ in range(STEPS):
        optimizer.step(function)
        path.append(optimizer.theta)
    return np.array(path)


def check_agreement(path, expected):
    assert path.shape == expected.shape == (STEPS, N)
    assert np.abs(expected[-1] - expected[0]).max() > 0.1
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "lr", "options"),
    [
        ("SGD", 0.02, {}),
        ("SGD", 0.01, {"momentum": 0.9}),
        ("SGD", 0.01, {"momentum": 0.9, "nesterov": True}),
        ("Adam", 0.02, {}),
        ("Adam", 0.02, {"betas": (0.8, 0.99), "eps": 1e-3}),
        ("AdamW", 0.02, {}),
        ("AdamW", 0.02, {"betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.5}),
    ],
)
def test_a_hundred_steps_agree_with_pytorch(name, lr, options):
    loss = shared_loss()
    expected = torch_path(lambda theta: getattr(torch.optim, name)(theta, lr=lr, **options), loss)
    check_agreement(our_path(getattr(gc, name)(START, lr, **options), loss), expected)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_rate_for_every_parameter_agrees_with_pytorchs_groups(name):
    loss, rates = shared_loss(), 0.01 * np.arange(1, N + 1)
    theta = [torch.nn.Parameter(torch.tensor([x])) for x in START]
    groups = [{"params": [entry], "lr": rate} for entry, rate in zip(theta, rates.tolist(), strict=True)]
    optimizer, expected = getattr(torch.optim, name)(groups, lr=1.0), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(torch.cat(theta)).backward()
        optimizer.step()
        expected.append(torch.cat(theta).detach().numpy().copy())
    check_agreement(our_path(getattr(gc, name)(START, rates), loss), np.array(expected))


def paper_adahessian(loss, directions, lr, betas, eps, hessian_power, block_size):
    """Algorithm 1 of Yao et al.: the Hessian product by differentiating twice, equations (9) to (12) as printed."""
    theta, path = START.copy(), []
    gradients, diagonals = np.zeros((2, len(directions), N))
    for t, z in enumerate(directions, start=1):
        point, direction = torch.tensor(theta, requires_grad=True), torch.from_numpy(z)
        (gradient,) = torch.autograd.grad(loss(point), point, create_graph=True)
        (product,) = torch.autograd.grad(gradient @ direction, point)
        diagonal = z * product.numpy()
        blocks = [diagonal[start : start + block_size] for start in range(0, N, block_size)]
        diagonals[t - 1] = np.concatenate([np.full(block.size, block.mean()) for block in blocks])
        gradients[t - 1] = gradient.detach().numpy()
        first, second = ((1 - beta) * beta ** np.arange(t)[::-1] for beta in betas)
        m = first @ gradients[:t] / (1 - betas[0] ** t)
        root = np.sqrt(second @ diagonals[:t] ** 2 / (1 - betas[1] ** t))
        theta = theta - lr * m / (root**hessian_power + eps)
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block_size": 3},
        {"block_size": 10},
        {"hessian_power": 0.5},
        {"hessian_power": 0.0, "betas": (0.5, 0.8), "eps": 1e-2, "block_size": 2},
    ],
)
def test_a_hundred_steps_agree_with_the_adahessian_paper(options):
    loss, lr = cubic_loss(), 0.05
    rng = np.random.default_rng(3)
    directions = [gc.Rademacher().sample(N, rng) for _ in range(STEPS)]
    all_options = {"betas": (0.9, 0.999), "eps": 1e-4, "hessian_power": 1.0, "block_size": 1} | options
    expected = paper_adahessian(loss, directions, lr, **all_options)
    check_agreement(our_path(gc.AdaHessian(START, lr, length=0.5, rng=3, **options), loss), expected)
