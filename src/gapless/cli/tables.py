"""Reading tables: CSV and Parquet files, matrices, scikit-learn's data sets."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from ..core.checks import Array, InputError, choose, optional_import
from ..core.files import existing_file


class Table(dict[str, Array]):
    """Column name -> float64 values, or texts; all of one length.

    Parameters
    ----------
    columns : dict of array (n_rows,)
    cells : mapping
        The columns as they stood in the file, for :func:`texts`.
    """

    def __init__(self, columns: dict[str, Array], cells: Any) -> None:
        super().__init__(columns)
        self.cells = cells


DATASETS: dict[str, Callable[..., Any]] = {
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "digits": datasets.load_digits,
}
# Cells that say nothing, in any column.
MISSING = {"", "na", "nan", "n/a", "null", "none"}
# Missing among numbers, but among texts often a value: "+" and "-" are classes.
MISSING_NUMBER = MISSING | {"?", "-"}
# Lines of a file from which its delimiter is told.
SNIFFED = 50


def read_data(data: str | None, dataset: str | None) -> tuple[Table, str | None]:
    """Read the one of the two that is given.

    Parameters
    ----------
    data : str, optional
        A file, for :func:`read_table`.
    dataset : str, optional
        A name in :data:`DATASETS`.

    Returns
    -------
    table : Table
    target : str or None
        The column that a bundled data set is there to predict.

    Raises
    ------
    InputError
        When none or both are given, or the table cannot be read.
    """
    if data is None and dataset is None:
        raise InputError(f"give a data file, or --dataset NAME ({', '.join(DATASETS)})")
    if data is not None and dataset is not None:
        raise InputError("give a data file or --dataset, not both")
    return (read_table(data), None) if data is not None else _load_dataset(str(dataset))


def read_table(path: str) -> Table:
    """Read a CSV (header line first), a Parquet file, or a matrix in a .npy file.

    The columns of a matrix are named x0, x1, ... and stay on disk until they are used.

    Raises
    ------
    InputError
        For a missing, empty, ragged or unreadable file.
    """
    if str(path) in DATASETS and not Path(path).exists():
        raise InputError(f"no such file: {path}; say --dataset {path} for the bundled data")
    file = existing_file(path)
    if file.suffix.lower() not in _READERS:
        raise InputError(f"{path}: unknown kind of table; give a .csv, .tsv, .parquet or .npy file")
    return _READERS[file.suffix.lower()](file)


def check_names(table: Table, names: Iterable[str]) -> None:
    """Raise InputError for the first of ``names`` that is no column of ``table``."""
    for name in names:
        if name not in table:
            raise InputError(f"the data have no column {name!r}; columns: {', '.join(table)}")


def check_target(table: Table, target: str | None, drop: list[str], did: str) -> str:
    """``target``, once it and the columns to ``drop`` are there.

    Raises
    ------
    InputError
        When one is missing, or None was named: "say which column ``did``".
    """
    if target is None:
        raise InputError(f"say which column {did} with --target; columns: {', '.join(table)}")
    check_names(table, (target, *drop))
    return target


def texts(table: dict[str, Array], name: str) -> Array:
    """The cells of a column as texts, as they stand in the file; an object array (n_rows,)."""
    cells: Any = table.cells if isinstance(table, Table) else table
    return np.array([str(cell) for cell in cells[name]], dtype=object)


def _load_dataset(name: str) -> tuple[Table, str]:
    """One of scikit-learn's bundled data sets, and the name of its target column."""
    bunch = DATASETS[choose("--dataset", name, DATASETS)]()
    table = {str(n): np.asarray(c, float) for n, c in zip(bunch.feature_names, bunch.data.T)}
    names = getattr(bunch, "target_names", None)
    target = bunch.target if names is None else np.asarray(names)[bunch.target].astype(str)
    table["target"] = target
    return Table(table, table), "target"


