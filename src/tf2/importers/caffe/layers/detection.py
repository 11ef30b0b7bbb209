"""SSD's PriorBox, as a constant; DetectionOutput, refused with the way around it.

Ref: SSD's prior_box_layer.cpp (github.com/weiliu89/caffe, branch ssd); Liu et al. 2016,
arXiv:1512.02325, section 2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tf2.importers.caffe.context import MAX_CONSTANT, Blob, LayerContext
from tf2.importers.caffe.layers.registry import MANY, converts

_SAME_RATIO = 1e-6  # Caffe's: ratios closer than this are one
_MAX_BOXES = 1024  # priors a position; published nets have 3 to 10


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Image size, distance of centres, and (width, height) of each prior, in pixels."""

    image: tuple[int, int]
    step: tuple[float, float]
    boxes: list[tuple[float, float]]


@converts(
    "PriorBox",
    block="prior_box_param",
    accepts=(
        "min_size max_size aspect_ratio flip clip variance img_size img_h img_w step step_h step_w "
        "offset"
    ),
    bottoms=(2, 2),
)
def convert_prior_box(ctx: LayerContext) -> list[Blob]:
    """Return the constant (1, 2, values): corners of the priors over the image size, variances."""
    ctx.need_rank(4)
    sizes = _sizes(ctx)
    height, width = ctx.bottom.shape[2:]
    count = height * width * len(sizes.boxes) * 4
    if 2 * count > MAX_CONSTANT:
        raise ctx.error(f"it makes {2 * count} values; at most {MAX_CONSTANT} are computed")
    corners = _corners(ctx, sizes, height, width)
    if ctx.params.flag("clip", False):
        corners = corners.clip(0.0, 1.0)
    variances = np.resize(np.array(_variances(ctx), np.float32), count)
    priors = np.stack([corners.reshape(-1), variances])[np.newaxis]
    if not np.isfinite(priors).all():
        raise ctx.error("its sizes give priors that float32 cannot hold")
    value = ctx.constant("priors", priors.astype(np.float32))
    return [Blob(value=value, shape=priors.shape, batched=False)]


def _corners(ctx: LayerContext, sizes: _Sizes, height: int, width: int) -> np.ndarray:
    """Return (height, width, priors, 4) as x_min, y_min, x_max, y_max.

    Centres in float32 as in Caffe, the rest in double, rounded at the end.
    """
    offset = np.float32(ctx.params.number("offset", 0.5))
    with np.errstate(over="ignore", invalid="ignore"):
        y, x = (
            ((np.arange(n, dtype=np.float32) + offset) * np.float32(step)).astype(np.float64)
            for n, step in zip((height, width), sizes.step, strict=True)
        )
        centres = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
        halves = np.array(sizes.boxes, np.float32).astype(np.float64) / 2.0
        image = np.array([sizes.image[1], sizes.image[0]], np.float64)
        low = (centres[:, :, None] - halves) / image
        high = (centres[:, :, None] + halves) / image
        return np.concatenate([low, high], axis=-1).astype(np.float32)


def _sizes(ctx: LayerContext) -> _Sizes:
    image = _pair(ctx, "img_size", "img_h", "img_w")
    if image is None and len(ctx.bottoms[1].shape) != 4:
        raise ctx.error(f"its second bottom, the image, has the shape {ctx.bottoms[1].shape}")
    height, width = (int(n) for n in image) if image else ctx.bottoms[1].shape[2:]
    step = _pair(ctx, "step", "step_h", "step_w")
    if step is None:
        step = height / ctx.bottom.shape[2], width / ctx.bottom.shape[3]
    return _Sizes(image=(height, width), step=step, boxes=_boxes(ctx))


def _pair(ctx: LayerContext, both: str, first: str, second: str) -> tuple[float, float] | None:
    """Return (height, width) given as one number or two, None where neither is given."""
    names = [name for name in (both, first, second) if name in ctx.params]
    if not names:
        return None
    if names not in ([both], [first, second]):
        raise ctx.error(f"give {both}, or {first} and {second}")
    numbers = [ctx.params.number(name, 0.0) for name in names]
    if min(numbers) <= 0.0 or (both == "img_size" and min(numbers) < 1.0):
        raise ctx.error(f"{' and '.join(names)} must be positive, found {numbers}")
    return numbers[0], numbers[-1]


def _boxes(ctx: LayerContext) -> list[tuple[float, float]]:
    min_sizes, max_sizes = ctx.params.numbers("min_size"), ctx.params.numbers("max_size")
    if not min_sizes or min(min_sizes) <= 0:
        raise ctx.error(f"min_size must be given and positive, found {min_sizes}")
    if max_sizes and len(max_sizes) != len(min_sizes):
        raise ctx.error(f"it has {len(min_sizes)} min_size and {len(max_sizes)} max_size")
    if any(high <= low for low, high in zip(min_sizes, max_sizes, strict=False)):
        raise ctx.error(f"each max_size {max_sizes} must be above its min_size {min_sizes}")
    ratios = _ratios(ctx)
    if len(min_sizes) * (2 + len(ratios)) > _MAX_BOXES:
        raise ctx.error(f"it has more than {_MAX_BOXES} priors a position")
    boxes = []
    for i, exact in enumerate(min_sizes):
        low = int(exact)  # Caffe keeps the sizes as int here
        boxes.append((float(low), float(low)))
        if max_sizes:
            side = math.sqrt(low * int(max_sizes[i]))
            boxes.append((side, side))
        for ratio in ratios:
            boxes.append((low * math.sqrt(ratio), low / math.sqrt(ratio)))
    return boxes


def _ratios(ctx: LayerContext) -> list[float]:
    """Return the ratios other than 1, each with its inverse where ``flip`` asks for it."""
    ratios = [1.0]
    for ratio in ctx.params.numbers("aspect_ratio"):
        if ratio <= 0.0:
            raise ctx.error(f"aspect_ratio is {ratio}; it must be positive")
        if any(abs(ratio - known) < _SAME_RATIO for known in ratios):
            continue
        ratios.append(ratio)
        if ctx.params.flag("flip", True):
            ratios.append(1.0 / ratio)
    return ratios[1:]


def _variances(ctx: LayerContext) -> list[float]:
    variances = ctx.params.numbers("variance") or [0.1]
    if len(variances) not in (1, 4) or min(variances) <= 0:
        raise ctx.error(f"variance must be 1 or 4 positive numbers, found {variances}")
    return variances


@converts(
    "DetectionOutput",
    block="detection_output_param",
    accepts=(
        "num_classes share_location background_label_id nms_param save_output_param code_type "
        "variance_encoded_in_target keep_top_k confidence_threshold"
    ),
    ignores="visualize visualize_threshold save_file",
    bottoms=(3, MANY),
)
def refuse_detection_output(ctx: LayerContext) -> list[Blob]:
    """Refuse: decoding and non-maximum suppression belong to the host program."""
    raise ctx.error(
        "decoding boxes and non-maximum suppression are not part of a compressed network",
        f"Cut the network before it with outputs={list(ctx.layer.bottoms)!r} and decode there.",
    )
