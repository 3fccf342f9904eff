"""``gapless improve``: a better or a smaller network, from one that is there."""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..auditing.improve import improve, smaller
from ..bridges.onnx import to_onnx
from ..bridges.torch import from_torch
from ..certificates.verify import data_digest
from ..core.checks import InputError, not_negative, optional_import, positive
from ..core.files import write
from ..core.problem import Problem
from ..core.tensors import has_format
from ..core.watch import Watch
from ..estimators.readable_files import is_readable
from ..training.train import solve
from .audit import add_trained_arguments, read_trained
from .command import Answer
from .image_files import is_image_model
from .kinds import Reading
from .model_files import FORMAT, load, save
from .proofs import in_units_of_training, prepare, terms_of
from .tables import read_data
from .terminal import print_notes, print_table

# What a network of PyTorch is written as.
WRITTEN = (".pt", ".pth", ".safetensors", ".onnx")
# Of the training, where the model's file says what that was.
TOLD = ("loss", "weight_decay", "architecture", "target", "classes")
TOL = 1e-3


def add_improve(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument(
        "model",
        help="of gapless fit; or weights of another training: a state dict (.pt), .safetensors or "
        ".onnx file, with --target, --loss and --weight-decay",
    )
    add_trained_arguments(command)
    command.add_argument(
        "--within", type=float, default=0.0, metavar="SHARE",
        help="the smallest network found whose objective is at most this share above the best, as "
        ".02 (default: the best)",
    )  # fmt: skip
    command.add_argument(
        "--time-limit", type=float, default=60.0, metavar="S", help="seconds to look (default 60)"
    )  # fmt: skip
    command.add_argument("--out", metavar="FILE", help="write it here: a file as the model's is")


def run_improve(args: argparse.Namespace) -> Answer:
    """Improve, write the file that was asked for, and the answer."""
    within = not_negative("--within", args.within)
    positive("--time-limit", args.time_limit)
    if has_format(args.model, FORMAT):
        return _continued(args, within)
    if is_readable(args.model) or is_image_model(args.model):
        raise InputError(
            f"{args.model}: improve is for networks whose neurons mix the columns of a table; fit "
            "this one again with a longer --time-limit"
        )
    _check_written(args.out)
    trained = read_trained(args)
    better = improve(
        trained.model, trained.X, trained.y, **trained.how,
        within=within, time_limit=args.time_limit,
    )  # fmt: skip
    facts = _facts(
        better.objective_before, better.objective_after, better.n_neurons_before,
        better.n_neurons_after,
    )  # fmt: skip
    facts["network"] = " ".join(str(better.model).split())
    if args.out:
        _write_module(args.out, better.model)
        facts["model"] = args.out
    return Answer(facts, _show)


def _continued(args: argparse.Namespace, within: float) -> Answer:
    """A network of ``gapless fit`` trained on, in the units of its training."""
    if given := [name for name in TOLD if getattr(args, name)]:
        raise InputError(
            f"{args.model} says itself how it was trained; leave --{given[0].replace('_', '-')} out"
        )
    network, header = load(args.model)
    X, Y, units = prepare(header, read_data(args.data, args.dataset, Reading.of(args))[0])
    problem = Problem(X, Y, **terms_of(header, Y))
    if header.training["digest"] != data_digest(problem.X, problem.Y):
        raise InputError(
            f"the data are not those that {args.model} was trained on; give the same table, or fit "
            "a model of this one"
        )
    start = in_units_of_training(network, units, problem.bias)
    watch = Watch(args.time_limit)
    solution = solve(
        problem, watch.part(share=0.5 if within else 1.0), tol=TOL, init=start, proof_time=None
    )
    best = min((solution.network, start), key=lambda network: network.objective(problem))
    if within:
        best = [best, *smaller(problem, best, within, watch, tol=TOL)][-1]
    # the bound is of all networks, this one too
    certificate = replace(solution.certificate, objective=best.objective(problem))
    facts = _facts(start.objective(problem), certificate.objective, start.n_neurons, best.n_neurons)
    facts |= {"known": str(certificate), **certificate.as_dict()}
    if args.out:
        known = replace(header, status=solution.status.name, certificate=certificate.as_dict())
        save(args.out, units.raw(best), known)
        facts["model"] = args.out
    return Answer(facts, _show)


def _facts(before: float, after: float, wide: int, narrow: int) -> dict[str, Any]:
    lower = 1 - after / before if before > 0 else 0.0
    change = f"{lower:.2%} lower" if lower >= 0 else f"{-lower:.2%} higher"
    return {
        "summary": f"{narrow} of {wide} neurons, objective {change}",
        "objective_before": before,
        "objective_after": after,
        "n_neurons_before": wide,
        "n_neurons_after": narrow,
    }


def _show(facts: dict[str, Any]) -> None:
    print_notes([f"{facts['summary']}."])
    rows = [
        ("objective", f"{facts['objective_after']:.6g} (before: {facts['objective_before']:.6g})"),
        ("neurons", f"{facts['n_neurons_after']} (before: {facts['n_neurons_before']})"),
    ]
    print_table(
        [*rows, *((key, facts[key]) for key in ("known", "network", "model") if key in facts)]
    )


def _check_written(path: str | None) -> None:
    if path is not None and Path(path).suffix not in WRITTEN:
        raise InputError(f"{path}: end the name in {', '.join(WRITTEN)}")


def _write_module(path: str, module: Any) -> None:
    """The weights of a module, as the end of the name says."""
    suffix = Path(path).suffix
    if suffix == ".onnx":
        to_onnx(from_torch(module), path)
    elif suffix == ".safetensors":
        write(
            path, optional_import("safetensors.torch", "torch", "--out").save(module.state_dict())
        )
    else:
        content = io.BytesIO()
        optional_import("torch", "torch", "--out").save(module.state_dict(), content)
        write(path, content.getvalue())
