"""``gapless fit --readable``, and what its model files are to ``predict`` and ``info``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array, InputError, listed
from ..core.losses import LOG_LINK
from ..core.result import Status
from ..estimators.labels import balanced
from ..estimators.readable import AdditiveReLUClassifier, AdditiveReLURegressor
from ..estimators.readable_files import load_readable, save_readable
from ..plotting.readable import EffectsDisplay, unused
from .absent import is_absent
from .columns import LARGE, check_sizes, check_slips, numbers_of
from .command import Answer, exit_code, given_weight_decay
from .dates import PARTS, date_format, known_format, parts_of, varying_parts
from .job import check_split, doubts, find_task, split_rows
from .kinds import Reading
from .linear import linear_outputs
from .measures import check_targets, find_loss
from .numbers import is_missing
from .outputs import check_picture, pyplot, save_figure
from .preparing import MAX_CATEGORIES, NEEDED, is_key
from .scores import Rows, score_rows, scores, summary
from .tables import (
    Table,
    check_names,
    check_target,
    read_data,
    rows_with,
    texts,
    without_lone,
)
from .terminal import as_options, plain_console, print_notes, print_table

# Importances, and names of columns that add nothing, that are printed.
PRINTED = 12

#: how a column is taken: True as texts, False as numbers, else the format and parts of its dates
Kind: TypeAlias = bool | dict[str, Any]


@dataclass(frozen=True)
class _Samples:
    """A table to train on; ``labels`` are places among the classes, None for numbers."""

    target: str
    task: str
    loss: str
    kinds: dict[str, Kind]
    X: Any
    y: Array
    labels: Array | None
    train: Array
    test: Array
    notes: list[str]
    absent: dict[str, list[str]]
    down: list[str]


def run_readable(args: argparse.Namespace) -> Answer:
    """Train a network of one or two features a neuron, write what was asked for, and the answer."""
    started = time.perf_counter()
    _check(args)
    weight_decay = given_weight_decay(args)
    data = _read(args)
    model = _fitted(data, args, weight_decay)
    told = _scores(model, data)
    classes = [] if data.labels is None else list(map(str, model.classes_))
    facts: dict[str, Any] = {
        "summary": summary(data.target, len(classes), model.n_neurons_, told),
        "known": model.solution_.known,
        "status": model.status_.name,
        "task": data.task,
        **model.certificate_.as_dict(),
        "n_neurons": model.n_neurons_,
        "weight_decay": model.weight_decay_,
        **told,
        "effects": {effect.name: effect.importance for effect in model.effects_},
        "notes": [*data.notes, *_chosen(model, data, args)],
    }
    if args.out:
        columns = [[name, kind] for name, kind in data.kinds.items()]
        notes: dict[str, Any] = {"target": data.target, "task": data.task, "columns": columns}
        split = {
            "absent": data.absent,
            "down": data.down,
            "test_size": args.test_size,
            "seed": args.seed,
            "n_rows": len(data.y),
        }
        save_readable(model, args.out, notes=notes | split)
        facts["model"] = args.out
    if args.plot:
        plt = pyplot()
        display = EffectsDisplay.from_estimator(model, formats=date_texts(data.kinds))
        save_figure(plt, display.figure_, args.plot)
        facts["plot"] = args.plot
    facts["seconds"] = time.perf_counter() - started
    return Answer(facts, partial(_show, classes), exit_code(args, model.status_))


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for arguments that are for other networks."""
    check_picture(args.plot)
    for name in ("max_neurons", "prove_time"):
        if getattr(args, name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')} does not go with --readable: leave it out"
            )
    if args.raw:
        raise InputError("--raw does not go with --readable, which standardises inside")


def _read(args: argparse.Namespace) -> _Samples:
    """The table that the arguments name, split."""
    table, target = read_data(args.data, args.dataset, Reading.of(args))
    target = check_target(table, args.target or target, args.drop, "to predict")
    table, without = rows_with(table, target, args.missing == "error")
    check_split(args)
    y, labels = table[target], None
    task, why = find_task(target, y, args)
    loss = find_loss(task, args.loss)
    if task == "classification":
        table = without_lone(table, target)
        y = table[target]
    check_sizes(target, y)
    names = [name for name in table if name != target and name not in args.drop]
    check_names(table, args.keep)
    kinds, learned = _learn(table, names, args.keep)
    levels = [name for name, kind in kinds.items() if kind is True]
    learned += doubts({name: table[name] for name in names}, target, y, task, levels)
    if task == "classification":
        y = texts(table, target)
        labels = np.unique(y, return_inverse=True)[1]
    train, test = split_rows(len(y), labels, args.test_size, args.seed)
    check_targets(target, y, train, loss)
    notes = [*table.notes, *[without] * bool(without), *learned, f"{task}: {why}"]
    X = frame(table, kinds)
    return _Samples(
        target, task, loss, kinds, X, y, labels, train, test, notes, table.absent, table.down
    )


