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

Where curvature is no number, as of a softmax, conjugate gradients take the step on the exact
Hessian.  One number a sample is then a poor preconditioner: of a hundred classes a sample bends
towards a few.  With the curvature of each output alone G differs from output to output, which
costs C factorisations, and the rest is the same.

Where activations are pooled at Q places, a neuron has Q columns of Z and a group is its Q C output
weights.  Then G has m Q rows, each of its own neuron's D, V the Q unit vectors of a neuron in one
column, and the second factorisation stays m x m.  With many columns those take too long, and
accelerated proximal steps do it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from ..core.checks import Array
from ..core.problem import Problem
from ..core.watch import never

# Each step drops, adds or moves.  A master left unfinished is only a worse start for the next
# round: with 300 steps a softmax with 100 neurons takes three times as long in all.
MAX_STEPS = 60
# Curvature given to flat samples (confident logistic, clipped Huber), relative to the largest
# the loss can have.
FLAT = 1e-4
# A decrement this small against the objective is rounding.
ROUNDING = 1e-15
# New neurons enter once the decrement has fallen by this factor.
FORCING = 1e-2
# Steps of conjugate gradients where the curvature of a sample is not one number, and columns from
# which factors for each output would take longer than those.
CG_STEPS, FINE = 12, 128
# Columns from which a factorisation costs more than a hundred proximal steps, those steps at most,
# and how many apart the gain is looked at.
WIDE, PROXIMAL_STEPS, LOOK = 1024, 400, 10
# Squared loss on more rows than this, and than four a neuron, is solved on its normal equations.
TALL = 8192
# Least square of a pivot, as a share of the trace, with which a Cholesky factor is the root of a
# Gram matrix: eigenvectors take ten times as long.
CHOLESKY = 1e-10


@np.errstate(
    over="ignore", invalid="ignore"
)  # steps on targets whose squares overflow gain nothing
def solve_master(
    problem: Problem,
    Z: Array,
    a: Array,
    c: Array,
    accuracy: float = 1e-12,
    stop: Callable[[], bool] = never,
    signs: Array | None = None,
) -> tuple[Array, Array]:
    """Output weights and bias of the best network over fixed neurons.

    Stops when the Newton decrement on the active neurons is below ``accuracy`` times the objective
    and every inactive one obeys ``||Z_j^T Lam|| <= beta (1 + sqrt(accuracy))``.  The objective
    never increases.

    Parameters
    ----------
    problem : Problem
    Z : array of shape (n_samples, m Q)
        Activations of neurons of unit penalised norm, the Q places of each side by side.
    a : array of shape (m, Q n_outputs)
    c : array of shape (n_outputs,)
        The start; c moves only when ``problem.free``.
    accuracy : float, default 1e-12
    stop : callable
        Asked before each step.
    signs : array of shape (m,), optional
        Of one output: 1 and -1 where a weight may only be above or below zero, as ``a`` is, else 0.

    Returns
    -------
    a : array of shape (m, Q n_outputs)
    c : array of shape (n_outputs,)
    """
    n, m = Z.shape
    if m > WIDE and m > len(a):
        return _solve_wide(problem, Z, a, c, accuracy, stop)
    if m == len(a) and problem.loss.constant_curvature and n > max(TALL, 4 * m) and m > 0:
        return _solve_tall(problem, Z, a, c, accuracy, stop, signs)
    master = _Master(problem, Z, a, c, signs)
    tol = accuracy**0.5
    goal = 0.0  # decrement at which new neurons are worth more than another Newton step
    for _ in range(MAX_STEPS):
        if stop():
            break
        decrement = master.newton_step()
        if decrement > max(goal, accuracy * abs(master.value)):
            goal = max(goal, FORCING * decrement)
        elif master.activate(tol):
            goal = 0.0
        elif goal == 0.0 or decrement <= accuracy * abs(master.value):
            break
        else:
            goal = 0.0
    return master.a, master.c


