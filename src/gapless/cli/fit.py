"""``gapless fit`` and ``gapless path``: networks trained on a table."""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from typing import Any

import numpy as np

from ..certificates.verify import data_digest
from ..core.checks import not_negative, positive
from ..core.network import Network
from ..core.problem import Problem
from ..core.processes import can_fork
from ..core.result import Solution, Status, about
from ..core.watch import Watch
from ..gauge.direction import begin_compiling
from ..training.choosing import chosen
from ..training.cross_validation import FOLDS, Choice
from ..training.neurons import widened
from ..training.path import RegularizationPath, path
from ..training.progress import counter, progress
from ..training.relevance import on_kept
from ..training.train import proof_times, solve
from .command import Answer, exit_code, given_weight_decay
from .job import Job, add_job_arguments, read_job
from .model_files import Header, save
from .outputs import check_picture, pyplot, save_figure
from .scores import job_scores, linear_beside, score_rows, summary, untested
from .terminal import as_options, plain_console, print_notes, print_table

# Seconds for the choice of a weight decay where nobody says, and for training at least: of 18
# tables in half a second instead of one none was worse by more than other splits are.
QUICK, LEAST = 5.0, 0.5


def add_fit(command: Any) -> None:
    """The arguments of the command."""
    add_job_arguments(command)
    _add_image_arguments(command)
    command.add_argument(
        "--weight-decay", default="auto", metavar="W",
        help="a number, or auto: chosen by cross-validation (default)",
    )  # fmt: skip
    command.add_argument(
        "--select", choices=("auto", "none"), default="auto",
        help="auto (default): leave out columns where that helps to predict, by the same "
        "cross-validation as the weight decay; none: keep all",
    )  # fmt: skip
    command.add_argument("--max-neurons", type=int, metavar="M")
    command.add_argument(
        "--time-limit", type=float, metavar="S",
        help="seconds for all of it, the proof too (default: 15 and more for many rows, and the "
        "proof)",
    )  # fmt: skip
    command.add_argument(
        "--prove-time", type=float, metavar="S",
        help="seconds to prove how good it is, once trained (default: as long as training, some "
        "more where that proves much, or what --time-limit leaves; 0: nothing)",
    )  # fmt: skip
    command.add_argument(
        "--readable", nargs="?", const="one", choices=("one", "pairs"),
        help="neurons of one feature each, or of two: a sum of curves, proven optimal",
    )  # fmt: skip
    add_progress(command)
    command.add_argument("--out", metavar="MODEL.safetensors", help="write the network here")
    command.add_argument(
        "--plot", metavar="FILE.png", help="draw how the gap closed and the neurons"
    )


def are_images(path: str | None) -> bool:
    """Whether the name is that of a file of images."""
    return path is not None and path.lower().endswith(".npz")


def _add_image_arguments(command: Any) -> None:
    """The arguments of :mod:`.images`, beside those of a table."""
    images = command.add_argument_group(
        "images",
        "a .npz file with X (n, H, W[, channels]) and y, or X_train, y_train, X_test, y_test",
    )
    images.add_argument("--size", type=int, default=5, help="of the filters (default 5)")
    images.add_argument("--stride", type=int, default=1)
    images.add_argument("--padding", type=int, default=0)
    images.add_argument(
        "--pool", default="grid", help="grid (default), global, none or places an axis"
    )
    images.add_argument("--whiten", action="store_true", help="filter what neighbours share first")


