"""Base class of the classifiers: everything except the network."""

import numbers
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcell._engine import (
    OPTIMIZERS,
    ModelLease,
    Recipe,
    TrainingData,
    build,
    copy_callback,
    find_devices,
    is_foreign,
    make_keras_optimizer,
    portable_callback,
)
from skcell._hints import ParameterHintsMixin
from skcell._holdout import check_groups, find_copies, split_holdout
from skcell._images import ImageInputMixin, ImageSpec, check_labels, check_like, load_images
from skcell._machine import choose_dtype_policy
from skcell._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    _clone_parametrized,
    _fit_context,
    _num_samples,
    begin_fit,
)
from skcell._version import __version__
from skcell.classifiers._adaptation import adapt_classifier
from skcell.classifiers._callbacks import EpochTasks
from skcell.classifiers._cell_size import CellSizes, zoom_images
from skcell.classifiers._scikeras import ScikerasWrapper
from skcell.classifiers._symmetries import average_symmetries, find_symmetries
from skcell.classifiers._training import (
    FEWEST_BATCHES,
    PREDICT_BATCH,
    count_epochs,
    train_classifier,
)
from skcell.exceptions import ModelFileError
from skcell.networks import RandomTransform, copy_shared_weights
from skcell.resampling import PRESETS, ImageAugmenter

#: Largest width of a layer, and number of layers or blocks of one kind, that are built.
LARGEST_WIDTH = 1 << 14
LARGEST_DEPTH = 64

DTYPE_POLICIES = {
    *("float16", "float32", "float64", "bfloat16"),
    *("mixed_float16", "mixed_bfloat16"),
}


def _is_width(value: Any) -> bool:
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    return is_number and 1 <= value <= LARGEST_WIDTH


