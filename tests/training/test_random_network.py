"""The random network that training starts from."""

import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest

from gapless import Problem, Status, train
from gapless.core.constant import null_model
from gapless.core.reduction import Reduction
from gapless.training.effort import JOIN
from gapless.training.neurons import averaged
from gapless.training.random_network import MOST, RIDGE, random_network
from gapless.training.state import State


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


def joins_of(monkeypatch, given, **options):
    """The rounds in which another network joined."""
    rounds, join = [], State.join

    def watched(run, *args):
        rounds.append(run.history.n_rounds)
        return join(run, *args)

    monkeypatch.setattr(State, "join", watched)
    return rounds, train(given, **options)


def test_networks_join_every_few_rounds_more_rarely_where_that_brings_little(monkeypatch):
    rounds, _ = joins_of(monkeypatch, problem(n=200), tol=1e-7, max_iter=60)
    gaps = np.diff([0, *rounds])
    assert len(gaps) >= 2  # how long it trains hangs on the last digits
    assert gaps[0] == JOIN
    assert all(b in (a, 2 * a) for a, b in pairwise(gaps))
    monkeypatch.setattr(sys.modules["gapless.training.effort"], "WORTH", np.inf)
    rounds, _ = joins_of(monkeypatch, problem(n=200), tol=1e-7, max_iter=40)
    assert len(rounds) >= 2
    assert rounds == [JOIN, 3 * JOIN, 7 * JOIN][: len(rounds)]


@pytest.mark.parametrize("bias", ["none", "free"])
def test_a_join_averages_what_two_networks_say(bias):
    core, c, first = begun(problem(bias=bias, outputs=2))
    second = random_network(core, c, np.random.default_rng(5))
    both = averaged(first, second)
    mean = (first.predict(core.X) + second.predict(core.X)) / 2
    assert both.n_neurons == first.n_neurons + second.n_neurons
    assert both.predict(core.X) == pytest.approx(mean, abs=1e-12)
    larger = max(first.objective(core), second.objective(core))
    assert both.balance(bias).objective(core) <= larger * (1 + 1e-12)


def test_no_join_where_it_cannot_help(monkeypatch):
    plane = Problem(
        np.random.default_rng(0).standard_normal((40, 2)), np.arange(40) % 7, bias="none"
    )
    assert joins_of(monkeypatch, plane, tol=1e-9, max_iter=12)[0] == []
    capped = joins_of(monkeypatch, problem(n=200), tol=1e-9, max_iter=12, max_neurons=4)
    assert capped[0] == []


def test_an_interrupted_join_leaves_the_best_network(monkeypatch):
    seen = []

    def interrupted(*args):
        if len(seen) == JOIN:
            raise KeyboardInterrupt
        return random_network(*args)

    monkeypatch.setattr(sys.modules["gapless.training.state"], "random_network", interrupted)

    def watch(info):
        if info.iteration:
            seen.append(info.certificate.objective)

    solution = train(problem(n=200), tol=1e-9, callback=watch)
    assert solution.status is Status.STOPPED
    assert len(seen) == JOIN
    assert solution.certificate.objective <= seen[-1] * (1 + 1e-12)


def test_a_callback_can_stop_a_join():
    seen = []

    def twice(info):  # a second time in one round: while another network joins
        seen.append(info.iteration)
        return info.iteration and seen.count(info.iteration) == 2

    solution = train(problem(n=200), tol=1e-9, callback=twice)
    assert solution.status is Status.STOPPED
    assert seen[-2:] == [JOIN, JOIN]
    assert solution.history.n_rounds == JOIN
