import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import glasscurv as gc
from tests.statistics import assert_mean_is, critical_value

LAWS = [
    gc.Rademacher(),
    gc.Gaussian(),
    gc.Uniform(0.5, 1.5),
    gc.Uniform(-1, 1),
    gc.Uniform(-1, 3),
    gc.Sphere(6),
    gc.SparseRademacher(0.3),
]
NAMES = [repr(law) for law in LAWS]


class DiscreteLaw:
    """|z| takes a few values; only moments are needed."""

    def __init__(self, magnitudes, probabilities):
        self.magnitudes, self.probabilities = np.asarray(magnitudes), np.asarray(probabilities)

    def absolute_moment(self, p):
        return float(self.probabilities @ self.magnitudes**p)


@pytest.mark.parametrize(
    ("law", "glass", "hessian"),
    [
        (gc.Rademacher(), 1.0, 1.0),
        (gc.Uniform(0.5, 1.5), math.log(3), 13 / 9),
        (gc.Gaussian(), math.inf, math.inf),
        (gc.Uniform(-1, 1), math.inf, math.inf),
        (gc.Uniform(0, 1), math.inf, math.inf),
        (gc.Sphere(5), math.inf, math.inf),
        (gc.SparseRademacher(0.5), math.inf, math.inf),
        (gc.SparseRademacher(1.0), 1.0, 1.0),
    ],
    ids=repr,
)
def test_contamination_factors_are_those_of_the_theory(law, glass, hessian):
    assert gc.contamination(law, term="glass") == pytest.approx(glass, rel=1e-14)
    assert gc.contamination(law, term="hessian") == pytest.approx(hessian, rel=1e-14)


magnitudes = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=3, unique=True)


@settings(deadline=None)
@given(magnitudes, st.lists(st.floats(0.05, 1), min_size=3, max_size=3), st.sampled_from(["glass", "hessian"]))
def test_rademacher_contaminates_least_among_discrete_symmetric_laws(values, weights, term):
    weights = np.array(weights[: len(values)])
    law = DiscreteLaw(values, weights / weights.sum())
    # Jensen: equality only for one magnitude, up to rounding.
    assert gc.contamination(law, term) >= gc.contamination(gc.Rademacher(), term) * (1 - 1e-12)


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.1, 0.99), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_contamination_is_what_the_other_coordinates_add(probability, ratio, row):
    """All directions of three coordinates with two magnitudes, 1 and `ratio`; `row` is one of R or of H."""
    row = np.array(row)
    law = DiscreteLaw([1.0, ratio], [probability, 1 - probability])
    z = np.array(list(itertools.product((-1.0, -ratio, ratio, 1.0), repeat=3)))
    weights = np.prod(np.where(abs(z) == 1, probability, 1 - probability) / 2, axis=1)
    glass = weights @ (abs(z) @ abs(row) / abs(z[:, 0]))
    assert glass == pytest.approx(abs(row[0]) + gc.contamination(law, "glass") * abs(row[1:]).sum(), abs=1e-12)
    others, rounding = np.sum(row[1:] ** 2), 1e-12 * (1 + np.sum(row**2))
    means = abs(z) @ abs(row) / law.absolute_moment(1)
    assert weights @ means == pytest.approx(abs(row).sum(), abs=rounding)
    excess = np.sum(row**2) * (law.absolute_moment(2) / law.absolute_moment(1) ** 2 - 1)
    assert weights @ (means - abs(row).sum()) ** 2 == pytest.approx(excess, rel=1e-9, abs=rounding)
    ratios = z @ row / z[:, 0]
    assert weights @ ratios == pytest.approx(row[0], abs=rounding)
    variance = weights @ (ratios - row[0]) ** 2
    assert variance == pytest.approx(gc.contamination(law, "hessian") * others, rel=1e-9, abs=rounding)
    square, fourth = law.absolute_moment(2), law.absolute_moment(4)
    products = z[:, 0] * (z @ row) / square
    assert weights @ products == pytest.approx(row[0], abs=rounding)
    variance = weights @ (products - row[0]) ** 2
    assert variance == pytest.approx(row[0] ** 2 * (fourth / square**2 - 1) + others, rel=1e-9, abs=rounding)


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_samples_have_the_stated_moments(law):
    rng = np.random.default_rng(11)
    z = np.concatenate([law.sample(6, rng) for _ in range(40_000)])
    for p in (1, 2, 3):
        samples = abs(z) ** p
        if np.ptp(samples) == 0:
            assert samples[0] == law.absolute_moment(p)
        else:
            assert_mean_is(samples, law.absolute_moment(p))


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_samples_are_symmetric_and_uncorrelated(law):
    rng = np.random.default_rng(12)
    z = np.stack([law.sample(6, rng) for _ in range(20_000)])
    scale = math.sqrt(law.absolute_moment(2))
    # A sampler of constant −1 has mean −1 and correlation 1: both far outside these margins (0.04).
    margin = critical_value(6 + 15) / math.sqrt(len(z))
    assert abs(z.mean(axis=0)).max() <= margin * scale
    correlation = np.triu(z.T @ z / len(z), 1) / scale**2
    assert abs(correlation).max() <= margin


