"""How tight the proven bounds are, and after how many seconds.

    python -m benchmarks.proofs                       # bundled data: diabetes, wine
    python -m benchmarks.proofs --folder DATA         # the gene data too (gene_*.npz, X and y)
    python -m benchmarks.proofs --only diabetes60 --seconds 300

Each row trains a network, then proves; the gap is (objective - proven bound) / objective.
Penalised bias unless named free, one BLAS thread, CPU seconds.  Gene data: all rows, features
standardised and divided by sqrt(d), labels -1/+1, weight decay as a share of the largest useful
one; diabetes60: 60 rows of diabetes, weight decay as a share of ||X^T y_+|| / n.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from gapless import Problem, train, weight_decay_max  # noqa: E402
from gapless.certificates.certify import prove  # noqa: E402
from gapless.core.reduction import Reduction  # noqa: E402
from gapless.core.watch import Watch  # noqa: E402

from .problems import load  # noqa: E402

GENES = ("alon", "golub", "shipp", "pomeroy", "west")
LEVELS = (0.01, 0.001)


def genes(folder):
    for name in GENES:
        file = folder / f"gene_{name}.npz"
        if not file.exists():
            continue
        with np.load(file) as data:
            X, labels = data["X"].astype(float), data["y"]
        spread = X.std(axis=0)
        X = (X - X.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        X /= X.shape[1] ** 0.5
        y = np.where(labels == labels.max(), 1.0, -1.0)
        for loss in ("squared", "logistic"):
            top = weight_decay_max(Problem(X, y, loss, 1.0, "penalized"))
            for share in (0.5, 0.1, 0.02):
                problem = Problem(X, y, loss, share * top, "penalized")
                yield f"{name} {len(X)}x{X.shape[1]} {loss} {share}", problem, 110.0


def bundled():
    X, Y, *_ = load("diabetes")
    X, Y = X[:, :-1], Y[:, 0]
    A, y = X[:60], Y[:60]
    unit = np.linalg.norm(np.hstack([A, np.ones((60, 1))]).T @ np.maximum(y, 0)) / 60
    for share in (0.2, 0.05):
        yield f"diabetes60 {share}", Problem(A, y, "squared", share * unit, "penalized"), 290.0
        yield f"diabetes60 free {share}", Problem(A, y, "squared", share * unit, "free"), 290.0
    W, T, *_ = load("wine")
    for beta in (0.1, 0.01):
        yield f"wine {beta}", Problem(W[:, :-1], T, "squared", beta, "penalized"), 590.0
    for beta in (0.1, 0.01):
        yield f"diabetes {beta}", Problem(X, Y, "squared", beta, "penalized"), 590.0
    yield "diabetes free 0.1", Problem(X, Y, "squared", 0.1, "free"), 590.0


def measure(name, problem, seconds, tol):
    start = time.process_time()
    solution = train(problem, tol=tol, time_limit=10.0)
    trained = time.process_time() - start
    reduction = Reduction(problem)
    core = reduction.core
    objective = solution.certificate.objective
    Lam = core.dual_point(reduction.apply(solution.network).predict(core.X))
    gaps, reached = {}, {}
    for point, bound in prove(core, Lam, watch=Watch(seconds)):
        gap = 1 - core.proven_bound(point, bound.upper) * reduction.value / objective
        now = time.process_time() - start
        gaps[bound.proof.split(",")[0]] = gap
        for level in LEVELS:
            if gap <= level:
                reached.setdefault(str(level), now)
        if gap <= tol:
            break
    return {
        "problem": name, "objective": objective, "gap": gap, "proof": bound.proof, "gaps": gaps,
        "to": reached, "trained": trained, "seconds": time.process_time() - start,
    }  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--seconds", type=float, help="for the proof of a row")
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--json", metavar="FILE", help="append the rows here")
    args = parser.parse_args(argv)
    print(f"{'problem':36}{'objective':>11}{'gap':>9}{'train s':>9}{'to 1%':>8}{'all s':>8}  proof")
    for source in (bundled(), genes(args.folder)):
        for name, problem, seconds in source:
            if args.only not in name:
                continue
            row = measure(name, problem, args.seconds or seconds, args.tol)
            first = row["to"].get("0.01")
            print(
                f"{name:36}{row['objective']:>11.6f}{row['gap']:>9.3%}{row['trained']:>9.1f}"
                f"{'-' if first is None else format(first, '.1f'):>8}{row['seconds']:>8.1f}"
                f"  {row['proof']}",
                flush=True,
            )
            if args.json:
                with open(args.json, "a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
