"""What a session is asked to run, in whatever form it was given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tf2.arch import OverlayConfig
from tf2.errors import EngineError
from tf2.ir import Graph
from tf2.model_file import CompressedModel, read_model
from tf2.sim.device import Device

SUFFIX = ".tf2"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A compressed model, a graph, or a model file that is still to be imported.

    Attributes:
        name: For messages.
        compressed: The compressed model.
        graph: A graph made or imported in Python.
        folder: Where the ``.tf2`` file lies; its source may lie there too.
        source: A float model or its path: the one to run, or the source of ``compressed``.
        overlay: What engines of the array run it on; a name of `tf2.arch.NAMED` or a configuration.
        board: For the engine "board": the folder of a build, its soc.json, or a device.
        port: The board's serial port; None: the one that is there.
        progress: Told what engines that take long are at, and its share done.
    """

    name: str
    compressed: CompressedModel | None = None
    graph: Graph | None = None
    folder: Path | None = None
    source: str | Graph | None = None
    overlay: str | OverlayConfig | None = None
    board: str | os.PathLike[str] | Device | None = None
    port: str | None = None
    progress: Callable[[str, float], None] | None = None


def target_of(
    model: str | os.PathLike[str] | CompressedModel | Graph,
    source: str | Path | Graph | None,
    overlay: str | OverlayConfig | None = None,
) -> Target:
    """Return what is to be run.

    Raises:
        ModelFileError: A ``.tf2`` file cannot be read.
        EngineError: ``model`` is something else.
    """
    override = source if source is None or isinstance(source, Graph) else str(source)
    if isinstance(model, CompressedModel):
        name = model.manifest.source.name
        return Target(name=name, compressed=model, source=override, overlay=overlay)
    if isinstance(model, Graph):
        return Target(name=model.name, graph=model, source=override, overlay=overlay)
    if not isinstance(model, str | os.PathLike):
        raise EngineError(
            f"a session runs the path of a model, a CompressedModel or a Graph, not a "
            f"{type(model).__name__}"
        )
    text = os.fspath(model)
    if Path(text).suffix.lower() != SUFFIX:
        return Target(name=text, source=text)
    path = Path(text)
    return Target(
        name=text, compressed=read_model(path), folder=path.parent, source=override,
        overlay=overlay,
    )  # fmt: skip
