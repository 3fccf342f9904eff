"""Model files: safetensors with a JSON header.  A model file is data; loading executes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ._validate import Array
from .network import Network
from .table import Encoder, InputError, Table

FORMAT = "gapless-network-1"
_WEIGHTS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")


@dataclass(frozen=True)
class Header:
    """What a model file says besides its weights.

    ``training`` holds loss, weight_decay, bias, the standardisation and the split;
    ``certificate`` the fields of :class:`gapless.Certificate`.
    """

    task: str = "regression"
    target: str = "target"
    classes: list[Any] | None = None
    columns: list[Any] = field(default_factory=list)
    status: str = ""
    certificate: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> Encoder:
        return Encoder([(name, categories) for name, categories in self.columns])


def save(path: str | Path, network: Network, header: Header | None = None) -> None:
    """Write ``network`` (and what is known about it) to a ``.safetensors`` file."""
    tensors = {name: np.ascontiguousarray(getattr(network, name)) for name in _WEIGHTS}
    text = json.dumps(asdict(header or Header()), allow_nan=False)
    # written beside and moved: an interrupted save leaves the old file or none
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    try:
        save_file(tensors, partial, metadata={"format": FORMAT, "header": text})
        partial.replace(target)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | Path) -> tuple[Network, Header]:
    """Read a model file.

    Raises
    ------
    InputError
        For a missing, truncated or foreign file.
    """
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: a safetensors file, but not one that gapless wrote")
            weights = {name: file.get_tensor(name) for name in _WEIGHTS}
        return Network(**weights), Header(**json.loads(metadata["header"]))
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a gapless model file, or a damaged one ({error})") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: a damaged gapless model file ({error})") from error


def predict(network: Network, header: Header, table: Table) -> dict[str, Array]:
    """Predictions for a table, a column each: the target, and class probabilities if any."""
    F = network.predict(header.encoder.encode(table))
    if header.task == "regression":
        return {header.target: F[:, 0]}
    classes = np.array(header.classes)
    if F.shape[1] == 1:
        index, margins = (F[:, 0] > 0).astype(int), np.column_stack([-F, F]) / 2
    else:
        index, margins = np.argmax(F, axis=1), F
    out = {header.target: classes[index]}
    if header.training.get("loss") in ("logistic", "softmax"):
        E = np.exp(margins - margins.max(axis=1, keepdims=True))
        E /= E.sum(axis=1, keepdims=True)
        out |= {f"probability of {c}": E[:, k] for k, c in enumerate(classes)}
    return out
