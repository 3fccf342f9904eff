"""Trained networks from files of weights: PyTorch state dicts, safetensors, ONNX.

A model file is data.  A state dict is read with ``weights_only=True``, which refuses to run
code; a pickled module is refused.  The architecture follows from the names and shapes.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ._validate import Array, optional_import
from .onnx_bridge import read_onnx
from .table import InputError
from .torch_bridge import Chain, Operation, assemble

# PyTorch's default; a state dict does not hold it.
BATCH_NORM_EPS = 1e-5


def read_model(path: str | Path) -> Chain:
    """The chain in a ``.pt``, ``.pth``, ``.bin`` state dict, ``.safetensors`` or ``.onnx`` file.

    Raises
    ------
    InputError
        One sentence: a missing or damaged file, one that holds code, or weights that make no
        chain of Linear layers.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"no such file: {path}")
    if file.suffix == ".onnx":
        return read_onnx(file)
    if file.suffix == ".safetensors":
        tensors = _read_safetensors(file)
    elif file.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        tensors = _read_state_dict(file)
    else:
        raise InputError(f"{path}: give a state dict (.pt, .pth), .safetensors or .onnx file")
    try:
        return from_state_dict(tensors)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _read_safetensors(file: Path) -> dict[str, Array]:
    try:
        with safe_open(file, framework="numpy") as opened:
            names = sorted(opened.keys(), key=_natural)  # the file's own order is alphabetical
            return {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: not a safetensors file, or a damaged one ({error})") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts "net.2.weight" before "net.10.weight"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_state_dict(file: Path) -> dict[str, Array]:
    torch = optional_import("torch", "torch", "reading a PyTorch file")
    try:
        with warnings.catch_warnings():
            # on foreign pickles torch warns before it refuses; the refusal says it
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: holds more than weights, and opening it could run code; save the weights "
            "alone with torch.save(model.state_dict(), path)"
        ) from error
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{file}: not a PyTorch file, or a damaged one ({error})") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise InputError(
            f"{file}: not a state dict; save one with torch.save(model.state_dict(), path)"
        )
    return {str(k): v.detach().double().numpy() for k, v in content.items()}


def from_state_dict(tensors: Mapping[str, Any]) -> Chain:
    """The chain that weights make in their order, ReLU between.

    ``NAME.weight`` of two dimensions is a Linear layer; of one dimension, with
    ``NAME.running_mean``, a BatchNorm1d, taken to stand before the ReLU.

    Raises
    ------
    ValueError
        For anything else, naming it.
    """
    return assemble(_operations(tensors))


def _operations(tensors: Mapping[str, Any]) -> Iterator[Operation]:
    known = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    for name, values in tensors.items():
        if name.rpartition(".")[2] not in known or np.ndim(values) > 2:
            raise ValueError(
                f"the tensor {name!r} of shape {np.shape(values)} belongs to no Linear or "
                "BatchNorm1d layer; export the model to ONNX if it is a chain"
            )
    prefixes = [n[: -len("weight")] for n in tensors if n.rpartition(".")[2] == "weight"]
    started = False
    for prefix in prefixes:
        get = {
            key: np.asarray(tensors[prefix + key], dtype=float)
            for key in known
            if prefix + key in tensors
        }
        if get["weight"].ndim == 2:
            if started:
                yield "relu", ()
            yield "linear", (get["weight"].T, get.get("bias"))
            started = True
        elif "running_var" in get:
            scale = get["weight"] / np.sqrt(get["running_var"] + BATCH_NORM_EPS)
            yield "batch_norm", (scale, get["bias"] - get["running_mean"] * scale)
        else:
            raise ValueError(f"the tensor {prefix}weight belongs to no Linear layer")
