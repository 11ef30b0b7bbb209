"""The trained network as integers: the codes and scales it was trained with, to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tf2.compression import Codes, Compressed, Settled, compress
from tf2.compression.compress import Batch
from tf2.errors import TrainingError
from tf2.ir import Graph
from tf2.training.inq import Inq
from tf2.training.module import GraphModule
from tf2.training.pixels import Pixels
from tf2.training.start import Start

LARGEST = 127
"""Of an integer weight on the array."""


def trained_graph(start: Start, module: GraphModule, codes: Mapping[str, Codes]) -> Graph:
    """Return the model with the trained parameters, weights exactly on their grids."""
    base = start.float_graph
    trained = module.trained_constants()
    constants = {name: data for name, data in trained.items() if name in base.constants}
    for layer in start.layers:
        weight, bias = base.node(layer.node).inputs[1:3]
        code = codes[layer.node]
        wide = (code.q * code.alpha[:, None]).reshape(base.shape(weight))
        if layer.pixels is not None:
            wide, moved = layer.pixels.to_model(wide, trained[bias].astype(np.float64))
            constants[bias] = moved.astype(np.float32)
        constants[weight] = wide.astype(np.float32)
    return base.replaced(constants=constants)


def packed(start: Start, module: GraphModule, inq: Inq, batches: Sequence[Batch]) -> Compressed:
    """Return the integer network of a trained module; weights not frozen yet are rounded.

    Args:
        start: What training started from.
        module: Trained.
        inq: Its grids.
        batches: Some samples, to measure the layers' outputs on.

    Raises:
        TrainingError: A code is none of the array's (5-bit weights).
    """
    codes = inq.codes()
    pixels = {layer.node: layer.pixels for layer in start.layers}
    for name, code in codes.items():
        if np.abs(code.q).max(initial=0) > LARGEST:
            raise TrainingError(
                f"layer {name!r} has weights of more than 4 bits: no array runs them. Export the "
                "trained graph instead"
            )
    narrow = {
        name: Codes(q=code.q.astype(np.int8), alpha=_on_array(code.alpha, pixels[name]))
        for name, code in codes.items()
    }
    compressed = compress(
        trained_graph(start, module, codes),
        batches,
        start.settings,
        pixel_affine=start.pixel_affine,
        settled=Settled(scales=start.scales, layers=narrow),
    )
    return replace(compressed, support=start.support)


def _on_array(alpha: np.ndarray, pixels: Pixels | None) -> np.ndarray:
    return alpha if pixels is None else pixels.on_pixels(alpha)
