"""Columns of a table, checked."""

from __future__ import annotations

import warnings
from itertools import islice

import numpy as np

from ..core.checks import Array, InputError, counted
from .numbers import LIMIT, MAX_CODES, is_missing, is_number, plain_numbers, units_of

# A text column with this share of numbers is one of numbers with slips, unless they are codes.
SLIPS = 0.9
# The squares of larger numbers overflow.
LARGE = 1e150
# Quartile ranges from the median, beyond which a number is a slip or a mark more often than not.
FAR = 100
# Units that a column of numbers may be told to have.
FEW = 5


def missing(column: Array) -> Array:
    """Which cells say nothing; bool (n_rows,)."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    nothing = {cell for cell in set(column) if is_missing(cell)}
    return np.array([cell in nothing for cell in column], dtype=bool)


def check_complete(name: str, column: Array) -> None:
    """Raise InputError when a column has missing, infinite, empty or far too large cells."""
    bad = missing(column)
    if column.dtype.kind == "f":
        bad |= np.isinf(column)
    if np.any(bad):
        raise InputError(
            f"column {name!r} has {int(bad.sum())} missing or infinite values, the first in data "
            f"row {int(np.argmax(bad)) + 1}; remove those rows or fill them in"
        )
    check_sizes(name, column)


def check_sizes(name: str, column: Array) -> None:
    """Raise InputError when numbers are infinite, or so large that they overflow."""
    if column.dtype.kind != "f":
        return
    if np.any(bad := np.isinf(column)):
        one = bad.sum() == 1
        numbers = "an infinite number" if one else f"{bad.sum()} infinite numbers, the first"
        raise InputError(
            f"column {name!r} has {numbers} in data row {int(np.argmax(bad)) + 1}; leave such "
            "cells empty"
        )
    if (largest := np.max(np.abs(column[~np.isnan(column)]), initial=0.0)) > LARGE:
        raise InputError(
            f"column {name!r} has numbers as large as {largest:.1g}, whose squares overflow; "
            "divide it by its standard deviation"
        )


def some_numbers(cells: Array) -> str:
    """Where half of the texts are numbers how many, and the first that is none; where they differ
    in units, those; else nothing."""
    if 1 < len(units := units_of(cells)) <= FEW:
        return f", numbers in different units, {', '.join(units)}: write them in one"
    numbers = {cell for cell in set(cells) if is_number(cell)}
    number = np.array([cell in numbers for cell in cells])
    if 2 * number.sum() < len(cells) or number.all():
        return ""
    return f", numbers in {number.sum()} rows, but {str(cells[np.argmin(number)])!r}"


def look_alike(cells: Array) -> list[str]:
    """Texts that differ in capitals or spaces alone, those of the first such word."""
    kinds: dict[str, list[str]] = {}
    for cell in sorted(set(cells[~missing(cells)])):
        kinds.setdefault(" ".join(cell.split()).casefold(), []).append(cell)
    return next((written for written in kinds.values() if len(written) > 1), [])


def heads_groups(column: Array) -> bool:
    """Whether a column may have a label in the first row of each group alone: it begins with one,
    most cells are empty, and no label is that before it."""
    lacks = missing(column)
    there = column[~lacks]
    if lacks[0] or 2 * lacks.sum() < len(column) or len(there) < 2:
        return False
    fractions = column.dtype.kind == "f" and bool(np.any(there != np.round(there)))
    return not fractions and bool(np.all(there[1:] != there[:-1]))


def far_off(name: str, column: Array) -> str:
    """Numbers of a column that lie far from all others, in words; nothing where there are none."""
    if column.dtype.kind != "f":
        return ""
    there = column[~np.isnan(column)]
    low, middle, high = np.percentile(there, (25, 50, 75)) if len(there) else (0, 0, 0)
    far = there[np.abs(there - middle) > FAR * (high - low)]
    if high == low or not len(far):
        return ""
    farthest = far[np.argmax(np.abs(far - middle))]
    return f"{name} ({farthest:.6g}{f' and {len(far) - 1} more' * (len(far) > 1)})"


def are_codes(numbers: Array) -> bool:
    """Whether numbers may be names of classes: few, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= MAX_CODES and bool(np.all(distinct == np.round(distinct)))


def check_numbers(name: str, column: Array, advice: str = "correct it") -> None:
    """Raise InputError, with the first text, when a column is not of numbers."""
    if column.dtype.kind != "f":
        raise _no_numbers(name, column, advice)


def numbers_of(name: str, column: Array, advice: str = "correct it") -> Array:
    """A column as floats; limits, as <5, count as their numbers, and a warning says so.

    Raises
    ------
    InputError
        For another text, with ``advice``.
    """
    if column.dtype.kind == "f":
        return column
    limits = [cell for cell in column if LIMIT.match(str(cell).strip())]
    bare = np.array([LIMIT.sub("", str(cell).strip()) for cell in column], object)
    if not limits or (numbers := plain_numbers(bare)) is None:
        raise _no_numbers(name, column, advice)
    warnings.warn(
        f"column {name!r}: {counted(len(limits), 'cell')} as {limits[0]!r} read as the limit",
        UserWarning,
        stacklevel=3,
    )
    return numbers


def _no_numbers(name: str, column: Array, advice: str) -> InputError:
    text = np.array([not (is_number(v) or is_missing(v)) for v in column])
    row = int(np.argmax(text))
    return InputError(
        f"column {name!r} must be numbers, data row {row + 1} has the text "
        f"{str(column[row])!r}; {advice}"
    )


def check_slips(name: str, column: Array, otherwise: str) -> None:
    """Raise InputError, which ends in ``otherwise``, for a text column that is numbers but for
    a few cells."""
    if column.dtype.kind == "f":
        return
    there = column[~missing(column)]
    most = int((1 - SLIPS) * len(there))
    slips = list(islice((cell for cell in there if not is_number(cell)), most + 1))
    if not 0 < len(slips) <= most:
        return
    numbers = there[~np.isin(there, slips)]
    if not are_codes(numbers.astype(float)):
        row = int(np.argmax(column == slips[0])) + 1
        raise InputError(
            f"column {name!r} has numbers in {len(numbers)} of {len(column)} rows, but "
            f"{str(slips[0])!r} in data row {row}; correct it, or {otherwise}"
        )
