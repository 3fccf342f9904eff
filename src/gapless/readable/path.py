"""The choice of a weight decay for networks of readable neurons, and of a price for pairs.

At one price for all, dozens of planes fit noise where a few lines would do.  So lines come first,
at their best weight decay; then the price of pairs falls from where the first of them pays, and
last the weight decay falls at the best price.  Each network starts from the one before, which is
near, and those of many pairs, which take long, are reached only where fewer were better.

Of more than :data:`ROWS_LINES` rows folds train lines on so many, drawn by chance, and of more than
:data:`ROWS` pairs, and the lines that these are compared with; what is held out stays as it is.
What chance adds to a gauge falls with the root of the rows, so a weight decay is as much larger
there as the root of the rows is smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array
from ..core.constant import null_dual_point
from ..core.network import Network
from ..core.problem import Problem
from ..core.threads import blas_threads
from ..core.watch import Watch
from .solve import SMOOTHING, Fit, Weighted, some_rows
from .table import Table

# The grid of weight decays, as shares of the least that leaves only a constant: every second value
# is tried, then those beside the best.  Its steps go on below the last where the loss of the folds
# still falls.
VALUES, LEAST = 17, 3e-4
# Prices of pairs: so far apart, and so many at most.
STEP, PRICES = 1.5, 10
# Gap of the networks that only rank values.
RANKING = 3e-2
# Values without a better one after which a walk ends: weight decays of the grid, prices, and the
# weight decays below the grid or with pairs, of which the smallest take most of the time.
PATIENCE, PATIENCE_PRICES, PATIENCE_SMALL = 1, 2, 1
# Those of lines where not all of them clearly lose more.
ENDURANCE = 3
# Share of what a constant loses that a value below the grid or with pairs has to gain to count as
# better, or to lose for the walk to end at once.
LITTLE = 5e-4
# Rows of a fold that lines and pairs are trained on.
ROWS_LINES, ROWS = 50_000, 4000
# Numbers of X in all folds up to which all their tables are held at once, and values that a table
# which is not stays for.
HELD, AT_ONCE = 1 << 24, 3

#: a weight decay, and the price of a pair; infinite: no pairs
Value: TypeAlias = tuple[float, float]
#: some of the samples by number, and what each weighs
Part: TypeAlias = tuple[Array, Array]


def flat_weight_decay(table: Table) -> float:
    """The least weight decay found at which the best network is a constant.

    The gauge of the constant's dual point; of hinge and pinball that of their smoothed kin, which
    is about as much.

    Parameters
    ----------
    table : Table

    Returns
    -------
    float
        In the units of the table's problem; 1 where a constant fits for ever.
    """
    core = table.core.variant(table.core.loss.smoothed(SMOOTHING), 1.0)
    gauge = table.largest(null_dual_point(core))
    return gauge / table.reduction.decay if gauge > 0 else 1.0


class Walk:
    """What held-out folds lose at one value after the other.

    All folds walk together and end when their mean loss has risen for good: what one fold alone
    finds too small may still be the best for the others.  Of large tables one is held at a time and
    sorted anew for every :data:`AT_ONCE` values.

    Parameters
    ----------
    problem : Problem
        Its weight decay is not used.
    interactions : 0, "pairs" or list of pairs
    folds : sequence of (training part, validation part)
        Each samples by number, and their weights.
    watch : Watch
        Values that it cuts short have no losses.
    callback : callable, optional
        Called with (values done, values in all) now and then.
    monotone : mapping of int to {1, -1}, optional
        As of :func:`gapless.train_readable`.

    Attributes
    ----------
    values : list of (weight decay, price)
        In the order in which they were tried.
    losses : array of shape (n_folds, n_values)
        NaN where the time was over.
    """

    def __init__(
        self,
        problem: Problem,
        interactions: Any,
        folds: Sequence[tuple[Part, Part]],
        watch: Watch,
        callback: Callable[[int, int], object] | None = None,
        monotone: Mapping[int, int] | None = None,
    ) -> None:
        self.problem, self.watch, self.callback = problem, watch, callback
        self.how = interactions, monotone
        held = problem.n_samples * problem.n_features * len(folds) <= HELD
        self.folds = [_Fold(problem, self.how, parts, held) for parts in folds]
        self.values: list[Value] = []
        self.losses = np.zeros((len(folds), 0))
        #: of each fold at the best value so far
        self.networks: list[Network | None] = [None] * len(folds)
        self.n_lines, self.cut_short = 0, False
        #: the first value that the folds have seen as they are now
        self.since = 0

    @property
    def best(self) -> int:
        """The number of the value of least mean loss among those that every fold has."""
        return self._least(self.since, len(self.values))

    def _least(self, first: int, last: int) -> int:
        """The best of some values; the middle one where nothing is known."""
        total = self.losses[:, first:last].sum(axis=0)
        unknown = not self.folds or np.all(np.isnan(total))
        return first + (len(total) // 2 if unknown else int(np.nanargmin(total)))

    def choice(self, named: bool) -> int:
        """The number of the value to take: with pairs if they are ``named``, or clearly better.

        That is by more than the standard error of the gain over the folds.
        """
        line = self._least(self.since, self.n_lines)
        if len(self.values) == self.n_lines:
            return line
        pair = self._least(self.n_lines, len(self.values))
        gains = self.losses[:, line] - self.losses[:, pair]
        return pair if named or _clear(gains) else line

    def lines(self) -> None:
        """Falling weight decays of neurons of one feature, coarse and then fine."""
        for fold in self.folds:
            fold.thin(ROWS_LINES)
        top = flat_weight_decay(Table(self.problem, 0, self.how[1]))
        steps = top * LEAST ** (np.arange(2 * VALUES) / (VALUES - 1))
        values = [(value, np.inf) for value in steps.tolist()]
        self.along(values[:VALUES:2], PATIENCE)
        best = 2 * self.best
        if not self.watch.due():
            self.along([values[k] for k in (best - 1, best + 1) if 0 <= k < VALUES], ENDURANCE)
        self.n_lines = len(self.values)
        # pairs fit what is left from a weight decay that still leaves them few neurons
        if self.values[self.best] == values[VALUES - 1] and not self.how[0]:
            self.along(values[VALUES:], PATIENCE_SMALL)
            self.n_lines = len(self.values)
        order = np.argsort([-weight_decay for weight_decay, _ in self.values])
        self.values, self.losses = [self.values[k] for k in order], self.losses[:, order]

    def pairs(self) -> None:
        """From the best lines: falling prices of pairs, then falling weight decays."""
        weight_decay, _ = self.values[self.best]
        for fold in self.folds:
            fold.thin(ROWS)
        if self._larger > 1:
            self.since = len(self.values)
            self.along([(weight_decay, np.inf)], PATIENCE)
            self.n_lines = len(self.values)
        self.along([(weight_decay, price) for price in self._prices(weight_decay)], PATIENCE_PRICES)
        if self.best >= self.n_lines:
            weight_decay, price = self.values[self.best]
            further = weight_decay * LEAST ** (np.arange(1, VALUES) / (VALUES - 1))
            self.along([(value, price) for value in further.tolist()], PATIENCE_SMALL)

    @property
    def _larger(self) -> float:
        """The factor of weight decays in the folds, at least."""
        return min((fold.larger for fold in self.folds), default=1.0)

    def _prices(self, weight_decay: float) -> list[float]:
        """Falling, from just below the one at which the first pair pays, down to 1."""
        problem = self.problem.variant(self.problem.loss, weight_decay)
        if self.watch.due():
            return [1.0]
        with blas_threads(1):
            lines = Fit(Table(problem), weight_decay, RANKING).run(self.watch).network
            table = Table(problem, self.how[0])
            fit = Fit(table, weight_decay, RANKING, table.neurons_of(lines))
            gauge = table.largest(fit.smooth.dual_point(fit.F), self.watch.due)
            pays = gauge / (fit.core.weight_decay * self._larger)
        count = int(np.ceil(np.log(max(pays, 1.0)) / np.log(STEP)))
        return np.geomspace(max(pays / STEP, 1.0), 1.0, min(max(count, 1), PRICES)).tolist()

    def along(self, values: Sequence[Value], patience: int) -> None:
        """These from the best networks so far, until ``patience`` of them bring nothing better."""
        begun, step = len(self.values), 1 if all(f.held for f in self.folds) else AT_ONCE
        for fold, network in zip(self.folds, self.networks):
            fold.begin(network)
        with blas_threads(1):
            for at in range(0, len(values), step):
                some, before = values[at : at + step], len(self.values)
                seen = [list(fold.seen(some, self.watch)) for fold in self.folds]
                self._note(some, [[loss for loss, _ in row] for row in seen])
                unseen = np.flatnonzero(np.any(np.isnan(self.losses[:, before:]), axis=0))
                best = self.best
                if best >= before and all(len(row) > best - before for row in seen):
                    self.networks = [row[best - before][1] for row in seen]
                done = len(self.values) if len(unseen) == 0 else before + int(unseen[0])
                without = self._without(begun, done)
                if len(unseen):
                    self.cut_short = without == 0
                    self._note(values[at + step :], [[] for _ in self.folds])
                    return
                if self.callback is not None:
                    self.callback(at + len(some), len(values))
                worse = (self.losses[:, self.best + 1 :] - self.losses[:, [self.best]]).T
                flat = self.n_lines == 0 and not all(map(_clear, worse))
                if self.folds and without >= (max(patience, ENDURANCE) if flat else patience):
                    return

    def _without(self, begun: int, done: int) -> int:
        """Values of this walk so far without a better one; past the grid a clear loss is two."""
        mean = self.losses[:, :done].mean(axis=0) if self.folds else np.zeros(done)
        little = LITTLE * float(mean[0]) if self.n_lines else 0.0
        best, last = np.inf, begun - 1
        for k, lost in enumerate(mean.tolist()):
            if k >= self.since and lost < best - little:
                best, last = lost, max(k, last)
        lost_more = self.n_lines > 0 and done > begun and mean[-1] > best + little
        return done - 1 - last + int(lost_more)

    def _note(self, values: Sequence[Value], losses: list[list[float]]) -> None:
        """What folds lost at these values; those that they did not come to have none."""
        self.values += values
        full = [row + [np.nan] * (len(values) - len(row)) for row in losses]
        self.losses = np.hstack([self.losses, np.reshape(full, (len(self.folds), len(values)))])


def _clear(gains: Array) -> bool:
    """Whether the gains of the folds are above zero by more than their standard error."""
    if len(gains) < 2 or np.any(np.isnan(gains)):
        return False
    return bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


class _Fold:
    """One fold on its way, with the neurons of the last value and, where ``held``, its table."""

    def __init__(
        self, problem: Problem, how: tuple[Any, Any], parts: tuple[Part, Part], held: bool
    ) -> None:
        self.problem, (self.interactions, self.monotone), self.held = problem, how, held
        self.fit, self.test = parts
        self.price, self.larger = np.nan, 1.0
        self.table: Table | None = None
        self.begin(None)

    def thin(self, count: int) -> None:
        """Train on so many rows from now on, where there are more."""
        rows, w = self.fit
        if len(rows) <= count:
            return
        some = some_rows(self.problem.of_samples(rows, w), count)
        self.fit = rows[some], w[some]
        self.larger *= float(np.sqrt(len(rows) / len(some)))
        self.price, self.held = np.nan, True

    def begin(self, network: Network | None) -> None:
        """From this network."""
        self.network = network
        self.start: Weighted | None = None

    def seen(self, values: Sequence[Value], watch: Watch) -> Iterator[tuple[float, Network]]:
        """What is lost held out and the network, at each value that the time allows."""
        problem, (rows, w) = self.problem, self.test
        for weight_decay, price in values:
            if watch.due():
                return
            table = self._at(price)
            fit = Fit(table, weight_decay * self.larger, RANKING, self.start)
            solution = fit.run(watch)
            if watch.due() and solution.status.unfinished:
                return
            self.start, self.network = fit.best, solution.network
            # as estimators do: beyond the numbers of training what the nearest of them does
            known = table.problem.X[:, : problem.n_features]
            held_out = np.clip(problem.X[rows], known.min(axis=0), known.max(axis=0))
            F = solution.network.predict(held_out)
            yield float(w @ problem.loss.value(F, problem.Y[rows]) / w.sum()), solution.network
        if not self.held:
            self.table = None

    def _at(self, price: float) -> Table:
        """The table at this price, where the last network starts."""
        if price != self.price:
            self.table, self.start, self.price = None, None, price
        if self.table is None:
            part = self.problem.of_samples(*self.fit)
            if np.isinf(price):
                self.table = Table(part, 0, self.monotone)
            else:
                self.table = Table(part, self.interactions, self.monotone, price)
        if self.start is None and self.network is not None:
            self.start = self.table.neurons_of(self.network)
        return self.table
