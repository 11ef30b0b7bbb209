"""Complete designs for boards: the overlay, a memory controller and a host link, by LiteX."""

from tf2.soc.generate import SOC_BOARDS, SocFiles, generate, simulated
from tf2.soc.memory_map import Leveling, MemoryCommand, MemoryMap

__all__ = [
    "SOC_BOARDS",
    "Leveling",
    "MemoryCommand",
    "MemoryMap",
    "SocFiles",
    "generate",
    "simulated",
]
