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
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ..bridges.torch import Chain, read_sklearn, read_torch
from ..core.checks import Array, positive
from ..core.deep_network import DeepNetwork
from ..core.losses import Logistic, Softmax, Squared
from ..core.network import Network
from ..core.problem import Problem
from .training_loss import TrainingLoss, numbers, training_loss

# The model's own outputs and those of the chain read from it may differ by rounding in float32.
SAME_OUTPUTS = 1e-3
# Operations of a pruning in a second, and the seconds it is given at least.
PRUNED, LEAST_PRUNING = 1e9, 0.5
DECOUPLED = ("AdamW", "Muon", "Adafactor")


@dataclass(frozen=True, eq=False)
class Trained:
    """See the module.

    Attributes
    ----------
    chain : Chain
    X : array of shape (n_samples, n_features)
    loss : TrainingLoss
    decays : tuple of float
        A weight matrix each.
    bias_decays : tuple of float
        A layer each; of those without a bias it means nothing.
    raw_penalty : float
        Of the parameters as they stand in the model, batch normalisation included.
    notes : tuple of str
    """

    chain: Chain
    X: Array
    loss: TrainingLoss
    decays: tuple[float, ...]
    bias_decays: tuple[float, ...]
    raw_penalty: float
    notes: tuple[str, ...]

    @property
    def factor(self) -> float:
        return self.loss.factor

    @property
    def network(self) -> DeepNetwork:
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
        total = sum(d * np.sum(W * W) for d, W in zip(self.decays, network.weights))
        if network.biases is not None:
            total += sum(d * np.sum(b * b) for d, b in zip(self.bias_decays, network.biases))
        return 0.5 * float(total)

    def objective(self, network: DeepNetwork) -> float:
        """T of a network of this depth."""
        return self.data_fit(network.predict(self.X)) + self.penalty(network)

    def shallow(self) -> Network | None:
        """The two-layer network, rescaled so that both layers have the mean decay."""
        net = self.chain.shallow
        if net is None:
            return None
        t = (self.decays[0] / self.decays[1]) ** 0.25
        return Network(
            net.hidden_weights * t, net.hidden_bias * t, net.output_weights / t, net.output_bias
        )

    def deep(self, network: Network) -> DeepNetwork:
        """The way back from :meth:`shallow`, for any network."""
        t = (self.decays[0] / self.decays[1]) ** 0.25
        return DeepNetwork(
            (network.hidden_weights / t, network.output_weights * t),
            (network.hidden_bias / t, network.output_bias),
        )

    def gradient(self) -> tuple[float, float]:
        """Norm of the gradient of T, and its share of the norms of its two parts."""
        net, w = self.network, self.loss.sample_weight
        biases = net.biases or tuple(np.zeros(W.shape[1]) for W in net.weights)
        inputs, scores = [self.X], []
        for W, b in zip(net.weights, biases):
            scores.append(inputs[-1] @ W + b)
            inputs.append(np.maximum(scores[-1], 0) if net.activation == "relu" else scores[-1])
        weights = np.full(len(self.X), 1 / len(self.X)) if w is None else w / w.sum()
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
        total = _norm([f + p for f, p in zip(fits, pulls)])
        parts = _norm(fits) + _norm(pulls)
        return total, total / parts if parts > 0 else 0.0


def _norm(arrays: Sequence[Array]) -> float:
    return float(np.sqrt(sum(np.sum(a * a) for a in arrays)))


