"""How far from the best network a trained one is, and which structure it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import not_negative
from ..core.watch import Watch
from .advice import advice, verdict
from .findings import Findings
from .measures import collapse_of, imbalance, kinks, layer_reports, neuron_report
from .optimum import find_optimum
from .reading import read_trained
from .report import AuditReport
from .trained_model import Trained


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
        LogSoftmax, or a Sequential of one convolution (:func:`gapless.from_torch_convolution`).
        It is not modified, and is evaluated in ``eval`` mode.
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
        makes better bounds, the rest for the proofs.  0 looks for none: the network's own residual
        and cheap proofs.
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
    found = measure(trained, watch, time_limit, random_state)
    return AuditReport(
        **vars(found),
        verdict=verdict(found),
        advice=advice(found),
        seconds=watch.seconds,
        network=trained.network,
        X=trained.X,
        Y=trained.loss.Y,
    )


def measure(
    trained: Trained, watch: Watch, time_limit: float, random_state: int | None
) -> Findings:
    """Measure a trained network.

    Parameters
    ----------
    trained : Trained
    watch : Watch
        Of the whole audit.
    time_limit : float
        What ``watch`` had at its start; 0 for cheap proofs only.
    random_state : int or None

    Returns
    -------
    Findings

    Raises
    ------
    KeyboardInterrupt
        When interrupted.
    """
    fit = trained.data_fit(trained.network.predict(trained.X))
    objective = fit + trained.raw_penalty
    plain = trained.shallow()
    # before the optimum, which takes all the time there is
    neurons = None if plain is None else neuron_report(trained, plain, watch)
    best = find_optimum(trained, objective, watch, time_limit, random_state)
    gradient, stationarity = (None, None) if trained.chain.batch_norm else trained.gradient()
    return Findings(
        **vars(best),
        loss=trained.loss.text,
        weight_decay=trained.weight_decay,
        bias=trained.bias,
        rule=trained.rule,
        decoupled=trained.decoupled,
        objective=objective,
        data_fit=fit,
        penalty=trained.raw_penalty,
        zero_objective=trained.data_fit(np.zeros_like(trained.loss.Y)),
        stationarity=stationarity,
        gradient_norm=gradient,
        imbalance=imbalance(trained),
        layers=layer_reports(trained),
        neurons=neurons,
        collapse=collapse_of(trained),
        kinks=kinks(trained),
    )
