"""The project of an overlay for a part: Verilog, constraints, scripts, drivers."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from tf2.arch import OverlayConfig, register_map
from tf2.arch.register_map import ErrorCode, Register
from tf2.errors import ConfigError
from tf2.gateware.verilog import generate as generate_verilog
from tf2.isa.program import Program
from tf2.isa.program_file import program_bytes
from tf2.model_file.atomic import atomic_write
from tf2.platforms import PARTS, Part
from tf2.projects.ports import Port, ports_of

OUTSTANDING = 8
"""Bursts that the overlay has open in each direction."""

WATCHDOG_S = 1.0

INTEL_FAMILIES = {"arria10-gx1150": "Arria 10", "agilex-agf014": "Agilex 7"}

PORT_BITS = (32, 64, 128)
"""Widths of the memory port of a Zynq UltraScale+."""


@dataclass(frozen=True, kw_only=True)
class ProjectFiles:
    """What was written.

    Attributes:
        folder: Where.
        files: Their names in it.
        commands: What to run there, in order.
        not_run: Tools that were not run: what they would say is not known.
    """

    folder: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]
    not_run: str


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How the projects of a part are made.

    Attributes:
        templates: File -> the template that it is made from.
        commands: To run.
        tool: That runs them.
    """

    templates: Mapping[str, str]
    commands: tuple[str, ...]
    tool: str


_QUARTUS = _Kind(
    templates={
        "project.tcl": "quartus_project.tcl", "overlay.sdc": "overlay.sdc",
        "overlay_hw.tcl": "overlay_hw.tcl",
    },
    commands=("quartus_sh -t project.tcl",),
    tool="Quartus",
)  # fmt: skip
_KINDS: dict[str, _Kind] = {
    "arria10-gx1150": _QUARTUS,
    "agilex-agf014": _QUARTUS,
    "kv260": _Kind(
        templates={
            "overlay.xdc": "overlay.xdc", "synthesis.tcl": "vivado_synthesis.tcl",
            "package_ip.tcl": "vivado_package_ip.tcl",
            "block_design.tcl": "vivado_block_design.tcl",
            "tf2_kv260.py": "pynq_driver.py.template",
        },
        commands=(
            "vivado -mode batch -source package_ip.tcl",
            "vivado -mode batch -source block_design.tcl",
        ),
        tool="Vivado",
    ),
    "alveo-u250": _Kind(
        templates={
            "overlay.xdc": "overlay.xdc", "synthesis.tcl": "vivado_synthesis.tcl",
            "package_kernel.tcl": "vitis_package_kernel.tcl", "kernel.xml": "kernel.xml",
            "tf2_kernel.v": "tf2_kernel.v",
        },
        commands=(
            "vivado -mode batch -source package_kernel.tcl",
            "v++ --link, as in package_kernel.tcl",
        ),
        tool="Vivado and Vitis",
    ),
}  # fmt: skip


class _Template(string.Template):
    """``@{name}`` is filled in: Tcl and Verilog have their own use for the dollar."""

    delimiter = "@"


