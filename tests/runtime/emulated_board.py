"""A board in Python: UARTBone packets, registers, checksum unit, DRAM that must be woken first.

It computes with the functional overlay. What can go wrong on the way can be made to.
"""

import zlib

import numpy as np

from tf2.arch import register_map as registers
from tf2.arch.register_map import Register
from tf2.errors import DeviceError
from tf2.runtime.uart_bone import READ, WRITE, UartBone
from tf2.sim.functional import FunctionalDevice
from tf2.soc import Leveling, MemoryCommand, MemoryMap

OVERLAY, MEMORY, MEMORY_BYTES = 0x3000_0000, 0x4000_0000, 1 << 22
NAMES = (
    "ctrl_reset", "ctrl_scratch", "sdram_dfii_control", "sdram_dfii_pi0_command",
    "sdram_dfii_pi0_command_issue", "sdram_dfii_pi0_address", "sdram_dfii_pi0_baddress",
    "ddrphy_dly_sel", "ddrphy_rdly_dq_rst", "ddrphy_rdly_dq_inc", "ddrphy_rdly_dq_bitslip_rst",
    "ddrphy_rdly_dq_bitslip", "checksum_base", "checksum_length", "checksum_enable",
    "checksum_done", "checksum_value",
)  # fmt: skip
WAKE = (
    MemoryCommand(comment="CKE", address=0, bank=0, command=14, control=True, delay_cycles=10),
    MemoryCommand(comment="MR", address=288, bank=1, command=15, control=False, delay_cycles=10),
)
CONTROL_HASH = (Register.ID, Register.CONFIG_HASH)


def design_of(config, *, leveling=None):
    """Return the memory map of an emulated board."""
    return MemoryMap(
        board="emulated", config=config, clock_hz=50_000_000, baud=1_000_000, overlay=OVERLAY,
        memory=MEMORY, memory_bytes=MEMORY_BYTES,
        registers={name: 4 * index for index, name in enumerate(NAMES)}, wake=WAKE,
        leveling=leveling,
    )  # fmt: skip


