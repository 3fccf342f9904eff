"""Re-check a proof file with NumPy alone; nothing here is shared with the solver.

    verify("proof.npz", X, y) -> (valid, lower_bound, reason)

The claim: every two-layer ReLU network of every width has, on these data, an objective

    sum_i w_i loss(f(x_i), y_i) + weight_decay/2 sum_j (||u_j||^2 + ||a_j||^2)

at or above the bound.  The proof: a dual point Lam and a reason why its gauge
``max ||Lam^T (D u + b)_+||``, ``||u|| <= 1``, is at most weight_decay after scaling.  The file is
not trusted: multipliers are moved into their cones, identities are rebuilt from the data, and
positive definiteness is a Cholesky factorisation of the matrix minus more than its rounding.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)


def verify(path: Any, X: Any, y: Any) -> tuple[bool, float, str]:
    """``(True, bound, reason)`` or ``(False, nan, reason)``; never raises for a bad file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            proof = {name: file[name] for name in file.files}
        return True, *_check(proof, np.asarray(X, float), np.asarray(y, float))
    except _Invalid as error:
        return False, float("nan"), str(error)
    except Exception as error:  # any malformed file is an invalid proof, whatever it broke
        return False, float("nan"), f"not a readable proof ({type(error).__name__})"


class _Invalid(Exception):
    pass


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        raise _Invalid(reason)


def _check(proof: dict[str, Any], X: Any, y: Any) -> tuple[float, str]:
    Y = y[:, None] if y.ndim == 1 else y
    digest = hashlib.sha256()
    for part in (X, Y):
        digest.update(repr(part.shape).encode())
        digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    _need(int(proof["format"]) == 1, "the format is unknown")
    _need(str(proof["digest"]) == digest.hexdigest(), "the proof is for other data")
    numbers = [a for a in proof.values() if a.dtype.kind in "fiu"]
    _need(all(np.all(np.isfinite(a)) for a in numbers), "the proof has NaN or infinite entries")
    beta, w, Lam = float(proof["weight_decay"]), proof["weights"], proof["Lam"]
    scale, claim, bias = float(proof["scale"]), float(proof["lower_bound"]), str(proof["bias"])
    _need(beta > 0 and scale >= 0, "weight decay or scale is not positive")
    _need(w.shape == (len(Y),) and np.all(w > 0), "the sample weights are not positive")
    _need(abs(w.sum() - 1) <= 1e-9, "the sample weights do not sum to one")
    _need(Lam.shape == Y.shape, "the dual point has another shape than the targets")
    _need(bias in ("free", "penalized", "none"), "the bias rule is unknown")
    free = bias == "free"
    D = np.hstack([X, np.ones((len(X), 1))]) if bias == "penalized" else X
    if free:
        _need(np.all(np.abs(Lam.sum(0)) <= 1e-12 * np.abs(Lam).sum(0)), "Lam does not sum to zero")
        D = D - w @ D
    extra = 0.0  # what coordinates in a subspace leave out of the gauge
    A = D
    if "basis" in proof:
        B = proof["basis"]
        _need(np.linalg.norm(B.T @ B - np.eye(B.shape[1])) <= 1e-10, "the basis is not orthonormal")
        A = D @ B
        lost = float(np.linalg.norm(D - A @ B.T)) + len(X) * EPS * float(np.linalg.norm(D))
        extra = lost * (1 + free * len(X) ** 0.5) * float(np.linalg.norm(Lam))
        A = A * (1 + 1e-10)
    kind = str(proof["kind"])
    bounds = {
        "norm": _norm,
        "whitened": _norm,
        "low-rank": _low_rank,
        "quadratic": _quadratic,
        "doubly nonnegative": _conic,
    }
    _need(kind in bounds, f"proofs of kind {kind!r} are unknown")
    gauge = float(bounds[kind](proof, A, Lam, free)) + extra
    _need(np.isfinite(gauge), "the multipliers prove nothing")
    _need(scale * gauge <= beta, f"the gauge is only bounded by {scale * gauge:.6g} > {beta:.6g}")
    value = _dual(str(proof["loss"]), float(proof["delta"]), scale * Lam / w[:, None], Y, w)
    value -= 1e-12 * abs(value)
    _need(value >= claim, f"the proof gives {value:.9g}, not {claim:.9g}")
    return claim, f"VALID: no network is below {claim:.9g} ({kind})"


def _dual(loss: str, delta: float, V: Any, Y: Any, w: Any) -> float:
    """``-sum_i w_i loss*(-V_i)``."""
    if loss in ("squared", "huber"):
        _need(loss == "squared" or np.all(np.abs(V) <= delta), "outside the dual domain")
        return float(w @ np.sum(V * Y - V * V / 2, axis=1))
    T = Y - V if loss == "softmax" else V * Y
    slack = 1e-12
    _need(np.all(T >= -slack) and np.all(T <= 1 + slack), "outside the dual domain")
    T = np.clip(T, 0.0, 1.0)
    entropy = lambda t: -t * np.log(np.where(t > 0, t, 1.0))  # noqa: E731
    if loss == "softmax":
        _need(np.all((Y == 0) | (Y == 1)) and np.all(Y.sum(1) == 1), "targets are not one-hot")
        _need(np.all(np.abs(T.sum(1) - 1) <= 1e-9), "outside the dual domain")
        return float(w @ entropy(T).sum(1))
    _need(loss in ("logistic", "hinge"), "the loss is unknown")
    _need(np.all(np.abs(Y) == 1), "targets are not signs")
    return float(w @ (T if loss == "hinge" else entropy(T) + entropy(1 - T)).sum(1))


