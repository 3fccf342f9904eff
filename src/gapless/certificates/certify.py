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

from ..core.arrays import is_sparse
from ..core.checks import Array, choose, not_negative, positive_int
from ..core.network import Network
from ..core.problem import Problem
from ..core.reduction import Reduction, power_of_two
from ..core.result import Certificate
from ..core.watch import Watch
from ..gauge.conditions import spectrum
from ..gauge.doubly_nonnegative import DoublyNonnegative
from ..gauge.methods import METHODS, GaugeBound, GaugeMethod, gauge_bound, is_exact
from ..gauge.quadratic import Dual, Quadratic
from ..gauge.search import Oracle
from .proof_files import write_proof

# Seconds at least for the search, as an estimate from none is worth nothing, and for a first proof.
LEAST_SEARCH, LEAST_PROOF = 0.5, 1.0
# Seconds of a decomposition over the cube of its order, and by dimension those a sample of a bound
# that bisects cones: at most, near an optimum.
CUBE, CONES = 3e-10, {3: 1e-4, 4: 5e-2}
# The estimated gap of one search around a network is stated no finer than this.
ONE_SEARCH = 1e-3
# Splitting goes on while time lasts; beyond this a step takes too long to be worth it.
MAX_CELLS = 128
# Dual points of networks so bad that squares overflow are scaled: a multiple proves the same.
LARGE = 1e100


def certificate(
    core: Problem, objective: float, Lam: Array, bound: GaugeBound, found: float
) -> Certificate:
    """The certificate that the dual point ``Lam`` gives.

    ``bound`` is a proven bound of its gauge, ``found`` the largest value a search met.
    """
    lower = core.proven_bound(Lam, bound.upper)
    found = max(found, bound.lower)
    estimated = core.best_scale(Lam, core.weight_decay / found if found > 0 else np.inf)[1]
    return Certificate(objective, lower, max(estimated, lower), bound.proof)


def stated(certificate: Certificate, gap: float) -> Certificate:
    """``certificate`` with an estimate no finer than the relative ``gap``.

    A search that found little proves nothing: how far such estimates were off, and what covers
    that, is measured by ``benchmarks.calibration``.
    """
    coarse = certificate.objective - gap * abs(certificate.objective)
    estimated = max(min(certificate.estimated_lower_bound, coarse), certificate.lower_bound)
    return replace(certificate, estimated_lower_bound=estimated)


def better(old: Certificate | None, new: Certificate) -> Certificate:
    """``new`` with the higher of the two proven bounds: both hold for every network."""
    if old is None or new.lower_bound >= old.lower_bound:
        return new
    return Certificate(
        new.objective, old.lower_bound, max(new.estimated_lower_bound, old.lower_bound), old.proof
    )


def raised(old: Certificate, core: Problem, Lam: Array, bound: GaugeBound) -> Certificate:
    """``old`` with what ``bound`` proves of ``Lam`` where that is more.

    The estimate stays the search's: no search has looked at this dual point.
    """
    lower = core.proven_bound(Lam, bound.upper)
    if lower <= old.lower_bound:
        return old
    estimated = max(old.estimated_lower_bound, lower)
    return Certificate(old.objective, lower, estimated, bound.proof)


def timely_bound(core: Problem, Lam: Array, seconds: float, method: str = "auto") -> GaugeBound:
    """:func:`gapless.gauge.methods.gauge_bound`, if it takes no longer than ``seconds``; else the
    norm bound, or none."""
    n, k = core.X.shape
    order, dimensions = min(n, k), 0
    if method == "auto" and is_exact(core):
        dimensions = spectrum(core)[2] + core.free
    if CONES.get(dimensions, 0.0) * n > seconds:
        method = "norm"
    if CUBE * order**2 * (order if is_sparse(core.X) else max(n, k)) > seconds:
        return GaugeBound(0.0, np.inf, None, "losses are not negative")
    return gauge_bound(core, Lam, method)


#: every bound by name: the cheap exact ones, then the relaxations, then with branching on signs
ALL_METHODS: dict[str, GaugeMethod] = METHODS | {
    "quadratic": Quadratic(),
    "doubly nonnegative": DoublyNonnegative(),
    "branch and bound": DoublyNonnegative(max_cells=MAX_CELLS),
}


