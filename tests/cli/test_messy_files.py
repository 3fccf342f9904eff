"""Files as people have them: each gives a model or one sentence with the way out, nothing half."""

import bz2
import gzip
import io
import json
import os
import sys
import zipfile
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

from commands import run
from gapless.cli.dates import date_format, parts_of
from gapless.cli.job import split_rows
from gapless.cli.model_files import load
from gapless.cli.preparing import Encoder
from gapless.cli.tables import read_table

N = 40
RNG = np.random.default_rng(0)
SIZE, AGE = RNG.uniform(10, 90, N).round(2), RNG.integers(1, 60, N)
PRICE = (np.abs(SIZE - 40) * 30 + AGE + 1000).round(2)
CITY = np.resize(["Bern", "Rom", "Oslo"], N)
KIND = np.where(np.median(PRICE) < PRICE, "dear", "cheap")


def rows(*columns):
    return [list(map(str, row)) for row in zip(*columns)]


def text(head, body, mark=",", end="\n"):
    return end.join(mark.join(map(str, row)) for row in [*([head] if head else []), *body]) + end


HEAD, BODY = ["size", "age", "price"], rows(SIZE, AGE, PRICE)
PLAIN = text(HEAD, BODY)


def put(column, values, body=BODY):
    """The body with other cells in one column."""
    return [[*row[:column], v, *row[column + 1 :]] for row, v in zip(body, values)]


def add(name, values, **how):
    """A table with one more column at the left."""
    return text([name, *HEAD], [[str(v), *row] for v, row in zip(values, BODY)], **how)


def some(column, value, every=7):
    """The plain table with a cell in each seventh row."""
    return text(HEAD, put(column, [value if i % every == 3 else row[column]
                                   for i, row in enumerate(BODY)]))  # fmt: skip


def put_in(column, values):
    """The plain table with other cells in one column."""
    return text(HEAD, put(column, values))


def german(v):
    return f"{v:,.2f}".translate(str.maketrans(",.", ".,"))


@dataclass
class Messy:
    """A file, what is said about it, and whether it is refused."""

    content: str | bytes
    says: str = ""
    refused: bool = False
    name: str = "t.csv"
    args: list = field(default_factory=list)
    columns: list | None = field(default_factory=lambda: ["size", "age"])
    target: str = "price"


# The plain table as JSON has it: numbers are numbers.
RECORDS = [dict(zip(HEAD, row)) for row in zip(SIZE.tolist(), AGE.tolist(), PRICE.tolist())]
FRAME = pandas.DataFrame(RECORDS)


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return content.getvalue()


