"""Alice for PyTorch against the NumPy core, and what a step leaves as it was."""

import copy
import io
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

import glasscurv as gc
from glasscurv.integrations.torch import Alice, alice, steps
from glasscurv.integrations.torch.replay import RandomState
from paper_checks import replays

STATE = ("lookahead", "gradient", "second_moment", "curvature", "density")
FAST = {"betas": (0.75, 0.9), "lr": 0.01}  # four warm-up steps


class Fed(Alice):
    """Takes its directions from a list of flat arrays."""

    signs = iter(())

    def _directions(self, like, step):
        sizes = [tensor.numel() for tensor in like]
        pieces = torch.from_numpy(next(self.signs)).split(sizes)
        return [piece.view_as(tensor).to(tensor) for piece, tensor in zip(pieces, like, strict=True)]


def flat(tensors):
    return np.concatenate([tensor.detach().double().cpu().numpy().ravel() for tensor in tensors])


def parts(theta, device, sizes=None):
    """Parameters that hold `theta` together, with two dimensions where that is possible."""
    pieces = torch.tensor(theta, device=device).split(sizes or [theta.size])
    return [nn.Parameter(piece.reshape(-1, 2 if piece.numel() % 2 == 0 else 1).clone()) for piece in pieces]


def evaluation(parameters, value_and_grad):
    """Closure over a function of the flat vector."""

    def closure():
        loss, gradient = value_and_grad(flat(parameters))
        pieces = torch.tensor(gradient).split([parameter.numel() for parameter in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter).to(parameter)
        return loss

    return closure


def toy(theta):
    """Coupled and neither quadratic nor convex."""
    n = theta.size
    matrix = np.random.default_rng(0).normal(size=(n, n))
    inner = matrix @ theta
    return np.sum(np.sin(inner) + inner**2 / 4), matrix.T @ (np.cos(inner) + inner / 2)


def check_against_the_core(options, factors):
    """The core takes the same steps, with learning rates that change every four steps."""
    n, count = 6, 13
    rng = np.random.default_rng(1)
    theta, signs = rng.normal(size=n), [rng.choice([-1.0, 1.0], n) for _ in range(count)]
    core = gc.Alice(theta, distribution=replays.Replayed(signs), **options)
    parameters = parts(theta, "cpu", [2, 4])
    optimizer = Fed(parameters, **options)
    optimizer.signs = iter(signs)
    for step in range(count):
        if step % 4 == 3:
            core.lr *= factors[step // 4]
            optimizer.param_groups[0]["lr"] *= factors[step // 4]
        loss = optimizer.step(evaluation(parameters, toy))
        assert abs(loss - core.step(toy)) < 1e-10
        np.testing.assert_allclose(flat(parameters), core.theta, rtol=0, atol=1e-10)
        for name, expected in core.state.items():
            state = flat([optimizer.state[parameter][name] for parameter in parameters])
            np.testing.assert_allclose(state, expected, rtol=1e-10, atol=1e-10, err_msg=name)
    assert optimizer.evaluations == core.evaluations


class TestAgainstTheCore:
    @pytest.mark.parametrize("split", [False, True])
    @pytest.mark.parametrize("case", replays.CASES)
    def test_replays(self, case, split, device):
        arrays = replays.load(case)
        n = arrays["theta0"].size
        parameters = parts(arrays["theta0"], device, [2, n - 5, 0, 3] if split else None)
        groups = [{"params": parameters[:2]}, {"params": parameters[2:]}] if split else parameters
        optimizer = Fed(groups, **replays.alice_options(case))
        optimizer.signs = iter([signs for signs in arrays["signs"] if signs.any()])
        answers = zip(arrays["losses"], arrays["gradients"], strict=True)
        points = []
        closure = evaluation(parameters, lambda theta: (points.append(theta), next(answers))[1])
        expected = replays.replay(case)
        for count, theta, state in zip(expected.evaluations, expected.theta, expected.state, strict=True):
            before = len(points)
            optimizer.step(closure)
            assert len(points) - before == count
            np.testing.assert_allclose(flat(parameters), theta, rtol=0, atol=1e-10)
            moved = [parameter for parameter in parameters if parameter.numel()]
            for name, values in zip(replays.STATE, state, strict=True):
                got = flat([optimizer.state[parameter][name] for parameter in moved])
                np.testing.assert_allclose(got, values, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(points, expected.points, rtol=0, atol=1e-10)
        assert optimizer.evaluations == len(points)
        assert optimizer.steps == len(expected.theta)

    @settings(deadline=None, max_examples=40)
    @given(
        options=st.fixed_dictionaries(
            {
                "lr": st.sampled_from([0.003, 0.02]),
                "betas": st.tuples(st.sampled_from([0.0, 0.5, 0.8]), st.sampled_from([0.0, 0.6, 0.99])),
                "eps": st.sampled_from([1e-8, 1e-2]),
                "l1": st.sampled_from([0.0, 0.1]),
                "l2": st.sampled_from([0.0, 0.3]),
                "step_fraction": st.sampled_from([None, 0.0, 0.7]),
                "lookahead": st.sampled_from([1.0, 0.0, 1.5]),
                "limiter": st.sampled_from(["adam", "sgdm", "fixed"]),
                "lr_min": st.sampled_from([0.0, 0.001]),
                "lr_max": st.sampled_from([None, 0.001, 0.05]),
                "hessian": st.sampled_from(["abs", "rms", "zero", "diagonal"]),
                "glass": st.booleans(),
                "quick_steps": st.integers(0, 3),
                "length": st.sampled_from([None, 0.02]),
            }
        ),
        factors=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=3, max_size=3),
    )
    def test_any_options(self, options, factors):
        check_against_the_core(options, factors)

    def test_decay_in_the_mean_square_of_the_curvature(self):
        check_against_the_core({"lr": 0.01, "betas": (0.5, 0.9), "hessian": "rms", "l2": 0.3}, [1.0, 0.5, 1.0])

    @pytest.mark.parametrize("limiter", ["adam", "sgdm", "fixed"])
    @pytest.mark.parametrize("hessian", ["abs", "rms", "zero", "diagonal"])
    def test_float32_in_its_whole_range(self, limiter, hessian, device):
        rng = np.random.default_rng(2)
        g, v, c, r = (rng.choice([0, *10.0 ** np.arange(-18, 19, 3)], 400) for _ in range(4))
        g *= rng.choice([-1, 1], 400)
        g[(v == 0) & (limiter == "adam")] = 0
        rule = steps.Rule((0, 0, 0), 1e-8, 0, 0, 1, 1, limiter, 1e-4, 0.1, hessian, True, 1, False)
        tensors = [torch.tensor(values, dtype=torch.float32, device=device) for values in (g, v, c, r)]
        got = -steps.displacement(rule, *tensors).double().cpu().numpy()
        g, v, c, r = (tensor.double().cpu().numpy() for tensor in tensors)
        h = {"zero": 0 * c, "rms": np.sqrt(c)}.get(hessian, c)
        free = gc.quasi_newton_step(g, h, r, eps=1e-8)
        expected = gc.bound_step(free, g, v, lr_min=1e-4, lr_max=0.1, limiter=limiter, eps=1e-8)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-30)


def network(device="cpu", dtype=torch.float32):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 1))
    return model.to(device, dtype)


