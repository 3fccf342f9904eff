"""Every estimator says how its fit ended and what is proven, as text and in notebooks."""

import re
import warnings
from functools import cache

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError

from estimator_lists import EASY, ESTIMATORS, samples
from gapless import AdditiveReLURegressor, DeepLinearRegressor, Network, ReLURegressor


@cache
def fitted(kind):
    X = samples(kind.__name__)
    if "Spline" in kind.__name__:
        X = X[:, :1]
    classes = is_classifier(kind()) or kind.__name__ == "ConvexOutputLayer"
    y = (X[:, 0] > np.median(X[:, 0])).astype(int) if classes else np.abs(X[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(**EASY.get(kind.__name__, {})).fit(X, y)


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_each_tells_its_status_and_gap(kind):
    model = fitted(kind)
    told = model.summary()
    assert told.startswith(kind.__name__)
    status = re.search(r"^status +(\S.*)$", told, re.M)
    assert status, told
    known = re.search(r"^known +(.*)$", told, re.M)
    for name in ("status_", "optimality_"):
        if hasattr(model, name):
            assert status[1] == getattr(model, name).value
    if hasattr(model, "certificate_") or hasattr(model, "lower_bound_"):
        assert known
        assert "better" in known[1]
        bound = re.search(r"^objective +(\S+), proven to be at least (\S+)$", told, re.M)
        assert float(bound[2]) <= float(bound[1]) * (1 + 1e-5) + 1e-12
    else:
        assert known or kind.proven


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_notebooks_show_scikit_learns_diagram_and_then_the_table(kind):
    new = kind(**EASY.get(kind.__name__, {}))
    assert "gapless-summary" not in new._repr_html_()
    model = fitted(kind)
    for page in (model._repr_html_(), model._repr_mimebundle_()["text/html"]):
        assert page.count('class="gapless-summary"') == 1
        assert "sk-top-container" in page
        assert page.index("sk-top-container") < page.index('class="gapless-summary"')
    with config_context(display="text"):
        assert "text/html" not in model._repr_mimebundle_()
    with pytest.raises(NotFittedError):
        new.summary()


def test_the_numbers_are_those_of_the_certificate():
    X = np.random.default_rng(0).standard_normal((40, 3))
    model = AdditiveReLURegressor(weight_decay=0.05).fit(X, np.abs(X[:, 0]))
    told = model.summary()
    assert f"objective     {model.certificate_.objective:.6g}, " in told
    assert model.solution_.known in told
    assert f"neurons       {model.n_neurons_}" in told


def test_a_network_describes_itself():
    rng = np.random.default_rng(0)
    U = np.zeros((50, 200))
    U[3] = rng.standard_normal(200)
    net = Network(U, np.zeros(200), rng.standard_normal((200, 1)), [0.0])
    assert repr(net) == "<Network: 50 features (1 used), 200 neurons, 1 output>"
    X = rng.standard_normal((9, 4))
    deep = DeepLinearRegressor(weight_decay=0.1).fit(X, X[:, 0]).solution_.network
    assert repr(deep) == f"<DeepNetwork: 4 - {deep.widths[0]} - 1, linear, no biases>"
    solution = ReLURegressor(weight_decay=0.1).fit(X, X[:, 0]).solution_
    assert repr(solution).startswith("<Solution: ")
