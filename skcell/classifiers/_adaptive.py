"""A classifier that adapts to each set of images that it predicts."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skcell._hints import ParameterHintsMixin


class AdaptiveClassifier(ParameterHintsMixin, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Adapt a classifier to the images of each call of `predict`, before it predicts them.

    Each call adapts a copy of the fitted classifier to all images of the call, without labels (see
    the method `adapt` of the classifier). This answers how well an adapted model does in a
    laboratory that it was not trained on: with ``LeaveOneGroupOut``, where the groups are
    laboratories, each is predicted after adaptation to its own images, and no label of it is used.

    The prediction of an image depends on the other images of the call. Pass all images of a
    laboratory at once, not one by one, and no mixture of laboratories.

    Parameters
    ----------
    estimator : BaseCellClassifier
        The classifier.

    Attributes
    ----------
    estimator_ : BaseCellClassifier
        The fitted classifier, which is not adapted.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.

    See Also
    --------
    skcell.CellCNNClassifier.adapt : Adapts once, to keep the adapted classifier.
    skcell.calibration.measure_shift : Says how different two sets of images are.

    References
    ----------
    .. [1] Y. Li, N. Wang, J. Shi, J. Liu, X. Hou, "Revisiting Batch Normalization For Practical
       Domain Adaptation", arXiv:1603.04779, 2016.

    Examples
    --------
    >>> from skcell import AdaptiveClassifier, CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = AdaptiveClassifier(clf).fit(cells.images, cells.target)
    >>> clf.predict(cells.images // 2).shape  # half of the light
    (80,)
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.
        y : array-like of shape (n,)
            Labels.
        **fit_params : object
            Passed to `fit` of the classifier.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        if not hasattr(self.estimator, "adapt"):
            raise TypeError(
                f"{type(self.estimator).__name__} has no method `adapt`; pass a classifier of "
                "skcell. In a pipeline, let AdaptiveClassifier be the last step."
            )
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Adapt a copy of the classifier to images, and estimate their class probabilities.

        Parameters
        ----------
        X : array-like
            Images of one laboratory.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self._adapt(X).predict_proba(X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Adapt a copy of the classifier to images, and predict their classes.

        Parameters
        ----------
        X : array-like
            Images of one laboratory.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        return self._adapt(X).predict(X)

    def _adapt(self, X: ArrayLike) -> Any:
        check_is_fitted(self)
        return self.estimator_.adapt(X)

    def get_metadata_routing(self) -> MetadataRouter:
        """Say that metadata of `fit` go to the classifier.

        Returns
        -------
        MetadataRouter
            Routes of metadata.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)
