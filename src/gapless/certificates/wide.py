"""What would narrow a proven gap, and why it is wide: the words of one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.constant import null_dual_point
from ..core.problem import Problem
from ..core.result import Certificate
from ..core.watch import Watch
from ..gauge.choose import RELAXATIONS
from ..gauge.direction import MOST_OUTPUTS
from ..gauge.doubly_nonnegative import MAX_ORDER
from ..gauge.row_space import dimensions
from ..gauge.search import Oracle

# A gap from which on it is said why.
WIDE = 0.1
# Seconds that nobody waits.
DISTANT = 1e5
# Starts of the search for the largest useful weight decay, and seconds at most: one digit will do.
STARTS, SECONDS = 32, 0.25
# Samples and features from which their rank, a decomposition, takes longer than that.
MANY = 600
# Numbers in the design from which one step of it takes longer than that.
LARGE = 10_000_000


def advice(
    core: Problem, certificate: Certificate, tol: float, outlook: tuple[float, float] | None
) -> str:
    """What would narrow the proven gap, and why it is wide.

    Parameters
    ----------
    core : Problem
        As :class:`gapless.core.reduction.Reduction` leaves it.
    certificate : Certificate
        Of a network of it.
    tol : float
        The relative gap that was asked for.
    outlook : (seconds, lower) or None
        About how many more it takes to prove this lower bound, where that is foreseen.

    Returns
    -------
    str
        Of gaps below :data:`WIDE` the outlook alone; empty within ``tol``.
    """
    if certificate.relative_gap <= tol:
        return ""
    soon = "" if outlook is None else _soon(certificate, *outlook)
    if certificate.relative_gap <= WIDE:
        return soon
    return "; ".join(filter(None, (_why_wide(core), soon)))


def _soon(certificate: Certificate, seconds: float, lower: float) -> str:
    """When how much will be proven, in words; nothing where that is no more, or out of sight."""
    gap = replace(certificate, lower_bound=lower).relative_gap
    if not (seconds < DISTANT and gap < certificate.relative_gap):
        return ""
    return f"about {max(float(f'{seconds:.1g}'), 1):.0f} s more would prove {100 * gap:.2g}%"


def _why_wide(core: Problem) -> str:
    boxes, lifted = (RELAXATIONS[m].fits(core) for m in ("directions", "doubly nonnegative"))
    many = min(core.X.shape) > MANY
    size = f"{core.n_features} features" if many else f"{dimensions(core)} dimensions"
    if core.design.pooled:
        why = f"pooled patches of {core.n_features} numbers: exact bounds are for filters of a few"
        return f"{why}{_share(core)}: smaller filters or more weight decay narrow the gap"
    if boxes:
        why = size
    elif core.n_outputs <= MOST_OUTPUTS:
        why = f"{size}, too many for boxes of directions"
    else:
        why = f"{core.n_outputs} outputs, too many for boxes of directions"
    if boxes or lifted:
        return f"{why}{_share(core)}: more weight decay or more time narrows the gap"
    order = core.n_samples + core.n_features
    why += f", {order} samples and features for other relaxations, which bear {MAX_ORDER}"
    return f"{why}{_share(core)}: more weight decay narrows the gap, more time little"


def _share(core: Problem) -> str:
    """Of the largest useful weight decay, as a search finds it, in words; not on large data."""
    if core.design.size > LARGE:
        return ""
    oracle = Oracle(core.design, core.free, np.random.default_rng(0))
    Lam = null_dual_point(core)
    none = np.zeros((core.n_features, 0))
    found = oracle.search(Lam, none, STARTS, stop=Watch(SECONDS).due)
    top = float(found.value.max(initial=0.0))
    share = core.weight_decay / top if top > 0 else np.inf
    return f", weight decay {share:.1g} of its largest useful value" if share < 1 else ""
