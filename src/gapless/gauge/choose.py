"""All bounds of the gauge, and which to take: the one list that a new bound joins.

:data:`CHEAP` are computed at once, :data:`RELAXATIONS` go on for as long as there is time.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array, choose
from ..core.problem import Problem
from ..core.reduction import Reduction
from .base import GaugeBound, GaugeMethod, Relaxation
from .direction import Directional
from .doubly_nonnegative import DoublyNonnegative
from .faces import Faces
from .low_rank import LowRank
from .norm import Norm
from .quadratic import Quadratic
from .row_space import dimensions, row_space
from .singular_values import SingularValues
from .spike_free import SpikeFree
from .whitened import Whitened

# Splitting goes on while time lasts; beyond this a step takes too long to be worth it.
MAX_CELLS = 128
# Seconds of a decomposition over the cube of its order, and by dimension those a sample of a bound
# that bisects cones: at most, near an optimum.
CUBE, CONES = 3e-10, {3: 1e-4, 4: 5e-2}

#: bounds of a given dual point, sharpest first; the last applies to all data
CHEAP: dict[str, GaugeMethod] = {m.name: m for m in (LowRank(), Whitened(), SpikeFree(), Norm())}
#: bounds that get better with time, in the order in which they are worth trying
RELAXATIONS: dict[str, Relaxation] = {
    "singular values": SingularValues(),
    "directions": Directional(),
    "faces": Faces(),
    "quadratic": Quadratic(),
    "doubly nonnegative": DoublyNonnegative(),
    "branch and bound": DoublyNonnegative(max_cells=MAX_CELLS),
}
#: every bound by name
METHODS: dict[str, GaugeMethod] = CHEAP | RELAXATIONS
# What "auto" goes on with.  Branch and bound begins as the doubly nonnegative relaxation.
AUTO = ("singular values", "faces", "directions", "quadratic", "branch and bound")


def gauge_bound(core: Problem, Lam: Array, method: str = "auto") -> GaugeBound:
    """Bound the gauge of ``Lam`` by ``method``, or by the sharpest cheap one that applies.

    Parameters
    ----------
    core : Problem
        As :class:`gapless.core.reduction.Reduction` leaves it.
    Lam : array of shape (n_samples, n_outputs)
        A dual point.
    method : str, default "auto"
        "auto" or a key of :data:`METHODS`.

    Returns
    -------
    GaugeBound

    Raises
    ------
    ValueError
        When the method named is unknown or does not apply to the data.
    """
    if method != "auto":
        return METHODS[choose("method", method, METHODS)].bound(core, Lam)
    return _sharpest(core).bound(core, Lam)


def timely_bound(core: Problem, Lam: Array, seconds: float, method: str = "auto") -> GaugeBound:
    """:func:`gauge_bound`, if it takes no longer than ``seconds``; else the norm bound, or none.

    Parameters
    ----------
    core, Lam, method
        As for :func:`gauge_bound`; ``method`` "auto" or "norm".
    seconds : float

    Returns
    -------
    GaugeBound
        Infinite where not even the norm of the data is known in time.
    """
    n, k = core.design.n_rows, core.n_features
    order = min(n, k)
    if method == "auto" and is_exact(core) and CONES.get(dimensions(core), 0.0) * n > seconds:
        method = "norm"
    if CUBE * order**2 * (max(n, k) if core.design.dense else order) > seconds:
        return GaugeBound(0.0, np.inf, None, "losses are not negative")
    return gauge_bound(core, Lam, method)


def relaxations(core: Problem, method: str = "auto", files: bool = False) -> list[Relaxation]:
    """The relaxations that the method goes on with after a cheap bound, cheapest first.

    Parameters
    ----------
    core : Problem
    method : str, default "auto"
        "auto", for those that apply, or a key of :data:`METHODS`: itself, if it is a relaxation.
    files : bool, default False
        Only such as the checker of proof files can repeat.

    Raises
    ------
    ValueError
        When the method named is unknown or does not apply to the data.
    """
    if method == "auto":
        chosen = (RELAXATIONS[name] for name in AUTO)
        return [m for m in chosen if (m.files or not files) and m.fits(core)]
    METHODS[choose("method", method, METHODS)].require(core)
    if files and method in RELAXATIONS and not RELAXATIONS[method].files:
        raise ValueError(
            f"method={method!r} has no proof file yet; use another method, or write none"
        )
    return [RELAXATIONS[method]] if method in RELAXATIONS else []


def is_exact(core: Problem) -> bool:
    """Whether an exact method applies, so that its bound has the best neuron to add."""
    return CHEAP["low-rank"].fits(core)


def conditions(problem: Problem) -> str:
    """What the data are, in words, and which bound of the gauge that gives.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    str
        The rank of the design (centred when the bias is free) and the sharpest cheap bound that
        applies to these data.

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(9, 3))
    >>> conditions(Problem(X, X[:, 0], bias="none"))
    'rank 3 data: exact enumeration'
    """
    core = Reduction(problem).core
    data = f"rank {row_space(core).rank} data" + (" with free bias" if core.free else "")
    return _sharpest(core).summary.format(data=data)


def _sharpest(core: Problem) -> GaugeMethod:
    return next(method for method in CHEAP.values() if method.fits(core))
