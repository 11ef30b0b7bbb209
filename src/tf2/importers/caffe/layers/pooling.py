"""Pooling, with Caffe's rounding of the output size.

    out = ceil((in + 2 pad - kernel) / stride) + 1, one less where the last window would start at or
    behind in + pad (looked at only where a pad is given). An average divides by the window's size
    including padding, but not what hangs over in + pad.

ONNX's ceil_mode is not used: its shape inference up to opset 21 keeps the window that starts in the
padding, and runtimes disagree on the divisor of windows that hang over (onnx.reference 1.23 against
ONNX Runtime 1.32: 6 of 135 shapes differ). Explicit end padding says the same without doubt.

Ref: Caffe's pooling_layer.cpp.
"""

from __future__ import annotations

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.convolution import spatial_numbers
from tf2.importers.caffe.layers.registry import converts


@converts(
    "Pooling",
    block="pooling_param",
    accepts=(
        "pool pad pad_h pad_w kernel_size kernel_h kernel_w stride stride_h stride_w "
        "global_pooling round_mode ceil_mode"
    ),
    ignores="engine",
)
def convert_pooling(ctx: LayerContext) -> list[Blob]:
    """Convert to MaxPool or AveragePool (global ones where asked for) of exactly Caffe's size."""
    ctx.need_rank(4)
    method = ctx.params.choice("pool", {"MAX": 0, "AVE": 1, "STOCHASTIC": 2}, "MAX")
    if method == "STOCHASTIC":
        raise ctx.error(
            "pool is STOCHASTIC; MAX and AVE are supported", "Retrain with one of these."
        )
    sizes = ctx.bottom.shape[2:]
    if ctx.params.flag("global_pooling", False):
        return _global(ctx, method)
    kernel = spatial_numbers(ctx, "kernel_size", "kernel", 2, low=1)
    if kernel is None:
        raise ctx.error("kernel_size is missing; give it, kernel_h and kernel_w, or global_pooling")
    stride = spatial_numbers(ctx, "stride", "stride", 2, low=1) or (1, 1)
    pad = spatial_numbers(ctx, "pad", "pad", 2, low=0) or (0, 0)
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise ctx.error(f"pad {pad} must be smaller than the kernel {kernel}")
    has_pad = any(pad)
    outs = [
        _out_size(ctx, sizes[i], kernel[i], stride[i], pad[i], has_pad=has_pad) for i in range(2)
    ]
    ends = [_end_pad(sizes[i], kernel[i], stride[i], pad[i], outs[i]) for i in range(2)]
    pads = [*pad, *ends]
    window = {"kernel_shape": list(kernel), "strides": list(stride)}
    shape = [*ctx.bottom.shape[:2], *outs]
    if method == "MAX":
        return ctx.top(ctx.node("MaxPool", ctx.bottom.value, pads=pads, **window), shape)
    return ctx.top(_average(ctx, list(pad), ends, window), shape)


def _global(ctx: LayerContext, method: str) -> list[Blob]:
    for name in ("kernel_size", "kernel_h", "kernel_w"):
        if name in ctx.params:
            raise ctx.error(f"global_pooling and {name} exclude each other")
    for name, prefix, low, neutral in (("pad", "pad", 0, 0), ("stride", "stride", 1, 1)):
        values = spatial_numbers(ctx, name, prefix, 2, low=low) or ()
        if any(value != neutral for value in values):
            raise ctx.error(f"global_pooling needs {name} {neutral}, it is {values}")
    op = "GlobalMaxPool" if method == "MAX" else "GlobalAveragePool"
    return ctx.top(ctx.node(op, ctx.bottom.value), [*ctx.bottom.shape[:2], 1, 1])


def _average(
    ctx: LayerContext, pad: list[int], ends: list[int], window: dict[str, list[int]]
) -> str:
    value = ctx.bottom.value
    if ends == pad:  # every window lies inside image and padding: all divisors are equal
        counts = {"count_include_pad": 1} if any(pad) else {}
        return ctx.node("AveragePool", value, pads=pad * 2, **counts, **window)
    if any(pad):  # zeros that count, so that the overhang is all that AveragePool leaves out
        value = ctx.node("Pad", value, ctx.int64("pads", [0, 0, *pad, 0, 0, *pad]))
    overhang = [end - p for end, p in zip(ends, pad, strict=True)]
    return ctx.node("AveragePool", value, pads=[0, 0, *overhang], **window)


def _out_size(
    ctx: LayerContext, size: int, kernel: int, stride: int, pad: int, *, has_pad: bool
) -> int:
    room = size + 2 * pad - kernel
    out = -(-room // stride) + 1 if _rounds_up(ctx) else room // stride + 1
    if has_pad and (out - 1) * stride >= size + pad:
        out -= 1
    if out < 1 or (out - 1) * stride - pad >= size:
        raise ctx.error(
            f"with kernel {kernel}, stride {stride} and pad {pad} on {size} values a window lies "
            "outside of the image, where Caffe's result is undefined",
            "Check the network's input shape, or use a smaller kernel or stride.",
        )
    return out


def _rounds_up(ctx: LayerContext) -> bool:
    mode = ctx.params.choice("round_mode", {"CEIL": 0, "FLOOR": 1}, "CEIL")
    return mode == "CEIL" and ctx.params.flag("ceil_mode", True)


def _end_pad(size: int, kernel: int, stride: int, pad: int, out: int) -> int:
    """Return the end padding, ``pad`` or more, that makes ONNX's floor formula give ``out``."""
    return max(pad, (out - 1) * stride + kernel - size - pad)
