"""The overlay's port to DRAM under migen's simulator: bursts of any width on a wider memory."""

import random

import pytest

migen = pytest.importorskip("migen")
pytest.importorskip("litedram")

MOST_CYCLES = 600
ROOM = 1 << 12


def bursts(rng, beat, count):
    """Return (is a write, address, beats, data), bursts as the overlay asks for them."""
    found = []
    for index in range(count):
        beats = rng.randint(1, 16)
        first = rng.randrange(0, 17 - beats)
        address = (rng.randrange(0, ROOM // (16 * beat)) * 16 + first) * beat
        found.append((index % 2 == 0, address, beats, rng.randbytes(beats * beat)))
        if index % 2:  # read what was written
            found[-1] = (False, *found[-2][1:])
    return found


def memory(port, rng, state):
    """Answer as the memory controller: data of writes is taken whether it is there or not."""
    width, store, reads, writes = len(port.wdata.data), {}, [], []
    while state["cycle"] < MOST_CYCLES and not state["done"]:
        now = state["cycle"] = state["cycle"] + 1
        if (yield port.cmd.valid) and (yield port.cmd.ready):
            queue = writes if (yield port.cmd.we) else reads
            queue.append(((yield port.cmd.addr), now + (3 if queue is writes else 8)))
        if (yield port.wdata.ready):
            assert (yield port.wdata.valid), "the controller takes a beat that is not there"
            address, _ = writes.pop(0)
            strobes = yield port.wdata.we
            mask = sum(255 << 8 * k for k in range(width // 8) if strobes >> k & 1)
            store[address] = store.get(address, 0) & ~mask | (yield port.wdata.data) & mask
        yield port.wdata.ready.eq(bool(writes and writes[0][1] <= now))
        is_due = bool(reads and reads[0][1] <= now)
        yield port.rdata.valid.eq(is_due)
        if is_due:
            yield port.rdata.data.eq(store.get(reads.pop(0)[0], 0))
        yield port.cmd.ready.eq(rng.random() < 0.6 and not (yield port.cmd.ready))
        yield


def overlay(axi, operations, state):
    """Do the bursts one after the other."""
    beat = len(axi.w.data) // 8
    contents = bytearray(ROOM)
    for is_write, address, beats, data in operations:
        channel = axi.aw if is_write else axi.ar
        for name, value in (
            ("addr", address), ("len", beats - 1), ("size", beat.bit_length() - 1), ("burst", 1),
            ("valid", 1),
        ):  # fmt: skip
            yield getattr(channel, name).eq(value)
        yield axi.b.ready.eq(1)
        yield axi.r.ready.eq(1)
        yield axi.w.strb.eq(2**beat - 1)
        sent, found, answered = 0, b"", False
        while not (answered if is_write else len(found) == len(data)):
            yield axi.w.valid.eq(is_write and sent < beats)
            yield axi.w.data.eq(int.from_bytes(data[sent * beat :][:beat], "little"))
            yield axi.w.last.eq(sent == beats - 1)
            yield
            if state["cycle"] >= MOST_CYCLES:
                return
            if (yield channel.ready):
                yield channel.valid.eq(0)
            if (yield axi.w.valid) and (yield axi.w.ready):
                sent += 1
            answered = bool((yield axi.b.valid))
            if (yield axi.r.valid):
                found += (yield axi.r.data).to_bytes(beat, "little")
        if is_write:
            contents[address : address + len(data)] = data
        else:
            assert found == contents[address : address + len(data)]
    state["done"] = True


@pytest.mark.parametrize(("width", "wide"), [(64, 128), (128, 128), (64, 16)])
def test_what_is_written_is_read_whatever_the_widths(width, wide):
    from litedram.common import LiteDRAMNativePort
    from litedram.frontend.adapter import LiteDRAMNativePortConverter
    from litedram.frontend.axi import LiteDRAMAXIPort

    from tf2.soc.overlay_port import OverlayPort

    rng = random.Random(width + wide)
    top = migen.Module()
    axi = LiteDRAMAXIPort(data_width=width, address_width=32, id_width=1)
    address_bits = 12
    native = LiteDRAMNativePort("both", address_bits, wide)
    port = native
    if width != wide:
        shift = wide.bit_length() - width.bit_length()
        port = LiteDRAMNativePort("both", address_bits + shift, width)
        top.submodules += LiteDRAMNativePortConverter(port, native)
    top.submodules += OverlayPort(axi, port)
    state = {"cycle": 0, "done": False}
    operations = bursts(rng, width // 8, 2)
    migen.run_simulation(top, [memory(native, rng, state), overlay(axi, operations, state)])
    assert state["done"], "it stopped"
