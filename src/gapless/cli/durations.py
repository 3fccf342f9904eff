"""Texts that say how long something took, or at what time of day it was, as hours; and where on
Earth, as degrees."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection

from ..core.checks import optional_import

# 26:10, 1:02:03.5, 3 days 02:00:00; PT1H30M; 1 h 30 min.
CLOCK = r"[+-]?(?:\d+ days?,? )?[+-]?\d+:[0-5]\d(?::[0-5]\d)?(?:\.\d+)?"
ISO = r"[+-]?P(?=[\dT])(?:\d+W)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
WORDS = r"\d+ ?[A-Za-z]+(?:,? ?\d+ ?[A-Za-z]+)+"
SHAPE = re.compile(f"{CLOCK}|{ISO}|{WORDS}")
# 48°12'30"N, 16.25° W
PLACE = re.compile(
    r"""(\d{1,3}(?:[.,]\d+)?)\s?°\s?(?:(\d{1,2}(?:[.,]\d+)?)\s?['\u2032\u2019]\s?)?"""
    r"""(?:(\d{1,2}(?:[.,]\d+)?)\s?(?:["\u2033\u201d]|'')\s?)?([NSEW])"""
)


def degrees(cells: Collection[str]) -> dict[str, float] | None:
    """The degrees that each of ``cells`` says, below zero in the south and the west; None where
    one says none."""
    found = {cell: PLACE.fullmatch(cell.strip()) for cell in cells}
    if not found or not all(found.values()):
        return None
    out = {}
    for cell, parts in found.items():
        *sizes, towards = parts.groups() if parts else ("0", "N")
        numbers = [float((size or "0").replace(",", ".")) for size in sizes]
        size = sum(number / 60**k for k, number in enumerate(numbers))
        out[cell] = -size if towards in "SW" else size
    return out


def hours(cells: Collection[str]) -> dict[str, float] | None:
    """The hours that each of ``cells`` says; None where one says none.

    Two numbers are hours and minutes, and minutes and seconds where seconds have fractions.
    """
    texts = [cell.strip() for cell in cells]
    if not texts or not all(map(SHAPE.fullmatch, texts)):
        return None
    fine = any("." in text for text in texts)
    full = [text if text.count(":") != 1 else _three(text, fine) for text in texts]
    pandas = optional_import("pandas", "pandas", "reading durations")
    try:
        with warnings.catch_warnings(action="ignore"):  # d for days is called old
            lasting = pandas.to_timedelta(full) / pandas.Timedelta(hours=1)
    except ValueError:
        return None
    return dict(zip(cells, map(float, lasting)))


def _three(text: str, fine: bool) -> str:
    """Hours, minutes and seconds of a text that has two of them."""
    return re.sub(r"(\d+:)", r"0:\1", text) if fine else f"{text}:00"
