"""Reading a trained model, its data, and how it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bridges.chain import Chain
from ..bridges.sklearn import read_sklearn
from ..bridges.torch import read_torch
from ..core.checks import Array, positive
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from .convolved import is_convolution, read_convolution
from .trained_model import Trained, penalty
from .training_loss import numbers, sklearn_loss, training_loss

# The model's own outputs and those of the chain read from it may differ by rounding in float32.
SAME_OUTPUTS = 1e-3
# Samples on which they are compared.
COMPARED = 64
# Stands for a probability that float32 rounded to zero.
LEAST_PROBABILITY = 1e-30
# Optimizers of PyTorch that decay weights beside the gradient step, whatever their groups say.
DECOUPLED = ("AdamW", "Muon", "Adafactor")
# What scikit-learn means by batch_size="auto", at most.
AUTO_BATCH = 200


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
    """Read a model, its data and how it was trained.

    Parameters
    ----------
    model, X, y, loss, weight_decay, optimizer, decay_biases
        As in :func:`gapless.audit`.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        One sentence: what is not supported, does not fit or is missing.
    """
    given = numbers(X).astype(np.float64)
    rows: Any = given.reshape(len(given), -1)
    if hasattr(model, "coefs_"):
        return _read_sklearn(model, rows, numbers(y), loss, weight_decay)
    if is_convolution(model):
        chain, rows = read_convolution(model, given)
    else:
        chain = _chain_of(model)
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
    decay = _decay(weight_decay, optimizer, decay_biases)
    decoupled = None
    if optimizer is not None and _is_decoupled(optimizer):
        decoupled = type(optimizer).__name__
        notes.append(
            f"{decoupled} decays weights beside the gradient step: it does not "
            "minimise loss + weight_decay / 2 * squares, which is what is audited here; its "
            "networks need not be stationary for it, and Adam or SGD with weight_decay are."
        )
    decays, bias_decays = _layer_decays(chain, decay)
    raw = (
        # batch normalisation included, whose parameters are folded away in the chain
        sum(
            0.5 * decay.of(p, p.ndim <= 1) * float((p.detach().double() ** 2).sum())
            for p in model.parameters()
        )
        if chain.modules
        else penalty(chain.network, decays, bias_decays)
    )
    return Trained(chain, rows, translated, decays, bias_decays, raw, tuple(notes), decoupled)


def _chain_of(model: Any) -> Chain:
    if isinstance(model, Chain):
        return model
    if isinstance(model, Network):
        model = DeepNetwork(
            (model.hidden_weights, model.output_weights), (model.hidden_bias, model.output_bias)
        )
    if isinstance(model, DeepNetwork):
        return Chain(model, (model.biases is not None,) * model.depth)
    return read_torch(model)


@dataclass(frozen=True)
class Decay:
    """The weight decay of each parameter.

    Attributes
    ----------
    value : float
        Where no optimizer says it.
    vectors : bool
        Whether ``value`` is that of vectors, such as biases, as well.
    groups : dict or None
        What an optimizer says, by the parameter's id.
    """

    value: float
    vectors: bool
    groups: dict[int, float] | None = None

    def of(self, parameter: Any, vector: bool) -> float:
        """Of a tensor, or of a network's own array: ``parameter`` None."""
        if parameter is not None and not parameter.requires_grad:
            return 0.0
        if parameter is not None and self.groups is not None:
            return self.groups.get(id(parameter), 0.0)
        return self.value if self.vectors or not vector else 0.0


def _decay(weight_decay: float | None, optimizer: Any, vectors: bool) -> Decay:
    if optimizer is None:
        if weight_decay is None:
            raise ValueError("say what the weight decay was: weight_decay=... or optimizer=...")
        return Decay(positive("weight_decay", weight_decay), vectors)
    groups = {
        id(p): float(group.get("weight_decay", 0.0))
        for group in optimizer.param_groups
        for p in group["params"]
    }
    if weight_decay is not None and all(d != weight_decay for d in groups.values()):
        raise ValueError("weight_decay differs from the optimizer's; leave one of them out")
    return Decay(float(weight_decay or 0.0), vectors, groups)


