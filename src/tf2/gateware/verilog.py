"""The overlay as Verilog."""

from __future__ import annotations

import re
from typing import Any

from amaranth.back import rtlil, verilog
from amaranth.hdl import Value
from amaranth.hdl._ir import PortDirection  # there is no public name for what `ports=` takes
from amaranth.lib import wiring

from tf2.arch import OverlayConfig
from tf2.gateware.array_core import ArrayCore
from tf2.gateware.overlay import Overlay
from tf2.gateware.shared_module import SharedModules

TOP = "overlay"
"""Name of the top module."""

_ZEROS = re.compile(
    r"\n  cell \$meminit_v2 [^\n]*\n(?:    parameter [^\n]*\n)*    connect \\ADDR [^\n]*\n"
    r"    connect \\DATA \d+'0+\n(?:    [^\n]*\n)*?  end\n"
)
"""A memory's first content in RTLIL, all 0."""


def generate(config: OverlayConfig) -> str:
    """Return the Verilog of an overlay: module `overlay`, ports clk, rst and those of `Overlay`.

    Members of its buses are named with one underscore: m_axi_araddr.
    """
    return convert(Overlay(config, array=ArrayCore(config)), name=TOP)


def convert(unit: Any, *, name: str) -> str:
    """Return the Verilog of any unit, named as `generate` names.

    Memories whose first content is 0 are left without one: written out word by word it would be
    most of the text, and most of the time.
    """
    shared = SharedModules()
    text = rtlil.convert(unit, name=name, platform=shared, ports=ports(unit), emit_src=False)
    # What `verilog.convert` does with it.
    top = verilog._convert_rtlil_text(_ZEROS.sub("\n", text))
    return "\n".join([*shared.texts.values(), top])


def ports(unit: wiring.Component) -> dict[str, Any]:
    """Return the members of a unit as ports of a module."""
    return {
        "_".join(map(str, path)): (
            Value.cast(value),
            PortDirection.Input if member.flow == wiring.In else PortDirection.Output,
        )
        for path, member, value in unit.signature.flatten(unit)
    }
