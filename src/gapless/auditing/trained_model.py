"""A trained model with its data and its training objective, in the terms of gapless.

PyTorch's optimizers add ``weight_decay * p`` to the gradient of a parameter p, which is the
penalty ``weight_decay / 2 ||p||^2``, BIASES INCLUDED unless their parameter group says
otherwise.  With s the factor of :mod:`gapless.auditing.training_loss`, decays ``l_1 .. l_L`` of the
weight matrices and F the outputs, training minimises

    T = s * mean loss(F, Y) + sum_k l_k / 2 ||W_k||_F^2 + decays of the biases.

The gapless problem that bounds T, with ``lam = (l_1 ... l_L)^(1/L) / s``:

* Rescaling layers turns unequal decays into their geometric mean, so weights are exact.
* No biases: rule "none".  Biases without decay: rule "free".  Both exact.
* Hidden biases that decay like the hidden weights: rule "penalized", the bias is the weight of a
  constant column.  An output bias c costs ``l_c / 2 ||c||^2`` in T, but in the gapless problem
  it is a neuron that sees the constant only and costs ``lam s ||c||``.  A dual point Lam that
  is feasible there, of dual value D(Lam), therefore bounds T with c paid for at its own price:

      T* / s >= D(Lam) - max_c (<c, sum_i Lam_i> - l_c / (2 s) ||c||^2)
              = D(Lam) - s ||sum_i Lam_i||^2 / (2 l_c).

* Any other decays of the biases, and three layers or more with biases: dropping what they cost
  can only lower the objective, so the bound of the rule "free" holds; it is not sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ..bridges.chain import Chain
from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..core.design import design_of
from ..core.network import Network
from ..core.problem import Problem
from ..core.watch import never
from ..training.descent import Descent
from ..training.neurons import many_patches
from .convolved import ConvolvedNetwork
from .training_loss import TrainingLoss

# Operations of a pruning in a second, and the seconds it is given at least.
PRUNED, LEAST_PRUNING = 1e9, 0.5
# A neuron whose weights are this share of its bias sees the constant only.
CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class Trained:
    """A model with its data and its training objective; see the module for the maths.

    Attributes
    ----------
    chain : Chain
    X : array of shape (n_samples, n_features), or Patches
    loss : TrainingLoss
    decays : tuple of float
        Of each weight matrix.
    bias_decays : tuple of float
        Of each layer's bias; without one, what a bias that improvement adds would have.
    raw_penalty : float
        Of the parameters as they stand in the model, batch normalisation included.
    notes : tuple of str
        What the reader of an audit must know of how the model was read.
    decoupled : str or None
        Name of an optimizer that does not minimise loss plus penalty.
    """

    chain: Chain
    X: Array
    loss: TrainingLoss
    decays: tuple[float, ...]
    bias_decays: tuple[float, ...]
    raw_penalty: float
    notes: tuple[str, ...]
    decoupled: str | None = None

    @property
    def factor(self) -> float:
        """The s of the module."""
        return self.loss.factor

    @property
    def network(self) -> DeepNetwork:
        """As it was read, biases that the model does not have as zeros."""
        return self.chain.network

    @property
    def weight_decay(self) -> float:
        """Geometric mean over the layers, in the units of the training loss."""
        if len(set(self.decays)) == 1:
            return self.decays[0]
        return float(np.exp(np.mean(np.log(self.decays))))

    @property
    def bias(self) -> str:
        """The gapless bias rule whose problem bounds this one."""
        biased = self.chain.biased
        if not any(biased):
            return "none"
        if self.network.depth > 2:
            return "free"
        hidden_like_weights = not biased[0] or self.bias_decays[0] >= self.decays[0]
        output_decays = not biased[1] or self.bias_decays[1] > 0
        return "penalized" if hidden_like_weights and output_decays else "free"

    @property
    def exact(self) -> bool:
        """Whether the problem that is bounded is the one that was trained."""
        decays = [d for d, has in zip(self.bias_decays, self.chain.biased) if has]
        if self.bias == "penalized":
            return all(self.chain.biased) and self.bias_decays[0] == self.decays[0]
        return self.bias == "none" or not any(decays)

    @property
    def output_decay(self) -> float:
        """Decay of the output bias where the gapless problem has a neuron in its place, else 0."""
        return self.bias_decays[-1] if self.bias == "penalized" and self.chain.biased[-1] else 0.0

    @property
    def rule(self) -> str:
        """What the weight decay does to the biases, and which problem the bound is for."""
        exact = "the bound is for this very problem"
        if self.bias == "none":
            return f"no biases; {exact}"
        if self.bias == "penalized":
            if self.exact:
                return f"biases decay like weights, as in PyTorch by default; {exact}"
            return "the bound lets hidden biases cost less than they do: valid, not sharp"
        if self.exact:
            return f"biases without weight decay; {exact}"
        return "the bound leaves out what the decay of biases costs: valid, not sharp"

    def problem(self) -> Problem:
        """The gapless problem, its objective being ``1 / factor`` of the training's."""
        t = self.loss
        return Problem(
            self.X, t.Y, t.loss, self.weight_decay / t.factor, self.bias, t.sample_weight
        )

    def data_fit(self, F: Array) -> float:
        """The training loss of outputs F."""
        w = self.loss.sample_weight
        values = self.loss.loss.value(F, self.loss.Y)
        return self.factor * float(np.average(values, weights=w))

    def penalty(self, network: DeepNetwork) -> float:
        """The penalty of a network of this depth under this model's decays."""
        return penalty(network, self.decays, self.bias_decays)

    def objective(self, network: DeepNetwork) -> float:
        """T of a network of this depth."""
        return self.data_fit(network.predict(self.X)) + self.penalty(network)

    def shallow(self) -> Network | None:
        """The two-layer network, rescaled so that both layers have the mean decay.

        None for other depths, and with batch normalisation: training through it minimised another
        function than that of the network it folds to.
        """
        net = self.chain.shallow
        if net is None or self.chain.batch_norm:
            return None
        t = (self.decays[0] / self.decays[1]) ** 0.25
        return Network(
            net.hidden_weights * t, net.hidden_bias * t, net.output_weights / t, net.output_bias
        )

    def deep(self, network: Network) -> DeepNetwork:
        """The way back from :meth:`shallow`, for any network."""
        t = (self.decays[0] / self.decays[1]) ** 0.25
        weights = network.hidden_weights / t, network.output_weights * t
        return replace(
            self.network, weights=weights, biases=(network.hidden_bias / t, network.output_bias)
        )

    def gradient(self) -> tuple[float, float]:
        """Norm of the gradient of T, and its share of the norms of its two parts.

        By hand, as a network that came from a file has no PyTorch module.
        """
        if isinstance(self.network, ConvolvedNetwork):
            return self._pooled_gradient(self.network)
        net, w = self.network, self.loss.sample_weight
        biases = net.biases or tuple(np.zeros(W.shape[1]) for W in net.weights)
        inputs, scores = [self.X], []
        for W, b in zip(net.weights, biases):
            scores.append(inputs[-1] @ W + b)
            inputs.append(np.maximum(scores[-1], 0) if net.activation == "relu" else scores[-1])
        weights = np.full(len(self.X), 1 / len(self.X)) if w is None else w / w.sum()
        # backwards: G is the gradient with respect to what the layer puts out
        G = self.factor * weights[:, None] * self.loss.loss.gradient(scores[-1], self.loss.Y)
        fits, pulls = [], []
        for l in reversed(range(net.depth)):
            fits.append(inputs[l].T @ G)
            pulls.append(self.decays[l] * net.weights[l])
            if self.chain.biased[l]:
                fits.append(G.sum(axis=0))
                pulls.append(self.bias_decays[l] * biases[l])
            if l:
                G = G @ net.weights[l].T
                if net.activation == "relu":
                    G = G * (scores[l - 1] > 0)
        return _stationarity(fits, pulls)

    def _pooled_gradient(self, net: ConvolvedNetwork) -> tuple[float, float]:
        (U, A), (b, c) = net.weights, net.biases
        t = self.loss  # of a free bias: the design of a penalised one has a column for it
        free = Problem(self.X, t.Y, t.loss, self.weight_decay, "free", t.sample_weight)
        descent = Descent(free, np.float64, never)
        parts = descent.data_fit(U, b, A, c, np.zeros(len(b)))[1]
        fits, pulls = [], []
        for l, (fit, of_bias) in enumerate(((parts[0], parts[2]), (parts[1], parts[3]))):
            fits.append(self.factor * fit)
            pulls.append(self.decays[l] * net.weights[l])
            if self.chain.biased[l]:
                fits.append(self.factor * of_bias)
                pulls.append(self.bias_decays[l] * net.biases[l])
        return _stationarity(fits, pulls)


