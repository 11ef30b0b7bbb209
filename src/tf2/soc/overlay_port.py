"""The overlay's way to DRAM: AXI4 of any width on the memory controller's own."""

# A LiteX module gets its members at run time.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from typing import Any

from litedram.common import LiteDRAMNativePort
from litedram.frontend.axi import LiteDRAMAXI2Native
from litex.gen import LiteXModule
from migen import Signal

OWED = 64
"""Beats of writes whose commands may be ahead of them, more than any buffer holds."""


class OverlayPort(LiteXModule):
    """Serve AXI4 bursts by a native port, which may have a width converter behind it.

    LiteDRAM's converter to a wider memory takes a beat before its command is given, which the AXI
    frontend takes for one fewer in its buffer, for ever: it stops (litedram 2024.12). So a beat is
    shown only when its command was taken.

    Args:
        axi: A LiteDRAMAXIPort.
        port: A native port of the same width.
    """

    def __init__(self, axi: Any, port: Any) -> None:
        front = LiteDRAMNativePort("both", port.address_width, port.data_width)
        self.frontend = LiteDRAMAXI2Native(axi, front)
        owed = Signal(max=OWED)
        asked, given, due = Signal(), Signal(), Signal()
        self.comb += [
            front.cmd.connect(port.cmd),
            port.flush.eq(front.flush),
            port.rdata.connect(front.rdata),
            due.eq(owed != 0),
            port.wdata.valid.eq(front.wdata.valid & due),
            port.wdata.data.eq(front.wdata.data),
            port.wdata.we.eq(front.wdata.we),
            front.wdata.ready.eq(port.wdata.ready & due),
            asked.eq(front.cmd.valid & front.cmd.ready & front.cmd.we),
            given.eq(port.wdata.valid & port.wdata.ready),
        ]
        self.sync += owed.eq(owed + asked - given)
