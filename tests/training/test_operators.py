"""ONNX's own cases of each operator, through the torch module: the expected outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from importers.onnx_node_cases import _array, _mismatch, _with_constants, cases
from tf2.errors import Tf2Error, TrainingError
from tf2.importers.onnx import read_onnx
from tf2.training.module import GraphModule
from tf2.training.operators import BUILDERS

TYPES = {"float32", "float64", "int64", "int32", "int8", "uint8", "bool"}
"""Of networks; torch lacks operators on the others."""

UNUSUAL = (
    "positions of the maxima", "last of equal", "no equal in torch", "reads object", "dilated",
    "is unknown to torch", "other axes than", "spatial axes", "decides a shape", "output_shape",
    "exported in training mode", "auto_pad SAME", "a value that is computed",
)  # fmt: skip
"""Words of the reasons for which a use of an operator is refused."""


@pytest.fixture(scope="module", autouse=True)
def _quiet_arithmetic():
    with np.errstate(all="ignore"):
        yield


def outcome(case: Any) -> str | None:
    """Return None when a case passes, else what went wrong."""
    inputs, expected = ([_array(v) for v in values] for values in case.data_sets[0])
    model, feeds = _with_constants(case.model, inputs)
    graph = read_onnx(model)
    module = GraphModule(graph)
    with torch.no_grad():
        results = module({name: torch.from_numpy(np.array(a)) for name, a in feeds.items()})
    results = results if isinstance(results, Sequence) else (results,)
    for found, wanted in zip(results, expected, strict=True):
        error = _mismatch(found.numpy(), wanted, max(case.rtol, 1e-4), max(case.atol, 1e-5))
        if error:
            return error
    return None


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("op", sorted(set(BUILDERS) & set(cases())))
def test_every_case_gives_the_expected_outputs_or_is_refused_for_a_known_reason(op):
    passed = 0
    for case in cases()[op]:
        arrays = [_array(v) for values in case.data_sets[0] for v in values]
        if {a.dtype.name for a in arrays} - TYPES:
            continue
        try:
            error = outcome(case)
        except TrainingError as refusal:
            error = None if any(words in str(refusal) for words in UNUSUAL) else str(refusal)
        except Tf2Error:
            continue  # not even imported: tests/importers says why
        else:
            passed += error is None
        assert error is None, f"{case.name}: {error}"
    assert passed
