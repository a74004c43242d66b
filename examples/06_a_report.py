"""
A report that you can send
==========================

From a folder of images to a model and one page about it: the data and what is wrong with them,
scores with intervals, mistakes with pictures, what the network looks at, and a model card. On the
command line: ``skcell train cells/ -o cells.skcell``, then ``skcell evaluate cells.skcell new/ -o
test.html``.
"""

# %%
import os
from pathlib import Path

from PIL import Image

from skcell.datasets import make_cells
from skcell.workflows import evaluate_folder, train

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 400))

# %%
# Two folders, as they would come from a microscope: one to train on, and one from later.

cells = make_cells(2 * N_CELLS, n_classes=3, image_size=48, random_state=0)
for i, image in enumerate(cells.images):
    part = "cells" if i < N_CELLS else "later"
    folder = Path(part, cells.target_names[cells.target[i]])
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{i:04d}.png")

# %%
# A fifth of the images is set aside for the test, which has a page of its own.

result = train("cells", epochs=5)
print("accuracy on images it never saw:", result.evaluation.accuracy)
for file in result.save("cells.skcell"):
    print("written:", file)

# %%
# All about the model, on the later images. The page opens in a browser.

found, notes = evaluate_folder("cells.skcell", "later", page="test.html")
print(f"accuracy {found.accuracy}; the page has {Path('test.html').stat().st_size / 1e6:.1f} MB")
print("\n".join(notes))
