"""``gapless audit``: how far from optimal a network is that somebody else trained."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..auditing.audit import audit
from ..auditing.training_loss import NAMES
from ..bridges.chain import Chain
from ..bridges.weight_files import read_model
from ..core.checks import Array, InputError, optional_import, positive
from ..estimators.units import moments
from .columns import check_complete, check_numbers
from .command import Answer, add_data_arguments
from .kinds import Reading
from .tables import check_target, read_data
from .terminal import plain_console

# Losses of numbers; the other is of classes.
NUMBER_LOSSES = ("mse", "huber")


@dataclass(frozen=True)
class Trained:
    """A network trained elsewhere and its training, as :func:`gapless.audit` takes them."""

    model: Chain
    X: Array
    y: Array
    how: dict[str, Any]


def add_audit(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model", help="weights: a state dict (.pt), .safetensors or .onnx file")
    command.add_argument(
        "--time-limit",
        default="10",
        metavar="S",
        help="seconds to look for a better network and for proofs (default 10)",
    )
    add_trained_arguments(command)
    command.add_argument("--html", metavar="FILE.html", help="write the report with pictures")


def add_trained_arguments(command: Any) -> None:
    """The arguments of :func:`read_trained`, but for the model."""
    command.add_argument(
        "--architecture", metavar="FILE.json",
        help='the layers, if not Linear with ReLU between: [{"Linear": "fc1"}, "ReLU", ...]',
    )  # fmt: skip
    add_data_arguments(command, "training data: .csv, .tsv, .json or .parquet")
    command.add_argument("--target", metavar="COL", help="the column that was predicted")
    command.add_argument(
        "--drop", action="append", default=[], metavar="COL", help="leave a column out"
    )
    command.add_argument("--loss", choices=NAMES, help="PyTorch's, mean reduction")
    command.add_argument("--weight-decay", metavar="W", help="as PyTorch's optimizers mean it")
    command.add_argument(
        "--free-biases", action="store_true", help="biases did not decay (parameter groups)"
    )
    command.add_argument(
        "--classes", metavar="A,B,...", help="classes in the order of the outputs (default sorted)"
    )
    command.add_argument(
        "--standardise", action="store_true",
        help="the model was trained on standardised features (and target, for mse and huber)",
    )  # fmt: skip


def read_trained(args: argparse.Namespace) -> Trained:
    """What the arguments name.

    Raises
    ------
    InputError
        For a file or a table that cannot be read, and a training that is not told.
    """
    if args.loss is None or args.weight_decay is None:
        raise InputError(
            "say how the model was trained with --loss and --weight-decay; how far one of "
            "gapless fit is from the best gapless certify proves"
        )
    weight_decay = positive("--weight-decay", args.weight_decay)
    table, target = read_data(args.data, args.dataset, Reading.of(args))
    chain = read_model(args.model, args.architecture)
    target = check_target(table, args.target or target, args.drop, "was predicted")
    y = table.pop(target)
    check_complete(target, y)
    X = _matrix({k: v for k, v in table.items() if k not in args.drop})
    y = _targets(y, args)
    if args.standardise:
        X = _standardise(X)
        y = _standardise(y[:, None])[:, 0] if args.loss in NUMBER_LOSSES else y
    how = {
        "loss": args.loss, "weight_decay": weight_decay, "decay_biases": not args.free_biases,
    }  # fmt: skip
    return Trained(chain, X, y[:, None] if args.loss != "cross_entropy" else y, how)


def run_audit(args: argparse.Namespace) -> Answer:
    """Audit, write the page that was asked for, and the answer."""
    trained = read_trained(args)
    report = audit(
        trained.model, trained.X, trained.y, **trained.how,
        time_limit=positive("--time-limit", args.time_limit),
    )  # fmt: skip
    if args.html:
        optional_import("matplotlib", "plot", "--html").use("Agg")
        report.to_html(args.html)
    return Answer(
        report.as_dict(),
        lambda _: plain_console().print(str(report), soft_wrap=True),
        allow_nan=False,
    )


def _matrix(table: dict[str, Array]) -> Array:
    """All columns, constant ones too: the model has an input for each."""
    for name, column in table.items():
        check_complete(name, column)
        check_numbers(name, column, "give the numbers the model was trained on, or --drop it")
    if not table:
        raise InputError("the data have no column besides the target")
    return np.column_stack(list(table.values()))


def _standardise(A: Array) -> Array:
    mean, spread = moments(A)
    return (A - mean) / spread


def _targets(y: Array, args: argparse.Namespace) -> Array:
    """Numbers, or the class numbers 0, 1, ..."""
    if args.loss in NUMBER_LOSSES:
        check_numbers(args.target or "target", y, f"--loss {args.loss} needs them")
        return y
    classes = np.unique(y)
    if args.classes:
        try:
            classes = np.array(args.classes.split(","), y.dtype)
        except ValueError as error:
            raise InputError(f"--classes must be numbers, as the target is: {error}") from error
        if missing := sorted(set(y.tolist()) - set(classes.tolist())):
            raise InputError(f"--classes leaves out {missing[0]!r}, which the target has")
    elif y.dtype.kind == "f" and np.all((y >= 0) & (y == np.floor(y))):
        return y  # class numbers already
    order = np.argsort(classes, kind="stable")
    return order[np.searchsorted(classes, y, sorter=order)].astype(float)
