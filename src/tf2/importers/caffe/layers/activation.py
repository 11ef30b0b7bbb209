"""Element by element functions of one blob.

Ref: Caffe's relu_layer.cpp, elu_layer.cpp, prelu_layer.cpp, power_layer.cpp, exp_layer.cpp,
log_layer.cpp; softmax_layer.cpp. ReLU6 is the layer of MobileNet forks: min(max(x, 0), 6).
"""

from __future__ import annotations

import math

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.registry import MANY, converts


@converts("ReLU", block="relu_param", accepts="negative_slope", ignores="engine")
def convert_relu(ctx: LayerContext) -> list[Blob]:
    """Convert to Relu, or to LeakyRelu where negative_slope is not 0."""
    slope = ctx.params.number("negative_slope", 0.0)
    if slope == 0.0:
        return ctx.same(ctx.node("Relu", ctx.bottom.value))
    return ctx.same(ctx.node("LeakyRelu", ctx.bottom.value, alpha=slope))


@converts("ReLU6")
def convert_relu6(ctx: LayerContext) -> list[Blob]:
    """Convert to Clip between 0 and 6."""
    bounds = ctx.scalar("min", 0.0), ctx.scalar("max", 6.0)
    return ctx.same(ctx.node("Clip", ctx.bottom.value, *bounds))


@converts("ELU", block="elu_param", accepts="alpha", ignores="engine")
def convert_elu(ctx: LayerContext) -> list[Blob]:
    """Convert to Elu."""
    return ctx.same(ctx.node("Elu", ctx.bottom.value, alpha=ctx.params.number("alpha", 1.0)))


@converts(
    "PReLU", block="prelu_param", accepts="channel_shared", ignores="filler", has_weights=True
)
def convert_prelu(ctx: LayerContext) -> list[Blob]:
    """Convert to PRelu with one slope a channel, or one for all."""
    ctx.need_rank(2, 3, 4, 5)
    if ctx.params.flag("channel_shared", False):
        slope = ctx.weight(0, (1,), of=1)
    else:
        channels = ctx.bottom.shape[1]
        slope = ctx.weight(0, (channels,), of=1)
        slope = slope.reshape(channels, *[1] * (len(ctx.bottom.shape) - 2))
    return ctx.same(ctx.node("PRelu", ctx.bottom.value, ctx.constant("slope", slope)))


@converts("Sigmoid", block="sigmoid_param", ignores="engine")
def convert_sigmoid(ctx: LayerContext) -> list[Blob]:
    """Convert to Sigmoid."""
    return ctx.same(ctx.node("Sigmoid", ctx.bottom.value))


@converts("TanH", block="tanh_param", ignores="engine")
def convert_tanh(ctx: LayerContext) -> list[Blob]:
    """Convert to Tanh."""
    return ctx.same(ctx.node("Tanh", ctx.bottom.value))


@converts("AbsVal")
def convert_absval(ctx: LayerContext) -> list[Blob]:
    """Convert to Abs."""
    return ctx.same(ctx.node("Abs", ctx.bottom.value))


@converts("Power", block="power_param", accepts="power scale shift")
def convert_power(ctx: LayerContext) -> list[Blob]:
    """Convert to (shift + scale * x) ** power, without the steps that change nothing."""
    value = ctx.affine(
        ctx.bottom.value, ctx.params.number("scale", 1.0), ctx.params.number("shift", 0.0)
    )
    power = ctx.params.number("power", 1.0)
    if power != 1.0:
        value = ctx.node("Pow", value, ctx.scalar("power", power))
    return ctx.same(value)


@converts("Exp", block="exp_param", accepts="base scale shift")
def convert_exp(ctx: LayerContext) -> list[Blob]:
    """Convert to base ** (shift + scale * x), as e ** (ln base * (shift + scale * x))."""
    rate = _log_of_base(ctx)
    scale, shift = ctx.params.number("scale", 1.0), ctx.params.number("shift", 0.0)
    return ctx.same(ctx.node("Exp", ctx.affine(ctx.bottom.value, rate * scale, rate * shift)))


@converts("Log", block="log_param", accepts="base scale shift")
def convert_log(ctx: LayerContext) -> list[Blob]:
    """Convert to the logarithm of shift + scale * x to the base."""
    rate = _log_of_base(ctx)
    if rate == 0.0:
        raise ctx.error("base is 1; there is no logarithm to it")
    scale, shift = ctx.params.number("scale", 1.0), ctx.params.number("shift", 0.0)
    value = ctx.node("Log", ctx.affine(ctx.bottom.value, scale, shift))
    return ctx.same(ctx.affine(value, 1.0 / rate, 0.0))


def _log_of_base(ctx: LayerContext) -> float:
    base = ctx.params.number("base", -1.0)
    if base == -1.0:  # Caffe's way to say e
        return 1.0
    if base <= 0.0:
        raise ctx.error(f"base is {base}; it must be positive, or -1 for e")
    return math.log(base)


@converts("Softmax", block="softmax_param", accepts="axis", ignores="engine")
def convert_softmax(ctx: LayerContext) -> list[Blob]:
    """Convert to Softmax over one axis."""
    axis = ctx.axis(ctx.params.integer("axis", 1, low=-32))
    return ctx.same(ctx.node("Softmax", ctx.bottom.value, axis=axis))


@converts("Dropout", block="dropout_param", accepts="scale_train", ignores="dropout_ratio")
def convert_dropout(ctx: LayerContext) -> list[Blob]:
    """Convert to Identity: nothing is dropped at inference.

    ``scale_train: false`` (a fork's) would scale at inference, so it is refused.
    """
    if not ctx.params.flag("scale_train", True):
        raise ctx.error(
            "scale_train is false: this scales at inference", "Use a Power layer with that scale."
        )
    return ctx.same(ctx.node("Identity", ctx.bottom.value))


@converts("Split", tops=(1, MANY))
def convert_split(ctx: LayerContext) -> list[Blob]:
    """Convert to one Identity a top."""
    return [ctx.same(ctx.node("Identity", ctx.bottom.value))[0] for _ in ctx.layer.tops]
