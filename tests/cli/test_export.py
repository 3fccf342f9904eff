"""Networks as code elsewhere: what it computes is what ``gapless predict`` does."""

import csv
import ctypes
import io
import math
import re
import shutil
import sqlite3
import subprocess
from datetime import date, timedelta

import numpy as np
import pytest

from commands import run
from gapless import Network
from gapless.cli.model_files import Header, save
from gapless.cli.models import predict

COLUMNS = [
    ["size", {"kind": "numbers", "fill": 40.5, "indicator": True}],
    ["2 rooms", None],
    ["int", ["a", 'Rosa, "red"', "it's"]],
    ["Größe\\*/", {"kind": "levels", "levels": ["L?", "é", ""], "other": True}],
    ["sold", {"kind": "dates", "format": "ISO8601", "parts": ["day", "weekday", "month"],
              "fill": [18000.0, 2.0, 6.0], "indicator": True}],
]  # fmt: skip
TABLE = {
    "size": np.array([3.0, np.nan, 55.5, 1e3, -2.0]),
    "2 rooms": np.array([1.0, 2.0, 0.0, -7.0, 1.0]),
    "int": np.array(["a", 'Rosa, "red"', "it's", "a", "it's"], object),
    "Größe\\*/": np.array(["L?", "é", "", "XL", "é"], object),
    "sold": np.array(["2021-02-03", "", "1969-12-31", "2000-02-29", "2024-11-30"], object),
}
CASES = {"number": (1, None), "two": (1, ["no", 'y"es']), "three": (3, ["1", "2'", "3"])}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """A model file, and what it predicts of the table."""
    n_outputs, classes = CASES[request.param]
    rng = np.random.default_rng(len(request.param))
    header = Header("regression" if classes is None else "classification", "y", classes, COLUMNS)
    numbers = header.n_numbers
    scale = np.ones(numbers)
    scale[[0, 10]] = 0.02, 1e-4  # sizes and days are large
    network = Network(
        rng.standard_normal((numbers, 4)) * scale[:, None], rng.standard_normal(4),
        rng.standard_normal((4, n_outputs)), rng.standard_normal(n_outputs),
    )  # fmt: skip
    if classes is not None:
        header.training["loss"] = "logistic"
    wanted = predict(network, header, TABLE)
    header.training.clear()
    if classes is not None:
        header.training.update(
            loss="logistic", weight_decay=0.1, bias="free", mean=[0.0] * numbers,
            scale=[1.0] * numbers, y_mean=0.0, y_scale=1.0, test_size=0.2, seed=0, n_rows=5,
            digest="",
        )  # fmt: skip
    save(tmp_path / "m.st", network, header)
    return tmp_path, classes, n_outputs, wanted


def exported(folder, language):
    code, out, err = run("export", folder / "m.st", "--to", language)
    assert (code, err) == (0, "")
    assert run("export", folder / "m.st", "--to", language, "--out", folder / "file")[:2] == (0, "")
    assert (folder / "file").read_bytes().decode() == out
    return out


def days():
    """Day, weekday and month of each date; None where it is missing."""
    for text in TABLE["sold"]:
        d = date.fromisoformat(text) if text else None
        yield [None] * 3 if d is None else [(d - date(1970, 1, 1)).days, d.weekday(), d.month]


