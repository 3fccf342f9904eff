"""Networks of any depth as values, and what a closed form returns.

With L weight matrices and no biases a deep network computes

    A_0 = X,   A_l = phi(A_{l-1} W_l)  for l < L,   F = A_{L-1} W_L,

phi the ReLU or the identity, and its objective is that of :mod:`gapless.core.problem`:
the mean loss plus ``weight_decay / 2 sum_l ||W_l||_F^2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from .checks import Array, choose, to_2d
from .losses import EPS
from .problem import Problem
from .reduction import down, power_of_two
from .result import Bounded, Verdict

ACTIVATIONS = ("relu", "linear")
# A closed form proves its network optimal when its lower bound, all rounding and all that its
# tests tolerate charged, is within this share of the objective.
PROVED_GAP = 1e-6


class Predictor(Protocol):
    """What every closed form returns as ``network``."""

    def predict(self, X: Any) -> Array: ...


@dataclass(frozen=True, eq=False)
class DeepNetwork:
    """A fully connected network with L weight matrices.

    Parameters
    ----------
    weights : sequence of L arrays
        ``W_l`` of shape (width_{l-1}, width_l); width_0 is n_features, width_L n_outputs.
    biases : sequence of L arrays of shape (width_l,), optional
        Not penalised.
    activation : {"relu", "linear"}, default "relu"
        Of the hidden layers; the output is linear.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...] | None = None
    activation: str = "relu"

    def __post_init__(self) -> None:
        weights = tuple(np.array(W, dtype=np.float64) for W in self.weights)
        if not weights or any(W.ndim != 2 for W in weights):
            raise ValueError("weights must be one or more matrices")
        for l, (left, right) in enumerate(pairwise(weights), start=1):
            if left.shape[1] != right.shape[0]:
                raise ValueError(
                    f"layer {l} has {left.shape[1]} outputs but layer {l + 1} has "
                    f"{right.shape[0]} inputs; consecutive shapes must fit"
                )
        biases = self.biases
        if biases is not None:
            biases = tuple(np.array(b, dtype=np.float64) for b in biases)
            if [b.shape for b in biases] != [(W.shape[1],) for W in weights]:
                raise ValueError(
                    f"biases must have the shapes {[(W.shape[1],) for W in weights]}, "
                    f"got {[b.shape for b in biases]}"
                )
        if not all(np.all(np.isfinite(V)) for V in (*weights, *(biases or ()))):
            raise ValueError("the network has NaN or infinite entries")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)
        choose("activation", self.activation, ACTIVATIONS)

    @property
    def depth(self) -> int:
        """Number of weight matrices."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        return int(self.weights[0].shape[0])

    @property
    def n_outputs(self) -> int:
        return int(self.weights[-1].shape[1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths."""
        return tuple(W.shape[1] for W in self.weights[:-1])

    def features(self, X: Any) -> Array:
        """Last hidden layer ``A_{L-1}``, (n_samples, width_{L-1})."""
        A: Any = X.tocsr() if sp.issparse(X) else to_2d("X", X)
        if A.shape[1] != self.n_features:
            raise ValueError(f"X has {A.shape[1]} features, the network expects {self.n_features}")
        for l, W in enumerate(self.weights[:-1]):
            A = np.asarray(A @ W)
            if self.biases is not None:
                A = A + self.biases[l]
            if self.activation == "relu":
                A = np.maximum(A, 0.0)
        return A

    def predict(self, X: Any) -> Array:
        """Outputs of shape (n_samples, n_outputs)."""
        F = np.asarray(self.features(X) @ self.weights[-1])
        return F if self.biases is None else F + self.biases[-1]

    def penalty(self) -> float:
        """``1/2 sum_l ||W_l||_F^2``; biases are free."""
        return 0.5 * float(sum(np.sum(W * W) for W in self.weights))

    def objective(self, problem: Problem) -> float:
        """Mean loss plus weight decay; under ``bias="penalized"`` the first layer reads [X, 1].

        Raises
        ------
        ValueError
            When the network has non-zero biases and the problem's rule is not ``"free"``.
        """
        if self.biases is not None and any(map(np.any, self.biases)) and not problem.free:
            raise ValueError(
                f"the network has biases but the problem's bias rule is {problem.bias!r}; "
                "use bias='free'"
            )
        fit = problem.data_fit(self.predict(problem.design.A))
        return fit + problem.weight_decay * self.penalty()

    def scaled(self, layer: float, output: float) -> DeepNetwork:
        """Every layer times ``layer``, biases of the output times ``output``."""
        biases = self.biases
        if biases is not None:
            biases = (*biases[:-1], biases[-1] * output)
        return DeepNetwork(tuple(W * layer for W in self.weights), biases, self.activation)

    def balance(self) -> DeepNetwork:
        """The same function with equal Frobenius norms, never a higher penalty.

        Only for networks without biases; a network with a zero layer becomes zero.
        """
        if self.biases is not None and any(map(np.any, self.biases)):
            raise ValueError("only a network without biases can be balanced")
        norms = np.array([np.linalg.norm(W) for W in self.weights])
        if not np.all(norms > 0):
            return DeepNetwork(tuple(np.zeros_like(W) for W in self.weights), None, self.activation)
        t = np.exp(np.mean(np.log(norms)))
        return DeepNetwork(
            tuple(W * (t / size) for W, size in zip(self.weights, norms)), None, self.activation
        )