GRID = "+-------+-----+--------+\n"
DAYS = pandas.date_range("2021-03-01", periods=N, freq="17D")
FILES = {
    # letters
    "plain": Messy(PLAIN),
    "byte order mark": Messy(PLAIN.encode("utf-8-sig")),
    "byte order mark, utf-8 said": Messy(PLAIN.encode("utf-8-sig"), args=["--encoding", "utf-8"]),
    "utf-16": Messy(PLAIN.encode("utf-16")),
    "utf-16 without a mark": Messy(PLAIN.encode("utf-16-le")),
    "utf-32": Messy(PLAIN.encode("utf-32")),
    "latin-1": Messy(add("Größe", CITY).encode("latin-1"), "not UTF-8: read as cp1252",
                     columns=["Größe", "size", "age"]),
    "said to be latin-1": Messy(add("Größe", CITY).encode("latin-1"),
                                args=["--encoding", "latin-1"], columns=["Größe", "size", "age"]),
    "said to be ascii": Messy(add("Größe", CITY), "give another --encoding", True,
                              args=["--encoding", "ascii"]),
    "said to be klingon": Messy(PLAIN, "--encoding klingon is unknown", True,
                                args=["--encoding", "klingon"]),
    "a picture": Messy(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "cannot be read as text",
                       True),
    "bytes of zero in a text": Messy(add("code", ["a\0", "b"] * 20),
                                     columns=["code", "size", "age"]),
    # marks
    "semicolons": Messy(text(HEAD, BODY, ";")),
    "tabs": Messy(text(HEAD, BODY, "\t"), name="t.tsv"),
    "tabs in a .csv": Messy(text(HEAD, BODY, "\t")),
    "bars": Messy(text(HEAD, BODY, "|")),
    "spaces": Messy("".join("  ".join(f"{c:>9}" for c in row) + "\n" for row in [HEAD, *BODY]),
                    name="t.dat"),
    "sep=": Messy("sep=;\r\n" + text(HEAD, BODY, ";", "\r\n")),
    "a mark at the end": Messy(text(HEAD, [[*row, ""] for row in BODY])),
    "a mark at the end of all": Messy(text([*HEAD, ""], [[*row, ""] for row in BODY])),
    "old Mac lines": Messy(text(HEAD, BODY, end="\r")),
    "no line end at the end": Messy(PLAIN.rstrip()),
    "one column": Messy("price\n" + "\n".join(map(str, PRICE)), "no column is left", True),
    # quotes
    "quotes doubled": Messy(add("said", ['"He said ""hi"", then left"', "no"] * 20),
                            columns=["said", "size", "age"]),
    "lines in cells": Messy(add("note", ['"two\nlines"', "one"] * 20),
                            columns=["note", "size", "age"]),
    "a quote left open": Messy(PLAIN + '"1,2,3\n', "RFC 4180", True),
    "a huge cell": Messy(add("blob", ["x" * 300_000, "y"] * 20), columns=["blob", "size", "age"]),
    # rows
    "a short row": Messy(PLAIN + "1,2\n", "row 42 has 2 values", True),
    "a long row": Messy(PLAIN + "1,2,3,4\n", "row 42 has 4 values", True),
    "lines of spaces": Messy(PLAIN.replace("\n", "\n   \n", 3)),
    "blank lines": Messy("\n\n" + PLAIN + "\n\n"),
    "rows of marks": Messy(PLAIN + ",,\n,,\n", "2 rows without 'price' left out"),
    "comments above": Messy("# made by hand, in May\n# twice\n" + PLAIN, "2 lines above"),
    "comments below": Messy(PLAIN + "# end of file\n", "1 line of comments"),
    "a title": Messy("Houses of 2024\n\n" + PLAIN, "1 line above the table left out: Houses"),
    "units below": Messy(text(HEAD, [["m2", "years", "EUR"], *BODY]),
                         "1 line below the header left out: m2, years, EUR"),
    "kinds below": Messy(text(HEAD, [["number", "number", "number"], ["", "", "class"], *BODY]),
                         "2 lines below the header left out: number, number, number, class"),
    "a header behind #": Messy("# " + PLAIN),
    "nothing": Messy("", "is empty", True),
    "blank": Messy("\n \n\n", "is empty", True),
    "a header alone": Messy("size,age,price\n", "at least one row", True),
    "one row": Messy(text(HEAD, BODY[:1]), "", True),
    "columns at their places": Messy(
        "".join(f"{c:<9}{s:>8}{a:>4}{p:>9}\n" for c, s, a, p in [("city", *HEAD), *zip(
            np.resize(["New York", "Bern"], N), *map(list, zip(*BODY)))]),
        "columns cut where all lines are blank", columns=["city", "size", "age"]),
    "two rows": Messy(text(HEAD, BODY[:2]), "1 test row is too few for a score", columns=None),
    "ten rows": Messy(text(HEAD, BODY[:10]), "2 test rows are too few for a score"),
    # names
    "no header": Messy(text(None, BODY), "no header line", columns=["x0", "x1"], target="x2"),
    "no header, said to be one": Messy(text(None, BODY), args=["--header", "yes"],
                                       columns=BODY[0][:2], target=BODY[0][2]),
    "a header of years": Messy(text(["2001", "2002", "2003"], rows(SIZE, AGE, PRICE)),
                               columns=["2001", "2002"], target="2003"),
    "an index without a name": Messy(add("", range(N)), "numbers the rows: left out"),
    "row names of R": Messy(text(HEAD, [[f"r{i}", *row] for i, row in enumerate(BODY)]),
                            "numbers the rows: left out"),
    "a column without a name": Messy(text(["size", "", "price"], BODY), "column 2",
                                     columns=["size", "column 2"]),
    "names twice": Messy(text(["size", "size", "price"], BODY), "names that come twice",
                         columns=["size", "size (2)"]),
    "the target twice": Messy(text(["size", "price", "price"], BODY), "two columns called", True),
    "no such target": Messy(PLAIN, "do you mean 'price'? columns: size", True, target="prize"),
    "spaces around names": Messy(PLAIN.replace("age", " age ")),
    # numbers
    "decimal commas": Messy(text(HEAD, [[german(float(c)) for c in row] for row in BODY], ";"),
                            "read as numbers"),
    "commas, said": Messy(text(HEAD, put(1, ["1,234"] * 9 + ["2,345"] * 31), ";"),
                          "1,234 is 1.234", args=["--decimal", ","]),
    "commas, told by another column": Messy(
        text(HEAD, put(1, ["1,234"] * 9 + ["2,345"] * 31,
                       put(0, ["0,5", "12,25"] * 20)), ";"), "age (1,234 is 1.234)"),
    "commas, not said": Messy(text(HEAD, [[f"1,{100 + i}", "5", f"2,{200 + i * i % 700}"]
                                          for i in range(N)], ";"),
                              "--decimal . or --decimal ,", True),
    "commas, not said, and points for missing": Messy(
        text(HEAD, [[f"1,{100 + i}", "." if i % 5 else i, 7 + i * i % 9] for i in range(N)], ";"),
        "--decimal . or --decimal ,", True),
    "thousands": Messy(text(HEAD, put(2, [f'"{p:,.2f}"' for p in PRICE])), "read as numbers"),
    "money": Messy(text(HEAD, put(2, [f'"${p:,.2f}"' for p in PRICE])), "price ($"),
    "euros": Messy(text(HEAD, put(2, [f"{german(p)} €" for p in PRICE]), ";"), "€ is "),
    "per cent": Messy(text(HEAD, put(1, [f"{a}%" for a in AGE])), "age ("),
    "spaces around numbers": Messy(text(HEAD, [[f" {c} " for c in row] for row in BODY])),
    "truths": Messy(add("new", ["TRUE", "False"] * 20), columns=["new", "size", "age"]),
    "one slip": Messy(some(0, "12O", 40), "correct it, or drop the column", True),
    "infinite": Messy(some(0, "inf", 40), "leave such cells empty", True),
    "huge numbers": Messy(some(0, "1e200", 40), "squares overflow", True),
    # missing
    "missing numbers": Messy(some(0, ""), "size (6, median)"),
    "missing, not allowed": Messy(some(0, ""), "missing or infinite", True,
                                  args=["--missing", "error"]),
    "missing by many marks": Messy(text(HEAD, put(1, np.resize(
        ["NA", "?", "-", "n/a", ".", "#N/A", "null", "5", "6", "7"], N))), "age (28, median)"),
    "missing texts": Messy(add("city", np.where(np.arange(N) % 5, CITY, "")),
                           "city (8, a level of its own)", columns=["city", "size", "age"]),
    "missing targets": Messy(some(2, "NA"), "6 rows without 'price' left out"),
    "no target at all": Messy(text(HEAD, put(2, [""] * N)), "missing", True),
    "an empty column": Messy(add("none", [""] * N), "empty columns left out: none"),
    "a constant column": Messy(add("unit", ["m"] * N), "constant columns left out: unit"),
    # kinds of columns
    "a key": Messy(add("house_id", RNG.permutation(N) + 7), "number or name the rows left out"),
    "a key, kept": Messy(add("id", range(N)), args=["--keep", "id"],
                         columns=["id", "size", "age"]),
    "free text": Messy(add("note", [f"text {i}" for i in range(N)]),
                       "many different texts left out"),
    "rare levels": Messy(add("city", ["Bern", "Rom"] * 18 + ["Ur", "Ys", "Ai", "Oz"]),
                         "rare texts together as one: city (4)", columns=["city", "size", "age"]),
    "ISO dates": Messy(add("sold", DAYS.strftime("%Y-%m-%d")),
                       "sold (ISO8601: day, weekday, month)", columns=["sold", "size", "age"]),
    "German dates": Messy(add("sold", DAYS.strftime("%d.%m.%Y"), mark=";"), "sold (%d.%m.%Y",
                          columns=["sold", "size", "age"]),
    "American dates": Messy(add("sold", DAYS.strftime("%m/%d/%Y")), "sold (%m/%d/%Y",
                            columns=["sold", "size", "age"]),
    "British dates with holes": Messy(
        add("sold", np.where(np.arange(N) % 9, DAYS.strftime("%d/%m/%Y"), "")), "sold (5, median)",
        columns=["sold", "size", "age"]),
    "zip codes": Messy(add("zip", np.resize(["01234", "99100"], N)),
                       columns=["zip", "size", "age"]),
    # what people write into cells
    "a unit": Messy(text(HEAD, put(0, [f"{s} kg" for s in SIZE])), "read as numbers: size ("),
    "a currency's code": Messy(text(HEAD, put(2, [f"CHF {p:.2f}" for p in PRICE])), "price (CHF"),
    "accounts": Messy(text(HEAD, put(1, ["(5.00)", "7.00"] * 20)), "age ((5.00) is -5)"),
    "times of day": Messy(add("at", DAYS.strftime("%H:") + DAYS.strftime("%d")),
                          "read as hours: at (00:01 is 0.0166667)", columns=["at", "size", "age"]),
    "durations": Messy(add("took", ["26:10:00", "1:05:30"] * 20), "took (26:10:00 is 26.1667)",
                       columns=["took", "size", "age"]),
    "laps": Messy(add("lap", ["1:30.60", "0:59.10"] * 20), "lap (1:30.60 is 0.0251667)",
                  columns=["lap", "size", "age"]),
    "days and hours": Messy(add("took", ["3 days 02:00:00", "0 days 00:30:00"] * 20),
                            "took (3 days 02:00:00 is 74)", columns=["took", "size", "age"]),
    "ISO durations": Messy(add("took", ["PT1H30M", "P2D", ""] * 13 + ["PT9M"]),
                           "took (PT1H30M is 1.5)", columns=["took", "size", "age"]),
    "Unix times": Messy(add("timestamp", DAYS.astype("datetime64[s]").astype(int)),
                        "timestamp (unix seconds: day, weekday, month)",
                        columns=["timestamp", "size", "age"]),
    "Unix milliseconds": Messy(add("createdAt", DAYS.astype("datetime64[ms]").astype(int)),
                               "createdAt (unix milliseconds: day, weekday, month)",
                               columns=["createdAt", "size", "age"]),
    "an index of dates": Messy(add("", DAYS.strftime("%Y-%m-%d")), "dates: called date",
                               columns=["date", "size", "age"]),
    "single quotes": Messy(text(["size", "age", "note", "price"],
                                [[f"{i}.5", "3", "'a, b'", "7"] for i in range(N)]),
                           "needs double quotes", True),
    "files put together": Messy(PLAIN + PLAIN, "1 line left out that repeats the header"),
    "a mark far off": Messy(some(0, "-9999"), "may mean missing: size (-9999); if so, say"),
    "a target far off": Messy(some(2, "1e9", 40), "--loss huber"),
    "texts alike": Messy(add("city", ["Bern", "bern ", "Rom", "Oslo"] * 10),
                         "city ('Bern', 'bern ')", columns=["city", "size", "age"]),
    "nearly numbers": Messy(add("level", np.where(np.arange(N) % 5, SIZE.astype(str), "a 10")),
                            "numbers in 32 rows, but 'a 10'"),
    "limits": Messy(put_in(0, np.where(np.arange(N) % 5, SIZE.astype(str), "<10")),
                    "read as the limit that they lie beyond: size (<10 is 10; 8 rows)"),
    "classes of limits": Messy(add("pay", ["<=50K", ">50K"] * 20), "pay (2)", columns=None),
    "words among numbers": Messy(put_in(0, np.where(np.arange(N) % 5, SIZE.astype(str), "frei")),
                                 "taken as missing: size ('frei') missing cells filled in"),
    "a word among dates": Messy(
        add("end", np.where(np.arange(N) % 5, DAYS.strftime("%d.%m.%Y"), "open")),
        "taken as missing: end ('open') dates as numbers: end (", columns=["end", "size", "age"]),
    "codes of a survey": Messy(put_in(1, np.where(np.arange(N) % 5, AGE, 999)),
                               "taken as missing, as --na says: age ('999')",
                               args=["--na", "age=999", "--na", "refused"]),
    "errors of a German sheet": Messy(some(0, "#WERT!"), "size (6, median)"),
    "whole numbers of SAP": Messy(put_in(1, [f"{a}-" if a % 2 else str(a) for a in AGE]),
                                  "- is -", columns=["size", "age"]),
    "places on Earth": Messy(add("lat", [f"{int(s)}°30'S" for s in SIZE]), "30'S is -",
                             columns=["lat", "size", "age"]),
    # as programs print and people type them
    "a minus as printed": Messy(put_in(0, [f"\u2212{s}" for s in SIZE]), "is -"),
    "marks of databases": Messy(some(0, "\\N"), "size (6, median)"),
    "remarks below": Messy(PLAIN + "\nSource: Office, 2024\nn = 40\n",
                           "2 lines below the table left out: Source: Office"),
    "remarks of a sheet below": Messy(PLAIN + ",,\nSource: Office,,\n* estimated,,\n",
                                      "2 lines below the table left out: Source: Office"),
    "zeros behind the end": Messy(PLAIN.encode() + bytes(99)),
    "files put together with their marks": Messy(PLAIN + "\ufeff" + PLAIN,
                                                 "1 line left out that repeats the header"),
    "a remark inside": Messy(PLAIN + "\nto be checked\n1,2,3\n", "row 43 has 1 values", True),
    "days without marks": Messy(add("date", DAYS.strftime("%Y%m%d")),
                                "date (%Y%m%d: day, weekday, month)",
                                columns=["date", "size", "age"]),
    "quarters": Messy(add("due", [f"Q{d.quarter} {d.year}" for d in DAYS]), "due (quarter: day",
                      columns=["due", "size", "age"]),
    "weeks": Messy(add("week", DAYS.strftime("%G-W%V")), "week (%G-W%V: day",
                   columns=["week", "size", "age"]),
    "dates of letters": Messy(add("sent", DAYS.strftime('"%a, %d %b %Y 10:00:00 +0000"')),
                              "sent (%a, %d", columns=["sent", "size", "age"]),
    "Markdown": Messy("".join(f"| {' | '.join(row)} |\n" for row in [HEAD, ["---"] * 3, *BODY]),
                      "empty columns left out: column 1, column 5"),
    "a printed table": Messy("+----+----+\n" + text(["", *HEAD, ""], [["", *b, ""] for b in BODY],
                             "|") + "+----+----+\n40 rows in set (0.00 sec)\n",
                             "1 line below the table left out: 40 rows in set"),
    "rupees": Messy(put_in(2, [f'"{i + 1},23,456.00"' for i in range(N)]),
                    "price (10,23,456.00 is 1023456)"),
    "thousands and millions": Messy(put_in(1, ["20k", "1.5M"] * 20), "age (1.5M is 1500000)"),
    "kilograms and grams": Messy(add("mass", [f"{i} kg" if i % 2 else f"{i} g" for i in range(N)]),
                                 "numbers in different units, g, kg: write them in one"),
    "numbers kept as texts": Messy(put_in(0, [f'="{s}"' for s in SIZE]), "is "),
    # as offices export them
    "a list of SAP": Messy(
        "Dynamic list, 3.1.2024\n\n-----\n" + text(
            ["", *HEAD, ""], [["", a, b, f"{german(float(p))}-", ""] for a, b, p in BODY], "|")
        + f"-----\n|*|{sum(AGE)}|{german(PRICE.sum())}-|\n-----\n",
        "1 row of totals left out: * read as numbers: price (1.668,80- is -1668.8)",
        columns=["size", "age"]),
    "accounts with a sign": Messy(put_in(1, ["$(5.00)", "$ 7.00", "$ -   ", '"$1,007"'] * 10),
                                  "age ($(5.00) is -5)"),
    "francs without cents": Messy(put_in(1, ["Fr. 5.-", "Fr. 7.50"] * 20), "age (Fr. 7.50 is 7.5)"),
    "a total": Messy(PLAIN + f"Total,{AGE.sum()},{PRICE.sum():.2f}\n", "1 row of totals"),
    "subtotals": Messy(text(["place", *HEAD], [
        row for city, k in zip(("Bern", "Rom", "All"), (0, 20, 0))
        for row in [*([city, *b] for b in BODY[k : k + 20] if city != "All"),
                    [f"{city} Total", "", *(f"{v[k : k + (20 if city != 'All' else N)].sum():.2f}"
                                            for v in (AGE, PRICE))]]]),
        "3 rows of totals left out: Bern Total, Rom Total, All Total",
        columns=["place", "size", "age"]),
    "means below": Messy(PLAIN + f"Average,{AGE.mean():.1f},{PRICE.mean():.2f}\n",
                         "1 row of totals left out: Average"),
    "no total": Messy(add("oil", ["Shell", "BP"] * 19 + ["Shell", "Total"]), "oil (3)",
                      columns=None),
    "a merged header": Messy("House,,Deal\n" + PLAIN, "1 line above the table left out: House"),
    "names twice below years": Messy(
        text(["", "2023", "", "2024"], [["city", *HEAD[:2], "size"], *([c, *b[:2], b[2]] for c, b in
                                                                      zip(CITY, BODY))]),
        "names that come twice, behind the titles above: 2023 size, 2024 size",
        columns=["city", "2023 size", "age"], target="2024 size"),
    "years above names": Messy("2023,2023,2024\n" + PLAIN, "1 line above the table left out: 2023"),
    "lines in names": Messy('"size","age","price\n(CHF)"\n' + text(None, BODY),
                            target="price (CHF)"),
    "a unit in the name": Messy(PLAIN.replace("price", "price (EUR)"), "do you mean 'price (EUR)'",
                                True),
    "long": Messy(text(["house", "what", "value"], rows("abc", ["price", *"xy"], "123")),
                  "it is a text of column 'what': make a column of each", True),
    "another case": Messy(PLAIN, "no column 'Price '; do you mean 'price'?", True, target="Price "),
    "the target again": Messy(add("price_eur", PRICE * 2), "say the target once more: price_eur",
                              columns=None),
    "answers of a form": Messy(add("Timestamp", DAYS.strftime("%Y/%m/%d 9:%M:%S PM GMT+1")),
                               "Timestamp (%Y/%m/%d %I:%M:%S %p", columns=None),
    "months": Messy(add("due", DAYS.strftime("%b-%y")), "due (%b-%y", columns=None),
    "dates of two kinds": Messy(
        add("on", [f"{d:%Y-%m-%d}" if i % 2 else f"{d:%d/%m/%Y}" for i, d in enumerate(DAYS)]),
        "dates in several formats, '",
        columns=None),
    "facts above a sheet": Messy("Name,Max,\nDate,3.1.2024,\n,,\n" + PLAIN,
                                 "3 lines above the table left out: Name"),
    # as banks, instruments, statistics write them
    "a bank": Messy('Account:;"DE12; Giro"\nFrom:;1.1.24\nBalance:;"1.234,56 EUR"\n\n' + text(
        ["Day", *HEAD, ""], [[f"{d:%d.%m.%y}", german(s), a, german(p), ""] for d, s, a, p in zip(
            DAYS, SIZE, AGE, PRICE)], ";"),
        "3 lines above the table left out: Account:", columns=["Day", "size", "age"]),
    "an instrument": Messy("[Setup]\nModel=X2\nOperator=Ann, Bob\nRecord,60,points\n" + PLAIN,
                           "4 lines above the table left out: [Setup]"),
    "names merged downwards": Messy(
        text(["place", "House", "House", "Deal"], [["", *HEAD], ["", "m2", "y", "EUR"], *(
            [c, *b] for c, b in zip(CITY, BODY))]),
        "1 line below the header left out: m2, y, EUR", columns=["place", "size", "age"]),
    "blanks before quotes": Messy(text([f'"{name}"' for name in HEAD], BODY, ", ")),
    "labels of groups": Messy(add("year", [2001 + i // 10 if i % 10 == 0 else ""
                                           for i in range(N)]),
                              "mean as above: year; if so, say --fill-down NAME", columns=None),
    "labels of groups, filled down": Messy(
        add("year", ["2001", *[""] * 19, "2002", *[""] * 19]), "38 empty cells of year filled",
        args=["--fill-down", "year"], columns=["year", "size", "age"]),
    "a first cell with nothing above": Messy(
        add("year", ["", "2001", *[""] * 18, "2002", *[""] * 19]), "37 empty cells of year filled",
        args=["--fill-down", "year"], columns=None),
    # numbers so large or small, and marks, that programs write
    "numbers of rows beyond floats": Messy(
        add("customer", 10**17 + np.arange(N)), "customer (40, as '100000000000000000')"),
    "accounts beyond floats": Messy(
        add("account", 10**17 + np.arange(N) // 10), "so large are rounded: account",
        columns=["account", "size", "age"]),
    "thousands or fractions": Messy(
        text(HEAD, [[f"{v:,.0f}".replace(",", ".") for v in (1000 * s, 1000 * a, p)]
                    for s, a, p in zip(SIZE, AGE, PRICE)], ";"),
        "if they are thousands, say --decimal ,: size ("),
    **{f"cells cut by {mark!r}": Messy(text(HEAD, BODY, mark)) for mark in "^~\x01\x1f"},
    "what they may be off": Messy(put_in(0, [f"{v} \u00b1 0.5" for v in SIZE]), "read as numbers"),
    "Fortran": Messy(put_in(0, [f"{v / 10:.4f}D+01" for v in SIZE]), "read as numbers"),
    "millions of money": Messy(put_in(2, [f"{v:.1f} Mio. \u20ac" for v in PRICE]),
                               "read as numbers"),
    "a grid of a data base": Messy(
        f"{GRID}| size | age | price |\n{GRID}"
        + "".join(f"| {' | '.join(row)} |\n" for row in BODY) + f"{GRID}40 rows in set\n",
        "1 line below the table left out"),
    "a table of Markdown": Messy("| size | age | price |\n|--:|--:|--:|\n" + "".join(
        f"| {' | '.join(row)} |\n" for row in BODY), name="t.txt"),
    "records of a log": Messy("".join(f"size={s},age={a},price={p}\n" for s, a, p in BODY),
                              "do you mean", True),
    "an archive cut short": Messy(gzip.compress(PLAIN.encode())[:-40], "ended before", True,
                                  name="t.csv.gz"),
    "a column that is not there, filled down": Messy(PLAIN, "do you mean 'age'?", True,
                                                     args=["--fill-down", "Age"]),
    **{f"dates as {day}": Messy(add("on", days, mark=";"), f"on ({form}: day", columns=None)
       for day, form, days in (
           ("2021m3", "%Ym%m", [f"{2001 + i // 12}m{i % 12 + 1}" for i in range(N)]),
           ("2021q1", "quarter", [f"{2001 + i // 4}q{i % 4 + 1}" for i in range(N)]),
           ("01MAR2021:10:00:00", "month name", DAYS.strftime("%d%b%Y:%H:%M:%S").str.upper()),
           ("01.03.21 10:00", "%d.%m.%y %H:%M", DAYS.strftime("%d.%m.%y %H:%M")),
           ("2021年3月1日", "%Y年%m月%d日",
            [f"{d.year}年{d.month}月{d.day}日" for d in DAYS]))},
    "per mille": Messy(put_in(1, [f"{a}‰" for a in AGE]), "‰ is "),
    # files
    "compressed, called .csv": Messy(bz2.compress(PLAIN.encode())),
    "an archive, called .csv": Messy(zipped(t_csv=PLAIN)),
    "archives of other kinds": Messy(PLAIN, "unpack it and give one", True, name="t.tar.gz"),
    "a dump": Messy(PLAIN, "export the table as CSV", True, name="t.sql"),
    "a page, called .csv": Messy("<!DOCTYPE html>\n<table>", "is a web page or XML", True),
    "JSON, called .csv": Messy(json.dumps(RECORDS)),
    "no suffix": Messy(PLAIN, name="table"),
    "a text, called .xlsx": Messy(PLAIN, "call it .csv if it is text", True, name="t.xlsx"),
    "a web page": Messy(b"<html><table><tr><td>1</td></tr></table></html>",
                        "save the sheet as .xlsx or CSV", True, name="t.xls"),
    "compressed": Messy(gzip.compress(PLAIN.encode()), name="t.csv.gz"),
    "compressed and cut": Messy(gzip.compress(PLAIN.encode())[:200], "cannot be read", True,
                                name="t.csv.gz"),
    "broken Parquet": Messy(b"PAR1 no", "cannot be read as Parquet", True, name="t.parquet"),
    "broken Arrow": Messy(b"ARROW1 no", "cannot be read as Arrow", True, name="t.arrow"),
    "broken Excel": Messy(b"PK\x03\x04no", "t.xlsx: ", True, name="t.xlsx"),
    "an unknown kind": Messy(PLAIN, "unknown kind of table", True, name="t.odd"),
    "a kind of other programs": Messy(PLAIN, "write.csv(table, new)", True, name="t.RDS"),
    "ARFF": Messy("@relation r\n@data\n1,2\n", "in the place of all up to @data", True,
                  name="t.arff"),
    "an archive": Messy(zipped(t_csv=PLAIN), name="t.zip"),
    "an archive of two": Messy(zipped(a_csv=PLAIN, b_csv=PLAIN), "2 files (a.csv, b.csv)", True,
                               name="t.zip"),
    "a database, called .csv": Messy(b"SQLite format 3\0" + bytes(99), "sqlite3 -header -csv",
                                     True),
    "no archive": Messy(PLAIN, "cannot be unpacked", True, name="t.zip"),
    # JSON
    "records": Messy(json.dumps(RECORDS, indent=2), name="t.json"),
    "records within an answer": Messy(json.dumps({"ok": True, "errors": [], "result": RECORDS}),
                                      name="t.json"),
    "records deep in an answer": Messy(
        json.dumps({"meta": {"page": 1}, "data": {"next": None, "items": RECORDS}}), name="t.json"),
    "records a line": Messy("\n" + lines(*RECORDS), name="t.jsonl"),
    "records a line, called .json": Messy(lines(*RECORDS).encode("utf-8-sig"), name="t.json"),
    "records a line, compressed": Messy(gzip.compress(lines(*RECORDS).encode()),
                                        name="t.ndjson.gz"),
    "records that lack names": Messy(
        lines(*[{k: r[k] for k in HEAD if k != "age" or i % 7} for i, r in enumerate(RECORDS)]),
        "age (6, median)", name="t.jsonl"),
    "columns": Messy(json.dumps(FRAME.to_dict("list")), name="t.json"),
    "as pandas writes it": Messy(FRAME.to_json(), name="t.json"),
    "by the names of the rows": Messy(json.dumps({f"-N{i}": r for i, r in enumerate(RECORDS)}),
                                      name="t.json"),
    "split": Messy(FRAME.to_json(orient="split"), name="t.json"),
    "rows of cells": Messy(json.dumps([HEAD, *FRAME.values.tolist()]), name="t.json"),
    "numbers as texts": Messy(json.dumps([dict(zip(HEAD, row)) for row in BODY]), name="t.json"),
    "objects in records": Messy(
        json.dumps([{"place": {"city": c, "tags": []}, **r} for c, r in zip(CITY, RECORDS)]),
        "objects spread over columns NAME.PART: place", name="t.json",
        columns=["place.city", "size", "age"]),
    "lists in records": Messy(
        json.dumps([{"tags": [c, "new"], **r} for c, r in zip(CITY, RECORDS)]), "tags (3)",
        name="t.json", columns=["tags", "size", "age"]),
    "columns of other lengths": Messy('{"size": [1, 2], "price": [3]}', "differ in length", True,
                                      name="t.json"),
    "a slip in JSON": Messy(lines(*RECORDS[:9]) + "{oops\n", "not JSON in line 10", True,
                            name="t.jsonl"),
    "a text in JSON": Messy('"price"', "holds no table", True, name="t.json"),
    "numbers in JSON": Messy("[1, 2, 3]", "holds no table", True, name="t.json"),
    "nothing in JSON": Messy(" ", "is empty", True, name="t.json"),
    "too deep": Messy("[" * 100_000, "nested too deeply", True, name="t.json"),
}  # fmt: skip


TRAIN = ["--task", "regression", "--weight-decay", 1, "--max-neurons", 2, "--prove-time", 0]


@pytest.mark.parametrize("name", FILES)
def test_a_model_or_a_sentence(name, tmp_path):
    messy, folder = FILES[name], tmp_path
    data, model = folder / messy.name, folder / "m.safetensors"
    data.write_bytes(messy.content if isinstance(messy.content, bytes) else messy.content.encode())
    reading = [a for a in messy.args if a not in ("--keep", "id", "--missing", "error")]
    code, out, err = run("fit", data, "--target", messy.target, *TRAIN, *messy.args, "--out", model)
    if messy.refused:
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("gapless: ")
        assert messy.says in err
        assert os.listdir(folder) == [messy.name]
        return
    assert code in (0, 1)  # 1 where the machine was too busy to end in time
    assert err == ""
    assert messy.says in " ".join(out.split())
    assert messy.columns in (None, [column for column, _ in load(model)[1].columns])
    code, out, err = run("predict", model, data, "--json", *reading)
    assert (code, err) == (0, "")
    assert np.all(np.isfinite(json.loads(out)[messy.target]))


def test_predict_says_what_it_guessed_where_it_writes_a_file(tmp_path):
    (tmp_path / "t.csv").write_text("Houses of 2024\n\n" + PLAIN)
    run("fit", tmp_path / "t.csv", "--target", "price", *TRAIN, "--out", tmp_path / "m.st")
    predict = ["predict", tmp_path / "m.st", tmp_path / "t.csv"]
    code, out, err = run(*predict, "--out", tmp_path / "p.csv")
    assert (code, err) == (0, "")
    assert out.startswith("1 line above the table left out: Houses of 2024\n40 predictions in ")
    assert run(*predict)[1].startswith("price\n")  # nothing else goes into a pipe


@pytest.mark.parametrize(("cells", "says"), [
    (DAYS.strftime("%Y-%m-%d"), "target 'kind' has dates"),
    ([f"house {i}" for i in range(N)], "40 different texts in 40 rows, too many for classes"),
    ([f"street {i % 20}" for i in range(N)], "of 20 classes, each of which needs a row in both"),
    ([""] * N, "missing in all 40 rows"),
    (["yes", "no"] * 19 + ["No", "No"], "kind ('No', 'no')"),
    (["yes"] * 58 + ["no"] * 2, "--class-weight balanced"),
    (["yes", "no"] * 20 + ["maybe"], "1 row is the only one of a class, and left out: 'maybe'"),
    (["yes", "no"] * 9 + list("abcdefgh"), "class 'a' has one row only"),
    (["yes", "no"] * 30, "A constant, 0 neurons, tells the 2 classes"),
])  # fmt: skip
def test_what_classes_are(cells, says, tmp_path):
    sizes = map(str, np.resize(SIZE, len(cells)))
    (tmp_path / "t.csv").write_text(text(["size", "kind"], rows(sizes, cells)))
    fit = ["--target", "kind", "--weight-decay", 99, "--prove-time", 0, "--out", tmp_path / "m.st"]
    code, out, err = run("fit", tmp_path / "t.csv", *fit)
    assert says in out + err
    assert (code, out == "", err == "") in ((0, False, True), (2, True, False))
    if code == 0:  # a network that mixes features is no sum of curves
        assert "models of gapless fit --readable" in run("explain", tmp_path / "m.st", "t.csv")[2]


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A folder with one table as Parquet, in two parts, as Feather and as CSV."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "parts").mkdir()
    place = np.arange(N)
    table = pandas.DataFrame({
        "whole": pandas.array([None if i % 9 == 0 else i % 5 for i in range(N)], "Int64"),
        "size": SIZE,
        "new": place % 2 == 0,
        "city": pandas.Categorical(CITY),
        "sold": DAYS,
        "zip": [f"{i % 3:03d}" for i in range(N)],
        "class": pandas.array([None if i == 3 else i % 2 for i in range(N)], "Int64"),
    })  # fmt: skip
    table.to_parquet(folder / "t.parquet")
    table.to_feather(folder / "t.feather")
    table[:25].to_parquet(folder / "parts" / "a.parquet")
    table[25:].to_parquet(folder / "parts" / "b.parquet")
    table.to_csv(folder / "t.csv")
    return folder


def test_typed_files_folders_patterns_and_pipes(typed, tmp_path, monkeypatch):
    found = []
    for number, data in enumerate(["t.parquet", "t.feather", "parts", "parts/*.parquet"]):
        model = tmp_path / f"{number}.st"
        fit = ["--target", "class", "--weight-decay", 1, "--prove-time", 0, "--out", model]
        code, out, err = run("fit", typed / data, *fit)
        assert (code, err) == (0, "")
        for words in ("1 row without 'class'", "whole (5, median)", "city (3), zip (3)", "sold ("):
            assert words in out
        assert load(model)[1].classes == ["0", "1"]
        found.append(run("predict", model, typed / "t.csv"))
        assert found[0] == found[-1] != (2, "", "")
    pandas.read_csv(typed / "t.csv", dtype=str).to_json(typed / "t.json", orient="records")
    for data in ("t.csv", "t.parquet", "t.json"):
        content = io.BytesIO((typed / data).read_bytes())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
        assert run("predict", tmp_path / "0.st", "-") == found[0]
    assert "a folder of Parquet files" in run("fit", tmp_path, "--target", "y")[2]
    assert "no file is called like" in run("fit", tmp_path / "x*.csv", "--target", "y")[2]
    pandas.DataFrame({"other": [1]}).to_parquet(typed / "parts" / "c.parquet")
    assert "different columns" in run("predict", tmp_path / "0.st", typed / "parts")[2]


def test_excel(tmp_path):
    pytest.importorskip("openpyxl")
    table = pandas.DataFrame({"size": SIZE, "age": AGE, "sold": DAYS, "city": CITY, "price": PRICE})
    table.loc[5, "age":] = np.nan  # a row with its first cell alone
    table.loc[9] = np.nan
    with pandas.ExcelWriter(tmp_path / "t.xlsx") as book:
        table.to_excel(book, startrow=3, startcol=1, index=False)
        book.sheets["Sheet1"].cell(1, 2, "Houses of 2024")
        for row, city in enumerate(CITY, 5):  # pandas merges nothing
            book.sheets["Sheet1"].cell(row, 7, city if row % 2 else None)
            if row % 2:
                book.sheets["Sheet1"].merge_cells(f"G{row}:G{row + 1}")
        book.sheets["Sheet1"]["G4"] = "house"
    fit = ["fit", tmp_path / "t.xlsx", "--target", "price", *TRAIN, "--out", tmp_path / "m.st"]
    code, out, err = run(*fit)
    assert (code, err) == (0, "")
    assert "20 merged cells read as if each row had the text" in out
    assert "1 line above the table left out: Houses of 2024" in out
    assert "sold (ISO8601" in out
    house = np.repeat(CITY[::2], 2)
    table.assign(house=house).to_csv(tmp_path / "t.csv", index=False)
    predictions = [run("predict", tmp_path / "m.st", tmp_path / n) for n in ("t.xlsx", "t.csv")]
    assert predictions[0] == predictions[1]
    assert predictions[0][1].count("\n") == N + 1


def test_cells_that_mean_missing_are_in_the_model_file(tmp_path):
    """What training took as missing, by --na or by the table, predict does too, as do others."""
    size = np.where(np.arange(N) % 5, SIZE.astype(str), "frei")
    age, price = np.where(np.arange(N) % 7, AGE, -999), np.where(np.arange(N) % 9, PRICE, -1)
    (tmp_path / "t.csv").write_text(text(HEAD, rows(size, age, price)))
    (tmp_path / "new.csv").write_text("size,age\nfrei,-999.0\n,\n")
    for number, kind in enumerate([[], ["--readable"]]):
        model = tmp_path / f"{number}.st"
        fit = [*TRAIN[:4], *(kind or ["--prove-time", 0]), "--na", "-999", "--na", "price=-1"]
        out = run("fit", tmp_path / "t.csv", "--target", "price", *fit, "--out", model).stdout
        assert "as --na says: age ('-999'), price ('-1.0')" in " ".join(out.split())
        assert "5 rows without 'price' left out" in out
        predictions = json.loads(run("predict", model, tmp_path / "new.csv", "--json").stdout)
        assert predictions["price"][0] == predictions["price"][1]
    assert run("certify", tmp_path / "0.st", tmp_path / "t.csv", "--time-limit", 0).code == 0
    assert (
        run(
            "report", model, tmp_path / "t.csv", "--html", tmp_path / "p.html", "--price-time", 0
        ).code
        == 0
    )
    (tmp_path / "new.csv").write_text("size,age\n<5,-999.0\n")
    code, out, err = run("predict", tmp_path / "0.st", tmp_path / "new.csv")
    assert (code, "1 cell as '<5' read as the limit" in err) == (0, True)


EPOCH, DAY = pandas.Timestamp(0), pandas.Timedelta("1D")
MONTHS = (
    "5. März 2021", "05-Mrz-21", "5 mars 2021", "1er mars 2021", "5 de marzo de 2021", "5-mar-2021",
    "5 marzo 2021", "5 de março de 2021", "5 maart 2021", "Friday, March 5th, 2021", "2021 Mar 5",
)  # fmt: skip


def test_dates_in_words():
    for cell in MONTHS:
        assert date_format(np.array([cell])) is not None, cell
        day = parts_of("d", np.array([cell]), "month name")["day"][0]
        assert EPOCH + day * DAY == pandas.Timestamp(2021, 3, 1 if "1er" in cell else 5)
    for cell in ("Haus 5 Mai 2021", "12 12 2021", "31 Februar 2021", "jui 2021", "Mai 24"):
        assert np.isnan(parts_of("d", np.array([""]), "month name")["day"][0])
        with pytest.raises(ValueError, match="write them alike"):
            parts_of("d", np.array([cell]), "month name")
    for cell, form, first in [
        ("4Q21", "quarter", "2021-10-01"),
        ("T1 2024", "quarter", "2024-01-01"),
        ("KW 05/2024", "week", "2024-01-29"),
    ]:
        assert date_format(np.array([cell])) == form
        day = parts_of("d", np.array([cell]), form)["day"][0]
        assert EPOCH + day * DAY == pandas.Timestamp(first)


@pytest.fixture(scope="module")
def holes(tmp_path_factory):
    """A table with missing cells of every kind, its model and a proof."""
    folder = tmp_path_factory.mktemp("holes")
    rng = np.random.default_rng(0)
    size, city = rng.uniform(10, 90, 120).round(1), np.resize(["Bern", "Rom", ""], 120)
    sold = pandas.date_range("2021-03-01", periods=120, freq="9D").strftime("%d.%m.%Y").to_numpy()
    price = np.abs(size - 40) + 9 * (city == "") + np.arange(120) / 20
    lacks = rng.random((3, 120)) < 0.15
    body = rows(np.where(lacks[0], "", size), city, np.where(lacks[1], "", sold),
                np.where(lacks[2], "NA", price.round(2)))  # fmt: skip
    (folder / "t.csv").write_text(text(["size", "city", "sold", "price"], body))
    fit = ["--target", "price", "--weight-decay", 0.5, "--prove-time", 0]
    assert run("fit", folder / "t.csv", *fit, "--out", folder / "m.st")[0] == 0
    proof = ["--proof", folder / "p.npz", "--time-limit", 1]
    assert run("certify", folder / "m.st", folder / "t.csv", *proof)[0] == 0
    return folder


def test_what_was_filled_in_is_filled_in_again(holes):
    """By predict, certify and verify, from what the model file says."""
    code, out, err = run("certify", holes / "m.st", holes / "t.csv", "--time-limit", 0, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["notes"] == []  # the digest of the rows is that of the training
    assert run("verify", holes / "p.npz", holes / "t.csv")[1].startswith("VALID")
    median = dict(load(holes / "m.st")[1].columns)["size"]["fill"]
    new = "size,city,sold\n,Bern,01.05.2021\n{},Bern,01.05.2021\n5,,\n5,Ur,01.05.2021\n"
    (holes / "new.csv").write_text(new.format(median))
    encoder, table = Encoder(load(holes / "m.st")[1].columns), read_table(str(holes / "t.csv"))
    size = table["size"][~np.isnan(table["price"])]
    train, _ = split_rows(len(size), None, 0.2, 0)
    assert median == np.nanmedian(size[train])
    with pytest.warns(UserWarning, match="'Ur'"):
        X = encoder.encode(read_table(str(holes / "new.csv")))
    where = encoder.names.index("size missing")
    assert X[:2, where].tolist() == [1, 0]
    np.testing.assert_array_equal(np.delete(X[0], where), np.delete(X[1], where))
    assert X[1, encoder.names.index("sold day")] == (DAYS[0] - pandas.Timestamp(0)).days + 61
    assert X[1, encoder.names.index("sold weekday")] == 5  # a Saturday
    code, out, err = run("predict", holes / "m.st", holes / "new.csv", "--json")
    assert code == 0
    assert "column 'city' has texts that training did not see, 'Ur'" in err
    assert len(json.loads(out)["price"]) == 4
    (holes / "new.csv").write_text(new.format(median).replace("01.05.2021", "5/1/21"))
    assert (
        "has dates as %d.%m.%Y in training" in run("predict", holes / "m.st", holes / "new.csv")[2]
    )


def changed(table, **columns):
    return table.assign(**{name: change(table[name]) for name, change in columns.items()})


SOME = np.arange(N) % 5 == 0
#: what is done to the table of a training, how predict ends, and what it says
OTHERS = {
    "order": (lambda t: t[t.columns[::-1]], 0, ""),
    "more columns": (lambda t: t.assign(new="x", more=1.5), 0, ""),
    "no target": (lambda t: t.drop(columns="kind"), 0, ""),
    "one column less": (lambda t: t.drop(columns="size"), 2,
                        "no column 'size', which the model needs; columns: age, city, sold, kind"),
    "another name": (lambda t: t.rename(columns={"size": "Size "}), 2, "do you mean 'Size'?"),
    "texts for numbers": (lambda t: changed(t, size=lambda c: "big"), 2,
                          "has the text 'big'; correct it, or leave it empty"),
    "other dates": (lambda t: changed(t, sold=lambda c: "1.2.2024"), 2,
                    "has dates as 2024-01-31 in training, but '1.2.2024' in data row 1"),
    "other texts": (lambda t: changed(t, city=lambda c: c.mask(SOME, "Ur")), 0,
                    "texts that training did not see, 'Ur'"),
    "missing numbers": (lambda t: changed(t, size=lambda c: c.mask(SOME)), 0,
                        "'size' has 8 missing cells, of which training had next to none"),
    "missing texts": (lambda t: changed(t, city=lambda c: c.mask(SOME)), 0,
                      "'city' has missing cells, of which training had none"),
}  # fmt: skip


def test_tables_that_differ_from_that_of_the_training(tmp_path, monkeypatch):
    """Predictions as before, with a word where it matters, or one sentence."""
    monkeypatch.chdir(tmp_path)
    days = DAYS.strftime("%Y-%m-%d")
    table = pandas.DataFrame({"size": SIZE, "age": AGE, "city": CITY, "sold": days, "kind": KIND})
    table.to_csv("t.csv", index=False)
    fit = ["fit", "t.csv", "--target", "kind", "--weight-decay", 0.1]
    assert run(*fit, "--prove-time", 0, "--out", "m.st").code == 0
    before = run("predict", "m.st", "t.csv")
    for name, (change, code, says) in OTHERS.items():
        change(table).to_csv("new.csv", index=False)
        after = run("predict", "m.st", "new.csv")
        assert after.code == code, (name, after)
        assert says in after.stderr, (name, after.stderr)
        assert after.stderr.count("\n") == bool(says)
        assert (after == before) == (not says), name
        assert after.stdout.count("\n") == (N + 1 if code == 0 else 0)


def test_reports_of_the_rows_that_training_took(tmp_path, monkeypatch):
    """Without the rows that it left out, so that others are held out than it learnt from."""
    monkeypatch.chdir(tmp_path)
    kinds = np.where(np.arange(N) == 3, "", np.where(np.arange(N) == 4, "odd", KIND))
    table = pandas.DataFrame({"size": SIZE, "age": AGE, "kind": kinds})
    table.to_csv("t.csv", index=False)
    fit = ["fit", "t.csv", "--target", "kind", "--weight-decay", 0.1, "--readable"]
    told = json.loads(run(*fit, "--out", "m.st", "--json").stdout)
    report = ["report", "m.st", "t.csv", "--html", "p.html", "--price-time", 0]
    code, out, err = run(*report)
    assert (code, err) == (0, "")
    assert "1 row without 'kind' left out" in out
    assert "the only one of a class, and left out: 'odd'" in out
    again = json.loads(run(*report, "--json").stdout)
    assert again["training_accuracy"] == told["train_score"]
    table[~np.isin(kinds, ["", "odd"])][:-1].assign(kind=[*KIND[:30], *["new"] * 7]).to_csv(
        "t.csv", index=False
    )
    assert "that the model does not know left out: new" in run(*report).stdout


def test_without_filling_in(holes, tmp_path):
    table = pandas.read_csv(holes / "t.csv").dropna()
    table.to_csv(tmp_path / "t.csv", index=False)
    fit = ["fit", tmp_path / "t.csv", "--target", "price", *TRAIN, "--missing", "error"]
    assert run(*fit, "--out", tmp_path / "m.st")[0] == 0
    columns = load(tmp_path / "m.st")[1].columns
    assert columns[:2] == [["size", None], ["city", ["Bern", "Rom"]]]
    code, _, err = run("predict", tmp_path / "m.st", holes / "t.csv")
    assert code == 2
    assert "missing or infinite" in err


def test_scores_are_honest(tmp_path):
    """Few test rows have none; with rare classes accuracy does not stand alone."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2)).round(3)
    rare = np.where(x[:, 0] + x[:, 1] > 2.2, "yes", "no")
    (tmp_path / "t.csv").write_text(text(["a", "b", "y"], rows(*x.T, rare)))
    fit = ["--target", "y", "--weight-decay", 0.01, "--prove-time", 0]
    facts = json.loads(run("fit", tmp_path / "t.csv", *fit, "--json")[1])
    counts = np.array(facts["confusion"])
    assert counts.sum() == facts["n_test"] == 80
    assert np.trace(counts) / 80 == pytest.approx(facts["test_score"])
    assert counts[0].sum() / 80 == pytest.approx(facts["majority_test_score"])
    assert facts["auc"] > 0.9
    assert 0 < facts["log_loss"] < 0.3
    out = run("fit", tmp_path / "t.csv", *fit)[1]
    assert out.startswith(facts["summary"])
    assert "always the most frequent: 9" in facts["summary"]
    assert "AUC, test" in out
    assert "called no" in out
    (tmp_path / "t.csv").write_text(text(["a", "b", "y"], rows(*x[:30].T, x[:30, 0])))
    facts = json.loads(run("fit", tmp_path / "t.csv", *fit, "--json")[1])
    assert (facts["test_score"], facts["baseline_test_score"]) == (None, None)
    assert facts["untested"].startswith("6 test rows are too few for a score")
    path = run(
        "path", tmp_path / "t.csv", "--target", "y", "--n-values", 2, "--out", tmp_path / "p.png"
    )
    assert path[0] == 0
    assert "no test score: 6 test rows" in path[1]


def test_a_curve_through_what_is_there(holes):
    spline = ["spline", holes / "t.csv", "--x", "size", "--y", "price", "--weight-decay", 1]
    code, out, err = run(*spline)
    assert (code, err) == (0, "")
    assert "rows without 'size' left out ('')" in out
    assert "rows without 'price' left out ('NA')" in out


@pytest.mark.parametrize("readable", [[], ["--readable"]])
def test_what_is_filled_down_need_not_be_said_again(readable, tmp_path, monkeypatch):
    """Not to predict, certify and report either: the model file has it."""
    monkeypatch.chdir(tmp_path)
    year = np.where(np.arange(N) < N // 2, "low", "high")
    table = pandas.DataFrame({"year": year, "size": SIZE, "price": PRICE * (1 + (year == "high"))})
    table.to_csv("whole.csv", index=False)
    table.assign(year=table["year"].mask(table["year"] == table["year"].shift())).to_csv(
        "t.csv", index=False
    )
    fit = ["fit", "t.csv", "--target", "price", "--fill-down", "year", "--weight-decay", 0.1]
    assert run(*fit, *readable, "--out", "m.st").code == 0
    assert run("predict", "m.st", "t.csv").stdout == run("predict", "m.st", "whole.csv").stdout
    if readable:
        assert run("report", "m.st", "t.csv", "--html", "p.html", "--price-time", 0).code == 0
    else:
        assert run("certify", "m.st", "t.csv", "--time-limit", 0).code == 0
