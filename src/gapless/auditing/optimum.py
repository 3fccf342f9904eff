"""What is known of the best network: below which objective none is, and a better one found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ..certificates.certify import LEAST_SEARCH, ONE_SEARCH, evidence
from ..closed.norm_bounds import deep_lower_bound
from ..closed.rank_one import solve_rank_one_relu
from ..closed.whitened import solve_whitened_relu
from ..core.checks import Array
from ..core.losses import Squared
from ..core.network import Network
from ..core.problem import Problem, size_of_sums
from ..core.result import Status
from ..core.rounding import EPS
from ..core.watch import Watch
from ..training.path import STARTS, largest_weight_decay
from ..training.train import solve
from .trained_model import Trained, settled

# The proof where no bound is known.
UNKNOWN = "losses are not negative"
# Relative gap at which the search for a better network, and the proofs, stop.
TOL = 1e-3
# Work of one start of the search, in numbers of X: all starts together read about this many.
SEARCH = 3e8
# Numbers in X up to which closed forms, and the largest weight decay without a time limit, are
# tried.
SMALL = 300_000
# Samples up to which the sharper norm bound of deep networks takes seconds.
SCALED = 300
# Share of the time for a better network, and of what that leaves for the largest weight decay.
BETTER, LARGEST = 0.5, 0.2


@dataclass(frozen=True)
class Optimum:
    """What is known of the best network of this depth and any width.

    Attributes
    ----------
    lower_bound : float
        Proven, in the units of the training loss.
    proof : str
    estimated_lower_bound : float or None
    found_objective, found_neurons : float and int, or None
        Of a better network, where one was found.
    search_seconds : float
        Spent looking for it.
    weight_decay_max : float or None
        From which on the best network is constant (estimated).
    notes : tuple of str
        What the reader must know to trust the numbers.
    """

    lower_bound: float
    proof: str
    estimated_lower_bound: float | None = None
    found_objective: float | None = None
    found_neurons: int | None = None
    search_seconds: float = 0.0
    weight_decay_max: float | None = None
    notes: tuple[str, ...] = ()


def find_optimum(
    trained: Trained, objective: float, watch: Watch, time_limit: float, random_state: int | None
) -> Optimum:
    """Look for a better network in a part of the time, and bound the best one in the rest.

    Parameters
    ----------
    trained : Trained
    objective : float
        Of the network as it stands.
    watch : Watch
        Of the whole audit.
    time_limit : float
        What ``watch`` had at its start; 0 for cheap bounds only.
    random_state : int or None

    Returns
    -------
    Optimum

    Raises
    ------
    KeyboardInterrupt
        When interrupted.
    """
    plain = trained.shallow()
    if plain is not None:
        return _two_layers(trained, plain, objective, watch, time_limit, random_state)
    if not trained.chain.batch_norm:
        return _deep(trained, time_limit / 2)
    note = (
        "No lower bound: training through batch normalisation minimised another function "
        "than the one that eval mode computes, and no bound for the latter is known. Gradient "
        "and balance are not measured for the same reason."
    )
    return Optimum(0.0, UNKNOWN, notes=(*trained.notes, note))


def _two_layers(
    trained: Trained,
    plain: Network,
    objective: float,
    watch: Watch,
    time_limit: float,
    random_state: int | None,
) -> Optimum:
    best, source, spent = objective, plain, 0.0
    found_objective = found_neurons = top = None
    if time_limit > 0:
        started = watch.seconds
        solution = solve(
            trained.problem(), watch.part(share=BETTER),
            tol=TOL, init=plain, random_state=random_state, proof_time=None,
        )  # fmt: skip
        if solution.status is Status.STOPPED:
            raise KeyboardInterrupt
        # the residual of a better network makes a better bound
        source = solution.network
        better = settled(trained, source)
        best = min(best, trained.objective(trained.deep(better)))
        if best < objective:
            found_objective, found_neurons = best, better.n_neurons
        spent = watch.seconds - started
    if time_limit > 0 or trained.X.size <= SMALL:
        part = Watch(max(LARGEST * watch.left, LEAST_SEARCH))
        top = largest_weight_decay(trained.problem(), STARTS, 0, part) * trained.factor
    lower, estimated, proof = _two_layer_bound(trained, source, best, watch.left, random_state)
    found = (found_objective, found_neurons, spent)
    return Optimum(lower, proof, estimated, *found, top, trained.notes)


def _two_layer_bound(
    trained: Trained,
    network: Network,
    objective: float,
    time_limit: float,
    random_state: int | None,
) -> tuple[float, float, str]:
    """Proven and estimated lower bound of a two-layer network's training, and the proof.

    As :func:`gapless.certify`, but with the output bias at its price in training, a square.
    """
    n_starts = int(np.clip(SEARCH / trained.X.size, 30, 1000))
    reduction, points = evidence(
        trained.problem(), network, "auto", time_limit, n_starts, random_state
    )
    core, factor = reduction.core, trained.factor
    decay = reduction.lowered(trained.output_decay / factor * reduction.unit**2)
    lower, estimated, proof = 0.0, 0.0, UNKNOWN
    for Lam, bound, found in points:
        proven = factor * reduction.raised(_proven_bound(core, Lam, bound.upper, decay))
        if proven > lower:
            lower, proof = proven, bound.proof
        value = _proven_bound(core, Lam, max(found, bound.lower), decay)
        guess = factor * reduction.raised(value)
        estimated = max(estimated, min(guess, (1 - ONE_SEARCH) * objective), lower)
        if objective - lower <= TOL * objective:
            break
    return lower, estimated, proof


def _proven_bound(core: Problem, Lam: Array, gauge: float, decay: float) -> float:
    """What the best multiple of ``Lam`` proves, if its gauge is ``gauge``.

    As :meth:`Problem.proven_bound`, but that an output bias of price ``decay / 2 ||c||^2`` takes
    ``||sum_i Lam_i||^2 / (2 decay)``, the largest ``Lam_i.c`` less that price, rounded up.
    """
    if decay == 0:
        return core.proven_bound(Lam, gauge)

    def proven(t: float) -> float:
        V = core.feasible(t * Lam, t * gauge)
        sums = size_of_sums(core.sample_weight[:, None] * V)
        return core.proven_value(V) - (1 + 8 * EPS) * float(np.sum(sums**2)) / (2 * decay)

    square = float(np.sum(size_of_sums(Lam) ** 2)) / (2 * decay)
    top = core.best_scale(Lam, core.weight_decay / gauge if gauge > 0 else np.inf)[0]
    found = minimize_scalar(
        lambda t: t * t * square - core.dual_value(t * Lam), bounds=(0.0, top), method="bounded"
    )
    # any multiple proves something: how near to the best one this is need not be charged
    return max(proven(float(found.x)), proven(top))


def _deep(trained: Trained, time_limit: float) -> Optimum:
    """Norm bounds, and the closed forms where their hypotheses hold."""
    problem, net = trained.problem(), trained.network
    method = "scaled" if problem.n_samples <= SCALED and time_limit > 0 else "norm"
    bound = deep_lower_bound(
        problem, net.depth, net.predict(trained.X), method,
        activation=net.activation, time_limit=time_limit or None,
    )  # fmt: skip
    lower, proof = bound.lower_bound, bound.proof
    closed = problem.bias == "none" and net.activation == "relu" and problem.X.size <= SMALL
    if closed and isinstance(problem.loss, Squared) and trained.loss.sample_weight is None:
        for name, exact in (("rank one", solve_rank_one_relu), ("whitened", solve_whitened_relu)):
            try:
                solution = exact(problem.X, problem.Y, problem.weight_decay, depth=net.depth)
            except ValueError:  # the data break a hypothesis: the norm bound stands
                continue
            if solution.lower_bound > lower:
                lower, proof = solution.lower_bound, f"closed form of {name} data"
    note = (
        f"With {net.depth} layers the proven bound is loose: it sees a network by the product "
        "of its layers' norms only. A wide gap says nothing about the training."
    )
    return Optimum(max(trained.factor * lower, 0.0), proof, notes=(*trained.notes, note))
