"""
Optimal splines that differ
===========================

The optimal fit at the data is unique, the spline between them is not: where two neighbouring
data points both carry a kink, the turn may be sharp or smooth at the same objective.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapless import optimal_member, sliding_intervals, solve_spline

rng = np.random.default_rng(1)
x = np.sort(rng.random(25))
y = np.sin(7 * x) + 0.1 * rng.standard_normal(25)

solution = solve_spline(x, y, weight_decay=2e-3)
for slide in sliding_intervals(solution, x):
    print(f"slope change {slide.mass:.2f} anywhere in [{slide.low:.3f}, {slide.high:.3f}]")

fig, ax = plt.subplots(figsize=(8, 5))
ax.scatter(x, y, color="0.5")
grid = np.linspace(x[0], x[-1], 2000)
members = {
    "kinks on data points": solution,
    "fewest kinks": optimal_member(solution, x, "few"),
    "smooth": optimal_member(solution, x, "smooth"),
}
for name, member in members.items():
    ax.plot(grid, member.predict(grid), label=f"{name}: {member.n_kinks} kinks")
ax.legend()
plt.show()
