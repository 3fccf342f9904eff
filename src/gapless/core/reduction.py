"""From the problem as given to the problem as solved, and back.

The solvers see a *core* problem: rows in one canonical order with equal samples merged (so
that the order of the data, or repeating a sample instead of weighting it, cannot change the
answer), no penalised bias (its constant column is part of the design), dense data centred
when the bias is free (the hidden biases absorb the shift), else dense data far from zero turned so
that their mean lies along the first axis (what tells samples apart then keeps its digits), wide
data replaced by their coordinates in the row space (a direction orthogonal to every sample only
costs penalty), and rows of unit root-mean-square norm (with X / t and weight_decay / t the problem
is the same).  None of this changes the optimal value.

Targets of a loss of ``F - Y`` alone are centred when the bias is free (the output bias absorbs the
shift) and divided by a power of two ``unit`` so that the largest is between 1 and 2; the objective
is then ``unit^degree`` times the core's (:meth:`Reduction.raised`), exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from .arrays import row_norms
from .checks import Array
from .design import Design, SparseDesign, design_of
from .losses import Loss
from .network import Network
from .problem import Problem, check_problem
from .result import Certificate

# Sparse designs up to this many numbers (32 MiB) are faster dense.
DENSE = 1 << 22
# Dense designs up to this many numbers are sorted: a second for the largest.
CANONICAL = 1 << 24
# Samples that differ by less than this share of the largest number have lost digits without a
# trace, and by less than the other squares that may be nothing.
NEAREST, SMALL = 1e-280, 1e-60
# Samples are far from zero when their largest distance from their mean is below this share of it.
FAR = 1e-2


class Reduction:
    """``core`` with ``apply`` and ``invert`` for networks.

    Attributes
    ----------
    problem, core : Problem
        As given, and as solved.
    first : array of int of shape (n_rows,)
        A sample for each row of the core.
    group : array of int of shape (n_samples,)
        The row of the core that each sample became.
    mean, turn, basis : arrays or None
        What samples were centred by, the normal of the plane they were reflected at, and the
        orthonormal columns that span them.
    scale : float
        Of samples: those of the core times this are those given, after the steps above.
    shift : array of shape (n_outputs,)
    unit, degree : float, int
        Targets are ``unit`` times those of the core, plus ``shift``; the objective is
        ``unit^degree`` times.
    step, decay : float
        A dual point of the core times ``step`` is one of the problem, a weight decay of the problem
        times ``decay`` that of the core.
    """

    def __init__(self, problem: Problem) -> None:
        check_problem(problem)
        self.problem = problem
        design, Y, weights = problem.design, problem.Y, problem.sample_weight
        small = design.shape[1] > len(design) or design.size <= DENSE
        if small and not design.dense and not design.pooled:
            design = design_of(design.array())
        self.first = self.group = np.arange(len(weights))
        if (design.dense or design.pooled) and design.size <= CANONICAL:
            self.first, self.group = _canonical(np.hstack([Y, design.samples()]))
            design, Y = design.rows(self.first), Y[self.first]
            weights = np.bincount(self.group, weights)
        self.mean: Array | None = None
        self.turn: Array | None = None
        self.basis: Array | None = None  # (k, n) orthonormal columns spanning the rows
        if not design.dense:
            X: Any = self._scaled(design, weights)
        elif design is problem.design:  # the one copy: all that follows is done in place
            X = self._samples(np.array(design.array()), weights)
        else:
            X = self._samples(design.array(), weights)
        Y, loss = self._targets(np.array(Y), weights)
        if self.scale == 0:
            raise ValueError(
                "the samples of X are smaller than float64 holds beside their weights: "
                "divide each column by its size"
            )
        self.decay = 1 / self.scale / self.step
        bias = "free" if problem.free else "none"
        self.core = Problem(X, Y, loss, problem.weight_decay * self.decay, bias, weights)

    def _scaled(self, design: Design, weights: Array) -> Any:
        """Samples that may not be moved."""
        # a power of two first: exact, and then nothing overflows
        peak = power_of_two(float(design.row_norms().max()))
        design = design.scaled(1 / peak)
        rms = float(np.sqrt(design.row_weights(weights) @ design.row_norms() ** 2))
        self.scale = peak * (rms or 1.0)
        design = design.scaled(1 / (rms or 1.0))
        return design.A if isinstance(design, SparseDesign) else design

    def _samples(self, A: Array, weights: Array) -> Array:
        """Scaled, centred or turned, in coordinates of the row space; in place where it can be."""
        # a power of two first: exact, and then nothing overflows
        peak = power_of_two(_largest(A))
        A /= peak
        if self.problem.free:
            # of equal numbers nothing is left, to the last digit
            self.mean = np.where(A.max(axis=0) > A.min(axis=0), weights @ A, A[0])
            A -= self.mean
            self.mean *= peak
            near = power_of_two(_largest(A))
            if near < NEAREST:
                raise ValueError(
                    f"the samples of X differ by some {near * peak:.0e} beside numbers of "
                    f"{peak:.0e}, more than float64 holds: divide each column by its size"
                )
            if near < SMALL:
                A /= near
                peak *= near
        A = self._in_row_space(A)
        # unit root-mean-square rows, so that absolute thresholds have a meaning
        rms = float(np.sqrt(weights @ np.einsum("ij,ij->i", A, A)))
        A /= rms or 1.0
        self.scale = peak * (rms or 1.0)
        return A

    def _in_row_space(self, A: Array) -> Array:
        """Far from zero turned, of more features than samples in coordinates of the row space."""
        n, k = A.shape
        if not self.problem.free:
            self.turn = _far_from_zero(A)
        if k > n:
            # LAPACK writes the basis over A: no second array of that size
            self.basis, R = scipy.linalg.qr(A.T, overwrite_a=True, mode="economic")
            A = np.ascontiguousarray(R.T)
        return A

    def _targets(self, Y: Array, weights: Array) -> tuple[Array, Loss]:
        """Centred and scaled, and their loss."""
        loss = self.problem.loss
        self.shift, self.unit, self.degree, self.step = np.zeros(Y.shape[1]), 1.0, 0, 1.0
        if loss.degree is None:
            return Y, loss
        self.degree = loss.degree
        if self.problem.free:
            self.shift = weights @ Y
            Y -= self.shift
        self.unit = power_of_two(float(np.abs(Y).max()))
        Y /= self.unit
        self.step = self.unit ** (self.degree - 1)
        return Y, loss.scaled(1 / self.unit)

    def apply(self, network: Network) -> Network:
        """A network on X as one on the core's design: same outputs, no larger penalty."""
        U, b = network.hidden_weights, network.hidden_bias
        a, c = network.output_weights, network.output_bias
        if self.problem.bias == "penalized":
            U, b = np.vstack([U, b]), np.zeros_like(b)
            if np.any(c):  # the output bias is the neuron that sees the constant only
                constant = np.zeros((len(U), 1))
                constant[-1] = 1.0
                U = np.hstack([U, constant])
                shared = np.tile(c, network.n_places) / network.n_places
                b, a, c = np.append(b, 0.0), np.vstack([a, shared]), np.zeros_like(c)
        if self.mean is not None:
            b = b + self.mean @ U
        if self.turn is not None:
            U = _turned(U.T, self.turn).T
        if self.basis is not None:
            U = self.basis.T @ U
        a, c = a / self.unit, (c - self.shift) / self.unit
        return Network(U * self.scale, b, a, c).balance(self.core.bias)

    def invert(self, network: Network) -> Network:
        """The way back: the same outputs, balanced."""
        half = power_of_two(self.unit**0.5)  # on both sides: norms of one alone may overflow
        U, b = network.hidden_weights / self.scale * half, network.hidden_bias * half
        if self.basis is not None:
            U = self.basis @ U
        if self.turn is not None:
            U = _turned(U.T, self.turn).T
        if self.mean is not None:
            b = b - self.mean @ U
        if self.problem.bias == "penalized":
            U, b = U[:-1], U[-1]
        a, c = (
            network.output_weights * (self.unit / half),
            network.output_bias * self.unit + self.shift,
        )
        return Network(U, b, a, c).balance(self.problem.bias)

    def certificate(self, core: Certificate) -> Certificate:
        """What a certificate of the core says of the problem."""
        if self.unit == 1:
            return core
        lower = down(self.raised(core.lower_bound)) if core.lower_bound > 0 else core.lower_bound
        estimated = min(self.raised(core.estimated_lower_bound), float(np.finfo(float).max))
        return Certificate(self.raised(core.objective), lower, max(estimated, lower), core.proof)

    def raised(self, value: Any) -> Any:
        """A value of the core's objective as one of the problem's."""
        for _ in range(self.degree):  # one by one: the power alone may overflow
            value = value * self.unit
        return value

    def lowered(self, value: float) -> float:
        """The way back."""
        for _ in range(self.degree):
            value = value / self.unit
        return value


