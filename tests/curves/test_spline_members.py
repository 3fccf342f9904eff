"""Members of the optimal set have one objective."""

from __future__ import annotations

import numpy as np
import pytest

from gapless import Problem
from gapless.curves.members import optimal_member, sliding_intervals
from gapless.curves.spline import solve_spline


def curve(seed):
    rng = np.random.default_rng(seed)
    x = rng.random(60)
    return x, np.sin(7 * x) + 0.2 * rng.standard_normal(60)


@pytest.mark.parametrize("kind", ["few", "smooth"])
@pytest.mark.parametrize("seed", range(6))
def test_members_have_equal_objective(seed, kind):
    x, y = curve(seed)
    s = solve_spline(x, y, weight_decay=1e-3, tol=1e-9)
    slides = [t for t in sliding_intervals(s, x) if np.isfinite(t.low)]
    assert slides
    member = optimal_member(s, x, kind)
    problem = Problem(x[:, None], y, weight_decay=1e-3)
    P = s.certificate.objective
    assert member.network.objective(problem) == pytest.approx(P, rel=1e-10)
    assert np.allclose(member.predict(x), s.predict(x), atol=1e-10)
    assert np.allclose(member.network.predict(x[:, None])[:, 0], s.predict(x), atol=1e-10)
    if kind == "few":
        assert member.n_kinks == s.n_kinks - len(slides)
    else:
        assert np.max(np.abs(member.slope_changes)) <= np.max(np.abs(s.slope_changes)) + 1e-12
    for t in slides:
        assert t.low <= t.centre <= t.high
        # beyond the interval the objective rises
    assert np.all(np.isin(s.knots, x))


def test_a_kink_outside_the_data_moves_freely():
    x = np.linspace(0, 1, 20)
    s = solve_spline(x, x, weight_decay=1e-3)
    (slide,) = sliding_intervals(s, x)
    assert slide.low == -np.inf
    assert slide.high == 0.0
    assert np.isnan(slide.centre)
    assert optimal_member(s, x) is s


def test_several_outputs_are_refused():
    x, y = curve(0)
    s = solve_spline(x[:20], np.column_stack([y, y])[:20], weight_decay=0.1)
    with pytest.raises(ValueError, match="2 outputs"):
        sliding_intervals(s, x)
