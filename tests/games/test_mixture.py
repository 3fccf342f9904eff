"""Mixtures of closed forms, stages from coarse to fine."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import GaussianGenerator, MixtureMomentGAN, MomentGAN, ProgressiveMomentGAN
from gapless.games.metrics import covariance_error, frechet_distance


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@parametrize_with_checks([MixtureMomentGAN(n_clusters=2, n_components=2), ProgressiveMomentGAN()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_each_cluster_is_a_certified_closed_form(digits):
    X, y = digits
    model = MixtureMomentGAN(n_clusters=4, n_components=6).fit(X, y)
    generator = model.generator_
    assert generator.weights.shape == (40,)
    np.testing.assert_array_equal(generator.labels, np.repeat(model.classes_, 4))
    np.testing.assert_allclose(generator.weights @ generator.means, X.mean(axis=0))
    shares = [generator.weights[generator.labels == c].sum() for c in model.classes_]
    np.testing.assert_allclose(shares, np.bincount(y) / len(y))
    assert all(mark.relative_gap < 1e-9 for mark in model.certificates_)
    assert all(mark.violation <= 1e-6 * mark.weight_decay for mark in model.certificates_)


def test_one_cluster_of_one_class_is_the_moment_gan(digits):
    X = digits[0]
    mixture = MixtureMomentGAN(n_clusters=1, n_components=5).fit(X)
    one = MomentGAN(n_components=5).fit(X)
    np.testing.assert_array_equal(mixture.sample(9, 0), one.sample(9, 0))
    assert not hasattr(mixture, "classes_")


def test_samples_of_a_class_look_like_it(digits):
    X, y = digits
    model = MixtureMomentGAN(n_clusters=5, n_components=8).fit(X, y)
    seven = model.sample(2000, random_state=0, label=7)
    distance = [frechet_distance(X[y == c], seven) for c in range(10)]
    assert int(np.argmin(distance)) == 7
    drawn = model.sample(2000, random_state=0)
    assert frechet_distance(X, drawn) < 0.5 * frechet_distance(X, seven)
    with pytest.raises(ValueError, match=r"label=12 is unknown; the labels are \[0, 1"):
        model.sample(1, label=12)


def test_words_are_labels_and_come_back_from_a_file(digits, tmp_path):
    X, y = digits
    words = np.array(["even", "odd"])[y % 2]
    model = MixtureMomentGAN(n_clusters=3, n_components=4).fit(X, words)
    model.generator_.save(tmp_path / "g.safetensors")
    again = GaussianGenerator.load(tmp_path / "g.safetensors")
    np.testing.assert_array_equal(again.sample(4, 0, label="odd"), model.sample(4, 0, label="odd"))


def test_a_few_samples_are_few_clusters(digits):
    X, y = digits
    model = MixtureMomentGAN(n_clusters=20).fit(X[:12], y[:12])
    assert len(model.generator_.weights) == len(np.unique(y[:12]))
    assert MixtureMomentGAN(n_components=None, weight_decay=0.01).fit(X[:12]).sample(2).shape == (
        2,
        64,
    )
    with pytest.raises(ValueError, match="n_components=None"):
        MixtureMomentGAN(weight_decay=0.1).fit(X, y)


STAGES = {"scales": (4, 2, 1), "image_shape": (8, 8)}


@pytest.mark.parametrize("counts", [(3, 10, 30), (4, 4, 4), (2, 12, 50)])
def test_every_stage_keeps_its_constraint(digits, counts):
    """Without fresh latents a stage of higher rank misses it by far."""
    X = digits[0]
    model = ProgressiveMomentGAN(**STAGES, n_components=counts).fit(X)
    for mark in model.certificates_:
        assert mark.relative_gap < 1e-8
        assert mark.violation <= 1e-6 * max(mark.weight_decay, 1e-3)
    assert [len(L) for L in model.maps_] == [counts[0], max(counts[:2]), max(counts)]


def test_progression_changes_nothing_in_distribution(digits):
    X = digits[0]
    last = ProgressiveMomentGAN(**STAGES, n_components=(3, 10, 20)).fit(X).generator_
    plain = MomentGAN(n_components=20).fit(X).generator_
    np.testing.assert_allclose(last.means, plain.means)
    (A,), (B,) = last.factors, plain.factors
    np.testing.assert_allclose(A.T @ A, B.T @ B, atol=1e-10)


def test_new_latents_keep_the_constraint_too(digits):
    X = digits[0]
    model = ProgressiveMomentGAN(**STAGES, n_components=(3, 10, 20)).fit(X)
    stages = model.sample_stages(200_000, random_state=0)
    assert [stage.shape[1] for stage in stages] == [4, 16, 64]
    assert covariance_error(X, stages[-1], model.certificate_.weight_decay) < 1.3
    np.testing.assert_array_equal(stages[-1], model.sample(200_000, random_state=0))


def test_coarse_and_fine_belong_together(digits):
    X = digits[0]
    model = ProgressiveMomentGAN((2, 1), (8, 8), n_components=(8, 40)).fit(X)
    coarse, fine = model.sample_stages(5000, random_state=0)
    pooled = fine.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(coarse.T, pooled.T)]
    assert np.median(correlation) > 0.8


def test_no_other_weights_bring_the_scales_nearer(digits):
    X = digits[0]
    model = ProgressiveMomentGAN((2, 1), (8, 8), n_components=(6, 6)).fit(X)
    coarse, fine, W = *model.maps_, model.weights_[1]
    before = coarse.reshape(6, 4, 4).repeat(2, axis=1).repeat(2, axis=2).reshape(6, 64)
    np.testing.assert_allclose(before @ W, fine, atol=1e-10)
    nearest = np.sum((before - fine) ** 2)
    rng = np.random.default_rng(0)
    for size in np.geomspace(1e-3, 10, 50):  # turned latents: the same covariance
        Q = np.linalg.qr(np.eye(6) + size * rng.normal(size=(6, 6)))[0]
        Q = Q * np.where(np.diag(Q) < 0, -1, 1)
        assert np.sum((before - Q @ fine) ** 2) >= nearest


def test_colour_images_have_stages():
    X = np.random.default_rng(0).random((50, 4 * 8 * 3))
    model = ProgressiveMomentGAN(image_shape=(4, 8, 3), n_components=5).fit(X)
    assert [len(mean) for mean in model.means_] == [6, 24, 96]
    np.testing.assert_allclose(model.means_[0][:3], X.mean(0).reshape(4, 8, 3)[:4, :4].mean((0, 1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_shape": (5, 5)}, "does not describe rows of 64"),
        ({"scales": (3, 1)}, "divisor of both sides"),
        ({"scales": (4, 2)}, "must end with 1"),
        ({"scales": ()}, "must end with 1"),
        ({"n_components": (1, 2)}, "2 numbers for 3 stages"),
        ({"n_components": 2, "weight_decay": 0.1}, "or leave it out"),
    ],
)
def test_parameters_are_refused(digits, changes, words):
    with pytest.raises(ValueError, match=words):
        ProgressiveMomentGAN(**(STAGES | changes)).fit(digits[0])


def test_score_is_of_second_moments(digits):
    X, y = digits
    model = MixtureMomentGAN(n_clusters=3, n_components=None).fit(X, y)
    assert model.score(X) > MixtureMomentGAN(n_clusters=3, n_components=1).fit(X, y).score(X)
    assert model.score(X) == pytest.approx(0, abs=1e-9)
