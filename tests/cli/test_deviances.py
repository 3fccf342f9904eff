"""``fit --loss poisson`` and ``gamma``: outputs are logarithms, everything said is in the units."""

import csv

import numpy as np
import pytest

from commands import answer, gapless
from gapless.cli.measures import explained

SHORT = ("--weight-decay", "0.05", "--prove-time", "0")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Counts and amounts of about 40, and a column with a zero and one with a negative number."""
    rng = np.random.default_rng(0)
    x, n = rng.uniform(-2, 2, (90, 2)), 90
    mean = 40 * np.exp(np.abs(x[:, 0]) + x[:, 1] / 2 - 1)
    columns = {
        "a": x[:, 0], "b": x[:, 1], "count": rng.poisson(mean),
        "amount": mean * rng.gamma(20, 1 / 20, n),
    }  # fmt: skip
    columns["zero"] = np.where(np.arange(n) == 7, 0.0, columns["amount"])
    columns["below"] = np.where(np.arange(n) == 7, -2.0, columns["amount"])
    columns["nothing"] = np.zeros(n)
    file = tmp_path_factory.mktemp("deviances") / "table.csv"
    with open(file, "w", newline="") as opened:
        csv.writer(opened).writerows([list(columns), *zip(*columns.values())])
    return file, columns


def fit(table, target, loss, *more):
    others = {"count", "amount", "zero", "below", "nothing"} - {target}
    drops = [word for name in others for word in ("--drop", name)]
    return ["fit", table, "--target", target, "--loss", loss, *drops, *more]


@pytest.mark.parametrize(("target", "loss"), [("count", "poisson"), ("amount", "gamma")])
@pytest.mark.parametrize("how", [SHORT, ("--readable", "--weight-decay", "0.05")])
def test_predictions_and_scores_are_in_the_units_of_the_target(target, loss, how, table):
    file, columns = table
    model = file.with_suffix(f".{loss}.{how[0].strip('-')}.safetensors")
    told = answer(*fit(file, target, loss, *how, "--out", model))
    assert told["score"] == "deviance explained"
    assert told["test_score"] > max(0.5, told["baseline_test_score"])
    assert f"'{target}' with deviance explained" in told["summary"]
    predicted = np.array(answer("predict", model, file)[target])
    assert np.all(predicted > 0)
    assert explained(loss, columns[target], predicted) > 0.7
    # the bias is free: at the optimum of the rows for training the means agree, here nearly
    rate = predicted / columns[target] if loss == "gamma" else columns[target] / predicted.mean()
    assert np.mean(rate) == pytest.approx(1, abs=0.15)
    assert answer("info", model)["loss"] == loss


def test_what_is_proven_again_is_the_same(table):
    file, _ = table
    model = file.with_suffix(".again.safetensors")
    told = answer(*fit(file, "count", "poisson", *SHORT, "--out", model))
    again = answer("certify", model, file, "--time-limit", 0.5)
    assert again["objective"] == pytest.approx(told["objective"], rel=1e-9)
    for language, text in (("c", "return exp(out[0]);"), ("sql", "exp(gapless_s0)"),
                           ("excel", "exp(")):  # fmt: skip
        assert text in answer("export", model, "--to", language)["code"]


@pytest.mark.parametrize("loss", ["poisson", "gamma", "squared"])
def test_networks_without_biases_are_proven_again(loss, table):
    file, _ = table
    model = file.with_suffix(".bare.safetensors")
    told = answer(*fit(file, "amount", loss, *SHORT, "--bias", "none", "--out", model))
    again = answer("certify", model, file, "--time-limit", 0.1)
    assert again["objective"] == pytest.approx(told["objective"], rel=1e-9)
    assert again["lower_bound"] <= told["objective"]


@pytest.mark.parametrize("more", [SHORT, ("--readable",)])
def test_targets_that_have_no_logarithm_are_refused_in_one_sentence(more, table):
    file, _ = table
    for target, loss, sentence in [
        ("zero", "gamma", "1 of 90 targets are not, the first 0; leave these out, or take the loss "
         "poisson, which allows 0"),
        ("below", "gamma", "target 'below': the gamma loss needs amounts above 0, and 1 of 90 "
         "targets are not, the first -2; leave these out, or take the loss squared"),
        ("below", "poisson", "needs counts from 0"),
        ("nothing", "poisson", "nothing to learn"),
    ]:  # fmt: skip
        error = gapless(*fit(file, target, loss, *more), code=2).stderr
        assert sentence in error
        assert error.count("\n") == 1
    error = gapless(*fit(file, "count", "poisson", *more, "--task", "classification"), code=2)
    assert "--loss poisson is for regression" in error.stderr


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@pytest.mark.parametrize("how", [("--test-size", "0.34", *SHORT), ("--readable",)])
def test_where_rows_for_training_are_alike_nothing_is_explained(loss, how, tmp_path):
    file, readable = tmp_path / "alike.csv", how[0] == "--readable"
    # of three rows some seed trains on those that are alike
    targets = [4.0] * 8 if readable else [4.0, 4.0, 7.0]
    with open(file, "w", newline="") as opened:
        csv.writer(opened).writerows([("a", "y"), *zip(np.sqrt(range(1, 9)), targets)])
    how = (*how, "--weight-decay", "0.1") if readable else how
    for seed in range(1 if readable else 4):
        told = answer("fit", file, "--target", "y", "--loss", loss, *how, "--seed", seed)
        assert told["train_score"] <= 1
    assert not readable or told["train_score"] == 0


def test_few_counts_are_numbers_where_the_loss_is_for_numbers(tmp_path):
    rng = np.random.default_rng(0)
    rows = [[f"{x:.3f}", rng.poisson(np.exp(x))] for x in rng.uniform(-1, 1, 60)]
    with open(tmp_path / "few.csv", "w", newline="") as opened:
        csv.writer(opened).writerows([["x", "visits"], *rows])
    told = answer(
        "fit", tmp_path / "few.csv", "--target", "visits", "--loss", "poisson",
        "--readable", "--weight-decay", 0.1,
    )  # fmt: skip
    assert told["task"] == "regression"
