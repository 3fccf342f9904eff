"""Tables of named columns, from files and of scikit-learn, and their rows."""

from __future__ import annotations

import difflib
import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import Array, InputError, choose, counted, listed, optional_import
from .absent import Absent, asked, blank, filled_down, words_among
from .columns import missing
from .kinds import LOOKED_AT, Read, Reading, files_of, read_file, read_untold
from .layout import Arranged
from .numbers import recognise
from .totals import total_rows
from .typed_files import typed_values

# Share of the rows that may be left out as the only ones of their classes, and those named.
LONE, SHOWN = 0.25, 5
# What is said of texts that --na names.
ASKED = "taken as missing, as --na says"
#: of scikit-learn
DATASETS = ("diabetes", "breast_cancer", "wine", "iris", "digits")
# How much alike names are that may be meant, and the columns named beside.
NEAR, NAMED = 0.8, 40


class Table(dict[str, Array]):
    """Column name -> float64 values, or texts; all of one length.

    Parameters
    ----------
    columns : dict of array (n_rows,)
    cells : mapping
        The columns as they stood in the file, for :func:`texts`.
    notes : sequence of str
        What was guessed and left out in reading.
    twins : set of str
        Names that the file has more than once.
    understood : callable, optional
        From cells to columns and what is said of them.
    """

    def __init__(
        self,
        columns: dict[str, Array],
        cells: Any,
        notes: Sequence[str] = (),
        twins: Iterable[str] = (),
        understood: Callable[[Any], tuple[dict[str, Array], list[str]]] | None = None,
    ) -> None:
        super().__init__(columns)
        self.cells = cells
        self.notes = list(notes)
        self.twins = set(twins)
        self.understood = understood
        self.absent: dict[str, list[str]] = {}
        self.down: list[str] = []

    def lacking(self, absent: Absent, why: str = "") -> Table:
        """The table with these texts missing, by column; those that were there are said behind
        ``why`` and kept as ``absent``."""
        cells, found = blank(self.cells, absent)
        if not found:
            return self
        shown = [f"{name} ({', '.join(map(repr, words))})" for name, words in found.items()]
        table = self._of(cells, [f"{why}: {listed(shown)}"] if why else [])
        table.absent = {
            name: sorted({*self.absent.get(name, ()), *found.get(name, ())})
            for name in {**self.absent, **found}
        }
        return table

    def filled(self, down: Iterable[str]) -> Table:
        """The table with the empty cells of these columns, kept as ``down``, as the last above that
        is not."""
        down = [name for name in down if name in self and name not in self.down]
        if not down:
            return self
        table = self._of(*filled_down(self.cells, down))
        table.down = [*self.down, *down]
        return table

    def _of(self, cells: Any, said: list[str]) -> Table:
        """The table of other cells, of which this is said beside what they show."""
        columns, seen = (self.understood or _typed)(cells)
        notes = [*self.notes, *(note for note in [*seen, *said] if note not in self.notes)]
        table = Table(columns, cells, notes, self.twins, self.understood)
        table.absent, table.down = self.absent, self.down
        return table

    def where(self, rows: Array) -> Table:
        """The rows of a mask."""
        if np.all(rows):
            return self
        cells = {name: np.asarray(self.cells[name], object)[rows] for name in self}
        kept = Table({k: v[rows] for k, v in self.items()}, cells, self.notes, self.twins)
        kept.absent, kept.down = self.absent, self.down
        return kept


def read_data(data: str | None, dataset: str | None, how: Reading) -> tuple[Table, str | None]:
    """Read the one of the two that is given.

    Parameters
    ----------
    data : str, optional
        A file, for :func:`read_table`.
    dataset : str, optional
        A name in :data:`DATASETS`.
    how : Reading

    Returns
    -------
    table : Table
    target : str or None
        The column that a bundled data set is there to predict.

    Raises
    ------
    InputError
        When none or both are given, or the table cannot be read.
    """
    if data is None and dataset is None:
        raise InputError(f"give a data file, or --dataset NAME ({', '.join(DATASETS)})")
    if data is not None and dataset is not None:
        raise InputError("give a data file or --dataset, not both")
    return (read_table(data, how), None) if data is not None else _load_dataset(str(dataset))


