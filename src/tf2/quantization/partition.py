"""Which operators of a canonical float graph run on the array, and why the others do not.

A step is one operator of the integer network together with the float nodes fused into it. A value
is "in bytes" when a step on the array (or a move of bytes) writes it; the others are float, on the
host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tf2.ir import FLOAT32, Graph, Node
from tf2.ir.integer_ops import BYTE_MOVERS
from tf2.passes.activation import (
    ACTIVATIONS,
    LINEAR_ACTIVATION,
    TAKES_ACTIVATION,
    Activation,
    activation_of,
)
from tf2.passes.linear import bias_of, is_linear
from tf2.quantization.average_pool import divisor, kernel_of

ARRAY_READERS = frozenset({"Conv", "Gemm", "Add", "AveragePool", "GlobalAveragePool"})
"""Operators that read features if they run on the array."""

Kind = Literal["conv", "add", "average_pool", "move", "host"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One operator of the integer network.

    Attributes:
        kind: "conv" (fully connected too), "add", "average_pool" run on the array; "move" moves
            bytes; "host" computes in float.
        node: The operator.
        fused: The activation it takes in, if any.
        activation: What that does.
        sums: The result leaves the array as int32 sums, which the host scales in float; 8 bits
            would make ties of the classes of a network's output.
        reason: Why it runs there.
    """

    kind: Kind
    node: Node
    fused: tuple[Node, ...] = ()
    activation: Activation = LINEAR_ACTIVATION
    sums: bool = False
    reason: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every float node of the step, in order."""
        return (self.node, *self.fused)

    @property
    def output(self) -> str:
        """The value the step ends in."""
        return self.nodes[-1].output


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The steps in order, and the values that exist as bytes because a step writes them so."""

    steps: tuple[Step, ...]
    in_bytes: frozenset[str] = field(default_factory=frozenset)


def partition(graph: Graph) -> Partition:
    """Return where each node of a canonical graph runs; every node is in exactly one step."""
    wanted = _wanted_as_bytes(graph)
    leaving = _leaving(graph)
    steps: list[Step] = []
    in_bytes: set[str] = set()
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        step = _place(graph, node, in_bytes, wanted)
        if step.output in leaving and _can_give_sums(graph, step):
            step = replace(step, sums=True, reason=f"{step.reason}; the host scales the sums")
        steps.append(step)
        taken.update(n.name for n in step.nodes)
        if step.kind != "host" and not step.sums:
            in_bytes.update(name for name in step.nodes[-1].outputs if name)
    return Partition(steps=tuple(steps), in_bytes=frozenset(in_bytes))


def _wanted_as_bytes(graph: Graph) -> frozenset[str]:
    """Return the values that only layers of the array read, directly or after moves.

    A move that writes one may as well move bytes: rounding before it or after it is the same.
    """
    wanted: set[str] = set()
    taken: dict[str, Sequence[str]] = {}
    for node in reversed(graph.nodes):
        for name in node.outputs:
            users = () if name in graph.outputs else graph.users.get(name, ())
            if users and all(name in taken[user.name] for user in users):
                wanted.add(name)
        taken[node.name] = ()
        if node.kind in ("Conv", "Gemm") and not _linear_refusal(graph, node):
            taken[node.name] = node.inputs[:1]
        elif node.kind in BYTE_MOVERS and not _move_refusal(graph, node):
            if wanted.issuperset(name for name in node.outputs if name):
                taken[node.name] = moved_operands(node)
    return frozenset(wanted)


def _leaving(graph: Graph) -> frozenset[str]:
    """Return the values that nothing on the array reads, neither directly nor after moves."""
    read: set[str] = set()
    for node in reversed(graph.nodes):
        moves = node.kind in BYTE_MOVERS and not _move_refusal(graph, node)
        if moves and read.isdisjoint(node.outputs):
            continue
        if moves or node.kind in ARRAY_READERS:
            read.update(node.inputs)
    return frozenset(name for node in graph.nodes for name in node.outputs if name not in read)


def _can_give_sums(graph: Graph, step: Step) -> bool:
    if step.kind == "conv":
        return not step.fused
    if step.kind != "average_pool":
        return False
    size = graph.shape(step.node.inputs[0])[2:]
    return kernel_of(graph, step.node) == size and not any(step.node.attr("pads", ()))


def moved_operands(node: Node) -> tuple[str, ...]:
    """Return the inputs of a move whose bytes it passes on; the others are its parameters."""
    return node.inputs if node.op == "Concat" else node.inputs[:1]


