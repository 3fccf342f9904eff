"""Networks that can be read beside EBM, pyGAM, boosting and linear models.

    python -m benchmarks.readable                        # diabetes and breast cancer, bundled
    python -m benchmarks.readable --folder DATA --record readable.jsonl
    python -m benchmarks.readable --show readable.jsonl  # the tables of what was recorded
    python -m benchmarks.readable --wide                 # 500 x 10,000
    python -m benchmarks.readable --rows 1000000         # x 20: one large table, in sorts of it

Tables: every regression set NAME.npz of DATA, and the first 40 sets of uci121.npz of 100 to 3000
rows, 60 columns and 10 classes at most.  At most ``--most`` rows of each (3000), a quarter of them
held out, the mean over ``--splits`` (5) from number ``--first`` (0).  Scores are R2 and accuracy,
losses cross-entropies; seconds are of the processor, choice of parameters included, so start with
OMP_NUM_THREADS=1.  Size counts the numbers that a fitted model keeps.

``interpret`` and ``pygam`` are optional: without them their rows are left out and named.  With
``--record`` a line of JSON for each fit goes to the file, and fits that are there are not repeated.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gapless import (
    AdditiveReLUClassifier,
    AdditiveReLURegressor,
    Problem,
    ReLUClassifier,
    ReLURegressor,
    train_readable,
)

NUMBERS = (
    "yacht", "uci_autompg", "boston_housing", "energy", "stock_torgo", "concrete", "wine_red",
    "uci_gas", "uci_skillcraft", "california_housing", "kin8nm", "power", "bank32nh", "naval",
    "protein", "elevators_torgo", "uci_bike", "uci_kin40k", "uci_pol",
)  # fmt: skip
# Columns up to which pyGAM's search ends in minutes.
COLUMNS = 40
CLASSES = {"first": 40, "rows": (100, 3000), "columns": 60, "classes": 10}


# --- models: an estimator for numbers or for classes, and the numbers that it keeps ---


def ours(**how):
    def make(numbers):
        # no limit of wall time, which would cut fits short on a machine with other work
        kind = AdditiveReLURegressor if numbers else AdditiveReLUClassifier
        return kind(time_limit=3600, **how)

    return make


def of_network(model):
    """Directions of few entries: those that are not zero."""
    net = model.network_
    parts = (net.hidden_weights, net.hidden_bias, net.output_weights, net.output_bias)
    return int(sum(np.count_nonzero(part) for part in parts))


def general(numbers):
    how = {"weight_decay": "auto", "scale": True, "prove_time": 0, "random_state": 0}
    return (ReLURegressor if numbers else ReLUClassifier)(**how)


def linear(numbers):
    kind = RidgeCV(np.geomspace(1e-3, 1e3, 13)) if numbers else LogisticRegressionCV(max_iter=2000)
    return make_pipeline(StandardScaler(), kind)


def boosting(numbers):
    kind = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    return kind(random_state=0)


def ebm(interactions):
    def make(numbers):
        from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

        kind = ExplainableBoostingRegressor if numbers else ExplainableBoostingClassifier
        more = {} if interactions else {"interactions": 0}  # else as they come
        return kind(n_jobs=1, random_state=0, **more)

    return make


class SearchedGAM:
    """pyGAM's model of two classes or numbers, its penalty by its own search."""

    def __init__(self, numbers):
        self.numbers = numbers

    def fit(self, X, y):
        from pygam import LinearGAM, LogisticGAM

        self.classes_ = np.unique(y)
        if X.shape[1] > COLUMNS:
            raise NotImplementedError(f"left out: pyGAM takes minutes on {X.shape[1]} columns")
        if not self.numbers and len(self.classes_) > 2:
            raise NotImplementedError("pyGAM has two classes at most")
        kind = LinearGAM if self.numbers else LogisticGAM
        self.gam = kind().gridsearch(X, self._coded(y), progress=False)
        return self

    def _coded(self, y):
        return y if self.numbers else np.searchsorted(self.classes_, y)

    def score(self, X, y):
        if self.numbers:
            return 1 - np.sum((y - self.gam.predict(X)) ** 2) / np.sum((y - y.mean()) ** 2)
        return np.mean(self.gam.predict(X) == self._coded(y))

    def predict_proba(self, X):
        p = self.gam.predict_proba(X)
        return np.column_stack([1 - p, p])


