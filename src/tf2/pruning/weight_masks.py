"""Unstructured pruning: single weights become zero and stay zero while the others are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tf2.errors import PruningError
from tf2.ir import Graph
from tf2.pruning.cost import LAYERS
from tf2.pruning.parameters import parameter_groups
from tf2.pruning.settings import PruningSettings, cubic
from tf2.training.module import GraphModule


def prunable_weights(graph: Graph, keep: Sequence[str]) -> dict[str, str]:
    """Return the weight of each layer that may get zeros, by the layer's name.

    Layers that read the network's input stay whole: they are small, and what they lose is lost
    to all others.

    Raises:
        PruningError: There are none, or a layer to keep does not exist.
    """
    layers = {n.name: n for n in graph.nodes if n.kind in LAYERS and n.inputs[1] in graph.constants}
    unknown = [name for name in keep if name not in layers]
    if unknown:
        raise PruningError(
            f"layer {unknown[0]!r} is to stay whole, but there is no such layer. Layers with "
            f"weights: {', '.join(layers)}"
        )
    weights = {
        name: node.inputs[1]
        for name, node in layers.items()
        if name not in keep and node.inputs[0] not in graph.inputs
    }
    if not weights:
        raise PruningError(f"{graph.name!r} has no layer that may be pruned")
    return weights


class WeightMasks:
    """Zeros among the weights of a module, more at each refresh; a `Constraint` of training.

    Args:
        module: Float.
        settings: Method "random" or "magnitude".
        target: Share of the weights of each prunable layer that is left, 0..1.
        steps: Of the optimizer, over which zeros are added; 0: all at once, before the first.
    """

    def __init__(
        self, module: GraphModule, settings: PruningSettings, *, target: float, steps: int
    ) -> None:
        weights = prunable_weights(module.graph, settings.keep)
        self._weights = {name: module.parameter_of(weight) for name, weight in weights.items()}
        self._masks = {name: torch.ones_like(w.detach()) for name, w in self._weights.items()}
        self._settings = settings
        self._target = target
        self._steps = steps
        self._interval = max(1, steps // settings.refreshes)
        self._done = 0

    @property
    def zeros(self) -> float:
        """The share of the prunable weights that is masked."""
        kept = sum(float(m.sum()) for m in self._masks.values())
        return 1.0 - kept / sum(m.numel() for m in self._masks.values())

    def freeze(self, share: float) -> None:
        """Begin: without steps to add zeros in, all are there from the start."""
        if self._steps == 0:
            self._refresh()

    def groups(self, module: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups: weights decay, biases do not."""
        return parameter_groups(module, weight_decay)

    def attach(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Hold the zeros after each step of an optimizer; returns it."""
        optimizer.register_step_post_hook(lambda *_: self.after_step())
        return optimizer

    @torch.no_grad()
    def after_step(self) -> None:
        """Call after the optimizer's step, where `attach` is not used."""
        self._done += 1
        if self._done <= self._steps and self._done % self._interval == 0:
            self._refresh()
        for name, weight in self._weights.items():
            weight.mul_(self._masks[name])

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps, beside the module's parameters."""
        masks = {f"{name}/mask": mask.to(torch.uint8) for name, mask in self._masks.items()}
        return {**masks, "done": torch.tensor(self._done)}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        for name, mask in self._masks.items():
            mask.copy_(state[f"{name}/mask"])
        self._done = int(state["done"])

    @torch.no_grad()
    def _refresh(self) -> None:
        share = cubic(self._done / self._steps) if self._steps else 1.0
        for index, (name, weight) in enumerate(self._weights.items()):
            count = round(share * (1.0 - self._target) * weight.numel())
            gone = self._first_to_go(index, weight)[:count]
            mask = torch.ones(weight.numel(), dtype=weight.dtype, device=weight.device)
            mask[gone] = 0.0
            self._masks[name] = mask.reshape(weight.shape)
            weight.mul_(self._masks[name])

    def _first_to_go(self, index: int, weight: Tensor) -> Tensor:
        """Return the positions of a layer's weights; what is gone already comes first."""
        if self._settings.method == "magnitude":
            return torch.argsort(weight.abs().reshape(-1), stable=True)
        rng = np.random.default_rng([self._settings.seed, index])
        return torch.from_numpy(rng.permutation(weight.numel())).to(weight.device)
