"""What an overlay takes of an FPGA, without running synthesis."""

from tf2.resources.memory import Memory, block_rams, memories
from tf2.resources.model import Resources, UnitResources, estimate_resources

__all__ = [
    "Memory",
    "Resources",
    "UnitResources",
    "block_rams",
    "estimate_resources",
    "memories",
]
