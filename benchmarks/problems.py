"""The benchmark problems, and the one objective every method is measured by.

Features standardised on the training part, a constant column appended and regularised like
the rest (the "penalized" bias), regression targets standardised, two classes -1/+1, more
one-hot, squared loss, 80/20 split with random_state=0, stratified for classes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

#: where larger data lie, when they do: ``peers/NAME.npz`` and ``uci121.npz``
DATA = Path(os.environ.get("GAPLESS_DATA", Path(__file__).parents[2] / "shared" / "data"))

BUNDLED = {
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
}


def prepare(X, y, task):
    """Training and test data ``(X, Y, Xte, Yte)``; the last column of X is one."""
    labels = None
    if task == "classification":
        labels = np.unique(y, return_inverse=True)[1]
        Y = (
            np.where(labels == 1, 1.0, -1.0)[:, None]
            if labels.max() == 1
            else np.eye(labels.max() + 1)[labels]
        )
    else:
        Y = np.asarray(y, float).reshape(len(y), -1)
    X, Xte, Y, Yte = train_test_split(
        np.asarray(X, float), Y, test_size=0.2, random_state=0, stratify=labels
    )
    mean, spread = X.mean(axis=0), X.std(axis=0)
    keep = spread > 0
    X, Xte = ((Z[:, keep] - mean[keep]) / spread[keep] for Z in (X, Xte))
    if task == "regression":
        center, scale = Y.mean(axis=0), Y.std(axis=0)
        Y, Yte = (Y - center) / scale, (Yte - center) / scale
    X, Xte = (np.hstack([Z, np.ones((len(Z), 1))]) for Z in (X, Xte))
    return X, Y, Xte, Yte


def load(name, folder=None):
    """A bundled data set, or ``folder/NAME.npz`` with X and y (or a prepared X, Y, Xte, Yte)."""
    if folder is not None:
        with np.load(f"{folder}/{name}.npz") as z:
            if "Xte" in z:
                X, Y, Xte, Yte = (np.asarray(z[k], float) for k in ("X", "Y", "Xte", "Yte"))
                return X, Y.reshape(len(X), -1), Xte, Yte.reshape(len(Xte), -1)
            return prepare(z["X"], z["y"], "regression")
    bunch = BUNDLED[name]()
    return prepare(
        bunch.data, bunch.target, "regression" if name == "diabetes" else "classification"
    )


def uci(least=100, most=1500, classes=10, members=5):
    """Name, X, labels of the UCI classification sets (Fernandez-Delgado et al., JMLR 2014) with
    ``least`` to ``most`` samples, at most ``classes`` classes and ``members`` samples in each.
    """
    with np.load(DATA / "uci121.npz") as z:
        for name in sorted(key[3:] for key in z.files if key.startswith("X__")):
            X, y = z[f"X__{name}"].astype(float), z[f"y__{name}"]
            counts = np.unique(y, return_counts=True)[1]
            small = least <= len(X) <= most
            if small and len(counts) <= classes and counts.min() >= members:
                yield name, X, y


def objective(X, Y, U, a, beta):
    """``1/(2n) ||(X U)_+ a - Y||^2 + beta sum_j ||u_j|| ||a_j||`` in float64."""
    U, a = np.asarray(U, float), np.asarray(a, float)
    R = np.maximum(X @ U, 0) @ a - Y
    size = np.linalg.norm(U, axis=0) * np.linalg.norm(a, axis=1)
    return float(np.sum(R * R) / (2 * len(X)) + beta * size.sum())
