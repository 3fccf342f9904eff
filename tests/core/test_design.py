"""Every design is the linear map of its array, and a problem on it is the problem on that."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from gapless import Network, Patches, Problem
from gapless.core.design import DenseDesign, Design, SparseDesign, design_of
from gapless.core.reduction import Reduction

EXAMPLES = Path(__file__).parents[2] / "examples"
RNG = np.random.default_rng(0)
TABLE = np.round(RNG.standard_normal((12, 5)), 1) * (RNG.uniform(size=(12, 5)) < 0.6)
#: every kind of design; a new one joins here
DESIGNS = {
    "dense": DenseDesign(TABLE),
    "sparse": SparseDesign(sp.csr_matrix(TABLE)),
    "patches": Patches(TABLE, 5),
    "tutorial": runpy.run_path(str(EXAMPLES / "tutorial_add_a_design.py"))["Categories"](
        RNG.integers(5, size=12), 5, 2.0
    ),
}
each = pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)


@each
def test_is_the_map_of_its_array(design):
    A = design.array()
    assert design.shape == A.shape
    assert (len(design), design.size) == (12, 60)
    U, b, G = RNG.standard_normal((5, 3)), RNG.standard_normal(3), RNG.standard_normal((12, 2))
    np.testing.assert_allclose(design.scores(U), A @ U, atol=1e-12)
    np.testing.assert_allclose(design.scores(U, b), A @ U + b, atol=1e-12)
    np.testing.assert_allclose(design.scores(U[:, 0]), A @ U[:, 0], atol=1e-12)
    np.testing.assert_allclose(design.pull_back(G), A.T @ G, atol=1e-12)
    np.testing.assert_allclose(design.pull_back(G[:, 0]), A.T @ G[:, 0], atol=1e-12)
    np.testing.assert_allclose(design.gram(), A.T @ A, atol=1e-12)
    np.testing.assert_allclose(design.kernel(), A @ A.T, atol=1e-12)
    np.testing.assert_allclose(design.row_norms(), np.linalg.norm(A, axis=1), atol=1e-12)
    np.testing.assert_allclose(design.mean(), A.mean(axis=0), atol=1e-12)
    spread = np.linalg.norm(A - A.mean(axis=0), axis=1).max()
    assert design.spread() >= spread * (1 - 1e-12)
    a, c = RNG.standard_normal((3, 2)), RNG.standard_normal(2)
    np.testing.assert_allclose(design.outputs(U, b, a, c), Network(U, b, a, c).predict(A))


@each
@pytest.mark.parametrize(
    "index",
    [slice(2, 9), np.array([3, 3, 0]), np.arange(12) % 3 == 0],
    ids=["slice", "rows", "mask"],
)
def test_some_rows(design, index):
    A = design.array()
    for some in (design.rows(index), design[index]):
        assert isinstance(some, Design)
        np.testing.assert_array_equal(some.array(), A[index])
    np.testing.assert_array_equal(design.dense_rows(index), A[index])


@each
def test_other_units_precision_and_a_column_of_ones(design):
    A = design.array()
    np.testing.assert_array_equal(design.scaled(0.5).array(), 0.5 * A)
    for t in (2.0**-600, 2.0**600):  # whose squares leave the floats
        np.testing.assert_allclose(design.scaled(t).row_norms() / t, design.row_norms())
    np.testing.assert_array_equal(design.with_ones().array(), np.hstack([A, np.ones((12, 1))]))
    single = design.astype(np.float32)
    assert single.scores(np.eye(5, dtype=np.float32)).dtype == np.float32
    again = design.with_ones().scaled(2.0).rows(slice(1, 4))
    np.testing.assert_array_equal(again.array(), 2 * np.hstack([A, np.ones((12, 1))])[1:4])
    np.testing.assert_allclose(again.pull_back(np.eye(3)), again.array().T)


@each
@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_a_problem_on_it_is_the_problem_on_its_array(design, bias):
    y, weights = RNG.standard_normal(12), np.arange(12.0)
    given = Problem(design, y, "squared", 0.1, bias, weights)
    plain = Problem(design.array(), y, "squared", 0.1, bias, weights)
    biases = (np.zeros(4), np.zeros(1)) if bias == "none" else (np.ones(4), np.ones(1))
    network = Network(RNG.standard_normal((5, 4)), biases[0], np.eye(4)[:, :1], biases[1])
    assert network.objective(given) == pytest.approx(network.objective(plain), rel=1e-12)
    assert np.all(given.reach >= np.linalg.norm(plain.design.array(), axis=1))
    # so small it is solved as its array
    core, same = Reduction(given).core, Reduction(plain).core
    np.testing.assert_array_equal(core.X, same.X)


@each
def test_a_large_one_stays_as_it_is(design, monkeypatch):
    monkeypatch.setattr("gapless.core.reduction.DENSE", 0)
    given = Problem(design, np.arange(12.0), "squared", 0.1, "penalized")
    reduction = Reduction(given)
    assert type(reduction.core.design) is type(design)
    size = reduction.core.design.row_norms() ** 2
    assert reduction.core.sample_weight @ size == pytest.approx(1.0)
    network = Network(RNG.standard_normal((5, 3)), RNG.standard_normal(3), np.eye(3)[:, :1], [0.0])
    there = reduction.apply(network)
    # outputs of both problems, in the units of each, and back
    outputs = reduction.unit * there.predict(reduction.core.design)[reduction.group]
    np.testing.assert_allclose(outputs + reduction.shift, network.predict(design), atol=1e-9)
    back = reduction.invert(there)
    np.testing.assert_allclose(back.predict(design), network.predict(design), atol=1e-9)


def test_every_kind_is_listed():
    for kind in Design.__subclasses__():
        assert any(isinstance(design, kind) for design in DESIGNS.values()), kind


def test_design_of_what_is_one_already():
    design = DESIGNS["sparse"]
    assert design_of(design) is design
    assert design_of(TABLE).dense
    assert not design_of(sp.csr_matrix(TABLE)).dense
