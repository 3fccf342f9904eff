"""Minimum-norm interpolation: the limit weight_decay -> 0 of training.

    R* = min  1/2 sum_j (||u_j||^2 + ||a_j||^2) = min sum_j ||u_j|| ||a_j||   s.t.  f(X) = Y

over networks of any width (Ergen & Pilanci, JMLR 2021, eq. 3 and Lemma 1; for penalised biases
``u_j`` includes the bias weight).  Its dual (Theorem 1) is

    max_Lam  <Lam, Y>   s.t.  g(Lam) <= 1,

with the gauge of :mod:`gapless.core.problem` and, under the free bias, columns of Lam that sum to
zero.  Any Lam and any proven bound ``gbar >= g(Lam)`` give ``R* >= <Lam, Y> / gbar``.

Column generation on the augmented Lagrangian of the dual: each round searches neurons that
violate the constraint at Lam, solves the group lasso over the neurons at hand with targets
``T``, and adds the misfit to them, ``T <- T + Y - f`` (Bregman iterations, Yin et al. 2008).
The next dual point is ``(T - f) / (n weight_decay)``; as the misfit vanishes it becomes optimal.
The linear program over the neurons at hand has the same value, but its multipliers jump from
vertex to vertex while neurons are few.  Interpolation needs distinct samples, and without
biases samples of distinct directions.

The sparsest network is another question: :mod:`gapless.training.two_neurons`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from ..core.candidates import Candidates
from ..core.checks import Array, choose, positive, positive_int
from ..core.network import Network, constant_network
from ..core.problem import SUM, Problem
from ..core.reduction import Reduction
from ..core.result import Certificate, History, Solution, Status
from ..core.rounding import EPS
from ..core.threads import blas_threads
from ..core.watch import Watch
from ..gauge.base import GaugeBound
from ..gauge.doubly_nonnegative import DoublyNonnegative
from ..gauge.quadratic import Quadratic
from ..gauge.search import FIRST_STARTS
from .loop import rounds
from .master import solve_master
from .neurons import unit_directions, violating, with_candidates
from .plan import ORACLES, Plan

# Searches in a row that must find nothing.
QUIET_SEARCHES = 3
# Slides a round at most, and the gain, relative to the norm, below which neurons lie still.
SLIDES, STILL = 6, 1e-6
# Weight decay of the first group lasso, as a share of the least that leaves no neuron, and the
# factor by which it may fall a round.  Small ones make the dual point jump while neurons are
# missing (200 rounds instead of 16 on 30 x 40), close samples need them in the end.
STRONG, FADE = 0.1, 0.9
# The misfit falls too slowly when a round leaves this share of it; the weight decay falls by as
# much.  A gauge of the misfit, at norm 1, below NOTHING: no neuron reaches it.
SLOW, NOTHING = 0.3, 1e-6
# Steps and goal of the refit; scores below a share KINK of the largest
# are kinks.
REFITS, REFITTED, KINK = 5, 1e-13, 1e-6
# Misfit, as a share of the largest target, of a network that counts as interpolating.
INTERPOLATES = 1e-8
# Samples and features of the largest problem whose relaxations are solved.
RELAXED_ORDER = 150

NORMS = ("l2", "l1")
UNREACHABLE = (
    "no neuron brings the network closer to the targets: samples coincide, or are multiples of "
    "each other without biases, while their targets differ, or the targets are out of reach of "
    "oracle='spike-free'; remove duplicates, allow biases, or use oracle='search'"
)


@dataclass(frozen=True, eq=False)
class Interpolation(Solution):
    """A :class:`gapless.Solution` whose certificate is about R, the norm, not about a loss.

    Attributes
    ----------
    residual : float
        ``max |f(X) - Y|``: rounding.
    dual : array of shape (n_samples, n_outputs)
        A dual feasible point: ``<dual, Y>`` is the certificate's lower bound.
    """

    residual: float
    dual: Array


def interpolate(
    X: Any,
    Y: Any,
    *,
    bias: str = "free",
    norm: str = "l2",
    oracle: str = "search",
    tol: float = 1e-4,
    max_iter: int = 200,
    time_limit: float | None = None,
    relaxations: bool = True,
    random_state: int | None = 0,
) -> Interpolation:
    """The network of least weight that passes through all samples, with a lower bound.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
    bias : {"free", "penalized", "none"}, default "free"
    norm : {"l2", "l1"}, default "l2"
        What a neuron's output weights pay: ``||u|| ||a||_2`` or ``||u|| ||a||_1`` (JMLR 2021,
        section 4.5.5).  The second splits into one problem an output, since a neuron shared by
        two outputs costs what two copies do.
    oracle : {"search", "spike-free"}, default "search"
        "spike-free" is the paper's Algorithm 1 (Algorithm 3 under the free bias), which
        interpolates only targets in the span of neurons that are active on every sample.
    tol : float, default 1e-4
        Relative gap to reach: proven where a proof is cheap, else estimated.
    max_iter : int, default 200
    time_limit : float, optional
        Seconds for the search.
    relaxations : bool, default True
        Improve the lower bound by convex relaxations of the gauge where that takes seconds,
        n_samples + n_features up to 150.
    random_state : int or None, default 0

    Returns
    -------
    Interpolation

    Raises
    ------
    ValueError
        When no network that the oracle can build passes through the samples.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorem 1, Lemma 1, Algorithms 1 and 3.

    Examples
    --------
    >>> solution = interpolate([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0])
    >>> solution.status.proven, round(solution.certificate.objective, 6)
    (True, 2.0)
    """
    choose("norm", norm, NORMS)
    choose("oracle", oracle, ORACLES)
    tol, max_iter = positive("tol", tol), positive_int("max_iter", max_iter)
    watch = Watch.of(time_limit)
    problem = Problem(X, Y, "squared", 1.0, bias)
    if problem.design.pooled:
        raise ValueError(
            "interpolation is for tables; train patches with a small weight decay instead"
        )
    plan = _plan(oracle)
    columns = np.arange(problem.n_outputs)
    pieces = []
    with blas_threads(1 if problem.n_samples < 1000 else None):
        for chosen in [columns] if norm == "l2" else columns[:, None]:
            part = Problem(problem.X, problem.Y[:, chosen], "squared", 1.0, bias)
            state = Interpolating(part, plan, watch, np.random.default_rng(random_state), tol)
            effort = Insistence(1 if oracle == "spike-free" else QUIET_SEARCHES)
            status = rounds(state, plan, effort, max_iter)
            pieces.append(state.solution(status, relaxations))
    return pieces[0] if norm == "l2" else _stack(problem, pieces)


def _plan(oracle: str) -> Plan:
    """Each round a bound and a search, then neurons slide until they lie still."""
    return Plan(
        oracle="spike-free" if oracle == "spike-free" else "search",
        bounds="sharp",
        neurons="none" if oracle == "spike-free" else "added",
        start="empty",
        kinks="always",
        widths=(),
        descends="never",
        joins=False,
        slides=SLIDES,
        climbers=0,
    )


@dataclass
class Insistence:
    """How often a search must find nothing, ``enough`` times in a row, and from how many starts."""

    enough: int
    n_starts: int = FIRST_STARTS
    quiet: int = 0

    def reached(self, state: Interpolating) -> Status | None:
        """Whether the network fits and the proven gap, or the estimated one, meets the tolerance.

        The network is then refitted to rounding.
        """
        if state.gap is None:
            return None
        limit = state.tol * state.norm
        self.quiet = self.quiet + 1 if state.fits and state.gap <= limit else 0
        proven = state.fits and state.norm - state.certificate.lower_bound <= limit
        if (proven or self.quiet >= self.enough) and state.refit(state.norm + limit):
            return Status.HEURISTIC  # or better, as the final certificate says
        self.n_starts = FIRST_STARTS << min(self.quiet, 4)
        return None

    def exhausted(self, state: Interpolating) -> None:
        """Never: a round that gains little weakens the weight decay of the next."""


class Interpolating:
    """Where an interpolation stands: the network on the core data with targets of unit size.

    Attributes
    ----------
    core : Problem
    network : Network
    Lam : array of shape (n_samples, n_outputs)
        The dual point of the augmented Lagrangian.
    target, misfit : arrays of that shape
        What the master fits, and what the network leaves of the targets.
    dual : array of that shape
        The dual feasible point of the best lower bound.
    gap : float or None
        As in :class:`gapless.training.state.State`.
    """

    def __init__(
        self, problem: Problem, plan: Plan, watch: Watch, rng: np.random.Generator, tol: float
    ) -> None:
        self.problem, self.reduction = problem, Reduction(problem)
        self.watch, self.tol = watch, tol
        core = self.reduction.core
        self.centre = core.Y.mean(axis=0) if core.free else np.zeros(core.n_outputs)
        Y = core.Y - self.centre
        self.size = float(np.abs(Y).max()) or 1.0
        self.core = Problem(core.X, Y / self.size, "squared", 1.0, core.bias)
        self.oracle = plan.searcher(self.core, rng)
        self.network = constant_network(core, np.zeros(core.n_outputs))
        self.Lam = self.dual = self.target = self.misfit = self.core.Y
        self.weight_decay = 0.0
        self.gap: float | None = None
        self.history = History()
        self.certificate = Certificate(0.0, 0.0, 0.0, "norms are not negative")
        self.found = Candidates(np.zeros((core.n_features, 0)), np.zeros(0), np.zeros(0))

    @property
    def norm(self) -> float:
        return self.network.penalty(self.core.bias)

    @property
    def fits(self) -> bool:
        """Whether removing the misfit costs less than the tolerance."""
        cost = float(np.sum(np.abs(self.Lam * self.misfit)))
        return cost <= self.tol * self.norm and float(np.abs(self.misfit).max()) <= self.tol

    def dual_point(self) -> Array:
        return self.Lam

    def certify(self, Lam: Array, bound: GaugeBound, found: Candidates) -> None:
        """What a dual point, a proven bound of its gauge and a search say of the norm."""
        self.found, self.gap = found, None
        self.history.n_rounds += 1
        if self.watch.due():
            self.prove(Lam, bound, None)
            return
        top = float(found.value.max(initial=0.0))
        self.prove(Lam, bound, top)
        self.gap = self.norm - float(np.sum(Lam * self.core.Y)) / max(top, 1.0)

    def prove(self, Lam: Array, bound: GaugeBound, top: float | None) -> None:
        """Raise the lower bound; the estimated one too, where a search met ``top``."""
        value = float(np.sum(Lam * self.core.Y))
        old = self.certificate
        lower, proof = old.lower_bound, old.proof
        # charged as in Problem.proven_value, with the step to zero sums; targets are at most 1
        size = float(np.sum(np.abs(Lam * self.core.Y)))
        proven = value - (SUM + 8) * EPS * size - 2 * self.core.shortfall(Lam)
        gauge = self.core.raised_gauge(Lam, bound.upper) * (1 + 8 * EPS)
        if gauge > 0 and proven / gauge > lower:
            self.dual, lower, proof = Lam / gauge, proven / gauge, bound.proof
        if top is None:
            estimated = max(old.estimated_lower_bound, lower)
        else:
            estimated = max(value / max(top, bound.lower, 1e-300), lower)
        self.certificate = Certificate(self.norm, lower, estimated, proof)
        self.history.record(self.watch.seconds, self.certificate, self.network.n_neurons)

    def tell(self) -> Status | None:
        return self.watch.over

    def improve(self, plan: Plan, effort: Insistence) -> None:
        """The group lasso over old and new neurons; then they slide until they lie still."""
        self._weaken(float(self.found.value.max(initial=0.0)))
        self._solve_master(self.found)
        for _ in range(plan.slides):
            norm = self.norm
            U, b, _ = unit_directions(self.network)
            self._solve_master(self.oracle.improve(self.Lam, U, b))
            if abs(self.norm - norm) <= STILL * norm:
                break

    def _weaken(self, top: float) -> None:
        """A smaller weight decay when the misfit falls too slowly; none for unreachable targets."""
        if self.weight_decay == 0:
            if top <= 0:
                raise ValueError(UNREACHABLE)
            self.weight_decay = self.first = STRONG * top / self.core.n_samples
            self.last = float(np.linalg.norm(self.misfit))
            return
        size = float(np.linalg.norm(self.misfit))
        if size > SLOW * self.last and not self.fits:
            ray = self.core.centre(self.misfit) if self.core.free else self.misfit
            hits = self.oracle.search(ray / size, self.network.hidden_weights, FIRST_STARTS)
            if float(hits.value.max(initial=0.0)) <= NOTHING:
                raise ValueError(UNREACHABLE)
            least = FADE ** len(self.history) * self.first
            self.weight_decay = max(SLOW * self.weight_decay, least)
        self.last = size

    def _solve_master(self, found: Candidates) -> None:
        """The group lasso over old and new neurons, then the misfit joins its targets."""
        U, b, a = with_candidates(self.network, violating(found, self.core))
        Z = np.maximum(self.core.design.scores(U, b), 0.0)
        lasso = Problem(self.core.X, self.target, "squared", self.weight_decay, self.core.bias)
        a, c = solve_master(lasso, Z, a, self.network.output_bias)
        self.network = Network(U, b, a, c).merge(self.core.design)
        F = self.network.predict(self.core.design)
        Lam = (self.target - F) / (self.core.n_samples * self.weight_decay)
        self.Lam = self.core.centre(Lam) if self.core.free else Lam
        self.misfit = self.core.Y - F
        self.target = self.target + self.misfit

    def refit(self, limit: float = np.inf) -> bool:
        """Gauss-Newton steps to rounding, each the shortest change; whether it kept the limits."""
        core, net = self.core, self.network
        n, C = core.n_samples, core.n_outputs
        for _ in range(REFITS):
            misfit = core.Y - net.predict(core.design)
            if np.abs(misfit).max() <= REFITTED:
                break
            U, b, a = net.hidden_weights, net.hidden_bias, net.output_weights
            S = core.design.scores(U, b)
            gate = (KINK * np.abs(S).max(axis=0) < S).astype(float)
            A = (core.design.with_ones() if core.free else core.design).array()
            kink = np.argwhere(np.abs(S) <= KINK * np.abs(S).max(axis=0))
            # scores on a kink go to zero and stay there: the function is not linear beyond it
            held = np.zeros((len(kink), len(b), A.shape[1]))
            held[np.arange(len(kink)), kink[:, 1]] = A[kink[:, 0]]
            # d f_ic = sum_j gate_ij a_jc (A_i . du_j) + sum_j z_ij da_jc + dc_c
            hidden = np.einsum("ij,jc,ik->icjk", gate, a, A).reshape(n * C, -1)
            output = np.kron(np.maximum(S, 0.0), np.eye(C))
            bias = np.tile(np.eye(C), (n, 1)) if core.free else np.zeros((n * C, 0))
            jacobian = np.hstack([hidden, output, bias])
            still = held.reshape(len(kink), len(b) * A.shape[1])
            still = np.pad(still, ((0, 0), (0, jacobian.shape[1] - still.shape[1])))
            goal = np.concatenate([misfit.ravel(), -S[kink[:, 0], kink[:, 1]]])
            step = np.linalg.lstsq(np.vstack([jacobian, still]), goal, rcond=1e-12)[0]
            du, da, dc = np.split(step, [hidden.shape[1], hidden.shape[1] + output.shape[1]])
            du = du.reshape(len(b), -1)
            net = Network(
                U + du[:, : len(U)].T,
                b + du[:, -1] if core.free else b,
                a + da.reshape(len(b), C),
                net.output_bias + dc if core.free else net.output_bias,
            )
        if float(np.abs(core.Y - net.predict(core.design)).max()) > INTERPOLATES:
            return False
        net = net.balance(core.bias)
        if net.n_neurons and net.penalty(core.bias) > limit:
            return False
        self.network = net
        return True

    def solution(self, status: Status, relaxations: bool) -> Interpolation:
        """Refit, prove, and map back to the data as given."""
        core = self.core
        if self.network.n_neurons > core.n_samples and core.n_outputs == 1:
            self.network = self.network.prune(core.design)
        if not self.refit():
            raise ValueError(
                f"no interpolating network was found within the limits ({status.value}); raise "
                "max_iter or time_limit, or merge samples that nearly coincide"
            )
        if relaxations and self.norm > 0:
            small = core.variant(core.loss, 0.1 * self.weight_decay)
            for method in (Quadratic(), DoublyNonnegative()):
                exact = self.norm - self.certificate.lower_bound <= self.tol * self.norm
                small_enough = core.n_samples + core.n_features <= RELAXED_ORDER
                if not exact and small_enough and method.applies(core):
                    self.prove(self.Lam, method.bound(small, self.Lam), None)
        scale = self.size * self.reduction.unit / self.reduction.scale
        net = self.network
        network = self.reduction.invert(
            Network(
                net.hidden_weights,
                net.hidden_bias,
                net.output_weights * self.size,
                net.output_bias * self.size + self.centre,
            )
        )
        group = self.reduction.group
        dual = self.dual[group] / (np.bincount(group)[group, None] * self.reduction.scale)
        old, objective = self.certificate, network.penalty(self.problem.bias)
        final = Certificate(
            objective, old.lower_bound * scale, old.estimated_lower_bound * scale, old.proof
        )
        earned = Status.of_gap(final.relative_gap, self.tol)
        if earned is Status.OPTIMAL or (earned is not None and status is Status.HEURISTIC):
            status = earned
        residual = float(np.abs(network.predict(self.problem.X) - self.problem.Y).max())
        return Interpolation(network, final, status, self.history, residual, dual)


def _stack(problem: Problem, parts: list[Interpolation]) -> Interpolation:
    """One network an output, side by side: the optimum when output weights pay in l1."""
    nets = [part.network for part in parts]
    network = Network(
        np.hstack([net.hidden_weights for net in nets]),
        np.concatenate([net.hidden_bias for net in nets]),
        scipy.linalg.block_diag(*[net.output_weights for net in nets]),
        np.concatenate([net.output_bias for net in nets]),
    )
    marks = [part.certificate for part in parts]
    certificate = Certificate(
        sum(mark.objective for mark in marks),
        sum(mark.lower_bound for mark in marks),
        sum(mark.estimated_lower_bound for mark in marks),
        "; ".join(dict.fromkeys(mark.proof for mark in marks)),
    )
    worst = max((part.status for part in parts), key=list(Status).index)
    history = History()
    history.record(sum(part.history.seconds[-1] for part in parts), certificate, network.n_neurons)
    residual = float(np.abs(network.predict(problem.X) - problem.Y).max())
    return Interpolation(
        network, certificate, worst, history, residual, np.hstack([p.dual for p in parts])
    )
