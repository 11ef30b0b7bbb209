"""Writes docs/operators.md: which operators each importer reads, and how that is known.

Run ``python docs/generate_operators.py`` after a change; a test compares the file with what this
gives. A section is a function that returns its lines; add one to `SECTIONS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from onnx import defs

from tf2.importers.caffe.layers import CONVERTERS
from tf2.ir import OPSET
from tf2.ir.integer_ops import BYTE_MOVERS

DOCS = Path(__file__).resolve().parent

RECORD = DOCS / "operators_onnx.json"

TARGET = DOCS / "operators.md"

RUNS_ON: Mapping[str, str] = {
    **dict.fromkeys(BYTE_MOVERS, "byte mover"),
    "Conv": "array: constant weights, 1 to 3 spatial axes",
    "ConvTranspose": "array: constant weights; as a convolution of the spread input",
    "Gemm": "array: constant weights, (batch, K)",
    "MatMul": "array: constant matrix, (batch, K)",
    "Add": "array: of two tensors; of a constant, folded",
    "Sum": "array: as additions",
    "AveragePool": "array: windows of one divisor",
    "GlobalAveragePool": "array",
    "ReduceMean": "array: over all spatial axes",
    "BatchNormalization": "array: folded, or a layer of its own",
    **dict.fromkeys(("Mul", "Div", "Sub"), "array: by a constant a channel, folded or a layer"),
    **dict.fromkeys(("Relu", "Clip", "LeakyRelu"), "array: fused, or a layer of its own"),
    "PRelu": "array: one slope a channel, fused or a layer of its own",
    "Dropout": "nowhere: changes nothing",
    "Identity": "nowhere: changes nothing",
    "Resize": "byte mover: nearest, by whole factors",
}
"""Where a compressed network computes an operator, conditions permitting; the others run on the
host, in float. `tf2 import` says it for each node of a model."""

RESTRICTIONS: Mapping[str, str] = {
    "Attention": "opset 23; written out in older operators; optional inputs all present or cut off",
    "Dropout": "inference",
    "If": "the input shapes decide the condition",
    "Mod": "fmod=1 on floats",
    "RMSNormalization": "opset 23; written out in older operators",
    "RotaryEmbedding": "opset 23; written out in older operators",
    "Swish": "opset 24; written out in older operators",
} | dict.fromkeys(
    ("Expand", "Pad", "Range", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Unsqueeze"),
    "shapes, axes and positions are constants or follow from shapes",
) | dict.fromkeys(
    ("OneHot", "Resize", "TopK", "AffineGrid", "CenterCropPad", "Col2Im"),
    "sizes are constants or follow from shapes",
)  # fmt: skip


CUT = ("DetectionOutput",)
"""Caffe layers that are known only to say how to do without."""


def text() -> str:
    """Return the page."""
    lines = ["# Operators", "", "Made by `docs/generate_operators.py`; do not edit.", ""]
    for section in SECTIONS:
        lines += [*section(), ""]
    return "\n".join(lines)


def onnx_section() -> Iterable[str]:
    """Return the section on ONNX."""
    record = json.loads(RECORD.read_text())
    read = {op: row for op, row in record.items() if row["passed"]}
    cases = sum(row["passed"] for row in record.values())
    yield "## ONNX"
    yield ""
    yield (
        f"Opsets 7 to {defs.onnx_opset_version()} are read and brought to {OPSET}. "
        f"{len(read)} operators pass ONNX's own cases ({cases} in all) through the importer, both "
        f"in the golden interpreter and in ONNX Runtime. Other operators are tried: a model is "
        f"refused, and the node named, if ONNX Runtime cannot run it. Operators of domain "
        f"`com.microsoft` are read where ONNX Runtime runs them."
    )
    yield ""
    yield "| operator | since | runs on | cases passed | excluded | restrictions |"
    yield "|---|---|---|---|---|---|"
    for op, row in sorted(read.items()):
        since = min(s.since_version for s in _versions(op))
        where = RUNS_ON.get(op, "host")
        restriction = RESTRICTIONS.get(op, "")
        yield f"| {op} | {since} | {where} | {row['passed']} | {_reasons(row)} | {restriction} |"
    yield ""
    yield "No case passes, for the reasons given:"
    yield ""
    for op, row in sorted(record.items()):
        if not row["passed"]:
            yield f"- {op}: {_reasons(row)}"


def _versions(op: str) -> list[defs.OpSchema]:
    everything = defs.get_all_schemas_with_history()
    return [schema for schema in everything if schema.name == op and schema.domain == ""]


def _reasons(row: Mapping[str, Mapping[str, int]]) -> str:
    return "; ".join(f"{count}: {why}" for why, count in row["excluded"].items())


def caffe_section() -> Iterable[str]:
    """Return the section on Caffe."""
    yield "## Caffe"
    yield ""
    yield (
        f"{len(CONVERTERS)} layer types of the V1 and the current format are read; each is held "
        "against OpenCV or, where that deviates from Caffe, against an independent NumPy "
        "reference. A parameter in neither column is refused, with the layer's name."
    )
    yield ""
    yield "| layer | parameters | without effect at inference |"
    yield "|---|---|---|"
    for layer, converter in sorted(CONVERTERS.items()):
        if layer in CUT:
            continue
        accepts, ignores = (", ".join(sorted(s)) for s in (converter.accepts, converter.ignores))
        yield f"| {layer} | {accepts} | {ignores} |"
    yield ""
    yield f"Known but refused: {', '.join(CUT)}; `--output` cuts the network before it."


SECTIONS: tuple[Callable[[], Iterable[str]], ...] = (onnx_section, caffe_section)

if __name__ == "__main__":
    TARGET.write_text(text())
