"""Trained networks from files of weights: PyTorch state dicts, safetensors, ONNX.

A model file is data.  A state dict is read with ``weights_only=True``, which refuses to run
code; a pickled module is refused.  The architecture follows from the names and shapes, or is
given as JSON: the layers in the order of the forward pass, named as in the weights,

    ["Flatten", {"Linear": "fc1"}, {"BatchNorm1d": "norm", "eps": 1e-3}, "ReLU", {"Linear": "fc2"}]
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..core.checks import Array, InputError, optional_import, positive
from ..core.files import existing_file
from .chain import Chain, Operation, assemble
from .onnx import read_onnx

# PyTorch's default; a state dict does not hold it.
BATCH_NORM_EPS = 1e-5
#: layers without weights, as named in an architecture
PLAIN = {
    "ReLU": "relu", "Flatten": "flatten", "Dropout": "dropout", "Identity": "identity",
    "Softmax": "softmax", "LogSoftmax": "log_softmax",
}  # fmt: skip


def read_model(path: str | Path, architecture: str | Path | None = None) -> Chain:
    """The chain in a ``.pt``, ``.pth``, ``.bin`` state dict, ``.safetensors`` or ``.onnx`` file.

    Parameters
    ----------
    path : path
    architecture : path of a JSON file, optional
        See the module.  Without: Linear and BatchNorm1d layers in the order of the weights' names
        with ReLU between.

    Returns
    -------
    Chain

    Raises
    ------
    InputError
        One sentence: a missing or damaged file, one that holds code, or weights that make no
        chain of Linear layers.
    """
    file = existing_file(path)
    if file.suffix == ".onnx":
        if architecture is not None:
            raise InputError("an ONNX file has its architecture; leave --architecture out")
        return read_onnx(file)
    if file.suffix == ".safetensors":
        tensors = _read_safetensors(file)
    elif file.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        tensors = _read_state_dict(file)
    else:
        raise InputError(f"{path}: give a state dict (.pt, .pth), .safetensors or .onnx file")
    layers = None if architecture is None else _read_architecture(existing_file(architecture))
    try:
        return from_state_dict(tensors, layers)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _read_safetensors(file: Path) -> dict[str, Array]:
    try:
        with safe_open(file, framework="numpy") as opened:
            if (opened.metadata() or {}).get("format", "").startswith("gapless"):
                raise InputError(f"{file} is a model of gapless: use gapless certify {file} DATA")
            names = sorted(opened.keys(), key=_natural)  # the file's own order is alphabetical
            return {name: opened.get_tensor(name) for name in names}
    except TypeError as error:  # NumPy has no such numbers
        raise InputError(f"{file}: {error}; save the weights as float32") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: not a safetensors file, or a damaged one ({error})") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts "net.2.weight" before "net.10.weight"."""
    parts = [part.lstrip("0") or part for part in re.split(r"([0-9]+)", name)]
    return [(len(part) if part[:1].isdecimal() else -1, part) for part in parts]


