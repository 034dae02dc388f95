"""Files: one safetensors file with JSON metadata, replaced atomically, checked when it is read.

The file holds arrays; its metadata hold everything else, and a digest of it all. There is no pickle in it: reading a
file runs no code of its author's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv.networks import ACTIVATIONS, LOSSES, MLP, leaky_relu

RUN = "glasscurv checkpoint 1"
COMPRESSED = "glasscurv compressed network 1"
KEY = "glasscurv"  # of the metadata; a single one, because safetensors writes several in no fixed order
Arrays = dict[str, NDArray[Any]]


def describe(network: MLP) -> dict[str, Any]:
    """Return what `build` needs, and what must agree for a run to go on."""
    activation, loss = network.activation, network.loss
    known = activation == ACTIVATIONS.get(activation.name) or activation.name == "leaky_relu"
    return {
        "layers": list(network.layers),
        "activation": activation.name,
        "left_slope": activation.left_slope,
        "loss": loss.name,
        "custom": not (known and loss == LOSSES.get(loss.name)),
    }


def build(description: dict[str, Any]) -> MLP:
    """Return a network like the one that was described."""
    activation, loss = description["activation"], description["loss"]
    if description["custom"]:
        raise ValueError(
            f"the activation {activation!r} or the loss {loss!r} of the checkpoint is not the library's own: "
            "build the network and use `theta`"
        )
    if activation == "leaky_relu":
        activation = leaky_relu(description["left_slope"])
    return MLP(description["layers"], activation=activation, loss=loss)


def check_path(path: str | PathLike[str], name: str) -> Path:
    """Return where a file can be written, in a folder that exists."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name} must be a path, got {type(path).__name__}")
    absolute = Path(path).absolute()  # the program may change its folder on the way
    if not absolute.parent.is_dir() or absolute.is_dir():
        raise ValueError(f"{name} must be a file in a folder that exists, got {os.fspath(path)!r}")
    _safetensors()
    return absolute


def previous(path: Path) -> Path:
    """Return where the checkpoint before the last is kept."""
    return path.with_name(path.name + ".previous")


def write(path: Path, form: str, arrays: Arrays, metadata: dict[str, Any], keep: bool = False) -> None:
    """Write a file of the given form: at any moment, a kill or a full disk leaves a whole file at the path.

    With `keep`, the file that is replaced becomes the previous one.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps({"format": form, **metadata}, default=_encode)
    # One name for the unfinished file, so that killed runs leave one at most.
    unfinished = path.with_name(path.name + ".unfinished")
    data = _safetensors().numpy.save(arrays, {KEY: f"{_digest(arrays, text)} {text}"})
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            _keep(path)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the renaming durable, where the system lets folders be opened."""
    with suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _keep(path: Path) -> None:
    """Give the present file its second name, without ever taking away the first."""
    previous(path).unlink(missing_ok=True)
    try:
        os.link(path, previous(path))
    except OSError:  # a file system without links
        shutil.copyfile(path, previous(path))


def read(path: Path) -> tuple[str, Arrays, dict[str, Any]]:
    """Return form, arrays and metadata of a file."""
    library = _safetensors()
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {str(path)!r}")
    try:
        with library.safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except library.SafetensorError as error:
        raise ValueError(_refusal(path, f"it is truncated or of another kind ({error})")) from error
    if KEY not in header:
        raise ValueError(_refusal(path, "another program wrote it"))
    digest, _, text = header[KEY].partition(" ")
    if digest != _digest(arrays, text):
        raise ValueError(_refusal(path, "its contents do not match its digest"))
    metadata: dict[str, Any] = json.loads(text, object_hook=_decode)
    form = metadata.pop("format")
    if form not in (RUN, COMPRESSED):
        raise ValueError(_refusal(path, f"its format is neither {RUN!r} nor {COMPRESSED!r}"))
    return form, arrays, metadata


def _refusal(path: Path, reason: str) -> str:
    older = f"; the checkpoint before it is {str(previous(path))!r}: rename it" if previous(path).is_file() else ""
    return f"{str(path)!r} is not a whole checkpoint of glasscurv: {reason}{older}"


def _digest(arrays: Arrays, text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _encode(value: object) -> object:
    """Write the arrays in the states of some random generators, which JSON does not know."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    return np.array(value["array"], dtype=value["dtype"]) if value.keys() == {"array", "dtype"} else value


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("checkpoints need safetensors: pip install 'glasscurv[checkpoint]'") from error
    return safetensors
