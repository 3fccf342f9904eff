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
    """Minimise a smooth function until it converges or is told to stop.

    Parameters
    ----------
    value : callable
        Returns value and gradient at a point; may raise :class:`Stopped`.
    start : array of shape (n,)
    stop : callable
        Asked before each call of ``value``; a true answer ends.
    bounds : sequence of n pairs, optional
    seen : callable
        Gets value and point after each step; a true answer ends.
    **options
        SciPy's, for its method "L-BFGS-B".

    Returns
    -------
    array of shape (n,)
        The last point reached.
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
