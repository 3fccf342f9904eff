"""Newton's method on all the weights of a network, its kinks softened.

Where weight decay is small nearly every optimal neuron lies on several data hyperplanes.
There L-BFGS zigzags, and a Newton step ends at the first of many kinks.  So each ReLU is
softened,

    phi_e(s) = (s + sqrt(s^2 + e^2)) / 2,        phi_e >= relu,  phi_e -> relu as e -> 0,

Newton's method takes a few steps, and e falls, as on the central path of an interior-point
method: many kinks are crossed at once.  With ``w_j = ||a_j|| u_j``, ``v_j = a_j / ||a_j||`` and
``g_i`` the derivative of the data fit in the outputs of sample i, the Hessian is taken as

    J^T H J + diag(B_j),   B_j = beta / ||w_j|| (I - w_j w_j^T / ||w_j||^2)
                                 + sum_i max(g_i.v_j, 0) phi''(s_ij) x_i x_i^T,

J the derivative of the outputs in w, v and a free output bias, H a curvature number a sample (at
or above the loss's), and B_j with a multiple of the identity for v on its sphere; what couples w
and v is left out.  For one output that is exact where ``g_i.v_j >= 0`` (kinks that hold a neuron)
and the loss is quadratic; it is positive semidefinite everywhere, and definite once damped.  By
Woodbury a step factors one matrix with a row for each sample and output, and a small one for each
neuron.

A local method: it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from ..core.checks import Array
from ..core.network import Network
from ..core.problem import Problem
from .master import curvature

# A step takes about rows^2 (rows + neurons x features) operations, a row for each output of each
# sample; where that is more than this, L-BFGS is further in the same time.
MOST_WORK = 1.5e9
# Width e of the kinks at first and last, relative to the root mean square of a neuron's scores.  A
# wider start undoes what is already good.
WIDEST, NARROWEST = 0.03, 6e-4
# Steps at one width, and the factor to the next.
STEPS, NARROW = 3, 0.5
# Levenberg-Marquardt damping, relative to weight_decay / ||w_j||: at first, and its range.
DAMPING, LEAST_DAMPING, MOST_DAMPING = 0.1, 1e-4, 1e3
# Share of the decrement that a step must bring, and the smallest step tried.
ARMIJO, LEAST_STEP = 0.01, 1e-3
# A decrement below this share of the objective ends the steps at one width.
DECREMENT = 1e-5
# Neurons this much smaller than the largest are left out.
DEAD = 1e-5


def worthwhile(problem: Problem, network: Network) -> bool:
    """Whether the data are dense and a step takes no more than :data:`MOST_WORK` operations.

    Parameters
    ----------
    problem : Problem
    network : Network

    Returns
    -------
    bool
    """
    rows = problem.n_samples * problem.n_outputs
    columns = network.n_neurons * (problem.n_features + problem.n_outputs)
    work = rows**2 * (rows + columns)
    return network.n_neurons > 0 and work <= MOST_WORK and problem.design.dense


def sharpen(problem: Problem, network: Network, stop: Callable[[], bool]) -> Network:
    """Follow the path of softened networks from ``network``; the objective never increases.

    ``problem`` is a core problem with a smooth loss; biases move when they are free.  ``stop`` is
    asked after each step.

    Parameters
    ----------
    problem : Problem
        A core problem with a smooth loss; biases move when they are free.
    network : Network
    stop : callable
        Asked after each step; a true answer ends.

    Returns
    -------
    Network
        The best one seen.
    """
    best, least = network, network.objective(problem)
    point, width, stopped = _Point.of(problem, network), WIDEST, stop()
    while width >= NARROWEST and not stopped:
        point = point.without_dead()
        if point.W.shape[1] == 0:
            break
        point.soften(width)
        for _ in range(STEPS):
            try:
                decrement = point.step()
            except np.linalg.LinAlgError:
                return best
            stopped = stop()
            if stopped or not decrement > DECREMENT * point.value:
                break
        found = point.network()
        value = found.objective(problem)
        if value < least:
            best, least = found, value
        width *= NARROW
    return best


@dataclass
class _Point:
    """Weights W (k, m) with their bias in the last row when it is free, V (m, C), c (C,).

    ``e`` (m,) are the widths of the kinks, ``value`` the objective of the softened network.
    """

    problem: Problem
    A: Array
    W: Array
    V: Array
    c: Array
    e: Array
    damping: float = DAMPING
    value: float = np.inf

    @classmethod
    def of(cls, problem: Problem, network: Network) -> _Point:
        network = network.balance(problem.bias)
        size = np.linalg.norm(network.output_weights, axis=1)
        W, A = network.hidden_weights * size, problem.design
        if problem.free:
            W, A = np.vstack([W, network.hidden_bias * size]), A.with_ones()
        V, c = network.output_weights / size[:, None], network.output_bias
        return cls(problem, A.array(), W, V, c, np.zeros(len(size)))

    def network(self) -> Network:
        k = self.problem.n_features
        root = np.sqrt(np.linalg.norm(self.W[:k], axis=0))
        U = self.W / root
        b = U[k] if self.problem.free else np.zeros(len(root))
        return Network(U[:k], b, self.V * root[:, None], self.c)

    def without_dead(self) -> _Point:
        size = np.linalg.norm(self.W[: self.problem.n_features], axis=0)
        keep = size > DEAD * size.max(initial=0.0)
        return replace(self, W=self.W[:, keep], V=self.V[keep], e=self.e[keep])

    def soften(self, width: float) -> None:
        """Kinks of ``width`` times the root mean square of each neuron's scores."""
        S = self.A @ self.W
        self.e = width * np.sqrt(self.problem.sample_weight @ (S * S))
        self.e = np.maximum(self.e, 1e-9 * self.e.max() + np.finfo(float).tiny)
        self.value = self._value(self.W, self.V, self.c)

    def _value(self, W: Array, V: Array, c: Array) -> float:
        S = self.A @ W
        F = 0.5 * (S + np.hypot(S, self.e)) @ V + c
        size = np.linalg.norm(W[: self.problem.n_features], axis=0)
        return self.problem.data_fit(F) + self.problem.weight_decay * float(size.sum())

    def step(self) -> float:
        """One damped Newton step; the Newton decrement, zero if the objective did not fall."""
        decrement, dW, dV, dc = self._direction()
        t = 1.0
        while t > LEAST_STEP:
            W, V, c = self.W + t * dW, self.V + t * dV, self.c + t * dc
            V /= np.linalg.norm(V, axis=1, keepdims=True)
            value = self._value(W, V, c)
            if value < self.value - ARMIJO * t * decrement:
                self.W, self.V, self.c, self.value = W, V, c, value
                self._damp(0.4 if t == 1 else 1.0 if t > 0.2 else 4.0)
                return decrement
            t *= 0.3
        self._damp(10.0)
        return 0.0

    def _direction(self) -> tuple[float, Array, Array, Array]:
        """``slope . H^-1 slope`` and ``-H^-1 slope`` for the Hessian H of the module docstring."""
        problem, A, W, V = self.problem, self.A, self.W, self.V
        beta, k, C = problem.weight_decay, problem.n_features, problem.n_outputs
        n, (d, m) = len(A), W.shape
        S = A @ W
        root = np.hypot(S, self.e)
        # phi, its first and second derivative
        Z, gate, bend = 0.5 * (S + root), 0.5 * (1 + S / root), 0.5 * (self.e / root) ** 2 / root
        F = Z @ V + self.c
        G = -problem.residual(F)
        pull = G @ V.T
        size = np.linalg.norm(W[:k], axis=0)
        unit = W / size
        unit[k:] = 0.0
        # gradients in W and in V along its spheres
        slope_W = A.T @ (pull * gate) + beta * unit
        T = Z.T @ G
        radial = np.einsum("mc,mc->m", T, V)
        slope_V = T - radial[:, None] * V
        # B_j = L_j L_j^T; a free bias is damped, not penalised
        B = (A.T[None] * (np.maximum(pull, 0.0) * bend).T[:, None, :]) @ A
        penalised = (np.arange(d) < k).astype(float)
        identity = np.diag(penalised + self.damping)
        B += (beta / size)[:, None, None] * (identity - np.einsum("km,lm->mkl", unit, unit))
        inverse = np.linalg.inv(np.linalg.cholesky(B))
        # variables in which diag(B_j) is the identity: P the derivative of the outputs in them
        P = (A @ inverse.reshape(m * d, d).T).reshape(n, m, d) * gate[:, :, None]
        P = (P[:, None] * V.T[None, :, :, None]).reshape(n * C, m * d)
        slope = np.einsum("mkl,lm->mk", inverse, slope_W).ravel()
        if C > 1:
            bow = 1 / np.sqrt(np.maximum(-radial, 0.0) + self.damping * beta * size)
            tangent = (np.eye(C) - V[:, :, None] * V[:, None, :]) * bow[:, None, None]
            P = np.hstack([P, np.einsum("nm,mce->ncme", Z, tangent).reshape(n * C, m * C)])
            slope = np.append(slope, slope_V * bow[:, None])
        if problem.free:  # the output bias, hardly damped
            ease = 1 / np.sqrt(LEAST_DAMPING * problem.loss.smoothness)
            P = np.hstack([P, np.tile(ease * np.eye(C), (n, 1))])
            slope = np.append(slope, ease * G.sum(axis=0))
        P *= np.repeat(np.sqrt(curvature(problem, F)), C)[:, None]
        K = P @ P.T
        K[np.diag_indices(n * C)] += 1.0
        factor = scipy.linalg.cho_factor(K, overwrite_a=True, check_finite=False)
        move = P.T @ scipy.linalg.cho_solve(factor, P @ slope, check_finite=False) - slope
        dW = np.einsum("mlk,ml->km", inverse, move[: m * d].reshape(m, d))
        dV = bow[:, None] * move[m * d : m * (d + C)].reshape(m, C) if C > 1 else np.zeros((m, C))
        dc = ease * move[-C:] if problem.free else np.zeros(C)
        return -float(slope @ move), dW, dV, dc

    def _damp(self, factor: float) -> None:
        self.damping = min(max(factor * self.damping, LEAST_DAMPING), MOST_DAMPING)
