"""Cells that mean missing in one table alone: said with ``--na``, told by the table, or known to a
model file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array, counted, optional_import
from .dates import date_format
from .numbers import GLANCE, MAX_CODES, MISSING_NUMBER, Written, is_number

#: the texts that mean missing, by column
Absent: TypeAlias = Mapping[str, Sequence[str]]

# Words among numbers that may mean missing, and the rows that each of them is in.
FEW_WORDS, OFTEN = 3, 2
DIGIT = re.compile(r"\d").search
# What surveys write for no answer: -9 to -99999, 99 to 999999, 97, 998; 7 and 8 as 9, and mixed
# below zero.
CODES = [
    *(-(10**k - 1) for k in range(1, 6)), *(10**k - 1 for k in range(2, 7)),
    *(10 * (10**k - 1) + last for k in range(1, 5) for last in (7, 8)),
    *(digit * (10**k - 1) // 9 for digit in (7, 8) for k in range(2, 6)),
    *(-int("".join(digits)) for k in range(1, 5) for digits in product("78", repeat=k)),
]  # fmt: skip


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
        rows: Counter[str] = Counter()  # of each word
        others = []
        for cell, times in Counter(column).items():
            if DIGIT(cell):
                others.append(cell)
            elif (word := cell.strip()).lower() not in MISSING_NUMBER:
                rows[word] += times
        if not 0 < len(rows) <= FEW_WORDS:
            continue
        often = min(rows.values()) >= OFTEN and 2 * rows.total() <= len(column)
        if often and len(others) > MAX_CODES and _are_values(others):
            absent[name] = sorted(rows)
    return absent


def _are_values(cells: list[str]) -> bool:
    """Whether texts are all numbers, or all dates."""
    written = Written.of(cells)
    return bool(written and written.meant) or date_format(np.array(cells, object)) is not None


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
        kinds = {
            text for text in written.unique()
            if text in words or (values and is_number(text) and float(text) in values)
        }  # fmt: skip
        if kinds:
            empty = "" if pandas.api.types.is_string_dtype(column) else None
            changed[name] = column.mask(written.isin(kinds), empty)
            found[name] = sorted(kinds)
    if not changed:
        return cells, found
    if isinstance(cells, dict):
        return cells | {name: column.to_numpy() for name, column in changed.items()}, found
    return cells.assign(**changed), found


def filled_down(cells: Any, names: Iterable[str]) -> tuple[Any, list[str]]:
    """The columns of a file with the empty cells of some as the last above that is not, and what is
    said of each.

    Parameters
    ----------
    cells : pandas.DataFrame or dict of array
        Not changed.
    names : iterable of str
    """
    pandas = optional_import("pandas", "pandas", "reading tables")
    said, table = [], pandas.DataFrame(cells)
    for name in names:
        column = table[name]
        empty = column.isna() | (column.astype(str).str.strip() == "")
        above = column.mask(empty).ffill()
        filled = empty & above.notna()  # above the first there is nothing
        table = table.assign(**{name: column.mask(filled, above)})
        said.append(f"{counted(int(filled.sum()), 'empty cell')} of {name} filled from above")
    return table, said


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
    there = column[~np.isnan(column)]
    values, counts = np.unique(there[np.isin(there, CODES)], return_counts=True)
    values = values[counts >= OFTEN]
    rest = there[~np.isin(there, values)]
    if not len(values) or not len(rest):
        return []
    low, high = rest.min(), rest.max()
    named = ((values < 0) & (low >= 0)) | (values > high + max(high - low, 1.0))
    return [f"{value:.15g}" for value in values[named]]
