"""The lasso on moments: optimality conditions on problems with near and equal columns."""

import numpy as np
import pytest

from gapless.core.watch import never
from gapless.readable.lasso import lasso


def moments(seed, m, equal):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.standard_normal(60))
    Z = np.maximum(x[:, None] - rng.choice(x, m), 0)  # neighbours are nearly collinear
    Z[:, 1::2] = np.maximum(rng.choice(x, m // 2) - x[:, None], 0)
    if equal:
        Z[:, :3] = Z[:, 3:6]
    y = np.sin(3 * x) + rng.standard_normal(60)
    return Z.T @ Z / 60, Z.T @ y / 60


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("m", [1, 8, 60])
@pytest.mark.parametrize("seed", range(4))
def test_no_slope_is_above_the_penalty(seed, m, equal, signed):
    G, q = moments(seed, m, equal and m > 6)
    signs = np.random.default_rng(seed).integers(-1, 2, m) if signed else None
    beta, tol, a = 0.03 * np.abs(q).max(), 1e-6, np.zeros(m)
    for share in (10, 3, 1):  # each from the one before
        a = lasso(G, q, share * beta, a, tol, never, signs)
    slopes = q - G @ a
    at_zero = a == 0
    limits = np.full((2, m), beta * (1 + 2 * tol))
    if signed:
        assert np.all(a * signs >= 0)
        limits[0, signs < 0] = limits[1, signs > 0] = np.inf
    assert np.all(slopes[at_zero] <= limits[0, at_zero])
    assert np.all(-slopes[at_zero] <= limits[1, at_zero])
    np.testing.assert_allclose(slopes[~at_zero], beta * np.sign(a[~at_zero]), rtol=1e-5)


def test_the_objective_never_increases():
    G, q = moments(0, 40, True)
    beta, rng = 0.05 * np.abs(q).max(), np.random.default_rng(1)

    def value(a):
        return 0.5 * a @ G @ a - q @ a + beta * np.abs(a).sum()

    for _ in range(20):
        start = rng.standard_normal(40) * (rng.random(40) < 0.5)
        steps = iter([False, True])
        once = lasso(G, q, beta, start, 1e-6, lambda steps=steps: next(steps))
        assert value(once) <= value(start)
        assert value(lasso(G, q, beta, once, 1e-6, never)) <= value(once)


def test_what_no_sample_has_gets_no_weight():
    """Its row of the moments is zero, or rounding of either sign."""
    G, q = moments(0, 8, False)
    a = lasso(G, q, 0.01, np.zeros(8), 1e-9, never)
    for rounding in (0.0, 1e-17, -1e-17):
        wide = np.pad(G, (0, 2)) + rounding * np.eye(10)
        found = lasso(wide, np.pad(q, (0, 2)), 0.01, np.append(a + 0.1, [0.3, -0.3]), 1e-9, never)
        np.testing.assert_allclose(found, np.append(a, [0, 0]), atol=1e-9)
