import numpy as np
import pytest

import glasscurv as gc
from glasscurv.compression.groups import disjoint_indices


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (slice(None), [0, 1, 2, 3, 4]),
        (slice(-2, None), [3, 4]),
        (slice(1, None, 2), [1, 3]),
        (slice(3, 0, -1), [3, 2, 1]),
        ([4, 0], [4, 0]),
        ([-1], [4]),
        (np.array([2, 3], np.uint8), [2, 3]),
        ([True, False, False, True, False], [0, 3]),
        (np.array([[0, 1], [2, 3]]), [0, 1, 2, 3]),
        (3, [3]),
    ],
)
def test_groups_select_as_numpy_does(part, expected):
    assert {name: index.tolist() for name, index in disjoint_indices({"a": part}, 5).items()} == {"a": expected}


def test_no_groups_are_one():
    assert disjoint_indices(None, 3)["all"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("groups", "exception", "message"),
    [
        ({}, ValueError, "groups must hold at least one group, got none"),
        ([slice(2)], TypeError, "groups must map names to slices or index arrays, got list"),
        ({"a": [5]}, ValueError, r"groups\['a'\] must select some of the 5 coordinates, got \[5\]"),
        ({"a": slice(5, 9)}, ValueError, r"groups\['a'\] must select at least one of the 5 coordinates, got slice"),
        ({"a": [True]}, ValueError, r"groups\['a'\] must select some of the 5 coordinates"),
        ({"a": slice(3), "b": [4, 2]}, ValueError, "groups must not overlap, got parameter 2 in 'a' and in 'b'"),
        ({"a": [0, 3, -2]}, ValueError, "groups must not overlap, got parameter 3 in 'a' and in 'a'"),
    ],
)
def test_bad_groups_are_refused(groups, exception, message):
    calls = [
        lambda: gc.compression.prune(np.ones(5), np.arange(5), 0.5, groups),
        lambda: gc.compression.removal_length(np.ones(5), 0.5, groups),
        lambda: gc.compression.quantize(np.ones(5), 4, groups),
        lambda: gc.compression.quantization_changes(np.ones(5), groups),
        lambda: gc.compression.directional_quantization_changes(lambda x: x, np.ones(5), groups),
    ]
    for call in calls:
        with pytest.raises(exception, match=message):
            call()
