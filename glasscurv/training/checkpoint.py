"""Checkpoints of training runs: all that a bit-exact resume needs."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from glasscurv._typing import FloatArray
from glasscurv.networks import MLP
from glasscurv.training.compressed import CompressedNetwork, restored
from glasscurv.training.files import COMPRESSED, RUN, Arrays, build, read, write
from glasscurv.training.history import History, Recorder


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training run as `train` saved it.

    Parameters
    ----------
    optimizer_state : dict
        What ``Optimizer.state_dict`` returned; ``load_state_dict`` takes it.
    history : History
        What had happened so far.
    metadata : dict
        The network's description, settings of the run, digests of its data, and the state of its random generator.

    See Also
    --------
    load_checkpoint : Reads it from a file.
    train : Writes such files, and goes on from them.

    Examples
    --------
    >>> import tempfile, os, glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> optimizer = gc.SGD(net.initialize(rng=0), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.ckpt")
    ...     history = gc.train(net, optimizer, [[0.0, 1.0]], [1.0], epochs=2, rng=0, progress=False, checkpoint=path)
    ...     saved = gc.load_checkpoint(path)
    >>> saved.optimizer_state["optimizer"], saved.metadata["batch_size"], saved.theta.shape
    ('SGD', 100, (17,))
    """

    optimizer_state: dict[str, Any]
    history: History
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        layers = "-".join(map(str, self.metadata["network"]["layers"]))
        return f"<Checkpoint: {layers} network, {self.optimizer_state['optimizer']}, {self.history!r}>"

    @property
    def theta(self) -> FloatArray:
        """Parameters, an array of shape (n,)."""
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
        return build(self.metadata["network"])


def load_checkpoint(path: str | PathLike[str]) -> Checkpoint | CompressedNetwork:
    """Read what `train` or `save_compressed` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Checkpoint or CompressedNetwork
        Either has ``network``, ``theta`` and ``metadata``.

    Raises
    ------
    ValueError
        The file is truncated, damaged, or not a checkpoint of this library.
    FileNotFoundError
        There is no such file.
    ImportError
        safetensors is missing; the message says what to install.

    See Also
    --------
    train : Writes a run, and goes on from it.
    save_compressed : Writes a pruned or quantised network.

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
    form, arrays, metadata = read(Path(path))
    if form == COMPRESSED:
        return restored(arrays, metadata)
    state, recorder, metadata = _run(arrays, metadata)
    return Checkpoint(state, recorder.history(metadata["status"]), metadata)


def read_run(path: str | PathLike[str]) -> tuple[dict[str, Any], Recorder, dict[str, Any]]:
    """Return the optimizer's state, the history as it grows, and the metadata of a run that can go on."""
    form, arrays, metadata = read(Path(path))
    if form != RUN:
        raise ValueError(
            f"{str(path)!r} holds a compressed network and no training to go on with: start a new one from its theta"
        )
    return _run(arrays, metadata)


def _run(arrays: Arrays, metadata: dict[str, Any]) -> tuple[dict[str, Any], Recorder, dict[str, Any]]:
    state = dict(metadata.pop("optimizer"))
    state["arrays"] = _under("optimizer/", arrays)
    state["hyperparameters"] = {**state["hyperparameters"], **_under("hyperparameters/", arrays)}
    return state, Recorder.restore(_under("history/", arrays), metadata.pop("history")), metadata


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def write_run(
    path: Path, optimizer_state: dict[str, Any], recorder: Recorder, metadata: dict[str, Any], keep: bool
) -> None:
    """Save a run; with `keep`, the checkpoint that is replaced becomes the previous one."""
    state = dict(optimizer_state)
    arrays = {f"optimizer/{name}": array for name, array in state.pop("arrays").items()}
    hyperparameters = state.pop("hyperparameters")
    vectors = {name: value for name, value in hyperparameters.items() if isinstance(value, np.ndarray)}
    arrays |= {f"hyperparameters/{name}": value for name, value in vectors.items()}
    arrays |= {f"history/{name}": array for name, array in recorder.arrays().items()}
    state["hyperparameters"] = {name: value for name, value in hyperparameters.items() if name not in vectors}
    write(path, RUN, arrays, {**metadata, "optimizer": state, "history": recorder.settings()}, keep)