def training(model, optimizer, failing=(), error=KeyboardInterrupt):
    """Closure with batch normalisation, dropout and noise from every generator; fails at the given calls."""
    first = optimizer.param_groups[0]["params"][0]
    device, dtype = first.device, first.dtype
    inputs = torch.linspace(-1, 1, 48, device=device, dtype=dtype).view(16, 3).sin()
    calls = []

    def closure():
        optimizer.zero_grad()
        noise = random.random() + np.random.random() + torch.rand(16, 1).to(device, dtype)  # noqa: NPY002
        loss = (model(inputs) - noise).square().mean()
        loss.backward()
        calls.append(noise)
        if len(calls) in failing:
            raise error
        return loss

    closure.calls = calls
    return closure


def seed_everything():
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)


def everything(model, optimizer):
    """All that a failed step leaves as it was, in plain Python."""
    state = [
        {name: tensor.tolist() for name, tensor in optimizer.state.get(parameter, {}).items()}
        for parameter in model.parameters()
    ]
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    generators = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    values = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return {"state": state, "groups": groups, "generators": generators, "values": values}


class TestOneStep:
    def test_buffers_that_come_with_a_new_group_are_kept_too(self):
        model, more = network(), nn.BatchNorm1d(1)
        optimizer = Alice(model.parameters(), lr=0.01)
        optimizer.step(training(model, optimizer))
        optimizer.add_param_group({"params": more.parameters()})
        for _ in range(3):
            optimizer.step(training(nn.Sequential(model, more), optimizer))
        assert [int(layer.num_batches_tracked) for layer in (model[1], more)] == [4, 3]

    def test_evaluations_see_the_same_random_numbers_and_count_once(self, device):
        model, twin = network(device), network(device)
        optimizer = Alice(model.parameters(), **FAST)
        seed_everything()
        closure = training(model, optimizer)
        loss = optimizer.step(closure)
        assert len(closure.calls) == 3
        assert all(torch.equal(noise, closure.calls[0]) for noise in closure.calls)
        after = [random.random(), np.random.random(), torch.rand(1).item(), torch.rand(1, device=device).item()]  # noqa: NPY002
        seed_everything()
        assert torch.equal(training(twin, Alice(twin.parameters()))(), loss)
        assert [random.random(), np.random.random(), torch.rand(1).item(), torch.rand(1, device=device).item()] == after  # noqa: NPY002
        for (name, buffer), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
            assert torch.equal(buffer, expected), name
        assert model[1].num_batches_tracked == 1

    def test_evaluations_see_the_same_buffers(self):
        class Counting(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("calls", torch.zeros(()))
                self.weight, self.seen = nn.Parameter(torch.ones(2)), []

            def forward(self):
                self.seen.append(int(self.calls))
                self.calls += 1
                return self.weight.square().sum()

        model = Counting()
        optimizer = Alice(model.parameters(), **FAST, quick_steps=9)
        for _ in range(6):
            optimizer.step(lambda: model().backward())
        assert model.seen == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5]

    def test_the_default_device_does_not_matter(self, monkeypatch):
        ends = []
        for default in ("cpu", "meta"):
            parameter = nn.Parameter(torch.ones(2))
            optimizer = Alice([parameter], **FAST)
            parameter.grad = torch.ones(2)
            monkeypatch.setattr(alice, "looking_waits", lambda device: True)
            with torch.device(default):
                for _ in range(6):
                    optimizer.step(lambda: None)
            ends.append(parameter.tolist())
        assert ends[0] == ends[1] != [1.0, 1.0]

    def test_the_loss_comes_back_as_it_was_given(self):
        parameter = nn.Parameter(torch.ones(2))
        parameter.grad = torch.ones(2)
        for loss in (None, object(), torch.ones(3)):
            assert Alice([parameter]).step(lambda loss=loss: loss) is loss

    @pytest.mark.parametrize("steps_before", [0, 2, 5])
    @pytest.mark.parametrize("call", [1, 2, 3])
    def test_a_failed_closure_changes_nothing(self, steps_before, call):
        model = network()
        optimizer = Alice(model.parameters(), **FAST, quick_steps=5)
        seed_everything()
        for _ in range(steps_before):
            optimizer.step(training(model, optimizer))
        before = everything(model, optimizer)
        failing = training(model, optimizer, failing=[call if steps_before < 4 else 1])
        with pytest.raises(KeyboardInterrupt):
            optimizer.step(failing)
        assert everything(model, optimizer) == before

    def test_gradients_may_be_set_to_zero_in_place_and_accumulated(self):
        models = network(), network()
        ends = []
        for model, accumulate in zip(models, (False, True), strict=True):
            optimizer = Alice(model[4:].parameters(), **FAST)
            inputs = torch.linspace(-1, 1, 40).view(8, 5)

            def closure(model=model, optimizer=optimizer, accumulate=accumulate, inputs=inputs):
                optimizer.zero_grad(set_to_none=not accumulate)
                losses = [model[4](part).square().sum() for part in inputs.split(4 if accumulate else 8)]
                for loss in losses:
                    loss.backward()
                return sum(losses)

            for _ in range(8):
                optimizer.step(closure)
            ends.append(flat(model.parameters()))
        np.testing.assert_allclose(*ends, rtol=1e-4)

    def test_autocast(self):
        model = network()
        optimizer = Alice(model.parameters(), **FAST)
        inputs = torch.randn(16, 3)

        def closure():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(inputs).square().mean()
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(60)]
        assert losses[-1] < losses[0]
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())

    def test_no_step_waits_for_the_device(self, device):
        if device.type == "cpu":
            pytest.skip("nothing to wait for")
        parameter = nn.Parameter(torch.ones(5, device=device))
        optimizer = Alice([parameter], **FAST)
        parameter.grad = torch.ones_like(parameter)
        optimizer.step(lambda: None)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(10):
                optimizer.step(lambda: None)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def test_large_and_strided_parameters_go_in_blocks(self, monkeypatch, device):
        ends = []
        for block in (1 << 30, 7):
            monkeypatch.setattr(steps, "BLOCK", {device.type: block})
            torch.manual_seed(0)
            shapes = (3, 2), (4, 5), (), (9,)
            parameters = [nn.Parameter(torch.randn(shape, device=device).double()) for shape in shapes]
            parameters.append(nn.Parameter(torch.randn(4, 3, device=device).double().t()))
            optimizer = Alice(parameters, **FAST, hessian="rms", l1=0.1, l2=0.1)
            for _ in range(10):
                optimizer.step(evaluation(parameters, toy))
            ends.append(flat(parameters))
        np.testing.assert_allclose(*ends, rtol=1e-12)


