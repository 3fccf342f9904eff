"""``gapless report`` and ``gapless explain``: a readable model as a page, and row by row."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, listed, not_negative
from ..core.files import write
from ..core.losses import LOG_LINK
from ..estimators.readable_files import is_readable, load_readable
from ..plotting.explanation import cells_of
from ..plotting.report import readable_page
from ..readable.price import HEADS, PriceOfReading
from .columns import missing
from .command import Answer, add_data_arguments
from .job import split_rows
from .kinds import Reading
from .measures import explained, measure
from .model_files import load
from .readable import as_trained, date_texts, frame, model_kinds
from .tables import Table, read_data, rows_with, texts, without_lone
from .terminal import print_notes, print_table

# Seconds for the price of reading.
PRICE = 10.0


def add_report(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model", help="written by gapless fit --readable --out")
    add_data_arguments(command)
    command.add_argument("--html", required=True, metavar="FILE.html", help="write the page here")
    command.add_argument(
        "--price-time", type=float, default=PRICE, metavar="S",
        help=f"seconds to prove what reading costs, where the data have the target "
        f"(default {PRICE:.0f}; 0: leave it out)",
    )  # fmt: skip


def run_report(args: argparse.Namespace) -> Answer:
    """Write the page."""
    not_negative("--price-time", args.price_time)
    model, given, X = _read(args)
    target = str(model.notes_.get("target", "target"))
    table, notes = _with_target(model, given, target)
    y = _truth(model, table, target)
    kinds = model_kinds(model)
    X = X if table is given else frame(table, kinds)
    facts: list[tuple[str, str]] = []
    price, scores = None, {}
    if y is not None:
        train, test = _rows(model, y)
        classes = hasattr(model, "classes_")
        of, answers = measure(model.loss, classes), model.predict(X)
        for name, rows in (("training", train), ("held-out", test)):
            if len(rows) > 1:
                right, said = y[rows], answers[rows]
                good = np.mean(right == said) if classes else explained(model.loss, right, said)
                scores[f"{name} {of}".replace(" ", "_").replace("-", "_")] = float(good)
                facts.append((f"{of}, {name} rows", f"{good:.4f} ({len(rows)} rows)"))
        if args.price_time > 0 and len(train):
            price = model.price_of_reading(X.iloc[train], y[train], time_limit=args.price_time)
    formats = date_texts(kinds)
    page = readable_page(model, X, y, title=target, facts=facts, price=price, formats=formats)
    write(args.html, page.encode())
    answer: dict[str, Any] = {"page": args.html, "known": model.solution_.known, **scores}
    answer["notes"] = notes
    if price is not None:
        answer["price_of_reading"] = price.price(model.certificate_.features)
        answer["price"] = price.as_dict()
    return Answer(answer, partial(_show_report, price))


def _show_report(price: PriceOfReading | None, facts: dict[str, Any]) -> None:
    print_notes(facts["notes"])
    rows = [("known", facts["known"])]
    for name, value in facts.items():
        if isinstance(value, float):
            rows.append((name.replace("_", " "), f"{value:.4f}"))
    print_table([*rows, ("page", facts["page"])])
    if price is not None:
        print_table(price.rows(), *HEADS)


def add_explain(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model", help="written by gapless fit --readable --out")
    add_data_arguments(command)
    command.add_argument(
        "--row", type=int, default=1, metavar="N", help="row of the data, the first is 1 (default)"
    )
    command.add_argument(
        "--class", dest="label", metavar="NAME",
        help="of three and more: the class whose score is explained (default: the one predicted)",
    )  # fmt: skip


def run_explain(args: argparse.Namespace) -> Answer:
    """What each feature adds."""
    model, table, X = _read(args)
    if not 1 <= args.row <= len(X):
        raise InputError(f"--row must be from 1 to {len(X)}, got {args.row}")
    row = X.iloc[args.row - 1 : args.row]
    explained, answer = model.explain(row), model.predict(row)[0]
    label = _label(model, args.label, answer)
    output = 0
    if label is not None and explained.outputs.shape[1] > 1:
        output = model.classes_.tolist().index(label)
    added = explained.contributions[0, :, output]
    cells = cells_of(row, model.effects_, date_texts(model_kinds(model)))[0]
    order = np.argsort(-np.abs(added), kind="stable")
    facts: dict[str, Any] = {
        "row": args.row,
        "prediction": _plain(answer),
        "explains": _explains(model, label),
        "mean": float(explained.baseline[output]),
        "effects": [
            {"name": explained.names[k], "value": cells[k], "adds": float(added[k])} for k in order
        ],
        "sum": float(explained.outputs[0, output]),
    }
    y = _truth(model, table, str(model.notes_.get("target", "target")))
    if y is not None:
        facts["truth"] = _plain(y[args.row - 1])
    if hasattr(model, "classes_") and hasattr(model, "predict_proba"):
        shares = model.predict_proba(row)[0]
        facts["probabilities"] = {str(c): float(p) for c, p in zip(model.classes_, shares)}
    return Answer(facts, _show_explain)


def _plain(value: Any) -> Any:
    """A number or text as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value


