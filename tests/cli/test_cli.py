"""The command, with good input and bad input of every kind."""

import csv
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from commands import gapless, run_apart, several
from gapless.cli.columns import check_slips
from gapless.cli.job import split_rows
from gapless.cli.model_files import load, save
from gapless.cli.preparing import Encoder
from gapless.core.checks import InputError
from gapless.core.processes import forked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a CSV of a known function, a text column and a constant column."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    size, colour = rng.uniform(10, 90, 120), rng.choice(["red", "blue"], 120)
    price = np.abs(size - 40) * 3 + 20 * (colour == "red") + rng.normal(0, 1, 120)
    kind = np.where(price > 60, "dear", "cheap")
    with open(folder / "shop.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "colour", "unit", "price", "kind"])
        writer.writerows(zip(size, colour, ["eur"] * 120, price, kind))
    return folder


def test_fit_predict_info_certify(folder):
    run = gapless(
        "fit", folder / "shop.csv", "--target", "price", "--drop", "kind", "--weight-decay", "0.01",
        "--out", folder / "m.safetensors", "--plot", folder / "m.png", "--json", run=run_apart,
    )  # fmt: skip
    result = json.loads(run.stdout)
    for key in (
        "status", "objective", "lower_bound", "relative_gap", "estimated_relative_gap",
        "n_neurons", "seconds", "train_score", "test_score", "baseline_test_score",
    ):  # fmt: skip
        assert key in result
    assert result["status"] == "OPTIMAL"  # two columns and a free bias: the gauge is exact
    assert result["relative_gap"] <= 1e-3
    assert result["test_score"] > 0.95 > result["baseline_test_score"]
    assert 0 < result["typical_error"] < result["baseline_typical_error"]
    assert result["known"].startswith("no network of any width is more than 0.")
    assert result["advice"] == ""
    assert "constant columns left out: unit" in result["notes"]
    assert (folder / "m.png").stat().st_size > 10_000

    out = gapless("predict", folder / "m.safetensors", folder / "shop.csv", run=run_apart).stdout
    rows = list(csv.DictReader(out.splitlines()))
    with open(folder / "shop.csv") as file:
        truth = np.array([float(r["price"]) for r in csv.DictReader(file)])
    guess = np.array([float(r["price"]) for r in rows])  # in the units of the file
    assert np.corrcoef(guess, truth)[0, 1] > 0.97
    assert abs(guess.mean() - truth.mean()) < 5

    info = json.loads(gapless("info", folder / "m.safetensors", "--json").stdout)
    assert info["columns"] == ["size", "colour"]
    assert info["n_neurons"] == result["n_neurons"]
    told = gapless("info", folder / "m.safetensors").stdout
    assert "weight decay" in told
    # a script reads lines: none is wrapped, or filled up
    assert all(line.strip() == line for line in told.splitlines())
    again = json.loads(
        gapless("certify", folder / "m.safetensors", folder / "shop.csv", "--json").stdout
    )
    assert again["objective"] == pytest.approx(result["objective"], rel=1e-8)
    assert again["relative_gap"] <= 1e-3
    assert again["known"].startswith("no network of any width is ")


def test_classification_with_text_target_and_parquet(folder):
    import pandas as pd

    pd.read_csv(folder / "shop.csv").drop(columns="price").to_parquet(folder / "shop.parquet")
    run = gapless(
        "fit", folder / "shop.parquet", "--target", "kind", "--weight-decay", "0.01",
        "--out", folder / "c.safetensors",
    )  # fmt: skip
    assert "classification: target 'kind' is text" in run.stdout
    assert "proven gap" in run.stdout
    out = gapless("predict", folder / "c.safetensors", folder / "shop.csv", "--json").stdout
    columns = json.loads(out)
    assert set(columns["kind"]) == {"dear", "cheap"}
    total = np.add(columns["probability of dear"], columns["probability of cheap"])
    np.testing.assert_allclose(total, 1)
    gapless("predict", folder / "c.safetensors", folder / "shop.csv", "--out", folder / "p.csv")
    assert (folder / "p.csv").read_text().startswith("kind,probability of cheap")
    both = ["--out", folder / "both.csv", "--json"]
    assert gapless("predict", folder / "c.safetensors", folder / "shop.csv", *both).stdout == out
    assert (folder / "both.csv").read_text() == (folder / "p.csv").read_text()


def test_automatic_weight_decay_on_a_bundled_data_set():
    result = json.loads(gapless("fit", "--dataset", "iris", "--tol", "0.05", "--json").stdout)
    assert result["task"] == "classification"
    assert result["test_score"] > 0.85
    assert any(re.search("chosen by (3-fold|a third)", note) for note in result["notes"])


def test_the_report_leads_with_what_is_proven_and_says_why_it_is_little():
    fit = "fit", "--dataset", "breast_cancer", "--weight-decay", "0.02", "--prove-time", "0.1"
    words = " ".join(gapless(*fit).stdout.split())
    assert words.index("no network of any width") < words.index("advice 31 dimensions")
    assert words.index(", weight decay 0.") < words.index("status")


def test_time_limit_has_its_exit_code(folder):
    run = gapless(
        "fit", "--dataset", "breast_cancer", "--weight-decay", "1e-4", "--time-limit", "0.2",
        "--out", folder / "early.safetensors", "--json", code=1,
    )  # fmt: skip
    assert json.loads(run.stdout)["status"] == "TIME_LIMIT"
    assert (folder / "early.safetensors").exists()


def test_a_limit_that_nobody_gave_is_not_said_to_have_been(folder, monkeypatch):
    for name in ("QUICK", "LEAST"):
        monkeypatch.setattr(f"gapless.cli.fit.{name}", 1e-3)
    run = gapless("fit", "--dataset", "breast_cancer", "--prove-time", "0")
    told = " ".join((run.stdout + run.stderr).split())
    assert "status Time limit: its time was over" in told
    assert "at --time-limit" not in told
    assert "raise --time-limit" not in told
    assert "--time-limit allows more" in told


def table(folder, text):
    (folder / "bad.csv").write_text(text)
    return folder / "bad.csv"


NUMBERS = "\n".join(f"{i},{i % 7},{(i * i) % 11}" for i in range(30))
SLIP = "a,b,y\n" + "\n".join(f"{i},{i % 7},{i / 8}" for i in range(30)) + "\n7,6,{}\n"


BAD_TABLES = [
    ("a,b,y\n" + NUMBERS, ["--target", "z"], "no column 'z'; columns: a, b, y"),
    ("a,b,y\n" + NUMBERS, [], "say which column to predict with --target"),
    ("a,b,y\n1,,3\n" + NUMBERS, ["--target", "y", "--missing", "error"],
     "column 'b' has 1 missing or"),
    ("a,b,y\n1,inf,3\n" + NUMBERS, ["--target", "y"], "an infinite number in data row 1; leave"),
    ("a,b,y\n1,2,\n1,4,NA\n", ["--target", "y"], "is missing in all 2 rows"),
    ("a,b,y\n1,2,inf\n" + NUMBERS, ["--target", "y"], "column 'y' has an infinite number"),
    ("a,b,y\n1,2\n" + NUMBERS, ["--target", "y"], "row 2 has 2 values, the header has 3"),
    ("a,y,y\n" + NUMBERS, ["--target", "y"], "two columns called 'y'"),
    ("", ["--target", "y"], "needs a header line"),
    ("a,y\n" + "1,2\n1,3\n" * 9, ["--target", "y"], "no column is left to learn from"),
    ("a,y\n" + "1,2\n3,2\n" * 9, ["--target", "y"], "nothing to learn"),
    ("a,y\n" + "1,2.5\n3,2.5\n" * 9, ["--target", "y"], "target is constant"),
    ("a,b,y\n" + NUMBERS, ["--target", "y", "--weight-decay", "0"], "--weight-decay must be"),
    ("a,b,y\n" + NUMBERS, ["--target", "y", "--weight-decay", "x"], "--weight-decay must be"),
    ("a,b,y\n" + NUMBERS, ["--target", "y", "--test-size", "2"], "--test-size must lie"),
    ("a,b,y\n" + NUMBERS, ["--target", "y", "--tol", "0"], "tol must be"),
    ("a,b,y\n" + NUMBERS, ["--target", "y", "--task", "regression", "--loss", "hinge"],
     "is for classes"),
    ("a,y\n" + "\n".join(f"k{i},{i}.5" for i in range(60)), ["--target", "y"],
     "many different texts left out (--keep NAME): a (60, as 'k0')"),
    ("a,y\n1,u\n2,v\n3,v\n", ["--target", "y"], "class 'u' has one row only"),
    ("a,y\n1,u\n2,v\n3,v\n", ["--target", "y", "--task", "regression"],
     "column 'y' must be numbers, data row 1 has the text 'u'"),
    (SLIP.format("12O"), ["--target", "y"], "'12O' in data row 31; correct it, or say --task"),
    (SLIP.format("12O"), ["--target", "y", "--task", "regression"], "has the text '12O'"),
    (SLIP.format("?"), ["--target", "y", "--missing", "error"],
     "column 'y' has 1 missing or infinite values"),
    (SLIP.format("12O"), ["--target", "b"], "'12O' in data row 31; correct it, or drop"),
    (SLIP.format("-"), ["--target", "b", "--missing", "error"],
     "column 'y' has 1 missing or infinite values"),
]  # fmt: skip


def test_bad_tables(tmp_path):
    commands = []
    for number, (text, args, _) in enumerate(BAD_TABLES):
        (tmp_path / f"{number}.csv").write_text(text)
        commands.append(["fit", tmp_path / f"{number}.csv", *args, "--out", tmp_path / "never.st"])
    for (code, _, error), (_, _, message) in zip(several(*commands), BAD_TABLES, strict=True):
        assert code == 2
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "never.st").exists()


