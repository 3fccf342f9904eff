"""Boxes of directions: what the gauge can be at most on each, all at once.

One output.  For a direction u, with a last coordinate b where the bias is free,

    h(u) = sum_i lam_i (x_i.u)_+ = q.u + e(u),   q = X^T lam / 2,   e(u) = sum_i p_i |x_i.u|,

p = lam / 2.  The even part e is bounded on a box ``u0 + v``, ``|v_j| <= w_j``, by a quadratic
function of v, sample by sample.  With ``t = x.u``, ``a = |x.u0|``, ``T = w.|x|`` and the sign of t
turned so that t = a at the centre, the sample is *crossed* where a < T, and then with L = T - a

    from above, p > 0:  (t^2 / c + c) / 2                       for any c > 0, or
                        t + 2 L (z (t + L) - 1)^2,  2 L z <= 1   through (-L, L), tangent to t;
    from below, p < 0:  t (t - a) / T, the secant through both ends and 0, or +t or -t.

Which, and c, z, is chosen by a guess at the mean m and the spread of t over where the maximum lies
(the box's own centre and widths at first, then what the box above it found).  Any choice is valid.
The norm is bounded from below on the box, for any unit vector e, by

    ||u|| = s + r^2 / (||u|| + s) >= s + k r^2,   s = e.u,  r^2 = ||u||^2 - s^2,
    k = 1 / (R + S),   R = || |u0| + w ||,  S = e.u0 + |e|.w,

with equality along e, which points to where the maximum is believed.  So ``h(+-u) - G ||u||`` is
at most ``C + g.v + v^T Q v``, one function for each sign of u.  Over the box, with v = w z,
``|z_k| <= 1`` and any mu >= 0 that makes ``M = diag(mu) - Q~`` positive definite,

    C + g~.z + z^T Q~ z  <=  C + sum_k mu_k + g~^T M^-1 g~ / 4,

since ``sum_k mu_k (1 - z_k^2) >= 0``.  Where that is not positive no neuron of the box has
``h(u) > G ||u||``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ..core.checks import Array

# The guess at t: a share TRUST of it is where the guessed mean is, and all of it has the SPREAD, of
# the squares of the edges.  How far to the guessed mean e points.
TRUST, SPREAD, TOUCH = 0.6, 0.9, 0.9
# Weights of the slope in the choice of the edge to halve, and of bows of samples from below.
SLOPE, BELOW = 0.3, 0.5
# Multiples of the largest row sum that are added to mu until M is positive definite.
SHIFTS = (1e-6, 0.03, 0.08, 0.2, 0.45, 1.01)
# Sweeps over the multipliers then.
ROUNDS = 2
# Sweeps over the coordinates for a vertex of large value.
SWEEPS = 3
# How far the guessed mean moves to where the Lagrangian is largest, or to the vertex found.
INHERIT = 0.15
# What keeps quotients finite, of numbers about one.
SMALL = 1e-30
# Boxes and samples of a block: what stays in the cache and keeps BLAS busy.
BOXES, SAMPLES = 128, 64


@dataclass(frozen=True, eq=False)
class Side:
    """The samples of one sign of lam, and their share of the even part: ``p > 0``."""

    X: Array
    p: Array

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Powers of two near the largest of X, and of p."""
        x, p = (2.0 ** (np.frexp(np.abs(x).max(initial=0.0))[1] - 1) for x in (self.X, self.p))
        return float(x), float(p)

    @cached_property
    def blocks(self) -> list[tuple[Array, ...]]:
        """Of :data:`SAMPLES` each, over :attr:`scale`: p, X, then ``X^T``, its sizes and squares,
        and, a row a sample, products ``x_j x_k``, j <= k."""
        j, k = np.triu_indices(self.X.shape[1])
        scaled = (self.X / self.scale[0], self.p / self.scale[1])
        parts = ([x[i : i + SAMPLES] for x in scaled] for i in range(0, len(self.p), SAMPLES))
        return [(p, X, T := X.T.copy(), np.abs(T), T * T, X[:, j] * X[:, k]) for X, p in parts]

    @cached_property
    def stacked(self) -> tuple[Array, ...]:
        """:attr:`blocks`, each of one array, filled up by zeros."""
        n, D = self.X.shape
        count = -(-n // SAMPLES)
        if count == 0:
            return (np.zeros((0, 1)), *(np.zeros((0, 1, 1)) for _ in range(5)))
        size = SAMPLES if count > 1 else n
        X, p = np.zeros((count * size, D)), np.zeros(count * size)
        X[:n], p[:n] = self.X, self.p
        return tuple(np.ascontiguousarray(np.stack(x)) for x in zip(*Side(X, p).blocks))

    @cached_property
    def single(self) -> tuple[Array, ...]:
        """:attr:`stacked` in single precision."""
        return tuple(x.astype(np.float32) for x in self.stacked)


@dataclass(frozen=True, eq=False)
class Cone:
    """The samples of one problem and sign of the gauge: maximise ``sum_i lam_i (x_i.u)_+``.

    Attributes
    ----------
    above, below : Side
        Samples whose ``|x.u|`` must be bounded from above (lam > 0), and from below.
    q : array of shape (D,)
        ``X^T lam / 2``.
    normed : array of shape (D,)
        1 for the coordinates that count in the norm; 0 for a free bias.
    """

    above: Side
    below: Side
    q: Array
    normed: Array

    @classmethod
    def of(cls, X: Array, lam: Array, normed: Array) -> Cone:
        up, down = lam > 0, lam < 0
        return cls(
            Side(np.ascontiguousarray(X[up]), lam[up] / 2),
            Side(np.ascontiguousarray(X[down]), -lam[down] / 2),
            X.T @ lam / 2,
            normed,
        )

    @property
    def n_samples(self) -> int:
        return len(self.above.p) + len(self.below.p)

    @cached_property
    def sizes(self) -> Array:
        """``sum_i |p_i x_ij|`` of each coordinate."""
        return self.above.p @ np.abs(self.above.X) + self.below.p @ np.abs(self.below.X)

    def value(self, U: Array) -> Array:
        """``h`` at directions U (m, D)."""
        even = np.abs(U @ self.above.X.T) @ self.above.p - np.abs(U @ self.below.X.T) @ self.below.p
        return U @ self.q + even


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of boxes, a row each.

    Attributes
    ----------
    bound : array of shape (n, 2)
        At least the largest ``h(u) - G ||u||`` of the box, and of its negative.
    edge : array of int, shape (n,)
        Which edge to halve.
    mean : array of shape (n, D)
        Where in the box the maximum is believed, for the boxes within.
    vertex : array of shape (n, D)
        A direction of large value.
    """

    bound: Array
    edge: Array
    mean: Array
    vertex: Array


#: (cone, G, centres, half-widths, means, open signs) -> what is known of the boxes
Bounder: TypeAlias = Callable[[Cone, float, Array, Array, Array, Array], Found]


def bound_boxes(data: Cone, G: float, U: Array, W: Array, mean: Array, open_: Array) -> Found:
    """Bounds of ``h(u) - G ||u||`` on boxes around U (n, D) of half-widths W.

    ``mean`` (n, D) in [-1, 1]: guesses; ``open_`` (n, 2): which signs are asked for.
    """
    C, slope, packed, widths = even_part(data, U, W, mean)
    n, D = U.shape
    slope, Q = less_norm(C, slope, packed, G, U, W, mean, data.normed)
    odd, turn = data.q * W, U @ data.q  # they turn with the sign of u
    bound, z, guess = np.full((n, 2), -np.inf), np.zeros((2, n, D)), np.zeros((2, n, D))
    steep = np.zeros((n, D))
    for j, sign in enumerate((1.0, -1.0)):
        at = np.flatnonzero(open_[:, j])
        g, constant = slope[at] + sign * odd[at], C[at] + sign * turn[at]
        bound[at, j], z[j, at], guess[j, at] = box_maximum(g, Q[at], constant)
        still = bound[at, j] > 0
        steep[at[still]] = np.maximum(steep[at[still]], np.abs(g[still]))
    better = np.argmax(bound, axis=1)
    corner = z[better, np.arange(n)]
    turned = np.where(better == 0, 1.0, -1.0)[:, None]
    score = widths * W**2 + SLOPE * steep
    return Found(
        bound,
        np.argmax(score, axis=1),
        (1 - INHERIT) * mean + INHERIT * guess[better, np.arange(n)],
        turned * (U + W * corner),
    )


def norm_below(U: Array, W: Array, mean: Array, normed: Array) -> tuple[Array, Array, Array, Array]:
    """Constant (n,), slope (n, D), e (n, D) and k (n,) of the module's bound of the norm, in v:
    its form is ``k (|v|^2 - (e.v)^2)``."""
    U, W = U * normed, W * normed
    e = U + TOUCH * W * mean
    e /= np.linalg.norm(e, axis=1)[:, None]
    s = np.sum(e * U, axis=1)
    k = 1 / (np.linalg.norm(np.abs(U) + W, axis=1) + s + np.sum(np.abs(e) * W, axis=1))
    slope = e + (2 * k)[:, None] * (U - s[:, None] * e)
    return s + k * (np.sum(U * U, axis=1) - s * s), slope, e, k


def even_part(data: Cone, U: Array, W: Array, mean: Array) -> tuple[Array, ...]:
    """A constant (n,), slope (n, D) and quadratic form (n, D (D + 1) / 2) that bound e from above,
    and how much each squared edge is believed to cost (n, D)."""
    n, D = U.shape
    j, k = np.triu_indices(D)
    own = np.flatnonzero(j == k)
    C, slope, packed, widths = (np.zeros((n, m)) for m in (1, D, len(j), D))
    guess, spread = TRUST * W * mean, SPREAD * W * W
    for i in range(0, n, BOXES):
        s = slice(i, i + BOXES)
        for side, quadratics, weight in (
            (data.above, _from_above, 1.0),
            (data.below, _from_below, -BELOW),
        ):
            for p, X, turned, sizes, squares, pairs in side.blocks:
                t, T = U[s] @ turned, W[s] @ sizes
                coefficients = quadratics(t, T, spread[s] @ squares, guess[s] @ turned)
                constant, linear, square = (np.prod(side.scale) * p * x for x in coefficients)
                C[s, 0] += constant.sum(axis=1)
                slope[s] += linear @ X
                packed[s] += (form := square @ pairs)
                widths[s] += weight * form[:, own]
    return C[:, 0], slope, packed, widths


def _from_above(t: Array, T: Array, spread: Array, shift: Array) -> tuple[Array, ...]:
    """``|t + y| <= constant + linear y + square y^2`` for ``|y| <= T``."""
    a, turn = np.abs(t), np.where(t < 0, -1.0, 1.0)
    mean, spread = a + turn * shift, spread + (1 / TRUST - 1) * shift**2
    L = np.maximum(T - a, 0.0)  # of those that are not crossed 0: they are linear
    c = np.sqrt(mean * mean + spread) + SMALL
    far = np.maximum(mean + L, 1e-3 * T)
    z = far / (far * far + spread + SMALL)
    parabola = (c <= L) | (2 * L * z > 1)
    off = z * T - 1
    square = np.where(parabola, 0.5 / c, 2 * L * z * z)
    linear = np.where(parabola, 2 * square * a, 1 + 4 * L * z * off)
    constant = np.where(parabola, square * a * a + 0.5 * c, a + 2 * L * off * off)
    return constant, turn * linear, square


def _from_below(t: Array, T: Array, spread: Array, shift: Array) -> tuple[Array, ...]:
    """``-|t + y|`` likewise."""
    a, turn = np.abs(t), np.where(t < 0, -1.0, 1.0)
    mean, spread = a + turn * shift, spread + (1 / TRUST - 1) * shift**2
    crossed = a < T  # the others are linear
    steep = 1 / np.where(crossed, T, 1.0)
    secant = crossed & (mean * mean + spread - a * mean > T * np.abs(mean))
    side = np.where(crossed & (mean < 0), -1.0, 1.0)
    constant = np.where(secant, 0.0, side * a)
    linear = turn * np.where(secant, a * steep, side)
    square = np.where(secant, steep, 0.0)
    return -constant, -linear, -square


def less_norm(
    C: Array,
    slope: Array,
    packed: Array,
    G: float,
    U: Array,
    W: Array,
    mean: Array,
    normed: Array,
) -> tuple[Array, Array]:
    """Slope (n, D) and form (n, D, D) of the even part, packed, less G times the norm, for
    ``v = W z``; the constant C is changed in place."""
    D = len(normed)
    j, k = np.triu_indices(D)
    at, own = np.empty((D, D), dtype=np.int64), np.arange(D)
    at[j, k] = at[k, j] = np.arange(len(j))
    constant, steep, e, bend = norm_below(U, W, mean, normed)
    C -= G * constant
    Q = packed.take(at, axis=1) + (G * bend[:, None] * e)[:, :, None] * e[:, None, :]
    Q[:, own, own] -= G * bend[:, None] * normed
    return (slope - G * steep) * W, Q * W[:, :, None] * W[:, None, :]


def box_maximum(g: Array, Q: Array, C: Array) -> tuple[Array, Array, Array]:
    """At least ``max C + g.z + z^T Q z`` over ``|z_k| <= 1``, for g (n, D), Q (n, D, D), C (n,).

    As good as it has to be: what is not positive is not improved.  Also a vertex of large value
    (n, D), and a guess at the maximiser.
    """
    D = g.shape[1]
    diagonal = np.arange(D)
    own = Q[:, diagonal, diagonal]
    rows = np.abs(Q).sum(axis=2)
    bound = C + np.abs(g).sum(axis=1) + np.maximum(rows - np.abs(own) + own, 0.0).sum(axis=1)
    z = np.where(g < 0, -1.0, 1.0)
    left = np.flatnonzero(bound > 0)
    guess = z.copy()
    if len(left) == 0:
        return bound, z, guess
    g, Q, C, own, rows = g[left], Q[left], C[left], own[left], rows[left]
    # 1. a vertex, coordinate by coordinate
    v = z[left]
    for _ in range(SWEEPS):
        for k in range(D):
            pull = 0.5 * g[:, k] + np.einsum("nj,nj->n", Q[:, k], v) - own[:, k] * v[:, k]
            v[:, k] = np.where(pull < 0, -1.0, 1.0)
    z[left] = guess[left] = v
    Qv = np.einsum("njk,nk->nj", Q, v)
    value = C + np.sum(v * (g + Qv), axis=1)
    # 2. its multipliers, if it is the best, shifted until M is positive definite
    least = np.maximum(v * (Qv + 0.5 * g), 0.0)
    still = (rows == 0) & (g == 0)  # edges of no length: nothing to bound
    mu, best = np.zeros_like(g), bound[left]
    tried, done = np.flatnonzero(value <= 0), np.zeros(len(left), dtype=bool)
    for shift in SHIFTS:
        if len(tried) == 0:
            break
        top = rows[tried].max(axis=1, keepdims=True)
        mu[tried] = np.where(still[tried], 0.0, least[tried] + shift * top)
        dual = _dual(g[tried], Q[tried], C[tried], mu[tried], still[tried])
        best[tried] = np.minimum(best[tried], dual)
        done[tried] = dual < np.inf
        tried = tried[~done[tried]]
    # 3. each multiplier to its best
    at = np.flatnonzero(done & (best > 0))
    if len(at):
        mu[at], guess[left[at]] = _improved(g[at], Q[at], mu[at], still[at])
        dual = _dual(g[at], Q[at], C[at], mu[at], still[at])
        best[at] = np.minimum(best[at], dual)
    bound[left] = best
    return bound, z, guess


def _form(Q: Array, mu: Array, still: Array) -> Array:
    """``M = diag(mu) - Q``, the identity where edges have no length."""
    M, diagonal = -Q, np.arange(Q.shape[1])
    M[:, diagonal, diagonal] += np.where(still, 1.0, mu)
    return M


def _dual(g: Array, Q: Array, C: Array, mu: Array, still: Array) -> Array:
    """``C + sum mu + g^T M^-1 g / 4``, infinite where M is not positive definite."""
    positive, quadratic = _inverse_forms(_form(Q, mu, still), g)
    return np.where(positive, C + mu.sum(axis=1) + 0.25 * quadratic, np.inf)


def _improved(g: Array, Q: Array, mu: Array, still: Array) -> tuple[Array, Array]:
    """Multipliers, each at its best in turn, and where the Lagrangian then is largest.

    With ``V = M^-1`` and ``x = V g / 2`` a step d in mu_k makes x_k ``x_k / (1 + d V_kk)``, and the
    dual is least where that is 1 in size.
    """
    V, mu = np.linalg.inv(_form(Q, mu, still)), mu.copy()
    x = 0.5 * np.einsum("njk,nk->nj", V, g)
    for _ in range(ROUNDS):
        for k in range(g.shape[1]):
            step = np.maximum((np.abs(x[:, k]) - 1) / V[:, k, k], -0.9 * mu[:, k])
            step = np.where(still[:, k], 0.0, step)
            shrink = step / (1 + step * V[:, k, k])
            mu[:, k] += step
            column = V[:, k].copy()
            x -= (shrink * x[:, k])[:, None] * column
            V -= shrink[:, None, None] * column[:, :, None] * column[:, None, :]
    return mu, np.fmax(np.fmin(x, 1.0), -1.0)  # 1 for what is no number


def _inverse_forms(M: Array, g: Array) -> tuple[Array, Array]:
    """Whether each M (n, D, D) is positive definite, and ``g^T M^-1 g``."""
    n, D = g.shape
    positive, h = np.ones(n, dtype=bool), np.zeros((D, n))
    A = np.ascontiguousarray(M.transpose(1, 2, 0))
    for j in range(D):
        pivot = A[j, j] - np.sum(A[j, :j] ** 2, axis=0)
        positive &= pivot > 0
        A[j, j] = np.sqrt(np.where(pivot > 0, pivot, 1.0))
        if j + 1 < D:
            A[j + 1 :, j] -= np.einsum("ikn,kn->in", A[j + 1 :, :j], A[j, :j])
            A[j + 1 :, j] /= A[j, j]
        h[j] = (g[:, j] - np.sum(A[j, :j] * h[:j], axis=0)) / A[j, j]
    return positive, np.sum(h * h, axis=0)
