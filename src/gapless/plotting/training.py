"""Pictures of training: how the gap closed, the neurons found, a regularisation path."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..core.design import design_of
from ..core.network import Network
from ..core.result import History, Solution
from ..core.rounding import TINY
from ..training.path import RegularizationPath
from .axes import axes_for, shortened

# Relative gaps below this are drawn there: a logarithmic axis has no zero.
LEAST_GAP = 1e-6
# Rows of weights with room for a name.
NAMED = 40


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
        """Draw the training behind a solution.

        Parameters
        ----------
        solution : Solution
        ax : matplotlib axes, optional

        Returns
        -------
        GapDisplay

        Raises
        ------
        TypeError
            For the solution of a closed form, which was not searched for.
        """
        if not hasattr(solution, "history"):
            raise TypeError(
                f"a {type(solution).__name__} was not searched for: there is no history to draw; "
                "give the solution of train(), path() or a spline"
            )
        return cls(solution.history).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> GapDisplay:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator with a ``solution_``
        ax : matplotlib axes, optional

        Returns
        -------
        GapDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError
            As :meth:`from_solution`.
        """
        check_is_fitted(estimator, "solution_")
        return cls.from_solution(estimator.solution_, ax=ax)

    def plot(self, *, ax: Any = None) -> GapDisplay:
        """Draw objective and bounds over the seconds.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Those of a new figure by default.

        Returns
        -------
        GapDisplay
            Itself, with ``ax_`` and ``figure_``.
        """
        ax = axes_for(ax, figsize=(7, 4))
        h = self.history
        t = np.array(h.seconds)
        ax.step(t, h.objective, where="post", color="C0", lw=2, label="objective")
        ax.step(
            t, h.estimated_lower_bound, where="post", color="C1", ls="--",
            label="lower bound, estimated by search",
        )  # fmt: skip
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
    n_neurons : int
        Of the network, shown or not.

    Attributes
    ----------
    ax_, figure_ : matplotlib axes and figure
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
        """Draw a network's neurons of largest ``||u_j|| ||a_j||``.

        Parameters
        ----------
        network : Network
        X : array of shape (n_samples, n_features), optional
            Data to count on how many of them each neuron is active.
        feature_names : sequence of n_features names, optional
        n_shown : int, default 12
            Neurons at most.
        ax : matplotlib axes, optional

        Returns
        -------
        NeuronDisplay
        """
        U, a = network.hidden_weights, network.output_weights
        size = np.linalg.norm(U, axis=0) * np.linalg.norm(a, axis=1)
        order = np.argsort(-size, kind="stable")[:n_shown]
        strongest = a[order, np.argmax(np.abs(a[order]), axis=1)] if len(order) else np.zeros(0)
        active = None
        if X is not None:
            S = design_of(np.asarray(X, float)).scores(U[:, order], network.hidden_bias[order])
            active = np.mean(S > 0, axis=0)
        names = [f"x{j}" for j in range(len(U))] if feature_names is None else list(feature_names)
        top = np.max(np.abs(U[:, order]), axis=0, initial=TINY)
        display = cls(
            U[:, order] / top,
            np.sign(strongest),
            size[order] / max(size.sum(), TINY),
            active,
            [shortened(str(n), 30) for n in names],
            network.n_neurons,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, n_shown: int = 12, ax: Any = None
    ) -> NeuronDisplay:
        """Draw the neurons of a fitted estimator; as :meth:`from_network`.

        Parameters
        ----------
        estimator : estimator with a ``network_``
        X : array of shape (n_samples, n_features), optional
        n_shown : int, default 12
        ax : matplotlib axes, optional

        Returns
        -------
        NeuronDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(estimator, "network_")
        names = getattr(estimator, "feature_names_in_", None)
        return cls.from_network(estimator.network_, X, feature_names=names, n_shown=n_shown, ax=ax)

    def plot(self, *, ax: Any = None) -> NeuronDisplay:
        """Draw a column for each neuron.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Those of a new figure by default.

        Returns
        -------
        NeuronDisplay
            Itself, with ``ax_`` and ``figure_``.
        """
        d, m = self.weights.shape
        size = (2.6 + 0.62 * max(m, 4), 1.8 + 0.27 * min(max(d, 4), NAMED))
        ax = axes_for(ax, figsize=size)
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
        step = max(1, d // NAMED)
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
        """Draw a path, with its score on other data where they are given.

        Parameters
        ----------
        path : RegularizationPath
        X, Y : arrays of n_samples rows, optional
            Validation data.
        ax : array of four matplotlib axes, optional

        Returns
        -------
        PathDisplay
        """
        scores = None if X is None else path.scores(X, Y)[None]
        return cls(path, scores=scores).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> PathDisplay:
        """Draw the path of a fitted estimator and the scores of its folds.

        Parameters
        ----------
        estimator : ReLURegressorCV or ReLUClassifierCV
        ax : array of four matplotlib axes, optional

        Returns
        -------
        PathDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``, and for an estimator without a path.
        """
        advice = "%(name)s has no path to draw; give a fitted ReLURegressorCV or ReLUClassifierCV"
        check_is_fitted(estimator, "path_", msg=advice)
        return cls(
            estimator.path_,
            weight_decays=estimator.weight_decays_,
            scores=estimator.scores_ if len(estimator.scores_) else None,
            chosen=estimator.weight_decay_,
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> PathDisplay:
        """Draw objective, gap, neurons and score on four axes.

        Parameters
        ----------
        ax : array of four matplotlib axes, optional
            Those of a new figure by default.

        Returns
        -------
        PathDisplay
            Itself, with ``axes_`` and ``figure_``.
        """
        ax = axes_for(ax, nrows=2, ncols=2, figsize=(11, 7), sharex=True)
        self.axes_ = axes = np.ravel(ax)
        self.figure_ = axes[0].figure
        self._draw_bounds(axes[0])
        self._draw_gaps(axes[1])
        axes[2].step(self.path.weight_decays, self.path.n_neurons, where="mid", color="C0")
        axes[2].set(xlabel="weight_decay", ylabel="neurons", ylim=(0, None))
        self._draw_scores(axes[3])
        for a in axes:
            a.set_xscale("log")
            if self.chosen is not None:
                a.axvline(self.chosen, color="0.5", ls=":", lw=1)
        if self.chosen is not None:
            axes[3].set_title(f"chosen: {self.chosen:.3g}", fontsize=10)
        axes[0].invert_xaxis()  # training goes from large to small
        return self

    def _draw_bounds(self, ax: Any) -> None:
        path, x = self.path, self.path.weight_decays
        ax.plot(x, path.objectives, "o-", ms=3, color="C0", label="objective")
        ax.plot(
            x, path.estimated_lower_bounds, "--", color="C1",
            label="lower bound, estimated by search",
        )  # fmt: skip
        ax.plot(x, path.lower_bounds, color="C2", label="lower bound, proven")
        ax.fill_between(x, path.lower_bounds, path.objectives, color="C2", alpha=0.08)
        ax.set(ylabel="training objective")
        ax.legend(frameon=False, fontsize=8)

    def _draw_gaps(self, ax: Any) -> None:
        path = self.path
        for bound, name, colour in (
            (path.estimated_lower_bounds, "estimated by search", "C1"),
            (path.lower_bounds, "proven", "C2"),
        ):
            gap = np.maximum(path.objectives - bound, 0) / np.maximum(path.objectives, TINY)
            drawn = np.maximum(gap, LEAST_GAP)
            ax.plot(path.weight_decays, drawn, "o-", ms=3, color=colour, label=name)
        ax.set(yscale="log", ylabel="relative gap (below 1e-6: drawn there)")
        ax.legend(frameon=False, fontsize=8)

    def _draw_scores(self, ax: Any) -> None:
        if self.scores is None:
            ax.text(0.5, 0.5, "no validation data", ha="center", transform=ax.transAxes)
        else:
            for fold in self.scores:
                ax.plot(self.weight_decays, fold, color="0.75", lw=1)
            # a mean over other folds is another curve: only where all of them have a value
            mean = np.mean(self.scores, axis=0)
            ax.plot(self.weight_decays, mean, "o-", ms=3, color="C3", label="mean of folds")
        name = "R2" if self.path.loss.targets == "real" else "accuracy"
        ax.set(xlabel="weight_decay", ylabel=f"validation {name}")
