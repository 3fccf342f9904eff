"""Rows of a text file: how its bytes are letters, and which mark cuts its lines."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import TextIOWrapper
from itertools import chain, islice, pairwise, zip_longest
from typing import Any, BinaryIO, TextIO

from ..core.checks import InputError

# Lines of a file from which its delimiter and its layout are told.
SNIFFED = 100
# Columns at the same place in all lines: how many lines tell, and how wide they may be.
PLACES, PRINTED, WIDEST = "places", 3, 2000
# Bytes that are looked at together; UTF-16 is told from the first of them.
BLOCK = 1 << 20
# Share of the lines of a table that are as wide as the first, where others are above it.
ALIKE = 0.9
MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
# Of cells: as people write them, and as data bases do where all others are in texts.
CUTS = ",;\t|^~\x01\x1f"
# Western European, as old spreadsheets write it; bytes that it does not know are no text.
GUESSED = "cp1252"


def encoding_of(stream: BinaryIO, asked: str | None, name: str) -> tuple[str, list[str]]:
    """How the bytes of a file are letters, and a note where that is a guess.

    Parameters
    ----------
    stream : binary stream
        At its start, where it is again at the end.
    asked : str, optional
        An encoding that the whole file has to have.
    name : str
        Of the file, for messages.

    Returns
    -------
    encoding : str
    notes : list of str

    Raises
    ------
    InputError
        For an unknown encoding, and bytes that are no letters in any that is tried.
    """
    start = stream.read(BLOCK)
    stream.seek(0)
    marked = [encoding for mark, encoding in MARKS.items() if start.startswith(mark)]
    if asked and marked[:1] == ["utf-8-sig"] and asked.lower() in ("utf-8", "utf8"):
        asked = "utf-8-sig"
    for encoding in [asked] if asked else [*marked[:1], _by_zeros(start), "utf-8", GUESSED]:
        if encoding is not None and _decodes(stream, encoding, name):
            if encoding != GUESSED or asked:
                return encoding, []
            return encoding, [f"not UTF-8: read as {GUESSED} (Western European), or --encoding"]
    if asked:
        raise InputError(f"{name}: its bytes are not {asked}; give another --encoding")
    raise InputError(
        f"{name}: cannot be read as text; say --encoding if it is, or save it as CSV in UTF-8"
    )


def _by_zeros(start: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of plain letters is zero."""
    odd, even = start[1::2].count(0), start[0::2].count(0)
    if max(odd, even) <= 0.4 * len(start) / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _decodes(stream: BinaryIO, encoding: str, name: str) -> bool:
    """Whether all of ``stream`` is text in ``encoding``; it is at its start again then."""
    try:
        text = TextIOWrapper(stream, encoding=encoding, newline="")
    except LookupError as error:
        raise InputError(f"{name}: --encoding {encoding} is unknown; try utf-8, cp1252") from error
    controls = "".join(map(chr, (*range(9), *range(14, 32), 127)))
    try:
        while block := text.read(BLOCK):
            if encoding == GUESSED and any(map(block.count, controls)):
                return False  # no text that anybody wrote
        return True
    except UnicodeError:
        return False
    finally:
        text.detach()
        stream.seek(0)


def rows_of(text: TextIO, name: str, tabs: bool) -> tuple[Iterator[list[str]], str]:
    """Rows of cells by RFC 4180, and the mark that cuts them.

    Parameters
    ----------
    text : text stream
        At its start, opened with ``newline=""``.
    name : str
        Of the file, for messages.
    tabs : bool
        Whether tabs are known to be the mark.

    Returns
    -------
    rows : iterator of list of str
        Raises InputError at a quote that is not closed or not doubled.
    mark : str
        A space for columns that spaces cut, :data:`PLACES` for columns at the same place in all
        lines, with spaces inside.
    """
    csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))  # a cell may hold a whole text
    lines, mark = list(islice(text, SNIFFED)), ""
    if lines and lines[0].lower().startswith("sep="):  # spreadsheets say it so
        mark = lines.pop(0).rstrip("\r\n")[4:]
    mark = mark if len(mark) == 1 else "\t" if tabs else _delimiter(lines)
    if not mark:
        lines = [line.rstrip() for line in chain(lines, text)]
        if columns := _places(lines):
            return ([line[column].strip() for column in columns] for line in lines), PLACES
        mark = ","
    quoted = re.compile(rf'{re.escape(mark)} +"(?:[^"]|"")*"\s*(?:{re.escape(mark)}|$)')
    return _rows(chain(lines, text), mark, any(map(quoted.search, lines)), name), mark


def _cut(lines: Iterable[str], mark: str, spaced: bool) -> Any:
    """Rows; blanks before a cell are none of it where the lines are ``spaced``."""
    if mark == " ":
        lines = (line.strip() + "\n" for line in lines)
    return csv.reader(lines, delimiter=mark, strict=True, skipinitialspace=spaced)


def _rows(lines: Iterable[str], mark: str, spaced: bool, name: str) -> Iterator[list[str]]:
    reader = _cut(lines, mark, spaced or mark == " ")
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(
            f"{name}: line {reader.line_num}: {error}; a cell with a quote inside is written as "
            f'"say ""so""" (RFC 4180)'
        ) from error


def _delimiter(lines: list[str]) -> str:
    """Of the marks that cut the first line as most of the others, the one that cuts most alike;
    nothing where none cuts."""
    best: tuple[bool, float, int, str] = (False, 0.0, 0, ",")
    for mark in CUTS:
        best = max(best, _alike(lines, mark))
    if not best[0]:  # spaces are in texts too
        agrees, share, *_ = spaces = _alike(lines, " ")
        if agrees and share > 0.8:
            best = spaces
    return best[3] if best[1] else ""


def _places(lines: list[str]) -> list[slice]:
    """The columns between places that are blank in all lines."""
    full = [line for line in lines if line]
    wide = max(map(len, full), default=0)
    if len(full) < PRINTED or wide > WIDEST:
        return []
    used = [any(map(str.strip, letters)) for letters in zip_longest(*full, fillvalue=" ")]
    edges = [j for j, (left, here) in enumerate(pairwise([False, *used, False])) if left != here]
    columns = [slice(begin, end) for begin, end in zip(edges[::2], edges[1::2])]
    return columns if len(columns) > 1 else []


def _alike(lines: list[str], mark: str) -> tuple[bool, float, int, str]:
    """Whether the first row of several cells has the width of most, or a table of that width is
    below others, the share of that width, the width, and the mark."""
    widths: list[int] = []
    with suppress(csv.Error):  # a quote is open where the lines end
        widths.extend(len(row) for row in _cut(lines, mark, True) if any(map(str.strip, row)))
    width, times = Counter(widths).most_common(1)[0] if widths else (1, 0)
    if width == 1:
        return False, 0.0, 0, mark
    head = next(w for w in widths if w > 1)  # a title above is alone in its line
    agrees = head == width or head == width - 1 > 1  # names of rows have no head
    table = widths[widths.index(width) :]  # below what banks and instruments write
    agrees |= table.count(width) > ALIKE * len(table) > ALIKE * len(widths) / 2
    return agrees, times / len(widths), width, mark
