import json
from dataclasses import dataclass

import numpy as np

from glasscurv._json import plain


@dataclass(frozen=True)
class Inner:
    values: np.ndarray
    pair: tuple


def test_everything_that_results_hold_becomes_valid_json():
    value = {
        "inner": Inner(np.array([[1.0, np.nan], [np.inf, 0.1]]), ("a", 2)),
        "count": np.int64(3),
        "single": np.float32(0.5),
        "none": None,
        "true": np.bool_(True),
        "range": range(2),
        7: -np.inf,
    }
    expected = {
        "inner": {"values": [[1.0, None], [None, 0.1]], "pair": ["a", 2]},
        "count": 3,
        "single": 0.5,
        "none": None,
        "true": True,
        "range": [0, 1],
        "7": None,
    }
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected
