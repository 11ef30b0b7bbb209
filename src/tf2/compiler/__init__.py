"""From an integer graph to a program for an overlay."""

from tf2.compiler.compiled import (
    ArraySegment,
    CompiledModel,
    CompiledRunner,
    HostSegment,
    NodeReport,
)
from tf2.compiler.pipeline import compile_graph

__all__ = [
    "ArraySegment", "CompiledModel", "CompiledRunner", "HostSegment", "NodeReport", "compile_graph",
]  # fmt: skip
