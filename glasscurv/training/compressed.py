"""Compressed networks on disk."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._json import plain
from glasscurv._typing import FloatArray
from glasscurv._validation import vector
from glasscurv.compression import Quantized, pack, unpack
from glasscurv.networks import MLP
from glasscurv.training.files import COMPRESSED, Arrays, build, check_path, describe, write


@dataclass(frozen=True, eq=False)
class CompressedNetwork:
    """A network as `save_compressed` saved it: without the training, which cannot go on from it.

    Parameters
    ----------
    theta : ndarray of shape (n,)
        Parameters.
    bits : dict of str to int
        Bits per weight of every group of weights on a grid; empty if there was none.
    metadata : dict
        What was passed, and as ``"network"`` the network's description.

    See Also
    --------
    save_compressed : Writes it to a file.
    load_checkpoint : Reads it from a file.

    Examples
    --------
    >>> import tempfile, os, glasscurv as gc
    >>> net = gc.MLP((2, 4, 1), loss="mse")
    >>> rounded = gc.compression.quantize(net.initialize(rng=0), bits=4, groups=net.weight_groups())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "small.ckpt")
    ...     gc.save_compressed(path, net, rounded.theta, rounded)
    ...     saved = gc.load_checkpoint(path)
    >>> saved.bits, saved.network.layers
    ({'layer1': 4, 'layer2': 4}, (2, 4, 1))
    """

    theta: FloatArray
    bits: dict[str, int]
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        layers = "-".join(map(str, self.metadata["network"]["layers"]))
        widths = sorted(set(self.bits.values()))
        grids = f", weights of {' to '.join(map(str, widths[:: max(len(widths) - 1, 1)]))} bits" if widths else ""
        return f"<CompressedNetwork: {layers} network, {np.mean(self.theta == 0):.1%} zeros{grids}>"

    @property
    def network(self) -> MLP:
        """A network like the one that was saved.

        Raises
        ------
        ValueError
            Its activation or loss is not one of the library's.
        """
        return build(self.metadata["network"])


def save_compressed(
    path: str | PathLike[str],
    network: MLP,
    theta: ArrayLike,
    quantized: Quantized | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Save a pruned or quantised network in a small file, without loss.

    Parameters
    ----------
    path : path-like
        The file, which must not exist yet, in a folder that does.
    network : MLP
        The model.
    theta : array_like of shape (n,)
        Its parameters, such as ``pruned.theta`` or ``quantized.theta``. Zeros take next to no room.
    quantized : Quantized, optional
        The grids of theta's weights, as `compression.quantize` returned them. Parameters in no group, such as biases,
        may have been trained further; the others must be those of ``quantized.theta``.
    metadata : mapping, optional
        Anything that JSON can hold, for `load_checkpoint` to give back; arrays become lists, nan None.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, parameters that are not on their grid, or a file that exists.
    ImportError
        safetensors is missing; the message says what to install.

    See Also
    --------
    load_checkpoint : Reads the file.
    glasscurv.compression.pack : Makes the bytes that are written.

    Examples
    --------
    >>> import tempfile, os, glasscurv as gc
    >>> net = gc.MLP((64, 64, 10))
    >>> rounded = gc.compression.quantize(net.initialize(rng=0), bits=4, groups=net.weight_groups())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "small.ckpt")
    ...     gc.save_compressed(path, net, rounded.theta, rounded, metadata={"trained on": "nothing"})
    ...     saved = gc.load_checkpoint(path)
    >>> saved.network.layers, bool((saved.theta == rounded.theta).all()), saved.metadata["trained on"]
    ((64, 64, 10), True, 'nothing')
    """
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an MLP, got {type(network).__name__}")
    if quantized is not None and not isinstance(quantized, Quantized):
        raise TypeError(f"quantized must be a Quantized, got {type(quantized).__name__}")
    file = check_path(path, "path")
    if file.exists():
        raise ValueError(f"path must be a new file, got {str(file)!r}, which exists: move it away")
    arrays, description = pack(vector(theta, "theta", network.size), quantized)
    text = json.dumps({"parameters": description, "metadata": _check_metadata(metadata)})
    # Compressed, because there may be thousands of groups.
    arrays["description"] = np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)
    write(file, COMPRESSED, arrays, {"network": describe(network)})


def _check_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, got {type(metadata).__name__}")
    if "network" in metadata:
        raise ValueError("metadata must have no key 'network': it is kept for the network's description")
    simple: dict[str, Any] = plain(metadata)
    try:
        json.dumps(simple)
    except TypeError as error:
        raise TypeError(f"metadata must be what JSON can hold: {error}") from error
    return simple


def restored(arrays: Arrays, metadata: dict[str, Any]) -> CompressedNetwork:
    """Return what a file held."""
    stored = json.loads(zlib.decompress(arrays.pop("description").tobytes()))
    bits = {name: record["bits"] for name, record in stored["parameters"]["groups"].items()}
    return CompressedNetwork(unpack(arrays, stored["parameters"]), bits, {**metadata, **stored["metadata"]})
