"""A program as bytes: head, JSON, filters; versioned, hashed, refused when altered.

::

    0   8  "TF2PROG" and a zero
    8   4  version, little-endian as all numbers
    12  4  bytes of the JSON text
    16  8  bytes of the filter stream
    24  32 SHA-256 of everything else, in this order
    56     JSON text, filter stream

The JSON text holds the configuration, the instructions and the ports: the fields of their classes,
by name. Reading gives what was written or an error; it does not say that the program may run,
which is `tf2.isa.verify`'s to say.
"""

from __future__ import annotations

import hashlib
import json
import operator
import struct
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tf2.arch import OverlayConfig
from tf2.errors import ConfigError, ProgramError
from tf2.isa.instructions import End, Instruction, Layer, Load, Store
from tf2.isa.program import InputPort, OutputPort, Program

MAGIC = b"TF2PROG\0"
VERSION = 2
_HEAD = struct.Struct("<8sIIQ32s")
_KINDS: dict[str, type[Instruction]] = {"load": Load, "store": Store, "layer": Layer, "end": End}


def program_bytes(program: Program) -> bytes:
    """Return a program as bytes; equal programs give equal bytes."""
    kinds = {kind: name for name, kind in _KINDS.items()}
    content = {
        "config": asdict(program.config),
        "instructions": [
            {"kind": kinds[type(instruction)], **asdict(instruction)}
            for instruction in program.instructions
        ],
        "inputs": [asdict(port) for port in program.inputs],
        "outputs": [asdict(port) for port in program.outputs],
        "code_address": program.code_address,
        "filters_address": program.filters_address,
        "arena_bytes": program.arena_bytes,
    }
    text = json.dumps(content, separators=(",", ":"), default=operator.index).encode()
    digest = _digest(VERSION, text, program.filters)
    return (
        _HEAD.pack(MAGIC, VERSION, len(text), len(program.filters), digest) + text + program.filters
    )


def read_program(data: bytes) -> Program:
    """Return the program that `program_bytes` wrote.

    Raises:
        ProgramError: The bytes are something else, of another version, cut short or altered.
    """
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise ProgramError("this is no TF2 program")
    _, version, text_bytes, filter_bytes, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        raise ProgramError(
            f"the program has version {version}, this TF2 reads version {VERSION}; compile it again"
        )
    if len(data) != _HEAD.size + text_bytes + filter_bytes:
        raise ProgramError(
            f"the program has {len(data)} bytes and not the "
            f"{_HEAD.size + text_bytes + filter_bytes} of its head: it is damaged"
        )
    text = data[_HEAD.size : _HEAD.size + text_bytes]
    filters = data[_HEAD.size + text_bytes :]
    if _digest(version, text, filters) != digest:
        raise ProgramError("the program's checksum is wrong: it is damaged or altered")
    try:
        content = json.loads(text)
        return Program(
            config=_restored(OverlayConfig, content.pop("config")),
            instructions=tuple(map(_instruction, content.pop("instructions"))),
            filters=filters,
            inputs=_restored(tuple[InputPort, ...], content.pop("inputs")),
            outputs=_restored(tuple[OutputPort, ...], content.pop("outputs")),
            **{name: _restored(int, value) for name, value in content.items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError) as error:
        raise ProgramError(f"the program's text is not what TF2 writes: {error}") from error


def _digest(version: int, text: bytes, filters: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, version, len(text), len(filters), b"")[:-32]
    return hashlib.sha256(head + text + filters).digest()


def _instruction(content: dict[str, Any]) -> Instruction:
    values = dict(content)
    return _restored(_KINDS[values.pop("kind")], values)


def _restored(kind: Any, value: Any) -> Any:
    """Return a JSON value as an instance of a type hint.

    Raises:
        TypeError: It is none.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):  # X | None
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return None if value is None else _restored(inner, value)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_restored(k, v) for k, v in zip(kinds, value, strict=True))
    if is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise TypeError(f"{value!r} where {kind} is expected"[:200])


def _record(kind: Any, value: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if not required <= set(value) <= names:
        raise TypeError(f"{kind.__name__} with the fields {sorted(value)}")
    return kind(**{name: _restored(hints[name], v) for name, v in value.items()})
