"""The ``gapless`` command.

Exit codes: 0 the command did what was asked; 1 training ended early (time limit, Ctrl-C), the
best network so far was still written, or a proof was found INVALID; 2 a mistake in the input, said
in one line on stderr.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.table import Table as RichTable

from .. import __version__
from ..certificates.certify import certify
from ..certificates.verify import data_digest, verify
from ..core.checks import InputError, optional_import, positive, shown
from ..core.files import existing_file, named_file, write
from ..core.problem import Problem
from ..core.result import Certificate, Status, about
from ..core.watch import Watch
from ..curves.spline import SplineSolution
from ..estimators.curves import SplineClassifier, SplineRegressor
from ..estimators.relu_cv import CHOICE, CHOOSING
from ..gauge.choose import METHODS, conditions
from ..plotting.curves import SplineDisplay
from ..plotting.training import GapDisplay, NeuronDisplay, PathDisplay
from ..training.cross_validation import choose_weight_decay
from ..training.path import path
from ..training.progress import counter, progress
from ..training.train import solve
from .audit import add_audit_arguments, run_audit
from .job import Job, guess_task, rescale
from .model_files import Header, load, predict, prepare, read_preparation, save
from .tables import (
    DATASETS,
    Encoder,
    check_complete,
    check_numbers,
    check_slips,
    read_data,
    read_table,
    texts,
)
from .terminal import (
    csv_text,
    ended_by_sigterm,
    forget_output,
    own_warnings,
    plain_console,
    pyplot,
    save_figure,
)

# Characters of a message; a table may have thousands of columns to name.
LONGEST = 1000
# Columns that verify names.
SHOWN = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know fewer letters than a table
            stream.reconfigure(errors="backslashreplace")
    args = _parser().parse_args(argv)
    try:
        for name in ("out", "plot", "proof", "html"):
            _check_output(getattr(args, name, None))
        with own_warnings(), ended_by_sigterm():
            code = int(args.run(args))
            print(end="", flush=True)  # what cannot be written fails here, not after the end
            return code
    except BrokenPipeError:  # the reader, say head, has seen enough
        forget_output()
        return 0
    except (ValueError, ImportError, OSError) as error:
        told = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            told = f"{error.filename}: {error.strerror}"
        told = " ".join(told.split())
        print(f"gapless: {told[:LONGEST]}{'...' * (len(told) > LONGEST)}", file=sys.stderr)
        if isinstance(error, OSError):
            forget_output()
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
    fit.add_argument(
        "--time-limit", type=float, metavar="S",
        help="seconds for all of it (default: 15, twice that to choose a weight decay, and more "
        "for many rows; nothing is proven in them)",
    )  # fmt: skip
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
    check.add_argument("--method", choices=("auto", *METHODS), default="auto", help="how to prove")

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
    task, choosing = job.task, weight_decay == "auto"
    if not watch.limited:
        watch = Watch.patient(None, job.X.size, CHOICE if choosing else 1.0)
    if choosing:
        with counter("choosing weight_decay") as report:
            choice = choose_weight_decay(
                job.problem(1.0), callback=report, random_state=args.seed, n_jobs=_cores(),
                time_limit=CHOOSING * watch.left,
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
            proving=args.time_limit is not None,
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


def _prepare(args: argparse.Namespace) -> tuple[Job, Encoder, str, list[str]]:
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
    if not 0 <= args.seed < 1 << 32:
        raise InputError(f"--seed must lie between 0 and 2^32 - 1, got {shown(args.seed)}")
    y = table.pop(target)
    notes = []
    encoder, constant = Encoder.learn({k: v for k, v in table.items() if k not in args.drop})
    text = [f"{name} ({len(kinds)})" for name, kinds in encoder.columns if kinds is not None]
    if text:
        notes.append(f"text columns, a feature for each text: {', '.join(text)}")
    if constant:
        notes.append(f"constant columns left out: {', '.join(constant)}")
    task, why = guess_task(target, y, args.task)
    notes.append(f"{task}: {why}")
    X = encoder.encode(table)
    check_complete(target, y)
    if task == "classification":
        y = texts(table, target)
    return Job(X, y, task, args), encoder, target, notes


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
        plt = pyplot()
        scores = np.array([result["test_score"]])
        display = PathDisplay(trained, scores=scores).plot()
        save_figure(plt, display.figure_, args.out)
        result["plot"] = args.out
    result["seconds"] = time.perf_counter() - started
    early = len(trained) < args.n_values or any(s.status.unfinished for s in trained)
    if args.json:
        print(json.dumps(result))
        return int(early)
    console = plain_console()
    for note in notes:
        console.print(note, style="dim", soft_wrap=True)
    heads = ("weight decay", "neurons", "objective", "gap proven", "estimated", "train", "test")
    table = RichTable(*heads, box=None, padding=(0, 2, 0, 0))
    for i, solution in enumerate(trained):
        c = solution.certificate
        table.add_row(
            f"{trained.weight_decays[i]:.4g}", str(solution.network.n_neurons),
            f"{c.objective:.6g}", f"{c.relative_gap:.2%}", about(c.estimated_relative_gap),
            f"{result['train_score'][i]:.4f}", f"{result['test_score'][i]:.4f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"train and test are {result['score']}; {result['seconds']:.1f} s")
    return int(early)


def _cores() -> int:
    return min(os.cpu_count() or 1, 5)


def _draw(file: str, solution: Any, names: list[str]) -> None:
    plt = pyplot()
    height = 3.0 + 0.24 * min(len(names), 40)
    figure, axes = plt.subplots(1, 2, figsize=(15, max(4.5, height)), layout="constrained")
    GapDisplay.from_solution(solution, ax=axes[0])
    NeuronDisplay.from_network(solution.network, feature_names=names, ax=axes[1])
    save_figure(plt, figure, file)


def _report(result: dict[str, Any], status: Status) -> None:
    console = plain_console()
    for note in result["notes"]:
        console.print(note, style="dim", soft_wrap=True)
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
            f"{about(result['estimated_relative_gap'])} (from a search: it proves nothing)",
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
        write(args.out, csv_text([["from", "to", "value at start", "slope"], *rows]).encode())
        result["table"] = args.out
    if args.plot:
        plt = pyplot()
        display = SplineDisplay.from_estimator(model, x[:, None], y)
        display.ax_.set_xlabel(args.x)
        if display.classes is None:
            display.ax_.set_ylabel(args.y)
        save_figure(plt, display.figure_, args.plot)
        result["plot"] = args.plot
    result["seconds"] = time.perf_counter() - started
    if args.json:
        print(json.dumps(result))
        return 0
    console = plain_console()
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
    rows = [list(columns), *zip(*[c.tolist() for c in columns.values()])]
    if args.json:
        print(json.dumps({name: c.tolist() for name, c in columns.items()}))
    elif args.out:
        write(args.out, csv_text(rows).encode())
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):  # labels as they are, as in a file
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        print(csv_text(rows, "\n"), end="")
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
    plain_console().print(table)
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
        console = plain_console()
        console.print(f"data           {words}")
        console.print(f"objective      {certificate.objective:.6g}")
        console.print(f"lower bound    {certificate.lower_bound:.6g}, proven for every width")
        console.print(f"proven gap     {certificate.relative_gap:.3%}")
        console.print(f"estimated gap  {about(certificate.estimated_relative_gap)}, by search")
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
        header = read_preparation(args.file, table)
        samples = prepare(header, table)
        valid, bound, words = verify(args.file, samples.X, samples.Y)
        if valid:
            words = "\n".join([words, *_scope(header, len(samples.X))])
    except ValueError as error:
        valid, bound, words = False, 0.0, f"INVALID: {' '.join(str(error).split())}"
    if args.json:
        seconds = time.perf_counter() - started
        answer = {"valid": valid, "lower_bound": bound if valid else None, "words": words}
        print(json.dumps(answer | {"seconds": seconds}))
    else:
        print(words)
    return 0 if valid else 1


def _scope(header: Header, n_samples: int) -> list[str]:
    """Which rows, target and columns a proof is about, and in which units."""
    t, names = header.training, header.encoder.names
    classes = "" if header.classes is None else f" of {', '.join(map(repr, header.classes))}"
    columns = [
        name + _unit(mean, scale) for name, mean, scale in zip(names[:SHOWN], t["mean"], t["scale"])
    ]
    if len(names) > SHOWN:
        columns.append(f"and {len(names) - SHOWN} more, in their units too")
    return [
        f"rows     {n_samples} of {t['n_rows']}, split by test size {t['test_size']:g} "
        f"and seed {t['seed']}",
        f"target   {header.target}{classes}{_unit(t['y_mean'], t['y_scale'])}",
        *(f"{'' if number else 'columns':<9}{column}" for number, column in enumerate(columns)),
    ]


def _unit(mean: float, scale: float) -> str:
    return "" if (mean, scale) == (0, 1) else f", less {mean:.6g}, divided by {scale:.6g}"