def read_table(path: str, how: Reading = LOOKED_AT) -> Table:
    """Read a table from a file, a folder of Parquet files, files by a pattern, or standard input.

    Text files (.csv, .tsv, .txt, .dat, .data), JSON (.json, .jsonl, .ndjson), Parquet, Arrow,
    Feather, Excel, all also compressed (.gz, .bz2, .xz, a .zip of one file), and matrices in .npy
    files, whose columns are named x0, x1, ... and stay on disk until they are used.

    Parameters
    ----------
    path : str
        ``-`` is standard input.
    how : Reading

    Raises
    ------
    InputError
        For a missing, empty, ragged or unreadable file.
    """
    if path == "-":
        content = sys.stdin.buffer.read()
        return _table([read_untold(io.BytesIO(content), "standard input", how)], how)
    if str(path) in DATASETS and not Path(path).exists():
        raise InputError(f"no such file: {path}; say --dataset {path} for the bundled data")
    files = files_of(str(path))
    return _table([read_file(file, how) for file in files], how)


def check_names(table: Mapping[str, Any], names: Iterable[str], why: str = "") -> None:
    """Raise InputError, which says ``why``, for the first of ``names`` that is no column."""
    for name in names:
        if name not in table:
            meant = _meant(table, name)
            raise InputError(
                f"the data have no column {name!r}{why}; {meant}columns: {listed([*table], NAMED)}"
            )


def _meant(table: Mapping[str, Any], name: str) -> str:
    """What may be meant by a name that no column has: one that is nearly so, or has more around it;
    where it is a text of a column, what to do."""
    short, plain = _plain(name), {_plain(column): column for column in table}
    near = difflib.get_close_matches(short, plain, 1, NEAR)
    longer = [column for column in plain if column.startswith(short) or column.endswith(short)]
    if near or len(longer) == 1:
        return f"do you mean {plain[[*near, *longer][0]]!r}? "
    listing = next((c for c in table if table[c].dtype.kind != "f" and name in table[c]), None)
    if listing is None:
        return ""
    return f"it is a text of column {listing!r}: make a column of each of its texts (pivot) first; "


def _plain(name: str) -> str:
    """A name without what people get wrong."""
    return re.sub(r"[\W_]+", "", name).casefold()


def check_target(table: Table, target: str | None, drop: list[str], did: str) -> str:
    """``target``, once it and the columns to ``drop`` are there.

    Raises
    ------
    InputError
        When one is missing or the file has two of it, or None was named: "say which column
        ``did``".
    """
    if target is None:
        raise InputError(f"say which column {did} with --target; columns: {', '.join(table)}")
    check_names(table, (target, *drop))
    if target in table.twins:
        raise InputError(
            f"the data have two columns called {target!r}; give the target a name of its own"
        )
    return target


def texts(table: dict[str, Array], name: str) -> Array:
    """The cells of a column as texts, as they stand in the file; an object array (n_rows,)."""
    cells: Any = table.cells if isinstance(table, Table) else table
    return np.array([str(cell) for cell in np.asarray(cells[name], object)], dtype=object)


def rows_with(table: Table, name: str, missing_is_error: bool = False) -> tuple[Table, str]:
    """The rows of ``table`` where a column is not missing, and a note where others are left out.

    Raises
    ------
    InputError
        When no row has one, or rows without are not allowed.
    """
    lacks = missing(table[name])
    if not np.any(lacks):
        return table, ""
    written = sorted(set(texts(table, name)[lacks]))
    rows = "1 row" if lacks.sum() == 1 else f"{lacks.sum()} rows"
    if np.all(lacks):
        raise InputError(
            f"column {name!r} is missing in all {rows} (they have {written[0]!r}); name another one"
        )
    if missing_is_error:
        raise InputError(
            f"column {name!r} has {lacks.sum()} missing or infinite values, the first in data "
            f"row {np.argmax(lacks) + 1}; remove those rows or fill them in"
        )
    as_text = ", ".join(map(repr, written[:3]))
    return table.where(~lacks), f"{rows} without {name!r} left out ({as_text})"


