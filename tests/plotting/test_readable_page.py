"""The page of a readable network: whole, escaped, fetched from nowhere; its sums are right."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from gapless import AdditiveReLUClassifier, AdditiveReLURegressor, EffectsDisplay, readable_page

NAME = "dose <b>&</b> </script>"


class Reader(HTMLParser):
    """Tags, the texts of blocks by id, and whether all tags close."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.block, self.text = [], [], None, {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "br", "img"):
            self.open.append(tag)
            self.block = dict(attributes).get("id", tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.block] = self.text.get(self.block, "") + data


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    n = 150
    ward = rng.choice(["north", "<i>south"], n)
    X = pd.DataFrame({"age": rng.uniform(20, 80, n), NAME: rng.uniform(0, 9, n), "ward": ward})
    y = np.abs(X["age"] - 50) / 10 + X[NAME] + 3 * (ward == "north")
    X.loc[:20, NAME] = np.nan
    return AdditiveReLURegressor(weight_decay=0.02).fit(X, y), X, y


def test_the_page_is_whole_and_loads_nothing(fitted):
    model, X, y = fitted
    page = readable_page(model, X, y, title="days <of> stay")
    read = Reader(page)
    assert read.open == []
    for _, attributes in read.tags:
        assert "src" not in attributes
        assert "href" not in attributes
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    # names are text, never tags
    assert not any(tag in ("b", "i", "of") for tag, _ in read.tags)
    figures = [tag for tag, _ in read.tags if tag == "svg"]
    assert len(figures) == len(model.effects_) == 3
    assert model.solution_.known in page


def test_every_row_sums_to_its_prediction(fitted):
    model, X, y = fitted
    data = json.loads(Reader(readable_page(model, X, y)).text["rows"])
    sums = np.array(data["baseline"]) + np.sum(data["added"], axis=1)
    assert sums[:, 0] == pytest.approx(model.predict(X), abs=1e-4)
    assert data["names"] == [effect.name for effect in model.effects_]
    place = data["names"].index(NAME)
    assert data["values"][0][place] == "missing"
    assert len(data["truth"]) == len(X)


def test_numbers_are_written_as_asked_on_page_and_picture(fitted):
    model, X, _ = fitted
    formats = {"age": "{:.0f} years".format}
    data = json.loads(Reader(readable_page(model, X, formats=formats)).text["rows"])
    place = data["names"].index("age")
    assert data["values"][0][place] == f"{X['age'][0]:.0f} years"
    assert ">40 years</text>" in readable_page(model, X, formats=formats)
    display = EffectsDisplay.from_estimator(model, features=["age"], formats=formats)
    display.figure_.canvas.draw()
    assert "50 years" in [t.get_text() for t in display.axes_[0].get_xticklabels()]


def test_a_curve_goes_through_its_values(fitted):
    """Places and values are recovered from the drawing, up to one affine map each."""
    model, X, _ = fitted
    effect = next(e for e in model.effects_ if e.name == "age")
    k = model.effects_.index(effect)
    lines = [a["points"] for tag, a in Reader(readable_page(model, X)).tags if tag == "polyline"]
    curve = lines[[e.name for e in model.effects_ if e.kind == "numeric"].index(effect.name)]
    points = np.array([[float(v) for v in p.split(",")] for p in curve.split()])
    assert len(points) == len(effect.places), k
    for drawn, told in zip(points.T, (effect.places.astype(float), effect.values[:, 0])):
        fit = np.polyfit(told, drawn, 1)
        assert np.abs(np.polyval(fit, told) - drawn).max() < 0.1


def test_no_number_is_cut_off_at_the_edge():
    X = np.linspace(0, 1, 40)[:, None] * 30000
    page = readable_page(AdditiveReLURegressor(weight_decay=0.01).fit(X, X[:, 0] ** 0.5), X)
    told = re.findall(r'<text x="([\d.]+)" y="186.0" text-anchor="middle">([^<]*)<', page)
    assert "30000" in [text for _, text in told]
    assert all(float(x) + 3.3 * len(text) <= 320 for x, text in told)  # half of its width


def test_classes_pairs_and_sparse_rows():
    X, y = load_iris(return_X_y=True)
    model = AdditiveReLUClassifier([(0, 2)], weight_decay=0.05).fit(X, y)
    page = readable_page(model, sparse.csr_matrix(X), y)
    read = Reader(page)
    assert len([1 for tag, _ in read.tags if tag == "svg"]) == 3 * len(model.effects_)
    data = json.loads(read.text["rows"])
    assert data["outputs"] == ["0", "1", "2"]
    scores = np.array(data["baseline"]) + np.sum(data["added"], axis=1)
    assert np.array_equal(np.argmax(scores, axis=1), model.predict(X))


def test_a_heat_map_names_levels_and_any_row_can_be_found(fitted):
    _, X, y = fitted
    model = AdditiveReLURegressor([("age", "ward")], weight_decay=0.1, tol=1e-2)
    model.fit(X.assign(age=X["age"] * (X["ward"] == "north")), y)
    page = readable_page(model, X, y)
    (pair,) = (e for e in model.effects_ if e.kind == "pair")
    assert pair.labels == (None, ["<i>south", "north"])
    drawn = page[page.index(f"heat map of what {pair.name} adds") :].split("</svg>")[0]
    assert ">north</text>" in drawn
    assert ">&lt;i&gt;sou</text>" in drawn
    assert "furthest from the truth first" in page
    assert "independent" in page  # what the baseline is with pairs


def test_a_constant_and_an_estimator_that_is_not_fitted():
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = AdditiveReLURegressor(weight_decay=1e6).fit(X, X[:, 0])
    assert "A constant predicts the target" in readable_page(model, X)
    with pytest.raises(NotFittedError):
        readable_page(AdditiveReLURegressor(), X)


def test_numbers_far_from_all_others_do_not_squeeze_a_picture():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.uniform(10, 90, 200), "pay": rng.uniform(1e4, 9e4, 200)})
    y = np.abs(X["size"] - 40)
    X.loc[7, "size"], X.loc[3, "pay"] = 4000.0, 2e6
    model = AdditiveReLURegressor(weight_decay=0.001).fit(X, y)
    sheet = readable_page(model, X)
    assert "1 row beyond, to 4000" in sheet
    assert not re.search(r"\de\+\d", sheet)  # no exponents
    display = EffectsDisplay.from_estimator(model, features=["size"])
    assert display.axes_[0].get_xlim()[1] < 100
    assert "(1 row beyond, to 4000)" in display.axes_[0].get_xlabel()
    counts, edges = model.effects_[0].density
    assert counts.sum() == 200
    assert edges[-1] == 4000
