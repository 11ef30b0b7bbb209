"""The ports of the overlay's Verilog, by bus: what the vendors' packaging wants listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+) ?;", re.MULTILINE)

BUSES = ("m_axi", "s_axil", "probe")


@dataclass(frozen=True)
class Port:
    """A port of a module.

    Attributes:
        name: In the Verilog.
        direction: Of the module.
        width: Bits.
    """

    name: str
    direction: Literal["input", "output"]
    width: int

    @property
    def bus(self) -> str:
        """Which of `BUSES` it belongs to, or ""."""
        return next((bus for bus in BUSES if self.name.startswith(f"{bus}_")), "")

    @property
    def role(self) -> str:
        """Its name on its bus: araddr."""
        return self.name.removeprefix(f"{self.bus}_")

    @property
    def span(self) -> str:
        """Its range in Verilog, a space behind it; "" for one bit."""
        return f"[{self.width - 1}:0] " if self.width > 1 else ""


def ports_of(verilog: str, module: str = "overlay") -> tuple[Port, ...]:
    """Return the ports of a module in the order of their names."""
    start = verilog.index(f"\nmodule {module}(")
    text = verilog[start : verilog.index("\nendmodule", start)]
    found = {
        name: Port(name, "input" if direction == "input" else "output", int(high or 0) + 1)
        for direction, high, name in _PORT.findall(text)
    }
    return tuple(found[name] for name in sorted(found))
