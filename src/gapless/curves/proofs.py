"""What is proven about splines on a line: exact gauges, and bounds that charge their rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.losses import Loss
from ..core.rounding import EPS
from .engine import Round
from .line import Line
from .ramps import ramp_penalty, slope_changes

# Samples of a proof handled at once: sums of this many terms bound its rounding.
CHUNK = 1 << 15
# Knots whose slope changes by less, as a share of slopes, values or targets, are rounding; a
# spline whose slopes all are (a little less) is a constant.
FLAT_CHANGE, FLAT_SLOPE = 1e-11, 1e-12
# Shares of the weight decay that the spread of joined samples may strain.
STRAINS = (1.0, 0.1, 1e-3, 0.0)
# Rounding charged to a sum of products, in units of EPS times the sum of their sizes.
PRODUCTS = 64
# Rounding charged to a gauge, as shares of the sum of sizes of the dual point: so many EPS for its
# entries and the places, so many units of the precision at hand for each term of the sums.
GAUGE_ENTRIES, GAUGE_SUMS = 32, 8


@dataclass(frozen=True, eq=False)
class Fit:
    """A spline: (n_knots,) numbers of its places on the line, both ends among them, and its
    scaled values there; objective, lower bound and rounds in the caller's units."""

    index: Array
    values: Array
    objective: float
    lower_bound: float
    rounds: list[Round]


def without_flat(line: Line, index: Array, values: Array) -> tuple[Array, Array]:
    """Drop knots at which the slope changes by rounding only."""
    slopes, changes = slope_changes(line.x[index], values)
    steepest = float(np.abs(slopes).max(initial=0.0))
    # x spans 2, so slopes, values and targets are of one kind
    size = max(steepest, float(line.y.max()), -float(line.y.min()))
    if steepest <= FLAT_SLOPE * size:
        return index[[0, -1]], np.full(2, float(values.mean()))
    keep = np.concatenate([[True], np.abs(changes) > FLAT_CHANGE * size, [True]])
    return index[keep], values[keep]


def proven_gauge(x: Array, lam: Array, kind: type[np.floating[Any]], mass: float = 0.0) -> float:
    """``max(|R|, |R - M|)`` of dual points that sum to zero, plus what rounding may hide.

    Sums run in precision ``kind`` over at most CHUNK terms and then over chunks; x spans 2.
    ``mass`` is the sum of sizes of what was summed to ``lam``, where that is more than its own.
    """
    n = len(x)
    carry = moment = high = low = kind(0)
    spread = 0.0
    for lo in range(0, n - 1, CHUNK):
        stop = min(lo + CHUNK, n - 1)
        spread += float(np.abs(lam[lo:stop]).sum())
        # R rises by C_k (x_{k+1} - x_k) between samples, C the sum of lam so far
        C = np.cumsum(lam[lo:stop], dtype=kind)
        C += carry
        carry = C[-1]
        C *= x[lo + 1 : stop + 1] - x[lo:stop]
        np.cumsum(C, out=C)
        high = max(high, moment + C.max())
        low = min(low, moment + C.min())
        moment = moment + C[-1]
    spread += float(abs(lam[-1]))
    terms = min(CHUNK, n) + n / CHUNK + 8
    rounding = GAUGE_ENTRIES * EPS + GAUGE_SUMS * terms * float(np.finfo(kind).eps)
    return float(max(high, -low, high - moment, moment - low)) + rounding * max(spread, mass)


def off_line(line: Line, lam: Array) -> float:
    """What the part of rank-one data that is off its line may add to a gauge."""
    if line.off_line == 0:
        return 0.0
    return 2 * line.off_line / line.width * float(np.linalg.norm(lam))


class Prover:
    """Objectives and the best lower bound so far, in scaled units."""

    def __init__(self, line: Line, loss: Loss, weight_decay: float) -> None:
        self.line, self.weight_decay = line, weight_decay
        self.problem = line.problem(loss, weight_decay)
        self.lower_bound = loss.infimum
        self.rounds: list[Round] = []

    def outputs(self, index: Array, values: Array) -> Array:
        """(n_rows, 1): the spline at the samples."""
        return np.interp(self.line.sample_x, self.line.x[index], values)[:, None]

    def objective(self, index: Array, values: Array) -> float:
        """``data_fit + weight_decay Omega``."""
        penalty = ramp_penalty(*slope_changes(self.line.x[index], values))
        return self.problem.data_fit(self.outputs(index, values)) + self.weight_decay * penalty

    def improve(self, Lam: Array) -> None:
        """A dual point (n_rows, 1): scaled until feasible, it may raise the lower bound."""
        line, lam = self.line, Lam[:, 0]
        gauge = 0.0
        if not line.single:
            mass = float(np.abs(lam).sum())
            gauge = proven_gauge(line.x, line.sums(lam), np.longdouble, mass)
            gauge += float(np.sum(np.abs(lam) * line.apart))
            gauge += off_line(line, lam)
        self.lower_bound = max(self.lower_bound, self.problem.proven_bound(Lam, gauge))

    def record(self, objective: float, n_kinks: int) -> None:
        """The end of a round."""
        self.rounds.append(Round(objective, self.lower_bound, n_kinks))

    def fit(self, index: Array, values: Array, objective: float) -> Fit:
        """A spline of this objective, in the caller's units."""
        unit = self.line.objective_unit
        rounds = [Round(unit * P, unit * D, k) for P, D, k in self.rounds]
        return Fit(index, values, unit * objective, unit * self.lower_bound, rounds)


