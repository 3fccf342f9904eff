"""Texts that are numbers: decimal commas, thousands, signs of money and per cent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, counted
from .durations import degrees, hours

# Cells that say nothing, in any column.
MISSING = {
    "", "na", "nan", "n/a", "null", "<na>", "#n/a", "#nv", "#n/d", "0000-00-00",
    "0000-00-00 00:00:00",
}  # fmt: skip
# Missing among numbers, but among texts often a value: "+" and "-" are classes.
MISSING_NUMBER = MISSING | {
    "?", "-", "--", ".", "none", "missing", "unknown", "not available", "nat", "\\n", "(null)",
    "nil", "n.a.", "n.d.", "n.c.", "n/d", "s/d", "nd", "k.a.", "k. a.", "keine angabe", ":", "..",
    "...", "\u2026", "\u2013", "\u2014",
    # errors of spreadsheets in English, German, French, Spanish, Italian
    "#div/0!", "#value!", "#num!", "#ref!", "#name?", "#null!", "#wert!", "#zahl!", "#bezug!",
    "#valeur!", "#nombre!", "#nom?", "#\u00a1div/0!", "#\u00a1valor!", "#\u00a1num!",
    "#\u00a1ref!", "#\u00bfnombre?", "#valore!", "#rif!", "#nome?",
}  # fmt: skip
# Numbers in typed files too.
TRUTHS = {"false": 0.0, "true": 1.0}
# At most one of them stands before or after the numbers of a column; so may a currency's code
# before them, or a unit after them.
SIGNS = "$€£¥₹%‰"
CODE = re.compile(
    r"[A-Z]{3}(?=[ \u00a0\u202f])|(?:[A-Z]{1,2}\$|Fr\.|Rs\.?|kr\.?)(?=[ \u00a0\u202f]?[\d(-])"
)
UNIT = re.compile(r"(?<=[\d.,\s])(?:[^\W\d_]|[°²³/]){1,10}\.?$")
# A number with nothing around it but a minus.
BARE = re.compile(r"-?\d(?:[^D\u00b1]*\d)?").fullmatch
# Thousands and millions, as in 20k beside 1.5M.
SCALE = re.compile(r"(?<=[\d.,])\s?(k|K|M|Mio\.?|B|bn)$")
SCALES = {"k": 1e3, "m": 1e6, "b": 1e9}
# A minus behind all that is below zero in a column, as SAP writes it: behind two digits or a
# fraction, for 2- may be a mark; a dash for none, as in 5.- and, of money, alone.
BEHIND, DASH = re.compile(r"(?:[.,]\d+|\d\d)-$"), re.compile(r"(?<=\d)[.,][-\u2013\u2014]{1,2}$")
# How far a measured number may be off, and an exponent as Fortran writes it.
ABOUT, FORTRAN = (
    re.compile(r"(?<=[\d.,])\s*\u00b1.*$"),
    re.compile(r"(?<=\d)D(?=[+-]\d\d)"),
)
# A minus as typesetters write it, and texts as spreadsheets keep them from being numbers.
MINUS, FORMULA = re.compile(r"^[\u2212\u2013](?=[\d.,])"), re.compile(r'^="(.*)"$')
# Whole numbers in groups of three, in India of two after the first, and the rest, by the decimal
# mark.
GROUPED = {
    ".": re.compile(
        r"[+-]?[1-9]\d{0,2}(?:[,'’ \u00a0\u202f]\d{3})+(?:\.\d*)?"
        r"|[+-]?[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d*)?"
    ),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(?:[.'’ \u00a0\u202f]\d{3})+(?:,\d*)?"),
}
COMMA = re.compile(r"[+-]?(?:\d+(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?")
GROUPS = {
    ".": re.compile("[,'’ \u00a0\u202f]"),
    ",": re.compile("[.'’ \u00a0\u202f]"),
}
# A number that is only known to lie beyond: <5, >= 90.
BEYOND = frozenset("<>\u2264\u2265")
LIMIT = re.compile(r"^(?:[<>]=?|[\u2264\u2265])\s*(?=[\d.,-])")
# What texts with several numbers may measure.
MEASURES = {"hours": hours, "degrees": degrees}
# Where a column of text is looked at before all of it is.
GLANCE = 20
# Whole numbers of at most so many values may name things.
MAX_CODES = 20
# Beyond it floats leave whole numbers out.
EXACT = 2.0**53
# Of the texts of a column that are numbers the share of limits, beyond which it is one of groups.
LIMITS = 0.25


def is_missing(cell: str) -> bool:
    """Whether a text says nothing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether ``cell`` is the text of a number as programs write it."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python takes 1_0 for ten


