"""The overlay as Verilog."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Value
from amaranth.hdl._ir import PortDirection  # there is no public name for what `ports=` takes
from amaranth.lib import wiring

from tf2.arch import OverlayConfig
from tf2.gateware.array_core import ArrayCore
from tf2.gateware.overlay import Overlay
from tf2.gateware.shared_module import SharedModules, to_verilog

TOP = "overlay"
"""Name of the top module."""


def generate(config: OverlayConfig) -> str:
    """Return the Verilog of an overlay: module `overlay`, ports clk, rst and those of `Overlay`.

    Members of its buses are named with one underscore: m_axi_araddr.
    """
    return convert(Overlay(config, array=ArrayCore(config)), name=TOP)


def convert(unit: Any, *, name: str) -> str:
    """Return the Verilog of any unit, named as `generate` names.

    Memories hold no first content, see `shared_module.to_verilog`.
    """
    shared = SharedModules()
    top = to_verilog(unit, name=name, platform=shared, ports=ports(unit))
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
