"""Add a loss of your own: trained, proven and used by the estimators like those of the library.

A forecast of 80 where 100 was needed costs more than the reverse.  The expectile loss says so: a
squared loss whose side below the target weighs tau and the other 1 - tau,

    loss(f, y) = 1/2 w(f - y) (f - y)^2,    w(r) = 2 tau for r < 0, 2 (1 - tau) for r > 0.

gapless asks for no loss by name.  It needs three things of one, all in the class below:

1. how it is minimised: value, gradient, second derivative and the largest it can be;
2. how it is bounded: the conjugate ``sup_f <v, f> - loss(f, y)``, where that is finite, and what
   rounding does to it.  A bound is a value of the dual problem, which is made of conjugates;
3. what it is: a sentence or two that solvers and proofs rely on (infimum, degree, ...).

A wrong value trains badly, which one sees.  A wrong conjugate proves what is false, which one
does not: so every problem tries a new loss on its own targets and refuses one that breaks its
word.  The end of this file shows how.  A loss that belongs into the library goes into
``core/losses.py``, with its name in ``LOSSES`` there and in ``ALL_LOSSES`` of tests/problems.py.

    python examples/tutorial_add_a_loss.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gapless import Problem, ReLURegressor, certify, train
from gapless.core.losses import Loss, check_loss
from gapless.core.rounding import EPS


@dataclass(frozen=True)  # its fields are its parameters: they tell it from others of its kind
class Expectile(Loss):
    """``1/2 w(f - y) (f - y)^2``, summed over outputs; w is 2 tau below y, 2 (1 - tau) above."""

    tau: float = 0.8

    # What it is.
    name: ClassVar[str] = "expectile"
    targets: ClassVar[str] = "real"  # or "sign" (-1, +1), or "onehot"
    infimum: ClassVar[float] = 0.0  # no value is below it
    domain: ClassVar[str] = "box"  # the conjugate is finite on intervals: dual_box says which
    constant_curvature: ClassVar[bool] = False  # True for the squared loss alone
    degree: ClassVar[int | None] = 2  # loss(t f, t y) = t^2 loss(f, y); None where there is no such

    def __post_init__(self) -> None:
        if not 0 < self.tau < 1:
            raise ValueError(f"tau must lie between 0 and 1, got {self.tau!r}")

    def weight(self, R: np.ndarray) -> np.ndarray:
        return np.where(R < 0, 2 * self.tau, 2 * (1 - self.tau))

    # How it is minimised.  F, Y: outputs and targets, (n_samples, n_outputs).

    def value(self, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """One number a sample, shape (n_samples,)."""
        R = F - Y
        return 0.5 * np.sum(self.weight(R) * R * R, axis=1)

    def gradient(self, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return self.weight(F - Y) * (F - Y)

    def hessian_product(self, F: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        return self.weight(F - Y) * V

    def curvature(self, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """At least the largest eigenvalue of a sample's second derivative, (n_samples,)."""
        return np.max(self.weight(F - Y), axis=1)

    @property
    def smoothness(self) -> float:
        """The largest curvature anywhere; infinite for a loss with corners."""
        return 2 * max(self.tau, 1 - self.tau)

    # How it is bounded.  V: a dual point, (n_samples, n_outputs); f - y = v / w(v) attains the sup.

    def conjugate(self, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """``v^2 / (2 w(v)) + v y``, infinite outside the domain: here there is no outside."""
        return np.sum(V * (V / (2 * self.weight(V)) + Y), axis=1)

    def conjugate_gradient(self, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return V / self.weight(V) + Y

    def dual_box(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest v; zero must lie between."""
        everywhere = np.full(Y.shape, np.inf)
        return -everywhere, everywhere

    def conjugate_error(self, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """How far :meth:`conjugate` may be off: EPS a rounding, times the SIZES that were added.

        Not times the result: where ``v^2 / (2 w)`` and ``v y`` cancel, their rounding stays.
        """
        sizes = np.abs(V) * (np.abs(V) / (2 * self.weight(V)) + np.abs(Y))
        return (V.shape[1] + 4) * EPS * np.sum(sizes, axis=1)

    def conjugate_slope(self, V: np.ndarray, Y: np.ndarray) -> float:
        """No entry of v that moves towards zero changes the conjugate faster than this."""
        least = 2 * min(self.tau, 1 - self.tau)
        return float(np.abs(V).max(initial=0.0) / least + np.abs(Y).max(initial=0.0))


class TooQuiet(Expectile):
    """As one that never defined these two."""

    conjugate_error = Loss.conjugate_error
    dual_box = Loss.dual_box


class WrongConjugate(Expectile):
    """The conjugate of the squared loss: copied, and the weights forgotten."""

    def conjugate(self, V, Y):
        return np.sum(V * (0.5 * V + Y), axis=1)


class WrongDegree(Expectile):
    degree: ClassVar[int | None] = 1


def data(n=60, d=2):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, np.abs(X[:, 0]) + 0.3 * rng.standard_normal(n)


def main() -> None:
    X, y = data()
    loss = Expectile(0.8)

    check_loss(loss, y[:, None])  # what every Problem does with a loss it does not know
    print("the laws hold")

    # Training and proof, as with any loss: in two dimensions without biases the gauge is exact.
    problem = Problem(X, y, loss, weight_decay=0.02, bias="none")
    solution = train(problem, tol=1e-6)
    print(f"{solution.status.name}: objective {solution.certificate.objective:.6f}, "
          f"proven gap {solution.certificate.relative_gap:.0e}")  # fmt: skip
    again = certify(solution.network, X, y, weight_decay=0.02, loss=loss, bias="none")
    print(f"certified again: no network is below {again.lower_bound:.6f}")

    # An estimator.  With more weight decay than any neuron is worth the network is a constant, the
    # expectile: where what lies above, times tau, balances what lies below, times 1 - tau.
    model = ReLURegressor(weight_decay=1e3, loss=loss, tol=1e-9).fit(X, y)
    constant = model.predict(X[:1])
    above, below = np.maximum(y - constant, 0).sum(), np.maximum(constant - y, 0).sum()
    print(f"constant {constant.item():.6f}, {0.8 * above:.6f} = {0.2 * below:.6f}")
    fitted = ReLURegressor(weight_decay=0.02, loss=loss).fit(X, y).predict(X)
    print(f"{np.mean(fitted >= y):.0%} of the targets are below the fit")

    # What is declared wrongly is refused, at the first problem that has it.
    for wrong in (TooQuiet(), WrongConjugate(), WrongDegree()):
        try:
            Problem(X, y, wrong)
        except ValueError as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    main()
