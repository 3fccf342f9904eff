"""Plan and Effort as values: what is decided for which problem, and when it is enough."""

from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import numpy as np
import pytest

from gapless import Problem, Status
from gapless.core.losses import Hinge, Squared
from gapless.core.reduction import Reduction
from gapless.gauge.search import FIRST_STARTS
from gapless.training import effort as efforts
from gapless.training.effort import JOIN, MOST_STARTS, PATIENCE, QUIET_SEARCHES, Effort
from gapless.training.plan import LARGE, MANY_ROWS, WIDTHS, Plan


def core(n, d, bias="none"):
    X = np.random.default_rng(0).standard_normal((n, d))
    return Reduction(Problem(X, X[:, 0], "squared", 0.01, bias)).core


def test_in_the_plane_a_bound_lists_what_a_search_would_find():
    plan = Plan.of(core(30, 2))
    assert (plan.neurons, plan.start, plan.widths, plan.joins) == ("listed", "empty", (), False)
    assert Plan.of(core(30, 1, "free")) == plan


def test_exact_bounds_in_space_are_added_and_costly_ones_wait():
    assert Plan.of(core(30, 3)) == replace(Plan.of(core(30, 2)), neurons="added")
    costly = Plan.of(core(30, 4))
    assert (costly.neurons, costly.bounds, costly.start) == ("added", "patient", "random")


def test_elsewhere_random_networks_start_and_join():
    plan = Plan.of(core(60, 8))
    assert plan == Plan(
        "search", "sharp", "none", "random", "always", WIDTHS, "always", joins=True, slides=1
    )
    assert not Plan.of(core(60, 8), max_neurons=5).joins
    assert Plan.of(core(60, 8), warm=True) == replace(plan, kinks="later")


def test_large_problems_take_fewer_exact_steps_and_many_rows_start_from_some():
    assert Plan.of(core(LARGE // 10 + 1, 10)).kinks == "quiet"
    plan = Plan.of(core(MANY_ROWS + 1, 6))
    assert (plan.start, plan.descends, plan.slides, plan.joins) == ("rows", "until quiet", 0, False)


def test_the_papers_oracle_moves_no_neuron():
    plan = Plan.of(core(20, 6), "spike-free")
    assert (plan.start, plan.descends, plan.neurons) == ("empty", "never", "none")
    assert plan.descent(Effort(plan)) is None


def test_descents_soften_until_a_search_finds_nothing():
    plan = Plan.of(core(60, 8))
    assert plan.descent(Effort(plan)) == WIDTHS
    assert plan.descent(Effort(plan, quiet=1)) == ()
    assert replace(plan, descends="until quiet").descent(Effort(plan, quiet=1)) is None


def test_a_plan_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Plan.of(core(30, 2)).joins = True


def state(**terms):
    """What an effort sees: by default a round of a smooth loss that gained well."""
    given = {
        "gap": 0.5, "tol": 1e-3, "size": 1.0, "value": 1.0, "past": [2.0, 1.8, 1.6, 1.5, 1.4],
        "smoothing": 0.3, "least_smoothing": 1e-3, "max_neurons": None,
        "certificate": SimpleNamespace(relative_gap=0.9),
        "core": SimpleNamespace(n_outputs=1, loss=Squared()),
        "watch": SimpleNamespace(due=lambda: False, seconds=2.0),
        "history": SimpleNamespace(n_rounds=1), "best": SimpleNamespace(n_neurons=3),
    }  # fmt: skip
    return SimpleNamespace(**given | terms)


def effort(**counters):
    return Effort(Plan.of(core(60, 8)), **counters)


def test_a_proven_gap_settles_it_at_once():
    proven = state(certificate=SimpleNamespace(relative_gap=1e-4))
    assert effort().reached(proven) is Status.OPTIMAL


def test_searches_in_a_row_must_find_nothing():
    tried, found_nothing = effort(), state(gap=5e-4)
    for quiet in range(1, QUIET_SEARCHES):
        assert tried.reached(found_nothing) is None
        assert tried.quiet == quiet
    assert tried.reached(found_nothing) is Status.HEURISTIC
    tried.reached(state())
    assert tried.quiet == 0


def test_in_a_hurry_one_search_is_enough():
    found_nothing = state(gap=5e-4)
    assert effort(hurry=3.0).reached(found_nothing) is None
    assert effort(hurry=1.0).reached(found_nothing) is Status.HEURISTIC
    assert found_nothing.finest == 1e-3  # of one search
    assert effort(hurry=1.0).reached(state()) is None


def test_a_search_cut_short_says_nothing():
    tried = effort(quiet=QUIET_SEARCHES - 1)
    assert tried.reached(state(gap=None)) is None
    assert tried == effort(quiet=QUIET_SEARCHES - 1)


def test_smoothing_falls_where_it_costs_as_much_as_the_gap_or_has_waited():
    cheap, dear = state(gap=0.5), state(gap=0.2)
    tried = effort()
    for _ in range(PATIENCE):
        tried.reached(cheap)
        assert cheap.smoothing == 0.3
    tried.reached(cheap)
    assert cheap.smoothing == pytest.approx(0.12)
    effort().reached(dear)
    assert dear.smoothing == pytest.approx(0.12)
    least = state(gap=0.0, smoothing=1.1e-3)
    effort().reached(least)
    assert least.smoothing == least.least_smoothing


def test_starts_double_while_little_is_gained_and_then_it_ends():
    little = state(past=[1.0] * 5)
    tried = effort()
    while tried.n_starts < MOST_STARTS:
        assert tried.exhausted(little) is None
    assert tried.n_starts == MOST_STARTS
    assert tried.exhausted(little) is Status.STALLED
    capped = state(past=[1.0] * 5, max_neurons=3)
    assert tried.exhausted(capped) is Status.NEURON_LIMIT
    assert effort().exhausted(state()) is None
    assert effort(n_starts=MOST_STARTS).exhausted(state()) is None


def test_sharp_losses_go_on_while_they_are_smooth():
    rough = state(past=[1.0] * 5, core=SimpleNamespace(n_outputs=1, loss=Hinge()))
    tried = effort(n_starts=MOST_STARTS)
    assert tried.exhausted(rough) is None
    rough.smoothing = rough.least_smoothing
    assert tried.exhausted(rough) is Status.STALLED


def test_what_is_not_finite_and_what_is_late_end_otherwise():
    assert effort().exhausted(state(value=np.inf)) is Status.NUMERICAL_ERROR
    late = state(value=np.inf, watch=SimpleNamespace(due=lambda: True))
    assert effort().exhausted(late) is None


def test_joins_become_rarer_where_they_bring_little():
    tried = effort()
    assert not tried.joins(state())
    joined = state(
        history=SimpleNamespace(n_rounds=JOIN), past=[5.0, 4.0, 3.0, 2.0, 1.0], value=0.99
    )
    assert tried.joins(joined)
    tried.exhausted(joined)
    assert (tried.period, tried.next_join) == (2 * JOIN, 3 * JOIN)
    worth = effort()
    joined.value = 1.0 - efforts.WORTH * 4.0 - 0.1
    worth.exhausted(joined)
    assert (worth.period, worth.next_join, worth.n_starts) == (JOIN, 2 * JOIN, FIRST_STARTS)
