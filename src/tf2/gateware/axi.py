"""The buses of the overlay as signatures: AXI4 to the memory, AXI4-Lite from the host.

All bursts count up (INCR) in whole beats, have identifier 0 and stay within 4 KiB.

# Ref: Arm IHI 0022, AMBA AXI and ACE Protocol Specification, A3 (bursts, responses), B1 (Lite).
"""

from __future__ import annotations

from amaranth.lib.wiring import In, Member, Out, Signature

from tf2.arch import OverlayConfig

ADDRESS_BITS = 40
"""Of a byte in DDR, and of a byte offset in the arena."""

BURST_BEATS = 16
"""Longest burst. Bursts end at multiples of it, and so never cross 4 KiB."""

INCR = 0b01
"""Burst type: addresses count up."""

CACHE = 0b0011
"""Memory attributes: normal, not cacheable, bufferable."""

LITE_ADDRESS_BITS = 8
"""Of a byte of the registers."""

OKAY, SLVERR = 0b00, 0b10
"""Responses; the upper bit says error."""


def _address_channel(prefix: str) -> dict[str, Member]:
    return {
        f"{prefix}id": Out(1),
        f"{prefix}addr": Out(ADDRESS_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_channels(config: OverlayConfig) -> dict[str, Member]:
    return {
        **_address_channel("ar"),
        "rid": In(1),
        "rdata": In(8 * config.ddr_bytes),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_channels(config: OverlayConfig) -> dict[str, Member]:
    return {
        **_address_channel("aw"),
        "wdata": Out(8 * config.ddr_bytes),
        "wstrb": Out(config.ddr_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(1),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AxiRead(Signature):
    """The two channels of an AXI4 master that only reads."""

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__(_read_channels(config))


class AxiWrite(Signature):
    """The three channels of an AXI4 master that only writes."""

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__(_write_channels(config))


class Axi(Signature):
    """An AXI4 master that reads and writes."""

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__(_read_channels(config) | _write_channels(config))


class AxiLite(Signature):
    """AXI4-Lite as the master sees it, 32 bits."""

    def __init__(self) -> None:
        super().__init__({
            "awaddr": Out(LITE_ADDRESS_BITS),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(LITE_ADDRESS_BITS),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        })  # fmt: skip
