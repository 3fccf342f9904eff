"""Who is how far, and who is first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .methods import Trace
from .records import ADAM, WEIGHT_DECAYS, speeds
from .run import BEST

#: a method may have several settings, of which the best on each problem counts
SHOWN = {
    "gapless": ("gapless",),
    "Adam p=200": ADAM,
    "L-BFGS p=400": ("lbfgs",),
    "MLP p=200": ("mlp",),
    "scnn": ("scnn",),
}
#: how far above the best objective known, as a share of it
TARGETS = (1e-2, 1e-3, 1e-4)
#: of the fastest method's time
FACTORS = (1, 1.5, 2, 5, 10)


@dataclass(frozen=True)
class Race:
    """One problem: the best objective known; each method's run that came closest to it.

    ``seconds``: method -> CPU seconds to each of TARGETS, infinite where that took longer than the
    limit.  Of several runs of a setting the median counts, of several settings the best.
    """

    name: str
    weight_decay: float
    best: float
    closest: dict[str, dict]
    seconds: dict[str, np.ndarray]

    def above_best(self, method):
        return max(min(self.closest[method]["objectives"]) / self.best - 1, 0)


def races(store, limits, wanted):
    """The races of the problems ``wanted``, each run to its end by every method."""
    found = speeds(store, limits, wanted)
    asked = dict(zip(WEIGHT_DECAYS, limits))
    run = (_race(*key, runs, asked[key[1]]) for key, runs in found.items())
    return [race for race in run if race is not None]


def _race(name, weight_decay, by_method, limit):
    every = [r for settings in by_method.values() for same in settings.values() for r in same]
    best = min(min(r["objectives"]) for r in every)
    best = min(best, BEST.get((name, weight_decay), np.inf))
    closest, seconds = {}, {}
    for shown, settings in SHOWN.items():
        runs = [same for m in settings for same in by_method.get(m, {}).values()]
        if shown == "scnn" and not runs:
            continue  # it is rarely installed
        records = [record for same in runs for record in same]
        if not any(_complete(record, limit, best) for record in records):
            return None
        closest[shown] = min(records, key=lambda record: min(record["objectives"]))
        medians = [np.median([_times(record, best) for record in same], axis=0) for same in runs]
        seconds[shown] = np.min(medians, axis=0)
    return Race(name, weight_decay, best, closest, seconds)


def _complete(record, asked, best):
    """Whether a longer limit would have told no more."""
    limit, end = record["key"][3], record["seconds"][-1]
    by_itself = record["key"][2] in ("lbfgs", "mlp") and end < 0.9 * limit
    return limit == asked or by_itself or np.isfinite(_times(record, best)[-1])


def _times(record, best):
    """Seconds to each target; what a last round reached after the limit does not count."""
    trace = Trace(record["seconds"], record["objectives"])
    times = (trace.time_to(best * (1 + share)) for share in TARGETS)
    return [t if t is not None and t <= record["key"][3] else np.inf for t in times]


def times_to(target, run):
    """method -> seconds to ``TARGETS[target]`` in each race, of the methods that ran in all."""
    methods = [m for m in SHOWN if all(m in race.seconds for race in run)]
    return {m: np.array([race.seconds[m][target] for race in run]) for m in methods}


def best_peer(times):
    return np.min([t for method, t in times.items() if method != "gapless"], axis=0)


def shares_against(own, peers, limit):
    """Shares: surely 5 and 10 times faster than the best peer, faster, slower by 1.5, nobody."""
    # a peer that did not get there took the limit at least, and no more than that is known
    known = np.minimum(peers, limit)
    outcomes = (
        5 * own <= known,
        10 * own <= known,
        own < peers,
        np.isfinite(peers) & (own > 1.5 * peers),
        ~np.isfinite(np.minimum(own, peers)),
    )
    return [np.mean(which) for which in outcomes]


def shares_within(own, fastest):
    """Shares solved within each of FACTORS times the fastest method's time, and ever."""
    reached = np.isfinite(own)
    return [np.mean(reached & (own <= f * fastest)) for f in FACTORS] + [np.mean(reached)]


def ranks(scores):
    """1 for the best of each row, equals alike."""
    return (scores[:, :, None] < scores[:, None, :]).sum(axis=2) + 1
