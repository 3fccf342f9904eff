"""The examples on games run, and print what the documentation says."""

import re
import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch, capsys):
    """Run an example as a script and return what it printed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    yield run
    plt.close("all")


def test_width_sweep(example, tmp_path):
    out = example("plot_width_sweep", "--steps", 120, "--starts", 5, "--widest", 256,
                  "--out", tmp_path / "sweep.png")  # fmt: skip
    gaps = [float(gap) for gap in re.findall(r"gap ([0-9.e+-]+),", out)]
    assert len(gaps) == 6
    assert gaps[-1] < 1e-6 < gaps[0]
    assert (tmp_path / "sweep.png").exists()


def test_eigenimages(example):
    out = example("plot_eigenimages")
    assert re.search(r"objective (\d+\.\d+), proven at least \1", out)
    assert float(out.split("violation at most ")[1].split()[0]) < 1e-6


def test_samples_by_class_and_a_file(example, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", X_train=images, y_train=np.arange(60) % 3)
    out = example("plot_samples_by_class", "--npz", tmp_path / "a.npz", "--clusters", 2)
    assert "6 games" in out
    assert "mixture: precision" in example("plot_samples_by_class", "--clusters", 2)