def generate(
    part: Part,
    config: OverlayConfig,
    program: Program | None,
    directory: Path,
    *,
    clock_mhz: float,
    progress: Callable[[str, float], None] | None = None,
) -> ProjectFiles:
    """Write the project of an overlay for a part that a vendor's tools build.

    Args:
        part: Of Intel or AMD.
        config: The overlay.
        program: To write beside it; None for none.
        directory: Is made; files in it are replaced one by one.
        clock_mhz: Of the constraints.
        progress: Told the stage and its share.

    Raises:
        ConfigError: No vendor project is known for the part, or its memory port has another width.
    """
    if part.name not in _KINDS:
        raise ConfigError(
            f"{part.name} has no vendor project; those that have are {', '.join(_KINDS)}"
        )
    if part.name == "kv260" and 8 * config.ddr_bytes not in PORT_BITS:
        raise ConfigError(
            f"ddr_bytes = {config.ddr_bytes}: the memory port of kv260 is 4, 8 or 16 bytes wide"
        )
    show = progress or (lambda stage, share: None)
    show("elaborate", 0.0)
    verilog = generate_verilog(config)
    kind = _KINDS[part.name]
    values = _values(part, config, ports_of(verilog), clock_mhz)
    texts = {
        "overlay.v": verilog,
        "overlay.json": json.dumps(asdict(config), indent=2) + "\n",
        **{name: _filled(template, values) for name, template in kind.templates.items()},
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        show(f"write {name}", 0.9)
        with atomic_write(directory / name) as file:
            file.write(text.encode())
    names = list(texts)
    if program is not None:
        with atomic_write(directory / "program.bin") as file:
            file.write(program_bytes(program))
        names.append("program.bin")
    return ProjectFiles(
        folder=directory, files=tuple(names), commands=kind.commands,
        not_run=f"{kind.tool} was not run: area and clock there are not known",
    )  # fmt: skip


def vendor_parts() -> tuple[Part, ...]:
    """Return the parts that have a vendor project."""
    return tuple(part for name, part in PARTS.items() if name in _KINDS)


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = (resources.files("tf2.projects") / "templates" / template).read_text(encoding="utf-8")
    return _Template(text).substitute(values)


def _values(
    part: Part, config: OverlayConfig, ports: tuple[Port, ...], clock_mhz: float
) -> dict[str, str]:
    """Return what templates name."""
    kernel = part.name == "alveo-u250"
    return {
        "name": config.name,
        "hash": f"{config.hash:08x}",
        "family": INTEL_FAMILIES.get(part.name, ""),
        "device": part.device,
        "clock_mhz": f"{clock_mhz:g}",
        "kernel_mhz": f"{clock_mhz:.0f}",
        "period_ns": f"{1e3 / clock_mhz:.3f}",
        "clock": "clk",
        "port_bits": str(8 * config.ddr_bytes),
        "data_bits": str(8 * config.ddr_bytes),
        "outstanding": str(OUTSTANDING),
        "both_outstanding": str(2 * OUTSTANDING),
        **{f"{bus}_ports": _interface_ports(bus, ports) for bus in ("m_axi", "s_axil", "probe")},
        "registers": "\n".join(f'    "{r.name}": 0x{r.value:02x},' for r in Register),
        "tcl_registers": "\n".join(f"    {r.name} 0x{r.value:02x}" for r in Register),
        "id": f"{register_map.ID:08x}",
        "alignment": str(register_map.ARENA_ALIGNMENT),
        "start": str(register_map.CONTROL_START),
        "abort": str(register_map.CONTROL_ABORT),
        "busy": str(register_map.STATUS_BUSY),
        "done": str(register_map.STATUS_DONE),
        "error": str(register_map.STATUS_ERROR),
        "code_shift": str(register_map.STATUS_CODE_SHIFT),
        "errors": "\n".join(f'    {e.value}: "{e.name.lower()}",' for e in ErrorCode),
        "watchdog": str(int(WATCHDOG_S * clock_mhz * 1e6)),
        "arguments": _arguments(),
        **(_kernel_ports(ports) if kernel else {}),
    }


def _interface_ports(bus: str, ports: tuple[Port, ...]) -> str:
    """Return a Platform Designer interface's ports."""
    return "\n".join(
        f"add_interface_port {bus} {p.name} {p.role} {p.direction.capitalize()} {p.width}"
        for p in ports
        if p.bus == bus
    )


def _arguments() -> str:
    """Return the kernel's arguments: the registers that a host writes, the arena as a buffer."""
    written = (
        Register.ARENA_BASE, Register.ARENA_BYTES, Register.CODE_ADDRESS,
        Register.FILTERS_ADDRESS, Register.FILTERS_BYTES, Register.WATCHDOG,
        Register.PROGRAM_HASH,
    )  # fmt: skip
    lines: list[str] = []
    for i, register in enumerate(written):
        buffer = register is Register.ARENA_BASE
        wide = register < Register.WATCHDOG
        size, kind = (8, "void*" if buffer else "ulong") if wide else (4, "uint")
        lines.append(
            f'      <arg name="{register.name.lower()}" addressQualifier="{int(buffer)}" id="{i}" '
            f'port="{"m_axi_gmem" if buffer else "s_axi_control"}" size="0x{size:x}" '
            f'offset="0x{register.value:x}" type="{kind}" hostOffset="0x0" hostSize="0x{size:x}"/>'
        )
    return "\n".join(lines)


def _kernel_ports(ports: tuple[Port, ...]) -> dict[str, str]:
    """Return ports, connections and address extensions of the RTL kernel."""
    names = {"m_axi": "m_axi_gmem", "s_axil": "s_axi_control"}
    wide = {"m_axi_araddr": 64, "m_axi_awaddr": 64, "s_axil_araddr": 12, "s_axil_awaddr": 12}
    outer: list[str] = []
    connections: list[str] = []
    assigns: list[str] = []
    for port in (p for p in ports if p.bus in names):
        name, width = f"{names[port.bus]}_{port.role}", wide.get(port.name, port.width)
        span = f"[{width - 1}:0] " if width > 1 else ""
        outer.append(f"  {port.direction} {span}{name}")
        inner = name
        if width != port.width and port.direction == "input":
            inner = f"{name}[{port.width - 1}:0]"
        elif width != port.width:
            inner = f"{port.role}"
            assigns.append(f"  wire {port.span}{inner};")
            assigns.append(f"  assign {name} = {{{width - port.width}'b0, {inner}}};")
        connections.append(f"    .{port.name}({inner})")
    unused = [f"    .{p.name}()" for p in ports if p.bus == "probe"]
    return {
        "ports": ",\n".join(outer),
        "assigns": "\n".join(assigns),
        "connections": ",\n".join(connections + unused),
    }
