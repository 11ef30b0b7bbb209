"""How an image is brought to a size, as a value that can be stored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tf2.data.resampling import Interpolation, resize_image
from tf2.errors import DataError

MAX_SIDE = 16384  # pixels; a typing error should not allocate the machine's memory
MAX_RESIZED_PIXELS = 1 << 26  # a 1 x 10000 strip brought to a short side of 256 has 655 million

Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]


class Resize(BaseModel):
    """How an image is brought to a size; refuses unknown keys and wrong values when it is made.

    Attributes:
        mode: ``squash`` gives exactly ``size`` and does not keep the aspect ratio. ``short-side``
            gives the shorter side ``size`` pixels and keeps the ratio (the longer side is rounded
            down, as in torchvision). ``letterbox`` fits the image into ``size``, keeps the ratio
            and fills the rest, half on each side.
        size: (height, width) in pixels; one number means a square, or the shorter side.
        interpolation: See ``tf2.data.resampling``.
        fill: The byte that fills a letterbox, in all channels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["squash", "short-side", "letterbox"]
    size: Side | tuple[Side, Side]
    interpolation: Interpolation = "area-or-linear"
    fill: Annotated[int, Field(strict=True, ge=0, le=255)] = 114

    @model_validator(mode="after")
    def _one_number_for_the_short_side(self) -> Self:
        if self.mode == "short-side" and not isinstance(self.size, int):
            raise ValueError(f"short-side takes one number of pixels as its size, not {self.size}")
        return self

    @property
    def height_width(self) -> tuple[int, int]:
        """``size`` as (height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that an image of ``height`` x ``width`` is resampled to."""
        goal_h, goal_w = self.height_width
        if self.mode == "squash":
            return goal_h, goal_w
        if self.mode == "short-side":
            short = min(height, width)
            return goal_h * height // short, goal_h * width // short
        ratio = min(goal_h / height, goal_w / width)
        return max(1, round(height * ratio)), max(1, round(width * ratio))

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ``image`` (H, W, C) at its new size, uint8; the image itself when it fits.

        Raises:
            DataError: The result would be too large to hold, as a strip at its aspect ratio is.
        """
        height, width = target = self.target(*image.shape[:2])
        if height * width > MAX_RESIZED_PIXELS:
            raise DataError(
                f"an image of {image.shape[0]}x{image.shape[1]} (height x width) would become "
                f"{height}x{width}, more than {MAX_RESIZED_PIXELS} pixels. Crop it before, or "
                "resize to a smaller size, by 'squash' or 'letterbox'"
            )
        resized = resize_image(image, target, self.interpolation)
        if self.mode != "letterbox":
            return resized
        goal_h, goal_w = self.height_width
        canvas = np.full((goal_h, goal_w, image.shape[2]), self.fill, np.uint8)
        top, left = (goal_h - height) // 2, (goal_w - width) // 2
        canvas[top : top + height, left : left + width] = resized
        return canvas
