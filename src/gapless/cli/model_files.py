"""Model files: safetensors with a JSON header.  A model file is data; loading executes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from ..core.checks import InputError
from ..core.files import existing_file, write
from ..core.losses import LOG_LINK
from ..core.network import Network
from .absent import is_absent
from .columns import LARGE
from .features import column_of
from .preparing import Encoder
from .tables import Table

FORMAT = "gapless-network-1"
LOSSES = ("squared", "huber", "logistic", "softmax", "hinge", *LOG_LINK)
_WEIGHTS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")


def longest_header(n_columns: int) -> int:
    """Characters of a header: what it says of the training, and of each column names and texts."""
    return (1 << 20) + (n_columns << 12)


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
    try:
        column_of(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        return False
    return isinstance(value, list)


def _are_classes(value: Any) -> bool:
    named = _are(_is_text)(value) or _are(_is_number)(value)
    return value is None or (named and len(set(value)) == len(value) >= 2)


# What a field must be, in words and as a test.
_Kind = tuple[str, Callable[[Any], bool]]
_TEXT: _Kind = ("a text", _is_text)
_NUMBER: _Kind = ("a number", _is_number)
_NUMBERS: _Kind = ("a list of numbers", _are(_is_number))
_POSITIVE: _Kind = ("a number above zero", _is_positive)

_HEADER: dict[str, _Kind] = {
    "task": ("regression or classification", lambda v: v in ("regression", "classification")),
    "target": _TEXT,
    "classes": ("null, or two or more different names", _are_classes),
    "columns": ("a list of [name, how it becomes numbers]", _are(_is_column)),
    "status": _TEXT,
    "certificate": ("numbers by name, and a text, the proof", lambda v: isinstance(v, dict)),
    "training": ("terms of the training by name", lambda v: isinstance(v, dict)),
}
_CERTIFICATE: dict[str, _Kind] = {
    "objective": _NUMBER, "lower_bound": _NUMBER, "estimated_lower_bound": _NUMBER,
    "gap": _NUMBER, "relative_gap": _NUMBER, "estimated_relative_gap": _NUMBER, "proof": _TEXT,
}  # fmt: skip
_TRAINING: dict[str, _Kind] = {
    "loss": ("the name of a loss", lambda v: v in LOSSES),
    "weight_decay": _POSITIVE,
    "bias": ("free, penalized or none", lambda v: v in ("free", "penalized", "none")),
    "mean": _NUMBERS,
    "scale": ("a list of numbers above zero", _are(_is_positive)),
    "y_mean": _NUMBER,
    "y_scale": _POSITIVE,
    "test_size": ("a number between 0 and 1", lambda v: _is_positive(v) and v < 1),
    "seed": ("a whole number from 0 to 2^32 - 1", lambda v: _is_count(v) and v < 1 << 32),
    "n_rows": ("a whole number", _is_count),
    "digest": _TEXT,
    "class_weight": ("null or balanced", lambda v: v in (None, "balanced")),
    "absent": ("texts by the names of columns", is_absent),
    "down": ("names of columns", _are(_is_text)),
}


def _check(given: Any, kinds: dict[str, _Kind], whole: str) -> None:
    """Raise InputError for the first field that is missing, unknown or not of its kind."""
    if not isinstance(given, dict) or (wrong := sorted(kinds.keys() ^ given.keys())):
        which = f": {wrong[0]!r} is missing or unknown" if isinstance(given, dict) else ""
        raise InputError(f"damaged: {whole} must hold {len(kinds)} fields{which}")
    for name, (words, test) in sorted(kinds.items()):
        if not test(given[name]):
            raise InputError(f"damaged: its field {name!r} must be {words}")


@dataclass(frozen=True)
class Header:
    """What a model file says besides its weights.

    Parameters
    ----------
    task : {"regression", "classification"}
    target : str
        Name of the column that is predicted.
    classes : list, optional
        Their names in the order of the outputs; None for a regression.
    columns : list of [name, how]
        ``columns`` of the :class:`.preparing.Encoder`.
    status : str
        Name of a :class:`gapless.Status`.
    certificate : dict
        The fields of :class:`gapless.Certificate`.
    training : dict
        Loss, weight decay and bias rule, the standardisation, the split and its rows; empty for a
        network that was trained elsewhere.
    """

    task: str = "regression"
    target: str = "target"
    classes: list[Any] | None = None
    columns: list[Any] = field(default_factory=list)
    status: str = ""
    certificate: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def as_trained(self, table: Table) -> Table:
        """The table, with missing what was in that of the training, and filled down as that was."""
        absent, down = (self.training.get(key, ()) for key in ("absent", "down"))
        return table.lacking(dict(absent)).filled(down)

    @property
    def n_numbers(self) -> int:
        """Numbers that the columns of a row become."""
        return len(Encoder(self.columns).names)

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
        _check(given, _HEADER, "the header")
        header, training = Header(**given), given["training"]
        if given["certificate"]:
            _check(given["certificate"], _CERTIFICATE, "certificate")
        if training:
            new: dict[str, Any] = {"class_weight": None, "absent": {}, "down": []}
            _check(new | training, _TRAINING, "training")
        if (header.classes is None) != (header.task == "regression"):
            raise InputError(f"damaged: its task, {header.task}, does not go with its classes")
        if training and not header.n_numbers == len(training["mean"]) == len(training["scale"]):
            raise InputError("damaged: its mean and scale are not one number a column")
        return header


def save(path: str | Path, network: Network, header: Header | None = None) -> None:
    """Write ``network`` (and what is known about it) to a ``.safetensors`` file."""
    tensors = {name: np.ascontiguousarray(getattr(network, name)) for name in _WEIGHTS}
    text = json.dumps(asdict(header or Header()), allow_nan=False)
    if len(text) > longest_header(network.n_features):
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
    if len(text) > longest_header(d):
        raise InputError(f"damaged: a header of {len(text)} characters for {d} columns")
    header = Header.parse(text)
    n_numbers, classes = header.n_numbers, header.classes
    if header.columns and n_numbers != d:
        raise InputError(f"damaged: it has weights for {d} columns and names for {n_numbers}")
    if classes is not None and len(classes) != (2 if C == 1 else C):
        raise InputError(f"damaged: it has {C} outputs for {len(classes)} classes")
    return header
