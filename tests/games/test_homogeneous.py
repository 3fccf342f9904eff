"""ReLU discriminators: linear programs against cone programs, bounds against any generator."""

import cvxpy as cp
import numpy as np
import pytest

from gapless import GaussianGenerator, MomentGAN, certify_generator
from gapless.games import homogeneous

RNG = np.random.default_rng(0)
X2 = RNG.normal(size=(30, 2)) * [1.5, 0.7] + 3


def by_patterns(X, U, beta):
    """The game of fixed neurons in the plane: one vector for each arc of constant pattern.

    Points of one arc merge into their sum, which is no longer than they are together.
    """
    centred = X - X.mean(axis=0)
    c = np.maximum(centred @ U, 0).mean(axis=0)
    normals = np.arctan2(U[1], U[0])[:, None] + [np.pi / 2, -np.pi / 2]
    angles = np.sort(np.mod(normals.ravel(), 2 * np.pi))
    middle = (angles + np.append(angles[1:], angles[0] + 2 * np.pi)) / 2
    on = U.T @ np.array([np.cos(middle), np.sin(middle)]) > 0  # (p, arcs)
    W = cp.Variable((len(middle), 2))
    in_arc = [
        cp.multiply(np.where(on[:, k], 1.0, -1.0), U.T @ W[k]) >= 0 for k in range(len(middle))
    ]
    moments = cp.sum(cp.multiply(on, U.T @ W.T), axis=1)
    problem = cp.Problem(
        cp.Minimize(cp.sum(cp.norm(W, axis=1))), [cp.abs(moments - c) <= beta, *in_arc]
    )
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return problem.value**2


@pytest.mark.parametrize("beta", [0.0, 0.03, 0.2, 5.0])
@pytest.mark.parametrize("n_neurons", [3, 8])
def test_fixed_neurons_are_the_cone_program(beta, n_neurons):
    U = np.random.default_rng(n_neurons).normal(size=(2, n_neurons))
    model = MomentGAN("random features", beta, features=U).fit(X2)
    mark = model.certificate_
    assert mark.objective == pytest.approx(by_patterns(X2, U, beta), abs=1e-8)
    assert mark.violation <= 1e-9
    assert mark.gap <= 1e-7
    means = [np.maximum((Z - X2.mean(axis=0)) @ U, 0) for Z in (X2, model.generator_.means)]
    seen = means[0].mean(axis=0) - model.generator_.weights @ means[1]
    assert np.abs(seen).max() <= beta + 1e-9


def test_points_are_at_one_distance():
    model = MomentGAN("random features", 0.05, features=12).fit(X2)
    distance = np.linalg.norm(model.generator_.means - model.mean_, axis=1)
    np.testing.assert_allclose(distance, distance[0])
    assert model.certificate_.objective == pytest.approx(distance[0] ** 2)
    assert len(model.generator_.weights) <= 13
    assert model.n_components_ == 0
    assert model.score(X2) == pytest.approx(-0.05, rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.3, 2.0])
def test_on_a_line_both_sides_shrink(beta):
    X = np.random.default_rng(1).normal(size=(25, 1)) + 2
    centred = X - X.mean()
    sides = np.maximum([centred.mean(), -centred.mean()], 0) + np.abs(centred).mean() / 2
    model = MomentGAN("relu", beta).fit(X)
    assert model.certificate_.objective == pytest.approx(np.maximum(sides - beta, 0).sum() ** 2)
    assert model.certificate_.gap <= 1e-9
    assert model.certificate_.violation <= 1e-9


def test_all_neurons_of_the_plane():
    beta = 0.2
    model = MomentGAN("relu", beta).fit(X2)
    mark = model.certificate_
    assert mark.relative_gap < 1e-3
    assert mark.violation < 1e-6
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    some = MomentGAN("random features", beta, features=np.array([np.cos(t), np.sin(t)])).fit(X2)
    assert some.certificate_.lower_bound <= mark.price
    assert mark.lower_bound <= some.certificate_.price * 1.01
    np.testing.assert_array_less(np.abs(seen_by(model.generator_, X2, t)), beta + 1e-6)


def seen_by(generator, X, t):
    U = np.array([np.cos(t), np.sin(t)])
    centre = X.mean(axis=0)
    real = np.maximum((X - centre) @ U, 0).mean(axis=0)
    return real - generator.weights @ np.maximum((generator.means - centre) @ U, 0)


def test_without_weight_decay_the_mass_of_the_data_is_kept():
    """No generator of the same ReLU means has less than ``(mean ||x||)^2``."""
    centred = X2 - X2.mean(axis=0)
    mass = np.linalg.norm(centred, axis=1).mean() ** 2
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    U = np.array([np.cos(t), np.sin(t)])
    model = MomentGAN("random features", 1e-6, features=U).fit(X2)
    assert model.certificate_.objective == pytest.approx(mass, rel=5e-2)


@pytest.mark.parametrize("discriminator", ["random features", "relu"])
@pytest.mark.parametrize("seed", range(3))
def test_no_generator_is_below_the_bound(discriminator, seed):
    rng = np.random.default_rng(seed)
    G = rng.normal(size=(9, 2)) * rng.uniform(0.3, 2) + X2.mean(axis=0)
    mark = certify_generator(X2, G, 0.3, discriminator, features=6)
    assert 0 < mark.lower_bound <= mark.price
    t = np.linspace(0, 2 * np.pi, 100)
    if discriminator == "relu":
        seen = seen_by(GaussianGenerator(np.full(9, 1 / 9), G, np.zeros((9, 0, 2))), X2, t)
        assert np.abs(seen).max() <= mark.violation + 0.3 + 1e-12


def test_a_few_dimensions_are_proven_by_boxes(monkeypatch):
    monkeypatch.setattr(homogeneous, "SECONDS", 300.0)  # ends by itself, in a few
    X = np.random.default_rng(0).normal(size=(20, 5))
    mark = MomentGAN("random features", 0.05, features=6).fit(X).certificate_
    assert mark.violation < 1e-9
    assert 0 < mark.lower_bound <= mark.price
    assert mark.relative_gap < 0.75  # by the norm bound alone it is .81


def test_what_cannot_be_evaluated_is_refused():
    model = MomentGAN(n_components=1).fit(X2)
    with pytest.raises(ValueError, match="evaluated on points"):
        certify_generator(X2, model.generator_, 0.1, "relu")
    with pytest.raises(ValueError, match="features must have 2 rows"):
        MomentGAN("random features", features=np.ones((3, 4))).fit(X2)
    with pytest.raises(ValueError, match="positive"):
        MomentGAN("random features", features=0).fit(X2)
