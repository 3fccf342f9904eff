"""Bad input through every public function and estimator: a result or one sentence."""

import numpy as np
import pytest
from benchmarks.fuzz_calls import BAD, attempt, calls

import gapless as gl


@pytest.fixture(scope="module")
def everything():
    return calls()


def test_the_arguments_that_work_do(everything):
    for name, (call, arguments) in everything.items():
        if name != "verify":
            call(**arguments)


@pytest.mark.parametrize("seed", range(4))
def test_bad_arguments_are_answered_with_a_sentence(everything, seed):
    rng, names = np.random.default_rng(seed), list(everything)
    for _ in range(80):
        name = names[rng.integers(len(names))]
        call, arguments = everything[name]
        key = list(arguments)[rng.integers(len(arguments))]
        bad = BAD[rng.integers(len(BAD))]
        assert attempt(call, arguments | {key: bad}) is None, (name, key, bad)


def test_a_wrong_answer_is_noticed():
    assert attempt(lambda: 1 / 0, {}) == "ZeroDivisionError: division by zero"
    assert attempt(lambda: np.float64(1e308) * 10, {}) is not None


def test_numbers_beyond_the_floats(everything):
    X, y = np.eye(3), np.ones(3)
    huge = 10**400
    with pytest.raises(ValueError, match="sample_weight has numbers beyond 1e308"):
        gl.Problem(X, y, sample_weight=[huge] * 3)
    network = gl.train(gl.Problem(X, y)).network
    with pytest.raises(ValueError, match="time_limit must be a finite number of at least zero"):
        gl.certify(network, X, y, weight_decay=0.1, time_limit=huge)
    with pytest.raises(ValueError, match="numbers beyond 1e308"):
        gl.ReLURegressor().fit([[huge], [1]], [1, 2])
    with pytest.raises(ValueError, match="depth counts weight matrices and must lie between 2"):
        gl.deep_prox(1.0, 0.1, 1e308)
