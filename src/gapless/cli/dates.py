"""Texts that are dates: their format, and numbers that stand for them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, optional_import
from .columns import missing

#: as pandas writes them; the first that all texts of a column have is its format
FORMATS = (
    "ISO8601", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%H:%M", "%H:%M:%S", "%I:%M %p",
)  # fmt: skip
#: of numbers: seconds or milliseconds since 1970, where a column is called like a time
UNIX = {"unix seconds": ("s", 1e9, 1e10), "unix milliseconds": ("ms", 1e12, 1e13)}
TIME = re.compile(r"time|date|stamp|epoch|(?:^|[\s_.-])(?:ts|at)$|[a-z]At$", re.IGNORECASE)
#: numbers that a date becomes: days since 1970, Monday 0, January 1, hours with fractions
PARTS = ("day", "weekday", "month", "hour")
# Texts that are looked at before all are.
GLANCE = 10
# Days in which weekdays, and months, come again.
WEEK, YEAR = 14, 550


def known_format(given: Any) -> str:
    """``given`` if it is one of :data:`FORMATS` or :data:`UNIX`.

    Raises
    ------
    ValueError
    """
    if given not in (*FORMATS, *UNIX):
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


def unix_format(name: str, numbers: Array) -> str | None:
    """The format of numbers, none of them missing, that are moments since 1970, or None."""
    if not TIME.search(name):
        return None
    for form, (_, least, most) in UNIX.items():
        if np.all((least <= numbers) & (numbers < most)):  # 2001 to 2286: ten digits, or thirteen
            return form
    return None


def _looks_dated(cell: str) -> bool:
    shortest = 4 if ":" in cell else 6
    return shortest <= len(cell.strip()) <= 40 and sum(map(str.isdigit, cell)) >= 3


def _moments(cells: Array, form: str) -> Array:
    """Moments of time, NaT for texts of another format; datetime64 (n_rows,)."""
    pandas = optional_import("pandas", "pandas", "reading dates")
    if form in UNIX:
        numbers = pandas.to_numeric(pandas.Series(cells), errors="coerce")
        return pandas.to_datetime(numbers, unit=UNIX[form][0], errors="coerce").to_numpy("M8[ns]")
    index: Any = pandas.to_datetime(
        [str(cell).strip() for cell in cells], format=form, errors="coerce", utc=True
    )
    return index.tz_localize(None).to_numpy("datetime64[ns]")


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
            f"column {name!r} has dates as {form} in training, but {str(cells[row])!r} in data row "
            f"{row + 1}; write them alike"
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
    """The day, and those of the others that vary within what the dates span; within one day, as
    times without a date are, the hour."""
    first, last = float(np.nanmin(parts["day"])), float(np.nanmax(parts["day"]))
    span = last - first
    if np.floor(first) == np.floor(last):
        return ("hour",)

    def varies(part: str) -> bool:
        values = parts[part][~np.isnan(parts[part])]
        return bool(np.any(values != values[0]))

    long_enough = {"day": True, "weekday": span >= WEEK, "month": span >= YEAR, "hour": span >= 2}
    return tuple(part for part in PARTS if long_enough[part] and (part == "day" or varies(part)))