class TestParameters:
    def test_frozen_ones_are_left_out_and_none_counts_as_zero(self, device):
        weights = [nn.Parameter(torch.ones(2, device=device)) for _ in range(3)]
        weights[0].requires_grad_(False)
        optimizer = Alice(weights, **FAST, l2=0.1)
        seen = []

        def closure():
            optimizer.zero_grad()
            seen.append(weights[0].tolist())
            weights[1].square().sum().backward()

        for _ in range(6):
            optimizer.step(closure)
        assert seen == [[1.0, 1.0]] * len(seen)
        assert weights[0] not in optimizer.state
        assert (weights[1] < 1).all()
        assert (weights[2] < 1).all()  # the decay
        assert not optimizer.state[weights[2]]["second_moment"].any()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_keeps_its_state_in_float32(self, dtype, device):
        half, single = (nn.Parameter(torch.ones(4, dtype=kind, device=device)) for kind in (dtype, torch.float32))
        slope = torch.tensor([1.0, -2.0, 0.5, 0.25], device=device)
        optimizers = [Alice([parameter], lr=1e-5, betas=(0.75, 0.9), limiter="fixed") for parameter in (half, single)]
        for _ in range(12):
            for parameter, optimizer in zip((half, single), optimizers, strict=True):
                parameter.grad = slope.to(parameter.dtype)
                optimizer.step(lambda: None)
        state = optimizers[0].state[half]
        assert {tensor.dtype for tensor in state.values()} == {torch.float32}
        assert torch.equal(state["center"], single)  # far below the rounding of the parameter
        assert torch.equal(half, single.to(dtype))

    def test_half_precision_rounds_perturbed_points_once(self):
        half = nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
        optimizer = Alice([half], lr=0.003)
        half.grad, points = torch.zeros_like(half), []
        for _ in range(2):
            optimizer.step(lambda: points.append(set(half.tolist())))
            optimizer.state[half]["lookahead"].fill_(1.003)
        assert points == [{1.0, 0.99609375}] * 2 + [{1.0}] + [{1.0, 1.0078125}] * 2 + [{1.0}]

    def test_a_half_parameter_that_was_changed_is_honoured(self):
        half = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        optimizer = Alice([half], lr=1e-5, betas=(0.75, 0.9))
        half.grad = torch.ones_like(half)
        for _ in range(6):
            optimizer.step(lambda: None)
        kept = optimizer.state[half]["center"].clone()
        assert (kept < 1).all()
        with torch.no_grad():
            half[1] = 3
        optimizer.step(lambda: None)
        center = optimizer.state[half]["center"]
        assert abs(center[1] - 3) < 1e-3
        assert (abs(center - kept)[[0, 2]] < 1e-3).all()

    def test_gradients_that_are_sparse_are_refused(self):
        embedding = nn.Embedding(10, 3, sparse=True)
        optimizer = Alice([nn.Parameter(torch.ones(1))])
        optimizer.add_param_group({"params": embedding.parameters()})
        before = everything(embedding, optimizer)
        with pytest.raises(TypeError, match=r"dense, got torch.sparse_coo .* shape \(10, 3\) in group 1"):
            optimizer.step(lambda: embedding(torch.tensor([1])).sum().backward())
        assert everything(embedding, optimizer) == before

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e5m2])
    def test_other_numbers_are_refused(self, dtype):
        with pytest.raises(TypeError, match=rf"params must be of float16, .* got {dtype} of shape \(3,\)"):
            Alice([torch.zeros(3, dtype=dtype)])

    def test_integers_are_left_out(self):
        counter = torch.zeros(3, dtype=torch.int64)
        optimizer = Alice([counter])
        optimizer.step(lambda: None)
        assert counter not in optimizer.state


