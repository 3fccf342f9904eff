"""What the estimators over :func:`gapless.train` share.

``fit(X, y, sample_weight)`` of :class:`ReLURegression` or :class:`ReLUClassification` turns y into
targets and calls ``_fit(X, Y, loss, sample_weight)``, which :mod:`gapless.estimators.relu` and
:mod:`gapless.estimators.relu_cv` have; that ends with :meth:`Fitted._keep`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..core.checks import Array, choose, not_negative, shown
from ..core.design import Design, design_of
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import Solution, Status
from ..core.summary import Summarised
from ..core.watch import Watch
from ..training.choosing import chosen
from ..training.cross_validation import Choice, choose_weight_decay
from ..training.folds import shuffled_folds, strata
from ..training.progress import progress
from ..training.train import proof_times, solve
from .labels import balanced, encode_labels
from .targets import Classification, Regression, validated
from .units import Units, warn_of_scales


class Fitted(Summarised, BaseEstimator):
    """What a solution leaves in an estimator."""

    #: a Solution, or the kind of it that the estimator's solver returns
    solution_: Any

    def _keep(self, solution: Solution, network: Network | None = None) -> None:
        """The attributes of a fitted estimator; ``network`` where it has other units than trained.

        An interrupt is raised when they are set, so that what fits estimators in a loop ends too.
        """
        self._set(solution, network)
        if solution.status is Status.STOPPED:
            raise KeyboardInterrupt
        if solution.status.unfinished:
            # the caller of fit, above _keep, _fit and fit
            warnings.warn(solution.status.value, ConvergenceWarning, stacklevel=4)

    def _set(self, solution: Solution, network: Network | None = None) -> None:
        self.solution_ = solution
        self.network_ = solution.network if network is None else network
        self.certificate_ = solution.certificate
        self.status_ = solution.status
        self.n_neurons_ = solution.network.n_neurons
        self.n_iter_ = solution.history.n_rounds


def held_out_rows(
    cv: Any, Y: Array, kept: Array, classes: bool, random_state: int
) -> list[tuple[Array, Array]]:
    """Folds as rows of a problem, which leaves samples of weight zero out.

    Parameters
    ----------
    cv : int, splitter or iterable of (training rows, validation rows)
    Y : array of shape (n_samples, n_outputs)
    kept : array of bool of shape (n_samples,)
        Those with a weight.
    classes : bool
        Whether rows of Y that are alike are a class.
    random_state : int

    Returns
    -------
    list of (training rows, validation rows)
    """
    if isinstance(cv, (int, np.integer)):
        return shuffled_folds(Y[kept], int(cv), classes, random_state)
    y, row = strata(Y, 0) if classes else Y, np.cumsum(kept) - 1
    try:
        splits = check_cv(cv, y, classifier=classes).split(np.zeros(len(Y)), y)
        return [(row[fit[kept[fit]]], row[test[kept[test]]]) for fit, test in splits]
    except (IndexError, TypeError) as error:
        raise ValueError(
            "cv must be a number of folds, a splitter, or pairs of row numbers of X, "
            f"got {shown(cv)}"
        ) from error


@dataclass(eq=False, repr=False, kw_only=True)
class ReLUFit(Fitted):
    """A Problem trained once, the attributes that gives, and outputs; the parameters of all."""

    bias: str = "free"
    loss: Any = "squared"
    tol: float = 1e-3
    max_neurons: int | None = None
    time_limit: float | None = None
    prove_time: float | None = None
    random_state: Any = 0
    verbose: int = 0
    #: whether features and targets are standardised for training: a parameter of some
    scale = False
    #: what scikit-learn's check of X lets pass beside dense tables
    accepts: ClassVar[dict[str, Any]] = {"accept_sparse": "csr"}
    #: how a weight decay is chosen
    _chooser: ClassVar[Callable[..., Choice]] = staticmethod(choose_weight_decay)

    def _fit(self, X: Any, Y: Array, loss: Any, sample_weight: Any) -> None:
        raise NotImplementedError

    def _watch(self, X: Any) -> Watch:
        """Of all that a fit does; without a time limit, of all but the proof."""
        if self.prove_time is not None:
            not_negative("prove_time", self.prove_time)
        return Watch.patient(self.time_limit, design_of(X).size)

    def _train(self, problem: Problem, init: Network | None, watch: Watch, joins: bool) -> Solution:
        kept, proof_time = proof_times(watch, self.time_limit, self.prove_time)
        with progress("training", bool(self.verbose), self.tol, watch) as report:
            return solve(
                problem,
                watch.part(report, kept=kept),
                tol=self.tol,
                max_neurons=self.max_neurons,
                init=init,
                random_state=self._seed(),
                proof_time=proof_time,
                joins=joins,
            )

    def _choose(self, problem: Problem, watch: Watch, **options: Any) -> tuple[Choice, Watch]:
        """:func:`chosen`, as the estimator says."""
        return chosen(
            problem,
            watch,
            limited=self.time_limit is not None,
            shown=bool(self.verbose),
            chooser=self._chooser,
            max_neurons=self.max_neurons,
            **options,
        )

    def _in_units(self, X: Any, Y: Array, weights: Array) -> tuple[Any, Array]:
        """X and Y in the units of training, which ``scaling_`` has."""
        if not self.scale:
            self.scaling_: Units | None = None
            if not isinstance(X, Design):  # patches have one size
                warn_of_scales(X, weights, getattr(self, "feature_names_in_", None))
            return X, Y
        # a mean makes no difference under free biases, and moved columns would make biases
        centred = self.bias == "penalized" and not sp.issparse(X)
        targets = "classes" if is_classifier(self) else "numbers"
        self.scaling_ = units = Units.learn(X, Y, weights, centred=centred, targets=targets)
        return units.features(X), units.targets(Y)

    def _raw(self, network: Network) -> Network:
        """A network in the units of training, in the user's."""
        return network if self.scaling_ is None else self.scaling_.raw(network)

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

    #: "balanced", a weight for each label, or None: a parameter of some
    class_weight = None

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
        if self.class_weight is not None:
            sample_weight = self._class_weighted(X, y, labels, sample_weight)
        Y, loss = encode_labels(labels, len(self.classes_), loss)
        self._fit(X, Y, loss, sample_weight)
        return self

    def _class_weighted(self, X: Any, y: Array, labels: Array, sample_weight: Any) -> Array:
        """Sample weights times those of the classes; "balanced" makes all classes weigh alike."""
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if not isinstance(self.class_weight, str):
            return np.asarray(weights * compute_sample_weight(self.class_weight, y))
        choose("class_weight", self.class_weight, ("balanced",))
        return balanced(labels, weights)
