"""Losses as PyTorch and scikit-learn scale them, in terms of :mod:`gapless.core.losses`.

gapless takes the mean over SAMPLES of a loss summed over outputs, and the squared loss has a
1/2.  A training loss is ``factor`` times that; with n samples and C outputs:

=====================================  ===========  ==================  ===========
PyTorch                                gapless      factor, "mean"      "sum"
=====================================  ===========  ==================  ===========
MSELoss (no 1/2, mean over n C)        squared      2 / C               2 n
HuberLoss(delta) (mean over n C)       huber        1 / C               n
SmoothL1Loss(beta) = Huber / beta      huber        1 / (C beta)        n / beta
CrossEntropyLoss, weights v            softmax      1                   sum v
NLLLoss after LogSoftmax               softmax      1                   sum v
BCEWithLogitsLoss (mean over n C)      logistic     1 / C               n
"hinge": max(0, 1 - y f) over n C      hinge        1 / C
=====================================  ===========  ==================  ===========

Training then minimises ``factor * (gapless loss + (weight_decay / factor) / 2 * squares)``:
the weight decay of the gapless problem is PyTorch's over the factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, choose, optional_import
from ..core.losses import Hinge, Huber, Logistic, Loss, Softmax, Squared

NAMES = ("mse", "cross_entropy", "bce_with_logits", "huber", "hinge")


@dataclass(frozen=True, eq=False)
class TrainingLoss:
    """``factor`` times the weighted mean over samples of ``loss`` against ``Y``.

    Attributes
    ----------
    loss : Loss
        As gapless scales it.
    factor : float
        The s of the table above.
    Y : array of shape (n_samples, n_outputs)
        Numbers, one-hot rows or signs, as ``loss`` takes them.
    sample_weight : array of shape (n_samples,) or None
    text : str
        The same in words.
    """

    loss: Loss
    factor: float
    Y: Array
    sample_weight: Array | None
    text: str


def numbers(values: Any) -> Array:
    """``values`` as an array.

    Parameters
    ----------
    values : array-like or torch tensor
        On any device, with a gradient or without.

    Returns
    -------
    array
        Of the numbers' own type.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def sklearn_loss(model: Any, y: Array, n_outputs: int) -> TrainingLoss:
    """The loss of a fitted ``MLPRegressor`` or ``MLPClassifier``.

    Parameters
    ----------
    model : MLPRegressor or MLPClassifier
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        Labels, or numbers.
    n_outputs : int

    Returns
    -------
    TrainingLoss

    Raises
    ------
    ValueError
        For a loss without counterpart, labels that the model does not know, or several columns of
        them.
    """
    if getattr(model, "loss", "squared_error") not in ("squared_error", "log_loss"):
        raise ValueError(f"loss={model.loss!r} of {type(model).__name__} is not supported")
    C = n_outputs
    if not hasattr(model, "classes_"):
        Y = y.astype(float).reshape(len(y), C)
        return TrainingLoss(Squared(), 1 / C, Y, None, "squared loss, mean, factor 1/2")
    labels = np.searchsorted(model.classes_, y)
    if np.ndim(y) > 1 or np.any(model.classes_[np.minimum(labels, len(model.classes_) - 1)] != y):
        raise ValueError("y has classes that the model does not know, or several columns")
    if C == 1:
        signs = np.where(labels[:, None] > 0, 1.0, -1.0)
        return TrainingLoss(Logistic(), 1.0, signs, None, "logistic loss, mean")
    return TrainingLoss(Softmax(), 1.0, np.eye(C)[labels], None, "cross-entropy, mean")


