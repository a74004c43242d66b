"""Batches of images, selected by index so that only the current batch is copied."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import ImageSpec, load_images

Batch = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

# Makes the seed of the sample different from that of any epoch.
_SAMPLE = (2**31, 1)

#: Number of threads that decode files ahead of the device; each decodes one batch.
DECODERS = 4


class ImageBatches:
    """Batches of equal size, in an order that depends only on the seed and the epoch.

    If the last batch has too few images, it is filled with images of weight zero, so that every
    batch has the same shape and no step is compiled twice.
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
        self.X, self.spec, self.targets, self.weights = X, spec, targets, weights
        as_they_are = spec.layout != "paths" and X.dtype == spec.dtype
        self.images = X if as_they_are else None
        self.on_device: Any = None
        self.seed = seed
        self._present = np.flatnonzero(weights)
        self._size = min(batch_size, len(self._present))
        self._arrange(self._present)

    def __len__(self) -> int:
        """Return the number of batches of one epoch."""
        return -(-len(self._present) // self._size)

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch; call this before the epoch begins."""
        if self.seed is not None:
            rng = np.random.default_rng([self.seed, epoch])
            self._arrange(rng.permutation(self._present))
            n, views = len(self.weights), len(self.X) // len(self.weights)
            if views > 1:  # view v of image i has the index v * n + i
                self.indices += n * rng.integers(views, size=self.indices.shape)

    def sample(self, n_images: int) -> Iterator[NDArray[Any]]:
        """Yield batches with at most `n_images` images in total; every call yields the same."""
        order = np.random.default_rng([self.seed or 0, *_SAMPLE]).permutation(self._present)
        for start in range(0, min(n_images, len(order)) - self._size + 1, self._size):
            yield load_images(self.X, order[start : start + self._size], self.spec, n_jobs=-1)

    def _arrange(self, order: NDArray[np.intp]) -> None:
        """Divide a given order into batches."""
        n, size = len(order), self._size
        missing = len(self) * size - n
        weights = self.weights[order]
        # Keras divides the loss of a batch by its size, which counts the images that fill it up.
        if self.seed is None:
            # Then the mean over all batches is the weighted sum over all images divided by n.
            weights = weights * (len(self) * size / n)
        elif missing:
            # Then the last batch has the same loss as if it were not filled up.
            weights[missing - size :] *= size / (size - missing)
        self.indices: NDArray[np.intp] = np.resize(
            order, (len(self), size)
        )  # the last batch is filled with the first images of the order
        self.batch_weights = np.pad(weights, (0, missing)).reshape(self.indices.shape)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the images, targets and weights of each batch."""
        if self.spec.layout != "paths":
            for index in range(len(self)):
                yield self._make(index)
            return
        with ThreadPoolExecutor(DECODERS) as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for index in range(len(self)):
                    ahead.append(pool.submit(self._make, index))
                    if len(ahead) > DECODERS:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _make(self, index: int) -> Batch:
        indices = self.indices[index]
        images = load_images(self.X, indices, self.spec)
        return images, self.targets[indices], self.batch_weights[index]
