"""The examples on games run, and print what the documentation says."""

import re

import numpy as np


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
