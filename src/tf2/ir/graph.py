"""The graph: named values, nodes in topological order, constants. Passes make new graphs.

Operators of the default domain ("") have the meaning of ONNX at opset `OPSET`, except that those
which only move bytes may also act on `Feature` tensors. Operators of domain "tf2" are the integer
operators of `tf2.ir.integer_ops`. This module knows no file format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from tf2.errors import VerifyError
from tf2.ir.dtypes import TensorType

OPSET = 21
"""ONNX opset of every default-domain operator in a graph."""

Attr = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | np.ndarray
"""Value of an attribute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator. An absent optional input or output is the empty name.

    Attributes:
        name: Unique in the graph; the source file's name where it has one.
        op: Operator type, e.g. "Conv".
        domain: "" (ONNX), "com.microsoft" (ONNX Runtime's own) or "tf2" (integer operators).
        inputs: Names of values.
        outputs: Names of values; each value has one producer.
        attrs: Attributes that differ from the operator's default, or all of them.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    domain: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))

    @property
    def kind(self) -> str:
        """Domain and operator in one word: "Conv", "tf2.Conv"."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def output(self) -> str:
        """The first output, for operators that have one."""
        return self.outputs[0]

    def operand(self, index: int) -> str:
        """Return the name of an input, empty where it is absent or not given."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def attr(self, name: str, default: Any) -> Any:
        """Return an attribute, or ``default`` where the node does not give it."""
        return self.attrs.get(name, default)

    def with_attrs(self, **attrs: Attr) -> Node:
        """Return the node with these attributes set."""
        return replace(self, attrs={**self.attrs, **attrs})


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network. Every value is a graph input, a constant, or the output of one earlier node.

    Attributes:
        name: Of the network.
        inputs: Names of the values fed at run time.
        outputs: Names of the values returned.
        nodes: In topological order.
        types: Type of every value that a node reads or writes, constants included.
        constants: Data of constant values.
        batch_is_free: Axis 0 of every graph input and output is a batch of any size; the types
            then show it as 1.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, np.ndarray]
    batch_is_free: bool = True

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that writes each value; graph inputs and constants have none."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def users(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, in graph order, once each."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    users.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in users.items()}

    def node(self, name: str) -> Node:
        """Return the node of that name.

        Raises:
            VerifyError: There is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise VerifyError(f"graph {self.name!r} has no node {name!r}")

    def sole_user(self, value: str) -> Node | None:
        """Return the one node that reads a value, if it is one and the value is no graph output."""
        users = self.users.get(value, ())
        return users[0] if len(users) == 1 and value not in self.outputs else None

    def constant(self, value: str) -> np.ndarray | None:
        """Return the data of a constant value, None for the others and for the empty name."""
        return self.constants.get(value)

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a value, batch 1."""
        return self.types[value].shape

    def replaced(
        self,
        *,
        nodes: Iterable[Node] | None = None,
        types: Mapping[str, TensorType] | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """Return the graph with other nodes, and types and constants added; drops what is unused.

        Args:
            nodes: All nodes of the new graph, in topological order.
            types: Of new values; existing ones are overwritten.
            constants: New constants; existing ones are overwritten.
            outputs: New graph outputs.
        """
        kept = tuple(self.nodes if nodes is None else nodes)
        outs = self.outputs if outputs is None else outputs
        used = {*self.inputs, *outs, *(n for node in kept for n in (*node.inputs, *node.outputs))}
        all_types = {**self.types, **(types or {})}
        all_constants = {**self.constants, **(constants or {})}
        return replace(
            self,
            nodes=kept,
            outputs=outs,
            types={name: t for name, t in all_types.items() if name in used},
            constants={name: c for name, c in all_constants.items() if name in used},
        )
