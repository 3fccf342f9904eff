"""L-BFGS that a clock can end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from scipy.optimize import OptimizeResult, minimize

from .checks import Array


class Stopped(Exception):
    """Raised through SciPy by an objective that is told to stop: its line search asks nobody."""


def lbfgs(
    value: Callable[[Array], tuple[float, Array]],
    start: Array,
    stop: Callable[[], bool],
    *,
    bounds: Any = None,
    seen: Callable[[float, Array], bool] = lambda value, x: False,
    **options: Any,
) -> Array:
    """The last point reached from ``start``.

    ``value`` returns value and gradient and may raise :class:`Stopped`.  ``stop`` is asked before
    each call of it, and ``seen`` gets value and point after each step; a true answer of either
    ends.  ``options`` are SciPy's.
    """
    reached = start

    def timed(x: Array) -> tuple[float, Array]:
        if stop():
            raise Stopped
        return value(x)

    def step(intermediate_result: OptimizeResult) -> None:
        nonlocal reached
        reached = intermediate_result.x.copy()
        if seen(intermediate_result.fun, reached):
            raise StopIteration

    with suppress(Stopped):
        reached = minimize(
            timed, start, jac=True, bounds=bounds, method="L-BFGS-B", callback=step, options=options
        ).x
    return reached
