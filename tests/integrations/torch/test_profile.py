import re
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, TensorDataset

import glasscurv as gc
from glasscurv.curvature.profile import MEANINGS
from glasscurv.integrations.torch import ModelProfile, gradient_function, profile
from tests.integrations.torch.twins import everything, problem

cross_entropy = torch.nn.functional.cross_entropy
SHORT = {"length": 1e-2, "samples": 2, "lengths": [5e-3, 1e-2], "rng": 0, "progress": False}


def assert_close(found, expected, rtol):
    for field in fields(expected):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=rtol, err_msg=field.name)
        else:
            assert one == other


def test_profile_is_that_of_the_core(device):
    network, theta, model, (X, y), tensors = problem(device=device)
    found = profile(model, tensors, cross_entropy, length=1e-2, samples=4, rng=0, progress=False)
    groups = dict(zip(("0", "2", "4"), network.groups.values(), strict=True))

    def gradient(point):
        return network.value_and_grad(point, X, y)[1]

    expected = gc.curvature_profile(gradient, theta, groups, length=1e-2, samples=4, rng=0)
    assert_close(found, replace(expected, evaluations=expected.evaluations + 1), 1e-8)  # one tells what is rounding
    assert isinstance(found, ModelProfile)


class Once(DataLoader):
    """A loader that draws its order, and counts how often it is read."""

    read = 0

    def __iter__(self):
        self.read += 1
        return super().__iter__()


def test_batches_count_by_their_rows_and_are_read_once(device):
    """Their mean is the loss of all rows, in whatever order."""
    _, _, model, _, (X, y) = problem(device=device)
    together = profile(model, (X, y), cross_entropy, **SHORT)
    loader = Once(TensorDataset(X.cpu(), y.cpu()), batch_size=15, shuffle=True)
    before = everything(model)
    assert_close(profile(model, loader, torch.nn.CrossEntropyLoss(), **SHORT), together, 1e-8)
    assert everything(model) == before
    assert loader.read == 1
    pairs = [(X[:1], y[:1]), (X[1:], y[1:])]
    assert_close(profile(model, pairs, cross_entropy, **SHORT), together, 1e-8)
    assert_close(profile(model, iter(pairs), cross_entropy, **SHORT), together, 1e-8)


class Bilinear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Bilinear(3, 2, 4)
        self.noise = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))

    def forward(self, left, right):
        return self.noise(torch.relu(self.layer(left, right)))


@pytest.fixture
def two_sided(device):
    torch.manual_seed(0)
    model = Bilinear().to(device)
    inputs = torch.randn(20, 3), torch.randn(20, 2)
    return model, (inputs, (torch.randn(20, 4), torch.ones(20, 1)))


def weighted(outputs, targets):
    values, weights = targets
    return (weights * (outputs - values) ** 2).mean()


def test_tuples_are_arguments_of_the_model_and_reach_its_device(two_sided):
    model, (inputs, targets) = two_sided
    found = profile(model, (inputs, targets), weighted, **SHORT)
    as_lists = profile(model, [[list(inputs), list(targets)]], weighted, **SHORT)
    assert found.groups == ("layer", "noise.0")
    assert str(found) == str(as_lists)


def test_model_is_not_changed_by_a_bit(two_sided):
    model, data = two_sided
    model.layer(*(part.to(model.layer.weight.device) for part in data[0])).sum().backward()
    before = everything(model)
    first = profile(model, data, weighted, **SHORT)
    assert everything(model) == before
    torch.rand(1)
    torch.manual_seed(0)
    model.eval()
    before = everything(model)
    assert str(profile(model, data, weighted, **SHORT)) != str(first)
    assert everything(model) == before


