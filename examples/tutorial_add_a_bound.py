"""Add a bound of your own: one more way to prove how good a network is.

A lower bound on training needs an UPPER bound of the gauge of a dual point Lam (n, C),

    g(Lam) = max_{||u|| <= 1} || sum_i Lam_i (x_i.u + b)_+ ||,

over all b where the bias is free.  Any number above it proves something; one below it proves what
is false.  The bound here is the triangle inequality,

    g(Lam) <= sum_i ||Lam_i|| reach_i,      reach_i at least (x_i.u + b)_+ of a neuron of norm one,

crude, but it needs no decomposition, and it beats the norm bound where few samples carry Lam.

A bound is one class with a name, the problems it applies to, and ``_bound``.  One that belongs into
the library is a file in ``gauge/`` and its name in a list of ``gauge/choose.py`` (CHEAP: sharpest
first; RELAXATIONS: those that move the dual point too).  The tests over those lists then hold it
against search, enumeration and the other bounds.

    python examples/tutorial_add_a_bound.py
"""

from __future__ import annotations

import numpy as np

from gapless import Problem, certify, train
from gapless.core.reduction import Reduction
from gapless.core.rounding import EPS
from gapless.gauge.base import GaugeBound, GaugeMethod
from gapless.gauge.choose import METHODS, gauge_bound


class Triangle(GaugeMethod):
    """``sum_i ||Lam_i|| reach_i``; cost O(n (k + C))."""

    name = "triangle"
    needs = "nothing"  # in words, for the sentence that refuses other problems

    def applies(self, core):
        """Whether the bound HOLDS, in reasonable time: it is not called otherwise."""
        return True

    def _bound(self, core, Lam):
        """From below (0: nothing was looked for) and from above, with the proof in words.

        ``core`` has no penalised bias: that is a column of the data there.  ``Problem.reach`` is
        rounded up already; the sum of n products is off by at most n roundings of itself, since
        nothing in it cancels.
        """
        sizes = np.linalg.norm(Lam, axis=1)
        upper = float(sizes @ core.reach) * (1 + (core.n_samples + Lam.shape[1] + 8) * EPS)
        return GaugeBound(0.0, upper, None, "triangle inequality")


class Hopeful(Triangle):
    """What must not happen: signs that cancel here need not where a neuron sees some samples."""

    name = "hopeful"

    def _bound(self, core, Lam):
        upper = float(np.linalg.norm(core.reach @ Lam))
        return GaugeBound(0.0, upper, None, "a sum too small")


def main() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = np.abs(X[:, 0])

    # 1. Hold it against the truth: in two dimensions the enumeration is exact.
    core = Reduction(Problem(X, y, "squared", 0.1, "none")).core
    ratios = []
    for _ in range(200):
        Lam = rng.standard_normal(core.Y.shape) * (rng.uniform(size=core.Y.shape) < 0.2)
        exact = gauge_bound(core, Lam, "low-rank").lower
        ratios.append(Triangle().bound(core, Lam).upper / exact)
    print(f"over the gauge: {min(ratios):.2f} to {max(ratios):.2f} times it, never below")

    # 2. Use it by name, everywhere a method is named.
    METHODS["triangle"] = Triangle()
    problem = Problem(X, y, "squared", 0.3, "none")
    network = train(problem).network
    for method in ("low-rank", "norm", "triangle"):
        answer = certify(network, X, y, weight_decay=0.3, bias="none", method=method)
        print(f"{method:9} proves a gap of {answer.relative_gap:7.2%}: {answer.proof}")

    # 3. See what the tests over the lists would catch.
    wrong = 0
    for _ in range(200):
        Lam = rng.standard_normal(core.Y.shape)
        wrong += Hopeful().bound(core, Lam).upper < gauge_bound(core, Lam, "low-rank").lower
    print(f"the hopeful bound is below the gauge in {wrong} of 200 cases: no bound")


if __name__ == "__main__":
    main()
