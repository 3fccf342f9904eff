"""The random network that training starts from."""

import warnings

import numpy as np
import pytest

from gapless import Problem, Status, train
from gapless.reduction import Reduction
from gapless.start import MOST, RIDGE, random_network
from gapless.train import null_model


def problem(loss="squared", weight_decay=1e-3, bias="none", n=80, outputs=1):
    rng = np.random.default_rng(0)
    X, F = rng.standard_normal((n, 5)), rng.standard_normal((n, outputs))
    Y = {
        "squared": F,
        "huber": F,
        "logistic": np.sign(F),
        "softmax": np.eye(outputs)[F.argmax(axis=1)],
    }[loss]
    return Problem(X, Y, loss, weight_decay, bias, rng.uniform(0.5, 2, n))


def begun(given, seed=1):
    core = Reduction(given).core
    c = null_model(core)
    return core, c, random_network(core, c, np.random.default_rng(seed))


def test_output_weights_are_the_ridge_regression_on_the_random_features():
    core, _, network = begun(problem(weight_decay=1e-6, bias="free", outputs=2))
    Z = np.maximum(core.X @ network.hidden_weights + network.hidden_bias, 0.0)
    size = np.linalg.norm(network.hidden_weights, axis=0)
    Z, a, w = Z / size, network.output_weights * size[:, None], core.sample_weight
    R = core.Y - network.predict(core.X)
    centred = Z - w @ Z
    ridge = RIDGE * np.sum(w @ centred**2) / 160  # as many were drawn; idle ones are gone
    assert w @ R == pytest.approx(np.zeros(2), abs=1e-12)  # the output bias fits too
    assert centred.T @ (w[:, None] * R) == pytest.approx(ridge * a, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("loss", "outputs"), [("squared", 1), ("huber", 2), ("logistic", 1), ("softmax", 3)]
)
@pytest.mark.parametrize("bias", ["none", "free"])
def test_fits_better_than_the_null_model(loss, outputs, bias):
    core, c, network = begun(problem(loss, bias=bias, outputs=outputs))
    null = core.data_fit(np.tile(c, (core.n_samples, 1)))
    assert core.data_fit(network.predict(core.X)) < 0.9 * null
    if bias == "free":  # a kink at a sample
        S = core.X @ network.hidden_weights + network.hidden_bias
        assert np.abs(S).min(axis=0) == pytest.approx(np.zeros(network.n_neurons), abs=1e-9)


def test_neurons_grow_as_weight_decay_falls_and_none_where_it_is_useless():
    counts = [begun(problem(weight_decay=w))[2].n_neurons for w in (10.0, 0.1, 0.01, 1e-3, 1e-7)]
    assert counts[0] == 0 < counts[1] < counts[2] <= counts[3] == counts[4] == 80
    assert begun(problem(weight_decay=1e-7, n=3000))[2].n_neurons == MOST


def test_max_neurons_holds_from_the_start():
    seen = []
    solution = train(
        problem(), max_neurons=3, callback=lambda info: seen.append(info.n_neurons), max_iter=3
    )
    assert solution.network.n_neurons <= 3
    assert max(seen) <= 3


def test_the_start_can_be_stopped_and_interrupted():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 30))
    y = np.maximum(X @ rng.standard_normal((30, 20)), 0) @ rng.standard_normal(20)
    given = Problem(X, (y - y.mean()) / y.std(), weight_decay=1e-3)
    seen = []
    stopped = train(given, callback=lambda info: seen.append(info) or len(seen) == 3)
    assert stopped.status is Status.STOPPED
    assert [info.iteration for info in seen] == [0, 0, 0]
    falling = [info.certificate.objective for info in seen]
    assert falling[0] > falling[1] > falling[2] >= stopped.certificate.objective

    def interrupt(info):
        if info.certificate.objective < falling[0]:
            raise KeyboardInterrupt

    interrupted = train(given, callback=interrupt)
    assert interrupted.status is Status.STOPPED
    assert interrupted.certificate.objective < falling[0]


def test_a_limit_that_is_over_ends_training_before_the_next_round():
    late = train(problem(n=400), time_limit=1e-9)
    assert late.status is Status.TIME_LIMIT
    assert late.history.n_rounds <= 1
    assert late.network.n_neurons > 0


@pytest.mark.parametrize(("loss", "seed"), [("pinball", 11), ("hinge", 21), ("huber", 108)])
def test_idle_neurons_of_a_softened_descent_do_not_reach_the_master(loss, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((2, 1)), rng.standard_normal((2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(Problem(X, np.sign(Y) if loss == "hinge" else Y, loss, 1e-3, "none"), max_iter=2)
