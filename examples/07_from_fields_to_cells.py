"""
From fields to cells
====================

Microscopes take fields with many cells, and a segmentation says where they are. Each object of a
mask becomes an image of its own, all of one size, and a table waits for their labels. On the
command line: ``skcell crop fields/ masks/ -o cells/``, then ``skcell train cells/ --labels ...``.
"""

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from skcell.datasets import load_image_folder, make_cells
from skcell.workflows import crop_folder, train

SIDE, N = 48, 5  # pixels of a cell, and cells along a side of a field

# %%
# Three fields of drawn cells, and masks as a segmentation would give them: 0 is background, and
# each other number is one object.

cells = make_cells(3 * N**2, n_classes=3, image_size=SIDE, random_state=0)
for folder in ("fields", "masks"):
    Path(folder).mkdir(exist_ok=True)
for number, some in enumerate(np.split(cells.images, 3)):
    inside = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < SIDE / 3
    numbers = inside * np.arange(1, N**2 + 1)[:, None, None]
    field = some.reshape(N, N, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4).reshape(N * SIDE, -1, 3)
    mask = numbers.reshape(N, N, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(N * SIDE, -1)
    Image.fromarray(field).save(f"fields/slide{number}.png")
    Image.fromarray(mask.astype(np.uint16)).save(f"masks/slide{number}_mask.png")

# %%
# Objects that touch the edge of a field would be left out, and counted.

found = crop_folder("fields", "masks", "cells", size=SIDE)
print(found)

# %%
# The table has the field and the box of each cell. A person fills in the column ``label``; here it
# is known.

with found.table.open(newline="") as file:
    lines = list(csv.DictReader(file))
for line, name in zip(lines, cells.target_names[cells.target], strict=True):
    line["label"] = str(name)
with open("labels.csv", "w", newline="") as file:
    table = csv.DictWriter(file, list(lines[0]))
    table.writeheader()
    table.writerows(lines)

# %%
# The folder and the table together are a data set; each cell knows its field.

data = load_image_folder("cells", SIDE, labels="labels.csv", columns={"group": "field"})
print(data.images.shape, data.target_names.tolist(), sorted(set(data.groups)))

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
left.imshow(Image.open("fields/slide0.png"))
left.set_title("a field")
some = data.images[:16].reshape(4, 4, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
right.imshow(some.reshape(4 * SIDE, 4 * SIDE, 3))
right.set_title(f"its cells, such as {data.target_names[0]}s")
for ax in (left, right):
    ax.set_axis_off()

# %%
# Training takes the folder and the table as well.

result = train("cells", labels="labels.csv", epochs=10)
print("accuracy on cells it never saw:", result.evaluation.accuracy)
