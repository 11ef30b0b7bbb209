"""From a trained float model and labelled samples to a compressed model that was retrained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.data import Preprocessing, Samples
from tf2.errors import TrainingError
from tf2.flow.accuracy_target import AccuracyLoss
from tf2.flow.manifest import compressed_model
from tf2.flow.network import network_of
from tf2.flow.retraining import require_torch
from tf2.flow.training_data import (
    calibration_of,
    loss_of,
    scores_of,
    top1_on,
    training_set_of,
    validation_target,
)
from tf2.importers import InputShapes
from tf2.model_file import CompressedModel, CompressionSettings
from tf2.passes import canonicalize

if TYPE_CHECKING:
    from tf2.training.losses import Loss
    from tf2.training.progress import Progress
    from tf2.training.settings import TrainingSettings


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
    state = Path(checkpoint) if checkpoint is not None else None
    if state is not None and state.exists() and not resume:
        raise TrainingError(f"{state} holds a training not finished: resume it, or remove the file")
    scores = scores_of(canonicalize(network.graph).graph) if loss is None else None
    samples, data_set = training_set_of(data, labels, network, training, scores)
    if dry_run is not None:
        training = training.changed(epochs=1)
        data_set = SomeSamples(data_set, dry_run * training.batch)
    batches = calibration_of(calibration, samples, network, settings)
    group = processes.join(device)
    try:
        start = start_of(
            network.graph,
            batches,
            settings,
            compensated=training.starts_compensated,
            window=training.window,
            bits=training.bits,
            pixel_affine=network.pixel_affine,
            progress=progress if group.leads else None,
        )
        start = start.with_figures(group.from_leader(start.figures() if group.leads else None))
        target = validation_target(validation, validation_labels, network)
        trainer = loop.Trainer(
            start,
            training,
            data_set,
            group,
            outputs=None if scores is None else (scores,),
            loss=loss_of(loss),
            validation=top1_on(target, network) if target is not None else None,
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
        accuracy = AccuracyLoss(target, network.graph, network.preprocessing, network.class_names)
        accuracy(compressed)
        figures |= accuracy.figures(compressed)
    return compressed_model(
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
