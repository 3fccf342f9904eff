"""Time limits, interrupts and what ends neither: on a clock of its own that each look moves."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from gapless import (
    AdditiveReLURegressor,
    Network,
    Patches,
    Problem,
    ReLURegressor,
    ReLURegressorCV,
    Status,
    audit,
    certify,
    path,
    train,
    train_readable,
)
from gapless.cli.main import main
from gapless.gauge import direction
from gapless.gauge.direction import Directional
from gapless.training.cross_validation import choose_weight_decay

TICK = 0.01


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """numba looks at the clock as it loads what is compiled."""
    direction.compile_loops()
    train_readable(problem(n=20, d=2), "pairs", tol=0.5)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a tick whenever somebody looks; the list has the time."""
    now = [0.0]

    def look():
        now[0] += TICK
        return now[0]

    monkeypatch.setattr(time, "perf_counter", look)
    return now


def problem(loss="squared", bias="free", n=150, d=6, weight_decay=1e-3, outputs=1):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    F = np.abs(X @ rng.standard_normal((d, outputs))) + rng.standard_normal((n, outputs))
    Y = np.eye(outputs)[F.argmax(axis=1)] if loss == "softmax" else F - F.mean(axis=0)
    return Problem(X, Y, loss, weight_decay, bias)


def null_objective(given):
    return train(given.variant(given.loss, 1e6)).certificate.objective


@pytest.mark.parametrize("bias", ["free", "penalized"])
@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_pairs_obey_the_clock(bias, seconds, request):
    given = problem(bias=bias, n=60, d=8, weight_decay=1e-4)
    clock = request.getfixturevalue("clock")
    begun = clock[0]
    solution = train_readable(given, "pairs", tol=1e-9, time_limit=seconds)
    assert clock[0] - begun <= seconds + 60 * TICK
    assert solution.status is Status.TIME_LIMIT
    if bias == "penalized" and seconds < 0.2:  # each of 28 pairs asks: nothing is known of them all
        assert solution.certificate.lower_bound == 0
    X, y = given.X, given.Y[:, 0]
    begun = clock[0]
    with pytest.warns(ConvergenceWarning):  # of the choice, or of the fit
        model = AdditiveReLURegressor("pairs", bias=bias, time_limit=seconds).fit(X, y)
    assert clock[0] - begun <= seconds + 60 * TICK
    assert model.n_iter_ <= 4


@pytest.mark.parametrize("seconds", [1e-9, 0.1, 1.0, 5.0, 15.0])
@pytest.mark.parametrize("terms", [{}, {"bias": "none"}, {"loss": "softmax", "outputs": 4}])
def test_training_obeys_the_clock(terms, seconds, request):
    given = problem(**terms)
    null = null_objective(given)
    clock = request.getfixturevalue("clock")
    begun = clock[0]
    solution = train(given, tol=1e-9, time_limit=seconds)
    # a look is a step: a handful after the limit for what has to be finished, as groups of a search
    assert clock[0] - begun <= seconds + 60 * TICK
    assert solution.status is Status.TIME_LIMIT
    assert solution.certificate.objective <= null * (1 + 1e-9)
    assert solution.certificate.lower_bound <= solution.certificate.objective


def test_many_rows_obey_the_clock(clock, monkeypatch):
    monkeypatch.setattr(sys.modules["gapless.training.plan"], "MANY_ROWS", 100)
    begun = clock[0]
    solution = train(problem(), tol=1e-9, time_limit=2.0)
    assert clock[0] - begun <= 2.0 + 60 * TICK
    assert solution.status is Status.TIME_LIMIT


def test_what_the_search_leaves_goes_into_the_proof_and_no_more(clock, monkeypatch):
    monkeypatch.setattr(direction, "MOST_DIMENSIONS", 18)  # boxes would decide within training
    given = problem(bias="none", n=20, d=20, weight_decay=0.2)
    begun = clock[0]
    solution = train(given, time_limit=16.0, tol=1e-4)
    assert clock[0] - begun <= 16.0 + 40 * TICK
    rounds = solution.history.n_rounds
    assert solution.certificate.lower_bound > train(given, tol=1e-4).certificate.lower_bound
    assert rounds == train(given, tol=1e-4).history.n_rounds  # proofs are no rounds


