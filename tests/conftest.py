"""Fixtures, and what hypothesis draws: the same examples each time, others on request.

``HYPOTHESIS_PROFILE=explore pytest`` draws new ones.
"""

import os
import signal

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

# A shell starts what runs in its background with Ctrl-C ignored, which children would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: what hangs on the last digits, if anything does: continuous integration runs these files again
#: under another BLAS kernel
NUMERICAL = {
    "test_closed_form", "test_closed_linear", "test_deep_bound", "test_direction",
    "test_estimators",
    "test_extreme_points", "test_gauge", "test_gda", "test_homogeneous", "test_interpolate",
    "test_mixture", "test_moment", "test_newton",
    "test_path", "test_descent", "test_relaxation", "test_relaxed", "test_soundness",
    "test_spike_free", "test_spline", "test_random_network", "test_train", "test_verify",
    "test_verify_boxes",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in NUMERICAL:
            item.add_marker(pytest.mark.numerical)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
