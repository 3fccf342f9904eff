"""Tables of typed values: Parquet, Arrow, Feather, and the sheets of Excel."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

import numpy as np

from ..core.checks import Array, InputError, counted, optional_import
from .layout import Arranged, arrange, distinct
from .numbers import rounds_together

# How workbooks begin, of this century and of the last.
BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def read_excel(stream: BinaryIO, name: str, header: bool | None) -> Arranged:
    """The first sheet of a spreadsheet that has two columns, as if it were a text file."""
    pandas = optional_import("pandas", "pandas", "reading tables")
    content = stream.read()
    if not content.startswith(BOOKS):
        raise InputError(
            f"{name}: is no workbook but for its name: call it .csv if it is text, or save the "
            "sheet as .xlsx or CSV"
        )
    try:
        sheets = pandas.read_excel(io.BytesIO(content), sheet_name=None, header=None, dtype=object)
    except ImportError as error:
        raise InputError(
            f"{name}: reading it needs a library ({error}); pip install 'gapless[excel]' reads "
            ".xlsx, or save the sheet as CSV"
        ) from error
    except Exception as error:  # its readers have many kinds
        raise InputError(
            f"{name}: cannot be read as Excel: {error}; save the sheet as .xlsx or CSV"
        ) from error
    tables = [title for title, sheet in sheets.items() if sheet.shape[1] > 1]
    title = (tables or list(sheets))[0]
    cells = sheets[title].to_numpy(object)
    merged = _fill_merged(cells, content, title)
    arranged = arrange(_sheet_rows(cells), name, header)
    arranged.mark = ","
    if merged:
        arranged.notes.append(f"{counted(merged, 'merged cell')} read as if each row had the text")
    if others := [other for other in sheets if other != title]:
        arranged.notes.insert(0, f"sheet {title!r} read, not {', '.join(map(repr, others))}")
    return arranged


def _fill_merged(cells: Array, content: bytes, title: str) -> int:
    """Give each row that a merged cell of a workbook spans its text; how many such cells."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pages = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
        if not any(b"<mergeCell " in archive.read(page) for page in pages):
            return 0
    openpyxl = optional_import("openpyxl", "excel", "reading merged cells")
    n_rows, n_columns = cells.shape
    tall = [
        area for area in openpyxl.load_workbook(io.BytesIO(content))[title].merged_cells.ranges
        if area.min_row < area.max_row and area.min_row <= n_rows and area.min_col <= n_columns
    ]  # fmt: skip
    for area in tall:
        column = cells[area.min_row - 1 : area.max_row, area.min_col - 1]
        column[:] = column[0]
    return len(tall)


def _sheet_rows(cells: Array) -> Iterable[list[str]]:
    """Rows as in a text file: without empty columns around, a title alone in its row."""
    there: Array = np.array([[not lacks(cell) for cell in row] for row in cells], bool)
    if not there.any():
        return
    used = np.flatnonzero(there.any(axis=0))
    left, right = int(used[0]), int(used[-1]) + 1
    last = int(np.flatnonzero(there.any(axis=1))[-1])
    begun = False
    for row, full in zip(cells[: last + 1], there[:, left:right]):
        begun = begun or bool(full[1:].any())
        written = [_written(cell) for cell in row[left:right]]
        yield written if begun else written[:1]


def _written(cell: Any) -> str:
    if lacks(cell):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a spreadsheet knows no other numbers
    return str(cell)


def read_parquet(stream: BinaryIO, name: str) -> Arranged:
    """A Parquet file."""
    parquet = optional_import("pyarrow.parquet", "pandas", "reading Parquet files")
    return _from_arrow(
        lambda file: parquet.ParquetFile(file).read(), stream, f"{name}: cannot be read as Parquet"
    )


def read_arrow(stream: BinaryIO, name: str) -> Arranged:
    """An Arrow or Feather file."""
    feather = optional_import("pyarrow.feather", "pandas", "reading Arrow files")
    return _from_arrow(feather.read_table, stream, f"{name}: cannot be read as Arrow or Feather")


def _from_arrow(read: Callable[[Any], Any], stream: BinaryIO, otherwise: str) -> Arranged:
    pandas = optional_import("pandas", "pandas", "reading tables")
    try:
        arrow = read(io.BytesIO(stream.read()))
        frame = arrow.to_pandas(ignore_metadata=True, types_mapper=pandas.ArrowDtype)
    except Exception as error:  # pyarrow has many kinds, none of them in this process yet
        raise InputError(f"{otherwise}: {error}") from error
    if frame.empty:
        raise InputError(f"{otherwise}: it has no rows or no columns")
    notes: list[str] = []
    frame.columns, twins = distinct(list(map(str, frame.columns)), notes)
    return Arranged(frame, notes, twins)


def typed_values(column: Any) -> Array:
    """float64 with NaN, or an object array of texts with "" for what is missing."""
    if column.dtype.kind in "iufb":
        numbers: Array = column.to_numpy(float, na_value=np.nan)
        if not rounds_together(numbers, column):
            return numbers
    cells = column.to_numpy(object)
    if column.dtype.kind == "m":
        cells = np.array([np.nan if lacks(cell) else cell.total_seconds() / 3600 for cell in cells])
    there = [cell for cell in cells if not lacks(cell)]
    if all(isinstance(cell, (bool, int, float)) or hasattr(cell, "as_tuple") for cell in there):
        numbers = np.array([np.nan if lacks(cell) else float(cell) for cell in cells])
        if not rounds_together(numbers, cells):
            return numbers
    return np.array(["" if lacks(cell) else str(cell) for cell in cells], dtype=object)


def lacks(cell: Any) -> bool:
    """None, NaN, NaT and pandas.NA."""
    return cell is None or (not isinstance(cell, str) and str(cell) in ("nan", "NaT", "<NA>"))
