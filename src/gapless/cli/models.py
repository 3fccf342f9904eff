"""``gapless predict`` and ``gapless info``: a model file and what it says."""

from __future__ import annotations

import argparse
import io
import sys
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array, InputError
from ..core.files import write
from ..core.losses import LOG_LINK
from ..core.network import Network
from ..estimators.readable_files import is_readable
from .command import DATA, Answer
from .image_files import is_image_model
from .images import image_info, predict_images
from .kinds import Reading, add_reading_arguments
from .model_files import Header, load
from .outputs import csv_text
from .preparing import Encoder
from .readable import info_readable, predict_readable
from .scores import probabilities
from .tables import read_table
from .terminal import plain_console, print_facts, print_notes


def add_predict(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model")
    command.add_argument("data", help=DATA)
    command.add_argument("--out", metavar="FILE.csv", help="default: standard output")
    add_reading_arguments(command)


def run_predict(args: argparse.Namespace) -> Answer:
    """Predict, write the file that was asked for, and the answer."""
    if is_image_model(args.model):
        return predict_images(args)
    table = read_table(args.data, Reading.of(args))
    if is_readable(args.model):
        columns = predict_readable(args.model, table)
    else:
        network, header = load(args.model)
        columns = predict(network, header, header.as_trained(table))
    facts = {name: column.tolist() for name, column in columns.items()}
    if args.out:
        write(args.out, csv_text(_rows(facts)).encode())
    return Answer(facts, partial(_show_written, args.out, table.notes) if args.out else _print_csv)


def _rows(facts: dict[str, Any]) -> list[Any]:
    """The names of the columns, then a row for each row of the table."""
    return [list(facts), *zip(*facts.values())]


def _show_written(file: str, notes: list[str], facts: dict[str, Any]) -> None:
    """What was guessed in reading, and where the predictions are; without a file they are all that
    is printed, for a pipe."""
    print_notes(notes)
    plain_console().print(
        f"{len(next(iter(facts.values())))} predictions in {file}", soft_wrap=True
    )


def _print_csv(facts: dict[str, Any]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # labels as they are, as in a file
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    print(csv_text(_rows(facts), "\n"), end="")


def predict(network: Network, header: Header, table: dict[str, Array]) -> dict[str, Array]:
    """Predictions for a table, a column each: the target, and class probabilities if any.

    Parameters
    ----------
    network : Network
        In the units of the table.
    header : Header
    table : dict of array (n_rows,)

    Returns
    -------
    dict of array (n_rows,)

    Raises
    ------
    InputError
        When columns are missing or differ, or numbers so large that their scores overflow.
    """
    F = network.predict(Encoder(header.columns).encode(table))
    if header.training.get("loss") in LOG_LINK:
        F = np.exp(F)
    if not np.all(np.isfinite(F)):
        raise InputError("the predictions overflow: weights or numbers of the table are too large")
    if header.classes is None:
        return {header.target: F[:, 0]}
    # files of old have numbers for classes
    classes = np.array(header.classes, object if isinstance(header.classes[0], str) else float)
    index = (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
    out = {header.target: classes[index]}
    if header.training.get("loss") in ("logistic", "softmax"):
        P = probabilities(F)
        out |= {f"probability of {c}": P[:, k] for k, c in enumerate(classes)}
    return out


def add_info(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model")


def run_info(args: argparse.Namespace) -> Answer:
    """What the file says."""
    if is_image_model(args.model):
        return image_info(args)
    if is_readable(args.model):
        return Answer(info_readable(args.model), print_facts)
    network, header = load(args.model)
    facts = {
        "task": header.task,
        "target": header.target,
        "classes": header.classes,
        "columns": [name for name, _ in header.columns],
        "n_features": network.n_features,
        "n_neurons": network.n_neurons,
        "n_outputs": network.n_outputs,
        "status": header.status,
        **header.certificate,
        **{name: header.training.get(name) for name in ("loss", "weight_decay", "bias")},
    }
    return Answer(facts, print_facts)
