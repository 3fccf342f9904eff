"""Fixtures, and what hypothesis draws: the same examples each time, others on request.

``HYPOTHESIS_PROFILE=explore pytest`` draws new ones.
"""

import os

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
