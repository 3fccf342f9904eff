"""
Three classes on a spiral: four lower bounds of one network
===========================================================

Sixty points in the plane on three arms, one-hot targets, squared loss and no bias.  In two
dimensions training is exact; the other bounds show what they lose.

    python examples/vector_spiral.py
"""

from __future__ import annotations

import numpy as np

from gapless import Problem, certify, train


def spiral(n_points: int = 20, n_arms: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) and the number of the arm of each."""
    rng = np.random.default_rng(0)
    radius = np.tile(np.linspace(0.1, 1, n_points), n_arms)
    arm = np.repeat(np.arange(n_arms), n_points)
    angle = 4 * radius + 2 * np.pi / n_arms * arm + 0.1 * rng.standard_normal(len(arm))
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), arm


def main() -> None:
    X, arm = spiral()
    Y = np.eye(3)[arm]
    for weight_decay in (0.1 / len(X), 0.01 / len(X)):
        problem = Problem(X, Y, "squared", weight_decay, "none")
        solution = train(problem, tol=1e-6)
        right = np.mean(solution.network.predict(X).argmax(axis=1) == arm)
        print(f"weight decay {weight_decay:.2g}: objective {solution.certificate.objective:.6f}, "
              f"{solution.network.n_neurons} neurons, {right:.0%} right, "
              f"gap {solution.certificate.relative_gap:.1e}")  # fmt: skip
        for method in ("low-rank", "faces", "singular values", "norm"):
            c = certify(
                solution.network, X, Y, weight_decay=weight_decay, bias="none", method=method,
                n_starts=50,
            )  # fmt: skip
            print(f"    {method:16s} no network is below {c.lower_bound:.6f}")


if __name__ == "__main__":
    main()
