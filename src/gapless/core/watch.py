"""The clock and the callback of one solve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from .checks import positive
from .result import Status

# Seconds between two questions whether somebody wants the end.
OFTEN = 0.5
# Seconds of a fit that has no limit, and for each number in X: a million rows of fifty features
# have four minutes, twice what they take.
PATIENCE, EACH = 15.0, 5e-6


class Watch:
    """When a solve has to end: at a moment, or when its callback asks for it.

    Inside a step :meth:`due` is asked, and the step then ends with what it has; between steps
    :meth:`ended` has what there is to tell.

    Parameters
    ----------
    seconds : float, optional
        From now on; without a limit by default, over already if they are not positive.
    callback : callable, optional
        Called by :meth:`ended`; a true answer ends the solve.
    asked : callable, optional
        Called by :meth:`due` every now and then; a true answer ends the solve, too.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        callback: Callable[[Any], object] | None = None,
        asked: Callable[[], object] | None = None,
    ) -> None:
        # counts from the same moment in all processes, so that parallel folds may share it
        self.started = time.perf_counter()
        self.deadline = self.started + seconds
        self.callback, self.asked = callback, asked
        self.asks_next = self.started + OFTEN
        self.stopped = False

    @classmethod
    def of(cls, time_limit: float | None, callback: Callable[[Any], object] | None = None) -> Watch:
        """The watch of a call with this parameter."""
        limit = math.inf if time_limit is None else positive("time_limit", time_limit)
        return cls(limit, callback)

    @classmethod
    def patient(cls, time_limit: float | None, size: int, fits: float = 1.0) -> Watch:
        """The watch of an estimator: where nobody limits it, it takes what a person waits for.

        :data:`PATIENCE` seconds and :data:`EACH` for each of the ``size`` numbers in X, ``fits``
        times.  Little weight decay in the units of the data, as of a raw table, can keep training
        busy for as long as one lets it.
        """
        if time_limit is None:
            return cls(fits * (PATIENCE + EACH * size))
        return cls.of(time_limit)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started

    @property
    def limited(self) -> bool:
        """Whether there is a time limit."""
        return self.deadline < math.inf

    @property
    def left(self) -> float:
        """Seconds; infinity without a limit, negative when it is over."""
        return self.deadline - time.perf_counter()

    def due(self) -> bool:
        """Whether it is time to end."""
        if self.asked is not None and not self.stopped and time.perf_counter() >= self.asks_next:
            self.stopped = bool(self.asked())
            self.asks_next = time.perf_counter() + OFTEN
        return self.stopped or self.left <= 0

    def ended(self, info: Callable[[], object]) -> Status | None:
        """Tell the callback ``info()``; the status of a solve that has to end now."""
        if self.callback is not None and self.callback(info()):
            self.stopped = True
        return self.over

    @property
    def over(self) -> Status | None:
        """The status of a solve that has to end now."""
        if self.stopped:
            return Status.STOPPED
        return Status.TIME_LIMIT if self.due() else None

    def part(
        self,
        callback: Callable[[Any], object] | None = None,
        share: float = 1.0,
        kept: float = 0.0,
    ) -> Watch:
        """The watch of a part of this solve: a share of the time left but for seconds ``kept``."""
        return Watch(share * (self.left - kept), callback, self.asked and self.due)

    def within(self, seconds: float) -> Watch:
        """As :meth:`part`, of so many seconds at most."""
        return Watch(min(seconds, self.left), asked=self.asked and self.due)

    def shorter(
        self, callback: Callable[[Any], object] | None, share: float = 1.0, kept: float = 0.0
    ) -> Watch:
        """As :meth:`part`, with seconds that count from the start of this one."""
        part = self.part(callback, share, kept)
        part.started = self.started
        return part


def never() -> bool:
    """What a step is given that nothing ends early."""
    return False
