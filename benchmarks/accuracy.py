"""Test accuracy at a cross-validated penalty: each learner tuned on the training part alone.

The same split, the same five folds, accuracy as the score, one thread; grids of about the same
size for all.  gapless: logistic loss, weight decay of least validation loss along its path.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def gapless(folds, seed):
    from gapless import ReLUClassifierCV

    return ReLUClassifierCV(
        n_values=12, ratio=3e-3, cv=folds, tol=1e-2, random_state=seed, prove_time=0
    )


def _searched(model, grid, folds):
    return GridSearchCV(model, grid, cv=folds)


def mlp(folds, seed):
    model = MLPClassifier((100,), max_iter=150, learning_rate_init=3e-3, random_state=seed)
    return _searched(model, {"alpha": np.geomspace(1e-4, 3.0, 5)}, folds)


def svm(folds, seed):
    grid = {"C": np.geomspace(0.1, 1000, 5), "gamma": ["scale", 0.01, 0.1]}
    return _searched(SVC(random_state=seed), grid, folds)


def forest(folds, seed):
    model = RandomForestClassifier(100, random_state=seed)
    return _searched(model, {"max_features": ["sqrt", 0.5]}, folds)


def boosting(folds, seed):
    model = HistGradientBoostingClassifier(max_iter=60, random_state=seed)
    return _searched(model, {"learning_rate": [0.1, 0.3]}, folds)


LEARNERS = {
    "gapless": gapless,
    "MLP": mlp,
    "SVM-RBF": svm,
    "random forest": forest,
    "gradient boosting": boosting,
}


def measure(name, X, y, seed):
    """Test accuracy of one learner on one 75/25 split, and its CPU seconds."""
    X, Xte, y, yte = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    rare = int(np.unique(y, return_counts=True)[1].min())
    folds = list(StratifiedKFold(max(2, min(5, rare)), shuffle=True, random_state=seed).split(X, y))
    scaler = make_pipeline(StandardScaler()).fit(X)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the MLP's limit of iterations
        model = LEARNERS[name](folds, seed).fit(scaler.transform(X), y)
    accuracy = model.score(scaler.transform(Xte), yte)
    return {"accuracy": float(accuracy), "seconds": time.process_time() - start}
