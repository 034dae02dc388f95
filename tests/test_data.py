import hashlib
import sys

import numpy as np
import pytest

import glasscurv as gc


@pytest.fixture(scope="module")
def digits():
    return gc.data.load_digits()


def test_the_split_has_its_documented_sizes_and_types(digits):
    assert digits.X.shape == (1437, 64)
    assert digits.y.shape == (1437,)
    assert digits.X_validation.shape == (360, 64)
    assert digits.y_validation.shape == (360,)
    assert (digits.X.dtype, digits.X_validation.dtype) == (np.float64, np.float64)
    assert (digits.y.dtype, digits.y_validation.dtype) == (np.int64, np.int64)


def test_the_split_unpacks_in_the_documented_order(digits):
    X, y, X_validation, y_validation = gc.data.load_digits()
    named = digits.X, digits.y, digits.X_validation, digits.y_validation
    assert all(np.array_equal(one, other) for one, other in zip((X, y, X_validation, y_validation), named, strict=True))


def test_every_image_appears_exactly_once_with_its_own_label(digits):
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = np.vstack([digits.X, digits.X_validation]) * 16
    ours = np.column_stack([images, np.concatenate([digits.y, digits.y_validation])])
    theirs = np.column_stack([bundled.data, bundled.target])
    assert ours.shape == theirs.shape == (1797, 65)
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert not np.array_equal(ours, theirs)  # shuffled: the file is sorted by writer


def test_values_are_between_zero_and_one_and_use_the_whole_range(digits):
    for X in (digits.X, digits.X_validation):
        assert (X.min(), X.max()) == (0.0, 1.0)
        assert np.array_equal(16 * X, np.round(16 * X))  # 17 grey levels


def test_both_parts_hold_every_label(digits):
    assert np.bincount(digits.y_validation).tolist() == pytest.approx([36] * 10, abs=15)
    assert np.bincount(digits.y).min() > 100


def test_the_split_is_fixed(digits):
    def fingerprint(labels):
        return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()

    assert fingerprint(digits.y) == "e0b4de600c317806480d6d8b5c23c017ef3cf77cf1c699efde2d35b5db078453"
    assert fingerprint(digits.y_validation) == "d66244c900feda6641100fb46622140948ee56aa04a8d7b9812b3169427b3b07"


def test_loading_twice_gives_independent_arrays(digits):
    again = gc.data.load_digits()
    assert not np.shares_memory(again.X, digits.X)
    again.X[:] = 0
    assert digits.X.any()


@pytest.mark.parametrize("missing", ["sklearn", "sklearn.datasets"])
def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "sklearn":
        monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(ImportError, match=r"load_digits needs scikit-learn: pip install scikit-learn"):
        gc.data.load_digits()
