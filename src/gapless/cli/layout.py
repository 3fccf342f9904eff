"""From rows of cells to named columns: titles, comments, headers, and what is around a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise, zip_longest
from typing import Any

from ..core.checks import InputError, counted, listed, optional_import
from .dates import date_format
from .numbers import MISSING_NUMBER
from .text_files import ALIKE, SNIFFED

# Rows that become columns together.
CHUNK = 20_000
# Rows under a header of numbers, say years, that must count on for it to be one.
YEARS = 3
# Rows that a line of units must have below it.
UNITS = 3
# Blanks, the zeros that pad a file, the mark that ends one of DOS, that which begins one of UTF-8.
BLANK = " \t\r\n\f\v\u00a0\0\x1a\ufeff"
# What lines are drawn with.
RULED = "-=+:|_ "


@dataclass
class Arranged:
    """A table as its file has it.

    Attributes
    ----------
    cells : pandas.DataFrame
        Texts, or values of typed files.
    notes : list of str
        What was left out and guessed.
    twins : set of str
        Names that the file has more than once.
    mark : str
        What cut the lines; nothing in files of typed values.
    """

    cells: Any
    notes: list[str] = field(default_factory=list)
    twins: set[str] = field(default_factory=set)
    mark: str = ""


def arrange(rows: Iterable[list[str]], name: str, header: bool | None) -> Arranged:
    """The table in ``rows``.

    Blank and drawn lines, lines that begin with # and are no rows, titles above the table and
    remarks below it are left out; so are cells beyond the header where they are empty.

    Parameters
    ----------
    rows : iterable of list of str
    name : str
        Of the file, for messages.
    header : bool or None
        Whether the first row has the names of the columns; None is looked at.

    Returns
    -------
    Arranged

    Raises
    ------
    InputError
        For rows of another width than the header, and where there is no row.
    """
    numbered = (
        (i, row) for i, row in enumerate(rows, 1)
        if (len(row) > 1 or (row and row[0].strip(BLANK))) and not _is_ruled(row)
    )  # fmt: skip
    first = list(islice(numbered, SNIFFED))
    if not first:
        raise InputError(f"{name}: is empty; it needs a header line and at least one row of data")
    width = Counter(len(row) for _, row in first[1:] or first).most_common(1)[0][0]
    notes: list[str] = []

    # 1. what is above the table, and names
    above, over = _titles(first, width, header is None, notes)
    head, body = _filled(first[above][1], over), [row for _, row in first[above + 1 :]]
    if header is None:
        header = not _is_data(head, body)
    if header and not body:
        raise InputError(f"{name}: needs a header line and at least one row of data")
    if header:
        names, below = _header(head, body, over, width, notes)
        start = above + 1 + below
    else:
        names, start = [f"x{j}" for j in range(len(head))], above
        notes.append(f"no header line, so columns are called x0 to x{len(head) - 1} (--header yes)")

    # 2. rows, all of one width
    around = _Around()
    again: list[int] = []
    rest = _but(chain(first[start:], numbered), head if header else None, again)
    begun = first[start][0] if start < len(first) else 1
    cells = _columns(_fitting(rest, len(names), name, around, begun - 1), len(names))
    cells = _without_remarks(cells, around)
    notes += around.notes()
    if again:
        notes.append(f"{counted(len(again), 'line')} left out that {_repeats(again)} the header")
    if not len(cells):
        raise InputError(f"{name}: needs a header line and at least one row of data")
    names, twins = distinct(names, notes)
    cells.columns = names
    return _without_index(Arranged(cells, notes, twins))


def _titles(
    rows: list[tuple[int, list[str]]], width: int, looked: bool, notes: list[str]
) -> tuple[int, list[str]]:
    """How many rows are above that of the names, and the titles over several columns in the last of
    them; more than titles and comments only where the header is ``looked`` at."""
    above, over = 0, []
    while above < len(rows) - 1 and _is_above([row for _, row in rows[above : above + 2]], width):
        above += 1
    if looked:
        above = _below_facts(rows, _below_remarks(rows, above), width)
        if _is_merged([row for _, row in rows[above : above + 4]]):
            over, above = rows[above][1], above + 1
    if above:
        title = next(filter(None, map(str.strip, rows[0][1])))
        notes.append(f"{counted(above, 'line')} above the table left out: {title}")
    return above, over


def _header(
    head: list[str], body: list[list[str]], over: list[str], width: int, notes: list[str]
) -> tuple[list[str], int]:
    """The names of the columns, and how many rows below them have units or kinds."""
    written = _names(head, body, width)
    names = _under(over, written)
    if longer := [name for name, short in zip(names, written) if name != short]:
        notes.append(f"names that come twice, behind the titles above: {listed(longer)}")
    below = 0
    while _is_below(body[below:], below):
        below += 1
    if below:
        words = ", ".join(filter(None, chain(*body[:below])))
        notes.append(f"{counted(below, 'line')} below the header left out: {words}")
    if names and names[0].startswith("#"):
        names[0] = names[0].lstrip("#").lstrip()
    return names, below


def _is_ruled(row: list[str]) -> bool:
    """Whether a line is drawn, as below the header of a printed table."""
    return not (row[0].strip(RULED) or (line := "".join(row)).strip(RULED)) and "---" in line


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _is_above(rows: list[list[str]], width: int) -> bool:
    """Whether the first of two rows is a title or a comment, not the header."""
    row, following = rows
    if row[0].startswith("#"):
        return not (len(row) == width and any(map(_is_number, following)))
    return len(row) == 1 < width and not _is_number(row[0])


def _is_merged(rows: list[list[str]]) -> bool:
    """Whether the first of some rows has titles over several columns, and the second the names."""
    if len(rows) < 3 or len(set(map(len, rows))) > 1:
        return False
    over = [cell.strip() for cell in rows[0]]
    names = _filled(rows[1], over)
    index = not names[0]  # without a name
    alike = len(set(over) - {""}) < len(over) - (not over[0])
    return (
        alike
        and any(over)
        and any(_are_names(names[index:], row[index:], over[index:]) for row in rows[2:])
    )


def _filled(names: list[str], over: list[str]) -> list[str]:
    """Names, those that are empty from the titles over them: cells may be merged downwards."""
    return [
        name if name.strip() else title for name, title in zip_longest(names, over, fillvalue="")
    ]


def _under(over: list[str], names: list[str]) -> list[str]:
    """Names, those that come twice behind the title over their columns."""
    titles: list[str] = []
    for title in map(str.strip, over):
        titles.append(title or (titles[-1] if titles else ""))
    times = Counter(names)
    return [
        f"{title} {name}".strip() if times[name] > 1 else name
        for title, name in zip_longest(titles, names, fillvalue="")
    ]


def _are_names(row: list[str], below: list[str], over: Sequence[str] = ()) -> bool:
    """Whether a row has a word of its own in each cell, and the one below it a number."""
    cells = [cell.strip() for cell in row]
    words = [cell for cell in cells if not _is_number(cell) and cell.lower() not in MISSING_NUMBER]
    different = len(set(_under(list(over), cells))) == len(words) == len(cells)
    return different and any(map(_is_number, below))


def _below_remarks(rows: list[tuple[int, list[str]]], start: int) -> int:
    """Where the table begins: below rows with empty cells in each, an empty one the last of them,
    as a sheet has them above its names."""
    end = start
    while end < len(rows) - 2 and not all(map(str.strip, rows[end][1])):
        end += 1
    apart = end > start and len(rows[end - 1][1]) > 1 and not any(map(str.strip, rows[end - 1][1]))
    return end if apart and _are_names(rows[end][1], rows[end + 1][1]) else start


def _below_facts(rows: list[tuple[int, list[str]]], start: int, width: int) -> int:
    """Where the table begins: below rows of other widths, as banks and instruments write them, at
    the first of ``width`` that has names, where nearly all below it are as wide."""
    if len(rows[start][1]) == width:
        return start
    for k in range(start + 1, (start + len(rows)) // 2):
        row, below = rows[k][1], rows[k + 1 :]
        names = [cell.strip() for cell in row if cell.strip()]
        named = len(row) == width and len(set(names)) == len(names) > 1
        if (
            named
            and not any(name[0].isdigit() for name in names)
            and any(map(str.isdigit, "".join(below[0][1])))
            and sum(len(other) == width for _, other in below) > ALIKE * len(below)
        ):
            return k
    return start


def _is_below(body: list[list[str]], before: int) -> bool:
    """Whether the first row has units or kinds of the columns: no number where those below it
    have nothing else; words in two such columns, or one where there is such a line ``before``."""
    head, rest = body[0] if body else [], body[2:SNIFFED]
    if len(rest) < UNITS or any(len(row) != len(head) for row in rest):
        return False
    columns = [[cell for cell in column if cell.strip()] for column in zip(*rest)]
    numeric = [j for j, cells in enumerate(columns) if cells and all(map(_is_number, cells))]
    above = [head[j].strip().lower() for j in numeric]
    words = [cell for cell in above if cell not in MISSING_NUMBER]
    return len(words) > (not before) and not any(map(_is_number, words))


def _is_data(head: list[str], body: list[list[str]]) -> bool:
    """Whether the first row holds numbers wherever those below do."""
    if not body or len(head) != len(body[0]) or any(len(row) != len(head) for row in body):
        return False
    numeric = [
        j for j in range(len(head)) if all(_is_number(row[j]) for row in body if row[j].strip())
        and any(row[j].strip() for row in body)
    ]  # fmt: skip
    if not numeric or not all(_is_number(head[j]) for j in numeric):
        return False
    values = [float(head[j].replace(",", ".")) for j in numeric]
    counting = all(b - a == 1 for a, b in pairwise(values))
    return len(values) < YEARS or not counting  # 2001, 2002, 2003 may name columns


def _names(head: list[str], body: list[list[str]], width: int) -> list[str]:
    """The header, cut or lengthened where that makes it as wide as the rows."""
    names = [" ".join(cell.split()) for cell in head]
    if len(names) > width and not any(names[width:]):
        return names[:width]
    if len(names) == width - 1 and all(len(row) == width for row in body):
        if not any(row[-1].strip() for row in body):
            return names  # a mark at the end of each row
        # names of rows, as R writes them; fractions are cells that a comma cut in two moved there
        names_rows = not any("." in row[0] and _is_number(row[0]) for row in body)
        if names_rows and len({row[0] for row in body}) == len(body) > 1:
            return ["", *names]
    return names


def _repeats(numbers: list[int]) -> str:
    return "repeat" if len(numbers) > 1 else "repeats"


def _but(
    rows: Iterable[tuple[int, list[str]]], head: list[str] | None, again: list[int]
) -> Iterator[tuple[int, list[str]]]:
    """The rows without those that are the header again, where files were put together; ``again``
    collects their numbers."""
    for number, row in rows:
        if row == head or (row[0][:1] == "\ufeff" and [row[0][1:], *row[1:]] == head):
            again.append(number)
        else:
            yield number, row


@dataclass
class _Around:
    """Lines inside and below a table that are none of its rows."""

    comments: int = 0
    below: list[tuple[int, list[str]]] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """What was left out."""
        if self.comments:
            yield f"{counted(self.comments, 'line')} of comments left out"
        if self.below:
            first = " ".join(self.below[0][1]).strip()
            yield f"{counted(len(self.below), 'line')} below the table left out: {first}"


def _fitting(
    rows: Iterable[tuple[int, list[str]]], width: int, name: str, around: _Around, last: int
) -> Iterator[list[str]]:
    """The rows below row ``last``, each of ``width``; ``around`` collects those that are none."""
    for number, row in rows:
        if len(row) > width and not any(map(str.strip, row[width:])):
            row = row[:width]
        if len(row) == width and not around.below:
            last = number
            yield row
        elif row[0].startswith("#"):
            around.comments += 1
        elif len(row) == width:  # the table goes on below a remark
            raise _ragged(name, width, *around.below[0])
        elif around.below or _is_remark(row, number > last + 1):
            around.below.append((number, row))
        else:
            raise _ragged(name, width, number, row)


def _without_remarks(cells: Any, around: _Around) -> Any:
    """The rows but for remarks below them that are filled up with empty cells.

    They are text, alone in the first cell, below an empty row or where that column has numbers.
    """
    end = len(cells)
    while end > 1 and not any(map(str.strip, cells.iloc[end - 1, 1:])):
        end -= 1
    tail = [cell.strip() for cell in cells.iloc[end:, 0]]
    if not any(tail) or cells.shape[1] < 3 or any(map(_is_number, tail)):
        return cells
    if "" in tail:
        end += tail.index("")
    elif not all(map(_is_number, cells.iloc[max(0, end - SNIFFED) : end, 0])):
        return cells
    around.below += [(0, [cell]) for cell in cells.iloc[end:, 0] if cell.strip()]
    return cells.iloc[:end]


def _is_remark(row: list[str], apart: bool) -> bool:
    """Whether a row of another width is one below the table: text that is alone in its line, or
    below a blank one."""
    return (apart or len(row) == 1) and not _is_number(row[0])


def _ragged(name: str, width: int, number: int, row: list[str]) -> InputError:
    return InputError(
        f"{name}: row {number} has {len(row)} values, the header has {width} columns; "
        "correct that row (a cell with the delimiter inside needs double quotes)"
    )


def _columns(rows: Iterator[list[str]], width: int) -> Any:
    """A frame of texts, chunk by chunk: pandas keeps them in less memory than Python."""
    pandas = optional_import("pandas", "pandas", "reading tables")
    parts = []
    while chunk := list(islice(rows, CHUNK)):
        columns = {j: list(column) for j, column in enumerate(zip(*chunk))}
        parts.append(pandas.DataFrame(columns, dtype="str"))
    if not parts:
        return pandas.DataFrame(columns=range(width))
    return parts[0] if len(parts) == 1 else pandas.concat(parts, ignore_index=True)


def distinct(names: list[str], notes: list[str]) -> tuple[list[str], set[str]]:
    """Names that are different and not empty, but for an index at the left."""
    seen: dict[str, int] = {}
    out, twins, unnamed = [], set(), []
    for j, name in enumerate(names):
        if not name and j:
            unnamed.append(name := f"column {j + 1}")
        times = seen[name] = seen.get(name, 0) + 1
        if times > 1:
            twins.add(name)
            name = f"{name} ({times})"
        out.append(name)
    if twins:
        notes.append(f"names that come twice, the second called NAME (2): {', '.join(twins)}")
    if unnamed:
        notes.append(f"columns without a name: {', '.join(unnamed)}")
    return out, twins


def _without_index(table: Arranged) -> Arranged:
    """Without a first column that has no name and tells the rows apart."""
    first = str(table.cells.columns[0])
    if first not in ("", "Unnamed: 0") or len(table.cells.columns) == 1:
        return table
    column = table.cells.iloc[:, 0]
    if date_format(column.to_numpy(object)) is not None:
        table.notes.append("the first column has no name and dates: called date")
        table.cells.columns = distinct(["date", *table.cells.columns[1:]], [])[0]
        return table
    fractions = any("." in cell and _is_number(cell) for cell in column.head(SNIFFED))
    if column.is_unique and not fractions:
        table.notes.append("the first column has no name and numbers the rows: left out")
        table.cells = table.cells.iloc[:, 1:]
    elif not first:
        table.notes.append("the first column has no name: called column 1")
        table.cells.columns = ["column 1", *table.cells.columns[1:]]
    return table
