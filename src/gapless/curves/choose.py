"""How much a curve should bend: a weight decay chosen by the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, choose, shown, to_floats
from ..core.losses import Loss, get_loss
from ..core.rounding import TINY
from ..training.folds import shuffled_folds
from .spline import SplineSolution, flat_spline_weight_decay, spline_path

# A linear program a candidate: above this many samples a random part of them decides.
LARGE = 5000
# Candidates, evenly spaced in their logarithm, the last one so much smaller than the first.
N_VALUES, SMALLEST = 25, 1e-5
# Relative gap of the candidates: their scores differ by much more.
TOL = 1e-4
# Fewer samples are no ground for a choice.
FEWEST = 4


def choose_spline_weight_decay(
    x: Any,
    y: Any,
    *,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    criterion: str = "kinks",
    cv: int = 5,
    random_state: int | None = 0,
) -> float:
    """A weight decay for a curve with one output (free bias).

    Parameters
    ----------
    x : array of shape (n_samples,) or (n_samples, n_features)
        As for :func:`gapless.curves.spline.solve_spline`.
    y : array of shape (n_samples,)
    loss : str or Loss, default "squared"
    sample_weight : array of shape (n_samples,), optional
        Weights count samples: n is their sum, or the number of distinct x when that is more.
    criterion : {"kinks", "cv"}, default "kinks"
        "kinks" counts degrees of freedom, ``k = n_kinks + 2``, as for a lasso the number of
        active terms is an unbiased estimate of them (Zou, Hastie & Tibshirani, Annals of
        Statistics 35, 2007).  It takes the least ``fit + log(n) k n / (n - k - 1)``, where
        ``fit`` is ``n log(mean loss)``, ``2 n log(mean loss)`` for the pinball and
        ``2 n (mean loss)`` for classes: BIC, corrected for small n so that interpolation
        never wins, and free of the scale of y (the Huber loss brings its own).
        "cv" takes the least mean loss on ``cv`` held-out folds.
    cv : int, default 5
    random_state : int, optional
        Of the folds, and of the part of large data that decides on a loss with corners.

    Returns
    -------
    float
        One of 25 values from :func:`gapless.curves.spline.flat_spline_weight_decay` down to 1e-5
        times it; 1 where a constant is always best.

    Raises
    ------
    ValueError
        As :func:`gapless.curves.spline.solve_spline`, and for another ``criterion``.
    """
    loss = get_loss(loss)
    choose("criterion", criterion, ("kinks", "cv"))
    x, y = to_floats("x", x), to_floats("y", y)
    w = None if sample_weight is None else to_floats("sample_weight", sample_weight)
    if len(y) > LARGE and loss.sharp:
        part = np.random.default_rng(random_state).choice(len(y), LARGE, replace=False)
        x, y, w = x[part], y[part], None if w is None else w[part]
    if w is not None:
        x, y, w = x[w > 0], y[w > 0], w[w > 0]
    top = flat_spline_weight_decay(x, y, loss=loss, sample_weight=w)
    if not top > 0 or len(y) < FEWEST:
        return top if top > 0 else 1.0
    grid = np.geomspace(top, SMALLEST * top, N_VALUES)
    if not grid[-1] > 0:
        return top
    candidates = _Candidates(x, y, w, loss, grid)
    if criterion == "kinks":
        return float(grid[int(np.argmin(_scores_by_kinks(candidates)))])
    if cv < 2:
        raise ValueError(f"cv must be 2 folds or more, got {shown(cv)}")
    classes = loss.targets == "sign"
    if classes:
        rare = int(min(np.sum(y > 0), np.sum(y < 0)))
        if rare < 2:  # no fold could hold one back: the middle of the grid
            return float(np.sqrt(grid[0] * grid[-1]))
        cv = min(cv, rare)
    score = np.zeros(N_VALUES)
    for seen, held_out in shuffled_folds(y, cv, classes, random_state):
        score += [candidates.mean_loss(s, held_out) for s in candidates.path(seen)]
    return float(grid[int(np.argmin(score))])


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Data, weights None for equal ones, and the weight decays to choose from."""

    x: Array
    y: Array
    w: Array | None
    loss: Loss
    grid: Array

    def path(self, rows: Array) -> list[SplineSolution]:
        """A solution a candidate, on some of the samples."""
        w = None if self.w is None else self.w[rows]
        x, y, decays = self.x[rows], self.y[rows], self.grid.tolist()
        return spline_path(x, y, weight_decays=decays, loss=self.loss, sample_weight=w, tol=TOL)

    def mean_loss(self, s: SplineSolution, rows: Array) -> float:
        """The part of some samples in the weighted mean of all."""
        n = len(self.y)
        weights = np.full(n, 1.0 / n) if self.w is None else self.w / self.w.sum()
        F = s.predict(self.x[rows])[:, None]
        return float(weights[rows] @ self.loss.value(F, self.y[rows][:, None]))


def _scores_by_kinks(candidates: _Candidates) -> Array:
    """The corrected BIC of each candidate; infinite where kinks are as many as samples."""
    x, w, loss = candidates.x, candidates.w, candidates.loss
    everything = np.arange(len(candidates.y))
    distinct = len(np.unique(x if x.ndim == 1 else x[:, :1]))
    n = max(len(everything) if w is None else float(w.sum()), distinct)
    scores = np.full(N_VALUES, np.inf)
    for i, s in enumerate(candidates.path(everything)):
        fit, k = candidates.mean_loss(s, everything), s.n_kinks + 2
        if k >= n - 1:
            break
        if loss.targets == "real":
            # the likelihood at its best scale, normal or (pinball) Laplace
            fit = (2 if loss.degree == 1 else 1) * np.log(max(fit, TINY))
        else:
            fit = 2 * fit
        scores[i] = n * fit + np.log(n) * k * n / (n - k - 1)
    return scores
