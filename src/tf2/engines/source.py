"""The float model a ``.tf2`` file was made from: found again, proven unchanged, imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tf2.errors import EngineError, ImportModelError
from tf2.importers import ImportedModel, load_model
from tf2.importers.origin import digest
from tf2.ir import Graph
from tf2.model_file import CompressedModel, Source

_HINT = "Name the float model by --source MODEL (source=...)"

Place = Callable[[str], Path]


def load_source(
    model: CompressedModel, *, folder: Path | None, override: str | Graph | None
) -> Graph:
    """Return the imported graph of the float model that ``model`` was compressed from.

    Args:
        model: Its manifest says where the float model was and what was in it.
        folder: Where the ``.tf2`` file lies; paths are looked up from here as well.
        override: The float model or its path, which is then taken as it is.

    Raises:
        EngineError: The source is gone, has changed, or is another network.
        ImportModelError: It cannot be read.
    """
    source = model.manifest.source
    if isinstance(override, Graph):
        graph, name = override, override.name
    elif override is not None:
        graph, name = _import_override(source, override).graph, override
    elif source.format == "graph":
        raise EngineError(f"{source.name!r} was compressed from a model in memory. {_HINT}")
    else:
        graph, name = _import_recorded(source, folder).graph, source.model
    expected = [tensor.shape for tensor in model.manifest.inputs]
    found = [graph.shape(name) for name in graph.inputs]
    if found != expected:
        raise EngineError(
            f"{name} takes other inputs than the compressed model: {found}, not {expected}. {_HINT}"
        )
    return graph


def _import_override(source: Source, override: str) -> ImportedModel:
    """Import the model the user names; weights are those recorded if it still needs them."""
    shapes = source.input_shapes or None
    try:
        return load_model(override, input_shapes=shapes, outputs=source.outputs)
    except ImportModelError:
        if source.weights is None:
            raise
        beside = Path(override.rpartition(":")[0] or override).parent / Path(source.weights).name
        weights = beside if beside.is_file() else Path(source.weights)
        if not weights.is_file():
            raise
        return load_model(override, weights=weights, input_shapes=shapes, outputs=source.outputs)


def _import_recorded(source: Source, folder: Path | None) -> ImportedModel:
    place = _place(source, folder)
    for file in source.files:
        found = digest(place(file.path))
        if found.sha256 != file.sha256:
            raise EngineError(
                f"{found.path} has changed since the model was compressed: {found.bytes} bytes, "
                f"SHA-256 {found.sha256[:12]}...; it was {file.bytes} bytes, "
                f"{file.sha256[:12]}.... {_HINT}"
            )
    code, colon, attribute = source.model.rpartition(":")
    if colon and code.endswith(".py"):
        model = f"{place(code)}:{attribute}"
    elif source.format == "pytorch" and colon:
        model = source.model  # package.module:function
    else:
        model = str(place(source.model))
    return load_model(
        model,
        weights=None if source.weights is None else place(source.weights),
        input_shapes=source.input_shapes or None,
        outputs=source.outputs,
    )


def _place(source: Source, folder: Path | None) -> Place:
    """Return where all files of the source are now: as recorded, or near the ``.tf2`` file."""
    places: list[Place] = [Path]
    if folder is not None:
        places += [lambda path: folder / path, lambda path: folder / Path(path).name]
    for place in places:
        if all(place(file.path).is_file() for file in source.files):
            return place
    gone = next((f.path for f in source.files if not Path(f.path).is_file()), source.model)
    near = f", and not in {folder.resolve()} either" if folder is not None else ""
    raise EngineError(
        f"a .tf2 file does not hold the float model, and its source {gone} is not "
        f"there{near}. {_HINT}"
    )
