"""From a trained float model and labelled samples to a compressed model that was retrained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.data import Preprocessing, Samples
from tf2.errors import DataError, MissingExtraError, TrainingError
from tf2.flow import compressing
from tf2.flow.accuracy_target import AccuracyLoss, AccuracyTarget
from tf2.flow.importing import float_weights
from tf2.flow.places import open_labels, open_samples
from tf2.importers import InputShapes
from tf2.ir import Graph
from tf2.ir.integer_ops import BYTE_MOVERS
from tf2.model_file import CompressedModel, CompressionSettings, Manifest
from tf2.passes import canonicalize

if TYPE_CHECKING:
    from tf2.training.data import TrainingSet
    from tf2.training.loop import Loss, Progress, Validation
    from tf2.training.module import GraphModule
    from tf2.training.settings import TrainingSettings

CALIBRATION = 512
"""Training samples that calibrate where no others are given."""

VALIDATION_BATCH = 256


def train(
    model: Any,
    data: str | Path | Samples | Any,
    *,
    labels: str | Path | NDArray[np.int64] | None = None,
    training: TrainingSettings | None = None,
    settings: CompressionSettings | None = None,
    calibration: str | Path | Samples | None = None,
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
    progress: Callable[[str, float], None] | None = None,
    epochs: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> CompressedModel | None:
    """Return the model retrained to power-of-two weights; None in all processes but the leading.

    Args:
        model: As `tf2.compress`.
        data: Labelled samples: a folder or zip of images, an array file, samples, a torch dataset
            of (input, target), or ``package.module:function`` that makes one.
        labels: As `tf2.evaluate`; not for a dataset.
        training: Schedule, learning rate, ...
        settings: Layers kept at 8 bits, rule of feature scales, seed. The method follows from
            ``training``.
        calibration: Samples that the scales of features are chosen by; default some of ``data``.
        validation: Labelled samples that are measured after each epoch, and at the end as integers.
        validation_labels: Theirs.
        loss: Of outputs and targets, or ``package.module:function``; default cross entropy.
        weights: As `tf2.compress`.
        input_shapes: As there.
        outputs: As there.
        preprocessing: As there.
        class_names: As its ``labels``.
        checkpoint: File that keeps the state after each epoch and when interrupted.
        resume: Go on from that file, where it exists.
        workers: Processes that read ahead.
        device: "cpu", "cuda" or "auto".
        threads: Of one operator on the CPU; 0: torch's choice.
        progress: Told about compression.
        epochs: Told about training, after every batch.
        clock: Seconds.

    Raises:
        TrainingError: The network, the data or the checkpoint cannot be trained with.
        DataError: Samples or labels cannot be used.
    """
    require_torch()
    import torch

    from tf2.training import loop, packing, processes
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import start_of

    began = clock()
    if threads:
        torch.set_num_threads(threads)
    training = training or TrainingSettings()
    settings = settings or CompressionSettings()
    graph, source = compressing._graph_of(model, weights, input_shapes, outputs)
    recipe = compressing.fitted_preprocessing(preprocessing, graph)
    names = compressing.class_names(class_names, graph)
    state = Path(checkpoint) if checkpoint is not None else None
    if state is not None and state.exists() and not resume:
        raise TrainingError(f"{state} holds a training not finished: resume it, or remove the file")
    returned = None if loss is not None else (scores_of(canonicalize(graph).graph),)
    samples, data_set = _training_set(data, labels, graph, recipe, names, training, returned)
    batches = _calibration(calibration, samples, recipe, graph, settings)
    group = processes.join(device)
    try:
        start = start_of(
            graph,
            batches,
            settings,
            compensated=training.starts_compensated,
            window=training.window,
            bits=training.bits,
            pixel_affine=compressing._pixel_affine(recipe),
            progress=progress if group.leads else None,
        )
        start = start.with_figures(group.from_leader(start.figures() if group.leads else None))
        target = _target(validation, validation_labels, recipe, graph)
        trainer = loop.Trainer(
            start,
            training,
            data_set,
            group,
            outputs=returned,
            loss=_loss(loss),
            validation=_validation(target, graph, names) if target is not None else None,
            workers=workers,
            progress=epochs,
            clock=clock,
        )
        if resume and state is not None:
            trainer.resume(state)
        trainer.run(state)
        if not group.leads:
            return None
        compressed = packing.packed(start, trainer.module, trainer.inq, batches)
    finally:
        group.close()
    figures: dict[str, float] = {
        "calibration_samples": float(sum(len(next(iter(b.values()))) for b in batches)),
        "training_samples": float(len(data_set)),
        "training_epochs": float(sum(training.epochs_of_steps)),
    }
    if target is not None:
        accuracy = AccuracyLoss(target, graph, recipe, names)
        accuracy(compressed)
        figures |= accuracy.figures(compressed)
    manifest = Manifest(
        source=source,
        settings=start.settings.model_copy(update={"method": training.method}),
        training=training.model_dump(mode="json"),
        preprocessing=recipe,
        labels=names,
        inputs=compressing._tensor_infos(compressed.graph, compressed.graph.inputs),
        outputs=compressing._tensor_infos(compressed.graph, compressed.graph.outputs),
        support=compressed.support,
        layers=compressed.layers,
        figures=figures | compressing._worst_layer(compressed),
        seconds=round(clock() - began, 2),
        float_weight_bytes=4 * float_weights(graph),
    )
    return CompressedModel(graph=compressed.graph, manifest=manifest)


def require_torch() -> None:
    """Raise MissingExtraError unless torch can be imported."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(extra="torch", need="Training") from error


