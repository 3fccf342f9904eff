"""``gapless certify`` and ``gapless verify``: proofs about the table of a model."""

from __future__ import annotations

import argparse
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..certificates.certify import certify
from ..certificates.verify import data_digest, member, verify
from ..core.checks import Array, InputError
from ..core.files import existing_file
from ..core.losses import LOG_LINK, loss_of_targets
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import Certificate, about
from ..estimators.labels import encode_labels
from ..estimators.units import Units
from ..gauge.choose import METHODS, conditions
from .columns import check_numbers, check_sizes
from .command import Answer, add_data_arguments
from .job import class_weights, split_rows
from .kinds import Reading
from .model_files import Header, load, longest_header
from .numbers import is_number
from .preparing import Encoder
from .tables import Table, read_data, rows_with, texts, without_lone
from .terminal import plain_console

# Share of what units alone make of no bias that rounding may add.
ROUNDED = 1e-9
# Columns that verify names.
SHOWN = 40


def prepare(header: Header, table: Table) -> tuple[Array, Array, Units]:
    """The samples a model was trained on, from its table: encoded, split and standardised.

    Returns
    -------
    X : array (n_samples, n_numbers)
    Y : array (n_samples, n_outputs)
    units : Units
        What made them of the units of the table.

    Raises
    ------
    InputError
        When the table is not the one of the training, or the header is damaged.
    """
    t = header.training
    if not t:
        raise InputError("the model file does not say how it was trained")
    if header.target not in table:
        raise InputError(f"the data have no target column {header.target!r}")
    table = rows_with(header.as_trained(table), header.target)[0]
    if header.classes is not None:
        table = without_lone(table, header.target)
    y = table[header.target]
    if len(y) != t["n_rows"]:
        raise InputError(f"the model was trained on {t['n_rows']} rows, the data have {len(y)}")
    check_sizes(header.target, y)
    X, labels = Encoder(header.columns).encode(table), None
    units = Units(
        np.array(t["mean"], float), np.array(t["scale"], float),
        np.array([t["y_mean"]]), np.array([t["y_scale"]]), t["loss"] in LOG_LINK,
    )  # fmt: skip
    if header.classes is None:
        check_numbers(header.target, y)
        Y = units.targets(y[:, None])
    else:
        labels = _labels(header, table)
        loss = "logistic" if t["loss"] == "softmax" else t["loss"]
        Y = encode_labels(labels, len(header.classes), loss)[0]
    rows = split_rows(len(y), labels, t["test_size"], t["seed"])[0]
    return units.features(X[rows]), Y[rows], units


def terms_of(header: Header, Y: Array) -> dict[str, Any]:
    """What a :class:`gapless.Problem` takes besides the samples of :func:`prepare`."""
    t = header.training
    terms = {"weight_decay": t["weight_decay"], "bias": t["bias"]}
    terms["loss"] = loss_of_targets(t["loss"], Y)
    if t.get("class_weight") == "balanced":
        terms["sample_weight"] = class_weights(Y)
    return terms


def _labels(header: Header, table: Table) -> Array:
    """Each row's place among the classes."""
    place: dict[Any, int] = {str(c): k for k, c in enumerate(header.classes or ())}
    y, names = table[header.target], texts(table, header.target)
    if y.dtype.kind == "f" and not place.keys() >= set(names):  # 1 may be 1.0 in another file
        place, names = {float(c): k for c, k in place.items() if is_number(c)}, y
    try:
        return np.array([place[name] for name in names.tolist()])
    except KeyError as error:
        raise InputError(
            f"the target column has the class {error.args[0]!r} that the model does not know"
        ) from error


