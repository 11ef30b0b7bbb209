"""What a ``.tf2`` file says about its model: source, settings, support, accuracy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from tf2._version import __version__
from tf2.data.preprocessing import Preprocessing

FORMAT_VERSION = 1
"""Of the files that this TF2 writes; it reads no newer ones."""


class _Record(BaseModel):
    # Infinity and NaN (the SQNR of an exact layer) as strings: JSON has no number for them.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class SourceFile(_Record):
    """One file of the source model, recognized by its content."""

    path: str
    sha256: str
    bytes: int


class Source(_Record):
    """Where the float model came from: enough to load it again and to notice that it changed.

    Attributes:
        name: Of the network.
        format: Which importer reads it; "graph" for a graph made in Python.
        model: Path or "package.module:function", as the user gave it.
        weights: Path of a separate file of weights, as the user gave it.
        input_shapes: Shapes that the user fixed, by input name.
        outputs: Outputs that the user chose; None for the model's own.
        files: Every file that was read.
    """

    name: str
    format: Literal["onnx", "caffe", "pytorch", "keras", "tensorflow", "graph"]
    model: str
    weights: str | None = None
    input_shapes: dict[str, tuple[int, ...]] = {}
    outputs: tuple[str, ...] | None = None
    files: tuple[SourceFile, ...] = ()


class CompressionSettings(_Record):
    """How a model is compressed; the same settings, seed and samples give the same file.

    Attributes:
        method: "nearest" rounds each weight by itself; "compensated" lets the weights not yet
            rounded take up the error of the others; "inq" and "qat" are trained.
        keep: Layers whose weights stay at 8 bits.
        features: How each tensor's Q is chosen: least error, or room for the maximum.
        per_channel: Give each channel of a tensor its own Q, folded into the weights.
        rows: Positions of feature maps sampled for a layer's covariance.
        damping: Added to the covariance's diagonal, as a share of its mean.
        seed: Of every random choice.
        calibration_samples: None takes all that are given.
    """

    method: Literal["nearest", "compensated", "inq", "qat"] = "compensated"
    keep: tuple[str, ...] = ()
    features: Literal["error", "maximum"] = "error"
    per_channel: bool = False
    rows: int = Field(default=60_000, ge=1)
    damping: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    calibration_samples: int | None = Field(default=None, ge=1)


class TensorInfo(_Record):
    """Name, element type and shape (batch 1) of an input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Support(_Record):
    """Where one node of the source model runs, and why.

    Attributes:
        node: Its name in the source.
        op: Its operator in the source.
        place: "array" (a layer of its own), "fused" (into ``layer``), "bytes" (moves feature
            bytes, no arithmetic) or "host" (float, on the processor).
        reason: One sentence for the user.
        layer: The array layer it is fused into.
    """

    node: str
    op: str
    place: Literal["array", "fused", "bytes", "host"]
    reason: str
    layer: str | None = None


class LayerReport(_Record):
    """What compression did to one layer.

    Attributes:
        name: Of the layer's node.
        weights: Kind of its codes.
        shape: Of its weights.
        weight_sqnr_db: Weights against float weights; infinite where they are equal.
        output_sqnr_db: Outputs against float outputs on the calibration data, where measured.
        zeros: Share of weights that are 0, 0..1.
        exact: The float weights were powers of two already.
        saturated: Share of outputs that hit a bound of the byte range, 0..1.
    """

    name: str
    weights: Literal["pot4", "int8"]
    shape: tuple[int, ...]
    weight_sqnr_db: float | None = None
    output_sqnr_db: float | None = None
    zeros: float
    exact: bool
    saturated: float


class Manifest(_Record):
    """All that a ``.tf2`` file says about its model; quick to read without the model.

    Attributes:
        format_version: Of the file it came from; a new manifest has this TF2's.
        tool_version: Of the TF2 that wrote the file.
        source: The float model.
        settings: How it was compressed.
        training: Settings of the training, for methods that train.
        preprocessing: From an image to the first input; None where the inputs are no images.
        labels: Names of the classes, in the order of the first output.
        inputs: What the model is fed.
        outputs: What it returns.
        support: One row for each node of the source.
        layers: One row for each layer of the array.
        figures: Accuracy and error measured when the file was made, e.g. "top1_float".
        seconds: How long compression took.
        float_weight_bytes: Of the source's weights as float32.
    """

    format_version: int = FORMAT_VERSION
    tool_version: str = __version__
    source: Source
    settings: CompressionSettings = CompressionSettings()
    training: dict[str, JsonValue] | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    support: tuple[Support, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    figures: dict[str, float] = {}
    seconds: float = 0.0
    float_weight_bytes: int
