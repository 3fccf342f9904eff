"""A table as a training job: its columns made numbers, split, standardised; and the way back."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, listed, shown
from ..core.losses import LOG_LINK, loss_of_targets
from ..core.network import Network
from ..core.problem import Problem
from ..estimators.labels import balanced, encode_labels
from ..estimators.units import Units
from ..training.folds import two_parts
from .absent import codes
from .columns import (
    are_codes,
    check_numbers,
    check_sizes,
    check_slips,
    far_off,
    heads_groups,
    look_alike,
)
from .command import add_data_arguments
from .dates import date_format
from .features import Levels
from .kinds import Reading
from .measures import NUMBER_LOSSES, check_targets, find_loss, measure, score
from .numbers import MAX_CODES, is_number
from .preparing import Encoder
from .tables import Table, check_names, check_target, read_data, rows_with, texts, without_lone

# Rows from which it is told that a column repeats the target.
FEW = 12
# Share of the rows below which accuracy says little of a class.
RARE = 0.05


@dataclass(frozen=True)
class Job:
    """What there is to train on, in the units of the table.

    Parameters
    ----------
    target : str
    encoder : Encoder
        How the other columns became ``X``.
    classes : list, optional
        Names of the classes; None for a regression.
    X : array (n_rows, n_numbers)
    Y : array (n_rows, n_outputs)
    labels : array of int (n_rows,), optional
        Each row's place among the classes.
    loss, bias : str
        Of the :class:`gapless.Problem`.
    train, test : array of int
        Numbers of the rows.
    units : Units
        Of training.
    notes : tuple of str
        What was guessed, left out and turned into numbers.
    balanced : bool
        Whether all classes weigh alike in training.
    n_left_out : int
        Columns that do not help.
    absent : dict of list of str
        Texts that mean missing, by column.
    down : list of str
        Columns whose empty cells mean as above.
    """

    target: str
    encoder: Encoder
    classes: list[Any] | None
    X: Array
    Y: Array
    labels: Array | None
    loss: str
    bias: str
    train: Array
    test: Array
    units: Units
    notes: tuple[str, ...]
    balanced: bool = False
    n_left_out: int = 0
    absent: dict[str, list[str]] = field(default_factory=dict)
    down: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        """Regression or classification."""
        return "regression" if self.labels is None else "classification"

    @property
    def measure(self) -> str:
        """What :meth:`score` measures."""
        return measure(self.loss, self.labels is not None)

    def problem(self, weight_decay: float) -> Problem:
        """The problem of the rows for training, in the units of training."""
        X, Y = self.units.features(self.X[self.train]), self.units.targets(self.Y[self.train])
        weights = class_weights(Y) if self.balanced else None
        return Problem(X, Y, loss_of_targets(self.loss, Y), weight_decay, self.bias, weights)

    def on_columns(self, numbers: Array, asked: list[str]) -> tuple[Job, Array]:
        """The job of the columns that these numbers come from and of those asked for, and which
        numbers that leaves."""
        kinds = self.encoder.kinds
        column = np.repeat(np.arange(len(kinds)), [len(kind.names) for kind in kinds])
        kept = np.isin(np.arange(len(kinds)), column[numbers])
        kept |= np.isin([kind.name for kind in kinds], asked)
        left = np.flatnonzero(kept[column])
        columns = [entry for entry, stays in zip(self.encoder.columns, kept) if stays]
        n_left_out = len(kinds) - len(columns)
        notes = self.notes
        if n_left_out:
            names = listed([name for name, _ in columns])
            notes += (
                f"left out {n_left_out} of {len(kinds)} columns that did not help "
                f"({len(columns)} kept: {names}; --select none keeps all)",
            )
        units = replace(self.units, mean=self.units.mean[left], scale=self.units.scale[left])
        job = replace(
            self, encoder=Encoder(columns), X=self.X[:, left], units=units, notes=notes,
            n_left_out=n_left_out,
        )  # fmt: skip
        return job, left

    def score(self, network: Network, rows: Array) -> float:
        """R2 and its like or accuracy, on these rows, of a network in the units of the table."""
        F = self.outputs(network, rows)
        return score(self.loss, self.labels is not None, self.answers(rows), F)

    def answers(self, rows: Array) -> Array:
        """Targets of these rows, or their places among the classes."""
        return self.Y[rows, 0] if self.labels is None else self.labels[rows]

    def outputs(self, network: Network, rows: Array) -> Array:
        """Predictions for these rows, or scores of classes, of a network in units of the table."""
        F = network.predict(self.X[rows])
        return np.exp(F) if self.units.logarithms else F


def class_weights(Y: Array) -> Array:
    """Weights with which all classes weigh alike, of targets as signs or one-hot rows."""
    return balanced(np.argmax(Y, axis=1) if Y.shape[1] > 1 else (Y[:, 0] > 0).astype(int))


def add_job_arguments(command: Any) -> None:
    """The arguments of :func:`read_job`, and ``--tol``."""
    add_data_arguments(command)
    command.add_argument("--target", metavar="COL", help="the column to predict")
    command.add_argument(
        "--task", choices=("regression", "classification"), help="default: guessed"
    )
    command.add_argument(
        "--drop", action="append", default=[], metavar="COL", help="leave a column out"
    )
    command.add_argument(
        "--keep", action="append", default=[], metavar="COL",
        help="take a column that would be left out: a key, or many different texts",
    )  # fmt: skip
    command.add_argument(
        "--missing", choices=("fill", "error"), default="fill",
        help="what to do with missing cells (default: fill them in, say so)",
    )  # fmt: skip
    command.add_argument(
        "--loss", choices=(*NUMBER_LOSSES, "logistic", "hinge"),
        help="poisson: counts, gamma: positive amounts; what is added multiplies the prediction",
    )  # fmt: skip
    command.add_argument(
        "--class-weight", choices=("balanced",), help="all classes weigh alike in training"
    )
    command.add_argument("--bias", choices=("free", "penalized", "none"), default="free")
    command.add_argument("--tol", type=float, default=1e-3, help="relative gap (default 1e-3)")
    command.add_argument("--test-size", type=float, default=0.2, help="share held out (default .2)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--raw", action="store_true", help="do not standardise features and target"
    )


def read_job(args: argparse.Namespace) -> Job:
    """The job that the arguments describe.

    Raises
    ------
    InputError
        When the table cannot be read, or is not one to train on as the arguments say.
    """
    # 1. the table, and what the arguments name of it
    table, target = read_data(args.data, args.dataset, Reading.of(args))
    target = check_target(table, args.target or target, args.drop, "to predict")
    check_names(table, args.keep)
    check_split(args)
    impute = args.missing == "fill"
    table, without = rows_with(table, target, not impute)

    # 2. task and targets
    task, why = find_task(target, table[target], args)
    if task == "classification":
        table = without_lone(table, target)
    features: dict[str, Array] = {k: table[k] for k in table if k not in (target, *args.drop)}
    y = table[target]
    check_sizes(target, y)
    classes, labels = None, None
    if task == "classification":
        classes, labels = _classes(texts(table, target))
        Y, loss = encode_labels(labels, len(classes), find_loss(task, args.loss))
    else:
        if len(np.unique(y)) < 2:
            raise InputError("the target is constant: there is nothing to learn")
        Y, loss = y[:, None].astype(float), find_loss(task, args.loss)

    # 3. split, features; the rows held out say nothing about medians and units either
    train, test = split_rows(len(y), labels, args.test_size, args.seed)
    check_targets(target, y, train, loss)
    encoder, done = Encoder.learn(Table(features, table.cells), train, args.keep, impute)
    X = encoder.encode(Table(features, table.cells))
    units = _units(X[train], Y[train], task, loss, args.raw)
    levels = [kind.name for kind in encoder.kinds if isinstance(kind, Levels)]
    notes = [*table.notes, *[without] * bool(without), *done]
    notes += doubts(features, target, y, task, levels)
    balanced = args.class_weight == "balanced"
    return Job(
        target, encoder, classes, X, Y, labels, loss, args.bias, train, test, units,
        (*notes, f"{task}: {why}", *_rare(classes, labels, balanced)), balanced,
        absent=table.absent, down=table.down,
    )  # fmt: skip


def _units(X: Array, Y: Array, task: str, loss: str, raw: bool) -> Units:
    """Those of training, of samples to train on."""
    if raw:
        d, C = X.shape[1], Y.shape[1]
        return Units(np.zeros(d), np.ones(d), np.zeros(C), np.ones(C), loss in LOG_LINK)
    numbers = "logarithms" if loss in LOG_LINK else "numbers"
    targets = "classes" if task == "classification" else numbers
    return Units.learn(X, Y, centred=True, targets=targets)


def doubts(
    features: dict[str, Array], target: str, y: Array, task: str, levels: list[str]
) -> Iterator[str]:
    """What a person who knows the data should look at, a line each.

    Parameters
    ----------
    features : dict of str to array of shape (n_rows,)
    target : str
    y : array of shape (n_rows,)
        As the table has it.
    task : {"classification", "regression"}
    levels : list of str
        Features whose texts count each for itself.

    Yields
    ------
    str
        Numbers that may mean missing or lie far from all others, texts that are almost alike,
        columns that repeat the target.
    """
    columns = {**features, target: y}
    words = {name: columns[name] for name in levels}
    words |= {target: y} if y.dtype.kind != "f" else {}
    marks = {name: ", ".join(codes(column)) for name, column in columns.items()}
    if marked := [f"{name} ({found})" for name, found in marks.items() if found]:
        yield f"may mean missing: {listed(marked)}; if so, say --na COLUMN=NUMBER"
    far = [said for name in features if not marks[name] and (said := far_off(name, features[name]))]
    if far:
        yield (
            f"numbers far from all others: {listed(far)}; correct slips, and say --na NUMBER of "
            "those that mean missing"
        )
    twins = {name: look_alike(there) for name, there in words.items()}
    if any(twins.values()):
        shown = [
            f"{name} ({', '.join(map(repr, found))})" for name, found in twins.items() if found
        ]
        yield f"texts that differ in capitals or spaces alone, taken as different: {listed(shown)}"
    if grouped := [name for name in features if heads_groups(features[name])]:
        yield f"empty cells may mean as above: {listed(grouped)}; if so, say --fill-down NAME"
    again = [name for name in features if _repeats(features[name], y)]
    if again:
        yield (
            f"columns that say the target once more: {listed(again)}; --drop what is not known "
            "when it is to be predicted"
        )
    if task == "classification":
        return
    if said := far_off(target, y):
        yield (
            f"targets far from all others: {said}; if they are slips correct them, else --loss "
            "huber makes less of them, and a column with the logarithm may be predicted better"
        )


def _repeats(column: Array, y: Array) -> bool:
    """Whether a column has a number for each of the target's, in the same order, or a text for each
    of its texts."""
    if column.dtype.kind != y.dtype.kind or len(y) < FEW:
        return False
    if y.dtype.kind != "f":
        return len(set(column)) == len(set(y)) == len(set(zip(column, y)))
    here, there = (v[~np.isnan(column)] for v in (column, y))
    if len(here) < FEW or np.ptp(here) == 0 or np.ptp(there) == 0:
        return False
    here, there = (v / np.abs(v).max() for v in (here, there))  # squares of large ones overflow
    return bool(abs(np.corrcoef(here, there)[0, 1]) > 1 - 1e-9)


def _rare(classes: list[Any] | None, labels: Array | None, balanced: bool) -> Iterator[str]:
    """Whether there is a class that accuracy says nothing about."""
    if classes is None or labels is None or balanced:
        return
    counts = np.bincount(labels)
    if counts.min() < RARE * len(labels):
        yield (
            f"class '{classes[counts.argmin()]}' has {counts.min()} of {len(labels)} rows: "
            "accuracy says little of it, AUC more; --class-weight balanced weighs classes alike"
        )


def check_split(args: argparse.Namespace) -> None:
    """Raise InputError where ``--test-size`` or ``--seed`` cannot split rows."""
    if not 0 < args.test_size < 1:
        raise InputError(f"--test-size must lie between 0 and 1, got {args.test_size}")
    if not 0 <= args.seed < 1 << 32:
        raise InputError(f"--seed must lie between 0 and 2^32 - 1, got {shown(args.seed)}")


def split_rows(n: int, labels: Array | None, test_size: float, seed: int) -> tuple[Array, Array]:
    """Split a table of ``n`` rows, each class alike.

    Parameters
    ----------
    n : int
    labels : array of int (n,), optional
    test_size : float
        Share of the rows held out.
    seed : int

    Returns
    -------
    train, test : array of int
        Numbers of the rows.

    Raises
    ------
    InputError
        When a part would be empty, or have no row of a class.
    """
    try:
        return two_parts(n, test_size, seed, labels)
    except ValueError as error:
        n_classes = 1 if labels is None else int(labels.max()) + 1
        of = f" of {n_classes} classes, each of which needs a row in both parts," * (n_classes > 1)
        raise InputError(
            f"{n} rows{of} cannot be split with --test-size {test_size}; more rows or another "
            "--test-size are needed"
        ) from error


def find_task(target: str, y: Array, args: argparse.Namespace) -> tuple[str, str]:
    """Regression or classification, and why."""
    asked = args.task
    if asked is not None:
        find_loss(asked, args.loss)  # says at once what does not go together
    if asked is None and args.loss in ("huber", *LOG_LINK):
        asked = "regression"
    task, why = _task(target, y, asked)
    if args.class_weight and task == "regression":
        raise InputError("--class-weight is for classes, and this is a regression; leave it out")
    return task, why


def _task(target: str, y: Array, asked: str | None) -> tuple[str, str]:
    """As asked, or guessed."""
    if asked == "regression":
        check_numbers(target, y, "correct it, or leave out --task regression")
    if asked is not None:
        return asked, "as asked"
    check_slips(target, y, "say --task classification if these are classes")
    if y.dtype.kind != "f":
        if date_format(y) is not None:
            raise InputError(
                f"target {target!r} has dates, as {str(y[0])!r}; what is predicted is a number or "
                "a class: make it one, say days since the first"
            )
        return "classification", f"target {target!r} is text"
    counts = np.unique(y, return_counts=True)[1]
    n_distinct = len(counts)
    if are_codes(y) and (counts.min() > 1 or n_distinct == 2):
        return "classification", (
            f"target {target!r} has {n_distinct} whole values (--task regression to change)"
        )
    return "regression", f"target {target!r} has {n_distinct} different numbers"


def _classes(names: Array) -> tuple[list[Any], Array]:
    """The different texts, those of numbers in their order, and each row's place among them."""
    classes, labels = np.unique(names, return_inverse=True)
    if all(map(is_number, classes)):
        order = np.argsort(classes.astype(float), kind="stable")
        classes, labels = classes[order], np.argsort(order)[labels]
    counts = np.bincount(labels)
    if len(classes) < 2:
        raise InputError(
            f"the target is {str(classes[0])!r} in all rows: there is nothing to learn"
        )
    if len(classes) > max(MAX_CODES, len(names) / 2):
        raise InputError(
            f"the target has {len(classes)} different texts in {len(names)} rows, too many for "
            f"classes: {str(classes[0])!r}, {str(classes[1])!r}, ...; choose another column, or "
            "--task regression for numbers"
        )
    if counts.min() < 2:
        raise InputError(
            f"class '{classes[counts.argmin()]}' has one row only; at least 2 are needed: leave "
            "that row out, or call its class by another name"
        )
    return classes.tolist(), labels
