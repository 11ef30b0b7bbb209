"""Whatever the bytes are, reading gives the same model or a ModelFileError, soon and small.

``TF2_FUZZ=20 pytest tests/model_file/test_fuzz.py`` tries twenty times as many files.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from model_file_examples import assert_same_graph, model_of, random_graph

from tf2.errors import ModelFileError
from tf2.model_file import CompressedModel, read_manifest, read_model, write_model
from tf2.model_file.archive import COMMENT, GRAPH, MANIFEST, TENSORS, archive_bytes, sha256

EFFORT = int(os.environ.get("TF2_FUZZ", "1"))
MODELS = [model_of(random_graph(seed)) for seed in (8, 19, 26)]
JUNK = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 10**30, 0.5, 1e308, "", "x", "float32[1]",
    "float32[99999999999,99999999999]", "s8q999[1]", "u8q3[0,9999999999]", "string[1]", [], {},
    [[]], [0], ["x"], {"float": "NaN"}, "pool", "pot4", "tensor", "text", "tf2", "Conv", "Concat",
    {"array": {"pool": "float32", "shape": [2**40, 0], "at": 0}}, {"stored": "tensor"},
    {"stored": "pool", "pool": "float32", "at": 0}, {"stored": "pot4", "min_exponent": 0},
    {"stored": "text", "values": ["a"]},
]  # fmt: skip


@pytest.fixture(scope="module", params=range(len(MODELS)))
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, its file, and a path to write altered files to."""
    path = tmp_path_factory.mktemp("fuzz") / "net.tf2"
    write_model(MODELS[request.param], path)
    return MODELS[request.param], path.read_bytes(), path, random.Random(request.param)


def read_or_refuse(path: Path, data: bytes, original: CompressedModel | None = None) -> bool:
    """Read ``data``; True when it was accepted, which only an unaltered model may be."""
    path.write_bytes(data)
    start = time.perf_counter()
    refusal = ""
    try:
        found = read_model(path)
    except ModelFileError as error:
        refusal = str(error)
    assert time.perf_counter() - start < 5
    if refusal:
        assert len(refusal) < 3000
        return False
    if original is not None:
        assert_same_graph(found.graph, original.graph)
        assert found.manifest == original.manifest
    return True


def test_flipped_bits(sample: Any) -> None:
    model, data, path, rng = sample
    for _ in range(200 * EFFORT):
        altered = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            altered[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        read_or_refuse(path, bytes(altered), model)


def test_flipped_bits_of_the_directory(sample: Any) -> None:
    model, data, path, rng = sample
    directory = data.rindex(b"PK\x01\x02") - 200
    for _ in range(200 * EFFORT):
        altered = bytearray(data)
        altered[rng.randrange(directory, len(data))] = rng.randrange(256)
        read_or_refuse(path, bytes(altered), model)


def test_cut_and_spliced_files(sample: Any) -> None:
    model, data, path, rng = sample
    for _ in range(150 * EFFORT):
        a, b = sorted(rng.randrange(len(data)) for _ in range(2))
        altered = rng.choice([data[:a], data[a:], data[:a] + data[b:], data[:b] + data[a:]])
        read_or_refuse(path, altered, model)
    assert not read_or_refuse(path, data[:-1])
    assert read_or_refuse(path, data, model)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_right_checksums(members: dict[str, bytes], manifest: Any) -> bytes:
    if isinstance(manifest, dict) and isinstance(manifest.get("members"), dict):
        for name in (GRAPH, TENSORS):
            if isinstance(manifest["members"].get(name), dict):
                guard = {"sha256": sha256(members[name]), "bytes": len(members[name])}
                manifest["members"][name] |= guard
    return archive_bytes(members | {MANIFEST: json.dumps(manifest).encode()})


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in places(value[key])]


def mutate(value: Any, rng: random.Random) -> None:
    """Replace, delete, swap or repeat something at a random place of a JSON value."""
    found = places(value)
    container, key = rng.choice(found)
    other, other_key = rng.choice(found)
    action = rng.randrange(4)
    if action == 0:
        container[key] = copy.deepcopy(rng.choice(JUNK))
    elif action == 1:
        del container[key]
    elif action == 2:
        container[key] = copy.deepcopy(other[other_key])
    elif isinstance(container, list):
        container.insert(key, copy.deepcopy(other[other_key]))
    else:
        container[rng.choice(["", "x", "attrs"])] = container.pop(key)


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_forged_json(sample: Any, name: str) -> None:
    _, data, path, rng = sample
    members = members_of(data)
    parsed = {key: json.loads(members[key]) for key in (GRAPH, MANIFEST)}
    for _ in range((250 if name == GRAPH else 100) * EFFORT):
        forged = copy.deepcopy(parsed)
        for _ in range(rng.choice([1, 1, 1, 3])):
            mutate(forged[name], rng)
        text = json.dumps(forged[GRAPH]).encode()
        altered = with_right_checksums(members | {GRAPH: text}, forged[MANIFEST])
        read_or_refuse(path, altered)


