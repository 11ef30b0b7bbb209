"""The scale of every feature tensor: frac_bits (Q) and zero point, shared where bytes are shared.

Rules. "maximum" is the original's, ``128 = 2**Q * fmax``: the finest scale that holds the largest
value, Q = floor(log2(127 / max|x|)) (255 for values that cannot be negative). "error" takes, among
that Q and the three finer ones, the Q of least squared rounding and saturation error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tf2.ir import Feature
from tf2.ir.graph import Graph
from tf2.numerics import fixed_point
from tf2.quantization.calibration import TensorRange
from tf2.quantization.partition import Partition

FINER = 3
"""How many scales finer than the maximum rule's are tried."""

Q_MIN, Q_MAX = -fixed_point.MAX_FRAC_BITS, fixed_point.MAX_FRAC_BITS
"""Bounds of frac_bits: they keep every scale of a convolution a normal float32."""

SLACK = 2e-6
"""In log2, what float32 rounding may add to the largest value: pixels 0..255 computed back from
normalized ones reach 255.0001, and still are bytes."""


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
        outputs = [name for name in step.nodes[-1].outputs if name and not step.sums]
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
    largest = max(max(r.high, 0.0 if never_negative else -r.low) for r in ranges)
    if largest <= 0.0:
        return Feature(0, zero_point)  # a dead tensor: any scale holds its zeros
    coarsest = _coarsest(largest, zero_point)
    if rule == "maximum":
        return Feature(coarsest, zero_point)
    sample = np.concatenate([r.sample for r in ranges])
    errors = [
        _squared_error(sample, Feature(q, zero_point))
        for q in range(coarsest, coarsest + FINER + 1)
    ]
    return Feature(coarsest + int(np.argmin(errors)), zero_point)


def _coarsest(largest: float, zero_point: int) -> int:
    """Return the largest Q that holds a value, within bounds."""
    levels = fixed_point.BYTE_MAX - zero_point
    exact = np.log2(levels) - np.log2(largest) + SLACK
    return int(np.clip(np.floor(exact), Q_MIN, Q_MAX - FINER))


def _squared_error(sample: np.ndarray, feature: Feature) -> float:
    stored = fixed_point.quantize(sample, feature.frac_bits, feature.zero_point)
    restored = fixed_point.dequantize(stored, feature.frac_bits, feature.zero_point)
    return float(np.square(restored.astype(np.float64) - sample).mean())


def choose_all(
    groups: Sequence[Sequence[str]],
    ranges: Mapping[str, TensorRange],
    *,
    rule: str,
    additions: Iterable[Sequence[str]] = (),
) -> dict[str, Feature]:
    """Return the scale of every feature value.

    A group is held as never negative when no sample of it is: after ReLU by construction, image
    bytes by observation (a later negative value then saturates at 0).

    Args:
        groups: Of values that share one scale.
        ranges: Of all of them.
        rule: "error" or "maximum".
        additions: Operands and result of each addition on the array.
    """
    chosen: list[Feature] = []
    for group in groups:
        measured = [ranges[name] for name in group]
        never_negative = all(_rounds_to_no_negative(r) for r in measured)
        chosen.append(choose(measured, rule=rule, never_negative=never_negative))
    of_group = {name: i for i, group in enumerate(groups) for name in group}
    alive = [any(ranges[n].high > 0 or ranges[n].low < 0 for n in group) for group in groups]
    _admit_additions(chosen, alive, [sorted({of_group[n] for n in names}) for names in additions])
    return {name: chosen[i] for name, i in of_group.items()}


def _rounds_to_no_negative(values: TensorRange) -> bool:
    """Tell whether values below zero, if any, are 0 at every scale tried without a sign.

    Pixels computed back from normalized ones may be -0.00001.
    """
    if values.low >= 0.0 or values.high <= 0.0:
        return values.low >= 0.0
    finest = _coarsest(values.high, fixed_point.UNSIGNED) + FINER
    return -values.low <= 0.5 * 2.0**-finest


def _admit_additions(
    chosen: list[Feature], alive: list[bool], additions: Sequence[Sequence[int]]
) -> None:
    """Bring the scales that meet in an addition within `fixed_point.MAX_ADD_SPREAD` of each other.

    Steps that are finer than that say nothing beside the coarsest: they get coarser. A dead tensor
    takes the coarsest scale of those that live.
    """
    known = list(alive)
    for groups in additions:
        living = [chosen[i].frac_bits for i in groups if known[i]]
        for i in groups:
            if living and not known[i]:
                chosen[i] = replace(chosen[i], frac_bits=min(living))
                known[i] = True
    changed = True
    while changed:  # frac_bits only fall, and never below the lowest
        changed = False
        for groups in additions:
            finest = min(chosen[i].frac_bits for i in groups) + fixed_point.MAX_ADD_SPREAD
            for i in groups:
                if chosen[i].frac_bits > finest:
                    chosen[i] = replace(chosen[i], frac_bits=finest)
                    changed = True


def additions_of(plan: Partition) -> list[tuple[str, ...]]:
    """Return the operands and the result of every addition on the array."""
    return [(*step.node.inputs, step.output) for step in plan.steps if step.kind == "add"]