def trees(model):
    return sum(tree.nodes.size for step in model._predictors for tree in step)


MODELS = {
    "one": (ours(), of_network),
    "pairs": (ours(interactions="pairs"), of_network),
    "EBM-one": (ebm(False), lambda m: sum(np.size(scores) for scores in m.term_scores_)),
    "EBM": (ebm(True), lambda m: sum(np.size(scores) for scores in m.term_scores_)),
    "pyGAM": (SearchedGAM, lambda m: len(m.gam.coef_)),
    "boosting": (boosting, trees),
    "linear": (linear, lambda m: m[-1].coef_.size + np.size(m[-1].intercept_)),
    "general": (general, of_network),
}
PEERS = {"EBM-one": "interpret", "EBM": "interpret", "pyGAM": "pygam"}


# --- tables ---


def tables(folder, only=()):
    """(name, X, y, whether y are numbers)."""
    found = bundled() if folder is None else stored(Path(folder))
    return (table for table in found if not only or table[0] in only)


def bundled():
    yield ("diabetes", *load_diabetes(return_X_y=True), True)
    yield ("breast_cancer", *load_breast_cancer(return_X_y=True), False)


def stored(folder):
    yield ("diabetes", *load_diabetes(return_X_y=True), True)
    for name in NUMBERS:
        with np.load(folder / f"{name}.npz") as z:
            yield name, z["X"].astype(float), z["y"].astype(float).ravel(), True
    low, high = CLASSES["rows"]
    with np.load(folder / "uci121.npz") as z:
        count = 0
        for name in sorted(key[3:] for key in z.files if key.startswith("y__")):
            X, y = z[f"X__{name}"], z[f"y__{name}"]
            sizes = np.unique(y, return_counts=True)[1]
            fits = low <= len(y) <= high and X.shape[1] <= CLASSES["columns"]
            if fits and len(sizes) <= CLASSES["classes"] and sizes.min() >= 5:
                count += 1
                yield name, X.astype(float), y, False
            if count == CLASSES["first"]:
                return


# --- fits ---


def measure(label, X, y, numbers, split, most):
    """One fit on one split."""
    if len(y) > most:
        rows = np.sort(np.random.default_rng(0).choice(len(y), most, False))
        X, y = X[rows], y[rows]
    make, size = MODELS[label]
    kind = ShuffleSplit if numbers else StratifiedShuffleSplit
    fit, test = next(kind(1, test_size=0.25, random_state=split).split(X, y))
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make(numbers).fit(X[fit], y[fit])
    row = {"n": len(y), "d": X.shape[1], "seconds": time.process_time() - started}
    row |= {"score": float(model.score(X[test], y[test])), "size": int(size(model))}
    if not numbers:
        # a probability of 0 is infinitely wrong: all are kept off it alike
        p = np.clip(model.predict_proba(X[test]), 1e-6, 1)
        p /= p.sum(axis=1, keepdims=True)
        row["loss"] = float(log_loss(y[test], p, labels=np.unique(y[fit])))
    if hasattr(model, "status_"):
        row |= {"status": model.status_.name, "gap": model.certificate_.relative_gap}
    return row


def compare(args):
    done = recorded(args.record) if args.record and args.record.exists() else []
    known = {(r["table"], r["model"], r["split"]) for r in done}
    missing = {p for p in PEERS.values() if importlib.util.find_spec(p) is None}
    labels = [label for label in args.models or MODELS if PEERS.get(label) not in missing]
    if missing:
        print(f"left out, not installed: {', '.join(sorted(missing))}", file=sys.stderr)
    for split in range(args.first, args.first + args.splits):
        for name, X, y, numbers in tables(args.folder, args.only):
            for label in labels:
                if (name, label, split) in known:
                    continue
                row = {"table": name, "model": label, "split": split, "numbers": numbers}
                try:
                    row |= measure(label, X, y, numbers, split, args.most)
                except Exception as error:  # a peer's: its row says so
                    row |= {"failed": f"{type(error).__name__}: {error}"[:120]}
                done.append(row)
                print(told(row), flush=True)
                if args.record:
                    with args.record.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    show(done)


