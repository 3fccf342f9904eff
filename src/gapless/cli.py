"""The ``gapless`` command.

Exit codes: 0 the command did what was asked; 1 training ended early (time limit, Ctrl-C), the
best network so far was still written, or a proof was found INVALID; 2 a mistake in the input, said
in one line on stderr.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from sklearn.linear_model import LogisticRegression, RidgeCV

from . import __version__
from ._validate import Array, optional_import, positive
from .audit_cli import add_audit_arguments, run_audit
from .certify import ALL_METHODS, certify
from .cross_validation import choose_weight_decay
from .cv_estimators import CHOOSING
from .displays import GapDisplay, NeuronDisplay, PathDisplay
from .gauge import conditions
from .network import Network
from .outputs import encode_labels
from .path import path
from .persist import Header, load, predict, prepare, read_preparation, save, split_rows
from .problem import Problem
from .progress import counter, progress
from .result import Certificate, Status
from .spline import SplineSolution
from .spline_display import SplineDisplay
from .spline_estimators import SplineClassifier, SplineRegressor
from .table import (
    DATASETS,
    Encoder,
    InputError,
    are_codes,
    check_complete,
    check_numbers,
    check_slips,
    existing_file,
    named_file,
    read_data,
    read_table,
)
from .train import solve
from .verify import data_digest, verify
from .watch import Watch


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        for name in ("out", "plot", "proof", "html"):
            _check_output(getattr(args, name, None))
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"gapless: {message}", file=sys.stderr)
            return int(args.run(args))
    except BrokenPipeError:  # the reader, say head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, ImportError, OSError) as error:
        print(f"gapless: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gapless: interrupted, nothing was written", file=sys.stderr)
        return 130


def _check_output(path: str | None) -> None:
    """Before the work, not after it."""
    if path is None:
        return
    named_file(path, "the file to write")
    if not os.path.isdir(folder := os.path.dirname(path) or "."):
        raise InputError(f"{path}: there is no folder {folder!r}; make it first")


def _check_picture(path: str | None) -> None:
    """Whether matplotlib is there and writes such files; before the work too."""
    if path is not None:
        canvas = optional_import("matplotlib.backend_bases", "plot", "drawing").FigureCanvasBase
        kinds = canvas.get_supported_filetypes()
        if os.path.splitext(path)[1][1:].lower() not in kinds:
            raise InputError(
                f"{path}: matplotlib writes no such files; end the name in .png, .svg or .pdf"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gapless",
        description="Train two-layer ReLU networks with a proof of how far from the best they are.",
    )
    parser.add_argument("--version", action="version", version=f"gapless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = _command(commands, "fit", _fit, "train a network on a table")
    _data_arguments(fit)
    _training_arguments(fit)
    fit.add_argument(
        "--weight-decay",
        default="auto",
        metavar="W",
        help="a number, or auto: chosen by cross-validation (default)",
    )
    fit.add_argument("--max-neurons", type=int, metavar="M")
    fit.add_argument("--time-limit", type=float, metavar="S", help="seconds for all of it")
    fit.add_argument("--out", metavar="MODEL.safetensors", help="write the network here")
    fit.add_argument("--plot", metavar="FILE.png", help="draw how the gap closed and the neurons")

    along = _command(commands, "path", _path, "train along falling weight decay and draw it")
    _data_arguments(along)
    _training_arguments(along)
    along.add_argument("--n-values", type=int, default=30, metavar="N", help="default 30")
    along.add_argument(
        "--ratio", type=float, default=1e-3,
        help="last weight decay over the first, which has no neurons (default 1e-3)",
    )  # fmt: skip
    along.add_argument("--time-limit", type=float, metavar="S", help="seconds for all of it")
    along.add_argument("--out", metavar="FILE.png", help="draw the path here")

    predict_ = _command(commands, "predict", _predict, "predictions of a model for a table")
    predict_.add_argument("model")
    predict_.add_argument("data")
    predict_.add_argument("--out", metavar="FILE.csv", help="default: standard output")

    info = _command(commands, "info", _info, "what a model file says of itself")
    info.add_argument("model")

    spline = _command(
        commands, "spline", _spline, "the exact network for one column against another"
    )
    _data_arguments(spline, target=False)
    spline.add_argument("--x", required=True, metavar="COL")
    spline.add_argument("--y", required=True, metavar="COL")
    spline.add_argument(
        "--weight-decay", default="auto", metavar="W",
        help="a number, auto: by the number of kinks (default), or cv: by cross-validation",
    )  # fmt: skip
    spline.add_argument("--loss", choices=("squared", "huber", "logistic", "hinge"))
    spline.add_argument("--quantile", type=float, metavar="Q", help="a quantile curve, 0 < Q < 1")
    spline.add_argument("--out", metavar="FILE.csv", help="write the table of kinks here")
    spline.add_argument("--plot", metavar="FILE.png", help="draw data, fit, kinks and neurons")

    check = _command(commands, "certify", _certify, "certify a model on its training table again")
    check.add_argument("model")
    _data_arguments(check, target=False)
    check.add_argument("--proof", metavar="FILE.npz", help="write the proof here, for verify")
    check.add_argument(
        "--time-limit", type=float, default=10.0, metavar="S", help="seconds to prove (default 10)"
    )
    check.add_argument(
        "--method", choices=("auto", *ALL_METHODS), default="auto", help="how to prove"
    )

    again = _command(commands, "verify", _verify, "re-check a proof file with NumPy alone")
    again.add_argument("file", metavar="PROOF.npz")
    _data_arguments(again, target=False)

    audit = _command(commands, "audit", run_audit, "how far from optimal a trained network is")
    add_audit_arguments(audit)
    return parser


def _command(commands: Any, name: str, run: Callable[..., int], text: str) -> Any:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)
    return command


def _data_arguments(command: Any, target: bool = True) -> None:
    command.add_argument("data", nargs="?", help="a .csv, .tsv, .parquet or .npy file")
    command.add_argument("--dataset", metavar="NAME", help=f"bundled: {', '.join(DATASETS)}")
    if target:
        command.add_argument("--target", metavar="COL", help="the column to predict")


def _training_arguments(command: Any) -> None:
    command.add_argument(
        "--task", choices=("regression", "classification"), help="default: guessed"
    )
    command.add_argument(
        "--drop", action="append", default=[], metavar="COL", help="leave a column out"
    )
    command.add_argument("--loss", choices=("squared", "huber", "logistic", "hinge"))
    command.add_argument("--bias", choices=("free", "penalized", "none"), default="free")
    command.add_argument("--tol", type=float, default=1e-3, help="relative gap (default 1e-3)")
    command.add_argument("--test-size", type=float, default=0.2, help="share held out (default .2)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--raw", action="store_true", help="do not standardise features and target"
    )


# gapless fit


def _fit(args: argparse.Namespace) -> int:
    started, watch = time.perf_counter(), Watch.of(args.time_limit)
    _check_picture(args.plot)
    weight_decay = args.weight_decay
    if weight_decay != "auto":
        weight_decay = positive("--weight-decay", weight_decay)
    job, encoder, target, notes = _prepare(args)
    task = job.task
    if weight_decay == "auto":
        with counter("choosing weight_decay") as report:
            choice = choose_weight_decay(
                job.problem(1.0), callback=report, random_state=args.seed, n_jobs=_cores(),
                time_limit=CHOOSING * args.time_limit if watch.limited else None,
            )  # fmt: skip
        weight_decay = choice.weight_decay
        notes.append(f"weight_decay {weight_decay:.3g} chosen by 5-fold cross-validation")
    problem = job.problem(weight_decay)
    with progress("training", tol=args.tol) as report:
        solution = solve(
            problem,
            watch.part(report),
            tol=args.tol,
            max_neurons=args.max_neurons,
            random_state=args.seed,
            proving=watch.limited,
        )
    network = job.unscale(solution.network)
    result: dict[str, Any] = {
        "status": solution.status.name,
        "task": task,
        **solution.certificate.as_dict(),
        "n_neurons": network.n_neurons,
        "weight_decay": weight_decay,
        "score": "R2" if task == "regression" else "accuracy",
        "train_score": job.score(network, job.train),
        "test_score": job.score(network, job.test),
        "baseline_test_score": job.baseline(),
        "n_train": len(job.train),
        "n_test": len(job.test),
        "notes": notes,
    }
    if args.out:
        training = {
            "loss": job.loss, "weight_decay": weight_decay, "bias": args.bias,
            "mean": job.mean.tolist(), "scale": job.scale.tolist(),
            "y_mean": job.y_mean, "y_scale": job.y_scale,
            "test_size": args.test_size, "seed": args.seed, "n_rows": len(job.X),
            "digest": data_digest(problem.X, problem.Y),
        }  # fmt: skip
        save(
            args.out,
            network,
            Header(
                task,
                target,
                job.classes,
                [list(c) for c in encoder.columns],
                solution.status.name,
                solution.certificate.as_dict(),
                training,
            ),
        )
        result["model"] = args.out
    if args.plot:
        _draw(args.plot, solution, encoder.names)
        result["plot"] = args.plot
    result["seconds"] = time.perf_counter() - started
    if args.json:
        print(json.dumps(result))
    else:
        _report(result, solution.status)
    return int(solution.status.unfinished)


def _prepare(args: argparse.Namespace) -> tuple[_Job, Encoder, str, list[str]]:
    """The table as a job, how its columns became numbers, its target, and notes on both."""
    table, target = read_data(args.data, args.dataset)
    target = args.target or target
    if target is None:
        raise InputError(f"say which column to predict with --target; columns: {', '.join(table)}")
    for name in (target, *args.drop):
        if name not in table:
            raise InputError(f"the data have no column {name!r}; columns: {', '.join(table)}")
    if not 0 < args.test_size < 1:
        raise InputError(f"--test-size must lie between 0 and 1, got {args.test_size}")
    y = table.pop(target)
    notes = []
    encoder, constant = Encoder.learn({k: v for k, v in table.items() if k not in args.drop})
    text = [f"{name} ({len(kinds)})" for name, kinds in encoder.columns if kinds is not None]
    if text:
        notes.append(f"text columns, a feature for each text: {', '.join(text)}")
    if constant:
        notes.append(f"constant columns left out: {', '.join(constant)}")
    task, why = _guess_task(target, y, args.task)
    notes.append(f"{task}: {why}")
    return _Job(encoder.encode(table), y, task, args), encoder, target, notes


# gapless path


def _path(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    _check_picture(args.out)
    job, _, _, notes = _prepare(args)
    with counter("training the path") as report:
        trained = path(
            job.problem(1.0),
            n_values=args.n_values,
            ratio=args.ratio,
            tol=args.tol,
            time_limit=args.time_limit,
            random_state=args.seed,
            callback=None if report is None else lambda done, total, _: report(done, total),
        )
    networks = [job.unscale(s.network) for s in trained]
    result: dict[str, Any] = {
        "task": job.task,
        "score": "R2" if job.task == "regression" else "accuracy",
        "weight_decay": trained.weight_decays.tolist(),
        "n_neurons": trained.n_neurons.tolist(),
        "objective": trained.objectives.tolist(),
        "lower_bound": trained.lower_bounds.tolist(),
        "estimated_lower_bound": trained.estimated_lower_bounds.tolist(),
        "status": [s.status.name for s in trained],
        "train_score": [job.score(network, job.train) for network in networks],
        "test_score": [job.score(network, job.test) for network in networks],
        "notes": notes,
    }
    if args.out:
        plt = _pyplot()
        scores = np.array([result["test_score"]])
        display = PathDisplay(trained, scores=scores).plot()
        _save_figure(plt, display.figure_, args.out)
        result["plot"] = args.out
    result["seconds"] = time.perf_counter() - started
    early = len(trained) < args.n_values or any(s.status.unfinished for s in trained)
    if args.json:
        print(json.dumps(result))
        return int(early)
    console = Console(highlight=False)
    for note in notes:
        console.print(f"[dim]{note}[/dim]", soft_wrap=True)
    heads = ("weight decay", "neurons", "objective", "gap proven", "estimated", "train", "test")
    table = RichTable(*heads, box=None, padding=(0, 2, 0, 0))
    for i, solution in enumerate(trained):
        c = solution.certificate
        table.add_row(
            f"{trained.weight_decays[i]:.4g}", str(solution.network.n_neurons),
            f"{c.objective:.6g}", f"{c.relative_gap:.2%}", f"{c.estimated_relative_gap:.2%}",
            f"{result['train_score'][i]:.4f}", f"{result['test_score'][i]:.4f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"train and test are {result['score']}; {result['seconds']:.1f} s")
    return int(early)


def _cores() -> int:
    return min(os.cpu_count() or 1, 5)


def _guess_task(target: str, y: Array, asked: str | None) -> tuple[str, str]:
    if asked == "regression":
        check_numbers(target, y, "correct it, or leave out --task regression")
    if asked is not None:
        return asked, "as asked"
    check_slips(target, y, "say --task classification if these are classes")
    if y.dtype.kind != "f":
        return "classification", f"target {target!r} is text"
    n_distinct = len(np.unique(y))
    if are_codes(y):
        return "classification", (
            f"target {target!r} has {n_distinct} whole values (--task regression to change)"
        )
    return "regression", f"target {target!r} has {n_distinct} different numbers"


class _Job:
    """One table made numbers, split, standardised; and the way back to raw units."""

    def __init__(self, X: Array, y: Array, task: str, args: argparse.Namespace) -> None:
        check_complete(args.target or "target", y)
        self.task, self.bias = task, args.bias
        self.classes: list[Any] | None = None
        labels = None
        if task == "classification":
            classes, labels, counts = np.unique(y, return_inverse=True, return_counts=True)
            if len(classes) < 2:
                raise InputError(
                    f"the target has one class only, {str(classes[0])!r}; two are needed"
                )
            if counts.min() < 2:
                raise InputError(
                    f"class '{classes[counts.argmin()]}' has one row only; at least 2 are needed"
                )
            self.classes = classes.tolist()
            kind = args.loss or "logistic"
            if kind == "huber":
                raise InputError(
                    "--loss huber is for regression; choose logistic, hinge or squared"
                )
            self.Y, self.loss = encode_labels(labels, len(classes), kind)
        else:
            if len(np.unique(y)) < 2:
                raise InputError("the target is constant: there is nothing to learn")
            self.loss = args.loss or "squared"
            if self.loss not in ("squared", "huber"):
                raise InputError(f"--loss {self.loss} is for classes; choose squared or huber")
            self.Y = y[:, None].astype(float)
        self.X, self.labels = X, labels
        self.train, self.test = split_rows(len(y), labels, args.test_size, args.seed)
        self.mean, self.scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self.y_mean, self.y_scale = 0.0, 1.0
        if not args.raw:
            fitted = X[self.train]
            self.mean = fitted.mean(axis=0)
            spread = fitted.std(axis=0)
            self.scale = np.where(spread > 0, spread, 1.0)
            if task == "regression":
                self.y_mean = float(self.Y[self.train].mean())
                self.y_scale = float(self.Y[self.train].std()) or 1.0

    def problem(self, weight_decay: float) -> Problem:
        X = self.X[self.train]
        X -= self.mean
        X /= self.scale
        Y = (self.Y[self.train] - self.y_mean) / self.y_scale
        return Problem(X, Y, self.loss, weight_decay, self.bias)

    def unscale(self, network: Network) -> Network:
        return rescale(network, self.mean, self.scale, self.y_mean, self.y_scale)

    def score(self, network: Network, rows: Array) -> float:
        F = network.predict(self.X[rows])
        if self.labels is None:
            y = self.Y[rows]
            return float(1 - np.sum((F - y) ** 2) / max(np.sum((y - y.mean()) ** 2), 1e-300))
        guess = (F[:, 0] > 0) if F.shape[1] == 1 else np.argmax(F, axis=1)
        return float(np.mean(guess == self.labels[rows]))

    def baseline(self) -> float:
        """A linear model on the same split: ridge or logistic regression."""
        X = (self.X - self.mean) / self.scale
        if self.labels is None:
            model: Any = RidgeCV(np.logspace(-3, 3, 13)).fit(X[self.train], self.Y[self.train, 0])
            return float(model.score(X[self.test], self.Y[self.test, 0]))
        model = LogisticRegression(max_iter=2000).fit(X[self.train], self.labels[self.train])
        return float(model.score(X[self.test], self.labels[self.test]))


def rescale(network: Network, mean: Array, scale: Array, y_mean: float, y_scale: float) -> Network:
    """The network on raw units of one trained on ``(X - mean) / scale`` and scaled targets."""
    U = network.hidden_weights / np.asarray(scale)[:, None]
    return Network(
        U,
        network.hidden_bias - np.asarray(mean) @ U,
        network.output_weights * y_scale,
        network.output_bias * y_scale + y_mean,
    )


def _pyplot() -> Any:
    """pyplot without a window."""
    optional_import("matplotlib", "plot", "--plot").use("Agg")
    return optional_import("matplotlib.pyplot", "plot", "--plot")


def _save_figure(plt: Any, figure: Any, file: str) -> None:
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _draw(file: str, solution: Any, names: list[str]) -> None:
    plt = _pyplot()
    height = 3.0 + 0.24 * min(len(names), 40)
    figure, axes = plt.subplots(1, 2, figsize=(15, max(4.5, height)), layout="constrained")
    GapDisplay.from_solution(solution, ax=axes[0])
    NeuronDisplay.from_network(solution.network, feature_names=names, ax=axes[1])
    _save_figure(plt, figure, file)


def _report(result: dict[str, Any], status: Status) -> None:
    console = Console(highlight=False)
    for note in result["notes"]:
        console.print(f"[dim]{note}[/dim]", soft_wrap=True)
    table = RichTable(show_header=False, box=None, padding=(0, 2, 0, 0))
    score = result["score"]
    rows = [
        ("status", status.value),
        ("objective", f"{result['objective']:.6g}"),
        (
            "proven gap",
            f"{result['relative_gap']:.3%} (no network of any width is below "
            f"{result['lower_bound']:.6g})",
        ),
        (
            "estimated gap",
            f"{result['estimated_relative_gap']:.3%} (from a search: it proves nothing)",
        ),
        ("neurons", str(result["n_neurons"])),
        (f"{score} train / test", f"{result['train_score']:.4f} / {result['test_score']:.4f}"),
        ("linear model, test", f"{result['baseline_test_score']:.4f}"),
        ("seconds", f"{result['seconds']:.1f}"),
    ]  # fmt: skip
    rows += [(key, result[key]) for key in ("model", "plot") if key in result]
    for row in rows:
        table.add_row(*row)
    console.print(table)


# gapless spline


def _spline(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    _check_picture(args.plot)
    table = read_data(args.data, args.dataset)[0]
    for name in (args.x, args.y):
        if name not in table:
            raise InputError(f"the data have no column {name!r}; columns: {', '.join(table)}")
        check_complete(name, table[name])
    x, y = table[args.x], table[args.y]
    check_numbers(args.x, x)
    if args.loss not in ("logistic", "hinge"):
        check_slips(args.y, y, "say --loss logistic if these are classes")
    weight_decay = args.weight_decay
    if weight_decay not in ("auto", "cv"):
        weight_decay = positive("--weight-decay", weight_decay)
    model: SplineRegressor | SplineClassifier
    if y.dtype.kind != "f" or args.loss in ("logistic", "hinge"):
        if args.quantile is not None:
            raise InputError("--quantile needs a column of numbers to predict")
        model = SplineClassifier(weight_decay, loss=args.loss or "logistic")
    else:
        model = SplineRegressor(weight_decay, loss=args.loss or "squared", quantile=args.quantile)
    model.fit(x[:, None], y)
    solution = model.solution_
    result = {
        "status": solution.status.name,
        **solution.certificate.as_dict(),
        "n_neurons": solution.network.n_neurons,
        "weight_decay": solution.weight_decay,
        "n_kinks": model.n_kinks_,
        "knots": np.asarray(model.knots_).tolist(),
        "slopes": np.asarray(model.slopes_).tolist(),
        "train_score": float(model.score(x[:, None], y)),
    }
    rows = _pieces(solution)
    if args.out:
        with open(args.out, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([["from", "to", "value at start", "slope"], *rows])
        result["table"] = args.out
    if args.plot:
        plt = _pyplot()
        display = SplineDisplay.from_estimator(model, x[:, None], y)
        display.ax_.set_xlabel(args.x)
        if display.classes is None:
            display.ax_.set_ylabel(args.y)
        _save_figure(plt, display.figure_, args.plot)
        result["plot"] = args.plot
    result["seconds"] = time.perf_counter() - started
    if args.json:
        print(json.dumps(result))
        return 0
    console = Console(highlight=False)
    console.print(solution.status.value)
    kinks = "1 kink" if model.n_kinks_ == 1 else f"{model.n_kinks_} kinks"
    console.print(
        f"objective {result['objective']:.6g}, proven gap {result['relative_gap']:.1e}, "
        f"weight_decay {result['weight_decay']:.3g}, {kinks}, "
        f"score {result['train_score']:.4f}, {result['seconds']:.2f} s",
        soft_wrap=True,
    )
    if not args.out:
        shown = RichTable("from", "to", "value at start", "slope", box=None, padding=(0, 2, 0, 0))
        for row in rows[:40]:
            shown.add_row(*(f"{v:.6g}" for v in row))
        console.print(shown)
        if len(rows) > 40:
            console.print(f"... {len(rows) - 40} more pieces: --out FILE.csv writes them all")
    return 0


def _pieces(solution: SplineSolution) -> list[list[float]]:
    """From, to, value where it starts (ends, for the first) and slope of each linear piece."""
    knots = np.concatenate([[-np.inf], solution.knots, [np.inf]])
    values = np.concatenate([solution.values[:1, 0], solution.values[: solution.n_kinks, 0]])
    return [
        [float(knots[i]), float(knots[i + 1]), float(values[i]), float(slope)]
        for i, slope in enumerate(solution.slopes[:, 0])
    ]


# gapless predict, info, certify, verify


def _predict(args: argparse.Namespace) -> int:
    network, header = load(args.model)
    columns = predict(network, header, read_table(args.data))
    rows = list(zip(*[c.tolist() for c in columns.values()]))
    if args.json:
        print(json.dumps({name: c.tolist() for name, c in columns.items()}))
    elif args.out:
        with open(args.out, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([list(columns), *rows])
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows([list(columns), *rows])
    return 0


def _info(args: argparse.Namespace) -> int:
    network, header = load(args.model)
    columns = [name for name, _ in header.columns]
    facts = {
        "task": header.task,
        "target": header.target,
        "classes": header.classes,
        "columns": columns,
        "n_features": network.n_features,
        "n_neurons": network.n_neurons,
        "n_outputs": network.n_outputs,
        "status": header.status,
        **header.certificate,
        "loss": header.training.get("loss"),
        "weight_decay": header.training.get("weight_decay"),
        "bias": header.training.get("bias"),
    }
    if args.json:
        print(json.dumps(facts))
        return 0
    table = RichTable(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in facts.items():
        if value is None:
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(key.replace("_", " "), shown)
    Console(highlight=False).print(table)
    return 0


def _certify(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    if not args.time_limit >= 0:
        raise InputError(f"--time-limit must be seconds, 0 or more, got {args.time_limit}")
    network, header = load(args.model)
    samples = prepare(header, read_data(args.data, args.dataset)[0])
    t = header.training
    # undo the scaling of the weights: back to standardised units
    inverse = rescale(
        network, -samples.mean / samples.scale, 1 / samples.scale,
        -t["y_mean"] / t["y_scale"], 1 / t["y_scale"],
    )  # fmt: skip
    terms = {"loss": t["loss"], "weight_decay": t["weight_decay"], "bias": t["bias"]}
    certificate = certify(
        inverse, samples.X, samples.Y, method=args.method, time_limit=args.time_limit,
        proof=args.proof, preparation=header.preparation(), **terms,
    )  # fmt: skip
    problem = Problem(samples.X, samples.Y, **terms)
    words, notes = conditions(problem), _compare(header, problem, certificate)
    result = {**certificate.as_dict(), "n_neurons": network.n_neurons, "status": header.status,
              "data": words, "notes": notes, "seconds": time.perf_counter() - started}  # fmt: skip
    if args.proof:
        result["proof_file"] = args.proof
    if args.json:
        print(json.dumps(result))
    else:
        console = Console(highlight=False)
        console.print(f"data           {words}")
        console.print(f"objective      {certificate.objective:.6g}")
        console.print(f"lower bound    {certificate.lower_bound:.6g}, proven for every width")
        console.print(f"proven gap     {certificate.relative_gap:.3%}")
        console.print(f"estimated gap  {certificate.estimated_relative_gap:.3%}, by search")
        console.print(f"proof          {certificate.proof}")
        if args.proof:
            console.print(f"proof file     {args.proof}", soft_wrap=True)
        for note in notes:
            console.print(f"note           {note}", soft_wrap=True)
    return 0


def _compare(header: Header, problem: Problem, proven: Certificate) -> list[str]:
    """Notes on what the model file says and this table does not bear out.

    A bound that the file states is not taken over: files can be edited, and what ``certify``
    prints it has proven itself.
    """
    there = header.certificate
    if header.training.get("digest") != data_digest(problem.X, problem.Y):
        return [
            "the training rows of this table are not those the model was trained on (objective "
            f"there {there.get('objective', np.nan):.6g}): the certificate is for this table"
        ]
    stated = there.get("lower_bound", -np.inf)
    if stated - proven.lower_bound <= 1e-6 * abs(proven.objective):
        return []
    return [
        f"the model file states a better lower bound, {stated:.6g} ({there.get('proof')}); files "
        "can be edited, so it is not taken over: to prove it again raise --time-limit, or fit again"
    ]


def _verify(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    table = read_data(args.data, args.dataset)[0]
    existing_file(args.file)
    try:
        samples = prepare(read_preparation(args.file), table)
        valid, bound, words = verify(args.file, samples.X, samples.Y)
    except ValueError as error:
        valid, bound, words = False, 0.0, f"INVALID: {' '.join(str(error).split())}"
    if args.json:
        seconds = time.perf_counter() - started
        answer = {"valid": valid, "lower_bound": bound if valid else None, "words": words}
        print(json.dumps(answer | {"seconds": seconds}))
    else:
        print(words)
    return 0 if valid else 1
