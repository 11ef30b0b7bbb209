"""What a reader of one kind of model is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf2.errors import ImportModelError
from tf2.importers.origin import Format
from tf2.importers.runtimes import Runtime

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; see `tf2.importers.load_model`."""

    model: str
    weights: Path | None
    input_shapes: Mapping[str, Sequence[int]] | Sequence[Sequence[int]] | None
    outputs: tuple[str, ...] | None

    def shapes_by_name(self, inputs: Sequence[str]) -> dict[str, Sequence[int]]:
        """Return the shapes by input name; unnamed ones belong to the inputs in order.

        Raises:
            ImportModelError: A name is unknown, or there are more shapes than inputs.
        """
        given = self.input_shapes or {}
        if not isinstance(given, Mapping):
            if len(given) > len(inputs):
                raise ImportModelError(
                    f"{self.model}: {len(given)} input shapes for {len(inputs)} inputs "
                    f"({', '.join(inputs)})"
                )
            return dict(zip(inputs, given, strict=False))
        unknown = [name for name in given if name not in inputs]
        if unknown:
            raise ImportModelError(
                f"{self.model} has no input {unknown[0]!r}; its inputs are {', '.join(inputs)}"
            )
        return dict(given)


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """A model in ONNX form, before it becomes a graph.

    Attributes:
        format: As `Origin` records it.
        name: Of the graph.
        proto: The model.
        files: Files and folders that were read.
        weights: The file of weights that was used.
        onnx_shapes: Shapes that the ONNX importer still has to set.
        runtime: Makes the function that runs the source itself.
    """

    format: Format
    name: str
    proto: onnx.ModelProto
    files: tuple[Path, ...]
    weights: Path | None = None
    onnx_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    runtime: Callable[[], Runtime]


def choose_outputs(model: onnx.ModelProto, request: Request) -> None:
    """Make the requested values the model's outputs.

    Raises:
        ImportModelError: The model computes no such value.
    """
    import onnx

    if request.outputs is None:
        return
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name: v for v in (*inferred.value_info, *inferred.output)}
    computed = {name for node in model.graph.node for name in node.output if name}
    for name in request.outputs:
        if name not in computed or name not in known:
            raise ImportModelError(
                f"{request.model} has no value {name!r} to return; its outputs are "
                f"{', '.join(value.name for value in model.graph.output)}"
            )
    chosen = [known[name] for name in request.outputs]
    del model.graph.output[:]
    model.graph.output.extend(chosen)


def only(results: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """Return the chosen ones of the values that a source's own runtime returned.

    Raises:
        ImportModelError: One is an inner value, which the runtime does not give out.
    """
    missing = [name for name in outputs if name not in results]
    if missing:
        raise ImportModelError(f"the source cannot return its inner value {missing[0]!r}")
    return {name: results[name] for name in outputs}
