"""Layers of several bottoms, and those that pick values: Concat, Eltwise, ArgMax, Interp, Upsample.

Ref: Caffe's concat_layer.cpp, eltwise_layer.cpp, argmax_layer.cpp; DeepLab's interp_layer.cpp; the
Upsample of the YOLO forks (nearest, a whole factor).
"""

from __future__ import annotations

import math

from onnx import TensorProto

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.registry import MANY, converts


@converts("Concat", block="concat_param", accepts="axis concat_dim", bottoms=(1, MANY))
def convert_concat(ctx: LayerContext) -> list[Blob]:
    """Convert to Concat along one axis."""
    if "axis" in ctx.params and "concat_dim" in ctx.params:
        raise ctx.error("axis and concat_dim exclude each other")
    axis = ctx.axis(ctx.params.integer("axis", ctx.params.integer("concat_dim", 1), low=-32))
    _check_alike(ctx, except_axis=axis)
    shape = list(ctx.bottom.shape)
    shape[axis] = sum(bottom.shape[axis] for bottom in ctx.bottoms)
    value = ctx.node("Concat", *[bottom.value for bottom in ctx.bottoms], axis=axis)
    return ctx.top(value, shape)


@converts(
    "Eltwise",
    block="eltwise_param",
    accepts="operation coeff",
    ignores="stable_prod_grad",
    bottoms=(2, MANY),
)
def convert_eltwise(ctx: LayerContext) -> list[Blob]:
    """Convert to a chain of Add (with coefficients), Mul, or one Max."""
    _check_alike(ctx, except_axis=None)
    operation = ctx.params.choice("operation", {"PROD": 0, "SUM": 1, "MAX": 2}, "SUM")
    coefficients = ctx.params.numbers("coeff")
    if coefficients and (operation != "SUM" or len(coefficients) != len(ctx.bottoms)):
        raise ctx.error(
            f"it has {len(coefficients)} coeff for {len(ctx.bottoms)} bottoms and {operation}; "
            "give none, or with SUM one a bottom"
        )
    values = [bottom.value for bottom in ctx.bottoms]
    if operation == "MAX":
        return ctx.same(ctx.node("Max", *values))
    if coefficients:
        values = [ctx.affine(v, c, 0.0) for v, c in zip(values, coefficients, strict=True)]
    result = values[0]
    for value in values[1:]:
        result = ctx.node("Add" if operation == "SUM" else "Mul", result, value)
    return ctx.same(result)


def _check_alike(ctx: LayerContext, *, except_axis: int | None) -> None:
    first = ctx.bottom
    for other in ctx.bottoms[1:]:
        pairs = enumerate(zip(first.shape, other.shape, strict=False))
        is_alike = len(first.shape) == len(other.shape) and first.batched == other.batched
        if not is_alike or any(a != b for axis, (a, b) in pairs if axis != except_axis):
            where = "" if except_axis is None else f" but for axis {except_axis}"
            raise ctx.error(
                f"its bottoms {ctx.layer.bottoms} have the shapes "
                f"{[bottom.shape for bottom in ctx.bottoms]}; they must be the same{where}",
                "Check the network's input shape.",
            )


@converts("ArgMax", block="argmax_param", accepts="out_max_val top_k axis")
def convert_argmax(ctx: LayerContext) -> list[Blob]:
    """Convert to ArgMax or TopK; indices are float32, and the highest of equals comes first."""
    top_k = ctx.params.integer("top_k", 1, low=1)
    has_axis = "axis" in ctx.params
    wants_values = ctx.params.flag("out_max_val", False)
    if not ctx.bottom.batched:
        raise ctx.error("its input is a constant of the network")
    blob = ctx.bottom
    if not has_axis:  # over the whole image, as (N, 1, values)
        shape = [blob.shape[0], 1, math.prod(blob.shape[1:])]
        blob = Blob(value=ctx.reshape(blob, shape), shape=tuple(shape))
    axis = ctx.axis(ctx.params.integer("axis", 0, low=-32)) if has_axis else 2
    size = blob.shape[axis]
    if top_k > size:
        raise ctx.error(f"top_k is {top_k} of {size} values")
    out = [*blob.shape[:axis], top_k, *blob.shape[axis + 1 :]]
    if top_k == 1 and not wants_values:
        index = ctx.node("ArgMax", blob.value, axis=axis, keepdims=1, select_last_index=1)
        return ctx.top(ctx.node("Cast", index, to=TensorProto.FLOAT), out)
    values, indices = _top_values(ctx, blob, axis, top_k)
    if not wants_values:
        return ctx.top(indices, out)
    if has_axis:  # Caffe gives the values alone then
        return ctx.top(values, out)
    return ctx.top(ctx.node("Concat", indices, values, axis=1), [blob.shape[0], 2, top_k])


