"""Alignment, and what no hidden map can beat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from gapless import alignment, pairwise_loss
from gapless.kernels.alignment import hidden_targets
from gapless.kernels.machine import Kernel, KernelMachine


def machine_of(svc):
    kernel = Kernel(svc.gamma)
    return KernelMachine(svc.support_vectors_, svc.dual_coef_.T, svc.intercept_, kernel)


def target(F, labels, C, gamma=1.0):
    svc = SVC(C=C, gamma=gamma, tol=1e-8).fit(F, labels)
    (found,) = hidden_targets(machine_of(svc), F, labels, C)
    return found


def test_alignment_by_its_definition(rng):
    F, labels = rng.standard_normal((30, 2)), rng.integers(3, size=30)
    G = np.exp(-0.7 * ((F[:, None] - F[None]) ** 2).sum(axis=2))
    ideal = (labels[:, None] == labels[None]).astype(float)
    off = ~np.eye(30, dtype=bool)
    expected = np.sum(G[off] * ideal[off]) / np.linalg.norm(G[off]) / np.linalg.norm(ideal[off])
    assert alignment(F, labels, 0.7) == pytest.approx(expected)
    assert pairwise_loss(F, labels, 0.7, 1) == pytest.approx(np.abs(G - ideal)[off].mean())
    corners = 20 * np.eye(3)[labels]
    assert alignment(corners, labels) == pytest.approx(1)
    assert pairwise_loss(corners, labels) == pytest.approx(0, abs=1e-12)
    assert alignment(F, np.arange(30)) == 0
    with pytest.raises(ValueError, match="scale must be"):
        alignment(F, labels, 0)
    with pytest.raises(ValueError, match="labels must be 30, one a sample"):
        alignment(F, labels[:4])
    with pytest.raises(ValueError, match="rescale them"):
        pairwise_loss(F * 1e200, labels)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(-3, 1), st.floats(-2, 2))
def test_no_hidden_map_is_below_the_bound(seed, log_C, log_gamma):
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(2, size=24))
    labels[[0, -1]] = 0, 1
    F = rng.standard_normal((24, 2)) + rng.uniform(0, 3) * labels[:, None]
    found = target(F, labels, 10.0**log_C, 10.0**log_gamma)
    assert found.lower_bound <= found.objective * (1 + 1e-9)


@pytest.mark.parametrize("C", [0.02, 0.05, 1.0, 100.0])
def test_collapsed_classes_attain_the_bound(C):
    """Both where separating pays and where it does not."""
    labels = np.repeat([0, 1], [30, 12])
    found = target(20.0 * labels[:, None], labels, C)
    assert found.objective == pytest.approx(found.lower_bound, rel=1e-5)
    assert found.holds == (found.tau < found.threshold and C >= 0.05)
    assert found.threshold == pytest.approx(np.sqrt(2) * 12 / 42)


def test_each_two_classes_have_their_own(rng):
    labels = np.repeat([0, 1, 2], 10)
    F = 3.0 * np.eye(3)[labels] + 0.1 * rng.standard_normal((30, 3))
    rows = rng.standard_normal((30, 3))
    found = hidden_targets(KernelMachine(F, rows, np.zeros(3), Kernel(1.0)), F, labels, 1.0)
    assert [one.classes for one in found] == [(0, 1), (0, 2), (1, 2)]
    assert all(one.lower_bound <= one.objective for one in found)
