"""From a photograph to the tensor a network was trained on, as one value that can be stored.

The steps, in this order, each optional but the last two::

    resize -> centre crop -> channels (RGB, BGR, GRAY) -> layout       bytes: apply_raw
           -> x = (pixel * scale - mean) / std                         float32: apply

Everything before the affine works on bytes and everything after it is a function of one byte and
its channel, so a compiler may feed the bytes and fold ``affine()`` into the first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tf2.data.resize import Resize, Side
from tf2.errors import DataError

MAX_FILE_BYTES = 1 << 20

Size = Annotated[tuple[Side, Side], BeforeValidator(lambda v: (v, v) if isinstance(v, int) else v)]
PerChannel = Annotated[
    tuple[float, ...], BeforeValidator(lambda v: (v,) if isinstance(v, int | float) else v)
]


class Preprocessing(BaseModel):
    """A stored recipe from a uint8 RGB image to a network's input; frozen, and JSON both ways.

    Attributes:
        resize: None leaves the size alone.
        crop: Centre crop (height, width) after resizing; one number means a square. An odd margin
            is split as in torchvision (half to even).
        keep_exact_size: An image that already has the output size is neither resized nor cropped.
            Data sets are often stored at the network's size, and enlarging 227 to 256 only to cut
            227 out of it would show the network a zoomed image.
        channels: The order the network wants. GRAY is ITU-R 601 luma, as in Pillow and OpenCV.
        scale: Multiplies the byte first; 1/255 for networks trained on 0..1.
        mean: Subtracted after ``scale``; one number, or one per channel in the order of
            ``channels``.
        std: Divides last; as ``mean``.
        layout: Of the result, without the batch axis: NCHW gives (C, H, W).
        swap_hw: Exchange height and width at the end (networks trained in Matlab's column order).
            ``resize`` and ``crop`` are in terms of the upright image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    resize: Resize | None = None
    crop: Size | None = None
    keep_exact_size: bool = True
    channels: Literal["RGB", "BGR", "GRAY"] = "RGB"
    scale: Annotated[float, Field(gt=0)] = 1.0
    mean: PerChannel = (0.0,)
    std: PerChannel = (1.0,)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    swap_hw: bool = False

    @model_validator(mode="after")
    def _values_fit_each_other(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channel_count):
                raise ValueError(
                    f"{name} has {len(values)} values; {self.channels} needs 1 or "
                    f"{self.channel_count}"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std must be greater than 0, not {self.std}")
        if not np.isfinite(self._table()).all():
            raise ValueError("scale, mean and std give values that float32 cannot hold")
        return self

    @classmethod
    def load(cls, name_or_path: str | Path) -> Preprocessing:
        """Return the preset of that name, or the recipe in that JSON file.

        Raises:
            DataError: Neither exists, or the file is no recipe; says which keys are wrong.
        """
        from tf2.data.presets import PRESETS

        if str(name_or_path) in PRESETS:
            return PRESETS[str(name_or_path)]
        path = Path(name_or_path)
        if not path.is_file():
            raise DataError(
                f"preprocessing {str(name_or_path)!r} is neither a preset nor a file. "
                f"Presets: {', '.join(PRESETS)}; or give a JSON file"
            )
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise DataError(f"{path}: larger than {MAX_FILE_BYTES} bytes: no preprocessing")
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataError(f"{path}: not a preprocessing: {_reasons(error)}") from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error

    @property
    def channel_count(self) -> int:
        """1 for GRAY, else 3."""
        return 1 if self.channels == "GRAY" else 3

    @property
    def output_size(self) -> tuple[int, int] | None:
        """(height, width) of every upright result, before ``swap_hw``; None when it varies."""
        if self.crop is not None:
            return self.crop
        if self.resize is None or self.resize.mode == "short-side":
            return None
        return self.resize.height_width

    @property
    def output_shape(self) -> tuple[int, int, int] | None:
        """Shape of every result of ``apply``; None when it varies with the image."""
        if self.output_size is None:
            return None
        height, width = self.output_size[::-1] if self.swap_hw else self.output_size
        if self.layout == "NCHW":
            return self.channel_count, height, width
        return height, width, self.channel_count

    def with_output_size(self, size: tuple[int, int]) -> Preprocessing:
        """Return this recipe for a network whose upright input is ``size`` = (height, width).

        A crop keeps its proportion to the resize before it: 256/224 becomes 342/299. Without a
        crop the image is resized to ``size``, by the same mode or, if there was none, squashed.
        """
        changes: dict[str, Any] = {"resize": self._resize_for(size)}
        if self.crop is not None or (self.resize and self.resize.mode == "short-side"):
            changes["crop"] = size
        return Preprocessing.model_validate(dict(self) | changes)

    def _resize_for(self, size: tuple[int, int]) -> Resize | None:
        if self.resize is None:
            return None if self.crop is not None else Resize(mode="squash", size=size)
        if self.resize.mode == "short-side":
            margin = 1.0 if self.crop is None else self.resize.height_width[0] / max(self.crop)
            new_size: int | tuple[int, int] = round(max(size) * margin)
        else:
            before = self.resize.height_width
            crop = self.crop or before
            new_size = (
                round(size[0] * before[0] / crop[0]),
                round(size[1] * before[1] / crop[1]),
            )
        return Resize.model_validate(dict(self.resize) | {"size": new_size})

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 (C, H, W) or (H, W, C) by ``layout`` from uint8 (H, W, 3) RGB.

        Each value is (pixel * scale - mean) / std computed in float64 and rounded once.

        Raises:
            DataError: The image has another shape or type, or is smaller than the crop.
        """
        raw = self.apply_raw(image)
        channel = np.arange(self.channel_count)
        shape = (-1, 1, 1) if self.layout == "NCHW" else (1, 1, -1)
        return self._table()[channel.reshape(shape), raw]

    def apply_raw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the bytes that ``apply`` takes through the affine; same shape, own memory.

        Raises:
            DataError: As ``apply``.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            found = getattr(image, "dtype", type(image).__name__)
            raise DataError(f"an image must be a uint8 array, not {found}")
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise DataError(f"an image must have shape (H, W, 3) in RGB order, not {image.shape}")
        if not (self.keep_exact_size and image.shape[:2] == self.output_size):
            image = self._crop(image if self.resize is None else self.resize.apply(image))
        image = _ORDER[self.channels](image)
        if self.swap_hw:
            image = image.swapaxes(0, 1)
        if self.layout == "NCHW":
            image = image.transpose(2, 0, 1)
        return np.array(image, order="C")

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (gain, offset), float64 (C,): ``apply`` is ``apply_raw * gain + offset``.

        Channels are in the order of ``channels``. Equal up to float32 rounding of the result.
        """
        mean, std = self._per_channel(self.mean), self._per_channel(self.std)
        return self.scale / std, -mean / std

    def describe(self) -> str:
        """Return the recipe in one line, in the order of the steps."""
        parts = []
        if self.resize is not None:
            size = self.resize.size
            text = str(size) if self.resize.mode == "short-side" else _x(self.resize.height_width)
            parts.append(f"{self.resize.mode} {text} ({self.resize.interpolation})")
        if self.crop is not None:
            parts.append(f"centre crop {_x(self.crop)}")
        parts.append(f"{self.channels} {self._formula()}")
        parts.append(self.layout + (" with height and width swapped" if self.swap_hw else ""))
        if self.keep_exact_size and self.output_size:
            parts.append(f"images of {_x(self.output_size)} used as they are")
        return ", ".join(parts)

    def _formula(self) -> str:
        text = "pixel"
        if self.scale != 1:
            divisor = round(1 / self.scale) if self.scale < 1 else 0
            by_whole = divisor and self.scale == 1 / divisor
            text += f"/{divisor}" if by_whole else f" * {self.scale:.6g}"
        if any(self.mean):
            text += f" - {_numbers(self.mean)}"
        if set(self.std) == {1.0}:
            return text
        return (
            f"({text}) / {_numbers(self.std)}" if " " in text else f"{text} / {_numbers(self.std)}"
        )

    def _per_channel(self, values: tuple[float, ...]) -> NDArray[np.float64]:
        return np.broadcast_to(np.asarray(values, np.float64), self.channel_count)

    def _table(self) -> NDArray[np.float32]:
        """The affine as a table (C, 256): exact, and faster than computing it per pixel."""
        mean, std = self._per_channel(self.mean)[:, None], self._per_channel(self.std)[:, None]
        with np.errstate(over="ignore"):  # the validator refuses what overflows
            return ((np.arange(256.0) * self.scale - mean) / std).astype(np.float32)

    def _crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.crop is None:
            return image
        height, width = self.crop
        if image.shape[0] < height or image.shape[1] < width:
            after = "" if self.resize is None else " after resizing"
            raise DataError(
                f"an image of {_x(image.shape)} (height x width){after} is smaller than the crop "
                f"{_x(self.crop)}. Use larger images, a smaller crop, or a resize before it"
            )
        top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
        return image[top : top + height, left : left + width]


def _luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R 601 luma in Pillow's 16-bit integers: exact, (H, W, 1)."""
    total = image.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((total + 0x8000) >> 16).astype(np.uint8)[:, :, None]


_ORDER: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "RGB": lambda image: image,
    "BGR": lambda image: image[:, :, ::-1],
    "GRAY": _luma,
}


def _x(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")" if len(values) > 1 else f"{values[0]:g}"


def _reasons(error: ValidationError) -> str:
    """What pydantic found, as ``key: reason`` for each wrong key."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in found)