def scores_of(graph: Graph) -> str:
    """Return the value that holds a classifier's scores before any softmax.

    Raises:
        TrainingError: The network has several outputs.
    """
    if len(graph.outputs) != 1:
        raise TrainingError(
            f"the network has {len(graph.outputs)} outputs ({', '.join(graph.outputs)}): choose "
            "one (--output), or give a loss of your own (--loss package.module:function)"
        )
    value = graph.outputs[0]
    node = graph.producers.get(value)
    while node is not None and node.kind in BYTE_MOVERS and node.op not in ("Concat", "MaxPool"):
        node = graph.producers.get(node.inputs[0])
    return node.inputs[0] if node is not None and node.kind == "Softmax" else value


def _training_set(
    data: Any,
    labels: str | Path | NDArray[np.int64] | None,
    graph: Graph,
    recipe: Preprocessing | None,
    names: tuple[str, ...] | None,
    training: TrainingSettings,
    returned: tuple[str, ...] | None,
) -> tuple[Samples | None, TrainingSet]:
    from tf2.training.data import UserDataset, check_classes, training_set
    from tf2.training.user_code import is_object, load_object

    if isinstance(data, str) and is_object(data):
        made = load_object(data)
        data = made() if callable(made) else made
    if not isinstance(data, str | Path | Samples):
        return None, UserDataset(data)
    samples = data if isinstance(data, Samples) else open_samples(data, recipe, graph)
    if isinstance(labels, np.ndarray):
        classes = labels.astype(np.int64)
    else:
        classes = open_labels(labels, samples, names)
    if returned is not None:
        canonical = canonicalize(graph).graph
        check_classes(classes, canonical.types[returned[0]].size)
    return samples, training_set(samples, classes, training.augment, training.view_area)


def _calibration(
    calibration: str | Path | Samples | None,
    samples: Samples | None,
    recipe: Preprocessing | None,
    graph: Graph,
    settings: CompressionSettings,
) -> list[Mapping[str, np.ndarray]]:
    if calibration is None:
        if samples is None:
            raise DataError("a dataset of your own needs calibration samples beside it")
        count = settings.calibration_samples or CALIBRATION
        samples = samples.take(count, settings.seed)
        return compressing.batches_of(samples, graph)
    chosen = compressing._calibration_samples(calibration, recipe, graph, settings, 0, False)
    return compressing.batches_of(chosen, graph)


def _target(
    validation: str | Path | Samples | None,
    labels: str | Path | None,
    recipe: Preprocessing | None,
    graph: Graph,
) -> AccuracyTarget | None:
    if validation is None:
        return None
    if not isinstance(validation, Samples):
        validation = open_samples(validation, recipe, graph)
    return AccuracyTarget(points=100.0, data=validation, labels=labels)


def _loss(loss: str | Loss | None) -> Loss | None:
    from tf2.training.user_code import load_object

    return load_object(loss) if isinstance(loss, str) else loss


def _validation(target: AccuracyTarget, graph: Graph, names: tuple[str, ...] | None) -> Validation:
    samples = target.data
    assert isinstance(samples, Samples), "opened by _target"
    classes = open_labels(target.labels, samples, names)

    def top1(module: GraphModule) -> float:
        import torch

        device = next(module.parameters()).device
        right, start = 0, 0
        with torch.inference_mode():
            for batch in samples.batches(VALIDATION_BATCH):
                feed = batch.feed(graph.inputs)
                scores = module({k: torch.from_numpy(v).to(device) for k, v in feed.items()})
                assert isinstance(scores, torch.Tensor), "validation is of classifiers"
                found = scores.flatten(1).argmax(1).cpu().numpy()
                right += int((found == classes[start : start + len(found)]).sum())
                start += len(found)
        return right / len(classes)

    return top1