@dataclass(frozen=True, eq=False)
class ParallelNetwork:
    """A sum of deep networks (branches), penalised so that the problem stays convex.

    ``penalty="power"``
        ``1/2 sum_j sum_l ||W_{l,j}||_F^L``: at its best L/2 times the product of the norms.
    ``penalty="fixed"``
        ``sum_j ||W_{L,j}||_F``, under the constraints ``||W_{l,j}||_F <= layer_norm`` for
        l <= L - 2 and ``||W_{L-1,j}||_F <= 1``.
    """

    branches: tuple[DeepNetwork, ...]
    n_outputs: int
    regulariser: str = "power"
    layer_norm: float = 1.0

    def predict(self, X: Any) -> Array:
        """Sum of the branches' outputs."""
        total = np.zeros((X.shape[0], self.n_outputs))
        for branch in self.branches:
            total += branch.predict(X)
        return total

    def penalty(self) -> float:
        """See the class; infinite where a norm constraint of the fixed form is broken."""
        if self.regulariser == "power":
            return 0.5 * sum(
                float(np.linalg.norm(W)) ** branch.depth
                for branch in self.branches
                for W in branch.weights
            )
        for branch in self.branches:
            limits = [self.layer_norm] * (branch.depth - 2) + [1.0]
            for W, limit in zip(branch.weights, limits):
                if np.linalg.norm(W) > limit * (1 + 1e-9):
                    return float("inf")
        return float(sum(np.linalg.norm(b.weights[-1]) for b in self.branches))

    def objective(self, problem: Problem) -> float:
        """Mean loss plus ``weight_decay`` times :meth:`penalty`."""
        fit = problem.data_fit(self.predict(problem.design.A))
        return fit + problem.weight_decay * self.penalty()


class Optimality(Verdict):
    """What is known about a closed form's value; the enum's value is what the user reads."""

    PROVED = "Proved: no network of this form has a smaller objective."
    NUMERICALLY_VERIFIED = (
        "Not proved: no training run ever found a smaller objective, which is no proof."
    )
    UPPER_BOUND = (
        "Upper bound: the network attains the objective, and a better one may exist; "
        "lower_bound says how much better at most."
    )
    LOWER_BOUND = "Lower bound: no network is below the formula, and this one does not attain it."
    KNOWN_SUBOPTIMAL = (
        "Not optimal in general: for this depth and number of classes networks of lower rank "
        "with a smaller objective have been found, at a large weight decay at least."
    )


@dataclass(frozen=True)
class Check:
    """A hypothesis of a closed form, tested on the data.

    ``violation`` is the measured deviation, and the hypothesis holds up to ``tolerance``.
    """

    hypothesis: str
    violation: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return bool(self.violation <= self.tolerance)


class HypothesisError(ValueError):
    """The data break a closed form's hypothesis; ``check`` has the measured violation."""

    def __init__(self, check: Check, way_out: str) -> None:
        super().__init__(
            f"{check.hypothesis} is violated by {check.violation:.3g} "
            f"(tolerance {check.tolerance:.1g}); {way_out}"
        )
        self.check, self.way_out = check, way_out

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is rebuilt from its arguments, for example when a worker process raises it
        return type(self), (self.check, self.way_out)


def require(hypothesis: str, violation: float, tolerance: float, way_out: str) -> Check:
    """The check, when it holds; else a :class:`HypothesisError`."""
    check = Check(hypothesis, float(violation), tolerance)
    if not check.holds:
        raise HypothesisError(check, way_out)
    return check


@dataclass(frozen=True, eq=False)
class DeepSolution(Bounded):
    """A network in closed form.

    Attributes
    ----------
    network : DeepNetwork, ParallelNetwork or BatchNormHead
    objective : float
        Of the network, recomputed from its weights (mean loss plus weight decay).
    formula : float
        The value the closed form predicts for it.
    dual : float or None
        Value of a dual point that is feasible, where strong duality holds.
    lower_bound : float
        Proven: no network of this form is below, whatever its widths (of the widths asked for,
        where a linear network narrower than the best one was asked for).
    optimality : Optimality
    checks : tuple of Check
        The hypotheses tested on the data, with the measured violations.
    """

    network: Any = field(repr=False)
    objective: float
    formula: float
    dual: float | None
    lower_bound: float
    optimality: Optimality
    checks: tuple[Check, ...]


def proved(objective: float, lower: float, otherwise: Optimality) -> Optimality:
    """``PROVED`` where the bound says so, to :data:`PROVED_GAP`."""
    return Optimality.PROVED if objective - lower <= PROVED_GAP * objective else otherwise


