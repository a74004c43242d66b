"""
Unequal classes: SMOTE, augmentation and a grid search
======================================================

Rare cells are often the ones that matter. Three remedies are commonly tried: weigh rare classes
more, add synthetic images of them (SMOTE), or change every image a little in every epoch
(augmentation). All are parameters of one pipeline, so a grid search compares them fairly: inside
each fold, on real cells only.
"""

# %%
import os

from sklearn.metrics import balanced_accuracy_score, classification_report
from sklearn.model_selection import GridSearchCV, train_test_split

from skcell import CellCNNClassifier, ImageSMOTE
from skcell.datasets import make_cells
from skcell.pipeline import Pipeline

N_CELLS = int(os.environ.get("SKCELL_EXAMPLE_CELLS", 800))

cells = make_cells(
    N_CELLS, n_classes=4, image_size=48, class_weights=[0.6, 0.25, 0.1, 0.05], random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(
    cells.images, cells.target, test_size=0.3, stratify=cells.target, random_state=0
)

# %%
# One pipeline
# ------------
# ``ImageSMOTE`` adds images between pairs of neighbours of a rare class. It is a step *before* the
# classifier, so cross-validation applies it to the training part of each fold alone. Had it been
# applied before splitting, parents of synthetic training images would stand in the test part, and
# the scores would flatter.

model = Pipeline(
    [
        ("smote", ImageSMOTE(random_state=0)),
        ("clf", CellCNNClassifier(augmentation=None, epochs=8, random_state=0)),
    ]
)

# %%
# Steps are switched off by "passthrough", and the augmentation by None. What to compare is a list
# of settings; balanced accuracy counts each class the same.

search = GridSearchCV(
    model,
    [
        {"smote": ["passthrough"], "clf__class_weight": [None, "balanced"]},
        {"smote__k_neighbors": [3]},
        {"smote": ["passthrough"], "clf__augmentation": ["symmetries"]},
        {"smote__k_neighbors": [3], "clf__augmentation": ["symmetries"]},
    ],
    scoring="balanced_accuracy",
    cv=3,
)
search.fit(X_train, y_train)
for params, mean, spread in zip(
    search.cv_results_["params"],
    search.cv_results_["mean_test_score"],
    search.cv_results_["std_test_score"],
    strict=True,
):
    print(f"{mean:.3f} +- {spread:.3f}  {params}")

# %%
# Judge the winner once, on cells that took no part in choosing it
# ----------------------------------------------------------------
# The best score of a search is the largest of several noisy numbers, and so is too high. The test
# cells tell the truth, once.

y_pred = search.predict(X_test)
print(f"balanced accuracy on new cells {balanced_accuracy_score(y_test, y_pred):.3f}")
print(classification_report(y_test, y_pred, target_names=cells.target_names, zero_division=0))
