"""The plain convolutional classifier."""

from collections.abc import Callable, Hashable, Sequence
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np

from skcell._sklearn import Interval
from skcell.augmentation import ImageAugmenter
from skcell.classifiers._base import BaseCellClassifier
from skcell.networks import cnn


class CellCNNClassifier(BaseCellClassifier):
    """Convolutional neural network for cell images.

    Convolutions with ReLU, each followed by max pooling; then flatten, one dense layer, softmax.
    Optionally batch normalisation before each activation, further convolutions, dropout and an L2
    penalty. Weights start from He's distribution and are trained by Adam.

    Parameters
    ----------
    filters : sequence of int, default=(32, 64, 128)
        One convolution with 2x2 max pooling for each number of filters.
    kernel_size : int, default=3
        Side of the square kernels, in pixels.
    extra_filters : sequence of int, default=()
        Further convolutions without pooling after the last pooling.
    dense_units : int, default=128
        Width of the dense layer.
    batch_norm : bool, default=False
        Normalise batches before each activation.
    dropout : float, default=0.0
        Fraction of the dense layer's outputs dropped in training.
    l2 : float, default=0.0
        Penalty on squared weights, added to the loss.
    augmentation : ImageAugmenter or None, default=None
        Changes every training image anew in every epoch.
    optimizer : {"adam", "nadam", "rmsprop", "sgd", "lion"}, default="adam"
        "sgd" has Nesterov momentum 0.9.
    learning_rate : float, default=0.001
        Learning rate, of the first epoch where there is a schedule.
    schedule : {"cosine", "linear"}, callable or None, default=None
        How the learning rate falls over the epochs; a callable takes the fraction of epochs
        done, in 0..1, and returns a factor.
    weight_decay : float, default=0.0
        Decoupled weight decay per step, times the learning rate; biases and batch normalisation
        are spared.
    label_smoothing : float, default=0.0
        Share of each target that is spread over all classes.
    loss : {"categorical_crossentropy", "categorical_focal_crossentropy"} or callable, \
            default="categorical_crossentropy"
        A Keras loss for one-hot targets.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, as in scikit-learn; multiplied with `sample_weight`. Only ratios of
        weights count: the loss is divided by their mean.
    epochs : int, default=20
        Passes over the training images.
    batch_size : int, default=32
        Images in each gradient step.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the training images, stratified by class and by whole
        groups; stop when their loss, weighted as in training, has not fallen for `patience` epochs;
        keep the best weights.
    validation_fraction : float, default=0.1
        Share of images held out for early stopping.
    patience : int, default=5
        Epochs to wait for a lower loss.
    dtype_policy : str or None, default=None
        Keras dtype policy, such as "mixed_bfloat16", which is faster on GPUs and CPUs that have it
        in hardware; None is Keras' own setting (float32).
    jit_compile : bool or None, default=None
        Whether to compile by XLA. None: not on a CPU under TensorFlow, where it is slower.
    n_devices : int, default=1
        GPUs or other devices that share each batch, -1 for all; `batch_size` must be a multiple of
        their number. More than one needs Keras' jax backend.
    image_shape : tuple of int, default=None
        Height, width and channels: what rows are reshaped to (one may be -1), and what files are
        resized to (by default 96, 96, 3). Leave None for images.
    random_state : int, RandomState instance or None, default=None
        Seed of weights, order, dropout and augmentation. An int gives the same model, to the bit,
        on one machine's CPU.
    warm_start : bool, default=False
        Go on from the last fit's weights.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Called as in Keras' own `fit`; under jax, weights change between epochs for them. A fit with
        callbacks of your own code compiles a model for itself, as they may change it.
    verbose : int, default=0
        1 shows progress: a bar in a terminal, a line for each epoch in a notebook or log.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch, with "val_" where a holdout was watched.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, where a data frame with such names was fitted.
    image_shape_ : tuple of int
        Height, width and channels of the images.

    See Also
    --------
    skcell.ImageAugmenter : Augmentation, here or as a pipeline step.
    skcell.pipeline.Pipeline : Sets the early-stopping holdout aside before resampling.

    Notes
    -----
    Fits that share network, image shape, dtype policy, optimizer and loss share one compiled
    program, so that the second needs no tracing.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
       recognition", Proceedings of the IEEE 86(11), 1998.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.
    .. [3] S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015.
    .. [4] D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(60, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf.fit(cells.images, cells.target).predict_proba(cells.images).shape
    (60, 2)
    """

    _parameter_constraints: dict = {
        **BaseCellClassifier._parameter_constraints,
        "filters": ["array-like"],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "extra_filters": ["array-like"],
        "dense_units": [Interval(Integral, 1, None, closed="left")],
        "batch_norm": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        filters: Sequence[int] = (32, 64, 128),
        kernel_size: int = 3,
        extra_filters: Sequence[int] = (),
        dense_units: int = 128,
        batch_norm: bool = False,
        dropout: float = 0.0,
        l2: float = 0.0,
        augmentation: ImageAugmenter | None = None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        schedule: str | Callable[[float], float] | None = None,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        loss: str | Callable[..., Any] = "categorical_crossentropy",
        class_weight: str | dict[Any, float] | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        dtype_policy: str | None = None,
        jit_compile: bool | None = None,
        n_devices: int = 1,
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
            dtype_policy=dtype_policy,
            jit_compile=jit_compile,
            n_devices=n_devices,
            image_shape=image_shape,
            random_state=random_state,
            warm_start=warm_start,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.filters = filters
        self.kernel_size = kernel_size
        self.extra_filters = extra_filters
        self.dense_units = dense_units
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.l2 = l2

    def _build_network(self) -> tuple[Callable[..., Any], dict[str, Hashable]]:
        return cnn, {
            "filters": tuple(self.filters),
            "kernel_size": self.kernel_size,
            "extra_filters": tuple(self.extra_filters),
            "dense_units": self.dense_units,
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "l2": self.l2,
        }

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        return {**super()._get_test_params(), "filters": (8,), "dense_units": 16}