def rounding(problem: Problem, objective: float) -> float:
    """What sums and decompositions of a closed form may add to its value, at most ``objective``.

    They are of at most ``n + d + C`` terms, and absolute errors are of the size of the largest: the
    mean loss of the zero network.  Under the squared loss they are errors e of a residual, which
    change its half square by ``e (sqrt(2 objective) + e)``.
    """
    terms = problem.n_samples + problem.n_features + problem.n_outputs + 16
    zero = problem.data_fit(np.zeros_like(problem.Y))
    if problem.loss.constant_curvature:
        error = 16 * terms * EPS * float(np.sqrt(2 * zero))
        return error * (float(np.sqrt(2 * objective)) + error)
    return 16 * terms * EPS * zero


def moved_data(problem: Problem, depth: int, left: Array, objective: float) -> float:
    """What samples that are off by ``left`` (n,) in norm can take from an optimal value.

    A network no worse than ``objective`` has layers of norms with a product of at most
    ``rho = (2 objective / (weight_decay depth))^(depth / 2)``, so its outputs move by at most
    ``rho left``; the squared loss by ``d (sqrt(2 objective) + 2 d)``, d the mean square of that,
    other losses by their slope.
    """
    w, loss = problem.sample_weight, problem.loss
    with np.errstate(over="ignore"):
        rho = np.float64(2 * objective / (problem.weight_decay * depth)) ** (0.5 * depth)
        shift = rho * left
        if loss.constant_curvature:
            d = float(np.sqrt(w @ shift**2))
            return d * (float(np.sqrt(2 * objective)) + 2 * d)
        slopes = np.full_like(problem.Y, 1.0)  # of the simplex, at least
        if loss.domain == "box":
            slopes = np.maximum(*np.abs(loss.dual_box(problem.Y)))
        return float(w @ shift) * float(np.linalg.norm(slopes, axis=1).max())


class Units:
    """A problem for networks of ``depth`` layers in units in which nothing over- or underflows.

    With c a power of two, ``X / x`` and ``Y / y`` (a loss of ``F - Y`` alone), x and y powers of
    ``c^depth``, have the same networks but for powers of two in their layers, so that closed forms
    need no thresholds for sizes.
    """

    def __init__(self, given: Problem, depth: int) -> None:
        self.given, self.depth = given, depth
        steps = [0, 0]
        for i, values in enumerate((given.X, given.Y)):
            if i == 0 or given.loss.degree is not None:
                size = power_of_two(float(np.abs(values).max()))
                steps[i] = int(np.frexp(size)[1] - 1) // depth
        x, y = (float(np.ldexp(1.0, depth * step)) for step in steps)
        self.x, self.y = x, y
        #: of each layer, and of the objective
        self.layer = float(np.ldexp(1.0, steps[1] - steps[0]))
        degree = given.loss.degree or 0
        with np.errstate(over="ignore", under="ignore"):
            self.value = float(np.float64(y) ** degree)
        decay = given.weight_decay * self.layer / y ** (degree / 2) * self.layer / y ** (degree / 2)
        loss = given.loss.scaled(1 / y)
        w = given.sample_weight
        self.problem = Problem(given.X / x, given.Y / y, loss, decay, given.bias, w)

    def back(self, solution: DeepSolution) -> DeepSolution:
        """The solution of the given problem; its objective is recomputed."""
        network = solution.network.scaled(self.layer, self.y)
        objective = network.objective(self.given)
        dual = None if solution.dual is None else solution.dual * self.value
        lower = min(down(solution.lower_bound * self.value), objective)
        return replace(
            solution,
            network=network,
            objective=objective,
            formula=solution.formula * self.value,
            dual=dual,
            lower_bound=lower,
        )


def dense_problem(X: Any, Y: Any, loss: Any, weight_decay: Any, bias: str = "none") -> Problem:
    """A checked :class:`Problem` with a dense X."""
    return Problem(X.toarray() if sp.issparse(X) else X, Y, loss, weight_decay, bias)


def chain(
    first: Array, gains: Array, last: Array, depth: int, widths: Sequence[int] | None = None
) -> tuple[Array, ...]:
    """Weights of independent paths: ``first diag(g)``, ``diag(g)`` between, ``diag(g) last``.

    ``first`` (d, r) and ``last`` (r, K) carry the directions, ``gains`` (r,) one factor a
    layer and path.  Hidden layers wider than r are filled with zeros.
    """
    r = len(gains)
    sizes = [r] * (depth - 1) if widths is None else list(widths)
    weights = [first * gains]
    weights += [np.diag(gains)] * (depth - 2)
    weights.append(gains[:, None] * last)
    shapes = [first.shape[0], *sizes, last.shape[1]]
    padded = []
    for W, rows, columns in zip(weights, shapes[:-1], shapes[1:]):
        full = np.zeros((rows, columns))
        full[: W.shape[0], : W.shape[1]] = W
        padded.append(full)
    return tuple(padded)


def hidden_widths(width: Any, depth: int, needed: int) -> list[int]:
    """The hidden widths asked for: one number for all layers, a list, or None for ``needed``."""
    if width is None:
        return [max(needed, 1)] * (depth - 1)
    widths = [int(w) for w in np.broadcast_to(np.asarray(width), (depth - 1,))]
    if min(widths) < 1:
        raise ValueError(f"width must be at least 1, got {width!r}")
    return widths
