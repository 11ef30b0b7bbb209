"""The rules that every graph keeps, checked after import and after each pass."""

from __future__ import annotations

import numpy as np

from tf2.errors import VerifyError
from tf2.ir.dtypes import INT32, DType, Feature, Plain
from tf2.ir.graph import Graph, Node
from tf2.ir.integer_ops import BYTE_MOVERS, DOMAIN, window
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
        held = "string" if data.dtype.kind in "OUS" else data.dtype.name
        if held != _stored_dtype(declared.dtype):
            raise VerifyError(f"constant {name!r} holds {data.dtype}, its type is {declared}")
    read = {n for node in graph.nodes for n in (*node.inputs, *node.outputs) if n}
    untyped = sorted((read | {*graph.inputs, *graph.outputs}) - set(graph.types))
    if untyped:
        raise VerifyError(f"value {untyped[0]!r} has no type ({len(untyped)} such values)")
    names = [node.name for node in graph.nodes]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise VerifyError(f"two nodes are named {twice!r}")


def _stored_dtype(dtype: DType) -> str:
    """Return the name of the NumPy dtype that holds a constant."""
    return "int8" if isinstance(dtype, Feature) else dtype.name


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
    moved = node.inputs if node.op == "Concat" else node.inputs[:1]
    types = {str(graph.types[n].dtype): graph.types[n].dtype for n in (*moved, *node.outputs) if n}
    others = [graph.types[n].dtype for n in node.inputs[len(moved) :] if n]
    if not any(isinstance(t, Feature) for t in (*types.values(), *others)):
        return
    if node.op not in BYTE_MOVERS or any(isinstance(t, Feature) for t in others):
        raise VerifyError(f"{node.op} node {node.name!r} cannot act on feature bytes")
    if len(types) != 1:
        found = ", ".join(sorted(types))
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
    sums = node.op in ("Conv", "AveragePool") and y == INT32
    if not isinstance(x, expected[0]) or not (sums or isinstance(y, expected[1])):
        raise VerifyError(f"{node.kind} node {node.name!r} cannot take {x} to {y}")
    if sums:
        _verify_sums(graph, node)
        return
    if node.op in ("Conv", "Add"):
        low, high = node.attr("low", fixed_point.BYTE_MIN), node.attr("high", fixed_point.BYTE_MAX)
        if not fixed_point.BYTE_MIN <= low <= high <= fixed_point.BYTE_MAX:
            raise VerifyError(
                f"{node.kind} node {node.name!r}: -128 <= low <= high <= 127 must hold, "
                f"found {low}..{high}"
            )
    if node.op == "Conv":
        _verify_conv(graph, node, y)
    elif node.op == "Add":
        _verify_add(graph, node)
    elif node.op == "AveragePool":
        if not {"multiplier", "shift"} <= set(node.attrs):
            raise VerifyError(f"{node.kind} node {node.name!r} needs a multiplier and a shift")
        multiplier, shift = (np.array([node.attrs[which]]) for which in ("multiplier", "shift"))
        _verify_factors(node, multiplier, shift, y)
        _verify_window(graph, node)


def _verify_sums(graph: Graph, node: Node) -> None:
    """Check an operator that gives out int32 sums: nothing that belongs to rescaling is there."""
    extra = {"low", "high", "multiplier", "shift"} & set(node.attrs)
    if extra:
        raise VerifyError(f"{node.kind} node {node.name!r} gives sums: it takes no {min(extra)}")
    if node.op == "Conv":
        weight, bias = _conv_parameters(graph, node, counts=(2,))
        _verify_accumulators(graph, node, weight, bias)
        return
    size = graph.shape(node.inputs[0])[2:]
    found = window(graph, node)
    if found.kernel != size or any((*found.pads_begin, *found.pads_end)):
        raise VerifyError(f"{node.kind} node {node.name!r} gives sums of whole maps only")


def _verify_conv(graph: Graph, node: Node, out: DType) -> None:
    weight, *per_channel = _conv_parameters(graph, node, counts=(4, 6))
    bias, multiplier, shift, *below = per_channel
    _verify_factors(node, multiplier, shift, out)
    if below:
        second, second_shift = below
        _verify_factors(node, second, second_shift, out, lowest=-fixed_point.MAX_MULTIPLIER)
    _verify_accumulators(graph, node, weight, bias)


