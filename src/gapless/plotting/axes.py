"""The axes a display draws on; matplotlib is imported here, when the first one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array, optional_import


def pyplot(feature: str) -> Any:
    """``matplotlib.pyplot``.

    Parameters
    ----------
    feature : str
        What needs it, for the message.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        Where matplotlib is not installed, with how to install it.
    """
    return optional_import("matplotlib.pyplot", "plot", feature)


def shortened(text: str, letters: int = 24) -> str:
    """A label, or its beginning."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def plain(value: float, digits: int = 4) -> str:
    """A number in so many digits, with an exponent only where it is very large or very small."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text and abs(value) < 1e9 else text


def axes_for(ax: Any, feature: str = "drawing", **figure: Any) -> Any:
    """The axes given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib axes, array of axes or None
    feature : str, default "drawing"
        What draws, see :func:`pyplot`.
    **figure
        What ``matplotlib.pyplot.subplots`` takes.

    Returns
    -------
    matplotlib axes, or an array of axes
    """
    plt = pyplot(feature)
    return plt.subplots(layout="constrained", **figure)[1] if ax is None else ax


def axes_in_row(ax: Any, count: int) -> Array:
    """As :func:`axes_for`, for a display of several pictures side by side.

    Parameters
    ----------
    ax : sequence of matplotlib axes or None
    count : int
        How many the display draws on.

    Returns
    -------
    array of shape (count,)

    Raises
    ------
    ValueError
        For another number of axes.
    """
    axes = np.atleast_1d(axes_for(ax, "a Display", ncols=count, figsize=(4.2 * count, 3.6)))
    if len(axes) != count:
        raise ValueError(f"ax must be {count} axes, got {len(axes)}")
    return axes
