"""Float graph -> integer graph: where each operator runs, and the scale of every feature tensor."""

from tf2.quantization.calibration import TensorRange, measure
from tf2.quantization.integer_graph import ConvParameters, IntegerGraph, SumParameters, bytes_name
from tf2.quantization.partition import Partition, Step, partition

__all__ = [
    "ConvParameters",
    "IntegerGraph",
    "Partition",
    "Step",
    "SumParameters",
    "TensorRange",
    "bytes_name",
    "measure",
    "partition",
]
