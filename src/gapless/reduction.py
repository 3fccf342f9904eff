"""From the problem as given to the problem as solved, and back.

The solvers see a *core* problem: rows in one canonical order with equal samples merged (so
that the order of the data, or repeating a sample instead of weighting it, cannot change the
answer), no penalised bias (its constant column is part of the design), dense data centred
when the bias is free (the hidden biases absorb the shift), wide data replaced by their
coordinates in the row space (a direction orthogonal to every sample only costs penalty), and
rows of unit root-mean-square norm (with X / t and weight_decay / t the problem is the same).
None of it changes the optimal value.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from ._array import Design, is_sparse
from ._validate import Array
from .network import Network
from .problem import Problem, check_problem

# Sparse designs up to this many numbers (32 MiB) are faster dense.
DENSE = 1 << 22
# Dense designs up to this many numbers are sorted: a second for the largest.
CANONICAL = 1 << 24


class Reduction:
    """``core`` with ``apply`` and ``invert`` for networks."""

    def __init__(self, problem: Problem) -> None:
        check_problem(problem)
        self.problem = problem
        A, Y, weights = problem.design, problem.Y, problem.sample_weight
        if is_sparse(A) and (A.shape[1] > A.shape[0] or A.shape[0] * A.shape[1] <= DENSE):
            A = A.toarray()
        #: sample i of the problem is row ``group[i]`` of the core, whose own is ``first[group[i]]``
        self.first = self.group = np.arange(len(weights))
        if not is_sparse(A) and A.size <= CANONICAL:
            self.first, self.group = _canonical(np.hstack([Y, A]))
            A, Y = A[self.first], Y[self.first]
            weights = np.bincount(self.group, weights)
        if A is problem.design:
            A = A.copy()  # the one copy: all that follows is done in place
        n, k = A.shape
        self.mean: Array | None = None
        self.basis: Array | None = None  # (k, n) orthonormal columns spanning the rows
        if problem.free and not is_sparse(A):
            self.mean = weights @ A
            A -= self.mean
        if k > n:
            # LAPACK writes the basis over A: no second array of that size
            self.basis, R = scipy.linalg.qr(A.T, overwrite_a=True, mode="economic")
            A = np.ascontiguousarray(R.T)
        # Unit root-mean-square rows: nothing overflows, and absolute thresholds have a meaning.
        values = A.data if is_sparse(A) else A
        peak = float(max(values.max(initial=0.0), -values.min(initial=0.0))) or 1.0
        values /= peak
        self.scale = peak * (float(np.sqrt(weights @ _row_squares(A))) or 1.0)
        values *= peak / self.scale
        self.core = Problem(
            A,
            Y,
            problem.loss,
            problem.weight_decay / self.scale,
            "free" if problem.free else "none",
            weights,
        )

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
                b, a, c = np.append(b, 0.0), np.vstack([a, c]), np.zeros_like(c)
        if self.mean is not None:
            b = b + self.mean @ U
        if self.basis is not None:
            U = self.basis.T @ U
        return Network(U * self.scale, b, a, c).balance(self.core.bias)

    def invert(self, network: Network) -> Network:
        """The way back: the same outputs, balanced."""
        U, b = network.hidden_weights / self.scale, network.hidden_bias
        if self.basis is not None:
            U = self.basis @ U
        if self.mean is not None:
            b = b - self.mean @ U
        if self.problem.bias == "penalized":
            U, b = U[:-1], U[-1]
        restored = Network(U, b, network.output_weights, network.output_bias)
        return restored.balance(self.problem.bias)


def _row_squares(A: Design) -> Array:
    if is_sparse(A):
        return np.asarray(A.multiply(A).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", A, A)


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
