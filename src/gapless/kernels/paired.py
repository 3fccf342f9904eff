"""Hidden layers as Duan et al. train them: Adam on pairs of samples (PyTorch).

The next layer's kernel is ``exp(-||f - g||^2)``; its width is no parameter, the coefficients' size
is.  Batches of a few hundred samples give tens of thousands of pairs each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array, optional_import
from .machine import Kernel, KernelMachine, median_distance

# Samples a batch: 32,640 pairs. One step of Adam moves an output by STEP at most, about a twentieth
# of where the kernel ends, however many centres there are.
BATCH, STEP = 256, 0.05
# Size of the first outputs: kernels of pairs between .9 and 1, where gradients are alive.
START = 0.3


def fit_by_pairs(
    X: Any,
    labels: Array,
    weights: Array,
    objective: str,
    *,
    n_units: int,
    gamma: float,
    max_centres: int,
    epochs: int,
    rng: np.random.RandomState,
) -> KernelMachine:
    """Train one hidden layer by Adam.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    labels : array of int of shape (n_samples,)
    weights : array of shape (n_samples,)
        A pair weighs as their product.
    objective : {"alignment", "srs"}
        Maximise the alignment of the batch's Gram matrix with G*, or minimise the mean of
        ``(G_ij - G*_ij)^2``.
    n_units : int
        Outputs.
    gamma : float
        Of this layer's kernel, in units of the median squared distance.
    max_centres, epochs : int
    rng : RandomState

    Returns
    -------
    KernelMachine
    """
    torch = optional_import("torch", "torch", "hidden='alignment' and hidden='srs'")
    n = X.shape[0]
    kernel = Kernel(gamma / median_distance(X, rng, weights))
    rows = np.arange(n) if n <= max_centres else np.sort(rng.choice(n, max_centres, replace=False))
    centres = X[rows]
    K = kernel.matrix(X, centres)
    first = rng.standard_normal((len(rows), n_units)) * START / np.sqrt(np.sum(K * K) / n)
    A = torch.tensor(first, dtype=torch.float64, requires_grad=True)
    # no intercept: it moves no two samples apart
    adam = torch.optim.Adam([A], lr=STEP / float(K.sum(axis=1).mean()))
    for _ in range(epochs):
        order = rng.permutation(n)
        for start in range(0, n, BATCH):
            batch = order[start : start + BATCH]
            if len(batch) < 2:
                continue
            F = torch.from_numpy(K[batch]) @ A
            above = torch.triu_indices(len(batch), len(batch), 1)
            G = torch.exp(-((F[above[0]] - F[above[1]]) ** 2).sum(dim=1))
            y = torch.from_numpy(labels[batch])
            same = (y[above[0]] == y[above[1]]).double()
            w = torch.from_numpy(weights[batch])
            w = w[above[0]] * w[above[1]]
            if objective == "srs":
                loss = (w @ (G - same) ** 2) / w.sum()
            else:
                norms = ((w @ G**2) * (w @ same)).sqrt()
                loss = -(w * G) @ same / norms.clamp_min(1e-12)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return KernelMachine(centres, A.detach().numpy(), np.zeros(n_units), kernel)
