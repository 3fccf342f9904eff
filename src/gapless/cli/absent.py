"""Cells that mean missing in one table alone: said with ``--na``, told by the table, or known to a
model file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array, optional_import
from .dates import date_format
from .numbers import GLANCE, MAX_CODES, MISSING_NUMBER, Written, is_number

#: the texts that mean missing, by column
Absent: TypeAlias = Mapping[str, Sequence[str]]

# Words among numbers that may mean missing, and the rows that each of them is in.
FEW_WORDS, OFTEN = 3, 2
DIGIT = re.compile(r"\d").search
# What surveys write for no answer.
CODE = re.compile(r"-9{1,5}|-[78]{1,4}|9{2,6}|9{1,4}[78]|8{2,5}|7{2,5}")


def asked(given: Iterable[str], names: Iterable[str]) -> dict[str, list[str]]:
    """What ``--na`` says, as ``WORD`` for all columns or ``COLUMN=WORD`` for one."""
    names = list(names)
    absent: dict[str, list[str]] = {}
    for text in given:
        name, equals, word = text.rpartition("=")
        one = bool(equals) and name in names
        for column in [name] if one else names:
            absent.setdefault(column, []).append((word if one else text).strip())
    return absent


def words_among(columns: dict[str, Array]) -> dict[str, list[str]]:
    """The words in columns that are numbers or dates but for two or three words that come again.

    Whole numbers of few values are left alone: those may be names, as the words are.
    """
    absent = {}
    for name, column in columns.items():
        if column.dtype.kind == "f":
            continue
        if 2 * sum(map(bool, map(DIGIT, column[:GLANCE]))) < len(column[:GLANCE]):
            continue
        words = {cell for cell in set(column) if not DIGIT(cell)}
        words = {cell.strip() for cell in words if cell.strip().lower() not in MISSING_NUMBER}
        if not 0 < len(words) <= FEW_WORDS:
            continue
        counts = Counter(map(str.strip, column))
        others = [cell for cell in counts if DIGIT(cell)]
        rows = [counts[word] for word in words]
        often = min(rows) >= OFTEN and 2 * sum(rows) <= len(column)
        if often and len(others) > MAX_CODES and _are_values(others):
            absent[name] = sorted(words)
    return absent


def _are_values(cells: list[str]) -> bool:
    """Whether texts are all numbers, or all dates."""
    written = Written.of(cells)
    if written is not None and any(written.values(mark) is not None for mark in ".,"):
        return True
    return date_format(np.array(cells, object)) is not None


def blank(cells: Any, absent: Absent) -> tuple[Any, dict[str, list[str]]]:
    """The columns of a file with those cells empty, and which of the texts were there.

    Parameters
    ----------
    cells : pandas.DataFrame or dict of array
        Not changed.
    absent : dict of list of str
        Numbers stand for all writings of them: -999 for -999.0 too.
    """
    pandas = optional_import("pandas", "pandas", "reading tables")
    changed, found = {}, {}
    for name, words in absent.items():
        if name not in cells:
            continue
        column = pandas.Series(cells[name])
        written = column.astype(str).str.strip()
        values = {float(word) for word in words if is_number(word)}
        kinds = {text for text in written.unique()
                 if text in words or (is_number(text) and float(text) in values)}  # fmt: skip
        if kinds:
            empty = "" if pandas.api.types.is_string_dtype(column) else None
            changed[name] = column.mask(written.isin(kinds), empty)
            found[name] = sorted(kinds)
    if not changed:
        return cells, found
    if isinstance(cells, dict):
        return cells | {name: column.to_numpy() for name, column in changed.items()}, found
    return cells.assign(**changed), found


def is_absent(given: Any) -> bool:
    """Whether what a model file says is texts by the names of columns."""
    return isinstance(given, dict) and all(
        isinstance(words, list) and all(isinstance(word, str) for word in words)
        for words in given.values()
    )


def codes(column: Array) -> list[str]:
    """Numbers of a column that surveys write for no answer: below zero where nothing else is, or
    farther above all others than those lie apart; each in several rows."""
    if column.dtype.kind != "f":
        return []
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    named = np.array([bool(CODE.fullmatch(f"{value:.15g}")) for value in values], bool)
    named &= counts >= OFTEN
    rest = values[~named]
    if not len(rest):
        return []
    low, high = rest[0], rest[-1]
    named &= ((values < 0) & (low >= 0)) | (values > high + max(high - low, 1.0))
    return [f"{value:.15g}" for value in values[named]]
