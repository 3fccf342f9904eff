"""Re-check a proof file with NumPy alone: ``verify(path, X, y) -> (valid, lower_bound, words)``.

The claim: on these data no two-layer ReLU network of any width has an objective (see
:mod:`gapless.problem`) below the bound.  By weak duality it follows from ONE statement about
the file's dual point Lam, ``||Lam^T (A u + b)_+|| <= gauge`` for all ``||u|| <= 1`` (b = 0 unless
it is free), A the design.  It is established by ``norm``: the spectral norm of A; ``directions``
(rank <= 4, a free bias counting): cones of directions are bisected until on each the ReLUs, held
between two linear functions, stay below the gauge; or ``conic``: in every cell of fixed signs a
quadratic form, the gauge less ``v.Lam^T (A u + b)_+`` less products that are nonnegative for all
neurons, is positive semidefinite.

The numbers in the file are not trusted but put into cones and identities rebuilt from the data.
Rounding: a sum of n products is off by at most n EPS times the sum of their sizes, EPS = 2^-52,
charged to the gauge at least eightfold; a matrix H of order n counts as positive semidefinite
when Cholesky succeeds on ``H - 32 (n + 8) EPS size I``, size above its trace and what it adds up.
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


@np.errstate(all="ignore")  # what is not a number fails the comparisons
def verify(path: Any, X: Any, y: Any) -> tuple[bool, float, str]:
    """``(True, bound, words)`` or ``(False, nan, reason)``; never raises for a bad file."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            proof = {name: file[name] for name in file.files}
        Y = np.asarray(y, float)
        value = proven(proof, np.asarray(X, float), Y.reshape(len(Y), -1))
        claim = float(proof["lower_bound"])
        _need(value >= claim, f"it proves {value:.9g}, not {claim:.9g}")
    except Exception as error:  # whatever a malformed file breaks, it proves nothing
        ours = isinstance(error, (Invalid, np.linalg.LinAlgError))
        reason = error if ours else f"not a readable proof ({type(error).__name__})"
        return False, float("nan"), f"INVALID: {reason}"
    terms = ", ".join(f"{key} {proof[key]}" for key in ("loss", "bias", "weight_decay"))
    return True, claim, f"VALID: no network has an objective below {claim:.9g} ({terms})"


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        raise Invalid(reason)


