"""Patches of images: the windows a filter sees, and what pooling does with them."""

import itertools

import numpy as np
import pytest

from gapless import Network, Patches, Problem
from gapless.core.reduction import Reduction

RNG = np.random.default_rng(0)
#: images, size, stride, padding, pool, and the pooled places
CASES = {
    "signal": (RNG.standard_normal((6, 9)), 3, 1, 0, "grid", 4),
    "signal of two channels": (RNG.standard_normal((6, 9, 2)), (3,), 2, 1, "none", 5),
    "image": (RNG.standard_normal((6, 7, 8)), 3, 1, 0, 2, 9),
    "image, uneven": (RNG.standard_normal((6, 7, 8)), (2, 3), (1, 2), (0, 1), (4, 3), 4),
    "colours": (RNG.standard_normal((6, 5, 5, 3)), 2, 1, 1, "global", 1),
    "one patch": (RNG.standard_normal((6, 4)), 4, 1, 0, "global", 1),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def windows_by_hand(images, size, stride, padding):
    """(n, *grid, h) by loops over places, an image with channels last."""
    axes = images.ndim - 2
    size, stride, padding = (
        np.broadcast_to(x, (axes,)).tolist() for x in (size, stride, padding)
    )  # fmt: skip
    padded = np.pad(images, [(0, 0), *((p, p) for p in padding), (0, 0)])
    grid = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], size, stride)]
    found = np.empty((len(images), *grid, np.prod(size) * images.shape[-1]))
    for place in itertools.product(*map(range, grid)):
        cut = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, size))
        found[:, *place] = padded[:, *cut].reshape(len(images), -1)
    return found


def pooled_by_hand(Z, pool):
    """Means over windows of (n, *grid, m), (n, Q, m)."""
    starts = [range(0, n, k) for n, k in zip(Z.shape[1:-1], pool)]
    means = []
    for place in itertools.product(*starts):
        cut = tuple(slice(p, p + k) for p, k in zip(place, pool))
        means.append(Z[:, *cut].mean(axis=tuple(range(1, Z.ndim - 1))))
    return np.stack(means, axis=1)


def channels_last(images, size):
    return images if images.ndim == 3 + (np.shape(size) != (1,)) else images[..., None]


@each
def test_rows_are_the_windows_and_pooling_their_means(case):
    images, size, stride, padding, pool, places = case
    design = Patches(images, size, stride, padding, pool)
    by_hand = windows_by_hand(channels_last(images, size), size, stride, padding)
    assert design.windows.grid == by_hand.shape[1:-1]
    assert (design.places, len(design)) == (places, 6)
    A = by_hand.reshape(-1, by_hand.shape[-1])
    np.testing.assert_array_equal(design.array(), A)
    U, b = RNG.standard_normal((A.shape[1], 4)), RNG.standard_normal(4)
    np.testing.assert_allclose(design.scores(U, b), A @ U + b, atol=1e-12)
    Z = np.maximum(by_hand @ U + b, 0)
    means = pooled_by_hand(Z, design.windows.pool)  # (n, Q, m)
    np.testing.assert_allclose(
        design.activations(U, b), means.swapaxes(1, 2).reshape(6, -1), atol=1e-12
    )
    a, c = RNG.standard_normal((4, places, 2)), RNG.standard_normal(2)
    network = Network(U, b, a.reshape(4, -1), c)
    outputs = np.einsum("nqm,mqc->nc", means, a) + c
    np.testing.assert_allclose(network.predict(design), outputs, atol=1e-12)
    np.testing.assert_allclose(network.predict(design.of(images[2:4])), outputs[2:4], atol=1e-12)


@each
def test_the_laws_of_a_design(case):
    design = Patches(*case[:5]).with_ones()
    A = design.array()
    assert A.shape == (design.n_rows, design.shape[1])
    assert np.all(A[:, -1] == 1)
    G = RNG.standard_normal((design.n_rows, 3))
    U = RNG.standard_normal((A.shape[1], 2))
    np.testing.assert_allclose(design.pull_back(G), A.T @ G, atol=1e-12)
    np.testing.assert_allclose(design.gram(), A.T @ A, atol=1e-12)
    np.testing.assert_allclose(design.kernel(), A @ A.T, atol=1e-12)
    np.testing.assert_allclose(design.row_norms(), np.linalg.norm(A, axis=1))
    np.testing.assert_allclose(design.mean(), A.mean(axis=0))
    far = np.linalg.norm(A - A.mean(axis=0), axis=1).max()
    assert design.spread() >= far * (1 - 1e-12)
    # pooling and its transpose
    H = RNG.standard_normal((6, 3 * design.places))
    assert np.vdot(design.pool(G), H) == pytest.approx(np.vdot(G, design.unpool(H)))
    # which shortens by what is claimed, and somewhere by no more
    each_row = np.linalg.svd(design.unpool(np.eye(design.places).ravel()[None].repeat(6, 0)))[1]
    assert each_row[0] / np.sqrt(6) == pytest.approx(design.pool_norm)
    # samples, units, precision
    np.testing.assert_array_equal(
        design.rows(np.array([3, 0])).array(),
        A.reshape(6, -1, A.shape[1])[[3, 0]].reshape(-1, A.shape[1]),
    )
    np.testing.assert_array_equal(design.dense_rows(np.array([4, 1])), A[[4, 1]])
    np.testing.assert_array_equal(design.scaled(0.5).array(), A / 2)
    assert design.astype(np.float32).scores(U.astype(np.float32)).dtype == np.float32
    assert design.row_weights(np.full(6, 1 / 6)).sum() == pytest.approx(1)


