"""Where the command meets the terminal: output, warnings, signals, pictures."""

from __future__ import annotations

import csv
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from ..core.checks import optional_import
from ..core.files import write


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
        warnings.showwarning = lambda message, *_: print(f"gapless: {message}", file=sys.stderr)
        yield


def plain_console() -> Console:
    """For texts as they are: a column may be called [red] or :smile:."""
    return Console(highlight=False, markup=False, emoji=False)


def pyplot() -> Any:
    """pyplot without a window; names of columns are no formulas."""
    matplotlib = optional_import("matplotlib", "plot", "--plot")
    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False
    return optional_import("matplotlib.pyplot", "plot", "--plot")


def save_figure(plt: Any, figure: Any, file: str) -> None:
    """Write a figure in the format that the end of the name says, and close it."""
    picture = io.BytesIO()
    figure.savefig(picture, format=os.path.splitext(file)[1][1:].lower(), dpi=110)
    plt.close(figure)
    write(file, picture.getvalue())


def csv_text(rows: Iterable[Iterable[Any]], end: str = "\r\n") -> str:
    """Rows by RFC 4180: a cell that is read back is the cell."""
    lines: list[str] = []
    sink: Any = SimpleNamespace(write=lines.append)
    csv.writer(sink, lineterminator="\r\n").writerows(rows)  # it quotes what ends its lines
    return "".join(line[:-2] + end for line in lines)
