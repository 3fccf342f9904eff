"""Fewer samples in place of all: above them, by no more than there was room for."""

import numpy as np
import pytest

from gapless import Problem
from gapless.core.watch import Watch
from gapless.gauge.cancelling import cancelled, neighbours
from gapless.gauge.direction import Directional

COSTS = {"none": 0.0, "some": 0.02, "all": np.inf}


def near_pairs(rng, n, D, free):
    """Samples in clusters of three, and a dual point with zeros."""
    X = np.repeat(rng.standard_normal((n, D)), 3, axis=0)
    X += 0.02 * rng.standard_normal(X.shape)
    if free:
        X = np.hstack([X, np.full((3 * n, 1), 8.0)])
    lam = rng.standard_normal(3 * n) * (rng.uniform(size=3 * n) < 0.9)
    return X, lam, np.append(np.ones(D), 0.0) if free else np.ones(D)


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("power", [0, -600, 400])
def test_fewer_samples_are_above_by_no_more_than_the_room(costs, free, power, rng):
    X, lam, normed = near_pairs(rng, 20, 4, free)
    lam = np.ldexp(lam, power)
    room = COSTS[costs] * np.abs(lam).sum()
    fewer, weights = cancelled(X, lam, neighbours(X, normed), room)
    U = rng.standard_normal((2000, X.shape[1]))
    U[: len(fewer), :] = fewer  # where differences are longest
    whole = np.maximum(U @ X.T, 0) @ lam
    bound = np.maximum(U @ fewer.T, 0) @ weights
    off = 1e-12 * np.abs(U) @ np.abs(X).T @ np.abs(lam)
    assert np.all(bound >= whole - off)
    assert np.all(bound <= whole + room * np.linalg.norm(U * normed, axis=1) + off)
    assert len(fewer) <= len(X)
    assert (np.abs(weights).sum() < 0.9 * np.abs(lam).sum()) == (costs != "none")


def test_no_more_room_is_taken_than_there_is():
    """At u = -1 both are switched off, and their difference costs all that it may."""
    X, lam = np.array([[1.0], [1.125]]), np.array([2.0, -2.0])
    near = neighbours(X, np.ones(1))
    assert len(cancelled(X, lam, near, 0.2)[0]) == 2
    fewer, weights = cancelled(X, lam, near, 0.3)
    assert np.maximum(-fewer, 0).T @ weights == 0.25


def test_boxes_of_fewer_samples_prove_what_all_samples_have(rng):
    X, lam, _ = near_pairs(rng, 20, 3, False)
    core = Problem(X, lam[:, None], weight_decay=1e-3, bias="none")
    U = rng.standard_normal((200_000, 3))
    best = max(np.abs(np.maximum(U @ X.T, 0) @ lam) / np.linalg.norm(U, axis=1))
    for *_, bound in Directional().maximise(core, lam[:, None], Watch(5.0)):
        assert bound.upper >= best
        if bound.upper <= 1.01 * bound.lower:
            break
    assert bound.upper <= 1.02 * best