def test_blocks_of_samples_change_nothing(monkeypatch):
    images = RNG.standard_normal((9, 6, 6))
    U, b = RNG.standard_normal((9, 5)), RNG.standard_normal(5)
    whole = Patches(images, 3, pool=2)
    network = Network(U, b, RNG.standard_normal((5, 8)), np.zeros(2))
    Z, F, names = whole.activations(U, b), network.predict(whole), whole.patterns(U, b, 1e-9)
    monkeypatch.setattr("gapless.core.arrays.BLOCK", 200)
    assert len(list(whole.blocks(5))) > 2
    np.testing.assert_allclose(whole.activations(U, b), Z, rtol=1e-12)
    np.testing.assert_allclose(network.predict(whole), F, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole.gram(), whole.array().T @ whole.array(), atol=1e-12)
    assert len(whole.row_norms()) == whole.n_rows
    again = whole.patterns(np.hstack([U, 2 * U[:, :1]]), np.append(b, 2 * b[0]), 1e-9)
    assert again[0] == again[-1] != again[1]
    assert len({*names}) == 5


def test_a_neuron_that_fires_nowhere_has_no_pattern():
    design = Patches(np.ones((3, 4)), 2)
    assert design.patterns(np.array([[-1.0], [-1.0]]), np.zeros(1), 1e-9) == [b""]


@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
@pytest.mark.parametrize("pool", ["global", "none", 2])
def test_the_way_to_the_core_and_back(bias, pool):
    images, Y = RNG.standard_normal((8, 4, 5)), RNG.standard_normal((8, 2))
    design = Patches(images, 2, pool=pool)
    problem = Problem(design, Y, "squared", 0.1, bias, np.arange(1.0, 9))
    free = bias != "none"
    network = Network(
        RNG.standard_normal((4, 3)), free * RNG.standard_normal(3),
        RNG.standard_normal((3, 2 * design.places)), free * RNG.standard_normal(2),
    ).balance(bias)  # fmt: skip
    reduction = Reduction(problem)
    there = reduction.apply(network)
    F = reduction.unit * there.predict(reduction.core.design)[reduction.group] + reduction.shift
    np.testing.assert_allclose(F, network.predict(design), atol=1e-9)
    back = reduction.invert(there)
    np.testing.assert_allclose(back.predict(design), network.predict(design), atol=1e-9)
    value = network.objective(problem)
    assert reduction.raised(there.objective(reduction.core)) == pytest.approx(value, rel=1e-9)
    for other in (back.merge(design, bias), back.prune(design, bias)):
        np.testing.assert_allclose(other.predict(design), network.predict(design), atol=1e-8)
        assert other.objective(problem) <= value * (1 + 1e-9)


def test_reach_bounds_the_activations_of_unit_neurons():
    images = RNG.standard_normal((5, 6))
    for pool, bias in itertools.product(["global", "none", 2], ["none", "penalized"]):
        problem = Problem(Patches(images, 2, pool=pool), np.zeros(5), "squared", 0.1, bias)
        design = problem.design
        U = RNG.standard_normal((design.shape[1], 2000))
        U /= np.linalg.norm(U, axis=0)
        Z = design.activations(U).reshape(5, 2000, -1)
        most = np.linalg.norm(Z, axis=2).max(axis=1)
        assert np.all(most <= problem.reach)
        assert np.all(most >= 0.3 * problem.reach)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.ones(4), {"size": 2}, "shape"),
        (np.ones((2, 0, 3)), {"size": 2}, "empty axis"),
        (np.full((2, 4), np.nan), {"size": 2}, "NaN"),
        (np.ones((2, 4)), {"size": 5}, "larger than the images"),
        (np.ones((2, 4)), {"size": 0}, "size must be a positive"),
        (np.ones((2, 4)), {"size": 2, "padding": -1}, "padding must be"),
        (np.ones((2, 4, 4)), {"size": (2, 2, 2)}, "one number or 2"),
        (np.ones((2, 4)), {"size": 2, "pool": "max"}, "'grid', 'global', 'none'"),
    ],
)
def test_what_it_refuses(images, options, message):
    with pytest.raises(ValueError, match=message):
        Patches(images, **options)


def test_images_of_another_size_and_networks_of_other_places_are_refused():
    design = Patches(np.ones((2, 6)), 2, pool=2)
    with pytest.raises(ValueError, match="images must have the shape"):
        design.of(np.ones((2, 7)))
    network = Network(np.ones((2, 1)), np.zeros(1), np.ones((1, 3)), np.zeros(1))
    assert network.predict(design).shape == (2, 1)
    with pytest.raises(ValueError, match="3 pooled places"):
        network.predict(np.ones((2, 2)))


def test_repeated_images_are_weighted_ones():
    images, Y = RNG.standard_normal((5, 6)), RNG.standard_normal((5, 1))
    repeats = np.array([2, 1, 1, 3, 1])
    twice = Problem(Patches(np.repeat(images, repeats, 0), 2), np.repeat(Y, repeats, 0))
    core = Reduction(twice).core
    weighted = Reduction(Problem(Patches(images, 2), Y, sample_weight=repeats)).core
    np.testing.assert_allclose(core.design.array(), weighted.design.array(), rtol=1e-12)
    np.testing.assert_allclose(core.sample_weight, weighted.sample_weight, rtol=1e-12)
