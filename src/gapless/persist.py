"""Model files: safetensors with a JSON header.  A model file is data; loading executes nothing."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.model_selection import train_test_split

from ._validate import Array
from .network import Network
from .outputs import encode_labels
from .table import Encoder, InputError, Table, check_complete, existing_file

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

    def preparation(self) -> str:
        """What makes samples of a table, as text: all but the results."""
        return json.dumps(asdict(self) | {"status": "", "certificate": {}}, allow_nan=False)


@dataclass(frozen=True)
class Samples:
    """Training rows in the units of training, and the standardisation of X."""

    X: Array
    Y: Array
    mean: Array
    scale: Array


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
    file = existing_file(path)
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: a safetensors file, but not one that gapless wrote")
            weights = {name: opened.get_tensor(name) for name in _WEIGHTS}
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


def read_preparation(path: str | Path) -> Header:
    """What a proof file says of how its samples were made.

    Raises
    ------
    InputError
        For a truncated or foreign file, and for a proof that was not made from a table.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Header(**json.loads(str(file["preparation"])))
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a proof of a model trained on a table, or a damaged one "
            f"({type(error).__name__})"
        ) from error


def prepare(header: Header, table: Table) -> Samples:
    """The samples a model was trained on, from its table: encoded, split and standardised.

    Raises
    ------
    InputError
        When the table is not the one of the training, or the header is damaged.
    """
    t = header.training
    if not t:
        raise InputError("the model file does not say how it was trained")
    if header.target not in table:
        raise InputError(f"the data have no target column {header.target!r}")
    y = table[header.target]
    try:
        if len(y) != t["n_rows"]:
            raise InputError(f"the model was trained on {t['n_rows']} rows, the data have {len(y)}")
        check_complete(header.target, y)
        X, labels = header.encoder.encode(table), None
        mean, scale = np.array(t["mean"], float), np.array(t["scale"], float)
        if header.task == "classification":
            known = np.array(header.classes)
            labels = np.searchsorted(known, y)
            if np.any(known[np.minimum(labels, len(known) - 1)] != y):
                raise InputError("the target column has classes that the model does not know")
            kind = "logistic" if t["loss"] == "softmax" else t["loss"]
            Y = encode_labels(labels, len(known), kind)[0]
        else:
            Y = (y[:, None] - t["y_mean"]) / t["y_scale"]
        rows = split_rows(len(y), labels, t["test_size"], t["seed"])[0]
        if not np.all(scale > 0) or scale.shape != X[0].shape:
            raise InputError("the standardisation of the model does not fit the data")
        return Samples(((X - mean) / scale)[rows], Y[rows], mean, scale)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"the account of the training is damaged ({error!r})") from error


def split_rows(n: int, labels: Array | None, test_size: float, seed: int) -> tuple[Array, Array]:
    """Row numbers of the training and the test part."""
    try:
        train_rows, test_rows = train_test_split(
            np.arange(n), test_size=test_size, random_state=seed, stratify=labels
        )
    except ValueError as error:
        raise InputError(
            f"{n} rows cannot be split with --test-size {test_size}: {error}"
        ) from error
    return train_rows, test_rows