def told(row):
    head = f"{row['table'][:22]:22} {row['split']} {row['model']:9}"
    if "failed" in row:
        return f"{head} {row['failed']}"
    loss = f" loss {row['loss']:.3f}" if "loss" in row else ""
    ended = row.get("status", "")
    return f"{head} {row['score']:7.3f}{loss} {row['seconds']:7.2f} s {row['size']:6} {ended}"


def recorded(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


# --- what was measured ---


def show(rows):
    """Markdown: each table's scores, then ours against each peer on the splits that both have."""
    for numbers in (True, False):
        good = [r for r in rows if r["numbers"] == numbers and "failed" not in r]
        labels = [label for label in MODELS if any(r["model"] == label for r in good)]
        names = list(dict.fromkeys(r["table"] for r in good))
        if not names:
            continue
        print(f"\n| {'R2' if numbers else 'accuracy'}, CPU seconds | {' | '.join(labels)} |")
        print(f"|---|{'---|' * len(labels)}")
        for name in names:
            fits = [[r for r in good if (r["table"], r["model"]) == (name, m)] for m in labels]
            words = [f"{mean(f, 'score'):.3f}, {mean(f, 'seconds'):.2g}" if f else "" for f in fits]
            print(f"| {name} | {' | '.join(words)} |")
        print("\n| ours / other | tables | score | tables won | log loss | CPU seconds | size |")
        print("|---|---|---|---|---|---|---|")
        for mine in ("one", "pairs"):
            for peer in (label for label in labels if label != mine):
                against(mine, peer, good)


def mean(fits, key):
    return float(np.mean([r[key] for r in fits]))


def against(mine, peer, rows):
    """One line: means over tables of means over the splits that both have."""
    by = {(r["table"], r["split"], r["model"]): r for r in rows}
    both = sorted((t, s) for t, s, m in by if m == mine and (t, s, peer) in by)
    names = sorted({t for t, _ in both})
    if not names:
        return

    def figures(key, model):
        return np.array([mean([by[t, s, model] for t, s in both if t == n], key) for n in names])

    keys = ["score", "seconds", "size", *["loss"] * ("loss" in by[*both[0], mine])]
    a, b = ({key: figures(key, model) for key in keys} for model in (mine, peer))
    losses = f"{a['loss'].mean():.3f} / {b['loss'].mean():.3f}" if "loss" in keys else ""
    print(
        f"| {mine} / {peer} | {len(names)} | {a['score'].mean():.3f} / {b['score'].mean():.3f} | "
        f"{int(np.sum(a['score'] > b['score']))} | {losses} | {a['seconds'].mean():.2g} / "
        f"{b['seconds'].mean():.2g} | {a['size'].mean():.0f} / {b['size'].mean():.0f} |"
    )


# --- large and wide ---


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


def wide(models, n=500, d=10_000):
    """Three features of many matter; seconds, memory, and what held-out rows say."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2 * n, d))
    y = np.abs(X[:, 0]) + np.maximum(X[:, 1], 0) + X[:, 2] + 0.3 * rng.standard_normal(2 * n)
    for label in models or ("one", "linear", "boosting"):
        started = time.process_time()
        model = MODELS[label][0](True).fit(X[:n], y[:n])
        seconds = time.process_time() - started
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        ended = model.solution_.known if hasattr(model, "solution_") else ""
        print(
            f"{label:9} R2 {model.score(X[n:], y[n:]):.3f} {seconds:.1f} s, {used:.1f} GiB {ended}"
        )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", default=(), metavar="TABLE")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--most", type=int, default=3000)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--show", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--wide", action="store_true")
    args = parser.parse_args(argv)
    if args.show:
        show(recorded(args.show))
    elif args.rows:
        large(args.rows, args.features)
    elif args.wide:
        wide(args.models)
    else:
        compare(args)


if __name__ == "__main__":
    main()
