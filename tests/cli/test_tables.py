"""What is in a table comes in, and goes out, as it stands there."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import gapless, several
from gapless import Network
from gapless.cli.model_files import Header, load, save
from gapless.cli.models import predict
from gapless.cli.tables import read_table, texts
from gapless.core.checks import InputError


def table(folder, content, name="t.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(str(folder / name))


def test_quotes_are_those_of_rfc_4180(tmp_path):
    content = '"a ""x""","b, c"\r\n"He said ""hi"", then left",1\r\n"two\r\nlines",2\r\n5",3\r\n'
    read = table(tmp_path, content)
    assert list(read) == ['a "x"', "b, c"]
    assert read['a "x"'].tolist() == ['He said "hi", then left', "two\r\nlines", '5"']
    np.testing.assert_array_equal(read["b, c"], [1, 2, 3])


def test_texts_keep_every_byte(tmp_path):
    cells = [" x ", "x", "\u00a0é☃", "a\x00", "'", "\\", "#", "x" * 9999]
    content = io.StringIO(newline="")
    csv.writer(content).writerows(
        [["t ", "n"], *([cell, f" {i} "] for i, cell in enumerate(cells))]
    )
    read = table(tmp_path, content.getvalue())
    assert read["t"].tolist() == cells
    np.testing.assert_array_equal(read["n"], range(8))


def test_numbers_keep_their_texts(tmp_path):
    read = table(tmp_path, "a,b\n007,1\n7,1.0\n1e1, 2\n")
    np.testing.assert_array_equal(read["a"], [7, 7, 10])
    assert texts(read, "a").tolist() == ["007", "7", "1e1"]
    assert texts(read, "b").tolist() == ["1", "1.0", " 2"]


def test_missing_marks_are_missing_among_numbers_alone(tmp_path):
    read = table(tmp_path, "a,b,c\n1,x, NA \n?,-,2\n nan,?,-\n,NA,\n")
    np.testing.assert_array_equal(read["a"], [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(read["c"], [np.nan, 2, np.nan, np.nan])
    assert read["b"].tolist() == ["x", "-", "?", "NA"]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("t.csv", "a;b\n1,5;2,5\n3,5;4\n", ["a", "b"]),
        ("t.csv", "price, EUR;b\n1;2\n3;4\n", ["price, EUR", "b"]),
        ("t.csv", '"a;b;c;d",e\n1,2\n3,4\n', ["a;b;c;d", "e"]),
        ("t.csv", "a|b\nx;y|2\n", ["a|b"[0], "b"]),
        ("t.csv", "a\tb\n1,2\t3,4\n", ["a", "b"]),
        ("t.csv", "only\n1\n2\n", ["only"]),
        ("t.csv", "a,b\n" + '"1;1;1",2\n' * 99, ["a", "b"]),
        ("t.tsv", "size, in m\tprice, in EUR\n1\t2\n", ["size, in m", "price, in EUR"]),
        ("t.txt", "a;b\n1;2\n", ["a", "b"]),
    ],
)
def test_the_delimiter_is_told_from_many_rows(name, content, columns, tmp_path):
    assert list(table(tmp_path, content, name)) == columns


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1\n", "row 2 has 1 values"),
        ("a,b\n1,2\n\n1,2,3\n", "row 4 has 3 values"),
        ('a,b\n1,"2\n3,4\n', "unexpected end"),
        ('a,b\n"1"2,3\n', "expected after"),
        ("a,b\n\n", "at least one row"),
        ("", "at least one row"),
        (b"a,b\n1,\x81\xff\n", "say --encoding"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "cannot be read as text"),
    ],
)
def test_what_is_no_table_is_refused(content, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        table(tmp_path, content)
    assert "t.csv" in str(caught.value)


LABELS = ['Rosa, "red"', " x ", "007", "7", "1.0", "1", "a\nb", "c\r\nd", "e\rf", "é☃", "\tz", "'"]


def test_labels_come_back_as_they_went_in(tmp_path):
    """The network separates the classes: every prediction is the label of its row."""
    rows = [[i % 12 + i / 1e4, LABELS[i % 12]] for i in range(120)]
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["x", "label"], *rows])
    model, out = tmp_path / "m.safetensors", tmp_path / "out.csv"
    several(
        ["fit", tmp_path / "t.csv", "--target", "label", "--weight-decay", 1e-5, "--tol", 0.1,
         "--out", model],
        ["predict", model, tmp_path / "t.csv", "--out", out],
    )  # fmt: skip
    truth = [label for _, label in rows]
    with open(out, newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == truth
    assert pandas.read_csv(out, dtype=str, keep_default_na=False)["label"].tolist() == truth
    printed = subprocess.run(
        [sys.executable, "-m", "gapless", "predict", model, tmp_path / "t.csv"],
        capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert [row[0] for row in csv.reader(io.StringIO(printed, newline=""))][1:] == truth


def test_numeric_classes_are_printed_as_in_the_file(tmp_path):
    """01 stays 01; another file may write the same numbers in another way."""
    for name, kinds in (("a", ["01", "02", "10"]), ("b", ["1.0", "2.0", "10.0"])):
        rows = "\n".join(f"{i % 3 + i / 1e4},{kinds[i % 3]}" for i in range(60))
        (tmp_path / f"{name}.csv").write_text("x,y\n" + rows)
    model, proof = tmp_path / "m.safetensors", tmp_path / "p.npz"
    answers = several(
        ["fit", tmp_path / "a.csv", "--target", "y", "--weight-decay", 1e-3, "--out", model],
        ["predict", model, tmp_path / "a.csv"],
        ["predict", model, tmp_path / "b.csv", "--json"],
        ["certify", model, tmp_path / "a.csv", "--proof", proof],
        ["verify", proof, tmp_path / "b.csv"],
        ["info", model, "--json"],
    )
    assert [code for code, _, _ in answers] == [0] * 6
    wanted = [["01", "02", "10"][i % 3] for i in range(60)]
    assert [row.split(",")[0] for row in answers[1][1].splitlines()[1:]] == wanted
    assert json.loads(answers[2][1])["y"] == wanted
    assert answers[4][1].startswith("VALID")
    assert json.loads(answers[5][1])["classes"] == ["01", "02", "10"]


def test_models_of_old_with_numbers_for_classes_are_read(tmp_path):
    header = Header("classification", "y", [0.0, 2.0], [["x", None]])
    save(tmp_path / "m.st", Network([[1.0]], [0.0], [[1.0]], [-1.0]), header)
    found = predict(*load(tmp_path / "m.st"), {"x": np.array([0.5, 1.5])})
    assert found["y"].tolist() == [0.0, 2.0]


def test_a_category_of_numbers_is_known_by_its_text(tmp_path):
    """Where a column of codes and a text has codes alone, they are still the codes."""
    rows = [f"{'12K'[i % 3]},{i},{(i % 3 == 0) * 5 + i / 90}" for i in range(90)]
    (tmp_path / "t.csv").write_text("\n".join(["code,size,y", *rows]))
    (tmp_path / "new.csv").write_text("code,size\n1,5\n2,5\n")
    (tmp_path / "known.csv").write_text("code,size\n1,5\n2,5\nK,5\n")
    model = tmp_path / "m.st"
    answers = several(
        ["fit", tmp_path / "t.csv", "--target", "y", "--weight-decay", 0.01, "--out", model],
        ["predict", model, tmp_path / "new.csv"],
        ["predict", model, tmp_path / "known.csv"],
    )
    assert answers[1][1].splitlines() == answers[2][1].splitlines()[:3]
    assert all(error == "" for _, _, error in answers)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=1))
