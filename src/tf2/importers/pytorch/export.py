"""nn.Module or ExportedProgram -> ONNX."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers._exported import BATCH_AXIS, OPSET, finish_export
from tf2.importers.pytorch.extra import quiet, require_torch
from tf2.importers.pytorch.reference import device_of, evaluating, forward_names, named_tensors

if TYPE_CHECKING:
    import torch

UNKNOWN_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'")

logger = logging.getLogger(__name__)


def export_module(
    module: torch.nn.Module,
    input_shapes: Sequence[Sequence[int]],
    *,
    input_names: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Return the module in evaluation mode as ONNX; the same module gives the same bytes.

    The first axis of every shape is the batch. It becomes free (named ``N``) when all shapes agree
    on it and the module works for any batch; otherwise the sizes given are kept, and a warning is
    logged with the reason. Inputs are of the element type that all weights have, float32 where they
    differ. The module is left as it was.

    Args:
        module: The network with its weights.
        input_shapes: The shape of each input with its batch axis, in the order of ``forward``.
        input_names: Names of the inputs; those of ``forward``'s parameters when absent.

    Raises:
        UnsupportedOpError: The module uses an operator that has no ONNX form.
        ImportModelError: The module does not run on these shapes, or its control flow depends on
            the values it computes.
        MissingExtraError: torch is not installed.
    """
    require_torch()
    import torch

    name = type(module).__name__
    names = list(input_names or forward_names(module, len(input_shapes)))
    _check_inputs(module, name, input_shapes, names)
    with evaluating(module), torch.no_grad(), quiet():
        example = _example(module, input_shapes)
        outputs = list(named_tensors(_run(module, name, example)))
        if len({shape[0] for shape in input_shapes}) == 1:
            try:
                # torch.export takes the sizes 0 and 1 for constants: capture with two.
                shapes = [(max(2, shape[0]), *shape[1:]) for shape in input_shapes]
                program = _capture(module, name, _example(module, shapes), free_batch=True)
                return export_program(program, source=name, inputs=names, outputs=outputs)
            except UnsupportedOpError:
                raise
            except ImportModelError as error:
                reason = str(error)
        else:
            reason = "the inputs differ in their first axis"
        program = _capture(module, name, example, free_batch=False)
        model = export_program(program, source=name, inputs=names, outputs=outputs)
    batch = input_shapes[0][0]
    logger.warning("%s: the batch stays at %d, it cannot be free: %s", name, batch, reason)
    return model


def export_program(
    program: torch.export.ExportedProgram,
    *,
    source: str,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Return a captured program as ONNX, with axes free where the program leaves them free.

    Raises:
        UnsupportedOpError: An operator has no ONNX form.
        ImportModelError: The program cannot be converted, or an axis other than the batch is free.
    """
    require_torch()
    import torch

    with quiet():
        try:
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
        except Exception as error:
            raise _conversion_error(source, error) from error
    assert converted is not None  # no file was asked for
    return finish_export(converted.model_proto, source=source)


def _check_inputs(
    module: torch.nn.Module, name: str, shapes: Sequence[Sequence[int]], names: Sequence[str]
) -> None:
    if not shapes or any(len(shape) == 0 or min(shape) < 1 for shape in shapes):
        raise ImportModelError(
            f"{name}: input shapes {[tuple(s) for s in shapes]} must name at least one input, "
            f"each with a batch axis and positive sizes, such as (1, 3, 224, 224)."
        )
    if len(names) != len(shapes):
        raise ImportModelError(f"{name}: {len(names)} input names for {len(shapes)} input shapes.")
    try:
        inspect.signature(module.forward).bind(*shapes)
    except TypeError as error:
        raise ImportModelError(
            f"{name}: forward{inspect.signature(module.forward)} cannot be called with "
            f"{len(shapes)} input(s): {error}. Give one shape for each input."
        ) from error


def _example(module: torch.nn.Module, shapes: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
    import torch

    kinds = {p.dtype for p in module.parameters() if p.is_floating_point()}
    dtype = kinds.pop() if len(kinds) == 1 else torch.float32
    return tuple(torch.zeros(*shape, dtype=dtype, device=device_of(module)) for shape in shapes)


def _run(module: torch.nn.Module, name: str, example: tuple[torch.Tensor, ...]) -> Any:
    try:
        return module(*example)
    except Exception as error:
        shapes = [tuple(value.shape) for value in example]
        raise ImportModelError(
            f"{name}: forward() fails on inputs of shape {shapes}: {_first_line(error)}. "
            f"Check the input shapes; they include the batch axis."
        ) from error


def _capture(
    module: torch.nn.Module, name: str, example: tuple[torch.Tensor, ...], *, free_batch: bool
) -> torch.export.ExportedProgram:
    import torch

    # One specification for *args: torch wants it nested under forward's parameters otherwise.
    batch = {0: torch.export.Dim(BATCH_AXIS)}
    signature = inspect.signature(module.forward)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    specs: Any = tuple(batch for _ in example)
    try:
        return torch.export.export(
            module,
            example,
            dynamic_shapes=((specs,) if variadic else specs) if free_batch else None,
            strict=False,
        )
    except Exception as error:
        raise ImportModelError(
            f"{name} cannot be captured by torch.export: {_first_line(error)}. Control flow must "
            f"not depend on computed values. torch.export.export(module, inputs, strict=False) "
            f"shows the line."
        ) from error


def _conversion_error(source: str, error: Exception) -> ImportModelError:
    """Name the operator when the exporter does, somewhere down its chain of causes."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if operator := UNKNOWN_OPERATOR.search("\n".join(map(str, causes))):
        return UnsupportedOpError(
            node=source,
            op=operator.group(1),
            reason="the PyTorch exporter has no ONNX form of it",
            hint="Replace it in the module by operators that ONNX has.",
        )
    return ImportModelError(
        f"{source} cannot be converted to ONNX: {_first_line(causes[-1])}. "
        f"Try torch.onnx.export(dynamo=True) by hand for the full report."
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__).rstrip(".")
