"""Rows of a table that sum up others: totals, subtotals and means."""

from __future__ import annotations

import re

import numpy as np

from ..core.checks import Array

# What such rows call themselves, alone or beside the name of a group.
SUMS = (
    r"(?:grand |sub-?|sous-)?total(?:s|e|en|es)?(?: (?:général|generale?))?|"
    r"(?:gesamt|zwischen)?summe|gesamt|(?:gesamt|teil)?ergebnis|insgesamt|"
    r"sum|suma|somme|somma|(?:sub)?totaal|\*+"
)
MEANS = r"average|mean|avg|mittelwert|durchschnitt|mittel|moyenne|media|média|promedio|gemiddelde"
SUM, MEAN = (
    re.compile(rf"(?:.*[\s:(-])?(?:{words})(?:[\s:)].*)?", re.IGNORECASE) for words in (SUMS, MEANS)
)
# Addends from which a sum is no accident, and rows that are looked at.
ADDENDS, MOST = 3, 1000
# Texts of a column beyond which only the last is looked at.
DIFFERENT = 10_000
# How near printed sums and means are to those of the printed numbers.
NEAR = {SUM: 1e-6, MEAN: 1e-2}


def total_rows(columns: dict[str, Array]) -> dict[int, str]:
    """The rows that say they are totals or means and have the sum, or the means, of rows above.

    A sum may begin at the first row or below another such row.  With fewer than :data:`ADDENDS`
    addends all columns have to be sums that are in each of the rows with more; means have to be
    those of all columns.

    Parameters
    ----------
    columns : dict of array (n_rows,)
        Numbers, and texts.

    Returns
    -------
    dict of int to str
        What each row calls itself, by its number.
    """
    numbers = [column for column in columns.values() if column.dtype.kind == "f"]
    named = _named(columns)
    if not numbers or not 0 < len(named) <= MOST:
        return {}
    V = np.column_stack(numbers)
    there = ~np.isnan(V)
    there[list(named)] = False
    addends = np.where(there, V, 0.0)
    above = [_running(part) for part in (addends, addends != 0, there)]
    same: dict[int, Array] = {}  # of a row: which columns are sums, from which start
    found: set[int] = set()
    starts = [0]
    for row, (_, kind) in named.items():
        sums, n_addends, n_there = (total[row] - total[starts] for total in above)
        if kind is MEAN:
            here = np.isclose(sums / np.maximum(n_there, 1), V[row], NEAR[kind], 0)
            enough = np.all(here & (n_there >= ADDENDS) | np.isnan(V[row]), axis=1)
        else:
            same[row] = np.isclose(sums, V[row], NEAR[kind], 0) & (n_addends > 0)
            enough = same[row] & (n_addends >= ADDENDS)
        if np.any(enough) and not np.all(np.isnan(V[row])):
            found.add(row)
        starts.append(row + 1)
    sure = [np.any(same[row], axis=0) for row in found & same.keys()]
    if sure and np.any(always := np.all(sure, axis=0)):
        found |= {row for row, here in same.items() if np.any(np.all(here[:, always], axis=1))}
    return {row: named[row][0] for row in sorted(found)}


def _running(part: Array) -> Array:
    """Sums of the rows above each row, and of all."""
    return np.vstack([np.zeros(part.shape[1]), np.cumsum(part, axis=0)])


def _named(columns: dict[str, Array]) -> dict[int, tuple[str, re.Pattern[str]]]:
    """What rows that call themselves totals or means say, by their numbers in order."""
    named: dict[int, tuple[str, re.Pattern[str]]] = {}
    for column in columns.values():
        if column.dtype.kind != "f":
            cells = set(column)
            for cell in cells if len(cells) <= DIFFERENT else column[-1:]:
                kind = next((k for k in (SUM, MEAN) if k.fullmatch(cell.strip())), None)
                if kind is not None:
                    named |= dict.fromkeys(np.flatnonzero(column == cell), (cell.strip(), kind))
    return dict(sorted(named.items()))
