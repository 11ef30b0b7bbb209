"""What a bitstream is made of: Verilog, constraints, and a frame for overlays without a board."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tf2.synthesis.stage_cache import hash_of

HARNESS = "harness"
"""Name of the frame's top module."""

_ESCAPED = re.compile(r"\\\S+")
_PORT = re.compile(r"^\s*(input|output) (?:\[(\d+):0\] )?(\w+|\\\S+ );", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Design:
    """A design as texts.

    Attributes:
        top: Name of the top module.
        sources: Files by name: Verilog (``.v``), and what it reads.
        constraints: Pins and clocks (LPF); None lets the tools put pins anywhere.
        clock: Part of the name of the clock whose frequency counts; empty: the slowest of all.
    """

    top: str
    sources: Mapping[str, str] = field(repr=False)
    constraints: str | None = None
    clock: str = ""

    @property
    def hash(self) -> str:
        """What tells designs apart; constraints are left out."""
        return hash_of(self.top, *(part for item in sorted(self.sources.items()) for part in item))


def plain_names(verilog: str) -> str:
    r"""Return Verilog whose names hold no brackets: ``\word[1]`` becomes ``\word(1)``.

    Amaranth names the fields of a signal so, beside the signal itself; yosys' abc9 takes such a
    name for a bit of that signal, and stops.
    """
    return _ESCAPED.sub(lambda name: name[0].replace("[", "(").replace("]", ")"), verilog)


def in_harness(verilog: str, *, top: str) -> Design:
    """Return a module between registers, so that it can be placed and timed without its pins.

    An overlay has hundreds of ports, more than any package has pins. Here its inputs come from a
    shift register, and its outputs go through a register into a signature (a shift register, each
    bit of which adds one output), all by the same clock: nothing can be optimised away, and paths
    to and from the bus are timed from register to register, as they are between the overlay and a
    memory controller. Three pins remain: clk, serial_in, serial_out.

    Args:
        verilog: Of the module and all it needs; its clock is clk.
        top: The module.
    """
    start = verilog.index(f"module {top}(")
    found = _PORT.findall(verilog[start : verilog.index("endmodule", start)])
    ports = [(kind, int(high or 0) + 1, name) for kind, high, name in found if name != "clk"]
    widths = {kind: sum(w for k, w, _ in ports if k == kind) for kind in ("input", "output")}
    if not all(widths.values()):
        raise ValueError(f"{top} has no inputs or no outputs besides its clock")
    text = f"{plain_names(verilog)}\n{_harness(top, ports, widths['input'], widths['output'])}"
    return Design(top=HARNESS, sources={"design.v": text})


def _harness(top: str, ports: list[tuple[str, int, str]], driven: int, seen: int) -> str:
    wires = {"input": ("drive", 0), "output": ("seen", 0)}
    connections = [".clk(clk)"]
    for kind, width, name in ports:
        wire, low = wires[kind]
        connections.append(f".{name}({wire}[{low + width - 1}:{low}])")
        wires[kind] = (wire, low + width)
    return f"""module {HARNESS}(input clk, input serial_in, output serial_out);
  reg [{driven - 1}:0] drive;
  wire [{seen - 1}:0] seen;
  reg [{seen - 1}:0] held;
  reg [{seen - 1}:0] signature;
  always @(posedge clk) begin
    drive <= {{drive, serial_in}};
    held <= seen;
    signature <= {{signature, drive[{driven - 1}]}} ^ held;
  end
  assign serial_out = signature[{seen - 1}];
  {top} {top}({", ".join(connections)});
endmodule
"""
