"""The prediction of `density_scaling`."""

import numpy as np
import pytest
from scipy.special import softmax

from paper_checks import mean_field


@pytest.mark.parametrize(("variance", "classes"), [(0.5, 10), (2.0, 3)])
def test_expected_error_is_the_mean_over_normal_outputs(variance, classes):
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, np.sqrt(variance), (100_000, classes)), axis=1)
    errors = np.sum(p**2, axis=1) - 2 * p[:, 0] + 1
    assert abs(errors.mean() - mean_field.expected_error(variance, classes)) < 5 * errors.std() / np.sqrt(errors.size)


def test_expected_error_of_equal_outputs():
    assert mean_field.expected_error(0.0, 10) == pytest.approx(0.9)


def test_density_has_the_stated_powers_in_the_limits():
    m = np.array([0.2, 0.4])

    def exponent(first, second, layer, ratio, rows=(1, 1)):
        values = [mean_field.density(widths, m, row)[layer] for widths, row in zip((first, second), rows, strict=True)]
        return np.log(values[1] / values[0]) / np.log(ratio)

    narrow, wide = (64, 10**7, 10**7, 10), (64, 10**8, 10**8, 10)
    shallow, deep = (64, *[64] * 1000, 10), (64, *[64] * 4000, 10)
    assert exponent(narrow, narrow, 0, 2, rows=(8, 16)) == pytest.approx(-1)
    assert exponent(narrow, wide, 0, 10) == pytest.approx(-0.5, abs=0.01)
    assert exponent(narrow, wide, 1, 10) == pytest.approx(-0.5, abs=0.01)
    assert exponent(shallow, deep, 0, 4) == pytest.approx(1.5, abs=0.01)
    assert exponent(shallow, deep, -1, 4) == pytest.approx(0.5, abs=0.01)
