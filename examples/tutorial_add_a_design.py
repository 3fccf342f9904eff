"""Add a design of your own: samples that are no table of numbers.

A solver needs of its samples A only what hidden directions do with them: scores ``A U``, the way
back ``A^T G``, two Gram matrices, norms, and some of the rows.  A class that computes these may
store whatever it likes.  Here each sample is one of k categories, a row of zeros but for one
entry: a matrix of n x k numbers for what n whole numbers say.

gapless stores nothing of a design, asks no design for its class, and takes one in place of X
wherever a problem is made.  A design that belongs into the library goes into
``core/design.py`` (``design_of`` says for which X), with its name in ``DESIGNS`` of
tests/core/test_design.py, which holds it against its own array: this one is in that list.

    python examples/tutorial_add_a_design.py
"""

from __future__ import annotations

import numpy as np

from gapless import Problem, certify, train
from gapless.core.design import Design


class Categories(Design):
    """Sample i is ``size`` in column ``codes[i]`` of k, followed by a column of ``one`` if any."""

    dense = False  # samples may not be moved: their zeros would be lost

    def __init__(self, codes, k, size=1.0, one=None):
        self.codes, self.k, self.one = np.asarray(codes), k, one
        # a number of this type makes scores of this type: single precision stays single
        self.value = np.asarray(size)[()] if isinstance(size, np.floating) else np.float64(size)
        self.shape = (len(self.codes), k + (one is not None))

    # What solvers ask for in each step.

    def scores(self, U, b=None):
        S = self.value * U[self.codes]
        if self.one is not None:
            S += self.one * U[-1]
        if b is not None:
            S += b
        return S

    def pull_back(self, G):
        columns = G.reshape(len(G), -1).T
        sums = np.stack([np.bincount(self.codes, g, self.k) for g in columns], axis=1)
        back = self.value * sums.astype(G.dtype)
        if self.one is not None:
            back = np.vstack([back, self.one * columns.sum(axis=1)])
        return back.reshape(len(back), *G.shape[1:])

    def dense_rows(self, index):
        codes = self.codes[index]
        A = np.zeros((len(codes), self.shape[1]))
        A[np.arange(len(codes)), codes] = self.value
        if self.one is not None:
            A[:, -1] = self.one
        return A

    # What proofs ask for once.

    def gram(self):
        return self.pull_back(self.array())

    def kernel(self):
        return self.scores(self.array().T)

    def row_norms(self):
        return np.full(len(self), np.hypot(self.value, self.one or 0.0))

    def mean(self):
        return self.pull_back(np.full(len(self), 1 / len(self)))

    def spread(self):
        return float(self.row_norms().max() + np.linalg.norm(self.mean()))

    # Other samples, units, precision.

    def rows(self, index):
        return Categories(self.codes[index], self.k, self.value, self.one)

    def scaled(self, t):
        one = None if self.one is None else t * self.one
        return Categories(self.codes, self.k, t * self.value, one)

    def with_ones(self):
        return Categories(self.codes, self.k, self.value, 1.0)

    def astype(self, dtype):
        one = None if self.one is None else dtype(self.one)
        return Categories(self.codes, self.k, dtype(self.value), one)


def main() -> None:
    # 30,000 purchases in 200 shops.  As a table these are six million numbers; here 30,000.
    rng = np.random.default_rng(0)
    shop = rng.integers(200, size=30_000)
    effect = np.maximum(rng.standard_normal(200), 0.0)
    y = effect[shop] + 0.5 * rng.standard_normal(30_000)
    X = Categories(shop, 200)

    problem = Problem(X, y, "squared", weight_decay=0.01, bias="none")
    solution = train(problem, max_iter=3)
    print(f"objective {solution.certificate.objective:.4f} with "
          f"{solution.network.n_neurons} neurons")  # fmt: skip

    # Rows of one entry are orthogonal or parallel: the data are spike-free, and at most two neurons
    # are needed, one for what is positive and one for what is negative: the shops' means, shrunk.
    learned = solution.network.predict(Categories(np.arange(200), 200))[:, 0]
    print(f"correlation with the effects {np.corrcoef(learned, effect)[0, 1]:.3f}")
    again = certify(solution.network, X, y, weight_decay=0.01, bias="none", time_limit=2)
    print(f"proven: no network of any width is below {again.lower_bound:.4f}")


if __name__ == "__main__":
    main()