def power_of_two(size: float) -> float:
    """The largest that is at most ``size``; 1 for zero and what is not finite."""
    if not 0 < size < np.inf:
        return 1.0
    return float(np.ldexp(1.0, int(np.clip(np.frexp(size)[1] - 1, -1020, 1020))))


def down(bound: float) -> float:
    """A scaled bound as a finite float that was not rounded up, as subnormal numbers may be."""
    limits = np.finfo(float)
    if 0 < bound < limits.tiny:
        return max(float(np.nextafter(bound, -1.0)), 0.0)
    return min(bound, float(limits.max))


def _largest(A: Array) -> float:
    return float(max(A.max(initial=0.0), -A.min(initial=0.0)))


def _far_from_zero(A: Array) -> Array | None:
    """The normal v of the reflection that puts the mean on the first axis, A turned in place.

    None where the samples are spread about zero.  Mean and deviations are turned apart: the
    deviations keep their own digits, which A as a whole has lost.
    """
    mean = A.mean(axis=0)
    size = float(np.linalg.norm(mean))
    if not 0 < size < np.inf or not float(row_norms(A - mean).max()) < FAR * size:
        return None
    v = mean / size
    sign = 1.0 if v[0] >= 0 else -1.0
    v[0] += sign
    v /= np.linalg.norm(v)
    A -= mean
    A[...] = _turned(A, v)
    A[:, 0] -= sign * size
    return v


def _turned(rows: Array, v: Array) -> Array:
    """Rows reflected at the plane normal to ``v``; its own inverse."""
    return rows - np.outer(rows @ v, 2 * v)


def _canonical(rows: Array) -> tuple[Array, Array]:
    """Of rows sorted and merged: which row each stands for, and which of them each row became."""
    count, width = rows.shape
    order, tied, leading = np.arange(count), np.ones(count - 1, dtype=bool), 0
    while tied.any() and leading < width:  # a column is one sort: more only while rows tie
        leading = min(8 * leading + 2, width)
        order = np.lexsort(rows[:, leading - 1 :: -1].T)
        tied = np.all(rows[order[1:], :leading] == rows[order[:-1], :leading], axis=1)
    new = np.append(True, ~tied)
    group = np.empty(len(rows), dtype=np.intp)
    group[order] = np.cumsum(new) - 1
    return order[new], group
