"""What one weight more among many adds to the glass (theory, section 9)."""

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