def _definite(M: Any, rounding: float) -> bool:
    """Whether ``M``, known up to ``rounding`` in norm, is positive definite."""
    shift = rounding + 4 * (len(M) + 4) * EPS * float(np.abs(np.trace(M)))
    try:
        np.linalg.cholesky(M - shift * np.eye(len(M)))
    except np.linalg.LinAlgError:
        return False
    return True


def _norm(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``||A||_2 max(||lam_+||, ||lam_-||)``; for a free bias centred at any sample."""
    square = float(np.linalg.norm(A, 2)) ** 2
    if free:
        square += 2 * square + 2 * len(A) * float(np.max(np.sum(A * A, axis=1)))
    parts = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if Lam.shape[1] == 1 else [Lam]
    return (1 + 1e-10) * square**0.5 * max(float(np.linalg.norm(part, 2)) for part in parts)


def _low_rank(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """All candidates: kinks in one dimension; in two, data lines and the cells' own maxima."""
    U, s, _ = np.linalg.svd(A - A.mean(0) if free else A, full_matrices=False)
    r = int(np.sum(s > 1e-10 * s[0]))
    P, lost = U[:, :r] * s[:r], float(np.sum(s[r:])) + 64 * len(A) * EPS * float(s[0])
    _need(r + free <= 2, "only rank 2 is enumerated here, a free bias counting as one")
    values = [0.0]
    if r == 1:
        for kink in P[:, 0] if free else [0.0]:
            for sign in (1.0, -1.0):
                values.append(np.linalg.norm(np.maximum(sign * (P[:, 0] - kink), 0) @ Lam))
    else:
        angles = np.arctan2(P[:, 1], P[:, 0])
        events = np.sort(np.concatenate([angles - np.pi / 2, angles + np.pi / 2]) % (2 * np.pi))
        middle = (events + np.append(events[1:], events[0] + 2 * np.pi)) / 2
        for event, inside in zip(events, middle):
            active = P @ [np.cos(inside), np.sin(inside)] > 0
            top = np.linalg.svd(P[active].T @ Lam[active])[0][:, 0]
            for u in ([np.cos(event), np.sin(event)], top, -top):
                values.append(np.linalg.norm(np.maximum(P @ u, 0) @ Lam))
    rounding = 32 * (len(P) + 8) * EPS * np.linalg.norm(np.linalg.norm(P, axis=1) @ np.abs(Lam))
    return max(values) + rounding + (1 + free) * lost * float(np.linalg.norm(Lam))


def _quadratic(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``tau + sum c^2/4mu + q^T M^{-1} q / 4``: the block matrix [[t, q/2], [q/2, M]] is PSD."""
    _need(Lam.shape[1] == 1, "the quadratic bound is for one output")
    if free:  # |b| is at most the largest row norm
        radius = np.full((len(A), 1), np.linalg.norm(A, axis=1).max() * (1 + 1e-12))
        A = 2**0.5 * np.hstack([A, radius])
    n, k = A.shape
    R, bounds = np.linalg.norm(A, axis=1) * (1 + 1e-12), []
    for lam, m, tau in zip((Lam[:, 0], -Lam[:, 0]), (proof["positive"], proof["negative"]), proof["tau"]):
        _need(m.shape == (4, n) and np.all(m >= 0) and np.all(m[0] > 0), "a multiplier is negative")
        mu, nu, kappa, rho = m
        c, q = lam + nu + kappa + 2 * rho * R, A.T @ (lam + nu - kappa) / 2
        M = tau * np.eye(k) - (A.T * ((mu - 4 * rho) / 4)) @ A
        size = abs(tau) + float(np.sum((mu + 4 * rho) * R * R)) + float(R @ (np.abs(lam) + nu + kappa))
        _need(_definite(M, 8 * n * EPS * size), "the slack matrix is not positive definite")
        t = float(q @ np.linalg.solve(M, q)) / 4 + 1e-10 * size
        block = np.block([[np.full((1, 1), t), q[None] / 2], [q[:, None] / 2, M]])
        _need(_definite(block, 8 * n * EPS * size), "the slack matrix is not positive definite")
        bounds.append((tau + float(np.sum(c * c / mu)) / 4 + t) * (1 + 1e-12))
    return max(bounds)


def _covers(fixed: Any) -> bool:
    """Whether the sign patterns (0 = both) of the cells leave nothing out."""
    if np.any(np.all(fixed == 0, axis=1)):
        return True
    split = np.flatnonzero(np.all(fixed != 0, axis=0))
    if len(fixed) == 0 or len(split) == 0:
        return False
    column = fixed[:, split[0]]
    rest = fixed.copy()
    rest[:, split[0]] = 0
    return _covers(rest[column > 0]) and _covers(rest[column < 0])


def _conic(proof: Any, A: Any, Lam: Any, free: bool) -> float:
    """``beta/2 (s^2 + ||u||^2) - v^T Lam^T p`` minus nonnegative products, cell by cell."""
    beta, signs, fixed = float(proof["beta"]), proof["signs"], proof["fixed"]
    n, C = Lam.shape
    _need(fixed.shape == (len(signs), n), "the cells have another number of samples")
    for sign in (1, -1) if C == 1 else (0,):
        _need(_covers(fixed[signs == sign]), "the cells leave some neurons out")
    return max(
        _cell(A, Lam, free, beta, int(sign), signs_of, proof[f"slack{i}"])
        for i, (sign, signs_of) in enumerate(zip(signs, fixed))
    )


def _cell(A: Any, Lam: Any, free: bool, beta: float, sign: int, fixed: Any, slack: Any) -> float:
    n, k = A.shape
    C = 0 if sign else Lam.shape[1]
    norm, t = float(np.linalg.norm(A, 2)), int(free)
    unit = 4.0 / norm
    if free:
        A = np.hstack([A, np.full((n, 1), np.linalg.norm(A, axis=1).max() * (1 + 1e-12))])
        norm = float(np.linalg.norm(A, 2))
    # x = (s, v, u, t, p where the sign is open); y = T x = (s, v, balls, p, q)
    on, off, open_ = fixed >= 0, fixed <= 0, np.flatnonzero(fixed == 0)
    I = np.eye(1 + C + k + t + len(open_))
    linear = np.hstack([np.zeros((n, 1 + C)), A, np.zeros((n, len(open_)))])
    P = linear * (fixed > 0)[:, None]
    P[open_, 1 + C + k + t :] = np.eye(len(open_))
    rows, balls, at = [I[: 1 + C]], [], 1 + C
    for first, width in ((1 + C, k), (1, C), (1 + C + k, t)):
        if width:
            rows += [I[:1], I[first : first + width]]
            balls.append((at, np.arange(at + 1, at + 1 + width)))
            at += 1 + width
    T = np.vstack([*rows, unit * P[on], unit * (P - linear)[off]])
    pq, p = np.arange(at, len(T)), np.arange(at, at + int(on.sum()))
    _need(slack.shape == (len(T), len(T)), "a slack matrix has the wrong shape")
    # the form of Lam, less its difference to the slack moved into the multipliers' cones
    form = np.zeros((len(T), len(T)))
    form[0, 0] = beta / 2
    form[balls[0][1], balls[0][1]] = beta / 2
    value = np.arange(1, 1 + C) if C else np.arange(1)
    form[np.ix_(value, p)] -= (sign or 1) * Lam[on].T / (2 * unit)
    form[np.ix_(p, value)] = form[np.ix_(value, p)].T
    R = form - (slack + slack.T) / 2
    N = np.zeros_like(form)
    N[np.ix_(pq, pq)] = np.maximum(R[np.ix_(pq, pq)], 0)  # p_i p_j, p_i q_j, q_i q_j
    both = np.flatnonzero(on & off)
    i, j = at + np.cumsum(on)[both] - 1, p[-1] + np.cumsum(off)[both] if len(p) else both
    N[i, j] = N[j, i] = R[i, j]  # p_i q_i = 0
    N[0, pq] = N[pq, 0] = np.maximum(R[0, pq], 0)  # s p_i, s q_i
    for number, (a, part) in enumerate(balls):
        V = R[np.ix_(pq, part)]
        V = V * np.minimum(1, np.maximum(R[pq, a], 0) / np.maximum(np.linalg.norm(V, axis=1), 1e-300))[:, None]
        N[np.ix_(pq, part)], N[np.ix_(part, pq)] = V, V.T
        N[pq, a] = N[a, pq] = np.linalg.norm(V, axis=1) * (1 + 1e-14) + 0 * R[pq, a]
        N[pq, a] = N[a, pq] = np.maximum(N[pq, a], R[pq, a])
        if number:  # ||vector||^2 <= s^2
            sigma = max(float(R[a, a]), 0.0)
            N[a, a], N[part, part] = sigma, -sigma
    S, G = T.T @ (form - N) @ T, T.T @ T
    L = np.linalg.inv(np.linalg.cholesky(G))
    size = float(np.linalg.norm(form - N)) * float(np.linalg.norm(T, 2)) ** 2
    shift = max(-float(np.linalg.eigvalsh(L @ S @ L.T)[0]), 0.0) + 1e-11 * size
    _need(_definite(S + shift * G, 16 * len(T) * EPS * size), "the slack form is not definite")
    # ||y||^2 on neurons with s = ||u|| = ||v|| = 1
    return beta + shift * (1 + bool(C) + 2 * len(balls) + (1 + free) * (unit * norm * (1 + 1e-9)) ** 2)
