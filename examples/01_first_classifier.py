"""
A first classifier and its cross-validation
===========================================

A neural network for cell images behaves here like any scikit-learn classifier: it has ``fit``,
``predict`` and ``score``, and scikit-learn's own tools judge it. The cells are drawn by a program,
so that nothing is downloaded; put your own in their place (see the next example).
"""

# %%
# The data
# --------
# ``make_cells`` returns images as they come from a camera: whole numbers from 0 to 255, one array
# `(n, height, width, 3)`. They stay such small numbers until the network reads them, so there is
# nothing to scale. The classes are as unequal as in real blood.

import os

import numpy as np
from sklearn.model_selection import cross_val_score, train_test_split

from skcell import CellCNNClassifier
from skcell.datasets import make_cells

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 1000))

cells = make_cells(N_CELLS, image_size=48, random_state=0)
for name, count in zip(cells.target_names, np.bincount(cells.target), strict=True):
    print(f"{name:25s}{count:5d}")

# %%
# Fit, and predict cells the classifier has not seen
# --------------------------------------------------
# The test cells are set aside first. A share of the training cells is set aside once more, by
# ``early_stopping``: the network stops when it no longer gets better on those. It never sees the
# test cells before the last line.

X_train, X_test, y_train, y_test = train_test_split(
    cells.images, cells.target, test_size=0.25, stratify=cells.target, random_state=0
)
clf = CellCNNClassifier(epochs=30, early_stopping=True, random_state=0)
clf.fit(X_train, y_train)
print(f"{clf.n_iter_} epochs; accuracy on new cells {clf.score(X_test, y_test):.3f}")

# %%
# How far can that number be trusted?
# -----------------------------------
# One split gives one number, and another split gives another. Cross-validation repeats it: five
# networks, each judged on the fifth of the cells that it was not trained on. The folds are
# stratified, as for every scikit-learn classifier. The compiled network is made once and reset
# for each fold.

scores = cross_val_score(CellCNNClassifier(epochs=10, random_state=0), cells.images, cells.target)
print("each fold:", scores.round(3), f"mean {scores.mean():.3f}")

# %%
# The spread of the folds is not yet an interval: the folds share training cells, so they vary less
# than new data would. The corrected resampled t test allows for that.

from skcell.metrics import corrected_resampled_ttest

found = corrected_resampled_ttest(scores, n_train=4 * N_CELLS // 5, n_test=N_CELLS // 5)
print("accuracy with its 95 % interval:", found.interval())
