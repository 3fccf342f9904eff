"""Second moments of many or wide samples: the largest eigenvalues, and proven distances.

    S = 1/n sum_i (x_i - m)^T (x_i - m)

is kept as the smallest of what represents it: a matrix (d, d), the rows ``(x_i - m) / sqrt(n)``
where there are fewer of them, or, beyond :data:`LARGE`, only the way to multiply by it.  Samples
are read in blocks, so that they may be memory-mapped images of bytes.

Rounding.  A sum of n products is off by at most n EPS times the sum of their sizes, in any order,
so S is off in norm by at most ``(n + 8) EPS trace(S)``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import eigsh

from ..core.arrays import row_blocks
from ..core.checks import Array
from ..core.rounding import EPS

# Matrices of more rows are neither formed nor factorised: half a gigabyte, a minute.
LARGE = 8192
# From here on a few eigenvectors by Lanczos are faster than all.
ALL = 1024
# Of subspace iteration: directions beside those asked for, and passes over the data.
BESIDE, PASSES = 16, 6
# How far above the computed norm it is first tried to be proven: relative, each in turn.
SLACK = (1e-11, 1e-8, 1e-4, 1e-2)
# To which an iteration estimates a norm, relative.
ROUGH = 1e-5


def centred_blocks(X: Array, mean: Array) -> Iterator[Array]:
    """The rows of ``X - mean`` as float64, a block at a time."""
    for rows in row_blocks(*X.shape):
        yield X[rows].astype(np.float64) - mean


def column_means(X: Array) -> Array:
    """The mean of the rows (d,), of any numbers, a block at a time."""
    return sum(block.sum(axis=0) for block in centred_blocks(X, np.zeros(X.shape[1]))) / len(X)


class SecondMoment:
    """The second moment of samples about a point; see the module.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of floats or bytes.
    mean : array of shape (n_features,)
        The point.

    Attributes
    ----------
    trace : float
    rounding : float
        What S may be off by in norm.
    terms : int
        Products that a number of :meth:`times` sums.
    """

    def __init__(self, X: Array, mean: Array) -> None:
        self.X, self.mean = X, mean
        n, d = X.shape
        self.matrix: Array | None = None
        self.rows: Array | None = None
        if n < d and n <= LARGE:
            self.rows = (X.astype(np.float64) - mean) / np.sqrt(n)
            self.trace = float(np.sum(self.rows * self.rows))
        elif d <= LARGE:
            self.matrix = np.zeros((d, d))
            for block in centred_blocks(X, mean):
                self.matrix += block.T @ block
            self.matrix /= n
            self.trace = float(np.trace(self.matrix))
        else:
            self.trace = sum(float(np.sum(b * b)) for b in centred_blocks(X, mean)) / n
        self.rounding = (n + 8) * EPS * self.trace
        self.terms = d + 8 if self.matrix is not None else n + d + 8

    def times(self, V: Array) -> Array:
        """``S V`` (n_features, k)."""
        if self.matrix is not None:
            return self.matrix @ V
        if self.rows is not None:
            return self.rows.T @ (self.rows @ V)
        blocks = centred_blocks(self.X, self.mean)
        return sum(block.T @ (block @ V) for block in blocks) / len(self.X)

    def leading(
        self, count: int | None, floor: float, rng: np.random.RandomState
    ) -> tuple[Array, Array, float]:
        """The largest eigenvalues with their eigenvectors, and the one that follows.

        Parameters
        ----------
        count : int or None
            How many; or all those
        floor : float
            above this.
        rng : RandomState
            Of where an iteration starts.

        Returns
        -------
        values : array of shape (k,)
            Falling, positive.
        vectors : array of shape (n_features, k)
        following : float
            The next eigenvalue, 0 where there is none.
        """
        rank = min(self.X.shape)
        wanted = rank if count is None else min(count, rank)
        if self._small or (count is None and floor <= 0) or wanted > rank // 4:
            values, vectors = self._all()
        else:
            values, vectors = self._some(min(wanted + 1, rank), rng)
        if count is None:
            wanted = int(np.sum(values > max(floor, 0.0)))
        following = float(values[wanted]) if wanted < len(values) else 0.0
        kept = values[:wanted] > 0
        return values[:wanted][kept], vectors[:, :wanted][:, kept], max(following, 0.0)

    @property
    def _small(self) -> bool:
        return min(self.X.shape) <= ALL

    def _all(self) -> tuple[Array, Array]:
        if self.matrix is not None:
            values, vectors = scipy.linalg.eigh(self.matrix, driver="evd")
            return values[::-1], vectors[:, ::-1]
        if self.rows is None:
            raise ValueError(
                f"all components of {self.X.shape} samples are too many; give n_components"
            )
        _, s, Vt = scipy.linalg.svd(self.rows, full_matrices=False)
        return s * s, Vt.T

    def _some(self, count: int, rng: np.random.RandomState) -> tuple[Array, Array]:
        """By Lanczos on the matrix where there is one, else by randomised subspace iteration."""
        if self.matrix is not None:
            start = rng.standard_normal(len(self.matrix))
            values, vectors = eigsh(self.matrix, count, which="LA", v0=start)
            return values[::-1], vectors[:, ::-1]
        d = self.X.shape[1]
        Q = rng.standard_normal((d, min(count + BESIDE, *self.X.shape)))
        for _ in range(PASSES):
            Q = scipy.linalg.qr(self.times(scipy.linalg.qr(Q, mode="economic")[0]),
                                mode="economic")[0]  # fmt: skip
        values, turn = scipy.linalg.eigh(Q.T @ self.times(Q))
        return values[::-1], Q @ turn[:, ::-1]

    def distance(self, R: Array, guess: float) -> float:
        """A proven upper bound of ``||S - R^T R||_2`` for rows R (k, n_features).

        ``guess`` as for :func:`proven_norm`.
        """
        size = self.trace + float(np.sum(R * R))
        charge = self.rounding + (len(R) + 8) * EPS * size
        if self.matrix is not None:
            return proven_norm(self.matrix - R.T @ R, guess) + charge
        if self.rows is None:
            return self._trace_bound(R) + charge
        both = np.vstack([self.rows, R])
        if len(both) >= both.shape[1]:
            return proven_norm(self.rows.T @ self.rows - R.T @ R, guess) + charge
        # in the row space of both: S - R^T R = Q (T diag(1, -1) T^T) Q^T for both^T = Q T
        T = scipy.linalg.qr(both.T, mode="r")[0][: len(both)]
        signs = np.repeat([1.0, -1.0], [len(self.rows), len(R)])
        return proven_norm((T * signs) @ T.T, guess) + charge + 32 * sum(both.shape) * EPS * size

    def _trace_bound(self, R: Array) -> float:
        """Where S is never formed: what R leaves is bounded by its trace, on R's row space apart.

        With Q an orthonormal basis of the rows of R and P = Q Q^T: ``||S - R^T R||`` is at most the
        larger of ``||Q^T (S - R^T R) Q||`` and ``trace((1-P) S (1-P))`` plus ``||(1-P) S Q||``.
        """
        Q = scipy.linalg.qr(R.T, mode="economic")[0]
        SQ, B = self.times(Q), R @ Q
        inside = Q.T @ SQ
        beside = float(np.linalg.norm(SQ - Q @ inside))
        rest = max(self.trace - float(np.trace(inside)), 0.0)
        lost = 32 * (self.terms + len(R)) * EPS * (self.trace + float(np.sum(R * R)))
        return max(proven_norm((inside + inside.T) / 2 - B.T @ B), rest) + beside + lost


def proven_norm(A: Array, guess: float = 0.0) -> float:
    """An upper bound of ``||A||_2`` for symmetric A, whatever the eigenvalue routine said.

    ``t I - A`` and ``t I + A`` have Cholesky factors, which shows that their eigenvalues are above
    ``-(d + 4) EPS trace`` (Demmel 1989; Rump 2006).  A ``guess`` that holds, as of a closed form,
    is found first, and an estimate is not needed: many eigenvalues of that size are what an
    iteration finds slowly.
    """
    d = len(A)
    if d == 0 or not np.any(A):
        return 0.0
    if guess > 0 and (bound := _bounded(A, guess * (1 + SLACK[0]))) is not None:
        return bound
    if d <= ALL:
        norm = float(np.abs(scipy.linalg.eigvalsh(A)).max())
    else:
        found = eigsh(A, 1, which="LM", v0=np.ones(d), tol=ROUGH, return_eigenvectors=False)
        norm = float(np.abs(found[0]))
    bounds = (_bounded(A, norm * (1 + slack)) for slack in SLACK)
    return next((b for b in bounds if b is not None), float(np.linalg.norm(A)) * (1 + d * d * EPS))


def _bounded(A: Array, level: float) -> float | None:
    """``level`` with its rounding where it bounds ``||A||_2``, else None."""
    d = len(A)
    try:
        for sign in (1.0, -1.0):
            scipy.linalg.cholesky(level * np.eye(d) + sign * A, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    return level + (d + 4) * EPS * (d * level + abs(float(np.trace(A))))
