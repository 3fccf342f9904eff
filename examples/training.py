"""What the examples compare with: PyTorch, Adam and then L-BFGS, in float64.

Restarts of one network train side by side as a batch; then each is polished by SciPy's
L-BFGS on gradients from PyTorch.  The objective is gapless's: mean loss plus
``weight_decay / 2`` times the sum of squared weights.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize


@dataclass
class Runs:
    """Objectives of all restarts, Adam's traces, and the weights of the best restart."""

    objectives: np.ndarray
    traces: np.ndarray  # (steps recorded, restarts)
    weights: list[np.ndarray]


def objective(weights, X, Y, weight_decay, loss, activation):
    """Per-restart objective for weights of shape (restarts, in, out)."""
    A = X.expand(weights[0].shape[0], *X.shape)
    for l, W in enumerate(weights):
        A = A @ W
        if l < len(weights) - 1 and activation == "relu":
            A = torch.relu(A)
    if loss == "squared":
        fit = 0.5 * ((A - Y) ** 2).sum(-1).mean(-1)
    elif loss == "logistic":
        fit = torch.nn.functional.softplus(-A * Y).sum(-1).mean(-1)
    else:
        fit = -(torch.log_softmax(A, -1) * Y).sum(-1).mean(-1)
    return fit + 0.5 * weight_decay * sum((W * W).sum((-1, -2)) for W in weights)


def train_runs(
    X, Y, weight_decay, widths, loss="squared", activation="relu",
    restarts=8, steps=2000, lr=0.02, seed=0, scale=1.0, polish=2000,
):  # fmt: skip
    """Train ``restarts`` networks with hidden ``widths``; ``scale`` multiplies the start."""
    torch.set_default_dtype(torch.float64)
    X, Y = torch.as_tensor(np.asarray(X, float)), torch.as_tensor(np.asarray(Y, float))
    Y = Y[:, None] if Y.ndim == 1 else Y
    generator = torch.Generator().manual_seed(seed)
    sizes = [X.shape[1], *widths, Y.shape[1]]
    spread = scale * torch.logspace(-0.7, 0.4, restarts)[:, None, None]
    weights = [
        (spread * torch.randn(restarts, a, b, generator=generator) * (2.0 / max(a, 1)) ** 0.5)
        .requires_grad_()
        for a, b in itertools.pairwise(sizes)
    ]  # fmt: skip
    optimiser = torch.optim.Adam(weights, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), lr * 1e-3)
    traces = []
    for step in range(steps):
        optimiser.zero_grad()
        values = objective(weights, X, Y, weight_decay, loss, activation)
        values.sum().backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // 100) == 0:
            traces.append(values.detach().numpy().copy())
    finals, best = [], None
    for r in range(restarts):
        start = [W[r].detach() for W in weights]
        shapes, ends = [W.shape for W in start], np.cumsum([W.numel() for W in start])[:-1]

        def unpack(x, ends=ends, shapes=shapes):
            return [torch.tensor(p).reshape(s) for p, s in zip(np.split(x, ends), shapes)]

        def value(x, unpack=unpack):
            parts = [W.requires_grad_() for W in unpack(x)]
            total = objective([W[None] for W in parts], X, Y, weight_decay, loss, activation)[0]
            total.backward()
            return total.item(), torch.cat([W.grad.ravel() for W in parts]).numpy()

        x0 = torch.cat([W.ravel() for W in start]).numpy()
        options = {"maxiter": polish, "maxfun": 2 * polish, "ftol": 1e-16, "gtol": 1e-12}
        found = minimize(value, x0, jac=True, method="L-BFGS-B", options=options)
        finals.append(found.fun)
        if found.fun <= min(finals):
            best = [W.numpy() for W in unpack(found.x)]
    return Runs(np.array(finals), np.array(traces), best)


def train_with_biases(
    X, Y, weight_decay, width, loss="squared", restarts=8, steps=2000, lr=0.02, seed=0
):  # fmt: skip
    """Adam on two-layer ReLU networks with free biases: objectives and each restart's function."""
    torch.set_default_dtype(torch.float64)
    X, Y = torch.as_tensor(np.asarray(X, float)), torch.as_tensor(np.asarray(Y, float))
    X, Y = (V[:, None] if V.ndim == 1 else V for V in (X, Y))
    generator = torch.Generator().manual_seed(seed)
    r, d, C = restarts, X.shape[1], Y.shape[1]
    shapes = ((r, d, width), (r, 1, width), (r, width, C), (r, 1, C))
    scales = ((2 / d) ** 0.5, 1.0, (2 / width) ** 0.5, 0.0)
    parts = [
        (s * torch.randn(*shape, generator=generator)).requires_grad_()
        for s, shape in zip(scales, shapes)
    ]

    def outputs(inputs):
        U, b, a, c = parts
        return torch.relu(inputs @ U + b) @ a + c

    def objectives():
        F = outputs(X)
        fit = torch.relu(1 - Y * F) if loss == "hinge" else 0.5 * (F - Y) ** 2
        squares = parts[0].square().sum((-1, -2)) + parts[2].square().sum((-1, -2))
        return fit.sum(-1).mean(-1) + 0.5 * weight_decay * squares

    optimiser = torch.optim.Adam(parts, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), lr * 1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        objectives().sum().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return objectives().numpy(), lambda points: _predict(outputs, points)


def _predict(outputs, points):
    points = torch.as_tensor(np.asarray(points, float))
    with torch.no_grad():
        return outputs(points[:, None] if points.ndim == 1 else points).numpy()
