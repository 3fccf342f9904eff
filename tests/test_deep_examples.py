"""The examples on deep networks, at a size that takes seconds."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gapless import whiten
from gapless.closed.whitened import solve_whitened_relu
from gapless.core.deep_network import Optimality
from gapless.core.problem import Problem

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


def test_ranks_and_norms_of_training_are_those_of_the_closed_form(example, tmp_path, capsys):
    out = tmp_path / "picture.png"
    example("linear_ranks_and_norms", "--steps", 20, "--out", out).main()
    assert out.exists()
    lines = re.findall(
        r"rank (\d+) trained, (\d+) closed form, relative excess (\S+),", capsys.readouterr().out
    )
    assert len(lines) >= 5
    for trained, closed, excess in lines:
        assert trained == closed
        assert float(excess) == pytest.approx(0.0, abs=1e-9)


def test_no_run_is_below_the_theory(example, tmp_path, capsys):
    out = tmp_path / "picture.png"
    example("sgd_against_theory", "--steps", 20, "--width", 12, "--out", out).main()
    assert out.exists()
    text = capsys.readouterr().out
    for runs in re.findall(r"UPPER_BOUND\), runs above it by \[(.*?)\]", text, re.DOTALL):
        assert min(map(float, runs.split())) >= -1e-8
    gaps = re.findall(r"\d+: (\S+?)'", text)
    assert len(gaps) == 10
    assert min(map(float, gaps)) >= -1e-9  # weak duality, at every width
    assert max(float(gaps[4]), float(gaps[9])) <= 1e-8  # strong, once the width suffices
