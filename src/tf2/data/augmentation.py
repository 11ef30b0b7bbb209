"""More calibration samples out of few photographs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tf2.data.resampling import resize_image

AREA = (0.25, 1.0)  # part of the image that a view shows
ASPECT = (3 / 4, 4 / 3)  # of a view's aspect ratio to the image's
_ATTEMPTS = 10


def random_view(
    image: NDArray[np.uint8],
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    area: tuple[float, float] = AREA,
) -> NDArray[np.uint8]:
    """Return a random part of ``image`` (H, W, C) at ``size`` = (height, width), maybe mirrored.

    Random resized crop as in Szegedy 2014 (arXiv:1409.4842, section 6) and torchvision, with half
    of the views mirrored left to right. Views show at least a quarter of the image unless told
    otherwise, where training from scratch uses 8 %: calibration wants features as the network will
    meet them, not regularisation.
    """
    height, width = image.shape[:2]
    part_h, part_w = _part(height, width, rng, area)
    top = int(rng.integers(height - part_h + 1))
    left = int(rng.integers(width - part_w + 1))
    view = image[top : top + part_h, left : left + part_w]
    if rng.random() < 0.5:
        view = view[:, ::-1]
    return resize_image(np.ascontiguousarray(view), size, "area-or-linear")


def _part(
    height: int, width: int, rng: np.random.Generator, shares: tuple[float, float]
) -> tuple[int, int]:
    """Return the size of a part by area and ``ASPECT``; the whole image when none fits."""
    for _ in range(_ATTEMPTS):
        area = rng.uniform(*shares)
        aspect = math.exp(rng.uniform(*np.log(ASPECT)))
        part_h = round(height * math.sqrt(area / aspect))
        part_w = round(width * math.sqrt(area * aspect))
        if 0 < part_h <= height and 0 < part_w <= width:
            return part_h, part_w
    return height, width
