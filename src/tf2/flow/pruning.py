"""From a trained float model and labelled samples to a smaller float model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.compiler import compile_graph
from tf2.compression import compress as compress_graph
from tf2.data import Preprocessing, Samples
from tf2.engines.array_engines import overlay_config
from tf2.errors import CompileError, PruningError
from tf2.flow.network import network_of
from tf2.flow.overlays import estimate
from tf2.flow.pruned import Pruned, figures_of, widths_compared
from tf2.flow.pruning_stages import PruningStages
from tf2.flow.retraining import require_torch
from tf2.flow.training_data import (
    loss_of,
    scores_of,
    top1_on,
    training_set_of,
    validation_target,
)
from tf2.importers import InputShapes
from tf2.ir import Graph
from tf2.model_file import CompressionSettings

if TYPE_CHECKING:
    from tf2.pruning.recipe import PruningRecipe
    from tf2.pruning.selection import Widths
    from tf2.training.losses import Loss
    from tf2.training.progress import Progress


def prune(
    model: Any,
    data: str | Path | Samples | Any,
    *,
    recipe: PruningRecipe | None = None,
    overlay: str | OverlayConfig | None = None,
    labels: str | Path | NDArray[np.int64] | None = None,
    validation: str | Path | Samples | None = None,
    validation_labels: str | Path | None = None,
    loss: str | Loss | None = None,
    weights: str | Path | None = None,
    input_shapes: InputShapes | None = None,
    outputs: Sequence[str] | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    class_names: Sequence[str] | str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    workers: int = 0,
    device: str = "auto",
    threads: int = 0,
    epochs: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Pruned | None:
    """Return the model made smaller or sparser and trained; None in all processes but the leading.

    The result is a float network: `tf2.compress` and `tf2.train` (INQ) take its graph or file.
    Layers of which a tenth of the weights or more are zero keep these zeros there.

    Args:
        model: As `tf2.compress`.
        data: As `tf2.train`.
        recipe: What is taken away, and how the rest is trained.
        overlay: Whose cycles are counted, and whose widths channels keep to: a name, a JSON file
            or a configuration. For a target in cycles "ecp5-85k" by default.
        labels: As `tf2.train`.
        validation: Labelled samples that accuracy is measured on, before, after, and each epoch.
        validation_labels: Theirs.
        loss: As `tf2.train`.
        weights: As `tf2.compress`.
        input_shapes: As there.
        outputs: As there.
        preprocessing: As there.
        class_names: As its ``labels``.
        checkpoint: As `tf2.train`; channels have two, of stages named behind it.
        resume: Go on from these files, where they exist.
        workers: As `tf2.train`.
        device: As there.
        threads: As there.
        epochs: Told about training, after every batch.
        clock: Seconds.

    Raises:
        PruningError: The target cannot be reached; says what can.
        TrainingError: The network, the data or the checkpoint cannot be trained with.
        DataError: Samples or labels cannot be used.
    """
    require_torch()
    import torch

    from tf2.pruning.prune import prune_channels, prune_weights, ready
    from tf2.pruning.recipe import PruningRecipe
    from tf2.training import processes

    began = clock()
    if threads:
        torch.set_num_threads(threads)
    how = recipe or PruningRecipe()
    if overlay is None and how.pruning.measure == "cycles":
        overlay = "ecp5-85k"
    config = overlay_config(overlay) if overlay is not None else None
    network = network_of(model, weights, input_shapes, outputs, preprocessing, class_names)
    graph = ready(network.graph)
    scores = scores_of(graph) if loss is None else None
    returned = None if scores is None else (scores,)
    _, data_set = training_set_of(data, labels, network, how.training, scores)
    target = validation_target(validation, validation_labels, network)
    measure = top1_on(target, network) if target is not None else None
    cycles = _cycles_on(config, network.pixel_affine) if config else None
    group = processes.join(device)
    try:
        stages = PruningStages(
            data=data_set,
            group=group,
            outputs=returned,
            loss=loss_of(loss),
            validation=measure,
            checkpoint=Path(checkpoint) if checkpoint is not None else None,
            resume=resume,
            workers=workers,
            epochs=epochs,
            clock=clock,
        )
        if how.pruning.method == "channel":
            found = prune_channels(
                graph,
                how.pruning,
                how.training,
                stages,
                widths=_widths(how.pruning.round_to, config),
                cycles=cycles,
            )
        else:
            found = prune_weights(graph, how.pruning, how.training, stages)
        if not group.leads:
            return None
    finally:
        group.close()
    return Pruned(
        graph=found,
        before=figures_of(graph, returned, measure, cycles),
        after=figures_of(found, returned, measure, cycles),
        epochs=tuple(stages.history),
        widths=widths_compared(graph, found),
        recipe=how,
        overlay=config.name if config else "",
        seconds=round(clock() - began, 2),
    )


def _widths(round_to: int, config: OverlayConfig | None) -> Widths:
    from tf2.pruning.selection import Widths

    if config is None:
        return Widths(multiple=round_to or 8)
    # A feature word of C channels holds whole groups of N outputs.
    multiple = round_to or config.inputs
    return Widths(multiple=multiple, outputs=config.outputs, inputs=config.inputs)


def _cycles_on(
    config: OverlayConfig, pixel_affine: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[Graph], int]:
    """Return what counts a frame's cycles; they do not depend on values."""

    def cycles(graph: Graph) -> int:
        rng = np.random.default_rng(0)
        shapes = {name: graph.shape(name) for name in graph.inputs}
        batch = {n: rng.standard_normal(shape).astype(np.float32) for n, shape in shapes.items()}
        settings = CompressionSettings(method="nearest")
        integers = compress_graph(graph, [batch], settings, pixel_affine=pixel_affine).graph
        try:
            return estimate(compile_graph(integers, config)).total.cycles
        except CompileError as error:
            raise PruningError(
                f"cycles of {graph.name!r} on {config.name} cannot be counted: {error}"
            ) from error

    return cycles