def _fitted(data: _Samples, args: argparse.Namespace, weight_decay: Any) -> Any:
    """The model of the rows for training."""
    kind: Any = AdditiveReLURegressor if data.labels is None else AdditiveReLUClassifier
    model = kind(
        0 if args.readable == "one" else "pairs", weight_decay=weight_decay, bias=args.bias,
        loss=data.loss, tol=args.tol, time_limit=args.time_limit, verbose=1,
    )  # fmt: skip
    weights = None
    if data.labels is not None and args.class_weight:
        weights = balanced(data.labels[data.train])
    return model.fit(data.X.iloc[data.train], data.y[data.train], weights)


def _chosen(model: Any, data: _Samples, args: argparse.Namespace) -> Iterator[str]:
    """What the folds chose, and what effects add to."""
    if args.weight_decay == "auto":
        yield f"weight_decay {model.weight_decay_:.3g} chosen by 5-fold cross-validation"
    if args.readable == "pairs" and model.certificate_.features == 1:
        yield "pairs left out: held-out folds gain nothing clear by them"
    if idle := unused(model):
        yield f"columns that add nothing: {listed(idle, PRINTED)}"
    if data.loss in LOG_LINK:
        yield f"effects add to the logarithm of {data.target}: one of .1 means about 10% more"


def _learn(
    table: dict[str, Array], names: list[str], kept: list[str]
) -> tuple[dict[str, Kind], list[str]]:
    """How each column is taken, by name, without those that say nothing; and notes."""
    kinds: dict[str, Kind] = {}
    constant, lacking, many, keys = [], [], [], []
    for name in names:
        column = table[name]
        check_slips(name, column, f"drop the column with --drop {name}")
        text = column.dtype.kind != "f"
        cells = _cells(table, name, text)
        lacks = np.array([v is None or v != v for v in cells])
        count = len(set(cells[~lacks]))
        dated = _dated(name, cells, lacks) if text and count > 1 else None
        if count + bool(np.any(lacks)) < 2:
            constant.append(name)
        elif dated is None and name not in kept and is_key(name, column, np.unique(column)):
            keys.append(name)
        elif dated is None and text and count > MAX_CATEGORIES:
            many.append(name)
        else:
            kinds[name] = text if dated is None else dated
            lacking += [f"{name} ({int(lacks.sum())})"] * bool(np.any(lacks))
    dates = {name: kind["parts"] for name, kind in kinds.items() if isinstance(kind, dict)}
    notes = (
        ("text columns, an effect for each text", [n for n, kind in kinds.items() if kind is True]),
        ("dates, as numbers", [f"{name} ({', '.join(parts)})" for name, parts in dates.items()]),
        ("columns with missing values, which have effects of their own", lacking),
        ("constant columns left out", constant),
        ("columns that number or name the rows left out (--keep NAME)", keys),
        (f"left out, text with more than {MAX_CATEGORIES} different values", many),
    )
    said = [f"{kind}: {', '.join(listed)}" for kind, listed in notes if listed]
    if not kinds:
        raise InputError(f"no column is left to learn from: {'; '.join(said) or 'all are dropped'}")
    return kinds, said


def _dated(name: str, cells: Array, lacks: Array) -> dict[str, Any] | None:
    """How texts are read as dates, if they are some."""
    form = date_format(cells[~lacks])
    if form is None:
        return None
    parts = varying_parts(parts_of(name, cells[~lacks], form))
    return {"format": form, "parts": list(parts)}


def _cells(table: dict[str, Array], name: str, text: bool) -> Array:
    """A column as an estimator takes it: floats with NaN, or texts with None, where it lacks."""
    if text:
        values = texts(table, name)
        lacks = np.array([is_missing(v) for v in values])
        values[lacks] = None
        return values
    column = numbers_of(name, table[name])
    if np.any(np.abs(column[~np.isnan(column)]) > LARGE):
        raise InputError(f"column {name!r} has infinite values, or numbers beyond {LARGE:g}")
    return column


