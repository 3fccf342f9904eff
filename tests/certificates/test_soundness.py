"""Nothing false is called proven: the attacks that once broke a proof, and their relatives."""

import dataclasses
import inspect
import itertools

import numpy as np
import pytest
from benchmarks.attack import FAMILIES, attack
from hypothesis import given, settings
from hypothesis import strategies as st

import gapless as gl
from gapless import HypothesisError, Network, Optimality, Problem, Status
from gapless.core.losses import Huber, Loss, Squared, check_loss, get_loss
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge.choose import METHODS, RELAXATIONS, gauge_bound
from problems import ALL_LOSSES, BIAS_RULES, targets


@pytest.mark.parametrize("family", FAMILIES)
def test_no_bound_exceeds_what_it_bounds(family):
    heard, tried = [], 0
    for seed in range({"gauges": 30, "splines": 30}.get(family, 6)):
        tried += attack(family, seed, heard.append)[0]
    assert heard == []
    assert tried > 5


def test_the_attack_notices_a_wrong_bound(monkeypatch):
    norm = METHODS["norm"]
    plain = type(norm)._bound
    monkeypatch.setattr(
        type(norm),
        "_bound",
        lambda self, core, Lam: dataclasses.replace(plain(self, core, Lam), upper=1e-9),
    )
    heard = []
    for seed in range(10):
        attack("gauges", seed, heard.append)
    assert any("norm" in words for words in heard)


# 1. A bound is refused where it does not apply.


@pytest.mark.parametrize("name", ["quadratic", "spike-free"])
def test_bounds_of_one_output_refuse_several(name, rng):
    core = Reduction(Problem(np.eye(3), rng.standard_normal((3, 2)), bias="none")).core
    with pytest.raises(
        ValueError, match=f"conditions of method='{name}', which needs .*one output"
    ):
        METHODS[name].bound(core, core.Y)
    if name in RELAXATIONS:
        with pytest.raises(ValueError, match="one output"):
            next(RELAXATIONS[name].maximise(core, core.Y, Watch(1.0)))


@pytest.mark.parametrize("name", ["whitened", "spike-free"])
def test_bounds_without_bias_refuse_a_free_one(name, rng):
    core = Reduction(Problem(np.eye(3), rng.standard_normal(3), bias="free")).core
    with pytest.raises(ValueError, match="no free bias"):
        METHODS[name].bound(core, core.centre(core.Y))


def test_enumeration_refuses_many_dimensions_and_points_of_other_shapes(rng):
    core = Reduction(Problem(rng.standard_normal((9, 6)), rng.standard_normal(9))).core
    with pytest.raises(ValueError, match="rank 3 at most"):
        METHODS["low-rank"].bound(core, core.centre(core.Y))
    with pytest.raises(ValueError, match=r"shape of the targets, \(9, 1\), got \(9, 2\)"):
        METHODS["norm"].bound(core, np.zeros((9, 2)))