@pytest.mark.parametrize("bias", ["free", "none"])
@pytest.mark.parametrize("method", ["auto", "quadratic", "branch and bound"])
def test_certify_obeys_the_clock(bias, method, request):
    given = problem(bias=bias, n=30, d=4)
    network = train(given, max_iter=2).network
    terms = {"weight_decay": 1e-3, "bias": bias, "method": method, "tol": 1e-9}
    # numba looks at the clock as it loads what is compiled
    certify(network, given.X, given.Y, **terms, time_limit=1.0)
    clock = request.getfixturevalue("clock")
    for seconds in (0.0, 0.5, 3.0):
        begun = clock[0]
        certificate = certify(network, given.X, given.Y, **terms, time_limit=seconds)
        assert clock[0] - begun <= seconds + 1.0 + 40 * TICK
        assert 0 <= certificate.lower_bound <= certificate.objective


def test_audit_obeys_the_clock(clock):
    given = problem()
    network = train(given, max_iter=2).network
    for seconds in (0, 4.0):
        begun = clock[0]
        report = audit(network, given.X, given.Y, loss="mse", weight_decay=1e-3, time_limit=seconds)
        assert clock[0] - begun <= seconds + 1.5 + 40 * TICK
        assert 0 <= report.lower_bound <= report.objective


def test_a_path_out_of_time_has_its_finished_part_and_says_so(clock):
    given = problem()
    whole = path(given, n_values=6, ratio=0.01, tol=1e-2)
    begun = clock[0]
    part = path(given, n_values=6, ratio=0.01, tol=1e-2, time_limit=4.0)
    assert clock[0] - begun <= 4.0 + 40 * TICK
    assert 1 <= len(part) < len(whole)
    assert not any(solution.status.unfinished for solution in part[: len(part) - 1])
    for short, long in zip(list(part)[:-1], whole):
        assert short.certificate.objective == pytest.approx(long.certificate.objective, rel=2e-2)
    at_once = path(given, [0.1, 0.01], time_limit=1e-9)
    assert [solution.status for solution in at_once] == [Status.TIME_LIMIT]


def test_weight_decays_that_a_fold_did_not_finish_are_not_compared(clock):
    given = problem()
    options = {"folds": 3, "n_values": 6, "ratio": 0.01}
    with pytest.warns(ConvergenceWarning, match=r"weight decays below .* were not compared"):
        choice = choose_weight_decay(given, time_limit=12.0, **options)
    finished = np.all(np.isfinite(choice.losses), axis=0)
    assert finished[choice.best]
    assert not finished[-1]
    begun = clock[0]
    with pytest.warns(ConvergenceWarning, match="the middle of the grid, is taken"):
        choice = choose_weight_decay(given, time_limit=1e-9, **options)
    assert choice.best == 3
    assert clock[0] - begun <= 1 + 40 * TICK
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose_weight_decay(given, **options)


def test_losses_that_still_fall_where_time_is_over_are_no_choice(clock):
    options, seen = {"folds": 3, "n_values": 8, "ratio": 0.01}, []
    for seconds in (2.0, 4.0, 6.0, 8.0):
        with pytest.warns(ConvergenceWarning, match="were not compared|middle of the grid"):
            choice = choose_weight_decay(problem(), time_limit=seconds, **options)
        seen.append((int(np.all(np.isfinite(choice.losses), axis=0).sum()), choice.best))
    # of this problem they fall to the end
    assert any(0 < finished <= 4 for finished, _ in seen)
    assert all(best == max(finished - 1, 4) for finished, best in seen)


def test_the_first_fold_decides_alone_where_time_is_short(clock):
    given, begun = problem(), clock[0]
    options = {"folds": 3, "n_values": 4, "ratio": 0.05}
    whole = choose_weight_decay(given, **options)
    spent = clock[0] - begun
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing that it compares is unfinished
        alone = choose_weight_decay(given, time_limit=0.75 * spent, **options)
        options["rule"] = "one-standard-error"  # which one fold has not
        assert choose_weight_decay(given, time_limit=0.75 * spent, **options).best == alone.best
    np.testing.assert_array_equal(alone.losses, whole.losses[:1])
    assert alone.best == np.nanargmin(whole.losses[0])


