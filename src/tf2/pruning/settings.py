"""How much of a network is taken away, and how it is chosen: one frozen value, in recipes too."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tf2.errors import PruningError
from tf2.training.settings import reasons

Measure = Literal["flops", "params", "cycles"]


class PruningSettings(BaseModel):
    """The same settings, data and number of threads give the same network.

    Attributes:
        method: "random" and "magnitude" make single weights zero, "channel" takes channels out.
        measure: What the target is of: multiply-accumulates, weights, or cycles on an overlay.
        target: The share of it that is left, between 0 and 1.
        epochs: Of training while weights or channels are taken away (the schedule is cubic: Zhu
            and Gupta 2017, arXiv:1710.01878); afterwards the network is trained as
            `TrainingSettings` say, with what is gone held away.
        samples: That channels are chosen on during ``epochs``, drawn once; 0: all.
        recover: Channels that were taken away may come back until the last choice (dynamic, as in
            DNS: Guo et al. 2016, arXiv:1608.04493); they are then only masked meanwhile.
        importance: Of channels. "taylor": the squared change of the loss without it, to first
            order (Molchanov et al. 2019, arXiv:1906.10771); "magnitude": its weights' norm;
            "random", to compare.
        refreshes: How often weights or channels are chosen during ``epochs``.
        keep: Layers that stay whole. The layers that read the network's input always do, where
            single weights are made zero.
        round_to: Channels stay a multiple of this; 0: of what the overlay computes at once, for
            a target in cycles, and of 8 else. Narrower layers go to powers of two below it.
        normalize: Train with a batch normalization behind each convolution, which is folded into
            the weights at the end: larger learning rates are borne. Single weights are then
            compared (magnitude) with those of their output channel at one length. Channels are
            chosen without it.
        seed: Of random choices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["random", "magnitude", "channel"] = "channel"
    measure: Measure = "flops"
    target: float = Field(default=0.5, gt=0, lt=1)
    epochs: int = Field(default=1, ge=0)
    samples: int = Field(default=0, ge=0)
    recover: bool = True
    importance: Literal["taylor", "magnitude", "random"] = "taylor"
    refreshes: int = Field(default=8, ge=1)
    keep: tuple[str, ...] = ()
    round_to: int = Field(default=0, ge=0)
    normalize: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _values_fit_each_other(self) -> Self:
        if self.method != "channel" and self.measure == "cycles":
            raise ValueError(
                "single zero weights save no cycles, the array multiplies by them too: choose "
                "method channel, or a target in params or flops"
            )
        if self.method == "channel" and self.importance == "taylor" and not self.epochs:
            raise ValueError(
                "importance taylor is learnt in training: give epochs 1 or more, or choose "
                "importance magnitude"
            )
        return self

    def changed(self, **values: object) -> PruningSettings:
        """Return the settings with these values, checked.

        Raises:
            PruningError: They do not fit; says which.
        """
        try:
            return PruningSettings.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            raise PruningError(f"pruning settings: {reasons(error)}") from error


def cubic(done: float) -> float:
    """Return the share of the way to the target, 0..1, at a share of the time, 0..1."""
    return 1.0 - (1.0 - min(max(done, 0.0), 1.0)) ** 3
