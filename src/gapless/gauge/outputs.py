"""The step of the conic program in the entries that are outputs, and the dual point it implies.

Cell b offers entries a_b; with ``g = -Lam`` their new values are ``(a_b - sign g h)_+`` (no
sign for several outputs), so all outputs F are monotone functions of g.  What g is depends on what
the program minimises: the loss of the outputs, or their product with a given dual point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem

# Bisections of an interval; from each the next digit of g, and then some.
BISECTIONS, RAY_BISECTIONS = 32, 50
# Steps of the damped fixed point where the loss couples outputs.
FIXED_POINT_STEPS = 40
# Secant steps on the output bias, and the share of all of g to which it then sums to zero.
SECANT_STEPS, SUMS_TO_ZERO = 12, 1e-8
# Multiples of the dual point are looked for up to this one.
LARGEST = 1e12


@dataclass(frozen=True, eq=False)
class Offer:
    """What a cell of the output's ``sign`` offers: ``entries`` (n, C) for the samples ``on``."""

    sign: int
    on: Array
    entries: Array

    def accepted(self, g: Array, h: float) -> Array:
        """The new entries."""
        if self.sign:
            return np.maximum(self.entries - self.sign * g * h, 0.0)
        out = self.entries.copy()
        out[self.on] -= g[self.on] * h
        return out


@dataclass(frozen=True, eq=False)
class Offers:
    """Those of all cells, the step ``h`` that they are made for, and the ``unit`` of p in y."""

    cells: list[Offer]
    h: float
    unit: float

    def outputs(self, g: Array) -> Array:
        """F (n, C) once g is settled."""
        total = np.zeros_like(g)
        for cell in self.cells:
            total += (cell.sign or 1) * cell.accepted(g, self.h)
        return total / self.unit


class Outputs(ABC):
    """What the program wants of the outputs."""

    @abstractmethod
    def settle(self, offers: Offers) -> Array:
        """The g (n, C) at which the outputs accepted imply g."""

    @abstractmethod
    def centre(self, Lam: Array) -> Array:
        """``Lam`` with columns that sum to zero, for a free bias."""


class OfTraining(Outputs):
    """``g = w loss'(F)`` at the outputs F that g leaves, plus an output bias if it is free."""

    def __init__(self, core: Problem) -> None:
        self.core = core
        # the output bias, and the slope in it of the sum of g: both kept from step to step
        self.bias, self.slope = np.zeros(core.n_outputs), np.ones(core.n_outputs)

    def centre(self, Lam: Array) -> Array:
        return self.core.centre(Lam)

    def settle(self, offers: Offers) -> Array:
        g = self._at_bias(offers)
        if not self.core.free:
            return g
        # secant steps on sum_i g_i = 0 in the output bias, from the last: one step a round diverges
        total = g.sum(axis=0)
        for _ in range(SECANT_STEPS):
            if np.all(np.abs(total) <= SUMS_TO_ZERO * np.abs(g).sum(axis=0)):
                break
            step = -total / self.slope
            self.bias = self.bias + step
            g, last = self._at_bias(offers), total
            total = g.sum(axis=0)
            # a sum of derivatives of the loss rises with the bias, at most by its smoothness
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = (total - last) / step
            self.slope = np.where(slope > 1e-3 * self.slope, slope, self.slope)
        return g

    def _at_bias(self, offers: Offers) -> Array:
        core = self.core
        w = core.sample_weight[:, None]

        def slope(g: Array) -> Array:
            return w * core.loss.gradient(offers.outputs(g) + self.bias, core.Y)

        if core.loss.domain == "simplex":  # outputs are coupled: damped fixed point
            g = np.zeros_like(core.Y)
            cells = len(offers.cells) * offers.h / offers.unit
            damp = 1 / (1 + w * core.loss.smoothness * cells)
            for _ in range(FIXED_POINT_STEPS):
                g = g + damp * (slope(g) - g)
            return g
        # each entry of slope(g) - g falls with its own g, from a sign to the other
        start = slope(np.zeros_like(core.Y))
        low, high = np.minimum(start, 0.0), np.maximum(start, 0.0)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            up = slope(middle) > middle
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return 0.5 * (low + high)


class OnRay(Outputs):
    """``g = -theta Lam`` with theta >= 0 as small as makes ``<Lam, F>`` reach one target."""

    def __init__(self, core: Problem, Lam: Array) -> None:
        self.Lam = Lam / np.linalg.norm(Lam)
        self.target = core.data_fit(np.zeros_like(core.Y))

    def centre(self, Lam: Array) -> Array:
        return Lam  # a multiple of one that sums to zero

    def settle(self, offers: Offers) -> Array:
        def short(theta: float) -> bool:
            return float(np.vdot(self.Lam, offers.outputs(-theta * self.Lam))) < self.target

        low, high = 0.0, 1e-3
        while short(high) and high < LARGEST:
            low, high = high, 4 * high
        for _ in range(RAY_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if short(middle) else (low, middle)
        return -high * self.Lam
