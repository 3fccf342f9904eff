"""How far from the best network a trained one is, and which structure it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ..certificates.certify import LEAST_SEARCH, ONE_SEARCH, evidence
from ..closed.norm_bounds import deep_lower_bound
from ..closed.rank_one import solve_rank_one_relu
from ..closed.whitened import solve_whitened_relu
from ..core.arrays import scores
from ..core.checks import Array, not_negative
from ..core.losses import EPS, Squared
from ..core.network import Network
from ..core.problem import Problem, size_of_sums
from ..core.result import Status, about
from ..core.watch import Watch
from ..structure.collapse import NeuralCollapse, layer_alignment, neural_collapse
from ..training.path import STARTS, largest_weight_decay
from ..training.train import solve
from .report import AuditReport, LayerReport, NeuronReport
from .trained_model import LEAST_PRUNING, Trained, prunes_within, read_trained, select, settled

# The proof where no bound is known.
UNKNOWN = "losses are not negative"
# Relative gap at which the search for a better network, and the proofs, stop.
TOL = 1e-3
# Work of one start of the search, in numbers of X: all starts together read about this many.
SEARCH = 3e8
# Numbers in X up to which the closed forms and the largest weight decay are tried.
SMALL = 300_000
# Samples up to which the sharper norm bound of deep networks takes seconds.
SCALED = 300
# Shares of the time left for pruning, and for the largest weight decay.
PRUNING, LARGEST = 0.25, 0.2
# Cosine from which two neurons count as duplicates: float32 weights carry seven digits.
DUPLICATE = 1 - 1e-6
# Stationarity below which training has ended; gradients of the two parts then cancel to 1%.
STATIONARY = 0.01
# Estimated gap from which the network is worth improving.
WIDE = 0.01


def audit(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any = None,
    weight_decay: float | None = None,
    optimizer: Any = None,
    decay_biases: bool = True,
    time_limit: float = 10.0,
    random_state: int | None = 0,
) -> AuditReport:
    """Audit a trained network.

    Parameters
    ----------
    model : torch.nn.Module, MLPRegressor, MLPClassifier, Network or DeepNetwork
        A chain of Linear, ReLU, BatchNorm1d, Flatten, Dropout, with an optional final Softmax or
        LogSoftmax.  It is not modified, and is evaluated in ``eval`` mode.
    X, y : arrays or tensors
        The training data, as the model and the loss take them.
    loss : torch loss module, or a name of :mod:`gapless.auditing.training_loss`
        Not for scikit-learn's models, which know theirs.
    weight_decay : float, optional
        As PyTorch's optimizers mean it: ``weight_decay / 2`` times the sum of squares.
    optimizer : torch optimizer, optional
        Its parameter groups say which parameters decay, and how much.
    decay_biases : bool, default True
        Without ``optimizer``: whether vectors decay as well, which is PyTorch's default.
    time_limit : float, default 10
        Seconds for a two-layer network: half at most to look for a better one, whose residual
        makes better bounds, the rest for the proofs.  0 for the network's own residual and cheap
        proofs.
    random_state : int or None, default 0

    Returns
    -------
    AuditReport
        All values in the units of the training loss.

    Raises
    ------
    ValueError
        One sentence: a layer, loss or option that is not supported, data that do not fit, or
        layers without weight decay.
    KeyboardInterrupt
        When interrupted.

    Examples
    --------
    >>> import torch
    >>> from gapless import audit
    >>> model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    >>> X = torch.linspace(-1, 1, 20)[:, None]
    >>> report = audit(model, X, X.abs(), loss=torch.nn.MSELoss(), weight_decay=0.01)
    >>> report.lower_bound <= report.objective
    True
    """
    time_limit = not_negative("time_limit", time_limit)
    watch = Watch(time_limit)
    trained = read_trained(
        model, X, y,
        loss=loss, weight_decay=weight_decay, optimizer=optimizer, decay_biases=decay_biases,
    )  # fmt: skip
    net = trained.network
    fit = trained.data_fit(net.predict(trained.X))
    objective = fit + trained.raw_penalty
    notes = list(trained.notes)
    small, top, neurons = trained.X.size <= SMALL, None, None
    lower, proof, estimated = 0.0, UNKNOWN, None
    found: tuple[float, int] | tuple[None, None] = None, None
    plain = trained.shallow() if not trained.chain.batch_norm else None
    if plain is not None:
        neurons = _neurons(trained, plain, watch)
        best, source = objective, plain
        if small and time_limit > 0:
            solution = solve(
                trained.problem(), watch.part(share=0.5),
                tol=TOL, init=plain, random_state=random_state, proving=True,
            )  # fmt: skip
            if solution.status is Status.STOPPED:
                raise KeyboardInterrupt
            source = solution.network
            better = settled(trained, source)
            best = min(best, trained.objective(trained.deep(better)))
            if best < objective:
                found = best, better.n_neurons
        if small:
            part = Watch(max(LARGEST * watch.left, LEAST_SEARCH))
            top = largest_weight_decay(trained.problem(), STARTS, 0, part) * trained.factor
        lower, estimated, proof = _bound(trained, source, best, watch.left, random_state)
    elif trained.chain.batch_norm:
        notes.append(
            "No lower bound: training through batch normalisation minimised another function "
            "than the one that eval mode computes, and no bound for the latter is known. Gradient "
            "and balance are not measured for the same reason."
        )
    else:
        lower, proof = _deep_bound(trained, time_limit / 2)
        notes.append(
            f"With {net.depth} layers the proven bound is loose: it sees a network by the product "
            "of its layers' norms only. A wide gap says nothing about the training."
        )
    lower = max(lower, 0.0)
    gradient = (None, None) if trained.chain.batch_norm else trained.gradient()
    imbalance = None if trained.chain.batch_norm else _imbalance(trained, plain)
    report = AuditReport(
        loss=trained.loss.text,
        weight_decay=trained.weight_decay,
        bias=trained.bias,
        rule=trained.rule,
        objective=objective,
        data_fit=fit,
        penalty=trained.raw_penalty,
        zero_objective=trained.data_fit(np.zeros_like(trained.loss.Y)),
        lower_bound=lower,
        proof=proof,
        found_objective=found[0],
        found_neurons=found[1],
        estimated_lower_bound=estimated,
        stationarity=gradient[1],
        gradient_norm=gradient[0],
        imbalance=imbalance,
        layers=_layers(trained),
        neurons=neurons,
        weight_decay_max=top,
        collapse=_collapse(trained),
        kinks=_kinks(trained, plain),
        notes=tuple(notes),
        verdict="",
        advice=(),
        seconds=0.0,
        network=net,
        X=trained.X,
        Y=trained.loss.Y,
    )
    # verdict and advice read the finished report; the clock stops last
    object.__setattr__(report, "verdict", _verdict(report))
    object.__setattr__(report, "advice", tuple(_advice(report)))
    object.__setattr__(report, "seconds", watch.seconds)
    return report


def _bound(
    trained: Trained,
    network: Network,
    objective: float,
    time_limit: float,
    random_state: int | None,
) -> tuple[float, float, str]:
    """Proven and estimated lower bound of a two-layer network's training, and the proof.

    As :func:`gapless.certify`, but with the output bias at its price in training, a square.
    """
    n_starts = int(np.clip(SEARCH / trained.X.size, 30, 1000))
    reduction, points = evidence(
        trained.problem(), network, "auto", time_limit, n_starts, random_state
    )
    core, factor = reduction.core, trained.factor * reduction.value
    decay = trained.output_decay / trained.factor * reduction.unit**2 / reduction.value
    lower, estimated, proof = 0.0, 0.0, UNKNOWN
    for Lam, bound, found in points:
        proven = factor * _proven_bound(core, Lam, bound.upper, decay)
        if proven > lower:
            lower, proof = proven, bound.proof
        guess = factor * _proven_bound(core, Lam, max(found, bound.lower), decay)
        estimated = max(estimated, min(guess, (1 - ONE_SEARCH) * objective), lower)
        if objective - lower <= TOL * objective:
            break
    return lower, estimated, proof


def _proven_bound(core: Problem, Lam: Array, gauge: float, decay: float) -> float:
    """What the best multiple of ``Lam`` proves, if its gauge is ``gauge``.

    As :meth:`Problem.proven_bound`, but that an output bias of price ``decay / 2 ||c||^2`` takes
    ``||sum_i Lam_i||^2 / (2 decay)``, the largest ``Lam_i.c`` less that price, rounded up.
    """
    if decay == 0:
        return core.proven_bound(Lam, gauge)

    def proven(t: float) -> float:
        V = core.feasible(t * Lam, t * gauge)
        sums = size_of_sums(core.sample_weight[:, None] * V)
        return core.proven_value(V) - (1 + 8 * EPS) * float(np.sum(sums**2)) / (2 * decay)

    square = float(np.sum(size_of_sums(Lam) ** 2)) / (2 * decay)
    top = core.best_scale(Lam, core.weight_decay / gauge if gauge > 0 else np.inf)[0]
    found = minimize_scalar(
        lambda t: t * t * square - core.dual_value(t * Lam), bounds=(0.0, top), method="bounded"
    )
    return max(proven(float(found.x)), proven(top))


def _deep_bound(trained: Trained, time_limit: float) -> tuple[float, str]:
    """Any depth: norm bounds, and the closed forms where their hypotheses hold."""
    problem, net = trained.problem(), trained.network
    method = "scaled" if problem.n_samples <= SCALED and time_limit > 0 else "norm"
    bound = deep_lower_bound(
        problem,
        net.depth,
        net.predict(trained.X),
        method,
        activation=net.activation,
        time_limit=time_limit or None,
    )
    lower, proof = bound.lower_bound, bound.proof
    closed = problem.bias == "none" and net.activation == "relu" and problem.X.size <= SMALL
    if closed and isinstance(problem.loss, Squared) and trained.loss.sample_weight is None:
        for solve, name in ((solve_rank_one_relu, "rank one"), (solve_whitened_relu, "whitened")):
            try:
                solution = solve(problem.X, problem.Y, problem.weight_decay, depth=net.depth)
            except ValueError:  # the data break a hypothesis: the norm bound stands
                continue
            if solution.lower_bound > lower:
                lower, proof = solution.lower_bound, f"closed form of {name} data"
    return trained.factor * lower, proof


def _imbalance(trained: Trained, plain: Network | None) -> float | None:
    """Penalty that the best scales of neurons, or of layers, would save."""
    if not trained.exact:
        return None
    if plain is not None:
        hidden, output = plain.scaled_directions(trained.bias)
        return 0.5 * trained.weight_decay * float(np.sum((hidden - output) ** 2))
    squares = np.array([d * np.sum(W * W) for d, W in zip(trained.decays, trained.network.weights)])
    best = float(np.exp(np.mean(np.log(np.maximum(squares, 1e-300)))))
    return 0.5 * float(np.sum(squares)) - 0.5 * len(squares) * best


def _layers(trained: Trained) -> tuple[LayerReport, ...]:
    net = trained.network
    alignment = layer_alignment(net.weights)
    biases = net.biases or tuple(np.zeros(W.shape[1]) for W in net.weights)
    A, reports = trained.X, []
    for l, (W, b) in enumerate(zip(net.weights, biases)):
        dead = always = 0
        if l < net.depth - 1:
            A = scores(A, W, b)
            if net.activation == "relu":
                dead = int(np.sum(np.all(A <= 0, axis=0)))
                always = int(np.sum(np.all(A > 0, axis=0)))
                A = np.maximum(A, 0.0)
        values = alignment.singular_values[l]
        share = values[values > 0] / max(float(values.sum()), 1e-300)
        fits = float(alignment.alignment[l]) if l < net.depth - 1 else np.nan
        reports.append(
            LayerReport(
                W.shape[0],
                W.shape[1],
                float(np.linalg.norm(W)),
                alignment.ranks[l],
                float(np.exp(-np.sum(share * np.log(share)))),
                fits if np.isfinite(fits) else None,
                dead,
                always,
            )
        )
    return tuple(reports)


def _neurons(trained: Trained, network: Network, watch: Watch) -> NeuronReport:
    X, rule = trained.X, trained.bias
    S = scores(X, network.hidden_weights, network.hidden_bias)
    alive = np.any(S > 0, axis=0) & np.any(network.output_weights != 0, axis=1)
    living = select(network, alive)
    V = np.vstack([living.hidden_weights, living.hidden_bias])
    V = V / np.maximum(np.linalg.norm(V, axis=0), 1e-300)
    twin = np.triu(V.T @ V > DUPLICATE, k=1).any(axis=0)
    merged = living.merge(X, rule)
    sufficient = None
    if prunes_within(max(PRUNING * watch.left, LEAST_PRUNING), merged, len(X)):
        sufficient = merged.prune(X, rule).n_neurons
    m = network.n_neurons
    return NeuronReport(
        m,
        m - living.n_neurons,
        int(twin.sum()),
        living.n_neurons - merged.n_neurons,
        sufficient,
    )


def _collapse(trained: Trained) -> NeuralCollapse | None:
    loss, net = trained.loss, trained.network
    head = net.weights[-1].T
    bias = None if net.biases is None else net.biases[-1]
    if loss.loss.targets == "onehot":
        labels = np.argmax(loss.Y, axis=1)
    elif loss.loss.targets == "sign" and loss.Y.shape[1] == 1:
        # one margin is the difference of two outputs
        labels, head = loss.Y[:, 0] > 0, np.vstack([-head, head]) / 2
        bias = None if bias is None else np.array([-bias[0], bias[0]]) / 2
    else:
        return None
    try:
        return neural_collapse(net.features(trained.X), labels, head, bias)
    except ValueError:  # a class without samples, or means that coincide: nothing to measure
        return None


def _kinks(trained: Trained, plain: Network | None) -> Array | None:
    """Kinks of a two-layer network within the range of one variable, of those that bend it."""
    if plain is None or plain.n_features != 1:
        return None
    net = plain.balance("free")
    u = net.hidden_weights[0]
    x = trained.X[:, 0]
    at = np.sort(-net.hidden_bias[u != 0] / u[u != 0])
    return np.unique(at[(at > x.min()) & (at < x.max())])


def _verdict(report: AuditReport) -> str:
    estimated = report.estimated_relative_gap
    if report.relative_gap <= WIDE:
        return (
            f"Well trained: proven to be within {report.relative_gap:.2%} of the best network of "
            "any width."
        )
    if report.found_gain > WIDE:
        return (
            f"Not the best: a network with a {report.found_gain:.1%} lower objective was found; "
            f"none is more than {report.relative_gap:.1%} lower (proven)."
        )
    if estimated is not None and estimated <= WIDE:
        return (
            "Probably well trained: a search suggests that "
            f"{about(estimated)} can be gained at most, which it cannot prove."
        )
    if report.proof == UNKNOWN:
        return "Undecided: no bound is known for networks with batch normalisation."
    return (
        f"Undecided: a better network may exist, at most {report.relative_gap:.1%} lower (proven)."
    )


def _advice(report: AuditReport) -> list[str]:
    """Plain words, the most useful first."""
    out = []
    estimated, unclear = report.estimated_relative_gap, report.relative_gap > WIDE
    n = report.neurons
    if n is not None and report.found_gain > WIDE and report.found_neurons is not None:
        text = f"A network with objective {report.found_objective:.4g} and "
        text += f"{report.found_neurons} neurons was found: "
        out.append(
            text + "gapless.improve continues from yours in the same way and returns a module."
            if report.found_neurons <= n.total
            else text + f"yours has {n.total}, so train a wider one."
        )
    elif unclear and estimated is not None and estimated > WIDE:
        out.append(
            "gapless.improve continues from this network with the convex solver and never returns "
            "a worse one; audit with a larger time_limit looks and proves longer."
        )
    well = not unclear or (estimated is not None and max(estimated, report.found_gain) <= WIDE)
    if report.stationarity is not None and report.stationarity > STATIONARY and not well:
        out.append(
            "Training seems not to have ended: the gradients of loss and penalty leave "
            f"{report.stationarity:.0%} of their size when added, 0% where training ends (1% is "
            "rounding). Train longer, or with another learning rate."
        )
    if report.imbalance is not None and report.imbalance > 1e-3 * report.objective:
        out.append(
            f"Rescaling alone, which changes no output, would save {report.imbalance:.3g} of the "
            "penalty; at the end of training that is 0."
        )
    if n is not None:
        if n.sufficient is not None and n.sufficient < n.total:
            out.append(
                f"{n.sufficient} of {n.total} neurons suffice for the same outputs on these data: "
                "gapless.prune removes the rest."
            )
        elif n.dead:
            out.append(f"{n.dead} of {n.total} neurons are dead: gapless.prune removes them.")
    if report.weight_decay_max is not None:
        ratio = report.weight_decay_max / report.weight_decay
        if ratio <= 1:
            out.append(
                "The weight decay seems so large that the best network is constant: try one "
                f"smaller than {report.weight_decay_max:.3g}."
            )
        elif report.best_objective - report.lower_bound > WIDE * report.best_objective:
            out.append(
                f"The weight decay is about {ratio:.3g} times smaller than where the best network "
                f"becomes constant ({report.weight_decay_max:.3g}) and the proven gap closes; "
                "the nearer to that, the narrower the gap tends to be."
            )
    for l, left in enumerate(report.layers, start=1):
        if left.dead > 0.5 * left.outputs and n is None:
            out.append(
                f"{left.dead} of {left.outputs} neurons of layer {l} are dead on these data: "
                "a narrower layer, or a smaller learning rate."
            )
    return out
