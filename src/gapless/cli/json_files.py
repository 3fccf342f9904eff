"""Tables in JSON and JSON lines: records, columns, rows of cells."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from ..core.checks import InputError, optional_import
from .layout import Arranged, arrange, distinct
from .text_files import encoding_of

# What stands for the mark that cuts lines: here a comma within a text is part of the text.
MARK = ":"
SHAPES = "give a list of objects, one object a line, or an object of columns"


def read_json(stream: BinaryIO, name: str, encoding: str | None, header: bool | None) -> Arranged:
    """A table of JSON, as if its cells were those of a text file.

    Records ``[{"a": 1, "b": 2}, ...]``, alone or as the only such list in an object, or in one
    within it; a record a line; columns ``{"a": [1, 3], "b": [2, 4]}``; what
    ``pandas.DataFrame.to_json`` writes; rows ``[["a", "b"], [1, 2], ...]``.  Objects within records
    are spread over columns ``a.b``, lists are texts.

    Parameters
    ----------
    stream : binary stream
    name : str
        Of the file, for messages.
    encoding : str or None
        An encoding that the file has to have; None is looked at.
    header : bool or None
        Whether the first of rows has the names.

    Returns
    -------
    Arranged

    Raises
    ------
    InputError
        For what is no JSON, or no table.
    """
    content = io.BytesIO(stream.read())
    encoding, notes = encoding_of(content, encoding, name)
    data = _parsed(content.getvalue().decode(encoding), name)
    rows = _rows(data, name)
    if rows and all(isinstance(row, list) for row in rows):
        table = arrange([[_written(cell) for cell in row] for row in rows], name, header)
        table.notes[:0], table.mark = notes, MARK
        return table
    if not rows or not all(isinstance(row, dict) and row for row in rows):
        raise InputError(f"{name}: holds no table; {SHAPES}")
    return _of_records(rows, notes)


def _parsed(text: str, name: str) -> Any:
    """What the text says; a list where each line says something."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{name}: is nested too deeply for a table; {SHAPES}") from error
    except ValueError as whole:
        values = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                values += [json.loads(line)] if line.strip() else []
            except (ValueError, RecursionError) as error:
                why = error if values else whole  # its first line alone may be no JSON
                where = f" in line {number}" * bool(values)
                raise InputError(f"{name}: not JSON{where}, or a damaged file: {why}") from error
        if not values:
            raise InputError(f"{name}: is empty; {SHAPES}") from whole
        return values


def _rows(data: Any, name: str) -> list[Any]:
    """The rows, each a record or a list of cells."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict):
        return []
    if isinstance(data.get("columns"), list) and isinstance(data.get("data"), list):
        return [data["columns"], *data["data"]]
    lists = [value for value in data.values() if isinstance(value, list)]
    objects = [value for value in data.values() if isinstance(value, dict)]
    for found in (lists, [cell for value in objects for cell in value.values()]):
        records = [rows for rows in found if rows and isinstance(rows, list)
                   and all(isinstance(row, dict) for row in rows)]  # fmt: skip
        if len(records) == 1:
            return records[0]
    if len(lists) == len(data) > 0:
        if len(set(map(len, lists))) > 1:
            raise InputError(f"{name}: its columns differ in length; {SHAPES}")
        return [dict(zip(data, row)) for row in zip(*lists)]
    if not data or not all(isinstance(value, dict) for value in data.values()):
        return [data]
    keys = dict.fromkeys(chain.from_iterable(data.values()))
    if all(map(str.isdigit, keys)):  # pandas names its rows 0, 1, ...
        return [{column: data[column].get(key) for column in data} for key in keys]
    return list(data.values())


def _of_records(records: list[Any], notes: list[str]) -> Arranged:
    """A column for each name, in the order in which names come."""
    pandas = optional_import("pandas", "pandas", "reading tables")
    spread = [name for record in records for name, cell in record.items() if isinstance(cell, dict)]
    if spread:
        notes.append(f"objects spread over columns NAME.PART: {', '.join(dict.fromkeys(spread))}")
    rows = [dict(_flat(record)) for record in records]
    keys = list(dict.fromkeys(chain.from_iterable(rows)))
    names, twins = distinct(keys, notes)
    columns = {name: [_written(row.get(key)) for row in rows] for name, key in zip(names, keys)}
    return Arranged(pandas.DataFrame(columns, dtype=object), notes, twins, MARK)


def _flat(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Names and cells of a record, those of objects within it too."""
    for name, cell in record.items():
        if isinstance(cell, dict):
            yield from _flat(cell, f"{before}{name}.")
        else:
            yield before + name, cell


def _written(cell: Any) -> str:
    """A cell as a text file has it."""
    if cell is None or cell == [] or cell != cell:
        return ""
    return json.dumps(cell) if isinstance(cell, (list, dict)) else str(cell)
