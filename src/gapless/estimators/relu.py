"""The scikit-learn estimators over :func:`gapless.train` at a given weight decay."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from ..core.checks import Array, choose
from ..core.network import Network
from ..core.problem import Problem
from .fitting import ReLUClassification, ReLUFit, ReLURegression


@dataclass(eq=False, repr=False)
class AtWeightDecay(ReLUFit):
    """``_fit`` at the given weight decay."""

    weight_decay: float | str = 0.01
    _: KW_ONLY
    warm_start: bool = False

    def _fit(self, X: Any, Y: Array, loss: Any, sample_weight: Any) -> None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        auto = isinstance(self.weight_decay, str)
        if auto:
            choose("weight_decay", self.weight_decay, ("auto",))
        X = self._design(X, new=True)
        watch = self._watch(X)
        X, Y = self._in_units(X, Y, weights)
        given: Any = 1.0 if auto else self.weight_decay
        problem = Problem(X, Y, loss, given, self.bias, weights)
        init: Network | None = getattr(self, "network_", None) if self.warm_start else None
        if init is not None and (init.n_features, init.n_outputs) != (X.shape[1], Y.shape[1]):
            raise ValueError(
                f"warm_start: the fitted network has {init.n_features} features and "
                f"{init.n_outputs} outputs, the new data {X.shape[1]} and {Y.shape[1]}; "
                "fit a new estimator"
            )
        if init is not None and self.scaling_ is not None:
            init = self.scaling_.of_raw(init)
        start = init
        if auto:
            choice, watch = self._choose(problem, watch, random_state=self._seed())
            problem = problem.variant(problem.loss, choice.weight_decay)
            start = choice.start if init is None else init
        self.weight_decay_ = problem.weight_decay
        solution = self._train(problem, start, watch, joins=start is init)
        self._keep(solution, self._raw(solution.network))


@dataclass(eq=False, repr=False, kw_only=True)
class ReLURegressor(AtWeightDecay, ReLURegression):
    """Two-layer ReLU network for regression, trained to a certified gap.

    Minimises, over networks ``f(x) = sum_j (x.u_j + b_j)_+ a_j + c`` of any width,

        sum_i w_i loss(f(x_i), y_i) / sum_i w_i + weight_decay/2 sum_j (||u_j||^2 + ||a_j||^2)

    with ``loss = 1/2 ||f - y||^2`` by default (Ergen & Pilanci, JMLR 2021, eq. 2).

    By default X and y are taken as given, and the penalty depends on their units: a column in
    thousands needs small weights and is hardly penalised, one of much smaller numbers than the
    rest is all but left out, which a warning says.  With ``scale=True`` both are standardised for
    training: ``network_`` and predictions have the units of X and y, while ``weight_decay``,
    ``certificate_`` and ``solution_`` are of the problem that was trained, on
    ``scaling_.features(X)`` and ``scaling_.targets(y)``.

    Parameters
    ----------
    weight_decay : float or "auto", default 0.01
        Larger gives fewer neurons.  PyTorch's ``weight_decay`` when the loss is a mean.  "auto"
        chooses it by cross-validation as :class:`gapless.ReLURegressorCV` does, on all columns.
    scale : bool, default False
        Whether to divide each feature by its standard deviation, and targets, centred, by theirs;
        samples count by their weight.  Features are centred too where biases are penalised and X
        is dense; under free biases that makes no difference.
    bias : {"free", "penalized", "none"}, default "free"
        Whether biases are unpenalised, penalised like weights, or absent.
    loss : {"squared", "huber"} or Loss, default "squared"
    tol : float, default 1e-3
        Relative gap to reach: proven where a proof is cheap, else estimated.
    max_neurons : int, optional
        The widest network allowed.
    time_limit : float, optional
        Seconds for training and proof.  Without a limit training ends after 15 and five more for
        each million numbers in X, what few tables take; with "auto" the choice has 15 (and half of
        what is more), and training half as long as it took.  An interrupt (Ctrl-C) also leaves the
        best network so far, and the best proof, in the attributes.
    prove_time : float, optional
        Seconds, at most, to prove how good the network is once it is trained; the proof ends as
        soon as the gap is within ``tol``.  By default as long as training took, from .5 to 4; up to
        7 where boxes of directions are predicted to bring the gap below 10% in them, until it is
        3%, and .5 where they apply and are not; or what training leaves of the ``time_limit``.  0
        proves only what costs no time.
    random_state : int, RandomState or None, default 0
        Seed of the search; the same seed gives the same network.
    warm_start : bool, default False
        Start from the network of the last fit.
    verbose : int, default 0
        1 shows a progress line on a terminal, and writes one every five seconds elsewhere.

    Attributes
    ----------
    network_ : Network
        In the units of X and y.
    certificate_ : Certificate
        Objective, proven and estimated lower bounds and gaps; with ``scale=True`` of the
        standardised problem.
    solution_ : Solution
        Its network is the one that was trained; with ``scale=True`` in standardised units.
    weight_decay_ : float
        As given, or chosen.
    scaling_ : gapless.estimators.units.Units or None
        ``mean``, ``scale``, ``y_mean`` and ``y_scale`` of training; None with ``scale=False``.
    status_ : Status
    n_neurons_ : int
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : array of str, when X has column names

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from gapless import ReLURegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ReLURegressor(weight_decay=0.1).fit(scale(X), scale(y))
    >>> bool(model.certificate_.estimated_relative_gap < 1e-3)
    True
    """

    scale: bool = False


@dataclass(eq=False, repr=False, kw_only=True)
class ReLUClassifier(AtWeightDecay, ReLUClassification):
    """Two-layer ReLU network for classification, trained to a certified gap.

    The objective is that of :class:`ReLURegressor` with a classification loss; two classes
    share one output, more have one output each and neurons in common.  It depends on the units
    of the features as there: ``ReLUClassifier(scale=True)`` standardises them.

    Parameters
    ----------
    weight_decay, scale, bias, tol, max_neurons, time_limit, prove_time, random_state, warm_start
        As in :class:`ReLURegressor`.
    class_weight : "balanced", dict or None, default None
        Multiplies the weights of samples: "balanced" makes the classes weigh alike, a dict has the
        weight of each label.
    verbose : int, default 0
        As in :class:`ReLURegressor`.
    loss : {"logistic", "hinge", "squared"}, default "logistic"
        "logistic" is the cross-entropy of the softmax for more than two classes; "hinge" and
        "squared" compare with -1/+1, one class against the rest.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    network_, certificate_, solution_, status_, n_neurons_, n_iter_, n_features_in_
    weight_decay_, scaling_
        As in :class:`ReLURegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gapless import ReLUClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ReLUClassifier(weight_decay=0.01).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    scale: bool = False
    class_weight: Any = None
    loss: Any = "logistic"
