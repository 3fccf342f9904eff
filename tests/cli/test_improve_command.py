"""``gapless improve``: from a file to a better or a smaller network in a file of its kind."""

import numpy as np
import pytest

import gapless
from commands import answer, run
from gapless.cli.model_files import load

torch = pytest.importorskip("torch")
LIMIT = ["--time-limit", 0.5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table that three neurons fit, and weights of twelve, little trained."""
    folder = tmp_path_factory.mktemp("improve")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3)).round(3)
    y = (np.maximum(X, 0) @ [1, -1, 0.5]).round(4)
    table = "".join(",".join(map(str, row)) + "\n" for row in np.column_stack([X, y]))
    (folder / "t.csv").write_text("a,b,c,y\n" + table)
    torch.manual_seed(0)
    start = gapless.to_torch(gapless.from_torch(torch.nn.Sequential(
        torch.nn.Linear(3, 12), torch.nn.ReLU(), torch.nn.Linear(12, 1)
    )))  # fmt: skip
    torch.save(start.state_dict(), folder / "m.pt")
    return folder


def test_weights_of_another_training(folder):
    """The new file holds what was said, in each format."""
    how = ["--target", "y", "--loss", "mse", "--weight-decay", 0.01, *LIMIT]
    audit = ["audit", "--target", "y", "--loss", "mse", "--weight-decay", 0.01]
    improve = ["improve", folder / "m.pt", folder / "t.csv", *how]
    for name, within in (("b.pt", 0), ("b.safetensors", 0.5), ("b.onnx", 0.5)):
        told = answer(*improve, "--within", within, "--out", folder / name)
        assert told["objective_after"] < told["objective_before"]
        assert told["n_neurons_after"] <= (11 if within else told["n_neurons_before"])
        again = answer(*audit, folder / name, folder / "t.csv", "--time-limit", 0.1)
        assert again["objective"] == pytest.approx(told["objective_after"], rel=1e-5)
    out = run(*improve).stdout
    assert "of 12 neurons, objective" in out
    assert "Linear(in_features=3" in out


def test_a_model_of_fit(folder):
    """Better at first, then smaller; both are models as before, the bound holds for both."""
    fit = ["--target", "y", "--weight-decay", 0.01, "--max-neurons", 1, "--prove-time", 0]
    first, better, small = (folder / f"{name}.safetensors" for name in ("first", "better", "small"))
    assert run("fit", folder / "t.csv", *fit, "--out", first).code == 0
    told = answer("improve", first, folder / "t.csv", *LIMIT, "--out", better)
    assert told["objective_after"] < 0.9 * told["objective_before"]
    within = ["--within", 0.5, "--out", small]
    less = answer("improve", better, folder / "t.csv", *LIMIT, *within)
    assert less["n_neurons_after"] < less["n_neurons_before"]
    assert less["lower_bound"] <= less["objective"] <= 1.5 * told["objective"] * (1 + 1e-9)
    for file, facts in ((better, told), (small, less)):
        again = answer("certify", file, folder / "t.csv", "--time-limit", 0)
        assert again["objective"] == pytest.approx(facts["objective"])
        assert load(file)[1].certificate["lower_bound"] == facts["lower_bound"]
    assert "known" in run("improve", better, folder / "t.csv", *LIMIT).stdout


@pytest.mark.parametrize(("words", "says"), [
    (["m.pt", "t.csv"], "--loss and --weight-decay"),
    (["m.pt", "t.csv", "--out", "b.txt"], "end the name in .pt"),
    (["m.pt", "t.csv", "--within", -1], "--within must be"),
    (["m.pt", "t.csv", "--time-limit", 0], "--time-limit must be"),
    (["own.st", "t.csv", "--loss", "mse"], "says itself how it was trained; leave --loss out"),
    (["own.st", "o.csv"], "the data are not those"),
    (["curves.st", "t.csv"], "neurons mix the columns"),
])  # fmt: skip
def test_mistakes_are_one_sentence(words, says, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if not (folder / "own.st").exists():
        fit = ["fit", "t.csv", "--target", "y", "--weight-decay", 1]
        assert run(*fit, "--prove-time", 0, "--out", "own.st").code == 0
        assert run(*fit, "--readable", "--out", "curves.st").code == 0
        (folder / "o.csv").write_text((folder / "t.csv").read_text().replace("1", "2"))
    code, out, err = run("improve", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
