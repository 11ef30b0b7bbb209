"""A compressed model in memory, and its way to a ``.tf2`` file and back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from tf2._version import __version__
from tf2.errors import ModelFileError, VerifyError
from tf2.ir import Graph, Node, verify
from tf2.ir.integer_ops import DOMAIN
from tf2.model_file.archive import (
    GRAPH,
    MANIFEST,
    TENSORS,
    Archive,
    archive_bytes,
    open_archive,
    sha256,
)
from tf2.model_file.atomic import atomic_write
from tf2.model_file.graph_json import decode_graph, encode_graph
from tf2.model_file.manifest import FORMAT_VERSION, Manifest

# From the third on: what attributes of the wrong kind do to `verify`, which takes them for granted.
_GRAPH_ERRORS = (ValueError, VerifyError, LookupError, TypeError, ArithmeticError, AttributeError)

_REASON_LENGTH = 400  # a damaged file may have names of any length


@dataclass(frozen=True, kw_only=True)
class CompressedModel:
    """A network whose layers compute with integers, and all that is known about it.

    Attributes:
        graph: Verified; its array layers are nodes ``tf2.Conv``.
        manifest: Source, settings, support, figures.
    """

    graph: Graph
    manifest: Manifest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, as `write_model`."""
        write_model(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CompressedModel:
        """Return the model of a file, as `read_model`."""
        return read_model(path)

    @cached_property
    def array_layers(self) -> tuple[Node, ...]:
        """The nodes that the lanes compute, in order."""
        return tuple(n for n in self.graph.nodes if n.domain == DOMAIN and n.op == "Conv")

    @property
    def weight_count(self) -> int:
        """Number of weights in array layers."""
        return sum(weight.size for weight in self._weights.values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of these weights in the file: half a byte or one byte each."""
        packed = {n.inputs[1] for n in self.array_layers if n.attr("weight_kind", "pot4") == "pot4"}
        return sum(
            -(-w.size // 4) * 2 if name in packed else w.nbytes for name, w in self._weights.items()
        )

    @property
    def _weights(self) -> dict[str, np.ndarray]:
        names = dict.fromkeys(node.inputs[1] for node in self.array_layers)  # shared ones once
        return {name: self.graph.constants[name] for name in names}


class _Member(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    bytes: int


class _StoredManifest(Manifest):
    """As the manifest is written: with what guards the other members."""

    members: dict[str, _Member]


class _Versions(BaseModel):
    """What every version of the format has in its manifest."""

    format_version: int
    tool_version: str


def write_model(model: CompressedModel, path: str | os.PathLike[str]) -> None:
    """Write a ``.tf2`` file that `read_model` reads back equal; on failure nothing changes.

    Equal models give equal bytes. The file's versions are those of this TF2.

    Raises:
        VerifyError: The graph breaks a rule of the IR.
        ModelFileError: The file cannot be written, or the model holds what it cannot store.
    """
    verify(model.graph)
    try:
        graph, tensors = encode_graph(model.graph)
        members = {GRAPH: graph, TENSORS: tensors}
        members[MANIFEST] = _encode_manifest(model.manifest, members)
        content = archive_bytes(members)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelFileError(f"{path} cannot be written: {_reason(error)}") from error


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return what a ``.tf2`` file says about its model; the rest of the file is not read.

    Raises:
        ModelFileError: The file is no ``.tf2`` file, damaged, or newer than this TF2.
    """
    with open_archive(path) as archive:
        return _read_manifest(path, archive)[0]


def read_model(path: str | os.PathLike[str]) -> CompressedModel:
    """Return the model of a ``.tf2`` file, every byte checked, its graph verified.

    Raises:
        ModelFileError: The file is no ``.tf2`` file, damaged, or newer than this TF2; names the
            member at fault.
    """
    with open_archive(path) as archive:
        manifest, members = _read_manifest(path, archive)
        archive.check_members({name: member.bytes for name, member in members.items()})
        graph, tensors = (archive.read(name, members[name].sha256) for name in (GRAPH, TENSORS))
    try:
        return CompressedModel(graph=verify(decode_graph(graph, tensors)), manifest=manifest)
    except _GRAPH_ERRORS as error:
        raise ModelFileError(
            f"{path} has the right checksums but no valid graph: {_reason(error)}. It was not "
            "written by TF2, or by one with a fault"
        ) from error


def _encode_manifest(manifest: Manifest, members: dict[str, bytes]) -> bytes:
    fields = dict(manifest) | {"format_version": FORMAT_VERSION, "tool_version": __version__}
    guards = {name: _Member(sha256=sha256(data), bytes=len(data)) for name, data in members.items()}
    return _StoredManifest(**fields, members=guards).model_dump_json().encode()


def _read_manifest(
    path: str | os.PathLike[str], archive: Archive
) -> tuple[Manifest, dict[str, _Member]]:
    text = archive.read_manifest()
    try:
        versions = _Versions.model_validate_json(text)
        if versions.format_version > FORMAT_VERSION:
            raise ModelFileError(
                f"{path} has format version {versions.format_version}, written by TF2 "
                f"{versions.tool_version}; this is TF2 {__version__}, which reads versions up to "
                f"{FORMAT_VERSION}. Upgrade: pip install -U tf2"
            )
        stored = _StoredManifest.model_validate_json(text)
    except ValidationError as error:
        raise ModelFileError(f"{path}: {MANIFEST} is not valid: {_reason(error)}") from error
    fields = {name: getattr(stored, name) for name in Manifest.model_fields}
    return Manifest.model_construct(**fields), stored.members


def _reason(error: Exception) -> str:
    """What went wrong, without pydantic's links and without the file's content."""
    if not isinstance(error, ValidationError):
        return str(error)[:_REASON_LENGTH] or type(error).__name__
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [
        f"{'.'.join(map(str, e['loc'])) or 'JSON'}: {e['msg']}"[:_REASON_LENGTH] for e in found[:3]
    ]
    return "; ".join(texts) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
