"""``gapless export``: a model file as code that runs where gapless is not."""

from __future__ import annotations

import argparse
from typing import Any

from ..core.checks import InputError
from ..core.files import write
from .command import Answer
from .formulas import formula
from .model_files import load

LANGUAGES = ("c", "sql", "excel")


def add_export(command: Any) -> None:
    """The arguments of the command."""
    command.add_argument("model")
    command.add_argument(
        "--to", required=True, choices=LANGUAGES,
        help="c: a function; sql: a query; excel: a .csv file with formulas",
    )  # fmt: skip
    command.add_argument("--out", metavar="FILE", help="default: standard output")


def run_export(args: argparse.Namespace) -> Answer:
    """Write the code, to the file that was asked for or as the answer."""
    network, header = load(args.model)
    if not header.columns:
        raise InputError(f"{args.model} does not name its columns; fit it with gapless fit")
    text = formula(args.to, network, header)
    facts = {"language": args.to, "n_neurons": network.n_neurons, "code": text}
    if args.out:
        write(args.out, text.encode())
        return Answer(facts, lambda _: None)
    return Answer(facts, lambda facts: print(facts["code"], end=""))
