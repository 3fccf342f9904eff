"""Simultaneous gradient descent-ascent, with the duality gap at every step.

The game (Balaji et al., "Understanding Over-parameterization in Generative Adversarial Networks",
ICLR 2021), with fixed latents z and features phi of a discriminator that is linear in them:

    min_theta max_w  <w, h(theta)> - 1/2 ||w||^2,   h = mean phi(x) - mean phi(G_theta(z)).

Certificate.  The best discriminator against theta attains ``1/2 ||h(theta)||^2``, and w = 0 gives
every generator at least 0, so ``1/2 ||h||^2`` bounds how far theta is from the best generator, and
is zero exactly at a global saddle.  (``min_theta`` for a fixed w may be minus infinity.)

Rate.  With J the Jacobian of ``mean phi(G_theta(z))``, an eigenvalue s of ``J J^T``, mu the step of
the discriminator and eta that of the generator, one step multiplies by

    [[1 - mu, mu], [-eta s, 1]],

which contracts for ``0 < eta s < 1`` and ``0 < mu <= 2``, best at ``eta s = mu / 4``.  Eigenvalues
of zero do not contract: a wide generator has none.  The rate is that of a differentiable generator;
ReLU neurons that switch off on the way make it slower.

What no descent changes: a ReLU generator whose last layer V is fixed has its mean in the cone of
the rows of V, whatever its depth.  If the mean of the data is outside, as it is for narrow
generators, the gap ends at half its squared distance from there, neurons at zero, where the
Jacobian says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy.optimize import nnls

from ..core.arrays import row_blocks
from ..core.checks import Array, not_negative, optional_import, positive, positive_int, to_2d
from ..core.rounding import EPS, TINY
from .relu_generator import ReLUGenerator

# Numbers in a Jacobian up to which it is formed, a gigabyte.
JACOBIAN = 1 << 27
# Gaps below this share of the largest are rounding, and tell nothing of the rate.
ROUNDED = 1e-26


class _Trained(Protocol):
    """A generator as the descent sees it."""

    @property
    def size(self) -> int:
        """Numbers that are trained."""

    def outputs(self) -> Array:
        """On the latents, (n_latents, n_features)."""

    def pull_back(self, D: Array) -> Array:
        """The gradient (size,) of ``sum(D * outputs)``, at the outputs last asked for."""

    def move(self, step: Array) -> None:
        """Add ``step`` (size,) to the parameters."""

    def trained(self) -> Any:
        """The generator as it is now."""


@dataclass(frozen=True, eq=False)
class GDAResult:
    """A run of :func:`gda`.

    Attributes
    ----------
    generator : ReLUGenerator or torch module
        As the last step left it.
    discriminator : array of shape (n_phi,)
        w.
    gap : float
        PROVEN for the last generator on its training latents: ``1/2 ||h||^2``, rounding charged.
    gaps : array of shape (n_steps + 1,)
        ``1/2 ||h||^2`` before each step and at the end, as computed.
    spectrum, final_spectrum : arrays
        Eigenvalues of ``J J^T``, falling, before the first step and after the last; empty where the
        Jacobian is too large to be formed.
    generator_step, discriminator_step : float
    unreachable : float
        The least gap of any :class:`ReLUGenerator` with this output layer against the linear
        discriminator, by nonnegative least squares; 0 otherwise, where nothing is known.
    """

    generator: Any
    discriminator: Array
    gap: float
    gaps: Array
    spectrum: Array
    final_spectrum: Array
    generator_step: float
    discriminator_step: float
    unreachable: float

    @property
    def predicted_rate(self) -> float:
        """By which ``||h||`` falls a step in the end: the slowest of :func:`gda_rate`."""
        if len(self.final_spectrum) == 0:
            return float("nan")
        return float(
            gda_rate(self.final_spectrum, self.generator_step, self.discriminator_step).max()
        )

    @property
    def seen_rate(self) -> float:
        """By which ``||h||`` fell a step, over the last half of what rounding left visible."""
        visible = self.gaps > ROUNDED * self.gaps.max()
        end = len(self.gaps) if visible.all() else int(np.argmin(visible))
        if end < 4:
            return float("nan")
        t = np.arange(end // 2, end)
        return float(np.exp(np.polyfit(t, 0.5 * np.log(self.gaps[t]), 1)[0]))


def gda_rate(spectrum: Any, generator_step: float, discriminator_step: float = 1.0) -> Array:
    """By how much a step of descent-ascent contracts along each eigenvalue s of ``J J^T``.

    Parameters
    ----------
    spectrum : array_like
        Eigenvalues, not negative.
    generator_step, discriminator_step : float
        eta and mu.

    Returns
    -------
    array of the shape of spectrum
        The modulus: ``sqrt(1 - mu + mu eta s)`` where ``eta s > mu / 4``, else
        ``(|2 - mu| + sqrt(mu^2 - 4 mu eta s)) / 2``; 1 or more does not converge.

    Examples
    --------
    >>> gda_rate([0.0, 0.5, 1.0, 4.0], generator_step=0.25).round(3).tolist()
    [1.0, 0.854, 0.5, 1.0]
    """
    eta = positive("generator_step", generator_step)
    mu = positive("discriminator_step", discriminator_step)
    t = eta * np.asarray(spectrum, dtype=np.float64)
    inner = mu * mu - 4 * mu * t
    spiral = np.sqrt(np.maximum(1 - mu + mu * t, 0.0))
    straight = (abs(2 - mu) + np.sqrt(np.maximum(inner, 0.0))) / 2
    return np.where(inner < 0, spiral, straight)


def gda(
    X: Any,
    generator: Any,
    latents: Any,
    *,
    features: Any = None,
    n_steps: int = 1000,
    generator_step: float | None = None,
    discriminator_step: float = 1.0,
    tol: float = 0.0,
    callback: Callable[[int, float], object] | None = None,
) -> GDAResult:
    """Train a generator by simultaneous gradient descent-ascent; see the module for the game.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The data.
    generator : ReLUGenerator or torch.nn.Module
        A module maps latents (n_latents, k) to (n_latents, n_features) and is trained in place.
    latents : array of shape (n_latents, k)
        Fixed: the game is about what the generator makes of these.
    features : array of shape (n_features, n_phi), optional
        ``phi(x) = (x features)_+``, for example of random numbers; by default ``phi(x) = x``, a
        linear discriminator.
    n_steps : int, default 1000
    generator_step : float, optional
        ``discriminator_step / (4 lambda_max(J J^T))`` at the start by default, a fourth of what
        would diverge.
    discriminator_step : float, default 1.0
        At most 2.
    tol : float, default 0.0
        A gap that ends the run.
    callback : callable, optional
        Called with step and gap; a true answer ends the run.

    Returns
    -------
    GDAResult
        With an infinite gap where the steps diverged.

    Raises
    ------
    ValueError
        For shapes that do not fit, steps out of range, and a Jacobian that is too large or zero,
        from which no step can be taken.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, Z = rng.normal(size=(50, 3)) + 1, rng.normal(size=(100, 4))
    >>> result = gda(X, ReLUGenerator.draw(4, [64], 3, random_state=0), Z, n_steps=200)
    >>> result.gap < 1e-9, result.predicted_rate < 1
    (True, True)
    """
    X, Z = to_2d("X", X), to_2d("latents", latents)
    mu = positive("discriminator_step", discriminator_step)
    if mu > 2:
        raise ValueError(f"discriminator_step must be at most 2, got {discriminator_step}")
    n_steps, tol = positive_int("n_steps", n_steps), not_negative("tol", tol)
    player = _player(generator, Z)
    if player.outputs().shape != (len(Z), X.shape[1]):
        raise ValueError(
            f"the generator makes {player.outputs().shape[1:]} numbers a latent, X has {X.shape[1]}"
        )
    game = _Game(player, _features(features, X.shape[1]), X)
    spectrum = game.spectrum()
    eta = _step(spectrum, mu, generator_step)
    w, gaps = np.zeros(game.n_phi), []
    for step in range(n_steps + 1):
        h = game.mismatch()
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges ends below
            gaps.append(0.5 * float(h @ h))
        stopped = callback is not None and callback(step, gaps[-1])
        if step == n_steps or stopped or gaps[-1] <= tol or not np.isfinite(gaps[-1]):
            break
        gradient = game.gradient(w)
        with np.errstate(over="ignore", invalid="ignore"):
            w = w + mu * (h - w)
            player.move(eta * gradient)
    finite = np.isfinite(gaps[-1])
    gap = game.proven_gap(h) if finite else np.inf
    final = game.spectrum() if finite else np.zeros(0)
    trained, least = player.trained(), game.unreachable()
    return GDAResult(trained, w, gap, np.array(gaps), spectrum, final, eta, mu, least)


def _features(features: Any, d: int) -> Array | None:
    if features is None:
        return None
    A = to_2d("features", features)
    if len(A) != d:
        raise ValueError(
            f"features must have a row for each of the {d} columns of X, got {A.shape}"
        )
    return A


def _step(spectrum: Array, mu: float, given: float | None) -> float:
    if given is not None:
        return positive("generator_step", given)
    if len(spectrum) == 0:
        raise ValueError("the Jacobian is too large for a step from its spectrum; give one")
    if not spectrum[0] > TINY:
        raise ValueError(
            "the Jacobian of the generator is zero at the start (no neuron is active on these "
            "latents): draw another generator or other latents"
        )
    return mu / (4 * float(spectrum[0]))


class _Game:
    """``h(theta)`` and its derivative for a generator that moves.

    :meth:`mismatch` has it generate; the rest is about what it then made.
    """

    def __init__(self, player: _Trained, A: Array | None, X: Array) -> None:
        self.player, self.A = player, A
        self.n_phi = X.shape[1] if A is None else A.shape[1]
        self.target, self.target_size = self._mean(X)

    def _mean(self, rows: Array) -> tuple[Array, Array]:
        """Mean features, and means of the sizes of all that was summed in them."""
        if self.A is None:
            return rows.mean(axis=0), np.abs(rows).mean(axis=0)
        total, size = np.zeros(self.n_phi), np.zeros(self.n_phi)
        for block in row_blocks(len(rows), self.n_phi):
            total += np.maximum(rows[block] @ self.A, 0.0).sum(axis=0)
            size += (np.abs(rows[block]) @ np.abs(self.A)).sum(axis=0)
        return total / len(rows), size / len(rows)

    @np.errstate(over="ignore", invalid="ignore")
    def mismatch(self) -> Array:
        """h (n_phi,)."""
        self.outputs = self.player.outputs()
        return self.target - self._mean(self.outputs)[0]

    def proven_gap(self, h: Array) -> float:
        """``1/2 ||h||^2`` with what the sums behind h may be off by."""
        size = self.target_size + self._mean(self.outputs)[1]
        terms = len(self.outputs) + self.outputs.shape[1] + 16
        off = terms * EPS * float(np.linalg.norm(size))
        return 0.5 * (float(np.linalg.norm(h)) + off) ** 2 * (1 + 8 * EPS)

    def gradient(self, w: Array) -> Array:
        """Of ``<w, mean phi(G)>`` in the parameters."""
        if self.A is None:
            slopes = np.broadcast_to(w, self.outputs.shape)
        else:
            slopes = ((self.outputs @ self.A > 0) * w) @ self.A.T
        return self.player.pull_back(slopes / len(self.outputs))

    def unreachable(self) -> float:
        """The least gap by the cone of the output layer, see the module."""
        generator = self.player.trained()
        if self.A is not None or not isinstance(generator, ReLUGenerator):
            return 0.0
        return 0.5 * float(nnls(generator.output.T, self.target)[1]) ** 2

    def spectrum(self) -> Array:
        """Eigenvalues of ``J J^T`` (n_phi,), falling; none where J is too large."""
        if self.n_phi * self.player.size > JACOBIAN:
            return np.zeros(0)
        self.mismatch()
        J = np.stack([self.gradient(e) for e in np.eye(self.n_phi)])
        values = np.linalg.svd(J, compute_uv=False) ** 2
        return np.append(values, np.zeros(self.n_phi - len(values)))


def _player(generator: Any, Z: Array) -> _Trained:
    if isinstance(generator, ReLUGenerator):
        return _ReLUPlayer(generator, Z)
    torch = optional_import("torch", "torch", "training a module")
    if not isinstance(generator, torch.nn.Module):
        raise TypeError(
            f"generator must be a ReLUGenerator or a torch.nn.Module, got "
            f"{type(generator).__name__}"
        )
    return _ModulePlayer(torch, generator, Z)


class _ReLUPlayer:
    def __init__(self, generator: ReLUGenerator, Z: Array) -> None:
        self.generator, self.Z = generator, Z

    @property
    def size(self) -> int:
        return sum(W.size for W in self.generator.weights)

    def outputs(self) -> Array:
        self.layers = self.generator.layers(self.Z)
        return self.layers[-1] @ self.generator.output

    def pull_back(self, D: Array) -> Array:
        slope, parts = D @ self.generator.output.T, []
        for k in range(len(self.generator.weights), 0, -1):
            slope = slope * (self.layers[k] > 0)
            parts.append((self.layers[k - 1].T @ slope).ravel())
            slope = slope @ self.generator.weights[k - 1].T
        return np.concatenate(parts[::-1])

    def move(self, step: Array) -> None:
        moved, start = [], 0
        for W in self.generator.weights:
            moved.append(W + step[start : start + W.size].reshape(W.shape))
            start += W.size
        self.generator = replace(self.generator, weights=tuple(moved))

    def trained(self) -> ReLUGenerator:
        return self.generator


class _ModulePlayer:
    def __init__(self, torch: Any, module: Any, Z: Array) -> None:
        self.torch, self.module = torch, module
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("the module has no parameters that require a gradient")
        first = self.parameters[0]
        self.Z = torch.as_tensor(Z, dtype=first.dtype, device=first.device)

    @property
    def size(self) -> int:
        return sum(p.numel() for p in self.parameters)

    def outputs(self) -> Array:
        self.graph = self.module(self.Z)
        found: Array = self.graph.detach().double().cpu().numpy()
        return found.reshape(len(found), -1)

    def pull_back(self, D: Array) -> Array:
        slopes = self.torch.as_tensor(D, dtype=self.graph.dtype, device=self.graph.device)
        parts = self.torch.autograd.grad(
            self.graph, self.parameters, slopes.reshape(self.graph.shape),
            retain_graph=True, allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        return np.concatenate([part.double().cpu().numpy().ravel() for part in parts])

    def move(self, step: Array) -> None:
        start = 0
        with self.torch.no_grad():
            for p in self.parameters:
                part = self.torch.as_tensor(step[start : start + p.numel()], dtype=p.dtype)
                p += part.reshape(p.shape).to(p.device)
                start += p.numel()

    def trained(self) -> Any:
        return self.module
