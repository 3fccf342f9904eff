"""The regularisation path: networks for falling weight decay, each started from the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array, positive, positive_int, to_2d
from ..core.constant import null_dual_point, null_model
from ..core.losses import Loss
from ..core.network import Network, constant_network
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction
from ..core.result import Solution, Status
from ..core.watch import Watch, never
from ..gauge.choose import is_exact, timely_bound
from ..gauge.search import Oracle
from .descent import descend
from .master import solve_master
from .neurons import violating, with_candidates
from .state import Progress
from .train import solve

# As in training: near interpolation the objective is a small remainder of the null model's.
FLOOR = 0.1
# Of hinge and pinball while a network is adapted; training then chooses its own.
SMOOTHING = 1e-2
# Of the master there.
ACCURACY = 1e-8
# Of the search for the largest weight decay.
STARTS = 500


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """Solutions for falling weight decay; iterate over it or index it like a list.

    Attributes
    ----------
    weight_decays : array of shape (n_values,)
        Falling; shorter than asked for when the path was stopped or its time was up.
    solutions : tuple of Solution
        One each, with its certificate.
    loss : Loss
        What the networks were trained for; it says what a score is.
    """

    weight_decays: Array
    solutions: tuple[Solution, ...]
    loss: Loss

    @property
    def objectives(self) -> Array:
        """Training objectives, an array of shape (n_values,)."""
        return np.array([s.certificate.objective for s in self.solutions])

    @property
    def lower_bounds(self) -> Array:
        """Proven lower bounds of the objectives, an array of shape (n_values,)."""
        return np.array([s.certificate.lower_bound for s in self.solutions])

    @property
    def estimated_lower_bounds(self) -> Array:
        """The same by search: not proven, an array of shape (n_values,)."""
        return np.array([s.certificate.estimated_lower_bound for s in self.solutions])

    @property
    def n_neurons(self) -> Array:
        """Hidden neurons of each network, an array of shape (n_values,)."""
        return np.array([s.network.n_neurons for s in self.solutions])

    def scores(self, X: Any, Y: Any) -> Array:
        """R2 or accuracy of each network on other data.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
        Y : array of shape (n_samples,) or (n_samples, n_outputs)
            Targets as in the problem: real, signs -1 and +1, or one-hot rows.

        Returns
        -------
        array of shape (n_values,)
            R2 for real targets, the mean over outputs; the share of right classes else.
        """
        Y = to_2d("Y", Y)
        return np.array([score(self.loss, s.network.predict(X), Y) for s in self.solutions])

    def __len__(self) -> int:
        return len(self.solutions)

    def __iter__(self) -> Iterator[Solution]:
        return iter(self.solutions)

    def __getitem__(self, index: int) -> Solution:
        return self.solutions[index]


def path(
    problem: Problem,
    weight_decays: Sequence[float] | Array | None = None,
    *,
    n_values: int = 30,
    ratio: float = 1e-3,
    tol: float = 1e-3,
    time_limit: float | None = None,
    init: Network | None = None,
    callback: Callable[[int, int, Solution], bool | None] | None = None,
    random_state: int = 0,
    **options: Any,
) -> RegularizationPath:
    """Train along falling weight decay.

    Each value starts from the network of the one before, joined by the neurons that the
    sequential strong rule keeps (:func:`strong`; not under ``max_neurons``), after a joint
    descent on all weights, and ends with the first search whose gap is within ``tol``.
    :func:`gapless.train` at a single value searches several times before it believes that
    nothing is left; do that at the value chosen.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.
    weight_decays : array, optional
        The values; sorted from large to small.  By default ``n_values`` of them, evenly spaced
        in the logarithm from :func:`weight_decay_max` down to ``ratio`` times it.
    n_values, ratio : int and float, default 30 and 1e-3
        The default grid.
    tol : float, default 1e-3
        Relative gap of every solution, proven or estimated.
    time_limit : float, optional
        Seconds for all of it.  The last value then has the status that it ended in.
    init : Network, optional
        Start of the first value.
    callback : callable, optional
        Called with (values done, values in all, Solution) after each; a true answer stops.
    random_state : int, default 0
    **options
        ``max_neurons`` or ``max_iter`` of each value, as in :func:`train`.

    Returns
    -------
    RegularizationPath
        Also when interrupted (Ctrl-C): the values done.

    Raises
    ------
    ValueError
        For a weight decay, ratio or tol that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem, path
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> trained = path(Problem(X, np.abs(X)), n_values=4, ratio=0.01)
    >>> trained.n_neurons.tolist()[0], bool(trained.objectives[-1] < trained.objectives[0])
    (0, True)
    """
    check_problem(problem)
    watch = Watch.of(time_limit)
    grid = weight_decay_grid(problem, weight_decays, n_values, ratio, random_state, watch)
    done: list[Solution] = []
    walking = solve_along(
        problem, grid, watch, tol=tol, init=init, random_state=random_state, **options
    )
    with suppress(KeyboardInterrupt):
        for solution in walking:
            done.append(solution)
            if callback is not None and callback(len(done), len(grid), solution):
                break
    if not done:
        raise KeyboardInterrupt
    return RegularizationPath(grid[: len(done)], tuple(done), problem.loss)


def solve_along(
    problem: Problem,
    weight_decays: Array,
    watch: Watch,
    *,
    tol: float = 1e-3,
    init: Network | None = None,
    **options: Any,
) -> Iterator[Solution]:
    """The solutions of :func:`path` one after the other, the first in any case.

    One that is interrupted or out of time is the last.

    Parameters
    ----------
    problem : Problem
    weight_decays : array of shape (n_values,)
        Falling.
    watch : Watch
        Of the whole path.
    tol : float, default 1e-3
    init : Network, optional
    **options
        Of :func:`gapless.training.train.solve`.

    Yields
    ------
    Solution
    """
    null = constant_network(problem, null_model(problem))
    if init is None:
        init = null
    reduction = Reduction(problem)
    fit = problem.data_fit(null.predict(problem.X))
    enough = _Enough(positive("tol", tol), fit, reduction.core.n_samples)
    smooth = reduction.core.loss.smoothed(SMOOTHING)
    last = np.inf
    for weight_decay in weight_decays:
        if watch.due() and last < np.inf:
            return
        # adapted to the new value first, most networks pass their first search
        core = reduction.core.variant(smooth, float(weight_decay) * reduction.decay)
        start = reduction.apply(init)
        # under a cap what enters would only push out what is there
        if enough.found is not None and options.get("max_neurons") is None:
            start = strong(core, start, enough.found, last, watch.due)
        last = core.weight_decay
        start = descend(core, start, watch.due).merge(core.design)
        part = problem.variant(problem.loss, float(weight_decay))
        enough.met, enough.found = False, None
        begun = reduction.invert(start)
        solution = solve(part, watch.part(enough), init=begun, tol=tol, **options)
        if enough.met:
            status = Status.of_gap(solution.certificate.relative_gap, tol) or Status.HEURISTIC
            solution = replace(solution, status=status)
        init = solution.network
        yield solution
        if solution.status in (Status.STOPPED, Status.TIME_LIMIT):
            return


def strong(
    core: Problem,
    network: Network,
    found: Candidates,
    last: float,
    stop: Callable[[], bool] = never,
) -> Network:
    """``network`` and the neurons ``found`` that may enter at ``core.weight_decay``, refitted.

    At the dual point of the weight decay ``last`` a search ended at local maxima of the gauge.
    The gauge of a neuron moves by about as much as the weight decay, so one below
    ``2 weight_decay - last`` is discarded: the sequential strong rule (Tibshirani et al., JRSS B
    2012), here a guess at where to start, as the next search looks everywhere again.

    Parameters
    ----------
    core : Problem
        Of the new weight decay.
    network : Network
        On the core's design.
    found : Candidates
        Of the last search.
    last : float
        The weight decay before.
    stop : callable
        Asked before each step of the master.

    Returns
    -------
    Network
    """
    threshold = core.variant(core.loss, max(2 * core.weight_decay - last, 0.0))
    U, b, a = with_candidates(network, violating(found, threshold))
    Z = core.design.activations(U, b)
    a, c = solve_master(core, Z, a, network.output_bias, ACCURACY, stop)
    return Network(U, b, a, c).merge(core.design)


@dataclass
class _Enough:
    """Callback of training: stop once one search leaves a gap within the tolerance."""

    tol: float
    null: float
    n_samples: int
    met: bool = False
    found: Candidates | None = None  # by the last search

    def __call__(self, info: Progress) -> bool:
        if info.n_samples < self.n_samples:  # not the problem yet, a part of its rows
            return False
        c, self.found = info.certificate, info.found
        size = max(c.objective, FLOOR * self.null)
        self.met = c.objective - c.estimated_lower_bound <= self.tol * size
        return self.met


def weight_decay_max(problem: Problem, n_starts: int = STARTS, random_state: int = 0) -> float:
    """The weight decay from which on the best network has no neurons.

    It is the gauge ``g(Lam)`` of the null model's dual point Lam: exact for data of low rank, else
    the best value of a search, hence a slight underestimate.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.
    n_starts : int, default 500
        Starts of the search, where there is one.
    random_state : int, default 0

    Returns
    -------
    float
        In the units of ``problem.weight_decay``; zero for targets that are constant, under the
        free bias, or zero.

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorems 8 and 13: the dual point is then feasible.

    Examples
    --------
    >>> round(weight_decay_max(Problem([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0])), 6)
    0.111111
    """
    return largest_weight_decay(problem, n_starts, random_state, Watch())


def largest_weight_decay(problem: Problem, n_starts: int, random_state: int, watch: Watch) -> float:
    """:func:`weight_decay_max`, or the best value found in time.

    Parameters
    ----------
    problem : Problem
    n_starts : int
    random_state : int
    watch : Watch

    Returns
    -------
    float
    """
    reduction = Reduction(problem)
    core = reduction.core
    Lam = null_dual_point(core)
    if is_exact(core) and (value := timely_bound(core, Lam, watch.left).lower) > 0:
        return value / reduction.decay
    oracle = Oracle(core.design, core.free, np.random.default_rng(random_state))
    found = oracle.search(Lam, np.zeros((core.n_features, 0)), n_starts, stop=watch.due)
    return float(found.value.max(initial=0.0)) / reduction.decay


def weight_decay_grid(
    problem: Problem,
    weight_decays: Sequence[float] | Array | None,
    n_values: int,
    ratio: float,
    random_state: int,
    watch: Watch | None,
) -> Array:
    """The values given, falling; else a geometric grid down from :func:`weight_decay_max`.

    Constant targets have no such grid: any weight decay, so the problem's own, gives the null
    model.

    Parameters
    ----------
    problem : Problem
    weight_decays : sequence of float or None
    n_values : int
    ratio : float
        Of the last value to the first, below 1.
    random_state : int
    watch : Watch or None
        Of the search for the first value.

    Returns
    -------
    array of shape (n_values,)

    Raises
    ------
    ValueError
        For no values, one that is not positive, and a ratio that is not between 0 and 1.
    """
    if weight_decays is not None:
        values = [positive("weight_decays", v) for v in np.ravel(np.asarray(weight_decays))]
        if not values:
            raise ValueError("weight_decays is empty; give at least one value")
        return np.sort(values)[::-1]
    n_values, ratio = positive_int("n_values", n_values), positive("ratio", ratio)
    if ratio >= 1:
        raise ValueError(f"ratio must lie between 0 and 1, got {ratio}")
    top = largest_weight_decay(problem, STARTS, random_state, watch or Watch())
    return top * np.geomspace(1.0, ratio, n_values) if top > 0 else np.array([problem.weight_decay])


@np.errstate(over="ignore", invalid="ignore")  # targets whose squares overflow have no score
def score(loss: Loss, F: Array, Y: Array, sample_weight: Array | None = None) -> float:
    """R2 of real targets (mean over outputs), accuracy of classes.

    Parameters
    ----------
    loss : Loss
    F, Y : arrays of shape (n_samples, n_outputs)
        Outputs and targets.
    sample_weight : array of shape (n_samples,), optional

    Returns
    -------
    float
    """
    w = np.ones(len(Y)) if sample_weight is None else sample_weight
    w = w / w.sum()
    if loss.targets == "real":
        spread = w @ (Y - w @ Y) ** 2
        return float(np.mean(1 - (w @ (F - Y) ** 2) / np.maximum(spread, np.finfo(float).tiny)))
    if Y.shape[1] == 1:
        return float(w @ ((F[:, 0] > 0) == (Y[:, 0] > 0)))
    return float(w @ (np.argmax(F, axis=1) == np.argmax(Y, axis=1)))
