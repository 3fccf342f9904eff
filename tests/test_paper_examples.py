"""The paper's figures and counter-examples run, and print what the documentation says."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from gapless import (
    ComparisonDisplay,
    Network,
    Problem,
    certify,
    extreme_points,
    spike_free_test,
    train,
)

FOLDER = Path(__file__).parents[1] / "examples"


def test_four_networks_of_norm_eight(example):
    out = example("plot_nonunique")
    assert out.count("norm 8.000000, proven at least 8.000000") == 4
    assert "0.000799600, paper 0.000799600" in out


def test_gallery_draws(example):
    import matplotlib.pyplot as plt

    out = example("plot_rectified_ellipsoid")
    assert [line.split("says ")[1][:4] for line in out.splitlines()] == [
        "True", "Fals", "Fals", "Fals",
    ]  # fmt: skip
    assert len(plt.gcf().axes) == 12


def test_relaxed_cutting_plane_stops_at_79_and_the_optimum_is_46(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("cutting_plane_stops")
    X, y = module.data()
    problem = Problem(X, y, weight_decay=module.WEIGHT_DECAY, bias="none")
    assert spike_free_test(X).holds is False
    relaxed = train(problem, oracle="spike-free", tol=1e-6)
    exact = train(problem, tol=1e-6)
    assert relaxed.certificate.objective == pytest.approx(0.79, abs=5e-3)
    assert exact.certificate.objective == pytest.approx(0.46, abs=5e-3)
    assert exact.status.proven
    assert not relaxed.status.proven
    mark = certify(relaxed.network, X, y, weight_decay=module.WEIGHT_DECAY, bias="none")
    assert mark.lower_bound <= exact.certificate.objective


def test_kernel_view_at_small_size(example):
    out = example("plot_kernel_view", "--steps", 60, "--sets", 1)
    assert "norm of the interpolant 8.000000 (OPTIMAL)" in out
    assert "test accuracy" in out


def test_kernel_network_at_small_size(example):
    out = example("plot_kernel_network", "--sizes", 60, 120, "--repeats", 1)
    assert out.count("hidden layer: gamma 2, ridge") == 2
    before, *after = map(float, out.split("alignment ")[1].splitlines()[0].split(" -> "))
    assert max(after) > before
    objective, bound = out.split("objective is ")[1].split(", no hidden map reaches below ")
    assert float(bound.split()[0]) <= float(objective)
    assert out.count("hidden layers: errors") == 3


def test_duality_gap_at_small_size(example):
    out = example("plot_duality_gap", "--steps", 20, "--restarts", 1)
    assert "best 0.00796000, proven 0.00796000" in out


def test_whitened_images_at_small_size(example, tmp_path):
    out = tmp_path / "picture.png"
    text = example("whitened_images", "--steps", 10, "--width", 12, "--samples", 20, "--out", out)
    closed, plane = (float(line.split()[2]) for line in text.splitlines()[1:3])
    assert plane == pytest.approx(closed, rel=1e-8)
    assert "cutting plane" in text
    assert "OPTIMAL" in text
    assert out.exists()


def test_comparison_display_of_a_table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    problem = Problem(X, np.abs(X[:, 0]), weight_decay=0.05)
    network = train(problem).network
    display = ComparisonDisplay.from_network(
        network, problem, feature_names=["age", "bmi", "bp", "sex"]
    )
    assert len(display.rows) == min(4, network.n_neurons)
    row = display.rows[0]
    shares = [share for _, share in row.up]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-9
    assert not {i for i, _ in row.up} & {i for i, _ in row.down}
    assert "age" in [label.get_text() for label in display.axes_[0, 0].get_yticklabels()]
    unfit = Network(np.eye(4)[:, :1], np.zeros(1), np.ones((1, 1)), np.zeros(1))
    assert "unexplained" in ComparisonDisplay.from_network(unfit, problem).rows[0].title


def test_comparison_display_of_images():
    X = np.random.default_rng(0).random((12, 27))
    points = extreme_points(X)
    for shape in ((3, 9), (3, 3, 3)):
        display = ComparisonDisplay.from_extreme_points(points, X, [2, 5], image_shape=shape)
        assert [row.up for row in display.rows] == [[(2, 1.0)], [(5, 1.0)]]
        assert 2 not in [i for i, _ in display.rows[0].down]
    with pytest.raises(ValueError, match="does not fit samples of 27 features"):
        ComparisonDisplay.from_extreme_points(points, X, image_shape=(4, 4))


def test_vector_spiral(example):
    out = example("vector_spiral")
    assert out.count("100% right") + out.count("% right") >= 2
    bounds = [float(line.split()[-1]) for line in out.splitlines() if "no network" in line]
    exact, faces, singular, norm = bounds[:4]
    assert faces == pytest.approx(exact, rel=1e-5)
    assert norm <= singular * (1 + 1e-9) <= exact
