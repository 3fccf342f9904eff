"""Pictures of networks that can be read: effects and importances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, counted
from ..readable.effects import Effect
from .axes import axes_for, plain, pyplot, shortened

#: how numbers of a feature are written, by its name; "{:.4g}" where it is not there
Formats: TypeAlias = Mapping[str, Callable[[float], str]]

# Colours of what raises and what lowers a prediction, of one curve, and of the data.
RAISES, LOWERS, CURVE, DATA = "#c0392b", "#2e6da4", "#2e6da4", "0.82"
# Kinks up to which each is a dot; what comes from pairs bends at every sample.
DOTS = 60
# Levels drawn of a categorical feature, those that most samples have.
LEVELS = 12
# How many times as wide as the others a bin at an end of a histogram is that is left out.
WIDER = 1.5
# Letters along an axis beyond which few are written.
LETTERS = 5


def chosen_output(estimator: Any, output: Any) -> int:
    """The number of the output to draw; the last of two classes is the only one."""
    count, names = estimator.network_.n_outputs, output_names(estimator)
    if count == 1:
        return 0
    if output in names:
        return names.index(output)
    if isinstance(output, (int, np.integer)) and 0 <= output < count:
        return int(output)
    raise ValueError(
        f"output must be a number from 0 to {count - 1} or one of {', '.join(names)}, "
        f"got {output!r}"
    )


def output_names(estimator: Any) -> list[str]:
    """Classes where there is an output for each, else numbers."""
    count, classes = estimator.network_.n_outputs, getattr(estimator, "classes_", None)
    if classes is None or len(classes) != count:
        classes = range(count)
    return [str(c) for c in classes]


def unit_of(estimator: Any, output: int) -> str:
    """What effects add to, in words."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        logarithm = "logarithm of the " * estimator._logarithms
        return f"adds to the {logarithm}prediction"
    label = classes[-1] if len(classes) == 2 else classes[output]
    if estimator.loss == "logistic" and len(classes) == 2:
        return f"adds to the log odds of {label}"
    return f"adds to the score of {label}"


def window(
    effect: Effect, output: int, write: Callable[[float], str] = plain
) -> tuple[Array, Array, str]:
    """A curve where the data are, and what of them lies beyond.

    Parameters
    ----------
    effect : Effect
        Of one feature.
    output : int
    write : callable, optional
        How a number of the feature is written.

    Returns
    -------
    places, values : array
        Up to where the bins of its histogram are alike.
    beyond : str
        How many rows are in the wider bins at its ends, and how far they go; or nothing.
    """
    x, y = effect.places, effect.values[:, output]
    if not isinstance(effect.density, tuple):
        return x, y, ""
    x = x.astype(float)
    counts, edges = effect.density
    sizes = np.diff(edges)
    far = sizes > WIDER * np.median(sizes)
    left, right = bool(far[0]), bool(far[-1])
    if not left and not right:
        return x, y, ""
    low, high = edges[int(left)], edges[-1 - int(right)]
    inside = x[(low < x) & (x < high)]
    places = np.array([low, *inside, high])
    ends = [write(float(edge)) for edge, wide in ((edges[0], left), (edges[-1], right)) if wide]
    rows = int(left * counts[0] + right * counts[-1])
    return (
        places,
        np.interp(places, x, y),
        f"{counted(rows, 'row')} beyond, to {' and '.join(ends)}",
    )


