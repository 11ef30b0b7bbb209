"""What a layer converter works with: the layer's blobs and weights in, ONNX nodes out.

Axis 0 of a ``batched`` blob is the batch: ``N`` in the ONNX model, and in ``shape`` the number the
prototxt declares. A converter may not mix the images of a batch; ``LayerContext.axis`` and
``LayerContext.reshape`` refuse what would.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tf2.errors import UnsupportedOpError
from tf2.importers.caffe.net import Layer
from tf2.importers.caffe.params import MAX_INT, Params

MAX_CONSTANT = 1 << 22  # values in one computed array; the priors of SSD512 are 2**18


@dataclass(frozen=True, kw_only=True)
class Blob:
    """An ONNX value and its Caffe shape."""

    value: str
    shape: tuple[int, ...]
    batched: bool = True


class Names:
    """Give each name once: the second of a kind gets ``_2`` behind it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names from being given."""
        self._taken.update(names)

    def unique(self, name: str) -> str:
        """Return the name, with a number behind it where it is taken, and take it."""
        candidate, count = name, self._counts.get(name, 1)
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._counts[name] = count  # the next of this name need not count from 1 again
        self._taken.add(candidate)
        return candidate


@dataclass(frozen=True, kw_only=True)
class GraphBuilder:
    """The ONNX graph under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    values: Names = field(default_factory=Names)
    node_names: Names = field(default_factory=Names)

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add an initializer and return its name."""
        name = self.values.unique(name)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


@dataclass(frozen=True, kw_only=True)
class LayerContext:
    """One layer being converted.

    ``weights`` is None where the caffemodel has no arrays for the layer.
    """

    layer: Layer
    params: Params
    bottoms: tuple[Blob, ...]
    weights: tuple[np.ndarray, ...] | None
    graph: GraphBuilder
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    @property
    def bottom(self) -> Blob:
        """Return the first bottom."""
        return self.bottoms[0]

    def error(self, reason: str, hint: str = "Correct the prototxt.") -> UnsupportedOpError:
        """Return the error for this layer; the caller raises it."""
        return self.layer.error(reason, hint)

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node of one output and return that value."""
        return self.node_of(op, inputs, 1, **attributes)[0]

    def node_of(self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add an ONNX node and return its values."""
        name = f"{self.layer.name}/{op}"
        values = [self.graph.values.unique(name) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), values, **attributes))
        return values

    def constant(self, suffix: str, array: np.ndarray) -> str:
        """Add an initializer named after the layer and return its name."""
        return self.graph.constant(f"{self.layer.name}.{suffix}", array)

    def scalar(self, suffix: str, number: float) -> str:
        """Add a float32 scalar, refused where float32 cannot hold it."""
        if not abs(number) <= float(np.finfo(np.float32).max):
            raise self.error(f"its parameters give the factor {number}, which float32 cannot hold")
        return self.constant(suffix, np.array(number, np.float32))

    def int64(self, suffix: str, values: Sequence[int]) -> str:
        """Add a vector of integers, such as a shape or axes."""
        return self.constant(suffix, np.array(values, np.int64))

    def affine(self, value: str, scale: float, shift: float) -> str:
        """Return value * scale + shift, without the steps that change nothing."""
        if scale != 1.0:
            value = self.node("Mul", value, self.scalar("scale", scale))
        if shift != 0.0:
            value = self.node("Add", value, self.scalar("shift", shift))
        return value

    def weight(self, index: int, shape: Sequence[int], *, of: int) -> np.ndarray:
        """Return a learned array of the expected shape, or raise saying what was found.

        Old files write every blob with four axes: leading axes of size 1 do not count.

        Args:
            index: Which of the layer's arrays.
            shape: The shape the parameters ask for.
            of: How many arrays the layer must have.
        """
        if self.weights is None:
            raise self.error(
                f"no weights are given for it; it needs {of} arrays, number {index} of shape "
                f"{tuple(shape)}",
                "Give the caffemodel that belongs to this prototxt: layers are matched by name.",
            )
        if len(self.weights) != of:
            raise self.error(
                f"the caffemodel has {len(self.weights)} arrays for it, {of} are expected",
                "Check bias_term and that the caffemodel belongs to this prototxt.",
            )
        array = self.weights[index]
        if _without_leading_ones(array.shape) != _without_leading_ones(shape):
            raise self.error(
                f"array {index} of the caffemodel has the shape {array.shape}, expected "
                f"{tuple(shape)}",
                "Check num_output, kernel and group, the input shape, and that the caffemodel "
                "belongs to this prototxt.",
            )
        if not np.isfinite(array).all():
            raise self.error(
                f"array {index} of the caffemodel holds NaN, infinity or a number beyond float32",
                "The training diverged or the file is damaged; use another snapshot.",
            )
        return array.reshape(tuple(shape))

    def need_no_weights(self) -> None:
        """Refuse arrays in the caffemodel for a layer whose parameters leave nothing to learn."""
        if self.weights is not None:
            raise self.error(
                f"the caffemodel has {len(self.weights)} arrays for it, none are expected",
                "Check that the caffemodel belongs to this prototxt.",
            )

    def axis(self, number: int, *, of: Blob | None = None, for_batch: bool = False) -> int:
        """Return the axis counted from the front; out of range or the batch axis raises."""
        blob = of or self.bottom
        rank = len(blob.shape)
        if not -rank <= number < rank:
            raise self.error(f"axis {number} is outside of its input of shape {blob.shape}")
        number %= rank
        if number == 0 and blob.batched and not for_batch:
            raise self.error(
                "axis 0 is the batch; only operations on each image alone are supported",
                "Cut the network before this layer with outputs=[...].",
            )
        return number

    def need_rank(self, *ranks: int) -> None:
        """Refuse a first bottom of another number of axes."""
        if len(self.bottom.shape) not in ranks:
            raise self.error(
                f"its input has the shape {self.bottom.shape}; "
                f"{' or '.join(map(str, ranks))} axes are supported",
                "Check the shape of the network's input.",
            )

    def need_positive(self, shape: Sequence[int]) -> None:
        """Refuse an output without values or beyond what Caffe can hold."""
        if any(dim < 1 for dim in shape) or math.prod(shape) > MAX_INT:
            raise self.error(
                f"its output would have the shape {tuple(shape)} from an input of shape "
                f"{self.bottom.shape}; each size must be at least 1 and the whole at most 2**31-1",
                "Check the input shape, kernel, pad and stride.",
            )

    def same(self, value: str) -> list[Blob]:
        """Return the one top: this value with the shape of the first bottom."""
        return [Blob(value=value, shape=self.bottom.shape, batched=self.bottom.batched)]

    def top(self, value: str, shape: Sequence[int]) -> list[Blob]:
        """Return the one top: this value, batched as the first bottom is."""
        self.need_positive(shape)
        return [Blob(value=value, shape=tuple(shape), batched=self.bottom.batched)]

    def reshape(self, blob: Blob, shape: Sequence[int]) -> str:
        """Return the blob's values in another shape; images of a batch stay apart."""
        if not blob.batched:
            return self.node("Reshape", blob.value, self.int64("shape", shape))
        if shape[0] != blob.shape[0]:
            raise self.error(
                f"it turns {blob.shape} into {tuple(shape)}, mixing the images of a batch; "
                "axis 0 must be kept",
                "Cut the network before this layer with outputs=[...].",
            )
        return self.node("Reshape", blob.value, self.int64("shape", [0, *shape[1:]]))


def _without_leading_ones(shape: Sequence[int]) -> tuple[int, ...]:
    dims = list(shape)
    while dims and dims[0] == 1:
        dims.pop(0)
    return tuple(dims)
