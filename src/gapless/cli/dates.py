"""Texts that are dates: their format, and numbers that stand for them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, optional_import
from .columns import missing
from .spelt_dates import SPELT

#: as pandas writes them; the first that all texts of a column have is its format
FORMATS = (
    "ISO8601", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p", "%Y/%m/%d %I:%M:%S %p",
    "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %Y", "%b-%y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d.%m.%y %H:%M",
    "%d.%m.%y %H:%M:%S", "%H:%M", "%H:%M:%S",
    "%I:%M %p", "%a, %d %b %Y %H:%M:%S %z", "quarter", "%G-W%V", "%G-W%V-%u", "week",
    "%m/%Y", "%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p", "month name",
    "%Y年%m月%d日", "%Y년 %m월 %d일", "%Y. %m. %d.", "%Ym%m", "%YM%m",
)  # fmt: skip
# What is no format to those who do not know its name.
EXAMPLES = {
    "ISO8601": "2024-01-31", "quarter": "2024-Q1", "%G-W%V": "2024-W05", "week": "KW 05/2024",
    "month name": "31. Januar 2024",
}  # fmt: skip
#: of numbers, where a column is called like a time: from where to where they are, and the unit
#: that they count since 1970
NUMBERED = {
    "unix seconds": (1e9, 1e10, "s"), "unix milliseconds": (1e12, 1e13, "ms"),
    "%Y%m%d": (19000101, 21000101, ""),
}  # fmt: skip
ZONE = re.compile(r"\s(?:GMT|UTC)(?:[+-]\d{1,2}(?::?\d\d)?)?$")
TIME = re.compile(r"time|date|stamp|epoch|(?:^|[\s_.-])(?:ts|at)$|[a-z]At$", re.IGNORECASE)
#: numbers that a date becomes: days since 1970, Monday 0, January 1, hours with fractions
PARTS = ("day", "weekday", "month", "hour")
# Texts that are looked at before all are.
GLANCE = 10
# Of a column whose dates have no format in common.
SEVERAL = 50
# Days in which weekdays, and months, come again.
WEEK, YEAR = 14, 550


def known_format(given: Any) -> str:
    """``given`` if it is one of :data:`FORMATS` or :data:`NUMBERED`.

    Raises
    ------
    ValueError
    """
    if given not in (*FORMATS, *NUMBERED):
        raise ValueError("no format of dates")
    return str(given)


def date_format(cells: Array) -> str | None:
    """The format that all texts have, none of them missing, or None."""
    if not all(_looks_dated(str(cell)) for cell in cells[:GLANCE]):
        return None
    for form in FORMATS:
        if not np.any(np.isnat(_moments(cells[:GLANCE], form))) and not np.any(
            np.isnat(_moments(cells, form))
        ):
            return form
    return None


def several_formats(cells: Array) -> str:
    """Where the first texts are dates, but in different formats, two of them; else nothing."""
    first = cells[:SEVERAL]
    if not all(_looks_dated(str(cell)) for cell in first):
        return ""
    found = [~np.isnat(_moments(first, form)) for form in FORMATS]
    if not np.all(np.any(found, axis=0)):
        return ""
    best = max(found, key=np.sum)
    return (
        f", dates in several formats, {first[best][0]!r} and {first[~best][0]!r}: write them alike"
    )


def dated_numbers(name: str, numbers: Array) -> str | None:
    """The format of numbers, none of them missing, that are dates by their column's name, or
    None."""
    if not TIME.search(name):
        return None
    for form, (least, most, _) in NUMBERED.items():
        if np.all((least <= numbers) & (numbers < most)):
            return None if np.any(np.isnat(_moments(numbers, form))) else form
    return None


def _looks_dated(cell: str) -> bool:
    shortest = 4 if set(":QT") & set(cell) else 6  # 8:05, 4Q24
    return shortest <= len(cell.strip()) <= 40 and sum(map(str.isdigit, cell)) >= 2


def _moments(cells: Array, form: str) -> Array:
    """Moments of time, NaT for texts of another format; datetime64 (n_rows,)."""
    pandas = optional_import("pandas", "pandas", "reading dates")
    place, kinds = pandas.factorize(np.asarray(cells, object), use_na_sentinel=False)
    written = [ZONE.sub("", str(cell).strip()) for cell in kinds]
    if form in NUMBERED:
        numbers = pandas.to_numeric(pandas.Series(written), errors="coerce")
        if unit := NUMBERED[form][2]:
            moments = pandas.to_datetime(numbers, unit=unit, errors="coerce").to_numpy("M8[ns]")
            return moments[place]
        written = [f"{number:.0f}" for number in numbers]
    elif form in SPELT:
        written = list(map(SPELT[form], written))
    elif form == "%G-W%V":  # its Monday
        form, written = f"{form}-%u", [f"{cell}-1" for cell in written]
    index: Any = pandas.to_datetime(
        written, format="ISO8601" if form in SPELT else form, errors="coerce", utc=True
    )
    return index.tz_localize(None).to_numpy("datetime64[ns]")[place]


def parts_of(name: str, cells: Array, form: str) -> dict[str, Array]:
    """Each of :data:`PARTS` as floats (n_rows,), NaN for missing cells.

    Raises
    ------
    InputError
        For a text of another format.
    """
    lacks = missing(cells)
    moments = np.full(len(cells), np.datetime64("NaT", "ns"))
    moments[~lacks] = _moments(cells[~lacks], form)
    if np.any(wrong := np.isnat(moments) & ~lacks):
        row = int(np.argmax(wrong))
        raise InputError(
            f"column {name!r} has dates as {EXAMPLES.get(form, form)} in training, but "
            f"{str(cells[row])!r} in data row {row + 1}; write them alike"
        )
    seconds = np.where(lacks, np.nan, moments.astype("datetime64[us]").astype(np.int64) / 1e6)
    months = moments.astype("datetime64[M]").astype(np.int64)
    day = seconds / 86400
    return {
        "day": day,
        "weekday": (np.floor(day) + 3) % 7,  # 1970 began on a Thursday
        "month": np.where(lacks, np.nan, months % 12 + 1.0),
        "hour": np.where(lacks, np.nan, seconds % 86400 / 3600),
    }


def varying_parts(parts: dict[str, Array]) -> tuple[str, ...]:
    """The day, and those of the others that vary within what the dates span, the weekday not where
    all are the first of a month; within one day, as times without a date are, the hour."""
    first, last = float(np.nanmin(parts["day"])), float(np.nanmax(parts["day"]))
    span = last - first
    if np.floor(first) == np.floor(last):
        return ("hour",)

    def varies(part: str) -> bool:
        values = parts[part][~np.isnan(parts[part])]
        return bool(np.any(values != values[0]))

    days = parts["day"][~np.isnan(parts["day"])].astype("datetime64[D]")
    months = np.all(days == days.astype("datetime64[M]"))
    long_enough = {
        "day": True,
        "weekday": span >= WEEK and not months,
        "month": span >= YEAR,
        "hour": span >= 2,
    }
    return tuple(part for part in PARTS if long_enough[part] and (part == "day" or varies(part)))
