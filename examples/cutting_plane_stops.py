"""Where the paper's cutting plane stops, and where the best network is.

Algorithm 1 of Ergen & Pilanci (JMLR 2021) looks for neurons that are active on every sample.  On
spike-free data that is enough.  On these six samples it stops far above the optimum, and only a
certificate can tell: no neuron of its kind is left to add.

    python examples/cutting_plane_stops.py
"""

from __future__ import annotations

import numpy as np

from gapless import Problem, certify, extreme_points, spike_free_test, train


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    X = np.abs(rng.standard_normal((6, 2)))
    return X, 2.788 * rng.standard_normal(6)


SEED, WEIGHT_DECAY = 2, 0.0212


def main() -> None:
    X, y = data()
    problem = Problem(X, y, weight_decay=WEIGHT_DECAY, bias="none")
    print("spike-free test:", spike_free_test(X))
    for name, oracle in (("relaxed oracle (Algorithm 1)", "spike-free"), ("search", "search")):
        solution = train(problem, oracle=oracle, tol=1e-6)
        mark = certify(solution.network, X, y, weight_decay=WEIGHT_DECAY, bias="none")
        print(
            f"{name}: objective {mark.objective:.4f}, {solution.network.n_neurons} neurons, "
            f"proven to be within {mark.relative_gap:.1%} of the best; {solution.status.name}"
        )
    points = extreme_points(X)
    print(f"{points.is_vertex.sum()} of {len(X)} samples are vertices of their hull")


if __name__ == "__main__":
    main()