def add_certify(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model")
    add_data_arguments(command)
    command.add_argument("--proof", metavar="FILE.npz", help="write the proof here, for verify")
    command.add_argument(
        "--time-limit", type=float, default=10.0, metavar="S", help="seconds to prove (default 10)"
    )
    command.add_argument(
        "--method", choices=("auto", *METHODS), default="auto", help="how to prove"
    )


def run_certify(args: argparse.Namespace) -> Answer:
    """Prove a bound for the model, write the proof if asked for, and the answer."""
    started = time.perf_counter()
    if not args.time_limit >= 0:
        raise InputError(f"--time-limit must be seconds, 0 or more, got {args.time_limit}")
    network, header = load(args.model)
    X, Y, units = prepare(header, read_data(args.data, args.dataset, Reading.of(args))[0])
    terms = terms_of(header, Y)
    certificate = certify(
        in_units_of_training(network, units, terms["bias"]),
        X, Y, method=args.method, time_limit=args.time_limit,
        proof=args.proof, preparation=header.preparation(), **terms,
    )  # fmt: skip
    problem = Problem(X, Y, **terms)
    facts = {
        "known": str(certificate), **certificate.as_dict(),
        "n_neurons": network.n_neurons, "status": header.status,
        "data": conditions(problem), "notes": _compare(header, problem, certificate),
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
    if args.proof:
        facts["proof_file"] = args.proof
    return Answer(facts, _show_certificate)


def in_units_of_training(network: Network, units: Units, bias: str) -> Network:
    """The network of a file, which has the units of the table; without biases where it was trained
    without and rounding alone has left any."""
    back = units.of_raw(network)
    if bias != "none":
        return back
    bare = replace(back, hidden_bias=0 * back.hidden_bias, output_bias=0 * back.output_bias)
    there = units.raw(bare)
    size = np.abs(units.mean) @ np.abs(there.hidden_weights)
    same = np.all(np.abs(there.hidden_bias - network.hidden_bias) <= ROUNDED * size)
    return bare if same and np.allclose(there.output_bias, network.output_bias, ROUNDED) else back


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
    if stated - proven.lower_bound <= 1e-6 * abs(proven.objective):  # rounding
        return []
    return [
        f"the model file states a better lower bound, {stated:.6g} ({there.get('proof')}); files "
        "can be edited, so it is not taken over: to prove it again raise --time-limit, or fit again"
    ]


def _show_certificate(facts: dict[str, Any]) -> None:
    console = plain_console()
    console.print(f"known          {facts['known']}")
    console.print(f"data           {facts['data']}")
    console.print(f"objective      {facts['objective']:.6g}")
    console.print(f"lower bound    {facts['lower_bound']:.6g}, proven for every width")
    console.print(f"proven gap     {facts['relative_gap']:.3%}")
    console.print(f"estimated gap  {about(facts['estimated_relative_gap'])}, by search")
    console.print(f"proof          {facts['proof']}")
    if "proof_file" in facts:
        console.print(f"proof file     {facts['proof_file']}", soft_wrap=True)
    for note in facts["notes"]:
        console.print(f"note           {note}", soft_wrap=True)


def add_verify(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("file", metavar="PROOF.npz")
    add_data_arguments(command)


def run_verify(args: argparse.Namespace) -> Answer:
    """Whether the proof holds for the table, and what it is about."""
    started = time.perf_counter()
    table = read_data(args.data, args.dataset, Reading.of(args))[0]
    existing_file(args.file)
    try:
        header = read_preparation(args.file, table)
        X, Y, _ = prepare(header, table)
        valid, bound, words = verify(args.file, X, Y)
        if valid:
            words = "\n".join([words, *_scope(header, len(X))])
    except ValueError as error:  # a file or a table that proves nothing is no mistake of the user
        valid, bound, words = False, 0.0, f"INVALID: {' '.join(str(error).split())}"
    facts = {
        "valid": valid, "lower_bound": bound if valid else None, "words": words,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
    return Answer(facts, lambda facts: print(facts["words"]), 0 if valid else 1)


def read_preparation(path: str | Path, table: Table) -> Header:
    """What a proof file says of how its samples were made from such a table.

    Raises
    ------
    InputError
        For a truncated or foreign file, and for a proof that was not made from a table.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            most = 4 * longest_header(len(table))  # bytes: NumPy keeps texts in UTF-32
            return Header.parse(str(member(archive, "preparation", "U", most)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # whatever a malformed file breaks
        raise InputError(
            f"{path} is not a proof of a model trained on a table, or a damaged one "
            f"({type(error).__name__})"
        ) from error


def _scope(header: Header, n_samples: int) -> list[str]:
    """Which rows, target and columns a proof is about, and in which units."""
    t, names = header.training, Encoder(header.columns).names
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
