"""Readers of tables: NumPy archives and comma-separated text. Nothing here unpickles."""

from __future__ import annotations

import csv
import math
import warnings
import zipfile
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray
from glasscurv.data.splits import paired

LARGEST_WHOLE = 2.0**53
"""From it on floats skip integers, so that a label may not be the one that was written."""

Row = tuple[int, list[str]]


def load_npz(path: str | PathLike[str]) -> tuple[FloatArray, NDArray[Any]]:
    """Read inputs and targets from a NumPy archive.

    Parameters
    ----------
    path : str or path-like
        File that ``numpy.savez(path, X=X, y=y)`` wrote; other arrays in it are left alone.

    Returns
    -------
    X : ndarray of shape (m, d)
        Inputs: float32 and float64 as they are, integers as float64.
    y : ndarray of shape (m,) or (m, k)
        Targets: floats as they are, integers as int64.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError, TypeError
        No archive, a damaged one, X or y missing, or arrays that are not finite real numbers or do not fit.

    See Also
    --------
    load_csv : Read comma-separated numbers.
    split : Set rows apart for validation.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/data.npz", X=np.ones((3, 2)), y=np.array([0, 1, 1]))
    ...     X, y = gc.data.load_npz(f"{folder}/data.npz")
    >>> X.shape, y.tolist()
    ((3, 2), [0, 1, 1])
    """
    arrays: dict[str, NDArray[Any]] = {}
    with open(path, "rb") as file:
        try:
            # By hand rather than by np.load, which takes any other file for a pickle and says so.
            with zipfile.ZipFile(file) as archive:
                held = [name.removesuffix(".npy") for name in archive.namelist()]
                for name in {"X", "y"} & set(held):
                    with archive.open(f"{name}.npy") as member:
                        arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:  # damage and encryption have as many as the decompressors, and MemoryError
            raise ValueError(f"{path} is not a whole .npz archive of numbers: {error}") from error
    for name in ("X", "y"):
        if name not in arrays:
            raise ValueError(f"{path} lacks {name}; it holds {', '.join(held) or 'nothing'}")
    return paired(arrays["X"], arrays["y"], f"X of {path}", f"y of {path}")


def load_csv(path: str | PathLike[str], target: str | None = None) -> tuple[FloatArray, NDArray[Any]]:
    r"""Read inputs and targets from comma-separated numbers.

    The first line is a header if one of its fields is a word and none is a finite number. Empty lines are skipped.

    Parameters
    ----------
    path : str or path-like
        Text file in UTF-8, with at least two columns.
    target : str, optional
        Column of the header that holds the targets; by default the last column does.

    Returns
    -------
    X : float64 ndarray of shape (m, d)
        Inputs: the other columns, in the order of the file.
    y : ndarray of shape (m,)
        Targets: int64 if all are whole numbers, however they are written (``3``, ``3.0``), else float64.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        An empty file, lines of different lengths, something that is not a finite number (with its line and column),
        or no such target.

    Warns
    -----
    UserWarning
        The first line is 0, 1, 2, … with three columns or more: it is read as numbers, and may be the header that
        pandas writes for columns without names. With two columns there is no telling.

    See Also
    --------
    load_npz : Read a NumPy archive.
    split : Set rows apart for validation.

    Examples
    --------
    >>> import glasscurv as gc, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.csv")
    ...     _ = path.write_text("width,height,kind\n1.5,2,0\n0.5,3,1\n")
    ...     X, y = gc.data.load_csv(path)
    >>> X.tolist(), y.tolist()
    ([[1.5, 2.0], [0.5, 3.0]], [0, 1])
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = _filled_lines(file)
            header, first = _header(next(rows, None), path)
            width = len(header) if header is not None else len(first[0][1])
            if width < 2:
                raise ValueError(f"{path} must have at least two columns separated by commas, got {width}")
            column = _target_column(target, header, width, path)
            numbers = [_numbers(row, width, header, path) for source in (first, rows) for row in source]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    except csv.Error as error:
        raise ValueError(f"{path} is not comma-separated text: {error}") from error
    if not numbers:
        raise ValueError(f"{path} holds a header and no numbers")
    table = np.stack(numbers)
    return np.delete(table, column, axis=1), labels_if_whole(table[:, column])


def labels_if_whole(y: NDArray[Any]) -> NDArray[Any]:
    """Return targets (m,) that are all whole numbers as int64, and a copy of others."""
    whole = bool((y == np.round(y)).all()) and bool((np.abs(y) < LARGEST_WHOLE).all())
    return y.astype(np.int64) if whole else y.copy()


def _filled_lines(file: Any) -> Iterator[Row]:
    reader = csv.reader(file, skipinitialspace=True, strict=True)
    for fields in reader:
        if any(field.strip() for field in fields):
            yield reader.line_num, fields


def _header(row: Row | None, path: str | PathLike[str]) -> tuple[list[str] | None, list[Row]]:
    """Tell a header from numbers: the names or None, and the rows already read."""
    if row is None:
        raise ValueError(f"{path} is empty")
    names = [field.strip() for field in row[1]]
    values = [_value(name) for name in names]
    if not any(name and value is None for name, value in zip(names, values, strict=True)) or any(
        value is not None and math.isfinite(value) for value in values
    ):
        if len(names) > 2 and names == [str(k) for k in range(len(names))]:
            warnings.warn(
                f"the first line of {path}, {names[0]},{names[1]},{names[2]}…, is read as numbers: if it is the header "
                "that pandas writes for columns without names, write with header=False",
                UserWarning,
                stacklevel=3,
            )
        return None, [row]
    return names, []


def _value(field: str) -> float | None:
    """Return the number that a field holds, None if it holds none; 1_000 is one in Python alone."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def _target_column(target: str | None, header: list[str] | None, width: int, path: str | PathLike[str]) -> int:
    if target is None:
        return width - 1
    if header is None:
        raise ValueError(f"target={target!r} needs a header with names of columns, and {path} has none")
    if header.count(target) != 1:
        found = "is twice" if target in header else "is not"
        raise ValueError(f"target {target!r} {found} among the columns of {path}: {', '.join(header)}")
    return header.index(target)


def _numbers(row: Row, width: int, header: list[str] | None, path: str | PathLike[str]) -> FloatArray:
    """Return one line as finite numbers."""
    line, fields = row
    if len(fields) != width:
        raise ValueError(f"{path}, line {line}: {len(fields)} columns, but the first line has {width}")
    numbers = np.array([_value(field) for field in fields], np.float64)  # nan for None
    for column in np.flatnonzero(~np.isfinite(numbers)).tolist():
        field = fields[column]
        name = f" ({header[column]})" if header is not None else ""
        where = f"{path}, line {line}, column {column + 1}{name}"
        if not field.strip():
            raise ValueError(f"{where}: nothing, where a number was expected")
        if _value(field) is None:
            raise ValueError(f"{where}: {field!r} is not a number")
        raise ValueError(f"{where}: must be finite, got {field}")
    return numbers
