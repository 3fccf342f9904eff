"""Reading tables: text files, Parquet, Arrow, Excel, matrices, scikit-learn's data sets."""

from __future__ import annotations

import argparse
import bz2
import codecs
import difflib
import glob
import gzip
import io
import lzma
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn import datasets

from ..core.checks import Array, InputError, choose, optional_import
from ..core.files import existing_file
from .columns import is_sum, listed, missing
from .json_files import read_json
from .layout import Arranged, arrange
from .numbers import recognise
from .text_files import encoding_of, rows_of
from .typed_files import read_arrow, read_excel, read_parquet, typed_values

# Share of the rows that may be left out as the only ones of their classes, and those named.
LONE, SHOWN = 0.25, 5
# How much alike names are that may be meant.
NEAR = 0.8
# What the last row of a printed table is called.
TOTAL = re.compile(
    r"(?:grand |sub-?|sous-)?total(?:s|e|en| général)?|(?:gesamt|zwischen)?summe|gesamt|"
    r"gesamtergebnis|insgesamt|sum|suma|totaal|\*+",
    re.IGNORECASE,
)
DATASETS: dict[str, Callable[..., Any]] = {
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "digits": datasets.load_digits,
}
COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# How files of a kind begin, blanks apart, where no name says it, or a wrong one.
MAGIC = {
    b"PAR1": ".parquet", b"ARROW1": ".arrow", b"PK\x03\x04": ".xlsx", b"\x93NUMPY": ".npy",
    b'{"': ".json", b"[{": ".json", b"[[": ".json",
}  # fmt: skip
BEGINNING = 100
PAGES = (b"<!doctype", b"<html", b"<table", b"<?xml")
# What to do with tables of other programs, by their suffixes.
ELSEWHERE = {
    ".arff": "save it from Weka as CSV, or put the names of its attributes in a line of their own "
    "in the place of all up to @data",
    ".sav": "in Python pandas.read_spss(file).to_csv(new)",
    ".dta": "in Python pandas.read_stata(file).to_csv(new)",
    ".sas7bdat": "in Python pandas.read_sas(file).to_csv(new)",
    **dict.fromkeys((".rds", ".rda", ".rdata"), "in R write.csv(table, new)"),
    **dict.fromkeys((".pkl", ".pickle"), "opening it could run code: in Python "
                    "pandas.read_pickle(file).to_csv(new)"),
    **dict.fromkeys((".h5", ".hdf5"), "in Python pandas.read_hdf(file).to_csv(new)"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite3 -header -csv FILE \"SELECT * FROM "
                    "TABLE\" | gapless fit - --target COLUMN"),
    ".mat": "in Python scipy.io.loadmat(file), and numpy.save of the matrix",
    ".pdf": "copy the table into a spreadsheet",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What the user says of a text file; None is looked at.

    Attributes
    ----------
    encoding : str, optional
    decimal : {".", ","}, optional
    header : bool, optional
        Whether the first row names the columns.
    """

    encoding: str | None = None
    decimal: str | None = None
    header: bool | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Reading:
        """What the arguments of :func:`add_reading_arguments` say."""
        header = None if args.header is None else args.header == "yes"
        return cls(args.encoding, args.decimal, header)


def add_reading_arguments(command: Any) -> None:
    """The arguments of :meth:`Reading.of`."""
    command.add_argument("--encoding", metavar="NAME", help="of a text file, as cp1252; guessed")
    command.add_argument("--decimal", choices=(".", ","), help="mark of fractions; guessed")
    command.add_argument(
        "--header", choices=("yes", "no"), help="whether the first row has names; guessed"
    )


class Table(dict[str, Array]):
    """Column name -> float64 values, or texts; all of one length.

    Parameters
    ----------
    columns : dict of array (n_rows,)
    cells : mapping
        The columns as they stood in the file, for :func:`texts`.
    notes : sequence of str
        What was guessed and left out in reading.
    twins : set of str
        Names that the file has more than once.
    """

    def __init__(
        self,
        columns: dict[str, Array],
        cells: Any,
        notes: Sequence[str] = (),
        twins: Iterable[str] = (),
    ) -> None:
        super().__init__(columns)
        self.cells = cells
        self.notes = list(notes)
        self.twins = set(twins)

    def where(self, rows: Array) -> Table:
        """The rows of a mask."""
        if np.all(rows):
            return self
        cells = {name: np.asarray(self.cells[name], object)[rows] for name in self}
        return Table({k: v[rows] for k, v in self.items()}, cells, self.notes, self.twins)


def read_data(
    data: str | None, dataset: str | None, how: Reading = Reading()
) -> tuple[Table, str | None]:
    """Read the one of the two that is given.

    Parameters
    ----------
    data : str, optional
        A file, for :func:`read_table`.
    dataset : str, optional
        A name in :data:`DATASETS`.
    how : Reading

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
    return (read_table(data, how), None) if data is not None else _load_dataset(str(dataset))


def read_table(path: str, how: Reading = Reading()) -> Table:
    """Read a table from a file, a folder of Parquet files, files by a pattern, or standard input.

    Text files (.csv, .tsv, .txt, .dat, .data), JSON (.json, .jsonl, .ndjson), Parquet, Arrow,
    Feather, Excel, all also compressed (.gz, .bz2, .xz, a .zip of one file), and matrices in .npy
    files, whose columns are named x0, x1, ... and stay on disk until they are used.

    Parameters
    ----------
    path : str
        ``-`` is standard input.
    how : Reading

    Raises
    ------
    InputError
        For a missing, empty, ragged or unreadable file.
    """
    if path == "-":
        content = sys.stdin.buffer.read()
        return _table([_read_untold(io.BytesIO(content), "standard input", how)], how)
    if str(path) in DATASETS and not Path(path).exists():
        raise InputError(f"no such file: {path}; say --dataset {path} for the bundled data")
    files = _files(str(path))
    return _table([_read_file(file, how) for file in files], how)


def check_names(table: Mapping[str, Any], names: Iterable[str], why: str = "") -> None:
    """Raise InputError, which says ``why``, for the first of ``names`` that is no column."""
    for name in names:
        if name not in table:
            plain = {_plain(column): column for column in table}
            near = difflib.get_close_matches(_plain(name), plain, 1, NEAR)
            meant = f"do you mean {plain[near[0]]!r}? " if near else ""
            raise InputError(
                f"the data have no column {name!r}{why}; {meant}columns: {', '.join(table)}"
            )


def _plain(name: str) -> str:
    """A name without what people get wrong."""
    return re.sub(r"[\W_]+", "", name).casefold()


def check_target(table: Table, target: str | None, drop: list[str], did: str) -> str:
    """``target``, once it and the columns to ``drop`` are there.

    Raises
    ------
    InputError
        When one is missing or the file has two of it, or None was named: "say which column
        ``did``".
    """
    if target is None:
        raise InputError(f"say which column {did} with --target; columns: {', '.join(table)}")
    check_names(table, (target, *drop))
    if target in table.twins:
        raise InputError(
            f"the data have two columns called {target!r}; give the target a name of its own"
        )
    return target


def texts(table: dict[str, Array], name: str) -> Array:
    """The cells of a column as texts, as they stand in the file; an object array (n_rows,)."""
    cells: Any = table.cells if isinstance(table, Table) else table
    return np.array([str(cell) for cell in cells[name]], dtype=object)


def rows_with(table: Table, name: str, missing_is_error: bool = False) -> tuple[Table, str]:
    """The rows of ``table`` where a column is not missing, and a note where others are left out.

    Raises
    ------
    InputError
        When no row has one, or rows without are not allowed.
    """
    lacks = missing(table[name])
    if not np.any(lacks):
        return table, ""
    written = sorted(set(texts(table, name)[lacks]))
    rows = "1 row" if lacks.sum() == 1 else f"{lacks.sum()} rows"
    if np.all(lacks):
        raise InputError(
            f"column {name!r} is missing in all {rows} (they have {written[0]!r}); name another one"
        )
    if missing_is_error:
        raise InputError(
            f"column {name!r} has {lacks.sum()} missing or infinite values, the first in data "
            f"row {np.argmax(lacks) + 1}; remove those rows or fill them in"
        )
    as_text = ", ".join(map(repr, written[:3]))
    return table.where(~lacks), f"{rows} without {name!r} left out ({as_text})"


def without_lone(table: Table, name: str) -> Table:
    """The rows of ``table`` whose class in a column another row has too; a note says which not.

    Of one row a network may learn a class or be tested, not both.  Nothing is left out where more
    than :data:`LONE` of the rows would be: those are no classes.
    """
    cells = texts(table, name)
    _, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
    lone = counts[place] == 1
    if not 0 < lone.sum() <= LONE * len(lone):
        return table
    kept = table.where(~lone)
    rows = "1 row is the only one" if lone.sum() == 1 else f"{lone.sum()} rows are the only ones"
    classes = ", ".join(map(repr, cells[lone][:SHOWN]))
    more = ", ..." if lone.sum() > SHOWN else ""
    kept.notes.append(f"{rows} of a class, and left out: {classes}{more}")
    return kept


def _files(path: str) -> list[Path]:
    """The files that a path, a folder or a pattern means."""
    if os.path.isdir(path):
        found = sorted(f for f in Path(path).iterdir() if f.suffix.lower() in (".parquet", ".pq"))
        if not found:
            raise InputError(f"{path} is a folder; give a file, or a folder of Parquet files")
        return found
    if not os.path.exists(path) and glob.has_magic(path):
        found = sorted(Path(f) for f in glob.glob(path, recursive=True) if os.path.isfile(f))
        if not found:
            raise InputError(f"no file is called like {path}")
        return found
    return [existing_file(path)]


def _read_file(file: Path, how: Reading) -> Arranged | Table:
    suffix, opener = file.suffix.lower(), open
    if suffix in COMPRESSED:
        opener, suffix = COMPRESSED[suffix], Path(file.stem).suffix.lower() or ".csv"
    if suffix == ".npy" and opener is open:
        return _read_npy(file)
    try:
        with closing(opener(file, "rb")) as stream:
            if suffix == ".zip":
                return _read_zip(stream, str(file), how)
            return _reader(str(file), suffix)(stream, str(file), how)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error


def _reader(name: str, suffix: str) -> Callable[[Any, str, Reading], Arranged | Table]:
    """What reads a file of this kind; InputError, with the way out, where nothing does."""
    if suffix in ELSEWHERE:
        raise InputError(f"{name}: {suffix} files are not read; {ELSEWHERE[suffix]}")
    if suffix not in _READERS:
        raise InputError(
            f"{name}: unknown kind of table; give a .csv, .tsv, .json, .parquet, .arrow, .xlsx or "
            ".npy file"
        )
    return _READERS[suffix]


def _read_zip(stream: Any, name: str, how: Reading) -> Arranged | Table:
    """The one file in an archive."""
    try:
        with zipfile.ZipFile(stream) as archive:
            inside = [
                entry for entry in archive.namelist()
                if not entry.endswith("/") and not entry.startswith("__MACOSX/")
            ]  # fmt: skip
            if len(inside) != 1:
                raise InputError(
                    f"{name}: holds {len(inside)} files ({listed(inside)}); unpack it and give one "
                    "of them"
                )
            member, suffix = f"{name}: {inside[0]}", Path(inside[0]).suffix.lower()
            read, content = _reader(member, suffix), archive.read(inside[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
        raise InputError(f"{name}: cannot be unpacked: {error}; unpack it yourself") from error
    return read(io.BytesIO(content), member, how)


def _table(parts: list[Any], how: Reading) -> Table:
    """One table of the parts, one below the other."""
    part = parts[0] if len(parts) == 1 else _one(parts)
    if isinstance(part, Table):
        return part
    cells, notes = part.cells, list(part.notes)
    if part.mark:
        n_rows = len(cells)
        while _ends_in_total(cells, how.decimal, part.mark):
            cells = cells.iloc[:-1]
        if rows := n_rows - len(cells):
            notes.append(f"{rows} row{'s' * (rows > 1)} of totals at the end left out")
        columns, said = recognise(cells, how.decimal, part.mark)
        return Table(columns, cells, [*notes, *said], part.twins)
    return Table({n: typed_values(cells[n]) for n in cells.columns}, cells, notes, part.twins)


def _ends_in_total(cells: Any, decimal: str | None, mark: str) -> bool:
    """Whether the last row calls itself the total of the others, and has the sum of a column."""
    words = [name for name in cells if TOTAL.fullmatch(cells[name].iloc[-1].strip())]
    if not words or len(cells) == 1:
        return False
    numbers = recognise(cells.drop(columns=words), decimal, mark)[0]
    return any(map(is_sum, numbers.values()))


def _one(parts: list[Any]) -> Arranged:
    """The rows of all files, which have the same columns."""
    pandas = optional_import("pandas", "pandas", "reading tables")
    for part in parts:
        if isinstance(part, Table) or list(part.cells.columns) != list(parts[0].cells.columns):
            raise InputError("the files have different columns; give files of one table")
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    cells = pandas.concat([part.cells for part in parts], ignore_index=True)
    return Arranged(cells, [f"{len(parts)} files, {len(cells)} rows", *notes], parts[0].twins,
                    parts[0].mark)  # fmt: skip


def _load_dataset(name: str) -> tuple[Table, str]:
    """One of scikit-learn's bundled data sets, and the name of its target column."""
    bunch = DATASETS[choose("--dataset", name, DATASETS)]()
    table = {str(n): np.asarray(c, float) for n, c in zip(bunch.feature_names, bunch.data.T)}
    names = getattr(bunch, "target_names", None)
    target = bunch.target if names is None else np.asarray(names)[bunch.target].astype(str)
    table["target"] = target
    return Table(table, table), "target"


def _read_untold(stream: BinaryIO, name: str, how: Reading) -> Arranged | Table:
    """A text file, or what it is by its first bytes."""
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    start = b"".join(stream.read(BEGINNING).removeprefix(codecs.BOM_UTF8).split())
    stream.seek(0)
    if start.lower().startswith(PAGES):
        raise InputError(
            f"{name}: is a web page or XML, not a table; open it in a spreadsheet and save the "
            "sheet as .xlsx or CSV"
        )
    kind = next((s for magic, s in MAGIC.items() if start.startswith(magic)), "")
    return _READERS[kind](stream, name, how) if kind else _read_text(stream, name, how)


def _read_text(stream: BinaryIO, name: str, how: Reading, tabs: bool = False) -> Arranged:
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    encoding, notes = encoding_of(stream, how.encoding, name)
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    try:
        rows, mark = rows_of(text, name, tabs)
        arranged = arrange(rows, name, how.header)
    finally:
        text.detach()  # who opened the stream closes it
    arranged.notes[:0], arranged.mark = notes, mark
    return arranged


def _read_tabs(stream: BinaryIO, name: str, how: Reading) -> Arranged:
    return _read_text(stream, name, how, tabs=True)


def _read_npy(file: Path) -> Table:
    try:
        matrix: Array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # a damaged header fails in many ways, a TokenError among them
        raise InputError(f"{file}: not a NumPy array of numbers, or a damaged one") from error
    return _matrix(matrix, str(file))


def _read_npy_stream(stream: BinaryIO, name: str, how: Reading) -> Table:
    try:
        return _matrix(np.load(io.BytesIO(stream.read()), allow_pickle=False), name)
    except (ValueError, EOFError) as error:
        raise InputError(f"{name}: not a NumPy array of numbers, or a damaged one") from error


def _matrix(matrix: Array, name: str) -> Table:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub" or 0 in matrix.shape:
        raise InputError(
            f"{name}: needs a matrix of real numbers, has shape {matrix.shape} of {matrix.dtype}"
        )
    cells = {f"x{j}": column for j, column in enumerate(matrix.T)}
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(float)
    return Table({name: matrix[:, j] for j, name in enumerate(cells)}, cells)


_READERS: dict[str, Callable[[Any, str, Reading], Arranged | Table]] = {
    **dict.fromkeys((".csv", ".txt", ".dat", ".data", ".psv", ""), _read_untold),
    **dict.fromkeys((".tsv", ".tab"), _read_tabs),
    **dict.fromkeys(
        (".json", ".jsonl", ".ndjson"),
        lambda stream, name, how: read_json(stream, name, how.encoding, how.header),
    ),
    **dict.fromkeys((".parquet", ".pq"), lambda stream, name, _: read_parquet(stream, name)),
    **dict.fromkeys(
        (".arrow", ".feather", ".ipc"), lambda stream, name, _: read_arrow(stream, name)
    ),
    **dict.fromkeys(
        (".xlsx", ".xlsm", ".xls", ".ods"),
        lambda stream, name, how: read_excel(stream, name, how.header),
    ),
    ".npy": _read_npy_stream,
}
