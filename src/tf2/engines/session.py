"""A model that runs: the interface of ONNX Runtime's InferenceSession, for every engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tf2.arch import OverlayConfig
from tf2.data import Preprocessing, Samples
from tf2.engines import array_engines as _array_engines  # noqa: F401 (functional and rtl)
from tf2.engines import board as _board  # noqa: F401 (registers board)
from tf2.engines import onnx_engines as _onnx_engines  # noqa: F401 (registers int and float)
from tf2.engines.inputs import ValueInfo, checked_feeds, value_info
from tf2.engines.registry import make_executable
from tf2.engines.target import target_of
from tf2.errors import EngineError
from tf2.ir import Graph
from tf2.model_file import CompressedModel
from tf2.sim.device import Device


class Session:
    """A model on one engine; every engine gives the same interface.

        session = tf2.Session("squeezenet.tf2")
        probabilities, = session.run(None, {"data": batch})

    Args:
        model: Path of a ``.tf2`` file or of a float model; a CompressedModel; a Graph.
        engine: "int" runs the compressed model in integers, "float" the float model it was made
            from (found by its path and SHA-256), or a float model given as ``model``;
            "functional" and "rtl" run the compiled program on a simulated overlay, "board" on a
            real one.
        threads: Of one operator; 0 takes every core.
        source: The float model, where it is not where it was when the model was compressed.
        overlay: For the engines "functional" and "rtl": a name of `tf2.arch.NAMED`, a JSON
            file of parameters or an OverlayConfig; default "ecp5-85k".
        board: For the engine "board": the folder that ``tf2 build --board`` made, the soc.json in
            it, or a `tf2.sim.device.Device`. The overlay is the one in it.
        port: The board's serial port; by default the one that is there.
        progress: Told what a simulation or a board is at, and its share done.

    Raises:
        EngineError: There is no such engine, or it cannot run this model.
        ModelFileError: A ``.tf2`` file cannot be read.
        ImportModelError: A float model cannot be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | CompressedModel | Graph,
        engine: str = "int",
        *,
        threads: int = 0,
        source: str | Path | Graph | None = None,
        overlay: str | OverlayConfig | None = None,
        board: str | os.PathLike[str] | Device | None = None,
        port: str | None = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        target = replace(
            target_of(model, source, overlay), board=board, port=port, progress=progress
        )
        self.engine = engine
        self.compressed = target.compressed
        self._executable = make_executable(engine, target, threads)

    @property
    def graph(self) -> Graph:
        """The graph that is run."""
        return self._executable.graph

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From an image to the input, where the compressed model says so."""
        return None if self.compressed is None else self.compressed.manifest.preprocessing

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes, where the compressed model holds them."""
        return None if self.compressed is None else self.compressed.manifest.labels

    def get_inputs(self) -> list[ValueInfo]:
        """Return name, type and shape of each input."""
        return [value_info(self.graph, name) for name in self.graph.inputs]

    def get_outputs(self) -> list[ValueInfo]:
        """Return name, type and shape of each output."""
        return [value_info(self.graph, name) for name in self.graph.outputs]

    def run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        """Return the named outputs (None: all) for one batch.

        Args:
            output_names: In the order to be returned.
            feeds: An array for each input; element types and shapes as `get_inputs` says.

        Raises:
            EngineError: A name, element type or shape is wrong; says what is taken.
        """
        names = self.graph.outputs if output_names is None else tuple(output_names)
        unknown = [name for name in names if name not in self.graph.outputs]
        if unknown:
            raise EngineError(
                f"there is no output {unknown[0]!r}; the model returns "
                f"{', '.join(self.graph.outputs)}"
            )
        results = self._executable.run(checked_feeds(self.graph, feeds))
        return [results[name] for name in names]

    def values(
        self, feeds: Mapping[str, np.ndarray], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Return any values inside the graph for one batch, features as int8 bytes.

        Raises:
            EngineError: As `run`, or there is no such value.
        """
        wanted = tuple(names)
        unknown = [name for name in wanted if name not in self.graph.types]
        if unknown:
            raise EngineError(f"the graph has no value {unknown[0]!r}")
        return self._executable.values(checked_feeds(self.graph, feeds), wanted)

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the graph's values that `values` can give: all, but on the array."""
        return self._executable.visible(names)

    def open_images(self, images: Sequence[str | os.PathLike[str]]) -> Samples:
        """Return image files as samples, to be prepared as the model wants them when asked for.

        Raises:
            EngineError: The model does not say how images are prepared.
        """
        if self.preprocessing is None:
            raise EngineError(
                "the model says nothing on how to prepare images: it was compressed without a "
                "preprocessing. Feed arrays, or compress it with --preprocess"
            )
        paths = [os.fspath(image) for image in images]
        return Samples.open(paths, self.preprocessing, inputs=self.sample_shapes)

    def preprocess(self, images: Sequence[str | os.PathLike[str]]) -> dict[str, np.ndarray]:
        """Return one batch of image files, prepared as the model wants them.

        Raises:
            EngineError: The model does not say how images are prepared.
            DataError: An image cannot be read; names it.
        """
        return dict(self.open_images(images).stacked().feed(self.graph.inputs))

    def run_images(self, images: Sequence[str | os.PathLike[str]]) -> list[np.ndarray]:
        """Return all outputs for a batch of image files; see `preprocess`."""
        return self.run(None, self.preprocess(images))

    @property
    def sample_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample of each input, without the batch axis, as `Samples.open` takes it."""
        return {name: self.graph.shape(name)[1:] for name in self.graph.inputs}
