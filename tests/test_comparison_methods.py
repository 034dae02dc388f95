"""Optimizers by name, with options written as text."""

import numpy as np
import pytest

import glasscurv as gc
from glasscurv.comparison import Method, make_optimizer, parse_method, parse_options


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("adam", Method("adam", "adam")),
        ("adam:", Method("adam:", "adam")),
        (
            " mine = alice : hessian = rms , glass = False ",
            Method("mine", "alice", None, {"hessian": "rms", "glass": False}),
        ),
        (
            "alice:length=none,lr_max=0.5",
            Method("alice:length=none,lr_max=0.5", "alice", None, {"length": None, "lr_max": 0.5}),
        ),
        (
            "a=alice:betas=0.5/0.9,quick_steps=0,lr=1e-2",
            Method("a", "alice", 0.01, {"betas": (0.5, 0.9), "quick_steps": 0}),
        ),
        ("n=sgd:momentum=0.9,nesterov=true", Method("n", "sgd", None, {"momentum": 0.9, "nesterov": True})),
        ("lbfgs:maxcor=20", Method("lbfgs:maxcor=20", "lbfgs", None, {"maxcor": 20})),
    ],
)
def test_a_method_is_read_from_text(text, method):
    read = parse_method(text)
    assert read == method
    assert [type(value) for value in read.options.values()] == [type(value) for value in method.options.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adan", r"unknown optimizer 'adan' \(did you mean 'adam'\?\): one of .*sgd.*lbfgs"),
        ("", r"a method must have a name before '=', got ''"),
        ("=adam", r"a method must have a name before '=', got '=adam'"),
        ("adam:momentum=0.9", r"unknown option 'momentum' of adam: one of betas, eps"),
        ("alice:hesian=abs", r"unknown option 'hesian' of alice \(did you mean 'hessian'\?\): one of betas, "),
        ("alice:hessian=exact", r"option 'hessian' must be one of abs, rms, zero, diagonal, got 'exact'"),
        ("alice:glass=maybe", r"option 'glass' must be true or false, got 'maybe'"),
        ("alice:quick_steps=1.5", r"option 'quick_steps' must be an integer, got '1.5'"),
        ("alice:quick_steps=-1", r"quick_steps must be ≥ 0, got -1"),
        ("alice:length=long", r"option 'length' must be a number, got 'long'"),
        ("alice:distribution=Gaussian", r"option 'distribution' cannot be written as text"),
        ("adam:betas=0.9", r"option 'betas' must be 2 numbers joined by '/', got '0.9'"),
        ("adam:eps=1,eps=2", r"option 'eps' of adam is given twice"),
        ("adam:lr=1,lr=2", r"lr is given twice"),
        ("adam:lr=fast", r"option 'lr' must be a number, got 'fast'"),
        ("adam:lr=0", r"lr must be finite and > 0, got 0"),
        ("adam:lr", r"option 'lr' must be a number, got ''"),
        ("adam:eps", r"an option must have the form option=value, got 'eps'"),
        ("adam:rng=1", r"unknown option 'rng' of adam"),
        ("sgd:nesterov=true", r"nesterov needs momentum > 0"),
        ("lbfgs:lr=0.1", r"lbfgs has no learning rate, got lr=0.1"),
        ("lbfgs:maxcor=0", r"maxcor must be ≥ 1, got 0"),
    ],
)
def test_a_method_that_cannot_be_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_method(text)
    assert "\n" not in str(caught.value)


def test_options_of_a_method_are_plain_values():
    with pytest.raises(TypeError, match=r"option 'distribution' of a method must be a number, text, .* got Gaussian"):
        Method("m", "alice", options={"distribution": gc.Gaussian()})


def test_an_optimizer_is_built_with_its_options():
    built = make_optimizer("alice", np.ones(3), 0.2, {"glass": False, "quick_steps": 7}, rng=5)
    by_hand = gc.Alice(np.ones(3), 0.2, glass=False, quick_steps=7, rng=5)
    for optimizer in (built, by_hand):
        for _ in range(12):
            optimizer.step(lambda theta: (float(theta @ theta), 2 * theta))
    assert np.array_equal(built.theta, by_hand.theta)
    assert (built.quick_steps, built.glass) == (7, False)
    assert make_optimizer("adam", np.ones(3)).lr == 1e-3
    assert parse_options("lbfgs", []) == {}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lbfgs", {}, r"lbfgs is no minibatch optimizer and can only be compared; choose from sgd"),
        ("sgd", {}, r"sgd needs a learning rate, got lr=None"),
        ("rmsprop", {}, r"unknown optimizer 'rmsprop'"),
        ("adam", {"glass": True}, r"unknown option 'glass' of adam"),
        ("adam", {"lr": 1.0}, r"unknown option 'lr' of adam"),
    ],
)
def test_an_optimizer_that_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(name, np.ones(2), options=options)
