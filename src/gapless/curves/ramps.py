"""Linear splines as sums of ramps: what a spline pays, what a residual is worth to a ramp.

On a line, a ReLU network with free biases is a linear spline f with kinks t_k, slope changes
d_k and slopes s_- and s_+ at minus and plus infinity.  The cheapest network that draws f pays

    Omega(f) = max( sum_k |d_k|,  |s_- + s_+| ),

because a kink may be a right ramp (x - t)_+ or a left one (t - x)_+.  Only values on the data
count, so let T be the sum of |d_k| inside the data's hull and S the sum of the first and the
last slope there; a kink on the first or last sample then gives

    Omega = max( T, (T + |S|) / 2 ) = max over 0 <= p <= 1, |q| <= p of  T - p T / 2 + q S / 2.

With the residuals r = w (y - f) of least squares, which sum to zero, R(t) = sum_i r_i (x_i - t)_+
is the correlation of every right ramp, R - M that of every left ramp, M = sum_i r_i x_i.  Their
largest size, the polar gauge, is |M| / 2 + max_t |R(t) - M/2|, and a spline is optimal when that
is the weight decay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dptsv

from ..core.checks import Array

# Ridge of a form that is singular by rounding, as a share of its diagonal; a hundred times as much
# each time the factorisation still fails.
RIDGE, RIDGE_TRIES = 1e-15, 10
# Share of the product of two squared norms below which their directions are one in float64.
PARALLEL = 1e-14


def slope_changes(knots: Array, values: Array) -> tuple[Array, Array]:
    """Slopes of the segments (n_knots - 1,) and their changes at the inner knots."""
    slopes = np.diff(values) / np.diff(knots)
    return slopes, np.diff(slopes)


def ramp_penalty(slopes: Array, changes: Array) -> float:
    """Omega of a spline with these slopes on the data's hull."""
    T, S = float(np.abs(changes).sum()), abs(float(slopes[0] + slopes[-1]))
    return max(T, 0.5 * (T + S))


def ramp_correlations(knots: Array, r: Array) -> tuple[Array, float]:
    """``R(t) - M/2`` at every knot for residuals ``r`` that sum to zero, and M."""
    R = np.empty(len(r))
    R[0] = 0.0
    np.cumsum(r[:-1], out=R[1:])
    R[1:] *= np.diff(knots)
    np.cumsum(R, out=R)
    M = -float(R[-1])
    R += 0.5 * M
    return R, M


def peaks(h: Array, limit: float) -> Array:
    """Inner local maxima of |h| above ``limit``, one of each plateau."""
    s = np.abs(h)
    m = s[1:-1]
    return 1 + np.flatnonzero((m > limit) & (m >= s[:-2]) & (m > s[2:]))


def with_ends(inner: Array, last: int) -> Array:
    """Numbers of inner knots between those of the first and the last knot."""
    return np.concatenate([[0], inner, [last]])


