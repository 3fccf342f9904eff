"""scikit-learn estimators for curves: one feature, weight decay chosen by the data."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..core.checks import Array, choose, positive
from ..core.losses import Loss, Pinball, get_loss
from ..core.summary import Summarised
from ..curves.choose import choose_spline_weight_decay
from ..curves.spline import solve_spline
from .labels import encode_labels
from .targets import Classification, Regression, validated


@dataclass(eq=False, repr=False)
class _SplineEstimator(Summarised, BaseEstimator):
    """What regressor and classifier share."""

    weight_decay: float | str = "auto"
    _: KW_ONLY
    bias: str = "free"
    loss: Any = "squared"
    tol: float = 1e-6

    def _fit(self, X: Array, Y: Array, loss: Loss, sample_weight: Any) -> None:
        """``Y`` (n, C)."""
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.weight_decay_ = self._chosen_weight_decay(X, Y, loss, sample_weight)
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

    def _chosen_weight_decay(self, X: Array, Y: Array, loss: Loss, sample_weight: Any) -> float:
        """As given, or the geometric mean of what each output alone would choose."""
        if not isinstance(self.weight_decay, str):
            return positive("weight_decay", self.weight_decay)
        rule = choose("weight_decay", self.weight_decay, ("auto", "cv"))
        if loss.targets == "onehot":  # one class against the rest
            Y, loss = np.where(Y > 0, 1.0, -1.0), get_loss("logistic")
        how = {"sample_weight": sample_weight, "criterion": "cv" if rule == "cv" else "kinks"}
        chosen = [choose_spline_weight_decay(X, y, loss=loss, **how) for y in Y.T]
        return float(np.exp(np.mean(np.log(chosen))))

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


@dataclass(eq=False, repr=False, kw_only=True)
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
        held-out folds: :func:`gapless.curves.choose.choose_spline_weight_decay`.
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

    quantile: float | None = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SplineRegressor:
        """Fit the spline.

        Parameters
        ----------
        X : array of shape (n_samples, 1), or with n_features columns on a line
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For a loss that compares class labels, and samples that do not lie on a line.
        """
        X, y = validated(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        loss = get_loss(self.loss) if self.quantile is None else Pinball(self.quantile)
        if loss.targets != "real":
            raise ValueError(
                f"loss={self.loss!r} compares class labels; use SplineClassifier or one of "
                "'squared', 'huber', 'pinball'"
            )
        self._fit(X, self._targets(y), loss, sample_weight)
        return self


@dataclass(eq=False, repr=False, kw_only=True)
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

    loss: Any = "logistic"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SplineClassifier:
        """Fit the spline whose sign, or largest output, is the class.

        Parameters
        ----------
        X : array of shape (n_samples, 1), or with n_features columns on a line
        y : array of labels of shape (n_samples,)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For another loss, a single class, more than two under the hinge, and samples that do not
            lie on a line.
        """
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
