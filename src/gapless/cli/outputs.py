"""Files that a command writes: looked at before the work, written after it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from ..core.checks import InputError, optional_import
from ..core.files import named_file, write


def check_output(path: str | None) -> None:
    """Raise InputError when nothing can be written to ``path``; None is no output."""
    if path is None:
        return
    named_file(path, "the file to write")
    if not os.path.isdir(folder := os.path.dirname(path) or "."):
        raise InputError(f"{path}: there is no folder {folder!r}; make it first")


def check_picture(path: str | None) -> None:
    """Raise InputError when matplotlib writes no such files, ImportError when it is missing."""
    if path is not None:
        canvas = optional_import("matplotlib.backend_bases", "plot", "drawing").FigureCanvasBase
        if _ending(path) not in canvas.get_supported_filetypes():
            raise InputError(
                f"{path}: matplotlib writes no such files; end the name in .png, .svg or .pdf"
            )


def pyplot() -> Any:
    """pyplot without a window; names of columns are no formulas."""
    matplotlib = optional_import("matplotlib", "plot", "--plot")
    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False
    return optional_import("matplotlib.pyplot", "plot", "--plot")


def save_figure(plt: Any, figure: Any, path: str) -> None:
    """Write a figure in the format that the end of the name says, and close it."""
    picture = io.BytesIO()
    figure.savefig(picture, format=_ending(path), dpi=110)
    plt.close(figure)
    write(path, picture.getvalue())


def _ending(path: str) -> str:
    return os.path.splitext(path)[1][1:].lower()


def csv_text(rows: Iterable[Iterable[Any]], end: str = "\r\n") -> str:
    """Rows by RFC 4180: a cell that is read back is the cell."""
    lines: list[str] = []
    sink: Any = SimpleNamespace(write=lines.append)
    csv.writer(sink, lineterminator="\r\n").writerows(rows)  # it quotes what ends its lines
    return "".join(line[:-2] + end for line in lines)
