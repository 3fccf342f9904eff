"""One table as a training job: made numbers, split, standardised; and the way back."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV

from ..core.checks import Array, InputError
from ..core.network import Network
from ..core.problem import Problem
from ..estimators.targets import encode_labels
from .model_files import split_rows
from .tables import are_codes, check_numbers, check_slips, is_number


def guess_task(target: str, y: Array, asked: str | None) -> tuple[str, str]:
    """Regression or classification, and why."""
    if asked == "regression":
        check_numbers(target, y, "correct it, or leave out --task regression")
    if asked is not None:
        return asked, "as asked"
    check_slips(target, y, "say --task classification if these are classes")
    if y.dtype.kind != "f":
        return "classification", f"target {target!r} is text"
    n_distinct = len(np.unique(y))
    if are_codes(y):
        return "classification", (
            f"target {target!r} has {n_distinct} whole values (--task regression to change)"
        )
    return "regression", f"target {target!r} has {n_distinct} different numbers"


def _classes(labels: Array) -> tuple[Array, Array]:
    """The different texts, those of numbers in their order, and each row's place among them."""
    classes, place = np.unique(labels, return_inverse=True)
    if all(map(is_number, classes)):
        order = np.argsort(classes.astype(float), kind="stable")
        classes, place = classes[order], np.argsort(order)[place]
    return classes, place


class Job:
    """One table made numbers, split, standardised; and the way back to raw units."""

    def __init__(self, X: Array, y: Array, task: str, args: argparse.Namespace) -> None:
        self.task, self.bias = task, args.bias
        self.classes: list[Any] | None = None
        labels = None
        if task == "classification":
            classes, labels = _classes(y)
            counts = np.bincount(labels)
            if len(classes) < 2:
                raise InputError(
                    f"the target has one class only, {str(classes[0])!r}; two are needed"
                )
            if counts.min() < 2:
                raise InputError(
                    f"class '{classes[counts.argmin()]}' has one row only; at least 2 are needed"
                )
            self.classes = classes.tolist()
            kind = args.loss or "logistic"
            if kind == "huber":
                raise InputError(
                    "--loss huber is for regression; choose logistic, hinge or squared"
                )
            self.Y, self.loss = encode_labels(labels, len(classes), kind)
        else:
            if len(np.unique(y)) < 2:
                raise InputError("the target is constant: there is nothing to learn")
            self.loss = args.loss or "squared"
            if self.loss not in ("squared", "huber"):
                raise InputError(f"--loss {self.loss} is for classes; choose squared or huber")
            self.Y = y[:, None].astype(float)
        self.X, self.labels = X, labels
        self.train, self.test = split_rows(len(y), labels, args.test_size, args.seed)
        self.mean, self.scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self.y_mean, self.y_scale = 0.0, 1.0
        if not args.raw:
            fitted = X[self.train]
            self.mean = fitted.mean(axis=0)
            spread = fitted.std(axis=0)
            self.scale = np.where(spread > 0, spread, 1.0)
            if task == "regression":
                self.y_mean = float(self.Y[self.train].mean())
                self.y_scale = float(self.Y[self.train].std()) or 1.0

    def problem(self, weight_decay: float) -> Problem:
        X = self.X[self.train]
        X -= self.mean
        X /= self.scale
        Y = (self.Y[self.train] - self.y_mean) / self.y_scale
        return Problem(X, Y, self.loss, weight_decay, self.bias)

    def unscale(self, network: Network) -> Network:
        return rescale(network, self.mean, self.scale, self.y_mean, self.y_scale)

    def score(self, network: Network, rows: Array) -> float:
        F = network.predict(self.X[rows])
        if self.labels is None:
            y = self.Y[rows]
            return float(1 - np.sum((F - y) ** 2) / max(np.sum((y - y.mean()) ** 2), 1e-300))
        guess = (F[:, 0] > 0) if F.shape[1] == 1 else np.argmax(F, axis=1)
        return float(np.mean(guess == self.labels[rows]))

    def baseline(self) -> float:
        """A linear model on the same split: ridge or logistic regression."""
        X = (self.X - self.mean) / self.scale
        if self.labels is None:
            model: Any = RidgeCV(np.logspace(-3, 3, 13)).fit(X[self.train], self.Y[self.train, 0])
            return float(model.score(X[self.test], self.Y[self.test, 0]))
        model = LogisticRegression(max_iter=2000).fit(X[self.train], self.labels[self.train])
        return float(model.score(X[self.test], self.labels[self.test]))


def rescale(network: Network, mean: Array, scale: Array, y_mean: float, y_scale: float) -> Network:
    """The network on raw units of one trained on ``(X - mean) / scale`` and scaled targets."""
    U = network.hidden_weights / np.asarray(scale)[:, None]
    return Network(
        U,
        network.hidden_bias - np.asarray(mean) @ U,
        network.output_weights * y_scale,
        network.output_bias * y_scale + y_mean,
    )