def test_whole_numbers_are_classes_where_each_comes_again(tmp_path):
    rows = [f"{i},{i % 3}" for i in range(30)]
    for name, more in (("a", []), ("b", ["30,7"])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y", *rows, *more]))
    fit = ["--target", "y", "--weight-decay", 1, "--prove-time", 0]
    answers = several(*(["fit", tmp_path / f"{name}.csv", *fit] for name in "ab"))
    assert "classification: target 'y' has 3 whole values" in answers[0][1]
    assert "regression: target 'y' has 4 different numbers" in answers[1][1]


def test_marks_and_codes_are_texts_where_numbers_are_few():
    """A column of "+" and "-", or of whole codes and one "K", is no column of numbers."""
    grades = np.array([*(str(g) for g in range(1, 13)), "K"] * 10)
    for column in (np.array(["+", "-"] * 20), grades):
        check_slips("x", column, "")
        assert Encoder.learn({"x": column}, impute=False)[0].columns == [["x", sorted(set(column))]]
    for share, few in ((0.95, True), (0.8, False)):
        column = np.where(np.arange(100) < 100 * share, np.arange(100) / 8, "x").astype(str)
        with pytest.raises(InputError, match="data row 96") if few else nullcontext():
            check_slips("x", column, "")


FIT = ["fit", "shop.csv", "--target", "price", "--weight-decay", "0.1", "--prove-time", "0"]


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("from gapless.cli.main import parsed\nparsed(['--help'])", {"sklearn", "pandas"}),
        # a process that trains a fold
        ("import gapless.training.cross_validation", {"sklearn", "pandas"}),
        (f"from gapless.cli.main import main\nmain({FIT})", {"sklearn", "matplotlib", "torch"}),
    ],
)
def test_what_a_person_waits_for_imports_no_more_than_it_needs(folder, code, never):
    told = "import atexit, sys\natexit.register(lambda: print(*sys.modules))\n"
    words = [sys.executable, "-c", told + code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    there = done.stdout.split()
    assert "gapless" in there
    assert not never & set(there)


def test_a_reader_that_has_seen_enough_is_no_failure():
    words = [sys.executable, "-m", "gapless", "fit", "--dataset", "iris"]
    options = ["--weight-decay", "0.1", "--prove-time", "0"]
    with subprocess.Popen([*words, *options], stdout=subprocess.PIPE) as fit:
        fit.stdout.close()
    assert fit.returncode == 0


def test_other_mistakes(folder):
    shop = folder / "shop.csv"
    assert "no such file" in gapless("fit", "none.csv", "--target", "y", code=2).stderr
    assert "--dataset wine" in gapless("fit", "wine", "--target", "y", code=2).stderr
    assert "unknown kind of table" in gapless("fit", __file__, "--target", "y", code=2).stderr
    assert "'nope' is unknown" in gapless("fit", "--dataset", "nope", code=2).stderr
    assert "not both" in gapless("fit", shop, "--dataset", "iris", code=2).stderr
    assert "usage" in gapless("fly", code=2, run=run_apart).stderr
    assert "no such file" in gapless("info", "none.st", code=2, run=run_apart).stderr
    gapless(
        "fit", "--dataset", "iris", "--weight-decay", ".1", "--out", folder / "no" / "m.st", code=2
    )


def test_what_cannot_be_read_or_written_is_said_before_the_work(folder, tmp_path):
    shop, model = folder / "shop.csv", tmp_path / "m.safetensors"
    train = ["fit", shop, "--target", "price", "--drop", "kind", "--weight-decay", 1, "--out"]
    np.savez(tmp_path / "zip.npz", X=np.eye(3))
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    np.save(tmp_path / "objects.npy", np.array([[1, "a"]], dtype=object))
    header = b"{'descr'(((\n"
    (tmp_path / "header.npy").write_bytes(b"\x93NUMPY\x01\x00\x0c\x00" + header)
    (tmp_path / "junk.npy").write_bytes(b"junk")
    empty, folder_given = "name of a file is empty", "is a folder; give a file"
    array = "not a NumPy array of numbers"
    wanted = [
        ([*train, model], ""),
        (["fit"], "give a data file, or --dataset NAME (diabetes"),
        (["certify", model], "give a data file, or --dataset NAME"),
        (["verify", "p.npz"], "give a data file, or --dataset NAME"),
        (["audit", model, "--loss", "mse", "--weight-decay", 1], "give a data file, or --dataset"),
        (["audit", model, shop, "--target", "price"], "from the best gapless certify proves"),
        (["fit", tmp_path], folder_given),
        (["fit", ""], empty),
        (["predict", model, tmp_path], folder_given),
        (["info", tmp_path], folder_given),
        (["info", ""], empty),
        (["verify", tmp_path, shop], folder_given),
        *((["fit", tmp_path / f"{kind}.npy", "--target", "x0"], array)
          for kind in ("zip", "objects", "header", "junk")),
        (["audit", model, shop, "--target", "price", "--loss", "mse", "--weight-decay", 1],
         f"gapless certify {model} DATA"),
        ([*train, tmp_path], "is a folder; give the file to write"),
        ([*train, ""], "file to write is empty"),
        ([*train, tmp_path / "n.st", "--plot", tmp_path / "a.foo"], "a.foo: matplotlib writes no"),
        (["path", shop, "--target", "price", "--out", tmp_path / "p"], "p: matplotlib writes no"),
        (["spline", shop, "--x", "size", "--y", "price", "--out", tmp_path / "n.st",
          "--plot", tmp_path / "a.csv"], "a.csv: matplotlib writes no such"),
        (["info", model], ""),
    ]  # fmt: skip
    answers = several(*(command for command, _ in wanted))
    for (command, words), (code, _, error) in zip(wanted, answers, strict=True):
        assert code == (2 if words else 0), (command, error)
        assert words in error
        assert error.count("\n") == (1 if words else 0)
    assert not (tmp_path / "n.st").exists()
    assert "None" not in answers[-1][1]  # a regression has no classes


def test_features_are_standardised_unless_raw(folder):
    text = (folder / "shop.csv").read_text().splitlines()
    head, rows = text[0], [row.split(",", 1) for row in text[1:]]
    (folder / "units.csv").write_text(
        "\n".join([head, *(f"{float(size) * 1e4 - 7},{rest}" for size, rest in rows)])
    )
    fit = ["fit", "--target", "price", "--drop", "kind", "--weight-decay", 0.1, "--json"]
    files = [folder / "shop.csv", folder / "units.csv"]
    answers = several(*([*fit, f] for f in files), *([*fit, f, "--raw"] for f in files))
    objectives = [json.loads(out)["objective"] for _, out, _ in answers]
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-3)
    assert objectives[2] != pytest.approx(objectives[3], rel=1e-2)


