"""Units of which many are alike, converted to Verilog once and instantiated by name.

Amaranth elaborates every copy of a submodule and writes each out: 43 s for 3,840 lanes, and as much
text for Verilator. Converted once they take 3 s, and Verilator may keep the copies as one function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from amaranth.back import rtlil, verilog
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

from tf2.gateware.bare import bare

_KEEP = "/*verilator no_inline_module*/"

_SYNTHESISED_ONCE = "(* keep_hierarchy *)\n"
"""Yosys then also leaves each copy its own registers, near to what they feed, where it would merge
those of all copies that hold the same."""

_ZEROS = re.compile(
    r"\n  cell \$meminit_v2 [^\n]*\n(?:    parameter [^\n]*\n)*    connect \\ADDR [^\n]*\n"
    r"    connect \\DATA \d+'0+\n(?:    [^\n]*\n)*?  end\n"
)
"""A memory's first content in RTLIL, all 0."""


class SharedModules:
    """The platform of a Verilog conversion: collects the modules that `add_shared` asks for.

    Give it as `platform` to `amaranth.back.verilog.convert`; `texts` then belongs to the result.

    Attributes:
        texts: Verilog of each module, by its name.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._signatures: dict[str, wiring.Signature] = {}

    def signature(self, name: str, make: Callable[[], wiring.Component]) -> wiring.Signature:
        """Return the signature of the module of that name, converted when first asked for."""
        if name not in self.texts:
            unit = make()
            text = to_verilog(unit, name=name, platform=self)
            self.texts[name] = _not_inlined(text, name)
            self._signatures[name] = unit.signature
        return self._signatures[name]


def add_shared(
    m: Module, label: str, name: str, make: Callable[[], wiring.Component], platform: Any
) -> Any:
    """Add a submodule of which there are many, and return the interface to connect.

    Shared, it is an instance that no `ResetInserter` around `m` reaches: what it holds must be
    gone after its latency, or have a member that clears it (`PE.clear`).

    Args:
        m: The module that gets it.
        label: Of the submodule in m.
        name: Of the shared module: all units of one name must be alike, class and arguments.
        make: Makes the unit; its members must be ports, not interfaces.
        platform: As given to `elaborate`; a `SharedModules` shares, anything else does not.
    """
    if not isinstance(platform, SharedModules):
        unit: Any = make()
        m.submodules[label] = unit
        return unit
    members = platform.signature(name, make).members
    interface = {
        member: bare(flow.shape, name=f"{label}_{member}") for member, flow in members.items()
    }
    ports = {
        f"{'i' if flow.flow == wiring.In else 'o'}_{member}": Value.cast(interface[member])
        for member, flow in members.items()
    }
    m.submodules[label] = Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
    return SimpleNamespace(**interface)


def to_verilog(unit: Any, *, name: str, platform: Any, ports: Any = None) -> str:
    """Return the Verilog of a unit as module `name`, without attributes of sources.

    Memories whose first content is 0 are left without one: written out word by word it would be
    most of the text, and most of what Verilator and g++ have to do.

    Args:
        unit: What to convert.
        name: Of its module.
        platform: Given to `elaborate`.
        ports: As of `amaranth.back.rtlil.convert`.
    """
    text = rtlil.convert(unit, name=name, platform=platform, ports=ports, emit_src=False)
    # What `verilog.convert` does with it.
    return verilog._convert_rtlil_text(_ZEROS.sub("\n", text), strip_internal_attrs=True)


def _not_inlined(text: str, name: str) -> str:
    """Return the text with attributes of module `name`, and Verilator's behind its port list."""
    start = text.index(f"module {name}(")
    end = text.index(";", start) + 1
    return f"{text[:start]}{_SYNTHESISED_ONCE}{text[start:end]}\n  {_KEEP}{text[end:]}"
