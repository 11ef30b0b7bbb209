"""The boards' own parts of a design: pins, clocks, memory; LiteX-Boards knows them."""

# A LiteX module gets its members at run time.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litedram.modules import MT41K256M16, MT48LC16M16
from litedram.phy import ECP5DDRPHY, GENSDRPHY
from litex.soc.cores.uart import UARTPHY
from litex_boards.platforms import lambdaconcept_ecpix5, radiona_ulx3s
from litex_boards.targets import lambdaconcept_ecpix5 as ecpix5_target
from litex_boards.targets import radiona_ulx3s as ulx3s_target


@dataclass(frozen=True, kw_only=True)
class BoardParts:
    """What `OverlaySoc` needs of a board."""

    platform: Any
    crg: Any
    phy: Any
    module: Any
    serial: Any


@dataclass(frozen=True, kw_only=True)
class BoardDesign:
    """How a board's parts are made.

    Attributes:
        clock_hz: That its memory and pins are known to work with.
        baud: Of the serial link: what the board's USB bridge does without flow control.
        module: LiteDRAM's description of its memory.
        rate: Of the memory controller's clock to the memory's.
        make: Its parts, for a clock and a baud rate.
    """

    clock_hz: int
    baud: int
    module: type
    rate: str
    make: Callable[[int, int], BoardParts]


def _ulx3s(clock_hz: int, baud: int) -> BoardParts:
    platform = radiona_ulx3s.Platform(device="LFE5U-85F", revision="2.0", toolchain="trellis")
    return BoardParts(
        platform=platform,
        crg=ulx3s_target._CRG(platform, clock_hz),
        phy=GENSDRPHY(platform.request("sdram"), clock_hz),
        module=MT48LC16M16(clock_hz, "1:1"),
        serial=UARTPHY(platform.request("serial"), clock_hz, baud),
    )


def _ecpix5(clock_hz: int, baud: int) -> BoardParts:
    platform = lambdaconcept_ecpix5.Platform(device="85F", toolchain="trellis")
    crg = ecpix5_target._CRG(platform, clock_hz)
    phy = ECP5DDRPHY(platform.request("ddram"), sys_clk_freq=clock_hz)
    crg.comb += [crg.stop.eq(phy.init.stop), crg.reset.eq(phy.init.reset)]
    return BoardParts(
        platform=platform,
        crg=crg,
        phy=phy,
        module=MT41K256M16(clock_hz, "1:2"),
        serial=UARTPHY(platform.request("serial"), clock_hz, baud),
    )


DESIGNS = {
    "ulx3s-85f": BoardDesign(
        clock_hz=50_000_000, baud=1_000_000, module=MT48LC16M16, rate="1:1", make=_ulx3s
    ),
    "ecpix5-85f": BoardDesign(
        clock_hz=75_000_000, baud=1_000_000, module=MT41K256M16, rate="1:2", make=_ecpix5
    ),
}
"""By the names of `tf2.platforms.BOARDS`."""
