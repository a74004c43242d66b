"""One pass over images, in bounded memory: what the checks need to know of each of them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skcell._images import ImageSpec, check_images, decode_files, load_images, probe_image
from skcell.exceptions import ImageReadError
from skcell.metrics import describe_images

#: Number of images, and of their values, that are held in memory at a time.
CHUNK = 512
VALUES = 2**24

#: Height and width of the grey pictures by which copies are found.
THUMBNAIL = 48

#: Height and width of the coloured pictures by which images are compared as a whole.
COARSE = 8

#: Width of the border of an image, as a fraction of its height and width.
BORDER = 0.08

_BORDER_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Scan:
    """What was seen of images."""

    indices: NDArray[np.intp]
    failures: dict[int, str]
    spec: ImageSpec
    thumbnails: NDArray[np.float16]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    coarse: NDArray[np.float32]
    names: list[str]
    features: NDArray[np.float64]
    border: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    clipped: NDArray[np.float64]
    two_valued: NDArray[np.bool_]

    @property
    def colour(self) -> NDArray[np.float64]:
        """Mean of each channel."""
        return self.coarse.mean(axis=(1, 2), dtype=np.float64)

    @property
    def background(self) -> NDArray[np.float64]:
        """Colour of the background: the upper quartile of the border, or the lower if it is dark.

        The background is dark, as with fluorescence, if images are darker at their border than in
        their middle.
        """
        n_channels = self.coarse.shape[3]
        quantiles = self.border[:, : 5 * n_channels].reshape(-1, 5, n_channels)
        is_dark = quantiles[:, 2].mean() < self.coarse.mean()
        return quantiles[:, 1 if is_dark else 3]


def read_chunks(
    images: NDArray[Any], spec: ImageSpec, *, raise_errors: bool = True
) -> Iterator[tuple[NDArray[Any], NDArray[np.intp], dict[int, str]]]:
    """Read images some at a time."""
    n_chunk = int(np.clip(VALUES // spec.n_features, 1, CHUNK))
    for start in range(0, len(images), n_chunk):
        part = slice(start, min(start + n_chunk, len(images)))
        everything = np.arange(part.start, part.stop)
        if raise_errors or spec.layout != "paths":
            yield load_images(images, part, spec, n_jobs=-1), everything, {}
            continue
        assert spec.dtype != "float32"  # files are decoded to integers
        found, kept, reasons = decode_files(images[part], spec.shape, spec.dtype)
        failed = np.setdiff1d(everything - start, kept)
        yield found, start + kept, {int(start + i): reasons[str(images[start + i])] for i in failed}


def check(
    X: Any, image_shape: tuple[int, ...] | None, *, raise_errors: bool = True
) -> tuple[NDArray[Any], ImageSpec]:
    """Check `X`, and find the dtype of files."""
    images, spec = check_images(X, image_shape=image_shape)
    if spec.layout == "paths":
        spec = replace(spec, dtype=_dtype_of(images, raise_errors))
    return images, spec


def _dtype_of(paths: NDArray[Any], raise_errors: bool) -> Any:
    for path in paths:
        try:
            return probe_image(path)[1]
        except ImageReadError:
            if raise_errors:
                raise
    return "uint8"


def scan(images: NDArray[Any], spec: ImageSpec, *, raise_errors: bool = True) -> Scan:
    """Look at each image once."""
    columns: dict[str, list[NDArray[Any]]] = {}
    failures: dict[int, str] = {}
    names: list[str] = []
    for some, indices, failed in read_chunks(images, spec, raise_errors=raise_errors):
        failures |= failed
        if len(some):
            names, features = describe_images(some)
            seen = {"indices": indices, "features": features, **_look(some)}
            for name, values in seen.items():
                columns.setdefault(name, []).append(values)
    if not columns:
        raise ValueError(
            f"None of the {len(failures)} images can be read; the first: "
            f"{next(iter(failures.values()), 'there is none')}."
        )
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Scan(failures=failures, spec=spec, names=names, **joined)


class FileHeader(NamedTuple):
    """What a file says of itself; numbers are -1 and text is its ending where it cannot be read."""

    n_bytes: int
    format: str
    mode: str
    width: int
    height: int


def read_headers(files: Sequence[str]) -> list[FileHeader]:
    """Read the size, format and dimensions of image files."""
    found = []
    for file in files:
        n_bytes = os.path.getsize(file) if os.path.exists(file) else -1
        header = FileHeader(n_bytes, os.path.splitext(file)[1].lower(), "", -1, -1)
        try:
            with Image.open(file) as image:
                header = FileHeader(n_bytes, image.format or "", image.mode, *image.size)
        except Exception:  # damaged, or of a format that Pillow alone does not open
            pass
        found.append(header)
    return found


def make_thumbnails(
    images: NDArray[Any],
) -> tuple[NDArray[np.float16], NDArray[np.float64], NDArray[np.float64]]:
    """Shrink images to grey pictures of one size, and standardize each."""
    return _shrink(_to_unit(images))


def _shrink(
    unit: NDArray[np.float32],
) -> tuple[NDArray[np.float16], NDArray[np.float64], NDArray[np.float64]]:
    grey = unit.mean(axis=3)
    pictures = np.stack([_resize(one, THUMBNAIL) for one in grey]).astype(np.float64)
    mean, spread = pictures.mean(axis=(1, 2)), pictures.std(axis=(1, 2))
    divisor = np.where(spread > 0, spread, 1)[:, None, None]
    return ((pictures - mean[:, None, None]) / divisor).astype(np.float16), mean, spread


def _look(images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    n, height, width, n_channels = images.shape
    unit = _to_unit(images)
    rows, columns = (max(1, round(BORDER * side)) for side in (height, width))
    is_border = np.ones((height, width), bool)
    if height > 2 * rows and width > 2 * columns:
        is_border[rows:-rows, columns:-columns] = False
    ring = unit[:, is_border]  # (n, pixels, channels)
    quantiles = np.quantile(ring, _BORDER_QUANTILES, axis=1).transpose(1, 0, 2)
    corners = [
        unit[:, top, left].mean(axis=(1, 2))
        for top in (slice(None, rows), slice(-rows, None))
        for left in (slice(None, columns), slice(-columns, None))
    ]
    border = np.concatenate([quantiles.reshape(n, -1), ring.std(axis=1), *corners], axis=1)
    flat = images.reshape(n, -1)
    lowest, highest = flat.min(axis=1), flat.max(axis=1)
    clipped = np.zeros(n)
    if images.dtype.kind in "ui":
        ends = np.iinfo(images.dtype)
        clipped = ((flat == ends.min) | (flat == ends.max)).mean(axis=1)
    coarse = np.stack(
        [np.stack([_resize(one[..., c], COARSE) for c in range(n_channels)], 2) for one in unit]
    )
    thumbnails, mean, spread = _shrink(unit)
    return {
        "thumbnails": thumbnails,
        "mean": mean,
        "spread": spread,
        "coarse": coarse,
        "border": border,
        "lowest": lowest.astype(float),
        "highest": highest.astype(float),
        "clipped": clipped,
        "two_valued": _are_two_valued(flat, lowest, highest),
    }


def _are_two_valued(
    flat: NDArray[Any], lowest: NDArray[Any], highest: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return whether nearly all values of an image are at one of its two ends, and many at each."""
    values = flat.astype(np.float32)
    reach = highest.astype(np.float32) - lowest
    near = 0.05 * reach[:, None]  # edges are softened when a mask is resized
    low = (values <= lowest[:, None] + near).mean(axis=1)
    high = (values >= highest[:, None] - near).mean(axis=1)
    return (low + high >= 0.9) & (low >= 0.02) & (high >= 0.02) & (reach > 0)


def _to_unit(images: NDArray[Any]) -> NDArray[np.float32]:
    """Scale integers to 0 to 1; floats are kept."""
    scale = 1.0 if images.dtype.kind == "f" else float(np.iinfo(images.dtype).max)
    return images.astype(np.float32) / np.float32(scale)


def _resize(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize one channel, with antialiasing."""
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
