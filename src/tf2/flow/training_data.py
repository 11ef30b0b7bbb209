"""What a training reads: labelled samples, calibration samples, validation samples, a loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tf2.data import Samples
from tf2.errors import DataError, TrainingError
from tf2.flow.accuracy_target import AccuracyTarget
from tf2.flow.calibration import batches_of, calibration_samples
from tf2.flow.network import Network
from tf2.flow.places import open_labels, open_samples
from tf2.ir import Graph
from tf2.ir.integer_ops import BYTE_MOVERS
from tf2.model_file import CompressionSettings
from tf2.passes import canonicalize

if TYPE_CHECKING:
    from tf2.training.data import TrainingSet
    from tf2.training.loop import Validation
    from tf2.training.losses import Loss
    from tf2.training.module import GraphModule
    from tf2.training.settings import TrainingSettings

CALIBRATION = 512
"""Training samples that calibrate where no others are given."""

VALIDATION_BATCH = 256


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


def training_set_of(
    data: Any,
    labels: str | Path | NDArray[np.int64] | None,
    network: Network,
    training: TrainingSettings,
    scores: str | None,
) -> tuple[Samples | None, TrainingSet]:
    """Return what is trained on: (its inputs where they are tensors, labelled and varied samples).

    Args:
        data: As `tf2.train`.
        labels: As there.
        network: What is trained.
        training: Says how samples are varied.
        scores: Value that holds a classifier's scores, whose number the classes must have;
            None for a loss of the user's own.

    Raises:
        DataError: Samples or labels cannot be used, or the number of classes is another.
    """
    from tf2.training.data import UserDataset, check_classes, training_set
    from tf2.training.user_code import is_object, load_object

    if isinstance(data, str) and is_object(data):
        made = load_object(data)
        data = made() if callable(made) else made
    if not isinstance(data, str | Path | Samples):
        dataset = UserDataset(data)
        return dataset.samples(), dataset
    samples = data
    if not isinstance(samples, Samples):
        samples = open_samples(samples, network.preprocessing, network.graph)
    if isinstance(labels, np.ndarray):
        classes = labels.astype(np.int64)
    else:
        classes = open_labels(labels, samples, network.class_names)
    if scores is not None:
        count = canonicalize(network.graph).graph.types[scores].size
        check_classes(classes, count)
        if labels is None and network.class_names is None:
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


def calibration_of(
    calibration: str | Path | Samples | None,
    samples: Samples | None,
    network: Network,
    settings: CompressionSettings,
) -> list[Mapping[str, np.ndarray]]:
    """Return batches that calibrate; where none are named, of the training samples.

    Args:
        calibration: As `tf2.train`.
        samples: Of the training; None where their inputs are no tensors.
        network: What is trained.
        settings: How many, and the seed that draws them.

    Raises:
        DataError: There are no samples, or they cannot be used.
    """
    if calibration is not None:
        chosen = calibration_samples(calibration, network.preprocessing, network.graph, settings)
        return batches_of(chosen, network.graph)
    if samples is None:
        raise DataError(
            "the dataset's inputs are no tensors: give calibration samples beside it "
            "(--calibration)"
        )
    count = settings.calibration_samples or CALIBRATION
    return batches_of(samples.take(count, settings.seed), network.graph)


def validation_target(
    validation: str | Path | Samples | None, labels: str | Path | None, network: Network
) -> AccuracyTarget | None:
    """Return the samples that accuracy is measured on, open; None where none are named.

    Raises:
        DataError: The samples cannot be used.
    """
    if validation is None:
        return None
    if not isinstance(validation, Samples):
        validation = open_samples(validation, network.preprocessing, network.graph)
    return AccuracyTarget(points=100.0, data=validation, labels=labels)


def loss_of(loss: str | Loss | None) -> Loss | None:
    """Return the loss, imported where it is named ``package.module:function``.

    Raises:
        TrainingError: There is no such function.
    """
    from tf2.training.user_code import load_object

    return load_object(loss) if isinstance(loss, str) else loss


def top1_on(target: AccuracyTarget, network: Network) -> Validation:
    """Return what measures a module's top-1, 0..1, on the target's samples.

    Raises:
        DataError: The labels cannot be read, or do not cover the samples.
    """
    samples = target.data
    assert isinstance(samples, Samples), "opened by validation_target"
    classes = open_labels(target.labels, samples, network.class_names)
    inputs = network.graph.inputs

    def top1(module: GraphModule) -> float:
        import torch

        device = next(module.parameters()).device
        right, start = 0, 0
        with torch.inference_mode():
            for batch in samples.batches(VALIDATION_BATCH):
                feed = batch.feed(inputs)
                scores = module({k: torch.from_numpy(v).to(device) for k, v in feed.items()})
                assert isinstance(scores, torch.Tensor), "validation is of classifiers"
                found = scores.flatten(1).argmax(1).cpu().numpy()
                right += int((found == classes[start : start + len(found)]).sum())
                start += len(found)
        return right / len(classes)

    return top1
