"""Frank-Wolfe for networks within a ball: the papers' reference method.

Over networks with ``sum_j ||u_j|| ||v_j|| <= radius`` the best linear step is one neuron: the
maximiser of the gauge at the residual, at full radius.  With step 2 / (i + 2) the loss falls to the
optimum as 1 / i; column generation takes the same neurons, weighs all of them anew, and needs tens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.checks import Array, positive, positive_int
from ..core.network import Network
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction, down
from ..gauge.base import GaugeMethod
from ..gauge.choose import METHODS

#: the gauges that find their maximiser, in the order in which they are taken
EXACT = ("low-rank", "faces")


@dataclass(frozen=True, eq=False)
class FrankWolfe:
    """Where :func:`frank_wolfe` ended.

    Attributes
    ----------
    network : Network
        Balanced.
    losses : array of shape (n_steps + 1,)
        The mean loss before each step and at the end.
    gap : float
        The best network within the radius has a loss at most this much below that before the last
        step.
    objective : float
        Of the network in the penalised problem.
    lower_bound : float
        Proven of the penalised problem, by the best residual met.
    """

    network: Network
    losses: Array
    gap: float
    objective: float
    lower_bound: float


def frank_wolfe(problem: Problem, radius: float, *, n_steps: int = 1000) -> FrankWolfe:
    """Minimise the mean loss over networks with ``sum_j ||u_j|| ||v_j|| <= radius``.

    Parameters
    ----------
    problem : Problem
        Of few dimensions, so that the best neuron is found exactly; a smooth loss, and bias "none"
        or "penalized".  Its weight decay only enters objective and bound.
    radius : float
        ``network.penalty(problem.bias)`` of an optimal network gives the optimum.
    n_steps : int, default 1000

    Returns
    -------
    FrankWolfe

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.
    ValueError
        For a free bias, the hinge and pinball losses, data of too many dimensions, and a radius or
        a number of steps that is not positive.

    References
    ----------
    Frank & Wolfe, "An algorithm for quadratic programming", 1956.  Sahiner, Ergen, Pauly & Pilanci,
    "Vector-output ReLU neural network problems are copositive programs", ICLR 2021, train with it.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem, frank_wolfe
    >>> X = np.random.default_rng(0).normal(size=(12, 2))
    >>> found = frank_wolfe(Problem(X, np.abs(X), bias="none"), radius=1.0, n_steps=200)
    >>> bool(found.losses[-1] < found.losses[0]), bool(found.gap < 0.02)
    (True, True)
    """
    check_problem(problem)
    radius, n_steps = positive("radius", radius), positive_int("n_steps", n_steps)
    if problem.free or problem.loss.sharp:
        raise ValueError(
            f"Frank-Wolfe takes smooth losses and bias 'none' or 'penalized', got "
            f"{problem.loss.name!r} and {problem.bias!r}; use train()"
        )
    reduction = Reduction(problem)
    core = reduction.core
    # what a penalty is in the units of the core
    radius *= problem.weight_decay / reduction.raised(core.weight_decay)
    steps = _steps(core, _exact_gauge(core), radius, n_steps)
    network = reduction.invert(steps.network)
    objective = network.objective(problem)
    return FrankWolfe(
        network,
        reduction.raised(steps.losses),
        reduction.raised(steps.gap),
        objective,
        min(down(reduction.raised(steps.lower_bound)), objective),
    )


def _exact_gauge(core: Problem) -> GaugeMethod:
    """What finds the best neuron."""
    gauge = next((METHODS[name] for name in EXACT if METHODS[name].fits(core)), None)
    if gauge is None:
        raise ValueError(
            "too many dimensions: no method finds the best neuron of these data exactly; use "
            "train()"
        )
    return gauge


def _steps(core: Problem, gauge: GaugeMethod, radius: float, n_steps: int) -> FrankWolfe:
    """One neuron a step, all in the units of the core."""
    U, a = np.zeros((core.n_features, n_steps)), np.zeros((n_steps, core.n_outputs))
    F, losses, lower = np.zeros_like(core.Y), [core.data_fit(np.zeros_like(core.Y))], -np.inf
    gap, last = np.inf, 0
    for i in range(n_steps):
        Lam = core.dual_point(F)
        bound = gauge.bound(core, Lam)
        lower = max(lower, core.proven_bound(Lam, bound.upper))
        gap = radius * bound.upper - float(np.sum(Lam * F))
        if bound.neurons is None:
            break
        u = bound.neurons.U[:, 0]
        z = core.design.activations(u[:, None])[:, 0]
        pull = Lam.T @ z
        v = pull * (radius / (float(np.linalg.norm(pull)) or 1.0))
        step = 2 / (i + 2)
        F, a = (1 - step) * F + step * np.outer(z, v), (1 - step) * a
        U[:, i], a[i], last = u, step * v, i + 1
        losses.append(core.data_fit(F))
    none = np.zeros(core.n_outputs)
    network = Network(U[:, :last], np.zeros(last), a[:last], none).balance("none")
    return FrankWolfe(network, np.array(losses), gap, network.objective(core), lower)
