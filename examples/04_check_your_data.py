"""
Check your data before you train
================================

Copies of an image on both sides of a split, a label that is wrong, a mark in the corner of one
class: each invalidates a score, and none shows in a table of accuracies. ``check_dataset`` looks
for them. The cells here are drawn, and the faults are planted.
"""

# %%
import os

import numpy as np
from sklearn.model_selection import train_test_split

from skcell.cleaning import check_dataset, find_duplicates, suggest_split
from skcell.datasets import make_cells

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 800))

cells = make_cells(N_CELLS, n_classes=4, image_size=48, random_state=0)
images, labels = cells.images.copy(), cells.target_names[cells.target]

# %%
# Three faults
# ------------
# A tenth of the cells is there twice, turned and a little darker; one copy has another label; and
# the images of one class have a mark, as a scale bar would be.

rng = np.random.default_rng(0)
chosen = rng.choice(N_CELLS, N_CELLS // 10, replace=False)
copies = (np.rot90(images[chosen], axes=(1, 2)) * 0.9).astype(np.uint8)
images = np.concatenate([images, copies])
labels = np.concatenate([labels, labels[chosen]])
labels[-1] = cells.target_names[(cells.target[chosen[-1]] + 1) % 4]
images[labels == cells.target_names[2], -4:, -12:] = 20

# %%
# A random split puts copies on both sides: the accuracy that it gives is not that of new cells.

split = np.full(len(labels), "train")
split[train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0)[1]] = "test"

check = check_dataset(images, labels, split=split)
for finding in check.findings:
    print(f"{finding.severity}: {finding.message}\n    {finding.advice}")
print("Can an accuracy be believed?", check.passed)

# %%
# A line for each image, and a page with pictures
# -----------------------------------------------

for record in check.to_records()[:8]:
    print(*(record[name] for name in ("index", "class", "kind", "detail")), sep=" | ")
check.report("check.html")

# %%
# What to do
# ----------
# Keep one of each, or split such that copies stay together.

duplicates = find_duplicates(images)
print(f"{len(duplicates)} pairs, {len(duplicates.surplus)} images more than needed")
split = suggest_split(labels, duplicates=duplicates)
again = check_dataset(images, labels, split=split)
print("Copies across parts:", any(f.kind == "copies across parts" for f in again.findings))