def data_digest(X: Any, Y: Any) -> str:
    """SHA-256 of samples and targets as float64 matrices with their shapes."""
    parts = [repr(M.shape).encode() + np.ascontiguousarray(M, "<f8").tobytes() for M in (X, Y)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def proven(fields: dict[str, Any], X: Any, Y: Any) -> float:
    """The lower bound that the fields prove for ``X`` (n, d), ``Y`` (n, C); or Invalid."""
    proof = {k: a if a.dtype.kind == "U" else a.astype(float) for k, a in fields.items()}
    _need(str(proof["digest"]) == data_digest(X, Y), "the proof is for other data")
    finite = (np.all(np.isfinite(a)) for a in proof.values() if a.dtype.kind == "f")
    _need(all(finite), "the proof has NaN or infinite entries")
    beta, w, Lam, bias = (proof[k] for k in ("weight_decay", "weights", "Lam", "bias"))
    _need(Lam.shape == Y.shape and w.shape == Y[:, 0].shape, "the fields have other shapes")
    _need(beta > 0 and np.all(w > 0) and abs(w.sum() - 1) < 1e-9, "bad weights or weight decay")
    _need(bias in ("free", "penalized", "none"), "the bias rule is unknown")
    still = bias != "free" or np.all(np.abs(Lam.sum(0)) <= 1e-12 * np.abs(Lam).sum(0))
    _need(still, "the dual point does not sum to zero")
    bound = {"norm": _norm, "directions": _directions, "conic": _conic}[str(proof["kind"])]
    A, merged, rounding = design(proof, X, Lam)
    gauge = bound(proof, A, merged, int(bias == "free")) + rounding
    V = Lam / w[:, None] * beta / np.maximum(gauge, beta)  # feasible
    value = float(w @ _dual(proof, V, Y).sum(1))
    return value - 1e-12 * abs(value)


def design(proof: dict[str, Any], X: Any, Lam: Any) -> tuple[Any, Any, float]:
    """Design A and dual point of the samples ``first``, and what rounding adds to the gauge.

    Sample i is ``ratio[i]`` times ``first[group[i]]``, and so is its ReLU.  With a free bias the
    last column of A is for t, ``b = far t``: the kink of some best neuron lies among the samples.
    """
    first, group, ratio = proof["first"].astype(int), proof["group"].astype(int), proof["ratio"]
    bias, one = str(proof["bias"]), np.ones((len(X), 1))
    free = bias == "free"
    _need(np.all(ratio >= 0) and (not free or np.all(ratio == 1)), "merged samples differ")
    A = X - proof["weights"] @ X if free else np.hstack([X, one]) if bias == "penalized" else X
    far = np.linalg.norm(A, axis=1).max()
    lost = 64 * (len(X) + 8) * EPS * far * np.linalg.norm(Lam, axis=1).sum()
    lost += np.linalg.norm(A - ratio[:, None] * A[first][group]) * np.linalg.norm(Lam)
    merged, A = np.zeros((len(first), Lam.shape[1])), A[first]
    np.add.at(merged, group, ratio[:, None] * Lam)
    if A.shape[1] > len(A):  # u in coordinates of the row space
        U, s, _ = np.linalg.svd(A, full_matrices=False)
        A = (U * s) @ U.T
    return np.hstack([A, far * one[first, : int(free)]]), merged, float(lost)


def _dual(proof: Any, V: Any, Y: Any) -> Any:
    """``-loss*(-V)``, an entry each."""
    loss, mu, top = str(proof["loss"]), proof["smoothing"], proof["parameter"]
    T = Y - V if loss == "softmax" else V / Y if loss in ("logistic", "hinge") else V
    boxes = {"squared": (-np.inf, np.inf), "huber": (-top, top), "pinball": (top - 1, top)}
    low, high = boxes.get(loss, (0.0, 1.0))
    inside = np.all((low - 1e-12 <= T) & (high + 1e-12 >= T)) and mu >= 0
    inside &= loss != "softmax" or np.all(np.abs(T.sum(1) - 1) < 1e-9)
    _need(inside, "the dual point is outside the loss's domain")
    T = np.clip(T, low, high)
    entropy, other = (-Z * np.log(np.where(Z > 0, Z, 1.0)) for Z in (T, 1 - T))
    values = {"squared": T * Y - T * T / 2, "huber": T * Y - T * T / 2, "softmax": entropy}
    values |= {"pinball": T * Y - mu * T * T / 2, "hinge": T - mu * T * T / 2}
    return (values | {"logistic": entropy + other})[loss]


def _norm(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """``||A|| max(||lam_+||, ||lam_-||)``, several outputs ``||A|| ||Lam||``; b free: centred."""
    A = A[:, :-1] - A[:, :-1].mean(0) if free else A
    square: float = np.linalg.norm(A, 2) ** 2 + free * len(A) * np.max(np.sum(A * A, axis=1))
    sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if Lam.shape[1] == 1 else [Lam]
    return square**0.5 * max(float(np.linalg.norm(side, 2)) for side in sides)


def _directions(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """The gauge claimed, unless some cone of directions (u, t), ``||u|| = 1``, tops it."""
    r, gauge, (A, t) = int(proof["rank"]), proof["gauge"], np.split(A, [A.shape[1] - free], axis=1)
    _need(1 <= r <= 4 - free, "directions are for rank 4 at most, a free bias counting as one")
    Vt = np.linalg.svd(A, full_matrices=False)[2][:r]
    P, size = np.hstack([A @ Vt.T, t]), np.linalg.norm(Lam, axis=1)
    cones = np.array([np.diag(signs) for signs in product((1.0, -1.0), repeat=r)])
    if free:  # prisms, in cones
        low, high = (np.insert(cones, r, end, axis=2) for end in (-1, 1))
        cones = np.concatenate([np.hstack([low[:, i:], high[:, : i + 1]]) for i in range(r)])
    i, j = np.triu_indices(cones.shape[1], 1)
    work, batch = 0, 1 + 2**22 // P.size
    while len(cones):
        V, cones = cones[:batch], cones[batch:]
        S = V @ P.T
        # on the cone a ReLU is at most its interpolation, at least 0 and A u + b
        top, bottom = np.maximum(S, 0), S * (S.sum(1, keepdims=True) > 0)
        above = np.linalg.norm((top + bottom) @ Lam, axis=2) / 2 + (top - bottom) @ size / 2
        mean = V[..., :r].sum(1, keepdims=True)
        least = (V[..., :r] * mean).sum(2).min(1) / np.linalg.norm(mean[:, 0], axis=1)
        _need(np.linalg.norm(top @ Lam, axis=2).max() <= gauge, "a neuron tops the gauge")
        _need((work := work + S.size) < MAX_WORK, "the directions are too many to check")
        keep = above.max(1) > gauge * least  # the generators' weights add up to 1 / least at most
        if keep.any():  # cut in two where ReLUs that bend, and directions, differ most
            bends = np.any(top > bottom, axis=1, keepdims=True) * size
            V, S, c = V[keep], (S * bends)[keep], np.arange(keep.sum())
            apart = gauge * np.sum((V[:, i, :r] - V[:, j, :r]) ** 2, axis=2)
            edge = np.argmax(np.abs(S[:, i] - S[:, j]).sum(2) + apart, axis=1)
            middle, halves = V[c, i[edge]] + V[c, j[edge]], np.stack([V, V])
            middle /= np.linalg.norm(middle[:, :r], axis=1)[:, None]
            halves[0, c, i[edge]] = halves[1, c, j[edge]] = middle
            cones = np.concatenate([*halves, cones])
    return float(gauge + np.linalg.norm(A - A @ Vt.T @ Vt) * np.linalg.norm(Lam))


def _conic(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """The largest ``sum(D)``, over cells of signs of (v, samples) that are apart and make all."""
    cells, D, N, unit = np.sign(proof["signs"]), proof["D"], proof["N"], proof["unit"]
    clash = (cells > 0) @ (cells < 0).T
    apart = np.all(clash | clash.T | np.eye(len(cells), dtype=bool))
    count = sum(2 ** int(k) for k in np.sum(cells == 0, axis=1))
    _need(apart and count == 2 ** (1 + len(A)), "the cells leave some neurons out")
    sizes = [1, Lam.shape[1], A.shape[1] - free, free]
    s, *balls, E = np.split(N, np.cumsum(sizes), axis=2)
    spare = s[:, :, 0] - sum(np.linalg.norm(ball, axis=2) for ball in balls)
    any_sign = np.eye(2 * len(A), k=len(A), dtype=bool)  # p_i q_i = 0
    inside = np.all((E >= 0) | any_sign) and np.all(spare >= 0) and np.all(D[:, 3] >= 0)
    _need(inside and unit > 0, "a multiplier is outside its cone")
    for cell in zip(cells, D, N, strict=True):
        form, rounding = slack(unit * A, Lam / unit, sizes, *cell)
        np.linalg.cholesky(form - rounding * np.eye(len(form)))
    return float(np.max(D.sum(1) + 8 * EPS * np.abs(D).sum(1)))


def slack(A: Any, Lam: Any, sizes: Any, signs: Any, D: Any, N: Any) -> tuple[Any, float]:
    """What the multipliers D, N leave of ``- v.Lam^T p``, a form in x; and its rounding.

    ``A u = p - q``; ``y = (s, v, u, t, p, q) = T x``; D weighs ``s^2 = ||v||^2 = ||u||^2 >= t^2``,
    N the products of (p, q) and y; x is y without v if it is +-s, fixed p, and q.
    """
    (n, C), v, fixed = Lam.shape, signs[0], signs[1:]
    heads = np.cumsum([1, 0 if v else C, A.shape[1]])
    s, V, u, p = np.split(np.eye(heads[-1] + int(np.sum(fixed == 0))), heads)
    score = A @ u
    P = (fixed > 0)[:, None] * score
    P[fixed == 0] = p
    T = np.vstack([s, v * s if v else V, u, P, P - score])
    M = np.diag(np.repeat(np.append(D, 0.0), [*sizes, 2 * n]))
    M[1 : 1 + C, -2 * n : -n] -= Lam.T
    M[-2 * n :] -= N
    size = float(np.linalg.norm(M) * np.linalg.norm(T) ** 2)
    return T.T @ (M + M.T) @ T / 2, 32 * (len(T) + 8) * EPS * size
