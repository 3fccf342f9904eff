"""Processes forked from this one."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from gapless import Problem
from gapless.core.processes import beside, forked
from gapless.training.cross_validation import choose_weight_decay

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")


def test_answers_come_in_order_and_from_copies():
    def job(k):
        return lambda: (k, os.getpid())

    answers = list(forked([job(k) for k in range(5)], 2))
    assert [k for k, _ in answers] == list(range(5))
    assert len({os.getpid(), *(there for _, there in answers)}) == 6


def test_errors_come_back_and_a_process_that_died_is_said():
    def wrong():
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        list(forked([wrong], 2))
    with pytest.raises(ChildProcessError, match="code -9"):
        list(forked([lambda: os.kill(os.getpid(), signal.SIGKILL)], 2))


def test_one_beside_begins_at_once(tmp_path):
    def job():
        (tmp_path / "begun").touch()
        return os.getpid()

    answer = beside(job)
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    assert answer() != os.getpid()


def test_what_is_left_early_leaves_nothing_running(tmp_path):
    def job():
        (tmp_path / "begun").touch()
        time.sleep(1)
        (tmp_path / "ended").touch()

    answers = forked([lambda: 1, job], 2)
    assert next(answers) == 1
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    answers.close()
    time.sleep(1.2)
    assert not (tmp_path / "ended").exists()


def test_folds_beside_each_other_are_those_one_after_the_other(monkeypatch):
    monkeypatch.setattr("gapless.training.cross_validation.FORKED", 0.0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    problem = Problem(X, np.abs(X[:, 0]))
    one, two = (choose_weight_decay(problem, n_values=4, n_jobs=n, forks=n > 1) for n in (1, 2))
    np.testing.assert_allclose(one.losses, two.losses)
    assert one.best == two.best