class TestGroups:
    def test_each_has_its_own_options(self):
        theta = np.random.default_rng(5).normal(size=4)
        parameters = parts(theta, "cpu", [2, 2])
        groups = [{"params": parameters[:1], "lr": 0.1, "limiter": "sgdm"}, {"params": parameters[1:], "l2": 0.5}]
        optimizer = Alice(groups, lr=0.01, betas=(0.75, 0.9))
        separable = lambda theta: (0.0, theta + theta**3)  # noqa: E731
        alone = []
        for parameter, options in zip(parts(theta, "cpu", [2, 2]), groups, strict=True):
            own = Alice([{**options, "params": [parameter]}], lr=0.01, betas=(0.75, 0.9))
            for _ in range(9):
                own.step(evaluation([parameter], separable))
            alone.append(parameter)
        for _ in range(9):
            optimizer.step(evaluation(parameters, separable))
        # Without coupling, |Hz| and the glass do not depend on the signs but for the rounding of differences.
        np.testing.assert_allclose(flat(parameters), flat(alone), rtol=1e-6)

    def test_a_new_one_has_its_own_warm_up(self):
        first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
        optimizer = Alice([first], **FAST, quick_steps=9)
        closure = evaluation([first, second], lambda theta: (0.0, theta))
        for _ in range(6):
            optimizer.step(closure)
        assert optimizer.evaluations == 4 * 3 + 2
        group = {"params": (p for p in [second]), "lr": 0.1}
        optimizer.add_param_group(group)
        assert group.keys() == {"params", "lr"}
        for step in range(1, 6):
            full = optimizer.is_full_step(optimizer.steps + 1)
            assert full == (step <= 4 or optimizer.steps == 9)
            moved = first.clone()
            optimizer.step(closure)
            assert not torch.equal(moved, first)
            assert (step <= 4) == (second == 1).all()
        assert [group["steps"] for group in optimizer.param_groups] == [11, 5]
        assert optimizer.param_groups[1]["evaluations"] == 4 * 3 + 1

    def test_one_that_is_refused_is_not_added(self):
        optimizer = Alice([nn.Parameter(torch.ones(2))])
        weight = nn.Parameter(torch.ones(2))
        for name, value in {"quick_steps": 2, "seed": 1, "steps": 4, "evaluations": 1, "base_lr": 0.1}.items():
            with pytest.raises(ValueError, match=f"{name} belongs to the whole optimizer, got a group with {value}"):
                optimizer.add_param_group({"params": [weight], name: value})
        with pytest.raises(ValueError, match="eps must be finite and > 0, got -1"):
            optimizer.add_param_group({"params": [weight], "eps": -1})
        with pytest.raises(TypeError, match="param_group must be a dict"):
            optimizer.add_param_group([weight])
        assert len(optimizer.param_groups) == 1
        optimizer.add_param_group({"params": [weight]})


