"""Convolution, Deconvolution and InnerProduct.

Ref: Caffe's base_conv_layer.cpp, conv_layer.cpp, deconv_layer.cpp, inner_product_layer.cpp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tf2.importers.caffe.context import Blob, LayerContext
from tf2.importers.caffe.layers.registry import converts

_ACCEPTS = (
    "num_output bias_term pad pad_h pad_w kernel_size kernel_h kernel_w stride stride_h stride_w "
    "dilation group axis"
)
_IGNORES = "weight_filler bias_filler engine force_nd_im2col"


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Kernel, stride, pad and dilation, one number a spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> list[int]:
        return [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]

    def attributes(self) -> dict[str, list[int]]:
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.stride),
            "pads": list(self.pad) * 2,
            "dilations": list(self.dilation),
        }


@converts(
    "Convolution",
    "ConvolutionDepthwise",
    "DepthwiseConvolution",
    block="convolution_param",
    accepts=_ACCEPTS,
    ignores=_IGNORES,
    has_weights=True,
)
def convert_convolution(ctx: LayerContext) -> list[Blob]:
    """Convert to Conv: out = floor((in + 2 pad - extent) / stride) + 1, as Caffe has it."""
    channels, outputs, group = _channels(ctx)
    if ctx.layer.type != "Convolution" and "group" not in ctx.params:
        group = channels  # what these layer types mean; the divisibility is checked below
    _check_group(ctx, channels, outputs, group)
    window = _window(ctx)
    spatial = [
        (size + 2 * pad - extent) // stride + 1
        for size, pad, extent, stride in zip(
            ctx.bottom.shape[2:], window.pad, window.extent, window.stride, strict=True
        )
    ]
    shape = (outputs, channels // group, *window.kernel)
    value = ctx.node(
        "Conv", ctx.bottom.value, *_arrays(ctx, shape, outputs), group=group, **window.attributes()
    )
    return ctx.top(value, [ctx.bottom.shape[0], outputs, *spatial])


@converts(
    "Deconvolution",
    block="convolution_param",
    accepts=_ACCEPTS,
    ignores=_IGNORES,
    has_weights=True,
)
def convert_deconvolution(ctx: LayerContext) -> list[Blob]:
    """Convert to ConvTranspose: out = stride * (in - 1) + extent - 2 pad."""
    channels, outputs, group = _channels(ctx)
    _check_group(ctx, channels, outputs, group)
    window = _window(ctx)
    spatial = [
        stride * (size - 1) + extent - 2 * pad
        for size, pad, extent, stride in zip(
            ctx.bottom.shape[2:], window.pad, window.extent, window.stride, strict=True
        )
    ]
    shape = (channels, outputs // group, *window.kernel)
    value = ctx.node(
        "ConvTranspose",
        ctx.bottom.value,
        *_arrays(ctx, shape, outputs),
        group=group,
        **window.attributes(),
    )
    return ctx.top(value, [ctx.bottom.shape[0], outputs, *spatial])


@converts(
    "InnerProduct",
    block="inner_product_param",
    accepts="num_output bias_term axis transpose",
    ignores="weight_filler bias_filler engine",
    has_weights=True,
)
def convert_inner_product(ctx: LayerContext) -> list[Blob]:
    """Convert to Gemm on the flattened image, or to MatMul where axes before ``axis`` stay."""
    outputs = _num_output(ctx)
    axis = ctx.axis(ctx.params.integer("axis", 1, low=-32))
    kept, features = ctx.bottom.shape[:axis], math.prod(ctx.bottom.shape[axis:])
    count = 1 + ctx.params.flag("bias_term", True)
    if ctx.params.flag("transpose", False):
        matrix = ctx.weight(0, (features, outputs), of=count).T
    else:
        matrix = ctx.weight(0, (outputs, features), of=count)
    value = ctx.bottom.value
    if len(ctx.bottom.shape) > axis + 1:
        value = ctx.reshape(ctx.bottom, [*kept, features])
    if axis == 1:
        inputs = [value, ctx.constant("weight", matrix)]
        if count == 2:
            inputs.append(ctx.constant("bias", ctx.weight(1, (outputs,), of=count)))
        return ctx.top(ctx.node("Gemm", *inputs, transB=1), [*kept, outputs])
    value = ctx.node("MatMul", value, ctx.constant("weight", matrix.T))
    if count == 2:
        value = ctx.node("Add", value, ctx.constant("bias", ctx.weight(1, (outputs,), of=count)))
    return ctx.top(value, [*kept, outputs])


def _num_output(ctx: LayerContext) -> int:
    outputs = ctx.params.integer("num_output", 0, low=1)
    if outputs == 0:
        raise ctx.error("num_output is missing; it must be an integer from 1")
    return outputs


def _channels(ctx: LayerContext) -> tuple[int, int, int]:
    """Return input channels, output channels and groups."""
    ctx.need_rank(3, 4, 5)
    if ctx.axis(ctx.params.integer("axis", 1, low=-32)) != 1:
        raise ctx.error("axis is not 1; channels are supported on axis 1 only")
    return ctx.bottom.shape[1], _num_output(ctx), ctx.params.integer("group", 1, low=1)


def _check_group(ctx: LayerContext, channels: int, outputs: int, group: int) -> None:
    if channels % group or outputs % group:
        raise ctx.error(
            f"{channels} input and {outputs} output channels cannot be split into {group} groups"
        )


def _arrays(ctx: LayerContext, shape: tuple[int, ...], outputs: int) -> list[str]:
    count = 1 + ctx.params.flag("bias_term", True)
    arrays: list[tuple[str, np.ndarray]] = [("weight", ctx.weight(0, shape, of=count))]
    if count == 2:
        arrays.append(("bias", ctx.weight(1, (outputs,), of=count)))
    return [ctx.constant(suffix, array) for suffix, array in arrays]


def _window(ctx: LayerContext) -> _Window:
    axes = len(ctx.bottom.shape) - 2
    kernel = spatial_numbers(ctx, "kernel_size", "kernel", axes, low=1)
    if kernel is None:
        raise ctx.error("kernel_size is missing; give it, or kernel_h and kernel_w")
    ones, zeros = (1,) * axes, (0,) * axes
    return _Window(
        kernel=kernel,
        stride=spatial_numbers(ctx, "stride", "stride", axes, low=1) or ones,
        pad=spatial_numbers(ctx, "pad", "pad", axes, low=0) or zeros,
        dilation=spatial_numbers(ctx, "dilation", None, axes, low=1) or ones,
    )


def spatial_numbers(
    ctx: LayerContext, name: str, prefix: str | None, axes: int, *, low: int
) -> tuple[int, ...] | None:
    """Return a field given once, once an axis, or as ``<prefix>_h`` and ``<prefix>_w``.

    None where the field is absent in every form. Sizes beyond 2**20 are refused: they are typing
    errors, and their sums could leave the integers of ONNX.
    """
    values = ctx.params.integers(name, low=low, high=1 << 20)
    by_axis = (f"{prefix}_h", f"{prefix}_w")
    if prefix is not None and any(key in ctx.params for key in by_axis):
        if values or axes != 2:
            raise ctx.error(
                f"{by_axis[0]} and {by_axis[1]} need two spatial axes and no {name} beside them"
            )
        if name == "kernel_size" and not all(key in ctx.params for key in by_axis):
            raise ctx.error("kernel_h and kernel_w must be given together")
        default = 1 if name == "stride" else 0
        return tuple(ctx.params.integer(key, default, low=low, high=1 << 20) for key in by_axis)
    if not values:
        return None
    if len(values) not in (1, axes):
        raise ctx.error(f"{name} has {len(values)} values; give 1 or {axes}, one a spatial axis")
    return tuple(values * axes if len(values) == 1 else values)