def _numbers(table: dict[str, Array], name: str, kind: Kind) -> dict[str, Array]:
    """The columns that one of a table becomes."""
    if not isinstance(kind, dict):
        return {name: _cells(table, name, kind)}
    parts = parts_of(name, texts(table, name), kind["format"])
    return {f"{name} {part}": parts[part] for part in kind["parts"]}


def frame(table: dict[str, Array], kinds: dict[str, Kind]) -> Any:
    """The columns that a model takes, as a pandas table.

    Parameters
    ----------
    table : dict of array (n_rows,)
    kinds : dict of str to Kind
        How each column is taken.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        When columns are missing, or texts where numbers are needed.
    """
    import pandas  # whoever wants no table need not wait for it

    check_names(table, kinds, NEEDED)
    columns: dict[str, Array] = {}
    for name, kind in kinds.items():
        columns |= _numbers(table, name, kind)
    return pandas.DataFrame(columns)


def date_texts(kinds: dict[str, Kind]) -> dict[str, Callable[[float], str]]:
    """How the numbers of :func:`frame` that stand for dates are written, by the column's name.

    Parameters
    ----------
    kinds : dict of str to Kind

    Returns
    -------
    dict of str to callable
    """
    dates = {name: kind["parts"] for name, kind in kinds.items() if isinstance(kind, dict)}
    return {f"{name} {part}": WRITTEN[part] for name, parts in dates.items() for part in parts}


def _named(names: str, first: int) -> Callable[[float], str]:
    """Names of whole numbers from ``first``; between them nothing."""
    known = dict(enumerate(names.split(), first))
    return lambda v: known[int(v)] if v in known else ""


def _hour(v: float) -> str:
    minutes = round(60 * v)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


# How each of PARTS is written.
WRITTEN: dict[str, Callable[[float], str]] = {
    "day": lambda v: str(np.datetime64(int(v // 1), "D")),
    "weekday": _named("Mon Tue Wed Thu Fri Sat Sun", 0),
    "month": _named("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", 1),
    "hour": _hour,
}


def model_kinds(model: Any) -> dict[str, Kind]:
    """The columns that a model from a file needs, as :func:`frame` takes them.

    Parameters
    ----------
    model : AdditiveReLURegressor or AdditiveReLUClassifier

    Returns
    -------
    dict of str to Kind

    Raises
    ------
    InputError
        For a damaged file.
    """
    if "columns" in model.notes_:
        return {str(name): _kind(given) for name, given in model.notes_["columns"]}
    return {f.name: f.levels is not None for f in model.features_}


def as_trained(table: Table, model: Any) -> Table:
    """The table, with missing what was in that of the training, and filled down as that was."""
    absent, down = model.notes_.get("absent", {}), model.notes_.get("down", [])
    if not is_absent(absent):
        raise InputError("damaged: the model file does not say which texts mean missing")
    if not (isinstance(down, list) and all(isinstance(name, str) for name in down)):
        raise InputError("damaged: the model file does not say which columns are filled down")
    return table.lacking(absent).filled(down)


def _kind(given: Any) -> Kind:
    """What a model file says of a column; nothing of it is trusted."""
    if not isinstance(given, dict):
        return bool(given)
    try:
        form, parts = known_format(given["format"]), [p for p in PARTS if p in given["parts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("damaged: the model file does not say how it reads dates") from error
    return {"format": form, "parts": parts}


def _scores(model: Any, data: _Samples) -> dict[str, Any]:
    """:func:`.scores.scores`, the linear model on the columns that the network sees."""
    columns = model._encode(model._table(data.X))
    y = data.y if data.labels is None else data.labels
    F = model.predict(data.X) if data.labels is None else model.decision_function(data.X)
    F, n_classes = F.reshape(len(y), -1), len(getattr(model, "classes_", ()))
    train, test = (Rows(y[rows], F[rows]) for rows in (data.train, data.test))
    of = columns[data.train], train.y, columns[data.test]
    linear = partial(linear_outputs, data.loss, n_classes, *of)
    return scores(train, test, data.loss, n_classes, linear)


def predict_readable(path: str, table: Table) -> dict[str, Array]:
    """Predictions of a readable model file: the target, and class probabilities if any.

    Parameters
    ----------
    path : str
    table : Table

    Returns
    -------
    dict of array (n_rows,)

    Raises
    ------
    InputError
        For a file or a table that cannot be read.
    """
    model = load_readable(path)
    X = frame(as_trained(table, model), model_kinds(model))
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
        ("status", as_options(Status[facts["status"]].value)),
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
        more = len(effects) - PRINTED
        print_notes([f"and {more} smaller effect{'s' * (more > 1)}"])
