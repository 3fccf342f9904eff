"""What choosing the weight decay costs, and what it is worth, beside a tuned MLP of scikit-learn.

    python -m benchmarks.choosing                          # the tables that are bundled
    python -m benchmarks.choosing --folder DATA --json choosing.jsonl
    python -m benchmarks.choosing --folder DATA --step 5 --first 2 --seeds 0 1 2

Tables: scikit-learn's; of DATA each NAME.npz with X and numbers y, and each ``--step``-th table of
uci121.npz from ``--first`` on, those of 100 rows and more and 20 classes at most.  At most
``--rows`` rows of each, a quarter of them held out (``--seeds``: splits).  Features, and targets
that are numbers, are standardised on the rows for training.

``cv`` is ReLURegressorCV or ReLUClassifierCV as they come, without proof; ``mlp`` is MLPRegressor
or MLPClassifier (a hundred neurons, 300 epochs) tuned by GridSearchCV over three values of alpha
with three folds.  Seconds are of the processor, so start with OMP_NUM_THREADS=1; scores are R2 and
accuracy on the rows held out.  A line of JSON for each fit goes to ``--json``, fits that are there
already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gapless import ReLUClassifierCV, ReLURegressorCV

BUNDLED = ("diabetes", "breast_cancer", "wine", "iris", "digits")
NUMBERS = (
    "boston_housing", "concrete", "energy", "yacht", "stock_torgo", "uci_autompg", "wine_red",
    "uci_skillcraft", "kin8nm", "bank32nh", "power", "uci_gas",
)  # fmt: skip
ALPHAS = {"alpha": [1e-4, 1e-2, 1.0]}


def tables(args):
    """(name, X, y, whether y are numbers)."""
    for name in BUNDLED:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, X, y, name == "diabetes"
    if args.folder is None:
        return
    for name in NUMBERS:
        if (file := Path(args.folder) / f"{name}.npz").exists():
            with np.load(file) as z:
                yield name, z["X"].astype(float), z["y"].astype(float).ravel(), True
    with np.load(Path(args.folder) / "uci121.npz") as z:
        names = sorted(key[3:] for key in z.files if key.startswith("y__"))
        for name in names[args.first :: args.step]:
            y = z[f"y__{name}"]
            if len(y) >= 100 and len(np.unique(y)) <= 20:
                yield name, z[f"X__{name}"].astype(float), y, False


def model(method, numbers):
    """The estimator as a user would write it."""
    if method == "cv":
        kind = ReLURegressorCV if numbers else ReLUClassifierCV
        chosen = make_pipeline(StandardScaler(), kind(prove_time=0))
    else:
        kind = MLPRegressor if numbers else MLPClassifier
        network = GridSearchCV(kind(max_iter=300, random_state=0), ALPHAS, cv=3)
        chosen = make_pipeline(StandardScaler(), network)
    return TransformedTargetRegressor(chosen, transformer=StandardScaler()) if numbers else chosen


def measure(method, X, y, numbers, seed, most):
    """Score and seconds of one fit."""
    rows = np.random.default_rng(seed).permutation(len(y))[:most]
    X, y = X[rows], y[rows]
    X = X[:, X.std(axis=0) > 0]
    few = not numbers and np.min(np.unique(y, return_counts=True)[1]) < 2
    X, Xt, y, yt = train_test_split(
        X, y, test_size=0.25, random_state=seed, stratify=None if numbers or few else y
    )
    fitted = model(method, numbers)
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(X, y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    facts = {"n": len(y), "d": X.shape[1], "score": fitted.score(Xt, yt), "cpu": cpu, "wall": wall}
    if method == "cv":
        last = (fitted.regressor_ if numbers else fitted)[-1]
        facts |= {
            "neurons": last.n_neurons_, "status": last.status_.name,
            "weight_decay": last.weight_decay_, "best": len(last.path_) - 1,
        }  # fmt: skip
    return facts


def report(records):
    """Medians and means of the fits that both methods have."""
    by = {(r["method"], r["name"], r["seed"]): r for r in records}
    ours = (r for r in records if r["method"] == "cv")
    both = [(r, by[key]) for r in ours if (key := ("mlp", r["name"], r["seed"])) in by]
    if both:
        ratios = [ours["cpu"] / theirs["cpu"] for ours, theirs in both]
        ours, theirs = (np.mean([pair[i]["score"] for pair in both]) for i in (0, 1))
        print(
            f"{len(both)} fits: CPU of cv / mlp {np.median(ratios):.2f} (median), "
            f"mean score {ours:.4f} / {theirs:.4f}"
        )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder")
    parser.add_argument("--methods", nargs="+", default=["cv", "mlp"], choices=("cv", "mlp"))
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    records = []
    if args.json is not None and args.json.exists():
        records = [json.loads(line) for line in args.json.read_text().splitlines()]
    done = {(r["method"], r["name"], r["seed"]) for r in records}
    for name, X, y, numbers in tables(args):
        for method in args.methods:
            for seed in args.seeds:
                if (method, name, seed) in done:
                    continue
                facts = {"method": method, "name": name, "seed": seed}
                facts |= measure(method, X, y, numbers, seed, args.rows)
                records.append(facts)
                print(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}"
                               for k, v in facts.items()), flush=True)  # fmt: skip
                if args.json is not None:
                    with args.json.open("a") as file:
                        file.write(json.dumps(facts) + "\n")
    report(records)
    return 0


if __name__ == "__main__":
    sys.exit(main())
