"""
How far can a probability be trusted?
=====================================

A calibrated classifier that says 90 % is correct in 90 % of such cases. Where one class is not
enough, a prediction set contains the true class with a stated probability.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from skcell import CalibratedClassifier, CellCNNClassifier
from skcell.datasets import make_cells
from skcell.inspection import AccuracyCoverageDisplay, ReliabilityDisplay

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 600))

cells = make_cells(N_CELLS, n_classes=4, image_size=48, noise=1.5, random_state=0)
labels = cells.target_names[cells.target]
X_train, X_test, y_train, y_test = train_test_split(
    cells.images, labels, test_size=0.4, stratify=labels, random_state=0
)

# %%
# A part of the training images is held out before anything is trained, and calibrates the rest.

model = CalibratedClassifier(CellCNNClassifier(epochs=8, random_state=0), random_state=0)
model.fit(X_train, y_train)
found = model.assess(X_test, coverage=0.9)
print(f"accuracy {accuracy_score(y_test, found.labels):.2f}")

# %%
# Probabilities
# -------------
# Left, the accuracy of predictions with about the same probability, with intervals. Right, the
# accuracy of the images that remain if the least certain ones are left to a person.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
ReliabilityDisplay.from_predictions(y_test, found.probabilities, classes=model.classes_, ax=left)
AccuracyCoverageDisplay.from_predictions(
    y_test, found.probabilities, classes=model.classes_, ax=right
)

# %%
# Prediction sets
# ---------------
# The sets of nine in ten images contain the true class, on average over images; those of hard
# images have several classes.

sets = found.list_prediction_sets()
covered = np.mean([label in one for label, one in zip(y_test, sets, strict=True)])
print(f"coverage {covered:.2f}, {np.mean([len(one) for one in sets]):.2f} classes on average")