class EmulatedBoard:
    """A `tf2.runtime.link.ByteStream`; one instance is one board, however often it is opened.

    Args:
        config: Of its overlay.
        programs: What it may be asked to run.
        delays: For each byte lane the (bitslip, delays) that read it right; none, if all do.

    Attributes:
        lose: Numbers of bytes to the board that get lost, counted from 0.
        alter: Numbers of bytes to the board that arrive altered.
        unplugged: Every transfer fails.
        unplug_at_byte: It becomes so.
        hangs: A run does not end.
        stubborn: Nothing but a reset of the whole design ends a run.
        error: Code by which every run ends.
        deaf_starts: Starts that are not heard.
        sent: Bytes to the board so far.
    """

    def __init__(self, config, programs=(), *, delays=()):
        self.name = "emulated"
        self.config = config
        self.programs = {self._key(p): p for p in programs}
        self.delays = delays
        self.lose, self.alter = set(), set()
        self.unplugged, self.unplug_at_byte = False, None
        self.hangs, self.stubborn, self.error, self.deaf_starts = False, False, 0, 0
        self.sent = 0
        self.opened = 0
        self.wake_up()

    def wake_up(self):
        """Be as after the bitstream was loaded."""
        self.memory = np.random.default_rng(0).integers(0, 256, MEMORY_BYTES, dtype=np.uint8)
        self.words = {design_of(self.config).registers["ctrl_scratch"]: 0x12345678}
        self.steps = []
        self.taps = [[0, 0] for _ in self.delays]
        self.overlay = {Register.ID: registers.ID, Register.CONFIG_HASH: self.config.hash}
        self.status = 0
        self._packet, self._answer = b"", b""

    def open(self):
        """Return a link to it."""
        if self.unplugged:
            raise DeviceError("there is no port emulated; no serial port is there")
        self.opened += 1
        return UartBone(self, baud=1_000_000, answer_s=0.0)

    # A byte stream.

    def write(self, data):
        self._check_plug()
        for value in data:
            number, self.sent = self.sent, self.sent + 1
            if number == self.unplug_at_byte:
                self.unplugged = True
                self._check_plug()
            if number in self.lose:
                continue
            self._packet += bytes([value ^ 0x10 if number in self.alter else value])
            self._take_packet()

    def read(self, size, timeout_s):
        self._check_plug()
        data, self._answer = self._answer[:size], self._answer[size:]
        return data

    def settle(self, seconds):
        self._check_plug()
        self._packet, self._answer = b"", b""

    def close(self):
        pass

    def _check_plug(self):
        if self.unplugged:
            raise DeviceError("emulated: the board was unplugged")

    # UARTBone.

    def _take_packet(self):
        packet = self._packet
        if len(packet) < 6:
            return
        command, words = packet[0], packet[1]
        address = 4 * int.from_bytes(packet[2:6], "big")
        if command == READ:
            values = (self._load(address + 4 * k) for k in range(words))
            self._answer += b"".join(value.to_bytes(4, "big") for value in values)
        elif command == WRITE:
            if len(packet) < 6 + 4 * words:
                return
            for k in range(words):
                value = int.from_bytes(packet[6 + 4 * k : 10 + 4 * k], "big")
                self._store(address + 4 * k, value)
        self._packet = b""

    # The bus.

    def _load(self, address):
        if MEMORY <= address < MEMORY + MEMORY_BYTES:
            return int.from_bytes(self._memory_word(address - MEMORY), "little")
        if OVERLAY <= address < OVERLAY + 0x100:
            register = address - OVERLAY
            return self.status if register == Register.STATUS else self.overlay.get(register, 0)
        name = NAMES[address // 4] if address // 4 < len(NAMES) else ""
        if name == "checksum_done":
            return 1
        if name == "checksum_value":
            start = self.words[4 * NAMES.index("checksum_base")] - MEMORY
            size = self.words[4 * NAMES.index("checksum_length")]
            return zlib.crc32(self.memory[start : start + size].tobytes())
        return self.words.get(address, 0)

    def _memory_word(self, offset):
        word = self.memory[offset : offset + 4].tobytes()
        if not self.delays:
            return word
        right = [slip == at[0] and at[1] in good
                 for at, (slip, good) in zip(self.taps, self.delays, strict=True)]  # fmt: skip
        return bytes(
            value if right[k % len(right)] else value ^ 0xFF for k, value in enumerate(word)
        )

    def _store(self, address, value):
        if MEMORY <= address < MEMORY + MEMORY_BYTES:
            word = np.frombuffer(value.to_bytes(4, "little"), dtype=np.uint8)
            self.memory[address - MEMORY :][:4] = word
        elif OVERLAY <= address < OVERLAY + 0x100:
            self._store_overlay(address - OVERLAY, value)
        elif address // 4 < len(NAMES):
            name = NAMES[address // 4]
            self.words[address] = value
            if name.startswith("sdram"):
                self.steps.append((name.removeprefix("sdram_dfii_"), value))
            if name == "ctrl_reset":
                self.wake_up()
            self._adjust(name)

    def _adjust(self, name):
        selected = self.words.get(4 * NAMES.index("ddrphy_dly_sel"), 0)
        for lane, taps in enumerate(self.taps):
            if not selected >> lane & 1:
                continue
            if name == "ddrphy_rdly_dq_rst":
                taps[1] = 0
            elif name == "ddrphy_rdly_dq_inc":
                taps[1] = (taps[1] + 1) % 8
            elif name == "ddrphy_rdly_dq_bitslip_rst":
                taps[0] = 0
            elif name == "ddrphy_rdly_dq_bitslip":
                taps[0] = (taps[0] + 1) % 4

    def _store_overlay(self, register, value):
        if register == Register.IRQ_PENDING:
            self.overlay[register] = self.overlay.get(register, 0) & ~value
        elif register == Register.CONTROL:
            if value & registers.CONTROL_ABORT:
                self.status = self.status if self.stubborn else 0
            elif value & registers.CONTROL_START and self.deaf_starts:
                self.deaf_starts -= 1
            elif value & registers.CONTROL_START:
                self._run()
        elif register not in CONTROL_HASH:
            self.overlay[register] = value

    def _run(self):
        if self.hangs:
            self.status = registers.STATUS_BUSY
            return
        program = self.programs[self.overlay[Register.PROGRAM_HASH]]
        base = self.overlay[Register.ARENA_BASE]
        arena = self.memory[base : base + program.arena_bytes]
        for address, data in (
            (program.code_address, program.code),
            (program.filters_address, program.filters),
        ):
            assert arena[address : address + len(data)].tobytes() == data
        if self.error:
            self.status = registers.STATUS_ERROR | self.error << registers.STATUS_CODE_SHIFT
        else:
            FunctionalDevice(self.config).run(program, arena)
            self.status = registers.STATUS_DONE
        self.overlay |= {Register.IRQ_PENDING: 1, Register.CYCLES: 1234, Register.BUSY: 99}

    @staticmethod
    def _key(program):
        import hashlib

        digest = hashlib.sha256(program.code + program.filters).digest()
        return int.from_bytes(digest[:4], "little")


ECP5 = Leveling(modules=2, bitslips=4, delays=8)
"""As the PHY of the ECPIX-5 has it."""
