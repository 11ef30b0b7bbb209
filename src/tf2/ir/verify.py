"""The rules that every graph keeps, checked after import and after each pass."""

from __future__ import annotations

import numpy as np

from tf2.errors import VerifyError
from tf2.ir.dtypes import Feature, Plain
from tf2.ir.graph import Graph, Node
from tf2.ir.integer_ops import BYTE_MOVERS, DOMAIN
from tf2.numerics import fixed_point, pot4

DOMAINS = ("", "com.microsoft", DOMAIN)


def verify(graph: Graph) -> Graph:
    """Return the graph when it keeps every rule of the IR.

    Raises:
        VerifyError: Names the node or value and the rule.
    """
    _verify_values(graph)
    _verify_order(graph)
    for node in graph.nodes:
        if node.domain not in DOMAINS:
            raise VerifyError(f"node {node.name!r}: domain {node.domain!r} is not one of {DOMAINS}")
        if node.domain == DOMAIN:
            _verify_integer_node(graph, node)
        else:
            _verify_plain_node(graph, node)
    return graph


def _verify_values(graph: Graph) -> None:
    for name, data in graph.constants.items():
        declared = graph.types.get(name)
        if declared is None or declared.shape != data.shape:
            raise VerifyError(f"constant {name!r} has shape {data.shape}, its type is {declared}")
    read = {n for node in graph.nodes for n in (*node.inputs, *node.outputs) if n}
    untyped = sorted((read | {*graph.inputs, *graph.outputs}) - set(graph.types))
    if untyped:
        raise VerifyError(f"value {untyped[0]!r} has no type ({len(untyped)} such values)")
    names = [node.name for node in graph.nodes]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise VerifyError(f"two nodes are named {twice!r}")


def _verify_order(graph: Graph) -> None:
    known = {*graph.inputs, *graph.constants, ""}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                raise VerifyError(f"node {node.name!r} reads {name!r} before it is written")
        for name in node.outputs:
            if name and name in known:
                raise VerifyError(f"node {node.name!r} writes {name!r}, which exists already")
        known.update(node.outputs)
    missing = [name for name in graph.outputs if name not in known]
    if missing:
        raise VerifyError(f"graph output {missing[0]!r} is written by no node")


def _verify_plain_node(graph: Graph, node: Node) -> None:
    types = [graph.types[n].dtype for n in (*node.inputs[:1], *node.outputs) if n]
    features = {t for t in types if isinstance(t, Feature)}
    if not features:
        return
    if node.op == "Concat":
        features |= {graph.types[n].dtype for n in node.inputs}  # pyright: ignore[reportAssignmentType]
    if node.op not in BYTE_MOVERS:
        raise VerifyError(f"{node.op} node {node.name!r} cannot act on feature bytes")
    if len(features) != 1 or any(isinstance(t, Plain) for t in types):
        found = ", ".join(sorted(str(t) for t in features))
        raise VerifyError(f"{node.op} node {node.name!r} moves bytes of one format, found {found}")


def _verify_integer_node(graph: Graph, node: Node) -> None:
    expected = {
        "Quantize": (Plain, Feature),
        "Dequantize": (Feature, Plain),
        "Conv": (Feature, Feature),
        "Add": (Feature, Feature),
        "AveragePool": (Feature, Feature),
    }.get(node.op)
    if expected is None:
        raise VerifyError(f"node {node.name!r}: there is no integer operator {node.op!r}")
    x, y = graph.types[node.inputs[0]].dtype, graph.types[node.output].dtype
    if not isinstance(x, expected[0]) or not isinstance(y, expected[1]):
        raise VerifyError(f"{node.kind} node {node.name!r} cannot take {x} to {y}")
    if node.op == "Conv":
        _verify_conv(graph, node, y)


def _verify_conv(graph: Graph, node: Node, out: object) -> None:
    assert isinstance(out, Feature)
    arrays = [graph.constant(n) for n in node.inputs[1:]]
    if len(arrays) not in (4, 6) or any(a is None for a in arrays):
        raise VerifyError(f"tf2.Conv node {node.name!r} needs 4 or 6 constant inputs after x")
    weight, *per_channel = (a for a in arrays if a is not None)
    channels = weight.shape[0]
    if any(a.shape != (channels,) for a in per_channel):
        raise VerifyError(f"tf2.Conv node {node.name!r}: per-channel inputs must be ({channels},)")
    if node.attr("weight_kind", "pot4") == "pot4" and not np.isin(weight, pot4.VALUES).all():
        raise VerifyError(f"tf2.Conv node {node.name!r}: a weight is not 0 or +-2**k, k = 0..6")
    largest = fixed_point.MAX_SHIFT[out.zero_point]
    for multiplier, shift in zip(per_channel[1::2], per_channel[2::2], strict=True):
        if multiplier.min() < 0 or multiplier.max() > fixed_point.MAX_MULTIPLIER:
            raise VerifyError(f"tf2.Conv node {node.name!r}: multipliers must be 0..255")
        if shift.min() < 0 or shift.max() > largest:
            raise VerifyError(
                f"tf2.Conv node {node.name!r}: shifts must be 0..{largest} into {out}, "
                f"found {int(shift.max())}"
            )
