"""BatchNorm, Scale, Bias, LRN and Normalize.

Ref: Caffe's batch_norm_layer.cpp, scale_layer.cpp, bias_layer.cpp, lrn_layer.cpp; SSD's
normalize_layer.cpp (github.com/weiliu89/caffe, branch ssd).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.registry import converts


@converts(
    "BatchNorm",
    block="batch_norm_param",
    accepts="use_global_stats eps",
    ignores="moving_average_fraction engine",
    has_weights=True,
)
def convert_batch_norm(ctx: LayerContext) -> list[Blob]:
    """Convert to BatchNormalization: (x - mean/f) / sqrt(var/f + eps); f = 0 stands for 1/f = 0."""
    if not ctx.params.flag("use_global_stats", True):
        raise ctx.error(
            "use_global_stats is false: it would normalize by the statistics of each batch",
            "Remove the setting to use the stored statistics.",
        )
    ctx.need_rank(2, 3, 4, 5)
    channels = ctx.bottom.shape[1]
    factor = float(ctx.weight(2, (1,), of=3)[0])
    inverse = np.float32(0.0 if factor == 0.0 else 1.0 / factor)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = ctx.weight(0, (channels,), of=3) * inverse
        variance = ctx.weight(1, (channels,), of=3) * inverse
    eps = ctx.params.number("eps", 1e-5)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ctx.error(
            f"its statistics over the factor {factor} leave float32", "Train it longer."
        )
    if (variance + np.float32(eps) <= 0).any():
        raise ctx.error(
            f"variance + eps is not positive (least variance {variance.min()}, eps {eps})",
            "Give eps in batch_norm_param, or check that the caffemodel belongs to the prototxt.",
        )
    arrays = [
        ctx.constant("scale", np.ones(channels, np.float32)),
        ctx.constant("bias", np.zeros(channels, np.float32)),
        ctx.constant("mean", mean),
        ctx.constant("var", variance),
    ]
    return ctx.same(ctx.node("BatchNormalization", ctx.bottom.value, *arrays, epsilon=eps))


@converts(
    "Scale",
    block="scale_param",
    accepts="axis num_axes bias_term",
    ignores="filler bias_filler engine",
    bottoms=(1, 2),
    has_weights=True,
)
def convert_scale(ctx: LayerContext) -> list[Blob]:
    """Convert to Mul and Add, broadcast from ``axis`` on; the factors are learned or a bottom."""
    has_bias = ctx.params.flag("bias_term", False)
    is_learned = len(ctx.bottoms) == 1
    count = is_learned + has_bias
    covered = _covered_shape(ctx)
    if is_learned:
        factors = _learned(ctx, 0, covered, "weight", of=count)
    else:
        factors = _second_bottom(ctx)
        if not has_bias:
            ctx.need_no_weights()
    value = ctx.node("Mul", ctx.bottom.value, factors)
    if has_bias:
        value = ctx.node("Add", value, _learned(ctx, count - 1, covered, "bias", of=count))
    return ctx.same(value)


@converts(
    "Bias",
    block="bias_param",
    accepts="axis num_axes",
    ignores="filler",
    bottoms=(1, 2),
    has_weights=True,
)
def convert_bias(ctx: LayerContext) -> list[Blob]:
    """Convert to Add, broadcast from ``axis`` on; the summand is learned or the second bottom."""
    if len(ctx.bottoms) == 1:
        summand = _learned(ctx, 0, _covered_shape(ctx), "bias", of=1)
    else:
        ctx.need_no_weights()
        summand = _second_bottom(ctx)
    return ctx.same(ctx.node("Add", ctx.bottom.value, summand))


def _covered_shape(ctx: LayerContext) -> tuple[int, ...]:
    """Return the part of the first bottom's shape that factors or summands cover."""
    if len(ctx.bottoms) == 2:
        return ctx.bottoms[1].shape
    axes = ctx.params.integer("num_axes", 1, low=-1)
    if axes == 0:
        return ()
    axis = ctx.axis(ctx.params.integer("axis", 1, low=-32))
    end = len(ctx.bottom.shape) if axes == -1 else axis + axes
    if end > len(ctx.bottom.shape):
        raise ctx.error(
            f"axis {axis} with num_axes {axes} goes beyond its input of shape {ctx.bottom.shape}"
        )
    return ctx.bottom.shape[axis:end]