def test_foreign_model_files_are_refused(folder):
    shop = folder / "shop.csv"
    gapless("fit", shop, "--target", "price", "--drop", "kind", "--weight-decay", "0.1",
            "--out", folder / "good.safetensors")  # fmt: skip
    data = (folder / "good.safetensors").read_bytes()

    class Evil:
        def __reduce__(self):
            return (open, (str(folder / "pwned"), "w"))

    from safetensors.numpy import save_file

    save_file({"x": np.ones(2)}, folder / "foreign.st")
    bad = {
        "truncated.st": data[: len(data) // 2],
        "empty.st": b"",
        "pickle.st": pickle.dumps(Evil()),
        "noise.st": bytes(range(256)) * 40,
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    for name in [*bad, "foreign.st"]:
        for command in (["info", folder / name], ["predict", folder / name, shop]):
            assert "gapless" in gapless(*command, code=2).stderr
    assert not (folder / "pwned").exists()
    assert (
        "no column 'size'"
        in gapless(
            "predict", folder / "good.safetensors", table(folder, "a,y\n1,2\n"), code=2
        ).stderr
    )


def test_spline(folder):
    run = gapless(
        "spline", folder / "shop.csv", "--x", "size", "--y", "price",
        "--plot", folder / "s.png", "--out", folder / "s.csv", "--json",
    )  # fmt: skip
    result = json.loads(run.stdout)
    assert result["status"] == "OPTIMAL"
    assert result["relative_gap"] <= 1e-6
    assert (folder / "s.png").stat().st_size > 10_000
    pieces = list(csv.DictReader((folder / "s.csv").read_text().splitlines()))
    assert len(pieces) == result["n_kinks"] + 1
    assert "slope" in gapless("spline", folder / "shop.csv", "--x", "size", "--y", "price").stdout
    classes = gapless("spline", folder / "shop.csv", "--x", "size", "--y", "kind", "--json").stdout
    assert json.loads(classes)["train_score"] > 0.7
    median = ["spline", folder / "shop.csv", "--x", "size", "--y", "price", "--quantile"]
    assert json.loads(gapless(*median, "0.5", "--json").stdout)["relative_gap"] <= 1e-5
    assert "quantile" in gapless(*median, "2", code=2).stderr
    missing = gapless("spline", folder / "shop.csv", "--x", "nope", "--y", "price", code=2).stderr
    assert "no column 'nope'" in missing
    text = gapless("spline", folder / "shop.csv", "--x", "colour", "--y", "price", code=2).stderr
    assert "must be numbers" in text


def test_path(folder):
    run = gapless(
        "path", folder / "shop.csv", "--target", "price", "--drop", "kind", "--n-values", "5",
        "--ratio", "0.05", "--out", folder / "path.png", "--json",
    )  # fmt: skip
    result = json.loads(run.stdout)
    assert result["weight_decay"] == sorted(result["weight_decay"], reverse=True)
    assert result["n_neurons"][0] == 0
    assert result["test_score"][-1] > 0.9 > result["test_score"][0]
    assert len(result["lower_bound"]) == len(result["status"]) == 5
    assert (folder / "path.png").stat().st_size > 10_000
    text = gapless("path", "--dataset", "iris", "--n-values", "3", "--ratio", "0.1").stdout
    assert "accuracy" in text
    gapless("path", "--dataset", "iris", "--ratio", "2", code=2)
    gapless("path", folder / "shop.csv", code=2)


def test_matrix_files(folder):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3)).astype(np.float32)
    np.save(folder / "m.npy", np.column_stack([X, np.abs(X[:, 0])]).astype(np.float32))
    run = gapless("fit", folder / "m.npy", "--target", "x3", "--weight-decay", ".01", "--json")
    assert json.loads(run.stdout)["test_score"] > 0.9
    np.save(folder / "line.npy", X[:, 0])
    assert "needs a matrix" in gapless("fit", folder / "line.npy", "--target", "x0", code=2).stderr
    (folder / "broken.npy").write_bytes(b"no array")
    assert "NumPy" in gapless("fit", folder / "broken.npy", "--target", "x0", code=2).stderr


