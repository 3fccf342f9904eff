"""Neural collapse and alignment."""

import numpy as np
import pytest

from gapless import whiten
from gapless.closed.batch_norm import solve_batch_norm_head
from gapless.closed.whitened import solve_whitened_relu
from gapless.structure.collapse import (
    frame_distance,
    layer_alignment,
    neural_collapse,
    predicted_collapse,
    simplex_frame,
)

RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat([0, 1, 2, 3], [9, 5, 4, 2]))
H, HEAD, BIAS = RNG.normal(size=(20, 6)), RNG.normal(size=(4, 6)), RNG.normal(size=4)


def independent(H, labels, W, b):
    """The definitions, sample by sample and pair by pair."""
    K, n = len(W), len(H)
    mu = [H[labels == k].mean(axis=0) for k in range(K)]
    centre = sum(mu) / K
    S_W = sum(np.outer(h - mu[k], h - mu[k]) for h, k in zip(H, labels)) / n
    S_B = sum(np.outer(m - centre, m - centre) for m in mu) / K
    M = np.array(mu) - centre
    E = simplex_frame(K)
    pairs = [(j, k) for j in range(K) for k in range(K) if j != k]
    norms = [np.linalg.norm(m) for m in M]
    heads = [np.linalg.norm(w) for w in W]
    return {
        "nc1": np.trace(S_W @ np.linalg.pinv(S_B, rcond=1e-10)) / K,
        "nc1_trace": np.trace(S_W) / np.trace(S_B),
        "nc2_means_equinorm": np.std(norms) / np.mean(norms),
        "nc2_head_equinorm": np.std(heads) / np.mean(heads),
        "nc2_equiangle": np.mean(
            [abs(M[j] @ M[k] / norms[j] / norms[k] + 1 / (K - 1)) for j, k in pairs]
        ),
        "nc2_frame": np.linalg.norm(M @ M.T / np.linalg.norm(M @ M.T) - E),
        "nc3": np.sum((W / np.linalg.norm(W) - M / np.linalg.norm(M)) ** 2),
        "nc3_structure": np.linalg.norm(W @ M.T / np.linalg.norm(W @ M.T) - E),
        "nc4": np.mean(
            [np.argmax(W @ h + b) != np.argmin([np.linalg.norm(h - m) for m in mu]) for h in H]
        ),
        "means_orthogonality": max(
            abs(mu[j] @ mu[k]) / np.linalg.norm(mu[j]) / np.linalg.norm(mu[k]) for j, k in pairs
        ),
    }


def test_metrics_agree_with_an_independent_computation():
    report = neural_collapse(H, LABELS, HEAD, BIAS)
    for name, value in independent(H, LABELS, HEAD, BIAS).items():
        assert getattr(report, name) == pytest.approx(value, abs=1e-10), name


@pytest.mark.parametrize("centre", [False, True])
def test_metrics_are_invariant_to_rotations(centre):
    Q = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    one = neural_collapse(H, LABELS, HEAD, BIAS, centre)
    other = neural_collapse(H @ Q, LABELS, HEAD @ Q, BIAS, centre)
    for name in independent(H, LABELS, HEAD, BIAS):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-10), name


@pytest.mark.parametrize("counts", [(4, 4, 4), (6, 4, 3), (8, 3, 1)])
@pytest.mark.parametrize("head", ["whitened", "batch norm"])
def test_closed_forms_show_the_predicted_geometry(counts, head):
    labels = np.repeat([0, 1, 2], counts)
    n, Y = len(labels), np.eye(3)[labels]
    X = np.random.default_rng(1).normal(size=(n, n + 3))
    wd = 0.02
    if head == "whitened":
        X, scale = whiten(X), 1.0
        network = solve_whitened_relu(X, Y, wd, 2).network
        features, W = network.features(X), network.weights[-1].T
    else:
        network = solve_batch_norm_head(X, Y, wd, "torch").network
        features, W, scale = network.features(X), network.output_weights.T, np.sqrt(n)
    report = neural_collapse(features, labels, W)
    predicted = predicted_collapse(counts, wd, scale=scale)
    assert report.nc1 < 1e-20
    assert report.means_orthogonality < 1e-9
    assert report.nc2_frame == pytest.approx(predicted.nc2_frame, abs=1e-9)
    assert report.nc3 == pytest.approx(predicted.nc3, abs=1e-9)
    assert report.nc3_structure == pytest.approx(predicted.nc3_structure, abs=1e-9)
    np.testing.assert_allclose(report.means_norms, predicted.means_norms, rtol=1e-9)
    if len(set(counts)) == 1:
        assert predicted.nc2_frame < 1e-12
        assert predicted.nc3 == pytest.approx(2 - 2 * np.sqrt(2 / 3))
        assert neural_collapse(features, labels, W, centre_head=True).nc3 < 1e-18
    else:
        assert predicted.nc2_frame > 0.01


def test_output_bias_gives_self_duality():
    labels = np.repeat([0, 1, 2, 3], 3)
    X = whiten(np.random.default_rng(1).normal(size=(12, 15)))
    network = solve_whitened_relu(X, np.eye(4)[labels], 0.02, 2, output_bias=True).network
    report = neural_collapse(network.features(X), labels, network.weights[-1].T, network.biases[-1])
    predicted = predicted_collapse([3] * 4, 0.02, output_bias=True)
    assert report.nc3 < 1e-18
    assert predicted.nc3 == pytest.approx(0, abs=1e-18)
    np.testing.assert_allclose(report.means_norms, predicted.means_norms, rtol=1e-12)
    assert predicted_collapse([3, 2], 0.02, output_bias=True).nc2_frame is None


def test_vanished_classes_and_zero_networks():
    predicted = predicted_collapse([8, 1], 0.2)
    assert predicted.means_norms[1] == 0 < predicted.means_norms[0]
    assert "zero" in predicted_collapse([2, 2], 5.0).note


def test_alignment():
    u, v, w = (x / np.linalg.norm(x) for x in RNG.normal(size=(3, 4)))
    report = layer_alignment([np.outer(u, v), 2 * np.outer(v, w)])
    assert report.ranks == (1, 1)
    np.testing.assert_allclose(report.operator_norms, report.frobenius_norms)
    np.testing.assert_allclose([report.alignment[0], report.leading_alignment[0]], 1)
    orthogonal = np.linalg.qr(np.stack([v, w], axis=1))[0][:, 1]
    assert layer_alignment([np.outer(u, v), np.outer(orthogonal, u)]).alignment[0] < 1e-28
    assert np.isnan(layer_alignment([np.zeros((2, 2)), np.eye(2)]).alignment[0])
    with pytest.raises(ValueError, match="transposed"):
        layer_alignment([np.ones((2, 3)), np.ones((2, 3))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((H, np.zeros(20), HEAD), "at least 2"),
        ((H, LABELS[:-1], HEAD), "labels must have shape"),
        ((H, LABELS, HEAD[:3]), "head_weights must have shape"),
        ((H, LABELS, HEAD, np.ones(3)), "head_bias"),
        ((1e9 + 1e-5 * H, LABELS, HEAD), "coincide"),
        ((H, LABELS, 0 * HEAD), "zero"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        neural_collapse(*arguments)


def test_frame_distance():
    assert frame_distance(simplex_frame(5)) < 1e-14
    with pytest.raises(ValueError, match="at least 2 classes"):
        simplex_frame(1)
