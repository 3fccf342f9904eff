"""One prediction of a network that can be read, as a sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from ..readable.effects import Effect, Explanation
from .axes import axes_for, plain
from .readable import LOWERS, RAISES, Formats, chosen_output, unit_of


class ExplanationDisplay:
    """One prediction as a sum: from the baseline, what each feature adds.

    Parameters
    ----------
    explanation : Explanation
    row : int, default 0
    output : int, default 0
    values : sequence, optional
        The features' values as text, one an effect.
    unit : str, default "prediction"

    Attributes
    ----------
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.
    """

    def __init__(
        self,
        explanation: Explanation,
        row: int = 0,
        output: int = 0,
        values: Any = None,
        unit: str = "prediction",
    ) -> None:
        if not 0 <= row < len(explanation):
            raise ValueError(f"row must be from 0 to {len(explanation) - 1}, got {row}")
        self.explanation, self.row, self.output, self.unit = explanation, row, output, unit
        self.labels = list(explanation.names)
        if values is not None:
            self.labels = [f"{name} = {value}" for name, value in zip(self.labels, values)]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, row: int = 0, output: Any = 0, ax: Any = None
    ) -> ExplanationDisplay:
        """Explain one row of X.

        Parameters
        ----------
        estimator : AdditiveReLURegressor or AdditiveReLUClassifier
        X : array or table of shape (n_samples, n_features)
        row : int, default 0
        output : int or str, default 0
            Of several outputs, by number or class.
        ax : matplotlib axes, optional

        Returns
        -------
        ExplanationDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For a row that X does not have, and other outputs.
        """
        check_is_fitted(estimator, "effects_")
        explanation, chosen = estimator.explain(X), chosen_output(estimator, output)
        if not 0 <= row < len(explanation):
            raise ValueError(f"row must be from 0 to {len(explanation) - 1}, got {row}")
        (values,) = cells_of(X[row : row + 1], estimator.effects_)
        unit = unit_of(estimator, chosen).removeprefix("adds to the ")
        return cls(explanation, row, chosen, values, unit).plot(ax)

    def plot(self, ax: Any = None, *, max_effects: int = 12) -> ExplanationDisplay:
        """Draw one bar an effect, the largest first, from the baseline to the prediction.

        Parameters
        ----------
        ax : matplotlib axes, optional
        max_effects : int, default 12
            The rest are one bar.

        Returns
        -------
        ExplanationDisplay
            Itself.
        """
        added = self.explanation.contributions[self.row, :, self.output]
        order = np.argsort(-np.abs(added), kind="stable")
        labels = [self.labels[k] for k in order[:max_effects]]
        steps = added[order[:max_effects]]
        if len(order) > max_effects:
            labels.append(f"{len(order) - max_effects} others")
            steps = np.append(steps, added[order[max_effects:]].sum())
        base = float(self.explanation.baseline[self.output])
        ends = base + np.cumsum(steps)
        ax = axes_for(ax, "ExplanationDisplay", figsize=(7, 1.6 + 0.32 * len(labels)))
        places = np.arange(len(labels))
        ax.barh(
            places, steps, left=ends - steps, height=0.62,
            color=np.where(steps >= 0, RAISES, LOWERS),
        )  # fmt: skip
        for k, step in enumerate(steps):
            at = max(ends[k], ends[k] - step)
            ax.annotate(
                f"{step:+.3g}", (at, k), textcoords="offset points", xytext=(4, 0), va="center",
                fontsize="small", bbox={"boxstyle": "round,pad=.1", "fc": "white", "ec": "none"},
            )  # fmt: skip
        outcome = float(ends[-1]) if len(ends) else base
        ax.axvline(base, color="0.6", lw=0.8, ls=":", zorder=0)
        ax.axvline(outcome, color="black", lw=1, zorder=0)
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        ax.use_sticky_edges = False  # bars end at the sum, not at the frame
        ax.margins(x=0.14)
        ax.set_xlabel(self.unit)
        ax.set_title(f"baseline {base:.4g}, this one {outcome:.4g}", fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def cells_of(X: Any, effects: list[Effect], formats: Formats | None = None) -> list[list[str]]:
    """The features' values as texts, for each row one an effect.

    Parameters
    ----------
    X : array, sparse matrix or table of shape (n_samples, n_features)
    effects : list of Effect
    formats : mapping of str to callable, optional
        How numbers of a feature are written, by its name.

    Returns
    -------
    list of list of str
    """
    writes = [[(j, (formats or {}).get(name)) for j, name in zip(e.features, e.names)]
              for e in effects]  # fmt: skip
    if sp.issparse(X):
        X = X.toarray()
    cells = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X, dtype=object)
    return [[" and ".join(shown(row[j], write) for j, write in e) for e in writes]
            for row in cells]  # fmt: skip


def shown(value: Any, write: Callable[[float], str] | None = None) -> str:
    """A cell of a table as text."""
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return "missing"
        return plain(float(value), 6) if write is None else write(float(value))
    return "missing" if value is None else str(value)
