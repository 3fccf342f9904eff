"""What all commands share.

A command is two functions in the file of its family, and a line in the list of :mod:`.main`:
``add_NAME(command)`` says its arguments, ``run_NAME(args)`` computes an :class:`Answer`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.checks import positive
from ..core.result import Status
from .kinds import add_reading_arguments
from .tables import DATASETS

DATA = (
    "a .csv, .tsv, .json, .jsonl, .parquet, .arrow, .xlsx or .npy file, a folder of Parquet files, "
    "'a pattern*', -"
)


@dataclass(frozen=True)
class Answer:
    """What a command found out, before any of it is printed.

    Attributes
    ----------
    facts : dict
        What ``--json`` prints, in this order.
    show : callable
        Prints the facts it is given as text.
    code : int
        The exit code.
    allow_nan : bool
        Whether ``--json`` may print infinities, which JSON itself does not know.
    """

    facts: dict[str, Any]
    show: Callable[[dict[str, Any]], None]
    code: int = 0
    allow_nan: bool = True

    def print(self, as_json: bool) -> None:
        """Print the facts to standard output."""
        if as_json:
            print(json.dumps(self.facts, allow_nan=self.allow_nan))
        else:
            self.show(self.facts)


def exit_code(args: argparse.Namespace, status: Status) -> int:
    """1 where training ended early, but not at a time limit of its own, when none was given."""
    own = args.time_limit is None and status is Status.TIME_LIMIT
    return int(status.unfinished and not own)


def given_weight_decay(args: argparse.Namespace, *rules: str) -> Any:
    """``--weight-decay`` as a number, or "auto" and other rules by which one is chosen."""
    given = args.weight_decay
    return given if given in ("auto", *rules) else positive("--weight-decay", given)


def add_data_arguments(command: Any, text: str = DATA) -> None:
    """The arguments of :func:`.tables.read_data`."""
    command.add_argument("data", nargs="?", help=text)
    command.add_argument("--dataset", metavar="NAME", help=f"bundled: {', '.join(DATASETS)}")
    add_reading_arguments(command)