def plain_numbers(cells: Array) -> Array | None:
    """The numbers in texts (n_rows,), NaN where one says nothing; None where one is no number."""
    try:
        return np.array(cells, float) if "_" not in "".join(cells) else None
    except ValueError:  # a text, or a missing cell: each kind is looked at once
        pass
    numbers: dict[str, float] = {}
    words: dict[str, float] = {}
    for cell in set(cells):
        try:
            numbers[cell] = float(cell)
        except ValueError:
            word = cell.strip().lower()
            words[cell] = TRUTHS.get(word, np.nan)
            if word not in MISSING_NUMBER and word not in TRUTHS:
                return None
    if not np.all(np.isnan([*numbers.values()])) and not np.all(np.isnan([*words.values()])):
        return None
    numbers |= words
    return np.array([numbers[cell] for cell in cells])


def rounds_together(numbers: Array, cells: Array) -> bool:
    """Whether whole numbers differ in the cells (n_rows,) of a column, but are the same floats."""
    with np.errstate(invalid="ignore"):
        large = np.abs(numbers) > EXACT
    if not np.any(large):
        return False
    whole = {text for cell in cells[large] if (text := str(cell).strip()).lstrip("-").isdigit()}
    return len(whole) > len(set(map(float, whole)))


@dataclass(frozen=True)
class Written:
    """The different texts of a column that may be numbers in another writing.

    Attributes
    ----------
    cells : dict of str to str
        Each text that is not missing, and what is left of it without signs.
    sign : str
        Of money, per cent, a unit, or nothing.
    scales : dict of str to float
        Those texts that count thousands or more.
    limits : list of str
        Those texts that the number lies beyond.
    """

    cells: dict[str, str]
    sign: str
    scales: dict[str, float]
    limits: list[str]

    @classmethod
    def of(cls, cells: Iterable[str]) -> Written | None:
        """None where the texts hold more than digits, marks and one sign."""
        bare: dict[str, str] = {}
        scales: dict[str, float] = {}
        signs, limits, cells = set(), [], list(cells)
        behind = any(cell.endswith("-") and BEHIND.search(cell) for cell in map(str.strip, cells))
        for cell in cells:
            if BARE(text := cell.strip()) and text not in MISSING:
                bare[cell] = text
                signs.add("")
                continue
            text = FORTRAN.sub("e", ABOUT.sub("", MINUS.sub("-", FORMULA.sub(r"\1", text))))
            if text.lower() in MISSING_NUMBER:
                continue
            if text[:1] in BEYOND and (limit := LIMIT.match(text)):
                limits.append(cell)
                text = text[limit.end() :]
            minus, text = _less(text, behind)
            amount = text.rstrip(SIGNS).rstrip()  # 20 Mio. €
            if scale := SCALE.search(amount):
                text = amount[: scale.start()] + text[len(amount) :].strip()
                scales[cell] = SCALES[scale[1][0].lower()]
            if sign := _sign(text):
                text = text.removeprefix(sign).removesuffix(sign).strip()
                text = "0" if text == "-" else text
            if not minus:  # on either side of the sign
                minus, text = _less(text, behind)
            text = DASH.sub("", text)
            signs.add(sign)
            if (not text[-1:].isdigit() and text[-1:] not in {",", "."}) or len(signs) > 1:
                return None
            bare[cell] = "-" * minus + text
        return cls(bare, "".join(signs), scales, limits) if len(signs) == 1 else None

    @cached_property
    def meant(self) -> dict[str, dict[str, float]]:
        """The number of each text, by the decimal marks with which all are some; nothing where
        texts with limits are so few or so many that they may be groups."""
        if self.limits and (
            len(self.cells) <= MAX_CODES or len(self.limits) > LIMITS * len(self.cells)
        ):
            return {}
        return {mark: values for mark in ".," if (values := self.values(mark)) is not None}

    def values(self, decimal: str) -> dict[str, float] | None:
        """The number of each text if the decimal mark is ``decimal``; None where one is none."""
        out = {}
        for cell, text in self.cells.items():
            if GROUPED[decimal].fullmatch(text.lstrip("-")):
                text = GROUPS[decimal].sub("", text)
            elif decimal == "," and not COMMA.fullmatch(text):
                return None
            text = text.replace(",", ".") if decimal == "," else text
            if not is_number(text):
                return None
            out[cell] = float(text) * self.scales.get(cell, 1.0)
        return out


