"""The graph that every stage reads and writes."""

from tf2.ir.dtypes import FLOAT32, INT32, DType, Feature, Plain, TensorType
from tf2.ir.graph import OPSET, Attr, Graph, Node
from tf2.ir.text import to_text
from tf2.ir.verify import verify

__all__ = [
    "FLOAT32",
    "INT32",
    "OPSET",
    "Attr",
    "DType",
    "Feature",
    "Graph",
    "Node",
    "Plain",
    "TensorType",
    "to_text",
    "verify",
]
