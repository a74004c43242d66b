"""Pictures inside pages."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Height and width that larger pictures are reduced to.
LARGEST = 320


def to_picture(image: NDArray[Any]) -> Image.Image:
    """Convert an image of any dtype and number of channels to one that can be shown."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    pixels = pixels[..., : 3 if pixels.shape[2] in (3, 4) else 1]
    if pixels.dtype == np.uint8:
        shown = pixels
    else:
        low, high = 0.0, 1.0
        if pixels.dtype.kind in "ui":
            high = float(np.iinfo(pixels.dtype).max)
        elif pixels.size and (pixels.min() < 0 or pixels.max() > 1):
            low, high = float(pixels.min()), float(pixels.max())
        unit = (pixels.astype(np.float64) - low) / max(high - low, 1e-12)
        shown = np.rint(255 * unit.clip(0, 1)).astype(np.uint8)
    return Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown)


def to_data_uri(image: NDArray[Any] | Image.Image) -> str:
    """Encode an image as the address of a picture inside a page."""
    picture = image if isinstance(image, Image.Image) else to_picture(image)
    picture.thumbnail((LARGEST, LARGEST))
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def png_uri(content: bytes) -> str:
    """Encode a PNG file as the address of a picture inside a page."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
