"""Where the command meets the terminal: signals, warnings, what is printed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable

# Characters of a line that a pipe or a file takes.
LONGEST = 10_000


def forget_output() -> None:
    """What standard output did not take is dropped: the interpreter would try once more."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises, as Ctrl-C does, so that nothing half written is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def own_warnings() -> Iterator[None]:
    """Our warnings as one line each; those of NumPy and other libraries tell a user nothing."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # in the processes of joblib
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module="gapless")
        warnings.showwarning = lambda message, *_: print(
            f"gapless: {as_options(str(message))}", file=sys.stderr
        )
        yield


def as_options(text: str) -> str:
    """A sentence about parameters as one about options of the command."""
    return text.replace("time_limit", "--time-limit").replace("max_neurons", "--max-neurons")


class _Plain(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with code 1


def plain_console() -> Console:
    """For texts as they are: a column may be called [red] or :smile:."""
    return _Plain(highlight=False, markup=False, emoji=False)


def print_notes(notes: Iterable[str]) -> None:
    """A dim line each."""
    console = plain_console()
    for note in notes:
        console.print(note, style="dim", soft_wrap=True)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Those that are known, one a line; numbers to six digits, lists with commas."""

    def told(value: Any) -> str:
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    print_table((name.replace("_", " "), told(v)) for name, v in facts.items() if v is not None)


def print_table(rows: Iterable[Iterable[str]], *heads: str) -> None:
    """Rows with their cells aligned, under ``heads`` if there are any; in a terminal they wrap."""
    cells = [tuple(row) for row in rows]
    # the name of a file is long, and whole
    columns = [Column(head, overflow="fold") for head in heads or ("",) * len(cells[0])]
    table = RichTable(*columns, show_header=bool(heads), box=None, padding=(0, 2, 0, 0))
    for row in cells:
        table.add_row(*row)
    console = plain_console()
    if not console.is_terminal:
        console.width = LONGEST
    with console.capture() as drawn:
        console.print(table)
    print(*map(str.rstrip, drawn.get().splitlines()), sep="\n")
