"""
A model that can be read
========================

How long do patients stay?  The answer is a sum of what age, dose and ward add; some doses were not
noted.  The model is the best network of such neurons, proven, and every prediction is explained.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gapless import AdditiveReLURegressor, EffectsDisplay, ExplanationDisplay

rng = np.random.default_rng(0)
n = 500
age, dose = rng.uniform(20, 90, n), rng.uniform(0, 10, n)
ward = rng.choice(["north", "south", "west"], n)
noted = rng.random(n) < 0.85
stay = 3 + np.maximum(age - 60, 0) / 5 + np.abs(dose - 4) + 2 * (ward == "south")
stay += 0.5 * rng.standard_normal(n)
patients = pd.DataFrame({"age": age, "dose": np.where(noted, dose, np.nan), "ward": ward})

model = AdditiveReLURegressor().fit(patients, stay)
print(model.solution_)
for effect in model.effects_:
    print(f"{effect.name:5} adds {effect.importance:.2f} days in the mean")

# %%
# What each feature adds: a stay bends at the age of 60 and at a dose of 4.
EffectsDisplay.from_estimator(model)

# %%
# Why the first patient stays so long.
ExplanationDisplay.from_estimator(model, patients, row=0)
plt.show()