class EffectsDisplay:
    """What each feature adds, over where the data are.

    Parameters
    ----------
    effects : list of Effect
    output : int, default 0
    unit : str, default "adds to the prediction"
        The label of the vertical axes.
    formats : mapping of str to callable, optional
        How numbers of a feature are written along its axis, by its name.

    Attributes
    ----------
    axes_, figure_ : array of matplotlib axes, and figure
        After :meth:`plot`.
    """

    def __init__(
        self,
        effects: list[Effect],
        output: int = 0,
        unit: str = "adds to the prediction",
        formats: Formats | None = None,
    ) -> None:
        self.effects, self.output, self.unit = effects, output, unit
        self.formats = formats or {}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        features: Any = None,
        output: Any = 0,
        max_effects: int = 12,
        formats: Formats | None = None,
    ) -> EffectsDisplay:
        """Draw the effects of a fitted additive estimator.

        Parameters
        ----------
        estimator : AdditiveReLURegressor or AdditiveReLUClassifier
        features : list of str, optional
            Names of effects, as in ``effects_``; by default the most important ones.
        output : int or str, default 0
            Of several outputs, by number or class.
        max_effects : int, default 12
        formats : mapping of str to callable, optional
            As of the class: ``{"income": "{:,.0f} CHF".format}``.

        Returns
        -------
        EffectsDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For effects that the network does not have, and other outputs.
        """
        check_is_fitted(estimator, "effects_")
        effects = estimator.effects_
        if features is not None:
            known = {effect.name: effect for effect in effects}
            if missing := [name for name in features if name not in known]:
                raise ValueError(
                    f"the network has no effect {missing[0]!r}; it has {', '.join(known)}"
                )
            effects = [known[name] for name in features]
        chosen = chosen_output(estimator, output)
        return cls(effects[:max_effects], chosen, unit_of(estimator, chosen), formats).plot()

    def plot(self, axes: Any = None) -> EffectsDisplay:
        """Draw one picture an effect.

        Parameters
        ----------
        axes : array of matplotlib axes, optional
            One an effect; by default those of a new figure, four in a row.

        Returns
        -------
        EffectsDisplay
            Itself.
        """
        plt = pyplot("EffectsDisplay")
        count = max(len(self.effects), 1)
        if axes is None:
            columns = count if count < 5 else min((4, 3), key=lambda c: -count % c)  # few empty
            rows = -(-count // columns)
            _, axes = plt.subplots(
                rows, columns, figsize=(3.4 * columns, 2.9 * rows), layout="constrained"
            )
        axes = np.atleast_1d(axes).ravel()
        if len(axes) < len(self.effects):
            raise ValueError(f"axes must be at least {len(self.effects)}, got {len(axes)}")
        heights = [self._height(effect) for effect in self.effects if effect.kind != "pair"]
        low = min((low for low, _ in heights), default=0.0)
        high = max((high for _, high in heights), default=0.0)
        margin = 0.08 * (high - low or 1.0)
        for ax, effect in zip(axes, self.effects):
            if effect.kind == "pair":
                self._pair(ax, effect)
                continue
            draw = self._levels if effect.kind == "categorical" else self._curve
            draw(ax, effect)
            ax.axhline(0, color="0.6", lw=0.8, zorder=1)
            ax.set_ylim(low - margin, high + margin)
            beyond = window(effect, self.output, self.formats.get(effect.name, plain))[2]
            ax.set_xlabel(f"{effect.name}\n({beyond})" if beyond else effect.name)
        for ax in axes[len(self.effects) :]:
            ax.set_axis_off()
        if len(axes) and self.effects and self.effects[0].kind != "pair":
            axes[0].set_ylabel(self.unit)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _height(self, effect: Effect) -> tuple[float, float]:
        """Least and largest value, a missing value's among them."""
        values = window(effect, self.output)[1]
        if effect.missing is not None:
            values = np.append(values, effect.missing[self.output])
        return float(values.min(initial=0.0)), float(values.max(initial=0.0))

    def _curve(self, ax: Any, effect: Effect) -> None:
        """A spline over the histogram of the data, a missing value as a diamond at the side."""
        x, y, _ = window(effect, self.output)
        if effect.density is not None:
            counts, edges = effect.density
            inside = (edges[:-1] >= x[0]) & (edges[1:] <= x[-1])
            counts, begins, sizes = counts[inside], edges[:-1][inside], np.diff(edges)[inside]
            below = ax.twinx()
            below.bar(begins, counts, sizes, align="edge", color=DATA, zorder=0)
            below.set_ylim(0, 3 * max(counts.max(), 1))
            below.set_axis_off()
            ax.set_zorder(below.get_zorder() + 1)
            ax.patch.set_visible(False)
        ax.plot(x, y, color=CURVE, lw=1.8, zorder=3)
        write = self.formats.get(effect.name, plain)
        few = max(len(write(float(v))) for v in (x[0], x[-1])) > LETTERS
        ax.locator_params(axis="x", nbins=2 if few else 5)
        ax.xaxis.set_major_formatter(lambda v, _: write(v))
        if len(x) <= DOTS:
            ax.plot(x[1:-1], y[1:-1], "o", color=CURVE, ms=3, zorder=4)
        if effect.missing is not None:
            at = x[-1] + 0.12 * (x[-1] - x[0] or 1.0)
            value = float(effect.missing[self.output])
            ax.plot([at], [value], "D", color=RAISES, ms=5, zorder=4)
            ax.annotate(
                "missing", (at, value), textcoords="offset points", xytext=(2, 6), ha="right",
                fontsize="x-small", color=RAISES,
            )  # fmt: skip

    def _levels(self, ax: Any, effect: Effect) -> None:
        """A bar a level, with how many samples have it; a missing value last."""
        counts = np.asarray(effect.density)
        kept = np.sort(np.argsort(-counts, kind="stable")[:LEVELS])
        labels = [f"{shortened(str(effect.places[k]), 18)} ({counts[k]})" for k in kept]
        values = effect.values[kept, self.output]
        if effect.missing is not None:
            labels.append("missing")
            values = np.append(values, effect.missing[self.output])
        ax.bar(labels, values, color=np.where(values >= 0, RAISES, LOWERS), width=0.7, zorder=2)
        if len(labels) > 3:
            ax.tick_params(axis="x", rotation=45)

    def _pair(self, ax: Any, effect: Effect) -> None:
        """A heat map over the data's range."""
        x, y = (np.unique(effect.places[:, k]) for k in range(2))
        values = effect.values[:, self.output].reshape(len(x), len(y))
        top = float(np.abs(values).max()) or 1.0
        # levels stand side by side, whatever numbers they are coded as
        x, y = (
            side if labels is None else np.arange(len(side))
            for side, labels in zip((x, y), effect.labels)
        )
        image = ax.pcolormesh(x, y, values.T, cmap="RdBu_r", vmin=-top, vmax=top, shading="nearest")
        ax.figure.colorbar(image, ax=ax)
        for axis, labels in zip((ax.xaxis, ax.yaxis), effect.labels):
            if labels is not None:
                axis.set_ticks(
                    np.arange(len(labels)), [shortened(str(label), 18) for label in labels]
                )
        ax.set_xlabel(effect.names[0])
        ax.set_ylabel(effect.names[1])


class ImportanceDisplay:
    """How much each effect adds, in the mean of its absolute value.

    Parameters
    ----------
    names : list of str
    importances : array of shape (n_effects,)
        Falling.

    Attributes
    ----------
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.
    """

    def __init__(self, names: list[str], importances: Array) -> None:
        self.names, self.importances = names, importances

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, max_effects: int = 20, ax: Any = None
    ) -> ImportanceDisplay:
        """Draw the importances of a fitted additive estimator.

        Parameters
        ----------
        estimator : AdditiveReLURegressor or AdditiveReLUClassifier
        max_effects : int, default 20
        ax : matplotlib axes, optional

        Returns
        -------
        ImportanceDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(estimator, "effects_")
        names = [effect.name for effect in estimator.effects_[:max_effects]]
        return cls(names, estimator.importances_[:max_effects]).plot(ax)

    def plot(self, ax: Any = None) -> ImportanceDisplay:
        """Draw one bar an effect.

        Parameters
        ----------
        ax : matplotlib axes, optional

        Returns
        -------
        ImportanceDisplay
            Itself.
        """
        height = 1.2 + 0.28 * len(self.names)
        ax = axes_for(ax, "ImportanceDisplay", figsize=(6, height))
        places = np.arange(len(self.names))
        ax.barh(places, self.importances, color=CURVE, height=0.7)
        ax.set_yticks(places, self.names)
        ax.invert_yaxis()
        ax.set_xlabel("mean absolute value added")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def unused(estimator: Any) -> list[str]:
    """Names of the features that add nothing.

    Parameters
    ----------
    estimator : AdditiveReLURegressor or AdditiveReLUClassifier

    Returns
    -------
    list of str
    """
    used = {j for effect in estimator.effects_ for j in effect.features}
    return [f.name for j, f in enumerate(estimator.features_) if j not in used]