def _place(graph: Graph, node: Node, in_bytes: set[str], wanted: frozenset[str]) -> Step:
    if node.kind in ("Conv", "Gemm"):
        why_not = _linear_refusal(graph, node)
        return _on_host(node, why_not) if why_not else _with_activation(graph, "conv", node)
    if node.kind == "Add":
        why_not = _add_refusal(graph, node, in_bytes)
        return _on_host(node, why_not) if why_not else _with_activation(graph, "add", node)
    if node.kind in ("AveragePool", "GlobalAveragePool"):
        why_not = _average_refusal(graph, node, in_bytes)
        if why_not:
            return _on_host(node, why_not)
        return Step(kind="average_pool", node=node, reason="window sums and one multiplier")
    if node.kind in BYTE_MOVERS:
        why_not = _move_refusal(graph, node)
        if why_not:
            return _on_host(node, why_not)
        reads_bytes = in_bytes.issuperset(moved_operands(node))
        if not reads_bytes and not wanted.issuperset(name for name in node.outputs if name):
            return _on_host(node, "its input is float on the host")
        return Step(kind="move", node=node, reason="moves bytes and leaves them as they are")
    return _on_host(node, _host_reason(graph, node))


def _on_host(node: Node, reason: str) -> Step:
    return Step(kind="host", node=node, reason=reason)


def _with_activation(graph: Graph, kind: Kind, node: Node) -> Step:
    """Return the step of a node and of the activation that alone reads it."""
    reason = "shift-accumulate" if kind == "conv" else "element-wise add with two scales"
    user = graph.sole_user(node.output)
    if user is None or user.kind not in ACTIVATIONS or user.inputs[0] != node.output:
        return Step(kind=kind, node=node, reason=reason)
    activation = activation_of(graph, user)
    if activation is None or (kind == "add" and activation.slope is not None):
        return Step(kind=kind, node=node, reason=reason)
    return Step(kind=kind, node=node, fused=(user,), activation=activation, reason=reason)


def _linear_refusal(graph: Graph, node: Node) -> str:
    if node.inputs[0] in graph.constants:
        return "its input is a constant"
    weight = graph.constant(node.inputs[1])
    if weight is None:
        return "its weights are computed at run time"
    if weight.dtype != np.float32:
        return f"its weights are {weight.dtype}, not float32"
    if not is_linear(node):
        return "it is not a fully connected layer"
    if bias_of(graph, node) is None:
        return "its bias is computed at run time or differs between samples"
    rank = len(graph.shape(node.inputs[0])) - 2
    if node.op == "Gemm":
        return ""
    if not 1 <= rank <= 3:
        return f"it has {rank} spatial axes; the array takes 1 to 3"
    return ""


def _add_refusal(graph: Graph, node: Node, in_bytes: set[str]) -> str:
    if any(graph.constant(name) is not None for name in node.inputs):
        return "it adds a constant that no convolution could take in"
    if not any(name in in_bytes for name in node.inputs):
        return "both operands are float on the host"
    if any(graph.types[name].dtype != FLOAT32 for name in node.inputs):
        return f"it adds {graph.types[node.inputs[0]].dtype}, not float32"
    return ""


def _average_refusal(graph: Graph, node: Node, in_bytes: set[str]) -> str:
    if node.inputs[0] not in in_bytes:
        return "its input is float on the host"
    if divisor(graph, node) is None:
        return "windows at the border divide by fewer positions than the others"
    return ""


def _move_refusal(graph: Graph, node: Node) -> str:
    """Return why a node does not merely move what it reads, wherever that is."""
    moved = moved_operands(node)
    if any(name in graph.constants for name in moved):
        return "it moves a constant"
    if any(name and graph.constant(name) is None for name in node.inputs[len(moved) :]):
        return "its parameters are computed at run time"
    if node.op == "MaxPool" and len([name for name in node.outputs if name]) > 1:
        return "it also returns the positions of the maxima"
    if node.op == "Pad":
        return _pad_refusal(graph, node)
    return ""


def _pad_refusal(graph: Graph, node: Node) -> str:
    if node.attr("mode", "constant") != "constant":
        return ""
    value = graph.constant(node.operand(2))
    if value is not None and np.any(value):
        return "it pads with a value other than 0"
    return ""


def _host_reason(graph: Graph, node: Node) -> str:
    if node.kind in ACTIVATIONS:
        if activation_of(graph, node) is None:
            return "the activation is not a clip with at most one slope a channel below zero"
        return "no convolution, fully connected layer or add on the array feeds it alone"
    if node.kind in ("Mul", "Div", "Sub", "BatchNormalization"):
        return "no convolution could take it in"
    if node.kind == "ConvTranspose":
        return "it could not be written as a convolution"
    if node.kind in TAKES_ACTIVATION:
        return "it is not in the form the array takes"
    return f"{node.kind} is not an operator of the array"
