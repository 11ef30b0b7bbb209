"""From a trained float model and labelled samples to a compressed model that was retrained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.data import Preprocessing, Samples
from tf2.errors import DataError, TrainingError
from tf2.flow import compressing
from tf2.flow.accuracy_target import AccuracyLoss, AccuracyTarget
from tf2.flow.places import open_labels, open_samples
from tf2.flow.retraining import network_of, packed_model, require_torch
from tf2.importers import InputShapes
from tf2.ir import Graph
from tf2.ir.integer_ops import BYTE_MOVERS
from tf2.model_file import CompressedModel, CompressionSettings
from tf2.passes import canonicalize

if TYPE_CHECKING:
    from tf2.training.data import TrainingSet
    from tf2.training.loop import Validation
    from tf2.training.losses import Loss
    from tf2.training.module import GraphModule
    from tf2.training.progress import Progress
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
    dry_run: int | None = None,
    progress: Callable[[str, float], None] | None = None,
    epochs: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> CompressedModel | None:
    """Return the model retrained to power-of-two weights; None in all processes but the leading.

    Args:
        model: As `tf2.compress`.
        data: Labelled samples: a folder or zip of images, an array file, samples, a torch dataset
            of (input, target) or a DataLoader of one, or ``package.module:function`` that makes
            one.
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
        dry_run: Train one epoch of so many batches in each step, to see that all goes well.
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
    from tf2.training.data import SomeSamples
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import start_of

    began = clock()
    if threads:
        torch.set_num_threads(threads)
    training = training or TrainingSettings()
    settings = settings or CompressionSettings()
    network = network_of(model, weights, input_shapes, outputs, preprocessing, class_names)
    graph, recipe, names = network.graph, network.preprocessing, network.class_names
    state = Path(checkpoint) if checkpoint is not None else None
    if state is not None and state.exists() and not resume:
        raise TrainingError(f"{state} holds a training not finished: resume it, or remove the file")
    returned = None if loss is not None else (scores_of(canonicalize(graph).graph),)
    samples, data_set = _training_set(data, labels, graph, recipe, names, training, returned)
    if dry_run is not None:
        training = training.changed(epochs=1)
        data_set = SomeSamples(data_set, dry_run * training.batch)
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
            pixel_affine=network.pixel_affine,
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
    return packed_model(
        network,
        compressed,
        start.settings.model_copy(update={"method": training.method}),
        figures=figures,
        seconds=clock() - began,
        training=training.model_dump(mode="json"),
    )


def inq(model: Any, loader: Any, *, training: Any = None, **options: Any) -> CompressedModel | None:
    """Return the model retrained by INQ on a torch DataLoader or dataset.

    Samples, collation, batch size and workers are the loader's. Which samples a batch holds
    follows from the seed, not from the loader, so that an interrupted training can be resumed.

    Args:
        model: A path, a graph, a torch module, ...: as `tf2.compress`.
        loader: Gives (input, target); a map-style dataset, or a DataLoader of one.
        training: Settings of the training.
        **options: Of `tf2.train`.
    """
    from tf2.training.settings import TrainingSettings

    training = (training or TrainingSettings()).changed(method="inq")
    if getattr(loader, "batch_size", None):
        training = training.changed(batch=loader.batch_size)
    options = {"workers": getattr(loader, "num_workers", 0), **options}
    return train(model, loader, training=training, **options)


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
        dataset = UserDataset(data)
        return dataset.samples(), dataset
    samples = data if isinstance(data, Samples) else open_samples(data, recipe, graph)
    if isinstance(labels, np.ndarray):
        classes = labels.astype(np.int64)
    else:
        classes = open_labels(labels, samples, names)
    if returned is not None:
        count = canonicalize(graph).graph.types[returned[0]].size
        check_classes(classes, count)
        if labels is None and names is None:
            _check_folders(classes, count)
    return samples, training_set(samples, classes, training.augment, training.view_area)


def _check_folders(classes: NDArray[np.int64], count: int) -> None:
    """Refuse classes numbered by folder where the network has another number of them."""
    folders = len(np.unique(classes))
    if folders != count:
        raise DataError(
            f"the images are in {folders} folders, but the network has {count} classes: give the "
            "class names in the network's order (--labels), or a label file (--train-labels)"
        )


def _calibration(
    calibration: str | Path | Samples | None,
    samples: Samples | None,
    recipe: Preprocessing | None,
    graph: Graph,
    settings: CompressionSettings,
) -> list[Mapping[str, np.ndarray]]:
    if calibration is None:
        if samples is None:
            raise DataError(
                "the dataset's inputs are no tensors: give calibration samples beside it "
                "(--calibration)"
            )
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
