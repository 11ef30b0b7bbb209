"""The first convolution of an image network, rearranged for the kernels of ONNX Runtime.

Those read channels last and in fours, and an image has three. Two rearrangements give the same
sums, product by product, because what they add to the weights is zeros:

- Strides of 2 or 4 over few channels: blocks of stride x stride pixels become channels
  (SpaceToDepth), the kernel becomes that many times smaller, the stride 1.
- Any other channel count that is no multiple of four: channels of zeros are added.

Measured on CPUs with and without VNNI (GoogLeNet's first layer: 0.6 to 0.85 of the time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.execution.emitter import Emitter
from tf2.numerics.integer_ops import Window

BLOCKS = (2, 4)
"""Strides that become blocks; their squares are multiples of four."""

FEW = 3
"""Most channels that are put into blocks; with more, the kernels are fed well enough."""

LARGEST_PADDED = 25
"""Most taps of a kernel that gets channels of zeros: beyond, the added work outweighs the rest."""


@dataclass(frozen=True, kw_only=True)
class ImageLayer:
    """A convolution as it stands before and after rearrangement.

    Attributes:
        x: The input's name; (N, C, H, W) before, (N, H, W, C) after.
        weight: (O, C, Kh, Kw), both before and after.
        window: Over ``size``.
        size: (H, W).
    """

    x: str
    weight: NDArray[np.int8]
    window: Window
    size: tuple[int, ...]


def rearranged(
    emitter: Emitter, layer: ImageLayer, *, name: str, zero_point: np.uint8
) -> ImageLayer | None:
    """Write the nodes that bring the input to its new form; None where the old one is as fast.

    Args:
        emitter: Takes the nodes.
        layer: Ungrouped, over two spatial axes.
        name: Of the convolution's node.
        zero_point: Of the input: what it is padded with.
    """
    channels = layer.weight.shape[1]
    block = layer.window.strides[0]
    square = layer.window.strides == (block, block) and layer.window.dilations == (1, 1)
    if square and block in BLOCKS and channels <= FEW:
        return _in_blocks(emitter, layer, block, name=name, zero_point=zero_point)
    taps = int(np.prod(layer.window.kernel))
    if channels == 1 or channels % 4 == 0 or taps > LARGEST_PADDED:
        return None
    missing = -channels % 4
    pads = np.array([0, 0, 0, 0, 0, missing, 0, 0])
    padded = _padded(emitter, layer.x, pads, name=name, zero_point=zero_point)
    weight = np.pad(layer.weight, [(0, 0), (0, missing), (0, 0), (0, 0)])
    x = _channels_last(emitter, padded, name=name)
    return ImageLayer(x=x, weight=weight, window=layer.window, size=layer.size)


def _in_blocks(
    emitter: Emitter, layer: ImageLayer, block: int, *, name: str, zero_point: np.uint8
) -> ImageLayer:
    outputs, channels = layer.weight.shape[:2]
    win = layer.window
    taps = tuple(-(-k // block) for k in win.kernel)
    positions = win.output_size(layer.size)
    needed = tuple(block * (o - 1 + t) for o, t in zip(positions, taps, strict=True))
    ends = [  # negative where the last pixels are in no block
        n - size - begin for n, size, begin in zip(needed, layer.size, win.pads_begin, strict=True)
    ]
    pads = np.array([0, 0, *win.pads_begin, 0, 0, *ends])
    x = _padded(emitter, layer.x, pads, name=name, zero_point=zero_point)
    x = emitter.node("SpaceToDepth", [x], f"{name}~blocks", name=f"{name}.blocks", blocksize=block)
    whole = np.zeros((outputs, channels, block * taps[0], block * taps[1]), np.int8)
    whole[:, :, : win.kernel[0], : win.kernel[1]] = layer.weight
    split = whole.reshape(outputs, channels, taps[0], block, taps[1], block)
    weight = split.transpose(0, 3, 5, 1, 2, 4).reshape(outputs, block**2 * channels, *taps)
    ones, none = (1, 1), (0, 0)
    window = Window(kernel=taps, strides=ones, pads_begin=none, pads_end=none, dilations=ones)
    size = (needed[0] // block, needed[1] // block)
    return ImageLayer(
        x=_channels_last(emitter, x, name=name), weight=weight, window=window, size=size
    )


def _padded(emitter: Emitter, x: str, pads: np.ndarray, *, name: str, zero_point: np.uint8) -> str:
    if not pads.any():
        return x
    widths = emitter.constant(f"{name}.pads", pads.astype(np.int64))
    fill = emitter.constant(f"{name}.fill", zero_point)
    return emitter.node("Pad", [x, widths, fill], f"{name}~padded", name=f"{name}.pad")


def _channels_last(emitter: Emitter, x: str, *, name: str) -> str:
    return emitter.node("Transpose", [x], f"{name}~nhwc", name=f"{name}.nhwc", perm=[0, 2, 3, 1])
