"""Local maxima of the gauge over neurons of two features, compiled.

A line in the plane of two features moves in two ways, by turns: it shifts, and it turns round the
sample next to it.  Either way the score of sample i is ``s_i + tau r_i``, so with
``T(tau) = sum lam_i (s_i + tau r_i)`` over those above zero

    h(tau) = ||T(tau)||  for a shift,    ||T(tau)|| / sqrt(1 + tau^2)  for a turn.

T is linear between the places where a score changes its sign, so the best of them, and for a turn
the best in between, are found exactly as far as :data:`EVENTS` such places reach.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Changes of sign that a move looks at, about, if samples lay evenly.
EVENTS = 128
# A gain below this share is rounding.
LEAST_GAIN = 1e-12


@njit(cache=True, nogil=True, error_model="numpy")
def climb(columns, Lam, pairs, turns, bias, rounds, values):  # type: ignore[no-untyped-def]
    """Move neurons to local maxima, in place, and say what they are worth then.

    ``columns`` (d, n) are the features, ``pairs`` (k, 2) those of each neuron, ``turns`` (k, 2) its
    unit weights, ``bias`` and ``values`` (k,).
    """
    n, outputs = Lam.shape
    s, q, at = np.empty((3, n))
    which, T = np.empty(n, dtype=np.intp), np.empty((2, outputs))
    for j in range(len(pairs)):
        first, second = columns[pairs[j, 0]], columns[pairs[j, 1]]
        u, v, b = turns[j, 0], turns[j, 1], bias[j]
        worth = _scores(first, second, u, v, b, Lam, s, q, T[0])
        pivot, still = -1, 0
        for move in range(3 * rounds):
            if move % 3 == 0:
                reach = EVENTS * (s.max() - s.min()) / n
                to_u, to_v, to_b = u, v, b + _best(s, q, 0.0, False, reach, Lam, at, which, T)
                pivot = -1
            else:  # of a line through two samples first round one, then round the other
                pivot = _nearest(s, pivot)
                tau = _best(s, q, q[pivot], True, EVENTS / n, Lam, at, which, T)
                size = np.sqrt(1 + tau * tau)
                to_u, to_v = (u - tau * v) / size, (v + tau * u) / size
                to_b = (b - tau * q[pivot]) / size
                size = np.hypot(to_u, to_v)
                to_u, to_v, to_b = to_u / size, to_v / size, to_b / size
            new = _scores(first, second, to_u, to_v, to_b, Lam, s, q, T[0])
            if new > worth * (1 + LEAST_GAIN):
                u, v, b, worth, still = to_u, to_v, to_b, new, 0
                continue
            _scores(first, second, u, v, b, Lam, s, q, T[0])
            still += 1
            if still == 3:
                break
        turns[j, 0], turns[j, 1], bias[j], values[j] = u, v, b, worth


@njit(cache=True, nogil=True, error_model="numpy")
def _scores(first, second, u, v, b, Lam, s, q, T):  # type: ignore[no-untyped-def]
    """Scores of a neuron and samples across its direction; what it is worth."""
    T[:] = 0.0
    for i in range(len(s)):
        s[i], q[i] = first[i] * u + second[i] * v + b, second[i] * u - first[i] * v
        active = max(s[i], 0.0)  # no branch, which would be guessed wrong half of the time
        for c in range(len(T)):
            T[c] += Lam[i, c] * active
    return np.sqrt(np.sum(T * T))


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(s, but):  # type: ignore[no-untyped-def]
    """The sample of the least score, another one than ``but`` if there are two."""
    best, least = max(but, 0), np.inf
    for i in range(len(s)):
        if abs(s[i]) < least and i != but:
            best, least = i, abs(s[i])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _best(s, q, pivot, turning, reach, Lam, at, which, T):  # type: ignore[no-untyped-def]
    """The best tau within ``reach`` of zero."""
    outputs, count = Lam.shape[1], 0
    T[:] = 0.0
    for i in range(len(s)):
        r = q[i] - pivot if turning else 1.0
        on = 1.0 if s[i] > reach * r else 0.0
        for c in range(outputs):
            T[0, c] += Lam[i, c] * (on * s[i])
            T[1, c] += Lam[i, c] * (on * r)
        if abs(s[i]) < reach * abs(r):
            at[count], which[count] = -s[i] / r, i
            count += 1
    order = np.argsort(at[:count])
    best, most, last = 0.0, -1.0, -reach
    for k in range(count + 1):
        tau = at[order[k]] if k < count else reach
        if turning:
            between = _stationary(T)
            if last < between < tau:
                value = _square(T, between, turning)
                if value > most:
                    best, most = between, value
        if k == count:
            break
        i, value = which[order[k]], _square(T, tau, turning)
        if value > most:
            best, most = tau, value
        r = q[i] - pivot if turning else 1.0
        sign = 1.0 if r > 0 else -1.0
        for c in range(outputs):
            T[0, c] += sign * Lam[i, c] * s[i]
            T[1, c] += sign * Lam[i, c] * r
        last = tau
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _square(T, tau, turning):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(T.shape[1]):
        total += (T[0, c] + tau * T[1, c]) ** 2
    return total / (1 + tau * tau) if turning else total


@njit(cache=True, nogil=True, error_model="numpy")
def _stationary(T):  # type: ignore[no-untyped-def]
    """Where ``||T_0 + tau T_1||^2 / (1 + tau^2)`` is largest; infinite where nowhere."""
    a, b, c = 0.0, 0.0, 0.0
    for k in range(T.shape[1]):
        a += T[0, k] * T[0, k]
        b += T[0, k] * T[1, k]
        c += T[1, k] * T[1, k]
    if b == 0:
        return np.inf if c > a else 0.0
    return ((c - a) + np.sqrt((c - a) ** 2 + 4 * b * b)) / (2 * b)
