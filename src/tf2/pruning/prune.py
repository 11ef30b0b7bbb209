"""A float network and a way to train -> a smaller or sparser float network, trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tf2.errors import PruningError
from tf2.ir import Graph
from tf2.model_file import CompressionSettings
from tf2.passes import canonicalize
from tf2.pruning.channel_masks import ChannelMasks
from tf2.pruning.cost import size_of
from tf2.pruning.coupling import coupling_of
from tf2.pruning.normalized import with_batch_norm
from tf2.pruning.parameters import Free
from tf2.pruning.selection import Cycles, Selection, Widths
from tf2.pruning.settings import PruningSettings
from tf2.pruning.slicing import without_classes
from tf2.pruning.weight_masks import WeightMasks, prunable_weights
from tf2.training.constraint import Constraint
from tf2.training.loop import Trainer
from tf2.training.module import Feed, GraphModule
from tf2.training.settings import TrainingSettings
from tf2.training.start import Start, with_own_parameters

NORMALIZED_BY = 512
"""Samples whose statistics normalization starts from."""

TOLERANCE = 1e-3
"""Relative difference that sums in another order explain."""

ConstraintOf = Callable[[GraphModule], Constraint]


class Train(Protocol):
    """Trains a network to the end, or goes on where its checkpoint ends."""

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
        """Return the trainer, having run.

        Args:
            start: The network, and the one whose answers it learns from.
            settings: Of this stage.
            constraint: Of its weights.
            stage: Its name, part of its checkpoint's.
            belongs_to: What its checkpoint must agree in.
            samples: That it is trained on, drawn once; 0: all.
        """
        ...

    def steps(self, settings: TrainingSettings, samples: int = 0) -> int:
        """Return the optimizer's steps in such a training."""
        ...

    def inputs(self, samples: int, seed: int) -> Feed:
        """Return inputs of so many samples of the data, drawn once."""
        ...


def ready(graph: Graph) -> Graph:
    """Return the network as it is pruned: canonical, each layer with parameters of its own."""
    return with_own_parameters(canonicalize(graph).graph)


def prune_weights(
    graph: Graph, settings: PruningSettings, training: TrainingSettings, train: Train
) -> Graph:
    """Return the network with zeros among its weights, trained around them.

    Args:
        graph: `ready`.
        settings: Method "random" or "magnitude".
        training: Of all epochs; those in which zeros are added come on top.
        train: What trains.

    Raises:
        PruningError: The target cannot be reached; says what can.
    """
    share = _share_of_layers(graph, settings)
    adding = train.steps(plain(training, settings.epochs)) if settings.epochs else 0
    trained, how = _normalized(graph, settings, training, train)
    trainer = train(
        started(trained, graph),
        plain(how, settings.epochs + epochs_after(training)),
        lambda module: WeightMasks(module, settings, target=share, steps=adding),
        stage="",
        belongs_to={"pruning settings": settings.model_dump_json()},
    )
    return canonicalize(trainer.module.to_graph()).graph


def _share_of_layers(graph: Graph, settings: PruningSettings) -> float:
    """Return the share of each prunable layer's weights that is left at the target."""
    whole = _measured(graph, settings)
    names = prunable_weights(graph, settings.keep).values()
    nothing = {name: np.zeros_like(graph.constants[name]) for name in names}
    least = _measured(graph.replaced(constants=nothing), settings)
    share = (settings.target * whole - least) / max(whole - least, 1)
    if share <= 0:
        raise PruningError(
            f"{settings.measure} = {settings.target:g} cannot be reached: with every weight that "
            f"may be pruned at zero, {least / whole:.4f} are left. Choose a larger target, or keep "
            "fewer layers"
        )
    return share


def _measured(graph: Graph, settings: PruningSettings) -> int:
    size = size_of(graph)
    return size.params if settings.measure == "params" else size.flops