def run_fit(args: argparse.Namespace) -> Answer:
    """Train, write what was asked for, and the answer."""
    # what a fit does not need is not imported: it waits for nothing longer
    if are_images(args.data):
        from .images import fit_images

        return fit_images(args)
    if args.readable is not None:
        from .readable import run_readable

        return run_readable(args)
    started, watch = time.perf_counter(), Watch.of(args.time_limit)
    check_picture(args.plot)
    weight_decay = given_weight_decay(args)
    job = read_job(args)
    if args.prove_time is not None:
        not_negative("--prove-time", args.prove_time)
    positive("tol", args.tol)  # solve says it too, but after the cross-validation
    if args.prove_time is None and args.time_limit is None:
        begin_compiling(job.problem(1.0))  # as solve does, beside the choice

    linear = linear_beside(job)

    # 1. the weight decay, and the columns
    if not watch.limited:
        watch = Watch.patient(None, job.X.size)
    start, done = None, []
    if weight_decay == "auto":
        choice, watch = _choice(job, watch, args)
        weight_decay = choice.weight_decay
        job, start = _on_kept(job, choice, args.keep)
        alone = len(choice.losses) == 1
        by = "a third of the training rows" if alone else f"{FOLDS}-fold cross-validation"
        done.append(f"weight_decay {weight_decay:.3g} chosen by {by}")

    # 2. the network, back in the units of the table
    problem = job.problem(weight_decay)
    solution = _solved(problem, watch, start, args)
    if job.n_left_out:
        solution = on_kept(solution, len(job.encoder.columns))
    network = job.units.raw(solution.network)

    # 3. what it is worth, and the files
    facts = _facts(job, solution, network, weight_decay, job_scores(job, network, linear))
    facts["notes"] = [*job.notes, *done]
    if args.out:
        save(args.out, network, _header(job, problem, solution, args))
        facts["model"] = args.out
    if args.plot:
        _draw(args.plot, solution, job.encoder.names)
        facts["plot"] = args.plot
    facts["seconds"] = time.perf_counter() - started
    classes = list(map(str, job.classes or ()))
    show = partial(_show_fit, classes, solution.certificate.other)
    return Answer(facts, show, exit_code(args, solution.status))


def _choice(job: Job, watch: Watch, args: argparse.Namespace) -> tuple[Choice, Watch]:
    """A weight decay, and columns, by cross-validation; and the watch of training with them."""
    return chosen(
        job.problem(1.0), watch, limited=args.time_limit is not None, unasked=QUICK, least=LEAST,
        shown=args.progress, select=args.select == "auto", max_neurons=args.max_neurons,
        random_state=args.seed, n_jobs=min(os.cpu_count() or 1, FOLDS), forks=can_fork(),
    )  # fmt: skip


def _solved(
    problem: Problem, watch: Watch, start: Network | None, args: argparse.Namespace
) -> Solution:
    """Trained and proven, from ``start`` if there is one."""
    kept, proof_time = proof_times(watch, args.time_limit, args.prove_time)
    with progress("training", args.progress, args.tol, watch) as report:
        return solve(
            problem, watch.part(report, kept=kept), tol=args.tol, max_neurons=args.max_neurons,
            init=start, random_state=args.seed, proof_time=proof_time, joins=start is None,
        )  # fmt: skip


def _facts(
    job: Job, solution: Solution, network: Network, weight_decay: float, told: dict[str, Any]
) -> dict[str, Any]:
    """What the network, in the units of the table, is worth, and what is proven of it."""
    return {
        "summary": summary(job.target, len(job.classes or ()), network.n_neurons, told),
        "known": solution.known,
        "advice": solution.advice,
        "status": solution.status.name,
        "task": job.task,
        **solution.certificate.as_dict(),
        "n_neurons": network.n_neurons,
        "weight_decay": weight_decay,
        **told,
    }


def _on_kept(job: Job, choice: Choice, asked: list[str]) -> tuple[Job, Network | None]:
    """The job of the columns that were chosen or asked for, and the network to start from."""
    if choice.columns is None:
        return job, choice.start
    kept, numbers = job.on_columns(choice.columns, asked)
    if choice.start is None:
        return kept, None
    places = np.searchsorted(numbers, choice.columns)
    return kept, widened(choice.start, places, len(numbers))


def add_progress(command: Any) -> None:
    """The argument for those who read a log."""
    command.add_argument(
        "--progress", action="store_true", default=None,
        help="tell every few seconds how far it is, also where there is no terminal",
    )  # fmt: skip


def _header(job: Job, problem: Problem, solution: Solution, args: argparse.Namespace) -> Header:
    """What the model file says: enough to make the same samples of the same table again."""
    units = job.units
    training = {
        "loss": job.loss, "weight_decay": problem.weight_decay, "bias": job.bias,
        "mean": units.mean.tolist(), "scale": units.scale.tolist(),
        "y_mean": float(units.y_mean[0]), "y_scale": float(units.y_scale[0]),
        "test_size": args.test_size, "seed": args.seed, "n_rows": len(job.X),
        "digest": data_digest(problem.X, problem.Y),
        "class_weight": "balanced" if job.balanced else None, "absent": job.absent,
        "down": job.down,
    }  # fmt: skip
    return Header(
        job.task, job.target, job.classes, job.encoder.columns,
        solution.status.name, solution.certificate.as_dict(), training,
    )  # fmt: skip


