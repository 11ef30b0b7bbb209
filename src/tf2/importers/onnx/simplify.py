"""Normal forms that need types: explicit pads, no nodes that change nothing, scales for sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tf2.errors import ImportModelError
from tf2.importers.onnx.draft import Draft
from tf2.importers.onnx.infer import Walk
from tf2.ir import Node


def simplified(draft: Draft, walk: Walk) -> Draft:
    """Return a network that computes the same for the walk's shapes, in fewer kinds of nodes."""
    nodes: list[Node] = []
    constants: dict[str, np.ndarray] = {}
    instead: dict[str, str] = {}
    read = {name for node in draft.nodes for name in node.inputs} | set(draft.outputs)
    for node in draft.nodes:
        node = _without_unread(node, read)
        node = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        node = _explicit_pads(_inference_dropout(node, walk), walk)
        node = _scales_for_sizes(node, walk, constants)
        if changes_nothing(node, walk) and node.output not in draft.outputs:
            instead[node.output] = node.inputs[0]
        else:
            nodes.append(node)
    return draft.with_nodes(nodes, constants)


def changes_nothing(node: Node, walk: Walk) -> bool:
    """Tell whether a node's only output is its first input, whatever the data and the batch."""
    if node.domain or len(node.outputs) != 1:
        return False
    if node.op == "Identity":
        return True
    x, y = walk.types[node.inputs[0]] if node.inputs else None, walk.types[node.output]
    if node.op == "Cast":
        return x == y
    if node.op == "Transpose":
        perm = node.attr("perm", tuple(reversed(range(len(y.shape)))))
        return tuple(perm) == tuple(range(len(y.shape)))
    if node.op == "Concat":
        return len(node.inputs) == 1
    if node.op == "Pad":
        pads = walk.known.get(node.inputs[1])
        return pads is not None and not pads.any()
    return False


OPTIONAL_OUTPUTS = frozenset({"Dropout", "LayerNormalization", "MaxPool"})


def _without_unread(node: Node, read: set[str]) -> Node:
    """Drop further outputs (masks, indices, statistics) that nothing reads."""
    if node.op not in OPTIONAL_OUTPUTS or node.domain or read.intersection(node.outputs[1:]):
        return node
    return replace(node, outputs=node.outputs[:1])


def _inference_dropout(node: Node, walk: Walk) -> Node:
    """Turn a Dropout that drops nothing into an Identity."""
    if node.op != "Dropout" or node.domain or len(node.outputs) != 1:
        return node
    training = walk.known.get(node.inputs[2]) if len(node.inputs) > 2 else np.array(False)
    if training is None or training.any():
        return node
    return replace(node, op="Identity", inputs=node.inputs[:1], attrs={})


def _explicit_pads(node: Node, walk: Walk) -> Node:
    """Replace auto_pad by the pads it stands for."""
    mode = node.attr("auto_pad", "NOTSET")
    if node.domain or "auto_pad" not in node.attrs:
        return node
    attrs = {key: value for key, value in node.attrs.items() if key != "auto_pad"}
    if mode == "NOTSET":
        return replace(node, attrs=attrs)
    x, y = walk.types[node.inputs[0]].shape, walk.types[node.output].shape
    rank = len(x) - 2
    if mode == "VALID":
        return replace(node, attrs={**attrs, "pads": (0,) * 2 * rank})
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ImportModelError(f"{node.kind} node {node.name!r}: auto_pad {mode!r} is unknown")
    if node.op == "ConvTranspose":
        return node  # its pads also depend on output_shape; ONNX Runtime resolves them
    kernel = node.attr("kernel_shape", None)
    kernel = walk.types[node.inputs[1]].shape[2:] if kernel is None else kernel
    strides = node.attr("strides", (1,) * rank)
    dilations = node.attr("dilations", (1,) * rank)
    total = [
        max((o - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, o, k, s, d in zip(x[2:], y[2:], kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    pads = (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
    return replace(node, attrs={**attrs, "pads": pads})


def _scales_for_sizes(node: Node, walk: Walk, constants: dict[str, np.ndarray]) -> Node:
    """Give a Resize its scales: sizes name the batch too, and would fix it."""
    if node.op != "Resize" or node.domain or len(node.inputs) != 4:
        return node
    x, y = walk.types[node.inputs[0]].shape, walk.types[node.output].shape
    ratio_kept = node.attr("keep_aspect_ratio_policy", "stretch") == "stretch"
    if not ratio_kept or "axes" in node.attrs or 0 in x:
        return node
    scales = np.array(y, np.float32) / np.array(x, np.float32)
    sizes = np.floor(np.array(x, np.float32) * scales).astype(int)
    if tuple(sizes.tolist()) != y:
        return node
    name = f"{node.output}.scales"
    if name in walk.types or name in constants:
        return node
    constants[name] = scales
    return replace(node, inputs=(*node.inputs[:2], name))


def as_constants(draft: Draft, known: Mapping[str, np.ndarray]) -> Draft:
    """Return the draft with known values as constants and the nodes that computed them gone."""
    kept = [n for n in draft.nodes if not all(name in known for name in n.outputs if name)]
    return draft.with_nodes(kept, known)