@pytest.mark.parametrize("seed", range(3))
def test_interpolation_of_two_outputs(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((8, 5)), rng.standard_normal((8, 2))
    found = [gl.interpolate(X, Y, bias="penalized", random_state=s) for s in (0, 1)]
    least = min(s.certificate.objective for s in found)
    for s in found:
        assert s.certificate.lower_bound <= least * (1 + 1e-9)
        assert s.certificate.lower_bound > 0.8 * least  # by the doubly nonnegative relaxation


# 2. Losses of the user's own.


class Below(Squared):
    """A squared loss moved down: infimum -3."""

    def value(self, F, Y):
        return super().value(F, Y) - 3.0

    def conjugate(self, V, Y):
        return super().conjugate(V, Y) + 3.0


class Honest(Below):
    infimum, degree = -3.0, None

    def conjugate_error(self, V, Y):
        return super().conjugate_error(V, Y) + 3e-15


class Poisson(Loss):
    """``exp(f) - y f``, in the interface of an earlier release."""

    name, targets, smoothness = "poisson", "real", 1.0

    def value(self, F, Y):
        return np.sum(np.exp(F) - Y * F, axis=1)

    def gradient(self, F, Y):
        return np.exp(F) - Y

    def curvature(self, F, Y):
        return np.exp(F).max(axis=1)

    def hessian_product(self, F, Y, V):
        return np.exp(F) * V

    def conjugate(self, V, Y):
        T = V + Y
        return np.where(np.any(T < 0, axis=1), np.inf, np.sum(T * np.log(T) - T, axis=1))

    def conjugate_gradient(self, V, Y):
        return np.log(V + Y)


def test_a_loss_that_declares_too_little_is_refused(rng):
    with pytest.raises(ValueError, match="Poisson does not declare infimum, domain"):
        Problem(np.eye(3), np.ones(3), Poisson())


def test_a_loss_that_does_not_keep_what_it_declares_is_refused(rng):
    with pytest.raises(ValueError, match=r"Below does not keep .*: a value is below its infimum"):
        Problem(np.eye(3), np.ones(3), Below())


def test_a_loss_of_negative_infimum_is_proven_right(rng, tmp_path):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    plain = gl.train(Problem(X, y, "squared", 0.05, "none"))
    moved = Problem(X, y, Honest(), 0.05, "none")
    s = gl.train(moved)
    assert s.certificate.objective == pytest.approx(plain.certificate.objective - 3.0, abs=1e-3)
    assert -3.0 <= s.certificate.lower_bound <= s.certificate.objective
    assert s.certificate.gap < 1e-3 * 3
    how = {"weight_decay": 0.05, "loss": Honest(), "bias": "none"}
    with pytest.raises(ValueError, match="no proof file for the loss Honest"):
        gl.certify(s.network, X, y, **how, proof=tmp_path / "proof.npz")
    assert not (tmp_path / "proof.npz").exists()


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_every_loss_keeps_what_it_declares(loss, rng):
    assert get_loss(loss) is loss
    check_loss(loss, targets(loss, 30, 3, rng))


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_conjugates_are_off_by_no_more_than_declared(loss, seed):
    rng = np.random.default_rng(seed)
    Y = targets(loss, 6, 3, rng) * (10.0 ** rng.integers(0, 9) if loss.targets == "real" else 1)
    V = loss.into_domain(loss.gradient(3 * rng.standard_normal(Y.shape), Y), Y)
    L = np.longdouble
    v, y = V.astype(L), Y.astype(L)

    def exact(T):
        return np.sum(np.where(T > 0, T * np.log(np.where(T > 0, T, 1)), 0), axis=1)

    if loss.targets == "onehot":
        P = v + y
        true = exact(P / P.sum(axis=1, keepdims=True))
        allowed = loss.conjugate_error(V, Y) + 40 * loss.domain_error(3)
    elif loss.name == "logistic":
        true = exact(-v * y) + exact(1 + v * y)
        allowed = loss.conjugate_error(V, Y)
    elif loss.name == "poisson":
        true = exact(v + y) - exact(y) - v.sum(axis=1)
        allowed = loss.conjugate_error(V, Y)
    elif loss.name == "gamma":
        true = exact(1 - v) + np.sum(v * (1 + np.log(y)), axis=1)
        allowed = loss.conjugate_error(V, Y)
    else:
        mu = getattr(loss, "smoothing", L(loss.targets == "real"))
        true = np.sum(v * y + L(mu) * v * v / 2, axis=1)  # of the hinge t = -v y
        allowed = loss.conjugate_error(V, Y)
    assert np.all(np.abs(loss.conjugate(V, Y) - true) <= allowed)


# 3. Decompositions are charged by their absolute error.


@pytest.mark.parametrize("e", [10, 33, 45, 60])
@pytest.mark.parametrize("kind", ["one small row", "integers"])
def test_rows_of_very_different_size(e, kind, rng):
    X = np.round(3 * rng.standard_normal((12, 2))) @ np.round(3 * rng.standard_normal((2, 5)))
    if kind == "integers":
        X[3] += 2.0**-e * rng.standard_normal(5)
    else:
        X = X + 1e-4 * rng.standard_normal(X.shape)
        X[:6] *= 2.0**-e
    y = rng.standard_normal(12)
    y[:6] *= 30
    for decay in (1e-2, 1e-2 * 2.0**-e):
        given_ = Problem(X, y, "squared", decay, "none")
        found = [gl.train(given_, tol=1e-6, max_iter=30, random_state=s) for s in (0, 1)]
        best = min(s.certificate.objective for s in found)
        assert max(s.certificate.lower_bound for s in found) <= best * (1 + 1e-12)


# 4. What a closed form's test tolerates is charged.


def test_a_ray_below_the_noise_is_no_missing_ray():
    X = np.array([[1.0], [-1e-13]])
    solution = gl.solve_rank_one_relu(X, [0.0, 0.5], 1e-16)
    network = Network(np.array([[-1e7]]), np.zeros(1), np.array([[5e5]]), np.zeros(1))
    best = network.objective(Problem(X, [0.0, 0.5], "squared", 1e-16, "none"))
    assert best < 0.01
    assert solution.lower_bound <= best
    assert solution.optimality is Optimality.UPPER_BOUND


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_nearly_rank_one_data(depth, rng):
    a, c = rng.standard_normal(5), rng.uniform(0.5, 1, 8)
    E = 1e-10 * rng.standard_normal((8, 5))
    y = rng.standard_normal(8)
    for decay in 10.0 ** np.arange(-16.0, 0, 3):
        solution = gl.solve_rank_one_relu(np.outer(c, a) + E, y, decay, depth)
        exact = gl.solve_rank_one_relu(np.outer(c, a), y, decay, depth)
        assert solution.lower_bound <= exact.objective
        if decay > 1e-4:
            assert solution.optimality is exact.optimality is Optimality.PROVED
    # with little enough weight decay a network tells the samples apart by what E adds
    assert solution.relative_gap < 1e-6
    least = gl.solve_rank_one_relu(np.outer(c, a) + E, y, 1e-16, depth)
    assert least.optimality is Optimality.UPPER_BOUND


@pytest.mark.parametrize("size", [1e-90, 1e-30, 1.0, 1e80])
def test_nearly_whitened_data_are_refused_at_every_scale(size, rng):
    X = gl.whiten(rng.standard_normal((4, 6))) * size
    y = rng.standard_normal(4)
    assert gl.solve_whitened_relu(X, y, 0.01 * size).optimality is Optimality.PROVED
    X[0] *= 2
    with pytest.raises(HypothesisError, match="whitened data"):
        gl.solve_whitened_relu(X, y, 0.01 * size)


@pytest.mark.parametrize("shift", [1e4, 1e8, 1e12])
def test_closed_forms_and_deep_bounds_far_from_zero(shift, rng):
    X = gl.whiten(rng.standard_normal((5, 8)))
    y = rng.standard_normal(5) + shift
    for depth in (2, 3):
        solution = gl.solve_whitened_relu(X, y, 1e-3 * shift ** (2 - 2 / depth), depth)
        given_ = Problem(X, y, "squared", 1e-3 * shift ** (2 - 2 / depth), "none")
        assert solution.lower_bound <= solution.objective
        assert gl.deep_lower_bound(given_, depth).lower_bound <= solution.objective
    free = Problem(X, y, "squared", 1e-3, "free")
    constant = Network(np.zeros((8, 0)), np.zeros(0), np.zeros((0, 1)), np.array([y.mean()]))
    bound = gl.deep_lower_bound(free, 2, method="scaled").lower_bound
    assert 0 < bound <= constant.objective(free) * (1 + 1e-12)


# 5. Samples stay distinct.


def test_distinct_x_that_scaling_makes_equal():
    x, y = np.array([0.0, 1e-17, 1.0]), np.array([0.0, 1.0, 0.5])
    for decay in (1e-22, 1e-20):
        s = gl.solve_spline(x, y, weight_decay=decay)
        # steep between the first two, flat from there
        network = Network(
            np.array([[1e8, 1e8]]), np.array([0.0, -1e-9]), np.array([[1e9], [-1e9]]), np.zeros(1)
        )
        attained = network.objective(Problem(x[:, None], y, "squared", decay))
        assert attained < 0.06
        assert s.certificate.lower_bound <= attained
        assert not s.status.proven
    joined = gl.solve_spline([0.0, 0.0, 1.0], y, weight_decay=1e-6)
    assert joined.status is Status.OPTIMAL  # equal ones share their spread, proven


# Scale invariance.


@given(seed=st.integers(0, 10**6), t=st.integers(-300, 300), s=st.integers(-300, 300))
@settings(max_examples=25, deadline=None)
def test_train_is_free_of_the_units(seed, t, s):
    rng = np.random.default_rng(seed)
    loss = [Squared(), get_loss("pinball"), get_loss("logistic")][seed % 3]
    bias = ("free", "none")[seed % 2]
    X, Y = rng.standard_normal((12, 2)), targets(loss, 12, 1, rng)
    degree, t, s = loss.degree, 2.0**t, 2.0**s
    if degree is None:
        degree, s = 0, 1.0
    decay = 0.05
    one = gl.train(Problem(X, Y, loss, decay, bias), max_iter=8)
    other = gl.train(Problem(t * X, s * Y, loss, decay * t * s ** (degree - 1), bias), max_iter=8)
    value = s**degree
    assert other.status is one.status
    assert other.network.n_neurons == one.network.n_neurons
    np.testing.assert_allclose(other.network.predict(t * X) / s, one.network.predict(X), atol=1e-9)
    assert other.certificate.objective == pytest.approx(one.certificate.objective * value, rel=1e-9)
    assert other.certificate.lower_bound == pytest.approx(
        one.certificate.lower_bound * value, rel=1e-9
    )


@given(seed=st.integers(0, 10**6), t=st.integers(-300, 300), s=st.integers(-300, 300))
@settings(max_examples=25, deadline=None)
def test_closed_forms_are_free_of_the_units(seed, t, s):
    rng = np.random.default_rng(seed)
    X, y, depth = rng.standard_normal((4, 6)), rng.standard_normal(4), int(rng.integers(2, 5))
    solve, X = [
        (gl.solve_whitened_relu, gl.whiten(X)),
        (gl.solve_whitened_interval, gl.whiten(X)),
        (gl.solve_rank_one_relu, np.outer(rng.uniform(0.5, 1, 4), X[0])),
        (gl.solve_deep_linear, X),
        (gl.solve_nearly_whitened_relu, X),
        (gl.solve_two_layer_linear, X),
        (gl.solve_spike_free, gl.whiten(X)),
        (gl.solve_singular_values, gl.whiten(X)),
    ][seed % 8]
    options = {"depth": depth} if "depth" in inspect.signature(solve).parameters else {}
    depth = options.get("depth", 2)
    y = np.abs(y) if solve is gl.solve_singular_values else y  # its hypothesis
    # powers that the depth divides are exact; the others change the last digits
    t, s = 2.0 ** (t // depth * depth), 2.0 ** (s // depth * depth)
    decay = 0.02 * 2.0 ** (np.log2(t) * 2 / depth + np.log2(s) * (2 - 2 / depth))
    one, other = solve(X, y, 0.02, **options), solve(t * X, s * y, decay, **options)
    assert other.optimality is one.optimality
    assert other.objective == pytest.approx(one.objective * s * s, rel=1e-9)
    assert other.lower_bound == pytest.approx(one.lower_bound * s * s, rel=1e-9)


@given(seed=st.integers(0, 10**6), t=st.integers(-300, 300), s=st.integers(-300, 300))
@settings(max_examples=25, deadline=None)
def test_splines_are_free_of_the_units(seed, t, s):
    rng = np.random.default_rng(seed)
    loss = [Squared(), gl.losses.Pinball(0.3), gl.losses.Huber(0.7)][seed % 3]
    x, y, t, s = rng.standard_normal(15), rng.standard_normal(15), 2.0**t, 2.0**s
    decay = 0.02 * t * s ** (loss.degree - 1)
    one = gl.solve_spline(x, y, weight_decay=0.02, loss=loss)
    other = gl.solve_spline(t * x, s * y, weight_decay=decay, loss=loss.scaled(s))
    assert other.status is one.status
    assert other.n_kinks == one.n_kinks
    value = s**loss.degree
    assert other.certificate.objective == pytest.approx(one.certificate.objective * value, rel=1e-9)
    assert other.certificate.lower_bound == pytest.approx(
        one.certificate.lower_bound * value, rel=1e-6
    )


# Data far from zero.


@pytest.mark.parametrize("far", [1e4, 1e6, 1e8])
def test_data_far_from_zero(far):
    x, y = far + np.arange(20.0), np.abs(np.arange(20) - 9.5)
    decay = 0.1 / far
    kink = far + 9.5
    network = Network(
        np.array([[1.0, -1.0]]), np.array([-kink, kink]), np.ones((2, 1)), np.zeros(1)
    ).balance("penalized")
    attained = network.objective(Problem(x[:, None], y, "squared", decay, "penalized"))
    s = gl.train(Problem(x[:, None], y, "squared", decay, "penalized"))
    assert s.certificate.lower_bound <= s.certificate.objective <= attained
    assert s.status.proven or far > 1e6  # there the digits of float64 are used up
    free = gl.train(Problem(x[:, None], y, "squared", decay, "free"))
    assert free.status is Status.OPTIMAL
    assert free.certificate.objective <= attained
    none = gl.train(Problem(x[:, None], y, "squared", decay, "none"))
    assert none.certificate.objective == pytest.approx(4.125, rel=1e-3)  # the best constant, nearly


@pytest.mark.parametrize("bias", BIAS_RULES)
def test_planes_far_from_zero(bias, rng):
    Z = rng.standard_normal((40, 2))
    y = np.abs(Z[:, 0]) - np.maximum(Z[:, 1], 0)
    near = gl.train(Problem(Z, y, "squared", 1e-3, "free"), tol=1e-4)
    X = Z + np.array([1e5, -2e5])
    if bias == "free":
        far = gl.train(Problem(X, y, "squared", 1e-3, bias), tol=1e-4)
        assert far.certificate.objective == pytest.approx(near.certificate.objective, rel=1e-3)
        return
    far = gl.train(Problem(X, y, "squared", 1e-9, bias))
    # a network of free biases on Z is one on [X, 1] whose neurons pay for their bias
    U, b = near.network.hidden_weights, near.network.hidden_bias
    moved = Network(
        U, b - np.array([1e5, -2e5]) @ U, near.network.output_weights, near.network.output_bias
    ).balance("penalized")
    paid = moved.objective(Problem(X, y, "squared", 1e-9, "penalized"))
    if bias == "penalized":
        # searched, not enumerated: where it ends hangs on the last digits
        assert far.certificate.objective <= 3 * paid < 0.01 * np.mean(y**2)
    assert far.certificate.lower_bound <= far.certificate.objective * (1 + 1e-12)


# Small ones.


# Products of very small numbers are nothing in float64, of very large ones infinite.


def bent(rng):
    X = rng.standard_normal((30, 2))
    return X, np.abs(X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.standard_normal(30)


def proofs_of(problem, network):
    """Lower bounds of all networks of one-feature neurons, at least, by name."""
    how = {"weight_decay": problem.weight_decay, "loss": problem.loss, "time_limit": 1.0}
    yield "certify", gl.certify(network, problem.X, problem.Y, **how).lower_bound
    yield "train", gl.train(problem, time_limit=1.0).certificate.lower_bound
    for pairs in (0, "pairs"):
        found = gl.train_readable(problem, pairs, time_limit=1.0)
        yield f"readable {pairs}", found.certificate.lower_bound


@pytest.mark.parametrize("size", [1e-290, 1e-170, 1e-158, 1e161])
def test_huber_of_any_units(size, rng):
    X, y = bent(rng)
    # of targets far beyond delta, or a tiny delta, the loss is linear: as if the units were others
    far = (y * size, Huber(1.0), 0.05) if size > 1 else (y, Huber(size), 0.05 * size)
    network = gl.train_readable(Problem(X, y, "pinball", 0.025), tol=1e-2).network
    root = np.sqrt(size) if size > 1 else 1.0
    network = Network(
        network.hidden_weights * root, network.hidden_bias * root,
        network.output_weights * root, network.output_bias * root**2,
    )  # fmt: skip
    given = Problem(X, far[0], far[1], far[2])
    for name, lower in proofs_of(given, network):
        assert lower <= network.objective(given), name


@pytest.mark.parametrize(("constant", "size"), [(1e150, 1e-20), (1e100, 1e-50), (1.0, 1e-170)])
def test_small_columns_beside_a_large_constant(constant, size, rng):
    Z, y = bent(rng)
    network = gl.train_readable(Problem(Z, y, weight_decay=0.05), tol=1e-2).network
    U = np.vstack([np.zeros(network.n_neurons), network.hidden_weights / size])
    network = Network(U, network.hidden_bias, network.output_weights, network.output_bias)
    X = np.column_stack([np.full(30, constant), size * Z])
    given = Problem(X, y, weight_decay=0.05 * size)
    for name, lower in proofs_of(given, network.balance("free")):
        assert 0 < lower <= network.balance("free").objective(given), name


def test_columns_that_float64_cannot_hold_together_are_refused(rng):
    Z, y = bent(rng)
    far = Problem(np.column_stack([np.full(30, 1e150), 1e-150 * Z]), y, weight_decay=1e-150)
    small = Problem([[1e-323], [2e-323], [0]], [1, 2, 3], sample_weight=[1e-200, 1, 1e200])
    for call, problem in itertools.product((gl.train, gl.train_readable), (far, small)):
        with pytest.raises(ValueError, match="divide each column by its size"):
            call(problem)


def test_sample_weights_of_all_sizes(rng):
    X, y = rng.standard_normal((6, 1)), rng.standard_normal(6)
    w = np.array([1e300, 1e-300, 1e300, 1e300, 0.0, 1e-300])
    s = gl.train(Problem(X, y, "squared", 0.01, sample_weight=w))
    kept = gl.train(Problem(X[[0, 2, 3]], y[[0, 2, 3]], "squared", 0.01))
    assert s.certificate.objective == pytest.approx(kept.certificate.objective)
    same = Problem(X, y, "squared", 0.01, sample_weight=np.full(6, 1e308))
    np.testing.assert_allclose(same.sample_weight, 1 / 6)


def test_deep_bound_of_constant_data():
    for bias in BIAS_RULES:
        given_ = Problem(np.full((5, 2), 3.0), np.arange(5.0), "squared", 0.1, bias)
        bound = gl.deep_lower_bound(given_, 3)
        assert 0 <= bound.lower_bound <= bound.zero_objective


@pytest.mark.parametrize("bias", BIAS_RULES)
def test_one_sample_with_several_logistic_outputs(bias):
    s = gl.train(Problem([[1.0, 2.0]], [[1.0, -1.0, 1.0]], "logistic", 0.01, bias))
    assert np.all(np.isfinite(s.network.output_bias))
    assert s.certificate.lower_bound <= s.certificate.objective


def test_rays_do_not_hang_on_the_last_digit(rng):
    """Equal directions may lie on either side of a rounding boundary."""
    u = np.array([0.5e-12, np.sqrt(1 - 0.25e-24)])
    X = np.stack([u, u * (1 + 4e-16) + [1e-16, 0]]) * np.array([[1.0], [2.0]])
    assert gl.spike_free_test(X).holds


def test_gauges_are_homogeneous(rng):
    core = Reduction(Problem(rng.standard_normal((9, 2)), rng.standard_normal(9), bias="none")).core
    one, other = gauge_bound(core, core.Y), gauge_bound(core, 2.0**200 * core.Y)
    assert other.upper == 2.0**200 * one.upper
