"""Fixtures, and what hypothesis draws: the same examples each time, others on request.

``HYPOTHESIS_PROFILE=explore pytest`` draws new ones.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

# A shell starts what runs in its background with Ctrl-C ignored, which children would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


EXAMPLES = Path(__file__).parents[1] / "examples"

#: what hangs on the last digits, if anything does: continuous integration runs these files again
#: under another BLAS kernel
NUMERICAL = {
    "test_closed_form", "test_closed_linear", "test_deep_bound", "test_direction",
    "test_estimators",
    "test_extreme_points", "test_gauge", "test_gda", "test_homogeneous", "test_interpolate",
    "test_invariances",
    "test_mixture", "test_moment", "test_newton",
    "test_path", "test_descent", "test_relaxation", "test_relaxed", "test_soundness",
    "test_spike_free", "test_spline", "test_random_network", "test_train", "test_verify",
    "test_verify_boxes",
}  # fmt: skip
#: of those, what is about words, shapes, files and pictures, or computed by PyTorch, which has a
#: BLAS of its own: once is enough
ONCE = {
    "test_scikit_learn_contract", "test_bad_parameters", "test_bad_data", "test_bad_options",
    "test_bad_paths", "test_bad_input", "test_parameters_are_refused", "test_input_is_refused",
    "test_other_mistakes_are_named", "test_what_is_known_holds", "test_a_wide_gap_says_why",
    "test_columns_far_apart_are_named_once", "test_what_is_no_problem_is_told_how_to_make_one",
    "test_display", "test_width_sweep_display", "test_time_left", "test_the_time_left_only_falls",
    "test_lines_are_written_where_there_is_no_terminal", "test_generator_files",
    "test_mapped_bytes_are_read_in_blocks", "test_words_are_labels_and_come_back_from_a_file",
    "test_what_more_time_would_prove_is_foreseen", "test_conditions_in_words",
    "test_loops_are_compiled_by_other_processes", "test_broken_files_are_refused",
    "test_the_checker_imports_numpy_alone", "test_the_checker_is_short_enough_to_read",
    "test_the_checker_works_outside_its_package", "test_training_is_never_below_an_exact_claim",
    "test_this_part_of_the_checker_imports_numpy_alone",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in NUMERICAL and item.name.split("[")[0] not in ONCE:
            item.add_marker(pytest.mark.numerical)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def example(monkeypatch, capsys):
    """Run an example as a script and return what it printed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import torch

    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(plt, "show", lambda: None)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    yield run
    plt.close("all")
    torch.set_default_dtype(torch.float32)
    for name in ("training", "sgd_against_theory"):  # importing them sets the dtype
        sys.modules.pop(name, None)
