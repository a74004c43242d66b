"""Batches of images for Keras: drawn by index, so that nothing is copied but the batch."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from skcell._validation import ImageSpec
from skcell.datasets._decode import decode_image
from skcell.errors import ImageReadError

Batch = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

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
    ):
        super().__init__()
        self.X, self.spec, self.targets, self.weights = X, spec, targets, weights
        self.rows = np.flatnonzero(weights)
        self.size = min(batch_size, len(self.rows))
        self.seed = seed
        self._order = self.rows
        self.error: ImageReadError | None = None
        self._pool = ThreadPoolExecutor(DECODERS)
        self._ahead: dict[int, Future[Batch]] = {}

    @property
    def num_batches(self) -> int:
        """Number of batches of one epoch."""
        return -(-len(self.rows) // self.size)

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch, before it begins.

        Not counted here: Keras may look at a batch, or begin an epoch, only to learn shapes.
        """
        self._ahead.clear()
        if self.seed is not None:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def close(self) -> None:
        """Let go of the images: TensorFlow never forgets an object it has drawn batches from."""
        self._pool.shutdown(cancel_futures=True)
        self._ahead.clear()
        self.X = np.empty(0)
        self.targets = self.weights = np.empty(0, np.float32)
        self.rows = self._order = np.empty(0, np.intp)

    def __getitem__(self, index: int) -> Batch:
        """Return images, targets and weights of one batch."""
        if self.spec.layout != "paths":
            return self._make(index)
        # Not by Keras' own workers: a batch that they fetched for a look at shapes may turn up in
        # training, in place of another.
        for ahead in range(index, min(index + DECODERS, self.num_batches)):
            if ahead not in self._ahead:
                self._ahead[ahead] = self._pool.submit(self._make, ahead)
        try:
            return self._ahead.pop(index).result()
        except ImageReadError as error:
            self.error = error  # backends that fetch in threads of their own hide it in theirs
            raise

    def _make(self, index: int) -> Batch:
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
        return take(self.X, rows, self.spec), self.targets[rows], weights


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