def _less(text: str, behind: bool) -> tuple[bool, str]:
    """Whether a number is written as less than nothing, maybe with the minus behind it, and what
    is left of it."""
    if text.startswith("-"):
        return True, text[1:].lstrip()
    if text.startswith("(") and text.endswith(")"):  # as accountants do
        return True, text[1:-1].strip()
    minus = text.endswith("-") and (BEHIND.search(text) or (behind and text[-2:-1].isdigit()))
    return (True, text[:-1]) if minus else (False, text)


def _sign(text: str) -> str:
    """What stands before or after a number: money, per cent, a unit."""
    for sign in SIGNS:
        if text.startswith(sign) or text.endswith(sign):
            return sign
    found = CODE.match(text) or UNIT.search(text)
    return found.group() if found else ""


def units_of(cells: Iterable[str]) -> list[str]:
    """What stands beside the numbers in texts; nothing where one holds more than that."""
    signs = set()
    for text in map(str.strip, cells):
        signs.add(sign := _sign(text))
        if not is_number(text.removeprefix(sign).removesuffix(sign).replace(",", ".")):
            return []
    return sorted(sign or "no unit" for sign in signs)


def recognise(frame: Any, decimal: str | None, mark: str) -> tuple[dict[str, Array], list[str]]:
    """Numbers where all texts of a column are some, the others as they are.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of texts; made arrays column by column, which take more memory.
    decimal : {".", ","}, optional
        The decimal mark; by default what the texts themselves leave possible.
    mark : str
        What cuts the lines of the file: a comma that does is no decimal mark.

    Returns
    -------
    table : dict of array (n_rows,)
        float64 with NaN for what is missing, or the texts.
    notes : list of str

    Raises
    ------
    InputError
        Where 1,234 may be one thousand or one.
    """
    table: dict[str, Array] = {}
    written: dict[str, Written] = {}
    measured: dict[str, list[str]] = {unit: [] for unit in MEASURES}
    names: list[str] = []
    for name in frame.columns:
        cells = frame[name].to_numpy(object)
        plain = plain_numbers(cells)
        if plain is not None and rounds_together(plain, cells):
            table[name] = cells
            names.append(name)
            continue
        table[name] = cells if plain is None else plain
        if plain is not None:
            continue
        glance = list(islice((c for c in cells if not is_missing(c)), GLANCE))
        unit = next((unit for unit, read in MEASURES.items() if _all(read, glance)), "")
        if unit and (values := _all(MEASURES[unit], cells)):
            table[name] = np.array([values.get(cell, np.nan) for cell in cells])
            measured[unit].append(_example(name, values, 6))
        elif (seen := Written.of(glance)) and any(map(seen.values, ".,")):
            found = Written.of(dict.fromkeys(cells))
            written |= {name: found} if found else {}
    told = decimal or _decimal(written, frame, table, mark)
    if told == ",":  # 1.234 is a number in both writings
        for name in (name for name, column in table.items() if column.dtype.kind == "f"):
            grouped = _grouped(frame[name])
            if next(grouped, False) and all(grouped):
                found = Written.of(dict.fromkeys(frame[name]))
                written |= {name: found} if found else {}
    examples, beyond, either = [], [], []
    for name, found in written.items():
        cells = frame[name].to_numpy(object)
        values = found.meant.get(told)
        if values is None and decimal is None:
            values = found.meant.get("." if told == "," else ",")
        if values is not None:
            table[name] = np.array([values.get(cell, np.nan) for cell in cells])
            if found.limits:
                rows = counted(sum(map(set(found.limits).__contains__, cells)), "row")
                example = _example(name, {found.limits[0]: values[found.limits[0]]})
                beyond.append(f"{example[:-1]}; {rows})")
            else:
                examples.append(_example(name, values))
    if decimal is None and told == "." and mark != ",":
        either = _thousands(written, frame, table)
    said = {
        **{f"read as {unit}": found for unit, found in measured.items()},
        "read as numbers": examples,
        "read as the limit that they lie beyond": beyond,
        "kept as texts, as whole numbers so large are rounded": names,
        "read as fractions; if they are thousands, say --decimal ,": either,
    }  # fmt: skip
    return table, [f"{words}: {', '.join(names)}" for words, names in said.items() if names]


