"""How true the estimated gap is: ``python -m benchmarks.calibration DATA [--limit S]``.

Tables at three weight decays (shares of the largest useful one), five seeds each at the default
tolerance and two long runs at a hundredth of it.  The truth of a run is its distance to the best
objective of all of them, a lower bound of its distance to the optimum.  Prints how many runs the
stated gap covers, and its median as a multiple of the median truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.preprocessing import scale

import gapless as gl

SHARES = (0.1, 0.03, 0.01)
SEEDS, LONG_SEEDS = 5, 2
TOL, LONG_TOL = 1e-3, 1e-5
MOST_ROWS = 500
REGRESSION = (
    "yacht", "uci_autompg", "energy", "concrete", "stock_torgo", "boston_housing", "wine_red",
    "kin8nm", "elevators_torgo",
)  # fmt: skip
CLASSES = (
    "hepatitis", "heart-hungarian", "pima", "ionosphere", "statlog-heart", "glass",
    "breast-tissue", "mammographic", "parkinsons", "planning", "sonar", "fertility",
    "conn-bench-sonar-mines-rocks",
)  # fmt: skip


def tables(folder: Path) -> Iterator[tuple[str, gl.Problem]]:
    """Standardised, at most :data:`MOST_ROWS` rows."""
    rng = np.random.default_rng(0)
    for name in REGRESSION:
        z = np.load(folder / f"{name}.npz")
        X, y = z["X"].astype(float), z["y"].astype(float)
        rows = rng.permutation(len(X))[:MOST_ROWS]
        X = X[rows][:, np.ptp(X[rows], axis=0) > 0]
        yield name, gl.Problem(scale(X), scale(y[rows]), "squared", 1.0)
    X, y = datasets.load_diabetes(return_X_y=True)
    yield "diabetes", gl.Problem(scale(X), scale(y), "squared", 1.0)
    z = np.load(folder / "uci121.npz")
    for name in CLASSES:
        if f"X__{name}" not in z:
            continue
        X, y = z[f"X__{name}"].astype(float), z[f"y__{name}"]
        rows = rng.permutation(len(X))[:MOST_ROWS]
        X, labels = X[rows], np.unique(y[rows], return_inverse=True)[1]
        X = X[:, np.ptp(X, axis=0) > 0]
        many = labels.max() > 1
        Y = np.eye(labels.max() + 1)[labels] if many else 2.0 * labels - 1.0
        yield name, gl.Problem(scale(X), Y, "softmax" if many else "logistic", 1.0)


def run(problem: gl.Problem, tol: float, seed: int, limit: float) -> dict[str, object]:
    started = time.perf_counter()
    s = gl.train(
        problem, tol=tol, random_state=seed,
        callback=lambda info: time.perf_counter() - started > limit,
    )  # fmt: skip
    c = s.certificate
    return {
        "tol": tol, "seed": seed, "status": s.status.name, "objective": c.objective,
        "estimated": c.estimated_relative_gap, "proven": c.relative_gap,
        "seconds": time.perf_counter() - started, "n_neurons": s.network.n_neurons,
        "trace": [s.history.objective, s.history.estimated_lower_bound, s.history.seconds],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=float, default=12.0, help="seconds of a long run")
    parser.add_argument("--out", type=Path, help="write all runs here, as JSON lines")
    args = parser.parse_args()
    runs = []
    for name, table in tables(args.data):
        top = gl.weight_decay_max(table)
        for share in SHARES:
            problem = gl.Problem(table.X, table.Y, table.loss, share * top)
            made = [run(problem, TOL, seed, args.limit) for seed in range(SEEDS)]
            made += [run(problem, LONG_TOL, 100 + s, args.limit) for s in range(LONG_SEEDS)]
            best = min(r["objective"] for r in made)
            for r in made:
                r |= {"name": name, "share": share, "truth": 1 - best / r["objective"]}
                r |= {"shape": (table.n_samples, table.n_features, table.n_outputs)}
                if args.out:
                    with args.out.open("a") as file:
                        file.write(json.dumps(r) + "\n")
            runs += made
            stated = [f"{r['estimated']:.1e}" for r in made]
            print(name, share, *[f"{r['truth']:.1e}" for r in made], "stated", *stated, flush=True)
    for tol in (TOL, LONG_TOL):
        part = [r for r in runs if r["tol"] == tol and r["status"] != "STOPPED"]
        truth = np.array([r["truth"] for r in part])
        stated = np.array([r["estimated"] for r in part])
        print(
            f"tol {tol:.0e}: {len(part)} runs, {np.mean(stated >= truth):.1%} covered; "
            f"median stated {np.median(stated):.1e}, true {np.median(truth):.1e}"
        )


if __name__ == "__main__":
    main()
