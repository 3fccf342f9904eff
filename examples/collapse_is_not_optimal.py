"""Deep neural collapse is not optimal: ten classes, four layers, an explicit better network.

Whitened digits, n = 50, K = 10, L = 4.  The closed form (independent paths, one a class: deep
neural collapse) is what random starts find at best.  The better network has rank 5: write
the ten classes as the pairs of five things, so that W_1 maps a class to its two things,
W_2 passes them on, W_3 has a neuron a TRIPLE (+1 on its three things, -1 on the other two: only
the three pairs inside the triple survive the ReLU), and W_4 solves a ridge problem.

    python examples/collapse_is_not_optimal.py [--out collapse_is_not_optimal.png] [--steps 2000]
"""

from __future__ import annotations

import argparse
from itertools import combinations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize_scalar

from gapless import DeepNetwork, Problem, neural_collapse, solve_whitened_relu, whiten
from linear_ranks_and_norms import digits
from training import train_runs


def pairs_network(X: np.ndarray, Y: np.ndarray, beta: float) -> DeepNetwork:
    """The rank-5 network for ten balanced classes, sizes optimised in one dimension."""
    things = np.arange(5)
    pairs = np.array([[float(i in p) for i in things] for p in combinations(things, 2)])
    triples = np.array([[2.0 * (i in t) - 1 for t in combinations(things, 3)] for i in things])
    per_class = Y.sum(axis=0)[0]
    layers = [X.T @ Y @ pairs / np.sqrt(per_class), np.eye(5), triples]
    layers = [W / np.linalg.norm(W) for W in layers]
    A = np.maximum(X @ layers[0] @ layers[1] @ layers[2], 0)

    def last(t: float) -> np.ndarray:
        H = t**3 * A
        return np.linalg.solve(H.T @ H + beta * np.eye(10), H.T @ Y)

    def value(t: float) -> float:
        W = last(t)
        return 0.5 * np.sum((t**3 * A @ W - Y) ** 2) + 0.5 * beta * (3 * t**2 + np.sum(W**2))

    t = minimize_scalar(value, bounds=(0.5, 10), method="bounded", options={"xatol": 1e-12}).x
    return DeepNetwork((*(t * W for W in layers), last(t)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="collapse_is_not_optimal.png")
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    X, labels = digits()
    X, Y, n, L = whiten(X), np.eye(10)[labels], len(labels), 4
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    betas = np.linspace(0.05, 1.2, 24)
    collapsed, ranked, bounds = [], [], []
    for b in betas:
        solution = solve_whitened_relu(X, Y, b / n, L)
        problem = Problem(X, Y, weight_decay=b / n, bias="none")
        collapsed.append(n * solution.objective)
        bounds.append(n * solution.lower_bound)
        ranked.append(n * pairs_network(X, Y, b).objective(problem))
    axes[0].plot(betas, collapsed, label="closed form (collapsed)")
    axes[0].plot(betas, ranked, label="rank 5")
    axes[0].plot(betas, bounds, ":", c="grey", label="proven lower bound")
    axes[0].set(xlabel="n · weight decay", ylabel="n · objective", title="whitened digits, L = 4")
    axes[0].legend()

    beta = 0.273
    problem = Problem(X, Y, weight_decay=beta / n, bias="none")
    solution = solve_whitened_relu(X, Y, beta / n, L)
    better = pairs_network(X, Y, beta)
    runs = train_runs(X, Y, beta / n, [20] * 3, restarts=5, steps=given.steps, lr=5e-3, polish=500)
    values = n * np.sort(runs.objectives)
    print(f"closed form {n * solution.objective:.4f}, status {solution.optimality.name}")
    print(f"rank 5      {n * better.objective(problem):.4f}")
    print(f"PyTorch     {values.round(4)}")
    print(f"no network is below {n * solution.lower_bound:.4f}")
    head = better.weights[-1].T
    report = neural_collapse(better.features(X), labels, head)
    print(f"rank-5 network: NC1 {report.nc1:.1e}, NC2 distance to the frame {report.nc2_frame:.3f}")
    axes[0].plot(beta, values[0], "kx", label="PyTorch")
    for axis, network, name in (
        (axes[1], solution.network, "closed form"),
        (axes[2], better, "rank 5"),
    ):
        H = network.features(X)
        mu = np.stack([H[labels == k].mean(axis=0) for k in range(10)])
        image = axis.imshow(mu @ mu.T / np.linalg.norm(mu @ mu.T), cmap="viridis")
        axis.set(title=f"Gram matrix of class means, {name}", xlabel="class", ylabel="class")
        figure.colorbar(image, ax=axis, shrink=0.8)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
