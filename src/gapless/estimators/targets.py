"""From the outputs of a network to predictions: what every estimator here shares.

A class that mixes one of these in has ``_outputs(X)``, the network's outputs (n_samples,
n_outputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..core.checks import Array, to_floats
from .table_columns import no_numbers, refuse_times


def validated(estimator: Any, *data: Any, **how: Any) -> Any:
    """scikit-learn's ``validate_data``, with a sentence for what is no number.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and, from a table, ``feature_names_in_``.
    *data : arrays
        X, or X and y.
    **how
        Options of ``validate_data``.

    Returns
    -------
    array or tuple of arrays

    Raises
    ------
    ValueError
        For what scikit-learn refuses, dates, texts and numbers beyond 1e308.
    """
    for given in data:
        refuse_times(given)
    try:
        return validate_data(estimator, *data, **how)
    except OverflowError as error:
        raise ValueError("X or y has numbers beyond 1e308; rescale them") from error
    except (ValueError, TypeError) as error:
        if _converting(error, data[0]) and (words := no_numbers(data[0])):
            raise ValueError(words) from error
        raise


def _converting(error: Exception, X: Any) -> bool:
    """Whether cells could not be made numbers, not whether there are too few of them; of objects in
    arrays scikit-learn is asked to tell itself."""
    signs = ["could not convert", "contains NaN", "with a sequence"]
    signs += ["float() argument"] * hasattr(X, "columns")
    return any(sign in str(error) for sign in signs)


class Regression(RegressorMixin):
    """Targets as a matrix, predictions of the shape the targets had."""

    def _targets(self, y: Array) -> Array:
        """``y`` as (n_samples, n_outputs)."""
        self._one_column = y.ndim == 1
        return to_floats("y", y).reshape(len(y), -1)

    def predict(self, X: Any) -> Array:
        """Predictions, of the shape of the y given to fit.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
        """
        F = self._outputs(X)
        return F[:, 0] if self._one_column else F

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class Scoring(ClassifierMixin):
    """Labels as class numbers; scores and classes from the outputs."""

    def _class_numbers(self, X: Array, y: Array, sample_weight: Any = None) -> Array:
        """Sets ``classes_``; the number of each sample's class.  At least two must weigh."""
        with np.errstate(invalid="ignore"):  # scikit-learn casts numbers of any size to whole ones
            check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        present = labels
        if sample_weight is not None:
            present = labels[_check_sample_weight(sample_weight, X, dtype=np.float64) > 0]
        if len(np.unique(present)) < 2:
            raise ValueError(
                f"a classifier needs samples of at least 2 classes, y has only one class: "
                f"'{self.classes_[present[0]]}'"
            )
        return labels

    def decision_function(self, X: Any) -> Array:
        """What each class scores.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
            For two classes one number, positive for ``classes_[1]``; else a column a class.
        """
        F = self._outputs(X)
        if F.shape[1] == 1:
            return F[:, 0]
        return F[:, 1] - F[:, 0] if len(self.classes_) == 2 else F

    def predict(self, X: Any) -> Array:
        """The most likely class of each sample.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            Labels.
        """
        F = self.decision_function(X)
        return self.classes_[(F > 0).astype(int) if F.ndim == 1 else np.argmax(F, axis=1)]


def _gives_probabilities(model: Any) -> bool:
    if model.loss not in ("logistic", "softmax"):
        raise AttributeError(f"loss={model.loss!r} gives no probabilities; use a logistic loss")
    return True


class Classification(Scoring):
    """Probabilities too, where there is a loss that gives them."""

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Class probabilities; only for the logistic loss.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            Rows sum to one, columns in the order of ``classes_``.
        """
        F = self.decision_function(X)
        if F.ndim == 1:
            return np.column_stack([expit(-F), expit(F)])
        return softmax(F, axis=1)
