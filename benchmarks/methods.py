"""One adapter a method: ``run(X, Y, beta, seconds, seed)`` -> Trace.

Each reports its objective as it goes, recomputed by :func:`benchmarks.problems.objective`; the
time of that recomputation is taken off its clock.  Time is CPU seconds of this process: with
one thread that is wall clock on an idle machine, and a busy one does not change it.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field

import numpy as np

from .problems import objective


@dataclass
class Trace:
    """Seconds, objectives (best so far), the last proven lower bound and number of neurons."""

    seconds: list = field(default_factory=list)
    objectives: list = field(default_factory=list)
    lower_bound: float = 0.0
    n_neurons: int = 0

    def time_to(self, target):
        reached = [s for s, o in zip(self.seconds, self.objectives) if o <= target]
        return reached[0] if reached else None


class Clock:
    """CPU seconds since the start, less the time spent measuring."""

    def __init__(self, X, Y, beta):
        self.X, self.Y, self.beta = X, Y, beta
        self.trace, self.measuring, self.start = Trace(), 0.0, time.process_time()

    def now(self):
        return time.process_time() - self.start - self.measuring

    def record(self, U, a):
        now, begin = self.now(), time.process_time()
        value = objective(self.X, self.Y, U, a, self.beta)
        t = self.trace
        t.seconds.append(now)
        if not t.objectives or value < t.objectives[-1]:
            size = np.linalg.norm(U, axis=0) * np.linalg.norm(a, axis=1)
            t.n_neurons = int(np.sum(size > 1e-6 * max(size.max(initial=0), 1e-300)))
        t.objectives.append(min([value, *t.objectives[-1:]]))
        self.measuring += time.process_time() - begin
        return now


def gapless(X, Y, beta, seconds, seed, tol=1e-5):
    from gapless import Problem, certify, train

    clock = Clock(X, Y, beta)
    problem = Problem(X, Y, weight_decay=beta, bias="none")
    wall, cpu = [0.0], [clock.now()]

    def watch(info):
        wall.append(info.seconds)
        cpu.append(clock.now())
        return cpu[-1] > seconds

    solution = train(problem, tol=tol, callback=watch, random_state=seed)
    wall.append(solution.history.seconds[-1])
    cpu.append(clock.now())
    clock.record(solution.network.hidden_weights, solution.network.output_weights)
    # the trainer keeps its own history of the same objective, in wall clock
    trace = clock.trace
    trace.seconds = np.interp(solution.history.seconds, wall, cpu).tolist() + trace.seconds
    trace.objectives = solution.history.objective + trace.objectives
    # a proof on top of what the rounds prove by the way
    rest = {"weight_decay": beta, "bias": "none", "time_limit": min(seconds, 10.0)}
    proof = certify(solution.network, X, Y, **rest)
    trace.lower_bound = max(solution.certificate.lower_bound, proof.lower_bound)
    return trace


def adam(X, Y, beta, seconds, seed, width=200, rate=1e-2):
    """Full batch, cosine schedule over the time limit."""
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    A, T = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
    U = torch.tensor(
        rng.standard_normal((X.shape[1], width)) / np.sqrt(X.shape[1]), dtype=torch.float32
    )
    a = torch.tensor(rng.standard_normal((width, Y.shape[1])) / np.sqrt(width), dtype=torch.float32)
    U.requires_grad_(), a.requires_grad_()
    optimiser = torch.optim.Adam([U, a], lr=rate)
    clock = Clock(X, Y, beta)
    step = 0
    while (now := clock.now()) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * min(now / seconds, 1)))
        optimiser.zero_grad()
        loss = ((A @ U).relu() @ a - T).square().sum() / (2 * len(X))
        (loss + beta / 2 * (U.square().sum() + a.square().sum())).backward()
        optimiser.step()
        if step % 20 == 0:
            clock.record(U.detach().numpy(), a.detach().numpy())
        step += 1
    return clock.trace


def adam_fast(X, Y, beta, seconds, seed):
    """Adam with a larger step and a schedule of a quarter of the limit: sooner, less far."""
    return adam(X, Y, beta, seconds / 4, seed, rate=3e-2)


def adam_short(X, Y, beta, seconds, seed):
    """Adam on a schedule of three tenths of the limit: a short one gets sooner where it gets."""
    return adam(X, Y, beta, 0.3 * seconds, seed)


def adam_fast_short(X, Y, beta, seconds, seed):
    """Both."""
    return adam_fast(X, Y, beta, 0.3 * seconds, seed)


def lbfgs(X, Y, beta, seconds, seed, width=400):
    from scipy.optimize import minimize

    n, d = X.shape
    C = Y.shape[1]
    rng = np.random.default_rng(seed)
    clock = Clock(X, Y, beta)

    def unpack(theta):
        return theta[: d * width].reshape(d, width), theta[d * width :].reshape(width, C)

    def value(theta):
        U, a = unpack(theta)
        Z = np.maximum(X @ U, 0)
        R = (Z @ a - Y) / n
        gradient = np.concatenate([(X.T @ ((R @ a.T) * (Z > 0))).ravel(), (Z.T @ R).ravel()])
        return n / 2 * np.sum(R * R) + beta / 2 * theta @ theta, gradient + beta * theta

    def watch(intermediate_result):
        if clock.record(*unpack(intermediate_result.x)) > seconds:
            raise StopIteration

    start = rng.standard_normal((d + C) * width) / np.sqrt(d)
    options = {"maxiter": 10**6, "maxfun": 10**7, "maxcor": 20, "ftol": 0, "gtol": 1e-12}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minimize(value, start, jac=True, method="L-BFGS-B", callback=watch, options=options)
    return clock.trace


def mlp(X, Y, beta, seconds, seed, width=200):
    """scikit-learn's MLP: it divides alpha by the batch size and leaves biases unpenalised."""
    from sklearn.neural_network import MLPRegressor

    clock = Clock(X, Y, beta)
    model = MLPRegressor(
        hidden_layer_sizes=(width,),
        alpha=beta * min(200, len(X)),
        learning_rate_init=1e-2,
        random_state=seed,
        max_iter=1,
    )
    while clock.now() < seconds and len(clock.trace.seconds) < 200:
        model.partial_fit(X, Y if Y.shape[1] > 1 else Y[:, 0])
        (U, a), (b, c) = model.coefs_, model.intercepts_
        U = U + np.vstack([np.zeros((len(U) - 1, len(b))), b])
        constant = np.zeros((len(U), 1))
        constant[-1] = 1.0
        clock.record(np.hstack([U, constant]), np.vstack([a, c]))
    return clock.trace