def _stationarity(fits: list[Array], pulls: list[Array]) -> tuple[float, float]:
    """Norm of the sum of two gradients, and its share of theirs."""
    total = _norm([f + p for f, p in zip(fits, pulls)])
    parts = _norm(fits) + _norm(pulls)
    return total, total / parts if parts > 0 else 0.0


def _norm(arrays: Sequence[Array]) -> float:
    return float(np.sqrt(sum(np.sum(a * a) for a in arrays)))


def penalty(network: DeepNetwork, decays: Sequence[float], bias_decays: Sequence[float]) -> float:
    """Half of each layer's decay times its squares, weights and biases."""
    total = sum(d * np.sum(W * W) for d, W in zip(decays, network.weights))
    if network.biases is not None:
        total += sum(d * np.sum(b * b) for d, b in zip(bias_decays, network.biases))
    return 0.5 * float(total)


def settled(trained: Trained, network: Network) -> Network:
    """A network of the solver with its output bias at its price in training, a square.

    The neurons that see the constant only, at a norm, become the output bias; then its best value.
    """
    if trained.output_decay == 0:
        return network
    problem = trained.problem()
    size = np.linalg.norm(network.hidden_weights, axis=0)
    constant = size <= CONSTANT * np.abs(network.hidden_bias)
    v = np.maximum(network.hidden_bias[constant], 0) @ network.output_weights[constant]
    v = v.reshape(-1, network.n_outputs).sum(axis=0)  # pools all see it
    rest = select(network, ~constant)
    F = rest.predict(trained.X) - rest.output_bias
    decay = trained.output_decay / trained.factor

    def value(c: Array) -> tuple[float, Array]:
        gradient = -problem.residual(F + c).sum(axis=0) + decay * c
        return problem.data_fit(F + c) + 0.5 * decay * float(c @ c), gradient

    c = minimize(value, rest.output_bias + v, jac=True, method="L-BFGS-B").x
    return Network(rest.hidden_weights, rest.hidden_bias, rest.output_weights, c)


def select(network: Network, keep: Array) -> Network:
    """The network of the neurons where ``keep`` is true."""
    return Network(
        network.hidden_weights[:, keep],
        network.hidden_bias[keep],
        network.output_weights[keep],
        network.output_bias,
    )


def merged(network: Network, X: Any, rule: str) -> Network:
    """Neurons of equal pattern merged, where looking for them takes no longer than it brings."""
    return network if many_patches(design_of(X)) else network.merge(X, rule)


def prunes_within(seconds: float, network: Network, X: Any) -> bool:
    """Whether pruning it takes no longer, or less than :data:`LEAST_PRUNING`; not on patches."""
    if design_of(X).pooled:
        return False
    n_samples, m, C = len(X), network.n_neurons, network.n_outputs
    operations = (n_samples if C == 1 else min(n_samples, m) * C) * m**2
    return operations <= PRUNED * max(seconds, LEAST_PRUNING)