def test_certify_writes_a_proof_and_verify_checks_it(folder):
    shop, model, proof = folder / "shop.csv", folder / "v.safetensors", folder / "v.npz"
    gapless("fit", shop, "--target", "price", "--drop", "kind", "--weight-decay", "0.02",
            "--bias", "penalized", "--out", model)  # fmt: skip
    made = json.loads(
        gapless("certify", model, shop, "--proof", proof, "--time-limit", "2", "--json").stdout
    )
    assert made["data"] == "rank 3 data: exact enumeration"
    checked = json.loads(gapless("verify", proof, shop, "--json").stdout)
    assert checked["valid"] is True
    assert checked["lower_bound"] == pytest.approx(made["lower_bound"], rel=1e-6)
    named = ["certify", model, shop, "--method", "doubly nonnegative", "--time-limit", "1"]
    gapless(*named, "--proof", folder / "conic.npz")
    assert gapless("verify", folder / "conic.npz", shop).stdout.startswith("VALID")

    text = shop.read_text()
    changed = {
        "other.csv": text.replace("red", "blue", 1),
        "fewer.csv": text[: text.rindex("\n", 0, -2) + 1],
        "nan.csv": re.sub(r"\n[\d.]+,", "\n,", text, count=1),
    }
    for name, content in changed.items():
        (folder / name).write_text(content)
    answers = several(
        *(["verify", proof, folder / name] for name in changed),
        ["verify", "none.npz", shop],
        ["verify", proof, "none.csv"],
        [*named[:-1], "nan"],
    )
    wanted = ["the proof is for other data", "trained on 120 rows", "for other data",
              "no such file", "no such file", "--time-limit must be"]  # fmt: skip
    for (code, out, err), words, expected in zip(answers, wanted, (1, 1, 1, 2, 2, 2)):
        assert code == expected
        assert words in out + err
        assert (out + err).count("\n") == 1


