"""Folds and parts are those of scikit-learn, which the package does not wait for."""

import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from gapless.training.folds import shuffled_folds, two_parts


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, count, share = rng.integers(20, 200), rng.integers(2, 7), rng.uniform(0.1, 0.6)
    # every class often enough for all folds, in the order of chance
    labels = rng.permutation(np.arange(n) % (n // count) % rng.integers(2, 9))
    for classes, kind in ((True, StratifiedKFold), (False, KFold)):
        theirs = kind(count, shuffle=True, random_state=seed).split(np.zeros(n), labels)
        ours = shuffled_folds(labels, count, classes, seed)
        for pair, other in zip(ours, theirs, strict=True):
            for rows, others in zip(pair, other):
                np.testing.assert_array_equal(rows, others)
    for stratify in (None, labels):
        theirs = train_test_split(
            np.arange(n), test_size=share, random_state=seed, stratify=stratify
        )
        for rows, others in zip(two_parts(n, share, seed, stratify), theirs):
            np.testing.assert_array_equal(rows, others)


@pytest.mark.parametrize(
    ("labels", "share"), [([0, 0, 1], 0.3), ([0, 0, 1, 1], 0.1), ([0, 0, 1, 1], 0.9)]
)
def test_parts_that_lack_a_class_are_refused(labels, share):
    with pytest.raises(ValueError, match=f"{len(labels)} rows of 2 classes"):
        two_parts(len(labels), share, 0, np.array(labels))
    with pytest.raises(ValueError, match="1 rows"):
        two_parts(1, share, 0)
