"""
Label, train further, ask again
===============================

Labels cost an expert's time, and most cells teach a network nothing new. Here a network is trained
on a few labelled cells, chooses those whose labels it needs most, and is trained further from its
own weights. On the command line: ``skcell suggest``, then ``skcell train --from``.
"""

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

from skcell import CellCNNClassifier
from skcell.datasets import make_cells
from skcell.model_selection import choose_to_label

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 800))
N_LABELS, N_ROUNDS = N_CELLS // 32, 3

# %%
# Half of the cells have no label yet; the other half tests. Classes are unequal, as in blood.

cells = make_cells(N_CELLS, n_classes=5, image_size=32, random_state=0)
X, y = cells.images, cells.target_names[cells.target]
pool, test = np.arange(0, N_CELLS, 2), np.arange(1, N_CELLS, 2)
first = np.concatenate([pool[y[pool] == name][:4] for name in np.unique(y)])

# %%
# Each round asks for the labels of some cells: doubtful ones that differ from each other, or any.
# ``init_from`` continues with the weights of the round before.


def learn(ask):
    """Return the numbers of labels and the accuracies of all rounds."""
    labelled, clf, scores = first, None, []
    for number in range(N_ROUNDS + 1):
        clf = CellCNNClassifier(epochs=12, random_state=0).fit(
            X[labelled], y[labelled], init_from=clf
        )
        scores.append((len(labelled), clf.score(X[test], y[test])))
        rest = np.setdiff1d(pool, labelled)
        labelled = np.concatenate([labelled, rest[ask(clf, X[rest], number)]])
    return np.array(scores)


def doubtful(clf, images, seed):
    """Choose as ``skcell suggest`` does."""
    p, features = clf.predict_proba(images), clf.embed(images)
    return choose_to_label(p, features, N_LABELS, random_state=seed)


def anything(clf, images, seed):
    """Choose at random."""
    return np.random.default_rng(seed).permutation(len(images))[:N_LABELS]


# %%
# The accuracy on the test cells, by the number of labels.

figure, ax = plt.subplots(figsize=(5, 3.5))
for name, ask in (("doubtful and different", doubtful), ("any", anything)):
    labels, accuracy = learn(ask).T
    ax.plot(labels, accuracy, "o-", label=name)
    print(f"accuracy, {name}: {', '.join(f'{100 * a:.0f} %' for a in accuracy)}")
ax.set(xlabel="labelled cells", ylabel="accuracy on test cells")
ax.legend(title="cells that are asked for")
