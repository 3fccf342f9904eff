"""Pictures of games: how width conditions descent-ascent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.checks import Array, positive_int, to_2d
from ..games.gda import gda
from ..games.relu_generator import ReLUGenerator
from .axes import axes_for, pyplot

# Gaps below this share of the largest are drawn there: a logarithmic axis has no zero.
LEAST_GAP = 1e-30


class WidthSweepDisplay:
    """The duality gap of descent-ascent against steps, for generators of growing width.

    Parameters
    ----------
    gaps : mapping of int to array of shape (n_starts, n_steps + 1)
        By width, as :class:`gapless.GDAResult` has them.
    unreachable : mapping of int to array of shape (n_starts,), optional
        By width, the least gap that any weights of the start have.

    Attributes
    ----------
    ax_, figure_ : matplotlib axes and figure
    """

    def __init__(
        self, gaps: Mapping[int, Array], unreachable: Mapping[int, Array] | None = None
    ) -> None:
        self.gaps = {int(width): np.atleast_2d(runs) for width, runs in sorted(gaps.items())}
        self.unreachable = dict(unreachable or {})

    @classmethod
    def from_data(
        cls,
        X: Any,
        *,
        widths: Sequence[int] = (2, 4, 8, 16, 64, 256, 1024),
        n_layers: int = 1,
        features: Any = None,
        n_numbers: int = 4,
        n_latents: int = 200,
        n_starts: int = 5,
        n_steps: int = 200,
        random_state: int = 0,
        ax: Any = None,
    ) -> WidthSweepDisplay:
        """Run :func:`gapless.gda` from several starts of each width, and draw.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        widths : sequence of int
        n_layers : int, default 1
            Hidden layers of each generator, all of its width.
        features : array of shape (n_features, n_phi), optional
            Of the discriminator; linear by default.
        n_numbers : int, default 4
            Of a latent.
        n_latents : int, default 200
        n_starts : int, default 5
            The same latents for all widths.
        n_steps : int, default 200
        random_state : int, default 0
            Of the first start.
        ax : matplotlib axes, optional

        Returns
        -------
        WidthSweepDisplay
        """
        X, layers = to_2d("X", X), positive_int("n_layers", n_layers)
        seeds = range(random_state, random_state + positive_int("n_starts", n_starts))
        latents = [np.random.default_rng(s).normal(size=(n_latents, n_numbers)) for s in seeds]
        gaps, unreachable = {}, {}
        for width in widths:
            starts = [ReLUGenerator.draw(n_numbers, [width] * layers, X.shape[1], s) for s in seeds]
            runs = [
                gda(X, start, Z, features=features, n_steps=n_steps)
                for start, Z in zip(starts, latents)
            ]
            gaps[width] = np.array([run.gaps for run in runs])
            unreachable[width] = np.array([run.unreachable for run in runs])
        return cls(gaps, unreachable).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> WidthSweepDisplay:
        """Draw the median of each width, its runs thin beside it.

        A dotted line is the median of what that width cannot reach, where it is not zero.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Those of a new figure by default.

        Returns
        -------
        WidthSweepDisplay
            Itself, with ``ax_`` and ``figure_``.
        """
        ax = axes_for(ax, figsize=(7, 4.5))
        self.ax_, self.figure_ = ax, ax.figure
        colours = pyplot("a Display").get_cmap("viridis")(np.linspace(0, 0.9, len(self.gaps)))
        least = LEAST_GAP * max(float(runs.max()) for runs in self.gaps.values())
        for colour, (width, runs) in zip(colours, self.gaps.items()):
            shown = np.maximum(runs, least)
            ax.plot(shown.T, color=colour, lw=0.5, alpha=0.4)
            ax.plot(np.median(shown, axis=0), color=colour, lw=2, label=str(width))
            floor = float(np.median(self.unreachable.get(width, np.zeros(1))))
            if floor > least:
                ax.axhline(floor, color=colour, ls=":", lw=1)
        ax.set(
            yscale="log", xlabel="steps", ylabel="duality gap", title="width conditions the game"
        )
        ax.legend(title="width", frameon=False, fontsize=8, loc="lower left")
        return self