def test_cross_validation_and_the_last_fit_share_one_limit(clock):
    given, begun = problem(), clock[0]
    # without a proof: numba looks at the clock as it loads
    model = ReLURegressorCV([1e-2, 1e-3], cv=3, time_limit=12.0, tol=1e-9, prove_time=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(given.X, given.Y[:, 0])
    assert clock[0] - begun <= 12.0 + 1
    assert model.path_[-1] is model.solution_
    assert model.path_.weight_decays[-1] == model.weight_decay_
    assert model.status_ is Status.TIME_LIMIT


def test_training_leaves_its_time_to_the_proof(clock, monkeypatch):
    begun = []

    def prove(*_, watch):
        begun.append((clock[0] - start, watch.left))
        yield from ()

    monkeypatch.setattr(sys.modules["gapless.training.train"], "prove", prove)
    given, start = problem(), clock[0]
    for model in (
        ReLURegressor(1e-3, time_limit=12.0, prove_time=5.0, tol=1e-9),
        ReLURegressor(1e-3, time_limit=4.0, prove_time=9.0, tol=1e-9),  # half at most
    ):
        start = clock[0]
        with pytest.warns(ConvergenceWarning, match="Time limit"):
            model.fit(given.X, given.Y[:, 0])
    assert begun == [
        (pytest.approx(at, abs=1), pytest.approx(s, abs=1)) for at, s in ((7, 5), (2, 2))
    ]


def test_a_proof_takes_as_long_as_training(clock, monkeypatch):
    monkeypatch.setattr(Directional, "fits", lambda *_: False)  # else it takes what they promise
    given = problem(weight_decay=0.1)
    took = []
    for prove_time in (0.0, None):
        begun = clock[0]
        model = ReLURegressor(0.1, prove_time=prove_time, tol=1e-3)
        model.fit(given.X, given.Y[:, 0])
        took.append(clock[0] - begun)
    trained, all_of_it = took
    assert trained + 0.5 < all_of_it <= 2 * max(trained, 1.0) + 1


def test_a_proof_is_short_where_boxes_promise_nothing_and_long_where_much(monkeypatch):
    given, seconds = problem(weight_decay=0.1, n=60), []

    def prove(*_, watch):
        seconds.append(watch.left)
        yield from ()

    monkeypatch.setattr(sys.modules["gapless.training.train"], "prove", prove)
    monkeypatch.setattr(Directional, "decide", lambda *_: None)
    for promised in (False, True):
        monkeypatch.setattr(Directional, "promise", lambda *_, promised=promised: promised)
        ReLURegressor(0.1).fit(given.X, given.Y[:, 0])
    assert seconds[0] <= 0.5  # however long training took
    assert 4 < seconds[1] <= 7


@pytest.mark.parametrize("bad", [0, -1, "soon"])
def test_limits_are_positive_seconds(bad):
    given = problem()
    for call in (
        lambda: train(given, time_limit=bad),
        lambda: path(given, time_limit=bad),
        lambda: choose_weight_decay(given, time_limit=bad),
        lambda: ReLURegressor(time_limit=bad).fit(given.X, given.Y),
        lambda: ReLURegressorCV(time_limit=bad).fit(given.X, given.Y),
    ):
        with pytest.raises(ValueError, match="time_limit must be a positive finite number"):
            call()


def interrupt_after(monkeypatch, calls):
    """Ctrl-C at the call of this number of the search for neurons."""
    from gapless.gauge.search import Oracle

    search, seen = Oracle.search, []

    def interrupted(*args, **options):
        seen.append(1)
        if len(seen) == calls:
            os.kill(os.getpid(), signal.SIGINT)
        return search(*args, **options)

    monkeypatch.setattr(Oracle, "search", interrupted)
    return seen


def test_an_interrupted_fit_keeps_its_network_and_raises(monkeypatch):
    given = problem()
    interrupt_after(monkeypatch, 3)
    model = ReLURegressor(1e-3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(given.X, given.Y[:, 0])
    assert model.status_ is Status.STOPPED
    assert model.n_iter_ == 2
    assert model.score(given.X, given.Y[:, 0]) > 0


@pytest.mark.parametrize(
    "model",
    [
        ReLURegressorCV(n_values=4, ratio=0.05, cv=3),
        GridSearchCV(ReLURegressor(), {"weight_decay": [0.1, 0.01, 0.001]}, cv=3),
    ],
    ids=["ReLURegressorCV", "GridSearchCV"],
)
def test_no_choice_is_made_of_folds_cut_short(model, monkeypatch):
    given = problem()
    seen = interrupt_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        model.fit(given.X, given.Y[:, 0])
    assert len(seen) == 4  # nothing went on
    assert not hasattr(model, "weight_decay_")
    assert not hasattr(model, "best_params_")


def test_an_interrupted_path_has_its_finished_part(monkeypatch):
    seen = interrupt_after(monkeypatch, 4)
    part = path(problem(), [0.5, 0.2, 0.1, 0.05, 0.02], tol=1e-2)
    assert len(seen) == 4
    assert 1 <= len(part) < 5
    assert part[-1].status is Status.STOPPED


def test_an_interrupt_of_the_proof_is_an_interrupt(monkeypatch):
    def interrupted(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        yield from ()

    monkeypatch.setattr(sys.modules["gapless.training.train"], "prove", interrupted)
    given = problem(weight_decay=0.3, d=25)  # too many for boxes of directions
    assert train(given, time_limit=60).status is Status.STOPPED
    assert train(given).status is not Status.STOPPED


def test_an_interrupt_while_a_proof_is_checked_has_what_is_proven(monkeypatch, tmp_path, capsys):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("gapless.certificates.certify.write_proof", interrupted)
    given, model = problem(n=40, d=3, bias="none"), tmp_path / "model.safetensors"
    network, file = train(given, max_iter=2).network, tmp_path / "proof.npz"
    terms = {"weight_decay": 1e-3, "bias": "none", "time_limit": 0.0}
    with pytest.raises(KeyboardInterrupt, match="no network of any width is more than"):
        certify(network, given.X, given.Y, proof=file, **terms)
    table = np.column_stack([given.X, given.Y])
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header="a,b,c,y", comments="")
    fit = ["fit", str(tmp_path / "t.csv"), "--target", "y", "--weight-decay", ".1"]
    assert main([*fit, "--prove-time", "0", "--out", str(model)]) == 0
    command = ["certify", str(model), str(tmp_path / "t.csv"), "--proof", str(file)]
    assert main([*command, "--time-limit", "0"]) == 130
    assert "nothing was written; proven until then:" in capsys.readouterr().err
    assert not file.exists()


def test_nothing_large_begins_when_time_is_over(monkeypatch):
    """Neither random neurons, nor a decomposition of a thousand features for a word of advice."""
    seen = []
    for module, name in (("training.train", "random_network"), ("certificates.wide", "dimensions")):
        call = getattr(sys.modules[f"gapless.{module}"], name)
        watched = lambda *of, name=name, call=call: seen.append(name) or call(*of)  # noqa: E731
        monkeypatch.setattr(sys.modules[f"gapless.{module}"], name, watched)
    small, large = problem(), problem(n=700, d=700)
    found = train(large, time_limit=1e-9)
    assert (found.status, found.network.n_neurons, seen) == (Status.TIME_LIMIT, 0, [])
    assert "700 features, too many for boxes" in found.advice
    assert train(small, time_limit=1e-9).network.n_neurons > 0
    assert seen == ["random_network", "dimensions"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_during_the_import_of_the_command_is_one_line(tmp_path):
    """NumPy stands in for what is still being imported: it sends the interrupt."""
    (tmp_path / "numpy.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")
    folders = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-m", "gapless", "info", "model"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 130
    assert run.stderr == "gapless: interrupted, nothing was written\n"


def test_raw_tables_are_fitted_as_well_as_their_columns_allow(monkeypatch):
    """Columns of 1e-3 and 1e4: the same rounds end far lower than in the columns' own units."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 4))
    y = np.abs(Z[:, 0]) + Z[:, 1] * Z[:, 2] + np.maximum(Z[:, 3], 0)
    X = Z * [1e4, 10.0, 30.0, 1.0] + [1e5, 0.0, 60.0, 10.0]
    raw = Problem(X, y, weight_decay=1e-2)
    found = train(raw, max_iter=4).certificate.objective
    monkeypatch.setattr("gapless.training.descent.FAR_APART", np.inf)
    assert found < 0.9 * train(raw, max_iter=4).certificate.objective


@pytest.mark.parametrize(
    "command", [["fit", "--weight-decay", "1e-3"], ["path"]], ids=["fit", "path"]
)
def test_the_commands_end_at_their_limit_with_exit_code_1(command, clock, tmp_path, capsys):
    given = problem()
    table = np.column_stack([given.X, given.Y])
    names = ",".join([*(f"x{i}" for i in range(6)), "y"])
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", header=names, comments="")
    arguments = [*command, str(tmp_path / "data.csv"), "--target", "y", "--json", "--tol", "1e-9"]
    begun = clock[0]
    assert main([*arguments, "--time-limit", "2"]) == 1
    assert clock[0] - begun <= 2.0 + 60 * TICK
    status = json.loads(capsys.readouterr().out)["status"]
    assert np.ravel(status)[-1] == "TIME_LIMIT"


def test_a_fit_without_a_limit_takes_what_a_person_waits_for(clock):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 5)) * [1e4, 20, 0.1, 30, 1e-3]  # a table as it comes
    y = rng.standard_normal(150)
    units = pytest.warns(UserWarning, match="column 0 varies by")
    with units, pytest.warns(ConvergenceWarning, match="Time limit"):
        model = ReLURegressor(weight_decay=1e-5, tol=1e-9, prove_time=0).fit(X, y)
    assert model.status_ is Status.TIME_LIMIT
    assert 14 < clock[0] < 17
    assert model.score(X, y) > 0
    assert train(Problem(X, y, weight_decay=1e-5), tol=1e-9, max_iter=2).history.n_rounds == 2


@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
@pytest.mark.parametrize("k", [3, 5])
def test_orthogonal_samples_of_as_many_outputs_do_not_hang(k, bias):
    found = train(Problem(np.eye(k), np.eye(k), "squared", 0.01, bias), max_iter=3)
    assert found.certificate.lower_bound <= found.certificate.objective


@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_tiny_targets_do_not_hang(bias):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    found = train(Problem(X, X[:, 0] * 2.0**-530, "squared", 0.01 * 2.0**-530, bias))
    one = train(Problem(X, X[:, 0], "squared", 1e-2, bias))
    assert found.network.n_neurons == one.network.n_neurons
    np.testing.assert_allclose(
        found.network.predict(X) * 2.0**530, one.network.predict(X), atol=1e-6
    )


def test_looks_at_very_many_patches_are_kept_back(clock, monkeypatch, rng):
    """An objective takes a fifth of the limit: those after the last step fit in it."""
    monkeypatch.setattr(sys.modules["gapless.training.neurons"], "MANY_PATCHES", 100)
    monkeypatch.setattr(sys.modules["gapless.training.batches"], "LEAST", 10**4)
    monkeypatch.setattr(sys.modules["gapless.training.state"], "FEW", 6)
    patches = Patches(rng.standard_normal((60, 8)), 6)
    given = Problem(patches, rng.standard_normal((60, 2)), weight_decay=1e-3)
    plain, limit = Network.objective, 20.0

    def objective(self, problem):
        clock[0] += limit / 5 * problem.n_samples / 60
        return plain(self, problem)

    monkeypatch.setattr(Network, "objective", objective)
    begun = clock[0]
    solution = train(given, tol=1e-9, time_limit=limit)
    assert clock[0] - begun <= limit + 1.0
    assert solution.network.n_neurons > 0
