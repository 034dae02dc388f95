import numpy as np

import glasscurv as gc
from paper_checks import hinges
from paper_checks.hinges import draw_landscapes


def test_landscapes_drawn_at_once_have_the_toys_law():
    """Means of |offset| and of signal², 200 000 each: relative standard errors of 0.13 and 0.32 %."""
    toy = gc.RandomHinges(3, 50, half_width=4.0, signal_scale=0.5, rng=0)
    offsets, signals = draw_landscapes(toy, 4000, np.random.default_rng(1))
    assert offsets.shape == signals.shape == (4000, 50)
    assert abs(offsets).max() <= 4
    np.testing.assert_allclose(abs(offsets).mean(), 2.0, rtol=0.0065)
    np.testing.assert_allclose(np.square(signals).mean(), 0.25, rtol=0.016)


def test_landscapes_of_random_signs_have_signals_of_one_size():
    toy = gc.RandomHinges(3, 50, signal_scale=0.5, signals="rademacher", rng=0)
    _, signals = draw_landscapes(toy, 4000, np.random.default_rng(1))
    np.testing.assert_array_equal(np.unique(signals), [-0.5, 0.5])
    assert abs(signals.mean()) < 0.006  # five standard errors


def test_gradients_on_lines_are_those_of_the_toy(monkeypatch):
    toy = gc.RandomHinges(3, 40, half_width=4.0, rng=0)
    monkeypatch.setattr(
        hinges, "draw_landscapes", lambda toy, count, rng: [[toy.offsets] * count, [toy.signals] * count]
    )
    monkeypatch.setattr(hinges, "BLOCK", 100)  # three blocks of lines
    steps, nodes = np.random.default_rng(1).standard_normal((7, 3)), np.array([-1.0, 0.0, 0.5])
    gradients = hinges.gradients_on_lines(toy, nodes, steps, np.random.default_rng(2))
    expected = [[toy.gradient(node * step) for step in steps] for node in nodes]
    np.testing.assert_allclose(gradients, expected, atol=1e-12)


def test_glass_changes_are_losses_less_the_tangent():
    toy = gc.RandomHinges(3, 40, half_width=4.0, rng=0)
    delta = np.array([0.5, -1.0, 0.8])
    value, gradient = toy.value_and_grad(np.zeros(3))
    (change,) = hinges.glass_changes(toy, delta, toy.offsets[None], toy.signals[None])
    np.testing.assert_allclose(change, toy.value(delta) - value - gradient @ delta, atol=1e-12)