def _top_values(ctx: LayerContext, blob: Blob, axis: int, top_k: int) -> tuple[str, str]:
    """TopK of the reversed axis: ONNX gives the lowest of equals first, Caffe the highest."""
    size = blob.shape[axis]
    bounds = [[-1], [-size - 1], [axis], [-1]]
    names = ("starts", "ends", "axes", "steps")
    vectors = [ctx.int64(name, bound) for name, bound in zip(names, bounds, strict=True)]
    reverse = ctx.node("Slice", blob.value, *vectors)
    values, indices = ctx.node_of("TopK", [reverse, ctx.int64("k", [top_k])], 2, axis=axis)
    numbers = ctx.node("Cast", indices, to=TensorProto.FLOAT)
    return values, ctx.node("Sub", ctx.scalar("last", size - 1.0), numbers)


@converts(
    "Interp",
    block="interp_param",
    accepts="height width zoom_factor shrink_factor pad_beg pad_end",
    bottoms=(1, 2),
)
def convert_interp(ctx: LayerContext) -> list[Blob]:
    """Convert to a bilinear Resize with aligned corners."""
    ctx.need_rank(4)
    if ctx.params.integer("pad_beg", 0, low=-1) or ctx.params.integer("pad_end", 0, low=-1):
        raise ctx.error("pad_beg and pad_end must be 0", "Crop with a Crop layer before it.")
    sizes = _interp_sizes(ctx)
    shape = [*ctx.bottom.shape[:2], *sizes]
    ctx.need_positive(shape)
    value = ctx.node(
        "Resize",
        ctx.bottom.value,
        "",
        "",
        ctx.int64("sizes", sizes),
        axes=[2, 3],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
    return ctx.top(value, shape)


def _interp_sizes(ctx: LayerContext) -> list[int]:
    height, width = (ctx.params.integer(name, 0, low=1) for name in ("height", "width"))
    has_factor = "zoom_factor" in ctx.params or "shrink_factor" in ctx.params
    ways = (len(ctx.bottoms) == 2) + has_factor + bool(height or width)
    if ways != 1 or bool(height) != bool(width):
        raise ctx.error(
            "its size must be given in one way: a second bottom, height and width, or zoom_factor "
            "and shrink_factor"
        )
    if len(ctx.bottoms) == 2:
        return _reference_sizes(ctx)
    if height:
        return [height, width]
    shrink = ctx.params.integer("shrink_factor", 1, low=1)
    zoom = ctx.params.integer("zoom_factor", 1, low=1)
    shrunk = [(size - 1) // shrink + 1 for size in ctx.bottom.shape[2:]]
    return [size + (size - 1) * (zoom - 1) for size in shrunk]


def _reference_sizes(ctx: LayerContext) -> list[int]:
    reference = ctx.bottoms[1].shape
    if len(reference) != 4:
        raise ctx.error(f"its second bottom has the shape {reference}; 4 axes are supported")
    return list(reference[2:])


@converts("Upsample", block="upsample_param", accepts="scale stride")
def convert_upsample(ctx: LayerContext) -> list[Blob]:
    """Convert to a Resize that repeats each value ``scale`` times in both directions."""
    ctx.need_rank(4)
    names = [name for name in ("scale", "stride") if name in ctx.params]
    if len(names) != 1:
        raise ctx.error("its factor must be given once, as scale or stride")
    factor = ctx.params.integer(names[0], 1, low=1, high=1 << 20)
    sizes = [size * factor for size in ctx.bottom.shape[2:]]
    shape = [*ctx.bottom.shape[:2], *sizes]
    ctx.need_positive(shape)
    value = ctx.node(
        "Resize",
        ctx.bottom.value,
        "",
        "",
        ctx.int64("sizes", sizes),
        axes=[2, 3],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return ctx.top(value, shape)
