"""Units of which many are alike, converted to Verilog once and instantiated by name.

Amaranth elaborates every copy of a submodule and writes each out: 43 s for 3,840 lanes, and as much
text for Verilator. Converted once they take 3 s, and Verilator may keep the copies as one function.
"""

from __future__ import annotations

from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Value
from amaranth.lib import wiring

_KEEP = "/*verilator no_inline_module*/"


class SharedModules:
    """The platform of a Verilog conversion: collects the modules that `shared` asks for.

    Give it as `platform` to `amaranth.back.verilog.convert`; `texts` then belongs to the result.

    Attributes:
        texts: Verilog of each module, by its name.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def instance(self, unit: wiring.Component, name: str) -> Instance:
        """Return an instance of the module of that name, connected to the unit's members."""
        if name not in self.texts:
            text = verilog.convert(unit, name=name, platform=self, emit_src=False)
            self.texts[name] = _not_inlined(text, name)
        ports = {
            f"{'i' if member.flow == wiring.In else 'o'}_{'__'.join(map(str, path))}": Value.cast(v)
            for path, member, v in unit.signature.flatten(unit)
        }
        return Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)


def shared(unit: wiring.Component, name: str, platform: Any) -> Any:
    """Return the unit to be added as a submodule: itself, or an instance of its shared module.

    Args:
        unit: All units of one name must be alike: the same class and the same arguments.
        name: Of the module.
        platform: As given to `elaborate`; a `SharedModules` shares, anything else does not.
    """
    return platform.instance(unit, name) if isinstance(platform, SharedModules) else unit


def _not_inlined(text: str, name: str) -> str:
    """Return the text with Verilator's pragma behind the port list of module `name`."""
    start = text.index(f"module {name}(")
    end = text.index(";", start) + 1
    return f"{text[:end]}\n  {_KEEP}{text[end:]}"
