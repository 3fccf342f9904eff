"""The outer loop: column generation on the dual of weight-decay training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..certificates.certify import better, certificate, prove, raised, stated
from ..core.candidates import Candidates, best_of_patterns
from ..core.checks import Array, choose, positive, positive_int
from ..core.constant import null_model
from ..core.network import Network
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction
from ..core.result import Certificate, History, Solution, Status
from ..core.threads import blas_threads
from ..core.watch import Watch, never
from ..gauge.base import GaugeBound
from ..gauge.choose import is_exact, timely_bound
from ..gauge.row_space import row_space
from ..gauge.search import FIRST_STARTS, Oracle
from ..gauge.spike_free_search import RelaxedOracle
from .descent import refine
from .master import solve_master
from .newton import sharpen, worthwhile
from .random_network import MOST, random_network

# Where X has more numbers than this only the best candidates of a search take exact kink steps:
# there steps on all the weights bring more for their time.
LARGE = 50_000
# Widths of the softened kinks, one after the other, at the start and in each round.
FIRST_WIDTHS, WIDTHS = (0.1, 0.02), (0.03, 0.01)
# Random starts of a search at most; doubled whenever one finds little.
MOST_STARTS = 16 * FIRST_STARTS
# Searches in a row, each with more starts, that must find nothing before the loop gives up.
QUIET_SEARCHES = 3
# Numbers in X from which BLAS may use all its threads.
THREADED = 200_000
# Rounds whose gains together must exceed a tenth of the tolerance.
PATIENCE = 4
# Accuracy of the master, relative to the tolerance of the gap.
MASTER = 1e-6
# And to the square of the gap while that is wide.
EARLY_MASTER = 1e-6
# Every how many rounds the network goes through Newton's method.
SHARPEN = 5
# Every how many another network joins; half as often after a round in which that brought less than
# this share of what the four rounds before did.
JOIN, WORTH = 5, 0.25
# Climbers a neuron of the current network: those of a wide one leave many maxima between them.
# Fewer where there are so many rows that their scores (this many numbers) leave the cache.
CLIMBERS, SCORES = 4, 1 << 18
# Neurons a round: more than a few hundred new columns only slow the master down.
MAX_NEW = 300

# More rows than this start from the network of a tenth of them, trained to this gap: about what
# the sample itself is off by.
MANY_ROWS = 50_000
COARSE_TOL = 1e-2

# The estimated gap is stated no finer than this many times the share of the objective that was
# gained since this part of the history, and than a share of the tolerance: on 60 problems that
# covers the distance to the best network known in 95% of the runs (docs/proofs.md).
STATED, LATELY, FINEST = 3.0, 0.8, 0.1

ORACLES = ("search", "spike-free")


@dataclass(frozen=True)
class Progress:
    """What a callback sees after each round.

    ``iteration`` is zero during the start, whose bounds are still trivial.
    ``n_samples`` rows are what the certificate is about: a part of a large table at first.
    ``found`` are the directions that the last search ended at, on the core problem of
    :class:`gapless.core.reduction.Reduction`.
    """

    iteration: int
    seconds: float
    certificate: Certificate
    n_neurons: int
    n_samples: int
    found: Candidates


def train(
    problem: Problem,
    *,
    tol: float = 1e-3,
    max_neurons: int | None = None,
    max_iter: int = 500,
    time_limit: float | None = None,
    init: Network | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
    random_state: int | np.random.Generator | None = 0,
    oracle: str = "search",
) -> Solution:
    """Train a two-layer ReLU network to within a certified gap of the best of any width.

    The start is a network of random neurons, fitted and descended from.  Then each round (1) takes
    the dual point of the current network, (2) searches neurons that violate its constraint
    ``|| Lam^T (X u + b)_+ || <= weight_decay``, (3) solves the convex master over old and new
    neurons, every few rounds those of another random network too, (4) descends on all weights at
    once, slides the neurons along their kinks and merges those of equal pattern, and (5) certifies.
    In one and two dimensions, a free bias counting as one, (2) is exact and nothing is random.

    Parameters
    ----------
    problem : Problem
    tol : float, default 1e-3
        Relative gap to reach: proven where a proof is cheap, else estimated.
    max_neurons : int, optional
        The widest network allowed; the certificate is still against every width.
    max_iter : int, default 500
        Rounds.
    time_limit : float, optional
        Seconds for all of it.  What the search leaves of them goes into the proof
        (:func:`gapless.certify`), as long as the proven gap is wider than ``tol``; without a
        limit only bounds that cost no more than a round are used, so that the network is there
        at once.
    init : Network, optional
        Warm start; the result is never worse than it.
    callback : callable, optional
        Called with a :class:`Progress` now and then during the start and while another network
        joins, and after each search; a true answer stops.
    random_state : int, Generator or None, default 0
        The same seed gives the same network.
    oracle : {"search", "spike-free"}, default "search"
        How neurons are found.  "spike-free" is the paper's cutting plane (JMLR 2021,
        Algorithms 1 and 3): two cone programs a round, no randomness, and the optimum on
        spike-free data only; see :mod:`gapless.gauge.spike_free_search`.  The certificate
        does not depend on it, so the status says whether the stop was a proof.

    Returns
    -------
    Solution
        Also when interrupted (Ctrl-C, callback, limits): the best network so far.
    """
    return solve(
        problem,
        Watch.of(time_limit, callback),
        tol=tol,
        max_neurons=max_neurons,
        max_iter=max_iter,
        init=init,
        random_state=random_state,
        oracle=oracle,
        proving=time_limit is not None,
    )


def solve(
    problem: Problem,
    watch: Watch,
    *,
    tol: float = 1e-3,
    max_neurons: int | None = None,
    max_iter: int = 500,
    init: Network | None = None,
    random_state: int | np.random.Generator | None = 0,
    oracle: str = "search",
    proving: bool = False,
) -> Solution:
    """:func:`train` until ``watch`` ends it; ``proving``, if the rest of its time is for proofs."""
    check_problem(problem)
    tol = positive("tol", tol)
    max_iter = positive_int("max_iter", max_iter)
    if max_neurons is not None:
        max_neurons = positive_int("max_neurons", max_neurons)
    choose("oracle", oracle, ORACLES)
    # On small matrices a second BLAS thread costs more than it brings.
    n_threads = 1 if problem.n_samples * problem.n_features < THREADED else None
    # what is not finite has its own status, and is no better than the best network
    with blas_threads(n_threads), np.errstate(all="ignore"):
        rng = np.random.default_rng(random_state)
        run = _Run(problem, watch, tol, max_neurons, init, rng, oracle)
        try:
            status = run.loop(max_iter)
            if proving and status not in (Status.STOPPED, Status.NUMERICAL_ERROR):
                status = run.prove(status)
        except KeyboardInterrupt:
            status = Status.STOPPED
        return run.solution(status)


class _Run:
    """State of one training: current and best network on the core problem, bounds, history."""

    def __init__(
        self,
        problem: Problem,
        watch: Watch,
        tol: float,
        max_neurons: int | None,
        init: Network | None,
        rng: np.random.Generator,
        oracle: str = "search",
    ) -> None:
        self.watch, self.rng = watch, rng
        self.reduction = Reduction(problem)
        self.core = self.reduction.core
        self.tol, self.max_neurons = tol, max_neurons
        A, free = self.core.X, self.core.free
        self.relaxed = oracle == "spike-free"  # neurons then stay as they were found
        self.oracle = RelaxedOracle(A, free) if self.relaxed else Oracle(A, free, rng)
        self.exact = not self.relaxed and is_exact(self.core)
        dimensions = row_space(self.core).rank + self.core.free if self.exact else np.inf
        #: a bound in one or two dimensions lists the local maxima: nothing is left to search but
        #: where rounding hides them
        self.listed = dimensions <= 2
        #: one in four takes longer than a search
        self.costly = self.exact and dimensions > 3
        #: where each search is exact and cheap, random networks only take time
        self.random = not (self.relaxed or (self.exact and not self.costly))
        self.many = self.core.n_samples > MANY_ROWS
        self.joins = self.random and not self.many and max_neurons is None
        self.period = self.next_join = JOIN  # rounds
        self.large = self.core.n_samples * self.core.n_features > LARGE
        self.history = History()
        self.past: list[float] = []  # the best value before the start and at each search
        self.waited = 0  # rounds at the present smoothing
        self.smoothing = 0.3  # of hinge and pinball; smooth losses ignore it
        self.n_starts, self.quiet, self.warm = FIRST_STARTS, 0, init is not None
        self.finished: Status | None = None
        k, C = self.core.n_features, self.core.n_outputs
        empty = Network(np.zeros((k, 0)), np.zeros(0), np.zeros((0, C)), np.zeros(C))
        self.current = empty if init is None else self.reduction.apply(init)
        self.best = self.current
        self.best_value = self.best.objective(self.core)
        least = self.core.loss.infimum
        self.certificate = Certificate(self.best_value, least, least, "the infimum of the loss")
        self.found = Candidates(np.zeros((k, 0)), np.zeros(0), np.zeros(0))
        if max_neurons is not None and self.current.n_neurons > max_neurons:
            self.best = self.current = self._strongest(self.current, max_neurons)
            self.best_value = self.best.objective(self.core)
        self._resolve(self.found)

    def loop(self, max_iter: int) -> Status:
        """Rounds until the gap is met or something ends them."""
        if self.best.n_neurons == 0 and not self.relaxed:
            if self.many:
                self._start_small(max_iter)
            elif self.random:
                self._begin()
        for _ in range(max_iter):
            if status := self.watch.over:
                return status
            if self.search():
                return self.verdict()
            if status := self.watch.ended(self.progress):
                return status
            self.improve()
            if self.finished is not None and not self.watch.due():
                return self.verdict()
        return self.watch.over or Status.ITERATION_LIMIT

    def _begin(self) -> None:
        """From random neurons, all weights at once.  A search then has to find what is missing."""
        most = MOST if self.max_neurons is None else self.max_neurons
        network = random_network(self.smooth, self.current.output_bias, self.rng, most)
        if network.n_neurons == 0:
            return
        self.past.append(self.best_value)
        self._adopt(network)
        self._descend(FIRST_WIDTHS, self._tell)
        self._resolve(self.found)

    def _join(self) -> None:
        """Average with another random network, descended alone; the master then weighs both.

        Each descent ends on kinks that only many neurons together could leave.  In what neurons
        sum to training is convex: networks that ended on different kinks are together better than
        either.  On boston at .001 twenty seconds with it end half a per cent below forty without.
        """
        other = random_network(self.smooth, null_model(self.core), self.rng)
        for width in FIRST_WIDTHS:
            other = refine(self.smooth, other, self.watch.due, width, True, lambda _: self._tell())
        if other.n_neurons:
            self.current = averaged(self.current, other)

    def _descend(self, widths: tuple[float, ...], tell: Callable[[], bool] = never) -> None:
        """L-BFGS on all the weights, at widths of the kinks from wide to narrow.

        Plain where there are none, or where softening lost.  What is better on the way is kept, so
        that an interrupt finds it.
        """
        before, value, due = self.current, self.current.objective(self.smooth), self.watch.due

        def seen(network: Network) -> bool:
            self._adopt(network)
            return tell()

        for width in widths:
            if not due():
                found = refine(self.smooth, self.current, due, width, True, seen)
                self._adopt(found.merge(self.core.X))
        lost = not self.current.objective(self.smooth) < value
        if lost and not due():
            self._adopt(refine(self.smooth, before, due).merge(self.core.X))

    def _start_small(self, max_iter: int) -> None:
        """Go on from the network of a tenth of the rows."""
        core = self.core

        def enough(info: Progress) -> bool:
            known = self.reduction.certificate(info.certificate)
            asked = self.watch.ended(lambda: replace(info, certificate=known)) is Status.STOPPED
            return asked or info.certificate.estimated_relative_gap <= COARSE_TOL

        rows = np.sort(self.rng.choice(core.n_samples, core.n_samples // 10, replace=False))
        few = core.X[rows], core.Y[rows], core.loss, core.weight_decay, core.bias
        part = _Run(
            Problem(*few, core.sample_weight[rows]),
            self.watch.part(enough),
            self.tol,
            self.max_neurons,
            None,
            self.rng,
        )
        part.watch.started = self.watch.started
        try:
            part.loop(max_iter)
        finally:  # an interrupt has it too
            self._adopt(part.reduction.invert(part.best))

    def prove(self, status: Status) -> Status:
        """Spend the seconds left on the proven bound; the status that follows."""
        if self.watch.due() or self.certificate.relative_gap <= self.tol:
            return status
        Lam = self.smooth.dual_point(self.current.predict(self.core.X))
        for point, bound in prove(self.core, Lam, time_limit=self.watch.left):
            self._certify(raised(self.certificate, self.core, point, bound))
            if self.certificate.relative_gap <= self.tol or self._tell():
                break
        early = status.unfinished or status is Status.NEURON_LIMIT
        return status if early and self.certificate.relative_gap > self.tol else self.verdict()

    def progress(self) -> Progress:
        """What a callback sees."""
        rounds, size = self.history.n_rounds, (self.best.n_neurons, self.core.n_samples)
        known = self.reduction.certificate(self.certificate)
        return Progress(rounds, self.watch.seconds, known, *size, self.found)

    def _tell(self) -> bool:
        """Tell the callback; whether it is time to end."""
        return self.watch.ended(self.progress) is not None

    @property
    def smooth(self) -> Problem:
        """The problem the master solves: hinge and pinball smoothed."""
        return self.core.variant(self.core.loss.smoothed(self.smoothing), self.core.weight_decay)

    @property
    def accuracy(self) -> float:
        """Of the master; a sharp loss's dual point is its residual divided by the smoothing."""
        sharp = self.core.loss.sharp
        gap = min(self.certificate.estimated_relative_gap, 0.1)
        accuracy = max(MASTER * self.tol, EARLY_MASTER * gap**2)
        return accuracy * (self.smoothing if sharp else 1.0)

    def search(self) -> bool:
        """Look for neurons that violate the dual constraint, and certify; whether that will do."""
        self.past.append(self.best_value)
        # 1-2. dual point, and neurons that violate its constraint
        Lam = self.smooth.dual_point(self.current.predict(self.core.X))
        crowd = min(CLIMBERS * self.current.n_neurons, SCORES // len(Lam))
        # whether a warm start is good enough already, a few exact steps tell
        first = self.warm and self.history.n_rounds == 0
        starts, kinks = max(self.n_starts, crowd), bool(self.quiet) or not (self.large or first)
        # costly bounds wait for a quiet search
        bound = self._bound(Lam, not self.costly or self.quiet > 0)
        neurons = bound.neurons if self.exact else None
        if self.listed and neurons is not None and not self.quiet:
            found = neurons
        else:
            found = self.oracle.search(
                Lam, self.current.hidden_weights, starts, kinks, self.watch.due
            )
            found = found.append(neurons) if neurons is not None else found
        self.found = found
        self.history.n_rounds += 1
        # 5. certify the best network with this dual point
        if self.watch.due():  # a search cut short says nothing of what it did not see
            self._certify(raised(self.certificate, self.core, Lam, bound))
            return False
        top = found.value.max(initial=0.0)
        new = certificate(self.core, self.best_value, Lam, bound, top)
        self._certify(better(self.certificate, new))
        if self._settled(new):
            return True
        # the next master is harder; this round's dual point belonged to the last one
        cost = 0.5 * self.smoothing * self.core.n_outputs  # at most, of the objective
        if new.objective - new.estimated_lower_bound <= 2 * cost or self.waited == PATIENCE:
            self.smoothing, self.waited = max(0.4 * self.smoothing, self.least_smoothing), 0
        self.waited += 1
        return False

    def improve(self) -> None:
        """A better network from the neurons found."""
        due = self.watch.due
        # 3. master over old and new neurons
        joins = self.joins and self.history.n_rounds == self.next_join
        if joins:
            self._join()
        self._resolve(self.found)
        # 4. all weights at once, then slide the neurons along their kinks
        if not (self.relaxed or (self.many and self.quiet)):
            self._descend(WIDTHS if self.random and not self.quiet else ())
            if self.history.n_rounds % SHARPEN == 0 and worthwhile(self.core, self.current):
                self._adopt(sharpen(self.smooth, self.current, due).merge(self.core.X))
        if not (self.many or due()):  # costly, and each kink matters less
            Lam = self.smooth.dual_point(self.current.predict(self.core.X))
            U, b, _ = unit(self.current)
            self._resolve(self.oracle.improve(Lam, U, b, stop=due))
        if due():
            return
        if joins:
            before = self.past[-1]
            if before - self.best_value <= WORTH * (self.past[-JOIN] - before):
                self.period *= 2
            self.next_join += self.period
        self._schedule()

    def _certify(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self._record(certificate)

    def _bound(self, Lam: Array, sharp: bool) -> GaugeBound:
        """The norm bound of the gauge or, if ``sharp``, the best; none where time is short."""
        return timely_bound(self.core, Lam, self.watch.left, "auto" if sharp else "norm")

    def _settled(self, new: Certificate) -> bool:
        """Whether the proven gap, or the estimated one search after search, meets ``tol``."""
        if self.certificate.relative_gap <= self.tol:
            return True
        gap = new.objective - new.estimated_lower_bound
        self.quiet = self.quiet + 1 if gap <= self.tol * self.size else 0
        return self.quiet >= QUIET_SEARCHES

    @property
    def size(self) -> float:
        """What gains are measured against: the objective, or a tenth of what it was at first.

        Near interpolation the objective is a small remainder of the null model's, and a share
        of it is a demand that no fit can notice.
        """
        return max(self.best_value, 0.1 * self.past[0])

    @property
    def least_smoothing(self) -> float:
        """Smoothing by mu costs at most mu / 2 of the objective an output."""
        return self.tol * self.size / self.core.n_outputs

    def _schedule(self) -> None:
        """More starts when search or round brought little, and a stop when all are spent."""
        if not np.isfinite(self.best_value):
            self.finished = Status.NUMERICAL_ERROR
        sharp = self.core.loss.sharp
        rough = sharp and self.smoothing > self.least_smoothing
        past = self.past[-PATIENCE:]
        # where every search is exact, a small gain is still a step towards a proof
        share = 1e-3 if self.exact else 0.1
        gained = rough or past[0] - self.best_value > share * self.tol * self.size
        if gained and not self.quiet:
            return
        if self.n_starts < MOST_STARTS:
            self.n_starts *= 2
        elif not gained and len(past) == PATIENCE:
            capped = self.max_neurons is not None and self.best.n_neurons >= self.max_neurons
            self.finished = Status.NEURON_LIMIT if capped else Status.STALLED

    def verdict(self) -> Status:
        """The status of a loop that ended by itself."""
        if self.costly and self.certificate.relative_gap > self.tol:
            Lam = self.smooth.dual_point(self.current.predict(self.core.X))
            self._certify(raised(self.certificate, self.core, Lam, self._bound(Lam, True)))
        earned = Status.of_gap(self.certificate.relative_gap, self.tol)
        return earned or self.finished or Status.HEURISTIC

    def _resolve(self, new: Candidates) -> None:
        """Master over current and new neurons, merge, keep the best by the true objective."""
        new = distinct(new, self.smooth, MAX_NEW)
        U, b, a = widened(self.current, new)
        Z = np.maximum(self.core.X @ U + b, 0.0)
        due = self.watch.due if len(a) else never  # there is always time for the null model
        a, c = solve_master(self.smooth, Z, a, self.current.output_bias, self.accuracy, due)
        network = Network(U, b, a, c).merge(self.core.X)
        if self.max_neurons is not None and network.n_neurons > self.max_neurons:
            network = self._strongest(network, self.max_neurons)
        self._adopt(network)

    def _adopt(self, network: Network) -> None:
        """Go on from ``network``, and remember the best by the true objective."""
        self.current = network
        value = network.objective(self.core)
        if value < self.best_value:
            self.best, self.best_value = network, value
            self.certificate = replace(self.certificate, objective=value)
            self._record(self.certificate)

    def _record(self, certificate: Certificate) -> None:
        known = self.reduction.certificate(certificate)
        self.history.record(self.watch.seconds, known, self.best.n_neurons)

    def _strongest(self, network: Network, count: int) -> Network:
        """The ``count`` neurons of largest weight, refitted."""
        U, b, size = unit(network)
        keep = np.argsort(-size, kind="stable")[:count]
        Z = np.maximum(self.core.X @ U[:, keep] + b[keep], 0.0)
        a = network.output_weights[keep] * size[keep, None]
        a, c = solve_master(self.smooth, Z, a, network.output_bias, self.accuracy)
        return Network(U[:, keep], b[keep], a, c).balance()

    def solution(self, status: Status) -> Solution:
        """Prune, map back, and state the certificate for the very network returned."""
        network = self.best
        if network.n_neurons > self.core.n_samples and self.core.n_outputs == 1:
            network = network.prune(self.core.X)
        network = self.reduction.invert(network)
        objective = network.objective(self.reduction.problem)
        final = replace(self.reduction.certificate(self.certificate), objective=objective)
        if not np.isfinite(objective):
            status = Status.NUMERICAL_ERROR
        past = self.history.objective
        gained = past[int(LATELY * (len(past) - 1))] - objective if past else 0.0
        gap = STATED * gained / abs(objective) if objective else 0.0
        final = stated(final, max(gap, FINEST * self.tol))
        self.history.record(self.watch.seconds, final, network.n_neurons)
        return Solution(network, final, status, self.history)


def unit(network: Network) -> tuple[Array, Array, Array]:
    """Unit directions, their biases, and the norms taken out."""
    size = np.linalg.norm(network.hidden_weights, axis=0)
    return network.hidden_weights / size, network.hidden_bias / size, size


def widened(network: Network, new: Candidates) -> tuple[Array, Array, Array]:
    """Unit directions, biases and output weights of its neurons and of new ones, still at zero."""
    U, b, size = unit(network)
    a = network.output_weights * size[:, None]
    zeros = np.zeros((len(new), network.n_outputs))
    return np.hstack([U, new.U]), np.concatenate([b, new.b]), np.vstack([a, zeros])


def averaged(first: Network, second: Network) -> Network:
    """The network of both their neurons, at half the output weights."""
    U = np.hstack([first.hidden_weights, second.hidden_weights])
    b = np.concatenate([first.hidden_bias, second.hidden_bias])
    a = np.vstack([first.output_weights, second.output_weights])
    return Network(U, b, a / 2, (first.output_bias + second.output_bias) / 2)


def distinct(found: Candidates, core: Problem, count: int) -> Candidates:
    """The violating candidates, the best of each pattern, best first, at most ``count``."""
    found = found.take(found.value > core.weight_decay * (1 + 1e-9))
    if len(found) == 0:
        return found
    S = core.X @ found.U + found.b
    on = 1e-9 * np.max(np.abs(S), axis=0) < S
    return found.take(best_of_patterns(on, found.value)[:count])
