import numpy as np
import pytest
from scipy import optimize

from glasscurv.compression import allocate_bits
from tests.oracles import best_allocation


def instance(rng):
    """A random small problem of one of many kinds: convex or not, with ties, equal rows, exact budgets."""
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    kind = rng.integers(5)
    if kind == 0:
        changes = -np.sort(-rng.exponential(size=(rows, columns)), axis=1)
    elif kind == 1:
        changes = rng.normal(size=(rows, columns))
    elif kind == 2:
        changes = rng.integers(-2, 3, (rows, columns)).astype(float)  # ties
    elif kind == 3:
        changes = np.tile(rng.integers(0, 9, columns) / 4, (rows, 1))
    else:
        changes = 4.0 ** -np.arange(columns) * rng.exponential(size=(rows, 1))
    bits = np.sort(rng.choice(np.arange(1, 9), columns, replace=False)).tolist()
    sizes = rng.integers(1, 4 if rng.random() < 0.5 else 1000, rows).tolist()
    least, most = sum(sizes) * bits[0], sum(sizes) * bits[-1]
    return changes, sizes, int(rng.integers(least, most + 2)), bits


def test_allocations_are_the_best_of_all_choices():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        changes, sizes, budget, bits = instance(rng)
        found = allocate_bits(changes, sizes, budget, bits)
        columns = np.searchsorted(bits, found.bits)
        assert np.array_equal(np.array(bits)[columns], found.bits)
        assert found.size == found.bits @ sizes <= budget
        exact = changes[np.arange(len(sizes)), columns].astype(np.longdouble).sum()
        change, size = best_allocation(changes, sizes, budget, bits)
        tolerance = 4e-16 * abs(changes).max(axis=1).sum()  # sums that differ by rounding alone count as equal
        assert change <= exact + tolerance / 1000
        assert exact <= change + tolerance
        assert exact > change or found.size == size
        assert abs(found.change - exact) <= tolerance


def test_every_budget_that_suffices_is_taken_and_no_other():
    rng = np.random.default_rng(1)
    for _ in range(100):
        changes, sizes, _, bits = instance(rng)
        least = sum(sizes) * bits[0]
        assert allocate_bits(changes, sizes, least, bits).size == least
        if least > 1:
            with pytest.raises(
                ValueError, match=f"budget must be at least {least} bits, {bits[0]} for each weight, got"
            ):
                allocate_bits(changes, sizes, least - 1, bits)
        rich = allocate_bits(changes, sizes, 10**30, bits)
        assert np.array_equal(rich.bits, np.array(bits)[changes.argmin(axis=1)])
        assert rich.change == pytest.approx(changes.min(axis=1).sum(), abs=1e-13)


@pytest.mark.parametrize("kind", ["convex", "noisy"])
def test_large_problems_agree_with_integer_programming(kind):
    rng = np.random.default_rng(5)
    rows, bits = 60, np.arange(2, 9)
    changes = rng.exponential(size=(rows, 1)) * 4.0 ** -(bits - 2)
    if kind == "noisy":
        changes = changes * rng.exponential(size=changes.shape) - 0.01 * rng.random(changes.shape)
    sizes = rng.integers(1, 3000, rows)
    budget = 3.7 * sizes.sum()
    costs = sizes[:, None] * bits
    found = allocate_bits(changes, sizes, budget, bits)
    exact = optimize.milp(
        changes.ravel(),
        integrality=np.ones(changes.size),
        bounds=optimize.Bounds(0, 1),
        constraints=[
            optimize.LinearConstraint(np.kron(np.eye(rows), np.ones(len(bits))), 1, 1),
            optimize.LinearConstraint(costs.ravel(), -np.inf, budget),
        ],
        options={"mip_rel_gap": 0},
    )
    assert exact.success
    assert found.size <= budget
    assert found.change == pytest.approx(exact.fun, rel=1e-9)


def test_a_thousand_groups_are_within_the_bound_of_duality():
    rng = np.random.default_rng(6)
    changes = rng.exponential(size=(1000, 1)) * 4.0 ** -np.arange(2.0, 9.0)
    sizes = rng.integers(1, 800, 1000)
    budget = 4 * int(sizes.sum())
    costs = sizes[:, None] * np.arange(2, 9)
    found = allocate_bits(changes, sizes, budget)
    dual = optimize.minimize_scalar(
        lambda price: price * budget - np.min(changes + price * costs, axis=1).sum(),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-14},
    )
    assert -dual.fun <= found.change <= -dual.fun * (1 + 1e-3)


def test_numbers_of_every_kind_are_taken_and_left_alone():
    changes = np.array([[4, 1], [9, 2]], np.int8)
    changes.setflags(write=False)
    expected = allocate_bits(changes, [100, 100], 500, (2, 3))
    assert (expected.bits.tolist(), expected.change, expected.size) == ([2, 3], 6.0, 500)
    for table in (changes.tolist(), changes.astype(">f4"), np.asfortranarray(changes, float), changes[::-1][::-1]):
        found = allocate_bits(table, np.array([100, 100], np.int8), np.int16(500), np.array([2, 3], np.uint8))
        assert (found.bits.tolist(), found.change, found.size) == ([2, 3], 6.0, 500)
    assert allocate_bits(np.zeros((1, 7)), [3], 99).bits.tolist() == [2]  # of equal ones the smallest


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"changes": [1.0, 2.0]}, ValueError, r"changes must have shape \(rows, columns\) and hold something"),
        ({"changes": np.zeros((0, 2))}, ValueError, r"changes must have shape .* got \(0, 2\)"),
        ({"changes": [[1.0, np.nan]]}, ValueError, r"changes must be finite, got nan at index \(0, 1\)"),
        ({"bits": (2, 3, 4)}, ValueError, r"bits must be 2 increasing numbers, .*, got \[2, 3, 4\]"),
        ({"bits": (3, 3)}, ValueError, r"bits must be 2 increasing numbers, .*, got \[3, 3\]"),
        ({"bits": ()}, ValueError, r"bits must be 2 increasing numbers, .*, got \[\]"),
        ({"bits": (0, 1)}, ValueError, "every entry of bits must be ≥ 1, got 0"),
        ({"bits": (2, 3.0)}, TypeError, "every entry of bits must be an integer, got float"),
        ({"bits": 2}, TypeError, "bits must be a sequence of integers, got int"),
        ({"sizes": [5, 5]}, ValueError, "sizes must have 1 entries, a row of changes each, got 2"),
        ({"sizes": [0]}, ValueError, "every entry of sizes must be ≥ 1, got 0"),
        ({"sizes": [True]}, TypeError, "every entry of sizes must be an integer, got bool"),
        ({"sizes": 5}, TypeError, "sizes must be a sequence of integers, got int"),
        ({"budget": 9}, ValueError, "budget must be at least 10 bits, 2 for each weight, got 9"),
        ({"budget": 0}, ValueError, "budget must be finite and ≥ 1, got 0"),
        ({"budget": "10"}, TypeError, "budget must be a real number, got str"),
    ],
)
def test_bad_arguments_are_refused(options, exception, message):
    good = {"changes": [[2.0, 1.0]], "sizes": [5], "budget": 12, "bits": (2, 3)}
    with pytest.raises(exception, match=message):
        allocate_bits(**(good | options))
