"""Files of all kinds of tables: which of them a path means, and how each is opened."""

from __future__ import annotations

import argparse
import bz2
import codecs
import glob
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from ..core.checks import Array, InputError, listed
from ..core.files import existing_file
from .json_files import read_json
from .layout import Arranged, arrange
from .text_files import PLACES, encoding_of, rows_of
from .typed_files import read_arrow, read_excel, read_parquet

#: what a file holds: a table, or a matrix (n_rows, n_columns)
Read: TypeAlias = Arranged | Array

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# How such files begin, whatever they are called.
PACKED = {b"\x1f\x8b\x08": ".gz", b"BZh": ".bz2", b"\xfd7zXZ": ".xz"}
# What an archive that is a book of sheets has in it.
BOOKS = {"[Content_Types].xml", "mimetype"}
# How files of a kind begin, blanks apart, where no name says it, or a wrong one.
MAGIC = {
    b"PAR1": ".parquet", b"ARROW1": ".arrow", b"PK\x03\x04": ".xlsx", b"\x93NUMPY": ".npy",
    b'{"': ".json", b"[{": ".json", b"[[": ".json", b"SQLiteformat3": ".sqlite",
    b"$FL2": ".sav", b"<stata_dta>": ".dta", b"\x89HDF": ".h5", b"%PDF-": ".pdf",
}  # fmt: skip
BEGINNING = 100
# What to do with a table that a spreadsheet can open.
SHEET = "open it in a spreadsheet and save the sheet as .xlsx or CSV"
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
    **dict.fromkeys((".por", ".zsav"), "in R haven::read_spss and write.csv"),
    ".xpt": "in Python pandas.read_sas(file).to_csv(new)",
    ".orc": "in Python pandas.read_orc(file).to_csv(new)",
    **dict.fromkeys((".mdb", ".accdb"), "export the table from Access as CSV"),
    **dict.fromkeys((".svm", ".libsvm"), "in Python sklearn.datasets.load_svmlight_file(file)"),
    **dict.fromkeys((".numbers", ".xlsb", ".dbf", ".html", ".htm", ".xml"), SHEET),
    **dict.fromkeys((".pdf", ".docx"), "copy the table into a spreadsheet"),
    **dict.fromkeys((".tar", ".tgz", ".7z", ".rar"), "unpack it and give one of its files"),
    ".sql": "load it into a database and export the table as CSV",
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
    na : tuple of str
        Texts that mean missing, for :func:`.absent.asked`.
    down : tuple of str
        Columns whose empty cells mean as above.
    """

    encoding: str | None = None
    decimal: str | None = None
    header: bool | None = None
    na: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    @classmethod
    def of(cls, args: argparse.Namespace) -> Reading:
        """What the arguments of :func:`add_reading_arguments` say."""
        header = None if args.header is None else args.header == "yes"
        return cls(args.encoding, args.decimal, header, tuple(args.na), tuple(args.fill_down))


# Nothing is said: all of it is looked at.
LOOKED_AT = Reading()


def add_reading_arguments(command: Any) -> None:
    """The arguments of :meth:`Reading.of`."""
    command.add_argument("--encoding", metavar="NAME", help="of a text file, as cp1252; guessed")
    command.add_argument("--decimal", choices=(".", ","), help="mark of fractions; guessed")
    command.add_argument(
        "--header", choices=("yes", "no"), help="whether the first row has names; guessed"
    )
    command.add_argument(
        "--na", action="append", default=[], metavar="WORD",
        help="a cell that means missing, as -999, or income=99999 in one column; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--fill-down", action="append", default=[], metavar="COL",
        help="a column whose empty cells mean as above; may be repeated",
    )  # fmt: skip


def files_of(path: str) -> list[Path]:
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


def read_file(file: Path, how: Reading) -> Read:
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


def _reader(name: str, suffix: str) -> Callable[[Any, str, Reading], Read]:
    """What reads a file of this kind; InputError, with the way out, where nothing does."""
    if suffix in ELSEWHERE:
        raise InputError(f"{name}: {suffix} files are not read; {ELSEWHERE[suffix]}")
    if suffix not in _READERS:
        raise InputError(
            f"{name}: unknown kind of table; give a .csv, .tsv, .json, .parquet, .arrow, .xlsx or "
            ".npy file; call it .csv if it is text with a row a line"
        )
    return _READERS[suffix]


def _read_zip(stream: Any, name: str, how: Reading) -> Read:
    """The one file in an archive."""
    try:
        inside = _inside(stream)
        with zipfile.ZipFile(stream) as archive:
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


def _inside(stream: Any) -> list[str]:
    """The files in an archive, but for what macOS adds."""
    with zipfile.ZipFile(stream) as archive:
        entries = archive.namelist()
    return [name for name in entries if not name.endswith("/") and not name.startswith("__MACOSX/")]


def read_untold(stream: BinaryIO, name: str, how: Reading) -> Read:
    """A text file, or what it is by its first bytes."""
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    start = stream.read(BEGINNING)
    stream.seek(0)
    if packed := next((s for magic, s in PACKED.items() if start.startswith(magic)), ""):
        return read_untold(COMPRESSED[packed](stream), name, how)
    start = b"".join(start.removeprefix(codecs.BOM_UTF8).split())
    if start.lower().startswith(PAGES):
        raise InputError(f"{name}: is a web page or XML, not a table; {SHEET}")
    kind = next((s for magic, s in MAGIC.items() if start.startswith(magic)), "")
    if kind == ".xlsx" and zipfile.is_zipfile(stream) and not BOOKS & {*_inside(stream)}:
        return _read_zip(stream, name, how)
    stream.seek(0)
    return _reader(name, kind)(stream, name, how) if kind else _read_text(stream, name, how)


def _read_text(stream: BinaryIO, name: str, how: Reading, tabs: bool = False) -> Arranged:
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    encoding, notes = encoding_of(stream, how.encoding, name)
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    try:
        rows, mark = rows_of(text, name, tabs)
        arranged = arrange(rows, name, how.header)
        if mark == PLACES:
            notes.append("columns cut where all lines are blank")
    finally:
        text.detach()  # who opened the stream closes it
    arranged.notes[:0], arranged.mark = notes, mark
    return arranged


def _read_tabs(stream: BinaryIO, name: str, how: Reading) -> Arranged:
    return _read_text(stream, name, how, tabs=True)


def _read_npy(file: Path) -> Array:
    try:
        matrix: Array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # a damaged header fails in many ways, a TokenError among them
        raise InputError(f"{file}: not a NumPy array of numbers, or a damaged one") from error
    return _matrix(matrix, str(file))


def _read_npy_stream(stream: BinaryIO, name: str, how: Reading) -> Array:
    try:
        return _matrix(np.load(io.BytesIO(stream.read()), allow_pickle=False), name)
    except (ValueError, EOFError) as error:
        raise InputError(f"{name}: not a NumPy array of numbers, or a damaged one") from error


def _matrix(matrix: Array, name: str) -> Array:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub" or 0 in matrix.shape:
        raise InputError(
            f"{name}: needs a matrix of real numbers, has shape {matrix.shape} of {matrix.dtype}"
        )
    return matrix


_READERS: dict[str, Callable[[Any, str, Reading], Read]] = {
    **dict.fromkeys((".csv", ".txt", ".dat", ".data", ".psv", ""), read_untold),
    **dict.fromkeys((".tsv", ".tab"), _read_tabs),
    **dict.fromkeys(
        (".json", ".jsonl", ".ndjson", ".geojson"),
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
