"""
Which technique is better, and is it sure?
==========================================

A study trains named techniques on the same folds, and compares them in pairs. Each is a setting of
one pipeline, so that the whole study is also one grid search.
"""

# %%
import os

from skcell.datasets import make_cells
from skcell.study import Study

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 300))

cells = make_cells(N_CELLS, n_classes=3, image_size=32, random_state=0)
labels = cells.target_names[cells.target]

# %%
# Three techniques, two folds
# ---------------------------
# Few images and folds give wide intervals; a real study has more of both.

study = Study(
    techniques=["base", "augmentation", "smote"], cv=2, epochs=4, random_state=0, refit=False
)
result = study.fit(cells.images, labels).result_
print(result.table[["accuracy", "low", "high", "difference", "p_value"]].round(3).to_string())

# %%
# The plot has the mean accuracy of each technique with its interval.

result.plot()

# %%
# The result is a value of its own: it is saved, loaded and drawn again without the images.
# ``result.report("study.html")`` writes a page, and ``Study().as_grid()`` returns the pipeline
# and the settings for ``GridSearchCV``.
