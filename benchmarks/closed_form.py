"""Closed forms against PyTorch: the best of many long runs must not be below the formula.

    python -m benchmarks.closed_form [--restarts 8] [--steps 4000] [--json out.json]

For each case: the formula, the built network's objective, the dual value where there is one,
and the best of the runs; the last column is (best run - formula) / formula.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from gapless import (
    critical_weight_decay,
    solve_deep_linear,
    solve_rank_one_relu,
    solve_whitened_relu,
    whiten,
)
from training import train_runs


def cases():
    """(name, X, Y, loss, activation, threshold in weight decay, solver) for every depth."""
    rng = np.random.default_rng(0)
    n = 12
    W = whiten(rng.normal(size=(n, 15)))
    y = rng.normal(size=n)
    balanced, uneven = (
        np.eye(3)[np.repeat([0, 1, 2], 4)],
        np.eye(3)[np.repeat([0, 1, 2], [7, 3, 2])],
    )
    two = np.eye(2)[np.repeat([0, 1], [7, 5])]
    G = rng.normal(size=(n, 6))
    c, a = np.abs(rng.normal(size=n)), rng.normal(size=4)
    mixed = rng.normal(size=n)
    for L in (2, 3, 4, 5):
        top = lambda s, k=1.0, L=L: critical_weight_decay(s, L) * k ** (2.0 / L) / n  # noqa: E731
        linear = lambda X, Y, wd, L=L: solve_deep_linear(X, Y, wd, L)  # noqa: E731
        yield (
            f"linear scalar L={L}",
            G,
            y,
            "squared",
            "linear",
            np.linalg.norm(G.T @ y) / n * 0.4,
            linear,
        )
        if L == 2:
            Y3 = rng.normal(size=(n, 3))
            yield (
                "linear vector L=2",
                G,
                Y3,
                "squared",
                "linear",
                np.linalg.norm(G.T @ Y3, 2) / n,
                linear,
            )
        Yw = np.random.default_rng(5).normal(size=(n, 3))
        yield (
            f"linear whitened L={L}",
            W,
            Yw,
            "squared",
            "linear",
            top(np.linalg.norm(Yw, 2)),
            linear,
        )
        for name, Y, loss, s in (
            ("relu scalar", y, "squared", np.linalg.norm(np.maximum(y, 0))),
            ("relu one-sided", np.abs(y), "squared", np.linalg.norm(y)),
            ("relu 2 classes", two, "squared", np.sqrt(7)),
            ("relu 3 balanced", balanced, "squared", 2.0),
            ("relu 3 imbalanced", uneven, "squared", np.sqrt(7)),
            ("relu logistic", np.sign(y), "logistic", 0.45 * np.sqrt(n / 2)),
            ("relu softmax", uneven, "softmax", 0.6 * np.sqrt(7)),
        ):
            if L >= 5 and name.startswith("relu 3"):
                continue  # known to be suboptimal
            solve = lambda X, Y, wd, L=L, loss=loss: solve_whitened_relu(X, Y, wd, L, loss)  # noqa: E731
            yield f"{name} L={L}", W, Y, loss, "relu", top(s), solve
        rank_one = lambda X, Y, wd, L=L: solve_rank_one_relu(X, Y, wd, L)  # noqa: E731
        kappa = float(np.linalg.norm(np.outer(c, a)))
        Y2 = np.random.default_rng(6).normal(size=(n, 2)) + 1
        s = np.linalg.norm(Y2.T @ c) / np.linalg.norm(c)
        yield f"rank-one c>0 L={L}", np.outer(c, a), Y2, "squared", "relu", top(s, kappa), rank_one
        M = np.outer(mixed, a)
        m = np.maximum(mixed, 0)
        kappa = float(np.linalg.norm(m) * np.linalg.norm(a))
        yield (
            f"rank-one mixed |c| L={L}",
            M,
            np.abs(mixed),
            "squared",
            "relu",
            top(np.linalg.norm(m), kappa),
            rank_one,
        )
        yield (
            f"rank-one mixed  c L={L}",
            M,
            mixed + 0.1,
            "squared",
            "relu",
            top(np.linalg.norm(m), kappa),
            rank_one,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for name, X, Y, loss, activation, threshold, solve in cases():
        if given.only not in name:
            continue
        for share in (0.1, 0.5, 0.9, 1.1):
            start = time.perf_counter()
            solution = solve(X, Y, share * threshold)
            depth = int(name.split("L=")[1])
            runs = train_runs(
                X, Y, share * threshold, [12] * (depth - 1), loss, activation,
                restarts=given.restarts, steps=given.steps, seed=1,
            )  # fmt: skip
            best = float(runs.objectives.min())
            row = {
                "case": name, "share": share, "formula": solution.formula,
                "built": (solution.objective - solution.formula) / solution.formula,
                "dual": None if solution.dual is None
                else (solution.objective - solution.dual) / solution.objective,
                "optimality": solution.optimality.name,
                "best_run": (best - solution.formula) / solution.formula,
                "seconds": time.perf_counter() - start,
            }  # fmt: skip
            rows.append(row)
            dual = "      -" if row["dual"] is None else f"{row['dual']:7.0e}"
            print(
                f"{name:26s} {share:4.1f} {row['formula']:.9f} built {row['built']:8.1e} "
                f"dual {dual} run {row['best_run']:9.2e} {row['optimality']}",
                flush=True,
            )
    exact = [r for r in rows if r["optimality"] in ("PROVED", "NUMERICALLY_VERIFIED")]
    print(f"worst built: {max(abs(r['built']) for r in rows):.1e}")
    print(f"lowest run where exact: {min(r['best_run'] for r in exact):.1e}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
