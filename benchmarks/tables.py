"""How far ordinary tables are proven, train and proof together, in 10, 60 and 600 seconds.

    python -m benchmarks.tables                               # diabetes, which is bundled
    python -m benchmarks.tables --folder DATA --seconds 10    # NAME.npz with X and y
    python -m benchmarks.tables --folder DATA --jobs 8 --cores 2 --json tables.json
    python -m benchmarks.tables --uci --seconds 10            # two classes, logistic

All rows, features and target standardised, squared loss, penalised and free bias; the figure is
the proven relative gap, (objective - bound) / objective.  ``--uci``: the two-class tables of
uci121.npz with at most 8 features and 100 to 5000 rows, logistic loss, free bias, weight decay by
cross-validation, which is not counted.  ``--jobs``: side by side, each on ``--cores`` of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from gapless import Problem, ReLUClassifierCV, train

from .problems import uci

FEW = ("yacht", "uci_autompg", "energy", "power", "stock_torgo", "concrete")
ROWS = [
    *product(FEW, (0.03, 0.01)),
    *product(("california_housing", "kin8nm", "protein"), (0.1,)),
    ("california_housing", 0.03),
    *product(("diabetes",), (0.1, 0.05, 0.02, 0.01)),
    *product(("boston_housing", "wine_red"), (0.1,)),
]


def standardised(X):
    spread = X.std(axis=0)
    return (X - X.mean(axis=0))[:, spread > 0] / spread[spread > 0]


def table(folder, name, weight_decay, bias):
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    else:
        with np.load(Path(folder) / f"{name}.npz") as z:
            X, y = z["X"].astype(float), z["y"].astype(float)
    y = standardised(y.reshape(-1, 1))
    return Problem(standardised(X), y, weight_decay=weight_decay, bias=bias)


def measure(name, problem, seconds):
    started = time.perf_counter()
    solution = train(problem, time_limit=seconds)
    return {
        "name": name,
        "n": problem.n_samples,
        "d": problem.n_features,
        "limit": seconds,
        "seconds": time.perf_counter() - started,
        "gap": solution.certificate.relative_gap,
        "estimated": solution.certificate.estimated_relative_gap,
        "status": solution.status.name,
        "proof": solution.certificate.proof,
    }


def regression(task):
    folder, name, weight_decay, bias, seconds = task
    problem = table(folder, name, weight_decay, bias)
    return measure(f"{name} {weight_decay} {bias}", problem, seconds)


def two_classes(task):
    name, X, y, seconds = task
    X, y = standardised(X), np.where(y == np.unique(y)[1], 1.0, -1.0)
    chosen = ReLUClassifierCV(random_state=0).fit(X, y).weight_decay_
    return measure(f"{name} {chosen:.2g}", Problem(X, y, "logistic", chosen), seconds)


def own_cores(queue, cores):
    """Pin this process, and what compiles before it counts."""
    if cores:
        first = queue.get()
        os.sched_setaffinity(0, range(first, first + cores))
    X = np.random.default_rng(0).standard_normal((60, 4))
    train(Problem(X, np.abs(X[:, 0]), weight_decay=0.01), time_limit=60)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--uci", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--bias", nargs="+", default=["penalized", "free"])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cores", type=int, default=0, help="of each job; 0 leaves it alone")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.uci:
        sets = ((name, X, y) for name, X, y in uci(100, 5000, 2) if X.shape[1] <= 8)
        tasks = [(*s, t) for s in sets if args.only in s[0] for t in args.seconds]
        run = two_classes
    else:
        rows = [r for r in ROWS if args.folder or r[0] == "diabetes"]
        every = product(rows, args.bias, args.seconds)
        tasks = [(args.folder, *row, bias, t) for row, bias, t in every]
        tasks = [t for t in tasks if args.only in f"{t[1]} {t[2]} {t[3]}"]
        run = regression
    context = get_context("spawn")
    queue = context.Queue()
    for job in range(args.jobs):
        queue.put(job * args.cores)
    with ProcessPoolExecutor(args.jobs, context, own_cores, (queue, args.cores)) as pool:
        found = []
        for row in pool.map(run, tasks):
            found.append(row)
            print(
                f"{row['name']:35s} {row['n']:6d} x {row['d']:2d}  {row['limit']:4.0f} s  "
                f"{100 * row['gap']:8.3f}%  {row['seconds']:6.1f} s  {row['status']}",
                flush=True,
            )
            if args.json:
                args.json.write_text(json.dumps(found, indent=1))
    for limit in args.seconds:
        gaps = [row["gap"] for row in found if row["limit"] == limit]
        print(f"median of {len(gaps)} in {limit:g} s: {100 * statistics.median(gaps):.3g}%")


if __name__ == "__main__":
    sys.exit(main())
