"""Model files: safetensors with a JSON header.  A model file is data; loading executes nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open
from sklearn.model_selection import train_test_split

from ..certificates.verify import member
from ..core.checks import Array, InputError
from ..core.files import existing_file, write
from ..core.network import Network
from ..estimators.targets import encode_labels
from .tables import LARGE, Encoder, Table, check_complete, check_numbers, is_number, texts

FORMAT = "gapless-network-1"
_WEIGHTS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
# Characters of a header: what it says of the training, and of each column names and texts.
HEADER = 1 << 20
HEADER_COLUMN = 1 << 12
LOSSES = ("squared", "huber", "logistic", "softmax", "hinge")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and abs(value) < LARGE


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _are(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_column(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and _is_text(value[0])
    return pair and (value[1] is None or _are(_is_text)(value[1]))


def _are_classes(value: Any) -> bool:
    named = _are(_is_text)(value) or _are(_is_number)(value)
    return value is None or (named and len(set(value)) == len(value) >= 2)


#: what each field must be, in words and as a test
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("regression or classification", lambda v: v in ("regression", "classification")),
    "target": ("a text", _is_text),
    "classes": ("null, or two or more different names", _are_classes),
    "columns": ("a list of [name, null or texts]", _are(_is_column)),
    "status": ("a text", _is_text),
    "certificate": ("numbers by name, and a text, the proof", lambda v: isinstance(v, dict)),
    "training": ("terms of the training by name", lambda v: isinstance(v, dict)),
    "objective": ("a number", _is_number),
    "lower_bound": ("a number", _is_number),
    "estimated_lower_bound": ("a number", _is_number),
    "gap": ("a number", _is_number),
    "relative_gap": ("a number", _is_number),
    "estimated_relative_gap": ("a number", _is_number),
    "proof": ("a text", _is_text),
    "loss": ("the name of a loss", lambda v: v in LOSSES),
    "weight_decay": ("a number above zero", _is_positive),
    "bias": ("free, penalized or none", lambda v: v in ("free", "penalized", "none")),
    "mean": ("a list of numbers", _are(_is_number)),
    "scale": ("a list of numbers above zero", _are(_is_positive)),
    "y_mean": ("a number", _is_number),
    "y_scale": ("a number above zero", _is_positive),
    "test_size": ("a number between 0 and 1", lambda v: _is_positive(v) and v < 1),
    "seed": ("a whole number from 0 to 2^32 - 1", lambda v: _is_count(v) and v < 1 << 32),
    "n_rows": ("a whole number", _is_count),
    "digest": ("a text", _is_text),
}
_CERTIFICATE = {
    "objective", "lower_bound", "estimated_lower_bound", "proof",
    "gap", "relative_gap", "estimated_relative_gap",
}  # fmt: skip
_TRAINING = {
    "loss", "weight_decay", "bias", "mean", "scale", "y_mean", "y_scale",
    "test_size", "seed", "n_rows", "digest",
}  # fmt: skip


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

    @staticmethod
    def parse(text: str) -> Header:
        """The header in ``text``; InputError names the first field that is not as it must be."""
        try:
            given = json.loads(text)
            json.dumps(given, ensure_ascii=False).encode()  # half a surrogate is no text
        except (ValueError, RecursionError) as error:
            raise InputError(f"damaged: its header is no JSON ({type(error).__name__})") from error
        _check(given, {f.name for f in fields(Header)}, "the header")
        for part, names in (("certificate", _CERTIFICATE), ("training", _TRAINING)):
            if given[part]:
                _check(given[part], names, part)
        if (given["classes"] is None) != (given["task"] == "regression"):
            raise InputError(f"damaged: its task, {given['task']}, does not go with its classes")
        n_numbers, training = len(Header(**given).encoder.names), given["training"]
        if training and not n_numbers == len(training["mean"]) == len(training["scale"]):
            raise InputError("damaged: its mean and scale are not one number a column")
        return Header(**given)


def _check(given: Any, names: set[str], whole: str) -> None:
    if not isinstance(given, dict) or (wrong := sorted(names ^ given.keys())):
        which = f": {wrong[0]!r} is missing or unknown" if isinstance(given, dict) else ""
        raise InputError(f"damaged: {whole} must hold {len(names)} fields{which}")
    for name in sorted(names):
        words, test = _KINDS[name]
        if not test(given[name]):
            raise InputError(f"damaged: its field {name!r} must be {words}")


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
    if len(text) > HEADER + HEADER_COLUMN * network.n_features:
        raise InputError(
            f"{path}: the names and texts of columns and classes are too long for a model file, "
            f"{len(text)} characters; shorten them"
        )
    write(path, safetensors.numpy.save(tensors, {"format": FORMAT, "header": text}))


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
            header = _fitting(opened)
            return Network(**{name: opened.get_tensor(name) for name in _WEIGHTS}), header
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a gapless model file, or a damaged one ({error})") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _fitting(opened: Any) -> Header:
    """The header, once it fits the weights, of which only what the file declares is read."""
    metadata = opened.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise InputError("a safetensors file, but not one that gapless wrote")
    shapes: dict[str, list[Any]] = {}
    for name in sorted(opened.keys()):
        tensor = opened.get_slice(name)
        shapes[name] = [tensor.get_dtype(), *tensor.get_shape()]
    d, m = [0, 0, *shapes.get("hidden_weights", [])][-2:]
    C = [0, *shapes.get("output_bias", [])][-1]
    wanted = {"hidden_weights": ["F64", d, m], "hidden_bias": ["F64", m]}
    wanted |= {"output_weights": ["F64", m, C], "output_bias": ["F64", C]}
    if shapes != wanted:
        raise InputError(f"damaged: its weights do not fit each other: {shapes}")
    text = metadata.get("header", "")
    if len(text) > HEADER + HEADER_COLUMN * d:
        raise InputError(f"damaged: a header of {len(text)} characters for {d} columns")
    header = Header.parse(text)
    n_numbers, classes = len(header.encoder.names), header.classes
    if header.columns and n_numbers != d:
        raise InputError(f"damaged: it has weights for {d} columns and names for {n_numbers}")
    if classes is not None and len(classes) != (2 if C == 1 else C):
        raise InputError(f"damaged: it has {C} outputs for {len(classes)} classes")
    return header


def predict(network: Network, header: Header, table: Table) -> dict[str, Array]:
    """Predictions for a table, a column each: the target, and class probabilities if any.

    Raises
    ------
    InputError
        When columns are missing or differ, or numbers so large that their scores overflow.
    """
    F = network.predict(header.encoder.encode(table))
    if not np.all(np.isfinite(F)):
        raise InputError("the predictions overflow: weights or numbers of the table are too large")
    if header.classes is None:
        return {header.target: F[:, 0]}
    classes = np.array(header.classes, object if _is_text(header.classes[0]) else float)
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


def read_preparation(path: str | Path, table: Table) -> Header:
    """What a proof file says of how its samples were made from such a table.

    Raises
    ------
    InputError
        For a truncated or foreign file, and for a proof that was not made from a table.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            most = HEADER + HEADER_COLUMN * len(table)
            return Header.parse(str(member(archive, "preparation", "U", 4 * most)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # whatever a malformed file breaks
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
    if len(y) != t["n_rows"]:
        raise InputError(f"the model was trained on {t['n_rows']} rows, the data have {len(y)}")
    check_complete(header.target, y)
    X, labels = header.encoder.encode(table), None
    mean, scale = np.array(t["mean"], float), np.array(t["scale"], float)
    if header.classes is None:
        check_numbers(header.target, y)
        Y = (y[:, None] - t["y_mean"]) / t["y_scale"]
    else:
        labels = _class_numbers(header, table)
        kind = "logistic" if t["loss"] == "softmax" else t["loss"]
        Y = encode_labels(labels, len(header.classes), kind)[0]
    rows = split_rows(len(y), labels, t["test_size"], t["seed"])[0]
    return Samples(((X - mean) / scale)[rows], Y[rows], mean, scale)


def _class_numbers(header: Header, table: Table) -> Array:
    """Each row's place among the classes."""
    place: dict[Any, int] = {str(c): k for k, c in enumerate(header.classes or ())}
    y, labels = table[header.target], texts(table, header.target)
    if y.dtype.kind == "f" and not place.keys() >= set(labels):  # 1 may be 1.0 in another file
        place, labels = {float(c): k for c, k in place.items() if is_number(c)}, y
    try:
        return np.array([place[label] for label in labels.tolist()])
    except KeyError as error:
        raise InputError(
            f"the target column has the class {error.args[0]!r} that the model does not know"
        ) from error


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
