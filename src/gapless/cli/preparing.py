"""From the columns of a table to the numbers that a network is given.

What is done is learnt from the table of the training, kept in the model file as data, and done
again by ``predict``, ``certify`` and ``verify``.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, listed
from .columns import (
    check_complete,
    check_sizes,
    check_slips,
    missing,
    numbers_of,
    some_numbers,
)
from .dates import (
    PARTS,
    date_format,
    dated_numbers,
    known_format,
    parts_of,
    several_formats,
    varying_parts,
)
from .numbers import is_missing
from .tables import check_names, texts

# One-hot columns a text column may become.
MAX_CATEGORIES = 50
# A level in fewer rows than this is rare; in small tables one in a hundred is, and once always.
RARE = 5
# A text column is left out where its frequent levels cover a smaller share of the rows.
COVERED = 0.5
# Letters of a text that is shown.
SHORT = 25
# Share of the rows of which more may lack a number than in training: those without a target may.
FEW = 0.1
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
class Numbers:
    """A column of numbers.

    Attributes
    ----------
    name : str
    fill : float, optional
        What stands for missing numbers; None where there may be none.
    indicator : bool
        Whether a second column says where they are missing.
    """

    name: str
    fill: float | None = None
    indicator: bool = False

    @property
    def names(self) -> list[str]:
        return [self.name, *[f"{self.name} missing"] * self.indicator]

    @property
    def entry(self) -> Any:
        if self.fill is None:
            return None
        return {"kind": "numbers", "fill": self.fill, "indicator": self.indicator}

    def columns(self, table: dict[str, Array]) -> list[Array]:
        """One or two of numbers, (n_rows,) each."""
        column = table[self.name]
        if self.fill is None:
            check_complete(self.name, column)
        column = numbers_of(
            self.name, column, "correct it" + ", or leave it empty" * (self.fill is not None)
        )
        check_sizes(self.name, column)
        lacks = np.isnan(column)
        _tell_filled(self, lacks)
        filled = column if self.fill is None else np.where(lacks, self.fill, column)
        return [filled, *[lacks.astype(float)] * self.indicator]


@dataclass(frozen=True)
class Levels:
    """A column of texts, each level a 0/1 column.

    Attributes
    ----------
    name : str
    levels : tuple of str
        An empty one stands for missing texts.
    other : bool
        Whether a last column says that a text is none of the levels.
    strict : bool
        Whether a missing text is refused.
    """

    name: str
    levels: tuple[str, ...]
    other: bool = False
    strict: bool = False

    @property
    def names(self) -> list[str]:
        levels = [
            f"{self.name}={level}" if level else f"{self.name} missing" for level in self.levels
        ]
        return [*levels, *[f"{self.name} other"] * self.other]

    @property
    def entry(self) -> Any:
        if self.strict:
            return list(self.levels)
        return {"kind": "levels", "levels": list(self.levels), "other": self.other}

    def columns(self, table: dict[str, Array]) -> list[Array]:
        """0 and 1, (n_rows,) for each name."""
        if self.strict:
            check_complete(self.name, table[self.name])
        place = {level: k for k, level in enumerate(self.levels)}
        cells = texts(table, self.name)
        unseen: dict[str, int] = {}
        codes = np.empty(len(cells), int)
        for row, cell in enumerate(cells):
            code = place.get(cell, -1)
            if code < 0 and "" in place and is_missing(cell):
                code = place[""]
            elif code < 0:
                unseen.setdefault(cell, row)
            codes[row] = code
        if unseen and not self.other:
            first = next(iter(unseen))
            what = f"texts that training did not see, {first!r} the first of {len(unseen)}"
            if is_missing(first):
                what = "missing cells, of which training had none"
            warnings.warn(
                f"column {self.name!r} has {what}; they count as none of {len(self.levels)} known",
                UserWarning,
                stacklevel=2,
            )
        codes[codes < 0] = len(self.levels)
        return [(codes == k).astype(float) for k in range(len(self.levels) + self.other)]


@dataclass(frozen=True)
class Dates:
    """A column of dates as numbers.

    Attributes
    ----------
    name : str
    format : str
        One of :data:`.dates.FORMATS`.
    parts : tuple of str
        Names in :data:`.dates.PARTS`.
    fill : tuple of float, optional
        For each part; None where no date may be missing.
    indicator : bool
        Whether a last column says where a date is missing.
    """

    name: str
    format: str
    parts: tuple[str, ...]
    fill: tuple[float, ...] | None = None
    indicator: bool = False

    @property
    def names(self) -> list[str]:
        return [
            *(f"{self.name} {part}" for part in self.parts),
            *[f"{self.name} missing"] * self.indicator,
        ]

    @property
    def entry(self) -> Any:
        return {
            "kind": "dates", "format": self.format, "parts": list(self.parts),
            "fill": None if self.fill is None else list(self.fill), "indicator": self.indicator,
        }  # fmt: skip

    def columns(self, table: dict[str, Array]) -> list[Array]:
        """Numbers, (n_rows,) for each name."""
        cells = texts(table, self.name)
        if self.fill is None:
            check_complete(self.name, cells)
        parts = parts_of(self.name, cells, self.format)
        lacks = np.isnan(parts["day"])
        _tell_filled(self, lacks)
        fill = self.fill or [0.0] * len(self.parts)
        out = [np.where(lacks, value, parts[part]) for part, value in zip(self.parts, fill)]
        return [*out, *[lacks.astype(float)] * self.indicator]


Column = Numbers | Levels | Dates


def _tell_filled(column: Numbers | Dates, lacks: Array) -> None:
    """Warn where more cells are missing than there were in training."""
    if not column.indicator and lacks.sum() >= max(_rare(len(lacks)), FEW * len(lacks)):
        warnings.warn(
            f"column {column.name!r} has {lacks.sum()} missing cells, of which training had next "
            "to none; its median stands for them",
            UserWarning,
            stacklevel=3,
        )


def column_of(given: Any) -> Column:
    """The column that an entry ``[name, how]`` of a model file is.

    Raises
    ------
    ValueError
        For anything that is no such entry; nothing of it is trusted.
    """
    name, how = given
    if type(name) is not str:
        raise ValueError("a name is a text")
    if how is None:
        return Numbers(name)
    if type(how) is list:
        return Levels(name, _levels(how), strict=True)
    fields = dict(how)
    kind, indicator = fields.pop("kind"), fields.get("indicator", False)
    if type(indicator) is not bool or type(fields.get("other", False)) is not bool:
        raise ValueError("true or false")
    if kind == "numbers" and fields.keys() == {"fill", "indicator"}:
        return Numbers(name, _number(fields["fill"]), indicator)
    if kind == "levels" and fields.keys() == {"levels", "other"}:
        return Levels(name, _levels(fields["levels"]), fields["other"])
    if kind == "dates" and fields.keys() == {"format", "parts", "fill", "indicator"}:
        parts, fill = tuple(fields["parts"]), fields["fill"]
        if not parts or not set(parts) <= set(PARTS) or len(set(parts)) < len(parts):
            raise ValueError("parts of dates")
        if fill is not None:
            fill = tuple(map(_number, fill))
            if len(fill) != len(parts):
                raise ValueError("a number for each part")
        return Dates(name, known_format(fields["format"]), parts, fill, indicator)
    raise ValueError("numbers, levels or dates")


def _levels(given: Any) -> tuple[str, ...]:
    if type(given) is not list or not all(type(level) is str for level in given):
        raise ValueError("levels are texts")
    return tuple(given)


def _number(given: Any) -> float:
    if type(given) not in (int, float) or not np.isfinite(given):
        raise ValueError("a number")
    return float(given)


@dataclass(frozen=True)
class Encoder:
    """How the columns of a table become numbers.

    Attributes
    ----------
    columns : list of [name, how]
        As a model file has them: ``how`` is None for numbers of which none may be missing, a list
        of levels for such texts, else what :func:`column_of` reads.
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
    indicator = n_lacking >= _rare(len(values))
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


def _rare(n_rows: int) -> int:
    """Rows in which a thing is not rare any more."""
    return min(RARE, max(2, n_rows // 100))


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
    rare = 1 if kept else _rare(n_rows)
    few = sum(count < rare for count in counts.values())
    if few < 2 and len(counts) <= MAX_CATEGORIES:
        return sorted(counts), False, len(cells)
    frequent = [level for level, count in counts.most_common(MAX_CATEGORIES - 1) if count >= rare]
    return sorted(frequent), True, sum(counts[level] for level in frequent)