def _conv_parameters(graph: Graph, node: Node, *, counts: tuple[int, ...]) -> list[np.ndarray]:
    """Return the checked constant inputs of a tf2.Conv after x."""
    arrays = [graph.constant(n) for n in node.inputs[1:]]
    if len(arrays) not in counts or any(a is None for a in arrays):
        allowed = " or ".join(map(str, counts))
        raise VerifyError(f"tf2.Conv node {node.name!r} needs {allowed} constant inputs after x")
    weight, *per_channel = (a for a in arrays if a is not None)
    if any(a.shape != weight.shape[:1] for a in per_channel):
        raise VerifyError(
            f"tf2.Conv node {node.name!r}: per-channel inputs must be ({weight.shape[0]},)"
        )
    _verify_conv_shapes(graph, node, weight)
    if node.attr("weight_kind", "pot4") == "pot4" and not np.isin(weight, pot4.VALUES).all():
        raise VerifyError(f"tf2.Conv node {node.name!r}: a weight is not 0 or +-2**k, k = 0..6")
    return [weight, *per_channel]


def _verify_conv_shapes(graph: Graph, node: Node, weight: np.ndarray) -> None:
    x, y, groups = graph.shape(node.inputs[0]), graph.shape(node.output), node.attr("group", 1)
    fits = (
        2 <= len(x) <= 5
        and len(x) == len(y) == weight.ndim
        and x[1] == weight.shape[1] * groups
        and y[1] == weight.shape[0]
        and weight.shape[0] % groups == 0
        and (groups == 1 or len(x) > 2)
    )
    if not fits:
        raise VerifyError(
            f"tf2.Conv node {node.name!r} cannot take {x} to {y} with weights {weight.shape} "
            f"in {groups} groups (0 to 3 spatial axes; 0 takes one group)"
        )
    _verify_window(graph, node)


def _verify_window(graph: Graph, node: Node) -> None:
    """Check that the output has the size of its windows, rounded down (up for ceil-mode pools)."""
    found = window(graph, node)
    rank = len(found.kernel)
    declared = tuple(node.attr("pads", (0,) * 2 * rank))[rank:]
    unread = [d - end for d, end in zip(declared, found.pads_end, strict=True)]
    lowest = [1 - s if node.op == "AveragePool" else 0 for s in found.strides]
    if any(not low <= n < s for low, n, s in zip(lowest, unread, found.strides, strict=True)):
        raise VerifyError(
            f"{node.kind} node {node.name!r}: {graph.types[node.output]} is not what its windows "
            f"make of {graph.types[node.inputs[0]]}"
        )


def _verify_factors(
    node: Node, multiplier: np.ndarray, shift: np.ndarray, out: DType, *, lowest: int = 0
) -> None:
    assert isinstance(out, Feature)
    largest = fixed_point.MAX_SHIFT[out.zero_point]
    if multiplier.min() < lowest or multiplier.max() > fixed_point.MAX_MULTIPLIER:
        raise VerifyError(
            f"{node.kind} node {node.name!r}: multipliers must be "
            f"{lowest}..{fixed_point.MAX_MULTIPLIER}"
        )
    if shift.min() < 0 or shift.max() > largest:
        raise VerifyError(
            f"{node.kind} node {node.name!r}: shifts must be 0..{largest} into {out}, "
            f"found {int(shift.min())}..{int(shift.max())}"
        )


def _verify_accumulators(graph: Graph, node: Node, weight: np.ndarray, bias: np.ndarray) -> None:
    """Check that no input whatever takes an accumulator out of int32."""
    x = graph.types[node.inputs[0]].dtype
    assert isinstance(x, Feature)
    lowest, highest = (b - x.zero_point for b in (fixed_point.BYTE_MIN, fixed_point.BYTE_MAX))
    rows = weight.reshape(weight.shape[0], -1)
    if rows.shape[1] * 128 * 255 + int(np.abs(bias.astype(np.int64)).max()) <= fixed_point.ACC_MAX:
        return  # whatever the weights
    positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(rows, 0).sum(axis=1, dtype=np.int64)
    top = bias.astype(np.int64) + positive * highest + negative * lowest
    bottom = bias.astype(np.int64) + positive * lowest + negative * highest
    if top.max() > fixed_point.ACC_MAX or bottom.min() < fixed_point.ACC_MIN:
        raise VerifyError(
            f"tf2.Conv node {node.name!r}: accumulators may reach {int(bottom.min())}.."
            f"{int(top.max())}, beyond int32: lower the bias or the weights"
        )


def _verify_add(graph: Graph, node: Node) -> None:
    dtypes = [graph.types[n].dtype for n in (*node.inputs, node.output)]
    features = [t for t in dtypes if isinstance(t, Feature)]
    if len(features) != 3:
        raise VerifyError(f"tf2.Add node {node.name!r} adds two features, found {dtypes}")
    bits = [t.frac_bits for t in features]
    if max(bits) - min(bits) > fixed_point.MAX_ADD_SPREAD:
        raise VerifyError(
            f"tf2.Add node {node.name!r}: frac_bits must lie within {fixed_point.MAX_ADD_SPREAD} "
            f"of each other, found {bits}: lower those of the finest"
        )
