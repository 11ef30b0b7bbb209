"""A unit of the board's design that checks its memory, so that no transfer goes unchecked."""

# A LiteX module gets its members at run time.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from liteeth.mac.crc import LiteEthMACCRCEngine
from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader
from litex.soc.interconnect import wishbone
from litex.soc.interconnect.csr import CSRStatus, CSRStorage
from migen import If, Signal

POLYNOMIAL = 0x04C11DB7
ALL_ONES = 0xFFFFFFFF


class MemoryChecksum(LiteXModule):
    """Compute the CRC-32 of a stretch of the bus, as `zlib.crc32` does of its bytes.

    A word takes as long as the bus takes to read it. Base and length are bytes, multiples of 4,
    and stay as they are while `enable` is 1; `done` says that `value` is that of all of them.
    Setting `enable` to 0 ends or forgets the last one.
    """

    def __init__(self) -> None:
        self.bus = wishbone.Interface(data_width=32, address_width=32, addressing="word")
        self._base = CSRStorage(32)
        self._length = CSRStorage(32)
        self._enable = CSRStorage()
        self._done = CSRStatus()
        self._value = CSRStatus(32)

        self.dma = dma = WishboneDMAReader(self.bus, endianness="big")  # as the bus has it
        dma.add_ctrl()
        self.engine = engine = LiteEthMACCRCEngine(data_width=32, width=32, polynom=POLYNOMIAL)
        crc = Signal(32, reset=ALL_ONES)
        self.comb += [
            dma.base.eq(self._base.storage),
            dma.length.eq(self._length.storage),
            dma.enable.eq(self._enable.storage),
            dma.source.ready.eq(1),
            engine.data.eq(dma.source.data),
            engine.crc_prev.eq(crc),
            self._done.status.eq(dma.done & ~dma.source.valid),
            self._value.status.eq(~crc[::-1]),
        ]
        self.sync += [
            If(dma.source.valid, crc.eq(engine.crc_next)),
            If(~self._enable.storage, crc.eq(ALL_ONES)),
        ]
