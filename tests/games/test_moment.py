"""Closed forms against semidefinite programs, certificates against any generator."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import GaussianGenerator, MomentGAN, certify_generator
from gapless.core.checks import InputError
from gapless.games import second_moment
from gapless.games.moment import DISCRIMINATORS

SHAPES = [(30, 4), (6, 10), (40, 1)]


def data(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.geomspace(3, 0.2, d) + rng.normal(size=d)


@parametrize_with_checks([MomentGAN()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.6, 1.5])
def test_the_quadratic_closed_form_is_the_semidefinite_program(n, d, share):
    X = data(n, d)
    S = np.cov(X.T, bias=True).reshape(d, d)
    beta = share * np.linalg.norm(S, 2)
    M = cp.Variable((d, d), PSD=True)
    problem = cp.Problem(cp.Minimize(cp.trace(M)), [cp.sigma_max(M - S) <= beta])
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    model = MomentGAN(weight_decay=beta).fit(X)
    mark, size = model.certificate_, np.trace(S)
    assert mark.objective == pytest.approx(problem.value, abs=1e-8 * size)
    assert mark.gap <= 1e-10 * size
    assert mark.violation <= 1e-10 * size
    factor = model.generator_.factors[0]
    np.testing.assert_allclose(factor.T @ factor, M.value, atol=1e-3 * size)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_without_weight_decay_the_covariance_is_kept(n, d):
    X = data(n, d)
    model = MomentGAN().fit(X)
    factor, S = model.generator_.factors[0], np.cov(X.T, bias=True)
    np.testing.assert_allclose(factor.T @ factor, S.reshape(d, d), atol=1e-10)
    assert model.certificate_.gap <= 1e-10 * np.trace(S.reshape(d, d))


@pytest.mark.parametrize("share", [0.0, 0.3, 2.0])
def test_the_linear_closed_form_is_the_cone_program(share):
    X = data(20, 5)
    mean = X.mean(axis=0)
    beta = share * np.linalg.norm(mean)
    G = cp.Variable((20, 5))
    mismatch = cp.norm(mean - cp.sum(G, axis=0) / 20)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(G) / 20), [mismatch <= beta])
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    model = MomentGAN("linear", beta).fit(X)
    assert model.certificate_.objective == pytest.approx(problem.value, abs=1e-8)
    assert model.certificate_.gap <= 1e-12 * np.sum(X * X)
    np.testing.assert_allclose(model.sample(3, 0), G.value[:3], atol=1e-5)


@pytest.mark.parametrize("discriminator", ["quadratic", "linear"])
@given(seed=st.integers(0, 10**6), share=st.floats(0, 2), size=st.floats(0, 2))
def test_no_generator_is_below_the_bound(discriminator, seed, share, size):
    rng = np.random.default_rng(seed)
    X = data(12, 3, seed)
    beta = share * np.linalg.norm(np.cov(X.T), 2) / 4
    G = size * X[rng.permutation(12)[:7]] + rng.normal(size=(7, 3)) * rng.uniform(0, 1)
    mark = certify_generator(X, G, beta, discriminator)
    assert mark.lower_bound <= mark.price
    best = MomentGAN(discriminator, beta).fit(X).certificate_
    assert mark.lower_bound <= best.objective * (1 + 1e-12)
    if mark.violation <= 1e-9 * np.sum(X * X):
        assert mark.objective >= best.objective - 1e-7 * np.sum(X * X)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_violation_is_what_the_norm_says(n, d):
    X, G = data(n, d), data(8, d, 1)
    centre = X.mean(axis=0)
    S, M = (((Z - centre).T @ (Z - centre)) / len(Z) for Z in (X, G))
    exact = np.linalg.norm(S - M, 2)
    mark = certify_generator(X, G, 0.1)
    assert exact <= mark.violation + 0.1 <= exact * (1 + 1e-9)
    assert mark.objective == pytest.approx(np.trace(M))


def test_gradient_descent_ascent_ends_above_the_closed_form_and_near_it():
    """Generator rows against the quadratic discriminator of budget k, by subgradients."""
    X = load_digits().data[:300]
    X = (X - X.mean(axis=0)) / 16
    best = MomentGAN(n_components=5).fit(X)
    beta, k = best.weight_decay_, best.n_components_
    S, rng = X.T @ X / len(X), np.random.default_rng(0)
    W = 0.1 * rng.normal(size=(8, 64))  # latents of unit covariance
    prices, certified = [], []
    for step in range(3000):
        values, V = np.linalg.eigh(S - W.T @ W)
        top = int(np.argmax(np.abs(values)))
        over = abs(values[top]) > beta
        prices.append(np.sum(W * W) + k * max(abs(values[top]) - beta, 0))
        grad = 2 * W - over * 2 * k * np.sign(values[top]) * np.outer(W @ V[:, top], V[:, top])
        W -= 0.2 / (k * (1 + step / 20)) * grad
        if step % 500 == 499:
            generator = GaussianGenerator(np.ones(1), X.mean(axis=0)[None], W[None])
            certified.append(certify_generator(X, generator, beta))
    assert min(prices) >= best.certificate_.lower_bound
    assert min(prices) <= 1.01 * best.certificate_.objective
    assert all(mark.gap >= 0 and mark.price >= best.certificate_.lower_bound for mark in certified)
    assert certified[-1].relative_gap < 0.01


def test_n_components_is_the_weight_decay_that_keeps_them():
    X = data(50, 6)
    values = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    model = MomentGAN(n_components=2).fit(X)
    assert model.weight_decay_ == pytest.approx(values[2])
    assert model.components_.shape == (2, 6)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(model.variances_, values[:2] - values[2])
    again = MomentGAN(weight_decay=values[2]).fit(X)
    np.testing.assert_allclose(
        again.generator_.factors[0].T @ again.generator_.factors[0],
        model.generator_.factors[0].T @ model.generator_.factors[0],
        atol=1e-10,
    )
    assert MomentGAN(n_components=99).fit(X).weight_decay_ == 0


def test_samples_have_the_moments():
    X = data(300, 5)
    model = MomentGAN(weight_decay=0.2).fit(X)
    samples = model.sample(200_000, random_state=1)
    factor = model.generator_.factors[0]
    np.testing.assert_allclose(samples.mean(axis=0), X.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(samples.T), factor.T @ factor, atol=0.15)
    np.testing.assert_array_equal(samples, model.sample(200_000, random_state=1))
    assert model.score(X) == pytest.approx(-0.2, rel=1e-9)
    assert MomentGAN().fit(X).score(X) > model.score(X)


@pytest.mark.parametrize(("n", "d"), [(60, 30), (30, 60)])
def test_large_data_need_no_decomposition(monkeypatch, n, d):
    X = data(n, d)
    exact = MomentGAN(n_components=3).fit(X)
    monkeypatch.setattr(second_moment, "ALL", 10)  # Lanczos
    some = MomentGAN(n_components=3).fit(X)
    assert some.certificate_.lower_bound == pytest.approx(exact.certificate_.lower_bound)
    assert some.certificate_.relative_gap < 1e-9
    monkeypatch.setattr(second_moment, "LARGE", 20)  # never formed
    large = MomentGAN(n_components=3).fit(X)
    assert large.weight_decay_ == pytest.approx(exact.weight_decay_, rel=1e-3)
    mark = large.certificate_
    assert mark.lower_bound == pytest.approx(exact.certificate_.lower_bound, rel=1e-3)
    S = np.cov(X.T, bias=True)
    factor = large.generator_.factors[0]
    assert mark.violation + mark.weight_decay >= np.linalg.norm(S - factor.T @ factor, 2)
    aside = X + 20 * np.outer(np.random.default_rng(1).normal(size=n), np.eye(d)[-1])
    truth = np.linalg.norm(np.cov(aside.T, bias=True) - factor.T @ factor, 2)
    assert -large.score(aside) >= truth  # it varies most where the generator does not
    with pytest.raises(ValueError, match="too many; give n_components"):
        MomentGAN(weight_decay=0.1).fit(X)


def test_mapped_bytes_are_read_in_blocks(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(200, 16), dtype=np.uint8)
    images.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=(200, 16))
    whole = MomentGAN(n_components=4).fit(images.astype(float))
    monkeypatch.setattr("gapless.core.arrays.BLOCK", 320)
    blocks = MomentGAN(n_components=4).fit(mapped)
    assert blocks.weight_decay_ == pytest.approx(whole.weight_decay_)
    assert blocks.certificate_.relative_gap < 1e-9


def test_generator_files(tmp_path):
    model = MomentGAN(n_components=2).fit(data(30, 4))
    file = tmp_path / "g.safetensors"
    model.generator_.save(file)
    again = GaussianGenerator.load(file)
    np.testing.assert_array_equal(again.sample(5, 0), model.sample(5, 0))
    for text, words in ((b"nonsense", "damaged"), (b"", "damaged")):
        file.write_bytes(text)
        with pytest.raises(InputError, match=words):
            GaussianGenerator.load(file)
    with pytest.raises(InputError, match="no such file"):
        GaussianGenerator.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (MomentGAN("cubic"), "choose one of"),
        (MomentGAN(weight_decay=-1), "at least zero"),
        (MomentGAN(weight_decay=0.1, n_components=2), "or leave it out"),
        (MomentGAN("linear", n_components=2), "is for the quadratic discriminator"),
        (MomentGAN(n_components=0), "positive"),
    ],
)
def test_parameters_are_refused(model, words):
    with pytest.raises(ValueError, match=words):
        model.fit(data(10, 3))


@pytest.mark.parametrize("discriminator", ["linear", "quadratic", "random features"])
@pytest.mark.parametrize("unit", [1e-60, 1e60])
def test_units_do_not_matter(discriminator, unit):
    X = data(20, 3)
    plain = MomentGAN(discriminator, 0.1, features=4).fit(X)
    degree = 2 if discriminator == "quadratic" else 1
    scaled = MomentGAN(discriminator, 0.1 * unit**degree, features=4).fit(X * unit)
    a, b = plain.certificate_, scaled.certificate_
    assert b.objective == pytest.approx(a.objective * unit**2, rel=1e-6)
    assert b.lower_bound == pytest.approx(a.lower_bound * unit**2, rel=1e-6)
    with pytest.raises(ValueError, match="beyond 1e\\+140"):
        MomentGAN(discriminator).fit(X * 1e150)


@pytest.mark.parametrize("discriminator", ["linear", "quadratic", "random features", "relu"])
@pytest.mark.parametrize("X", [np.ones((5, 3)), np.zeros((4, 2)), np.full((1, 2), 7.0)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_constant_data_are_one_point(discriminator, X, weight_decay):
    model = MomentGAN(discriminator, weight_decay).fit(X)
    assert model.certificate_.gap <= 1e-10
    wanted = X[0]
    if discriminator == "linear" and X.any():
        wanted = X[0] * (1 - weight_decay / np.linalg.norm(X[0]))
    np.testing.assert_allclose(model.sample(2, 0), [wanted] * 2, atol=1e-12)


def test_data_far_from_zero_are_charged():
    X = data(50, 3) + 1e7
    mark = MomentGAN(n_components=2).fit(X).certificate_
    assert 0 <= mark.gap <= 1e-6 * mark.objective


def test_generators_are_checked():
    with pytest.raises(ValueError, match="weights"):
        GaussianGenerator(np.ones(2), np.zeros((2, 3)), np.zeros((2, 0, 3)))
    with pytest.raises(ValueError, match="weights"):
        GaussianGenerator(np.ones(1), np.zeros((2, 3)), np.zeros((2, 0, 3)))
    with pytest.raises(ValueError, match="NaN"):
        GaussianGenerator(np.ones(1), np.full((1, 3), np.nan), np.zeros((1, 0, 3)))
    with pytest.raises(ValueError, match="unknown"):
        MomentGAN().fit(data(10, 3)).sample(1, label=3)
    with pytest.raises(ValueError, match="features"):
        certify_generator(data(10, 3), data(10, 2), 0.1)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_objectives_are_rounded_up(name, rng):
    X = 1e3 + rng.standard_normal((12, 2))
    mark = certify_generator(X, 0.9 * X, 0.1, name, features=4)
    centre = np.zeros(2) if name == "linear" else X.mean(axis=0)
    exact = np.mean(np.sum((0.9 * X - centre).astype(np.longdouble) ** 2, axis=1))
    assert exact <= mark.objective <= exact * (1 + 1e-12)
