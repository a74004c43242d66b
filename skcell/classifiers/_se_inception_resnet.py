"""The composite classifier: inception, squeeze-and-excitation and residual connections."""

from collections.abc import Callable, Hashable, Sequence
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np

from skcell._sklearn import Interval, StrOptions
from skcell.classifiers._base import LARGEST_DEPTH, LARGEST_WIDTH, BaseCellClassifier
from skcell.networks import se_inception_resnet
from skcell.resampling import ImageAugmenter


class SEInceptionResNetClassifier(BaseCellClassifier):
    """Composite convolutional network for cell images, with few weights and many scales.

    A 3x3 convolution is followed by one or more blocks, then by global pooling and softmax. Each
    block is an inception module whose output is reweighted by squeeze-and-excitation, inside a
    residual connection. The network has far fewer weights than `CellCNNClassifier`, whose dense
    layer grows with the image size.

    Parameters
    ----------
    n_blocks : int, default=3
        Number of blocks; 2x2 max pooling before each block halves height and width.
    stem_filters : int, default=32
        Number of filters of the convolution before the blocks.
    filters : int, default=64
        Number of output channels of the first block, at least 8; it doubles with each further
        block.
    se_ratio : int, default=16
        Reduction ratio of squeeze-and-excitation.
    pooling : {"avg", "max"}, default="avg"
        How features are pooled over the image.
    standardize : bool, default=True
        Whether to standardise each channel of each image to mean 0 and variance 1, so that the
        brightness, contrast and colour of the light matter less.
    batch_norm : bool, default=True
        Whether to apply batch normalisation before each activation.
    dropout : float, default=0.0
        Fraction of the pooled features that is dropped in training.
    stochastic_depth : float, default=0.0
        Probability that the last block is skipped for an image in training; for earlier blocks it
        is proportionally lower.
    l2 : float, default=0.0
        L2 penalty on the weights of convolutions, added to the loss.
    augmentation : ImageAugmenter, {"symmetries", "microscope"} or None, default="microscope"
        Applies new random changes to every training image in every epoch. The names are those of
        `skcell.ImageAugmenter.from_preset`; "microscope" changes light and stain, which assumes
        that white is the maximum of an integer dtype, or 1 for floats.
    optimizer : {"adam", "nadam", "rmsprop", "sgd", "lion"}, default="adam"
        Name of the optimizer; "sgd" uses Nesterov momentum 0.9.
    learning_rate : float, default=0.003
        Learning rate; with a `schedule`, that of the first epoch.
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
        Number of passes over the training images. "auto" is 360 divided by the cube root of their
        number, within 10 and 150: 78 for 100 images, 36 for 1,000 and 17 for 10,000.
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
        Keras dtype policy, such as "float32" or "mixed_bfloat16". None uses Keras' global policy,
        if you have changed it; otherwise bfloat16 for the products of a training step where the
        processor has instructions for it and training is faster (see `dtype_policy_`), and float32
        elsewhere. Weights, statistics and loss are float32 in either case, and so are predictions,
        which are therefore the same on every machine up to rounding.
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
    history_ : dict of str to list of float
        Loss and accuracy of each epoch; scores on validation data, if there are any, have the
        prefix ``"val_"``.
    n_iter_ : int
        Number of epochs trained.
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.
    image_shape_ : tuple of int
        Height, width and channels of the images.
    dtype_policy_ : str
        Dtype policy of the training. Predictions are in float32.

    See Also
    --------
    CellCNNClassifier : The plain network.
    skcell.networks.inception : A building block for your own networks.

    References
    ----------
    .. [1] C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
    .. [2] C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the
       Impact of Residual Connections on Learning", AAAI 2017.
    .. [3] J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.
    .. [4] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016.
    .. [5] G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Q. Weinberger, "Deep Networks with Stochastic
       Depth", ECCV 2016.

    Examples
    --------
    >>> from skcell import SEInceptionResNetClassifier
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(60, n_classes=2, image_size=32, random_state=0)
    >>> clf = SEInceptionResNetClassifier(filters=8, stem_filters=8, epochs=2, random_state=0)
    >>> clf.fit(cells.images, cells.target).predict_proba(cells.images).shape
    (60, 2)
    """

    _parameter_constraints: dict = {
        **BaseCellClassifier._parameter_constraints,
        "n_blocks": [Interval(Integral, 1, LARGEST_DEPTH, closed="both")],
        "stem_filters": [Interval(Integral, 1, LARGEST_WIDTH, closed="both")],
        "filters": [Interval(Integral, 8, LARGEST_WIDTH, closed="both")],
        "se_ratio": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"avg", "max"})],
        "standardize": ["boolean"],
        "batch_norm": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "stochastic_depth": [Interval(Real, 0, 1, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_blocks: int = 3,
        stem_filters: int = 32,
        filters: int = 64,
        se_ratio: int = 16,
        pooling: str = "avg",
        standardize: bool = True,
        batch_norm: bool = True,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        l2: float = 0.0,
        augmentation: ImageAugmenter | str | None = "microscope",
        optimizer: str = "adam",
        learning_rate: float = 3e-3,
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
        self.n_blocks = n_blocks
        self.stem_filters = stem_filters
        self.filters = filters
        self.se_ratio = se_ratio
        self.pooling = pooling
        self.standardize = standardize
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.stochastic_depth = stochastic_depth
        self.l2 = l2

    def _build_network(self) -> tuple[Callable[..., Any], dict[str, Hashable]]:
        return se_inception_resnet, {
            "n_blocks": self.n_blocks,
            "stem_filters": self.stem_filters,
            "filters": self.filters,
            "se_ratio": self.se_ratio,
            "pooling": self.pooling,
            "standardize": self.standardize,
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "stochastic_depth": self.stochastic_depth,
            "l2": self.l2,
        }

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        small = {
            "filters": 16,
            "stem_filters": 8,
            "n_blocks": 1,
            "standardize": False,
            "schedule": None,
        }
        return {**super()._get_test_params(), **small}