def prove(
    core: Problem, Lam: Array, method: str = "auto", time_limit: float = 0.0
) -> Iterator[Dual]:
    """Dual points with proven bounds of their gauges, better and better, cheap before costly.

    First ``Lam`` itself by the sharpest cheap bound; unless that is exact, and while
    ``time_limit`` seconds last, the relaxations, which also move the dual point.  A method
    named is used alone, a relaxation after the norm bound, so that there is an answer at once.
    Every dual point yielded proves more than those before it.
    """
    watch = Watch(time_limit)
    if method == "auto":
        first = timely_bound(core, Lam, max(watch.left, LEAST_PROOF))
        exact = first.lower > 0 and first.upper <= first.lower * (1 + 1e-6)
        steps: list[GaugeMethod] = (
            [] if exact else [ALL_METHODS["quadratic"], ALL_METHODS["branch and bound"]]
        )
    else:
        chosen = ALL_METHODS[choose("method", method, ALL_METHODS)]
        chosen.require(core)
        relaxed = isinstance(chosen, (Quadratic, DoublyNonnegative))
        first = (
            timely_bound(core, Lam, max(watch.left, LEAST_PROOF), "norm")
            if relaxed
            else chosen.bound(core, Lam)
        )
        steps = [chosen]
    best = core.proven_bound(Lam, first.upper)
    yield Lam, first
    for step in steps:
        if not isinstance(step, (Quadratic, DoublyNonnegative)) or not step.applies(core):
            continue
        if watch.due():
            return
        with suppress(ArithmeticError, ValueError):  # numbers too far apart: what is proven stands
            for point, bound in step.maximise(core, Lam, watch.left):
                if (value := core.proven_bound(point, bound.upper)) > best:
                    best = value
                    yield point, bound


def evidence(
    problem: Problem,
    network: Network,
    method: str = "auto",
    time_limit: float = 10.0,
    n_starts: int = 1000,
    random_state: int | None = 0,
) -> tuple[Reduction, Iterator[tuple[Array, GaugeBound, float]]]:
    """The reduction of ``problem``, and dual points of its core for :func:`certificate`, the first
    from the residual of ``network``: each with a proven bound of its gauge, and for the first the
    largest value that a search met (for the others their bound).

    The search takes half of ``time_limit`` at most, the proofs what it leaves."""
    watch = Watch(time_limit)
    reduction = Reduction(problem)
    core, state = reduction.core, reduction.apply(network)
    own = core.dual_point(state.predict(core.X))
    oracle = Oracle(core.X, core.free, np.random.default_rng(random_state))
    size = power_of_two(float(np.abs(own).max()))
    if not 1 / LARGE < size < LARGE:
        own = own / size
    stop = Watch(max(LEAST_SEARCH, watch.left / 2)).due
    found = oracle.search(own, state.hidden_weights, n_starts, stop=stop)
    hits = float(found.value.max(initial=0.0))
    points = (
        (Lam, b, hits if Lam is own else b.upper) for Lam, b in prove(core, own, method, watch.left)
    )
    return reduction, points


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
        The gauge bound that proves: "low-rank", "whitened", "spike-free", "norm", "quadratic",
        "doubly nonnegative", "branch and bound" (the same, split by signs of samples).  "auto"
        goes from cheap to costly until the time is up.
    time_limit : float, default 10
        Seconds: half at most for the search behind the estimated bound, the rest for the
        relaxations; 0 for the cheap bounds only.  The bound only ever improves with time, and an
        interrupt (Ctrl-C) keeps the best so far.
    tol : float, default 1e-4
        Relative gap at which to stop.
    proof : path, optional
        Where to write a proof file for :func:`gapless.verify`.
    preparation : str, default ""
        Text kept in the proof file: how the samples were made.
    n_starts : int, default 1000
        Starts of the search behind the *estimated* bound.
    random_state : int or None, default 0

    Returns
    -------
    Certificate

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
    reduction, points = evidence(problem, network, method, time_limit, n_starts, random_state)
    Lam, bound, found = next(points)
    own = objective / reduction.value if reduction.value else np.inf
    result = certificate(reduction.core, own, Lam, bound, found)
    with suppress(KeyboardInterrupt):  # the best so far is as good
        while result.relative_gap > tol and (step := next(points, None)) is not None:
            last, result = result, raised(result, reduction.core, *step[:2])
            if result is not last:
                Lam, bound = step[:2]
    if proof is not None:
        write_proof(proof, problem, Lam, bound, preparation)
    return stated(replace(reduction.certificate(result), objective=objective), ONE_SEARCH)
