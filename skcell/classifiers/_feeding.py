"""Batches of images for Keras: drawn by index, so that nothing is copied but the batch."""

from typing import Any

import keras
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from skcell._validation import ImageSpec
from skcell.datasets._decode import decode_image
from skcell.errors import ImageReadError

#: Threads that decode files ahead of the device.
DECODERS = 4


class ImageBatches(keras.utils.PyDataset):
    """Batches of one size, in an order that depends on seed and epoch alone.

    A last batch with too few images is filled with images of weight zero, so that every batch
    has the same shape and no compiled program is made twice.

    Parameters
    ----------
    X : ndarray
        Images `(n, H, W, C)` or paths `(n,)`.
    spec : ImageSpec
        What `X` holds.
    targets : ndarray of shape (n, n_classes)
        Probability of each class.
    weights : ndarray of shape (n,)
        Weight of each image; those of weight zero are left out.
    batch_size : int
        Number of images in each batch, where there are as many.
    seed : int or None
        Seed of the order in training; None keeps the order, and weighs images so that Keras'
        mean over batches is the mean over images.
    epoch : int
        Epoch to begin with.
    """

    def __init__(
        self,
        X: NDArray[Any],
        spec: ImageSpec,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        *,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
    ):
        super().__init__(workers=DECODERS if spec.layout == "paths" else 1)
        self.X, self.spec, self.targets, self.weights = X, spec, targets, weights
        self.rows = np.flatnonzero(weights)
        self.size = min(batch_size, len(self.rows))
        self.seed, self.epoch = seed, epoch
        self._order = self._draw()
        self.error: ImageReadError | None = None

    @property
    def num_batches(self) -> int:
        """Number of batches of one epoch."""
        return -(-len(self.rows) // self.size)

    def _draw(self) -> NDArray[np.intp]:
        if self.seed is None:
            return self.rows
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order; done here because threads may fetch before it begins."""
        self.epoch += 1
        self._order = self._draw()

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return images, targets and weights of one batch."""
        rows = self._order[index * self.size : (index + 1) * self.size]
        weights = self.weights[rows]
        missing = self.size - len(rows)
        if self.seed is None:
            weights = weights * (self.num_batches * self.size / len(self.rows))
        elif missing:
            weights = weights * (self.size / len(rows))
        if missing:
            rows = np.concatenate([rows, self._order[:missing]])
            weights = np.concatenate([weights, np.zeros(missing, weights.dtype)])
        try:
            images = take(self.X, rows, self.spec)
        except ImageReadError as error:
            self.error = error  # backends that fetch in threads of their own hide it in theirs
            raise
        return images, self.targets[rows], weights


def take(
    X: NDArray[Any], rows: NDArray[np.intp] | slice, spec: ImageSpec, n_jobs: int = 1
) -> NDArray[Any]:
    """Take `rows` of `X` as images of the dtype that the network reads.

    Files are decoded by `n_jobs` threads; -1 is one for each core.
    """
    if spec.layout != "paths":
        return X[rows].astype(spec.dtype, copy=False)
    assert spec.dtype != "float32"  # files are decoded to whole numbers
    decode = delayed(decode_image)
    files = (decode(path, spec.shape, spec.dtype) for path in X[rows])
    return np.stack(Parallel(n_jobs=n_jobs, prefer="threads")(files))
