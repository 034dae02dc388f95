"""Reader of the IDX format, in which MNIST and its relatives come."""

from __future__ import annotations

import gzip
import math
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray

_GZIP = b"\x1f\x8b"
_IMAGES, _LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes (8) in three dimensions and in one."""


def load_idx(images: str | PathLike[str], labels: str | PathLike[str]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Read images and labels in the format of MNIST, compressed by gzip or not.

    Parameters
    ----------
    images : str or path-like
        For example ``train-images-idx3-ubyte.gz``: a magic number 2051, count, height and width as big-endian 32-bit
        integers, then a byte a pixel.
    labels : str or path-like
        For example ``train-labels-idx1-ubyte.gz``: a magic number 2049 and the count, then a byte a label.

    Returns
    -------
    X : float64 ndarray of shape (m, height · width)
        Images as rows, scaled from 0 … 255 to [0, 1].
    y : int64 ndarray of shape (m,)
        Labels.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A wrong magic number, a file that is shorter or longer than its header says, no images, or as many labels as
        there are not images.

    See Also
    --------
    load_digits : Smaller images, without a file.
    split : Set rows apart for validation.

    Examples
    --------
    >>> import glasscurv as gc, pathlib, tempfile
    >>> def header(*numbers):
    ...     return b"".join(number.to_bytes(4, "big") for number in numbers)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images, labels = pathlib.Path(folder, "images"), pathlib.Path(folder, "labels")
    ...     _ = images.write_bytes(header(2051, 1, 2, 2) + bytes([0, 51, 102, 255]))
    ...     _ = labels.write_bytes(header(2049, 1) + bytes([7]))
    ...     X, y = gc.data.load_idx(images, labels)
    >>> X.tolist(), y.tolist()
    ([[0.0, 0.2, 0.4, 1.0]], [7])
    """
    pixels = _read(images, _IMAGES, "images")
    numbers = _read(labels, _LABELS, "labels")
    if pixels.size == 0:
        raise ValueError(f"{images} holds no pixels: its header says {' × '.join(map(str, pixels.shape))}")
    if len(pixels) != len(numbers):
        raise ValueError(f"{images} holds {len(pixels)} images, but {labels} holds {len(numbers)} labels")
    return pixels.reshape(len(pixels), -1) / 255.0, numbers.astype(np.int64)


def _read(path: str | PathLike[str], magic: int, kind: str) -> NDArray[np.uint8]:
    """Return the bytes of an IDX file in the shape that its header says."""
    data = _decompressed(path)
    start = 4 + 4 * (magic & 0xFF)
    found = int.from_bytes(data[:4], "big")
    if len(data) >= 4 and found != magic:
        raise ValueError(f"{path} must begin with the magic number {magic} of IDX {kind}, got {found}")
    if len(data) < start:
        raise ValueError(f"{path} is truncated: {len(data)} bytes, where the header alone takes {start}")
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], ">u4"))
    expected = start + math.prod(shape)
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "too long"
        raise ValueError(f"{path} is {state}: its header says {expected} bytes, got {len(data)}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _decompressed(path: str | PathLike[str]) -> bytes:
    data = Path(path).read_bytes()
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is a truncated or damaged gzip file: {error}") from error
