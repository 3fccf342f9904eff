"""
Duality gap against width
=========================

After Figure 6 of Ergen & Pilanci (JMLR 2021): the best objective that training finds at each
width, minus the proven lower bound for all widths, at weight decay 1e-3.  A curve and rank-one
data need a kink each turn, whitened data two neurons.  What remains after that is training.

    python examples/plot_duality_gap.py [--steps 1500] [--restarts 8]
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from gapless import Problem, interpolate, solve_spline, solve_whitened_relu, train, whiten
from training import train_runs, train_with_biases

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=1500)
parser.add_argument("--restarts", type=int, default=8)
given = parser.parse_args()
weight_decay = 1e-3
rng = np.random.default_rng(0)
x = np.array([-2.0, -1, 0, 1, 2])
c = rng.standard_normal(15)
direction = rng.standard_normal(10)
white = whiten(rng.standard_normal((30, 40)))
y_white = rng.standard_normal(30)
cases = {
    "one dimension, n = 5": (x[:, None], np.array([1.0, -1, 1, 1, -1]), "free", (1, 2, 3, 5, 8)),
    "rank one, n = 15, d = 10": (
        np.outer(c, direction / np.linalg.norm(direction)),
        np.sin(2 * c),
        "free",
        (1, 2, 3, 5, 8, 16),
    ),
    "whitened, n = 30, d = 40": (white, y_white, "none", (1, 2, 3, 5, 8)),
}

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for ax, (name, (X, y, bias, widths)) in zip(axes, cases.items()):
    if bias == "free":
        exact = solve_spline(X, y, weight_decay=weight_decay)
        bound, best = exact.certificate.lower_bound, exact.certificate.objective
    else:
        closed = solve_whitened_relu(X, y, weight_decay)
        bound, best = closed.dual, closed.objective
    ours, descent = [], []
    for width in widths:
        problem = Problem(X, y, weight_decay=weight_decay, bias=bias)
        solution = train(problem, max_neurons=width, tol=1e-6, time_limit=10)
        ours.append(solution.certificate.objective - bound)
        if bias == "free":
            values = train_with_biases(
                X, y, weight_decay, width, restarts=given.restarts, steps=given.steps
            )[0]
        else:
            values = train_runs(
                X, y, weight_decay, [width], restarts=given.restarts, steps=given.steps,
                polish=given.steps,
            ).objectives  # fmt: skip
        descent.append(values.min() - bound)
    norm = interpolate(X, y, bias=bias).certificate
    print(
        f"{name}: best {best:.8f}, proven {bound:.8f}; best run minus bound by width",
        *(f"{m}: {gap:.1e}" for m, gap in zip(widths, descent)),
        f"; minimum norm {norm.objective:.5f}, proven {norm.lower_bound:.5f}",
    )
    for gaps, style, label in ((descent, "o-", "Adam, best of restarts"), (ours, "s--", "train()")):
        ax.semilogy(widths, np.maximum(gaps, 1e-13), style, label=label)
    ax.set(title=name, xlabel="width", ylabel="objective - proven lower bound")
    ax.legend(frameon=False, fontsize=8)
plt.show()