def _label(model: Any, asked: str | None, predicted: Any) -> Any:
    """The class that is explained; None for numbers."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        if asked is not None:
            raise InputError("--class is for classes, this model predicts a number; leave it out")
        return None
    if len(classes) == 2:
        if asked is not None and asked != str(classes[1]):
            raise InputError(f"of two classes the score is that of {classes[1]}; leave out --class")
        return classes[1]
    named = {str(c): c for c in classes.tolist()}
    if asked is not None and asked not in named:
        raise InputError(f"--class must be one of {', '.join(named)}, got {asked!r}")
    return predicted if asked is None else named[asked]


def _explains(model: Any, label: Any) -> str:
    if label is None:
        target = str(model.notes_.get("target", "target"))
        return f"logarithm of {target}" if model.loss in LOG_LINK else target
    odds = model.loss == "logistic" and len(model.classes_) == 2
    return f"{'log odds' if odds else 'score'} of {label}"


def _show_explain(facts: dict[str, Any]) -> None:
    rows = [("mean", "", f"{facts['mean']:.6g}")]
    rows += [(e["name"], e["value"], f"{e['adds']:+.4g}") for e in facts["effects"]]
    rows.append((facts["explains"], "", f"{facts['sum']:.6g}"))
    print_table(rows, f"row {facts['row']}", "value", "adds")
    named = [("predicted", facts["prediction"])]
    if "truth" in facts:
        named.append(("in the data", facts["truth"]))
    told = [(name, f"{v:.6g}" if isinstance(v, float) else str(v)) for name, v in named]
    told += [(f"probability of {c}", f"{p:.4f}") for c, p in facts.get("probabilities", {}).items()]
    print_table(told)


def _read(args: argparse.Namespace) -> tuple[Any, Table, Any]:
    """The model, the table, and the columns that the model takes."""
    if not is_readable(args.model):
        load(args.model)  # says what is wrong with the file
        raise InputError(
            f"{args.model}: its neurons mix features, and this is for models of gapless fit "
            "--readable; gapless export writes it as a formula, fit --plot draws its neurons"
        )
    model = load_readable(args.model)
    table = as_trained(read_data(args.data, args.dataset, Reading.of(args))[0], model)
    return model, table, frame(table, model_kinds(model))


def _with_target(model: Any, table: Table, target: str) -> tuple[Table, list[str]]:
    """The rows that a score can be told of, where the data have the target; and which not.

    Of the table of the fit they are those that it took.
    """
    if target not in table or np.all(missing(table[target])):
        return table, []
    table, without = rows_with(table, target)
    notes = [without] * bool(without)
    if not hasattr(model, "classes_"):
        return table, notes
    taken = without_lone(table, target)
    if len(taken) and len(taken[target]) == model.notes_.get("n_rows"):
        return taken, [*notes, *taken.notes[len(table.notes) :]]
    known = np.isin(texts(table, target), model.classes_)
    if np.all(known) or not np.any(known):
        return table, notes
    other = sorted(set(texts(table, target)[~known]))
    return table.where(known), [
        *notes,
        f"rows of classes that the model does not know left out: {listed(other)}",
    ]


def _truth(model: Any, table: Table, target: str) -> Array | None:
    """The target where the data have it, whole and of a known kind."""
    if target not in table:
        return None
    if hasattr(model, "classes_"):
        y = texts(table, target)
        return y if set(y) <= set(model.classes_.tolist()) else None
    y = table[target]
    return y if y.dtype.kind == "f" and np.all(np.isfinite(y)) else None


def _rows(model: Any, y: Array) -> tuple[Array, Array]:
    """Rows for training and held out; of other data than those of the fit all are held out."""
    notes = model.notes_
    if notes.get("n_rows") != len(y):
        return np.arange(0), np.arange(len(y))
    labels = np.unique(y, return_inverse=True)[1] if hasattr(model, "classes_") else None
    return split_rows(len(y), labels, float(notes["test_size"]), int(notes["seed"]))
