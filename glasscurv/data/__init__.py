"""Data for training and measuring: real and made ones, ready without a download, and readers of common files.

A `Split` holds training and validation data; `split` makes one of anything that a reader returned.
"""

from glasscurv.data.digits import load_digits
from glasscurv.data.files import load_csv, load_npz
from glasscurv.data.idx import load_idx
from glasscurv.data.splits import Split, split
from glasscurv.data.synthetic import regression, two_spirals

__all__ = ["Split", "load_csv", "load_digits", "load_idx", "load_npz", "regression", "split", "two_spirals"]
