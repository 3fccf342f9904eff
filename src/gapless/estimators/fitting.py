"""What the estimators over :func:`gapless.train` share.

``fit(X, y, sample_weight)`` of :class:`ReLURegression` or :class:`ReLUClassification` turns y into
targets and calls ``_fit(X, Y, loss, sample_weight)``, which :mod:`gapless.estimators.relu` and
:mod:`gapless.estimators.relu_cv` have; that ends with :meth:`Fitted._keep`.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, choose, not_negative
from ..core.design import design_of
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import Solution, Status
from ..core.summary import Summarised
from ..core.watch import Watch
from ..training.progress import progress
from ..training.train import as_long, proof_times, solve
from .targets import Classification, Regression, encode_labels, validated


class Fitted(Summarised, BaseEstimator):  # type: ignore[misc]
    """What a solution leaves in an estimator."""

    def _keep(self, solution: Solution) -> None:
        """The attributes of a fitted estimator.

        An interrupt is raised when they are set, so that what fits estimators in a loop ends too.
        """
        self._set(solution)
        if solution.status is Status.STOPPED:
            raise KeyboardInterrupt
        if solution.status.unfinished:
            # the caller of fit, above _keep, _fit and fit
            warnings.warn(solution.status.value, ConvergenceWarning, stacklevel=4)

    def _set(self, solution: Solution) -> None:
        self.solution_ = solution
        self.network_ = solution.network
        self.certificate_ = solution.certificate
        self.status_ = solution.status
        self.n_neurons_ = solution.network.n_neurons
        self.n_iter_ = solution.history.n_rounds


class ReLUFit(Fitted):
    """A Problem trained once, the attributes that gives, and outputs."""

    loss: Any
    tol: float
    max_neurons: int | None
    time_limit: float | None
    prove_time: float | None
    random_state: Any
    verbose: int
    #: what scikit-learn's check of X lets pass beside dense tables
    accepts: ClassVar[dict[str, Any]] = {"accept_sparse": "csr"}

    def _fit(self, X: Any, Y: Array, loss: Any, sample_weight: Any) -> None:
        raise NotImplementedError

    def _watch(self, X: Any, fits: float = 1.0) -> Watch:
        """Of all that a fit does; without a time limit, of all but the proof."""
        if self.prove_time is not None:
            not_negative("prove_time", self.prove_time)
        return Watch.patient(self.time_limit, design_of(X).size, fits)

    def _train(self, problem: Problem, init: Network | None, watch: Watch) -> Solution:
        kept, proof_time = proof_times(watch, self.time_limit, self.prove_time, as_long)
        with progress("training", bool(self.verbose), self.tol) as report:
            return solve(
                problem,
                watch.part(report, kept=kept),
                tol=self.tol,
                max_neurons=self.max_neurons,
                init=init,
                random_state=self._seed(),
                proof_time=proof_time,
            )

    def _seed(self) -> Any:
        seed = self.random_state
        return int(seed.randint(2**31)) if isinstance(seed, np.random.RandomState) else seed

    def _outputs(self, X: Any) -> Array:
        """Of the network, (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False, **self.accepts)
        return self.network_.predict(self._design(X, new=False))

    def _design(self, X: Any, new: bool) -> Any:
        """What the network sees of checked samples: of ``new`` ones, to be fitted, or others."""
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = "accept_sparse" in self.accepts
        tags.input_tags.three_d_array = "allow_nd" in self.accepts
        return tags


class ReLURegression(Regression, ReLUFit):
    """``fit`` for real targets over ``_fit(X, Y, loss, sample_weight)``."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array or CSR matrix of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
        """
        loss = self.loss
        if isinstance(loss, str):
            choose("loss", loss, ("squared", "huber"))
        X, y = validated(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, **self.accepts
        )
        self._fit(X, self._targets(y), loss, sample_weight)
        return self


class ReLUClassification(Classification, ReLUFit):
    """``fit`` for labels over ``_fit(X, Y, loss, sample_weight)``."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array or CSR matrix of shape (n_samples, n_features)
        y : array of labels of shape (n_samples,)
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        self
        """
        loss = choose("loss", self.loss, ("logistic", "hinge", "squared"))
        X, y = validated(self, X, y, dtype=np.float64, **self.accepts)
        labels = self._class_numbers(X, y, sample_weight)
        Y, loss = encode_labels(labels, len(self.classes_), loss)
        self._fit(X, Y, loss, sample_weight)
        return self
