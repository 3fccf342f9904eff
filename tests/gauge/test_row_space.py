"""The numerical row space."""

import numpy as np
import pytest

from gapless import Problem
from gapless.core.reduction import Reduction
from gapless.gauge import row_space as module
from gapless.gauge.row_space import row_space


@pytest.mark.parametrize("bias", ["free", "none"])
def test_a_rank_that_is_full_beyond_doubt_takes_no_decomposition(bias, rng, monkeypatch):
    X, calls, svd = rng.standard_normal((60, 5)) + 3, [], np.linalg.svd
    monkeypatch.setattr(module.np.linalg, "svd", lambda *a, **k: calls.append(1) or svd(*a, **k))
    core = Reduction(Problem(X, X[:, 0], bias=bias)).core
    calls.clear()
    full = row_space(core)
    assert (full.rank, calls) == (5, [])
    monkeypatch.setattr(module, "CLEAR", np.inf)
    again = row_space(Reduction(Problem(X, X[:, 0], bias=bias)).core)
    assert calls
    np.testing.assert_array_equal(full.samples, again.samples)
    np.testing.assert_array_equal(full.left, again.left)


def test_a_rank_that_squares_would_round_is_decomposed(rng):
    X = rng.standard_normal((60, 5)) * [1, 1, 1, 1, 1e-10]
    assert row_space(Reduction(Problem(X, X[:, 0], bias="none")).core).rank == 5
    X[:, 4] = X[:, 3] + X[:, 2]
    assert row_space(Reduction(Problem(X, X[:, 0], bias="none")).core).rank == 4
