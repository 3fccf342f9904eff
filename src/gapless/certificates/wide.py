"""Why a proven gap is wide, and what would narrow it: the words of one sentence."""

from __future__ import annotations

import numpy as np

from ..core.constant import null_dual_point
from ..core.problem import Problem
from ..core.result import Certificate
from ..core.watch import Watch
from ..gauge.choose import RELAXATIONS
from ..gauge.direction import MOST_DIMENSIONS, MOST_OUTPUTS
from ..gauge.doubly_nonnegative import MAX_ORDER
from ..gauge.row_space import dimensions
from ..gauge.search import Oracle

# A gap from which on it is said.
WIDE = 0.1
# Starts of the search for the largest useful weight decay, and seconds at most: one digit will do.
STARTS, SECONDS = 32, 0.25


def why_wide(core: Problem, certificate: Certificate) -> str:
    """Why the proven gap is wide, and what would narrow it.

    Parameters
    ----------
    core : Problem
        As :class:`gapless.core.reduction.Reduction` leaves it.
    certificate : Certificate
        Of a network of it.

    Returns
    -------
    str
        Empty where the gap is below :data:`WIDE`.
    """
    if certificate.relative_gap <= WIDE:
        return ""
    boxes, lifted = (RELAXATIONS[m].fits(core) for m in ("directions", "doubly nonnegative"))
    if core.design.pooled:
        why = f"pooled patches of {core.n_features} numbers: exact bounds are for filters of a few"
        return f"{why}{_share(core)}: smaller filters or more weight decay narrow the gap"
    if boxes:
        why = f"{dimensions(core)} dimensions"
    elif core.n_outputs <= MOST_OUTPUTS:
        why = f"more than {MOST_DIMENSIONS} dimensions, too many for boxes of directions"
    else:
        why = f"{core.n_outputs} outputs, too many for boxes of directions"
    if boxes or lifted:
        return f"{why}{_share(core)}: more weight decay or more time narrows the gap"
    order = core.n_samples + core.n_features
    why += f", {order} samples and features for other relaxations, which bear {MAX_ORDER}"
    return f"{why}{_share(core)}: more weight decay narrows the gap, more time little"


def _share(core: Problem) -> str:
    """Of the largest useful weight decay, as a search finds it, in words."""
    oracle = Oracle(core.design, core.free, np.random.default_rng(0))
    Lam = null_dual_point(core)
    none = np.zeros((core.n_features, 0))
    found = oracle.search(Lam, none, STARTS, stop=Watch(SECONDS).due)
    top = float(found.value.max(initial=0.0))
    share = core.weight_decay / top if top > 0 else np.inf
    return f", weight decay {share:.1g} of its largest useful value" if share < 1 else ""
