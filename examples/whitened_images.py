"""Whitened images: closed form, the paper's cutting plane, and five training runs.

After Figures 11 and 12 of Ergen & Pilanci (JMLR 2021): squared loss on one-hot labels, two layers,
100 neurons, weight_decay 1e-3.  The closed form (Theorem 15) and the cutting plane with the
spike-free oracle (Algorithm 1) are two ways to the same optimum; no run gets below it.

    python examples/whitened_images.py [--out whitened_images.png] [--steps 1000] [--width 100]
        [--npz FILE --samples 200 --features 250]     images as arrays X and y in an .npz file
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from gapless import Problem, certify, solve_whitened_relu, train
from sgd_against_theory import images
from training import train_runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="whitened_images.png")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--weight-decay", type=float, default=1e-3)
    parser.add_argument("--npz")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--features", type=int, default=64)
    given = parser.parse_args()
    X, Y = images(given)
    closed = solve_whitened_relu(X, Y, given.weight_decay)
    problem = Problem(X, Y, weight_decay=given.weight_decay, bias="none")
    plane = train(problem, oracle="spike-free", tol=1e-8)
    proof = certify(plane.network, X, Y, weight_decay=given.weight_decay, bias="none")
    runs = train_runs(
        X, Y, given.weight_decay, [given.width], restarts=5, steps=given.steps, lr=5e-3,
        polish=2 * given.steps,
    )  # fmt: skip
    print(f"(n, d) = {X.shape}, {Y.shape[1]} classes, weight_decay {given.weight_decay:g}")
    print(f"closed form    {closed.objective:.12f}  {closed.optimality.name}")
    print(
        f"cutting plane  {proof.objective:.12f}  {plane.status.name}, proven relative gap "
        f"{proof.relative_gap:.1e} ({proof.proof}), {plane.network.n_neurons} neurons, "
        f"{len(plane.history) - 1} rounds"
    )
    excess = np.sort(runs.objectives / closed.objective - 1)
    print("runs, relative excess over the closed form:", *(f"{e:.1e}" for e in excess))

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = np.linspace(0, given.steps, len(runs.traces))
    for r, trace in enumerate(runs.traces.T):
        ax.plot(steps, trace, c="C0", lw=0.9, label="training runs (Adam)" if r == 0 else None)
    ax.axhline(closed.objective, c="k", ls="--", label="closed form")
    history = plane.history
    ax.plot(
        np.linspace(0, given.steps, len(history)), history.objective, "o-", c="C1", ms=4,
        label=f"cutting plane ({len(history) - 1} rounds, stretched)",
    )  # fmt: skip
    ax.set(xlabel="Adam step", ylabel="objective", yscale="log")
    ax.set_title(f"whitened images, (n, d) = {X.shape}, weight_decay {given.weight_decay:g}")
    ax.legend(frameon=False)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
