from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.compression import prune
from tests.oracles import slow_pruning

THETA = np.array([3.0, -1.0, 0.5, -0.25, 2.0, 1.5])
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)


@st.composite
def prunings(draw):
    """Saliencies with ties, disjoint groups and how to prune them."""
    size = draw(st.integers(1, 15))
    saliency = draw(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0]), min_size=size, max_size=size))
    order, cuts = draw(st.permutations(range(size))), draw(st.lists(st.integers(1, size), min_size=1, max_size=3))
    parts = np.split(np.array(order), sorted({cut for cut in cuts if cut < size}))
    groups = {str(k): part for k, part in enumerate(parts[: draw(st.integers(1, len(parts)))])}
    return np.array(saliency), groups, draw(shares), draw(st.sampled_from(["global", "group"]))


@settings(deadline=None)
@given(prunings(), st.integers(1, 5))
def test_masks_are_those_of_a_slow_loop(pruning, rounds):
    saliency, groups, sparsity, scope = pruning
    theta = np.arange(1.0, saliency.size + 1)
    everything = [int(i) for part in groups.values() for i in part]
    pools = [part.tolist() for part in groups.values()] if scope == "group" else [everything]
    schedule = [sparsity * (1 - (1 - k / rounds) ** 3) for k in range(1, rounds + 1)]
    kept = np.array(slow_pruning(saliency, schedule, pools))
    options = {"sparsity": sparsity, "groups": groups, "scope": scope, "rounds": rounds}
    if not all(kept[part].any() for part in groups.values()):
        with pytest.raises(ValueError, match=r"would remove all .* weights of group"):
            prune(theta, lambda *_: saliency, **options)
        return
    pruned = prune(theta, lambda *_: saliency, **options)
    assert pruned.mask.tolist() == kept.tolist()
    assert pruned.mask.dtype == bool
    assert pruned.theta.tolist() == np.where(kept, theta, 0).tolist()
    assert pruned.sparsity == {name: np.count_nonzero(~kept[part]) / part.size for name, part in groups.items()}
    # Saliencies that do not change are removed in the same order, in however many rounds.
    assert np.array_equal(prune(theta, saliency, sparsity, groups, scope).mask, kept)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), shares)
def test_the_count_is_exact_and_the_smallest_go_first(size, sparsity):
    saliency = np.random.default_rng(size).permutation(size).astype(float)
    count = round(sparsity * size)
    if count == size:
        with pytest.raises(
            ValueError, match=f"sparsity .* would remove all {size} weights of group 'all': lower it, or p"
        ):
            prune(np.ones(size), saliency, sparsity)
    else:
        assert np.array_equal(prune(np.ones(size), saliency, sparsity).mask, saliency >= count)


def test_equal_saliencies_go_by_position_whatever_the_order_of_the_groups():
    groups = {"late": [5, 4, 3], "early": [2, 0, 1]}
    assert prune(THETA, np.zeros(6), 1 / 3, groups).mask.tolist() == [False, False, True, True, True, True]
    pruned = prune(THETA, np.zeros(6), 1 / 3, groups, scope="group")
    assert pruned.mask.tolist() == [False, True, True, False, True, True]


def test_the_scope_decides_whether_saliency_compares_groups():
    groups, saliency = {"a": slice(0, 3), "b": slice(3, None)}, [1, 2, 30, 10, 20, 40]
    pruned = prune(THETA, saliency, 0.5, groups)
    assert pruned.mask.tolist() == [False, False, True, False, True, True]
    assert pruned.sparsity == {"a": 2 / 3, "b": 1 / 3}
    pruned = prune(THETA, saliency, 0.4, groups, scope="group")
    assert pruned.mask.tolist() == [False, True, True, False, True, True]
    assert pruned.sparsity == {"a": 1 / 3, "b": 1 / 3}


def test_what_is_in_no_group_is_kept():
    net = gc.MLP((3, 4, 2))
    theta = net.initialize(0)
    pruned = prune(theta, abs(theta), 0.7, net.weight_groups())
    assert np.count_nonzero(~pruned.mask) == round(0.7 * 20)
    assert all(pruned.mask[group.stop : whole.stop].all() for group, whole in zip(
        net.weight_groups().values(), net.groups.values(), strict=True
    ))  # fmt: skip


def test_rounds_follow_the_cubic_schedule_and_masks_are_nested():
    size, rounds, sparsity = 1000, 6, 0.8
    rng, seen, tuned = np.random.default_rng(0), [], []

    def saliency(theta, mask):
        seen.append((theta, mask))
        return rng.normal(size=size)  # anew every time, also for what is gone

    def tune(theta, mask):
        assert np.array_equal(theta != 0, mask)
        tuned.append(mask)
        return theta * 2

    pruned = prune(np.ones(size), saliency, sparsity, rounds=rounds, tune=tune)
    counts = [round(size * sparsity * (1 - (1 - k / rounds) ** 3)) for k in range(rounds + 1)]
    assert [np.count_nonzero(~mask) for _, mask in seen] == counts[:-1]
    assert [np.count_nonzero(~mask) for mask in tuned] == counts[1:]
    assert np.count_nonzero(~pruned.mask) == counts[-1] == 800
    assert all(np.all(later <= earlier) for (_, earlier), (_, later) in pairwise(seen))
    for k, (theta, mask) in enumerate(seen):
        assert np.array_equal(theta, np.where(mask, 2.0**k, 0))
    assert np.array_equal(pruned.theta, np.where(pruned.mask, 2.0**rounds, 0))