def _read_state_dict(file: Path) -> dict[str, Array]:
    torch = optional_import("torch", "torch", "reading a PyTorch file")
    if _is_compressed(file):  # a little of it may become more than memory holds
        raise InputError(f"{file}: is compressed, as torch.save never does; unpack and save it")
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
        raise InputError(
            f"{file}: not a PyTorch file, or a damaged one ({type(error).__name__})"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise InputError(
            f"{file}: not a state dict; save one with torch.save(model.state_dict(), path)"
        )
    for name, tensor in content.items():
        if unfit := _unfit(torch, tensor):
            raise InputError(f"{file}: the tensor {name!r} {unfit}; save plain tensors of numbers")
    return {str(k): v.detach().double().numpy() for k, v in content.items()}


def _is_compressed(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist())
    except Exception:  # no zip, or a damaged one
        return False


def _unfit(torch: Any, tensor: Any) -> str:
    """Why a tensor is no array of numbers, in words, or nothing."""
    if tensor.layout != torch.strided or tensor.is_nested:
        return "is sparse or nested"
    if tensor.is_quantized or tensor.is_complex():
        return f"is of {tensor.dtype}"
    if tensor.is_meta:
        return "has no values"
    if tensor.numel() == 0:
        return f"is empty, of shape {tuple(tensor.shape)}"
    # an expanded tensor takes a thousandth of the memory that its array would
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "is expanded, most of its values are not in the file"
    return ""


def _read_architecture(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
        raise InputError(f"{file}: no JSON file with a list of layers ({error})") from error


def from_state_dict(tensors: Mapping[str, Any], architecture: Any) -> Chain:
    """The chain that weights make: in their order with ReLU between, or as ``architecture`` says.

    Without an architecture ``NAME.weight`` of two dimensions is a Linear layer; of one
    dimension, with ``NAME.running_mean``, a BatchNorm1d, taken to stand before the ReLU.

    Parameters
    ----------
    tensors : mapping of names to arrays
    architecture : list or None
        See the module.

    Returns
    -------
    Chain

    Raises
    ------
    ValueError
        For anything else, naming it.
    """
    if architecture is None:
        return assemble(_in_order(tensors))
    chain = assemble(_as_told(tensors, architecture))
    told = {next(iter(layer.values())) for layer in architecture if isinstance(layer, Mapping)}
    if left := sorted({name.rpartition(".")[0] for name in tensors} - told):
        raise ValueError(f"the architecture leaves out {left[0]!r}, which has weights")
    return chain


def _as_told(tensors: Mapping[str, Any], architecture: Any) -> Iterator[Operation]:
    if not isinstance(architecture, list):
        raise ValueError('the architecture must be a list like [{"Linear": "fc1"}, "ReLU", ...]')
    for layer in architecture:
        if isinstance(layer, str) and layer in PLAIN:
            yield PLAIN[layer], ()
            continue
        kind, name = next(iter(layer.items())) if isinstance(layer, Mapping) and layer else ("", "")
        if kind not in ("Linear", "BatchNorm1d") or not isinstance(name, str):
            raise ValueError(
                f"the layer {json.dumps(layer)} of the architecture is not supported; give "
                f'{{"Linear": NAME}}, {{"BatchNorm1d": NAME}}, {", ".join(PLAIN)}'
            )
        yield _operation(
            tensors, f"{name}.", kind, positive("eps", layer.get("eps", BATCH_NORM_EPS))
        )


def _in_order(tensors: Mapping[str, Any]) -> Iterator[Operation]:
    known = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    for name, values in tensors.items():
        if name.rpartition(".")[2] not in known or np.ndim(values) > 2:
            raise ValueError(
                f"the tensor {name!r} of shape {np.shape(values)} belongs to no Linear or "
                "BatchNorm1d layer; export the model to ONNX if it is a chain"
            )
    started = False
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in tensors):
        prefix = f"{layer}." if layer else ""
        linear = np.ndim(tensors.get(f"{prefix}weight", 0.0)) == 2
        if linear and started:
            yield "relu", ()
        started = started or linear
        yield _operation(tensors, prefix, "Linear" if linear else "BatchNorm1d", BATCH_NORM_EPS)


def _operation(tensors: Mapping[str, Any], prefix: str, kind: str, eps: float) -> Operation:
    """The layer whose tensors start with ``prefix``."""
    get = {
        name[len(prefix) :]: np.asarray(values, dtype=float)
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
    needed = {"Linear": {"weight": 2}, "BatchNorm1d": {"running_mean": 1, "running_var": 1}}[kind]
    for key, ndim in needed.items():
        if key not in get or get[key].ndim != ndim:
            raise ValueError(f"the weights hold no {kind} layer {prefix[:-1]!r}")
    if kind == "Linear":
        return "linear", (get["weight"].T, get.get("bias"))
    scale = get.get("weight", 1.0) / np.sqrt(get["running_var"] + eps)
    return "batch_norm", (scale, get.get("bias", 0.0) - get["running_mean"] * scale)
