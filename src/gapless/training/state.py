"""Where a training stands: the network, the best so far, what is proven of it, the history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

import numpy as np

from ..certificates.certify import certificate, stated, with_best_bound, with_bound
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.constant import null_model
from ..core.network import Network, constant_network
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.result import Certificate, History, Solution, Status
from ..core.watch import Watch, never
from ..gauge.base import GaugeBound
from .batches import descend_by_batches
from .descent import descend
from .master import solve_master
from .neurons import averaged, many_patches, unit_directions, violating, with_candidates
from .newton import sharpen, worthwhile
from .plan import FIRST_WIDTHS, Plan, Trying
from .random_network import random_network

# Smoothing of hinge and pinball at first; smooth losses ignore it.
SMOOTHING = 0.3
# Accuracy of the master, relative to the tolerance of the gap.
MASTER = 1e-6
# And to the square of the gap while that is wide, at most WIDE.
EARLY_MASTER, WIDE = 1e-6, 0.1
# Share of the time left that steps on batches may take.
BATCHES = 0.6
# Objectives computed once L-BFGS has ended: two compare it with its start, one is adopted, one
# returned.
LOOKS = 4
# After steps on batches at least two follow; by how many samples it is known how long one takes.
LAST_LOOKS, FEW = 2, 500
# Every how many calls its network is measured.
ADOPTED = 4
# Every how many rounds the network goes through Newton's method.
SHARPEN = 5
# Gains are measured against this share at least of what the objective was at first.
SHARE = 0.1

# The estimated gap is stated no finer than this many times the share of the objective that was
# gained since this part of the history, and than a share of the tolerance: on 60 problems that
# covers the distance to the best network known in 95% of the runs (docs/proofs.md).
STATED, LATELY, FINEST = 3.0, 0.8, 0.1


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


class Joining(Trying, Protocol):
    """What a state sees of the effort."""

    def joins(self, state: Any) -> bool: ...


class State:
    """One training on the core problem; every step of the loop is a method that changes it.

    Attributes
    ----------
    core : Problem
    network, best : Network
        The one in training, and the best by the true objective, which is ``value``.
    certificate : Certificate
        Of ``best``.
    found : Candidates
        What the last search ended at.
    gap : float or None
        What the last search left between objective and estimated bound; None where it was cut
        short, as it then says nothing of what it did not see.
    past : list of float
        ``value`` before the start and at each search.
    smoothing : float
        Of hinge and pinball in the master.
    advice : str
        What would narrow the proven gap.
    outlook : (seconds, lower) or None
        About how many more it takes to prove this bound.
    finest : float
        Relative gap that the estimated one is stated no finer than.
    kept : float
        Seconds that looking at so many samples takes; the first bound of them takes as long.
    """

    def __init__(
        self,
        reduction: Reduction,
        plan: Plan,
        watch: Watch,
        rng: np.random.Generator,
        tol: float,
        max_neurons: int | None = None,
        init: Network | None = None,
    ) -> None:
        self.reduction, self.watch, self.rng = reduction, watch, rng
        self.tol, self.max_neurons = tol, max_neurons
        self.core = core = reduction.core
        self.oracle = plan.searcher(core, rng)
        self.history = History()
        self.past: list[float] = []
        self.smoothing = SMOOTHING
        self.gap: float | None = None
        self.advice = ""
        self.outlook: tuple[float, float] | None = None
        self.kept = self.finest = 0.0
        empty = constant_network(core, np.zeros(core.n_outputs))
        self.network = self.best = empty if init is None else reduction.apply(init)
        self.value = self.best.objective(core)
        least = core.loss.infimum
        self.certificate = Certificate(self.value, least, least, "the infimum of the loss")
        self.found = Candidates(np.zeros((core.n_features, 0)), np.zeros(0), np.zeros(0))
        if max_neurons is not None and self.network.n_neurons > max_neurons:
            self.best = self.network = self._strongest(self.network, max_neurons)
            self.value = self.best.objective(core)
        self.solve_master(self.found)

    @property
    def smooth(self) -> Problem:
        """The problem the master solves: hinge and pinball smoothed."""
        return self.core.variant(self.core.loss.smoothed(self.smoothing), self.core.weight_decay)

    @property
    def size(self) -> float:
        """What gains are measured against: the objective, or a tenth of what it was at first.

        Near interpolation the objective is a small remainder of the null model's, and a share
        of it is a demand that no fit can notice.
        """
        return max(self.value, SHARE * self.past[0])

    @property
    def least_smoothing(self) -> float:
        """Smoothing by mu costs at most mu / 2 of the objective an output."""
        return self.tol * self.size / self.core.n_outputs

    @property
    def accuracy(self) -> float:
        """Of the master; a sharp loss's dual point is its residual divided by the smoothing."""
        gap = min(self.certificate.estimated_relative_gap, WIDE)
        accuracy = max(MASTER * self.tol, EARLY_MASTER * gap**2)
        return accuracy * (self.smoothing if self.core.loss.sharp else 1.0)

    def dual_point(self) -> Array:
        """The residual of the network, (n_samples, n_outputs)."""
        return self.smooth.dual_point(self.network.predict(self.core.design))

    def certify(self, Lam: Array, bound: GaugeBound, found: Candidates) -> None:
        """What a dual point, a proven bound of its gauge and a search say of the best network."""
        self.past.append(self.value)
        self.history.n_rounds += 1
        self.found, self.gap = found, None
        if self.watch.due():
            self.prove(Lam, bound)
            return
        top = found.value.max(initial=0.0)
        new = certificate(self.core, self.value, Lam, bound, top)
        self.gap = new.objective - new.estimated_lower_bound
        self._record(with_best_bound(self.certificate, new))

    def prove(self, Lam: Array, bound: GaugeBound) -> None:
        """What a bound proves without a search."""
        self._record(with_bound(self.certificate, self.core, Lam, bound))

    def solve_master(self, found: Candidates) -> None:
        """The master over the network's neurons and those of ``found`` that violate, merged."""
        U, b, a = with_candidates(self.network, violating(found, self.smooth))
        Z = self.core.design.activations(U, b)
        due = self.watch.due if len(a) else never  # there is always time for the null model
        a, c = solve_master(self.smooth, Z, a, self.network.output_bias, self.accuracy, due)
        network = self.merged(Network(U, b, a, c))
        if self.max_neurons is not None and network.n_neurons > self.max_neurons:
            network = self._strongest(network, self.max_neurons)
        self.adopt(network)

    def merged(self, network: Network) -> Network:
        """Without neurons of equal pattern, where looking for them costs less than it brings."""
        design = self.core.design
        return network.balance() if many_patches(design) else network.merge(design)

    def improve(self, plan: Plan, effort: Joining) -> None:
        """A better network from the neurons found."""
        if effort.joins(self):
            self.join()
        self.solve_master(self.found)  # 4. the master over old and new neurons
        widths = plan.descent(effort)
        if widths is not None:  # 5. all weights at once
            self.descend(widths)
            if self.history.n_rounds % SHARPEN == 0 and worthwhile(self.core, self.network):
                network = sharpen(self.smooth, self.network, self.watch.due)
                self.adopt(self.merged(network))
        if plan.slides and not self.watch.due():  # 6. each neuron along its kinks
            U, b, _ = unit_directions(self.network)
            slid = self.oracle.improve(self.dual_point(), U, b, stop=self.watch.due)
            self.solve_master(slid)

    def join(self) -> None:
        """Average with another random network, descended alone, for the master to weigh both.

        Each descent ends on kinks that only many neurons together could leave.  In what neurons
        sum to training is convex: networks that ended on different kinks are together better than
        either.  On boston at .001 twenty seconds with it end half a per cent below forty without.
        """
        other = random_network(self.smooth, null_model(self.core), self.rng)
        for width in FIRST_WIDTHS:
            other = descend(
                self.smooth, other, self.watch.due, width, True, lambda _: self.tell() is not None
            )
        if other.n_neurons:
            self.network = averaged(self.network, other)

    def descend(self, widths: tuple[float, ...], telling: bool = False) -> None:
        """L-BFGS on all the weights, at widths of the kinks from wide to narrow.

        Plain where there are none, or where softening lost.  What is better on the way is kept, so
        that an interrupt finds it, and told to the callback if ``telling``.
        """
        due = self.watch.due
        if due():  # one look at the network may take a second
            return
        before, value = self.network, self.network.objective(self.smooth)

        def seen(network: Network) -> bool:
            self.adopt(network)
            return telling and self.tell() is not None

        for width in widths:
            if not due():
                found = descend(self.smooth, self.network, due, width, True, seen)
                self.adopt(self.merged(found))
        if not due() and not self.network.objective(self.smooth) < value:
            self.adopt(self.merged(descend(self.smooth, before, due)))

    def descend_by_batches(self) -> None:
        """Steps on batches of samples in a share of the time, then L-BFGS on all."""

        # so many samples take seconds to look at: what follows the last step is kept back
        look, calls = self._seconds_of_a_look(), count(1)
        watch = self.watch.part(share=BATCHES, kept=LAST_LOOKS * look)

        def seen(network: Network) -> bool:
            # it takes half as long as a pass of steps
            if next(calls) % ADOPTED == 0 and watch.left > look:
                self.adopt(network)
            return self.tell() is not None

        found = descend_by_batches(self.smooth, self.network, self.rng, watch, seen)
        before, begun = self.watch, self.watch.seconds
        self.adopt(found)
        self.kept = LOOKS * (before.seconds - begun)
        self.watch = before.shorter(before.callback, kept=self.kept)
        if not self.watch.due():
            single = descend(self.smooth, self.best, self.watch.due, single=True, seen=seen)
            self.adopt(single)

    def _seconds_of_a_look(self) -> float:
        """About how long the network's objective takes: so long as of a few samples, times all."""
        n = self.core.n_samples
        some, begun = self.core.of_samples(np.arange(0, n, -(-n // FEW))), self.watch.seconds
        self.network.objective(some)
        return (self.watch.seconds - begun) * n / some.n_samples

    def adopt(self, network: Network) -> None:
        """Go on from ``network``, and remember the best by the true objective."""
        self.network = network
        if network is self.best:
            return
        value = network.objective(self.core)
        if value < self.value:
            self.best, self.value = network, value
            self._record(replace(self.certificate, objective=value))

    def progress(self) -> Progress:
        """What a callback sees."""
        rounds, size = self.history.n_rounds, (self.best.n_neurons, self.core.n_samples)
        known = self.reduction.certificate(self.certificate)
        return Progress(rounds, self.watch.seconds, known, *size, self.found)

    def tell(self) -> Status | None:
        """Tell the callback; the status of a training that has to end now."""
        return self.watch.ended(self.progress)

    def solution(self, status: Status) -> Solution:
        """Prune, map back, and state the certificate for the very network returned."""
        network = self.best
        if network.n_neurons > self.core.n_samples and self.core.n_outputs == 1:
            network = network.prune(self.core.design)
        network = self.reduction.invert(network)
        objective = network.objective(self.reduction.problem)
        final = replace(self.reduction.certificate(self.certificate), objective=objective)
        if not np.isfinite(objective):
            status = Status.NUMERICAL_ERROR
        elif status.proven:  # what rounding takes on the way back may be more than the tolerance
            status = Status.of_gap(final.relative_gap, self.tol) or Status.STALLED
        past = self.history.objective
        gained = past[int(LATELY * (len(past) - 1))] - objective if past else 0.0
        gap = STATED * gained / abs(objective) if objective else 0.0
        final = stated(final, max(gap, FINEST * self.tol, self.finest))
        self.history.record(self.watch.seconds, final, network.n_neurons)
        return Solution(network, final, status, self.history, advice=self.advice)

    def _record(self, certificate: Certificate) -> None:
        self.certificate = certificate
        known = self.reduction.certificate(certificate)
        self.history.record(self.watch.seconds, known, self.best.n_neurons)

    def _strongest(self, network: Network, count: int) -> Network:
        """The ``count`` neurons of largest weight, refitted."""
        U, b, size = unit_directions(network)
        keep = np.argsort(-size, kind="stable")[:count]
        Z = self.core.design.activations(U[:, keep], b[keep])
        a = network.output_weights[keep] * size[keep, None]
        a, c = solve_master(self.smooth, Z, a, network.output_bias, self.accuracy)
        return Network(U[:, keep], b[keep], a, c).balance()
