"""Tables for the command: CSV and Parquet files, scikit-learn's data sets, numeric encoding."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from ..core.checks import Array, InputError, choose, optional_import
from ..core.files import existing_file


class Table(dict[str, Array]):
    """Column name -> float64 values, or texts; all of one length.

    ``cells`` holds the columns as they stood in the file, for :func:`texts`.
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
# One-hot columns a text column may become; more is a key or free text.
MAX_CATEGORIES = 50
MISSING = {"", "na", "nan", "n/a", "null", "none"}
# Missing among numbers, but among texts often a value: "+" and "-" are classes.
MISSING_NUMBER = MISSING | {"?", "-"}
# A text column with this share of numbers is one of numbers with slips,
SLIPS = 0.9
# unless they are whole and of at most so many values: then they may name things.
MAX_CODES = 20
# The squares of larger numbers overflow.
LARGE = 1e150
# Lines of a file from which its delimiter is told.
SNIFFED = 50


def read_data(data: str | None, dataset: str | None) -> tuple[Table, str | None]:
    """The table in the file ``data``, or the bundled one and the name of its target."""
    if data is None and dataset is None:
        raise InputError(f"give a data file, or --dataset NAME ({', '.join(DATASETS)})")
    if data is not None and dataset is not None:
        raise InputError("give a data file or --dataset, not both")
    return (read_table(data), None) if data is not None else load_dataset(str(dataset))


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
    if file.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(file)
    if file.suffix.lower() == ".npy":
        return _read_npy(file)
    if file.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise InputError(f"{path}: unknown kind of table; give a .csv, .tsv, .parquet or .npy file")
    return _read_csv(file)


def load_dataset(name: str) -> tuple[Table, str]:
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
        with file.open(newline="", encoding="utf-8-sig") as stream:
            mark = "\t" if file.suffix.lower() == ".tsv" else _delimiter(stream)
            stream.seek(0)
            # pandas fills short rows up in silence and takes quotes left open, so rows are counted
            rows = ((n, row) for n, row in enumerate(_rows(stream, mark), 1) if row)
            number, first = next(rows, (0, []))
            header, n_rows = [name.strip() for name in first], 0
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
        cells = pandas.read_csv(
            file, sep=mark, header=None, dtype=str, na_filter=False, encoding="utf-8-sig"
        ).iloc[1:]
    except (OSError, UnicodeDecodeError, csv.Error, pandas.errors.ParserError) as error:
        raise InputError(f"{file}: cannot be read as text: {error}") from error
    if len(cells) != n_rows:
        raise InputError(f"{file}: has lines of spaces alone; remove them")
    cells.columns = header
    return Table({name: _column(cells[name].to_numpy(object)) for name in header}, cells)


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


def texts(table: dict[str, Array], name: str) -> Array:
    """The cells of a column as texts, as they stand in the file."""
    cells: Any = table.cells if isinstance(table, Table) else table
    return np.array([str(cell) for cell in cells[name]], dtype=object)


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


def check_complete(name: str, column: Array) -> None:
    """Raise InputError when a column has missing, infinite, empty or far too large cells."""
    if column.dtype.kind == "f":
        bad = ~np.isfinite(column)
    else:
        bad = np.array([v.strip().lower() in MISSING for v in column])
    if np.any(bad):
        raise InputError(
            f"column {name!r} has {int(bad.sum())} missing or infinite values, the first in data "
            f"row {int(np.argmax(bad)) + 1}; remove those rows or fill them in"
        )
    if column.dtype.kind == "f" and (largest := np.max(np.abs(column), initial=0.0)) > LARGE:
        raise InputError(
            f"column {name!r} has numbers as large as {largest:.1g}, whose squares overflow; "
            "divide it by its standard deviation"
        )


def are_codes(numbers: Array) -> bool:
    """Whether numbers may be names of classes: few, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= MAX_CODES and bool(np.all(distinct == np.round(distinct)))


def check_numbers(name: str, column: Array, advice: str = "correct it") -> None:
    """Raise InputError, with the first text, when a column is not of numbers."""
    if column.dtype.kind != "f":
        row = int(np.argmin([is_number(v) for v in column]))
        raise InputError(
            f"column {name!r} must be numbers, data row {row + 1} has the text "
            f"{str(column[row])!r}; {advice}"
        )


def check_slips(name: str, column: Array, otherwise: str) -> None:
    """Raise InputError, which ends in ``otherwise``, for a text column that is numbers but for
    a few cells."""
    if column.dtype.kind == "f":
        return
    number = np.array([is_number(v) for v in column])
    slips = np.flatnonzero(~number)
    if 0 < len(slips) <= (1 - SLIPS) * len(column) and not are_codes(column[number].astype(float)):
        raise InputError(
            f"column {name!r} has numbers in {number.sum()} of {len(column)} rows, but "
            f"{str(column[slips[0]])!r} in data row {slips[0] + 1}; correct it, or {otherwise}"
        )


def is_number(cell: str) -> bool:
    """Whether ``cell`` is the text of a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Encoder:
    """How columns become numbers: as they are, or one 0/1 column a category.

    ``columns`` is a list of ``(name, categories)``, ``categories`` None for numbers.
    """

    columns: list[tuple[str, list[str] | None]]

    @classmethod
    def learn(cls, table: dict[str, Array]) -> tuple[Encoder, list[str]]:
        """The encoder of a training table, and the names of its constant columns, left out."""
        columns: list[tuple[str, list[str] | None]] = []
        constant = []
        for name, values in table.items():
            check_complete(name, values)
            check_slips(name, values, f"drop the column with --drop {name}")
            distinct = np.unique(values)
            if len(distinct) < 2:
                constant.append(name)
            elif values.dtype.kind == "f":
                columns.append((name, None))
            elif len(distinct) <= MAX_CATEGORIES:
                columns.append((name, [str(v) for v in distinct]))
            else:
                raise InputError(
                    f"column {name!r} is text with {len(distinct)} different values, at most "
                    f"{MAX_CATEGORIES} are turned into 0/1 columns; drop it with --drop {name}"
                )
        if not columns:
            raise InputError("no column is left to learn from: all are constant or dropped")
        return cls(columns), constant

    @property
    def names(self) -> list[str]:
        """A name for each number."""
        out = []
        for name, categories in self.columns:
            out += [name] if categories is None else [f"{name}={c}" for c in categories]
        return out

    def encode(self, table: dict[str, Array]) -> Array:
        """The matrix (n_rows, n_numbers); InputError when columns are missing or differ."""
        # filled column by column: the blocks and their union would need the memory twice
        n_rows = len(next(iter(table.values()), ()))
        X, j = np.empty((n_rows, len(self.names))), 0
        for name, categories in self.columns:
            if name not in table:
                raise InputError(f"the data have no column {name!r}, which the model needs")
            values = table[name]
            check_complete(name, values)
            if categories is None:
                check_numbers(name, values)
                X[:, j] = values
                j += 1
            else:
                values = texts(table, name)
                if unseen := sorted(set(values) - set(categories)):
                    warnings.warn(
                        f"column {name!r} has texts that training did not see, {unseen[0]!r} the "
                        f"first of {len(unseen)}; they count as none of {len(categories)} known",
                        UserWarning,
                        stacklevel=2,
                    )
                place = {category: k for k, category in enumerate(categories)}
                codes = np.array([place.get(value, -1) for value in values])
                X[:, j : j + len(categories)] = codes[:, None] == np.arange(len(categories))
                j += len(categories)
        return X