def scnn(X, Y, beta, seconds, seed, n_patterns=100):
    """pyscnn's augmented Lagrangian on sampled gates (pip install pyscnn)."""
    from scnn.activations import sample_gate_vectors
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    clock = Clock(X, Y, beta)
    gates = sample_gate_vectors(seed, X.shape[1], n_patterns)
    model = ConvexReLU(gates, c=Y.shape[1])
    # unitize_data would change the penalty: it acts on the rescaled weights
    model, _ = optimize_model(
        model,
        AL(model),
        Metrics(),
        X,
        Y,
        regularizer=NeuronGL1(beta),
        unitize_data=False,
        seed=seed,
    )
    U, a = model.get_parameters()
    clock.record(np.asarray(U).T, np.asarray(a).T)
    return clock.trace


def cvxpy(X, Y, beta, seconds, seed, n_patterns=50):
    """The exact program on sampled patterns, by Clarabel; one output only."""
    import cvxpy as cp

    if Y.shape[1] > 1:
        raise NotImplementedError("one output only")
    clock = Clock(X, Y, beta)
    n, d = X.shape
    gates = np.random.default_rng(seed).standard_normal((d, n_patterns))
    D = np.unique((X @ gates >= 0).T, axis=0)
    variables, f, penalty, constraints = [], 0, 0, []
    for pattern in D:
        for sign in (1, -1):
            v = cp.Variable(d)
            constraints.append(cp.multiply(2.0 * pattern - 1, X @ v) >= 0)
            f = f + sign * cp.multiply(pattern.astype(float), X @ v)
            penalty = penalty + cp.norm(v, 2)
            variables.append((sign, v))
    goal = cp.sum_squares(f - Y[:, 0]) / (2 * n) + beta * penalty
    cp.Problem(cp.Minimize(goal), constraints).solve(solver=cp.CLARABEL)
    U = np.stack([v.value for _, v in variables], axis=1)
    clock.record(U, np.array([[s] for s, _ in variables], float))
    return clock.trace


METHODS = {
    m.__name__: m
    for m in (gapless, adam, adam_fast, adam_short, adam_fast_short, lbfgs, mlp, scnn, cvxpy)
}