def prune_channels(
    graph: Graph,
    settings: PruningSettings,
    training: TrainingSettings,
    train: Train,
    *,
    widths: Widths,
    cycles: Cycles | None = None,
) -> Graph:
    """Return the network with fewer channels, trained.

    Args:
        graph: `ready`.
        settings: Method "channel".
        training: Of the smaller network.
        train: What trains.
        widths: That channels should have.
        cycles: Of a network on an overlay, for a target in cycles.

    Raises:
        PruningError: Nothing can be taken out, or the target cannot be reached; says what can.
    """
    coupling = coupling_of(graph)
    selection = Selection(
        coupling, widths=widths, measure=settings.measure, cycles=cycles, keep=settings.keep
    )
    selection.checked(settings.target)
    module, kept = _chosen(graph, selection, settings, training, train)
    smaller = without_classes(replace(coupling, graph=module.to_graph()), kept)
    _check_same(module, smaller, settings.seed)
    trained, how = _normalized(smaller, settings, training, train)
    trainer = train(
        started(trained, graph),
        plain(how, epochs_after(training)),
        lambda _: Free(),
        stage="smaller",
        belongs_to={"pruned network": digest(smaller), "normalized": str(settings.normalize)},
    )
    return canonicalize(trainer.module.to_graph()).graph


def _normalized(
    graph: Graph, settings: PruningSettings, training: TrainingSettings, train: Train
) -> tuple[Graph, TrainingSettings]:
    """Return the network and how it is trained, with normalization where the settings want it."""
    if not settings.normalize:
        return graph, training
    inputs = train.inputs(NORMALIZED_BY, settings.seed)
    return with_batch_norm(graph, [inputs]), training.changed(batch_norm="train")


def _chosen(
    graph: Graph,
    selection: Selection,
    settings: PruningSettings,
    training: TrainingSettings,
    train: Train,
) -> tuple[GraphModule, np.ndarray]:
    """Return the masked module and the classes that stay."""
    if not settings.epochs:
        module = GraphModule(graph)
        masks = ChannelMasks(module, selection, settings, steps=0)
        masks.freeze(1.0)
        return module, masks.kept
    how = plain(training, settings.epochs)
    steps = train.steps(how, settings.samples)
    trainer = train(
        started(graph, graph),
        how,
        lambda module: ChannelMasks(module, selection, settings, steps=steps),
        stage="channels",
        belongs_to={
            "pruning settings": settings.model_dump_json(),
            "overlay": repr(selection.widths),
        },
        samples=settings.samples,
    )
    assert isinstance(trainer.constraint, ChannelMasks)
    return trainer.module, trainer.constraint.kept


@torch.no_grad()
def _check_same(masked: GraphModule, smaller: Graph, seed: int) -> None:
    """Raise PruningError unless the smaller network computes what the masked one does."""
    rng = np.random.default_rng(seed)
    shapes = {name: masked.graph.shape(name) for name in masked.graph.inputs}
    feed = {n: torch.from_numpy(rng.standard_normal(s, np.float32)) for n, s in shapes.items()}
    wanted = GraphModule(masked.to_graph(), outputs=masked.output_names).eval()(feed)
    found = GraphModule(smaller, outputs=masked.output_names).eval()(feed)
    pairs = [(wanted, found)] if isinstance(wanted, Tensor) else zip(wanted, found, strict=True)
    for one, other in pairs:
        far, size = float((one - other).abs().max()), float(one.abs().max())
        if not far <= TOLERANCE * max(size, 1e-6):
            raise PruningError(
                f"the smaller network of {masked.graph.name!r} does not compute what the masked "
                f"one does: outputs differ by {far:.3g} of {size:.3g}. This is a fault of TF2: "
                "please report the model"
            )


def started(graph: Graph, teacher: Graph) -> Start:
    """Return a network as the start of a training in float.

    Args:
        graph: What is trained.
        teacher: Whose answers it learns from, if the settings say so.
    """
    return Start(
        graph=graph,
        float_graph=teacher,
        planned=graph,
        layers=(),
        scales={},
        support=(),
        settings=CompressionSettings(),
        pixel_affine=None,
    )


def plain(training: TrainingSettings, epochs: int) -> TrainingSettings:
    """Return the settings of a training in float, in one step of so many epochs."""
    return training.changed(schedule=(1.0,), epochs=epochs, int8_features=False, train_gains=False)


def epochs_after(training: TrainingSettings) -> int:
    """Return the epochs after pruning; a schedule of several steps has no meaning here."""
    return training.epochs if isinstance(training.epochs, int) else sum(training.epochs)


def digest(graph: Graph) -> str:
    """Return what tells networks of one shape apart: a hash of their constants."""
    found = hashlib.sha256()
    for name, data in sorted(graph.constants.items()):
        found.update(f"{name} {data.shape} {data.dtype}".encode())
        found.update(np.ascontiguousarray(data).tobytes())
    return found.hexdigest()
