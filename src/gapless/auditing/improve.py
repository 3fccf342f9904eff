"""A better or smaller network with the same interface, from one that somebody trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..bridges.torch import read_torch, to_torch
from ..core.checks import not_negative, optional_import
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import Status
from ..core.watch import Watch
from ..training.train import solve
from .convolved import ConvolvedNetwork, reread
from .measures import activity
from .reading import read_trained
from .trained_model import Trained, merged, prunes_within, select, settled

# Pruning keeps the objective up to the rounding of float32 weights.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Improvement:
    """What :func:`improve` or :func:`prune` returns.

    Attributes
    ----------
    model : torch.nn.Sequential
        In ``eval`` mode, on the device and of the dtype of the model given.
    objective_before, objective_after : float
        In the units of the training loss, of the weights as they stand in both modules.
    n_neurons_before, n_neurons_after : int
    """

    model: Any
    objective_before: float
    objective_after: float
    n_neurons_before: int
    n_neurons_after: int

    def __str__(self) -> str:
        lower = 1 - self.objective_after / self.objective_before if self.objective_before else 0.0
        return (
            f"{self.n_neurons_after} of {self.n_neurons_before} neurons, objective "
            f"{self.objective_after:.6g} where it was {self.objective_before:.6g} ({lower:.1%} "
            "lower); improve(within=0.01) looks for fewer at 1% more"
        )


def improve(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any = None,
    weight_decay: float | None = None,
    optimizer: Any = None,
    decay_biases: bool = True,
    tol: float = 1e-3,
    within: float = 0.0,
    time_limit: float | None = 60.0,
    random_state: int | None = 0,
) -> Improvement:
    """Continue from a two-layer network with the convex solver.

    Never returns a higher objective or a wider network, and for one output at most
    ``n_samples`` neurons.  An interrupt (Ctrl-C) ends it with the best so far.

    Parameters
    ----------
    model, X, y, loss, weight_decay, optimizer, decay_biases
        As in :func:`gapless.audit`.
    tol : float, default 1e-3
        Relative gap at which the solver stops.
    within : float, default 0
        How much higher than the best found the objective may be, as a share of it, for fewer
        neurons: above 0 the smallest network found so is returned, never one that is worse than
        yours.  Widths are halved between one that suffices and one that does not, each continued
        from the neurons that weigh most; a still smaller network may exist.
    time_limit : float or None, default 60
        Seconds, half of them for fewer neurons where ``within`` is above 0; None for no limit.
    random_state : int or None, default 0

    Returns
    -------
    Improvement

    Raises
    ------
    ValueError
        For a negative ``within``, a network that has not two ReLU layers, or has batch
        normalisation, and as :func:`gapless.audit`.
    ImportError
        Where PyTorch is not installed, as the result is a module.
    """
    optional_import("torch", "torch", "improve")  # the result is a module: say so before the work
    watch, within = Watch.of(time_limit), not_negative("within", within)
    trained, start = _start(model, X, y, loss, weight_decay, optimizer, decay_biases)
    lossless = _prune(trained, start, watch)
    solution = solve(
        trained.problem(), watch.part(share=0.5 if within and watch.limited else 1.0),
        tol=tol, max_neurons=max(start.n_neurons, 1), init=lossless,
        random_state=random_state, proof_time=None if watch.limited else 0.0,
    )  # fmt: skip
    better = settled(trained, solution.network)
    candidates = [_prune(trained, better, watch), better, lossless]
    best = min(candidates, key=lambda network: trained.objective(trained.deep(network)))
    if within:
        candidates += smaller(
            trained.problem(), best, within, watch, tol=tol, random_state=random_state,
            settle=partial(settled, trained),
            objective=lambda network: trained.objective(trained.deep(network)),
        )  # fmt: skip
    return _best(trained, start, candidates, within=within)


def prune(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    loss: Any = None,
    weight_decay: float | None = None,
    optimizer: Any = None,
    decay_biases: bool = True,
) -> Improvement:
    """The same function on X with fewer neurons, and no larger penalty.

    Dead neurons go, neurons of equal pattern are merged, and while the neurons' contributions on
    X are linearly dependent one more goes (optimal pruning, see :meth:`gapless.Network.prune`).
    Away from X the function may change.

    Parameters
    ----------
    model, X, y, loss, weight_decay, optimizer, decay_biases
        As in :func:`gapless.audit`.

    Returns
    -------
    Improvement

    Raises
    ------
    ValueError
        As :func:`improve`.
    ImportError
        Where PyTorch is not installed.
    """
    trained, start = _start(model, X, y, loss, weight_decay, optimizer, decay_biases)
    return _best(trained, start, [_prune(trained, start, Watch())], ROUNDING)


def _start(
    model: Any, X: Any, y: Any, loss: Any, weight_decay: float | None, optimizer: Any, biases: bool
) -> tuple[Trained, Network]:
    trained = read_trained(
        model, X, y,
        loss=loss, weight_decay=weight_decay, optimizer=optimizer, decay_biases=biases,
    )  # fmt: skip
    start = trained.shallow()
    if start is None:
        raise ValueError(
            "only networks Linear, ReLU, Linear without batch normalisation can be improved; "
            f"this one has {trained.network.depth} Linear layers"
        )
    return trained, start


def smaller(
    problem: Problem,
    best: Network,
    within: float,
    watch: Watch,
    *,
    tol: float,
    random_state: int | None = 0,
    settle: Callable[[Network], Network] = lambda network: network,
    objective: Callable[[Network], float] | None = None,
) -> list[Network]:
    """Networks of fewer neurons whose objective is at most a share ``within`` above that of best.

    By bisection of the width, each from the heaviest neurons of the smallest that suffices.

    Parameters
    ----------
    problem : Problem
    best : Network
    within : float
        Above 0.
    watch : Watch
    tol, random_state
        As in :func:`improve`.
    settle : callable, optional
        What becomes of a network that was trained.
    objective : callable, optional
        Of a settled network; that of the problem by default.

    Returns
    -------
    list of Network
        Ever smaller.
    """
    spent = watch.seconds
    value = objective or partial(Network.objective, problem=problem)
    allowed = (1 + 0.999 * within) * value(best)  # float32 rounds
    found, few, enough = [best], 0, best.n_neurons
    while enough - few > 1 and watch.left > 0:
        width = (few + enough) // 2
        net = found[-1]
        size = np.linalg.norm(np.vstack([net.hidden_weights, net.hidden_bias]), axis=0)
        weight = size * np.linalg.norm(net.output_weights, axis=1)
        heaviest = np.sort(np.argsort(weight)[-width:])
        steps = max(int(np.ceil(np.log2(enough - few))), 1)
        # without a limit as long as the best network took: one too narrow would not end
        part = watch.part(share=1.0 / steps) if watch.limited else Watch(spent)
        solution = solve(
            problem, part, tol=min(tol, within / 4), max_neurons=width, init=select(net, heaviest),
            random_state=random_state,
        )  # fmt: skip
        candidate = settle(solution.network)
        if value(candidate) <= allowed:
            found.append(candidate)
            enough = min(width, candidate.n_neurons)
        else:
            few = width
        if solution.status is Status.STOPPED:
            break
    return found[1:]


def _prune(trained: Trained, network: Network, watch: Watch) -> Network:
    """Same outputs on the data, no larger penalty: dead neurons, merging and, if there is time,
    dependence."""
    alive, _ = activity(trained.X, network.hidden_weights, network.hidden_bias)
    fewer = merged(select(network, alive), trained.X, trained.bias)
    if prunes_within(watch.left, fewer, trained.X):
        return fewer.prune(trained.X, trained.bias)
    return fewer


def _best(
    trained: Trained,
    start: Network,
    candidates: list[Network],
    rounding: float = 0.0,
    within: float = 0.0,
) -> Improvement:
    """The candidate of lowest objective as a module; the model's own weights when none is lower.

    With ``within`` the smallest of those that are at most that share above the lowest.
    """
    before = trained.data_fit(trained.network.predict(trained.X)) + trained.raw_penalty
    # the same weights, through the same conversion as the candidates
    best, after = _module(trained, trained.network), before
    width = start.n_neurons
    for candidate in candidates:
        if candidate.n_neurons > start.n_neurons:
            continue
        module, network = _rounded(trained, candidate)
        value = trained.objective(network)
        # of equal objectives the smaller network: rounding to float32 moves the last digits
        fewer = candidate.n_neurons < width
        if value < after or (fewer and value <= before * (1 + rounding)):
            best, after, width = module, value, candidate.n_neurons
    allowed = min(before, (1 + within) * after)
    for candidate in candidates if within else ():
        module, network = _rounded(trained, candidate)
        value = trained.objective(network)
        if candidate.n_neurons < width and value <= allowed:
            best, after, width = module, value, candidate.n_neurons
    return Improvement(best, before, after, start.n_neurons, width)


def _module(trained: Trained, network: DeepNetwork) -> Any:
    """``nn.Sequential`` with the flattening, final softmax, dtype and device of the model."""
    torch = optional_import("torch", "torch", "improve")
    chain = trained.chain
    weight = chain.modules[0].weight if chain.modules else torch.zeros(0)
    bias, dtype = any(chain.biased), weight.dtype
    if isinstance(network, ConvolvedNetwork):
        core = to_torch(network.plain, bias=bias, dtype=dtype, windows=network.windows)
    else:
        core = to_torch(network, bias=bias, dtype=dtype)
    final = {"softmax": torch.nn.Softmax, "log_softmax": torch.nn.LogSoftmax}
    parts = [torch.nn.Flatten()] if chain.flatten else []
    parts += list(core)
    if chain.final:
        parts.append(final[chain.final](dim=1))
    return torch.nn.Sequential(*parts).to(weight.device).eval()


def _rounded(trained: Trained, candidate: Network) -> tuple[Any, DeepNetwork]:
    """The candidate as a module, and the network that its rounded weights make."""
    module = _module(trained, trained.deep(candidate))
    like = trained.network
    if isinstance(like, ConvolvedNetwork):
        return module, reread(module, like)
    return module, read_torch(module).network
