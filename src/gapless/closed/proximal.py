"""Accelerated proximal gradient with restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..core.checks import Array


def accelerated(step: Callable[[Array], Array], x: Array) -> Iterator[Array]:
    """The points of Nesterov's method from ``x`` on, without end; ``step`` is a proximal step.

    The momentum starts anew where it points uphill (O'Donoghue & Candès, 2015).
    """
    point, momentum = x, 1.0
    while True:
        new = step(point)
        if np.sum((point - new) * (new - x)) > 0:
            momentum = 1.0
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        point = new + (momentum - 1) / following * (new - x)
        x, momentum = new, following
        yield x
