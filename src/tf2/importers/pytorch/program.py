"""``torch.export.save``'d programs (.pt2) -> ONNX."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from tf2.errors import ImportModelError
from tf2.importers.pytorch.export import export_program
from tf2.importers.pytorch.extra import quiet, require_torch
from tf2.importers.pytorch.reference import forward_names, named_tensors

if TYPE_CHECKING:
    import torch

# Members of the archive that hold compiled code or pickled objects.
REFUSED = ("/aotinductor/", "/custom_obj_", "/opaque_obj_")
FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def read_exported_program(path: Path) -> onnx.ModelProto:
    """Return the network of a ``.pt2`` file as ONNX, with axes free where the program has them so.

    Security: see load_exported_program.

    Raises:
        ImportModelError: The file cannot be read, the program was captured in training mode, or an
            axis other than the batch is free.
        MissingExtraError: torch is not installed.
    """
    program = load_exported_program(path)
    module = program.module()
    names = forward_names(module, len(program.graph_signature.user_inputs))
    if program.example_inputs is None:  # then how the results nest is not known
        return export_program(program, source=path.name, inputs=names)
    args, kwargs = program.example_inputs
    with quiet():
        outputs = list(named_tensors(module(*args, **kwargs)))
    return export_program(program, source=path.name, inputs=names, outputs=outputs)


def load_exported_program(path: Path) -> torch.export.ExportedProgram:
    """Return the program of a ``.pt2`` file captured in evaluation mode; unpickle only tensors.

    Security: pickled objects and compiled code are refused, but PyTorch evaluates the shape
    expressions of the file. Read programs only from those you would run code of.
    """
    require_torch()
    import torch

    if not zipfile.is_zipfile(path):
        raise ImportModelError(f"{path}: not a torch.export program. Save it by torch.export.save.")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    unsafe = next((name for name in names for part in REFUSED if part in name), None)
    if unsafe is not None:
        raise ImportModelError(
            f"{path} holds compiled code or Python objects ({unsafe}), which TF2 does not load. "
            f"Save it by torch.export.save of a module made of tensors only."
        )
    try:
        with quiet(), _tensors_only():
            program = torch.export.load(path)
    except Exception as error:
        raise ImportModelError(
            f"{path}: cannot be read by torch {torch.__version__}: {error}. Programs are not "
            f"portable between versions of PyTorch: export it again with this one."
        ) from error
    _refuse_training_mode(path, program)
    return program


@contextlib.contextmanager
def _tensors_only() -> Iterator[None]:
    """Make every torch.load inside torch.export.load refuse objects: it asks for them itself."""
    before = os.environ.get(FORCE_WEIGHTS_ONLY)
    os.environ[FORCE_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FORCE_WEIGHTS_ONLY]
        else:
            os.environ[FORCE_WEIGHTS_ONLY] = before


def _refuse_training_mode(path: Path, program: torch.export.ExportedProgram) -> None:
    """A captured program cannot be put in evaluation mode any more: its mode is in its nodes."""
    training = bool(program.graph_signature.buffers_to_mutate)  # running mean and variance
    for node in program.graph.nodes:
        if str(node.target).startswith("aten.dropout"):
            training |= bool(node.args[2])
    if training:
        raise ImportModelError(
            f"{path} was captured in training mode (it changes its buffers or drops values). "
            f"Call module.eval() before torch.export.export."
        )
