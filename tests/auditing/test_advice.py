"""What an audit concludes, from values that nobody has to train for."""

from dataclasses import replace

import pytest

from gapless.auditing.advice import advice, verdict
from gapless.auditing.findings import Findings, LayerReport, NeuronReport

LAYER = LayerReport(
    inputs=3, outputs=8, norm=1.0, rank=3, effective_rank=2.5, alignment=None, dead=0,
    always_active=0,
)  # fmt: skip
# a two-layer network at the end of its training, of which nothing is left to say
GOOD = Findings(
    loss="MSELoss", weight_decay=0.1, bias="free", rule="biases without weight decay",
    objective=1.0, data_fit=0.7, penalty=0.3, zero_objective=2.0,
    lower_bound=0.999, proof="norm of the data", found_objective=None, found_neurons=None,
    search_seconds=5.0, decoupled=None,
    estimated_lower_bound=0.9995, stationarity=0.001, gradient_norm=1e-4, imbalance=0.0,
    layers=(LAYER,), neurons=NeuronReport(8, 0, 0, 0, 8), weight_decay_max=1.0,
    collapse=None, kinks=None, notes=(),
)  # fmt: skip
UNSURE = replace(GOOD, lower_bound=0.5)
WIDE = replace(UNSURE, estimated_lower_bound=0.8)
FOUND = replace(WIDE, found_objective=0.8, found_neurons=5)
DEEP = replace(WIDE, neurons=None, estimated_lower_bound=None, weight_decay_max=None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (GOOD, "Well trained: proven to be within 0.10%"),
        (FOUND, "Not the best: a network with a 20.0% lower objective was found; none is more"),
        (
            replace(FOUND, lower_bound=0.0),
            "Not the best: a network with a 20.0% lower objective was found; nothing is proven of",
        ),
        (replace(UNSURE, estimated_lower_bound=0.995), "Probably well trained"),
        (
            WIDE,
            "Undecided: 5 s of search gained 0.0%; a better network may exist, at most 50.0% lower",
        ),
        (
            replace(UNSURE, search_seconds=0.0),
            "Undecided, since no better network was looked for: a better network may exist",
        ),
        (DEEP, "Undecided: a better network may exist"),
        # two layers too large to bound in the time: nothing to do with batch normalisation
        (
            replace(WIDE, lower_bound=0.0, proof="losses are not negative"),
            "Undecided: 5 s of search gained 0.0%; a better network may exist; nothing is proven",
        ),
        (
            replace(DEEP, lower_bound=0.0, proof="losses are not negative"),
            "Undecided: no bound is known for networks with batch normalisation",
        ),
    ],
)
def test_verdict_says_what_is_known(found, words):
    assert verdict(found).startswith(words)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (FOUND, "gapless.improve continues from yours in the same way"),
        (replace(FOUND, found_neurons=9), "yours has 8, so train a wider one"),
        (WIDE, "never returns a worse one"),
        (replace(WIDE, search_seconds=0.0), "audit with a time_limit above 0 looks for one"),
        (replace(WIDE, decoupled="AdamW"), "train with Adam or SGD in place of AdamW"),
        (replace(WIDE, stationarity=0.3), "leave 30% of their size"),
        (replace(GOOD, imbalance=0.1), "Rescaling alone, which changes no output, would save 0.1"),
        (replace(GOOD, neurons=NeuronReport(8, 2, 0, 0, 5)), "5 of 8 neurons suffice"),
        (replace(GOOD, neurons=NeuronReport(8, 2, 0, 0, None)), "2 of 8 neurons are dead"),
        (replace(GOOD, weight_decay_max=0.05), "the best network is constant: try one"),
        (UNSURE, "about 10 times smaller than where"),
        (replace(UNSURE, weight_decay_max=2417.0), "about 24,000 times smaller than where"),
        (replace(DEEP, layers=(replace(LAYER, dead=5),)), "5 of 8 neurons of layer 1 are dead"),
    ],
)
def test_advice_names_what_to_do(found, words):
    assert any(words in sentence for sentence in advice(found))


def test_what_an_optimizer_does_not_minimise_is_no_fault_of_it():
    """Of decoupled weight decay neither an end of training nor balance is to be expected."""
    other = replace(WIDE, decoupled="AdamW", stationarity=0.3, imbalance=0.1)
    assert verdict(other).endswith("which AdamW does not minimise: its weight decay is no penalty.")
    assert verdict(other).startswith(verdict(replace(other, decoupled=None)))
    said = " ".join(advice(other))
    assert "Train longer" not in said
    assert "Rescaling" not in said
    assert "AdamW" not in verdict(WIDE)


def test_a_network_without_fault_needs_no_advice():
    assert advice(GOOD) == ()
    assert advice(replace(DEEP, layers=(replace(LAYER, dead=4),))) == ()
    # a gradient is not worth a sentence where the network is good, whatever it is
    assert advice(replace(GOOD, stationarity=0.5)) == ()
    assert "never returns" in advice(replace(WIDE, stationarity=0.5))[0]
