"""Scores are those of scikit-learn, for which the command does not wait."""

import numpy as np
import pytest
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss as their_log_loss
from sklearn.metrics import roc_auc_score

from gapless.cli.linear import linear_outputs
from gapless.cli.measures import area, explained, log_loss
from gapless.cli.scores import probabilities

RNG = np.random.default_rng(0)
X, THERE = RNG.standard_normal((2, 60, 3))
AMOUNTS = np.exp(X[:, 0]) * RNG.gamma(3, 1 / 3, 60)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_of_classes(n_classes):
    y = np.r_[np.arange(n_classes), RNG.integers(n_classes, size=60 - n_classes)]
    theirs = LogisticRegression(max_iter=2000).fit(X, y).predict_proba(THERE)
    P = probabilities(linear_outputs("logistic", n_classes, X, y, THERE))
    np.testing.assert_allclose(P, theirs)
    rounded = np.round(P, 1)  # ties, and classes said to be impossible
    for Q in (P, rounded / rounded.sum(axis=1, keepdims=True)):
        scores = Q[:, 1] if n_classes == 2 else Q
        assert area(y, Q) == pytest.approx(roc_auc_score(y, scores, multi_class="ovr"))
        assert log_loss(y, Q) == pytest.approx(their_log_loss(y, Q))
    assert area(np.zeros(60, dtype=int), P) is None


@pytest.mark.parametrize(
    ("loss", "kind"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)]
)
def test_of_counts_and_amounts(loss, kind):
    linear = kind(alpha=1e-3, max_iter=1000).fit(X, AMOUNTS)
    assert explained(loss, AMOUNTS, linear.predict(X)) == pytest.approx(linear.score(X, AMOUNTS))
