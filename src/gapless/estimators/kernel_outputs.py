"""Output layers of kernel networks: trained on the last hidden layer's outputs, kept as arrays."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.svm import SVC

from ..core.checks import Array, positive
from ..core.network import Network
from ..kernels.machine import Kernel, KernelMachine, spread_scale
from ..kernels.network import LinearOutput, Output, ReLUOutput
from .counted import NOTHING, fold_weights
from .relu import ReLUClassifier, ReLURegressor
from .relu_cv import ReLUClassifierCV, ReLURegressorCV

# C of scikit-learn, from the simplest on: of equals the first is taken. Widths in units of one over
# the total variance. Labels too few to choose: C is LARGE, hidden layers have done the smoothing.
SVM_GRID = {"C": (0.1, 1.0, 10.0, 100.0), "gamma": (0.25, 1.0, 4.0)}
LOGISTIC_GRID = {"C": (0.01, 0.1, 1.0, 10.0, 100.0)}
LARGE = 10.0
FOLDS = 5


def svm_output(
    F: Any,
    labels: Array,
    weights: Array,
    weight_decay: Any,
    choose_on: int,
    rng: np.random.RandomState,
) -> tuple[KernelMachine, SVC]:
    """A support vector machine with Gaussian kernel, as a kernel machine.

    It minimises, for each two classes, ``1/2 ||w||^2 + C sum hinge``.

    Parameters
    ----------
    F : array or sparse matrix of shape (n_samples, width)
    labels : array of int of shape (n_samples,)
    weights : array of shape (n_samples,)
        Of the terms of the sum.
    weight_decay : float or "cv"
        ``C = 1 / (weight_decay sum(weights))``; "cv" chooses C and the kernel's width.
    choose_on : int
        Samples, at most, to choose on.
    rng : RandomState

    Returns
    -------
    machine : KernelMachine
        A column for each two classes, positive for the second.
    svc : SVC
        As it was trained.
    """
    unit = spread_scale(F, weights)
    grid = SVM_GRID | {"gamma": [gamma * unit for gamma in SVM_GRID["gamma"]]}
    svc = _chosen(SVC(C=LARGE, gamma=unit), grid, F, labels, weights, weight_decay, choose_on, rng)
    svc.fit(F, labels, weights)
    kernel, dual = Kernel(float(svc.gamma)), svc.dual_coef_
    dual = dual.toarray() if sparse.issparse(dual) else dual
    if len(svc.classes_) == 2:
        return KernelMachine(svc.support_vectors_, dual.T, svc.intercept_, kernel), svc
    # scikit-learn has for a support vector of class k its coefficients against the other classes
    # in their order, positive for the first of two
    ends = np.cumsum(svc.n_support_)
    of = [slice(end - size, end) for end, size in zip(ends, svc.n_support_)]
    pairs = list(combinations(range(len(svc.classes_)), 2))
    coefficients = np.zeros((dual.shape[1], len(pairs)))
    for column, (first, second) in enumerate(pairs):
        coefficients[of[first], column] = -dual[second - 1, of[first]]
        coefficients[of[second], column] = -dual[first, of[second]]
    return KernelMachine(svc.support_vectors_, coefficients, -svc.intercept_, kernel), svc


def logistic_output(
    F: Any,
    labels: Array,
    weights: Array,
    weight_decay: Any,
    choose_on: int,
    rng: np.random.RandomState,
) -> tuple[LinearOutput, LogisticRegression]:
    """Logistic regression; parameters as in :func:`svm_output`.

    Returns
    -------
    output : LinearOutput
        One column for two classes.
    model : LogisticRegression
        As it was trained.
    """
    model = LogisticRegression(C=LARGE, max_iter=10_000)
    model = _chosen(model, LOGISTIC_GRID, F, labels, weights, weight_decay, choose_on, rng)
    model.fit(F, labels, weights)
    return LinearOutput(model.coef_.T, model.intercept_), model


def relu_output(
    F: Any, targets: Array, weights: Array, weight_decay: Any, classes: bool, seed: int
) -> tuple[ReLUOutput, Any]:
    """A two-layer ReLU network with its certificate.

    Parameters
    ----------
    F : array or sparse matrix of shape (n_samples, width)
    targets : array of shape (n_samples,) of class numbers, or (n_samples, n_outputs)
    weights : array of shape (n_samples,)
    weight_decay : float or "cv"
    classes : bool
    seed : int

    Returns
    -------
    output : ReLUOutput
    model : ReLUClassifier, ReLURegressor or their CV variant
        As it was trained, with ``certificate_``.
    """
    kinds = (ReLUClassifier, ReLUClassifierCV) if classes else (ReLURegressor, ReLURegressorCV)
    choosing = weight_decay == "cv"
    if choosing and classes and np.bincount(targets).min() < 2:
        choosing, weight_decay = False, 1.0 / (LARGE * float(weights.sum()))
    given = {} if choosing else {"weight_decay": weight_decay}
    model = kinds[int(choosing)](random_state=seed, **given).fit(F, targets, weights)
    return ReLUOutput(model.network_), model


def in_units(output: Output, mean: Array, spread: Array) -> Output:
    """An output layer of standardised targets as one of the targets.

    Parameters
    ----------
    output : Output
    mean, spread : arrays of shape (n_outputs,)

    Returns
    -------
    Output
    """
    if isinstance(output, KernelMachine):
        intercept = output.intercept * spread + mean
        coefficients = output.coefficients * spread
        return KernelMachine(output.centres, coefficients, intercept, output.kernel)
    if isinstance(output, LinearOutput):
        return LinearOutput(output.weights * spread, output.bias * spread + mean)
    net = output.network
    weights, bias = net.output_weights * spread, net.output_bias * spread + mean
    return ReLUOutput(Network(net.hidden_weights, net.hidden_bias, weights, bias))


def _chosen(
    model: Any,
    grid: dict[str, Any],
    F: Any,
    labels: Array,
    weights: Array,
    weight_decay: Any,
    choose_on: int,
    rng: np.random.RandomState,
) -> Any:
    """The model with C as given, or with the parameters of the most accurate folds."""
    if weight_decay != "cv":
        C = 1.0 / (positive("weight_decay", weight_decay) * float(weights.sum()))
        return model.set_params(C=C)
    if F.shape[0] > choose_on:
        rows = np.sort(rng.choice(F.shape[0], choose_on, replace=False))
        F, labels, weights = F[rows], labels[rows], weights[rows]
    held = _held_out(labels, weights)
    best, right = {}, -1.0
    for given in ParameterGrid(grid) if held.size else ():
        correct = 0.0
        for part in held.T:
            rest = np.where(part < (1.0 - NOTHING) * weights, weights - part, 0.0)
            tested = np.flatnonzero(part)
            trained = np.flatnonzero(rest)
            fold = clone(model).set_params(**given)
            fold.fit(F[trained], labels[trained], rest[trained])
            correct += float(part[tested] @ (fold.predict(F[tested]) == labels[tested]))
        if correct > right * (1 + 1e-12):  # of equals the first
            best, right = given, correct
    return model.set_params(**best)


def _held_out(labels: Array, weights: Array) -> Array:
    """How much of each sample each fold holds out: as much of each class; () where there is none.

    A class of less than two samples is held out nowhere.
    """
    unit = min(1.0, float(weights.mean()))  # a weight of one is a sample, all below are shares
    counts = np.bincount(labels, weights) / unit
    often = counts >= 2 * (1 - 1e-9)
    if np.count_nonzero(often) < 2:
        return np.empty((0, 0))
    folds = min(FOLDS, int(counts[often].min() + 1e-9))
    held = np.zeros((len(labels), folds))
    for k in np.flatnonzero(often):
        held[labels == k] = unit * fold_weights(weights[labels == k] / unit, folds)
    return np.minimum(held, weights[:, None])
