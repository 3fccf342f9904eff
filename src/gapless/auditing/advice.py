"""What an audit concludes from what it measured: one sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.result import about
from .findings import Findings
from .optimum import UNKNOWN

# Gap, proven or estimated, from which the network is worth improving.
WIDE = 0.01
# Proven gap beyond which the bound says nothing.
NOTHING = 0.995
# Stationarity below which training has ended; gradients of the two parts then cancel to 1%.
STATIONARY = 0.01
# Share of the objective that rescaling must save to be worth a sentence.
UNBALANCED = 1e-3
# Share of dead neurons from which a layer is too wide, or was killed in training.
MANY_DEAD = 0.5


def verdict(found: Findings) -> str:
    """How well the network is trained.

    Parameters
    ----------
    found : Findings

    Returns
    -------
    str
        What is proven, what was found and what is a guess; and whether the optimizer minimises
        something else.
    """
    sentence = _verdict(found)
    if found.decoupled is None:
        return sentence
    return (
        f"{sentence} All this is about loss plus penalty, which {found.decoupled} does not "
        "minimise: its weight decay is no penalty."
    )


def _verdict(found: Findings) -> str:
    estimated = found.estimated_relative_gap
    if found.relative_gap <= WIDE:
        return (
            f"Well trained: proven to be within {found.relative_gap:.2%} of the best network of "
            "any width."
        )
    nothing = found.relative_gap > NOTHING
    if found.found_gain > WIDE:
        limit = f"none is more than {found.relative_gap:.1%} lower (proven)"
        limit = "nothing is proven of how low others can be" if nothing else limit
        gained = f"a network with a {found.found_gain:.1%} lower objective was found"
        return f"Not the best: {gained}; {limit}."
    if found.search_seconds > 0 and estimated is not None and estimated <= WIDE:
        return (
            "Probably well trained: a search suggests that "
            f"{about(estimated)} can be gained at most, which it cannot prove."
        )
    if found.proof == UNKNOWN and found.neurons is None:
        return "Undecided: no bound is known for networks with batch normalisation."
    limit = f", at most {found.relative_gap:.1%} lower (proven)"
    limit = "; nothing is proven of how low it can be" if nothing else limit
    rest = f"better network may exist{limit}."
    if estimated is None:
        return f"Undecided: a {rest}"
    if not found.search_seconds:
        return f"Undecided, since no better network was looked for: a {rest}"
    looked = f"{found.search_seconds:.2g} s of search gained {found.found_gain:.1%}"
    return f"Undecided: {looked}; a {rest}"


def advice(found: Findings) -> tuple[str, ...]:
    """What to do next.

    Parameters
    ----------
    found : Findings

    Returns
    -------
    tuple of str
        A sentence or two each, the most useful first; empty where nothing is to be done.
    """
    subjects = (_better_network, _training, _scales, _neurons, _weight_decay, _layers)
    return tuple(sentence for subject in subjects for sentence in subject(found))


def _better_network(found: Findings) -> Iterator[str]:
    n, estimated = found.neurons, found.estimated_relative_gap
    if n is not None and found.found_gain > WIDE and found.found_neurons is not None:
        yield (
            f"A network with objective {found.found_objective:.4g} and "
            f"{found.found_neurons} neurons was found: "
        ) + (
            "gapless.improve continues from yours in the same way and returns a module."
            if found.found_neurons <= n.total
            else f"yours has {n.total}, so train a wider one."
        )
    elif estimated is not None and found.relative_gap > WIDE and not found.search_seconds:
        yield (
            "No better network was looked for: audit with a time_limit above 0 looks for one, in "
            "half of it."
        )
    elif found.relative_gap > WIDE and estimated is not None and estimated > WIDE:
        yield (
            "gapless.improve continues from this network with the convex solver and never returns "
            "a worse one; audit with a larger time_limit looks and proves longer."
        )


def _training(found: Findings) -> Iterator[str]:
    estimated = found.estimated_relative_gap
    good = found.relative_gap <= WIDE or (
        estimated is not None and max(estimated, found.found_gain) <= WIDE
    )
    if found.decoupled is not None:
        yield (
            f"To minimise loss plus penalty train with Adam or SGD in place of {found.decoupled}, "
            "and compare weight decays anew: the same number means another thing there."
        )
        return
    if found.stationarity is not None and found.stationarity > STATIONARY and not good:
        yield (
            "Training seems not to have ended: the gradients of loss and penalty leave "
            f"{found.stationarity:.0%} of their size when added, 0% where training ends (1% is "
            "rounding). Train longer, or with another learning rate."
        )


def _scales(found: Findings) -> Iterator[str]:
    ended = found.decoupled is None  # only what minimises the penalty balances it
    if ended and found.imbalance is not None and found.imbalance > UNBALANCED * found.objective:
        yield (
            f"Rescaling alone, which changes no output, would save {found.imbalance:.3g} of the "
            "penalty; at the end of training that is 0."
        )


def _neurons(found: Findings) -> Iterator[str]:
    n = found.neurons
    if n is None:
        return
    if n.sufficient is not None and n.sufficient < n.total:
        yield (
            f"{n.sufficient} of {n.total} neurons suffice for the same outputs on these data: "
            "gapless.prune removes the rest."
        )
    elif n.dead:
        yield f"{n.dead} of {n.total} neurons are dead: gapless.prune removes them."


def _weight_decay(found: Findings) -> Iterator[str]:
    if found.weight_decay_max is None:
        return
    ratio = found.weight_decay_max / found.weight_decay
    if ratio <= 1:
        yield (
            "The weight decay seems so large that the best network is constant: try one "
            f"smaller than {found.weight_decay_max:.3g}."
        )
    elif found.best_objective - found.lower_bound > WIDE * found.best_objective:
        times = f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 10 else f"{ratio:.3g}"
        yield (
            f"The weight decay is about {times} times smaller than where the best network "
            f"becomes constant ({found.weight_decay_max:.3g}) and the proven gap closes; "
            "the nearer to that, the narrower the gap tends to be."
        )


def _layers(found: Findings) -> Iterator[str]:
    """Of deep networks: those of two layers have their neurons counted one by one."""
    if found.neurons is not None:
        return
    for l, layer in enumerate(found.layers, start=1):
        if layer.dead > MANY_DEAD * layer.outputs:
            yield (
                f"{layer.dead} of {layer.outputs} neurons of layer {l} are dead on these data: "
                "a narrower layer, or a smaller learning rate."
            )
