import numpy as np
import pytest

from glasscurv.core import vectors as core


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_signs_are_the_bits_from_the_lowest_on(size):
    bits = np.random.default_rng(size).integers(0, 256, -(-size // 8), dtype=np.uint8)
    out = np.empty(size)
    core.signs(bits, out)
    np.testing.assert_array_equal(out, 1.0 - 2.0 * np.unpackbits(bits, bitorder="little")[:size])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.5, -2.5])
def test_one_number_beyond_the_limit_is_found_wherever_it_is(dtype, bad):
    values, out = np.linspace(-2, 2, 37).astype(dtype), np.empty(37, dtype)
    assert core.within(values, 2.0)
    assert core.copy_within(values, 2.0, out)
    np.testing.assert_array_equal(out, values)
    mask = np.arange(37) % 3 > 0
    assert core.copy_masked_within(values, mask, 2.0, out)
    np.testing.assert_array_equal(out, np.where(mask, values, 0))
    for i in range(values.size):
        spoilt = values.copy()
        spoilt[i] = bad
        assert not core.within(spoilt, 2.0)
        assert not core.copy_within(spoilt, 2.0, out)
        assert not core.copy_masked_within(spoilt, mask, 2.0, out)
        assert np.isfinite(out[~mask]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("junk", [-0.0, 3.0, np.nan, np.inf])
def test_what_is_masked_is_cleared_whatever_was_there(dtype, junk):
    mask = np.arange(37) % 3 > 0
    values = np.where(mask, np.arange(37), junk).astype(dtype)
    core.clear_masked(values, mask)
    assert values.tobytes() == np.where(mask, np.arange(37), 0).astype(dtype).tobytes()


@pytest.mark.parametrize("power", [0, 1, 2, 9])
def test_a_sum_in_pairs_is_the_sum(power):
    values = np.random.default_rng(0).integers(-100, 100, 2**power).astype(float)
    assert core.sum_in_pairs(values.copy()) == values.sum()
