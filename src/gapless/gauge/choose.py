"""All bounds of the gauge, and which to take: the one list that a new bound joins.

:data:`CHEAP` are computed at once, :data:`RELAXATIONS` go on for as long as there is time, by turns
(:func:`planned`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.checks import Array, choose
from ..core.problem import Problem
from ..core.reduction import Reduction
from .base import GaugeBound, GaugeMethod, Relaxation
from .direction import FEW, Directional
from .doubly_nonnegative import DoublyNonnegative
from .faces import Faces
from .low_rank import LowRank
from .norm import Norm
from .patch_directions import PatchDirections
from .quadratic import Quadratic
from .row_space import dimensions, effective_dimensions, row_space
from .singular_values import SingularValues
from .spike_free import SpikeFree
from .whitened import Whitened

# Seconds of a proof that is planned in words.
USUAL = 10.0
# Splitting goes on while time lasts; beyond this a step takes too long to be worth it.
MAX_CELLS = 128
# Seconds of a decomposition over the cube of its order, and by dimension those a sample of a bound
# that bisects cones: at most, near an optimum.
CUBE, CONES = 3e-10, {3: 1e-4, 4: 5e-2}
# The doubly nonnegative relaxation is of use after so many steps.  Each takes an eigendecomposition
# a cell: its seconds, and besides over the cube of the order.
STEPS, STEP, STEP_CUBE = 300, 5e-4, 1e-9
# It begins where that takes at most this share of the time.
EARLY = 0.15
# Shares of the quadratic bound, whose first round of five has most of it, before the doubly
# nonnegative relaxation: where that has half the time to be of use, and where it has not.
BEFORE_LIFTING, ELSE = 0.1, 0.5
# Share of boxes of directions where cells of signs can go on.  From LATE dimensions on, where the
# samples are about as long in more than so many, others that are of use in TWICE the time are
# better; boxes else come after the quadratic bound.
BOXES, LATE, ROUND, TWICE = 0.85, 15, 10.0, 2.0
# From so many dimensions on the quadratic bound may be the better one: it has this share of the
# time, after half of it.
MANY, QUARTER, HALF = 13, 0.25, 0.5

#: bounds of a given dual point, sharpest first; the last applies to all data
CHEAP: dict[str, GaugeMethod] = {m.name: m for m in (LowRank(), Whitened(), SpikeFree(), Norm())}
#: bounds that get better with time, in the order in which they are worth trying
RELAXATIONS: dict[str, Relaxation] = {
    "singular values": SingularValues(),
    "directions": Directional(),
    "faces": Faces(),
    "directions of patches": PatchDirections(),
    "quadratic": Quadratic(),
    "doubly nonnegative": DoublyNonnegative(),
    "branch and bound": DoublyNonnegative(max_cells=MAX_CELLS),
}
#: every bound by name
METHODS: dict[str, GaugeMethod] = CHEAP | RELAXATIONS
# What "auto" goes on with, and as what.  Branch and bound begins as the doubly nonnegative
# relaxation.
AUTO = {
    "singular values": "thresholded singular values",
    "faces": "faces of cells",
    "directions of patches": "boxes of directions",
    "directions": "boxes of directions",
    "quadratic": "quadratic bound",
    "branch and bound": "doubly nonnegative relaxation and cells of signs",
}


@dataclass(frozen=True)
class Turn:
    """A relaxation's turn in a proof.

    Attributes
    ----------
    method : Relaxation
    seconds : float
        At most; infinity for all that is left.
    words : str
        What, for how long.
    """

    method: Relaxation
    seconds: float
    words: str


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


def planned(core: Problem, seconds: float, method: str = "auto", files: bool = False) -> list[Turn]:
    """The turns that relaxations take after a cheap bound.

    What is of use soon begins, by the work predicted from samples and features; boxes of directions
    come before cells of signs where there are few dimensions; what goes on for ever ends.

    Parameters
    ----------
    core : Problem
    seconds : float
        For all of them.
    method : str, default "auto"
        "auto", for those that apply, or a key of :data:`METHODS`: itself, if it is a relaxation.
    files : bool, default False
        With what the checker of proof files needs to repeat them.

    Raises
    ------
    ValueError
        When the method named is unknown or does not apply to the data.
    """
    if method != "auto":
        named = METHODS[choose("method", method, METHODS)]
        named = named.for_files() if files and isinstance(named, Relaxation) else named
        named.require(core)
        return [Turn(named, np.inf, method)] if isinstance(named, Relaxation) else []
    every = {name: RELAXATIONS[name] for name in AUTO}
    if files:
        every = {k: m.for_files() for k, m in every.items() if core.n_samples <= m.file_samples}
    able = {name: m for name, m in every.items() if m.fits(core)}
    turns: list[tuple[str, float]] = [
        (name, np.inf)
        for name in ("singular values", "faces", "directions of patches")
        if name in able
    ]
    if not core.design.pooled:
        turns += _turns(core, seconds, set(able))
    return [Turn(able[name], most, _words(name, most)) for name, most in turns if name in able]


def _turns(core: Problem, seconds: float, able: set[str]) -> list[tuple[str, float]]:
    """Who comes when, for how many seconds; see :func:`planned`."""
    use = lifting_seconds(core) if "branch and bound" in able else np.inf
    rest, cells = ("quadratic", np.inf), ("branch and bound", np.inf)
    boxes = "directions" in able
    if boxes and dimensions(core) >= LATE and effective_dimensions(core) > ROUND:
        if use > TWICE * seconds and dimensions(core) > FEW:
            return [("quadratic", HALF * seconds), ("directions", np.inf), cells]
        boxes = use > TWICE * seconds
    if boxes and use <= EARLY * seconds:
        return [("branch and bound", use), ("directions", BOXES * seconds), cells]
    if boxes and not few_dimensions(core) and "quadratic" in able:
        first, quadratic = ("directions", HALF * seconds), ("quadratic", QUARTER * seconds)
        return [first, quadratic, ("directions", np.inf), cells]
    if boxes:
        return [("directions", np.inf), rest, cells]
    if use <= (EARLY if "directions" not in able else HALF) * seconds:
        return [cells]
    if use == np.inf:
        return [rest]
    return [("quadratic", (BEFORE_LIFTING if use < TWICE * seconds else ELSE) * seconds), cells]


def few_dimensions(core: Problem) -> bool:
    """Whether boxes of directions prove much in seconds."""
    return RELAXATIONS["directions"].fits(core) and dimensions(core) < MANY


def lifting_seconds(core: Problem) -> float:
    """About how long the doubly nonnegative relaxation takes to be of use."""
    cells = 2 if core.n_outputs == 1 else 1
    order = 1 + core.n_samples + core.n_features + core.free + core.n_outputs * (cells == 1)
    return STEPS * cells * (STEP + STEP_CUBE * order**3)


def _words(name: str, seconds: float) -> str:
    return AUTO[name] + (f" for {seconds:.2g} s" if seconds < np.inf else "")


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
        applies to these data, or in which order relaxations prove in ten seconds.

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
    method = _sharpest(core)
    if method is CHEAP["norm"]:
        turns = [turn.words for turn in planned(core, USUAL)]
        return f"{data}: " + ", then ".join(turns or ["norm bound, nothing better applies"])
    return method.summary.format(data=data)


def _sharpest(core: Problem) -> GaugeMethod:
    return next(method for method in CHEAP.values() if method.fits(core))
