"""
A folder of your own cells
==========================

Put the images of each class into a folder of the class's name::

    cells/
        lymphocyte/   a.png  b.png  ...
        monocyte/     c.jpg  d.tif  ...

This example writes such a folder first, so that it runs anywhere; set ``FOLDER`` to yours.
"""

# %%
import os
import tempfile
from pathlib import Path

from PIL import Image

from skcell import CellCNNClassifier
from skcell.datasets import load_image_folder, make_cells

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 600))
FOLDER = Path(tempfile.mkdtemp()) / "cells"

drawn = make_cells(N_CELLS, n_classes=4, image_size=64, random_state=0)
for i, (image, label) in enumerate(zip(drawn.images, drawn.target, strict=True)):
    file = FOLDER / drawn.target_names[label] / f"{i:04d}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)

# %%
# Load it
# -------
# All images are resized to one size. A broken file is an error that names it; with
# ``on_error="warn"`` such files are left out, and counted in one warning.

(FOLDER / drawn.target_names[0] / "broken.png").write_bytes(b"not an image")
cells = load_image_folder(FOLDER, image_size=48, on_error="warn", verbose=False)
print(cells.images.shape, cells.images.dtype, ", ".join(cells.target_names))

# %%
# Patients
# --------
# Cells of one patient, on one slide, resemble each other. If some of them train and others test,
# the score says how well the network knows the patient, not the cell. Tell scikit-learn who is who,
# and it keeps each patient on one side. Here the patients are made up from the order of the files.

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score, train_test_split

patients = np.arange(len(cells.target)) % 20
scores = cross_val_score(
    CellCNNClassifier(epochs=8, early_stopping=True, random_state=0),
    cells.images,
    cells.target,
    cv=StratifiedGroupKFold(3, shuffle=True, random_state=0),
    groups=patients,
    params={"groups": patients},  # early stopping keeps patients together as well
)
print("accuracy on patients never seen:", scores.round(3))

# %%
# More images than memory
# -----------------------
# The classifier also takes the files' paths. It decodes and resizes them while it trains, and holds
# no more than a few batches at a time.

paths = load_image_folder(FOLDER, load_images=False, on_error="warn", verbose=False)
whole = [i for i, name in enumerate(paths.filenames) if "broken" not in name]
clf = CellCNNClassifier(image_shape=(48, 48, 3), epochs=4, random_state=0)
train, test = train_test_split(whole, stratify=paths.target[whole], random_state=0)
clf.fit(paths.filenames[train], paths.target[train])
print(f"accuracy on files not seen: {clf.score(paths.filenames[test], paths.target[test]):.3f}")
