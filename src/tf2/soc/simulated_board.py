"""The same design with a simulated DRAM behind the memory controller, and bytes for a serial line.

LiteDRAM's model stands in the place of the PHY and the DRAM: it answers the controller's commands
with the PHY's latencies. Of the host link only the serial line itself is left out.
"""

# A LiteX module gets its members at run time.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from typing import Any

from litedram.phy import ECP5DDRPHY
from litedram.phy.model import SDRAMPHYModel, get_sdram_phy_settings
from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.gen import LiteXModule
from litex.soc.cores.uart import RS232PHYModel
from litex_boards.platforms import lambdaconcept_ecpix5
from migen import ClockDomain, Signal

from tf2.soc.board_designs import BoardDesign, BoardParts

PINS = [
    ("sys_clk", 0, Pins(1)),
    ("sys_rst", 0, Pins(1)),
    (
        "serial",
        0,
        Subsignal("source_valid", Pins(1)),
        Subsignal("source_ready", Pins(1)),
        Subsignal("source_data", Pins(8)),
        Subsignal("sink_valid", Pins(1)),
        Subsignal("sink_ready", Pins(1)),
        Subsignal("sink_data", Pins(8)),
    ),
]

ROWS = 2048
"""Of the simulated DRAM: the least that its commands allow; a real one has 8192 or more."""


class _Clocks(LiteXModule):
    def __init__(self, platform: Any) -> None:
        self.rst = Signal()
        self.cd_sys = ClockDomain()
        self.comb += [
            self.cd_sys.clk.eq(platform.request("sys_clk")),
            self.cd_sys.rst.eq(platform.request("sys_rst") | self.rst),
        ]


def simulated_parts(design: BoardDesign, clock_hz: int) -> BoardParts:
    """Return the parts of a board whose memory is simulated."""
    platform = SimPlatform("SIM", list(PINS))
    module_type = type(design.module.__name__, (design.module,), {"nrows": ROWS})
    module = module_type(clock_hz, design.rate)
    if module.memtype == "DDR3":
        settings = _ecp5_settings(clock_hz)
    else:
        settings = get_sdram_phy_settings(module.memtype, 16, clock_hz)
    return BoardParts(
        platform=platform,
        crg=_Clocks(platform),
        phy=SDRAMPHYModel(module, settings=settings),
        module=module,
        serial=RS232PHYModel(platform.request("serial")),
    )


def _ecp5_settings(clock_hz: int) -> Any:
    """Return phases and latencies of the real PHY, without the delays that only a real one has."""
    pads = lambdaconcept_ecpix5.Platform(device="85F", toolchain="trellis").request("ddram")
    settings = ECP5DDRPHY(pads, sys_clk_freq=clock_hz).settings
    settings.read_leveling = False
    settings.phytype = "SDRAMPHYModel"
    return settings
