"""Pictures: matplotlib Display objects, drawn by ``from_estimator`` or ``from_solution``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.arrays import scores
from ..core.checks import Array, optional_import
from ..core.network import Network
from ..core.result import History, Solution
from ..training.path import RegularizationPath


def _axes(ax: Any, **figure: Any) -> Any:
    plt = optional_import("matplotlib.pyplot", "plot", "drawing")
    return plt.subplots(**figure)[1] if ax is None else ax


class GapDisplay:
    """Objective and lower bounds against time: how the gap closed.

    Parameters
    ----------
    history : History

    Attributes
    ----------
    ax_, figure_ : matplotlib axes and figure
    """

    def __init__(self, history: History) -> None:
        self.history = history

    @classmethod
    def from_solution(cls, solution: Solution, *, ax: Any = None) -> GapDisplay:
        if not hasattr(solution, "history"):
            raise TypeError(
                f"a {type(solution).__name__} was not searched for: there is no history to draw; "
                "give the solution of train(), path() or a spline"
            )
        return cls(solution.history).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> GapDisplay:
        """Draw the training of a fitted estimator with a ``solution_``."""
        check_is_fitted(estimator, "solution_")
        return cls.from_solution(estimator.solution_, ax=ax)

    def plot(self, *, ax: Any = None) -> GapDisplay:
        ax = _axes(ax, figsize=(7, 4), layout="constrained")
        h = self.history
        t = np.array(h.seconds)
        ax.step(t, h.objective, where="post", color="C0", lw=2, label="objective")
        ax.step(
            t,
            h.estimated_lower_bound,
            where="post",
            color="C1",
            ls="--",
            label="lower bound, estimated by search",
        )
        ax.step(t, h.lower_bound, where="post", color="C2", label="lower bound, proven")
        ax.fill_between(t, h.lower_bound, h.objective, step="post", color="C2", alpha=0.08)
        ax.set(xlabel="seconds", ylabel="training objective")
        gap = 1 - h.lower_bound[-1] / h.objective[-1] if h.objective[-1] > 0 else 0.0
        ax.set_title(f"the best network lies in the shaded band: proven gap {gap:.2%}", fontsize=10)
        ax.set_ylim(bottom=min(0.0, min(h.lower_bound)))
        ax.legend(loc="best", frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class NeuronDisplay:
    """The strongest neurons: weights per feature, share of the output, active samples.

    Parameters
    ----------
    weights : array of shape (n_features, n_shown)
        Hidden weights, each neuron's largest scaled to one.
    sign : array of shape (n_shown,)
        +1 where the neuron raises the (first or strongest) output, -1 where it lowers it.
    share : array of shape (n_shown,)
        ``||u_j|| ||a_j||`` over the sum of all neurons: the share of the penalty.
    active : array of shape (n_shown,) or None
        Share of the samples on which the neuron is active.
    feature_names : list of str
    """

    def __init__(
        self,
        weights: Array,
        sign: Array,
        share: Array,
        active: Array | None,
        feature_names: list[str],
        n_neurons: int,
    ) -> None:
        self.weights, self.sign, self.share, self.active = weights, sign, share, active
        self.feature_names, self.n_neurons = feature_names, n_neurons

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: Any = None,
        *,
        feature_names: Any = None,
        n_shown: int = 12,
        ax: Any = None,
    ) -> NeuronDisplay:
        U, a = network.hidden_weights, network.output_weights
        size = np.linalg.norm(U, axis=0) * np.linalg.norm(a, axis=1)
        order = np.argsort(-size, kind="stable")[:n_shown]
        strongest = a[order, np.argmax(np.abs(a[order]), axis=1)] if len(order) else np.zeros(0)
        active = None
        if X is not None:
            S = scores(np.asarray(X, float), U[:, order], network.hidden_bias[order])
            active = np.mean(S > 0, axis=0)
        names = [f"x{j}" for j in range(len(U))] if feature_names is None else list(feature_names)
        top = np.max(np.abs(U[:, order]), axis=0, initial=1e-300)
        display = cls(
            U[:, order] / top,
            np.sign(strongest),
            size[order] / max(size.sum(), 1e-300),
            active,
            [str(n) for n in names],
            network.n_neurons,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, n_shown: int = 12, ax: Any = None
    ) -> NeuronDisplay:
        """Draw the neurons of a fitted estimator with a ``network_``."""
        check_is_fitted(estimator, "network_")
        names = getattr(estimator, "feature_names_in_", None)
        return cls.from_network(estimator.network_, X, feature_names=names, n_shown=n_shown, ax=ax)

    def plot(self, *, ax: Any = None) -> NeuronDisplay:
        d, m = self.weights.shape
        size = (2.6 + 0.62 * max(m, 4), 1.8 + 0.27 * min(max(d, 4), 40))
        ax = _axes(ax, figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if m == 0:
            ax.set(xticks=[], yticks=[], title="no neurons: the output is constant")
            return self
        image = ax.imshow(self.weights, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        labels = []
        for j in range(m):
            lines = ["raises" if self.sign[j] > 0 else "lowers", f"{self.share[j]:.0%}"]
            if self.active is not None:
                lines.append(f"on {self.active[j]:.0%}")
            labels.append("\n".join(lines))
        ax.set_xticks(range(m), labels, fontsize=8)
        step = max(1, d // 40)
        ax.set_yticks(range(0, d, step), self.feature_names[::step], fontsize=8)
        ax.set_xlabel(
            "each column a neuron: raises or lowers the output, share of all weight"
            + (", active on this share of samples" if self.active is not None else ""),
            fontsize=8,
        )
        shown = "all" if m == self.n_neurons else f"the strongest {m} of"
        ax.set_title(f"{shown} {self.n_neurons} neurons", fontsize=10)
        ax.figure.colorbar(image, ax=ax, label="hidden weight / its largest", shrink=0.9)
        return self


class PathDisplay:
    """A regularisation path: objective and bounds, gaps, neurons, validation score.

    Parameters
    ----------
    path : RegularizationPath
    weight_decays, scores : arrays of shape (n_values,) and (n_folds, n_values), optional
        Validation scores, where the grid may go on beyond the path; NaN where unknown.
    chosen : float, optional
        The weight decay to mark.

    Attributes
    ----------
    axes_, figure_ : array of four matplotlib axes, and their figure
    """

    def __init__(
        self,
        path: RegularizationPath,
        *,
        weight_decays: Array | None = None,
        scores: Array | None = None,
        chosen: float | None = None,
    ) -> None:
        self.path, self.scores, self.chosen = path, scores, chosen
        self.weight_decays = path.weight_decays if weight_decays is None else weight_decays

    @classmethod
    def from_path(
        cls, path: RegularizationPath, X: Any = None, Y: Any = None, *, ax: Any = None
    ) -> PathDisplay:
        """Draw a path; with its score on other data when ``X`` and ``Y`` are given."""
        scores = None if X is None else path.scores(X, Y)[None]
        return cls(path, scores=scores).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> PathDisplay:
        """Draw the path of a fitted estimator with a ``path_``, and its folds."""
        advice = "%(name)s has no path to draw; give a fitted ReLURegressorCV or ReLUClassifierCV"
        check_is_fitted(estimator, "path_", msg=advice)
        return cls(
            estimator.path_,
            weight_decays=estimator.weight_decays_,
            scores=estimator.scores_ if len(estimator.scores_) else None,
            chosen=estimator.weight_decay_,
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> PathDisplay:
        """``ax``: four axes, for objective, gap, neurons and score."""
        if ax is None:
            ax = _axes(None, nrows=2, ncols=2, figsize=(11, 7), sharex=True, layout="constrained")
        self.axes_ = axes = np.ravel(ax)
        self.figure_ = axes[0].figure
        path, x = self.path, self.path.weight_decays
        objective, proven, found = path.objectives, path.lower_bounds, path.estimated_lower_bounds
        axes[0].plot(x, objective, "o-", ms=3, color="C0", label="objective")
        axes[0].plot(x, found, "--", color="C1", label="lower bound, estimated by search")
        axes[0].plot(x, proven, color="C2", label="lower bound, proven")
        axes[0].fill_between(x, proven, objective, color="C2", alpha=0.08)
        axes[0].set(ylabel="training objective")
        axes[0].legend(frameon=False, fontsize=8)
        for bound, name, colour in ((found, "estimated by search", "C1"), (proven, "proven", "C2")):
            gap = np.maximum(objective - bound, 0) / np.maximum(objective, 1e-300)
            axes[1].plot(x, np.maximum(gap, 1e-6), "o-", ms=3, color=colour, label=name)
        axes[1].set(yscale="log", ylabel="relative gap (below 1e-6: drawn there)")
        axes[1].legend(frameon=False, fontsize=8)
        axes[2].step(x, path.n_neurons, where="mid", color="C0")
        axes[2].set(xlabel="weight_decay", ylabel="neurons", ylim=(0, None))
        if self.scores is None:
            axes[3].text(0.5, 0.5, "no validation data", ha="center", transform=axes[3].transAxes)
        else:
            for fold in self.scores:
                axes[3].plot(self.weight_decays, fold, color="0.75", lw=1)
            # a mean over other folds is another curve: only where all of them have a value
            mean = np.mean(self.scores, axis=0)
            axes[3].plot(self.weight_decays, mean, "o-", ms=3, color="C3", label="mean of folds")
        name = "R2" if path.loss.targets == "real" else "accuracy"
        axes[3].set(xlabel="weight_decay", ylabel=f"validation {name}")
        for a in axes:
            a.set_xscale("log")
            if self.chosen is not None:
                a.axvline(self.chosen, color="0.5", ls=":", lw=1)
        if self.chosen is not None:
            axes[3].set_title(f"chosen: {self.chosen:.3g}", fontsize=10)
        axes[0].invert_xaxis()  # training goes from large to small
        return self
