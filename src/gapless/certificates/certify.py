"""An independent checker: any two-layer network + problem -> certificate.

No training solver is called.  The network's residual is a dual point; a proven upper bound of
its gauge makes it feasible after scaling; weak duality turns it into a lower bound on the
objective of every network of every width.  With more time the relaxations look for better
dual points, together with the multipliers that prove them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.checks import Array, not_negative, positive_int
from ..core.network import Network
from ..core.problem import Problem
from ..core.reduction import Reduction, power_of_two
from ..core.result import Certificate
from ..core.watch import Watch
from ..gauge.base import LARGE, Dual, GaugeBound, Relaxation
from ..gauge.choose import METHODS, planned, timely_bound
from ..gauge.patch_directions import boxes_of
from ..gauge.search import Oracle
from .proof_files import write_proof

# Seconds at least for the search, as an estimate from none is worth nothing, and for a first proof.
LEAST_SEARCH, LEAST_PROOF = 0.5, 1.0
# Shares of the time for the search: half, little where boxes of directions apply.
HALF, LITTLE = 0.5, 0.15
# The estimated gap of one search around a network is stated no finer than this.
ONE_SEARCH = 1e-3


def certificate(
    core: Problem, objective: float, Lam: Array, bound: GaugeBound, found: float
) -> Certificate:
    """The certificate that the dual point ``Lam`` gives.

    ``bound`` is a proven bound of its gauge, ``found`` the largest value a search met.

    Parameters
    ----------
    core : Problem
    objective : float
        Of the network, in the core's units.
    Lam : array of shape (n_samples, n_outputs)
    bound : GaugeBound
        A proven bound of its gauge.
    found : float
        The largest value of its gauge that a search met: for the estimated bound.

    Returns
    -------
    Certificate

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorem 8 (weak duality).
    """
    lower = core.proven_bound(Lam, bound.upper)
    found = max(found, bound.lower)
    estimated = core.best_scale(Lam, core.weight_decay / found if found > 0 else np.inf)[1]
    return Certificate(objective, lower, max(estimated, lower), bound.proof)


def stated(certificate: Certificate, gap: float) -> Certificate:
    """``certificate`` with an estimate no finer than the relative ``gap``.

    A search that found little proves nothing: how far such estimates were off, and what covers
    that, is measured by ``benchmarks.calibration``.

    Parameters
    ----------
    certificate : Certificate
    gap : float
        Relative to the objective.

    Returns
    -------
    Certificate
        Its estimated bound never below the proven one.
    """
    coarse = certificate.objective - gap * abs(certificate.objective)
    estimated = max(min(certificate.estimated_lower_bound, coarse), certificate.lower_bound)
    return replace(certificate, estimated_lower_bound=estimated)


def with_best_bound(old: Certificate | None, new: Certificate) -> Certificate:
    """``new`` with the higher of the two proven bounds: both hold for every network.

    Parameters
    ----------
    old : Certificate or None
        Of the same problem and an earlier network.
    new : Certificate

    Returns
    -------
    Certificate
    """
    if old is None or new.lower_bound >= old.lower_bound:
        return new
    return Certificate(
        new.objective, old.lower_bound, max(new.estimated_lower_bound, old.lower_bound), old.proof
    )


def with_bound(old: Certificate, core: Problem, Lam: Array, bound: GaugeBound) -> Certificate:
    """``old`` with what ``bound`` proves of ``Lam`` where that is more.

    The estimate stays the search's: no search has looked at this dual point.

    Parameters
    ----------
    old : Certificate
    core : Problem
    Lam : array of shape (n_samples, n_outputs)
    bound : GaugeBound

    Returns
    -------
    Certificate
        ``old`` itself where its bound is as good.
    """
    lower = core.proven_bound(Lam, bound.upper)
    if lower <= old.lower_bound:
        return old
    estimated = max(old.estimated_lower_bound, lower)
    return Certificate(old.objective, lower, estimated, bound.proof)


def prove(
    core: Problem,
    Lam: Array,
    method: str = "auto",
    watch: Watch | None = None,
    files: bool = False,
) -> Iterator[Dual]:
    """Dual points with proven bounds of their gauges, better and better, cheap before costly.

    First ``Lam`` itself by the sharpest cheap bound; unless that is exact, and while
    ``watch`` allows it, the relaxations, which also move the dual point, by turns
    (:func:`gapless.gauge.choose.planned`).  A method named is used alone, a relaxation after the
    norm bound, so that there is an answer at once.

    Parameters
    ----------
    core : Problem
        As :class:`gapless.core.reduction.Reduction` leaves it.
    Lam : array of shape (n_samples, n_outputs)
        The dual point to begin with.
    method : str, default "auto"
        "auto" or one of :data:`gapless.gauge.choose.METHODS`.
    watch : Watch, optional
        When to end, at once by default; the first bound takes up to :data:`LEAST_PROOF` anyway.
    files : bool, default False
        With all that proof files need.

    Yields
    ------
    Dual
        Each proves more than those before it, or has a better neuron of ``Lam``.

    Raises
    ------
    ValueError
        When the method named is unknown or does not apply, as the first is asked for.
    """
    watch = watch or Watch(0.0)
    turns = planned(core, watch.left, method, files)
    if method == "auto" or turns:
        cheap = "auto" if method == "auto" else "norm"
        first = timely_bound(core, Lam, max(watch.left, LEAST_PROOF), cheap)
    else:
        first = METHODS[method].bound(core, Lam)
    best, check, known = core.proven_bound(Lam, first.upper), 0.0, first.lower
    yield Lam, first
    runs: dict[Relaxation, Iterator[Dual]] = {}
    for number, turn in enumerate([] if first.tight else turns):
        if watch.left <= check:  # boxes in a proof file are checked within the limit
            return
        part, run = watch.within(turn.seconds), runs.get(turn.method)
        if run is None:
            again = any(later.method is turn.method for later in turns[number + 1 :])
            run = turn.method.maximise(core, Lam, (watch if again else part).part(kept=check))
            runs[turn.method] = run
        with suppress(ArithmeticError, ValueError):  # numbers too far apart: what is proven stands
            for point, bound in run:
                if (value := core.proven_bound(point, bound.upper)) > best:
                    best, check = value, bound.boxes.seconds if bound.boxes else 0.0
                    yield point, bound
                elif point is Lam and bound.lower > known:
                    yield point, bound
                known = max(known, bound.lower)
                if part.due():
                    break


def evidence(
    problem: Problem,
    network: Network,
    method: str,
    time_limit: float,
    n_starts: int,
    random_state: int | None,
    files: bool = False,
) -> tuple[Reduction, Iterator[tuple[Array, GaugeBound, float]]]:
    """What :func:`certificate` needs: dual points near a network, with proven bounds.

    The search takes half of ``time_limit`` at most, little where boxes of directions apply, and the
    proofs what it leaves.

    Parameters
    ----------
    problem : Problem
    network : Network
        Its residual is the first dual point.
    method : str
        As in :func:`prove`.
    time_limit : float
        Seconds.
    n_starts : int
        Of the search.
    random_state : int or None
    files : bool, default False
        As in :func:`prove`.

    Returns
    -------
    reduction : Reduction
        Of ``problem``.
    points : iterator of (Lam, bound, found)
        Dual points (n_samples, n_outputs) of its core, each with a proven bound of its gauge, and
        for the first the largest value that the search met, for the others their bound.

    Raises
    ------
    ValueError
        When the method named is unknown or does not apply, as the first is asked for.
    """
    watch = Watch(time_limit)
    reduction = Reduction(problem)
    core, state = reduction.core, reduction.apply(network)
    own = core.dual_point(state.predict(core.design))
    oracle = Oracle(core.design, core.free, np.random.default_rng(random_state))
    size = power_of_two(float(np.abs(own).max()))
    if not 1 / LARGE < size < LARGE:  # of networks so bad; a multiple proves the same
        own = own / size
    # boxes of directions are a search, too
    share = LITTLE if boxes_of(core).fits(core) else HALF
    stop = Watch(max(LEAST_SEARCH, share * watch.left)).due
    found = oracle.search(own, state.hidden_weights, n_starts, stop=stop)
    hits = float(found.value.max(initial=0.0))
    proofs = prove(core, own, method, watch, files)
    return reduction, ((Lam, b, hits if Lam is own else b.upper) for Lam, b in proofs)


def certify(
    network: Network,
    X: Any,
    y: Any,
    *,
    weight_decay: float,
    loss: Any = "squared",
    bias: str = "free",
    sample_weight: Any = None,
    method: str = "auto",
    time_limit: float = 10.0,
    tol: float = 1e-4,
    proof: str | os.PathLike[str] | None = None,
    preparation: str = "",
    n_starts: int = 1000,
    random_state: int | None = 0,
) -> Certificate:
    """How far ``network`` can be from the best network of any width on this problem.

    Parameters
    ----------
    network : Network
        Trained by anyone.
    X, y, weight_decay, loss, bias, sample_weight
        The training problem, as in :class:`gapless.Problem`.
    method : str, default "auto"
        The gauge bound that proves: "low-rank", "whitened", "spike-free", "norm", "directions" (up
        to three outputs, a dozen dimensions), "faces" (several outputs, rank 7 at most, few
        samples), "singular values" (several outputs), "quadratic", "doubly nonnegative", "branch
        and bound" (the same, split by signs of samples).  "auto" goes from cheap to costly until
        the time is up.
    time_limit : float, default 10
        Seconds: half at most for the search behind the estimated bound (a seventh where boxes of
        directions apply), the rest for the relaxations; 0 for the cheap bounds only.  The bound
        only ever improves with time, and an interrupt (Ctrl-C) keeps the best so far.
    tol : float, default 1e-4
        Relative gap at which to stop.
    proof : path, optional
        Where to write a proof file for :func:`gapless.verify`.  Checking a tree of boxes takes
        longer than finding it; the time for that is kept back of ``time_limit``.  An interrupt
        while it is checked has the certificate in its message.
    preparation : str, default ""
        Text for the proof file: how samples were made.
    n_starts : int, default 1000
        Starts of the search behind the *estimated* bound.
    random_state : int or None, default 0

    Returns
    -------
    Certificate

    Raises
    ------
    TypeError, ValueError
        For anything but a network, a problem that is none, a method that the data do not fit, and
        a proof that no file can hold (:func:`gapless.write_proof`).

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem, certify, train
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> y = np.abs(X[:, 0])
    >>> network = train(Problem(X, y, weight_decay=0.01)).network
    >>> bool(certify(network, X, y, weight_decay=0.01).relative_gap < 1e-3)
    True
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a gapless.Network, got {type(network).__name__}; a fitted estimator "
            "has it as network_"
        )
    time_limit, tol = not_negative("time_limit", time_limit), not_negative("tol", tol)
    n_starts = positive_int("n_starts", n_starts)
    problem = Problem(X, y, loss, weight_decay, bias, sample_weight)
    objective = network.objective(problem)
    reduction, points = evidence(
        problem, network, method, time_limit, n_starts, random_state, files=proof is not None
    )
    result, Lam, bound = _best(reduction.core, reduction.lowered(objective), points, tol)
    known = stated(replace(reduction.certificate(result), objective=objective), ONE_SEARCH)
    if proof is not None:
        try:
            write_proof(proof, problem, Lam, bound, preparation)
        except KeyboardInterrupt:  # the checker takes as long as the proof did, or longer
            raise KeyboardInterrupt(f"proven until then: {known}") from None
    return known


def _best(
    core: Problem, objective: float, points: Iterator[tuple[Array, GaugeBound, float]], tol: float
) -> tuple[Certificate, Array, GaugeBound]:
    """The best certificate of :func:`evidence` for ``core``, and what proves it."""
    Lam, bound, found = next(points)
    best = certificate(core, objective, Lam, bound, found)
    with suppress(KeyboardInterrupt):  # the best so far is as good
        while best.relative_gap > tol and (step := next(points, None)) is not None:
            if (more := with_bound(best, core, *step[:2])) is not best:
                best, Lam, bound = more, *step[:2]
    return best, Lam, bound