def test_forged_tensors(sample: Any) -> None:
    _, data, path, rng = sample
    members = members_of(data)
    manifest = json.loads(members[MANIFEST])
    for _ in range(150 * EFFORT):
        altered = bytearray(members[TENSORS])
        for _ in range(rng.choice([1, 4])):
            header = rng.random() < 0.7
            altered[rng.randrange(min(600, len(altered)) if header else len(altered))] = (
                rng.randrange(256)
            )
        cut = altered[: rng.randrange(len(altered))] if rng.random() < 0.2 else altered
        read_or_refuse(path, with_right_checksums(members | {TENSORS: bytes(cut)}, manifest))


@contextmanager
def cheap(megabytes: float = 64, seconds: float = 5) -> Iterator[None]:
    """Fail when the block takes more memory or time."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
        assert time.perf_counter() - start < seconds
    finally:
        tracemalloc.stop()


@functools.cache
def deflated_zeros(size: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(size >> 20)) + squeeze.flush()


def with_member(name: str, size: int, claimed: int | None = None) -> bytes:
    """An archive whose member is ``size`` zeros, deflated, and says it has ``claimed`` bytes."""
    content = deflated_zeros(size)
    said = size if claimed is None else claimed
    fields = (20, 0, 8, 0, 33, 0, len(content), said, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", *fields) + name.encode()
    entry = b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, *fields, 0, 0, 0, 0, 0) + name.encode()
    comment = COMMENT + sha256(b"").encode()
    end = struct.pack("<4H2LH", 0, 0, 1, 1, len(entry), len(local) + len(content), len(comment))
    return local + content + entry + b"PK\x05\x06" + end + comment


@pytest.mark.parametrize("claimed", [None, 1000, 16 << 20, 2**32 - 2])
def test_zip_bomb_is_not_inflated(tmp_path: Path, claimed: int | None) -> None:
    path = tmp_path / "bomb.tf2"
    path.write_bytes(with_member(MANIFEST, 128 << 20, claimed))
    with cheap(), pytest.raises(ModelFileError, match=r"member manifest\.json"):
        read_manifest(path)


def test_archive_of_many_members_is_refused_quickly(tmp_path: Path) -> None:
    members = {MANIFEST: b"{}", GRAPH: b"{}", TENSORS: b""}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = COMMENT + sha256(members[MANIFEST]).encode()
        for name, data in members.items():
            archive.writestr(name, data)
        for number in range(5_000):
            archive.writestr(str(number), b"")
    with cheap():
        assert not read_or_refuse(tmp_path / "many.tf2", buffer.getvalue())


@pytest.mark.parametrize(
    "text",
    [b"[" * 1_000_000, b'{"a":' * 1_000_000, b"1" * 5_000_000, b'"' + b"a" * 5_000_000, b"\xff{}",
     b"", b"NaN", b'{"format_version": 1e999, "tool_version": "1"}'],
)  # fmt: skip
def test_json_that_is_none_is_refused_quickly(tmp_path: Path, text: bytes) -> None:
    data = archive_bytes({MANIFEST: text, GRAPH: b"{}", TENSORS: b""})
    with cheap():
        assert not read_or_refuse(tmp_path / "bad.tf2", data)


def test_one_tensor_cannot_be_used_many_times(sample: Any) -> None:
    _, data, path, _ = sample
    members = members_of(data)
    graph = json.loads(members[GRAPH])
    pooled = next(n for n, c in graph["constants"].items() if c["stored"] == "pool")
    for number in range(5000):
        graph["constants"][f"copy{number}"] = graph["constants"][pooled]
        graph["types"][f"copy{number}"] = graph["types"][pooled]
    manifest = json.loads(members[MANIFEST])
    text = json.dumps(graph).encode()
    path.write_bytes(with_right_checksums(members | {GRAPH: text}, manifest))
    with cheap(), pytest.raises(ModelFileError, match="asked for"):
        read_model(path)


def test_sizes_that_are_only_claimed_cost_nothing(sample: Any) -> None:
    _, data, path, _ = sample
    members = members_of(data)
    manifest = json.loads(members[MANIFEST])
    graph = json.loads(members[GRAPH])
    for claim in (
        "float32[999999999999,999999999999]",
        "int8[99999999999]",
        "float64[0,99999999999]",
    ):
        forged = copy.deepcopy(graph)
        for name in forged["types"]:
            forged["types"][name] = claim
        text = json.dumps(forged).encode()
        with cheap():
            assert not read_or_refuse(path, with_right_checksums(members | {GRAPH: text}, manifest))
    header = (2**40).to_bytes(8, "little") + b"{}"
    with cheap():
        assert not read_or_refuse(path, with_right_checksums(members | {TENSORS: header}, manifest))