def _learned(ctx: LayerContext, index: int, shape: Sequence[int], name: str, *, of: int) -> str:
    array = ctx.weight(index, shape, of=of)
    return ctx.constant(name, array.reshape(_broadcast_shape(ctx, shape)))


def _broadcast_shape(ctx: LayerContext, shape: Sequence[int]) -> list[int]:
    """Return the shape with ones behind it, so that ONNX aligns it with ``axis``."""
    if not shape:
        return []
    axis = ctx.params.integer("axis", 1, low=-32) % len(ctx.bottom.shape)
    return [*shape, *[1] * (len(ctx.bottom.shape) - axis - len(shape))]


def _second_bottom(ctx: LayerContext) -> str:
    other = ctx.bottoms[1]
    axis = ctx.axis(ctx.params.integer("axis", 1, low=-32), for_batch=True)
    if ctx.bottom.shape[axis : axis + len(other.shape)] != other.shape:
        raise ctx.error(
            f"its second bottom of shape {other.shape} does not fit its first of shape "
            f"{ctx.bottom.shape} from axis {axis} on"
        )
    if other.batched != (ctx.bottom.batched and axis == 0):
        raise ctx.error(
            f"with axis {axis} the batch of one bottom would meet another axis of the other",
            "Give axis: 0 where the second bottom has a batch axis.",
        )
    shape = [*other.shape, *[1] * (len(ctx.bottom.shape) - axis - len(other.shape))]
    return other.value if tuple(shape) == other.shape else ctx.reshape(other, shape)


@converts("LRN", block="lrn_param", accepts="local_size alpha beta norm_region k", ignores="engine")
def convert_lrn(ctx: LayerContext) -> list[Blob]:
    """Convert to LRN across channels, or to its formula with an AveragePool within a channel."""
    ctx.need_rank(4)
    size = ctx.params.integer("local_size", 5, low=1, high=1 << 20)
    if size % 2 == 0:
        raise ctx.error(f"local_size is {size}; Caffe takes odd sizes only")
    alpha, beta = ctx.params.number("alpha", 1.0), ctx.params.number("beta", 0.75)
    regions = {"ACROSS_CHANNELS": 0, "WITHIN_CHANNEL": 1}
    if ctx.params.choice("norm_region", regions, "ACROSS_CHANNELS") == "ACROSS_CHANNELS":
        k = ctx.params.number("k", 1.0)
        return ctx.same(
            ctx.node("LRN", ctx.bottom.value, size=size, alpha=alpha, beta=beta, bias=k)
        )
    # x * (1 + alpha * mean of squares)**-beta over size x size, padding counted; k is not used here
    square = ctx.node("Mul", ctx.bottom.value, ctx.bottom.value)
    mean = ctx.node(
        "AveragePool",
        square,
        kernel_shape=[size, size],
        pads=[size // 2] * 4,
        strides=[1, 1],
        count_include_pad=1,
    )
    base = ctx.node("Add", ctx.affine(mean, alpha, 0.0), ctx.scalar("one", 1.0))
    return ctx.same(
        ctx.node("Mul", ctx.bottom.value, ctx.node("Pow", base, ctx.scalar("power", -beta)))
    )


@converts(
    "Normalize",
    block="norm_param",
    accepts="across_spatial channel_shared eps",
    ignores="scale_filler",
    has_weights=True,
)
def convert_normalize(ctx: LayerContext) -> list[Blob]:
    """Convert to x * scale / sqrt(sum of squares + eps), over channels or the whole image."""
    ctx.need_rank(4)
    shape = (1,) if ctx.params.flag("channel_shared", True) else (ctx.bottom.shape[1], 1, 1)
    scale = ctx.weight(0, shape[:1], of=1).reshape(shape)
    axes = [1, 2, 3] if ctx.params.flag("across_spatial", True) else [1]
    total = ctx.node("ReduceSumSquare", ctx.bottom.value, ctx.int64("axes", axes), keepdims=1)
    eps = ctx.scalar("eps", ctx.params.number("eps", 1e-10))
    norm = ctx.node("Sqrt", ctx.node("Add", total, eps))
    value = ctx.node("Div", ctx.bottom.value, norm)
    return ctx.same(ctx.node("Mul", value, ctx.constant("scale", scale)))
