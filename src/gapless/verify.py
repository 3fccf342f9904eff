"""Re-check a proof file with NumPy alone: ``verify(path, X, y) -> (valid, lower_bound, words)``.

The claim: on these data no two-layer ReLU network of any width has an objective (see
:mod:`gapless.problem`) below the bound.  By weak duality it follows from ONE statement about
the file's dual point Lam, ``||Lam^T (A u + b)_+|| <= gauge`` for all ``||u|| <= 1`` (b = 0 unless
it is free), A the design.  It is established by ``norm``: the spectral norm of A; ``directions``
(rank <= 4, a free bias counting): cones of directions are bisected until on each the ReLUs, held
between two linear functions, stay below the gauge; or ``conic``: in every cell of fixed signs
``beta/2 (s^2 + ||u||^2) - v.Lam^T p`` less products that are nonnegative for all neurons is a
positive semidefinite form, ``A u + b = p - q``, ``s = ||u|| = ||v||``.

The numbers in the file are not trusted but put into cones and identities rebuilt from the data.
Rounding: a sum of n products is off by at most n EPS times the sum of their sizes, EPS = 2^-52,
charged to the gauge at least eightfold; a matrix H of order n counts as positive semidefinite
when Cholesky succeeds on ``H - 16 (n + 8) EPS size I``, size above its trace and what it adds up.
"""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)
MAX_WORK = 10**10  # ReLUs looked at in a proof by directions


class Invalid(Exception):
    """Why the fields prove nothing."""


def verify(path: Any, X: Any, y: Any) -> tuple[bool, float, str]:
    """``(True, bound, words)`` or ``(False, nan, reason)``; never raises for a bad file."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            proof = {name: file[name] for name in file.files}
        claim, Y = float(proof["lower_bound"]), np.asarray(y, float)
        value = proven(proof, np.asarray(X, float), Y.reshape(len(Y), -1))
        _need(value >= claim, f"it proves {value:.9g}, not {claim:.9g}")
        loss, bias, beta = (str(proof[key]) for key in ("loss", "bias", "weight_decay"))
        terms = f"(loss {loss}, bias {bias}, weight_decay {beta})"
        return True, claim, f"VALID: no network has an objective below {claim:.9g} {terms}"
    except Invalid as error:
        return False, float("nan"), f"INVALID: {error}"
    except Exception as error:  # whatever a malformed file breaks, it proves nothing
        return False, float("nan"), f"INVALID: not a readable proof ({type(error).__name__})"


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        raise Invalid(reason)


def data_digest(X: Any, Y: Any) -> str:
    """SHA-256 of samples and targets as float64 matrices with their shapes."""
    parts = [repr(M.shape).encode() + np.ascontiguousarray(M, "<f8").tobytes() for M in (X, Y)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def statement(X: Any, Y: Any, w: Any, bias: str) -> tuple[Any, Any, Any, float, Any]:
    """Targets, weights and design with equal samples merged, what it leaves out, and the merge."""
    first, group = np.unique(np.hstack([X, Y]), axis=0, return_index=True, return_inverse=True)[1:]
    X, Y, w = X[first], Y[first], np.bincount(group.ravel(), w, len(first))
    A = np.hstack([X, np.ones((len(X), 1))]) if bias == "penalized" else X
    A = A - w @ A if bias == "free" else A
    if A.shape[1] <= len(A):
        return Y, w, A, 0.0, group.ravel()
    U, s, _ = np.linalg.svd(A, full_matrices=False)  # u in coordinates of the row space
    return Y, w, (U * s) @ U.T, 64 * len(A) ** 1.5 * EPS * float(s[0]), group.ravel()


def proven(proof: dict[str, Any], X: Any, Y: Any) -> float:
    """The lower bound that the fields prove for ``X`` (n, d), ``Y`` (n, C); or Invalid."""
    _need(str(proof["digest"]) == data_digest(X, Y), "the proof is for other data")
    numbers = [a for a in proof.values() if a.dtype.kind in "fiu"]
    _need(all(np.all(np.isfinite(a)) for a in numbers), "the proof has NaN or infinite entries")
    beta, w, Lam, bias = float(proof["weight_decay"]), proof["weights"], proof["Lam"], proof["bias"]
    _need(w.shape == Y[:, 0].shape and np.all(w > 0) and abs(w.sum() - 1) < 1e-9, "bad weights")
    _need(beta > 0, "the weight decay is not positive")
    _need(bias in ("free", "penalized", "none"), "the bias rule is unknown")
    Y, w, A, lost, _ = statement(X, Y, w, str(bias))
    _need(Lam.shape == Y.shape, "the dual point has another shape than the targets")
    still = bias != "free" or np.all(np.abs(Lam.sum(0)) <= 1e-12 * np.abs(Lam).sum(0))
    _need(still, "the dual point does not sum to zero")
    bound = {"norm": _norm, "directions": _directions, "conic": _conic}[str(proof["kind"])]
    gauge = bound(proof, A, Lam, bias == "free") + lost * np.linalg.norm(Lam)
    _need(np.isfinite(gauge), "the multipliers prove nothing")
    V = min(1.0, beta / gauge if gauge > 0 else 1.0) * Lam / w[:, None]  # feasible
    loss = str(proof["loss"]), float(proof["parameter"]), float(proof["smoothing"])
    value = float(w @ _dual(*loss, V, Y).sum(1))
    return value - 1e-12 * abs(value)


def _dual(loss: str, parameter: float, smoothing: float, V: Any, Y: Any) -> Any:
    """``-loss*(-V)``, an entry each."""
    T = Y - V if loss == "softmax" else V * Y if loss in ("logistic", "hinge") else V
    boxes = {"squared": (-np.inf, np.inf), "huber": (-parameter, parameter)}
    low, high = (boxes | {"pinball": (parameter - 1, parameter)}).get(loss, (0.0, 1.0))
    inside = np.all((low - 1e-12 <= T) & (high + 1e-12 >= T)) and smoothing >= 0
    inside &= loss != "softmax" or np.all(np.abs(T.sum(1) - 1) < 1e-9)
    _need(inside, "the dual point is outside the loss's domain")
    T = np.clip(T, low, high)
    if loss in ("logistic", "softmax"):
        X, R = (np.where((Z > 0) & (Z < 1), Z, 1.0) for Z in (T, 1 - T))
        return -X * np.log(X) - (loss == "logistic") * R * np.log(R)
    square = {"squared": 1.0, "huber": 1.0, "pinball": smoothing, "hinge": smoothing}[loss]
    return T * (1 if loss == "hinge" else Y) - square * T * T / 2


def _norm(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``||A|| max(||lam_+||, ||lam_-||)``, several outputs ``||A|| ||Lam||``; b free: centred."""
    A = A - free * A.mean(0)
    square: float = np.linalg.norm(A, 2) ** 2 + free * len(A) * np.max(np.sum(A * A, axis=1))
    sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if Lam.shape[1] == 1 else [Lam]
    return (1 + 1e-10) * square**0.5 * max(float(np.linalg.norm(side, 2)) for side in sides)


