"""The examples that need no long training: the rank-5 counter-example and batch-norm collapse."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from gapless.closed_form import solve_whitened_relu
from gapless.deep import Optimality
from gapless.problem import Problem
from gapless.whitening import whiten

FOLDER = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return importlib.import_module(name)

    yield load
    import matplotlib.pyplot as plt
    import torch

    plt.close("all")
    torch.set_default_dtype(torch.float32)


def test_rank_five_beats_deep_neural_collapse_on_digits(example):
    module = example("collapse_is_not_optimal")
    X, labels = importlib.import_module("linear_ranks_and_norms").digits()
    X, Y = whiten(X), np.eye(10)[labels]
    solution = solve_whitened_relu(X, Y, 0.273 / 50, 4)
    problem = Problem(X, Y, weight_decay=0.273 / 50, bias="none")
    better = module.pairs_network(X, Y, 0.273)
    assert 50 * solution.objective == pytest.approx(7.9909, abs=1e-3)
    assert 50 * better.objective(problem) == pytest.approx(7.4190, abs=1e-3)
    assert np.linalg.matrix_rank(better.weights[0]) == 5
    assert np.array_equal(better.predict(X).argmax(axis=1), labels)
    assert solution.optimality is Optimality.KNOWN_SUBOPTIMAL
    assert solution.lower_bound < better.objective(problem)


def test_batch_norm_example_runs(example, tmp_path, capsys):
    out = tmp_path / "picture.png"
    example("batch_norm_collapse", "--steps", 60, "--out", out).main()
    assert out.exists()
    assert "NC3" in capsys.readouterr().out
