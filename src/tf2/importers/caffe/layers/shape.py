"""Layers that only move values: Flatten, Reshape, Permute, Slice, Crop.

Ref: Caffe's flatten_layer.cpp, reshape_layer.cpp, slice_layer.cpp, crop_layer.cpp; SSD's
permute_layer.cpp.
"""

from __future__ import annotations

import itertools
import math

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.registry import MANY, converts


@converts("Flatten", block="flatten_param", accepts="axis end_axis")
def convert_flatten(ctx: LayerContext) -> list[Blob]:
    """Convert to Flatten, or to Reshape where only some axes are joined."""
    axis = ctx.axis(ctx.params.integer("axis", 1, low=-32))
    end = ctx.axis(ctx.params.integer("end_axis", -1, low=-32))
    if end < axis:
        raise ctx.error(f"end_axis {end} is before axis {axis}")
    shape = ctx.bottom.shape
    flat = [*shape[:axis], math.prod(shape[axis : end + 1]), *shape[end + 1 :]]
    if axis == 1 and end == len(shape) - 1:
        return ctx.top(ctx.node("Flatten", ctx.bottom.value, axis=1), flat)
    return ctx.top(ctx.reshape(ctx.bottom, flat), flat)


@converts("Reshape", block="reshape_param", accepts="shape axis num_axes")
def convert_reshape(ctx: LayerContext) -> list[Blob]:
    """Convert to Reshape: a dim of 0 copies the input's, one of -1 takes what is left."""
    shape = ctx.bottom.shape
    asked = (ctx.params.shapes("shape") or [[]])[-1]
    start = ctx.params.integer("axis", 0, low=-32)
    start += len(shape) + 1 if start < 0 else 0
    count = ctx.params.integer("num_axes", -1, low=-1)
    end = len(shape) if count == -1 else start + count
    if not 0 <= start <= end <= len(shape):
        raise ctx.error(f"axis {start} and num_axes {count} go beyond its input of shape {shape}")
    dims = [*shape[:start], *asked, *shape[end:]]
    for i in range(start, start + len(asked)):
        if dims[i] == 0 and i >= len(shape):
            raise ctx.error(f"its dim {i - start} is 0 and its input {shape} has no axis {i}")
        dims[i] = dims[i] or shape[i]
    if dims.count(-1) > 1:
        raise ctx.error(f"its shape {asked} has more than one -1")
    known = -math.prod(dims) if -1 in dims else math.prod(dims)
    if -1 in dims and known > 0:
        dims[dims.index(-1)] = math.prod(shape) // known
    if math.prod(dims) != math.prod(shape):
        raise ctx.error(f"its shape {asked} does not fit the {math.prod(shape)} values of {shape}")
    return ctx.top(ctx.reshape(ctx.bottom, dims), dims)


@converts("Permute", block="permute_param", accepts="order")
def convert_permute(ctx: LayerContext) -> list[Blob]:
    """Convert to Transpose; axes that the order does not name follow in their order."""
    shape = ctx.bottom.shape
    order = ctx.params.integers("order")
    order += [axis for axis in range(len(shape)) if axis not in order]
    if sorted(order) != list(range(len(shape))):
        raise ctx.error(f"its order {order} must name each axis of {shape} once at most")
    if ctx.bottom.batched and order[0] != 0:
        raise ctx.error(
            f"its order {order} moves axis 0, the batch; only the axes behind it may be moved",
            "Cut the network before this layer with outputs=[...].",
        )
    return ctx.top(ctx.node("Transpose", ctx.bottom.value, perm=order), [shape[i] for i in order])


@converts("Slice", block="slice_param", accepts="axis slice_dim slice_point", tops=(1, MANY))
def convert_slice(ctx: LayerContext) -> list[Blob]:
    """Convert to Split at the slice points, or into equal parts where there are none."""
    if "axis" in ctx.params and "slice_dim" in ctx.params:
        raise ctx.error("axis and slice_dim exclude each other")
    axis = ctx.axis(ctx.params.integer("axis", ctx.params.integer("slice_dim", 1), low=-32))
    tops, size = len(ctx.layer.tops), ctx.bottom.shape[axis]
    points = ctx.params.integers("slice_point")
    if points and len(points) != tops - 1:
        raise ctx.error(f"{len(points)} slice points make {len(points) + 1} tops, it has {tops}")
    if not points and size % tops:
        raise ctx.error(f"{size} values on axis {axis} cannot be split into {tops} equal tops")
    edges = [0, *points, size] if points or tops == 1 else list(range(0, size + 1, size // tops))
    sizes = [end - start for start, end in itertools.pairwise(edges)]
    if min(sizes) < 1:
        raise ctx.error(f"slice points {points} must rise and stay inside of {size} values")
    values = ctx.node_of("Split", [ctx.bottom.value, ctx.int64("split", sizes)], tops, axis=axis)
    front, back = ctx.bottom.shape[:axis], ctx.bottom.shape[axis + 1 :]
    return [
        ctx.top(value, [*front, part, *back])[0] for value, part in zip(values, sizes, strict=True)
    ]


@converts("Crop", block="crop_param", accepts="axis offset", bottoms=(2, 2))
def convert_crop(ctx: LayerContext) -> list[Blob]:
    """Convert to Slice: from ``axis`` on, the size of the second bottom at the offsets."""
    shape, reference = ctx.bottom.shape, ctx.bottoms[1].shape
    if len(shape) != len(reference):
        raise ctx.error(f"its bottoms have the shapes {shape} and {reference}, not the same axes")
    first = ctx.axis(ctx.params.integer("axis", 2, low=-32))
    axes = list(range(first, len(shape)))
    offsets = ctx.params.integers("offset") or [0]
    if len(offsets) == 1:
        offsets = offsets * len(axes)
    if len(offsets) != len(axes):
        raise ctx.error(
            f"it has {len(offsets)} offsets; give 1, or {len(axes)}, one a cropped axis"
        )
    ends = [start + reference[axis] for start, axis in zip(offsets, axes, strict=True)]
    if any(end > shape[axis] for end, axis in zip(ends, axes, strict=True)):
        raise ctx.error(
            f"offsets {offsets} and the second bottom's shape {reference} leave the first's {shape}"
        )
    bounds = ctx.int64("starts", offsets), ctx.int64("ends", ends), ctx.int64("axes", axes)
    value = ctx.node("Slice", ctx.bottom.value, *bounds)
    return ctx.top(value, [*shape[:first], *reference[first:]])
