"""Every official case of every operator; ``UPDATE_GOLDENS=1`` rewrites docs/operators_onnx.json."""

from __future__ import annotations

import json
import os
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from onnx_node_cases import cases, outcome, reason

RECORD = Path(__file__).resolve().parents[2] / "docs" / "operators_onnx.json"

RECORDED = json.loads(RECORD.read_text()) if RECORD.exists() else {}

CNN_OPERATORS = """
    Abs Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv
    ConvTranspose DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand Flatten
    Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater
    GridSample GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization LRN LSTM
    LayerNormalization LeakyRelu Less Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg Not
    PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize Round Selu Shape Sigmoid Sin Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Where
""".split()


@pytest.fixture(scope="module", autouse=True)
def _quiet_arithmetic():
    """The cases contain infinities and divisions by zero on purpose."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference, on the same numbers
@pytest.mark.parametrize("op", sorted(RECORDED) or ["record"])
def test_every_case_of_the_operator_passes_or_has_a_reason(op):
    if os.environ.get("UPDATE_GOLDENS"):
        pytest.skip("the record is being rewritten")
    found = _counts(op)
    assert found == RECORDED[op]


def test_the_record_names_every_operator_that_has_cases():
    if os.environ.get("UPDATE_GOLDENS"):
        record = {op: _counts(op) for op in sorted(cases())}
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        pytest.skip("rewritten")
    assert sorted(RECORDED) == sorted(cases())


@pytest.mark.parametrize("op", CNN_OPERATORS)
def test_operators_of_convolutional_networks_pass(op):
    assert RECORDED[op]["passed"] > 0


def test_the_page_of_operators_is_up_to_date():
    script = runpy.run_path(str(RECORD.with_name("generate_operators.py")))
    assert RECORD.with_name("operators.md").read_text() == script["text"]()


def _counts(op: str) -> dict[str, object]:
    passed, excluded, failed = 0, Counter(), {}
    for case in cases()[op]:
        error = outcome(case)
        why = reason(case) if error else None
        if error is None:
            passed += 1
        elif why is None:
            failed[case.name] = error
        else:
            excluded[why] += 1
    assert not failed
    return {"passed": passed, "excluded": dict(sorted(excluded.items()))}
