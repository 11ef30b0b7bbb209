"""A network on its way to powers of two, for a training loop of the user's own.

work = tf2.retraining("net.onnx", "photos/", preprocessing="torch-imagenet")
optimizer = torch.optim.SGD(work.inq.groups(work.module, weight_decay=1e-4), lr=0.004)
work.inq.attach(optimizer)                # holds the weights to their grid at each step
for share in (0.5, 0.75, 0.875, 1.0):
    work.inq.freeze(share)
    my_loop(work.module, optimizer)       # any loss, data, schedule, number of processes
work.finished().save("net.tf2")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf2.data import Preprocessing, Samples
from tf2.errors import MissingExtraError
from tf2.flow.calibration import batches_of, calibration_samples
from tf2.flow.manifest import compressed_model
from tf2.flow.network import Network, network_of
from tf2.importers import InputShapes
from tf2.model_file import CompressedModel, CompressionSettings

if TYPE_CHECKING:
    from tf2.training.inq import Inq
    from tf2.training.module import GraphModule
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import Start

Batches = Sequence[Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Retraining:
    """See the head of this file.

    Attributes:
        network: What is retrained.
        start: Its weights, grids and scales before the first step.
        module: To be trained: computes with 8-bit features what the array will.
        inq: Its grids: `freeze`, `groups`, `attach` (or `before_step` and `after_step`).
        training: Of these settings method, bits, start, window, order, gains, 8-bit features,
            BatchNormalization and seed count here; schedule, rate and epochs are the loop's.
        batches: Calibration samples.
    """

    network: Network
    start: Start
    module: GraphModule
    inq: Inq
    training: TrainingSettings
    batches: Batches = field(repr=False)

    def finished(self) -> CompressedModel:
        """Return the compressed model of the weights as they are; those not frozen are rounded.

        Raises:
            TrainingError: The codes are none of the array's.
        """
        from tf2.training.packing import packed

        compressed = packed(self.start, self.module, self.inq, self.batches)
        settings = self.start.settings.model_copy(update={"method": self.training.method})
        return compressed_model(self.network, compressed, settings, figures={}, seconds=0.0)


def retraining(
    model: Any,
    calibration: str | Path | Samples,
    *,
    training: TrainingSettings | None = None,
    settings: CompressionSettings | None = None,
    weights: str | Path | None = None,
    input_shapes: InputShapes | None = None,
    outputs: Sequence[str] | None = None,
    preprocessing: Preprocessing | str | Path | None = None,
    class_names: Sequence[str] | str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Retraining:
    """Return the model ready to be retrained by a loop of the user's own.

    Args:
        model: As `tf2.compress`; a graph or a torch module too.
        calibration: As there; scales of features and the first weights are found with it.
        training: See `Retraining.training`.
        settings: Layers kept at 8 bits, rule of feature scales, seed.
        weights: As `tf2.compress`.
        input_shapes: As there.
        outputs: As there.
        preprocessing: As there.
        class_names: As its ``labels``.
        progress: As there.

    Raises:
        TrainingError: An operator of the network cannot be trained through.
        DataError: Calibration samples cannot be used.
    """
    require_torch()
    from tf2.training.inq import Inq
    from tf2.training.int8_features import FLOAT
    from tf2.training.module import GraphModule
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import start_of

    training = training or TrainingSettings()
    settings = settings or CompressionSettings()
    network = network_of(model, weights, input_shapes, outputs, preprocessing, class_names)
    samples = calibration_samples(calibration, network.preprocessing, network.graph, settings)
    batches = batches_of(samples, network.graph)
    start = start_of(
        network.graph,
        batches,
        settings,
        compensated=training.starts_compensated,
        window=training.window,
        bits=training.bits,
        pixel_affine=network.pixel_affine,
        progress=progress,
    )
    features = start.features() if training.int8_features else FLOAT
    module = GraphModule(start.graph, batch_norm=training.batch_norm, features=features)
    inq = Inq(
        module,
        start.layers,
        bits=training.bits,
        mode=training.method,
        order=training.order,
        train_gains=training.train_gains,
        seed=training.seed,
    )
    return Retraining(
        network=network, start=start, module=module, inq=inq, training=training, batches=batches
    )


def require_torch() -> None:
    """Raise MissingExtraError unless torch can be imported."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(extra="torch", need="Training") from error