def read_trained(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any = None,
    weight_decay: float | None = None,
    optimizer: Any = None,
    decay_biases: bool = True,
) -> Trained:
    """Read a model, its data and how it was trained; see :func:`gapless.audit`."""
    rows = numbers(X).astype(np.float64)
    rows = rows.reshape(len(rows), -1)
    if isinstance(model, (Network, DeepNetwork)):
        model = _chain_of(model)
    if isinstance(model, Chain):
        chain = model
    elif hasattr(model, "coefs_"):
        return _trained_sklearn(model, rows, numbers(y), loss, weight_decay)
    else:
        chain = read_torch(model)
    if rows.shape[1] != chain.network.n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, the model expects {chain.network.n_features}"
        )
    if len(rows) != len(y):
        raise ValueError(f"X has {len(rows)} samples but y has {len(y)}")
    if chain.modules:
        _check_outputs(model, X, rows, chain)
    if loss is None:
        raise ValueError("say which loss the model was trained with: loss=nn.MSELoss(), ...")
    translated = training_loss(loss, y, chain.network.n_outputs, chain.final)
    notes = []
    if np.ndim(y) == 1 and translated.Y.shape[1] == 1 and translated.loss.targets != "onehot":
        notes.append(
            "y has shape (n,) and the outputs (n, 1): a PyTorch loss broadcasts them to (n, n) "
            "and trains on the wrong thing unless y was reshaped to (n, 1) in training."
        )
    if chain.dropout:
        notes.append("Dropout is left out, as in eval mode: training minimised a noisier loss.")
    if optimizer is not None:
        groups, decoupled = _groups(optimizer)
        if weight_decay is not None and all(d != weight_decay for d in groups.values()):
            raise ValueError("weight_decay differs from the optimizer's; leave one of them out")
        if decoupled:
            notes.append(
                f"{type(optimizer).__name__} decays weights beside the gradient step: it does not "
                "minimise loss + weight_decay / 2 * squares, which is what is audited here; its "
                "networks need not be stationary for it, and Adam or SGD with weight_decay are."
            )
    elif weight_decay is None:
        raise ValueError("say what the weight decay was: weight_decay=... or optimizer=...")
    else:
        groups, decoupled = {}, False
        positive("weight_decay", weight_decay)

    def decay(parameter: Any, is_bias: bool) -> float:
        if parameter is None or not chain.modules:
            return float(weight_decay or 0.0) if decay_biases or not is_bias else 0.0
        if not parameter.requires_grad:
            return 0.0
        if optimizer is not None:
            return groups.get(id(parameter), 0.0)
        return float(weight_decay or 0.0) if decay_biases or parameter.ndim > 1 else 0.0

    modules = chain.modules or (None,) * chain.network.depth
    decays = tuple(decay(None if m is None else m.weight, False) for m in modules)
    # a bias that improvement may add decays like the weights
    bias_decays = tuple(
        decay(None if m is None else m.bias, True) if has else d
        for m, has, d in zip(modules, chain.biased, decays)
    )
    if not all(d > 0 for d in decays):
        raise ValueError(
            f"the layers' weights have weight decay {', '.join(f'{d:g}' for d in decays)}: without "
            "a penalty on all there is no best network to compare with; pass the weight_decay "
            "you want to compare at"
        )
    base = Trained(chain, rows, translated, decays, bias_decays, 0.0, tuple(notes))
    penalty = base.penalty(chain.network)
    if chain.modules:
        penalty = sum(
            0.5 * decay(p, False) * float((p.detach().double() ** 2).sum())
            for p in model.parameters()
        )
    return Trained(chain, rows, translated, decays, bias_decays, penalty, tuple(notes))


def _chain_of(network: Network | DeepNetwork) -> Chain:
    if isinstance(network, Network):
        network = DeepNetwork(
            (network.hidden_weights, network.output_weights),
            (network.hidden_bias, network.output_bias),
        )
    has = [False] * network.depth if network.biases is None else [True] * network.depth
    return Chain(network, tuple(has))


def _groups(optimizer: Any) -> tuple[dict[int, float], bool]:
    """Weight decay of each parameter by id, and whether it is decoupled from the gradient."""
    decays = {
        id(p): float(group.get("weight_decay", 0.0))
        for group in optimizer.param_groups
        for p in group["params"]
    }
    decoupled = type(optimizer).__name__ in DECOUPLED or any(
        group.get("decoupled_weight_decay", False) for group in optimizer.param_groups
    )
    return decays, decoupled