def _draw(file: str, solution: Solution, names: list[str]) -> None:
    from ..plotting.training import GapDisplay, NeuronDisplay

    plt = pyplot()
    height = 3.0 + 0.24 * min(len(names), 40)
    figure, axes = plt.subplots(1, 2, figsize=(15, max(4.5, height)), layout="constrained")
    GapDisplay.from_solution(solution, ax=axes[0])
    NeuronDisplay.from_network(solution.network, feature_names=names, ax=axes[1])
    save_figure(plt, figure, file)


def _show_fit(classes: list[str], other: str, facts: dict[str, Any]) -> None:
    plain_console().print(f"{facts['summary']}.", soft_wrap=True)
    print_notes(facts["notes"])
    below = f"no {other} is below {facts['lower_bound']:.6g}"
    estimate = about(facts["estimated_relative_gap"])
    rows = [
        ("known", facts["known"]),
        *([("advice", facts["advice"])] if facts["advice"] else []),
        ("status", as_options(Status[facts["status"]].value)),
        ("objective", f"{facts['objective']:.6g}"),
        ("proven gap", f"{facts['relative_gap']:.3%} ({below})"),
        ("proof", facts["proof"]),
        ("estimated gap", f"{estimate} (from a search: it proves nothing)"),
        ("neurons", str(facts["n_neurons"])),
        *score_rows(facts, classes),
        ("seconds", f"{facts['seconds']:.1f}"),
    ]
    print_table([*rows, *((key, facts[key]) for key in ("model", "plot") if key in facts)])


def add_path(command: Any) -> None:
    """The arguments of the command."""
    add_job_arguments(command)
    command.add_argument("--n-values", type=int, default=30, metavar="N", help="default 30")
    command.add_argument(
        "--ratio", type=float, default=1e-3,
        help="last weight decay over the first, which has no neurons (default 1e-3)",
    )  # fmt: skip
    command.add_argument("--time-limit", type=float, metavar="S", help="seconds for all of it")
    add_progress(command)
    command.add_argument("--out", metavar="FILE.png", help="draw the path here")


def run_path(args: argparse.Namespace) -> Answer:
    """Train, draw what was asked for, and the answer."""
    started = time.perf_counter()
    check_picture(args.out)
    job = read_job(args)
    with counter("training the path", args.progress) as report:
        trained = path(
            job.problem(1.0), n_values=args.n_values, ratio=args.ratio, tol=args.tol,
            time_limit=args.time_limit, random_state=args.seed,
            callback=None if report is None else lambda done, total, _: report(done, total),
        )  # fmt: skip
    networks = [job.units.raw(solution.network) for solution in trained]
    why = untested(job.Y[job.test, 0], job.labels is not None)
    facts: dict[str, Any] = {
        "task": job.task,
        "score": job.measure,
        "weight_decay": trained.weight_decays.tolist(),
        "n_neurons": trained.n_neurons.tolist(),
        "objective": trained.objectives.tolist(),
        "lower_bound": trained.lower_bounds.tolist(),
        "estimated_lower_bound": trained.estimated_lower_bounds.tolist(),
        "status": [solution.status.name for solution in trained],
        "train_score": [job.score(network, job.train) for network in networks],
        "test_score": [None if why else job.score(network, job.test) for network in networks],
        "notes": [*job.notes, *[f"no test score: {why}"] * bool(why)],
    }
    if args.out:
        from ..plotting.training import PathDisplay

        plt = pyplot()
        tested = None if why else np.array([facts["test_score"]])
        display = PathDisplay(trained, scores=tested).plot()
        save_figure(plt, display.figure_, args.out)
        facts["plot"] = args.out
    facts["seconds"] = time.perf_counter() - started
    early = len(trained) < args.n_values or any(s.status.unfinished for s in trained)
    return Answer(facts, partial(_show_path, trained), int(early))


def _show_path(trained: RegularizationPath, facts: dict[str, Any]) -> None:
    print_notes(facts["notes"])
    rows = [
        (
            f"{weight_decay:.4g}", str(s.network.n_neurons), f"{s.certificate.objective:.6g}",
            f"{s.certificate.relative_gap:.2%}", about(s.certificate.estimated_relative_gap),
            f"{train:.4f}", "none" if test is None else f"{test:.4f}",
        )
        for weight_decay, s, train, test in zip(
            facts["weight_decay"], trained, facts["train_score"], facts["test_score"]
        )
    ]  # fmt: skip
    print_table(
        rows, "weight decay", "neurons", "objective", "gap proven", "estimated", "train", "test"
    )
    plain_console().print(f"train and test are {facts['score']}; {facts['seconds']:.1f} s")
