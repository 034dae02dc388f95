"""Checkpoints: one safetensors file with JSON metadata, replaced atomically, checked when it is read.

The file holds the arrays of the optimizer and of the history; its metadata hold everything else that a bit-exact resume
needs, and a digest of it all. There is no pickle in it: reading a checkpoint runs no code of its author's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray
from glasscurv.networks import ACTIVATIONS, LOSSES, MLP, leaky_relu
from glasscurv.training.history import History, Recorder

FORMAT = "glasscurv checkpoint 1"
KEY = "glasscurv"  # of the metadata; a single one, because safetensors writes several in no fixed order
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training run as `train` saved it.

    Attributes
    ----------
    optimizer_state : dict
        What `Optimizer.state_dict` returned; ``load_state_dict`` takes it.
    history : History
        What had happened so far.
    metadata : dict
        The network's description, settings of the run, digests of its data, and the state of its random generator.
    """

    optimizer_state: dict[str, Any]
    history: History
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        layers = "-".join(map(str, self.metadata["network"]["layers"]))
        return f"<Checkpoint: {layers} network, {self.optimizer_state['optimizer']}, {self.history!r}>"

    @property
    def theta(self) -> FloatArray:
        """Parameters, shape (n,)."""
        theta: FloatArray = self.optimizer_state["arrays"]["theta"]
        return theta

    @property
    def network(self) -> MLP:
        """A network like the one that was trained.

        Raises
        ------
        ValueError
            Its activation or loss is not one of the library's.
        """
        description = self.metadata["network"]
        activation, loss = description["activation"], description["loss"]
        if description["custom"]:
            raise ValueError(
                f"the activation {activation!r} or the loss {loss!r} of the checkpoint is not the library's own: "
                "build the network and use `theta`"
            )
        if activation == "leaky_relu":
            activation = leaky_relu(description["left_slope"])
        return MLP(description["layers"], activation=activation, loss=loss)


def describe(network: MLP) -> dict[str, Any]:
    """Return what `Checkpoint.network` needs, and what must agree for a run to go on."""
    activation, loss = network.activation, network.loss
    known = activation == ACTIVATIONS.get(activation.name) or activation.name == "leaky_relu"
    return {
        "layers": list(network.layers),
        "activation": activation.name,
        "left_slope": activation.left_slope,
        "loss": loss.name,
        "custom": not (known and loss == LOSSES.get(loss.name)),
    }


def load_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint that `train` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Checkpoint

    Raises
    ------
    ValueError
        The file is truncated, damaged, or not a checkpoint of this library.
    FileNotFoundError
        There is no such file.
    ImportError
        safetensors is missing; the message says what to install.

    Examples
    --------
    >>> import tempfile, os, glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> optimizer = gc.Alice(net.initialize(rng=0), lr=0.1, rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.ckpt")
    ...     history = gc.train(net, optimizer, [[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], epochs=3, rng=0, progress=False,
    ...                        checkpoint=path)
    ...     saved = gc.load_checkpoint(path)
    >>> saved.network.layers, bool((saved.theta == optimizer.theta).all()), saved.history.status
    ((2, 4, 1), True, 'finished')
    """
    state, recorder, metadata = read_run(path)
    return Checkpoint(state, recorder.history(metadata["status"]), metadata)


def read_run(path: str | PathLike[str]) -> tuple[dict[str, Any], Recorder, dict[str, Any]]:
    """Return the optimizer's state, the history as it grows, and the metadata of a checkpoint."""
    arrays, metadata = _read(Path(path))
    state = dict(metadata.pop("optimizer"))
    state["arrays"] = _under("optimizer/", arrays)
    state["hyperparameters"] = {**state["hyperparameters"], **_under("hyperparameters/", arrays)}
    return state, Recorder.restore(_under("history/", arrays), metadata.pop("history")), metadata


class CheckpointFile:
    """Where a run is saved: `path`, and beside it ``path.previous``, the checkpoint before the last.

    Parameters
    ----------
    path : path-like
        The file, in a folder that exists.

    Raises
    ------
    ValueError, TypeError
        No such folder, or no path.
    ImportError
        safetensors is missing.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        if not isinstance(path, str | PathLike):
            raise TypeError(f"checkpoint must be a path, got {type(path).__name__}")
        self.path = Path(path).absolute()  # the program may change its folder on the way
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ValueError(f"checkpoint must be a file in a folder that exists, got {os.fspath(path)!r}")
        _safetensors()

    def write(self, optimizer_state: dict[str, Any], recorder: Recorder, metadata: dict[str, Any], keep: bool) -> None:
        """Save a run: at any moment, a kill or a full disk leaves a whole checkpoint at the path.

        With `keep`, the checkpoint that is replaced becomes the previous one.
        """
        state = dict(optimizer_state)
        arrays = {f"optimizer/{name}": array for name, array in state.pop("arrays").items()}
        hyperparameters = state.pop("hyperparameters")
        vectors = {name: value for name, value in hyperparameters.items() if isinstance(value, np.ndarray)}
        arrays |= {f"hyperparameters/{name}": value for name, value in vectors.items()}
        arrays |= {f"history/{name}": array for name, array in recorder.arrays().items()}
        state["hyperparameters"] = {name: value for name, value in hyperparameters.items() if name not in vectors}
        _write(self.path, arrays, {**metadata, "optimizer": state, "history": recorder.settings()}, keep)


def previous(path: Path) -> Path:
    """Return where the checkpoint before the last is kept."""
    return path.with_name(path.name + ".previous")


def _write(path: Path, arrays: Arrays, metadata: dict[str, Any], keep: bool = False) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, **metadata}, default=_encode)
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


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
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
    if metadata.pop("format") != FORMAT:
        raise ValueError(_refusal(path, f"its format is not {FORMAT!r}"))
    return arrays, metadata


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


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


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
