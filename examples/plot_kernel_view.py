"""
The kernel view of one-dimensional networks
===========================================

After Figures 8, 9 and 10 of Ergen & Pilanci (JMLR 2021).  Left: minimum-norm interpolation,
gradient descent and the neural tangent kernel through the same samples; the kernel's is smooth.
Middle: a two-class problem; the l1-norm support vector machine on the kernel matrix
``(x_i - x_j)_+`` finds the best network, its sign gives the decision regions.  Right: test
accuracy on a mixture of five Gaussian clusters against gradient descent of the same objective.

    python examples/plot_kernel_view.py [--steps 1500] [--sets 8]
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from gapless import (
    Problem,
    TangentKernelRegressor,
    decision_regions,
    interpolate,
    solve_ramp_svm,
)
from training import train_with_biases

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=1500)
parser.add_argument("--sets", type=int, default=8)
given = parser.parse_args()
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")

x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
grid = np.linspace(-2.5, 2.5, 1001)
best = interpolate(x[:, None], y)
kernel = TangentKernelRegressor().fit(x[:, None], y)
loss, descent = train_with_biases(x, y, 1e-4, 50, restarts=4, steps=given.steps)
run = int(np.argmin(loss))
axes[0].plot(grid, descent(grid)[run, :, 0], "C1", lw=3, alpha=0.6, label="gradient descent")
axes[0].plot(grid, best.network.predict(grid[:, None])[:, 0], "C0", label="minimum norm")
axes[0].plot(grid, kernel.predict(grid[:, None]), "C2--", label="tangent kernel")
axes[0].plot(x, y, "ko", ms=5)
axes[0].set_title("regression")
axes[0].legend(frameon=False, fontsize=8)
print(f"norm of the interpolant {best.certificate.objective:.6f} ({best.status.name})")


def clusters(n, rng):
    centre = rng.choice([-2, -1, 0, 1, 2], n)
    return centre + 0.25 * rng.standard_normal(n), np.where(np.isin(centre, [-1, 0, 2]), 1.0, -1.0)


weight_decay = 0.003
x, y = clusters(60, np.random.default_rng(0))
network = solve_ramp_svm(x, y, weight_decay)
loss, descent = train_with_biases(x, y, weight_decay, 50, "hinge", restarts=4, steps=given.steps)
run = int(np.argmin(loss))
value = network.objective(Problem(x, y, "hinge", weight_decay))
boundaries, signs = decision_regions(network)
print(f"hinge: support vector machine {value:.6f}, gradient descent {np.sort(loss)}")
print("boundaries", boundaries.round(4))
ends = np.concatenate([[-3.2], boundaries, [3.2]])
for low, high, sign in zip(ends[:-1], ends[1:], signs):
    axes[1].axvspan(low, high, color="C3" if sign > 0 else "C0", alpha=0.12, lw=0)
grid = np.linspace(-3.2, 3.2, 1001)
axes[1].plot(grid, descent(grid)[run, :, 0], "C1", lw=3, alpha=0.6, label="gradient descent")
axes[1].plot(grid, network.predict(grid[:, None])[:, 0], "C0", label="kernel matrix, l1")
for sign, colour in ((1, "C3"), (-1, "C0")):
    axes[1].plot(x[y == sign], y[y == sign], "o", c=colour, ms=4)
axes[1].axhline(0, c="k", lw=0.5)
axes[1].set_title("hinge loss: decision regions")
axes[1].legend(frameon=False, fontsize=8)

sizes = (10, 20, 40, 80)
accuracy = np.zeros((2, len(sizes), given.sets))
for k, n in enumerate(sizes):
    for seed in range(given.sets):
        rng = np.random.default_rng(seed)
        (x, y), (far, truth) = clusters(n, rng), clusters(4000, rng)
        theory = solve_ramp_svm(x, y, weight_decay).predict(far[:, None])[:, 0]
        loss, descent = train_with_biases(
            x, y, weight_decay, 50, "hinge", restarts=1, steps=given.steps // 3
        )
        for row, f in enumerate((theory, descent(far)[0, :, 0])):
            accuracy[row, k, seed] = np.mean(np.sign(f) == truth)
for row, name in enumerate(("best network (kernel matrix, l1)", "gradient descent")):
    mean, spread = accuracy[row].mean(axis=1), accuracy[row].std(axis=1)
    axes[2].plot(sizes, mean, "o-", c=f"C{row}", label=name)
    axes[2].fill_between(sizes, mean - spread, mean + spread, color=f"C{row}", alpha=0.15)
    print(name, "test accuracy by size", dict(zip(sizes, mean.round(3).tolist())))
axes[2].set(xscale="log", xlabel="training samples", title="test accuracy, mean and deviation")
axes[2].set_xticks(sizes, sizes)
axes[2].minorticks_off()
axes[2].legend(frameon=False, fontsize=8, loc="lower right")
plt.show()