def _is_decoupled(optimizer: Any) -> bool:
    """Whether it decays weights beside the gradient step, which minimises no penalty."""
    return type(optimizer).__name__ in DECOUPLED or any(
        group.get("decoupled_weight_decay", False) for group in optimizer.param_groups
    )


def _layer_decays(chain: Chain, decay: Decay) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each layer's weights, and of its bias."""
    modules = chain.modules or (None,) * chain.network.depth
    decays = tuple(decay.of(None if m is None else m.weight, False) for m in modules)
    # a bias that improvement may add decays like the weights
    bias_decays = tuple(
        decay.of(None if m is None else m.bias, True) if has else d
        for m, has, d in zip(modules, chain.biased, decays)
    )
    if not all(d > 0 for d in decays):
        raise ValueError(
            f"the layers' weights have weight decay {', '.join(f'{d:g}' for d in decays)}: without "
            "a penalty on all there is no best network to compare with; pass the weight_decay "
            "you want to compare at"
        )
    return decays, bias_decays


def _check_outputs(model: Any, X: Any, rows: Any, chain: Chain) -> None:
    """The chain must compute what the model does: hooks and parametrisations could differ."""
    import torch

    first = next(iter(model.parameters()))
    inputs = numbers(X)[:COMPARED]
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            theirs = numbers(model(torch.as_tensor(inputs, dtype=first.dtype, device=first.device)))
    finally:
        # layer by layer: model.train() would also switch on those that were frozen in eval mode
        for module, mode in modes:
            module.training = mode
    ours = chain.network.predict(rows[:COMPARED])
    if chain.final:
        ours = ours - np.log(np.sum(np.exp(ours - ours.max(1, keepdims=True)), 1, keepdims=True))
        ours = ours - ours.max(1, keepdims=True)
        theirs = (
            np.log(np.maximum(theirs, LEAST_PROBABILITY)) if chain.final == "softmax" else theirs
        )
        theirs = theirs - theirs.max(1, keepdims=True)
    if theirs.shape != ours.shape or not np.allclose(
        theirs, ours, rtol=SAME_OUTPUTS, atol=SAME_OUTPUTS * max(1.0, float(np.abs(ours).max()))
    ):
        raise ValueError(
            "the model computes something else than its chain of layers (a hook, or a reshape "
            "that mixes samples?); audit a plain chain"
        )


def _read_sklearn(model: Any, X: Array, y: Array, loss: Any, weight_decay: float | None) -> Trained:
    """scikit-learn: mean loss (squared with 1/2) plus ``alpha / 2 / batch * ||W||^2``."""
    chain = read_sklearn(model)
    if X.shape[1] != chain.network.n_features or len(X) != len(y):
        raise ValueError(
            f"X has shape {X.shape} and y {y.shape}; the model expects "
            f"{chain.network.n_features} features"
        )
    if loss is not None:
        raise ValueError("scikit-learn's models know their loss; leave loss out")
    translated = sklearn_loss(model, y, chain.network.n_outputs)
    n = len(X)
    batch = n if model.solver == "lbfgs" else model.batch_size
    batch = min(AUTO_BATCH, n) if batch == "auto" else min(batch, n)
    decay = positive("alpha", model.alpha / batch if weight_decay is None else weight_decay)
    decays, none = (decay,) * chain.network.depth, (0.0,) * chain.network.depth
    note = (
        f"scikit-learn divides alpha by the batch ({batch} samples): alpha={model.alpha:g} is a "
        f"weight decay of {model.alpha / batch:.3g}; biases are not penalised."
    )
    raw = penalty(chain.network, decays, none)
    return Trained(chain, X, translated, decays, none, raw, (note,))