def without_lone(table: Table, name: str) -> Table:
    """The rows of ``table`` whose class in a column another row has too; a note says which not.

    Of one row a network may learn a class or be tested, not both.  Nothing is left out where more
    than :data:`LONE` of the rows would be: those are no classes.
    """
    cells = texts(table, name)
    _, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
    lone = counts[place] == 1
    if not 0 < lone.sum() <= LONE * len(lone):
        return table
    kept = table.where(~lone)
    rows = "1 row is the only one" if lone.sum() == 1 else f"{lone.sum()} rows are the only ones"
    classes = listed([*map(repr, cells[lone])], SHOWN)
    kept.notes.append(f"{rows} of a class, and left out: {classes}")
    return kept


def _table(parts: list[Read], how: Reading) -> Table:
    """One table of the parts, one below the other."""
    part = parts[0] if len(parts) == 1 else _one(parts)
    if not isinstance(part, Arranged):
        table = _of_matrix(part)
        return table.lacking(asked(how.na, table), ASKED)
    check_names({name: part.cells[name].to_numpy(object) for name in part.cells}, how.down)
    notes, cells = list(part.notes), part.cells
    if not part.mark:
        table = Table(_typed(cells)[0], cells, notes, part.twins)
        return table.lacking(asked(how.na, table), ASKED).filled(how.down)
    understood = partial(recognise, decimal=how.decimal, mark=part.mark)
    columns, said = understood(cells)
    if totals := total_rows(columns):
        words = listed(list(dict.fromkeys(totals.values())))
        notes.append(f"{counted(len(totals), 'row')} of totals left out: {words}")
        cells = cells.drop(cells.index[list(totals)])
        columns, said = understood(cells)
    table = Table(columns, cells, [*notes, *said], part.twins, understood)
    table = table.lacking(asked(how.na, table), ASKED)
    table = table.lacking(words_among(table), "words among numbers or dates, taken as missing")
    return table.filled(how.down)


def _typed(cells: Any) -> tuple[dict[str, Array], list[str]]:
    """Columns of typed cells, of which there is nothing to say."""
    if isinstance(cells, dict):
        cells = optional_import("pandas", "pandas", "reading tables").DataFrame(cells)
    return {name: typed_values(cells[name]) for name in cells}, []


def _one(parts: list[Any]) -> Arranged:
    """The rows of all files, which have the same columns."""
    pandas = optional_import("pandas", "pandas", "reading tables")
    first = parts[0]
    for part in parts:
        if not isinstance(part, Arranged) or list(part.cells) != list(first.cells):
            raise InputError("the files have different columns; give files of one table")
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    cells = pandas.concat([part.cells for part in parts], ignore_index=True)
    return Arranged(cells, [f"{len(parts)} files, {len(cells)} rows", *notes], parts[0].twins,
                    parts[0].mark)  # fmt: skip


def _load_dataset(name: str) -> tuple[Table, str]:
    """One of scikit-learn's bundled data sets, and the name of its target column."""
    datasets = import_module("sklearn.datasets")  # a second, for those who ask for one of them
    bunch = getattr(datasets, f"load_{choose('--dataset', name, DATASETS)}")()
    table = {str(n): np.asarray(c, float) for n, c in zip(bunch.feature_names, bunch.data.T)}
    names = getattr(bunch, "target_names", None)
    target = bunch.target if names is None else np.asarray(names)[bunch.target].astype(str)
    table["target"] = target
    return Table(table, table), "target"


def _of_matrix(matrix: Array) -> Table:
    """Columns x0, x1, ..., which stay on disk until they are used where they are floats."""
    cells = {f"x{j}": column for j, column in enumerate(matrix.T)}
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(float)
    return Table({name: matrix[:, j] for j, name in enumerate(cells)}, cells)
