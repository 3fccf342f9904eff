"""Re-check a proof file with NumPy alone: ``verify(path, X, y) -> (valid, lower_bound, reason)``.

The claim: on these data no two-layer ReLU network of any width has an objective (see
:mod:`gapless.problem`) below the bound.  The proof: a dual point Lam and why its gauge
``max ||Lam^T (D u + b)_+||``, ``||u|| <= 1``, is small.  The file is not trusted: multipliers are
moved into their cones, every identity is rebuilt from the data, and "positive definite" is a
Cholesky factorisation of the matrix less more than its rounding.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)


class _Invalid(Exception):
    pass


def verify(path: Any, X: Any, y: Any) -> tuple[bool, float, str]:
    """``(True, bound, words)`` or ``(False, nan, reason)``; never raises for a bad file."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            proof = {name: file[name] for name in file.files}
        X, y = np.asarray(X, float), np.asarray(y, float)
        bound, kind = _check(proof, X, y[:, None] if y.ndim == 1 else y)
        return True, bound, f"VALID: no network has an objective below {bound:.9g} ({kind})"
    except _Invalid as error:
        return False, float("nan"), f"INVALID: {error}"
    except Exception as error:  # whatever a malformed file breaks, it proves nothing
        return False, float("nan"), f"INVALID: not a readable proof ({type(error).__name__})"


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        raise _Invalid(reason)


def _check(proof: dict[str, Any], X: Any, Y: Any) -> tuple[float, str]:
    digest = hashlib.sha256()
    for part in (X, Y):
        digest.update(repr(part.shape).encode() + np.ascontiguousarray(part, "<f8").tobytes())
    _need(str(proof["digest"]) == digest.hexdigest(), "the proof is for other data")
    numbers = [a for a in proof.values() if a.dtype.kind in "fiu"]
    _need(all(np.all(np.isfinite(a)) for a in numbers), "the proof has NaN or infinite entries")
    beta, scale, claim = (float(proof[k]) for k in ("weight_decay", "scale", "lower_bound"))
    w, Lam, bias, kind = proof["weights"], proof["Lam"], str(proof["bias"]), str(proof["kind"])
    _need(beta > 0 and scale >= 0, "weight decay or scale is negative")
    _need(w.shape == Y[:, 0].shape and np.all(w > 0) and abs(w.sum() - 1) < 1e-9, "bad weights")
    # equal samples may be merged and the design divided by a number: the problem is the same
    first, group = proof["first"], proof["group"]
    _need(len(group) == len(X) and np.all(X[first][group] == X), "rows merged that differ")
    _need(np.all(Y[first][group] == Y), "rows merged that differ")
    X, Y, w = X[first], Y[first], np.bincount(group, w, len(first))
    unit = float(proof["data_scale"])
    _need(unit > 0, "the data scale is not positive")
    beta /= unit
    _need(Lam.shape == Y.shape, "the dual point has another shape than the targets")
    _need(bias in ("free", "penalized", "none"), "the bias rule is unknown")
    _need(kind in KINDS, "the kind of proof is unknown")
    free = bias == "free"
    D = np.hstack([X, np.ones((len(X), 1))]) if bias == "penalized" else X - free * (w @ X)
    D = D / unit
    if free:
        _need(np.all(np.abs(Lam.sum(0)) <= 1e-12 * np.abs(Lam).sum(0)), "Lam does not sum to zero")
    A, lost = D, 0.0
    if "basis" in proof:  # wide data in coordinates of their row space, and what that leaves out
        B = proof["basis"]
        _need(np.linalg.norm(B.T @ B - np.eye(B.shape[1])) < 1e-10, "the basis is not orthonormal")
        A = (1 + 1e-10) * D @ B
        lost = float(np.linalg.norm(D - D @ B @ B.T) + len(X) * EPS * np.linalg.norm(D))
    gauge = float(KINDS[kind](proof, A, Lam, free))
    gauge += float(lost * (1 + free * len(X) ** 0.5) * np.linalg.norm(Lam))
    _need(np.isfinite(gauge), "the multipliers prove nothing")
    scale = min(scale, beta / gauge) if gauge > 0 else scale  # feasible, whatever was claimed
    value = _dual(str(proof["loss"]), float(proof["delta"]), scale * Lam / w[:, None], Y, w)
    _need(value - 1e-12 * abs(value) >= claim, f"it proves {value:.9g}, not {claim:.9g}")
    return claim, kind


