"""``gapless fit --readable``, and what its model files are to ``predict`` and ``info``."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, positive
from ..core.losses import LOG_LINK
from ..core.result import Status
from ..estimators.readable import AdditiveReLUClassifier, AdditiveReLURegressor
from ..estimators.readable_files import load_readable, save_readable
from ..estimators.targets import balanced
from ..plotting.readable import EffectsDisplay
from .columns import LARGE, check_numbers, check_sizes, check_slips
from .command import Answer
from .job import check_split, check_targets, find_loss, find_task, split_rows
from .numbers import is_missing
from .outputs import check_picture, pyplot, save_figure
from .preparing import MAX_CATEGORIES, is_key
from .scores import Rows, score_rows, scores, summary
from .tables import Reading, check_names, check_target, read_data, rows_with, texts, without_lone
from .terminal import plain_console, print_notes, print_table

# Importances that are printed.
PRINTED = 12


def run_readable(args: argparse.Namespace) -> Answer:
    """Train a network of one or two features a neuron, write what was asked for, and the answer."""
    started = time.perf_counter()
    check_picture(args.plot)
    for name in ("max_neurons", "prove_time"):
        if getattr(args, name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')} does not go with --readable: leave it out"
            )
    if args.raw:
        raise InputError("--raw does not go with --readable, which standardises inside")
    weight_decay = args.weight_decay
    if weight_decay != "auto":
        weight_decay = positive("--weight-decay", weight_decay)

    # 1. the table
    table, target = read_data(args.data, args.dataset, Reading.of(args))
    target = check_target(table, args.target or target, args.drop, "to predict")
    table, without = rows_with(table, target, args.missing == "error")
    check_split(args)
    y = table[target]
    task, why = find_task(target, y, args)
    loss = find_loss(task, args.loss)
    if task == "classification":
        table = without_lone(table, target)
        y = table[target]
    check_sizes(target, y)
    names = [name for name in table if name != target and name not in args.drop]
    check_names(table, args.keep)
    kinds, notes = _learn(table, names, args.keep)
    X = frame(table, kinds)
    y, labels = (texts(table, target), None) if task == "classification" else (y, None)
    if task == "classification":
        labels = np.unique(y, return_inverse=True)[1]
    train, test = split_rows(len(y), labels, args.test_size, args.seed)
    check_targets(target, y, train, loss)

    # 2. the network
    kind: Any = AdditiveReLURegressor if task == "regression" else AdditiveReLUClassifier
    model = kind(
        0 if args.readable == "one" else "pairs", weight_decay=weight_decay, bias=args.bias,
        loss=loss, tol=args.tol, time_limit=args.time_limit, verbose=1,
    )  # fmt: skip
    weights = None if labels is None or not args.class_weight else balanced(labels[train])
    model.fit(X.iloc[train], y[train], weights)

    # 3. what it is worth, and the files
    notes = [*table.notes, *[without] * bool(without), *notes, f"{task}: {why}"]
    if weight_decay == "auto":
        notes.append(f"weight_decay {model.weight_decay_:.3g} chosen by 5-fold cross-validation")
    if args.readable == "pairs" and model.certificate_.features == 1:
        notes.append("pairs left out: held-out folds lose no more without them")
    if loss in LOG_LINK:
        notes.append(f"effects add to the logarithm of {target}: one of .1 means about 10% more")
    told = _scores(model, X, y if labels is None else labels, train, test)
    n_classes = 0 if labels is None else len(model.classes_)
    facts: dict[str, Any] = {
        "summary": summary(target, n_classes, model.n_neurons_, told),
        "known": model.solution_.known,
        "status": model.status_.name,
        "task": task,
        **model.certificate_.as_dict(),
        "n_neurons": model.n_neurons_,
        "weight_decay": model.weight_decay_,
        **told,
        "effects": {effect.name: effect.importance for effect in model.effects_},
        "notes": notes,
    }
    if args.out:
        of = {"target": target, "task": task, "columns": [[n, text] for n, text in kinds.items()]}
        split = {"test_size": args.test_size, "seed": args.seed, "n_rows": len(y)}
        save_readable(model, args.out, notes=of | split)
        facts["model"] = args.out
    if args.plot:
        plt = pyplot()
        save_figure(plt, EffectsDisplay.from_estimator(model).figure_, args.plot)
        facts["plot"] = args.plot
    facts["seconds"] = time.perf_counter() - started
    classes = [] if labels is None else list(map(str, model.classes_))
    return Answer(facts, partial(_show, classes), int(model.status_.unfinished))


def _learn(
    table: dict[str, Array], names: list[str], kept: list[str]
) -> tuple[dict[str, bool], list[str]]:
    """Which columns are text, by name, without those that are all alike; and notes."""
    kinds: dict[str, bool] = {}
    constant, lacking, many, keys = [], [], [], []
    for name in names:
        column = table[name]
        check_slips(name, column, f"drop the column with --drop {name}")
        text = column.dtype.kind != "f"
        cells = _cells(table, name, text)
        lacks = np.array([v is None or v != v for v in cells])
        count = len(set(cells[~lacks]))
        if count + bool(np.any(lacks)) < 2:
            constant.append(name)
            continue
        if name not in kept and is_key(name, column, np.unique(column)):
            keys.append(name)
            continue
        if text and count > MAX_CATEGORIES:
            many.append(name)
            continue
        kinds[name] = text
        if np.any(lacks):
            lacking.append(f"{name} ({int(lacks.sum())})")
    if not kinds:
        raise InputError("no column is left to learn from: all are constant, keys or dropped")
    notes = (
        ("text columns, an effect for each text", [n for n, text in kinds.items() if text]),
        ("columns with missing values, which have effects of their own", lacking),
        ("constant columns left out", constant),
        ("columns that number or name the rows left out (--keep NAME)", keys),
        (f"left out, text with more than {MAX_CATEGORIES} different values", many),
    )
    return kinds, [f"{kind}: {', '.join(listed)}" for kind, listed in notes if listed]


def _cells(table: dict[str, Array], name: str, text: bool) -> Array:
    """A column as an estimator takes it: floats with NaN, or texts with None, where it lacks."""
    if text:
        values = texts(table, name)
        lacks = np.array([is_missing(v) for v in values])
        values[lacks] = None
        return values
    column = table[name]
    check_numbers(name, column)
    if np.any(np.abs(column[~np.isnan(column)]) > LARGE):
        raise InputError(f"column {name!r} has infinite values, or numbers beyond {LARGE:g}")
    return column


def frame(table: dict[str, Array], kinds: dict[str, bool]) -> Any:
    """The columns that a model takes, as a pandas table.

    Parameters
    ----------
    table : dict of array (n_rows,)
    kinds : dict of str to bool
        Name of the column, and whether it is text.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        When columns are missing, or texts where numbers are needed.
    """
    import pandas  # whoever wants no table need not wait for it

    for name in kinds:
        if name not in table:
            raise InputError(f"the data have no column {name!r}, which the model needs")
    columns = {name: _cells(table, name, text) for name, text in kinds.items()}
    return pandas.DataFrame(columns)


def model_kinds(model: Any) -> dict[str, bool]:
    """The columns that a model from a file needs, as :func:`frame` takes them.

    Parameters
    ----------
    model : AdditiveReLURegressor or AdditiveReLUClassifier

    Returns
    -------
    dict of str to bool
    """
    if "columns" in model.notes_:
        return {str(name): bool(text) for name, text in model.notes_["columns"]}
    return {f.name: f.levels is not None for f in model.features_}


def _scores(model: Any, X: Any, y: Array, train: Array, test: Array) -> dict[str, Any]:
    """:func:`.scores.scores`, the linear model on the columns that the network sees."""
    classes = len(getattr(model, "classes_", ()))
    columns = model._encode(model._table(X))
    F = model.decision_function(X) if classes else model.predict(X)
    F = F.reshape(len(y), -1)
    fit, held_out = (Rows(columns[index], y[index], F[index]) for index in (train, test))
    return scores(fit, held_out, model.loss, classes)


def predict_readable(path: str, table: dict[str, Array]) -> dict[str, Array]:
    """Predictions of a readable model file: the target, and class probabilities if any.

    Parameters
    ----------
    path : str
    table : dict of array (n_rows,)

    Returns
    -------
    dict of array (n_rows,)

    Raises
    ------
    InputError
        For a file or a table that cannot be read.
    """
    model = load_readable(path)
    X = frame(table, model_kinds(model))
    out = {str(model.notes_.get("target", "target")): model.predict(X)}
    if hasattr(model, "classes_") and hasattr(model, "predict_proba"):
        shares = model.predict_proba(X).T
        out |= {f"probability of {c}": p for c, p in zip(model.classes_, shares)}
    return out


def info_readable(path: str) -> dict[str, Any]:
    """What a readable model file says of itself.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict
    """
    model = load_readable(path)
    classes = getattr(model, "classes_", None)
    return {
        "task": "regression" if classes is None else "classification",
        "target": model.notes_.get("target"),
        "classes": None if classes is None else classes.tolist(),
        "columns": [f.name for f in model.features_],
        "readable": "one feature a neuron" if model.certificate_.features == 1 else "pairs",
        "n_features": model.n_features_in_,
        "n_neurons": model.n_neurons_,
        "n_outputs": model.network_.n_outputs,
        "effects": [effect.name for effect in model.effects_],
        "known": model.solution_.known,
        "status": model.status_.name,
        **model.certificate_.as_dict(),
        "loss": model.loss,
        "weight_decay": model.weight_decay_,
        "bias": model.bias,
    }


def _show(classes: list[str], facts: dict[str, Any]) -> None:
    plain_console().print(f"{facts['summary']}.", soft_wrap=True)
    print_notes(facts["notes"])
    rows = [
        ("known", facts["known"]),
        ("status", Status[facts["status"]].value),
        ("objective", f"{facts['objective']:.6g}"),
        ("proven gap", f"{facts['relative_gap']:.3%}"),
        ("proof", facts["proof"]),
        ("neurons", str(facts["n_neurons"])),
        *score_rows(facts, classes),
        ("seconds", f"{facts['seconds']:.1f}"),
    ]
    print_table([*rows, *((key, facts[key]) for key in ("model", "plot") if key in facts)])
    effects = list(facts["effects"].items())
    print_table(
        ((name, f"{value:.4g}") for name, value in effects[:PRINTED]),
        "effect", "mean absolute value",
    )  # fmt: skip
    if len(effects) > PRINTED:
        print_notes([f"and {len(effects) - PRINTED} smaller effects"])
