"""Re-check a proof by boxes of directions with NumPy alone; a part of the checker of proof files.

Claim: ``h(z) = sum_i lam_i (p_i.z)_+ <= G ||z||`` for all z, given as a tree of boxes.  Up to its
length every z lies on a face ``z_k = 1, |z_j| <= 1`` of a cube; faces are halved as the tree
says, and on each leaf, ``u + v`` with ``|v_j| <= w_j``, the claim is proven anew:

1. ``(t)_+ = (t + |t|) / 2``.  With ``a = |p_i.u|``, ``T = sum_j w_j |p_ij|`` and the sign of t turned
   so that t = a at the centre, ``L = T - a > 0`` where t changes sign, |t| is at most

       (t^2 / c + c) / 2  for any c > 0,   or   t + 2 L (z (t + L) - 1)^2  for 0 <= z <= 1 / (2 L):

   at t = -L that is L, its slope there at least -1, and it is convex; and at least t, -t, or the
   chords ``t (t - a) / T``.  Which, c and z are free: the least for t of a guessed mean and variance.
2. ``||u + v|| >= N + e.v + k (|v|^2 - (e.v)^2)``, ``N = ||u||``, ``e = u / N`` and
   ``k = 1 / (A + sqrt(A^2 + B))``, ``A = N + sum |e_j| w_j``, ``B = |w|^2``; as the distance r from the
   line of u adds ``sqrt(s^2 + r^2) - s``, which falls with s <= A and is concave in r^2 <= B.
3. So ``h - G ||.||`` is at most ``C + g.x + x^T Q x``, ``v = w x``, ``|x_k| <= 1``, which for
   ``M = diag(mu) - Q`` positive definite, mu >= 0, is at most ``C + sum mu + g^T M^-1 g / 4``.

Where that is not negative the leaf is halved further.

Rounding.  All numbers of a sample in a box are below ``4 (D + 2) ||p_i||_1``, their sums are charged
to G, the Cholesky factor of M box by box by the trace of M.  Centres and widths
are dyadic, halves exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EPS = np.finfo(float).eps
NARROWEST = 2.0**-40  # edges below are not halved
# Of the guess at t: tries, how far each moves to where the bound is largest, and the share of the
# variance of t that is left.
TRIES, STEP, SPREAD = 3, 0.4, 0.8
SWEEPS = 3  # over the multipliers
BATCH, BLOCK = 2048, 1 << 15  # boxes at a time; boxes times samples of a block, in the cache
# Boxes times samples times dimensions: an hour.  Beside the tree as many boxes as it has, and these.
MAX_WORK, MORE = 10**12, 10**5


def gauge_by_boxes(
    A: Any, lam: Any, free: int, V: Any, G: float, reach: float, tree: Any, batch: float
) -> tuple[float, str]:
    """A bound of ``|sum_i lam_i (a_i.u + b)_+|``, ``||u|| <= 1``, and why it is none, or "".

    With ``p_i = V^T a_i`` less their mean if b is free, ``z = V^T u`` and any V, ``||z||`` is at most
    the norm of V, and ``a_i.u`` is ``p_i.z``, plus what all share, to within ``||a_i - V V^T a_i||``.
    A neuron of best b bends at a sample, so then ``|b| <= max_i ||p_i||_1`` where ``|z_j| <= 1``: b in
    a larger unit is the last coordinate.

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
    shift = P.mean(axis=0) * free
    P = P - shift
    beside = np.linalg.norm(A - (P + shift) @ V.T, axis=1)
    sizes = np.linalg.norm(A, axis=1) + np.linalg.norm(V) * (
        np.linalg.norm(P, axis=1) + np.linalg.norm(shift)
    )
    beside = beside + 8 * (r + 4) * EPS * sizes
    stretch = 1 + np.linalg.norm(V.T @ V - np.eye(r)) + 8 * (m + r) * EPS * (1 + np.sum(V * V))
    if free:
        unit = max(reach, 1 + 4 * r * EPS) * np.abs(P).sum(axis=1).max()
        P, beside = np.hstack([P, np.full((len(P), 1), unit)]), beside + beside.max()
    (n, D), size = P.shape, float(np.abs(lam) @ np.abs(P).sum(axis=1)) + G
    rounding = 32 * (n + 8 * D) * (D + 4) * EPS * size
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
    if tree.dtype != np.uint8 or tree.ndim != 1 or not 1 <= batch <= 1 << 14:
        return "the tree is no sequence of boxes"
    if len(tree) * n * D > MAX_WORK:
        return "the boxes are too many to check"
    spare = len(tree) + MORE
    for sign in (1.0, -1.0):
        sides, faces = _sides(P, sign * lam), np.eye(D)[: D - free]
        stack, leaves = [(faces, 1.0 - faces, np.ones((len(faces), 2), bool))], []
        while stack or leaves:
            if stack:
                U, W, both = _take(stack, batch)
                code, tree = tree[: len(U)], tree[len(U) :]
                if len(code) < len(U):
                    return "the tree ends before its leaves"
                leaves.append((U[code == 0], W[code == 0], both[code == 0]))
                cut, edge = np.flatnonzero(code), code[code > 0].astype(int) - 1
                if np.any(edge >= D) or np.any(W[cut, edge] < NARROWEST):
                    return "the tree halves an edge that is none"
                if len(cut):
                    stack.append(_halves(U[cut], W[cut], both[cut], edge))
            while leaves and (not stack or sum(len(x[0]) for x in leaves) >= BATCH):
                U, W, open_ = _take(leaves, BATCH)
                at, edge, open_ = _open(sides, U, W, open_, free, G)
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
    """By the sign of lam: samples, their share of ``sum |t|``, squares, products; and P^T lam / 2."""
    j, k = np.triu_indices(P.shape[1])
    parts = ((P[at], lam[at] / 2) for at in (lam > 0, lam < 0))
    return [(X, p, X * X, X[:, j] * X[:, k]) for X, p in parts], P.T @ lam / 2