def _solve_tall(
    problem: Problem,
    Z: Array,
    a: Array,
    c: Array,
    accuracy: float,
    stop: Callable[[], bool],
    signs: Array | None,
) -> tuple[Array, Array]:
    """Squared loss through the moments of Z and Y: no step touches all the rows again."""
    w, Y = problem.sample_weight, problem.Y - c
    mean, centre = (w @ Z, w @ Y) if problem.free else (np.zeros(len(a)), np.zeros(len(c)))
    root = np.sqrt(w)[:, None]
    Zw = root * Z
    gram = Zw.T @ Zw - np.outer(mean, mean)  # of the form A^T A, for which BLAS does half the work
    cross = Zw.T @ (root * Y) - np.outer(mean, centre)
    power = float(w @ np.sum((Y - centre) ** 2, axis=1))
    small, R = normal_problem(gram, cross, power, problem.weight_decay)
    a, _ = solve_master(small, R, a, np.zeros_like(c), accuracy, stop, signs)
    return a, c + centre - mean @ a


def normal_problem(
    gram: Array, cross: Array, power: float, weight_decay: float
) -> tuple[Problem, Array]:
    """A squared-loss problem and activations R with the given moments.

    ``R^T W R = gram``, ``R^T W Y = cross`` and ``sum_i w_i ||y_i||^2 = power``, so that it and any
    data of these moments have the same master.

    Parameters
    ----------
    gram : array of shape (m, m)
    cross : array of shape (m, n_outputs)
    power : float
    weight_decay : float

    Returns
    -------
    problem : Problem
    R : array of shape (k, m)
        At most m + 1 rows.
    """
    root, Y = _root(gram, cross)
    # what no neuron can explain sits in a row of zeros
    rest = np.zeros((1, cross.shape[1]))
    rest[0, 0] = np.sqrt(max(power - float(np.sum(Y * Y)), 0.0))
    R = np.vstack([root, np.zeros((1, len(gram)))])
    scale = np.sqrt(len(R))  # each row weighs one over their number
    Y = scale * np.vstack([Y, rest])
    return Problem(R, Y, "squared", weight_decay, "none"), scale * R


def _root(gram: Array, cross: Array) -> tuple[Array, Array]:
    """R and Y of which ``R^T R = gram`` and ``R^T Y = cross``."""
    L, failed = scipy.linalg.lapack.dpotrf(gram, lower=True)
    if not failed and float(np.diag(L).min(initial=1.0)) ** 2 > CHOLESKY * np.trace(gram):
        return L.T, scipy.linalg.solve_triangular(L, cross, lower=True, check_finite=False)
    s, V = np.linalg.eigh(gram)
    keep = s > 1e-14 * max(float(s[-1]), 0.0)
    s, V = s[keep], V[:, keep]
    return np.sqrt(s)[:, None] * V.T, V.T @ cross / np.sqrt(s)[:, None]


def curvature(problem: Problem, F: Array) -> Array:
    """Of the data fit at the outputs ``F``, one number a sample (n,), kept off zero."""
    loss = problem.loss
    h = np.maximum(loss.curvature(F, problem.Y), FLAT * loss.smoothness)
    return problem.sample_weight * h


def _solve_wide(
    problem: Problem, Z: Array, a: Array, c: Array, accuracy: float, stop: Callable[[], bool]
) -> tuple[Array, Array]:
    """Accelerated proximal gradients, restarted where the objective rises; the best one met."""
    beta, w, L = problem.weight_decay, problem.sample_weight, problem.loss.smoothness
    root = np.sqrt(L * w)[:, None]
    border = np.hstack([Z, np.ones((len(Z), 1))]) if problem.free else Z
    # the largest curvature, by power iteration on the smaller side, with what that may lack
    step = 1 / (1.02 * _largest_square(root * border) + np.finfo(float).tiny)

    def value(a: Array, F: Array) -> float:
        return problem.data_fit(F) + beta * float(np.sum(np.linalg.norm(a, axis=1)))

    def outputs(a: Array, c: Array) -> Array:
        return Z @ a.reshape(Z.shape[1], -1) + c

    at, last, t = (a, c), (a, c), 1.0
    best, least = last, value(a, outputs(a, c))
    before, looked = least, least
    for count in range(PROXIMAL_STEPS):
        if stop():
            break
        R = problem.residual(outputs(*at))
        moved = at[0] + step * (Z.T @ R).reshape(a.shape)
        size = np.linalg.norm(moved, axis=1, keepdims=True)
        shrunk = np.maximum(1 - step * beta / np.maximum(size, np.finfo(float).tiny), 0.0)
        new = moved * shrunk, at[1] + step * R.sum(axis=0) * problem.free
        now = value(new[0], outputs(*new))
        if now < least:
            best, least = new, now
        if now > before:  # too far ahead
            t = 1.0
        t, ahead = 0.5 * (1 + (1 + 4 * t * t) ** 0.5), t - 1
        at = new[0] + ahead / t * (new[0] - last[0]), new[1] + ahead / t * (new[1] - last[1])
        last, before = new, now
        if count % LOOK == LOOK - 1:
            if looked - least <= max(accuracy, ROUNDING) * abs(least):
                break
            looked = least
    return best