def test_certify_names_another_table_and_a_better_bound(folder):
    shop, model = folder / "shop.csv", folder / "n.safetensors"
    fitted = json.loads(
        gapless("fit", shop, "--target", "price", "--drop", "kind", "--weight-decay", "0.05",
                "--out", model, "--json").stdout
    )  # fmt: skip
    edited, unused = folder / "edited.csv", folder / "unused.csv"
    rows = shop.read_text().splitlines()
    train_rows, test_rows = split_rows(120, None, 0.2, 0)
    for number, file in ((train_rows[0], edited), (test_rows[0], unused)):
        changed = rows.copy()
        size, rest = changed[1 + number].split(",", 1)
        changed[1 + number] = f"{float(size) + 1},{rest}"
        file.write_text("\n".join(changed))
    network, header = load(model)
    weak = {**header.certificate, "lower_bound": 0.9 * fitted["lower_bound"]}
    save(folder / "weak.safetensors", network, replace(header, certificate=weak))
    best = {**header.certificate, "lower_bound": fitted["objective"]}
    save(folder / "best.safetensors", network, replace(header, certificate=best))

    answers = several(
        ["certify", model, shop, "--json"],
        ["certify", model, unused, "--json"],
        ["certify", model, edited, "--json"],
        ["certify", model, edited],
        ["certify", folder / "weak.safetensors", shop, "--json"],
        ["certify", folder / "best.safetensors", shop, "--json", "--method", "norm"],
    )
    assert all(code == 0 and not err for code, _, err in answers)
    notes = [json.loads(out)["notes"] for i, (_, out, _) in enumerate(answers) if i != 3]
    assert notes[0] == notes[1] == notes[3] == []
    assert "not those the model was trained on" in notes[2][0]
    assert f"objective there {fitted['objective']:.6g}" in notes[2][0]
    assert answers[3][1].count("note ") == 1
    assert "states a better lower bound" in notes[4][0]
    assert json.loads(answers[5][1])["lower_bound"] < fitted["lower_bound"]


