"""Tables for the command: CSV and Parquet files, scikit-learn's data sets, numeric encoding."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from sklearn import datasets

from ._validate import Array, choose, optional_import

#: column name -> float64 values, or strings; all of one length
Table: TypeAlias = dict[str, Array]

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


class InputError(ValueError):
    """A mistake in what the user gave; the message is one sentence for them."""


def read_data(data: str | None, dataset: str | None) -> tuple[Table, str | None]:
    """The table in the file ``data``, or the bundled one and the name of its target."""
    if data is None and dataset is None:
        raise InputError(f"give a data file, or --dataset NAME ({', '.join(DATASETS)})")
    if data is not None and dataset is not None:
        raise InputError("give a data file or --dataset, not both")
    return (read_table(data), None) if data is not None else load_dataset(str(dataset))


def named_file(path: str | Path, what: str = "a file") -> Path:
    """``path``, or an InputError when it is empty or a folder; ``what`` it should be."""
    if str(path) == "":
        raise InputError(f"the name of {what} is empty; give a file")
    if (file := Path(path)).is_dir():
        raise InputError(f"{path} is a folder; give {what}")
    return file


def existing_file(path: str | Path) -> Path:
    """``path``, or an InputError when there is no file."""
    file = named_file(path)
    if not file.is_file():
        hint = f"; say --dataset {path} for the bundled data" if str(path) in DATASETS else ""
        raise InputError(f"no such file: {path}{hint}")
    return file


def read_table(path: str) -> Table:
    """Read a CSV (header line first), a Parquet file, or a matrix in a .npy file.

    The columns of a matrix are named x0, x1, ... and stay on disk until they are used.

    Raises
    ------
    InputError
        For a missing, empty, ragged or unreadable file.
    """
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
    return table | {"target": target}, "target"


def _read_csv(file: Path) -> Table:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            sample = stream.read(1 << 16)
            stream.seek(0)
            try:
                dialect: Any = csv.Sniffer().sniff(sample.split("\n", 1)[0], delimiters=",;\t|")
            except csv.Error:
                dialect = csv.excel
            rows = [row for row in csv.reader(stream, dialect) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as text: {error}") from error
    if len(rows) < 2:
        raise InputError(f"{file}: needs a header line and at least one row of data")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header) or "" in header:
        raise InputError(f"{file}: column names must be unique and not empty, got {header}")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(
                f"{file}: row {number} has {len(row)} values, the header has {len(header)} columns"
            )
    return {name: _column([row[j] for row in rows[1:]]) for j, name in enumerate(header)}


def _column(cells: list[str]) -> Array:
    """Numbers where every cell that is not missing is one, else strings."""
    values = [cell.strip() for cell in cells]
    try:
        return np.array([np.nan if v.lower() in MISSING_NUMBER else float(v) for v in values])
    except ValueError:
        return np.array(values, dtype=str)


def _read_parquet(file: Path) -> Table:
    parquet = optional_import("pyarrow.parquet", "pandas", "reading Parquet files")
    try:
        columns = parquet.read_table(file).to_pydict()
    except Exception as error:  # pyarrow has many kinds, none of them in this process yet
        raise InputError(f"{file}: cannot be read as Parquet: {error}") from error
    table: Table = {}
    for name, cells in columns.items():
        if all(c is None or isinstance(c, (bool, int, float)) for c in cells):
            table[name] = np.array([np.nan if c is None else float(c) for c in cells])
        else:
            table[name] = np.array(["" if c is None else str(c) for c in cells], dtype=str)
    return table


def _read_npy(file: Path) -> Table:
    try:
        matrix: Array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # a damaged header fails in many ways, a TokenError among them
        raise InputError(f"{file}: not a NumPy array of numbers, or a damaged one") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub" or 0 in matrix.shape:
        raise InputError(
            f"{file}: needs a matrix of real numbers, has shape {matrix.shape} of {matrix.dtype}"
        )
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(float)
    return {f"x{j}": matrix[:, j] for j in range(matrix.shape[1])}


def check_complete(name: str, column: Array) -> None:
    """Raise InputError when a column has missing, infinite or empty cells."""
    if column.dtype.kind == "f":
        bad = ~np.isfinite(column)
    else:
        bad = np.array([v.strip().lower() in MISSING for v in column])
    if np.any(bad):
        raise InputError(
            f"column {name!r} has {int(bad.sum())} missing or infinite values, the first in data "
            f"row {int(np.argmax(bad)) + 1}; remove those rows or fill them in"
        )


def are_codes(numbers: Array) -> bool:
    """Whether numbers may be names of classes: few, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= MAX_CODES and bool(np.all(distinct == np.round(distinct)))


def check_numbers(name: str, column: Array, advice: str = "correct it") -> None:
    """Raise InputError, with the first text, when a column is not of numbers."""
    if column.dtype.kind != "f":
        row = int(np.argmin([_is_number(v) for v in column]))
        raise InputError(
            f"column {name!r} must be numbers, data row {row + 1} has the text "
            f"{str(column[row])!r}; {advice}"
        )


def check_slips(name: str, column: Array, otherwise: str) -> None:
    """Raise InputError, which ends in ``otherwise``, for a text column that is numbers but for
    a few cells."""
    if column.dtype.kind == "f":
        return
    number = np.array([_is_number(v) for v in column])
    slips = np.flatnonzero(~number)
    if 0 < len(slips) <= (1 - SLIPS) * len(column) and not are_codes(column[number].astype(float)):
        raise InputError(
            f"column {name!r} has numbers in {number.sum()} of {len(column)} rows, but "
            f"{str(column[slips[0]])!r} in data row {slips[0] + 1}; correct it, or {otherwise}"
        )


def _is_number(cell: str) -> bool:
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
    def learn(cls, table: Table) -> tuple[Encoder, list[str]]:
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

    def encode(self, table: Table) -> Array:
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
                if unseen := sorted(set(values.tolist()) - set(categories)):
                    warnings.warn(
                        f"column {name!r} has texts that training did not see, {unseen[0]!r} the "
                        f"first of {len(unseen)}; they count as none of {len(categories)} known",
                        UserWarning,
                        stacklevel=2,
                    )
                X[:, j : j + len(categories)] = values[:, None] == np.array(categories)
                j += len(categories)
        return X
