"""Training: column generation on the dual of the weight-decay problem."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from ..certificates.certify import prove
from ..certificates.wide import WIDE, advice
from ..core.candidates import Candidates
from ..core.checks import Array, choose, positive, positive_int
from ..core.network import Network
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction
from ..core.result import Solution, Status
from ..core.threads import blas_threads
from ..core.watch import Watch
from ..gauge.choose import few_dimensions, is_exact, timely_bound
from ..gauge.direction import begin_compiling, begin_loading
from ..gauge.patch_directions import boxes_of
from .effort import Effort
from .loop import rounds
from .plan import FIRST_WIDTHS, ORACLES, Plan
from .random_network import MOST, random_network
from .state import LOOKS, Progress, State

# Numbers in X from which BLAS may use all its threads, and from which nothing begins that is late.
THREADED = 200_000
# Gap of the network of a tenth of the rows: about what the sample itself is off by.
COARSE_TOL = 1e-2
# Seconds at least that boxes of directions may take to decide whether training is over, and of the
# time for proofs the share.
SETTLING, MOST_TIME = 12.0, 0.8
# Share of the tolerance that the bound may use, as rounding is charged to it; how far above the
# best neuron known it is looked for, and how finely.
ROOM, MOST_GAUGE, BISECTIONS = 0.95, 16.0, 30
# Seconds for a proof, at least and at most, where it may take as long as training did: hundreds of
# small fits are to stay quick, and what is not proven by then takes minutes.
LEAST, MOST_PROOF = 0.4, 4.0
# Seconds that one waits longer where boxes of directions are predicted to bring the gap below
# certificates.wide.WIDE in them, and the gap that ends the wait.  Where they are not, little comes
# of more than the least: of 16 tables 14 stayed above WIDE for as long as training took, two were
# proven at once; of nine of four to ten classes one came below .85, and none only later.
WAIT, MEANT = 5.0, 0.03
# Share of a time limit for both that boxes of directions, where they apply, have for the proof.
KEPT = 0.4
# Share of it after which one search that finds nothing is enough, as boxes look again.
LOOKED = 0.05

#: seconds for proofs: None for what a watch has left, "usual" as :func:`usual` finds them
ProofTime: TypeAlias = float | Literal["usual"] | None


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

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.
    ValueError
        For a ``tol``, ``max_iter``, ``max_neurons`` or ``time_limit`` that is not positive, another
        oracle, and an ``init`` of other features or outputs.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorems 8 and 13 (the dual), Algorithms 1 and 3.
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
        proof_time=0.0 if time_limit is None else None,
        settle=time_limit is None,
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
    proof_time: ProofTime = 0.0,
    settle: bool = False,
    joins: bool = True,
) -> Solution:
    """:func:`train` until ``watch`` ends it.

    Parameters
    ----------
    problem : Problem
    watch : Watch
        Time and callback.
    tol, max_neurons, max_iter, init, random_state, oracle
        As in :func:`train`.
    proof_time : float, "usual" or None, default 0
        Seconds for proofs once training has ended; None for what it leaves of ``watch``, "usual"
        for about as many as training took, or some more (:func:`usual`).
    settle : bool, default False
        Whether boxes of directions decide if ``tol`` is met, for as long as training took or
        :data:`SETTLING` seconds, where no other time is given for proofs.
    joins : bool, default True
        Whether other random networks may join; an ``init`` that several were averaged for has
        what they bring, and a descent from a thousand neurons takes longer.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        As :func:`train`.
    """
    check_problem(problem)
    tol = positive("tol", tol)
    max_iter = positive_int("max_iter", max_iter)
    if max_neurons is not None:
        max_neurons = positive_int("max_neurons", max_neurons)
    choose("oracle", oracle, ORACLES)
    # On small matrices a second BLAS thread costs more than it brings.
    n_threads = 1 if problem.design.size < THREADED else None
    # what is not finite has its own status, and is no better than the best network
    with blas_threads(n_threads), np.errstate(all="ignore"):
        reduction, rng = Reduction(problem), np.random.default_rng(random_state)
        plan = Plan.of(reduction.core, oracle, max_neurons, warm=init is not None)
        plan = replace(plan, joins=plan.joins and joins)
        training, compilers = watch, []
        if proof_time == "usual" and not is_exact(reduction.core):
            compilers = begin_compiling(problem)
        if (proof_time != 0 or settle) and boxes_of(reduction.core).fits(reduction.core):
            begin_loading()
            if proof_time is None and watch.limited:
                training = watch.shorter(watch.callback, share=1 - KEPT)
        state = State(reduction, plan, training, rng, tol, max_neurons, init)
        try:
            begin(state, plan, max_iter)
            again = proof_time in (None, "usual") and watch.limited and few_dimensions(state.core)
            effort = Effort(plan, LOOKED * (watch.seconds + watch.left) if again else np.inf)
            status = judged(state, plan, rounds(state, plan, effort, max_iter))
            if status not in (Status.STOPPED, Status.NUMERICAL_ERROR):
                if proof_time == "usual":
                    least, proving = usual(state, watch.seconds, compilers)
                else:
                    least = proving = watch if proof_time is None else Watch(proof_time)
                deciding = Watch(max(2 * watch.seconds, SETTLING)) if settle else proving
                status = settled(state, plan, status, max_iter, deciding)
                status = proven(state, plan, status, max_iter, proving, least)
            if proof_time != 0:
                state.advice = advice(state.core, state.certificate, tol, state.outlook)
        except KeyboardInterrupt:
            status = Status.STOPPED
        return state.solution(status)


def proof_times(
    watch: Watch, time_limit: float | None, prove_time: float | None
) -> tuple[float, ProofTime]:
    """Seconds that training leaves to the proof, and the ``proof_time`` of :func:`solve`.

    Parameters
    ----------
    watch : Watch
        Of training and proof together where there is a ``time_limit``, else of training.
    time_limit, prove_time : float or None
        As the user gives them.  A time limit covers both: of what is left of it the proof gets
        ``prove_time``, half at most, or what training leaves.

    Returns
    -------
    kept : float
    proof_time : ProofTime
    """
    if prove_time is None:
        return 0.0, "usual" if time_limit is None else None
    if time_limit is None:
        return 0.0, prove_time
    kept = min(prove_time, watch.left / 2)
    return kept, kept


def begin(state: State, plan: Plan, max_iter: int) -> None:
    """The first network, where there is none; the rounds then have to find what is missing.

    Parameters
    ----------
    state : State
        It is changed.
    plan : Plan
    max_iter : int
        Rounds of the start on a part of the rows.
    """
    late = state.watch.due() and state.core.design.size > THREADED
    if state.best.n_neurons > 0 or late:
        return
    if plan.start == "rows":
        begin_with_rows(state, max_iter)
    elif plan.start in ("random", "batches"):
        most = MOST if state.max_neurons is None else state.max_neurons
        network = random_network(state.smooth, state.network.output_bias, state.rng, most)
        if network.n_neurons:
            state.past.append(state.value)
            if plan.start == "batches":
                state.network = network  # looking at it takes as long as a thousand steps
                state.descend_by_batches()
            else:
                state.adopt(network)
                state.descend(FIRST_WIDTHS, telling=True)
            if not state.watch.due():
                state.solve_master(state.found)


def begin_with_rows(state: State, max_iter: int) -> None:
    """Go on from the network of a tenth of the rows.

    Parameters
    ----------
    state : State
        It is changed.
    max_iter : int
    """
    core, watch = state.core, state.watch

    def enough(info: Progress) -> bool:
        known = state.reduction.certificate(info.certificate)
        asked = watch.ended(lambda: replace(info, certificate=known)) is Status.STOPPED
        return asked or info.certificate.estimated_relative_gap <= COARSE_TOL

    rows = np.sort(state.rng.choice(core.n_samples, core.n_samples // 10, replace=False))
    reduction = Reduction(core.of_samples(rows))
    plan = Plan.of(reduction.core, max_neurons=state.max_neurons)
    part = State(reduction, plan, watch.shorter(enough), state.rng, state.tol, state.max_neurons)
    try:
        begin(part, plan, max_iter)
        rounds(part, plan, Effort(plan), max_iter)
    finally:  # an interrupt has it too
        state.adopt(reduction.invert(part.best))


def judged(state: State, plan: Plan, status: Status) -> Status:
    """``status``, or what the proven gap earns of a loop that ended by itself.

    A bound that takes longer than a search is tried now.

    Parameters
    ----------
    state : State
    plan : Plan
    status : Status
        How the rounds ended.

    Returns
    -------
    Status
    """
    if status.unfinished and status is not Status.NUMERICAL_ERROR:
        return status
    if plan.bounds == "patient" and state.certificate.relative_gap > state.tol:
        Lam = state.dual_point()
        state.prove(Lam, timely_bound(state.core, Lam, state.watch.left))
    return Status.of_gap(state.certificate.relative_gap, state.tol) or status


def settled(state: State, plan: Plan, status: Status, max_iter: int, watch: Watch) -> Status:
    """Train and prove as one: whether any direction is left that violates the dual constraint.

    Boxes of directions find one that searches missed, with which training goes on, or prove that
    there is none, if that is predicted to take half of the time that ``watch`` has left.

    Parameters
    ----------
    state : State
        It is changed.
    plan : Plan
    status : Status
        How the rounds ended.
    max_iter : int
    watch : Watch

    Returns
    -------
    Status
    """
    core, boxes = state.core, boxes_of(state.core)
    if watch.due() or plan.oracle != "search" or not boxes.fits(core):
        return status
    while state.certificate.relative_gap > state.tol and not status.unfinished:
        Lam = state.dual_point()
        known = state.found.value.max(initial=0.0)
        G = enough(core, Lam, known, state.value - ROOM * state.tol * abs(state.value))
        if known >= G:
            break
        bound = boxes.decide(core, Lam, G, known, asking(state, watch.part(share=MOST_TIME)))
        if bound is None or (bound.neurons is not None and bound.lower <= core.weight_decay):
            break
        if bound.neurons is None:
            state.prove(Lam, bound)
            return Status.of_gap(state.certificate.relative_gap, state.tol) or status
        state.solve_master(bound.neurons)
        status = judged(state, plan, rounds(state, plan, Effort(plan), max_iter))
    return status


def enough(core: Problem, Lam: Array, least: float, lower: float) -> float:
    """The largest bound of the gauge of ``Lam`` that proves ``lower``; 0 if ``least`` does not."""
    low, high = 0.0, least
    while core.proven_bound(Lam, high) >= lower and high < MOST_GAUGE * least:
        low, high = high, 1.5 * high
    for _ in range(BISECTIONS if low else 0):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if core.proven_bound(Lam, middle) >= lower else (low, middle)
    return low


def asking(state: State, watch: Watch) -> Watch:
    """``watch``, which asks the callback of training between two bounds, too."""
    return Watch(watch.left, asked=lambda: state.tell() is Status.STOPPED)


def usual(
    state: State, trained: float, compilers: list[subprocess.Popen[bytes]]
) -> tuple[Watch, Watch]:
    """How long a proof takes at least and at most where nobody says: about as long as training.

    Some seconds more where boxes of directions are predicted to prove much in them,
    :data:`LEAST` alone where they are not and the gap is wide.

    Parameters
    ----------
    state : State
    trained : float
        Seconds.
    compilers : list of Popen
        To wait for first, once on a machine.

    Returns
    -------
    least, most : Watch
    """
    core, boxes, gap = state.core, boxes_of(state.core), state.certificate.relative_gap
    for compiler in compilers if gap > state.tol else ():
        compiler.wait()
    seconds = most = min(max(trained, LEAST), MOST_PROOF)
    if gap > WIDE:
        Lam, known = state.dual_point(), state.found.value.max(initial=0.0)
        G = enough(core, Lam, known, state.value - WIDE * abs(state.value))
        more = G > known > 0 and boxes.fits(core) and boxes.promise(core, Lam, G, known, WAIT)
        seconds, most = (seconds, WAIT) if more else (LEAST, LEAST)
    return Watch(seconds), Watch(most)


def proven(
    state: State, plan: Plan, status: Status, max_iter: int, watch: Watch, least: Watch
) -> Status:
    """Spend the time of ``watch`` on the proven bound; the status that follows.

    Parameters
    ----------
    state : State
        Its certificate is raised.
    plan : Plan
    status : Status
    max_iter : int
        Rounds of a training that goes on with a neuron that the proof has met.
    watch : Watch
    least : Watch
        When that is over, a gap of :data:`MEANT` will do.

    Returns
    -------
    Status
    """
    if watch.left <= state.kept or state.certificate.relative_gap <= state.tol:
        return status
    gained = True
    while (missed := missed_neuron(state, watch, least, gained)) is not None:
        before, begun = state.value, state.watch.started
        state.watch = watch.part(state.watch.callback, share=1 - KEPT)
        state.watch.started = begun
        state.solve_master(missed)
        again = judged(state, plan, rounds(state, plan, Effort(plan, 0.0), max_iter))
        if again in (Status.STOPPED, Status.NUMERICAL_ERROR):
            return again
        status, gained = status if again.unfinished else again, state.value < before
    early = status.unfinished or status is Status.NEURON_LIMIT
    if early and state.certificate.relative_gap > state.tol:
        return status
    return Status.of_gap(state.certificate.relative_gap, state.tol) or status


def missed_neuron(state: State, watch: Watch, least: Watch, wanted: bool) -> Candidates | None:
    """Prove until it is enough or, if one is ``wanted``, until a neuron that training missed
    counts: the gap that it leaves is more than the time to begin anew is worth."""
    last, begun = state.kept / LOOKS, watch.seconds  # at the network that is returned
    a_round = float(np.diff(state.history.seconds[-2:]).sum())
    core, Lam = state.core, state.dual_point()
    for point, bound in prove(core, Lam, watch=asking(state, watch.part(kept=last))):
        state.prove(point, bound)
        if bound.outlook is not None:
            seconds, upper = bound.outlook
            state.outlook = seconds, core.proven_bound(point, upper)
        asked = state.tell() is Status.STOPPED  # the time of training may be over
        gap = state.certificate.relative_gap
        if asked or gap <= state.tol or (gap <= MEANT and least.due()):
            break
        missed = wanted and bound.neurons is not None and point is Lam
        if missed and bound.lower > core.weight_decay:
            left = (state.value - core.proven_bound(Lam, bound.lower)) / abs(state.value)
            if left * watch.left > min(gap, WIDE) * (watch.seconds - begun + a_round):
                return bound.neurons
    return None