def test_verify_refuses_tampered_and_foreign_files(folder):
    shop, model, proof = folder / "shop.csv", folder / "t.safetensors", folder / "t.npz"
    gapless("fit", shop, "--target", "kind", "--drop", "price", "--weight-decay", "0.02",
            "--out", model)  # fmt: skip
    gapless("certify", model, shop, "--proof", proof)
    assert gapless("verify", proof, shop).stdout.startswith("VALID")
    with np.load(proof) as file:
        fields = dict(file)
    preparation = json.loads(str(fields["preparation"]))
    changes = {
        "bound": {"lower_bound": fields["lower_bound"] * 1.01},
        "nan": {"Lam": fields["Lam"] * np.nan},
        "infinite": {"weight_decay": np.inf},
        "shape": {"Lam": fields["Lam"][:-1]},
        "scaling": {"preparation": preparation | {"training": {"n_rows": 120, "mean": "x"}}},
        "units": {
            "preparation": preparation
            | {"training": preparation["training"] | {"scale": [0, 1, 1], "mean": [0, 0, 0]}}
        },
        "columns": {"preparation": preparation | {"columns": 7}},
        "unknown": {"preparation": {"colour": "red"}},
    }
    files = [proof]
    for name, change in changes.items():
        if "preparation" in change:
            change = {"preparation": json.dumps(change["preparation"])}
        files.append(folder / f"{name}.npz")
        np.savez(files[-1], **(fields | change))
    content = proof.read_bytes()
    for name, data in (
        ("cut", content[: len(content) // 2]),
        ("empty", b""),
        ("text", b"VALID"),
        ("pickle", pickle.dumps({"lower_bound": 1.0})),
    ):
        files.append(folder / f"{name}.npz")
        files[-1].write_bytes(data)
    np.savez(folder / "objects.npz", preparation=np.array([{"a": 1}], dtype=object))
    files += [folder / "objects.npz", model, shop]
    answers = several(*(["verify", file, shop] for file in files))
    assert len(answers) == len(files)
    assert answers[0][1].startswith("VALID: no network has an objective")
    for file, (code, out, err) in zip(files[1:], answers[1:]):
        assert code == 1, file
        assert out.startswith("INVALID"), file
        assert out.count("\n") == 1
        assert not err


def test_a_folder_that_is_not_there_is_named_before_the_work(tmp_path):
    done = gapless("fit", "--dataset", "diabetes", "--out", tmp_path / "no" / "m", code=2)
    assert "there is no folder" in done.stderr


def test_a_proof_in_a_folder_that_is_not_there_is_input_not_output(tmp_path):
    done = gapless("verify", tmp_path / "no" / "p.npz", "--dataset", "diabetes", code=2)
    assert "no such file" in done.stderr


def test_texts_unseen_in_training_are_named(tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"{'ab'[i % 2]},{i},{i % 2 + 0.1 * i}" for i in range(40)]
    table.write_text("\n".join(["kind,size,price", *rows]))
    model = str(tmp_path / "m.safetensors")
    done = gapless("fit", table, "--target", "price", "--weight-decay", 0.1, "--out", model)
    assert "kind (2)" in done.stdout
    table.write_text("kind,size\nc,3\na,4\n")
    done = gapless("predict", model, table)
    assert "'c'" in done.stderr


def test_memory_that_runs_out_is_one_line(folder, monkeypatch):
    def full(*_):
        raise MemoryError

    def killed(_):
        return lambda: next(forked([lambda: os.kill(os.getpid(), signal.SIGKILL)], 1))

    fit = ["fit", folder / "shop.csv", "--target", "price", "--weight-decay", 1, "--prove-time", 0]
    monkeypatch.setattr("gapless.cli.fit.linear_beside", full)
    assert gapless(*fit, code=2).stderr == "gapless: memory ran out\n"
    monkeypatch.setattr("gapless.cli.fit.linear_beside", killed)
    assert "fit fewer rows" in gapless(*fit, code=2).stderr


LEFT_EARLY = """
import sys, time
from pathlib import Path
from gapless.__main__ import run
from gapless.cli import fit
from gapless.core.processes import beside

def stopped(*_):
    raise KeyboardInterrupt

fit._solved = stopped
fit.linear_beside = lambda _: beside(lambda: (time.sleep(5), Path(ended).touch()))
ended, *sys.argv = sys.argv[1:]
run()
"""


def test_a_command_that_is_left_leaves_no_process(folder):
    ended, fit = folder / "ended", ["gapless", "fit", folder / "shop.csv", "--target", "price"]
    words = [sys.executable, "-c", LEFT_EARLY, ended, *fit, "--weight-decay", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)  # until pipes close
    assert (done.returncode, done.stderr) == (130, "gapless: interrupted, nothing was written\n")
    assert not ended.exists()


def test_balanced_classes_train_certify_and_verify(folder):
    rng = np.random.default_rng(3)
    x = rng.standard_normal(150)
    rare = np.where(x + 0.8 * rng.standard_normal(150) > 1.2, "yes", "no")
    rows = "\n".join(f"{a:.6f},{b:.6f},{c}" for a, b, c in zip(x, rng.standard_normal(150), rare))
    (folder / "rare.csv").write_text(f"x,noise,bought\n{rows}\n")
    model, fit = folder / "rare.safetensors", ["fit", folder / "rare.csv", "--target", "bought"]
    options = ["--weight-decay", "0.05", "--class-weight", "balanced", "--prove-time", "1"]
    run = gapless(*fit, *options, "--out", model, "--json", "--progress")
    fitted = json.loads(run.stdout)
    certify = ["certify", model, folder / "rare.csv", "--proof", folder / "rare.npz", "--json"]
    certified = json.loads(gapless(*certify, "--time-limit", "2").stdout)
    assert certified["objective"] == pytest.approx(fitted["objective"], rel=1e-6)
    assert certified["notes"] == []
    assert "sample weights" in gapless("verify", folder / "rare.npz", folder / "rare.csv").stdout
    plain = json.loads(gapless(*fit, *options[:2], *options[4:], "--json").stdout)
    assert plain["objective"] < 0.9 * fitted["objective"]  # the rare class weighs little there
    shop = ["fit", folder / "shop.csv", "--target", "price", "--class-weight", "balanced"]
    assert "--class-weight is for classes" in gapless(*shop, code=2).stderr
