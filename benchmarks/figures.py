"""Figures 11, 12 and 13 of the paper: SGD against the closed form, and the filters of Convex-RF.

    python -m benchmarks.figures [--data ../shared/data] [--out docs/images/convex_rf.png]

Whitened samples of MNIST (200 images, 250 components) and of the CIFAR subset (60, 60), squared
loss on one-hot targets, the paper's objective ``1/2 ||F - Y||^2 + beta/2 (||U||^2 + ||a||^2)`` with
beta = 1e-3, that is gapless's times n.  Five runs of SGD with 100 neurons, the closed form
(Theorem 15) and the cutting plane.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from gapless import ConvexRandomFeatures, Problem, RowWhitener, solve_whitened_relu, train

HERE = Path(__file__).parent
BETA, WIDTH, RUNS = 1e-3, 100, 5


def load(folder, name):
    with np.load(Path(folder) / f"{name}.npz") as z:
        return [z[k] for k in ("X_train", "y_train", "X_test", "y_test")]


def sample(folder, name, n, d, seed=0):
    """n whitened training images in d principal components, and the test set mapped alike."""
    X, y, Xte, yte = load(folder, name)
    X, Xte = (Z.reshape(len(Z), -1) / 255.0 for Z in (X, Xte))
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(X))
    pca = PCA(d, random_state=0).fit(X[rows[:2000]])
    rows = rows[:n]
    whitener = RowWhitener()
    A = whitener.fit_transform(pca.transform(X[rows]))
    return A, np.eye(10)[y[rows]], whitener.transform(pca.transform(Xte)), yte


def sgd(A, Y, Ate, labels, epochs, rate, seed, batch=20):
    """Objective and test accuracy after each epoch."""
    import torch

    torch.manual_seed(seed)
    X, T, Xte = (torch.tensor(Z, dtype=torch.float32) for Z in (A, Y, Ate))
    n, d = A.shape
    U = (torch.randn(d, WIDTH) / WIDTH**0.5).requires_grad_()
    a = (torch.randn(WIDTH, 10) / WIDTH**0.5).requires_grad_()
    optimiser = torch.optim.SGD([U, a], lr=rate, momentum=0.9)
    objective, accuracy = [], []
    for epoch in range(epochs):
        order = torch.randperm(n)
        for rows in order.split(batch):
            fit = 0.5 * ((X[rows] @ U).relu() @ a - T[rows]).square().sum()
            penalty = 0.5 * BETA * len(rows) / n * (U.square().sum() + a.square().sum())
            optimiser.zero_grad()
            (fit + penalty).backward()
            optimiser.step()
        with torch.no_grad():
            F = (X @ U).relu() @ a
            penalty = 0.5 * BETA * (U.square().sum() + a.square().sum())
            objective.append(float(0.5 * (F - T).square().sum() + penalty))
            if epoch % 10 == 9:
                predicted = ((Xte @ U).relu() @ a).argmax(dim=1).numpy()
                accuracy.append(float(np.mean(predicted == labels)))
    return objective, accuracy


def compare(axes, title, data, epochs, rate):
    """One row of pictures; returns the figures printed."""
    A, Y, Ate, labels = data
    n = len(A)
    exact = solve_whitened_relu(A, Y, BETA / n)
    theory = n * exact.objective
    plane = train(Problem(A, Y, weight_decay=BETA / n, bias="none"), oracle="spike-free", tol=1e-6)
    accuracy = np.mean(exact.network.predict(Ate).argmax(axis=1) == labels)
    ends = []
    for run in range(RUNS):
        objective, scores = sgd(A, Y, Ate, labels, epochs, rate, run)
        axes[0].semilogy(np.arange(1, epochs + 1), objective, lw=1, label=f"SGD {run + 1}")
        axes[1].plot(np.arange(10, epochs + 1, 10), scores, lw=1)
        ends.append(min(objective))
    axes[0].axhline(theory, color="k", ls="--", label="closed form")
    axes[1].axhline(accuracy, color="k", ls="--")
    axes[0].set_title(f"{title}: objective", fontsize=10)
    axes[1].set_title(f"{title}: test accuracy", fontsize=10)
    for axis in axes:
        axis.set_xlabel("epoch")
    axes[0].legend(fontsize=7)
    print(f"{title}: closed form {theory:.6f} (bound {n * exact.dual:.6f}), cutting plane "
          f"{n * plane.certificate.objective:.6f} ({plane.status.name}), SGD at best "
          f"{' '.join(f'{e:.6f}' for e in ends)}; accuracy {accuracy:.4f}")  # fmt: skip


def filters(axis, images, title):
    """The first 64 filters as small colour pictures."""
    model = ConvexRandomFeatures(64).fit(images)
    h, w, c = model.patch_shape_
    W = model.filters_.T.reshape(-1, c, h, w).transpose(0, 2, 3, 1)
    W = W - W.min(axis=(1, 2, 3), keepdims=True)
    W = W / W.max(axis=(1, 2, 3), keepdims=True)
    sheet = np.ones((8 * (h + 1) - 1, 8 * (w + 1) - 1, c))
    for k in range(min(64, len(W))):
        r, s = divmod(k, 8)
        sheet[r * (h + 1) : r * (h + 1) + h, s * (w + 1) : s * (w + 1) + w] = W[k]
    axis.imshow(sheet.squeeze(), cmap="gray", interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.axis("off")


def main():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = HERE.parents[0]
    data = os.environ.get("GAPLESS_DATA", root.parent / "shared/data")
    parser.add_argument("--data", default=data)
    parser.add_argument("--out", default=root / "docs/images/convex_rf.png")
    args = parser.parse_args()
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    compare(axes[0], "MNIST (200, 250)", sample(args.data, "mnist", 200, 250), 1000, 0.1)
    compare(axes[1], "CIFAR-10 (60, 60)", sample(args.data, "cifar10_subset", 60, 60), 2000, 0.1)
    filters(axes[0, 2], load(args.data, "mnist")[0], "extreme patches of MNIST")
    filters(axes[1, 2], load(args.data, "cifar10_subset")[0], "extreme patches of CIFAR-10")
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
