import numpy as np
import pytest

import glasscurv as gc

NET = gc.MLP((2, 5, 3))
X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.random.default_rng(1).integers(0, 3, 40)


def run(snapshots, network=NET, **options):
    optimizer = gc.Alice(network.initialize(0), 0.03, rng=1)
    settings = {"epochs": 3, "batch_size": 16, "rng": 2, "progress": False, **options}
    return gc.train(network, optimizer, X, Y, snapshots=snapshots, **settings), optimizer


def test_snapshots_are_taken_before_the_first_step_and_every_so_many():
    history, _ = run(gc.Snapshots(every=4, samples=2))
    assert history.snapshots.step.tolist() == [0, 4, 8]
    assert history.snapshots.groups == ("layer1", "layer2")
    for measure in ("glass_density", "hessian_abs", "hessian_rms", "hessian_diagonal", "exponent", "exponent_error"):
        assert getattr(history.snapshots, measure).shape == (3, 2)


def test_a_snapshot_is_the_profile_of_the_loss_on_the_training_data():
    settings = gc.Snapshots(every=5, length=0.02, samples=3, lengths=(0.01, 0.02, 0.04), seed=7)
    history, _ = run(settings, epochs=None, steps=5)
    expected = gc.curvature_profile(
        lambda theta: NET.value_and_grad(theta, X, Y)[1],
        NET.initialize(0),
        NET.groups,
        length=0.02,
        samples=3,
        lengths=(0.01, 0.02, 0.04),
        rng=np.random.default_rng([7, 0]),
    )
    for measure in ("glass_density", "hessian_abs", "hessian_diagonal", "exponent"):
        np.testing.assert_array_equal(getattr(history.snapshots, measure)[0], getattr(expected, measure))


def test_snapshots_do_not_change_the_training():
    assert run(gc.Snapshots(every=2, samples=2))[1].theta.tobytes() == run(None)[1].theta.tobytes()


def test_equal_seeds_give_equal_snapshots_and_others_do_not():
    one, other, third = (run(gc.Snapshots(every=4, samples=2, seed=seed))[0].snapshots for seed in (1, 1, 2))
    assert one.glass_density.tobytes() == other.glass_density.tobytes()
    assert not np.array_equal(one.glass_density, third.glass_density)


def test_rows_chosen_once_serve_every_snapshot():
    seen = set()

    class Watching(gc.MLP):
        def value_and_grad(self, theta, X, y):
            if len(X) == 11:
                seen.add((X.tobytes(), y.tobytes()))
            return super().value_and_grad(theta, X, y)

    run(gc.Snapshots(every=4, samples=2, rows=11), Watching((2, 5, 3)))
    assert len(seen) == 1
    every, _ = run(gc.Snapshots(every=4, samples=2))
    more, _ = run(gc.Snapshots(every=4, samples=2, rows=1000))
    assert every.snapshots.glass_density.tobytes() == more.snapshots.glass_density.tobytes()


def test_the_snapshots_tell_glass_from_a_smooth_net():
    # ReLU: the first layer jumps, exponent 1; tanh: nothing does, exponent 4
    settings = gc.Snapshots(every=9, samples=32, lengths=(0.003, 0.01, 0.03))
    relu, _ = run(settings, gc.MLP((2, 30, 30, 3)), epochs=1)
    smooth, _ = run(settings, gc.MLP((2, 30, 30, 3), activation="tanh"), epochs=1)
    assert relu.snapshots.exponent[0, 0] < 2
    assert smooth.snapshots.exponent[0, 0] > 3


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"every": 0}, ValueError, "every must be ≥ 1, got 0"),
        ({"every": 2.5}, TypeError, "every must be an integer, got float"),
        ({"length": 0.0}, ValueError, "length must be finite and > 0, got 0"),
        ({"samples": 1}, ValueError, "samples must be ≥ 2, got 1"),
        ({"rows": 0}, ValueError, "rows must be ≥ 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be ≥ 0, got -1"),
    ],
)
def test_bad_settings_are_refused(options, exception, message):
    with pytest.raises(exception, match=message):
        gc.Snapshots(**options)


def test_something_else_is_no_snapshots():
    with pytest.raises(TypeError, match="snapshots must be a Snapshots, got int"):
        run(10)
