"""The scale of every feature tensor: frac_bits (Q) and zero point, shared where bytes are shared.

Rules. "maximum" is the original's, ``128 = 2**Q * fmax``: the finest scale that holds the largest
value, Q = floor(log2(127 / max|x|)) (255 for values that cannot be negative). "error" takes, among
that Q and the three finer ones, the Q of least squared rounding and saturation error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tf2.ir import Feature
from tf2.ir.graph import Graph
from tf2.numerics import fixed_point
from tf2.quantization.calibration import TensorRange
from tf2.quantization.partition import Partition

FINER = 3
"""How many scales finer than the maximum rule's are tried."""

Q_MIN, Q_MAX = -60, 60
"""Bounds of frac_bits: they keep every scale of a convolution a normal float32."""


def groups_of_equal_scale(graph: Graph, plan: Partition) -> list[list[str]]:
    """Return the feature values, in groups that must share one scale and zero point.

    Moves pass bytes on unchanged, so what they read and write is one group (concat joins all its
    operands). Values that an array step reads from the host are features too.
    """
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for step in plan.steps:
        if step.kind == "host":
            continue
        operands = feature_operands(graph, step.node.inputs, step.kind)
        outputs = [name for name in step.nodes[-1].outputs if name]
        for name in (*operands, *outputs):
            find(name)
        if step.kind == "move":
            for name in (*operands[1:], *outputs):
                parent[find(name)] = find(operands[0])
    groups: dict[str, list[str]] = {}
    for name in parent:
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())


def feature_operands(graph: Graph, inputs: Sequence[str], kind: str) -> list[str]:
    """Return the inputs that a step reads as features: not weights, shapes and axes."""
    candidates = inputs[:1] if kind in ("conv", "average_pool") else inputs
    return [name for name in candidates if name and graph.constant(name) is None]


def choose(ranges: Sequence[TensorRange], *, rule: str, never_negative: bool) -> Feature:
    """Return the scale of one group.

    Args:
        ranges: Of the group's tensors.
        rule: "error" or "maximum".
        never_negative: Take zero point -128.
    """
    zero_point = fixed_point.UNSIGNED if never_negative else fixed_point.SIGNED
    levels = fixed_point.BYTE_MAX - zero_point
    largest = max(max(r.high, 0.0 if never_negative else -r.low) for r in ranges)
    if largest <= 0.0:
        return Feature(0, zero_point)  # a dead tensor: any scale holds its zeros
    coarsest = int(np.clip(np.floor(np.log2(levels / largest)), Q_MIN, Q_MAX - FINER))
    if rule == "maximum":
        return Feature(coarsest, zero_point)
    sample = np.concatenate([r.sample for r in ranges])
    errors = [
        _squared_error(sample, Feature(q, zero_point))
        for q in range(coarsest, coarsest + FINER + 1)
    ]
    return Feature(coarsest + int(np.argmin(errors)), zero_point)


def _squared_error(sample: np.ndarray, feature: Feature) -> float:
    stored = fixed_point.quantize(sample, feature.frac_bits, feature.zero_point)
    restored = fixed_point.dequantize(stored, feature.frac_bits, feature.zero_point)
    return float(np.square(restored.astype(np.float64) - sample).mean())


def choose_all(
    groups: Iterable[Sequence[str]], ranges: Mapping[str, TensorRange], *, rule: str
) -> dict[str, Feature]:
    """Return the scale of every feature value.

    A group is held as never negative when no sample of it is: after ReLU by construction, image
    bytes by observation (a later negative value then saturates at 0).
    """
    scales: dict[str, Feature] = {}
    for group in groups:
        measured = [ranges[name] for name in group if name in ranges]
        never_negative = all(r.low >= 0.0 for r in measured)
        feature = choose(measured, rule=rule, never_negative=never_negative)
        scales.update(dict.fromkeys(group, feature))
    return scales