class BaseCellClassifier(
    ParameterHintsMixin, ImageInputMixin, ClassifierMixin, CallbackSupportMixin, ScikerasWrapper
):
    """Base class of all classifiers: everything except the network.

    A subclass adds its own parameters, passes those of this class to `__init__`, and implements
    `_build_network`. Its `_parameter_constraints` extend those of this class.

    The parameters are documented in the subclasses, where users look them up.
    """

    _parameter_constraints: dict = {
        "augmentation": [ImageAugmenter, StrOptions(set(PRESETS)), None],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "schedule": [StrOptions({"cosine", "linear"}), callable, None],
        "weight_decay": [Interval(numbers.Real, 0, None, closed="left")],
        "label_smoothing": [Interval(numbers.Real, 0, 1, closed="left")],
        "loss": [
            StrOptions({"categorical_crossentropy", "categorical_focal_crossentropy"}),
            callable,
        ],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "patience": [Interval(numbers.Integral, 1, None, closed="left")],
        "tta": [StrOptions({"auto", "none", "flips", "d4"})],
        "dtype_policy": [StrOptions(DTYPE_POLICIES), None],
        "image_shape": [tuple, list, None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "callbacks": [list, tuple, None],
        "verbose": ["verbose"],
    }

    # Fitted state; only `history_` is public.
    _lease: ModelLease
    _seed: int
    _sizes: CellSizes
    _zoom: float
    history_: dict[str, list[Any]]

    @abstractmethod
    def __init__(
        self,
        *,
        augmentation: ImageAugmenter | str | None,
        optimizer: str,
        learning_rate: float,
        schedule: str | Callable[[float], float] | None,
        weight_decay: float,
        label_smoothing: float,
        loss: str | Callable[..., Any],
        class_weight: str | dict[Any, float] | None,
        epochs: int | str,
        batch_size: int,
        early_stopping: bool,
        validation_fraction: float,
        patience: int,
        tta: str,
        dtype_policy: str | None,
        image_shape: tuple[int, ...] | None,
        random_state: int | np.random.RandomState | None,
        warm_start: bool,
        callbacks: Sequence[keras.callbacks.Callback] | None,
        verbose: int,
    ):
        self.augmentation = augmentation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.loss = loss
        self.class_weight = class_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tta = tta
        self.dtype_policy = dtype_policy
        self.image_shape = image_shape
        self.random_state = random_state
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose

    def _validate_params(self) -> None:
        """Check parameters: by their constraints, and for what these cannot say."""
        super()._validate_params()
        params = self.get_params(deep=False)
        for name, value in params.items():
            allowed = self._parameter_constraints[name]
            if (
                isinstance(value, (bool, np.bool_))
                and "boolean" not in allowed
                and any(isinstance(a, Interval) for a in allowed)
            ):
                raise ValueError(f"{name}={value} must be a number, not a bool.")
        for name in ("filters", "extra_filters"):
            value = params.get(name)
            if value is None or isinstance(value, numbers.Integral):
                continue
            widths = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
            if len(widths) > LARGEST_DEPTH or not all(map(_is_width, widths)):
                raise ValueError(
                    f"{name} must be a list or tuple of at most {LARGEST_DEPTH} whole numbers from "
                    f"1 to {LARGEST_WIDTH}, got {value!r}."
                )
        for callback in self.callbacks or ():
            if not isinstance(callback, keras.callbacks.Callback):
                raise ValueError(
                    f"callbacks must be callbacks of Keras, got {callback!r}. For scikit-learn's, "
                    "use set_callbacks."
                )

    @abstractmethod
    def _build_network(self) -> tuple[Callable[..., Any], dict[str, Hashable]]:
        """Return the function that builds the network, and its keyword arguments.

        The function takes an image tensor.
        """

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
        self._try(self._make_recipe(spec, 2))

    def _try(self, recipe: Recipe) -> None:
        """Build and compile a network as for training, so that errors are raised now."""
        model = build(recipe, seed=0)
        model.compile(make_keras_optimizer(recipe.optimizer, self.learning_rate), recipe.loss)

    # Training

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        init_from: "BaseCellClassifier | None" = None,
    ) -> Self:
        """Train on images `X` with labels `y`.

        Parameters
        ----------
        X : array-like
            Images `(n, H, W, C)` or `(n, H, W)` of uint8, uint16 or float; rows `(n, H*W*C)` with
            `image_shape` set; or `(n,)` paths of image files, which are read during training.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image; images with weight zero are left out. Only the ratios of weights
            matter, because the loss is divided by their mean.
        groups : array-like of shape (n,), default=None
            Group of each image, such as its patient or slide; early stopping holds out whole
            groups.
        X_val, y_val : array-like, default=None
            Validation images and labels, used instead of a holdout of `X`. The network is never
            trained on them.
        sample_weight_val : array-like, default=None
            Weights of the images in `X_val`. A holdout of `X` has the weights in `sample_weight`;
            `class_weight` applies to both.
        init_from : fitted classifier, default=None
            Classifier of the same kind, with the same network, whose weights training starts from.
            The new one knows its classes and those in `y`. Whatever `y` lacks may be forgotten, so
            pass the images of before as well, or some of them.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If images, labels or parameters cannot be used; raised before training starts.
        FloatingPointError
            If training diverges.
        """
        fresh = not (self.warm_start and self.__sklearn_is_fitted__())
        seed = self._draw_seed(fresh)
        if init_from is not None:
            fresh = False
            self._take_over(init_from, y)
        data = self._check(X, y, sample_weight, None if fresh else self.classes_)
        groups = check_groups(groups, len(data.images))
        val = None
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                raise ValueError("X_val and y_val must be passed together; one of them is missing.")
            seen = check_like(X_val, data.spec, type(self).__name__)
            val = data.from_validation_arrays(*seen, y_val, sample_weight_val)
        elif self.early_stopping:
            indices = np.flatnonzero(data.weights)  # weight zero leaves an image out
            train, rest = split_holdout(
                data.classes[data.codes[indices]],
                fraction=self.validation_fraction,
                groups=None if groups is None else groups[indices],
                copies=find_copies(data.images, indices),
                random_state=seed,
            )
            data, val = data.subset(indices[train]), data.subset(indices[rest])
        data, val = data.normalized(), val and val.normalized()
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        shown = {"X": X, "y": y, "metadata": metadata}
        task = begin_fit(self, self._max_epochs(fresh, data), **shown)
        shown["estimator"] = self
        self._train(data, val, fresh, seed, callbacks=[EpochTasks(task, shown)])
        task.call_on_fit_task_end(**shown, reconstruction_attributes={})
        return self

    def _take_over(self, other: Any, y: Any) -> None:
        """Become as if fitted like another classifier, with further classes if there are any."""
        if type(other) is not type(self):
            raise TypeError(
                f"init_from must be a fitted {type(self).__name__}, got {type(other).__name__}."
            )
        check_is_fitted(other)
        labels, known = check_labels(y, _num_samples(y)), np.asarray(vars(other)["classes_"])
        if labels.dtype.kind != known.dtype.kind:
            raise ValueError(
                f"y has labels such as {labels[:1].tolist()[0]!r}, and init_from knows the classes "
                f"{known.tolist()}."
            )
        classes = np.union1d(known, labels)
        places = np.searchsorted(classes, known)
        self._lease = other._lease.with_classes(len(classes), places)
        self._spec, self.classes_, self.history_ = other._spec, classes, {}

    def _max_epochs(self, fresh: bool, data: TrainingData) -> int:
        """Return the maximum number of epochs of a fit.

        With epochs="auto", a network that is trained already gets half of them.
        """
        n = count_epochs(self.epochs, data)
        return n if fresh or self.epochs != "auto" else max(1, n // 2)

    def _draw_seed(self, fresh: bool) -> int:
        """Draw the seed of a new model; a resumed model keeps its seed, and so its holdout."""
        return check_random_state(self.random_state).randint(2**31 - 1) if fresh else self._seed

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch on these images.

        Every call uses the learning rate with which the schedule starts, since the number of calls
        is not known. If the images of a call make at least four batches, the statistics of batch
        normalisation are estimated from them alone, so each call should get a mixture of images;
        with fewer images, the statistics are updated as a moving average.

        Parameters
        ----------
        X : array-like
            Images, as for `fit`.
        y : array-like of shape (n,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; needed in the first call if `y` lacks some of them.
            Later calls may omit it.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once and cannot be used with "
                "partial_fit; pass a dict of weights, or sample_weight."
            )
        fresh = not self.__sklearn_is_fitted__()
        if not fresh:
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes={np.unique(classes).tolist()} differ from those of the first call, "
                    f"{self.classes_.tolist()}; a fitted network cannot change its classes."
                )
            classes = self.classes_
        data = self._check(X, y, sample_weight, None if classes is None else np.unique(classes))
        return self._train(data, None, fresh, self._draw_seed(fresh), epochs=1)

    def _check(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> TrainingData:
        """Check all arguments of a fit before anything is built."""
        known = hasattr(self, "_spec") and classes is not None
        images, spec = self._check_X(X, reset=not known)
        find_symmetries(self._chosen_tta(), spec.shape)  # an error now, not after training
        return TrainingData.from_arrays(
            images,
            spec,
            y,
            classes=classes,
            sample_weight=sample_weight,
            class_weight=self.class_weight,
            owner=type(self).__name__,
        )

    def _train(
        self,
        data: TrainingData,
        val: TrainingData | None,
        fresh: bool,
        seed: int,
        epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> Self:
        """Train the network on checked data.

        Only `partial_fit` passes `epochs`; its data are then a part of all training data.
        """
        recipe = self._make_recipe(data.spec, len(data.classes))
        if fresh:
            lease, history = self._lease_model(recipe, seed), {}
        else:
            lease, history = self._lease.with_policy(recipe.dtype_policy), self.history_
            lease.recipe.require_same(recipe)
        with lease.use() as compiled:
            estimates = compiled.statistics.exist
        if estimates and min(self.batch_size, data.n_present) < 2:
            raise ValueError(
                "Batch normalisation compares the images of a batch, so one image at a time "
                "teaches nothing. Set batch_size to 2 or more, pass more images, or choose a "
                "network without batch normalisation (batch_norm=False)."
            )
        history = train_classifier(
            copy(self)._set_fitted_state(lease, data, seed),
            data,
            val,
            epochs=epochs or self._max_epochs(fresh, data),
            learning_rate=self.learning_rate,
            history=history,
            estimate=epochs is None or fresh or data.n_present >= FEWEST_BATCHES * self.batch_size,
            callbacks=callbacks,
        )
        return self._set_fitted_state(lease, data, seed, history)

    def _lease_model(self, recipe: Recipe, seed: int) -> ModelLease:
        """Lease a compiled model; it is not shared if a user's callbacks can change it."""
        return ModelLease(recipe, seed, shared=not any(map(is_foreign, self.callbacks or ())))

    def _set_fitted_state(
        self,
        lease: ModelLease,
        data: TrainingData,
        seed: int,
        history: dict[str, list[Any]] | None = None,
    ) -> Self:
        """Set the fitted attributes.

        `history` is None while training is running.
        """
        self._lease, self._spec, self._seed = lease, data.spec, seed
        self.classes_, self.image_shape_ = data.classes, data.spec.shape
        self.dtype_policy_ = lease.recipe.dtype_policy
        self._zoom = 1.0
        self.__dict__.pop("adaptation_", None)  # of an earlier fit
        if history is not None:
            self._sizes = CellSizes.measure(data)
            self.history_ = history
            self.n_iter_ = len(history["loss"])
        return self

    def _augmenter(self) -> ImageAugmenter | None:
        """Return the augmentation; a preset is named by a string."""
        named = isinstance(self.augmentation, str)
        return ImageAugmenter.from_preset(self.augmentation) if named else self.augmentation

    def _chosen_tta(self) -> str:
        """Return the symmetries that predictions are averaged over; "auto" is resolved."""
        if self.tta != "auto":
            return self.tta
        augmenter = self._augmenter()
        mirrors = augmenter and augmenter.horizontal_flip and augmenter.vertical_flip
        return "flips" if mirrors else "none"

    def _make_recipe(self, spec: ImageSpec, n_classes: int) -> Recipe:
        augmenter = self._augmenter()
        return Recipe.of(
            *self._build_network(),
            input_shape=spec.shape,
            dtype=spec.dtype,
            n_classes=n_classes,
            augmentation=None if augmenter is None else augmenter.layer_arguments(),
            optimizer=self.optimizer,
            use_weight_decay=self.weight_decay > 0,
            loss=self.loss,
            dtype_policy=self._choose_dtype_policy(),
            devices=self._find_devices(),
        )

    def _choose_dtype_policy(self) -> str:
        return choose_dtype_policy(self.dtype_policy)

    def _find_devices(self) -> tuple[str, ...]:
        devices = find_devices()
        n = max(1, len(devices))
        if self.batch_size % n:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be split evenly over the {n} devices of "
                f"keras.distribution; set it to a multiple, such as {-(-self.batch_size // n) * n}."
            )
        return devices

    # Prediction

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimate the probability of each class.

        Parameters
        ----------
        X : array-like
            Images, rows or paths, of the same kind and shape as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        with self._lease.use() as compiled:
            out = self._apply(compiled.forward, len(self.classes_), X, self._chosen_tta())
        return out / out.sum(axis=1, keepdims=True)  # rows sum to 1 in double precision too

    def embed(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the input of the last layer: the penultimate features of images.

        Images that are similar to the network are close to each other in this space. The images are
        taken as they are, without averaging over symmetries.

        Parameters
        ----------
        X : array-like
            Images, rows or paths, of the same kind and shape as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features)
            Activations of the layer before the last one.
        """
        check_is_fitted(self)
        with self._lease.use() as compiled:
            width = int(compiled.model.layers[-1].input.shape[-1])
            return self._apply(compiled.embed, width, X, "none").astype(np.float32)

    def _apply(
        self, forward: Callable[[Any], Any], width: int, X: ArrayLike, tta: str
    ) -> NDArray[np.float64]:
        """Return the sum of a network's outputs for images over the symmetries."""
        images, spec = self._check_X(X, reset=False)
        symmetries = find_symmetries(tta, spec.shape)
        out = np.zeros((len(images), width))
        for start in range(0, len(images), PREDICT_BATCH):
            indices = slice(start, start + PREDICT_BATCH)
            batch = self._load(images, indices, spec)
            for symmetry in symmetries:
                changed = np.ascontiguousarray(symmetry(batch))
                out[indices] += forward(self._to_network_input(changed))
        return out

    def _load(
        self, images: NDArray[Any], indices: NDArray[np.intp] | slice, spec: ImageSpec
    ) -> NDArray[Any]:
        """Load checked images, with cells of the size that the network was trained on."""
        return zoom_images(load_images(images, indices, spec, n_jobs=-1), self._zoom)

    def _to_network_input(self, images: NDArray[Any]) -> NDArray[Any]:
        """Convert images to the input of the network."""
        return images

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each image.

        Parameters
        ----------
        X : array-like
            Images, rows or paths, of the same kind and shape as in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def adapt(
        self,
        X: ArrayLike | None,
        X_labelled: ArrayLike | None = None,
        y_labelled: ArrayLike | None = None,
    ) -> Self:
        """Adapt a copy of this classifier to images of another microscope, stain or laboratory.

        Two things are adapted without labels.

        - Another lens, camera or crop changes the size of cells. It is measured, by the spread of
          the optical density about its centre, and compared with that of training images of the
          same predicted class. The adapted classifier enlarges or shrinks each image by that
          factor before the network sees it.
        - Light, stain and optics shift the activations of a network. The statistics of its batch
          normalisation are therefore moved towards those of `X` [1]_, the further the more images
          there are [2]_. They also depend on which classes there are; so images are drawn such that
          the predicted classes have the shares of training, and the statistics are moved less if
          classes are missing.

        With a few labelled images, the last layer is then fitted to them, close to its old weights.

        Parameters
        ----------
        X : array-like or None
            Images of the other laboratory, of the same kind and shape as in `fit`. They should be
            a random sample of what is to be predicted; up to 2,048 are used. Fewer than 32, or
            images that all seem to be of one class, change nothing. With None, the last layer alone
            is fitted.
        X_labelled : array-like, default=None
            Images of the other laboratory with known labels; five of each class help.
        y_labelled : array-like of shape (n_labelled,), default=None
            Their labels. They may be some of the labels of `fit`; classes without images here
            become less probable.

        Returns
        -------
        object
            Adapted copy; this classifier is not changed. Its attribute `adaptation_` says what it
            was adapted to: the numbers of images, the factor ``"zoom"`` by which images are
            enlarged, how far the statistics were moved (0 is not at all, 1 all the way), and the
            shares of the predicted classes.

        Raises
        ------
        ValueError
            If images or labels cannot be used.

        Warns
        -----
        AdaptationWarning
            If there are too few images to adapt to, or if most are predicted to be of one class.

        See Also
        --------
        skcell.AdaptiveClassifier : Adapts to each set of images that it predicts.

        References
        ----------
        .. [1] Y. Li, N. Wang, J. Shi, J. Liu, X. Hou, "Revisiting Batch Normalization For Practical
           Domain Adaptation", arXiv:1603.04779, 2016.
        .. [2] S. Schneider et al., "Improving robustness against common corruptions by covariate
           shift adaptation", NeurIPS 2020.
        """
        check_is_fitted(self)
        return adapt_classifier(self, X, X_labelled, y_labelled)

    def to_keras(self) -> keras.Model:
        """Copy the trained network to a separate `keras.Model`.

        The model takes pixels of the dtype that was fitted, and returns the probabilities of
        `predict_proba`; with `tta`, it averages those of the network over the symmetries. It is
        compiled for `evaluate` and further training. Augmentation, which is inactive in prediction,
        is left out. If the model is saved to a file, loading it needs only Keras.

        Its layers compute in float32, as the predictions of the classifier do, unless
        `dtype_policy` is "float64".

        Returns
        -------
        keras.Model
            Compiled copy of the network.
        """
        check_is_fitted(self)
        with self._lease.use() as compiled:
            return self._copy_model(self._lease.recipe, compiled.model, tta=self._chosen_tta())

    def _image_network(self) -> keras.Model:
        """Return the network from images to probabilities, without averaging; not to be changed."""
        check_is_fitted(self)
        return self._lease.compiled.model

    def _copy_model(self, recipe: Recipe, *sources: keras.Model, tta: str) -> keras.Model:
        """Build the network of a recipe and copy the weights of trained models into it."""
        policy = "float64" if recipe.dtype_policy == "float64" else "float32"
        model = build(replace(recipe, augmentation=None, dtype_policy=policy), self._seed)
        for source in sources:
            copy_shared_weights(model, source)
        model = average_symmetries(model, tta, self._zoom)
        optimizer = make_keras_optimizer(recipe.optimizer, self.learning_rate)
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        model.compile(optimizer=optimizer, loss=recipe.loss, weighted_metrics=[accuracy])
        model.optimizer.build(model.trainable_variables)  # else Keras warns about saved files
        return model

    def best_epochs(self) -> dict[str, int]:
        """Return the number of epochs that early stopping found best.

        Returns
        -------
        dict of str to int
            Best number of epochs per parameter, to refit without a holdout; empty if there was no
            early stopping or no validation data.
        """
        check_is_fitted(self)
        losses = self.history_.get("val_loss") if self.early_stopping else None
        return {} if losses is None else {"epochs": int(np.nanargmin(losses)) + 1}

    def count_params(self) -> int:
        """Count the weights of the fitted network, without augmentation.

        Returns
        -------
        int
            Number of weights.
        """
        check_is_fitted(self)
        with self._lease.use() as compiled:
            layers = compiled.model.layers
            return sum(x.count_params() for x in layers if not isinstance(x, RandomTransform))

    # Protocols of scikit-learn and scikeras

    def __sklearn_clone__(self) -> Self:
        """Clone as scikit-learn does, but copy what can be copied of used callbacks."""
        if not self.callbacks:
            return _clone_parametrized(self)
        bare = type(self)(**{**self.get_params(deep=False), "callbacks": None})
        for name in ("_metadata_request", "_skl_callbacks"):
            if hasattr(self, name):
                setattr(bare, name, getattr(self, name))
        cloned = _clone_parametrized(bare)
        cloned.callbacks = [copy_callback(callback) for callback in self.callbacks]
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, with what can be pickled of used callbacks."""
        state = super().__getstate__().copy()
        if state.get("callbacks"):
            state["callbacks"] = [portable_callback(callback) for callback in state["callbacks"]]
        return {**state, "_skcell_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state, if this version of skcell wrote it."""
        version = state.get("_skcell_version", __version__)
        if version != __version__:
            raise ModelFileError(
                f"This {type(self).__name__} was pickled by skcell {version}, and this is "
                f"{__version__}. Pickles do not move between versions: install skcell {version}, "
                "load it, and write it with skcell.save, whose files do."
            )
        super().__setstate__({k: v for k, v in state.items() if k != "_skcell_version"})

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_lease")

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        """Return parameters of a small instance that learns a numeric table in seconds."""
        return {
            "image_shape": (1, -1, 1),
            "augmentation": None,
            "tta": "none",
            "epochs": 25,
            "learning_rate": 0.01,
            "random_state": 0,
        }
