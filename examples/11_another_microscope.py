"""
Another microscope: measure the shift, and adapt
================================================

Cells are imaged with another lamp, camera and stain. A model from elsewhere may be much less
accurate there, and nothing in its own test says so.
"""

# %%
import os

import numpy as np
from sklearn.metrics import accuracy_score

from skcell import CellCNNClassifier
from skcell.calibration import measure_shift
from skcell.datasets import make_cells
from skcell.inspection import AdaptationDisplay

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 600))

cells = make_cells(N_CELLS, n_classes=4, image_size=48, random_state=0)
n_train = N_CELLS // 2
clf = CellCNNClassifier(augmentation="symmetries", standardize=False, epochs=10, random_state=0)
clf.fit(cells.images[:n_train], cells.target[:n_train])
X, y = cells.images[n_train:], cells.target[n_train:]
print(f"at home: accuracy {accuracy_score(y, clf.predict(X)):.2f}")

# %%
# The same cells elsewhere
# ------------------------
# One change for all images, as another lamp and camera make it: darker, bluer, and another curve.

elsewhere = 255 * (X / 255) ** 1.5 * [0.65, 0.8, 0.95]
elsewhere = elsewhere.round().astype(np.uint8)
print(f"elsewhere: accuracy {accuracy_score(y, clf.predict(elsewhere)):.2f}")

# %%
# The shift can be measured without labels.

print(measure_shift(cells.images[:n_train], elsewhere))

# %%
# Adapt without labels
# --------------------
# The statistics of batch normalisation move to those of the other images, at the class shares of
# the training. Check both models on labelled images from there: adapting can also do harm.

seen, new = elsewhere[::2], elsewhere[1::2]
adapted = clf.adapt(seen)
for name, model in (("as it is", clf), ("adapted", adapted)):
    print(f"{name}: accuracy {accuracy_score(y[1::2], model.predict(new)):.2f}")

AdaptationDisplay.from_estimators(clf, adapted, seen)

# %%
# Or train for other microscopes from the beginning
# -------------------------------------------------
# The defaults standardise the light of each image, and change light and stain in training.

robust = CellCNNClassifier(epochs=10, random_state=0)
robust.fit(cells.images[:n_train], cells.target[:n_train])
print(f"robust, elsewhere: accuracy {accuracy_score(y, robust.predict(elsewhere)):.2f}")