@pytest.mark.parametrize(
    ("law", "density", "support"),
    [
        (gc.Gaussian(), stats.norm.pdf, (0, np.inf)),
        (gc.Uniform(0.5, 1.5), stats.uniform(0.5, 1).pdf, (0.5, 1.5)),
        (gc.Uniform(-1, 3), lambda z: (2 if z < 1 else 1) / 4, (0, 3)),
    ],
    ids=["gaussian", "uniform", "symmetrised uniform"],
)
@pytest.mark.parametrize("p", [-0.5, 0, 0.5, 1, 2, 3.5])
def test_absolute_moments_are_integrals_of_the_density(law, density, support, p):
    points = [1.0] if support[1] == 3 else None
    integral = integrate.quad(lambda z: z**p * density(z), *support, points=points)[0]
    if isinstance(law, gc.Gaussian):
        integral *= 2
    assert law.absolute_moment(p) == pytest.approx(integral, rel=1e-7)


def test_uniform_away_from_zero_has_every_moment():
    law = gc.Uniform(0.5, 1.5)
    for p in (-1, -2, -3.5):
        integral = integrate.quad(lambda z, p=p: z**p, 0.5, 1.5)[0]
        assert law.absolute_moment(p) == pytest.approx(integral, rel=1e-10)
    assert gc.Uniform(-1.5, -0.5).absolute_moment(-2) == pytest.approx(law.absolute_moment(-2), rel=1e-14)


@settings(deadline=None)
@given(st.integers(1, 50))
def test_sphere_has_its_radius_and_unit_variance(n):
    z = gc.Sphere(n).sample(n, np.random.default_rng(n))
    assert z @ z == pytest.approx(n, rel=1e-12)
    assert gc.Sphere(n).absolute_moment(2) == pytest.approx(1, rel=1e-10)
    # As n grows the coordinates become standard normal.
    assert gc.Sphere(10**6).absolute_moment(1) == pytest.approx(gc.Gaussian().absolute_moment(1), rel=1e-5)


def test_sparse_rademacher_moments_at_zero_and_below():
    assert gc.SparseRademacher(0.2).absolute_moment(0) == 1
    assert gc.SparseRademacher(0.2).absolute_moment(-1) == math.inf


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_same_generator_state_gives_the_same_sample(law):
    first, second = (law.sample(6, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == (6,)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_a_seed_stands_for_its_generator(law):
    np.testing.assert_array_equal(law.sample(6, 3), law.sample(6, np.random.default_rng(3)))


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_bad_sample_arguments_are_refused(law):
    with pytest.raises(TypeError, match=r"rng must be"):
        law.sample(6, np.random.RandomState(0))
    with pytest.raises(ValueError, match="n must be ≥ 1, got 0"):
        law.sample(0, np.random.default_rng(0))
    with pytest.raises(TypeError, match="p must be a real number"):
        law.absolute_moment("1")
    with pytest.raises(ValueError, match="p must be"):
        law.absolute_moment(np.nan)


def test_a_sphere_of_one_dimension_checks_the_power_as_well():
    assert gc.Sphere(1).absolute_moment(-3) == 1
    with pytest.raises(TypeError, match="p must be a real number"):
        gc.Sphere(1).absolute_moment("1")


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="low must be below high, got low=1 and high=1"):
        gc.Uniform(1, 1)
    with pytest.raises(ValueError, match="high must be finite"):
        gc.Uniform(0, math.inf)
    with pytest.raises(ValueError, match=r"probability must be in \(0, 1\], got 0"):
        gc.SparseRademacher(0)
    with pytest.raises(ValueError, match=r"probability must be in \(0, 1\], got 1.5"):
        gc.SparseRademacher(1.5)
    with pytest.raises(ValueError, match="dimension must be ≥ 1"):
        gc.Sphere(0)
    with pytest.raises(ValueError, match="n must be the sphere's dimension 3, got 4"):
        gc.Sphere(3).sample(4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="term must be one of 'glass', 'hessian', got 'both'"):
        gc.contamination(gc.Rademacher(), term="both")
