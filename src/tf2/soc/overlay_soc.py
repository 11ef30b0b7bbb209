"""The design around the overlay in LiteX: bus, memory controller, host link, registers."""

# A LiteX module gets its members at run time.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from typing import Any

from litedram.frontend.axi import LiteDRAMAXIPort
from litedram.init import get_sdram_phy_init_sequence
from litex.soc.cores.uart import UARTBone
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect.axi import AXILiteInterface
from migen import ClockSignal, Instance, ResetSignal

from tf2.arch import OverlayConfig
from tf2.soc.checksum import MemoryChecksum
from tf2.soc.memory_map import Leveling, MemoryCommand, MemoryMap
from tf2.soc.overlay_port import OverlayPort

OVERLAY_ADDRESS = 0x3000_0000
OVERLAY_SPAN = 0x1000
MEMORY_ADDRESS = 0x4000_0000
BANKS = {"ctrl": 0, "sdram": 1, "ddrphy": 2, "checksum": 3}
"""Places of the design's own registers; the same in all designs."""

LITE_ADDRESS_BITS = 8
AXI_ADDRESS_BITS = 32

CONTROL_LINES = {"cke": 1 << 1, "odt": 1 << 2, "reset_n": 1 << 3}
COMMAND_LINES = {"cs": 1 << 0, "we": 1 << 1, "cas": 1 << 2, "ras": 1 << 3}


class OverlaySoc(SoCMini):
    """One overlay, one DRAM, one serial host link, one clock.

    The host is a master of the bus (Wishbone, 32 bits) through LiteX's UARTBone; the overlay's
    registers, the DRAM and the design's registers are its slaves. The overlay reaches the DRAM by
    a port of its own; nothing is cached, so host and overlay see the same bytes.

    Args:
        platform: The board's, or a simulated one.
        clock_hz: Of everything.
        crg: Clocks and resets.
        phy: LiteDRAM's PHY of the memory.
        module: LiteDRAM's description of the memory.
        serial: The physical layer of the host link.
        config: Of the overlay.
    """

    def __init__(
        self,
        platform: Any,
        clock_hz: int,
        *,
        crg: Any,
        phy: Any,
        module: Any,
        serial: Any,
        config: OverlayConfig,
    ) -> None:
        self.csr_map = BANKS
        SoCMini.__init__(self, platform, clock_hz, ident="", ident_version=False)
        self.crg = crg
        self.ddrphy = phy
        self.add_sdram("sdram", phy=phy, module=module, origin=MEMORY_ADDRESS, l2_cache_size=0)
        self.serial_phy = serial
        self.uartbone = UARTBone(phy=serial, clk_freq=clock_hz)
        self.bus.add_master("uartbone", self.uartbone.wishbone)
        self.checksum = MemoryChecksum()
        self.bus.add_master("checksum", self.checksum.bus)
        self._add_overlay(config)

    def _add_overlay(self, config: OverlayConfig) -> None:
        memory = LiteDRAMAXIPort(
            data_width=8 * config.ddr_bytes, address_width=AXI_ADDRESS_BITS, id_width=1
        )
        port = self.sdram.crossbar.get_port(data_width=8 * config.ddr_bytes)
        self.overlay_port = OverlayPort(memory, port)
        host = AXILiteInterface(data_width=32, address_width=32)
        region = SoCRegion(origin=OVERLAY_ADDRESS, size=OVERLAY_SPAN, cached=False)
        self.bus.add_slave("overlay", host, region)
        self.specials += Instance(
            "overlay", i_clk=ClockSignal(), i_rst=ResetSignal(), **_axi(memory), **_lite(host)
        )


def memory_map(
    soc: OverlaySoc, *, board: str, module: Any, config: OverlayConfig, baud: int
) -> MemoryMap:
    """Return what the host must know of a finalized design."""
    settings = soc.ddrphy.settings
    steps, _ = get_sdram_phy_init_sequence(settings, module.timing_settings)
    leveling = None
    if settings.read_leveling:
        leveling = Leveling(
            modules=settings.databits // 8, bitslips=settings.bitslips, delays=settings.delays
        )
    addresses: dict[str, int] = {}
    for bank, region in soc.csr.regions.items():
        at = region.origin
        for csr in region.obj:
            addresses[f"{bank}_{csr.name}"] = at
            at += 4 * -(-csr.size // 32)
    return MemoryMap(
        board=board, config=config, clock_hz=int(soc.sys_clk_freq), baud=baud,
        overlay=OVERLAY_ADDRESS, memory=MEMORY_ADDRESS,
        memory_bytes=soc.bus.regions["main_ram"].size, registers=addresses,
        wake=tuple(_step(*step) for step in steps), leveling=leveling,
    )  # fmt: skip


def _step(comment: str, address: int, bank: int, lines: str, delay: int) -> MemoryCommand:
    """Translate one step of LiteDRAM's sequence, whose lines are names of C constants."""
    names = [line.removeprefix("DFII_").lower() for line in lines.split("|")]
    control = names[0].startswith("control_")
    known = CONTROL_LINES if control else COMMAND_LINES
    command = sum(known[name.split("_", 1)[1]] for name in names)
    return MemoryCommand(
        comment=comment, address=address, bank=bank, command=command, control=control,
        delay_cycles=delay,
    )  # fmt: skip


def _axi(bus: LiteDRAMAXIPort) -> dict[str, Any]:
    """Join the overlay's AXI4 master to the memory's port."""
    ports: dict[str, Any] = {}
    for channel, names in (
        ("aw", ("valid", "addr", "len", "size", "burst", "cache", "prot", "id")),
        ("ar", ("valid", "addr", "len", "size", "burst", "cache", "prot", "id")),
        ("w", ("valid", "data", "strb", "last")),
        ("b", ("ready",)),
        ("r", ("ready",)),
    ):
        source = getattr(bus, channel)
        ports |= {f"o_m_axi_{channel}{name}": getattr(source, name) for name in names}
    for channel, names in (
        ("aw", ("ready",)), ("ar", ("ready",)), ("w", ("ready",)),
        ("b", ("valid", "resp", "id")), ("r", ("valid", "data", "resp", "last", "id")),
    ):  # fmt: skip
        source = getattr(bus, channel)
        ports |= {f"i_m_axi_{channel}{name}": getattr(source, name) for name in names}
    return ports


def _lite(bus: AXILiteInterface) -> dict[str, Any]:
    """Join the bus to the overlay's registers."""
    ports: dict[str, Any] = {}
    for channel, names in (
        ("aw", ("valid", "prot")), ("ar", ("valid", "prot")), ("w", ("valid", "data", "strb")),
        ("b", ("ready",)), ("r", ("ready",)),
    ):  # fmt: skip
        source = getattr(bus, channel)
        ports |= {
            f"i_s_axil_{channel}{name}": getattr(source, name)
            for name in names
            if hasattr(source, name)
        }
    ports |= {
        f"i_s_axil_{channel}addr": getattr(bus, channel).addr[:LITE_ADDRESS_BITS]
        for channel in ("aw", "ar")
    }
    for channel, names in (
        ("aw", ("ready",)), ("ar", ("ready",)), ("w", ("ready",)), ("b", ("valid", "resp")),
        ("r", ("valid", "data", "resp")),
    ):  # fmt: skip
        source = getattr(bus, channel)
        ports |= {f"o_s_axil_{channel}{name}": getattr(source, name) for name in names}
    return ports
