"""A hidden layer aligned with the classes, greedily, against the convex program of the network.

For two-layer ReLU networks the convex program is the training of both layers at once, so a network
whose hidden layer was trained alone, towards the target of layer-wise training, cannot have a
lower objective: whatever is given to its output layer.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from gapless import Network, Problem, train

DECAY, WIDTH = 0.02, 12


def rings(n, rng):
    """Two classes that no line parts."""
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    X = rng.standard_normal((n, 2)) * np.where(y > 0, 0.4, 1.5)[:, None]
    return X, y[:, None]


def greedy_directions(X, y, rng):
    """Unit hidden weights aligned with the classes; the alignments before and after."""
    U = torch.from_numpy(rng.standard_normal((3, WIDTH))).requires_grad_()
    ones, target = torch.from_numpy(np.c_[X, np.ones(len(X))]), torch.from_numpy(y @ y.T)
    adam = torch.optim.Adam([U], lr=0.03)
    aligned = []
    for _ in range(150):
        H = torch.relu(ones @ (U / U.norm(dim=0)))
        H = H - H.mean(dim=0)
        G = H @ H.T
        loss = -(G * target).sum() / (G.norm() * target.norm())
        aligned.append(-float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
    return (U / U.norm(dim=0)).detach().numpy(), aligned[0], aligned[-1]


def objective(problem, network):
    fit = problem.data_fit(network.predict(problem.X))
    return fit + problem.weight_decay * network.penalty(problem.bias)


def best_output(problem, directions):
    """The network of these directions whose output layer is the best there is: a Lasso."""
    H = np.maximum(problem.X @ directions[:2] + directions[2], 0)
    lasso = Lasso(DECAY, fit_intercept=False, tol=1e-6, max_iter=1_000_000)
    v = lasso.fit(H, problem.Y[:, 0]).coef_
    root = np.sqrt(np.abs(v))  # neurons balanced: the penalty is then DECAY sum |v|
    U = directions * root
    return Network(U[:2], U[2], (np.sign(v) * root)[:, None], np.zeros(1))


@pytest.mark.parametrize("seed", range(3))
def test_the_greedy_target_is_never_below_the_convex_program(seed):
    rng = np.random.default_rng(seed)
    problem = Problem(*rings(60, rng), "squared", DECAY, "penalized")
    convex = train(problem, tol=1e-4)
    assert convex.certificate.relative_gap < 1e-3  # in the plane: proven
    directions, before, after = greedy_directions(problem.X, problem.Y, rng)
    random = rng.standard_normal((3, WIDTH))
    greedy, none = (
        objective(problem, best_output(problem, U))
        for U in (directions, random / np.linalg.norm(random, axis=0))
    )
    assert after > 1.2 * before  # it did learn
    assert greedy >= convex.certificate.lower_bound
    assert none >= convex.certificate.lower_bound
    assert greedy > 1.02 * convex.certificate.objective  # and it has something to lose


def test_the_convex_program_is_its_own_target():
    """Its directions, frozen, and the output layer trained last: nothing is lost."""
    problem = Problem(*rings(60, np.random.default_rng(0)), "squared", DECAY, "penalized")
    convex = train(problem, tol=1e-4)
    hidden = np.vstack([convex.network.hidden_weights, convex.network.hidden_bias])
    again = best_output(problem, hidden / np.linalg.norm(hidden, axis=0))
    again = objective(problem, again)
    assert again == pytest.approx(convex.certificate.objective, rel=1e-3)
    assert again >= convex.certificate.lower_bound
