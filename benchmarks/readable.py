"""Sums of curves against boosting and a linear model: test score, CPU seconds, what is proven.

    python -m benchmarks.readable                              # diabetes, which is bundled
    python -m benchmarks.readable --folder DATA --splits 5     # NAME.npz with X and y
    python -m benchmarks.readable --rows 1000000 --features 20 # one large table, against sorting it

Every score is R2 on a quarter of the rows held out, the mean over the splits; weight decay by
cross-validation, which is counted.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gapless import AdditiveReLURegressor, Problem, train_readable

SETS = (
    "yacht", "uci_autompg", "boston_housing", "energy", "stock_torgo", "concrete", "wine_red",
    "uci_skillcraft", "california_housing", "kin8nm", "power", "bank32nh",
)  # fmt: skip
MODELS = {
    "additive": AdditiveReLURegressor,
    "linear": lambda: make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-3, 1e3, 13))),
    "boosting": lambda: HistGradientBoostingRegressor(random_state=0),
}


def tables(folder):
    yield ("diabetes", *load_diabetes(return_X_y=True))
    for name in SETS if folder else ():
        with np.load(Path(folder) / f"{name}.npz") as z:
            yield name, z["X"].astype(float), z["y"].astype(float).ravel()


def compare(folder, n_splits):
    for name, X, y in tables(folder):
        line = [f"{name:18} {len(X):6} x {X.shape[1]:<3}"]
        for label, kind in MODELS.items():
            scores, seconds, statuses = [], [], []
            for fit, test in ShuffleSplit(n_splits, test_size=0.25, random_state=0).split(X):
                started = time.process_time()
                model = kind().fit(X[fit], y[fit])
                seconds.append(time.process_time() - started)
                scores.append(model.score(X[test], y[test]))
                statuses.append(getattr(model, "status_", None))
            words = f"{label} {np.mean(scores):.3f} {np.mean(seconds):.2f}s"
            if label == "additive":
                ended = "/".join(sorted({status.name for status in statuses}))
                words += f" {ended} {model.n_neurons_} neurons"
            line.append(words)
        print(" | ".join(line), flush=True)


def large(rows, features):
    """One weight decay, in sorts of the same columns; memory in arrays of X's size."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features))
    y = np.sin(2 * X[:, 0]) + np.abs(X[:, 1]) + X[:, 2] + 0.3 * rng.standard_normal(rows)
    started = time.process_time()
    for column in X.T:
        np.argsort(column, kind="stable")
    sorts = time.process_time() - started
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    solution = train_readable(Problem(X, y, "squared", 0.01))
    seconds = time.process_time() - started
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / X.nbytes
    print(f"{rows} x {features}: {seconds:.1f} s = {seconds / sorts:.1f} sorts of its columns")
    print(f"{used:.1f} arrays of X's size beside it; {solution.status.name}, {solution}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--features", type=int, default=20)
    given = parser.parse_args()
    if given.rows:
        large(given.rows, given.features)
    else:
        compare(given.folder, given.splits)
