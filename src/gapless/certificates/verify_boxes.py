"""Re-check a proof by boxes of directions with NumPy alone; a part of the checker of proof files.

Claim: ``h(z) = sum_i lam_i (p_i.z)_+ <= G ||z||`` for all z.  Up to its length every z, or -z, lies
on a face ``z_k = 1, |z_j| <= 1`` of a cube.  Faces are halved as a tree says, and on each leaf, the
``z = u + v`` with ``|v_j| <= w_j``, the claim is proven anew:

1. ``(t)_+ = (t + |t|) / 2``, t = p_i.z.  With ``T = sum_j w_j |p_ij|`` and the sign of t turned so
   that at the centre it is a >= 0, |t| = t if a >= T.  Else ``L = T - a``, and |t| is at most

       (t^2 / c + c) / 2  for any c > 0,   or   t + 2 L (z (t + L) - 1)^2  for 0 <= z <= 1 / (2 L),

   which is convex, above t, and at t = -L has the value L and a slope of at least -1; and |t| is at
   least t, -t, and the chords ``t (t - a) / T``.  Which of them, c and z are free: what is best for
   a t of guessed mean and variance.
2. ``||z|| >= s + k (||z||^2 - s^2)`` with ``s = e.z`` for any unit vector e, towards what is
   guessed, and ``k = 1 / (R + S)`` where R is the longest of the box and S its largest s: for at
   distance r from the line of e ``||z|| - s = r^2 / (||z|| + s)``.
3. So ``h - G ||.||`` is at most ``C + g.x + x^T Q x`` with ``v = w x``, ``|x_k| <= 1``, which for
   mu >= 0 and ``M = diag(mu) - Q`` positive definite is at most
   ``C + sum_k mu_k + g^T M^-1 g / 4``.

A leaf where that is positive is halved further.

Rounding.  Centres and widths are dyadic, halves exact.  What is summed for sample i is below
``4 (D + 2) |lam_i| ||p_i||_1`` on a box; the error of such sums is added to G, that of the Cholesky
factor of M to each bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EPS = np.finfo(float).eps
NARROWEST = 2.0**-40  # edges below are not halved
TINY = 1e-120  # coordinates below count as zero: rows have norm 1 at most, and this is charged
# Of the guess at t: tries, how far each moves to where the bound is largest, the share of the
# variance of t that is left, and how far to it e points.
TRIES, STEP, SPREAD, TOUCH = 4, 0.2, 0.8, 1.5
SWEEPS = 3  # over the multipliers
BATCH, BLOCK = 2048, 1 << 15  # boxes at a time; boxes times samples of a block, in the cache
MOST_BATCH = 1 << 17  # of a search by many threads
# Boxes times samples times dimensions: two hours.  Boxes beside the tree: as many, and MORE.
MAX_WORK, MORE = 10**12, 10**5


def gauge_by_boxes(
    A: Any, lam: Any, free: int, V: Any, G: float, reach: float, tree: Any, batch: float
) -> tuple[float, str]:
    """A bound of ``|sum_i lam_i (a_i.u + b)_+|``, ``||u|| <= 1``, and why it is none, or "".

    Let ``p_i = V^T a_i``, less their mean by ``|lam_i|`` if b is free, and ``z = V^T u``, for any
    V.  Then ``||z||`` is at most the norm of V, and ``a_i.u``, less what all share, is ``p_i.z`` to
    within ``||a_i - V V^T a_i||``.  A neuron of best b bends at a sample: where ``|z_j| <= 1``, |b|
    is at most the largest ``||p_i||_1``.  In a unit as large or larger b is one more coordinate.

    Parameters
    ----------
    A : array of shape (n, m)
    lam : array of shape (n,)
    free : int
        1 if there is a b, else 0.
    V : array of shape (m, r)
    G : float
        The bound claimed in coordinates z.
    reach : float
        The unit of b, in largest ``||p_i||_1``.
    tree, batch
        As :func:`flaw` has them.

    Returns
    -------
    gauge : float
    flaw : str
    """
    if not (V.ndim == 2 and len(V) == A.shape[1] and 0 < V.shape[1] <= len(V) and G >= 0):
        return np.inf, "the boxes have no such coordinates"
    (m, r), P = V.shape, A @ V
    shift = free * (np.abs(lam) @ P) / max(np.abs(lam).sum(), TINY)
    P = P - shift
    P[np.abs(P) < TINY] = 0.0  # no square or product underflows
    near, size = P + shift, np.linalg.norm(V)
    beside = np.linalg.norm(A - near @ V.T, axis=1) + 1e20 * TINY
    sizes = np.linalg.norm(A, axis=1) + size * np.linalg.norm(np.abs(P) + np.abs(shift), axis=1)
    beside += 8 * (r + 4) * EPS * sizes
    stretch = 1 + np.linalg.norm(V.T @ V - np.eye(r)) + 8 * (m + r) * EPS * (1 + size * size)
    if free:
        unit = max(reach, 1 + 4 * r * EPS) * np.abs(P).sum(axis=1).max()
        P, beside = np.hstack([P, np.full((len(P), 1), unit)]), beside + beside.max()
    n, D = P.shape
    total = float(np.abs(lam) @ np.abs(P).sum(axis=1)) + G
    rounding = 32 * (n + 8 * D) * (D + 4) * EPS * total
    gauge = (G + rounding) * stretch + float(np.abs(lam) @ beside) * (1 + n * EPS)
    return gauge * (1 + 8 * EPS), flaw(P, lam, free, G, tree, int(batch))


def flaw(P: Any, lam: Any, free: int, G: float, tree: Any, batch: int) -> str:
    """Why a tree does not prove ``|sum_i lam_i (p_i.z)_+| <= G ||z||``; empty if it does.

    Parameters
    ----------
    P : array of shape (n, D)
    lam : array of shape (n,)
    free : int
        1 where the last coordinate does not count in the norm, nor has a face, else 0.
    G : float
    tree : array of uint8
        For lam and then for -lam a number for each box: 0 for a leaf, else the edge it is halved
        at, counted from 1.  Boxes stand as a stack gives them up, ``batch`` at a time.
    batch : int

    Returns
    -------
    str
    """
    n, D = P.shape
    if tree.dtype != np.uint8 or tree.ndim != 1 or not 1 <= batch <= MOST_BATCH:
        return "the tree is no sequence of boxes"
    if len(tree) * n * D > MAX_WORK:
        return "the boxes are too many to check"
    spare = len(tree) + MORE
    for sign in (1.0, -1.0):
        sides, faces = _sides(P, sign * lam), np.eye(D)[: D - free]
        stack: list[Any] = [(faces, 1.0 - faces, np.ones((len(faces), 2), bool))]  # both: z, -z
        leaves: list[Any] = []
        while stack or leaves:
            if stack:
                U, W, both = _take(stack, batch)
                code, tree = tree[: len(U)], tree[len(U) :]
                if len(code) < len(U):
                    return "the tree ends before its leaves"
                if not np.all(code):
                    leaves.append((U[code == 0], W[code == 0], both[code == 0]))
                cut, edge = np.flatnonzero(code), code[code > 0].astype(int) - 1
                if np.any(edge >= D) or np.any(W[cut, edge] < NARROWEST):
                    return "the tree halves an edge that is none"
                if len(cut):
                    stack.append(_halves(U[cut], W[cut], both[cut], edge))
            while leaves and (not stack or sum(len(x[0]) for x in leaves) >= BATCH):
                U, W, open_ = _take(leaves, BATCH)
                at, edge, open_, bound = _open(sides, U, W, open_, free, G)
                z = U[at[np.argsort(-bound)[:8]]]
                value = np.maximum(np.concatenate([z, -z]) @ P.T, 0.0) @ (sign * lam)
                if np.any(value > G * np.tile(np.linalg.norm(z[:, : D - free], axis=1), 2)):
                    return "a neuron tops the gauge"
                spare -= 2 * len(at)
                if spare < 0 or np.any(W[at, edge] < NARROWEST):
                    return "a box may hold a neuron that tops the gauge"
                if len(at):
                    leaves.append(_halves(U[at], W[at], open_, edge))
    return "the tree goes on after its last leaf" if len(tree) else ""


def _take(stack: Any, most: int) -> Any:
    """Up to ``most`` boxes from the top of the stack."""
    boxes = stack.pop()
    while stack and len(boxes[0]) < most:
        boxes = [np.concatenate(pair) for pair in zip(boxes, stack.pop(), strict=True)]
    if len(boxes[0]) > most:
        stack.append([x[most:] for x in boxes])
    return [x[:most] for x in boxes]


def _halves(U: Any, W: Any, open_: Any, edge: Any) -> Any:
    at, W = np.arange(len(U)), W.copy()
    W[at, edge] /= 2
    low, high = U.copy(), U.copy()
    low[at, edge] -= W[at, edge]
    high[at, edge] += W[at, edge]
    return [np.concatenate(pair) for pair in ((low, high), (W, W), (open_, open_))]


def _sides(P: Any, lam: Any) -> Any:
    """By the sign of lam: samples, lam / 2, squares and products; and ``P^T lam / 2``."""
    j, k = np.triu_indices(P.shape[1])
    parts = ((P[at], lam[at] / 2) for at in (lam > 0, lam < 0))
    return [(X, p, X * X, X[:, j] * X[:, k]) for X, p in parts], P.T @ lam / 2


def _open(sides: Any, U: Any, W: Any, open_: Any, free: int, G: float) -> Any:
    """The boxes on which the claim is not proven, which edge to halve, for which signs, bounds."""
    left, guess, open_ = np.arange(len(U)), np.zeros_like(U), open_.copy()
    for _ in range(TRIES):
        bound, x, score = _bounds(sides, U[left], W[left], open_[left], guess, free, G)
        open_[left] &= ~(bound <= 0)  # what is no number proves nothing
        more = open_[left].any(axis=1)
        left, guess, score = left[more], guess[more] + STEP * (x - guess)[more], score[more]
        if len(left) == 0:
            break
    return left, np.argmax(score, axis=1), open_[left], bound[more].max(axis=1)


def _bounds(sides: Any, U: Any, W: Any, open_: Any, guess: Any, free: int, G: float) -> Any:
    """At least the largest ``h(z) - G ||z||``; where it may be; how much each edge matters."""
    (n, D), (groups, q) = U.shape, sides
    size = max(8, BLOCK // max(1, sum(len(p) for _, p, _, _ in groups)))
    parts = [slice(i, i + size) for i in range(0, n, size)]
    C, g, packed, score = (
        np.concatenate(x)
        for x in zip(*(_even(groups, U[s], W[s], guess[s]) for s in parts), strict=True)
    )
    Q = np.empty((n, D, D))
    j, k = np.triu_indices(D)
    Q[:, j, k] = Q[:, k, j] = packed
    # less G times what the norm is at least
    normed = np.arange(D) < D - free
    e = (U + TOUCH * W * guess) * normed
    e /= np.linalg.norm(e, axis=1)[:, None]
    s = np.sum(e * U, axis=1)
    longest = np.linalg.norm((np.abs(U) + W) * normed, axis=1)
    curved = G / (longest + s + np.sum(np.abs(e) * W, axis=1))
    C = C - G * s - curved * (np.sum(U * U * normed, axis=1) - s * s)
    g = g - G * e - 2 * curved[:, None] * (U * normed - s[:, None] * e)
    Q += curved[:, None, None] * (e[:, :, None] * e[:, None, :] - np.diag(normed))
    Q *= W[:, :, None] * W[:, None, :]
    # u and -u: the odd part turns
    box, sign = np.nonzero(open_)
    q = np.where(sign == 0, 1.0, -1.0)[:, None] * q
    C, g = C[box] + np.sum(U[box] * q, axis=1), (g[box] + q) * W[box]
    bound, x, slope = np.full((2, n), -np.inf), np.zeros((2, n, D)), np.zeros((2, n, D))
    bound[sign, box], x[sign, box] = _maximum(C, g, Q[box])
    slope[sign, box] = np.abs(g)
    worst = np.argmax(bound, axis=0), np.arange(n)
    return bound.T, x[worst], score * W * W + 0.3 * slope[worst]


def _even(groups: Any, U: Any, W: Any, guess: Any) -> Any:
    """``sum_i lam_i |p_i.z| / 2`` from above: constant, slope, form; and how much edges matter."""
    total = [0.0, 0.0, 0.0, 0.0]
    for (X, p, squares, pairs), bound in zip(groups, (_above, _below), strict=True):
        t, T = U @ X.T, W @ np.abs(X).T + 4 * (X.shape[1] + 2) * EPS * np.abs(X).sum(axis=1)
        a, turn, shift = np.abs(t), np.where(t < 0, -1.0, 1.0), (W * guess) @ X.T
        variance = SPREAD * ((W * W) @ squares.T) + (1 - SPREAD) * shift * shift
        crossed = a < T
        constant, linear, square = bound(a, np.where(crossed, T, a + 1), a + turn * shift, variance)
        constant, linear = np.where(crossed, constant, a), np.where(crossed, linear, 1.0)
        square = np.where(crossed, square, 0.0) * p
        terms = constant @ p, (linear * turn * p) @ X, square @ pairs, np.abs(square) @ squares
        total = [x + y for x, y in zip(total, terms, strict=True)]
    return total


def _above(a: Any, T: Any, mean: Any, variance: Any) -> Any:
    """``|a + y| <= constant + linear y + square y^2`` for ``|y| <= T``, a < T."""
    L = T - a
    c = np.sqrt(mean * mean + variance)
    far = mean + L
    z = np.clip(far / (far * far + variance), 0.0, 0.5 / L)
    wedge = mean + 2 * L * ((z * far - 1) ** 2 + z * z * variance) < c
    off = z * T - 1
    constant = np.where(wedge, a + 2 * L * off * off, 0.5 * (a * a / c + c))
    return (
        constant,
        np.where(wedge, 1 + 4 * L * z * off, a / c),
        np.where(wedge, 2 * L * z * z, 0.5 / c),
    )


def _below(a: Any, T: Any, mean: Any, variance: Any) -> Any:
    """``|a + y| >= constant + linear y + square y^2`` for ``|y| <= T``, a < T."""
    chords = mean * mean + variance - a * mean > T * np.abs(mean)
    side = np.where(mean < 0, -1.0, 1.0)
    return (
        np.where(chords, 0.0, side * a),
        np.where(chords, a / T, side),
        np.where(chords, 1 / T, 0.0),
    )


def _maximum(C: Any, g: Any, Q: Any) -> Any:
    """At least ``max C + g.x + x^T Q x``, ``|x_k| <= 1``, by any multipliers; and a guess at x."""
    D = g.shape[1]
    rows = np.abs(Q).sum(axis=2)
    own = np.einsum("nkk->nk", Q)
    bound = C + np.abs(g).sum(axis=1) + np.maximum(rows - np.abs(own) + own, 0.0).sum(axis=1)
    x = np.where(g < 0, -1.0, 1.0)
    at = np.flatnonzero(~(bound <= 0))
    if len(at) == 0:
        return bound, x
    C, g, Q, rows = C[at], g[at], Q[at], rows[at]
    top = np.max(rows + np.abs(g), axis=1, keepdims=True) + 1e-300
    mu = 1.01 * rows + 1e-9 * top  # more than the row sums: positive definite
    M = -Q
    M[:, range(D), range(D)] += mu
    V = np.linalg.inv(M)
    v = 0.5 * np.einsum("njk,nk->nj", V, g)
    for _ in range(SWEEPS):  # each multiplier to where its own x_k is 1 in size
        for k in range(D):
            step = np.maximum((np.abs(v[:, k]) - 1) / V[:, k, k], -0.9 * mu[:, k])
            shrink = step / (1 + step * V[:, k, k])
            mu[:, k] += step
            column = V[:, k].copy()
            v -= (shrink * v[:, k])[:, None] * column
            V -= shrink[:, None, None] * column[:, :, None] * column[:, None, :]
    M = -Q
    M[:, range(D), range(D)] += mu
    dual = C + mu.sum(axis=1) + 0.25 * _inverse_form(M, g)
    dual += 32 * (D + 4) ** 2 * EPS * np.einsum("nkk->n", np.abs(M))
    bound[at], x[at] = np.fmin(bound[at], dual), np.clip(v, -1.0, 1.0)
    return bound, x


def _inverse_form(M: Any, g: Any) -> Any:
    """``g^T M^-1 g`` by Cholesky, infinite where M is not positive definite."""
    n, D = g.shape
    A, h = np.ascontiguousarray(M.transpose(1, 2, 0)), np.ascontiguousarray(g.T)
    positive = np.ones(n, dtype=bool)
    for j in range(D):
        positive &= A[j, j] > 0
        root = np.sqrt(np.where(positive, A[j, j], 1.0))
        A[j:, j] /= root
        h[j] /= root
        h[j + 1 :] -= A[j + 1 :, j] * h[j]
        A[j + 1 :, j + 1 :] -= A[j + 1 :, j, None] * A[None, j + 1 :, j]
    return np.where(positive, np.sum(h * h, axis=0), np.inf)
