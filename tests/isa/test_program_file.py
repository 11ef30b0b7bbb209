import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from isa.random_programs import random_program
from tf2.arch import named_config
from tf2.errors import ProgramError
from tf2.isa import Layout
from tf2.isa.program import InputPort, OutputPort, TapPacking
from tf2.isa.program_file import program_bytes, read_program


@pytest.fixture
def program(rng):
    layout = Layout(height=2, width=3, pitch=4, slots=(0, 2), words=1)
    packing = TapPacking(
        kernel=(1, 2, 2), strides=(1, 1, 1), pads=(0, 0, 0), dilations=(1, 1, 1), size=(1, 2, 3)
    )
    return replace(
        random_program(rng, named_config("test-small")).program,
        inputs=(
            InputPort(name="x", shape=(2, 1, 2, 3), zero_point=-128, layout=layout, address=64),
            InputPort(name="x2", shape=(2, 1, 2, 3), zero_point=0, layout=layout, address=640,
                      packing=packing),
        ),
        outputs=(OutputPort(name="y", shape=(2, 1, 2, 3), layout=layout, address=128, sums=True),),
    )  # fmt: skip


def with_text(data, change):
    """Return the bytes with the JSON text changed and all sums right."""
    size = int.from_bytes(data[12:16], "little")
    content = json.loads(data[56 : 56 + size])
    change(content)
    text = json.dumps(content).encode()
    head = data[:12] + len(text).to_bytes(4, "little") + data[16:24]
    filters = data[56 + size :]
    return head + hashlib.sha256(head + text + filters).digest() + text + filters


def test_what_is_written_is_read(program):
    data = program_bytes(program)
    again = read_program(data)
    assert again == program
    assert again.code == program.code
    assert program_bytes(again) == data


def test_numpy_integers_are_written_as_integers(program):
    odd = replace(program, arena_bytes=np.int64(program.arena_bytes))
    assert program_bytes(odd) == program_bytes(program)


def test_every_shortened_file_is_refused(program):
    data = program_bytes(program)
    for size in (*range(0, 64), len(data) // 2, len(data) - 1):
        with pytest.raises(ProgramError):
            read_program(data[:size])
    with pytest.raises(ProgramError, match="it is damaged"):
        read_program(data + b"\0")


def test_any_altered_byte_is_refused(program, rng):
    data = program_bytes(program)
    for place in rng.integers(0, len(data), 200):
        altered = bytearray(data)
        altered[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ProgramError):
            read_program(bytes(altered))


def test_another_version_is_refused(program):
    data = bytearray(program_bytes(program))
    data[8] = 9
    with pytest.raises(ProgramError, match="version 9, this TF2 reads version 2; compile it again"):
        read_program(bytes(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(extra=1),
        lambda c: c.pop("arena_bytes"),
        lambda c: c.update(arena_bytes="many"),
        lambda c: c["config"].update(outputs=3),
        lambda c: c["config"].update(lane="sum"),
        lambda c: c["config"].pop("outputs"),
        lambda c: c["instructions"][0].update(kind="jump"),
        lambda c: c["instructions"][0].update(rows=1.5),
        lambda c: c["instructions"][0].update(rows=None),
        lambda c: c["instructions"].append([]),
        lambda c: c["inputs"][0].update(shape=[1, 2, 3]),
        lambda c: c.update(inputs={}),
    ],
)
def test_text_that_is_no_program_is_refused(program, change):
    with pytest.raises(ProgramError, match="text is not what TF2 writes"):
        read_program(with_text(program_bytes(program), change))


def test_right_text_with_right_sums_is_read(program):
    assert read_program(with_text(program_bytes(program), lambda content: None)) == program