def _check_outputs(model: Any, X: Any, rows: Array, chain: Chain) -> None:
    """The chain must compute what the model does: hooks and parametrisations could differ."""
    import torch

    first = next(iter(model.parameters()))
    inputs = numbers(X)[:64]
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            theirs = numbers(model(torch.as_tensor(inputs, dtype=first.dtype, device=first.device)))
    finally:
        # layer by layer: model.train() would also switch on those that were frozen in eval mode
        for module, mode in modes:
            module.training = mode
    ours = chain.network.predict(rows[:64])
    if chain.final:
        ours = ours - np.log(np.sum(np.exp(ours - ours.max(1, keepdims=True)), 1, keepdims=True))
        ours = ours - ours.max(1, keepdims=True)
        theirs = np.log(np.maximum(theirs, 1e-30)) if chain.final == "softmax" else theirs
        theirs = theirs - theirs.max(1, keepdims=True)
    if theirs.shape != ours.shape or not np.allclose(
        theirs, ours, rtol=SAME_OUTPUTS, atol=SAME_OUTPUTS * max(1.0, float(np.abs(ours).max()))
    ):
        raise ValueError(
            "the model computes something else than its chain of layers (a hook, or a reshape "
            "that mixes samples?); audit a plain chain"
        )


def _trained_sklearn(
    model: Any, X: Array, y: Array, loss: Any, weight_decay: float | None
) -> Trained:
    """scikit-learn: mean loss (squared with 1/2) plus ``alpha / 2 / batch * ||W||^2``."""
    chain = read_sklearn(model)
    if X.shape[1] != chain.network.n_features or len(X) != len(y):
        raise ValueError(
            f"X has shape {X.shape} and y {y.shape}; the model expects "
            f"{chain.network.n_features} features"
        )
    if loss is not None:
        raise ValueError("scikit-learn's models know their loss; leave loss out")
    if getattr(model, "loss", "squared_error") not in ("squared_error", "log_loss"):
        raise ValueError(f"loss={model.loss!r} of {type(model).__name__} is not supported")
    C, n = chain.network.n_outputs, len(X)
    batch = n if model.solver == "lbfgs" else model.batch_size
    batch = min(200, n) if batch == "auto" else min(batch, n)
    if hasattr(model, "classes_"):
        labels = np.searchsorted(model.classes_, y)
        if np.ndim(y) > 1 or np.any(model.classes_[np.minimum(labels, C)] != y):
            raise ValueError("y has classes that the model does not know, or several columns")
        if C == 1:
            signs = np.where(labels[:, None] > 0, 1.0, -1.0)
            translated = TrainingLoss(Logistic(), 1.0, signs, None, "logistic loss, mean")
        else:
            translated = TrainingLoss(
                Softmax(), 1.0, np.eye(C)[labels], None, "cross-entropy, mean"
            )
    else:
        Y = y.astype(float).reshape(n, C)
        text = "squared loss, mean, factor 1/2"
        translated = TrainingLoss(Squared(), 1 / C, Y, None, text)
    decay = positive("alpha", model.alpha / batch if weight_decay is None else weight_decay)
    decays, none = (decay,) * chain.network.depth, (0.0,) * chain.network.depth
    notes = (
        f"scikit-learn divides alpha by the batch ({batch} samples): alpha={model.alpha:g} is a "
        f"weight decay of {model.alpha / batch:.3g}; biases are not penalised.",
    )
    base = Trained(chain, X, translated, decays, none, 0.0, notes)
    return Trained(chain, X, translated, decays, none, base.penalty(chain.network), notes)


def settled(trained: Trained, network: Network) -> Network:
    """A network of the solver with its output bias at its price in training, a square.

    The neurons that see the constant only, at a norm, become the output bias; then its best value.
    """
    if trained.output_decay == 0:
        return network
    problem = trained.problem()
    size = np.linalg.norm(network.hidden_weights, axis=0)
    constant = size <= 1e-12 * np.abs(network.hidden_bias)
    v = np.maximum(network.hidden_bias[constant], 0) @ network.output_weights[constant]
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


def prunes_within(seconds: float, network: Network, n_samples: int) -> bool:
    """Whether pruning it takes no longer."""
    m, C = network.n_neurons, network.n_outputs
    return (n_samples if C == 1 else min(n_samples, m) * C) * m**2 <= PRUNED * seconds
