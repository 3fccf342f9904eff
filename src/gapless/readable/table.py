"""A problem as neurons of few features see it: its columns, and the gauge over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.checks import Array, positive
from ..core.network import Network
from ..core.problem import Problem
from ..core.reduction import Reduction, power_of_two
from ..core.watch import never
from ..gauge.base import GaugeBound
from ..gauge.low_rank import LowRank
from .columns import SortedColumns
from .monotone import MonotoneColumns
from .neurons import Neurons, feature_pairs, monotone_signs
from .planes import Sweep

# Neurons of two features that climb after a sweep, those of one pair, and how often they shift and
# turn.
CLIMBING, OF_ONE_PAIR, CLIMBS = 100, 3, 2
# Samples of neurons that climb between two questions to the clock.
AT_ONCE = 1 << 20
# Of samples and dual point about one, what sums are off by whose squares are too small for float64.
FLUSHED = 1e-150
# Numbers of a sparse matrix (1 GiB) up to which its columns are sorted densely.
DENSE = 1 << 27


class ColumnReduction(Reduction):
    """As its base, but features stay apart: centred and scaled, never turned or replaced."""

    def _in_row_space(self, A: Array) -> Array:
        return A


@dataclass(frozen=True, eq=False)
class Look:
    """What one look at a dual point gives.

    Attributes
    ----------
    bound : GaugeBound
    neurons : Neurons
        Above the limit.
    values : array of shape (n_neurons,)
    """

    bound: GaugeBound
    neurons: Neurons
    values: Array


class Table:
    """Columns sorted once, for all weight decays and losses of one problem.

    Parameters
    ----------
    problem : Problem
    interactions : 0, "pairs" or list of (int, int)
        Which two features a neuron may look at together; every feature has neurons of its own.
    monotone : mapping of int to {1, -1}, optional
        Features whose effect must rise, or fall.
    price : float, default 1
        How many times as much as one of one feature a neuron of two costs, at least 1.  Such
        neurons see the features divided by it, in columns of their own beside those of X, so what
        is trained and proven is a problem as any other.

    Raises
    ------
    ValueError
        For other interactions, a price below 1, a sparse X of more than :data:`DENSE` numbers,
        pairs under a bias rule for which their gauge is not exact on so many rows, and monotone
        effects beside pairs, of several outputs, or under another bias rule than "free".
    """

    def __init__(
        self,
        problem: Problem,
        interactions: Any = 0,
        monotone: Mapping[int, int] | None = None,
        price: float = 1.0,
    ) -> None:
        d = problem.n_features
        #: 1 where the effect of a feature must rise, -1 where it must fall, else 0
        self.monotone = monotone_signs(monotone, d)
        self.pairs = np.array(feature_pairs(interactions, d), dtype=np.intp).reshape(-1, 2)
        #: those of the features, None where there are none
        self.allowed = self.pairs if len(self.pairs) else None
        if np.any(self.monotone) and (
            len(self.pairs) or problem.n_outputs > 1 or problem.bias != "free"
        ):
            raise ValueError(
                'monotone effects need bias="free", one output and interactions=0, got '
                f"bias={problem.bias!r}, {problem.n_outputs} outputs and {len(self.pairs)} pairs"
            )
        if not problem.design.dense and problem.n_samples * d > DENSE:
            raise ValueError(
                f"X is sparse of shape {problem.X.shape}; neurons of few features sort its "
                f"columns densely, up to {DENSE} numbers: leave out rows or columns"
            )
        if not problem.design.dense:
            problem = replace(problem, X=problem.X.toarray())
        #: 1 where no neuron looks at two features
        self.price = _price(price) if len(self.pairs) else 1.0
        if self.price > 1:
            problem = replace(problem, X=np.hstack([problem.X, problem.X / price]))
            self.pairs = self.pairs + d
        self.problem, self.reduction = problem, ColumnReduction(problem)
        self.core = self.reduction.core
        self.d = problem.n_features
        self.X = self.core.X[:, : self.d]
        if len(self.pairs):  # columns one after the other
            self.X = np.asfortranarray(self.X)
        #: the constant column of the penalised bias in the core's units
        self.one = float(self.core.X[0, self.d]) if problem.bias == "penalized" else 0.0
        if self.core.free:
            bound, free = np.flatnonzero(self.monotone), np.flatnonzero(self.monotone == 0)
            self.columns = [
                SortedColumns(self.X, free), MonotoneColumns(self.X, bound, self.monotone[bound])
            ]  # fmt: skip
        else:
            self.groups = [self._group(S) for S in [*((j,) for j in range(d)), *self.pairs]]

    @property
    def widest(self) -> int:
        """At how many features a neuron may look."""
        return 2 if len(self.pairs) else 1

    # --- networks ---

    def neurons_of(self, network: Network) -> tuple[Neurons, Array, Array]:
        """A network of the problem as unit neurons on ``X``, output weights and bias."""
        core = self.reduction.apply(self.spread(network))
        size = np.linalg.norm(core.hidden_weights, axis=0)
        U, b = core.hidden_weights / size, core.hidden_bias / size
        if self.one:
            b, U = b + self.one * U[self.d], U[: self.d]
        return Neurons.of(U, b), core.output_weights * size[:, None], core.output_bias

    def network(self, neurons: Neurons, a: Array, c: Array) -> Network:
        """The way back."""
        net = neurons.network(self.d, a, c)
        if self.one:
            U = np.vstack([net.hidden_weights, net.hidden_bias / self.one])
            net = Network(U, np.zeros(len(neurons)), a, c)
        net = self.reduction.invert(net)
        if self.price == 1:
            return net
        one, two = np.split(net.hidden_weights, 2)
        return replace(net, hidden_weights=one + two / self.price)

    def spread(self, network: Network) -> Network:
        """A network on the features as one on the table's columns, where it costs what it costs."""
        if self.price == 1:
            return network
        U = network.hidden_weights
        two = np.sum(U != 0, axis=0) > 1
        U = np.vstack([np.where(two, 0.0, U), np.where(two, self.price * U, 0.0)])
        return replace(network, hidden_weights=U)

    # --- the gauge ---

    def look(
        self,
        Lam: Array,
        limit: float,
        stop: Callable[[], bool] = never,
        neurons: Neurons | None = None,
        coarse: float = 0.0,
    ) -> Look:
        """The gauge of ``Lam`` over all neurons allowed, and those above ``limit``.

        Parameters
        ----------
        Lam : array of shape (n_samples, n_outputs)
        limit : float
        stop : callable
            Asked now and then; the bound is then infinite.
        neurons : Neurons, optional
            At hand: those of two features that move to local maxima above the limit count too.
        coarse : float, default 0
            Pairs are swept for neurons above this limit where it is higher.

        Returns
        -------
        Look
            Where nothing is found and nothing stopped it, the bound is at most a rounding above
            the larger limit.
        """
        # numbers about one: squares of very small ones are nothing
        unit = power_of_two(float(np.abs(Lam).max(initial=0.0)))
        look = self._look(Lam / unit, limit / unit, stop, neurons, coarse / unit)
        bound = replace(
            look.bound, lower=look.bound.lower * unit, upper=(look.bound.upper + FLUSHED) * unit,
            signs=self.monotone, pairs=self.allowed, price=self.price,
        )  # fmt: skip
        return Look(bound, look.neurons, look.values * unit)

    def _look(
        self,
        Lam: Array,
        limit: float,
        stop: Callable[[], bool],
        neurons: Neurons | None,
        coarse: float,
    ) -> Look:
        """:meth:`look` at a dual point whose largest number is about one."""
        if not self.core.free:
            return self._by_groups(Lam, limit, stop)
        uppers, founds, worths = zip(*(columns.bound(Lam, limit) for columns in self.columns))
        upper, found, values = max(uppers), Neurons.joined(founds), np.concatenate(worths)
        proof = "neurons of one feature: exact by prefix sums"
        if len(self.pairs):
            more, worth = Neurons.none(), np.zeros(0)
            if neurons is not None:
                own = np.flatnonzero(neurons.weights[:, 1])
                more, worth = self._climbed(Lam, neurons.take(own), limit, stop)
            above, others, worths_ = self._sweep(Lam, max(limit, coarse), stop)
            found = Neurons.joined([found, more, others])
            values = np.concatenate([values, worth, worths_])
            upper = max(upper, above)
            proof = "neurons of two features: half-turns in cells"
        return Look(_bound(values, upper, proof), found, values)

    def signs(self, neurons: Neurons) -> Array | None:
        """1 or -1 where output weights must be above or below zero, else 0; None: no effect is
        monotone.
        """
        if not np.any(self.monotone):
            return None
        return self.monotone[neurons.features[:, 0]] * np.sign(neurons.weights[:, 0])

    def largest(self, Lam: Array, stop: Callable[[], bool] = never) -> float:
        """About the gauge of ``Lam``: exact for one feature, the best first cell for pairs."""
        look = self.look(Lam, 0.0, stop)
        return max(look.bound.lower, float(look.values.max(initial=0.0)))

    def _sweep(
        self, Lam: Array, limit: float, stop: Callable[[], bool]
    ) -> tuple[float, Neurons, Array]:
        """All pairs; the best neurons of each that has any, at local maxima."""
        sweep = Sweep(self.X, Lam, limit, stop)
        found, values = sweep.run(self.pairs)
        if len(found):
            best = _best_of_pairs(found, values)
            found, values = self._climbed(Lam, found.take(best), 0.0, stop)
        return sweep.upper, found, values

    def _climbed(
        self, Lam: Array, neurons: Neurons, limit: float, stop: Callable[[], bool]
    ) -> tuple[Neurons, Array]:
        """Neurons of two features moved to local maxima, those that are then above ``limit``."""
        from .climb_compiled import climb

        rising = neurons.features[:, 0] < neurons.features[:, 1]
        pairs = np.sort(neurons.features, axis=1)
        turns = np.where(rising[:, None], neurons.weights, neurons.weights[:, ::-1])
        bias, values = neurons.bias.copy(), np.zeros(len(neurons))
        Lam = np.ascontiguousarray(Lam)
        step = max(1, AT_ONCE // len(Lam))
        for at in range(0, len(neurons), step):
            if stop():
                break
            some = slice(at, at + step)
            climb(self.X.T, Lam, pairs[some], turns[some], bias[some], CLIMBS, values[some])
        above = np.flatnonzero(values > limit)
        joined, values = Neurons(pairs[above], turns[above], bias[above]), values[above]
        rows = np.column_stack(
            [joined.features, np.round(joined.weights, 6), np.round(joined.bias, 6)]
        )
        each = np.unique(rows, axis=0, return_index=True)[1]
        joined, values = joined.take(each), values[each]
        best = _best_of_pairs(joined, values)
        return joined.take(best), values[best]

    def _group(self, S: Any) -> tuple[Array, Problem]:
        """The features S alone, with the constant column where there is one, as a problem."""
        S = np.asarray(S, dtype=np.intp)
        index = np.append(S, self.d) if self.one else S
        core = self.core
        sub = Problem(core.X[:, index], core.Y, core.loss, 1.0, "none", core.sample_weight)
        LowRank().require(sub)
        return S, sub

    def _by_groups(self, Lam: Array, limit: float, stop: Callable[[], bool]) -> Look:
        """Each group of features by enumeration."""
        upper, parts, worth, method = 0.0, [Neurons.none()], [np.zeros(0)], LowRank()
        for S, sub in self.groups:
            if stop():  # one takes up to a second, and they are many
                upper = np.inf
                break
            bound = method.bound(sub, Lam)
            upper = max(upper, bound.upper)
            if bound.neurons is None or bound.lower <= limit:
                continue
            best = bound.neurons.take(bound.neurons.value > limit)
            k, s = len(best), len(S)
            features = np.column_stack([np.full(k, S[0]), np.full(k, S[-1])])
            weights = np.column_stack([best.U[0], best.U[1] if s == 2 else np.zeros(k)])
            parts.append(Neurons(features, weights, self.one * best.U[s] if self.one else best.b))
            worth.append(best.value)
        values = np.concatenate(worth)
        proof = "neurons of few features: exact enumeration of each group"
        return Look(_bound(values, upper, proof), Neurons.joined(parts), values)


def _price(price: float) -> float:
    if positive("the price of pairs", price) < 1:
        raise ValueError(f"pairs cannot cost less than one feature does: {price:g} is below 1")
    return float(price)


def _bound(values: Array, upper: float, proof: str) -> GaugeBound:
    return GaugeBound(float(values.max(initial=0.0)), upper, None, proof)


def _best_of_pairs(found: Neurons, values: Array) -> Array:
    """The best :data:`OF_ONE_PAIR` of each pair, :data:`CLIMBING` in all."""
    kept: dict[tuple[int, int], int] = {}
    best = []
    for k in np.argsort(-values, kind="stable").tolist():
        i, j = found.features[k].tolist()
        kept[i, j] = kept.get((i, j), 0) + 1
        if kept[i, j] <= OF_ONE_PAIR:
            best.append(k)
    return np.array(best[:CLIMBING], dtype=np.intp)
