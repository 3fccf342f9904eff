"""Training of networks whose neurons look at one or two features: column generation, proven.

The objective is that of :mod:`gapless.core.problem`; only the neurons are fewer: unit directions
with one non-zero entry, or two for the pairs of features allowed.  The dual constraint is then

    max over groups S of  g(Lam; X_S) <= weight_decay,

and all else holds as for any neuron: weak duality (Ergen & Pilanci, JMLR 2021, Theorem 8) and an
optimum of finitely many neurons.  A gauge in one or two dimensions is known, so training ends with
a proof on tables of any width.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ..certificates.certify import certificate, with_best_bound
from ..certificates.proof_files import check_writable, write_proof
from ..core.checks import Array, positive
from ..core.constant import null_model
from ..core.network import Network
from ..core.problem import Problem, check_problem
from ..core.result import Certificate, History, Solution, Status, known
from ..core.threads import blas_threads
from ..core.watch import Watch
from ..gauge.base import Dual
from .descent import descend_neurons
from .neurons import Neurons
from .table import ColumnReduction, Table
from .weights import objective, solve_weights

# Rounds at most, and rounds without a gain of this share of the tolerance after which it gives up.
ROUNDS, PATIENCE, LITTLE = 300, 8, 1e-3
# Share of the tolerance that a gauge may lie above the weight decay in a proof.
ROOM = 0.3
# How far above the weight decay neurons of two features are looked for at first, of a network from
# elsewhere that is near, and the factor each time there are none.
SLACK, NEAR, FINER = 0.3, 0.02, 0.15
# Softening of kinks in the descent, as shares of that slack, in turn: new neurons have far to go,
# and where it is wide old ones stay beside their kinks.
WIDTHS = (0.3, 0.045, 0.007)
# Smoothing of hinge and pinball at first, and its factor each time it is what keeps the gap open.
SMOOTHING, SHARPER = 0.3, 0.4
# Accuracy of the master: the square of this share of the gap at hand, or of a wide one, as weights
# that are off by so much have a dual point that is, and an objective by the square of it.  Of pairs
# a wide one is still small: neurons of two features are many and alike, and at a weight decay far
# below the loss those at hand would look above it, and be moved, for no reason.
MASTER, WIDE, WIDE_PAIRS = 0.03, 0.1, 3e-3
# More exact where a round gained little: that it is at most this share of the gain.
GAINED = 0.1
# More rows than this start from the network of a tenth: for neurons of one and of two features.
MANY_ROWS, MANY_ROWS_PAIRS = 50_000, 4000
COARSE_TOL = 1e-2


def _readable(certificate: ReadableCertificate) -> str:
    """The networks that are trained, in words."""
    how = "one feature" if certificate.features == 1 else "the features allowed"
    how += ", with effects that rise and fall as asked," if certificate.monotone else ""
    if certificate.price > 1:
        how += f", where weights of those of two cost {certificate.price:.3g} times as much,"
    return f"network whose neurons look at {how}"


@dataclass(frozen=True)
class ReadableCertificate(Certificate):
    """How far a network can be from the best one, of any width, whose neurons look at few features.

    Attributes
    ----------
    features : {1, 2}
        At how many a neuron may look.
    monotone : bool
        Whether effects of features had to rise or fall.
    price : float
        How many times as much as one of one feature a neuron of two costs in the objective.
    """

    features: int
    monotone: bool = False
    price: float = 1.0

    def __str__(self) -> str:
        return known(self.relative_gap, other=_readable(self))


@dataclass(frozen=True, eq=False, repr=False)
class ReadableSolution(Solution):
    """A solution among the networks whose neurons look at one feature, or at two.

    Attributes
    ----------
    features : {1, 2}
        At how many a neuron may look; what is proven is about networks of such neurons.
    """

    certificate: ReadableCertificate
    features: int

    @property
    def known(self) -> str:
        """What is proven, in one sentence."""
        certificate, seconds = self.certificate, self.history.proven_after()
        return known(certificate.relative_gap, seconds, _readable(certificate))


def train_readable(
    problem: Problem,
    interactions: Any = 0,
    *,
    tol: float = 1e-3,
    time_limit: float | None = None,
    init: Network | None = None,
    monotone: Mapping[int, int] | None = None,
    proof: str | os.PathLike[str] | None = None,
    price: float = 1.0,
) -> ReadableSolution:
    """The best network whose neurons look at one feature each, or at pairs, with its proof.

    Parameters
    ----------
    problem : Problem
        Any loss, weights, several outputs.  The penalty depends on the units of the features:
        standardise them.
    interactions : 0, "pairs" or list of (int, int), default 0
        0: every neuron looks at one feature, so the network is a sum of linear splines, one a
        feature (of several outputs: with common kinks).  "pairs": at any two; a list: at those two.
    tol : float, default 1e-3
        Proven relative gap to reach.
    time_limit : float, optional
        Seconds.
    init : Network, optional
        Warm start, of neurons of two features at most.
    monotone : mapping of int to {1, -1}, optional
        Features whose effect must rise (1) or fall (-1), everywhere, beyond the data too: one
        output, a free bias and neurons of one feature.  The proof is about networks of such
        effects, by multipliers of that constraint (:mod:`gapless.readable.monotone`).
    proof : path, optional
        A file for the lower bound that :func:`gapless.verify` checks with NumPy alone.  It is
        checked so before it is written, which ``time_limit`` does not count: of pairs it takes
        minutes where rows are thousands.
    price : float, default 1
        How many times as much as one of one feature a neuron of two costs, at least 1: its penalty
        is ``price ||u|| ||a||`` in place of ``||u|| ||a||``.

    Returns
    -------
    ReadableSolution
        ``status`` says whether ``tol`` was reached, ``certificate`` what is proven: of all networks
        with such neurons.

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.
    ValueError
        For other interactions, a ``tol`` or ``time_limit`` that is not positive, data too large
        for an exact gauge (penalised bias with pairs on more than 20,000 rows), and monotone
        effects beside pairs, several outputs, another bias rule or ``init``; for a ``proof`` of
        numbers beyond 1e-60 and 1e60 or another loss than the six, and where nothing was proven.

    References
    ----------
    T. Ergen and M. Pilanci, "Convex Geometry and Duality of Over-parameterized Neural Networks",
    JMLR 22, 2021: Lemma 6, Corollary 3, Theorems 8 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem, train_readable
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = np.abs(X[:, 0]) + np.maximum(X[:, 1], 0)
    >>> solution = train_readable(Problem(X, y, weight_decay=0.01))
    >>> solution.status.name, bool(solution.certificate.relative_gap <= 1e-3)
    ('OPTIMAL', True)
    """
    check_problem(problem)
    tol, watch = positive("tol", tol), Watch.of(time_limit)
    return solve_readable(problem, interactions, tol, watch, init, monotone, proof, price)


def solve_readable(
    problem: Problem,
    interactions: Any,
    tol: float,
    watch: Watch,
    init: Network | None,
    monotone: Mapping[int, int] | None = None,
    proof: str | os.PathLike[str] | None = None,
    price: float = 1.0,
) -> ReadableSolution:
    """:func:`train_readable` until ``watch`` ends it."""
    if proof is not None:
        check_writable(problem)
    with blas_threads(1):
        table = Table(problem, interactions, monotone, price)
        if monotone and init is not None:
            raise ValueError("init is a network, whose effects may not be monotone: leave out")
        many = MANY_ROWS_PAIRS if len(table.pairs) else MANY_ROWS
        if init is None and problem.n_samples > many and not monotone:
            init = _of_some_rows(problem, (interactions, None, price), many, watch)
        start = None if init is None else table.neurons_of(init)
        fit = Fit(table, problem.weight_decay, tol, start)
        solution = fit.run(watch)
    if proof is not None:
        if fit.dual is None:
            raise ValueError("nothing is proven yet that a file could hold: allow more time")
        Lam, bound = fit.dual
        unit = table.reduction.scale / ColumnReduction(problem).scale
        write_proof(proof, problem, Lam, replace(bound, upper=bound.upper * unit))
    return solution


def some_rows(problem: Problem, count: int) -> Array:
    """So many rows by chance, by number; a class too rare for them keeps one."""
    rows = np.sort(np.random.default_rng(0).choice(problem.n_samples, count, False))
    if problem.loss.targets == "onehot":
        rows = np.union1d(rows, [int(np.argmax(column)) for column in problem.Y.T])
    return rows


def _of_some_rows(problem: Problem, how: tuple[Any, ...], many: int, watch: Watch) -> Network:
    """The network of a tenth of the rows, found from that of a tenth of these, and so on.

    ``how`` is what tables are made with beside a problem.
    """
    rows = some_rows(problem, max(many // 4, problem.n_samples // 10))
    part, start = problem.of_samples(rows), None
    table = Table(part, *how)
    if len(table.pairs):  # they fit chance: larger by as much as it makes gauges (see path.py)
        larger = np.sqrt(problem.n_samples / len(rows))
        part = part.variant(part.loss, problem.weight_decay * larger)
    if len(rows) > many:
        start = table.neurons_of(_of_some_rows(part, how, many, watch))
    return Fit(table, part.weight_decay, COARSE_TOL, start).run(watch).network


#: neurons, output weights (m, n_outputs), output bias (n_outputs,)
Weighted: TypeAlias = tuple[Neurons, Array, Array]


def _nothing(core: Problem) -> Weighted:
    """No neurons, and the best constant."""
    return Neurons.none(), np.zeros((0, core.n_outputs)), null_model(core)


class Fit:
    """One weight decay on a table; the neurons at hand, their weights and what is proven.

    Parameters
    ----------
    table : Table
    weight_decay : float
        In the units of the table's problem.
    tol : float
    start : (Neurons, output weights, output bias), optional
        On the table's columns.
    """

    def __init__(
        self,
        table: Table,
        weight_decay: float,
        tol: float,
        start: Weighted | None = None,
    ) -> None:
        reduction, self.table, self.tol = table.reduction, table, tol
        beta = weight_decay * reduction.decay
        self.core = table.core.variant(table.core.loss, beta)
        self.problem = table.problem.variant(table.problem.loss, weight_decay)
        self.smoothing = SMOOTHING
        self.best = start or _nothing(self.core)
        self.neurons, self.a, self.c = self.best
        self.F = self.neurons.outputs(table.X, self.a, self.c)
        self.value = objective(self.core, self.F, self.a)
        least = self.core.loss.infimum
        self.certificate = Certificate(self.value, least, least, "the infimum of the loss")
        self.dual: Dual | None = None  # that proves the bound
        self.history, self.slack = History(), SLACK if start is None else NEAR
        self.first, self.past = self.value, [self.value]

    @property
    def smooth(self) -> Problem:
        """The problem that the master solves: hinge and pinball smoothed."""
        return self.core.variant(self.core.loss.smoothed(self.smoothing), self.core.weight_decay)

    def run(self, watch: Watch) -> ReadableSolution:
        """Rounds of look, proof and master until the gap is met or ``watch`` is due."""
        if len(self.neurons):
            self._improve(self.neurons, watch)
        status = None
        for _ in range(ROUNDS):
            status = watch.over or self._round(watch)
            if status:
                break
        return self._solution(status or Status.ITERATION_LIMIT, watch)

    def _round(self, watch: Watch) -> Status | None:
        """One round; the status of a fit that has to end."""
        beta = self.core.weight_decay
        Lam = self.smooth.dual_point(self.F)
        limit, coarse = beta * (1 + ROOM * self.tol), beta * (1 + self.slack)
        look = self.table.look(Lam, limit, watch.due, self.neurons, coarse)
        new = certificate(self.core, self.value, Lam, look.bound, look.bound.lower)
        if look.bound.upper <= coarse * (1 + 1e-6):  # a sweep that found nothing: a finer one next
            self.slack *= min(max(FINER, 0.9 * self.tol / max(new.relative_gap, self.tol)), 0.5)
        if new.lower_bound >= self.certificate.lower_bound:
            self.dual = Lam, look.bound
        self.certificate = with_best_bound(self.certificate, new)
        self.history.n_rounds += 1
        self._record(watch)
        if self.certificate.relative_gap <= self.tol:
            return Status.OPTIMAL
        if not np.isfinite(self.value):
            return Status.NUMERICAL_ERROR
        finer = self._sharpen(new.relative_gap, look.bound.upper / beta - 1)
        before = self.value
        self._improve(Neurons.joined([self.neurons, look.neurons]), watch)
        self.past.append(self.value)
        gained = self.past[-1 - min(PATIENCE, len(self.past) - 1)] - self.value
        stuck = gained <= LITTLE * self.tol * abs(before) and len(self.past) > PATIENCE
        return Status.STALLED if stuck and not finer else None

    def _sharpen(self, open_: float, above: float) -> bool:
        """Less smoothing where that is what keeps the gap open; whether there is any to take.

        ``open_`` is the gap that this round alone proves, ``above`` how far the gauge is above the
        weight decay: as long as that is most of it, the master has not done with this smoothing.
        """
        if not self.core.loss.sharp:
            return False
        outputs, gap = self.core.n_outputs, self.certificate.gap
        least = 0.25 * self.tol * max(abs(self.value), 0.1 * abs(self.first)) / outputs
        if self.smoothing <= least:
            return False
        settled = above <= 0.5 * open_ and gap <= 2 * self.smoothing * outputs
        if settled or self.history.n_rounds % 4 == 0:
            self.smoothing = max(SHARPER * self.smoothing, least)
        return True

    def _improve(self, neurons: Neurons, watch: Watch) -> None:
        """The master over these neurons, of which the first are those at hand; then all descend."""
        a: Array = np.zeros((len(neurons), self.core.n_outputs))
        a[: len(self.a)] = self.a
        distinct = neurons.distinct()
        self._weigh(neurons.take(distinct), a[distinct], self.c, watch)
        if len(self.table.pairs) and self.core.free and not watch.due():
            self._weigh(*self._descended(watch), watch)
        value = objective(self.core, self.F, self.a)
        if value < self.value:
            self.best, self.value = (self.neurons, self.a, self.c), value
            self.certificate = replace(self.certificate, objective=value)

    def _weigh(self, neurons: Neurons, a: Array, c: Array, watch: Watch) -> None:
        """The best weights of these neurons, from ``a`` and ``c``; those left are at hand."""
        wide = WIDE_PAIRS if len(self.table.pairs) else WIDE
        gap = max(self.tol, min(self.certificate.relative_gap, wide))
        accuracy = (MASTER * gap) ** 2
        if len(self.past) > 1:
            gained = (self.past[-2] - self.past[-1]) / abs(self.value)
            accuracy = min(accuracy, max(GAINED * gained, (MASTER * self.tol) ** 2))
        accuracy *= self.smoothing if self.core.loss.sharp else 1.0
        X = self.table.X
        signs = self.table.signs(neurons)
        a, self.c = solve_weights(self.smooth, X, neurons, a, c, accuracy, watch.due, signs)
        used = np.flatnonzero(np.any(a != 0, axis=1))
        self.neurons, self.a = neurons.take(used), a[used]
        self.F = self.neurons.outputs(X, self.a, self.c)

    def _descended(self, watch: Watch) -> Weighted:
        """The neurons at hand after a joint descent, where that brings anything."""
        smooth, X = self.smooth, self.table.X
        at_hand: Weighted = (self.neurons, self.a, self.c)
        width = WIDTHS[self.history.n_rounds % len(WIDTHS)] * self.slack
        moved = descend_neurons(smooth, X, *at_hand, width, watch.due)
        before = objective(smooth, self.F, self.a)
        after = objective(smooth, moved[0].outputs(X, *moved[1:]), moved[1])
        return moved if after < before else at_hand

    def _record(self, watch: Watch) -> None:
        proven = self.table.reduction.certificate(self.certificate)
        self.history.record(watch.seconds, proven, len(self.best[0]))

    def _solution(self, status: Status, watch: Watch) -> ReadableSolution:
        network = self.table.network(*self.best)
        value = self.table.spread(network).objective(self.problem)
        proven = replace(self.table.reduction.certificate(self.certificate), objective=value)
        if not np.isfinite(value):
            status = Status.NUMERICAL_ERROR
        elif not status.unfinished:
            status = Status.of_gap(proven.relative_gap, self.tol) or Status.STALLED
        elif proven.relative_gap <= self.tol:
            status = Status.OPTIMAL
        self.history.record(watch.seconds, proven, network.n_neurons)
        monotone, widest = bool(np.any(self.table.monotone)), self.table.widest
        stated = ReadableCertificate(
            **vars(proven), features=widest, monotone=monotone, price=self.table.price
        )
        return ReadableSolution(network, stated, status, self.history, widest)
