"""Any float graph as a `torch.nn.Module`, and back: parameters are the graph's constants.

module = GraphModule(graph)
train(module)                    # module(x), or module({"a": a, "b": b})
graph = module.to_graph()        # the same graph with the trained constants
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tf2.errors import TrainingError
from tf2.ir import FLOAT32, Feature, Graph, Node
from tf2.ir.integer_ops import DOMAIN
from tf2.training.int8_features import FLOAT, OVERWRITTEN, FeaturePlan, PoolFactor, as_bytes
from tf2.training.operators import PARAMETER_INPUTS, Function, function_of

BatchNorm = Literal["frozen", "train"]

Feed = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One node, ready to run."""

    node: Node
    function: Function
    reads: Mapping[str, Feature]
    writes: Feature | None
    factor: PoolFactor | None
    overwrites: bool
    ended: tuple[str, ...]


class GraphModule(nn.Module):
    """Computes what the graph computes, with gradients.

    Float constants that are weights (see `operators.PARAMETER_INPUTS`) are parameters, the others
    buffers. In evaluation mode outputs equal the interpreter's up to float rounding.

    Args:
        graph: Float, verified.
        outputs: Values to return; default the graph's outputs.
        batch_norm: "frozen" keeps stored statistics; "train" uses those of each batch while the
            module is in training mode, and moves the stored ones towards them.
        features: Values to hold as bytes; default none.

    Raises:
        TrainingError: An operator cannot be trained through, or an output does not exist.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        outputs: Sequence[str] | None = None,
        batch_norm: BatchNorm = "frozen",
        features: FeaturePlan = FLOAT,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.output_names = tuple(graph.outputs if outputs is None else outputs)
        self._batch_norm = batch_norm
        unknown = [n for n in self.output_names if n not in graph.types]
        if unknown:
            raise TrainingError(f"graph {graph.name!r} has no value {unknown[0]!r} to return")
        needed = _needed(graph, self.output_names)
        self._attributes = self._register(needed)
        self._constants = [name for name in self._attributes if not _moves(needed, name)]
        self._trained = [name for name in self._attributes if _moves(needed, name)]
        self._calls = self._planned(needed, features)

    def forward(self, feed: Feed) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs, one tensor if it is one.

        Args:
            feed: The input, or tensors by input name.
        """
        inputs = {self.graph.inputs[0]: feed} if isinstance(feed, Tensor) else dict(feed)
        values: dict[str, Tensor] = {**inputs, **self._values()}
        for call in self._calls:
            self._run(call, values)
        results = tuple(values[name] for name in self.output_names)
        return results[0] if len(results) == 1 else results

    def parameter_of(self, constant: str) -> nn.Parameter:
        """Return the parameter that a constant of the graph became.

        Raises:
            KeyError: It became none.
        """
        parameter = getattr(self, self._attributes[constant])
        if not isinstance(parameter, nn.Parameter):
            raise KeyError(constant)
        return parameter

    def trained_constants(self) -> dict[str, np.ndarray]:
        """Return the graph's constants that training moves, by name, as they are now."""
        return {
            name: getattr(self, self._attributes[name]).detach().cpu().numpy().copy()
            for name in self._trained
        }

    def to_graph(self) -> Graph:
        """Return the graph with the parameters as its constants."""
        return self.graph.replaced(constants=self.trained_constants())

    def _register(self, nodes: Sequence[Node]) -> dict[str, str]:
        """Register what the nodes read of the constants; return attribute names by constant."""
        attributes: dict[str, str] = {}
        for node in nodes:
            for index, name in enumerate(node.inputs):
                data = self.graph.constant(name)
                if data is None or name in attributes:
                    continue
                if data.dtype.kind not in "fiub":
                    raise TrainingError(f"{node.kind} node {node.name!r} reads {data.dtype}")
                key = f"{re.sub(r'[^0-9A-Za-z_]', '_', name)}_{len(attributes)}"
                tensor = torch.from_numpy(np.array(data))
                if self.graph.types[name].dtype == FLOAT32 and _is_parameter(nodes, name):
                    self.register_parameter(key, nn.Parameter(tensor))
                else:
                    statistic = node.kind == "BatchNormalization" and index >= 3
                    self.register_buffer(key, tensor, persistent=statistic)
                attributes[name] = key
        return attributes

    def _planned(self, nodes: Sequence[Node], features: FeaturePlan) -> list[_Call]:
        last = {name: node.name for node in nodes for name in node.inputs if name}
        kept = {*self.output_names, *self._attributes}
        calls: list[_Call] = []
        for node in nodes:
            if node.domain == DOMAIN:
                raise TrainingError(
                    f"graph {self.graph.name!r} is an integer graph: train the float one"
                )
            skipped = node.name in features.skips
            given = features.reads.get(node.name, {})
            ended = [n for n in dict.fromkeys(node.inputs) if n and last[n] == node.name]
            calls.append(
                _Call(
                    node=node,
                    function=(lambda x: x) if skipped else function_of(self.graph, node),
                    reads={n: f for n, f in given.items() if n in node.inputs},
                    writes=features.writes.get(node.output),
                    factor=features.factors.get(node.name),
                    overwrites=node.inputs[0] not in kept if skipped else node.op in OVERWRITTEN,
                    ended=tuple(n for n in ended if n not in kept),
                )
            )
        return calls

    def _values(self) -> dict[str, Tensor]:
        return {name: getattr(self, key) for name, key in self._attributes.items()}

    def _run(self, call: _Call, values: dict[str, Tensor]) -> None:
        node = call.node
        operands = [
            as_bytes(values[n], call.reads[n]) if n in call.reads else values[n] if n else None
            for n in node.inputs
        ]
        if node.kind == "BatchNormalization" and self._batch_norm == "train" and self.training:
            result = self._batch_normalized(node, operands)
        else:
            result = call.function(*operands)
        if call.factor is not None:
            result = call.factor.of_mean(result)
        if call.writes is not None:
            result = as_bytes(result, call.writes, in_place=call.overwrites)
        results = (result,) if isinstance(result, Tensor) else result
        for name, value in zip(node.outputs, results, strict=True):
            if name:
                values[name] = value
        for name in call.ended:
            del values[name]

    def _batch_normalized(self, node: Node, operands: Sequence[Tensor | None]) -> Tensor:
        x, gamma, beta, mean, var = operands
        assert x is not None, "the importer checks operands"
        epsilon = float(node.attr("epsilon", 1e-5))
        momentum = 1.0 - float(node.attr("momentum", 0.9))
        return functional.batch_norm(
            x, mean, var, gamma, beta, training=True, momentum=momentum, eps=epsilon
        )


def _needed(graph: Graph, outputs: Sequence[str]) -> tuple[Node, ...]:
    """Return the nodes that the outputs depend on, in order."""
    wanted = set(outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


def _is_parameter(nodes: Sequence[Node], name: str) -> bool:
    return any(
        node.operand(index) == name
        for node in nodes
        for index in PARAMETER_INPUTS.get(node.kind, ())
    )


def _moves(nodes: Sequence[Node], name: str) -> bool:
    """Tell whether training changes a constant: a parameter, or a stored statistic."""
    statistics = (name in node.inputs[3:5] for node in nodes if node.kind == "BatchNormalization")
    return _is_parameter(nodes, name) or any(statistics)