def test_an_array_of_saliencies_may_be_fine_tuned_as_well():
    pruned = prune(THETA, abs(THETA), 0.5, tune=lambda theta, mask: (theta + 1) * mask)
    assert pruned.theta.tolist() == [4, 0, 0, 0, 3, 2.5]


def test_what_callables_do_to_their_arrays_has_no_effect():
    def saliency(theta, mask):
        order = abs(theta)
        theta[:], mask[:] = np.nan, False
        return order

    def tune(theta, mask):
        mask[:] = True
        kept.append(theta)
        return theta

    kept, theta = [], THETA.copy()
    pruned = prune(theta, saliency, 0.5, rounds=2, tune=tune)
    for array in kept:
        array[:] = 7
    assert np.array_equal(theta, THETA)
    assert pruned.theta.tolist() == [3, 0, 0, 0, 2, 1.5]
    assert pruned.mask.tolist() == [True, False, False, False, True, True]


@pytest.mark.parametrize(
    "theta",
    [
        THETA.tolist(),
        THETA.astype(np.float32),
        THETA.astype(">f4"),
        np.repeat(THETA, 2)[::2],
        (THETA * 4).astype(np.int8),
    ],
)
def test_parameters_of_every_kind_are_taken_and_left_alone(theta):
    if isinstance(theta, np.ndarray):
        theta.setflags(write=False)
    array = np.asarray(theta)
    dtype = np.float32 if array.dtype.itemsize == 4 else np.float64
    saliency = abs(array)
    pruned = prune(theta, saliency, 0.5, tune=lambda found, mask: found.astype(np.float64))
    assert pruned.theta.dtype == dtype
    assert pruned.theta.tolist() == np.where(saliency > np.median(saliency), array, 0).tolist()
    assert not np.shares_memory(pruned.theta, array)
    assert np.array_equal(saliency, abs(array))


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"theta": [1.0, np.nan]}, ValueError, "theta must be finite, got nan at index 1"),
        ({"theta": np.ones((2, 2))}, ValueError, r"theta must have shape \(n,\)"),
        ({"theta": [1.0], "saliency": [1.0]}, ValueError, "sparsity 0.6 would remove all 1 weights of group 'all'"),
        ({"sparsity": 0}, ValueError, r"sparsity must be in \(0, 1\), got 0"),
        ({"sparsity": 1.0}, ValueError, r"sparsity must be in \(0, 1\), got 1\.0"),
        ({"sparsity": np.nan}, ValueError, r"sparsity must be in \(0, 1\), got nan"),
        ({"sparsity": True}, TypeError, "sparsity must be a real number, got bool"),
        ({"saliency": np.ones(3)}, ValueError, r"saliency must have shape \(4,\), got \(3,\)"),
        ({"saliency": [1, 2, np.inf, 3]}, ValueError, "saliency must be finite, got inf at index 2"),
        ({"saliency": lambda theta, mask: 1.0}, ValueError, r"saliency must have shape \(4,\), got \(\)"),
        ({"saliency": lambda theta, mask: theta * np.nan}, ValueError, "saliency must be finite, got nan at index 0"),
        ({"saliency": None}, TypeError, "saliency must be real numbers"),
        ({"rounds": 2}, ValueError, "saliency must be callable for 2 rounds: it is asked anew in each, got an array"),
        ({"rounds": 0}, ValueError, "rounds must be ≥ 1, got 0"),
        ({"rounds": 1.0}, TypeError, "rounds must be an integer, got float"),
        ({"scope": "layer"}, ValueError, "scope must be one of 'global', 'group', got 'layer'"),
        ({"tune": 3}, TypeError, "tune must be callable, got int"),
        ({"tune": lambda theta, mask: theta + 1}, ValueError, "tune must leave .* at 0, got 2 of 2 weights back: set"),
        ({"tune": lambda theta, mask: theta[:2]}, ValueError, r"the result of tune must have shape \(4,\), got \(2,\)"),
        (
            {"tune": lambda theta, mask: theta / mask},
            ValueError,
            "the result of tune must be finite, got nan at index 0",
        ),
        ({"tune": lambda theta, mask: None}, TypeError, "the result of tune must be real numbers"),
    ],
)
def test_bad_arguments_are_refused(options, exception, message):
    good = {"theta": [1.0, 2.0, 3.0, 4.0], "saliency": np.arange(4), "sparsity": 0.6}
    with np.errstate(invalid="ignore"), pytest.raises(exception, match=message):
        prune(**(good | options))


def test_a_group_that_would_lose_everything_is_named():
    groups = {"weak": slice(0, 2), "strong": slice(2, None)}
    with pytest.raises(
        ValueError, match=r"sparsity 0\.5 .* all 2 weights of group 'weak': lower it, or prune each group"
    ):
        prune(THETA, np.arange(6), 0.5, groups)
    with pytest.raises(ValueError, match=r"would remove all 2 weights of group 'weak': lower it$"):
        prune(THETA, np.arange(6), 0.8, groups, scope="group")
    assert prune(THETA, np.arange(6), 0.5, groups, scope="group").sparsity == {"weak": 0.5, "strong": 0.5}
