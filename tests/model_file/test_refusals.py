"""Each kind of unusable file has its own message, and the message names what is wrong."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_file_examples import model_of, random_graph
from safetensors.numpy import load, save

from tf2.errors import ModelFileError
from tf2.model_file import read_manifest, read_model, write_model
from tf2.model_file.archive import GRAPH, MANIFEST, MEMBERS, TENSORS, archive_bytes, sha256

GRAPH_WITH_BOTH_KINDS = random_graph(19)


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forge(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change a member of a file and make every checksum right again."""
    members = members_of(path)
    if name == TENSORS:
        members[name] = save(change(dict(load(members[name]))))
    else:
        members[name] = json.dumps(change(json.loads(members[name]))).encode()
    if name != MANIFEST:
        manifest = json.loads(members[MANIFEST])
        manifest["members"][name] = {"sha256": sha256(members[name]), "bytes": len(members[name])}
        members[MANIFEST] = json.dumps(manifest).encode()
    path.write_bytes(archive_bytes(members))


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(path)
    assert path.name in str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.tf2"
    write_model(model_of(GRAPH_WITH_BOTH_KINDS), path)
    return path


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "no.tf2", "there is no such file")


def test_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")


def test_empty_file(path: Path) -> None:
    path.write_bytes(b"")
    refused(path, "is empty")


def test_other_file(path: Path) -> None:
    path.write_bytes(b"\x08\x03\x12\x05torch" * 100)
    refused(path, "no zip archive")


def test_other_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    refused(path, r"no \.tf2 file: it has no manifest\.json")


def test_other_archive_with_a_manifest(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"{}")
    refused(path, r"no \.tf2 file, or its end is altered")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99, -1])
def test_truncated_file(path: Path, kept: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] if kept == -1 else data[: int(kept * len(data))])
    refused(path, "truncated" if kept != -1 else "altered")


@pytest.mark.parametrize("name", MEMBERS)
def test_altered_member_is_named(path: Path, name: str) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    data[info.header_offset + 30 + len(name) + len(info.extra) + info.compress_size // 2] ^= 1
    path.write_bytes(data)
    refused(path, f"damaged or altered: member {name}")


@pytest.mark.parametrize("name", [GRAPH, TENSORS])
def test_member_of_another_file_is_named(path: Path, name: str) -> None:
    other = path.with_name("other.tf2")
    write_model(model_of(random_graph(4)), other)
    path.write_bytes(archive_bytes(members_of(path) | {name: members_of(other)[name]}))
    refused(path, f"member {name}: its size is not|SHA-256")


def test_newer_file_names_the_tool_and_says_upgrade(path: Path) -> None:
    # A newer format may have anything else in it.
    forge(path, MANIFEST, lambda m: {"format_version": 2, "tool_version": "9.1", "new": m})
    refused(path, r"format version 2, written by TF2 9\.1.*Upgrade: pip install -U tf2")
    with pytest.raises(ModelFileError, match="Upgrade"):
        read_manifest(path)


def test_encrypted_member_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    refused(path, r"member manifest\.json: .*encrypted")


def test_unknown_missing_and_repeated_members_are_refused(path: Path) -> None:
    members = members_of(path)
    comment = zipfile.ZipFile(path).comment
    for names in ([MANIFEST, GRAPH], [*MEMBERS, "extra"], [GRAPH]):
        with zipfile.ZipFile(path, "w") as archive:
            archive.comment = comment
            for name in names:
                archive.writestr(name, members.get(name, b""))
        refused(path, "it holds|has no manifest")
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the repeated name
        archive.comment = comment
        for name in (*MEMBERS, GRAPH):
            archive.writestr(name, members[name])
    refused(path, "it holds 'graph.json', 'graph.json'")


def test_unreadable_manifest_says_which_keys_are_wrong(path: Path) -> None:
    forge(path, MANIFEST, lambda m: m | {"colour": 1, "seconds": "long"})
    refused(path, r"manifest\.json is not valid: seconds: .*colour: Extra")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g | {"extra": 1}, "extra"),
        (lambda g: g | {"types": {}}, "has no type"),
        (lambda g: g | {"types": g["types"] | {"data": "float33[1]"}}, "no tensor type"),
        (lambda g: g | {"nodes": g["nodes"][1:]}, "before it is written|belongs to no constant"),
        (lambda g: g | {"constants": {}}, "belongs to no constant|before it is written"),
        (lambda g: g | {"name": 7}, "name: Input should be a valid string"),
        (lambda g: [g], "JSON"),
    ],
)
def test_forged_graph_is_refused(path: Path, change: Callable[[Any], Any], message: str) -> None:
    forge(path, GRAPH, change)
    refused(path, message)


def test_strings_in_place_of_numbers_are_refused(path: Path) -> None:
    def change(graph: dict[str, Any]) -> dict[str, Any]:
        graph["types"]["new"] = "float32[1]"
        graph["constants"]["new"] = {"stored": "text", "values": ["1"]}
        return graph

    forge(path, GRAPH, change)
    refused(path, r"'new' has elements object, its type float32\[1\] needs float32")


@pytest.mark.parametrize("value", [True, None, {"float": "1"}, {"a": 1}, [[1]], {}, [None]])
def test_attribute_of_no_kind_is_refused(path: Path, value: Any) -> None:
    def change(graph: dict[str, Any]) -> dict[str, Any]:
        graph["nodes"][0]["attrs"] = {"a": value}
        return graph

    forge(path, GRAPH, change)
    refused(path, "no value of an attribute")


def packed(tensors: dict[str, np.ndarray]) -> str:
    return next(name for name, t in tensors.items() if t.dtype == np.uint16 and "weight" in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {packed(t): t[packed(t)] | 0xF}, "code 15"),
        (lambda t: t | {packed(t): t[packed(t)][1:]}, "words"),
        (lambda t: t | {"new": np.zeros(3)}, "'new' belongs to no constant"),
        (lambda t: t | {"pool:float32": np.zeros(1, np.float32)}, "'pool:float32'"),
        (lambda t: {k: v for k, v in t.items() if k != packed(t)}, "has no tensor"),
        (lambda t: t | {"pool:uint8": t["pool:uint8"].astype(np.float16)}, "float16"),
    ],
)
def test_forged_tensors_are_refused(path: Path, change: Callable[[Any], Any], message: str) -> None:
    forge(path, TENSORS, change)
    refused(path, message)


def test_element_type_that_numpy_has_not_is_refused(path: Path) -> None:
    members = members_of(path)
    header = b'{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    members[TENSORS] = len(header).to_bytes(8, "little") + header + b"\x00"
    manifest = json.loads(members[MANIFEST])
    manifest["members"][TENSORS] = {
        "sha256": sha256(members[TENSORS]),
        "bytes": len(members[TENSORS]),
    }
    members[MANIFEST] = json.dumps(manifest).encode()
    path.write_bytes(archive_bytes(members))
    refused(path, "no valid safetensors file")