def _directions(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """The gauge claimed, unless some cone of directions (u, b), ``||u|| = 1``, tops it."""
    A = A - free * A.mean(0)  # b takes the shift, and its kink lies among the samples
    r, gauge, far = int(proof["rank"]), float(proof["gauge"]), np.linalg.norm(A, axis=1).max()
    _need(1 <= r <= 4 - free, "directions are for rank 4 at most, a free bias counting as one")
    Vt = np.linalg.svd(A, full_matrices=False)[2][:r]
    P, size = np.hstack([A @ Vt.T, np.ones((len(A), int(free)))]), np.linalg.norm(Lam, axis=1)
    cones: Any = np.array([np.diag(signs) for signs in product((1.0, -1.0), repeat=r)])
    if free:
        low, high = (np.insert(cones, r, 1.01 * b, axis=2) for b in (-far, far))
        cones = np.concatenate([np.hstack([low[:, i:], high[:, : i + 1]]) for i in range(r)])
    i, j = np.triu_indices(cones.shape[1], 1)
    stack, work = [cones], 0
    while stack:
        V = stack.pop()
        S, work = V @ P.T, work + V.size * len(P)
        top, mixed = np.maximum(S, 0), (S.min(1) < 0) & (S.max(1) > 0)
        # on the cone a ReLU is at most its interpolation, at least 0 and A u + b
        bottom = np.where(mixed[:, None], S * (S.sum(1) > 0)[:, None], top)
        above = np.linalg.norm((top + bottom) @ Lam, axis=2) / 2 + (top - bottom) @ size / 2
        mean = V[..., :r].sum(1, keepdims=True)
        least = (V[..., :r] * mean).sum(2).min(1) / np.linalg.norm(mean[:, 0], axis=1)
        _need(np.linalg.norm(top @ Lam, axis=2).max() <= gauge, "a neuron tops the gauge")
        _need(work < MAX_WORK, "the directions are too many to check")
        keep = above.max(1) > gauge * least  # the generators' weights add up to 1 / least at most
        if keep.any():  # cut in two where ReLUs that bend, and directions, differ most
            V, S, c = V[keep], S[keep] * (mixed[keep, None] * size), np.arange(keep.sum())
            apart = gauge * np.sum((V[:, i, :r] - V[:, j, :r]) ** 2, axis=2)
            edge = np.argmax(np.abs(S[:, i] - S[:, j]).sum(2) + apart, axis=1)
            middle, halves = V[c, i[edge]] + V[c, j[edge]], np.stack([V, V])
            middle /= np.linalg.norm(middle[:, :r], axis=1)[:, None]
            halves[0, c, i[edge]] = halves[1, c, j[edge]] = middle
            stack += np.array_split(np.concatenate(halves), 1 + halves.size * len(P) // 2**24)
    rounding = 32 * (len(A) + 8) * EPS * far * size.sum()
    return float(gauge + rounding + np.linalg.norm(A - A @ Vt.T @ Vt) * np.linalg.norm(Lam))


def _covers(fixed: Any) -> bool:
    """Whether sign patterns (0 stands for both) leave no signs out."""
    if np.any(np.all(fixed == 0, axis=1)):
        return True
    i = np.argmax(np.all(fixed != 0, axis=0)) if len(fixed) else 0
    halves = [fixed[fixed[:, i] == sign] * (np.arange(fixed.shape[1]) != i) for sign in (1, -1)]
    return len(fixed) > 0 and bool(np.all(fixed[:, i])) and all(map(_covers, halves))


def units(A: Any, free: bool) -> tuple[Any, float]:
    """The design ``[A, far]`` for (u, t), ``b = far t``, ``|t| <= s``; a unit for its scores."""
    far = np.linalg.norm(A, axis=1).max() * (1 + 1e-12)
    A = np.hstack([A, np.full((len(A), int(free)), far)])
    return A, 8 / max(float(np.linalg.norm(A, 2)), 1e-300)


def _conic(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """The largest gauge of a cell; the cells cover all signs, for v = 1 and for v = -1."""
    signs, fixed, wanted = proof["signs"], proof["fixed"], (1, -1) if Lam.shape[1] == 1 else (0,)
    _need(set(signs) <= set(wanted), "a cell has no sign")
    A, unit = units(A, free)
    seen = np.any(A, axis=1)  # a sample that is zero has p = q = 0
    covered = all(_covers(fixed[signs == v][:, seen]) for v in wanted)
    _need(covered, "the cells leave some neurons out")
    cells = [[proof[f"{key}{i}"] for key in ("beta", "E", "B", "ties")] for i in range(len(signs))]
    return max(_cell(unit * A, Lam / unit, free, *a) for a in zip(signs, fixed, *zip(*cells)))


def _cell(
    A: Any, Lam: Any, free: bool, v: int, fixed: Any, beta: Any, E: Any, B: Any, ties: Any
) -> float:
    """``x = (s, v, u, t, p of open signs)``, ``y = (s, v, u, t, p, q) = T x``."""
    n, C = len(A), 0 if v else Lam.shape[1]
    balls = np.cumsum([1, C, A.shape[1] - free, int(free)])
    at, pq, I = balls[3], slice(balls[3], None), np.eye(balls[3] + int(np.sum(fixed == 0)))
    score = A @ I[balls[1] : at]
    P = score * (fixed > 0)[:, None]
    P[fixed == 0] = I[at:]
    T = np.vstack([I[:at], P, P - score])
    M = np.zeros((len(T), len(T)))  # half of the form, then less half of the products
    M[0, 0], M[slice(1, 1 + C) if C else 0, at : at + n] = beta / 4, -(1 if C else v) * Lam.T / 2
    N = np.maximum(E, 0)  # p_i p_j, p_i q_j, q_i q_j; and p_i q_i = 0 with any sign
    np.fill_diagonal(N[:n, n:], np.diagonal(E, n))
    M[pq, pq] = -N
    M[0, pq] -= np.maximum(B[:, 0], 0)  # s p_i, s q_i
    for a, b, tie, half in zip(balls, balls[1:], ties, (0, beta / 4, 0)):
        part = B[:, a:b]  # p_i (||part_i|| s - part_i.ball), and s^2 = ||v||^2 = ||u||^2 >= t^2
        M[0, pq] -= np.linalg.norm(part, axis=1) * (1 + 1e-14)
        M[a:b, pq] += part.T
        tie = (a < b) * (max(tie, 0) if b == at and free else tie)
        M[0, 0] -= tie
        M[a:b, a:b] = (half + tie) * np.eye(b - a)
    M = M + M.T
    more = np.r_[1.0 + bool(C) + free, np.ones(C), np.zeros(len(I) - 1 - C)]  # of s^2, ||v||^2
    S, G = T.T @ M @ T, T.T @ T + np.diag(more)
    inverse = np.linalg.inv(np.linalg.cholesky(G))
    size = np.linalg.norm(M) * np.linalg.norm(T) ** 2
    shift = 32 * (len(T) + 8) * EPS * size - min(np.linalg.eigvalsh(inverse @ S @ inverse.T)[0], 0)
    size += shift * np.trace(G)
    try:
        np.linalg.cholesky(S + shift * G - 16 * (len(T) + 8) * EPS * size * np.eye(len(S)))
    except np.linalg.LinAlgError:
        raise Invalid("a form is not positive semidefinite") from None
    # x.G x at s = 1: ||p||^2 + ||q||^2 is ||A (u, t)||^2
    form = 3 + 3 * bool(C) + 2 * free + (1 + free) * np.linalg.norm(A, 2) ** 2
    return float(beta + shift * form)