def test_c(case):
    folder, classes, n_outputs, wanted = case
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no compiler of C")
    (folder / "m.c").write_text(exported(folder, "c"))
    build = [compiler, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", folder / "m.so"]
    done = subprocess.run([*build, folder / "m.c", "-lm"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "m.so"))
    library.predict.restype = ctypes.c_double if classes is None else ctypes.c_int
    out = (ctypes.c_double * n_outputs)()
    for row, parts in enumerate(days()):
        numbers = [math.nan if v is None else v for v in parts]
        texts = [TABLE[name][row].encode() or None for name in ("int", "Größe\\*/")]
        given = [
            *(ctypes.c_double(TABLE[name][row]) for name in ("size", "2 rooms")),
            *map(ctypes.c_char_p, texts), *map(ctypes.c_double, numbers),
        ]  # fmt: skip
        said = library.predict(*given, *[out] * (classes is not None))
        if classes is None:
            assert said == pytest.approx(wanted["y"][row], rel=1e-9)
        else:
            assert classes[said] == wanted["y"][row]


def test_sql(case):
    folder, classes, n_outputs, wanted = case
    query = exported(folder, "sql")
    base = sqlite3.connect(":memory:")
    base.create_function("EXP", 1, math.exp)  # not in every SQLite
    names = ["size", "2 rooms", "int", "Größe\\*/", "sold day", "sold weekday", "sold month"]
    base.execute(f"CREATE TABLE houses ({', '.join(chr(34) + n + chr(34) for n in names)})")
    for row, parts in enumerate(days()):
        cells = [TABLE[name][row] for name in names[:4]]
        cells = [None if cell == "" or cell != cell else cell for cell in cells]
        base.execute("INSERT INTO houses VALUES (?,?,?,?,?,?,?)", [*cells, *parts])
    cursor = base.execute(query.replace("MY_TABLE", "houses"))
    heads = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    found = [row[heads.index("predicted y")] for row in rows]
    if classes is None:
        np.testing.assert_allclose(found, wanted["y"], rtol=1e-9)
    else:
        assert found == wanted["y"].tolist()
    if n_outputs == 1 and classes is not None:
        named = f"probability of {classes[1]}"
        np.testing.assert_allclose([row[heads.index(named)] for row in rows], wanted[named])


def evaluate(formula, cells):
    """A formula of a spreadsheet, in the functions that are exported."""
    tokens = re.split(r'("(?:[^"]|"")*")', formula)
    for k, token in enumerate(tokens):
        if k % 2:
            tokens[k] = repr(token[1:-1].replace('""', '"'))
        else:
            token = re.sub(r"\b([A-Z]+2):([A-Z]+2)\b", r"SPAN('\1','\2')", token)
            token = re.sub(r"(?<!')\b[A-Z]+2\b(?!')", lambda m: f"cells[{m[0]!r}]", token)
            tokens[k] = re.sub(r"=$", "==", token)
    named = list(cells)

    def day(x):
        return date(1970, 1, 1) + timedelta(x - 25569)

    functions = {
        "IF": lambda test, a, b: a if test else b, "EXACT": lambda a, b: a == b, "MAX": lambda *a: (
            max(a[0]) if isinstance(a[0], list) else max(a)
        ), "EXP": math.exp, "CHOOSE": lambda k, *a: a[k - 1],
        "MATCH": lambda x, a, _: a.index(x) + 1, "DATE": lambda *_: 25569,
        "WEEKDAY": lambda x, _: day(x).weekday() + 1 if x != "" else 0,
        "MONTH": lambda x: day(x).month if x != "" else 0,
        "SPAN": lambda a, b: [cells[n] for n in named[named.index(a) : named.index(b) + 1]],
    }  # fmt: skip
    # both branches of IF are computed here: an empty date is none in either
    text = "".join(tokens).replace("(cells['E2']-DATE(1970,1,1))", "DAYS(cells['E2'])")
    functions["DAYS"] = lambda x: 0 if x == "" else x - 25569
    return eval(text, {"__builtins__": {}}, functions | {"cells": cells})


def test_excel(case):
    folder, classes, _, wanted = case
    heads, formulas = csv.reader(io.StringIO(exported(folder, "excel"), newline=""))
    assert heads[:5] == [name for name, _ in COLUMNS]
    for row, parts in enumerate(days()):
        cells = {}
        for k, (name, formula) in enumerate(zip(heads, formulas)):
            at = f"{chr(65 + k)}2"
            if formula:
                cells[at] = evaluate(formula.removeprefix("="), cells)
                continue
            value = parts[0] if name == "sold" else TABLE[name][row]
            missing = value is None or value != value
            cells[at] = "" if missing else value + 25569 if name == "sold" else value
        said = cells[f"{chr(65 + heads.index('predicted y'))}2"]
        if classes is None:
            assert said == pytest.approx(wanted["y"][row], rel=1e-9)
        else:
            assert said == wanted["y"][row]


def test_what_cannot_be_exported(tmp_path):
    save(tmp_path / "m.st", Network(np.eye(2), [0, 0], np.ones((2, 1)), [0]))
    code, out, err = run("export", tmp_path / "m.st", "--to", "c")
    assert (code, out) == (2, "")
    assert "does not name its columns" in err
    wide = Network(np.full((600, 1), 1 / 3), [0], [[1]], [0])
    save(tmp_path / "m.st", wide, Header(columns=[[f"x{j}", None] for j in range(600)]))
    code, out, err = run("export", tmp_path / "m.st", "--to", "excel")
    assert (code, out) == (2, "")
    assert "a cell takes 8192" in err
