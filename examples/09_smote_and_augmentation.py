"""
See what SMOTE and augmentation make of cells
=============================================

Both add images that no microscope took. Look at them before you trust a score that they improved.
"""

# %%
import os

from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from skcell import CellCNNClassifier, ImageAugmenter, ImageSMOTE, make_pipeline
from skcell.datasets import make_cells
from skcell.inspection import AugmentationDisplay, ResamplingDisplay

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 400))

cells = make_cells(
    N_CELLS, n_classes=3, image_size=48, class_weights=[0.6, 0.25, 0.15], random_state=0
)

# %%
# Parents and children of SMOTE
# -----------------------------
# A synthetic image lies between two neighbours of its class, pixel by pixel. Where the neighbours
# differ in shape, it shows both, as a double exposure does.

ResamplingDisplay.from_sampler(
    ImageSMOTE(k_neighbors=3, random_state=0), cells.images, cells.target, n_images=4
)

# %%
# The moves of an augmentation
# ----------------------------
# Flips and quarter turns move whole pixels. The preset "microscope" also changes light, stain,
# focus and scale, as another microscope would. In training, each epoch sees new changes.

AugmentationDisplay.from_augmenter(ImageAugmenter.from_preset("symmetries"), cells.images[:3])

# %%
AugmentationDisplay.from_augmenter(ImageAugmenter.from_preset("microscope"), cells.images[:3])

# %%
# Both in one pipeline
# --------------------
# SMOTE is a step before the classifier, so that it sees training images alone; the augmentation is
# a parameter of the classifier.

X_train, X_test, y_train, y_test = train_test_split(
    cells.images, cells.target, test_size=0.3, stratify=cells.target, random_state=0
)
clf = CellCNNClassifier(augmentation="symmetries", epochs=8, random_state=0)
model = make_pipeline(ImageSMOTE(k_neighbors=3, random_state=0), clf).fit(X_train, y_train)
print(f"balanced accuracy {balanced_accuracy_score(y_test, model.predict(X_test)):.2f}")
