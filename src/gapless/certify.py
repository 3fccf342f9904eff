"""An independent checker: any two-layer network + problem -> certificate.

No solver is called.  The network's residual is a dual point; a proven upper bound of its
gauge (:mod:`gapless.gauge`) makes it feasible after scaling; weak duality turns it into a
lower bound on the objective of every network of every width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._validate import Array
from .gauge import GaugeBound, gauge_bound
from .network import Network
from .oracle import Oracle
from .problem import Problem
from .reduction import Reduction
from .result import Certificate

# Share of the objective by which a proven bound is lowered: it covers the rounding of the
# dual value and of the column sums under a free bias, both below 1e-13 in practice.
SAFETY = 1e-12


def certificate(
    core: Problem, objective: float, Lam: Array, bound: GaugeBound, found: float
) -> Certificate:
    """The certificate that the dual point ``Lam`` gives.

    ``bound`` is a proven bound of its gauge, ``found`` the largest value a search met.
    """
    beta = core.weight_decay
    proven = core.best_scale(Lam, beta / bound.upper if bound.upper > 0 else np.inf)[1]
    found = max(found, bound.lower)
    estimated = core.best_scale(Lam, beta / found if found > 0 else np.inf)[1]
    lower = proven - SAFETY * abs(proven)
    return Certificate(objective, lower, max(estimated, lower), bound.proof)


def better(old: Certificate | None, new: Certificate) -> Certificate:
    """``new`` with the higher of the two proven bounds: both hold for every network."""
    if old is None or new.lower_bound >= old.lower_bound:
        return new
    return Certificate(
        new.objective, old.lower_bound, max(new.estimated_lower_bound, old.lower_bound), old.proof
    )


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
    method : {"auto", "low-rank", "whitened", "norm"}, default "auto"
        The gauge bound that proves; "auto" takes the sharpest that applies.
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
    problem = Problem(X, y, loss, weight_decay, bias, sample_weight)
    objective = network.objective(problem)
    reduction = Reduction(problem)
    core, state = reduction.core, reduction.apply(network)
    Lam = core.dual_point(state.predict(core.X))
    oracle = Oracle(core.X, core.free, np.random.default_rng(random_state))
    found = oracle.search(Lam, state.hidden_weights, n_starts).value.max(initial=0.0)
    return certificate(core, objective, Lam, gauge_bound(core, Lam, method), float(found))
