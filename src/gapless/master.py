"""The master: the convex problem restricted to fixed neurons.

With the hidden layer fixed, Z = (A U + b)_+ (n, m) with unit neurons, training is a group
lasso with an optional free intercept,

    min_{a, c}  sum_i w_i loss(Z_i a + c, y_i) + beta sum_j ||a_j||_2,

solved by an active-set Newton method.  On the active neurons the objective is smooth; its
Hessian, with one curvature number a sample (exact for one output), is

    H = (G + D) (x) I_C - V E V^T,   G = Z^T diag(w h) Z,   D = E = diag(beta / ||a_j||),

where column j of V holds a_j / ||a_j|| in block j.  By Woodbury one Newton step costs two
m x m factorisations whatever the number of outputs C.  For one output D - E cancels and this
is the sign-by-sign lasso step.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from ._validate import Array
from .problem import Problem

# Each step drops, adds or moves; a few hundred settle every master met so far, and a master
# left unfinished is only a worse start for the next round.
MAX_STEPS = 300
# Curvature of flat samples (confident logistic, clipped Huber), relative to the largest.
FLAT = 1e-4


def solve_master(
    problem: Problem, Z: Array, a: Array, c: Array, tol: float = 1e-7
) -> tuple[Array, Array]:
    """Output weights ``a`` (m, C) and bias ``c`` (C,), from the given ones.

    ``Z`` (n, m) holds the activations of neurons of unit penalised norm.  Stops when every
    inactive neuron obeys ``||Z_j^T Lam|| <= beta (1 + tol)`` and the Newton decrement on the
    active ones is rounding.  The objective never increases.  ``c`` moves only when
    ``problem.free``.
    """
    master = _Master(problem, Z, a, c)
    for _ in range(MAX_STEPS):
        if master.newton_step() and not master.activate(tol):
            break
    return master.a, master.c


class _Master:
    def __init__(self, problem: Problem, Z: Array, a: Array, c: Array) -> None:
        self.problem, self.Z, self.beta = problem, Z, problem.weight_decay
        self.a, self.c = a.copy(), c.copy()
        self.active = np.flatnonzero(np.linalg.norm(a, axis=1))
        self.F = Z @ a + c
        self.value = self._objective(self.F, self.a)
        self.gram: Array | None = None
        if problem.loss.name == "squared":  # constant curvature: one Gram matrix for all steps
            self.gram = self._bordered_gram(Z, problem.sample_weight)

    def _objective(self, F: Array, a: Array) -> float:
        return self.problem.data_fit(F) + self.beta * float(np.sum(np.linalg.norm(a, axis=1)))

    def _bordered_gram(self, Z: Array, h: Array) -> Array:
        """``[Z, 1]^T diag(h) [Z, 1]``; the column of ones is dropped unless the bias is free."""
        Zh = Z * np.sqrt(h)[:, None]
        if self.problem.free:
            Zh = np.hstack([Zh, np.sqrt(h)[:, None]])
        return Zh.T @ Zh

    def _curvature(self) -> Array:
        h = self.problem.loss.curvature(self.F, self.problem.Y)
        return self.problem.sample_weight * np.maximum(h, FLAT * max(float(h.max()), 1e-12))

    def activate(self, tol: float) -> bool:
        """Give the most violating inactive neurons a first weight; False if there are none."""
        scores = self.Z.T @ self.problem.residual(self.F)
        size = np.linalg.norm(scores, axis=1)
        size[self.active] = 0.0
        violating = np.flatnonzero(size > self.beta * (1 + tol))
        if violating.size == 0:
            return False
        # A share at a time: the neighbours of one maximum are nearly collinear.
        count = min(violating.size, 1 + len(self.active) // 4)
        enter = violating[np.argsort(-size[violating])[:count]]
        # A proximal step for each, divided by their number, cannot raise the objective.
        Z = self.Z[:, enter]
        lipschitz = (Z * Z).T @ self._curvature() * count
        a = self.a.copy()
        a[enter] = scores[enter] * ((1 - self.beta / size[enter]) / lipschitz)[:, None]
        return self._move(a, self.c, np.concatenate([self.active, enter]))

    def newton_step(self) -> bool:
        """One step on the active neurons; True when nothing is left to gain."""
        S, beta = self.active, self.beta
        R = self.problem.residual(self.F)
        size = np.linalg.norm(self.a[S], axis=1)
        unit = self.a[S] / size[:, None]
        gradient = beta * unit - self.Z[:, S].T @ R
        if self.problem.free:
            gradient = np.vstack([gradient, -R.sum(axis=0)])
        if gradient.size == 0:
            return True
        if self.gram is not None:
            index = np.append(S, len(self.a)) if self.problem.free else S
            G = self.gram[np.ix_(index, index)]
        else:
            G = self._bordered_gram(self.Z[:, S], self._curvature())
        step = -_solve_hessian(G, beta / size, unit, gradient)
        decrement = -float(np.sum(gradient * step))
        if decrement <= 1e-14 * max(abs(self.value), 1e-300):
            return True
        step_a, step_c = step[: len(S)], (step[-1] if self.problem.free else 0.0)
        # A group that turns round passes zero and leaves.  Try the whole step with all of
        # them gone, then the way to the first zero, on which a quadratic always falls.
        along = np.einsum("jc,jc->j", step_a, unit)
        first = min(1.0, float(np.min(-size[along < 0] / along[along < 0], initial=1.0)))
        for t in (1.0, first, *(first * 0.4**i for i in range(1, 20))):
            moved = self.a[S] + t * step_a
            moved[size + t * along <= 1e-14 * size] = 0.0
            a = self.a.copy()
            a[S] = moved
            if self._move(a, self.c + t * step_c, S):
                return False
        return True

    def _move(self, a: Array, c: Array, active: Array) -> bool:
        """Go there if the objective falls."""
        active = active[np.linalg.norm(a[active], axis=1) > 0]
        F = self.Z[:, active] @ a[active] + c
        value = self._objective(F, a[active])
        if not value < self.value:
            return False
        self.a, self.c, self.F, self.value, self.active = a, c, F, value, active
        return True


def _solve_hessian(G: Array, D: Array, unit: Array, right: Array) -> Array:
    """Solve ``((G + D) (x) I - V D V^T) x = right`` (module docstring); rows are blocks.

    ``G`` may have one more row and column than ``D``: the unpenalised bias.
    """
    m, C = len(D), right.shape[1]
    ridge = 1e-13 * np.trace(G) / len(G) + 1e-300
    for _ in range(8):
        K = G.copy()
        K[np.arange(len(G)), np.arange(len(G))] += ridge
        if C > 1:
            K[np.arange(m), np.arange(m)] += D
        try:
            factor = scipy.linalg.cho_factor(K, check_finite=False)
        except np.linalg.LinAlgError:
            ridge *= 100
            continue
        x = scipy.linalg.cho_solve(factor, right, check_finite=False)
        if C == 1 or m == 0:
            return np.asarray(x)
        K = scipy.linalg.cho_solve(factor, np.eye(len(G)), check_finite=False)
        # (D^-1 - V^T K V) scaled by D on both sides; positive definite but for rounding
        root = np.sqrt(D)
        inner = np.eye(m) * (1 + 1e-11) - root[:, None] * K[:m, :m] * (unit @ unit.T) * root
        y = root * np.einsum("jc,jc->j", unit, x[:m])
        try:
            factor = scipy.linalg.cho_factor(inner, check_finite=False)
            y = root * scipy.linalg.cho_solve(factor, y, check_finite=False)
        except np.linalg.LinAlgError:
            y = root * np.linalg.lstsq(inner, y, rcond=1e-10)[0]
        return np.asarray(x + K[:, :m] @ (unit * y[:, None]))
    return right / (np.diag(G).max() + 1.0)
