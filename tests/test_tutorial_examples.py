"""The tutorials run, and print what they say."""

import re
import runpy
from pathlib import Path

import pytest

from gapless.gauge.choose import METHODS

FOLDER = Path(__file__).parents[1] / "examples"


def test_add_a_loss(capsys):
    runpy.run_path(str(FOLDER / "tutorial_add_a_loss.py"), run_name="__main__")
    out = capsys.readouterr().out
    objective, gap = re.search(r"OPTIMAL: objective (\S+), proven gap (\S+)", out).groups()
    bound = re.search(r"no network is below (\S+)", out)[1]
    assert float(gap) <= 1e-6
    assert float(bound) == pytest.approx(float(objective), rel=1e-4)
    above, below = re.search(r"constant \S+, (\S+) = (\S+)", out).groups()
    assert float(above) == pytest.approx(float(below), rel=1e-5)
    refused = re.findall(r"refused: the loss (\w+) (.*)", out)
    assert [name for name, _ in refused] == ["TooQuiet", "WrongConjugate", "WrongDegree"]
    reasons = ["not declare conjugate_error, dual_box", "Fenchel-Young fails", "another degree"]
    assert all(reason in words for reason, (_, words) in zip(reasons, refused))


def test_add_a_bound(capsys):
    runpy.run_path(str(FOLDER / "tutorial_add_a_bound.py"), run_name="__main__")
    out = capsys.readouterr().out
    least, most = re.search(r"over the gauge: (\S+) to (\S+) times", out).groups()
    assert 1 <= float(least) < float(most)
    gaps = dict(re.findall(r"(\S+) +proves a gap of +(\S+)%", out))
    assert float(gaps["low-rank"]) <= min(float(gaps["norm"]), float(gaps["triangle"]))
    assert "triangle inequality" in out
    assert int(re.search(r"below the gauge in (\d+) of 200", out)[1]) > 0
    METHODS.pop("triangle")


def test_add_a_design(capsys):
    runpy.run_path(str(FOLDER / "tutorial_add_a_design.py"), run_name="__main__")
    out = capsys.readouterr().out
    objective = float(re.search(r"objective (\S+) with", out)[1])
    assert float(re.search(r"correlation with the effects (\S+)", out)[1]) > 0.99
    assert 0 < float(re.search(r"is below (\S+)", out)[1]) <= objective