class Counting(torch.nn.Module):
    """A loss with a state of its own, which would look like glass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, outputs, targets):
        self.calls += 1
        return self.calls * cross_entropy(outputs, targets)


def test_a_loss_with_buffers_is_the_same_in_every_evaluation():
    _, _, model, _, tensors = problem()
    loss = Counting()
    found = profile(model, tensors, loss, **SHORT)
    assert loss.calls == 0
    assert str(found) == str(profile(model, tensors, cross_entropy, **SHORT))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_model_is_not_changed_by_a_bit_where_it_ends_early(error, two_sided):
    model, data = two_sided
    before, calls = everything(model), []

    def fails(outputs, targets):
        calls.append(None)
        if len(calls) == 5:
            raise error
        return weighted(outputs, targets)

    with pytest.raises(error):
        profile(model, data, fails, **SHORT)
    assert everything(model) == before

    def broken():
        yield data
        torch.rand(3)
        raise error

    with pytest.raises(error):
        profile(model, broken(), weighted, **SHORT)
    assert everything(model) == before


# What it shows


@pytest.fixture(scope="module")
def found():
    _, _, model, _, tensors = problem(layers=(6, 60, 60, 4), rows=100)
    return profile(model, tensors, cross_entropy, rng=0, progress=False)


def test_table_has_a_line_for_each_layer(found):
    lines = str(found).split("\n")
    assert str(found) == found.table()
    assert lines[0] == "movements of length 0.001, 195 gradients"
    assert re.split(r"  +", lines[2].strip()) == ["density", "|Hz|", "rms Hz", "diagonal", "share"]
    assert lines[3].split() == [
        *("layer", "size", "(g²/l)", "(g/l)", "(g/l)", "(g/l)", "exponent", "(%)", "verdict"),
    ]
    for k, (group, line) in enumerate(zip(found.groups, lines[4:7], strict=True)):
        name, size, density, absolute, rms, diagonal, exponent, _, error, share, verdict = line.split()
        assert (name, int(size), verdict) == (group, found.parameters[k], found.verdict[k])
        for text, value in (
            (density, found.glass_density[k]),
            (absolute, found.hessian_abs[k]),
            (rms, found.hessian_rms[k]),
            (diagonal, found.hessian_diagonal[k]),
            (share, 100 * found.glass_share[k]),
        ):
            assert float(text) == pytest.approx(value, rel=6e-3)
        assert (float(exponent), float(error)) == (
            pytest.approx(found.exponent[k], abs=6e-3),
            pytest.approx(found.exponent_error[k], abs=6e-3),
        )
    assert lines[7] == ""
    assert lines[8].startswith("g²/l is gradient² per length")
    notes = [line.partition(":")[0] for line in lines[9:] if not line.startswith("  ")]
    assert notes == [verdict for verdict in MEANINGS if verdict in found.verdict]
    assert max(map(len, lines)) <= 80


def test_columns_are_aligned_and_what_has_no_value_is_a_dash(found):
    names = ("short", "a.much.longer.name", "2")
    changed = replace(
        found,
        groups=names,
        exponent=np.array([1.0, np.nan, 3.0]),
        glass_share=np.array([np.nan, 0.5, 1.0]),
        verdict=("glass", "none", "kinks"),
    )
    rows = changed.table().split("\n")[3:7]
    assert {row.index(row.split()[-1]) for row in rows} == {rows[0].index("verdict")}
    assert [row.split()[0] for row in rows[1:]] == list(names)
    assert rows[1].split()[-2:] == ["–", "glass"]
    assert rows[2].split()[-3:] == ["–", "50", "none"]


def test_hidden_layers_are_glass_and_rounding_shows_nothing(found):
    assert found.verdict[:2] == ("glass", "glass")
    _, _, model, _, (X, _) = problem()
    with pytest.warns(RuntimeWarning, match="no larger than rounding explains"):
        quadratic = profile(torch.nn.Sequential(model[0]), (X, X), lambda outputs, y: outputs.square().mean(), **SHORT)
    assert quadratic.verdict == ("none",)
    assert np.isnan([*quadratic.glass_density, *quadratic.glass_share, *quadratic.exponent]).all()
    assert np.isfinite([*quadratic.hessian_abs, *quadratic.hessian_diagonal]).all()
    assert "none: no bend exceeds rounding" in str(quadratic)


def test_figure_is_that_of_the_profile(found):
    figure = found.figure()
    assert isinstance(figure, Figure)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(found.groups)


def test_without_matplotlib_the_figure_says_what_to_install(found, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("glasscurv.plotting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"^figures need matplotlib: pip install 'glasscurv\[plot\]'$"):
        found.figure()


def test_progress_is_shown_on_request(capsys):
    _, _, model, _, tensors = problem()
    profile(model, tensors, cross_entropy, **{**SHORT, "progress": True})
    assert re.search(r"profile: 100%.* 15/15 ", capsys.readouterr().err)  # 3 + 2 · 2 · (1 + 2)
    profile(model, tensors, cross_entropy, **SHORT)
    assert capsys.readouterr() == ("", "")


# What is refused


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, TypeError, r"data must be a pair \(inputs, targets\) or an iterable of pairs, got int"),
        ([], ValueError, "data must hold at least one batch, got none"),
        (torch.ones(4, 2), TypeError, r"data must hold pairs \(inputs, targets\), got a Tensor"),
        ([torch.ones(4, 2), torch.ones(4)], TypeError, r"data must hold pairs \(inputs, targets\), got a Tensor"),
        ((torch.ones(4, 2),), ValueError, r"data must hold pairs \(inputs, targets\), got a tuple of 1"),
        ((torch.ones(4, 2), 3), TypeError, "targets must be a tensor or a tuple of tensors, got int"),
        ((torch.ones(4, 2), ()), TypeError, "targets must be a tensor or a tuple of tensors, got tuple"),
        ((torch.ones(4, 2), torch.ones(())), ValueError, r"targets must have at least one row, got shape \(\)"),
        ((torch.ones(0, 2), torch.ones(0)), ValueError, r"targets must have at least one row, got shape \(0,\)"),
    ],
)
def test_what_is_no_data_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        profile(torch.nn.Linear(2, 1), data, cross_entropy, **SHORT)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": None}, TypeError, r"model must be a torch\.nn\.Module, got NoneType"),
        ({"loss": 3}, TypeError, "loss must be callable, got int"),
        ({"loss": lambda outputs, y: outputs}, ValueError, r"loss must return a scalar, got shape \(4, 2\)"),
        ({"length": 0.0}, ValueError, "length must be finite and > 0, got 0.0"),
        ({"samples": 1}, ValueError, "samples must be ≥ 2, got 1"),
        ({"lengths": [1e-3]}, ValueError, "lengths must be positive and hold at least two different values"),
        ({"rng": "seed"}, TypeError, r"rng must be None, an int or a numpy\.random\.Generator, got str"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    arguments = {
        "model": torch.nn.Linear(2, 2),
        "data": (torch.ones(4, 2), torch.ones(4).long()),
        "loss": cross_entropy,
    }
    with pytest.raises(error, match=message):
        profile(**{**arguments, **SHORT, **options})


def test_precision_is_that_of_the_model():
    _, _, model, _, tensors = problem(dtype=np.float32)
    theta = gradient_function(model, lambda model: cross_entropy(model(tensors[0]), tensors[1])).theta
    found = profile(model, tensors, cross_entropy, **SHORT)
    assert theta.dtype == np.float32
    assert np.isfinite(found.hessian_abs).all()