def _dual(loss: str, delta: float, V: Any, Y: Any, w: Any) -> float:
    """``-sum_i w_i loss*(-V_i)``."""
    if loss in ("squared", "huber"):
        _need(loss == "squared" or np.all(np.abs(V) <= delta), "outside the dual domain")
        return float(w @ np.sum(V * Y - V * V / 2, axis=1))
    T = Y - V if loss == "softmax" else V * Y
    _need(np.all(T >= -1e-12) and np.all(T <= 1 + 1e-12), "outside the dual domain")
    T = np.clip(T, 0.0, 1.0)
    rest = 1 - T if loss == "logistic" else np.ones_like(T)
    if loss == "softmax":
        _need(np.all(np.abs(T.sum(1) - 1) < 1e-9), "outside the dual domain")
    else:
        _need(loss in ("logistic", "hinge") and np.all(np.abs(Y) == 1), "the loss is unknown")
    entropy = -T * np.log(np.where(T > 0, T, 1)) - rest * np.log(np.where(rest > 0, rest, 1))
    return float(w @ (T if loss == "hinge" else entropy).sum(1))


def _definite(M: Any, size: float) -> None:
    """Refuse unless ``M``, sums of len(M) products of total ``size``, is positive definite."""
    try:
        np.linalg.cholesky(M - 16 * (len(M) + 8) * EPS * size * np.eye(len(M)))
    except np.linalg.LinAlgError:
        raise _Invalid("a slack matrix is not positive definite") from None


