"""The tutorials run, and print what they say."""

import re
import runpy
from pathlib import Path

import pytest

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