@dataclass(frozen=True, eq=False)
class SplineLoss:
    """``1/2 sum_i w_i (y_i - f(x_i))^2`` of splines f with these knots, less its value at f = 0.

    Between two knots f is linear, so with its values v at the knots this is
    ``1/2 v'Gv - g'v``, G tridiagonal.  The first and the last sample are knots.
    """

    knots: Array  #: (n_knots,), rising
    diagonal: Array  #: of G
    off_diagonal: Array  #: of G, (n_knots - 1,)
    linear: Array  #: g

    def restricted(self, index: Array) -> SplineLoss:
        """The same form for splines with kinks at ``knots[index]`` only (both ends included)."""
        left, right = index[:-1], index[1:]
        if len(left) == len(self.off_diagonal):
            return self
        count = right - left
        start = self.knots[left]
        base, scale = np.repeat(start, count), np.repeat(1.0 / (self.knots[right] - start), count)
        # places of each old knot and of the next one in their new segment, 0 to 1
        t, u = (self.knots[:-1] - base) * scale, (self.knots[1:] - base) * scale
        D, E, g = self.diagonal[:-1], self.off_diagonal, self.linear[:-1]
        terms = np.stack(
            [
                D * (1 - t) ** 2 + 2 * E * (1 - t) * (1 - u),
                D * t * (1 - t) + E * ((1 - t) * u + t * (1 - u)),
                D * t * t + 2 * E * t * u,
                g * (1 - t),
                g * t,
            ]
        )
        return SplineLoss.of_segments(
            self.knots[index],
            np.add.reduceat(terms, left, axis=1),
            float(self.diagonal[-1]),
            float(self.linear[-1]),
        )

    @staticmethod
    def of_segments(knots: Array, terms: Array, diagonal: float, linear: float) -> SplineLoss:
        """From what each segment adds and what the last knot adds.

        ``terms`` (5, n_segments): to G at its left end, across, at its right end; to g at its
        left and at its right end.
        """
        left, across, right, linear_left, linear_right = terms
        D, g = np.append(left, diagonal), np.append(linear_left, linear)
        D[1:] += right
        g[1:] += linear_right
        return SplineLoss(knots, D, across, g)

    def value(self, v: Array) -> float:
        """``1/2 v'Gv - g'v``."""
        cross = self.off_diagonal @ (v[1:] * v[:-1])
        return float(0.5 * (self.diagonal @ (v * v)) + cross - self.linear @ v)

    def residual(self, v: Array) -> Array:
        """``g - Gv``: the residuals w (y - f), gathered at the knots."""
        r = self.linear - self.diagonal * v
        r[:-1] -= self.off_diagonal * v[1:]
        r[1:] -= self.off_diagonal * v[:-1]
        return r

    def penalised(self, v: Array, weight_decay: float) -> float:
        """``value(v) + weight_decay * Omega``."""
        return self.value(v) + weight_decay * ramp_penalty(*slope_changes(self.knots, v))

    def minimiser(self, signs: Array, weight_decay: float) -> Array:
        """The values of least penalised loss, were the slope changes of these signs (0: free).

        One tridiagonal solve for three right sides: T = t'v and S = e'v are linear in v then, so
        the optimum is that without the penalty's maximum, moved along G^-1 t and G^-1 e.
        """
        width = np.diff(self.knots)
        sign = np.zeros(len(width) + 1)
        sign[1:-1] = signs
        turn = _on_values((sign[:-1] - sign[1:]) / width)
        ends = np.zeros(len(width))
        ends[0] += 1.0
        ends[-1] += 1.0
        ends = _on_values(ends / width)
        right = np.stack([self.linear - weight_decay * turn, ends, turn], axis=1)
        ridge = 0.0
        for _ in range(RIDGE_TRIES):
            *_, X, info = dptsv(self.diagonal + ridge, self.off_diagonal, right)
            if info == 0:
                break
            ridge = max(100 * ridge, RIDGE * float(self.diagonal.max()))
        v, Ge, Gt = X.T
        half = 0.5 * weight_decay
        T, S = float(turn @ v), float(ends @ v)
        if half == 0 or abs(S) <= T:
            return v
        p, q = _saddle(
            T, S, half * float(turn @ Gt), half * float(turn @ Ge), half * float(ends @ Ge)
        )
        return v + half * (p * Gt - q * Ge)


def _saddle(T: float, S: float, tt: float, te: float, ee: float) -> tuple[float, float]:
    """Maximise ``-p T + q S - (p^2 tt - 2 p q te + q^2 ee) / 2`` over ``|q| <= p <= 1``.

    Concave, so the best of the optima of the triangle's sides and inside is exact; T < 0 occurs
    while some signs are yet to turn.
    """
    points = []
    for s in (1.0, -1.0):  # the sides q = p and q = -p
        bend = tt - 2 * s * te + ee
        p = min(max((s * S - T) / bend, 0.0), 1.0) if bend > 0 else float(s * S > T)
        points.append((p, s * p))
    if ee > 0:  # the side p = 1
        points.append((1.0, min(max((S + te) / ee, -1.0), 1.0)))
    det = tt * ee - te * te
    if det > PARALLEL * tt * ee:
        p, q = (te * S - ee * T) / det, (tt * S - te * T) / det
        if abs(q) <= p <= 1:
            points.append((p, q))
    return max(
        points,
        key=lambda z: (
            -z[0] * T + z[1] * S - 0.5 * (z[0] ** 2 * tt + z[1] ** 2 * ee) + z[0] * z[1] * te
        ),
    )


def _on_values(c: Array) -> Array:
    """The coefficients on values of ``sum_j c_j (v_{j+1} - v_j)``."""
    out = np.empty(len(c) + 1)
    out[0], out[-1] = -c[0], c[-1]
    np.subtract(c[:-1], c[1:], out=out[1:-1])
    return out
