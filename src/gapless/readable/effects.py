"""What a readable network adds for each feature, in the units of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array

# Rows of an explanation that are printed.
SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Effect:
    """What one feature, or two together, add to the outputs.

    Attributes
    ----------
    features : tuple of int
        One or two.
    names : tuple of str
    kind : {"numeric", "categorical", "pair"}
    places : array
        Numeric: kinks, and the ends of the data, rising, in the data's units.  Categorical: levels.
        Pair: rows (x, y) of a grid over the data.
    values : array of shape (n_places, n_outputs)
        What is added there; between the places of a numeric feature it is linear.  Of one feature
        the mean over the training samples is zero.  Of a pair it is so along both sides: at any
        value of one feature, over the training values of the other (exactly at its training values,
        of a feature of more than 1000 different ones at as many of them).
    missing : array of shape (n_outputs,) or None
        What a missing value adds, where there were any in training.
    importance : float
        Mean over the training samples of the absolute value added, summed over outputs.
    share : float
        Of the network's penalty, what neurons pay that look at just these features.
    density : (counts, edges) or counts
        Of the training samples: a histogram for numeric features, numbers of a level for
        categorical ones; None for pairs.
    labels : tuple of (list or None)
        Of a pair: for each of the two features the labels of its levels, in the order of the rising
        places; None where it is numeric.
    """

    features: tuple[int, ...]
    names: tuple[str, ...]
    kind: str
    places: Array
    values: Array
    missing: Array | None
    importance: float
    share: float
    density: tuple[Array, Array] | Array | None
    labels: tuple[list[Any] | None, ...] = ()

    @property
    def name(self) -> str:
        """Of the feature, or of both."""
        return " x ".join(self.names)

    def __repr__(self) -> str:
        low, high = float(self.values.min()), float(self.values.max())
        return (
            f"Effect({self.name}: adds {low:.4g} to {high:.4g}, {self.importance:.4g} in the mean)"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Predictions as sums: ``baseline + contributions.sum(axis=1)``; printed, the first of them.

    Attributes
    ----------
    names : list of str
        Of the effects.
    baseline : array of shape (n_outputs,)
        The mean output over the training samples; with pairs, what it would be if features were
        independent.
    contributions : array of shape (n_samples, n_effects, n_outputs)
    """

    names: list[str]
    baseline: Array
    contributions: Array

    @property
    def outputs(self) -> Array:
        """Predictions, or the scores of classes, (n_samples, n_outputs)."""
        return self.baseline + self.contributions.sum(axis=1)

    def __len__(self) -> int:
        return len(self.contributions)

    def __repr__(self) -> str:
        rows, C = min(SHOWN, len(self)), len(self.baseline)
        heads = [f"row {i}" + f", output {c}" * (C > 1) for i in range(rows) for c in range(C)]
        lines = [("", heads)]
        baseline = np.tile(self.baseline, (rows, 1))
        told = [("baseline", baseline), *zip(self.names, np.moveaxis(self.contributions, 1, 0))]
        for name, values in [*told, ("sum", self.outputs)]:
            lines.append((name, [f"{v:.4g}" for v in values[:rows].ravel()]))
        first = max(len(name) for name, _ in lines)
        widths = [max(map(len, cells)) for cells in zip(*(cells for _, cells in lines))]
        text = "\n".join(
            name.ljust(first) + "".join(f"  {c:>{w}}" for c, w in zip(cells, widths))
            for name, cells in lines
        )
        return text if rows == len(self) else f"{text}\nand {len(self) - rows} more rows"
