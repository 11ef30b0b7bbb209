"""From a trained float model and labelled samples to a smaller float model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.compiler import compile_graph
from tf2.compression import compress as compress_graph
from tf2.data import Preprocessing, Samples
from tf2.engines.array_engines import overlay_config
from tf2.errors import CompileError, PruningError, TrainingError
from tf2.execution import to_onnx
from tf2.flow import compressing
from tf2.flow import training as retraining
from tf2.flow.overlays import estimate
from tf2.importers import InputShapes
from tf2.ir import Graph
from tf2.model_file import CompressionSettings, atomic_write

if TYPE_CHECKING:
    from tf2.pruning.prune import ConstraintOf
    from tf2.pruning.recipe import PruningRecipe
    from tf2.pruning.selection import Widths
    from tf2.training.data import TrainingSet
    from tf2.training.loop import Trainer, Validation
    from tf2.training.losses import Loss
    from tf2.training.processes import Processes
    from tf2.training.progress import Progress
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import Start


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A float network before or after pruning.

    Attributes:
        flops: Multiply-accumulates of one sample by weights that are not zero.
        params: Weights and biases that are not zero.
        zeros: Weights that are zero.
        cycles: A frame on the overlay, by the cycle model; None without an overlay.
        top1: On the validation samples, 0..1; None without them.
    """

    flops: int
    params: int
    zeros: int
    cycles: int | None
    top1: float | None


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A pruned network.

    Attributes:
        graph: Float, smaller or with zeros.
        before: The network as given.
        after: The pruned one.
        epochs: Figures of each epoch.
        widths: Channels of each layer, read and written, before and after; (0, 0) of one that
            is gone.
        recipe: What it was made by.
        overlay: What cycles are of; "" without.
        seconds: It took.
    """

    graph: Graph
    before: Figures
    after: Figures
    epochs: tuple[Mapping[str, Any], ...]
    widths: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]
    recipe: PruningRecipe
    overlay: str
    seconds: float

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the network as ONNX, whole or not at all, and return the size in bytes.

        Raises:
            PruningError: The file cannot be written.
        """
        content = to_onnx(self.graph).SerializeToString()
        try:
            with atomic_write(path) as file:
                file.write(content)
        except OSError as error:
            raise PruningError(f"{path} cannot be written: {error.strerror or error}") from error
        return len(content)

    def report(self) -> dict[str, Any]:
        """Return everything but the network, ready for JSON."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "overlay": self.overlay,
            "widths": {name: list(pair) for name, pair in self.widths.items()},
            "epochs": [dict(row) for row in self.epochs],
            "recipe": self.recipe.model_dump(mode="json"),
            "seconds": self.seconds,
        }


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
    retraining.require_torch()
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
    imported, _ = compressing._graph_of(model, weights, input_shapes, outputs)
    images = compressing.fitted_preprocessing(preprocessing, imported)
    names = compressing.class_names(class_names, imported)
    graph = ready(imported)
    scores = None if loss is not None else (retraining.scores_of(graph),)
    _, data_set = retraining._training_set(
        data, labels, imported, images, names, how.training, scores
    )
    target = retraining._target(validation, validation_labels, images, imported)
    measure = retraining._validation(target, imported, names) if target is not None else None
    cycles = _cycles_on(config, compressing._pixel_affine(images)) if config else None
    group = processes.join(device)
    try:
        stages = _Stages(
            data=data_set,
            group=group,
            outputs=scores,
            loss=retraining._loss(loss),
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
        before=_figures(graph, scores, measure, cycles),
        after=_figures(found, scores, measure, cycles),
        epochs=tuple(stages.history),
        widths=_compared(graph, found),
        recipe=how,
        overlay=config.name if config else "",
        seconds=round(clock() - began, 2),
    )


def _figures(
    graph: Graph,
    outputs: tuple[str, ...] | None,
    validation: Validation | None,
    cycles: Callable[[Graph], int] | None,
) -> Figures:
    from tf2.pruning.cost import size_of
    from tf2.training.module import GraphModule

    size = size_of(graph)
    top1 = None
    if validation is not None:
        top1 = validation(GraphModule(graph, outputs=outputs).eval())
    return Figures(
        flops=size.flops,
        params=size.params,
        zeros=size.zeros,
        cycles=cycles(graph) if cycles else None,
        top1=top1,
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


def _compared(before: Graph, after: Graph) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Return (read, written) channels of each layer, before and after."""
    from tf2.pruning.cost import LAYERS

    def widths(graph: Graph) -> dict[str, tuple[int, int]]:
        layers = [n for n in graph.nodes if n.kind in LAYERS and n.inputs[1] in graph.constants]
        return {
            n.name: (graph.shape(n.inputs[0])[1], graph.shape(n.output)[1])
            for n in layers
            if len(graph.shape(n.output)) > 1
        }

    smaller = widths(after)
    return {name: (pair, smaller.get(name, (0, 0))) for name, pair in widths(before).items()}


