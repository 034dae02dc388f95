"""What one weight more among many adds to the glass (theory, section 9)."""

import math

import numpy as np
import pytest

import glasscurv as gc

SIZE = 200


@pytest.fixture(scope="module")
def removal():
    """A toy, the lengths of what is removed, and signs; the same signs serve every displacement."""
    toy = gc.RandomHinges(SIZE, hinges=2000, half_width=60.0, rng=0)
    rng = np.random.default_rng(1)
    lengths = 0.05 * np.exp(0.8 * rng.normal(size=SIZE))
    return toy, lengths, rng.choice([-1.0, 1.0], (60, SIZE))


def variance(toy, lengths, signs):
    """Exact Var X, equation (6), averaged over signs."""
    sizes = np.linalg.norm(lengths)
    return np.mean([toy.directional_density(z * lengths) * sizes**3 / 3 for z in signs])


def test_weights_among_many_add_their_row_sums(removal):
    toy, lengths, signs = removal
    # The exact E v² of every coordinate under the whole displacement: the row sum at its length, times the length.
    row_sums = np.mean([toy.density(z * lengths) for z in signs], axis=0)
    diagonal = toy.density_matrix().diagonal()
    start = variance(toy, lengths, signs)
    for i in np.argsort(lengths)[[100, 150, 190]]:
        longer = lengths.copy()
        longer[i] *= 1.1
        added = (variance(toy, longer, signs) - start) / (longer[i] ** 2 - lengths[i] ** 2)
        # What the signs and the normal limit, where one weight is large, leave.
        assert added == pytest.approx(row_sums[i], rel=0.15)
        assert added > 2 * diagonal[i] * lengths[i] / 3
    assert start == pytest.approx(2 / 3 * row_sums @ lengths**2, rel=0.15)


def test_parallel_boundaries_change_the_loss_less_than_many_directions():
    """All signs of 400 equal weights, by their number of minus signs: E|X| beside that of a normal X."""
    n = 400
    toy = gc.RandomHinges(n, hinges=1, half_width=n, normals=np.ones((1, n)), rng=0)
    minus = np.arange(n + 1)
    signs = np.where(np.arange(n) < minus[:, None], -1.0, 1.0)
    probability = np.exp([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in minus]) / 2.0**n
    assert probability.sum() == pytest.approx(1, rel=1e-12)
    densities = np.array([toy.directional_density(z) for z in signs])
    dense = np.array([gc.directional_glass_change(math.sqrt(n), density) for density in densities])
    variance = probability @ densities * n**1.5 / 3
    # Three moments of a binomial number for those of a normal one leave a share of the order 1/n.
    row_sum = probability @ [toy.density(z)[0] for z in signs]
    assert variance == pytest.approx(2 / 3 * n * row_sum, rel=1 / n)
    ratio = probability @ dense / math.sqrt(2 / math.pi * variance)
    assert ratio == pytest.approx(math.gamma(5 / 4) / math.pi**0.25, rel=1 / n)