def test_any_text_is_read_back(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("any")
    content = io.StringIO(newline="")
    csv.writer(content).writerows([["t", "n"], *([f"{cell}~", 1] for cell in cells)])
    assert texts(table(folder, content.getvalue()), "t").tolist() == [f"{c}~" for c in cells]


@pytest.mark.parametrize("largest", ["1e155", "-1e300"])
def test_numbers_whose_squares_overflow_are_named(largest, tmp_path):
    rows = "\n".join(f"{i},{i % 7},{i / 8}" for i in range(40))
    for header in ("a,b,y", "y,b,a"):
        (tmp_path / "t.csv").write_text(f"{header}\n{largest},1,2\n{rows}")
        error = several(["fit", tmp_path / "t.csv", "--target", "y"])[0][2]
        assert f"column '{header[0]}' has numbers as large as" in error


def test_names_of_columns_are_no_formulas_and_no_colours(tmp_path):
    rows = "\n".join(f"{i},{i % 7},{i % 5 / 2}" for i in range(40))
    (tmp_path / "t.csv").write_text("a$^$b$,[/red] :smile:,$y$\n" + rows)
    command = ["fit", tmp_path / "t.csv", "--target", "$y$", "--weight-decay", 0.1]
    done = gapless(*command, "--plot", tmp_path / "p.png", "--task", "regression")
    assert (tmp_path / "p.png").stat().st_size > 10_000
    (tmp_path / "c.csv").write_text("[/red] :smile:,y\n" + "1,2.5\n2,3\n" * 9)
    done = gapless("spline", tmp_path / "c.csv", "--x", "[/red] :smile:", "--y", "y")
    assert done.stderr == ""
    wrong = gapless("fit", tmp_path / "c.csv", "--target", "z", code=2).stderr
    assert "[/red] :smile:" in wrong
