"""Find wrong labels, by the probabilities of a model that did not learn from the image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell._images import check_labels
from skcell._optional import import_optional

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LabelIssues:
    """Images whose label is likely wrong.

    Parameters
    ----------
    indices : ndarray of int of shape (n_issues,)
        Their indices, the most likely ones first.
    given, suggested : ndarray of shape (n_issues,)
        Their labels, and what the model takes them for.
    quality : ndarray of shape (n_issues,)
        Probability of the given label by the model, which is low for issues.
    """

    indices: NDArray[np.intp]
    given: NDArray[Any]
    suggested: NDArray[Any]
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of issues."""
        return len(self.indices)

    def to_frame(self) -> "pd.DataFrame":
        """Return the issues as a data frame.

        Returns
        -------
        pandas.DataFrame
            Columns `index`, `given`, `suggested` and `quality`.
        """
        pandas = import_optional("pandas", purpose="to_frame", extra="pandas")
        return pandas.DataFrame(
            {
                "index": self.indices,
                "given": self.given,
                "suggested": self.suggested,
                "quality": self.quality,
            }
        )


def find_label_issues(
    y: ArrayLike, probabilities: ArrayLike, classes: ArrayLike | None = None
) -> LabelIssues:
    """Find labels that are likely wrong, by confident learning.

    This needs the package `cleanlab`: ``pip install 'skcell[cleaning]'``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels, some of which may be wrong.
    probabilities : array-like of shape (n, n_classes)
        Probability of each class, predicted by a model that did not learn from the image, such as
        ``cross_val_predict(clf, X, y, method="predict_proba")``.
    classes : array-like of shape (n_classes,), default=None
        The class of each column; None takes the sorted labels.

    Returns
    -------
    LabelIssues
        The images, with the label that the model suggests. A suggestion may be wrong as well: look
        at the image.

    Raises
    ------
    MissingExtraError
        If cleanlab is not installed.
    ValueError
        If there is not a row of probabilities for each label, or a label has no column.

    See Also
    --------
    find_duplicates : Copies of an image under two labels need no model.

    References
    ----------
    .. [1] C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in
       Dataset Labels", Journal of Artificial Intelligence Research 70, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.cleaning import find_label_issues
    >>> p = np.repeat([[0.95, 0.05], [0.05, 0.95]], 10, axis=0)
    >>> y = np.repeat(["eosinophil", "neutrophil"], 10)
    >>> y[3] = "neutrophil"
    >>> find_label_issues(y, p).indices
    array([3])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2:
        raise ValueError(f"probabilities must have the shape (n, n_classes); got {p.shape}.")
    labels = check_labels(y, len(p))
    names = np.unique(labels) if classes is None else np.asarray(classes)
    if p.shape[1] != len(names):
        raise ValueError(f"probabilities has {p.shape[1]} columns for {len(names)} classes.")
    if not np.isfinite(p).all() or p.min() < 0 or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise ValueError("Each row of probabilities must be numbers from 0 to 1 with the sum 1.")
    columns = {name: column for column, name in enumerate(names.tolist())}
    strange = sorted(set(labels.tolist()) - set(columns))
    if strange:
        raise ValueError(f"y has labels without a column of probabilities: {strange}.")
    codes = np.array([columns[label] for label in labels.tolist()])
    cleanlab = import_optional("cleanlab.filter", purpose="find_label_issues", extra="cleaning")
    found = cleanlab.find_label_issues(
        codes, p, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    indices = np.asarray(found, dtype=np.intp)
    return LabelIssues(
        indices,
        labels[indices],
        names[p[indices].argmax(axis=1)],
        p[indices, codes[indices]],
    )
