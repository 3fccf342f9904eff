"""``gapless spline``: the exact network for one column against another."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array, InputError
from ..core.files import write
from ..core.result import Status
from ..curves.spline import SplineSolution
from ..estimators.curves import SplineClassifier, SplineRegressor
from ..plotting.curves import SplineDisplay
from .columns import check_numbers, check_sizes, check_slips
from .command import Answer, add_data_arguments, given_weight_decay
from .kinds import Reading
from .outputs import check_picture, csv_text, pyplot, save_figure
from .tables import check_names, read_data, rows_with
from .terminal import plain_console, print_notes, print_table

HEADS = ("from", "to", "value at start", "slope")
# Pieces that a terminal shows.
SHOWN = 40
# Losses of classes whatever the column holds.
CLASS_LOSSES = ("logistic", "hinge")


def add_spline(command: Any) -> None:
    """The arguments of the command."""
    add_data_arguments(command)
    command.add_argument("--x", required=True, metavar="COL")
    command.add_argument("--y", required=True, metavar="COL")
    command.add_argument(
        "--weight-decay", default="auto", metavar="W",
        help="a number, auto: by the number of kinks (default), or cv: by cross-validation",
    )  # fmt: skip
    command.add_argument("--loss", choices=("squared", "huber", *CLASS_LOSSES))
    command.add_argument("--quantile", type=float, metavar="Q", help="a quantile curve, 0 < Q < 1")
    command.add_argument("--out", metavar="FILE.csv", help="write the table of kinks here")
    command.add_argument("--plot", metavar="FILE.png", help="draw data, fit, kinks and neurons")


def run_spline(args: argparse.Namespace) -> Answer:
    """Fit, write what was asked for, and the answer."""
    started = time.perf_counter()
    check_picture(args.plot)
    x, y, notes = _two_columns(args)
    model = _model(args, y).fit(x[:, None], y)
    solution = model.solution_
    facts = {
        "status": solution.status.name,
        **solution.certificate.as_dict(),
        "n_neurons": solution.network.n_neurons,
        "weight_decay": solution.weight_decay,
        "n_kinks": model.n_kinks_,
        "knots": np.asarray(model.knots_).tolist(),
        "slopes": np.asarray(model.slopes_).tolist(),
        "train_score": float(model.score(x[:, None], y)),
        "notes": notes,
    }
    pieces = _pieces(solution)
    if args.out:
        write(args.out, csv_text([HEADS, *pieces]).encode())
        facts["table"] = args.out
    if args.plot:
        plt = pyplot()
        display = SplineDisplay.from_estimator(model, x[:, None], y)
        display.ax_.set_xlabel(args.x)
        if display.classes is None:
            display.ax_.set_ylabel(args.y)
        save_figure(plt, display.figure_, args.plot)
        facts["plot"] = args.plot
    facts["seconds"] = time.perf_counter() - started
    return Answer(facts, partial(_show, [] if args.out else pieces))


def _two_columns(args: argparse.Namespace) -> tuple[Array, Array, list[str]]:
    """The columns ``--x``, of numbers, and ``--y``, of numbers or classes; and notes."""
    table = read_data(args.data, args.dataset, Reading.of(args))[0]
    notes = list(table.notes)
    for name in (args.x, args.y):
        check_names(table, [name])
        table, note = rows_with(table, name)
        notes += [note] if note else []
        check_sizes(name, table[name])
    x, y = table[args.x], table[args.y]
    check_numbers(args.x, x)
    if args.loss not in CLASS_LOSSES:
        check_slips(args.y, y, "say --loss logistic if these are classes")
    return x, y, notes


def _model(args: argparse.Namespace, y: Array) -> SplineRegressor | SplineClassifier:
    """The estimator that the arguments and the kind of ``y`` ask for."""
    weight_decay = given_weight_decay(args, "cv")
    if y.dtype.kind == "f" and args.loss not in CLASS_LOSSES:
        return SplineRegressor(weight_decay, loss=args.loss or "squared", quantile=args.quantile)
    if args.quantile is not None:
        raise InputError("--quantile needs a column of numbers to predict")
    return SplineClassifier(weight_decay, loss=args.loss or "logistic")


def _pieces(solution: SplineSolution) -> list[list[float]]:
    """From, to, value where it starts (ends, for the first) and slope of each linear piece."""
    knots = np.concatenate([[-np.inf], solution.knots, [np.inf]])
    values = np.concatenate([solution.values[:1, 0], solution.values[: solution.n_kinks, 0]])
    return [
        [float(knots[i]), float(knots[i + 1]), float(values[i]), float(slope)]
        for i, slope in enumerate(solution.slopes[:, 0])
    ]


def _show(pieces: list[list[float]], facts: dict[str, Any]) -> None:
    console = plain_console()
    print_notes(facts["notes"])
    console.print(Status[facts["status"]].value)
    kinks = "1 kink" if facts["n_kinks"] == 1 else f"{facts['n_kinks']} kinks"
    console.print(
        f"objective {facts['objective']:.6g}, proven gap {facts['relative_gap']:.1e}, "
        f"weight_decay {facts['weight_decay']:.3g}, {kinks}, "
        f"score {facts['train_score']:.4f}, {facts['seconds']:.2f} s",
        soft_wrap=True,
    )
    if pieces:
        print_table(([f"{v:.6g}" for v in piece] for piece in pieces[:SHOWN]), *HEADS)
    if len(pieces) > SHOWN:
        console.print(f"... {len(pieces) - SHOWN} more pieces: --out FILE.csv writes them all")