def spread_bound(line: Line, share: float = 1.0) -> float:
    """What a share of the spread of joined samples proves, less the rounding of the sum and of
    the means."""
    half = 0.5 * line.spread
    return share * (2 - share) * (half - PRODUCTS * EPS * (half + PRODUCTS * EPS))


def squared_bounds(
    line: Line, index: Array, values: Array, weight_decay: float, tol: float
) -> tuple[float, float]:
    """Objective of a squared-loss spline, less the spread, and the lower bound of the whole.

    From every sample.  The dual point is a multiple of the residual, and a share of the spread:
    that strains the gauge where x are equal by rounding only, so less of it is used where that
    pays.
    """
    slopes, changes = slope_changes(line.x[index], values)
    r, mean = _residuals(line, index, values, slopes)
    square, top, (cross, total, lost, mass) = _centred(line, r, mean)
    P = 0.5 * square + weight_decay * ramp_penalty(slopes, changes)
    D = 0.0
    # Where the bound on rounding is what keeps the gap open, once more in extended precision.
    for kind in (np.float64, np.longdouble):
        gauge = proven_gauge(line.x, r, kind) + off_line(line, r)
        shares = np.array([part * weight_decay for part in STRAINS]) / (line.strain or weight_decay)
        for share in np.minimum(1.0, shares):
            left = weight_decay - share * line.strain
            limit = max(left, 0.0) / gauge if gauge > 0 else np.inf
            s = min(max(cross / total, 0.0), limit) if total > 0 else 0.0
            # charged as in Problem.proven_value; targets are at most 1
            charge = PRODUCTS * EPS * (mass + s * total)
            charge += 2 * (abs(lost) + PRODUCTS * EPS * mass) * (1 + s * top)
            value = s * cross - 0.5 * s * s * total - s * charge
            D = max(D, max(value, 0.0) + spread_bound(line, share))
        if tol * P >= P + 0.5 * line.spread - D:
            break
    return P, D


def _residuals(line: Line, index: Array, values: Array, slopes: Array) -> tuple[Array, float]:
    """``y - f`` at every place, and its weighted mean."""
    x, y, w, n = line.x, line.y, line.w, len(line.x)
    r, mean = np.empty(n), 0.0
    ends = index[1:].copy()
    ends[-1] = n
    for i, j, knot, value, slope in zip(index[:-1], ends, x[index], values, slopes):
        for lo in range(i, j, CHUNK):
            part = slice(lo, min(lo + CHUNK, j))
            out = r[part]
            np.subtract(x[part], knot, out=out)
            out *= -slope
            out += y[part]
            out -= value
            mean += float(out.sum()) / n if w is None else float(w[part] @ out)
    return r, mean


def _centred(line: Line, r: Array, mean: float) -> tuple[float, float, tuple[float, ...]]:
    """Turns residuals into dual points ``w (r - mean)``, in place.

    Returns ``sum w r^2``, the largest ``|r - mean|``, and four sums: of the dual point times y,
    times the centred residual, of itself (rounding alone) and of its size.
    """
    y, w, n = line.y, line.w, len(line.x)
    square = top = 0.0
    sums = []
    for lo in range(0, n, CHUNK):
        part = slice(lo, min(lo + CHUNK, n))
        e = r[part]
        weighted = e / n if w is None else w[part] * e
        square += float(np.einsum("i,i", weighted, e))
        weighted -= mean / n if w is None else mean * w[part]
        e -= mean
        terms = weighted * y[part], weighted * e, weighted, np.abs(weighted)
        sums.append([float(np.sum(term)) for term in terms])
        top = max(top, float(e.max()), -float(e.min()))
        r[part] = weighted
    return square, top, tuple(map(math.fsum, zip(*sums)))