class TestDirections:
    def test_they_follow_from_seed_and_step_alone(self, device):
        like = [torch.ones(50, device=device), torch.ones(5, 10, device=device)]
        optimizers = [Alice([nn.Parameter(like[0])], seed=seed) for seed in (1, 1, 2)]
        torch.manual_seed(0)
        state = torch.get_rng_state()
        first, same, other = (torch.cat(list(map(torch.ravel, it._directions(like, 7)))) for it in optimizers)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(first, same)
        assert first.abs().eq(1).all()
        # False alarms: 3 times 2 P(100 fair signs sum to more than 54) < 3e-7.
        for signs in (
            first,
            first * other,
            first * torch.cat(list(map(torch.ravel, optimizers[0]._directions(like, 8)))),
        ):
            assert abs(signs.sum()) <= 54


class TestSchedules:
    @pytest.mark.parametrize(
        "make",
        [
            lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20, cycle_momentum=False),
            lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=5),
            lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.0 if step == 9 else 1 / (1 + step)),
            lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1, threshold=10.0),
        ],
    )
    def test_they_are_followed_as_the_core_follows_the_same_rates(self, make):
        rng = np.random.default_rng(4)
        theta, signs = rng.normal(size=6), [rng.choice([-1.0, 1.0], 6) for _ in range(20)]
        options = {**FAST, "lr_min": 0.001, "lr_max": 0.02, "quick_steps": 1, "length": 0.01}
        core = gc.Alice(theta, distribution=replays.Replayed(signs), **options)
        parameters = parts(theta, "cpu", [6])
        optimizer = Fed(parameters, **options)
        optimizer.signs = iter(signs)
        scheduler, rates = make(optimizer), []
        for _ in range(15):
            rate = optimizer.param_groups[0]["lr"]
            rates.append(rate)
            loss = optimizer.step(evaluation(parameters, toy))
            scheduler.step(*[loss] * isinstance(scheduler, lr_scheduler.ReduceLROnPlateau))
            if rate == 0:  # the core wants more than 0
                rate = 1e-300
            core.lr = rate
            core.step(toy)
            np.testing.assert_allclose(flat(parameters), core.theta, rtol=0, atol=1e-10)
        assert len(set(rates)) > 1

    @pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
    def test_several_after_each_other(self):
        parameters = parts(np.ones(6), "cpu")
        optimizer = Alice(parameters, **FAST)
        warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=5)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
        scheduler = lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[5])
        losses = []
        for _ in range(14):
            losses.append(optimizer.step(evaluation(parameters, toy)))
            scheduler.step()
        assert losses[-1] < losses[0]

    def test_one_cycle_may_cycle_the_averaging_weight(self):
        parameters = parts(np.ones(6), "cpu")
        optimizer = Alice(parameters, lr=0.01, betas=(0.85, 0.99))
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.05, total_steps=60, base_momentum=0.75, max_momentum=0.85
        )
        losses = []
        for _ in range(40):
            losses.append(optimizer.step(evaluation(parameters, toy)))
            scheduler.step()
        assert optimizer.param_groups[0]["betas"][0] != 0.85
        assert losses[-1] < losses[0]

    def test_a_rate_of_0_is_no_length(self):
        parameters = parts(np.ones(6), "cpu")
        for length in (None, 0.01):
            optimizer = Alice(parameters, **FAST, length=length)
            optimizer.param_groups[0]["lr"] = 0
            if length is None:
                with pytest.raises(ValueError, match=r"group 0 must have a perturbation length .* got lr=0"):
                    optimizer.step(evaluation(parameters, toy))
            else:
                for _ in range(9):
                    optimizer.step(evaluation(parameters, toy))
                np.testing.assert_array_equal(flat(parameters), np.ones(6))

    def test_a_tensor_is_no_rate(self):
        with pytest.raises(TypeError, match="lr must be a real number, got a Tensor"):
            Alice([nn.Parameter(torch.ones(1))], lr=torch.tensor(0.1))
        optimizer = Alice([nn.Parameter(torch.ones(1))])
        optimizer.param_groups[0]["lr"] = torch.tensor(0.1)
        with pytest.raises(TypeError, match="lr must be a real number, got a Tensor"):
            optimizer.step(lambda: None)


