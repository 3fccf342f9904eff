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

from ._array import Design, is_sparse
from ._validate import Array
from .network import Network
from .problem import Problem

# Sparse designs up to this many numbers (32 MiB) are faster dense.
DENSE = 1 << 22
# Dense designs up to this many numbers are sorted: a second for the largest.
CANONICAL = 1 << 24


class Reduction:
    """``core`` with ``apply`` and ``invert`` for networks."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        A, Y, weights = problem.design, problem.Y, problem.sample_weight
        if is_sparse(A) and (A.shape[1] > A.shape[0] or A.shape[0] * A.shape[1] <= DENSE):
            A = A.toarray()
        if not is_sparse(A) and A.size <= CANONICAL:
            A, Y, weights = _canonical(A, Y, weights)
        n, k = A.shape
        self.mean: Array | None = None
        self.basis: Array | None = None  # (k, n) orthonormal columns spanning the rows
        if problem.free and not is_sparse(A):
            self.mean = weights @ A
            A = A - self.mean
        if k > n:
            self.basis, R = np.linalg.qr(A.T)
            A = R.T
        # Unit root-mean-square rows: nothing overflows, and absolute thresholds have a meaning.
        peak = float(np.max(np.abs(A.data if is_sparse(A) else A), initial=0.0)) or 1.0
        A = A / peak
        self.scale = peak * (float(np.sqrt(weights @ _row_squares(A))) or 1.0)
        A = A * (peak / self.scale)
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
                U = np.hstack([U, np.eye(len(U))[:, -1:]])
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
    return np.asarray(A.multiply(A).sum(axis=1)).ravel() if is_sparse(A) else np.sum(A * A, axis=1)


def _canonical(A: Array, Y: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Rows sorted, those equal in both ``A`` and ``Y`` merged with their weights added."""
    order = np.lexsort(np.hstack([Y, A]).T)
    A, Y, weights = A[order], Y[order], weights[order]
    first = np.ones(len(A), dtype=bool)
    first[1:] = np.any(A[1:] != A[:-1], axis=1) | np.any(Y[1:] != Y[:-1], axis=1)
    if first.all():
        return A, Y, weights
    return A[first], Y[first], np.add.reduceat(weights, np.flatnonzero(first))