def training_loss(loss: Any, y: Any, n_outputs: int, final: str = "") -> TrainingLoss:
    """A PyTorch loss in terms of gapless.

    Parameters
    ----------
    loss : torch loss module, or one of "mse", "cross_entropy", "bce_with_logits", "huber", "hinge"
        A name stands for PyTorch's default (mean reduction, delta 1).
    y : array or tensor
        As the loss takes it: numbers, class numbers for cross-entropy, 0/1 for BCE, and -1/+1
        (or 0/1) for the hinge.
    n_outputs : int
    final : {"", "softmax", "log_softmax"}
        The model's last layer.

    Returns
    -------
    TrainingLoss

    Raises
    ------
    ValueError
        For a loss or an option of it that gapless has no counterpart for.
    """
    target = numbers(y)
    n, C = len(target), n_outputs
    kind, mean, options = _parse(loss)
    if final and kind not in ("CrossEntropyLoss", "NLLLoss"):
        raise ValueError(f"the model ends in {final} but the loss is {kind}; use cross-entropy")
    if final == "softmax" and kind == "CrossEntropyLoss" and not isinstance(loss, str):
        raise ValueError(
            "the model ends in Softmax and CrossEntropyLoss applies a second one; remove the "
            "Softmax from the model, or audit with loss='cross_entropy' on its logits"
        )
    if final != "log_softmax" and kind == "NLLLoss":
        raise ValueError("NLLLoss needs a model that ends in LogSoftmax")
    if kind in ("CrossEntropyLoss", "NLLLoss"):
        return _cross_entropy(target, C, mean, options)
    Y = target.astype(float).reshape(n, -1)
    if Y.shape[1] != C:
        raise ValueError(f"y has {Y.shape[1]} columns but the model has {C} outputs")
    over = f"mean over samples and {C} outputs" if mean and C > 1 else "mean" if mean else "sum"
    share = 1 / C if mean else float(n)
    if kind == "MSELoss":
        text = f"MSELoss, {over}, without a factor 1/2"
        return TrainingLoss(Squared(), 2 * share, Y, None, text)
    if kind in ("HuberLoss", "SmoothL1Loss"):
        delta = float(options.get("delta", options.get("beta", 1.0)))
        if kind == "SmoothL1Loss":
            share /= delta
        return TrainingLoss(Huber(delta), share, Y, None, f"{kind}({delta:g}), {over}")
    if not np.all(np.isin(Y, (0, 1)) if kind != "hinge" else np.isin(Y, (-1, 0, 1))):
        raise ValueError(f"{kind} needs targets 0 or 1 that are certain, got other values")
    signs = np.where(Y > 0, 1.0, -1.0)
    if kind == "hinge":
        return TrainingLoss(Hinge(), share, signs, None, f"hinge max(0, 1 - y f), {over}")
    return TrainingLoss(Logistic(), share, signs, None, f"BCEWithLogitsLoss, {over}")


def _parse(loss: Any) -> tuple[str, bool, dict[str, Any]]:
    """Name of PyTorch's class, whether it takes the mean, and its other options."""
    if isinstance(loss, str):
        names = ("MSELoss", "CrossEntropyLoss", "BCEWithLogitsLoss", "HuberLoss", "hinge")
        return dict(zip(NAMES, names))[choose("loss", loss, NAMES)], True, {}
    nn = optional_import("torch.nn", "torch", "reading a PyTorch loss")
    known = (
        nn.MSELoss, nn.CrossEntropyLoss, nn.NLLLoss, nn.BCEWithLogitsLoss, nn.HuberLoss,
        nn.SmoothL1Loss,
    )  # fmt: skip
    kind = type(loss)
    if kind not in known:
        raise ValueError(
            f"loss={loss!r} is not supported; give {', '.join(k.__name__ for k in known)} "
            f"or one of {', '.join(map(repr, NAMES))}"
        )
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(f"reduction={loss.reduction!r} is no objective; use 'mean' or 'sum'")
    if getattr(loss, "label_smoothing", 0.0):
        raise ValueError("CrossEntropyLoss with label_smoothing is not supported; audit without")
    if kind is nn.BCEWithLogitsLoss and (loss.weight is not None or loss.pos_weight is not None):
        raise ValueError("BCEWithLogitsLoss with weight or pos_weight is not supported")
    options = {key: getattr(loss, key, None) for key in ("delta", "beta", "weight")}
    given = {key: value for key, value in options.items() if value is not None}
    return kind.__name__, loss.reduction == "mean", given


def _cross_entropy(target: Array, C: int, mean: bool, options: dict[str, Any]) -> TrainingLoss:
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim != 1 or not np.all((target >= 0) & (target < C) & (target == np.floor(target))):
        raise ValueError(
            f"cross-entropy needs class numbers 0 to {C - 1} of shape (n_samples,), "
            f"got shape {target.shape}; soft targets are not supported"
        )
    labels = target.astype(int)
    weights = numbers(options["weight"])[labels].astype(float) if "weight" in options else None
    total = float(len(labels) if weights is None else weights.sum())
    text = f"cross-entropy, {'mean' if mean else 'sum'}" + (
        "" if weights is None else ", class weights"
    )
    return TrainingLoss(Softmax(), 1.0 if mean else total, np.eye(C)[labels], weights, text)
