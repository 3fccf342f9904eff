"""From the problem as given to the problem as solved, and back.

The solvers see a *core* problem: no penalised bias (its constant column is part of the
design), dense data centred when the bias is free (the hidden biases absorb the shift), and
wide data replaced by their coordinates in the row space (a direction orthogonal to every
sample only costs penalty).  None of the three changes the optimal value.
"""

from __future__ import annotations

import numpy as np

from ._array import is_sparse
from ._validate import Array
from .network import Network
from .problem import Problem


class Reduction:
    """``core`` with ``apply`` and ``invert`` for networks."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        A = problem.design
        n, k = A.shape
        self.mean: Array | None = None
        self.basis: Array | None = None  # (k, n) orthonormal columns spanning the rows
        if is_sparse(A) and k > n:
            A = A.toarray()
        if problem.free and not is_sparse(A):
            self.mean = problem.sample_weight @ A
            A = A - self.mean
        if k > n:
            self.basis, R = np.linalg.qr(A.T)
            A = R.T
        self.core = Problem(
            A,
            problem.Y,
            problem.loss,
            problem.weight_decay,
            "free" if problem.free else "none",
            problem.sample_weight,
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
        return Network(U, b, a, c).balance(self.core.bias)

    def invert(self, network: Network) -> Network:
        """The way back; exact, whatever the network."""
        U, b = network.hidden_weights, network.hidden_bias
        if self.basis is not None:
            U = self.basis @ U
        if self.mean is not None:
            b = b - self.mean @ U
        if self.problem.bias == "penalized":
            U, b = U[:-1], U[-1]
        return Network(U, b, network.output_weights, network.output_bias)
