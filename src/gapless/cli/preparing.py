"""From the columns of a table to the numbers that a network is given.

What is done is learnt from the table of the training, kept in the model file as data, and done
again by ``predict``, ``certify`` and ``verify``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, listed
from .columns import check_complete, check_sizes, check_slips, missing, some_numbers
from .dates import date_format, dated_numbers, parts_of, several_formats, varying_parts
from .features import Column, Dates, Levels, Numbers, column_of, rare
from .tables import check_names

# One-hot columns a text column may become.
MAX_CATEGORIES = 50
# A text column is left out where its frequent levels cover a smaller share of the rows.
COVERED = 0.5
# Letters of a text that is shown.
SHORT = 25
# Why a column has to be there.
NEEDED = ", which the model needs"
# Names that say that a column tells rows apart.
ID = re.compile(
    r"(?:.*[\s_.-])?(?:id|index|idx|key|uuid|guid|no|nr|rownum|rownames?|row|obs|case|#)|unnamed.*"
    r"|rowid|__index_level_\d+__",
    re.IGNORECASE,
)
CAMEL_ID = re.compile(r".*[a-z]I[dD]")


@dataclass(frozen=True)
class Encoder:
    """How the columns of a table become numbers.

    Attributes
    ----------
    columns : list of [name, how]
        As a model file has them: ``how`` is None for numbers of which none may be missing, a list
        of levels for such texts, else what :func:`.features.column_of` reads.
    """

    columns: list[Any]

    @classmethod
    def learn(
        cls,
        table: dict[str, Array],
        train: Array | slice = slice(None),
        keep: Sequence[str] = (),
        impute: bool = True,
    ) -> tuple[Encoder, list[str]]:
        """The encoder of a training table.

        Parameters
        ----------
        table : dict of array (n_rows,)
            Without its target.
        train : array of int, optional
            The rows whose medians stand for what is missing; by default all.
        keep : sequence of str
            Columns that are taken whatever they look like.
        impute : bool, default True
            Whether columns may have missing cells.

        Returns
        -------
        encoder : Encoder
        notes : list of str
            What was done, a line each.

        Raises
        ------
        InputError
            For slips in a column of numbers, infinite numbers, missing cells where none may be,
            and when no column is left.
        """
        columns: list[Column] = []
        said = _Said()
        for name, values in table.items():
            if not impute:
                check_complete(name, values)
            check_sizes(name, values)
            check_slips(name, values, f"drop the column with --drop {name}")
            column = _column(name, values, train, impute, name in keep, said)
            columns += [] if column is None else [column]
        if not columns:
            why = "; ".join(said.notes()) or "there is none besides the target and those dropped"
            raise InputError(f"no column is left to learn from: {why}")
        return cls([[column.name, column.entry] for column in columns]), said.notes()

    @cached_property
    def kinds(self) -> list[Column]:
        """The columns as what they are."""
        return list(map(column_of, self.columns))

    @property
    def names(self) -> list[str]:
        """A name for each number."""
        return [name for column in self.kinds for name in column.names]

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
        check_names(table, [column.name for column in self.kinds], NEEDED)
        for column in self.kinds:
            for numbers in column.columns(table):
                X[:, j] = numbers
                j += 1
        return X


class _Said:
    """What became of columns, by name."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.dates: list[str] = []
        self.levels: list[str] = []
        self.rare: list[str] = []
        self.texts: list[str] = []
        self.sparse: list[str] = []
        self.keys: list[str] = []
        self.empty: list[str] = []
        self.constant: list[str] = []

    def fill(self, name: str, lacks: Array, how: str) -> None:
        """Where cells are missing, how they are filled in."""
        if np.any(lacks):
            self.missing.append(f"{name} ({int(lacks.sum())}, {how})")

    def notes(self) -> list[str]:
        """A line for each kind of thing that was done."""
        lines = [
            ("text columns, a feature for each text", self.levels),
            ("rare texts together as one", self.rare),
            ("dates as numbers", self.dates),
            ("missing cells filled in", self.missing),
            ("columns of many different texts left out (--keep NAME)", self.texts),
            ("columns of few texts left out", self.sparse),
            ("columns that number or name the rows left out (--keep NAME)", self.keys),
            ("empty columns left out", self.empty),
            ("constant columns left out", self.constant),
        ]
        return [f"{words}: {listed(names)}" for words, names in lines if names]


