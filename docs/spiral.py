"""Draw what four methods make of a spiral (docs/images/spiral.png).

python docs/spiral.py
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gapless import Problem, certify, copositive_relaxation, frank_wolfe, train

ARMS, POINTS, SHOWN = 3, 7, 1.25
COLOURS = ["#c6dbef", "#fdd0a2", "#c7e9c0"]
INKS = ["#08519c", "#a63603", "#006d2c"]


def spiral():
    radius = np.tile(np.linspace(0.2, 1, POINTS), ARMS)
    arm = np.repeat(np.arange(ARMS), POINTS)
    angle = 3.5 * radius + 2 * np.pi / ARMS * arm
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), arm


def methods(problem):
    """Name, network and what it says of every network, of each method; and CPU seconds."""
    began = time.process_time()
    best = train(problem, tol=1e-6).network
    proven = certify(
        best, problem.X, problem.Y, weight_decay=problem.weight_decay, bias=problem.bias
    ).lower_bound
    yield "train", best, proven, time.process_time() - began
    for gated in (False, True):
        began = time.process_time()
        found = copositive_relaxation(problem, gated=gated)
        name = "gated relaxation" if gated else "copositive relaxation"
        yield name, found.network, found.lower_bound, time.process_time() - began
    began = time.process_time()
    found = frank_wolfe(problem, best.penalty(problem.bias), n_steps=300)
    yield "Frank-Wolfe, 300 steps", found.network, found.lower_bound, time.process_time() - began


def main():
    X, arm = spiral()
    problem = Problem(X, np.eye(ARMS)[arm], "squared", 0.003, "penalized")
    grid = np.linspace(-SHOWN, SHOWN, 400)
    a, b = np.meshgrid(grid, grid)
    plane = np.column_stack([a.ravel(), b.ravel()])
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.8), layout="constrained")
    for ax, (name, network, lower, seconds) in zip(axes, methods(problem)):
        region = network.predict(plane).argmax(axis=1).reshape(a.shape)
        ax.contourf(a, b, region, levels=np.arange(ARMS + 1) - 0.5, colors=COLOURS)
        for k in range(ARMS):
            ax.scatter(*X[arm == k].T, color=INKS[k], s=22, edgecolor="white", linewidth=0.5)
        objective = network.objective(problem)
        print(f"{name}: {objective:.6f}, proven above {lower:.6f}, {seconds:.2f} CPU s")
        ax.set_title(f"{name}\nobjective {objective:.5f}\nno network below {lower:.5f}")
        ax.set(xticks=[], yticks=[], aspect="equal")
    target = Path(__file__).parent / "images" / "spiral.png"
    figure.savefig(target, dpi=90)


if __name__ == "__main__":
    main()
