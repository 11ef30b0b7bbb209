"""What compression did: a row for each layer, and a row for each node of the imported graph."""

from __future__ import annotations

import numpy as np

from tf2.compression.layer import FloatLayer, IntegerLayer
from tf2.compression.streams import Streams
from tf2.ir import Graph
from tf2.ir.rewriter import Rewritten
from tf2.model_file.manifest import LayerReport, Support
from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN
from tf2.quantization import Partition, Step

PLACES = {"conv": "array", "add": "array", "average_pool": "array", "move": "bytes", "host": "host"}


def sqnr_db(reference: np.ndarray, approximation: np.ndarray) -> float:
    """Return 10 log10(power of reference / power of the difference); inf where they are equal."""
    wide = reference.astype(np.float64)
    noise = float(np.square(wide - approximation).sum())
    signal = float(np.square(wide).sum())
    if noise == 0.0:
        return float("inf")
    return float(10 * np.log10(max(signal, 1e-300) / noise))


def layer_report(
    step: Step, layer: FloatLayer, solved: IntegerLayer, streams: Streams
) -> LayerReport:
    """Return the row of a layer; its output is compared on the first batch."""
    weight = solved.parameters.weight
    quantized, exact = streams.first_pair(step)
    kind = solved.parameters.weight_kind
    return LayerReport(
        name=step.node.name,
        weights="pot4" if kind == "pot4" else "int8",
        shape=tuple(weight.shape),
        weight_sqnr_db=sqnr_db(layer.rows, solved.effective_weight),
        output_sqnr_db=sqnr_db(exact, quantized),
        zeros=float((weight == 0).mean()),
        exact=solved.exact,
        saturated=0.0 if step.sums else _saturated(step, streams),
    )


def _saturated(step: Step, streams: Streams) -> float:
    """Return the share of output bytes at a bound of the byte range."""
    stored = streams.stored(step.output)[0]
    # With zero point -128 the lowest byte is the value 0, which ReLU gives and nothing cuts off.
    lowest = BYTE_MIN if streams.feature(step.output).zero_point == fixed_point.SIGNED else None
    return float(((stored == BYTE_MAX) | (stored == lowest)).mean())


def support_report(graph: Graph, rewritten: Rewritten, plan: Partition) -> tuple[Support, ...]:
    """Return where each node of the imported graph runs and why, in its order.

    Args:
        graph: As imported.
        rewritten: Its canonical form and what became of its nodes.
        plan: Of the canonical form.
    """
    steps = {node.name: step for step in plan.steps for node in step.nodes}
    declined = {d.node: d.reason for d in rewritten.declined}
    rows: list[Support] = []
    for node in graph.nodes:
        step = steps.get(node.name)
        if step is None:
            rows.append(_absorbed(node.name, node.kind, rewritten.absorbed.get(node.name, "")))
        elif step.node.name == node.name:
            reason = step.reason
            if step.kind == "host" and node.name in declined:
                reason = f"{reason}: {declined[node.name]}"
            rows.append(
                Support(node=node.name, op=node.kind, place=PLACES[step.kind], reason=reason)  # pyright: ignore[reportArgumentType]
            )
        else:
            rows.append(_fused(node.name, node.kind, step.node.name, "applied as it is written"))
    return tuple(rows)


def _absorbed(name: str, op: str, into: str) -> Support:
    if not into:
        return Support(node=name, op=op, place="fused", reason="changes nothing at inference")
    return _fused(name, op, into, "folded into its weights")


def _fused(name: str, op: str, into: str, reason: str) -> Support:
    return Support(node=name, op=op, place="fused", reason=reason, layer=into)
