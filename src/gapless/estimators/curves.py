"""scikit-learn estimators for curves: one feature, weight decay chosen by the data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..core.checks import Array, choose, positive, to_floats
from ..core.losses import Loss, Pinball, get_loss
from ..curves.spline import SplineSolution, solve_spline, spline_path, weight_decay_max
from .targets import Classification, Regression, encode_labels, validated

# A linear program a candidate: above this many samples a random part of them decides.
LARGE = 5000
N_VALUES, SMALLEST = 25, 1e-5


def choose_weight_decay(
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
    criterion : {"kinks", "cv"}, default "kinks"
        "kinks" counts degrees of freedom, ``k = n_kinks + 2``, as for a lasso the number of
        active terms is an unbiased estimate of them (Zou, Hastie & Tibshirani, Annals of
        Statistics 35, 2007).  It takes the least ``fit + log(n) k n / (n - k - 1)``, where
        ``fit`` is ``n log(mean loss)``, ``2 n log(mean loss)`` for the pinball and
        ``2 n (mean loss)`` for classes: BIC, corrected for small n so that interpolation
        never wins, and free of the scale of y (the Huber loss brings its own).
        Weights count samples: n is their sum, or the number of distinct x when that is more.
        "cv" takes the least mean loss on ``cv`` held-out folds.

    The candidates fall from :func:`gapless.curves.spline.weight_decay_max` to 1e-5 times it.
    """
    loss = get_loss(loss)
    choose("criterion", criterion, ("kinks", "cv"))
    x, y = to_floats("x", x), to_floats("y", y)
    rng = np.random.default_rng(random_state)
    w = None if sample_weight is None else to_floats("sample_weight", sample_weight)
    if len(y) > LARGE and loss.sharp:
        # a linear program a value and fold: a sample of the data decides
        part = rng.choice(len(y), LARGE, replace=False)
        x, y, w = x[part], y[part], None if w is None else w[part]
    if w is not None:
        x, y, w = x[w > 0], y[w > 0], w[w > 0]
    n = len(y)
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
            weight_decays=grid.tolist(),
            loss=loss,
            sample_weight=None if w is None else w[train_],
            tol=1e-4,
        )

    def fit_of(s: SplineSolution, test: Array) -> float:
        F = s.predict(x[test])[:, None]
        return float(weights[test] @ loss.value(F, y[test][:, None]))

    if criterion == "kinks":
        everything = np.arange(n)
        distinct = len(np.unique(x if x.ndim == 1 else x[:, :1]))
        count = max(n if w is None else float(w.sum()), distinct)
        score = np.full(N_VALUES, np.inf)
        for i, s in enumerate(path(everything)):
            fit, k = fit_of(s, everything), s.n_kinks + 2
            if k >= count - 1:
                break
            if loss.targets == "real":
                # the likelihood at its best scale, normal or (pinball) Laplace
                fit = (2 if loss.degree == 1 else 1) * np.log(max(fit, 1e-300))
            else:
                fit = 2 * fit
            score[i] = count * fit + np.log(count) * k * count / (count - k - 1)
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
        if isinstance(self.weight_decay, str):
            rule = choose("weight_decay", self.weight_decay, ("auto", "cv"))
            outputs = np.where(Y > 0, 1.0, -1.0) if loss.targets == "onehot" else Y
            scalar = get_loss("logistic") if loss.targets == "onehot" else loss
            chosen = [
                choose_weight_decay(
                    X,
                    y,
                    loss=scalar,
                    sample_weight=sample_weight,
                    criterion="cv" if rule == "cv" else "kinks",
                )
                for y in outputs.T
            ]
            self.weight_decay_ = float(np.exp(np.mean(np.log(chosen))))
        else:
            self.weight_decay_ = positive("weight_decay", self.weight_decay)
        solution = solve_spline(
            X,
            Y,
            weight_decay=self.weight_decay_,
            loss=loss,
            bias=self.bias,
            sample_weight=sample_weight,
            tol=self.tol,
        )
        if not solution.status.proven:
            warnings.warn(solution.status.value, ConvergenceWarning, stacklevel=3)
        self.solution_ = solution
        self.network_ = solution.network
        self.certificate_ = solution.certificate
        self.status_ = solution.status
        self.n_iter_ = max(len(solution.history), 1)
        self.knots_ = solution.knots
        self.slopes_ = solution.slopes[:, 0] if Y.shape[1] == 1 else solution.slopes
        self.n_kinks_ = solution.n_kinks

    def _outputs(self, X: Any) -> Array:
        """(n, C)"""
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        return self.solution_.predict(X).reshape(len(X), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # one column, or columns on one line
        tags.input_tags.one_d_array = True
        return tags


class SplineRegressor(Regression, _SplineEstimator):
    """The best ReLU network of any width for a curve: a linear spline, proven optimal.

    Minimises over linear splines, that is over two-layer ReLU networks of any width,

        sum_i w_i loss(f(x_i), y_i) / sum_i w_i + weight_decay/2 sum_j (u_j^2 + a_j^2).

    Few kinks carry the fit, and they sit on data points.  Beyond the data f goes on as a
    straight line with the slope of ``slopes_[0]`` on the left, ``slopes_[-1]`` on the right.

    Parameters
    ----------
    weight_decay : float, "auto" or "cv", default "auto"
        Larger gives fewer kinks.  "auto" weighs fit against the number of kinks, "cv" uses
        held-out folds: :func:`choose_weight_decay`.
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
    X has one feature, or several that lie on a line (then ``knots_`` are coordinates along
    it); any other X is refused.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.estimators.curves import SplineRegressor
    >>> X = np.linspace(0, 1, 201)[:, None]
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
        X, y = validated(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        loss = get_loss(self.loss) if self.quantile is None else Pinball(self.quantile)
        if loss.targets != "real":
            raise ValueError(
                f"loss={self.loss!r} compares class labels; use SplineClassifier or one of "
                "'squared', 'huber', 'pinball'"
            )
        self._fit(X, self._targets(y), loss, sample_weight)
        return self


class SplineClassifier(Classification, _SplineEstimator):
    """Classification along one feature by a proven optimal linear spline.

    The decision regions are the intervals between zero crossings of the spline, which is
    linear beyond the data.  More than two classes use the softmax and the general solver.

    Parameters
    ----------
    weight_decay : float, "auto" or "cv", default "auto"
    bias : {"free", "penalized", "none"}, default "free"
    loss : {"logistic", "hinge"}, default "logistic"
        The hinge, for two classes, is the l1 support vector machine of JMLR 2021, Theorem 11.
    tol : float, default 1e-6

    Attributes
    ----------
    classes_, knots_, slopes_, n_kinks_, weight_decay_, certificate_, solution_, status_,
    network_, n_features_in_
        As for :class:`SplineRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.estimators.curves import SplineClassifier
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
        X, y = validated(self, X, y, dtype=np.float64)
        loss = choose("loss", self.loss, ("logistic", "hinge"))
        labels = self._class_numbers(X, y, sample_weight)
        if len(self.classes_) > 2 and loss == "hinge":
            raise ValueError(
                "Only binary classification is supported with loss='hinge', y has "
                f"{len(self.classes_)} classes; use loss='logistic'"
            )
        Y, loss = encode_labels(labels, len(self.classes_), loss)
        self._fit(X, Y, get_loss(loss), sample_weight)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.loss != "hinge"
        return tags
