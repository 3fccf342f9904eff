"""Columns of a table: checked, and made numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ..core.checks import Array, InputError
from .tables import MISSING, texts

# One-hot columns a text column may become; more is a key or free text.
MAX_CATEGORIES = 50
# A text column with this share of numbers is one of numbers with slips,
SLIPS = 0.9
# unless they are whole and of at most so many values: then they may name things.
MAX_CODES = 20
# The squares of larger numbers overflow.
LARGE = 1e150


def check_complete(name: str, column: Array) -> None:
    """Raise InputError when a column has missing, infinite, empty or far too large cells."""
    if column.dtype.kind == "f":
        bad = ~np.isfinite(column)
    else:
        bad = np.array([v.strip().lower() in MISSING for v in column])
    if np.any(bad):
        raise InputError(
            f"column {name!r} has {int(bad.sum())} missing or infinite values, the first in data "
            f"row {int(np.argmax(bad)) + 1}; remove those rows or fill them in"
        )
    if column.dtype.kind == "f" and (largest := np.max(np.abs(column), initial=0.0)) > LARGE:
        raise InputError(
            f"column {name!r} has numbers as large as {largest:.1g}, whose squares overflow; "
            "divide it by its standard deviation"
        )


def are_codes(numbers: Array) -> bool:
    """Whether numbers may be names of classes: few, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= MAX_CODES and bool(np.all(distinct == np.round(distinct)))


def check_numbers(name: str, column: Array, advice: str = "correct it") -> None:
    """Raise InputError, with the first text, when a column is not of numbers."""
    if column.dtype.kind != "f":
        row = int(np.argmin([is_number(v) for v in column]))
        raise InputError(
            f"column {name!r} must be numbers, data row {row + 1} has the text "
            f"{str(column[row])!r}; {advice}"
        )


def check_slips(name: str, column: Array, otherwise: str) -> None:
    """Raise InputError, which ends in ``otherwise``, for a text column that is numbers but for
    a few cells."""
    if column.dtype.kind == "f":
        return
    number = np.array([is_number(v) for v in column])
    slips = np.flatnonzero(~number)
    if 0 < len(slips) <= (1 - SLIPS) * len(column) and not are_codes(column[number].astype(float)):
        raise InputError(
            f"column {name!r} has numbers in {number.sum()} of {len(column)} rows, but "
            f"{str(column[slips[0]])!r} in data row {slips[0] + 1}; correct it, or {otherwise}"
        )


def is_number(cell: str) -> bool:
    """Whether ``cell`` is the text of a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Encoder:
    """How columns become numbers: as they are, or one 0/1 column a category.

    Parameters
    ----------
    columns : list of (name, categories)
        Pairs; ``categories`` are texts, None for a column of numbers.
    """

    columns: list[tuple[str, list[str] | None]]

    @classmethod
    def learn(cls, table: dict[str, Array]) -> tuple[Encoder, list[str]]:
        """The encoder of a training table.

        Returns
        -------
        encoder : Encoder
        constant : list of str
            Names of the constant columns, which are left out.

        Raises
        ------
        InputError
            For a column with missing cells, slips or too many texts, or when none is left.
        """
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

    def encode(self, table: dict[str, Array]) -> Array:
        """The columns as numbers.

        Returns
        -------
        array (n_rows, n_numbers)

        Raises
        ------
        InputError
            When columns are missing or differ.
        """
        # filled column by column: the blocks and their union would need the memory twice
        n_rows = len(next(iter(table.values()), ()))
        X, j = np.empty((n_rows, len(self.names))), 0
        for name, categories in self.columns:
            if name not in table:
                raise InputError(f"the data have no column {name!r}, which the model needs")
            check_complete(name, table[name])
            if categories is None:
                check_numbers(name, table[name])
                X[:, j] = table[name]
                j += 1
            else:
                codes = _codes(name, texts(table, name), categories)
                X[:, j : j + len(categories)] = codes[:, None] == np.arange(len(categories))
                j += len(categories)
        return X


def _codes(name: str, values: Array, categories: list[str]) -> Array:
    """Each text's place among the categories, -1, with a warning, for texts that are none."""
    if unseen := sorted(set(values) - set(categories)):
        warnings.warn(
            f"column {name!r} has texts that training did not see, {unseen[0]!r} the "
            f"first of {len(unseen)}; they count as none of {len(categories)} known",
            UserWarning,
            stacklevel=2,
        )
    place = {category: k for k, category in enumerate(categories)}
    return np.array([place.get(value, -1) for value in values])
