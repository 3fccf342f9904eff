"""Attacks on every proven bound: ``python -m benchmarks.attack --minutes 10 [--seed S]``.

Random problems, most of them hostile: duplicates, nearly parallel rows, mixed scales, integers,
one-hot columns, targets far from zero, tiny and huge weight decay, sample weights from nothing to
1e300, exact rank but for a perturbed row.  Each lower bound is held against the objective of
networks, recomputed in extended precision; each upper bound of a gauge against the value at
directions, recomputed so too.  Prints cases tried and violations a family; exit code 1 on any.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gapless as gl
from gapless import Network, Problem
from gapless.core.design import design_of
from gapless.core.losses import Hinge, Huber, Logistic, Loss, Pinball, Softmax, Squared
from gapless.core.patches import POOLS
from gapless.core.problem import BIAS_RULES
from gapless.core.reduction import Reduction
from gapless.gauge.base import Relaxation
from gapless.gauge.choose import METHODS
from gapless.gauge.search import Oracle

LONG = np.longdouble
# A bound may exceed what it bounds by this share: the rounding of the recomputation.
SLACK = 1e-12
LOSSES: list[Loss] = [
    Squared(), Huber(0.7), Logistic(), Hinge(), Hinge(smoothing=0.3), Softmax(), Pinball(0.3),
]  # fmt: skip

#: words and (lower, upper): a violation where lower is above upper
Check = tuple[str, float, float]


def targets(loss: Loss, n: int, C: int, rng: np.random.Generator) -> np.ndarray:
    if loss.targets == "onehot":
        return np.eye(max(C, 2))[rng.integers(max(C, 2), size=n)]
    if loss.targets == "sign":
        return rng.choice([-1.0, 1.0], size=(n, C))
    Y = rng.standard_normal((n, C))
    kind = rng.integers(6)
    if kind == 0:
        return Y + 10.0 ** rng.integers(1, 12)  # far from zero
    if kind == 1:
        return Y * 10.0 ** rng.integers(-120, 120)
    return np.round(2 * Y) if kind == 2 else Y


def samples(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of one of the hostile kinds."""
    rank = int(rng.integers(1, d + 1))
    X = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    kind = rng.integers(10)
    if kind == 0:
        X = np.round(2 * rng.standard_normal((n, rank))) @ np.round(
            2 * rng.standard_normal((rank, d))
        )
        X[rng.integers(n)] += 2.0 ** -rng.integers(5, 60) * rng.standard_normal(d)
    if kind == 1:
        X = X[rng.integers(max(1, n // 2), size=n)]
    if kind == 2:
        X = X[rng.integers(max(1, n // 2), size=n)]
        X = X * (1 + 10.0 ** -rng.integers(5, 17) * rng.standard_normal((n, d)))
    if kind == 3:
        X = X * 2.0 ** -rng.integers(0, 61, size=(n, 1))
    if kind == 4:
        X = X * 10.0 ** rng.integers(-150, 150)
    if kind == 5:
        X = np.eye(d)[rng.integers(d, size=n)] * rng.choice([1.0, 2.0], size=(n, 1))
    if kind == 6:
        X = X + 10.0 ** rng.integers(1, 9)
    if kind == 7:
        X = X * 10.0 ** rng.integers(-8, 8, size=d)
    if kind == 8 and n <= d:
        X = gl.whiten(rng.standard_normal((n, d)), 10.0 ** rng.integers(-90, 90))
        X = X * (1 + 10.0 ** -rng.integers(8, 17) * rng.standard_normal((n, 1)))
    return X


def weights(n: int, rng: np.random.Generator) -> np.ndarray | None:
    kind = rng.integers(6)
    if kind == 0:
        return 10.0 ** rng.uniform(-6, 6, n)
    if kind == 1:
        w = 10.0 ** rng.integers(-300, 300, n)
        return np.where(rng.random(n) < 0.2, 0.0, w) + (np.arange(n) == 0)
    return None


def problem(
    rng: np.random.Generator, low_rank: bool = False, most: tuple[int, int] | None = None
) -> Problem:
    """A random one of at most 40 samples and 6 features, or as many as said."""
    rows, columns = most or (40, 3 if low_rank else 6)
    while True:
        loss = LOSSES[rng.integers(len(LOSSES))]
        n, C = int(rng.integers(1, rows + 1)), int(rng.integers(1, 5))
        d = int(rng.integers(1, columns + 1))
        bias = BIAS_RULES[rng.integers(3)]
        X, Y = samples(n, d, rng), targets(loss, n, C, rng)
        decay = 10.0 ** rng.uniform(-6, 1)
        if rng.random() < 0.7:  # where something happens: a share of the gauge of the targets
            size = np.abs(Y).max() if loss.degree == 2 else 1.0
            decay = 10.0 ** rng.uniform(-4, 0) * np.linalg.norm(X, axis=1).mean() * size
        if not (np.isfinite(decay) and decay > 0):
            continue
        try:
            return Problem(X, Y, loss, decay, bias, weights(n, rng))
        except ValueError:
            continue


def long_loss(loss: Loss, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The loss of each sample in extended precision, written anew."""
    R = F - Y
    if isinstance(loss, Squared):
        return np.sum(R * R, axis=1) / 2
    if isinstance(loss, Huber):
        inner = np.minimum(np.abs(R), LONG(loss.delta))
        return np.sum(inner * (np.abs(R) - inner / 2), axis=1)
    if isinstance(loss, Logistic):
        return np.sum(np.logaddexp(LONG(0), -Y * F), axis=1)
    if isinstance(loss, Hinge):
        margin, mu = 1 - Y * F, LONG(loss.smoothing)
        if mu == 0:
            return np.sum(np.maximum(margin, 0), axis=1)
        t = np.clip(margin / mu, 0, 1)
        return np.sum(t * (margin - mu * t / 2), axis=1)
    if isinstance(loss, Pinball):
        return np.sum(np.where(R > 0, (1 - LONG(loss.quantile)) * R, -LONG(loss.quantile) * R), 1)
    top = F.max(axis=1, keepdims=True)
    return (top[:, 0] + np.log(np.sum(np.exp(F - top), axis=1))) - np.sum(F * Y, axis=1)


def long_pooled(X: Any, rows: np.ndarray) -> np.ndarray:
    """What a sample's rows become, written anew: (n, m Q), neuron by neuron; a table's stay."""
    if not isinstance(X, gl.Patches):
        return rows
    grid, pool = X.windows.grid, X.windows.pool
    cells = [tuple(p // k for p, k in zip(place, pool)) for place in np.ndindex(grid)]
    owner = np.unique(cells, axis=0, return_inverse=True)[1].ravel()
    M = (np.arange(owner.max() + 1)[:, None] == owner).astype(LONG)
    M /= M.sum(axis=1, keepdims=True)
    each = rows.reshape(len(X), len(owner), -1)
    return np.einsum("qp,npm->nmq", M, each).reshape(len(X), -1)


def long_objective(problem: Problem, network: Network) -> float:
    """The objective of a network in extended precision, its neurons balanced.

    Rounded up by what even that precision loses where scores cancel.
    """
    U, b, a, c = (
        np.asarray(v, LONG)
        for v in (
            network.hidden_weights, network.hidden_bias,
            network.output_weights, network.output_bias,
        )
    )  # fmt: skip
    A = design_of(problem.X).array().astype(LONG)
    penalised, Q = np.sum(a * a, axis=1), network.n_places
    a = a.reshape(len(a) * Q, -1) if len(a) else a[:, : len(c)]
    F, Y = long_pooled(problem.X, np.maximum(A @ U + b, 0)) @ a, problem.Y.astype(LONG)
    if problem.loss.degree is None:
        F = F + c
    else:  # beside targets far from zero even extended precision is too little
        Y = Y - c
    w = problem.sample_weight.astype(LONG)
    fit = np.sum(w * long_loss(problem.loss, F, Y))
    terms = long_pooled(problem.X, np.abs(A) @ np.abs(U) + np.abs(b))
    off = np.sum(terms @ np.abs(a), axis=1) * np.finfo(LONG).eps * (len(U) + 4)
    slope = np.sum(np.abs(F - Y), axis=1) + off if problem.loss.degree == 2 else 2.0
    fit += np.sum(w * slope * off)
    hidden = np.sum(U * U, axis=0)
    penalty = LONG(0)
    if problem.bias == "penalized":
        hidden = hidden + b * b
        penalty = np.sqrt(np.sum(c * c) / Q)
    penalty += np.sum(np.sqrt(hidden) * np.sqrt(penalised))
    return float(fit + LONG(problem.weight_decay) * penalty)


def gauges(rng: np.random.Generator) -> Iterator[Check]:
    """Every bound of the gauge against values at directions found, random, and on hyperplanes."""
    core = Reduction(problem(rng, low_rank=rng.random() < 0.7)).core
    F = rng.standard_normal(core.Y.shape) * 10.0 ** rng.uniform(-3, 1)
    Lam = core.dual_point(F)
    if rng.random() < 0.3 and core.n_samples > core.n_features:  # terms that cancel
        Lam = Lam - core.X @ np.linalg.lstsq(core.X, Lam, rcond=None)[0]
        Lam = core.centre(Lam) if core.free and core.loss.domain == "box" else Lam
    if not np.any(Lam) or not np.all(np.isfinite(Lam)):
        return
    found = Oracle(core.X, core.free, rng).search(Lam, np.zeros((core.n_features, 0)), 64)
    U = np.hstack([found.U, rng.standard_normal((core.n_features, 20))])
    norms = np.linalg.norm(U, axis=0)
    U = (U[:, norms > 0] / norms[norms > 0]).astype(LONG)
    U /= np.sqrt(np.sum(U * U, axis=0))
    S = core.X.astype(LONG) @ U
    L = Lam.astype(LONG)
    lost = 0.0
    if core.free:  # every kink; what sums lack is charged beside the bound
        Z = np.maximum(S[:, None, :] - S[None, :, :], 0).reshape(len(S), -1)
        lost = core.raised_gauge(Lam, 0.0)
    else:
        Z = np.maximum(S, 0)
    T = L.T @ Z
    best = float(np.sqrt(np.sum(T * T, axis=0)).max())
    for name, method in METHODS.items():
        if not method.applies(core) or (name == "branch and bound"):
            continue
        if name == "doubly nonnegative" and (core.n_samples > 15 or rng.random() < 0.8):
            continue
        if name == "quadratic" and rng.random() < 0.7:
            continue
        bound = method.bound(core, Lam)
        yield f"gauge, {name}", best, bound.upper + lost


def trained(rng: np.random.Generator) -> Iterator[Check]:
    """``train`` and ``certify`` against the networks that two seeds find."""
    given = problem(rng, low_rank=rng.random() < 0.6)
    found = [
        gl.train(given, tol=1e-6, max_iter=15, time_limit=0.3, random_state=int(seed))
        for seed in rng.integers(1000, size=2)
    ]
    best = min(long_objective(given, s.network) for s in found)
    for s in found:
        yield f"train, {s.certificate.proof}", s.certificate.lower_bound, best
    how = {"weight_decay": given.weight_decay, "loss": given.loss, "bias": given.bias}
    again = gl.certify(
        found[0].network, given.X, given.Y, **how,
        sample_weight=given.sample_weight, time_limit=0.2, n_starts=30,
    )  # fmt: skip
    yield f"certify, {again.proof}", again.lower_bound, best


def patches(rng: np.random.Generator) -> Iterator[Check]:
    """Small signals and images: every bound that fits, and training, against networks."""
    n, length, channels = int(rng.integers(1, 9)), int(rng.integers(2, 9)), int(rng.integers(1, 3))
    images = samples(n, length * channels, rng).reshape(n, length, channels)
    size = (int(rng.integers(1, min(length, 3) + 1)),)
    if rng.random() < 0.3:
        images, size = np.stack([images[..., 0]] * 2, axis=1), (int(rng.integers(1, 3)), size[0])
    pool = [*POOLS, int(rng.integers(1, 5))][rng.integers(4)]
    X = gl.Patches(images, size, int(rng.integers(1, 3)), int(rng.integers(2)), pool)
    loss = LOSSES[rng.integers(len(LOSSES))]
    Y, bias = targets(loss, n, int(rng.integers(1, 4)), rng), BIAS_RULES[rng.integers(3)]
    decay = 10.0 ** rng.uniform(-4, 0) * (X.row_norms().mean() or 1.0)
    decay *= np.abs(Y).max() if loss.degree == 2 else 1.0
    if not (np.isfinite(decay) and decay > 0):
        return
    given = Problem(X, Y, loss, decay, bias, weights(n, rng))
    core = Reduction(given).core
    Lam, A = core.dual_point(rng.standard_normal(core.Y.shape)), core.design
    U = rng.standard_normal((core.n_features, 30))
    normals = A.dense_rows(rng.integers(A.n_rows, size=30)).T  # and on hyperplanes
    V = U - normals * np.sum(normals * U, axis=0) / np.maximum(np.sum(normals**2, axis=0), 1e-300)
    U = np.hstack([U, V, normals]).astype(LONG)
    size = np.sqrt(np.sum(U * U, axis=0))
    U = U[:, (size > 0) & np.isfinite(size)] / size[(size > 0) & np.isfinite(size)]
    S, lost = A.array().astype(LONG) @ U, 0.0
    if core.free:
        S = (S[:, None, :] - S[None, :, :]).reshape(len(S), -1)
        lost = core.raised_gauge(Lam, 0.0)
    if S.size and np.any(Lam):
        Z = long_pooled(A, np.maximum(S, 0)).reshape(len(A), -1, A.places)
        T = np.einsum("nc,nmq->mcq", Lam.astype(LONG), Z)
        best = float(np.sqrt(np.sum(T * T, axis=(1, 2))).max())
        for name, method in METHODS.items():
            if method.fits(core) and not isinstance(method, Relaxation):
                yield f"patches, {name}", best, method.bound(core, Lam).upper + lost
    found = gl.train(given, tol=1e-6, max_iter=4, time_limit=0.3)
    value = long_objective(given, found.network)
    yield f"patches, train, {found.certificate.proof}", found.certificate.lower_bound, value
    with tempfile.TemporaryDirectory() as folder:
        path, again = f"{folder}/proof.npz", None
        with contextlib.suppress(ValueError):  # numbers that the checker refuses
            again = gl.certify(
                found.network, X, Y, weight_decay=decay, loss=loss, bias=bias, proof=path,
                sample_weight=given.sample_weight, time_limit=0.3, n_starts=20,
            )  # fmt: skip
        if again is not None:
            yield f"patches, certify, {again.proof}", again.lower_bound, value
            valid, proven, _ = gl.verify(path, images, Y)
            yield "patches, proof file", proven if valid else np.inf, value


def small(rng: np.random.Generator) -> Iterator[Check]:
    """One and two dimensions, where bounds are tight: a few rounds of training a case."""
    given = problem(rng, most=(12, 2))
    s = gl.train(given, tol=1e-8, max_iter=2)
    best = long_objective(given, s.network)
    yield f"small, {s.certificate.proof}", s.certificate.lower_bound, best


def low_rank(rng: np.random.Generator) -> Iterator[Check]:
    """Exact rank one or two but for rows of other size, or a row that is moved a little."""
    n, d, r = int(rng.integers(2, 13)), int(rng.integers(1, 7)), int(rng.integers(1, 3))
    X = np.round(3 * rng.standard_normal((n, r))) @ np.round(3 * rng.standard_normal((r, d)))
    if rng.random() < 0.5:
        X[rng.integers(n)] += 2.0 ** -rng.integers(10, 61) * rng.standard_normal(d)
    if rng.random() < 0.7:
        X = X * 2.0 ** -rng.integers(0, 61, size=(n, 1))
    if rng.random() < 0.3:
        X = X @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    Y = targets(Squared(), n, 1, rng)
    Y = Y * np.exp2(rng.integers(0, 40, size=(n, 1))) if rng.random() < 0.3 else Y
    decay = 10.0 ** rng.uniform(-12, 0) * (np.linalg.norm(X, axis=1).max() or 1.0)
    decay *= np.abs(Y).max() or 1.0
    given = Problem(X, Y, "squared", decay, BIAS_RULES[rng.integers(3)])
    s = gl.train(given, tol=1e-8, max_iter=4)
    yield (
        f"low rank, {s.certificate.proof}",
        s.certificate.lower_bound,
        long_objective(given, s.network),
    )
    if given.bias == "none":
        try:
            closed = gl.solve_rank_one_relu(X, Y, decay)
        except ValueError:
            return
        best = min(long_objective(given, s.network), _long_deep(given, closed.network))
        yield "low rank, solve_rank_one_relu", closed.lower_bound, best


def interpolated(rng: np.random.Generator) -> Iterator[Check]:
    n, d, C = (int(rng.integers(1, high)) for high in (9, 8, 4))
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((n, C))
    X, Y = X * 10.0 ** rng.integers(-100, 100), Y * 10.0 ** rng.integers(-100, 100)
    bias = BIAS_RULES[rng.integers(3)] if abs(np.log10(np.abs(X).max())) < 5 else "none"
    try:
        found = [
            gl.interpolate(X, Y, bias=bias, max_iter=30, time_limit=0.5, random_state=seed)
            for seed in (0, 1)
        ]
    except ValueError:  # out of reach, or not in time
        return
    best = min(float(s.network.penalty(bias)) for s in found) * (1 + 1e-9)  # of a fit to rounding
    for s in found:
        yield f"interpolate, {s.certificate.proof}", s.certificate.lower_bound, best


def closed_forms(rng: np.random.Generator) -> Iterator[Check]:
    """Closed forms against their own networks and, for two layers, trained ones."""
    n, d, K = (int(rng.integers(1, high)) for high in (7, 9, 4))
    depth, kind = int(rng.integers(2, 5)), rng.integers(4)
    X = rng.standard_normal((n, d))
    if kind == 0:
        X = np.outer(rng.standard_normal(n) * 2.0 ** -rng.integers(0, 40, n), X[0])
        X = X + 10.0 ** -rng.integers(8, 18) * np.abs(X).max() * rng.standard_normal((n, d))
    elif kind == 1 and n <= d:
        X = gl.whiten(X) * (1 + 10.0 ** -rng.integers(7, 18) * rng.standard_normal((n, 1)))
    elif kind == 2:
        X = X * 2.0 ** -rng.integers(0, 40, (n, 1))
    Y = rng.standard_normal((n, K))
    if rng.random() < 0.4:
        Y = np.eye(max(K, 2))[rng.integers(max(K, 2), size=n)]
    if rng.random() < 0.2:
        Y = Y + 10.0 ** rng.integers(1, 12)
    t, s = 10.0 ** rng.integers(-90, 90), 10.0 ** rng.integers(-90, 90)
    decay = 10.0 ** rng.uniform(-5, 0) * s ** (2 - 2 / depth) * t ** (2 / depth) / n
    X, Y = X * t, Y * s
    solvers: list[Callable[..., gl.DeepSolution]] = [
        gl.solve_rank_one_relu, gl.solve_whitened_relu, gl.solve_nearly_whitened_relu,
        gl.solve_whitened_interval, gl.solve_deep_linear,
    ]  # fmt: skip
    for solve in solvers:
        try:
            solution = solve(X, Y, decay, depth=depth)
        except ValueError:
            continue
        given = Problem(X, Y, "squared", decay, "none")
        best = _long_deep(given, solution.network)
        linear = solution.network.activation == "linear"
        if depth == 2 and not linear:
            net = gl.train(given, tol=1e-6, max_iter=10, time_limit=0.2).network
            best = min(best, long_objective(given, net))
        words = f"{solve.__name__}, {solution.optimality.name}"
        yield words, solution.lower_bound, best
        if not linear:
            bound = gl.deep_lower_bound(given, depth, solution.network.predict(X), "scaled")
            yield "deep_lower_bound", bound.lower_bound, best


def _long_deep(given: Problem, network: gl.DeepNetwork) -> float:
    A, penalty = given.X.astype(LONG), LONG(0)
    for l, W in enumerate(network.weights):
        W = W.astype(LONG)
        A = A @ W
        if l < network.depth - 1 and network.activation == "relu":
            A = np.maximum(A, 0)
        penalty += np.sum(W * W) / 2
    fit = np.sum(given.sample_weight * long_loss(given.loss, A, given.Y))
    return float(fit + LONG(given.weight_decay) * penalty)


def splines(rng: np.random.Generator) -> Iterator[Check]:
    n = int(rng.integers(2, 30))
    x = rng.standard_normal(n)
    kind = rng.integers(5)
    if kind == 0:
        x = x[rng.integers(n, size=n)] + 10.0 ** -rng.integers(8, 22) * rng.standard_normal(n)
    if kind == 1:
        x = np.append(rng.standard_normal(3) * 10.0 ** -rng.integers(10, 30, 3), [1.0, 2.0])
    if kind == 2:
        x = x * 10.0 ** rng.integers(-100, 100) + 10.0 ** rng.integers(0, 9)
    n = len(x)
    loss = [Squared(), Huber(0.7), Pinball(0.3), Logistic(), Hinge()][rng.integers(5)]
    y = targets(loss, n, 1, rng)[:, 0]
    slope = np.abs(y).max() if loss.degree == 2 else 1.0
    decay = 10.0 ** rng.uniform(-6, 0) * max(np.ptp(x), 1e-200) * slope
    if rng.random() < 0.2:
        decay *= 10.0 ** -rng.integers(5, 15)
    try:
        s = gl.solve_spline(x, y, weight_decay=decay, loss=loss)
        near = gl.solve_spline(x, y, weight_decay=decay, loss=loss, tol=1e-3, start=x)
        given = Problem(x[:, None], y, loss, decay, "free")
    except ValueError:
        return
    nets = [s.network, near.network, _connected(x, y)]
    best = min(long_objective(given, net) for net in nets)
    yield f"solve_spline, {loss.name}", s.certificate.lower_bound, best
    yield "solve_spline, history", max(s.history.lower_bound), best


def _connected(x: np.ndarray, y: np.ndarray) -> Network:
    """The network that connects the dots."""
    x, first = np.unique(x, return_index=True)
    y = y[first]
    if len(x) < 2:
        return Network(np.zeros((1, 0)), np.zeros(0), np.zeros((0, 1)), y[:1])
    with np.errstate(all="ignore"):
        slopes = np.diff(y) / np.diff(x)
        change = np.diff(slopes, prepend=0.0)
    if not np.all(np.isfinite(change)):
        return Network(np.zeros((1, 0)), np.zeros(0), np.zeros((0, 1)), y.mean(keepdims=True))
    root = np.sqrt(np.abs(change))
    return Network(root[None], -root * x[:-1], (np.sign(change) * root)[:, None], y[:1])


FAMILIES: dict[str, Callable[[np.random.Generator], Iterator[Check]]] = {
    "gauges": gauges,
    "trained": trained,
    "small": small,
    "patches": patches,
    "low rank": low_rank,
    "interpolated": interpolated,
    "closed forms": closed_forms,
    "splines": splines,
}


def attack(family: str, seed: int, report: Callable[[str], None] = print) -> tuple[int, int]:
    """One case of ``family``: bounds tried and violated; ``report`` hears of the latter."""
    tried = broken = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for words, lower, upper in FAMILIES[family](np.random.default_rng(seed)):
                tried += 1
                if not lower <= upper * (1 + SLACK) + 1e-300:
                    broken += 1
                    report(f"{family}, seed {seed}: {words}: {lower:.17g} > {upper:.17g}")
        except Exception as error:
            broken += 1
            report(f"{family}, seed {seed}: {type(error).__name__}: {error}")
    return tried, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--cases", type=int, help="of a family: end there even before the minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--family", choices=tuple(FAMILIES), action="append")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    cases: Counter[str] = Counter()
    bounds: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for seed in itertools.count(args.seed):
        for family in args.family or FAMILIES:
            # cheap families get as much time as costly ones, so more cases
            share = time.monotonic() + 0.5
            for k in itertools.count():
                if time.monotonic() > share or k == 1000 or cases[family] == args.cases:
                    break
                tried, broken = attack(family, 1000 * seed + k)
                cases[family] += 1
                bounds[family] += tried
                violations[family] += broken
        families = args.family or FAMILIES
        if time.monotonic() > end or all(cases[family] == args.cases for family in families):
            break
    for family in cases:
        print(f"{family:14s} {cases[family]:8d} cases {bounds[family]:8d} bounds "
              f"{violations[family]} violated")  # fmt: skip
    return int(sum(violations.values()) > 0)


if __name__ == "__main__":
    sys.exit(main())
