"""Two-layer linear networks lose rank as the weight decay grows; deep ones are aligned.

Left: rank of the first layer on digits against weight decay, closed form and PyTorch.
Right: operator over Frobenius norm of each layer, for one output (1) and for one-hot targets of
whitened data (1 / sqrt(K)).

    python examples/linear_ranks_and_norms.py [--out linear_ranks_and_norms.png] [--steps 1500]
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gapless import layer_alignment, solve_deep_linear, solve_two_layer_linear, whiten
from training import train_runs


def digits(per_class: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The first samples of every class, pixels in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    index = np.concatenate([np.flatnonzero(y == k)[:per_class] for k in range(10)])
    return X[index] / 16, y[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="linear_ranks_and_norms.png")
    parser.add_argument("--steps", type=int, default=800)
    given = parser.parse_args()
    X, labels = digits()
    Y, n = np.eye(10)[labels], len(X)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")

    betas = np.logspace(-1, 1.6, 40)
    ranks = [
        np.linalg.matrix_rank(solve_two_layer_linear(X, Y, b / n).network.weights[0]) for b in betas
    ]
    axes[0].step(betas / n, ranks, where="mid", label="closed form")
    for b in (1.0, 3.0, 6.0, 10.0, 20.0):
        runs = train_runs(X, Y, b / n, [10], activation="linear", restarts=5, steps=given.steps)
        solution = solve_two_layer_linear(X, Y, b / n)
        report = layer_alignment(runs.weights, tol=1e-3)
        axes[0].plot(
            b / n, report.ranks[0], "ko", ms=6, label="PyTorch, best of 5" if b == 1 else None
        )
        print(
            f"beta {b:5.1f}: rank {report.ranks[0]} trained, "
            f"{np.linalg.matrix_rank(solution.network.weights[0])} closed form, relative excess "
            f"{runs.objectives.min() / solution.objective - 1:.1e}, gap {solution.relative_gap:.1e}"
        )
    axes[0].set(xscale="log", xlabel="weight decay", ylabel="rank of W_1", title="digits, 2 layers")
    axes[0].legend()

    for depth, marker in ((3, "o"), (4, "s"), (5, "^")):
        for data, targets, colour, name in (
            (X, labels - labels.mean(), "C0", "one output"),
            (whiten(X), Y, "C1", "10 classes, whitened"),
        ):
            wd = 0.01 if targets is not Y else 1e-4
            network = solve_deep_linear(data, targets, wd, depth).network
            report = layer_alignment(network.weights)
            ratio = report.operator_norms / report.frobenius_norms
            runs = train_runs(
                data, targets, wd, [12] * (depth - 1), activation="linear", restarts=3,
                steps=given.steps, scale=0.7,
            )  # fmt: skip
            trained = layer_alignment(runs.weights)
            layers = np.arange(1, depth + 1)
            axes[1].plot(layers, ratio, marker + "-", c=colour, label=f"{name}, L = {depth}")
            axes[1].plot(layers, trained.operator_norms / trained.frobenius_norms, "kx", ms=5)
    axes[1].axhline(1 / np.sqrt(10), ls=":", c="grey")
    axes[1].set(
        xlabel="layer", xticks=range(1, 6), ylabel="operator / Frobenius norm", ylim=(0, 1.05),
        title="closed form (lines), PyTorch (crosses)",
    )  # fmt: skip
    axes[1].legend(fontsize=7)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
