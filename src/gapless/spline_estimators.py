"""scikit-learn estimators for curves: one feature, weight decay chosen by the data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._validate import Array, choose, positive
from .losses import Loss, Pinball, get_loss
from .problem import Problem
from .result import Solution
from .spline import SplineSolution, solve_spline, spline_path, weight_decay_max
from .train import train

# Above this many samples folds tell no more than counting the kinks, and cost five times more.
LARGE = 5000
N_VALUES, SMALLEST = 25, 1e-5
# Data off a line go to the general solver, which proves less: ask no more than it can give.
GENERAL_TOL = 1e-3


def choose_weight_decay(
    x: Any,
    y: Any,
    *,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    criterion: str = "auto",
    cv: int = 5,
    random_state: int | None = 0,
) -> float:
    """A weight decay for a curve with one output (free bias).

    Parameters
    ----------
    criterion : {"auto", "cv", "bic"}, default "auto"
        "cv": least mean loss on ``cv`` held-out folds.  "bic": least
        ``n log(mean squared error) + k log n`` for the squared loss and
        ``2 n (mean loss) + k log n`` for the others, with ``k = n_kinks + 2``: for a lasso the
        number of active terms is an unbiased estimate of the degrees of freedom
        (Zou, Hastie & Tibshirani, Annals of Statistics 35, 2007).  "auto": "cv" up to
        5000 samples, else "bic".

    The candidates fall from :func:`gapless.spline.weight_decay_max` to 1e-5 times it.
    """
    loss = get_loss(loss)
    choose("criterion", criterion, ("auto", "cv", "bic"))
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    rng = np.random.default_rng(random_state)
    w = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if len(y) > LARGE and not np.isfinite(loss.smoothness):
        # a linear program a value and fold: a sample of the data decides
        part = rng.choice(len(y), LARGE, replace=False)
        x, y, w = x[part], y[part], None if w is None else w[part]
    if w is not None:
        x, y, w = x[w > 0], y[w > 0], w[w > 0]
    n = len(y)
    if criterion == "auto":
        criterion = "cv" if n <= LARGE else "bic"
    top = weight_decay_max(x, y, loss=loss, sample_weight=w)
    if not top > 0 or n < 4:
        return top if top > 0 else 1.0
    grid = np.geomspace(top, SMALLEST * top, N_VALUES)
    if not grid[-1] > 0:
        return top
    weights = np.full(n, 1.0 / n) if w is None else w / w.sum()

    def path(train_: Array) -> list[SplineSolution]:
        return spline_path(
            x[train_],
            y[train_],
            weight_decays=grid,
            loss=loss,
            sample_weight=None if w is None else w[train_],
            tol=1e-4,
        )

    def fit_of(s: SplineSolution, test: Array) -> float:
        F = s.predict(x[test])[:, None]
        return float(weights[test] @ loss.value(F, y[test][:, None]))

    if criterion == "bic":
        everything = np.arange(n)
        score = np.empty(N_VALUES)
        for k, s in enumerate(path(everything)):
            fit = fit_of(s, everything)
            if loss.name == "squared":
                fit = 0.5 * np.log(max(fit, 1e-300))
            score[k] = 2 * n * fit + np.log(n) * (s.n_kinks + 2)
        return float(grid[int(np.argmin(score))])
    folds: Any = KFold(min(cv, n), shuffle=True, random_state=random_state)
    if loss.targets == "sign":
        rare = int(min(np.sum(y > 0), np.sum(y < 0)))
        if rare < 2:
            return float(np.sqrt(grid[0] * grid[-1]))
        folds = StratifiedKFold(min(cv, rare), shuffle=True, random_state=random_state)
    score = np.zeros(N_VALUES)
    for train_, test in folds.split(x.reshape(n, -1), y):
        score += [fit_of(s, test) for s in path(train_)]
    return float(grid[int(np.argmin(score))])


class _SplineEstimator(BaseEstimator):  # type: ignore[misc]
    """What regressor and classifier share."""

    def _fit(self, X: Array, Y: Array, loss: Loss, sample_weight: Any) -> None:
        """``Y`` (n, C)."""
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        on_line = X.shape[1] == 1 or _on_a_line(X)
        if self.weight_decay == "auto":
            # off a line, the direction in which the data vary most stands for them
            x = X if on_line else _leading(X)
            outputs = np.where(Y > 0, 1.0, -1.0) if loss.targets == "onehot" else Y
            scalar = get_loss("logistic") if loss.targets == "onehot" else loss
            chosen = [
                choose_weight_decay(x, y, loss=scalar, sample_weight=sample_weight)
                for y in outputs.T
            ]
            self.weight_decay_ = float(np.exp(np.mean(np.log(chosen))))
        else:
            self.weight_decay_ = positive("weight_decay", self.weight_decay)
        solution: Solution
        if on_line:
            solution = solve_spline(
                X,
                Y,
                weight_decay=self.weight_decay_,
                loss=loss,
                bias=self.bias,
                sample_weight=sample_weight,
                tol=self.tol,
            )
        else:
            problem = Problem(X, Y, loss, self.weight_decay_, self.bias, sample_weight)
            solution = train(problem, tol=max(self.tol, GENERAL_TOL), max_iter=100)
        if on_line and not solution.status.proven:
            warnings.warn(solution.status.value, ConvergenceWarning, stacklevel=3)
        self.solution_ = solution
        self.network_ = solution.network
        self.certificate_ = solution.certificate
        self.status_ = solution.status
        self.n_iter_ = max(len(solution.history), 1)
        for name in ("knots_", "slopes_", "n_kinks_"):
            vars(self).pop(name, None)
        if isinstance(solution, SplineSolution):
            self.knots_ = solution.knots
            self.slopes_ = solution.slopes[:, 0] if Y.shape[1] == 1 else solution.slopes
            self.n_kinks_ = solution.n_kinks

    def _outputs(self, X: Any) -> Array:
        """(n, C)"""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if isinstance(self.solution_, SplineSolution):
            return self.solution_.predict(X).reshape(len(X), -1)
        return self.network_.predict(X)


def _on_a_line(X: Array) -> bool:
    Z = X - X.mean(axis=0)
    far = Z[int(np.argmax(np.einsum("ij,ij->i", Z, Z)))]
    square = float(far @ far)
    if square == 0:
        return True
    off = Z - np.outer(Z @ far / square, far)
    return bool(np.linalg.norm(off) <= 1e-11 * np.linalg.norm(Z))


def _leading(X: Array) -> Array:
    Z = X - X.mean(axis=0)
    return Z @ np.linalg.svd(Z, full_matrices=False)[2][0]


class SplineRegressor(RegressorMixin, _SplineEstimator):  # type: ignore[misc]
    """The best ReLU network of any width for a curve: a linear spline, proven optimal.

    Minimises over linear splines, that is over two-layer ReLU networks of any width,

        sum_i w_i loss(f(x_i), y_i) / sum_i w_i + weight_decay/2 sum_j (u_j^2 + a_j^2).

    Few kinks carry the fit, and they sit on data points.  Beyond the data f goes on as a
    straight line with the slope of ``slopes_[0]`` on the left, ``slopes_[-1]`` on the right.

    Parameters
    ----------
    weight_decay : float or "auto", default "auto"
        Larger gives fewer kinks; "auto" as in :func:`choose_weight_decay`.
    bias : {"free", "penalized", "none"}, default "free"
    loss : {"squared", "huber", "pinball"} or Loss, default "squared"
    quantile : float, optional
        Fit this conditional quantile: the pinball loss, whatever ``loss`` says.
    tol : float, default 1e-6
        Proven relative gap to reach.

    Attributes
    ----------
    knots_ : array of shape (n_kinks_,)
    slopes_ : array of shape (n_kinks_ + 1,) or (n_kinks_ + 1, n_outputs)
    n_kinks_ : int
    weight_decay_ : float
    certificate_ : Certificate
    solution_ : SplineSolution
    status_ : Status
    network_ : Network
    n_features_in_ : int

    Notes
    -----
    X has one feature, or several that lie on a line.  Any other X is trained by
    :func:`gapless.train` to a gap of 1e-3 at best; ``knots_``, ``slopes_`` and ``n_kinks_``
    are then absent.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.spline_estimators import SplineRegressor
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = SplineRegressor(weight_decay=1e-4).fit(X, np.abs(X[:, 0] - 0.5))
    >>> model.n_kinks_, bool(model.certificate_.relative_gap < 1e-6)
    (1, True)
    """

    def __init__(
        self,
        weight_decay: float | str = "auto",
        *,
        bias: str = "free",
        loss: Any = "squared",
        quantile: float | None = None,
        tol: float = 1e-6,
    ) -> None:
        self.weight_decay = weight_decay
        self.bias = bias
        self.loss = loss
        self.quantile = quantile
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SplineRegressor:
        """Fit to ``X`` (n, 1) and ``y`` (n,) or (n, n_outputs)."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        loss = get_loss(self.loss) if self.quantile is None else Pinball(self.quantile)
        if loss.targets != "real":
            raise ValueError(
                f"loss={self.loss!r} compares class labels; use SplineClassifier or one of "
                "'squared', 'huber', 'pinball'"
            )
        self._flat = np.ndim(y) == 1
        Y = np.asarray(y, dtype=np.float64)
        self._fit(X, Y[:, None] if self._flat else Y, loss, sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """The curve at ``X``."""
        F = self._outputs(X)
        return F[:, 0] if self._flat else F


def _gives_probabilities(model: Any) -> bool:
    if get_loss(model.loss).name == "hinge":
        raise AttributeError("loss='hinge' gives no probabilities; use loss='logistic'")
    return True


class SplineClassifier(ClassifierMixin, _SplineEstimator):  # type: ignore[misc]
    """Classification along one feature by a proven optimal linear spline.

    The decision regions are the intervals between zero crossings of the spline, which is
    linear beyond the data.  More than two classes use the softmax and the general solver.

    Parameters
    ----------
    weight_decay : float or "auto", default "auto"
    bias : {"free", "penalized", "none"}, default "free"
    loss : {"logistic", "hinge"}, default "logistic"
        The hinge is the l1 support vector machine of JMLR 2021, Theorem 11.
    tol : float, default 1e-6

    Attributes
    ----------
    classes_, knots_, slopes_, n_kinks_, weight_decay_, certificate_, solution_, status_,
    network_, n_features_in_
        As for :class:`SplineRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.spline_estimators import SplineClassifier
    >>> X = np.linspace(0, 1, 60)[:, None]
    >>> y = np.abs(X[:, 0] - 0.5) < 0.2
    >>> SplineClassifier(weight_decay=1e-4).fit(X, y).score(X, y)
    1.0
    """

    def __init__(
        self,
        weight_decay: float | str = "auto",
        *,
        bias: str = "free",
        loss: Any = "logistic",
        tol: float = 1e-6,
    ) -> None:
        self.weight_decay = weight_decay
        self.bias = bias
        self.loss = loss
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SplineClassifier:
        """Fit to ``X`` (n, 1) and labels ``y`` (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        loss = get_loss(choose("loss", self.loss, ("logistic", "hinge")))
        self.classes_, code = np.unique(y, return_inverse=True)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_[0]!r}; a classifier needs at least two"
            )
        if len(self.classes_) == 2:
            Y = (2.0 * code - 1.0)[:, None]
        elif loss.name == "logistic":
            Y, loss = np.eye(len(self.classes_))[code], get_loss("softmax")
        else:
            Y = 2 * np.eye(len(self.classes_))[code] - 1  # one against the rest
        self._fit(X, Y, loss, sample_weight)
        return self

    def decision_function(self, X: Any) -> Array:
        """Scores: (n,) for two classes, positive for ``classes_[1]``; else (n, n_classes)."""
        F = self._outputs(X)
        return F[:, 0] if F.shape[1] == 1 else F

    def predict(self, X: Any) -> Array:
        """The class at ``X``."""
        F = self._outputs(X)
        code = (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
        return self.classes_[code]

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Class probabilities (n, n_classes); logistic loss only."""
        F = self._outputs(X)
        if F.shape[1] > 1:
            return softmax(F, axis=1)
        p = expit(F[:, 0])
        return np.column_stack([1 - p, p])