def _open(sides: Any, U: Any, W: Any, open_: Any, free: int, G: float) -> Any:
    """The boxes and signs for which the claim is not proven, and which edge to halve."""
    left, guess, open_ = np.arange(len(U)), np.zeros_like(U), open_.copy()
    for _ in range(TRIES):
        bound, x, score = _bounds(sides, U[left], W[left], open_[left], guess, free, G)
        open_[left] &= ~(bound <= 0)  # what is no number proves nothing
        more = open_[left].any(axis=1)
        left, guess, score = left[more], guess[more] + STEP * (x - guess)[more], score[more]
        if len(left) == 0:
            break
    return left, np.argmax(score, axis=1), open_[left]


def _bounds(sides: Any, U: Any, W: Any, open_: Any, guess: Any, free: int, G: float) -> Any:
    """At least the largest ``h(z) - G ||z||``; where it may be; how much each edge matters."""
    (n, D), (groups, q) = U.shape, sides
    size = max(8, BLOCK // sum(len(p) for _, p, _, _ in groups))
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
    N = np.linalg.norm(U * normed, axis=1)
    e = U * normed / N[:, None]
    A, B = N + np.sum(np.abs(e) * W, axis=1), np.sum(W * W * normed, axis=1)
    curved = G / (A + np.sqrt(A * A + B))
    Q += curved[:, None, None] * (e[:, :, None] * e[:, None, :] - np.diag(normed))
    Q *= W[:, :, None] * W[:, None, :]
    # u and -u: the odd part turns
    box, sign = np.nonzero(open_)
    q = np.where(sign == 0, 1.0, -1.0)[:, None] * q
    C, g = (C - G * N)[box] + np.sum(U[box] * q, axis=1), ((g - G * e)[box] + q) * W[box]
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
    return constant, np.where(wedge, 1 + 4 * L * z * off, a / c), np.where(wedge, 2 * L * z * z, 0.5 / c)


def _below(a: Any, T: Any, mean: Any, variance: Any) -> Any:
    """``|a + y| >= constant + linear y + square y^2`` for ``|y| <= T``, a < T."""
    chords = mean * mean + variance - a * mean > T * np.abs(mean)
    side = np.where(mean < 0, -1.0, 1.0)
    return np.where(chords, 0.0, side * a), np.where(chords, a / T, side), np.where(chords, 1 / T, 0.0)


def _maximum(C: Any, g: Any, Q: Any) -> Any:
    """At least ``max C + g.x + x^T Q x``, ``|x_k| <= 1``, by any multipliers; and a guess at x."""
    n, D = g.shape
    rows = np.abs(Q).sum(axis=2)
    own = np.einsum("nkk->nk", Q)
    bound = C + np.abs(g).sum(axis=1) + np.maximum(rows - np.abs(own) + own, 0.0).sum(axis=1)
    x = np.where(g < 0, -1.0, 1.0)
    at = np.flatnonzero(~(bound <= 0))
    if len(at) == 0:
        return bound, x
    C, g, Q, rows = C[at], g[at], Q[at], rows[at]
    # edges of no length have no multiplier
    mu = rows * 1.01 + 1e-9 * rows.max(axis=1, keepdims=True)
    still = (rows == 0) & (g == 0)
    M = -Q
    M[:, range(D), range(D)] += np.where(still, 1.0, mu)
    V = np.linalg.inv(M)
    v = 0.5 * np.einsum("njk,nk->nj", V, g)
    for _ in range(SWEEPS):  # each multiplier to where its own x_k is 1 in size
        for k in range(D):
            step = np.maximum((np.abs(v[:, k]) - 1) / V[:, k, k], -0.9 * mu[:, k])
            step[still[:, k]] = 0.0
            shrink = step / (1 + step * V[:, k, k])
            mu[:, k] += step
            column = V[:, k].copy()
            v -= (shrink * v[:, k])[:, None] * column
            V -= shrink[:, None, None] * column[:, :, None] * column[:, None, :]
    M = -Q
    M[:, range(D), range(D)] += np.where(still, 1.0, mu)
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
