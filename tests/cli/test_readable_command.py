"""``fit --readable``, ``explain`` and ``report``: from a table with holes to a page."""

import csv

import numpy as np
import pytest

from commands import answer, gapless
from gapless import load_readable
from gapless.cli.main import main


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Ages, labels with holes, a number with holes, and what comes of them."""
    folder = tmp_path_factory.mktemp("ward")
    rng = np.random.default_rng(0)
    n = 160
    age, dose = rng.integers(20, 90, n), rng.uniform(0, 9, n)
    place = rng.choice(["north", "south", ""], n)
    stay = np.abs(age - 50) / 10 + dose + 3 * (place == "south") + rng.normal(0, 0.2, n)
    lost = rng.uniform(size=n) < 0.1
    rows = [
        [a, "" if gone else f"{d:.3f}", p, "x", f"{s:.4f}", "long" if s > 6 else "short"]
        for a, d, gone, p, s in zip(age, dose, lost, place, stay)
    ]
    with open(folder / "ward.csv", "w", newline="") as file:
        csv.writer(file).writerows([["age", "dose", "place", "same", "stay", "kind"], *rows])
    return folder


@pytest.fixture(scope="module")
def model(ward):
    file = ward / "stay.safetensors"
    assert main(["fit", str(ward / "ward.csv"), "--target", "stay", "--drop", "kind", "--readable",
                 "--weight-decay", "0.01", "--out", str(file)]) == 0  # fmt: skip
    return file


def test_fit_handles_holes_and_labels(ward):
    told = answer(
        "fit", ward / "ward.csv", "--target", "stay", "--drop", "kind", "--readable",
        "--weight-decay", 0.01, "--plot", ward / "effects.png",
    )  # fmt: skip
    assert told["status"] == "OPTIMAL"
    assert told["relative_gap"] <= 1e-3
    assert told["test_score"] > 0.8
    assert set(told["effects"]) == {"age", "dose", "place"}
    notes = " ".join(told["notes"])
    assert "constant columns left out: same" in notes
    assert "missing values, which have effects of their own: dose (" in notes
    assert (ward / "effects.png").stat().st_size > 10_000
    assert "whose neurons look at one feature" in told["known"]


def test_predict_and_info_read_the_file(ward, model):
    told = answer("info", model)
    assert told["columns"] == ["age", "dose", "place"]
    assert told["readable"] == "one feature a neuron"
    assert "relative gap" in gapless("info", model).stdout
    predicted = answer("predict", model, ward / "ward.csv")["stay"]
    with open(ward / "ward.csv") as file:
        truth = [float(row["stay"]) for row in csv.DictReader(file)]
    assert np.corrcoef(predicted, truth)[0, 1] > 0.95


def test_explain_sums_to_what_predict_says(ward, model):
    predicted = answer("predict", model, ward / "ward.csv")["stay"]
    for row in (1, 7, 160):
        told = answer("explain", model, ward / "ward.csv", "--row", row)
        added = [effect["adds"] for effect in told["effects"]]
        assert told["mean"] + sum(added) == pytest.approx(predicted[row - 1], abs=1e-9)
        assert told["prediction"] == predicted[row - 1]
        assert sorted(np.abs(added), reverse=True) == list(np.abs(added))
    shown = gapless("explain", model, ward / "ward.csv", "--row", 7).stdout
    assert all(name in shown for name in ("mean", "age", "dose", "place", "predicted"))


def test_classes_have_probabilities_and_scores(ward):
    file = ward / "kind.safetensors"
    told = answer(
        "fit", ward / "ward.csv", "--target", "kind", "--drop", "stay", "--readable",
        "pairs", "--weight-decay", 0.05, "--out", file,
    )  # fmt: skip
    assert told["score"] == "accuracy"
    row = answer("explain", file, ward / "ward.csv", "--row", 2)
    shares = answer("predict", file, ward / "ward.csv")["probability of short"]
    assert row["explains"] == "log odds of short"
    assert row["truth"] in row["probabilities"]
    assert 1 / (1 + np.exp(-row["sum"])) == pytest.approx(shares[1])
    assert row["probabilities"]["short"] == pytest.approx(shares[1])


def test_classes_weigh_alike_where_asked(ward):
    with open(ward / "ward.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["rare"] = "yes" if float(row["stay"]) > 10 else "no"
    with open(ward / "rare.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    fit = ["fit", ward / "rare.csv", "--target", "rare", "--readable", "--weight-decay", 0.3,
           "--drop", "stay", "--drop", "kind"]  # fmt: skip
    plain, alike = answer(*fit), answer(*fit, "--class-weight", "balanced")

    def found(told):
        return told["confusion"][1][1]

    assert found(alike) > found(plain)
    assert "AUC, test" in gapless(*fit).stdout
    stay = ["fit", ward / "rare.csv", "--target", "stay", "--readable"]
    error = gapless(*stay, "--class-weight", "balanced", code=2).stderr
    assert "--class-weight is for classes" in error


def test_the_report_knows_the_rows_held_out(ward, model):
    page = ward / "page.html"
    told = answer(
        "report", model, ward / "ward.csv", "--html", page, "--price-time", 2
    )  # fmt: skip
    low, high = told["price_of_reading"]
    assert 0 <= low <= high
    assert told["held_out_R2"] > 0.8
    text = page.read_text()
    assert "(128 rows)" in text
    assert "(32 rows)" in text
    assert "The price of reading" in text
    # other rows than those of the fit are all held out, and nothing is trained on them
    lines = (ward / "ward.csv").read_text().splitlines()
    (ward / "part.csv").write_text("\n".join(lines[:40]))
    told = answer("report", model, ward / "part.csv", "--html", page)
    assert "training_R2" not in told
    assert "price_of_reading" not in told


def test_mistakes_are_one_sentence(ward, model):
    table = ward / "ward.csv"
    fit = ["fit", table, "--target", "stay", "--readable"]
    (ward / "other.csv").write_text("age,dose\n1,2\n")
    (ward / "infinite.csv").write_text("age,dose,place\n1,inf,north\n")
    for command, sentence in [
        (["explain", model, table, "--row", 0], "--row must be from 1 to 160"),
        (["explain", model, table, "--class", "a"], "this model predicts a number"),
        (["explain", table, table], "not a gapless model file"),
        (["explain", model, ward / "other.csv"], "no column 'place'"),
        (["predict", model, ward / "infinite.csv"], "'dose' has infinite values"),
        (["report", model, table, "--html", ward / "none" / "p.html"], "no folder"),
        ([*fit, "--raw"], "--raw does not go with --readable"),
        ([*fit, "--prove-time", 3], "--prove-time does not go with --readable"),
        ([*fit, "--weight-decay", -1], "--weight-decay must be a positive"),
    ]:
        error = gapless(*command, code=2).stderr
        assert sentence in error
        assert error.count("\n") == 1


def test_texts_that_training_did_not_see_add_what_no_label_does(ward, model):
    (ward / "new.csv").write_text("age,dose,place\n50,3,west\n50,3,south\n50,,south\n")
    west, south, lacks = answer("predict", model, ward / "new.csv")["stay"]
    assert np.all(np.isfinite([west, south, lacks]))
    assert len({west, south, lacks}) == 3
    assert load_readable(model).notes_["target"] == "stay"


def test_dates_are_days_and_what_of_them_comes_again(tmp_path):
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + rng.permutation(700)[:120]
    months = days.astype("datetime64[M]").astype(int) % 12 + 1
    cells = np.where(rng.random(120) < 0.1, "", days.astype(str))
    sales = 5.0 * (months == 12) + rng.normal(0, 0.1, 120)
    file, model = tmp_path / "shop.csv", tmp_path / "sales.safetensors"
    with open(file, "w", newline="") as opened:
        rows = zip(cells, rng.random(120).round(3), sales)
        csv.writer(opened).writerows([["sold", "size", "sales"], *rows])
    fit = ["fit", file, "--target", "sales", "--readable", "--weight-decay", 0.01, "--out", model]
    told = answer(*fit)
    assert "dates, as numbers: sold (day, weekday, month)" in " ".join(told["notes"])
    assert next(iter(told["effects"])) == "sold month"
    used = set(told["effects"])
    idle = {"sold day", "sold weekday", "sold month", "size"} - used
    assert all(name in told["notes"][-1] for name in idle)
    row = int(np.argmax(cells != ""))
    explained = answer("explain", model, file, "--row", row + 1)
    values = {effect["name"]: effect["value"] for effect in explained["effects"]}
    assert values["sold month"] == days[row].item().strftime("%b")
    assert explained["truth"] == pytest.approx(sales[row])
    answer("predict", model, file)
    (tmp_path / "new.csv").write_text("sold,size\n2026-12-03,.5\n2026-06-03,.5\n,.5\n")
    december, june, _ = answer("predict", model, tmp_path / "new.csv")["sales"]
    assert december > june + 2
    (tmp_path / "bad.csv").write_text("sold,size\nsoon,.5\n")
    said = gapless("predict", model, tmp_path / "bad.csv", code=2).stderr
    assert "has dates as 2024-01-31" in said


def test_keys_and_free_text_are_left_out_unless_kept(tmp_path):
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 9, 120)
    rows = [[k, f"remark {k}", f"{s:.3f}", f"{abs(s - 4):.3f}"] for k, s in enumerate(size)]
    with open(tmp_path / "shop.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", "remark", "size", "price"], *rows])
    fit = ["fit", tmp_path / "shop.csv", "--target", "price", "--readable", "--weight-decay", 0.01]
    told = answer(*fit)
    assert set(told["effects"]) == {"size"}
    notes = " ".join(told["notes"])
    assert "number or name the rows left out (--keep NAME): id" in notes
    assert "text with more than 50 different values: remark" in notes
    kept = answer(*fit, "--keep", "id")
    assert not any("number or name the rows" in note for note in kept["notes"])
    assert "no column 'ID'" in gapless(*fit, "--keep", "ID", code=2).stderr


def test_doubts_about_the_table_are_those_of_plain_fit(tmp_path):
    rng = np.random.default_rng(0)
    size, age = rng.uniform(1, 9, 60), rng.integers(20, 70, 60)
    price = size + 0.1 * age
    age[::9], size[7], price[8] = 999, 1e7, 1e9
    city = np.resize(["Bern", "bern ", "Rom"], 60)
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["size", "age", "city", "price"], *zip(size, age, city, price)])
    fit = ["fit", tmp_path / "t.csv", "--target", "price", "--weight-decay", 1]
    told, plain = (answer(*fit, *kind)["notes"] for kind in (["--readable"], ["--prove-time", 0]))
    doubts = (
        "may mean missing: age", "numbers far from all others: size",
        "texts that differ in capitals", "targets far from all others: price",
    )  # fmt: skip
    for doubt in doubts:
        (said,) = [note for note in told if note.startswith(doubt)]
        assert said in plain
