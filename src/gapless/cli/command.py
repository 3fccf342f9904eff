"""What all commands share.

A command is two functions in the file of its family, and a line in the list of :mod:`.main`:
``add_NAME(commands)`` says its arguments, ``run_NAME(args)`` computes an :class:`Answer`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str
) -> Any:
    """The parser of a new command that is answered by ``run``, with the option ``--json``."""
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)
    return command


def add_data_arguments(command: Any, text: str = DATA) -> None:
    """The arguments of :func:`.tables.read_data`."""
    command.add_argument("data", nargs="?", help=text)
    command.add_argument("--dataset", metavar="NAME", help=f"bundled: {', '.join(DATASETS)}")
    add_reading_arguments(command)
