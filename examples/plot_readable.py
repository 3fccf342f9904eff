"""
Two models that can be read
===========================

A nurse asks why a sample is called malignant; a credit analyst has to say which number raised a
risk, and that a higher income never did.  Both models are sums of one effect a feature, each the
best such network there is, proven.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from gapless import (
    AdditiveReLUClassifier,
    EffectsDisplay,
    ExplanationDisplay,
    ImportanceDisplay,
)

# %%
# The nurse
# ---------
# Thirty measurements of cells.  How much a curve may bend is chosen by cross-validation; most
# measurements are left out, because they do not pay.
cells, benign = load_breast_cancer(return_X_y=True, as_frame=True)
diagnosis = np.where(benign == 1, "benign", "malignant")
X, X_new, y, y_new = train_test_split(cells, diagnosis, random_state=0, stratify=diagnosis)
model = AdditiveReLUClassifier().fit(X, y)
print(
    f"right on {model.score(X_new, y_new):.1%} of new samples, with {len(model.effects_)} effects"
)
print(model.solution_.known)
ImportanceDisplay.from_estimator(model)

# %%
# What each measurement adds to the log odds of "malignant": below the grey line it speaks against.
# Grey bars are the samples; where there are few, a curve rests on few.
EffectsDisplay.from_estimator(model, max_effects=4)

# %%
# One new sample.  The sum starts from the mean and ends at this sample's log odds.
ExplanationDisplay.from_estimator(model, X_new, row=3)

# %%
# The credit analyst
# ------------------
# Loans with a purpose (a text) and years in the job, which one in five did not say.  The risk may
# only fall with the income: ``monotone`` makes it so everywhere, and the proof knows of it.
rng = np.random.default_rng(0)
n = 600
income, years = rng.gamma(4, 10, n), rng.exponential(6, n)
purpose = rng.choice(["car", "house", "travel"], n, p=[0.5, 0.3, 0.2])
silent = rng.random(n) < 0.2
log_odds = 1.5 - 0.06 * np.minimum(income, 60) - 0.3 * np.minimum(years, 5)
log_odds += 0.8 * (purpose == "travel") + 1.2 * silent
paid = np.where(rng.random(n) < 1 / (1 + np.exp(-log_odds)), "late", "in time")
loans = pd.DataFrame(
    {"income": income, "years in the job": np.where(silent, np.nan, years), "purpose": purpose}
)
risk = AdditiveReLUClassifier(monotone={"income": -1}).fit(loans, paid)
print(risk.solution_.known)
EffectsDisplay.from_estimator(risk)

# %%
# Why the first applicant's risk is what it is: each bar can be said in a letter.
ExplanationDisplay.from_estimator(risk, loans, row=0)
plt.show()
