"""What the columns of a table become, each one or more of numbers; as entries of a model file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array
from .columns import check_complete, check_sizes, numbers_of
from .dates import PARTS, known_format, parts_of
from .numbers import is_missing
from .tables import texts

# A level in fewer rows than this is rare; in small tables one in a hundred is, and once always.
RARE = 5
# Share of the rows of which more may lack a number than in training: those without a target may.
FEW = 0.1


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
    if not column.indicator and lacks.sum() >= max(rare(len(lacks)), FEW * len(lacks)):
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


def rare(n_rows: int) -> int:
    """Rows in which a thing is not rare any more."""
    return min(RARE, max(2, n_rows // 100))