def _column(
    name: str, values: Array, train: Any, impute: bool, kept: bool, said: _Said
) -> Column | None:
    """How one column becomes numbers; None where it is left out."""
    lacks = missing(values)
    there, n_lacking = values[~lacks], int(lacks.sum())
    indicator = n_lacking >= rare(len(values))
    number = values.dtype.kind == "f"
    distinct = np.unique(there) if number else np.array([*set(there)], object)
    reason = None
    if not len(distinct):
        reason = said.empty
    elif len(distinct) == 1 and not indicator:
        reason = said.constant
    elif not kept and is_key(name, values, distinct):
        reason = said.keys
    if reason is not None:
        reason.append(name)
        return None
    form = dated_numbers(name, there) if number else date_format(there)
    if form is None and number:
        said.fill(name, lacks, "median")
        return Numbers(name, _median(values, train) if impute else None, indicator)
    if form is not None:
        said.fill(name, lacks, "median")
        parts = parts_of(name, values, form)
        names = varying_parts(parts)
        said.dates.append(f"{name} ({form}: {', '.join(names)})")
        fills = tuple(_median(parts[part], train) for part in names) if impute else None
        return Dates(name, form, names, fills, indicator)
    levels, other, covered = _frequent(there, len(values), kept)
    doubt = some_numbers(there) or several_formats(there)
    if not kept and other and covered < COVERED * len(values):
        if 2 * n_lacking > len(values):
            said.sparse.append(f"{name} ({n_lacking} of {len(values)} cells empty)")
        else:
            said.texts.append(f"{name} ({len(distinct)}, as {_begun(there[0])!r}{doubt})")
        return None
    said.fill(name, lacks, "a level of its own")
    said.levels.append(f"{name} ({len(levels)}{doubt})")
    if other:
        said.rare.append(f"{name} ({len(distinct) - len(levels)})")
    levels += [""] if n_lacking else []
    return Levels(name, tuple(levels), other, strict=not impute and not other)


def _begun(cell: Any) -> str:
    """A text, or its beginning."""
    whole = " ".join(str(cell).split())
    return f"{whole[:SHORT]}..." if len(whole) > SHORT else whole


def is_key(name: str, values: Array, distinct: Array) -> bool:
    """Whether a column is called like a key, and is one.

    Parameters
    ----------
    name : str
    values : array of shape (n_rows,)
    distinct : array
        The different ones among them.

    Returns
    -------
    bool
    """
    if not (ID.fullmatch(name) or CAMEL_ID.fullmatch(name)) or len(distinct) < len(values):
        return False
    return values.dtype.kind != "f" or bool(np.all(distinct == np.round(distinct)))


def _median(values: Array, train: Any) -> float:
    """Of the training rows, or of all where those have none."""
    there = values[train]
    there = there[~np.isnan(there)]
    return float(np.median(there if len(there) else values[~np.isnan(values)]))


def _frequent(cells: Array, n_rows: int, kept: bool) -> tuple[list[str], bool, int]:
    """The levels in their order, whether rare ones are left over, and the rows that they have."""
    counts = Counter(map(str, cells))
    least = 1 if kept else rare(n_rows)
    few = sum(count < least for count in counts.values())
    if few < 2 and len(counts) <= MAX_CATEGORIES:
        return sorted(counts), False, len(cells)
    frequent = [level for level, count in counts.most_common(MAX_CATEGORIES - 1) if count >= least]
    return sorted(frequent), True, sum(counts[level] for level in frequent)
