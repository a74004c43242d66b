"""
Where does the model fail, and why?
===================================

An accuracy is one number. These displays show which classes are mistaken for which, what the
network looks at, and what is left in another light.
"""

# %%
import os

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score
from sklearn.model_selection import train_test_split

from skcell import CellCNNClassifier
from skcell.datasets import make_cells
from skcell.inspection import (
    ClassRecallDisplay,
    ConfusionPicturesDisplay,
    CorruptionDisplay,
    EmbeddingDisplay,
    ExplanationDisplay,
    TrainingCurvesDisplay,
    corruption_report,
)

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 800))

cells = make_cells(N_CELLS, n_classes=4, image_size=48, random_state=0)
labels = cells.target_names[cells.target]
X_train, X_test, y_train, y_test = train_test_split(
    cells.images, labels, test_size=0.3, stratify=labels, random_state=0
)
clf = CellCNNClassifier(epochs=8, early_stopping=True, random_state=0).fit(X_train, y_train)
print(f"accuracy {accuracy_score(y_test, clf.predict(X_test)):.2f}")

# %%
# Which classes?
# --------------

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
ClassRecallDisplay.from_estimator(clf, X_test, y_test, ax=left)
ConfusionMatrixDisplay.from_estimator(
    clf, X_test, y_test, ax=right, xticks_rotation=45, colorbar=False
)

# %%
ConfusionPicturesDisplay.from_estimator(clf, X_test, y_test, n_confusions=3)

# %%
# How was it trained?
# -------------------

TrainingCurvesDisplay.from_estimator(clf)

# %%
# What do predictions depend on?
# ------------------------------
# What speaks for the predicted class is bright. HiResCAM shows only what the network used.

ExplanationDisplay.from_estimator(clf, X_test[:6], method="hires-cam")

# %%
# Cells with similar features are near each other; wrong predictions have a ring.

EmbeddingDisplay.from_estimator(clf, X_test, y_test)

# %%
# What is left in another light?
# ------------------------------

report = corruption_report(clf, X_test, y_test, strengths=[1, 3, 5], max_images=60)
CorruptionDisplay(report).plot()
print(f"mean accuracy under corruptions {report.mean_accuracy:.2f}")
plt.show()
