"""Mixing of pairs of images in a batch: MixUp and CutMix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mixing:
    """How images of a batch are mixed in pairs; their targets and weights are mixed alike."""

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def __call__(
        self,
        images: NDArray[Any],
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Mix a batch."""
        partner = rng.permutation(len(images))
        cuts = self.mixup == 0 or (self.cutmix > 0 and rng.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = rng.beta(alpha, alpha, len(images)).astype(np.float32)
        if cuts:
            inside = _draw_rectangles(images.shape[1:3], 1 - share, rng)
            share = 1 - inside.mean(axis=(1, 2), dtype=np.float32)
            mixed = np.where(inside[..., None], images[partner], images)
        else:
            part = share[:, None, None, None]
            mixed = part * images + (1 - part) * images[partner]
            if images.dtype.kind == "u":
                mixed = np.rint(mixed)
            mixed = mixed.astype(images.dtype)
        own, others = share * weights, (1 - share) * weights[partner]
        total = own + others
        whole = np.where(total > 0, total, 1)[:, None]  # an image without weight needs no target
        new = (own[:, None] * targets + others[:, None] * targets[partner]) / whole
        return mixed, new.astype(np.float32), total.astype(np.float32)


NO_MIXING = Mixing()


def _draw_rectangles(
    shape: tuple[int, int], area: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw rectangles with the image's proportions, around random points, as masks."""
    masks = []
    for length in shape:
        half = np.rint(length * np.sqrt(area)) / 2
        centre = rng.integers(0, length, len(area))
        position = np.arange(length)[None, :] + 0.5
        masks.append(np.abs(position - centre[:, None]) < half[:, None])
    return masks[0][:, :, None] & masks[1][:, None, :]
