"""What a fitted estimator says of itself: how it ended, what is proven; as text, in notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .result import Bounded, known

#: attributes of fitted estimators that are told as they are
NUMBERS = {"n_features_in_": "features", "n_neurons_": "neurons", "n_kinks_": "kinks"}


class Summarised:
    """Mixed into an estimator, before scikit-learn's base."""

    #: what is known of a fit that leaves no status and no certificate
    proven: ClassVar[str] = ""

    def summary(self) -> str:
        """How the fit ended and what is proven of it, as lines of text.

        Returns
        -------
        str

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import numpy as np
        >>> from gapless import AdditiveReLURegressor
        >>> X = np.arange(20.0)[:, None]
        >>> model = AdditiveReLURegressor(weight_decay=0.1).fit(X, np.abs(X[:, 0] - 9))
        >>> print(model.summary().splitlines()[1])
        status        Optimal: the proven gap is within the tolerance.
        """
        rows = facts(self)
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            [type(self).__name__, *(f"{name:{width}}  {value}" for name, value in rows)]
        )

    def _repr_html_inner(self) -> str:
        return f"{super()._repr_html_inner()}{self._told_html()}"  # type: ignore[misc]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += self._told_html()
        return bundle

    def _told_html(self) -> str:
        """The summary as a table below scikit-learn's diagram; nothing before ``fit``."""
        from sklearn.exceptions import NotFittedError

        try:
            rows = facts(self)
        except NotFittedError:
            return ""
        cells = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in rows
        )
        return f'<table class="gapless-summary">{cells}</table>'


def facts(estimator: Any) -> list[tuple[str, str]]:
    """Status, what is proven, and sizes of a fitted estimator, as names and texts.

    Parameters
    ----------
    estimator : Summarised

    Returns
    -------
    list of (str, str)

    Raises
    ------
    NotFittedError
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    rows = [("status", _status(estimator))]
    if told := _known(estimator):
        rows.append(("known", told))
    if bounds := _bounds(estimator):
        widest = max(bounds, key=lambda pair: pair.relative_gap)
        told = f"{widest.attained:.6g}, proven to be at least {widest.lower_bound:.6g}"
        parts = f" (the widest gap of {len(bounds)})" if len(bounds) > 1 else ""
        rows.append(("objective", told + parts))
    if advice := getattr(getattr(estimator, "solution_", None), "advice", ""):
        rows.append(("advice", advice))
    rows += [
        (label, str(getattr(estimator, name)))
        for name, label in NUMBERS.items()
        if hasattr(estimator, name)
    ]
    decay = getattr(estimator, "weight_decay_", getattr(estimator, "weight_decay", None))
    if isinstance(decay, float):
        rows.append(("weight decay", f"{decay:.4g}"))
    return rows


def _status(estimator: Any) -> str:
    solution = getattr(estimator, "solution_", None)
    for holder, name in ((estimator, "status_"), (solution, "optimality")):
        if (verdict := getattr(holder, name, None)) is not None:
            return str(verdict.value)
    return estimator.proven or "Trained; what is proven stands below."


def _known(estimator: Any) -> str:
    """The proven gap in words."""
    solution = getattr(estimator, "solution_", None)
    if told := getattr(solution, "known", ""):
        return str(told)
    gaps = [pair.relative_gap for pair in _bounds(estimator)]
    return known(max(gaps), other="network of this form") if gaps else ""


@dataclass(frozen=True)
class _Pair(Bounded):
    objective: float
    lower_bound: float


def _bounds(estimator: Any) -> Sequence[Bounded]:
    """All that a fit leaves with a proven bound."""
    if hasattr(estimator, "certificate_"):
        return [estimator.certificate_]
    if hasattr(estimator, "certificates_"):
        return list(estimator.certificates_)
    if hasattr(estimator, "solution_"):
        return [estimator.solution_]
    if hasattr(estimator, "lower_bound_"):  # one number, or one a class
        values = np.ravel(estimator.objective_), np.ravel(estimator.lower_bound_)
        return [_Pair(float(a), float(b)) for a, b in zip(*values)]
    return []