def _norm(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``||A|| max(||lam_+||, ||lam_-||)``, several outputs ``||A|| ||Lam||``; b free: centred."""
    A = A - free * A.mean(0)
    square: float = np.linalg.norm(A, 2) ** 2 + free * len(A) * np.max(np.sum(A * A, axis=1))
    sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if Lam.shape[1] == 1 else [Lam]
    return (1 + 1e-10) * square**0.5 * max(float(np.linalg.norm(side, 2)) for side in sides)


def _line(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """Rank one: both rays, or both ramps from every kink by prefix sums."""
    U, s, _ = np.linalg.svd(A - free * A.mean(0), full_matrices=False)
    p: Any = U[:, 0] * s[0]
    best: Any = 0.0
    for ramp in (p, -p):
        order = np.argsort(-ramp)
        x, L = ramp[order], Lam[order]
        values = np.cumsum(L * x[:, None], axis=0) - x[:, None] * np.cumsum(L, axis=0)
        at_zero = np.maximum(ramp, 0) @ Lam
        best = max(best, np.linalg.norm(values, axis=1).max() if free else np.linalg.norm(at_zero))
    rounding = (8 * EPS * len(p) * s[0] + s[1:].sum()) * (1 + free)
    return float(best + rounding * len(p) ** 0.5 * np.linalg.norm(Lam))


def _quadratic(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``tau + sum c^2 / 4 mu + t`` with ``[[t, -q/2], [-q/2, M]]`` positive definite."""
    _need(Lam.shape[1] == 1, "the quadratic bound is for one output")
    if free:  # b is at most the largest row norm, so (u, b) lies in a ball of radius sqrt(2)
        A = 2**0.5 * np.hstack([A, np.full((len(A), 1), np.linalg.norm(A, axis=1).max())])
    R, bounds = np.linalg.norm(A, axis=1) * (1 + 1e-12), []
    for lam, side, tau in zip((Lam[:, 0], -Lam[:, 0]), ("positive", "negative"), proof["tau"]):
        mu, nu, kappa, rho = m = proof[side]
        _need(np.all(m >= 0) and np.all(mu > 0), "a multiplier is negative")
        c, q = lam + nu + kappa + 2 * rho * R, A.T @ (lam + nu - kappa) / 2
        M = tau * np.eye(len(q)) - (A.T * ((mu - 4 * rho) / 4)) @ A
        size = abs(tau) + (mu + 4 * rho) @ R**2 + R @ (np.abs(lam) + nu + kappa)
        t = q @ np.linalg.solve(M, q) / 4 + 1e-9 * size
        _definite(np.block([[np.full((1, 1), t), -q[None] / 2], [-q[:, None] / 2, M]]), size)
        bounds.append((tau + np.sum(c * c / mu) / 4 + t) * (1 + 1e-12))
    return max(bounds)


def _covers(fixed: Any) -> bool:
    """Whether sign patterns (0 stands for both) leave no signs out."""
    if np.any(np.all(fixed == 0, axis=1)):
        return True
    i = np.argmax(np.all(fixed != 0, axis=0)) if len(fixed) else 0
    halves = [fixed[fixed[:, i] == sign] * (np.arange(fixed.shape[1]) != i) for sign in (1, -1)]
    return len(fixed) > 0 and bool(np.all(fixed[:, i])) and all(map(_covers, halves))


def _conic(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``beta/2 (s^2 + ||u||^2) - v.Lam^T p`` less nonnegative products, in every cell."""
    signs, fixed = proof["signs"], proof["fixed"]
    for sign in (1, -1) if Lam.shape[1] == 1 else (0,):
        _need(_covers(fixed[signs == sign]), "the cells leave some neurons out")
    _need(set(signs) <= ({1, -1} if Lam.shape[1] == 1 else {0}), "a cell has no sign")
    cells = enumerate(zip(signs, fixed))
    beta, unit = float(proof["beta"]), float(proof["unit"])
    return max(_cell(A, Lam, free, beta, unit, s, f, proof[f"slack{i}"]) for i, (s, f) in cells)


def _cell(
    A: Any, Lam: Any, free: bool, beta: float, unit: float, sign: Any, fixed: Any, slack: Any
) -> float:
    (n, k), C = A.shape, 0 if sign else Lam.shape[1]
    if free:
        A = np.hstack([A, np.full((n, 1), np.linalg.norm(A, axis=1).max() * (1 + 1e-12))])
    # x = (s, v, u, t, p of open signs);  y = T x = (s, v, balls (s, u) (s, v) (s, t), p, q)
    on, off, both = fixed >= 0, fixed <= 0, np.flatnonzero(fixed == 0)
    I = np.eye(1 + C + A.shape[1] + len(both))
    score = np.hstack([np.zeros((n, 1 + C)), A, np.zeros((n, len(both)))])
    P = score * (fixed > 0)[:, None]
    P[both] = I[1 + C + A.shape[1] :]
    rows, balls, at = [I[: 1 + C]], [], 1 + C
    for start, width in ((1 + C, k), (1, C), (1 + C + k, int(free))):
        if width:
            rows += [I[:1], I[start : start + width]]
            balls.append((at, np.arange(at + 1, at + 1 + width)))
            at += 1 + width
    T = np.vstack([*rows, unit * P[on], unit * (P - score)[off]])
    pq, u, v = np.arange(at, len(T)), balls[0][1], np.arange(1, 1 + C) if C else np.arange(1)
    p, middle = pq[: on.sum()], at + on.sum()
    form, N = np.zeros((2, len(T), len(T)))
    form[0, 0] = form[u, u] = beta / 2
    form[np.ix_(v, p)] -= (1 if C else sign) * Lam[on].T / (2 * unit)
    form[np.ix_(p, v)] = form[np.ix_(v, p)].T
    R = form - (slack + slack.T) / 2  # should be multiples of products; made so
    N[np.ix_(pq, pq)] = np.maximum(R[np.ix_(pq, pq)], 0)
    i, j = at + np.cumsum(on)[both] - 1, middle + np.cumsum(off)[both] - 1
    N[i, j] = N[j, i] = R[i, j]  # p_i q_i = 0 has a multiplier of any sign
    N[0, pq] = N[pq, 0] = np.maximum(R[0, pq], 0)
    for number, (a, part) in enumerate(balls):
        N[np.ix_(pq, part)], N[np.ix_(part, pq)] = R[np.ix_(pq, part)], R[np.ix_(part, pq)]
        least = np.linalg.norm(R[np.ix_(pq, part)], axis=1) * (1 + 1e-14)
        N[pq, a] = N[a, pq] = np.maximum(R[pq, a], least)
        if number:  # ||v||^2 <= s^2 or t^2 <= s^2
            N[a, a], N[part, part] = max(R[a, a], 0), -max(R[a, a], 0)
    S, G = T.T @ (form - N) @ T, T.T @ T
    inverse = np.linalg.inv(np.linalg.cholesky(G))
    size = np.linalg.norm(form - N) * np.linalg.norm(T, 2) ** 2
    shift = 32 * (len(T) + 8) * EPS * size - min(np.linalg.eigvalsh(inverse @ S @ inverse.T)[0], 0)
    _definite(S + shift * G, size + shift * np.linalg.norm(G))
    gram = (unit * np.linalg.norm(A, 2)) ** 2 * (1 + 1e-9)  # ||y||^2 at s = ||u|| = ||v|| = 1
    return beta + shift * (1 + bool(C) + 2 * len(balls) + (1 + free) * gram)


KINDS = {
    "norm": _norm,
    "whitened": _norm,
    "low-rank": _line,
    "quadratic": _quadratic,
    "doubly nonnegative": _conic,
}
