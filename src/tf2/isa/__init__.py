"""The instruction set of the overlay: meaning, geometry, bits. Knows no networks."""

from tf2.isa.encoding import encode
from tf2.isa.filters import Parameters
from tf2.isa.instructions import (
    End,
    InputMap,
    Instruction,
    Kernel,
    Layer,
    Load,
    OutputMap,
    Pool,
    Residual,
    Store,
)
from tf2.isa.layout import Layout

__all__ = [
    "End", "InputMap", "Instruction", "Kernel", "Layer", "Layout", "Load", "OutputMap",
    "Parameters", "Pool", "Residual", "Store", "encode",
]  # fmt: skip
