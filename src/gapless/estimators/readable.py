"""Estimators that can be read: networks whose neurons look at one feature, or at two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, choose
from ..core.losses import LOG_LINK, Loss, Pinball, get_loss
from .labels import encode_labels
from .readable_fit import ReadableFit
from .targets import Classification, Regression


@dataclass(eq=False, repr=False, kw_only=True)
class AdditiveReLURegressor(Regression, ReadableFit):
    """A sum of effects, one a feature, that is the best network of such neurons, proven.

    Every neuron looks at one feature (or two, see ``interactions``), so that what a feature adds to
    the prediction is one curve: a linear spline whose kinks training chose.  Minimises

        sum_i w_i loss(f(x_i), y_i) / sum_i w_i + weight_decay/2 sum_j (||u_j||^2 + ||a_j||^2)

    over networks of any number of such neurons, on features and targets that are standardised
    inside; effects, explanations and predictions are in the units of the data.

    Categorical features, the columns of a pandas or polars table that are no numbers and
    ``categorical_features``, add one value a level; missing values (NaN, None) of a feature add a
    value of their own.  Levels that were not there in training add what no level does, and a number
    beyond those of training what the nearest of them does.

    Parameters
    ----------
    interactions : 0, "pairs" or list of pairs, default 0
        Which two features, by number or name, neurons may look at together.  What of it one of them
        adds alone, in the mean over the other, counts to its own effect.  With
        ``weight_decay="auto"``, held-out folds also choose what a neuron of two features costs, as
        a multiple of what one of one does (``certificate_.price``), so that few pairs enter or
        many, and "pairs" are left out unless the folds gain more than the standard error of that
        gain: ``certificate_.features`` is then 1.
    weight_decay : float or "auto", default "auto"
        Larger gives fewer kinks; "auto" takes what held-out folds prefer.
    bias : {"free", "penalized", "none"}, default "free"
    loss : {"squared", "huber", "poisson", "gamma"} or Loss, default "squared"
        The first two in standard deviations of the target.  "poisson" (counts) and "gamma"
        (positive amounts) are half their deviances, of targets in units of their mean: the sum of
        effects is the logarithm of the prediction, so each effect multiplies it.
    quantile : float, optional
        Fit this conditional quantile: the pinball loss, whatever ``loss`` says.
    tol : float, default 1e-3
        Proven relative gap to reach.
    cv : int, splitter or iterable, default 5
        Folds for ``weight_decay="auto"``; an int means shuffled ones.
    categorical_features : list of int or str, or mask, optional
        Beside the columns of a table that are no numbers.
    monotone : mapping of int or str to {1, -1}, optional
        Numeric features, by number or name, whose effect must rise (1) or fall (-1).  The proof is
        about networks of such effects; missing values keep an effect of their own.  For one output,
        ``bias="free"`` and no interactions.
    time_limit : float, optional
        Seconds for all of it; by default 30 and ten more for each million numbers in X, with
        interactions four times that.
    verbose : int, default 0

    Attributes
    ----------
    effects_ : list of Effect
        By falling importance.
    importances_ : array of shape (n_effects,)
        Mean absolute value that each adds, in the units of the target.
    intercept_ : array of shape (n_outputs,)
        The mean prediction; with pairs, what it would be if features were independent.
    weight_decay_ : float
    weight_decays_, prices_, losses_ : arrays of shape (n_values,), twice, and (n_folds, n_values)
        What ``weight_decay="auto"`` has tried, falling, first without pairs: prices of pairs are
        infinite where there were none, and losses NaN where the time was over.
    network_ : Network
        On the standardised columns; :meth:`to_network` is the one on the features.
    certificate_, solution_, status_, n_neurons_, n_iter_
        As in :class:`gapless.ReLURegressor`; what is proven is about networks of such neurons.
    n_features_in_ : int
    feature_names_in_ : array of str, when X has column names

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gapless import AdditiveReLURegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = AdditiveReLURegressor(weight_decay=0.03).fit(X, y)
    >>> model.status_.name, model.effects_[0].name
    ('OPTIMAL', 's5')
    >>> explained = model.explain(X[:1])
    >>> bool(abs(explained.outputs[0, 0] - model.predict(X[:1])[0]) < 1e-9)
    True
    """

    quantile: float | None = None

    def predict(self, X: Any) -> Array:
        """Predictions, of the shape of the y given to fit.

        Parameters
        ----------
        X : array, sparse matrix or table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
        """
        F: Array = super().predict(X)
        return np.exp(F) if self._logarithms else F

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array, sparse matrix or table of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
        """
        if isinstance(self.loss, str):
            choose("loss", self.loss, ("squared", "huber", *LOG_LINK))
        X, y = self._table(X, y, multi_output=True, y_numeric=True)
        self._fit(X, self._targets(y), sample_weight)
        return self

    def _goal(self, targets: Array) -> tuple[Array, Loss]:
        return targets, get_loss(self.loss) if self.quantile is None else Pinball(self.quantile)


@dataclass(eq=False, repr=False, kw_only=True)
class AdditiveReLUClassifier(Classification, ReadableFit):
    """Scores of classes as sums of effects, one a feature: the best network of such neurons.

    As :class:`AdditiveReLURegressor`, with a classification loss; effects add to the scores: for
    two classes to the log odds of ``classes_[1]``, for more to one score a class.

    Parameters
    ----------
    interactions, weight_decay, bias, tol, cv, categorical_features, monotone, time_limit, verbose
        As in :class:`AdditiveReLURegressor`.
    loss : {"logistic", "hinge", "squared"}, default "logistic"
        "logistic" is the cross-entropy of the softmax for more than two classes.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    effects_, importances_, intercept_, weight_decay_, weight_decays_, prices_, losses_
        As in :class:`AdditiveReLURegressor`.
    network_, certificate_, solution_, status_, n_neurons_, n_iter_, n_features_in_
        As there.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gapless import AdditiveReLUClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = AdditiveReLUClassifier(weight_decay=0.02).fit(X, y)
    >>> model.status_.name, bool(model.score(X, y) > 0.95)
    ('OPTIMAL', True)
    """

    loss: Any = "logistic"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array, sparse matrix or table of shape (n_samples, n_features)
        y : array of labels of shape (n_samples,)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
        """
        choose("loss", self.loss, ("logistic", "hinge", "squared"))
        X, y = self._table(X, y)
        self._fit(X, self._class_numbers(X, y, sample_weight), sample_weight)
        return self

    def _goal(self, targets: Array) -> tuple[Array, Loss]:
        Y, loss = encode_labels(targets, len(self.classes_), self.loss)
        return Y, get_loss(loss)
