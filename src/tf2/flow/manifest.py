"""What a compressed model tells of its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tf2.compression import Compressed
from tf2.flow.importing import float_weights
from tf2.flow.network import Network
from tf2.ir import Graph
from tf2.model_file import CompressedModel, CompressionSettings, Manifest, TensorInfo


def compressed_model(
    network: Network,
    compressed: Compressed,
    settings: CompressionSettings,
    *,
    figures: Mapping[str, float],
    seconds: float,
    training: Mapping[str, Any] | None = None,
) -> CompressedModel:
    """Return the compressed model, its manifest filled in.

    Args:
        network: What was compressed.
        compressed: Its integers.
        settings: Told in the manifest.
        figures: Measured; told in the manifest.
        seconds: It took.
        training: Its settings, told in the manifest; None where there was none, or
            a loop of the user's own.
    """
    manifest = Manifest(
        source=network.source,
        settings=settings,
        training=None if training is None else dict(training),
        preprocessing=network.preprocessing,
        labels=network.class_names,
        inputs=_tensor_infos(compressed.graph, compressed.graph.inputs),
        outputs=_tensor_infos(compressed.graph, compressed.graph.outputs),
        support=compressed.support,
        layers=compressed.layers,
        figures={**figures, **_worst_layer(compressed)},
        seconds=round(seconds, 2),
        float_weight_bytes=4 * float_weights(network.graph),
    )
    return CompressedModel(graph=compressed.graph, manifest=manifest)


def _tensor_infos(graph: Graph, names: Sequence[str]) -> tuple[TensorInfo, ...]:
    types = graph.types
    return tuple(
        TensorInfo(name=name, dtype=str(types[name].dtype), shape=types[name].shape)
        for name in names
    )


def _worst_layer(compressed: Compressed) -> dict[str, float]:
    measured = [r.output_sqnr_db for r in compressed.layers if r.output_sqnr_db is not None]
    return {"worst_layer_sqnr_db": min(measured)} if measured else {}