def _largest_square(A: Array) -> float:
    """About the largest eigenvalue of ``A^T A``, by 30 power steps."""
    x: Array = np.random.default_rng(0).standard_normal((A.shape[1], 1))
    for _ in range(30):
        x = A.T @ (A @ x)
        x /= np.linalg.norm(x) + np.finfo(float).tiny
    return float(np.linalg.norm(A @ x) ** 2)


class _Master:
    """Output weights as ``a`` (m, Q C), and as rows of columns of Z, ``a.reshape(m Q, C)``."""

    def __init__(self, problem: Problem, Z: Array, a: Array, c: Array, signs: Array | None) -> None:
        self.problem, self.beta, self.signs = problem, problem.weight_decay, signs
        self.Z = np.asfortranarray(Z)  # columns are what is taken from it
        self.a, self.c = a.copy(), c.copy()
        self.places = Z.shape[1] // len(a) if len(a) else 1
        self.active = np.flatnonzero(np.linalg.norm(a, axis=1))
        self.F = self._outputs(self.Z, a, c)
        self.value = self._objective(self.F, self.a)
        self.gram: Array | None = None
        if problem.loss.constant_curvature:  # constant curvature: one Gram matrix for all steps
            self.gram = self._bordered_gram(Z, problem.sample_weight)

    def _columns(self, S: Array) -> Array:
        """Of the neurons S, in Z."""
        if self.places == 1:
            return S
        return (S[:, None] * self.places + np.arange(self.places)).ravel()

    def _outputs(self, Z: Array, a: Array, c: Array) -> Array:
        return Z @ a.reshape(Z.shape[1], len(c)) + c

    def _objective(self, F: Array, a: Array) -> float:
        return self.problem.data_fit(F) + self.beta * float(np.sum(np.linalg.norm(a, axis=1)))

    def _bordered_gram(self, Z: Array, h: Array) -> Array:
        """``[Z, 1]^T diag(h) [Z, 1]``; the column of ones is dropped unless the bias is free."""
        Zh = Z * np.sqrt(h)[:, None]
        if self.problem.free:
            Zh = np.hstack([Zh, np.sqrt(h)[:, None]])
        return Zh.T @ Zh

    def activate(self, tol: float) -> bool:
        """Give the most violating inactive neurons a first weight; False if there are none."""
        scores = (self.Z.T @ self.problem.residual(self.F)).reshape(self.a.shape)
        size = np.linalg.norm(scores, axis=1)
        size[self.active] = 0.0
        if self.signs is not None:  # a weight enters on the side of its score
            size[scores[:, 0] * self.signs < 0] = 0.0
        violating = np.flatnonzero(size > self.beta * (1 + tol))
        if violating.size == 0:
            return False
        # A share at a time: the neighbours of one maximum are nearly collinear.
        count = min(violating.size, 4 + len(self.active) // 4)
        enter = violating[np.argsort(-size[violating])[:count]]
        # A proximal step for each, divided by their number, cannot raise the objective.
        Z = self.Z[:, self._columns(enter)]
        lipschitz = (Z * Z).T @ self.problem.sample_weight * (self.problem.loss.smoothness * count)
        lipschitz = lipschitz.reshape(count, -1).sum(axis=1)
        first = scores[enter] * ((1 - self.beta / size[enter]) / lipschitz)[:, None]
        S = np.concatenate([self.active, enter])
        Z = self.Z[:, self._columns(S)]
        return self._move(S, Z, np.vstack([self.a[self.active], first]), self.c)

    def newton_step(self) -> float:
        """One step on the active neurons; the Newton decrement, 0 when no step gains."""
        S, beta = self.active, self.beta
        columns = self._columns(S)
        Z, width = self.Z[:, columns], len(self.c)
        R = self.problem.residual(self.F)
        size = np.linalg.norm(self.a[S], axis=1)
        unit = self.a[S] / size[:, None]
        gradient = beta * unit.reshape(-1, width) - Z.T @ R
        if self.problem.free:
            gradient = np.vstack([gradient, -R.sum(axis=0)])
        if gradient.size == 0:
            return 0.0
        D = beta / size
        if self.gram is None and width > 1:
            step = self._conjugate_gradients(Z, gradient, D, unit)
        else:
            if self.gram is None:
                G = self._bordered_gram(Z, curvature(self.problem, self.F))
            else:
                index = np.append(columns, self.Z.shape[1]) if self.problem.free else columns
                G = self.gram[np.ix_(index, index)]
            step = -_Hessian(G, D, unit, width).solve(gradient)
        decrement = -float(np.sum(gradient * step))
        if not decrement > ROUNDING * abs(self.value):
            return 0.0
        step_a = step[: len(columns)].reshape(unit.shape)
        step_c = step[-1] if self.problem.free else 0.0
        # A group that turns round passes zero and leaves.  Try the whole step with all of them
        # gone, then half of them, a quarter, ... and the way to the first zero, on which a
        # quadratic always falls.
        along = np.einsum("jc,jc->j", step_a, unit)
        zeros = np.sort(-size[along < -size] / along[along < -size])
        halves = [zeros[len(zeros) >> i] for i in range(1, len(zeros).bit_length() + 1)]
        first = zeros[0] if len(zeros) else 1.0
        for t in (1.0, *halves, *(first * 0.4**i for i in range(1, 20))):
            moved = self.a[S] + t * step_a
            moved[size + t * along <= 1e-14 * size] = 0.0
            if self._move(S, Z, moved, self.c + t * step_c):
                return decrement
        return 0.0

    def _conjugate_gradients(self, Z: Array, gradient: Array, D: Array, unit: Array) -> Array:
        """The Newton step of the exact Hessian, preconditioned by one without what couples outputs,
        or of scalar curvature."""
        problem, m = self.problem, Z.shape[1]
        w, width = problem.sample_weight[:, None], gradient.shape[1]
        bends, h = problem.loss.second_derivative(self.F, problem.Y)
        factored: _Hessian | _ByOutput
        if self.places == 1 and 0 < m <= FINE:
            h = w * np.maximum(h, FLAT * problem.loss.smoothness)
            B = np.hstack([Z, np.ones((len(Z), 1))]) if problem.free else Z
            factored = _ByOutput(np.array([(B * c[:, None]).T @ B for c in h.T]), D, unit)
        else:
            G = self._bordered_gram(Z, curvature(problem, self.F))
            factored = _Hessian(G, D, unit, width)

        def hessian(step: Array) -> Array:
            V = w * bends(Z @ step[:m] + (step[-1] if problem.free else 0.0))
            own = step[:m].reshape(unit.shape)
            across = own - unit * np.einsum("jc,jc->j", unit, own)[:, None]
            out = Z.T @ V + (D[:, None] * across).reshape(-1, width)  # of the penalty
            return np.vstack([out, V.sum(axis=0)]) if problem.free else out

        first = -factored.solve(gradient)
        x = np.zeros_like(gradient)
        r, p = -gradient, first
        z = first
        rz = float(np.sum(r * z))
        target = 0.1 * rz
        for _ in range(CG_STEPS):
            Hp = hessian(p)
            bend = float(np.sum(p * Hp))
            if not bend > FLAT**2 * rz:  # flat where samples are confident: t overflows
                break
            t = rz / bend
            if -float(np.sum(gradient * (x + t * p))) > 2 * abs(self.value):
                break  # more than there is to gain: along what is flat here
            x = x + t * p
            r = r - t * Hp
            z = factored.solve(r)
            rz_new = float(np.sum(r * z))
            if not rz_new > target:
                break
            p = z + (rz_new / rz) * p
            rz = rz_new
        return x if np.any(x) else first

    def _move(self, S: Array, Z: Array, a: Array, c: Array) -> bool:
        """Weights ``a`` for the neurons S, whose activations Z are, if the objective falls."""
        F = self._outputs(Z, a, c)
        value = self._objective(F, a)
        if not value < self.value:
            return False
        self.a[S], self.c, self.F, self.value = a, c, F, value
        self.active = S[np.linalg.norm(a, axis=1) > 0]
        return True


class _Hessian:
    """Factors ``H = (G + D) (x) I - V D V^T`` (module docstring); rows of blocks in and out.

    ``G`` may have one more row and column than activations: the unpenalised bias.
    """

    def __init__(self, G: Array, D: Array, unit: Array, width: int) -> None:
        m = len(unit)
        self.D, self.unit, self.width = D, unit, width
        places = unit.shape[1] // width
        # relative to each neuron's own: far from zero activations differ by many orders
        self.diagonal = np.diag(G) + np.finfo(float).tiny
        self.factor = self.inner = None
        ridge = 1e-13
        K = G.copy()
        if unit.shape[1] > 1:
            K[np.diag_indices(m * places)] += np.repeat(D, places)
        diagonal = np.einsum("ii->i", K)  # a view
        while self.factor is None and ridge < 1:
            diagonal += ridge * self.diagonal
            ridge *= 100
            self.factor = _cholesky(K)
        if unit.shape[1] > 1 and m > 0 and self.factor is not None:
            self.inverse = _inverse(self.factor)[:, : m * places]
            # (D^-1 - V^T K V) scaled by D on both sides; positive definite but for rounding
            self.root = np.sqrt(D)
            rows = unit.reshape(m * places, width)
            products = self.inverse[: m * places] * (rows @ rows.T)
            products = products.reshape(m, places, m, places).sum(axis=(1, 3))
            inner = self.root[:, None] * products * self.root
            self.inner = _cholesky(np.eye(m) * (1 + 1e-9) - inner)

    def solve(self, right: Array) -> Array:
        if self.factor is None:
            return right / self.diagonal[:, None]
        x = _solved(self.factor, right)
        if self.inner is None:
            return x
        y = self.root * _solved(self.inner, self.root * self._along(x))
        return np.asarray(x + self.inverse @ (self.unit * y[:, None]).reshape(-1, self.width))

    def _along(self, x: Array) -> Array:
        """``V^T x``, of the rows of activations."""
        own = x[: self.unit.size // self.width]  # without a free bias
        return np.asarray(np.einsum("jc,jc->j", self.unit, own.reshape(self.unit.shape)))


class _ByOutput:
    """Inverts ``blockdiag(G_c + D) - V D V^T``, a block for each output; as :class:`_Hessian`."""

    def __init__(self, G: Array, D: Array, unit: Array) -> None:
        m = len(unit)
        own, every = np.arange(m), np.arange(G.shape[1])
        G[:, own, own] += D
        G[:, every, every] *= 1 + 1e-9  # a preconditioner need not be exact
        G[:, every, every] += np.finfo(float).tiny
        self.inverse, self.unit, self.root = np.linalg.inv(G), unit, np.sqrt(D)
        shared = np.einsum("jc,cjk,kc->jk", unit, self.inverse[:, :m, :m], unit, optimize=True)
        self.inner = _cholesky(np.eye(m) * (1 + 1e-6) - self.root[:, None] * shared * self.root)

    def solve(self, right: Array) -> Array:
        x = self._blocks(right)
        if self.inner is None:
            return x
        along = self.root * np.einsum("jc,jc->j", self.unit, x[: len(self.unit)])
        y = self.root * _solved(self.inner, along)
        back = np.zeros_like(right)
        back[: len(y)] = self.unit * y[:, None]
        return x + self._blocks(back)

    def _blocks(self, right: Array) -> Array:
        return np.asarray((self.inverse @ right.T[:, :, None])[:, :, 0].T)


def _inverse(factor: Array) -> Array:
    """Of the matrix factored; a third of the work of solving for the identity."""
    half = np.triu(scipy.linalg.lapack.dpotri(factor)[0])
    return np.asarray(half + half.T - np.diag(np.diag(half)))


def _cholesky(K: Array) -> Array | None:
    """The upper factor, of small matrices in half the time of ``scipy.linalg.cho_factor``."""
    factor, failed = scipy.linalg.lapack.dpotrf(K, clean=False)
    return None if failed else factor


def _solved(factor: Array, right: Array) -> Array:
    return np.asarray(scipy.linalg.lapack.dpotrs(factor, right)[0]).reshape(right.shape)