@dataclass(frozen=True)
class _Some:
    """Some samples of a training set."""

    data: TrainingSet
    indices: list[int]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Any]:
        """Return inputs and targets, varied as they are in the whole set."""
        return self.data.batch([self.indices[i] for i in indices], key)


@dataclass(frozen=True, kw_only=True)
class _Stages:
    """The trainings that pruning asks for, on one data set; see `tf2.pruning.prune.Train`."""

    data: TrainingSet
    group: Processes
    outputs: tuple[str, ...] | None
    loss: Loss | None
    validation: Validation | None
    checkpoint: Path | None
    resume: bool
    workers: int
    epochs: Callable[[Progress], None] | None
    clock: Callable[[], float]
    history: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self,
        start: Start,
        settings: TrainingSettings,
        constraint: ConstraintOf,
        *,
        stage: str,
        belongs_to: Mapping[str, str],
        samples: int = 0,
    ) -> Trainer:
        """Return the trainer, having run."""
        from tf2.training.loop import Trainer

        state = self._state(stage)
        if state is not None and state.exists() and not self.resume:
            raise TrainingError(
                f"{state} holds a pruning not finished: resume it, or remove the file"
            )
        trainer = Trainer(
            start,
            settings,
            self._drawn(samples, settings.seed),
            self.group,
            outputs=self.outputs,
            loss=self.loss,
            validation=self.validation,
            constraint=constraint,
            belongs_to=belongs_to,
            workers=self.workers,
            progress=self.epochs,
            clock=self.clock,
        )
        if self.resume and state is not None:
            trainer.resume(state)
        trainer.run(state)
        self.history.extend({"stage": stage, **row} for row in trainer.history)
        return trainer

    def steps(self, settings: TrainingSettings, samples: int = 0) -> int:
        """Return the optimizer's steps in such a training."""
        from tf2.training.data import Batches

        size, world, data = settings.batch, self.group.world, self._drawn(samples, settings.seed)
        count = Batches(data, size=size, seed=0, rank=self.group.rank, world=world).count
        return count * sum(settings.epochs_of_steps)

    def inputs(self, samples: int, seed: int) -> Any:
        """Return inputs of so many samples of the data, drawn once."""
        drawn = self._drawn(samples, seed)
        return drawn.batch(range(min(samples, len(drawn))), (0, 0))[0]

    def _drawn(self, samples: int, seed: int) -> TrainingSet:
        if not 0 < samples < len(self.data):
            return self.data
        order = np.random.default_rng(seed).permutation(len(self.data))
        return _Some(self.data, order[:samples].tolist())

    def _state(self, stage: str) -> Path | None:
        if self.checkpoint is None or not stage:
            return self.checkpoint
        return self.checkpoint.with_name(f"{self.checkpoint.name}-{stage}")
