"""Neural collapse with batch normalisation on digits, trained and predicted.

Raw digits, a fixed random ReLU layer wide enough for the span condition, then a trained
layer with torch.nn.BatchNorm1d, ReLU and a linear output, all batch, squared loss, weight decay
on the normalisation and the output only.  The closed form gives the optimal value and the
geometry; Adam approaches both (PyTorch needs eps > 0, here 1e-10).

    python examples/batch_norm_collapse.py [--out batch_norm_collapse.png] [--steps 4000]
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from gapless import CollapseDisplay, neural_collapse, predicted_collapse, solve_batch_norm_head
from linear_ranks_and_norms import digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="batch_norm_collapse.png")
    parser.add_argument("--steps", type=int, default=4000)
    given = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    X, labels = digits()
    n, K = len(X), 10
    Y = np.eye(K)[labels]
    A = np.maximum(X @ np.random.default_rng(0).normal(size=(64, 120)) / 4, 0)
    wd = 0.4 * np.sqrt(n / K) / np.sqrt(n)
    solution = solve_batch_norm_head(A, Y, wd, "torch")
    predicted = predicted_collapse([n // K] * K, wd, scale=np.sqrt(n))

    features, targets = torch.tensor(A - A.mean(axis=0)), torch.tensor(Y)
    features /= torch.linalg.matrix_norm(features, 2)
    layer = torch.nn.Linear(120, 20, bias=False)
    norm = torch.nn.BatchNorm1d(20, eps=1e-10)
    head = torch.nn.Linear(20, K, bias=False)
    torch.nn.init.uniform_(norm.weight, 0.3, 0.7)
    decayed = [norm.weight, norm.bias, head.weight]
    adam = torch.optim.Adam([*layer.parameters(), *norm.parameters(), *head.parameters()], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, given.steps, 1e-5)
    steps, gaps, reports = [], [], []
    for step in range(given.steps + 1):
        hidden = torch.relu(norm(layer(features)))
        loss = 0.5 * ((head(hidden) - targets) ** 2).sum(1).mean()
        loss = loss + 0.5 * wd * sum((p * p).sum() for p in decayed)
        if step % max(1, given.steps // 40) == 0:
            steps.append(step)
            gaps.append(loss.item() / solution.formula - 1)
            W = head.weight.detach().numpy()
            reports.append(neural_collapse(hidden.detach().numpy(), labels, W))
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    last = reports[-1]
    print(f"closed form {solution.formula:.9f} (dual {solution.dual:.9f}), trained {gaps[-1]:+.2e}")
    print(f"NC1 {last.nc1:.2e}, NC2 {last.nc2_frame:.4f}, predicted {predicted.nc2_frame:.4f}")
    print(f"NC3 {last.nc3:.4f}, predicted {predicted.nc3:.4f}; NC4 {last.nc4:.4f}")
    print(f"NC3 structure {last.nc3_structure:.4f}, predicted {predicted.nc3_structure:.4f}")

    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    axes[0, 0].semilogy(steps, np.maximum(gaps, 1e-16))
    axes[0, 0].set(title="objective above the closed form (relative)", xlabel="step")
    for name in ("nc1", "nc2_frame", "nc3_structure", "nc4"):
        values = [max(getattr(r, name), 1e-12) for r in reports]
        axes[0, 1].semilogy(steps, values, label=name)
    axes[0, 1].set(title="predicted: 0", xlabel="step")
    axes[0, 1].legend()
    axes[0, 2].plot(steps, [r.nc3 for r in reports], label="NC3, no output bias")
    axes[0, 2].axhline(predicted.nc3, ls="--", c="k", label="predicted, not 0")
    axes[0, 2].set(title="self-duality", xlabel="step")
    axes[0, 2].legend()
    CollapseDisplay.from_features(hidden.detach().numpy(), labels, ax=axes[1])
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
