"""Graph -> graph rewriting: patterns propose, the rewriter changes and keeps what was declined.

A pattern looks at one node at a time and either replaces a few nodes by others, or declines with a
reason, or says nothing (the node is of no interest). `rewrite` applies patterns until none changes
anything, and verifies the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tf2.errors import PassError, Tf2Error
from tf2.ir.dtypes import Plain, TensorType
from tf2.ir.graph import Graph, Node
from tf2.ir.verify import verify


@dataclass(frozen=True)
class Declined:
    """A node that a pattern could not rewrite exactly, and why."""

    pattern: str
    node: str
    reason: str


class RewritePattern:
    """One rewrite. Subclasses set ``roots`` and implement ``match_and_rewrite``."""

    roots: frozenset[str] = frozenset()
    """Kinds of the nodes the pattern is shown."""

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Call ``rewriter.replace`` or ``rewriter.decline``, or return to leave the node alone."""
        raise TypeError(f"{type(self).__name__} does not say how it rewrites")


@dataclass
class Rewriter:
    """The graph while patterns change it.

    Attributes:
        graph: As it stands now.
        declined: What was left as it is, by (pattern, node).
        absorbed: Nodes that are gone, with the node that took them in ("" where none was needed).
        changed: A replacement was made.
    """

    graph: Graph
    pattern: str = ""
    declined: dict[tuple[str, str], Declined] = field(default_factory=dict)
    absorbed: dict[str, str] = field(default_factory=dict)
    changed: bool = False

    def decline(self, node: Node, reason: str) -> None:
        """Keep a node as it is; the reason goes to the support report."""
        key = (self.pattern, node.name)
        self.declined[key] = Declined(self.pattern, node.name, reason)

    def constant(self, name: str, data: np.ndarray) -> str:
        """Add a constant under a name derived from ``name`` and return the name it got."""
        taken = self.graph.types
        unique = next(n for n in _candidates(name) if n not in taken)
        kind = TensorType(Plain(str(data.dtype)), data.shape)
        self.graph = replace(
            self.graph,
            types={**taken, unique: kind},
            constants={**self.graph.constants, unique: data},
        )
        return unique

    def replace(
        self,
        old: Sequence[Node],
        new: Sequence[Node],
        types: Mapping[str, TensorType] | None = None,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        """Put nodes in place of others.

        Args:
            old: Nodes of the graph; the new ones stand where the last of them stood.
            new: In topological order; they write every value of ``old`` still in use.
            types: Of values that did not exist before.
            rename: Values that readers take from elsewhere, as {former: present name}.
        """
        gone = {node.name for node in old}
        last = max(i for i, node in enumerate(self.graph.nodes) if node.name in gone)
        nodes: list[Node] = []
        for i, node in enumerate(self.graph.nodes):
            if node.name not in gone:
                nodes.append(_renamed(node, rename))
            if i == last:
                nodes.extend(new)
        self.graph = self.graph.replaced(nodes=nodes, types=types)
        self.changed = True
        kept = {node.name for node in new}
        for node in old:
            self.declined.pop((self.pattern, node.name), None)
            if node.name not in kept:
                self.absorbed[node.name] = new[0].name if new else ""


def _renamed(node: Node, rename: Mapping[str, str] | None) -> Node:
    if not rename or not any(name in rename for name in node.inputs):
        return node
    return replace(node, inputs=tuple(rename.get(name, name) for name in node.inputs))


def _candidates(name: str):
    yield name
    index = 1
    while True:
        yield f"{name}.{index}"
        index += 1


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A rewritten graph and what became of its nodes.

    Attributes:
        graph: Verified.
        declined: Nodes that are still there though a pattern was meant for them, and why.
        absorbed: Nodes that are gone, with the node of ``graph`` that took them in ("": none).
    """

    graph: Graph
    declined: tuple[Declined, ...]
    absorbed: Mapping[str, str]


def rewrite(graph: Graph, patterns: Sequence[RewritePattern]) -> Rewritten:
    """Return the graph with the patterns applied until none changes it.

    Raises:
        PassError: A pattern failed or broke the graph; names pattern and node.
    """
    rewriter = Rewriter(graph)
    for _ in range(10_000):  # far above any real graph: a pattern that undoes another is a bug
        rewriter.changed = False
        for pattern in patterns:
            _apply(pattern, rewriter)
        if not rewriter.changed:
            return _finished(rewriter)
    raise PassError(f"passes on {graph.name!r} do not come to an end")


def _finished(rewriter: Rewriter) -> Rewritten:
    graph = verify(rewriter.graph)
    present = {node.name for node in graph.nodes}
    declined = tuple(d for d in rewriter.declined.values() if d.node in present)
    return Rewritten(graph=graph, declined=declined, absorbed=follow(rewriter.absorbed, present))


def follow(absorbed: Mapping[str, str], present: set[str]) -> dict[str, str]:
    """Return for each absorbed node the one in ``present`` at the end of its chain, or ""."""
    ends: dict[str, str] = {}
    for node in absorbed:
        if node in present:
            continue
        end = absorbed[node]
        while end and end not in present:
            end = absorbed.get(end, "")
        ends[node] = end
    return ends


def _apply(pattern: RewritePattern, rewriter: Rewriter) -> None:
    rewriter.pattern = type(pattern).__name__
    for node in rewriter.graph.nodes:
        if node.kind not in pattern.roots:
            continue
        current = {n.name: n for n in rewriter.graph.nodes}.get(node.name)
        if current is None:
            continue
        try:
            pattern.match_and_rewrite(current, rewriter)
        except (Tf2Error, ValueError, KeyError, IndexError) as error:
            raise PassError(
                f"{rewriter.pattern} at {node.op} node {node.name!r}: {error}"
            ) from error
