"""What a bound of the gauge is, and what a method has to say to give one.

For a core problem with design A (n, k) the gauge of a dual point Lam (n, C) is

    g(Lam) = max_{||u|| <= 1} || Lam^T (A u)_+ ||_2,

with ``A u + b`` and a maximum over all b when the bias is free (then the columns of Lam sum
to zero).  A lower bound on training needs an UPPER bound of g, whatever found Lam.

Free biases reduce to none: some optimal b puts a kink on a sample (JMLR 2021, Lemma 6), so

    g_free(A) = max_k g_none(A - 1 x_k^T).

A new bound is one file with a :class:`GaugeMethod` or a :class:`Relaxation`, and its name in one
list of :mod:`gapless.gauge.choose`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import power_of_two
from ..core.watch import Watch
from .proof_boxes import BoxProof
from .proof_cells import CheckedSamples, ProofCell

# Sizes of dual points beyond this, or below its inverse, are taken out: their squares, and the
# products of these with data, would over- or underflow.
LARGE = 1e100
# A bound this close to a value attained has nothing left to gain: the share that rounding takes.
TIGHT = 1e-6
# The checker of proof files factorises matrices of this order for a relaxation.
FILE_SAMPLES = 2000


class Proof(ABC):
    """The multipliers behind a bound: with them and the data anybody can re-check it.

    ANY multipliers prove some bound; what found them is no part of the proof.
    """

    @abstractmethod
    def upper(self, core: Problem, Lam: Array) -> float:
        """The bound of the gauge of ``Lam`` that they prove, computed anew from the data."""

    @abstractmethod
    def cells(self, samples: CheckedSamples) -> list[ProofCell]:
        """The proof as the checker reads it: one form for each cell of signs, all cells."""

    def joins(self, core: Problem) -> Array:
        """B (n, r) such that sample i is ``B_ij`` times its representative j, which a cell keeps.

        Each sample by itself, but for zero ones, which have no ReLU to bound.
        """
        return np.eye(core.n_samples)[:, np.any(core.X, axis=1) | core.free]

    def fields(self, samples: CheckedSamples) -> dict[str, Array]:
        """The arrays of the proof file: signs (cells, 1 + n), D (cells, 4) and N, by name."""
        parts = (np.stack(part) for part in zip(*self.cells(samples)))
        return dict(zip(ProofCell._fields, parts))


@dataclass(frozen=True, eq=False)
class GaugeBound:
    """``lower <= g(Lam) <= upper``.

    Attributes
    ----------
    lower, upper : float
        A value attained, and a proven bound.
    neurons : Candidates or None
        The first attains ``lower``.  In one and two dimensions, a free bias counting as one, they
        are the local maxima of the gauge, the best :data:`gapless.gauge.low_rank.PEAKS` of them,
        best first.
    proof : str
        How ``upper`` is proven, in words.
    check : {"norm", "directions"}
        How the checker of proof files repeats it where the data say all.
    multipliers : Proof or None
        What the checker needs beside the data, if it does.
    boxes : BoxProof or None
        The same of a proof by boxes of directions, where it was asked for.
    signs : array of shape (d,) or None
        Of neurons of few features: 1 and -1 where the effect of one must rise and fall, else 0.
    pairs : integer array of shape (k, 2) or None
        The features that a neuron may look at together, where any.
    price : float
        How many times as much as others such neurons cost: the bound counts them by so much less.
    outlook : (seconds, upper) or None
        About how many more it takes to this bound, where that is foreseen.
    """

    lower: float
    upper: float
    neurons: Candidates | None
    proof: str
    check: str = "norm"
    multipliers: Proof | None = None
    boxes: BoxProof | None = None
    signs: Array | None = None
    pairs: Array | None = None
    price: float = 1.0
    outlook: tuple[float, float] | None = None

    @property
    def tight(self) -> bool:
        """Whether the gauge is known, not only bounded."""
        return self.lower > 0 and self.upper <= self.lower * (1 + TIGHT)


#: a dual point and a proven bound of its gauge
Dual: TypeAlias = tuple[Array, GaugeBound]


class GaugeMethod(ABC):
    """One way to bound the gauge, for the problems it ``applies`` to.

    A method declares ``name``, ``needs`` and ``applies`` and computes ``_bound``; callers use
    :meth:`bound`, which refuses problems it does not apply to.
    """

    name: ClassVar[str]
    #: in words, what a problem must be for ``applies``
    needs: ClassVar[str]
    #: for :func:`gapless.conditions`: what data it is for, and how they are answered;
    #: ``{data}`` stands for their rank in words
    summary: ClassVar[str] = "{data}"
    #: whether it holds for designs that pool, as patches of images do
    pools: ClassVar[bool] = False

    @abstractmethod
    def applies(self, core: Problem) -> bool:
        """Whether the bound holds for this problem, in reasonable time."""

    @abstractmethod
    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        """:meth:`bound` of a finite ``Lam`` whose squares neither over- nor underflow."""

    def fits(self, core: Problem) -> bool:
        """Whether it applies, and to what the design pools where it does."""
        return (self.pools or not core.design.pooled) and self.applies(core)

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        """The gauge of one dual point from below and, proven, from above.

        Parameters
        ----------
        core : Problem
            As :class:`gapless.core.reduction.Reduction` leaves it: no penalised bias.
        Lam : array of shape (n_samples, n_outputs)
            Any matrix; its columns sum to zero when the bias is free.

        Returns
        -------
        GaugeBound

        Raises
        ------
        ValueError
            Where the method does not apply, or ``Lam`` is no dual point of ``core``.
        """
        self.require(core)
        if Lam.shape != core.Y.shape:
            raise ValueError(
                f"Lam must have the shape of the targets, {core.Y.shape}, got {Lam.shape}"
            )
        if not np.all(np.isfinite(Lam)):
            return GaugeBound(0.0, np.inf, None, "overflow: nothing is proven")
        size = power_of_two(float(np.abs(Lam).max()))
        if 1 / LARGE < size < LARGE:
            return self._bound(core, Lam)
        # the gauge is homogeneous, multipliers are not
        bound = self._bound(core, Lam / size)
        neurons = bound.neurons and replace(bound.neurons, value=bound.neurons.value * size)
        upper = float(np.nextafter(bound.upper * size, np.inf))
        return replace(
            bound,
            lower=bound.lower * size,
            upper=upper,
            neurons=neurons,
            multipliers=None,
            boxes=None,
        )

    def require(self, core: Problem) -> None:
        """Raise ValueError where the method does not apply."""
        if not self.fits(core):
            if core.design.pooled and not self.pools:
                raise ValueError(
                    f"method={self.name!r} holds for tables, not for pooled patches; use 'auto'"
                )
            raise ValueError(
                f"the data do not meet the conditions of method={self.name!r}, which needs "
                f"{self.needs}; use 'auto'"
            )


class Relaxation(GaugeMethod):
    """A bound that gets better with time; the dual point may be moved to prove more."""

    #: samples up to which the checker of proof files can repeat it
    file_samples: ClassVar[float] = FILE_SAMPLES

    def for_files(self) -> Relaxation:
        """The same, with all that a proof file needs: itself, unless that has to be recorded."""
        return self

    @abstractmethod
    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        """Dual points with their bounds, better and better on the whole.

        Parameters
        ----------
        core : Problem
        Lam : array of shape (n_samples, n_outputs)
            Where to start; a relaxation may begin elsewhere.
        watch : Watch
            When it has to end.

        Yields
        ------
        Dual
            The caller keeps the best: the value that a point proves
            (:meth:`gapless.core.problem.Problem.proven_bound`) may fall now and then.

        Raises
        ------
        ValueError
            Where the method does not apply, when the first point is asked for.
        """
