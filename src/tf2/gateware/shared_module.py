"""Units of which many are alike, converted to Verilog once and instantiated by name.

Amaranth elaborates every copy of a submodule and writes each out: 43 s for 3,840 lanes, and as much
text for Verilator. Converted once they take 3 s, and Verilator may keep the copies as one function.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

from tf2.gateware.bare import bare

_KEEP = "/*verilator no_inline_module*/"


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
            text = verilog.convert(
                unit, name=name, platform=self, emit_src=False, strip_internal_attrs=True
            )
            self.texts[name] = _not_inlined(text, name)
            self._signatures[name] = unit.signature
        return self._signatures[name]


def add_shared(
    m: Module, label: str, name: str, make: Callable[[], wiring.Component], platform: Any
) -> Any:
    """Add a submodule of which there are many, and return the interface to connect.

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


def _not_inlined(text: str, name: str) -> str:
    """Return the text with Verilator's pragma behind the port list of module `name`."""
    start = text.index(f"module {name}(")
    end = text.index(";", start) + 1
    return f"{text[:end]}\n  {_KEEP}{text[end:]}"