def _all(read: Callable[[Any], dict[str, float] | None], cells: Iterable[str]) -> Any:
    """What ``read`` makes of the different texts that are not missing."""
    return read(dict.fromkeys(c for c in cells if c.strip().lower() not in MISSING_NUMBER))


def _example(name: str, values: dict[str, float], digits: int = 15) -> str:
    """A column, one of its texts and the number that this is."""
    cell = max(values, key=len)
    return f"{name} ({cell.strip()} is {values[cell]:.{digits}g})"


def _decimal(written: dict[str, Written], frame: Any, table: dict[str, Array], mark: str) -> str:
    """The decimal mark of a table."""
    sure, unsure = set(), []
    for name, found in written.items():
        if len(found.meant) == 1:
            sure |= set(found.meant)
        elif found.meant and found.meant["."] != found.meant[","]:
            unsure.append(name)
    if not sure and unsure and mark != ",":
        numbers = (name for name in frame if table[name].dtype.kind == "f")
        if not all(all(_grouped(frame[name])) for name in numbers):
            return "."
        cell = max(written[unsure[0]].cells, key=len)
        raise InputError(
            f"column {unsure[0]!r} has {cell!r}, which may be thousands or a fraction; say "
            "--decimal . or --decimal ,"
        )
    return "," if sure == {","} else "."


def _thousands(written: dict[str, Written], frame: Any, table: dict[str, Array]) -> list[str]:
    """Of each column of numbers with points one, where all of the table may part thousands."""
    examples: list[str] = []
    if any("," not in found.meant for found in written.values()):
        return examples
    for name in (name for name, column in table.items() if column.dtype.kind == "f"):
        grouped = _grouped(frame[name])
        if (first := next(grouped, None)) is None:
            continue
        if not (first and all(grouped)):
            return []
        examples.append(f"{name} ({next(cell.strip() for cell in frame[name] if '.' in cell)})")
    return examples


def _grouped(cells: Iterable[str]) -> Iterator[bool]:
    """Of each number with points whether those may part thousands."""
    pointed = (cell.strip() for cell in cells if "." in cell)
    return (
        GROUPED[","].fullmatch(cell) is not None
        for cell in pointed
        if cell.lower() not in MISSING_NUMBER
    )
