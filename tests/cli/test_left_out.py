"""``gapless fit`` leaves out columns that do not help, and says so."""

import csv
import json

import numpy as np

from gapless.cli.main import main
from gapless.cli.model_files import load


def test_columns_that_do_not_help_are_left_out_of_the_model(tmp_path, capsys):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 10))
    size = np.array(["small", "middle", "large"])[np.digitize(X[:, 9], [-0.5, 0.5])]
    y = 2 * X[:, 4] * (size == "large") + X[:, 4] * (size == "small")
    y += 0.1 * rng.standard_normal(300)
    names = [*(f"c{j}" for j in range(9)), "size", "y"]
    with open(tmp_path / "t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*X[:, :9].T, size, y))
    fit = ["fit", str(tmp_path / "t.csv"), "--target", "y", "--prove-time", "0", "--json"]
    fit += ["--max-neurons", "8", "--tol", "0.05", "--keep", "c0", "--time-limit", "60"]
    model = str(tmp_path / "m.safetensors")

    assert main([*fit, "--out", model]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert any("left out 7 of 10 columns" in note for note in facts["notes"])
    assert any("3 kept: c0, c4, size" in note for note in facts["notes"])
    assert "on the 3 columns kept" in facts["known"]
    network, header = load(model)
    assert [name for name, _ in header.columns] == ["c0", "c4", "size"]
    assert network.n_features == 5  # a text is kept with all its levels

    # the other columns may be there or not
    answers = []
    for columns in (names, ["size", "c0", "c4"]):
        with open(tmp_path / "new.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            cells = dict(zip(names, [*X[:5, :9].T, size[:5], y[:5]]))
            writer.writerows(zip(*(cells[name] for name in columns)))
        assert main(["predict", model, str(tmp_path / "new.csv")]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]

    assert main([*fit, "--select", "none", "--out", model]) == 0
    assert load(model)[0].n_features == 12
