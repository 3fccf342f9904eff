"""Units of training and units of the table."""

import numpy as np
import pytest

from gapless import Network
from gapless.cli.job import Scaling
from gapless.cli.main import main
from gapless.training.train import as_long, solve


def test_scaling_and_its_way_back():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(5, 9, (20, 3)), np.full(20, 7.0)])  # one column is constant
    scaling = Scaling.learn(X, rng.normal(3, 4, 20))
    network = Network(*(rng.standard_normal(shape) for shape in ((4, 6), 6, (6, 1), 1)))
    raw = scaling.unscale(network)
    np.testing.assert_allclose(
        scaling.targets(raw.predict(X)),
        network.predict(scaling.features(X, np.arange(20))),
        rtol=1e-10,
        atol=1e-10,
    )
    back = scaling.inverse().unscale(raw)
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
        np.testing.assert_allclose(getattr(back, name), getattr(network, name), atol=1e-12)


@pytest.mark.parametrize(("n_columns", "seconds"), [(6, 10.0), (14, None)])
def test_proofs_are_long_where_they_prove_much(n_columns, seconds, tmp_path, monkeypatch, capsys):
    asked = []

    def solve_quickly(*given, proof_time, **terms):
        asked.append(proof_time)
        return solve(*given, proof_time=0.0, **terms)

    monkeypatch.setattr("gapless.cli.fit.solve", solve_quickly)
    X = np.random.default_rng(0).standard_normal((60, n_columns))
    names = ",".join(f"x{k}" for k in range(n_columns))
    np.savetxt(tmp_path / "t.csv", X, delimiter=",", header=names, comments="")
    assert main(["fit", str(tmp_path / "t.csv"), "--target", "x0", "--weight-decay", "0.3"]) == 0
    assert asked == [as_long if seconds is None else seconds]
    assert "no network of any width" in capsys.readouterr().out
