"""Transfer learning with a pretrained backbone that is frozen or fine-tuned."""

import os
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skcell._digest import weights_by_content
from skcell._engine import Recipe, TrainingData
from skcell._images import ImageSpec
from skcell._sklearn import Interval, RealNotInt, StrOptions
from skcell.classifiers._base import BaseCellClassifier
from skcell.classifiers._feature_data import replace_images_by_features
from skcell.classifiers._phases import Phase, make_rates, plan_phases
from skcell.classifiers._training import (
    AUTO_FINE_TUNING_EPOCHS,
    AUTO_HEAD_EPOCHS,
    FEWEST_BATCHES,
    count_epochs,
    train_classifier,
)
from skcell.networks import (
    as_backbone,
    check_pixel_range,
    copy_shared_weights,
    transfer,
)
from skcell.preprocessing import ImageFeatures
from skcell.resampling import ImageAugmenter


@dataclass(frozen=True)
class TransferState:
    """Fitted state in addition to the compiled model."""

    whole: Recipe  # of backbone and head, with the backbone frozen
    weights: Any  # value of the parameter when the network was trained
    features: ImageFeatures | None  # the backbone, if the compiled model is the head alone


class TransferClassifier(BaseCellClassifier):
    """A network pretrained on everyday images, with a new head for cell images.

    The frozen backbone computes the features of each image once. They are cached and reused in
    all epochs, folds and fits, and only the head is trained. With `unfreeze`, layers of the
    backbone are then fine-tuned as well, at a separate learning rate: by default all of them, which
    is usually more accurate and takes much longer. ``unfreeze=None`` keeps the backbone frozen.

    Parameters
    ----------
    backbone : str, keras.Model or callable, default="inception_v3"
        A name from `skcell.networks.list_backbones`, or a Keras model or function that takes images
        with pixels in 0..1 and returns feature maps or features. A model is copied, not changed.
    weights : {"imagenet"}, path or None, default="imagenet"
        Weights of a named backbone: "imagenet", which Keras downloads once, or a file that Keras
        saved from the backbone without its top. None initialises them randomly.
    input_size : int, "auto" or None, default="auto"
        Height and width, in pixels, to which images are resized with bilinear interpolation; None
        does not resize them. "auto" enlarges images for a named backbone until the longer side has
        224 pixels, since such networks distinguish little in images much smaller than those they
        were trained on; larger images, and those for a network of yours, keep their size.
    pooling : {"avg", "max"}, default="avg"
        How feature maps are pooled over the image.
    dense_units : int or None, default=None
        Width of a dense layer before the output layer; None adds no dense layer.
    dropout : float, default=0.2
        Fraction of the inputs of the output layer that is dropped in training.
    cache : bool, "memory" or path, default=True
        Where features are kept. True: on disk, in the folder `SKCELL_DATA_HOME` or the user's cache
        folder; a path: in that file; "memory": in the memory of this process; False: nowhere.
    n_views : int or None, default=4
        While the backbone is frozen: number of copies (views) of each image, changed by
        `augmentation`, of which each epoch uses one. Their features are cached. With None, every
        epoch makes new random changes and computes the features again. Without augmentation, there
        is one view.
    unfreeze : bool, int, float, str or None, default="all"
        Layers of the backbone that are fine-tuned after the head is trained. An int: that many of
        the last layer groups; a float: that fraction of the groups, such as 0.3 (1.0 is all); a
        layer name: that layer and all layers after it; "all" or True: all layers. None or False
        keeps the backbone frozen.
    fine_tuning_epochs : int or "auto", default="auto"
        Number of further passes over the training images, in which the backbone is fine-tuned;
        with 0 it stays frozen. "auto" is 180 divided by the cube root of the number of images,
        within 10 and 300.
    fine_tuning_learning_rate : float, default=0.0003
        Learning rate of fine-tuning.
    layer_decay : float, default=1.0
        Factor by which the learning rate of each layer group is multiplied for the group before it.
    gradual_unfreezing : bool, default=False
        Whether to start fine-tuning with the last layer group and add the earlier groups evenly
        over the epochs.
    train_batch_norm : bool, default=True
        Whether batch-normalisation layers are fine-tuned. Otherwise they stay in inference mode,
        which is safer with batches of less than 16 images.
    augmentation : ImageAugmenter, {"symmetries", "microscope"} or None, default="symmetries"
        Applies new random changes to every training image in every epoch of fine-tuning; see
        `n_views` for the epochs before it.
    optimizer : {"adam", "nadam", "rmsprop", "sgd", "lion"}, default="adam"
        Name of the optimizer; "sgd" uses Nesterov momentum 0.9.
    learning_rate : float, default=0.001
        Learning rate of the head; with a `schedule`, that of the first epoch.
    schedule : {"cosine", "linear"}, callable or None, default="cosine"
        How the learning rate decreases over the epochs. A callable takes the fraction of epochs
        that are completed, in 0..1, and returns a factor for the learning rate.
    weight_decay : float, default=0.0
        Decoupled weight decay per step, multiplied by the learning rate; it is not applied to
        biases and batch normalisation.
    label_smoothing : float, default=0.0
        Fraction of each target that is spread evenly over all classes.
    loss : {"categorical_crossentropy", "categorical_focal_crossentropy"} or callable, \
            default="categorical_crossentropy"
        Keras loss for one-hot targets.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn; they are multiplied by `sample_weight`. Only
        the ratios of weights matter, because the loss is divided by their mean.
    epochs : int or "auto", default="auto"
        Number of passes over the training images while the backbone is frozen. "auto" is 720
        divided by the cube root of their number, within 10 and 300.
    batch_size : int, default=32
        Number of images in each gradient step.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the training images, stratified by class and
        in whole groups; to stop when their loss, weighted as in training, has not decreased for
        `patience` epochs; and to restore the best weights.
    validation_fraction : float, default=0.1
        Fraction of the training images that is held out for early stopping.
    patience : int, default=5
        Number of epochs without a lower validation loss after which training stops.
    tta : {"auto", "none", "flips", "d4"}, default="auto"
        Test-time augmentation: whether probabilities are averages over the 4 mirror images of each
        image ("flips"), or over these and their quarter turns ("d4"). They then do not depend on
        the orientation of a cell. "auto" is "flips" if `augmentation` mirrors the training images
        in both directions, and else "none", since a network that never saw mirror images may not
        know them. Prediction takes 4 or 8 times as long as with "none"; the parameter can be
        changed after `fit`.
    dtype_policy : str or None, default=None
        Keras dtype policy, such as "mixed_bfloat16", which may be faster on GPUs and CPUs that
        support it in hardware. None uses Keras' global policy (float32 by default), because half
        precision has not been measured for pretrained networks.
    image_shape : tuple of int, default=None
        Height, width and channels to which rows are reshaped (one of them may be -1), or to which
        image files are resized (by default 96, 96, 3). Leave it None for arrays of images.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of images, dropout and augmentation. With an int,
        results are bitwise reproducible on the CPU of one machine.
    warm_start : bool, default=False
        Whether `fit` resumes from the weights of the last fit.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Called as in Keras' own `fit`; under jax, they can read and change weights only between
        epochs. Callbacks that you write may change the model, so a fit with them compiles a
        separate model. A file that a callback writes has the layer of the augmentation: import
        skcell before Keras loads it.
    verbose : int, default=0
        1 shows progress: a bar in a terminal, or a line per epoch in a notebook or log. 0 is
        silent, except that the first training of a session that takes longer than ten seconds
        writes one line to a terminal or notebook, with the time that is left.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    history_ : dict of str to list
        Loss and accuracy of each epoch; scores on validation data, if there are any, have the
        prefix ``"val_"``. "phase" is "head" or "fine-tuning".
    n_iter_ : int
        Number of epochs trained.
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.
    image_shape_ : tuple of int
        Height, width and channels of the images.
    dtype_policy_ : str
        Dtype policy of the training. Predictions are in float32, but for the features of a frozen
        backbone.

    See Also
    --------
    ImageFeatures : The frozen backbone as a transformer, for any scikit-learn classifier.
    skcell.networks.list_backbones : All names; `skcell.networks.BACKBONES` has sizes and licences.

    Notes
    -----
    `partial_fit` and `warm_start` resume the last phase. Early stopping ends each phase separately
    and keeps the best weights of both: if fine-tuning never lowers the validation loss, the model
    is kept as it was when the head had been trained on the frozen backbone. A pickle contains the
    backbone's weights and needs no other file.

    Named backbones take colour images. A grey image is repeated in three channels; images with
    more than three channels pass through a 1x1 convolution that is trained with the head.

    References
    ----------
    .. [1] J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep
       neural networks?", NeurIPS 2014.
    .. [2] J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text Classification",
       ACL 2018, for layer-wise learning rates and gradual unfreezing.
    .. [3] C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
       CVPR 2016.

    Examples
    --------
    >>> from skcell import TransferClassifier
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(60, n_classes=2, image_size=32, random_state=0)
    >>> clf = TransferClassifier(
    ...     "mobilenet_v2_0.35",
    ...     weights=None,
    ...     input_size=None,
    ...     cache=False,
    ...     epochs=2,
    ...     random_state=0,
    ... )
    >>> clf.fit(cells.images, cells.target).predict_proba(cells.images).shape
    (60, 2)
    """

    _parameter_constraints: dict = {
        **BaseCellClassifier._parameter_constraints,
        **{
            name: ImageFeatures._parameter_constraints[name]
            for name in ("backbone", "weights", "input_size", "pooling", "cache")
        },
        "dense_units": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_views": [Interval(Integral, 1, None, closed="left"), None],
        "unfreeze": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
            "boolean",
            str,
            None,
        ],
        "fine_tuning_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "fine_tuning_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "gradual_unfreezing": ["boolean"],
        "train_batch_norm": ["boolean"],
    }

    _state: TransferState

    def __init__(
        self,
        backbone: Any = "inception_v3",
        *,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_size: int | str | None = "auto",
        pooling: str = "avg",
        dense_units: int | None = None,
        dropout: float = 0.2,
        cache: bool | str | os.PathLike[str] = True,
        n_views: int | None = 4,
        unfreeze: bool | int | float | str | None = "all",
        fine_tuning_epochs: int | str = "auto",
        fine_tuning_learning_rate: float = 3e-4,
        layer_decay: float = 1.0,
        gradual_unfreezing: bool = False,
        train_batch_norm: bool = True,
        augmentation: ImageAugmenter | str | None = "symmetries",
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        schedule: str | Callable[[float], float] | None = "cosine",
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        loss: str | Callable[..., Any] = "categorical_crossentropy",
        class_weight: str | dict[Any, float] | None = None,
        epochs: int | str = "auto",
        batch_size: int = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        tta: str = "auto",
        dtype_policy: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int = 0,
    ):
        super().__init__(
            augmentation=augmentation,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
            loss=loss,
            class_weight=class_weight,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            tta=tta,
            dtype_policy=dtype_policy,
            image_shape=image_shape,
            random_state=random_state,
            warm_start=warm_start,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.backbone = backbone
        self.weights = weights
        self.input_size = input_size
        self.pooling = pooling
        self.dense_units = dense_units
        self.dropout = dropout
        self.cache = cache
        self.n_views = n_views
        self.unfreeze = unfreeze
        self.fine_tuning_epochs = fine_tuning_epochs
        self.fine_tuning_learning_rate = fine_tuning_learning_rate
        self.layer_decay = layer_decay
        self.gradual_unfreezing = gradual_unfreezing
        self.train_batch_norm = train_batch_norm

    def _build_network(
        self, trainable: tuple[int, ...] = ()
    ) -> tuple[Callable[..., Any], dict[str, Hashable]]:
        return transfer, {
            "backbone": as_backbone(self.backbone),
            "input_size": self.input_size,
            "pooling": self.pooling,
            "trainable": trainable,
            "train_batch_norm": self.train_batch_norm,
            **self._head_kwargs(),
        }

    def _head_kwargs(self) -> dict[str, Hashable]:
        return {"dense_units": self.dense_units, "dropout": self.dropout}

    def check_network(self, X: ArrayLike) -> None:
        """Check, without training, that the network can be built for these images.

        Parameters
        ----------
        X : array-like
            One or more images.

        Raises
        ------
        ValueError
            If images or parameters cannot be used.
        OSError
            If pretrained weights cannot be found or downloaded.
        """
        _, spec = clone(self)._check_X(X, reset=True)
        given = self._load_features(spec, 0)._extractor.model
        _, phases = self._plan(spec, 2, given, epochs=(1, int(self._fine_tunes())))
        self._try(phases[-1].recipe)

    def _train(
        self,
        data: TrainingData,
        val: TrainingData | None,
        fresh: bool,
        seed: int,
        epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> Self:
        """Train the head, then fine-tune; a resumed fit continues the last phase."""
        features = self._load_features(data.spec, seed) if fresh else self._state.features
        given = self._lease.compiled.model if features is None else features._extractor.model
        whole, phases = self._plan(data.spec, len(data.classes), given, self._count_epochs(data))
        if not fresh:
            self._state.whole.require_same(whole)
            if self._state.weights != self.weights:
                raise ValueError(
                    f"Cannot resume training: weights was changed from {self._state.weights!r} to "
                    f"{self.weights!r}. Set it back, or fit again with warm_start=False."
                )
        lease, history = (None, {}) if fresh else (self._lease, self.history_)
        for phase in phases if fresh else phases[-1:]:
            if fresh:
                earlier, lease = lease, self._lease_model(phase.recipe, seed)
                copy_shared_weights(lease.compiled.model, given)
                if earlier is not None:
                    copy_shared_weights(lease.compiled.model, earlier.compiled.model)
            assert lease is not None
            lease.recipe.require_same(phase.recipe)
            seen = (data, val)
            if phase.sees_features:
                assert features is not None
                seen = replace_images_by_features(
                    features, data, val, self._augmenter(), self.n_views or 1
                )
            state = TransferState(whole, self.weights, features if phase.sees_features else None)
            fitted = copy(self)._set_fitted_state(lease, data, seed)
            fitted._state = state
            n_epochs, initial_epoch = epochs or phase.epochs, len(history.get("loss", ()))
            # Fine-tuning may end worse than it began; then early stopping returns to the head.
            tries = fresh and bool(initial_epoch) and val is not None and self.early_stopping
            state_before = lease.compiled.get_state() if tries else None
            history = train_classifier(
                fitted,
                *seen,
                epochs=n_epochs,
                learning_rate=phase.learning_rate,
                history=history,
                callbacks=[
                    *make_rates(self, lease.compiled, n_epochs, initial_epoch),
                    *callbacks,
                ],
                estimate=epochs is None or data.n_present >= FEWEST_BATCHES * self.batch_size,
            )
            losses = np.array(history.get("val_loss", ()))
            if state_before is not None and _best(losses[:initial_epoch]) < _best(
                losses[initial_epoch:]
            ):
                lease.compiled.set_state(state_before)  # the phase before had a lower loss
            names = history.get("phase", [])[:initial_epoch]
            history["phase"] = names + [phase.name] * (len(history["loss"]) - initial_epoch)
        self._state = state
        return self._set_fitted_state(fitted._lease, data, seed, history)

    def _take_over(self, other: Any, y: Any) -> None:
        super()._take_over(other, y)
        whole = replace(other._state.whole, n_classes=len(self.classes_))
        self._state = replace(other._state, whole=whole)

    def _check_X(self, X: Any, *, reset: bool) -> tuple[NDArray[Any], ImageSpec]:
        images, spec = super()._check_X(X, reset=reset)
        check_pixel_range(self.backbone, images.dtype, spec.range)
        return images, spec

    def _fine_tunes(self) -> bool:
        return self.unfreeze not in (None, False) and self.fine_tuning_epochs != 0

    def _count_epochs(self, data: TrainingData) -> tuple[int, int]:
        """Return the maximum numbers of epochs of the head and of fine-tuning."""
        tuning = 0
        if self._fine_tunes():
            tuning = count_epochs(self.fine_tuning_epochs, data, AUTO_FINE_TUNING_EPOCHS)
        return count_epochs(self.epochs, data, AUTO_HEAD_EPOCHS), tuning

    def _max_epochs(self, fresh: bool, data: TrainingData) -> int:
        head, tuning = self._count_epochs(data)
        return head + tuning if fresh else tuning or head

    def _load_features(self, spec: ImageSpec, seed: int) -> ImageFeatures:
        """Load the backbone as a fitted `ImageFeatures`."""
        named = ("backbone", "weights", "input_size", "pooling", "cache", "dtype_policy")
        features = ImageFeatures(**{name: getattr(self, name) for name in named}, random_state=seed)
        channels = 3 if self._projects(spec) else spec.shape[2]
        return features.fit(np.zeros((1, *spec.shape[:2], channels), spec.dtype))

    def _choose_dtype_policy(self) -> str:
        # Half precision is not measured for pretrained networks, so it is never the default.
        return self.dtype_policy or str(keras.config.dtype_policy().name)

    def _projects(self, spec: ImageSpec) -> bool:
        """Whether a trained 1x1 convolution maps the channels to three."""
        return isinstance(self.backbone, str) and spec.shape[2] not in (1, 3)

    def _plan(
        self, spec: ImageSpec, n_classes: int, given: keras.Model, epochs: tuple[int, int]
    ) -> tuple[Recipe, list[Phase]]:
        """Return the recipe of the whole network, frozen, and the phases of training."""
        whole = self._make_recipe(spec, n_classes)
        drawn_anew = self.augmentation is not None and self.n_views is None
        sees_features = not drawn_anew and not self._projects(spec)
        return whole, plan_phases(self, whole, given, sees_features, epochs)

    def _to_network_input(self, images: NDArray[Any]) -> NDArray[Any]:
        return (
            images
            if self._state.features is None
            else self._state.features.compute(images)[:, None, None]
        )

    def to_keras(self) -> keras.Model:
        """Copy the trained network, backbone and head, to a separate `keras.Model`.

        The model takes pixels of the dtype that was fitted, and returns the probabilities of
        `predict_proba`; with `tta`, it averages those of the network over the symmetries. It is
        compiled for `evaluate` and further training. Augmentation, which is inactive in prediction,
        is left out.

        Returns
        -------
        keras.Model
            Compiled copy of the network.
        """
        check_is_fitted(self)
        if self._state.features is None:
            return super().to_keras()
        return self._copy_whole(self._state.features, tta=self._chosen_tta())

    def _image_network(self) -> keras.Model:
        if self._state.features is None:
            return super()._image_network()
        return self._copy_whole(self._state.features, tta="none")

    def _copy_whole(self, features: ImageFeatures, *, tta: str) -> keras.Model:
        """Join the frozen backbone and the head that saw its features."""
        parts = (features._extractor.model, self._lease.compiled.model)
        return self._copy_model(self._state.whole, *parts, tta=tta)

    def best_epochs(self) -> dict[str, int]:
        """Return the numbers of epochs that early stopping found best.

        Returns
        -------
        dict of str to int
            Best number of epochs per parameter, to refit without a holdout; empty if there was no
            early stopping or no validation data.
        """
        check_is_fitted(self)
        found = {}
        if self.early_stopping and "val_loss" in self.history_:
            losses, phases = np.array(self.history_["val_loss"]), np.array(self.history_["phase"])
            head, tuned = (losses[phases == phase] for phase in ("head", "fine-tuning"))
            found["epochs"] = int(np.nanargmin(head)) + 1
            if len(tuned):
                improved = _best(tuned) <= _best(head)
                found["fine_tuning_epochs"] = int(np.nanargmin(tuned)) + 1 if improved else 0
        return found

    def count_params(self) -> int:
        """Count the weights of the fitted network, including the backbone.

        Returns
        -------
        int
            Number of weights.
        """
        features = self._state.features
        backbone = features._extractor.model.count_params() if features else 0
        return super().count_params() + backbone

    def _digested_params(self) -> dict[str, Any]:
        return weights_by_content(self)

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        return {
            **super()._get_test_params(),
            **ImageFeatures._get_test_params(),
            "dense_units": 64,
            "dropout": 0.0,
            "unfreeze": None,
        }


def _best(losses: NDArray[np.float64]) -> float:
    """Return the lowest loss; infinity if none is a number."""
    return float(np.nanmin(losses, initial=np.inf))