def _read_csv(file: Path) -> Table:
    # no import of the module: whoever reads no CSV need not wait for it
    pandas = optional_import("pandas", "pandas", "reading CSV files")
    try:
        mark, header, n_rows = _outline(file)
        cells = pandas.read_csv(
            file, sep=mark, header=None, dtype=str, na_filter=False, encoding="utf-8-sig"
        ).iloc[1:]
    except (OSError, UnicodeDecodeError, csv.Error, pandas.errors.ParserError) as error:
        raise InputError(f"{file}: cannot be read as text: {error}") from error
    if len(cells) != n_rows:
        raise InputError(f"{file}: has lines of spaces alone; remove them")
    cells.columns = header
    return Table({name: _column(cells[name].to_numpy(object)) for name in header}, cells)


def _outline(file: Path) -> tuple[str, list[str], int]:
    """Delimiter, names of the columns and number of rows of a CSV file, once all rows fit.

    pandas fills short rows up in silence and takes quotes left open.
    """
    with file.open(newline="", encoding="utf-8-sig") as stream:
        mark = "\t" if file.suffix.lower() == ".tsv" else _delimiter(stream)
        stream.seek(0)
        rows = ((number, row) for number, row in enumerate(_rows(stream, mark), 1) if row)
        header, n_rows = [name.strip() for name in next(rows, (0, []))[1]], 0
        if len(set(header)) < len(header) or "" in header:
            raise InputError(f"{file}: column names must be unique and not empty, got {header}")
        for number, row in rows:
            n_rows += 1
            if len(row) != len(header):
                raise InputError(
                    f"{file}: row {number} has {len(row)} values, the header has "
                    f"{len(header)} columns"
                )
    if n_rows == 0:
        raise InputError(f"{file}: needs a header line and at least one row of data")
    return mark, header, n_rows


def _rows(stream: Iterable[str], mark: str) -> Iterator[list[str]]:
    return csv.reader(stream, delimiter=mark, strict=True)


def _delimiter(stream: Iterable[str]) -> str:
    """Of the marks that cut the header, the one that cuts most rows alike, into most columns."""
    lines, best = list(islice(stream, SNIFFED)), (0.0, 0, ",")
    for mark in ",;\t|":
        widths: list[int] = []
        with suppress(csv.Error):  # a quote is open where the lines end
            widths.extend(len(row) for row in _rows(lines, mark) if row)
        if widths and widths[0] > 1:
            best = max(best, (widths.count(widths[0]) / len(widths), widths[0], mark))
    return best[2]


def _column(cells: Array) -> Array:
    """Numbers where every cell that is not missing is one, else the texts as they are."""
    try:
        try:
            return cells.astype(float)
        except ValueError:  # a text, or a missing cell: each kind is looked at once
            numbers = {
                cell: np.nan if cell.strip().lower() in MISSING_NUMBER else float(cell)
                for cell in set(cells)
            }
            return np.array([numbers[cell] for cell in cells])
    except ValueError:
        return cells


def _read_parquet(file: Path) -> Table:
    parquet = optional_import("pyarrow.parquet", "pandas", "reading Parquet files")
    try:
        columns = parquet.read_table(file).to_pydict()
    except Exception as error:  # pyarrow has many kinds, none of them in this process yet
        raise InputError(f"{file}: cannot be read as Parquet: {error}") from error
    table: dict[str, Array] = {}
    for name, cells in columns.items():
        if all(c is None or isinstance(c, (bool, int, float)) for c in cells):
            table[name] = np.array([np.nan if c is None else float(c) for c in cells])
        else:
            table[name] = np.array(["" if c is None else str(c) for c in cells], dtype=object)
    return Table(table, columns)


def _read_npy(file: Path) -> Table:
    try:
        matrix: Array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # a damaged header fails in many ways, a TokenError among them
        raise InputError(f"{file}: not a NumPy array of numbers, or a damaged one") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub" or 0 in matrix.shape:
        raise InputError(
            f"{file}: needs a matrix of real numbers, has shape {matrix.shape} of {matrix.dtype}"
        )
    cells = {f"x{j}": column for j, column in enumerate(matrix.T)}
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(float)
    return Table({name: matrix[:, j] for j, name in enumerate(cells)}, cells)


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv,
    ".parquet": _read_parquet, ".pq": _read_parquet, ".npy": _read_npy,
}  # fmt: skip