class TestCheckpoints:
    def run(self, model, optimizer, count):
        for _ in range(count):
            optimizer.step(training(model, optimizer))

    def make(self, model, **options):
        halves = [{"params": model[:2].parameters()}, {"params": model[2:].parameters(), "lr": 0.02}]
        return Alice(halves, **FAST, **options)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("count", [0, 2, 6, 8])
    def test_a_resumed_run_is_the_same_bit_for_bit(self, count, dtype, device):
        model = network(device, dtype)
        optimizer = self.make(model, seed=4, quick_steps=2)
        seed_everything()
        self.run(model, optimizer, count)
        file = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        generators = RandomState()
        self.run(model, optimizer, 7)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        copied = copy.deepcopy(saved)
        twin = network(device, dtype)
        resumed = self.make(twin)
        twin.load_state_dict(saved["model"])
        resumed.load_state_dict(saved["optimizer"])
        generators.restore()
        self.run(twin, resumed, 7)
        assert (
            (resumed.steps, resumed.evaluations)
            == (optimizer.steps, optimizer.evaluations)
            == (count + 7, 3 * (4 + (count + 7) // 3 - 1) + (count + 7 - 4 - (count + 7) // 3 + 1))
        )
        assert everything(model, optimizer) == everything(twin, resumed)
        for name, state in copied["optimizer"]["state"].items():  # the saved state is its owner's
            assert all(torch.equal(saved["optimizer"]["state"][name][key], tensor) for key, tensor in state.items())

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
    def test_copies_go_on_by_themselves(self, copied):
        model = network()
        optimizer = self.make(model)
        seed_everything()
        self.run(model, optimizer, 5)
        twin, other = copied((model, optimizer))
        seed_everything()
        self.run(model, optimizer, 3)
        seed_everything()
        self.run(twin, other, 3)
        assert everything(model, optimizer) == everything(twin, other)

    def test_hooks_that_change_what_is_loaded_are_heard(self):
        model = network()
        optimizer = self.make(model)
        self.run(model, optimizer, 2)
        saved = optimizer.state_dict()
        doubled = copy.deepcopy(saved)
        for state in doubled["state"].values():
            state["density"] *= 2
        other = self.make(model)
        other.register_load_state_dict_pre_hook(lambda optimizer, state: doubled)
        other.load_state_dict(saved)
        weight = model[0].weight
        assert torch.equal(other.state[weight]["density"], 2 * optimizer.state[weight]["density"])

    def test_the_state_of_another_optimizer_is_refused(self):
        model = network()
        optimizer = Alice(model.parameters())
        other = torch.optim.Adam(model.parameters())
        before = everything(model, optimizer)
        with pytest.raises(ValueError, match=r"group 0 of the state must be one of Alice, got one without .*'base_lr'"):
            optimizer.load_state_dict(other.state_dict())
        saved = Alice(model.parameters()).state_dict()
        saved["state"] = {3: {"exp_avg": torch.ones(1)}}
        with pytest.raises(
            ValueError, match=r"state of parameter 3 must be one of Alice, got one without .*'curvature'"
        ):
            optimizer.load_state_dict(saved)
        assert everything(model, optimizer) == before


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="PyTorch 2.2 scales on CUDA alone")
class TestGradScaler:
    def make(self, device, **options):
        parameter = nn.Parameter(torch.tensor([1.0, -0.5, 2.0], device=device))
        scaler = torch.amp.GradScaler(device.type, init_scale=2.0**10, growth_interval=1000, **options)
        return parameter, Alice([parameter], **FAST), scaler

    def closure(self, parameter, optimizer, scaler, overflowing=()):
        calls = []

        def closure():
            optimizer.zero_grad()
            calls.append(1)
            loss = parameter.cos().sum() + parameter.pow(4).sum() + 0 * torch.rand(1, device=parameter.device).sum()
            factor = 1e38 if len(calls) in overflowing else 1.0  # scaled, it is beyond float32
            scaler.scale(loss * factor).backward()
            return loss

        return closure

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("enabled", [True, False])
    def test_the_trajectory_is_that_without_scaling(self, enabled, dtype, device):
        ends = []
        for scaled in (True, False):
            parameter, optimizer, scaler = self.make(device, enabled=scaled and enabled)
            parameter.data = parameter.data.to(dtype)
            for _ in range(12):
                optimizer.step(self.closure(parameter, optimizer, scaler), scaler=scaler)
                scaler.update()
            left = [parameter, parameter.grad, *optimizer.state[parameter].values()]
            ends.append([tensor.tolist() for tensor in left])
        assert ends[0] == ends[1]
        assert optimizer.steps == 12

    @pytest.mark.parametrize("call", [1, 2, 3])
    @pytest.mark.parametrize("steps_before", [0, 2, 5])
    def test_an_overflow_skips_the_step_and_lowers_the_scale(self, call, steps_before, device):
        runs = []
        for disturbed in (False, True):
            parameter, optimizer, scaler = self.make(device)
            for step in range(9):
                if disturbed and step == steps_before:
                    before = parameter.tolist(), copy.deepcopy(optimizer.state_dict())
                    overflowing = self.closure(parameter, optimizer, scaler, [call if steps_before < 4 else 1])
                    torch.manual_seed(5)
                    assert optimizer.step(overflowing, scaler=scaler).isfinite()
                    after = torch.rand(1, device=device)
                    torch.manual_seed(5)
                    torch.rand(1, device=device)  # that of one evaluation
                    assert torch.equal(torch.rand(1, device=device), after)
                    scaler.update()
                    assert scaler.get_scale() == 2.0**9
                    assert parameter.tolist() == before[0]
                    assert str(optimizer.state_dict()) == str(before[1])
                optimizer.step(self.closure(parameter, optimizer, scaler), scaler=scaler)
                scaler.update()
            runs.append((parameter.tolist(), optimizer.steps, optimizer.evaluations))
        assert runs[0] == runs[1]

    def test_a_scaler_that_is_not_enabled_hides_no_trouble(self, device, monkeypatch):
        monkeypatch.setattr(alice, "looking_waits", lambda device: False)
        parameter, optimizer, scaler = self.make(device, enabled=False)
        parameter.grad = torch.full_like(parameter, np.nan)
        with pytest.raises(gc.NonFiniteError, match=r"non-finite gradient .* at step 1$"):
            optimizer.step(lambda: None, scaler=scaler)

    def test_clipping_at_the_scaled_bound_is_clipping(self, device):
        ends = []
        for enabled in (True, False):
            parameter, optimizer, scaler = self.make(device, enabled=enabled)
            inner = self.closure(parameter, optimizer, scaler)

            def closure(parameter=parameter, scaler=scaler, inner=inner):
                loss = inner()
                nn.utils.clip_grad_norm_([parameter], 0.5 * scaler.get_scale())
                return loss

            for _ in range(9):
                optimizer.step(closure, scaler=scaler)
                scaler.update()
            ends.append(parameter.tolist())
            assert optimizer.state[parameter]["gradient"].norm() < 0.5001
        np.testing.assert_allclose(*ends, rtol=1e-5)

    def test_gradients_that_the_closure_unscales_are_an_error_that_changes_nothing(self, device):
        parameter, optimizer, scaler = self.make(device)
        inner = self.closure(parameter, optimizer, scaler)
        before = parameter.tolist(), str(optimizer.state_dict())
        with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
            optimizer.step(lambda: (inner(), scaler.unscale_(optimizer)), scaler=scaler)
        assert (parameter.tolist(), str(optimizer.state_dict())) == before

    def test_a_forgotten_update_is_an_error_that_changes_nothing(self, device):
        parameter, optimizer, scaler = self.make(device)
        optimizer.step(self.closure(parameter, optimizer, scaler), scaler=scaler)
        before = parameter.tolist(), str(optimizer.state_dict())
        with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
            optimizer.step(self.closure(parameter, optimizer, scaler), scaler=scaler)
        assert (parameter.tolist(), str(optimizer.state_dict())) == before


class TestNumericalTrouble:
    def failing(self, parameter, call, value):
        calls = []

        def closure():
            calls.append(1)
            parameter.grad = torch.ones_like(parameter)
            if len(calls) == call:
                parameter.grad[1] = value

        return closure

    @pytest.mark.parametrize("call", [1, 2, 3])
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.nan, r"non-finite gradient of a parameter of shape \(3,\) in group 0, 1 of 3 entries, at step 3"),
            (-np.inf, "non-finite gradient .* at step 3"),
            (1e18, r"gradient of group 0 too large for torch.float32, with a norm above 1.8\d*e\+17, at step 3"),
        ],
    )
    def test_it_raises_at_once_on_the_cpu(self, call, value, message):
        parameter = nn.Parameter(torch.ones(3))
        optimizer = Alice([parameter], **FAST)
        for _ in range(2):
            optimizer.step(self.failing(parameter, 0, 0))
        before = parameter.tolist(), str(optimizer.state_dict())
        with pytest.raises(gc.NonFiniteError, match=message):
            optimizer.step(self.failing(parameter, call, value))
        assert (parameter.tolist(), str(optimizer.state_dict())) == before

    @pytest.mark.parametrize("call", [1, 2, 3])
    def test_where_looking_waits_the_next_step_or_the_checkpoint_names_the_first(self, call, monkeypatch, device):
        monkeypatch.setattr(alice, "looking_waits", lambda device: True)
        for ask in (lambda it, closure: it.step(closure), lambda it, closure: it.state_dict()):
            parameter = nn.Parameter(torch.ones(3, device=device))
            optimizer = Alice([parameter], **FAST)
            good = self.failing(parameter, 0, 0)
            optimizer.step(good)
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer.step(self.failing(parameter, call, np.nan))
            if device.type == "cuda":
                torch.cuda.synchronize()
            with pytest.raises(gc.NonFiniteError, match=r"non-finite or too large gradient at step 2$"):
                ask(optimizer, good)
            optimizer.load_state_dict(saved)
            optimizer.step(good)
            assert optimizer.steps == 2

    def test_where_looking_waits_the_first_of_several_is_named(self, monkeypatch, device):
        monkeypatch.setattr(alice, "looking_waits", lambda device: True)
        parameter = nn.Parameter(torch.ones(3, device=device))
        optimizer = Alice([parameter], **FAST)
        with monkeypatch.context() as patch:
            patch.setattr(optimizer, "_raise_noted", lambda wait: None)  # the host is ahead of the device
            for call in (0, 1, 1):
                optimizer.step(self.failing(parameter, call, np.nan))
        with pytest.raises(gc.NonFiniteError, match=r"gradient at step 2$"):
            optimizer.state_dict()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": 0}, ValueError, "lr must be finite and > 0, got 0"),
        ({"lr": "fast"}, TypeError, "lr must be a real number, got str"),
        ({"betas": (1.0, 0.9)}, ValueError, r"betas\[0\] must be in \[0, 1\), got 1.0"),
        ({"betas": 0.9}, TypeError, "betas must be two numbers"),
        ({"eps": 0.0}, ValueError, "eps must be finite and > 0, got 0.0"),
        ({"eps": 1e-25}, ValueError, r"eps must be ≥ 1.08\d*e-19 for state in torch.float32, got 1e-25"),
        ({"l1": -1}, ValueError, "l1 must be finite and ≥ 0, got -1"),
        ({"l2": np.nan}, ValueError, "l2 must be finite and ≥ 0, got nan"),
        ({"step_fraction": -1}, ValueError, "step_fraction must be finite and ≥ 0, got -1"),
        ({"lookahead": -1}, ValueError, "lookahead must be finite and ≥ 0, got -1"),
        ({"limiter": "none"}, ValueError, "limiter must be one of .* got 'none'"),
        ({"lr_min": -1}, ValueError, "lr_min must be finite and ≥ 0, got -1"),
        ({"lr_max": -1}, ValueError, "lr_max must be finite and ≥ 0, got -1"),
        ({"lr_min": 0.1, "lr_max": 0.01}, ValueError, "lr_min must not exceed lr_max, got 0.1 and 0.01"),
        ({"hessian": "full"}, ValueError, "hessian must be one of .* got 'full'"),
        ({"quick_steps": -1}, ValueError, "quick_steps must be ≥ 0, got -1"),
        ({"length": 0.0}, ValueError, "length must be finite and > 0, got 0.0"),
        ({"seed": 0.5}, TypeError, "seed must be an integer, got float"),
    ],
)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        Alice([nn.Parameter(torch.ones(2))], **options)


def test_a_closure_is_needed():
    optimizer = Alice([nn.Parameter(torch.ones(2))])
    with pytest.raises(TypeError, match="step needs a closure"):
        optimizer.step()
    with pytest.raises(TypeError, match="closure must be callable, got int"):
        optimizer.step(3)


def test_a_closure_that_leaves_no_gradients_is_refused():
    optimizer = Alice([parameter := nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match=r"closure must leave gradients, by loss\.backward"):
        optimizer.step(parameter.sum)
    assert (parameter.tolist(), optimizer.steps, dict(optimizer.state)) == ([1.0, 1.0], 0, {})
