"""Whole networks: the graph computes what ONNX Runtime computes on the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tf2.execution import Runner
from tf2.importers.check import largest_difference, onnx_runner, random_feeds
from tf2.importers.onnx import read_onnx

MODELS = Path(__file__).resolve().parents[2].parent / "shared/models"
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"

HEAVY = {"light_bvlc_alexnet", "light_vgg19", "light_zfnet512"}  # 240 to 570 MB of weights

SHAPES = {"meshnet": {"input": (1, 1, 24, 24, 24)}}  # the file leaves the volume's size open

TOLERANCE = 1e-5
"""Relative to the largest output: folded constants and other blockings change float32 sums."""


def _files() -> list[object]:
    found = [*sorted(MODELS.glob("*/*.onnx")), *sorted(LIGHT.glob("*.onnx"))]
    return [
        pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in HEAVY else [])
        for p in found
    ]


def test_the_models_are_there():
    if not MODELS.is_dir():
        pytest.skip(f"{MODELS} is absent: only ONNX's own models are tried")
    assert list(MODELS.glob("*/*.onnx"))


@pytest.mark.parametrize("path", _files())
def test_the_graph_computes_what_the_file_computes(path):
    graph = read_onnx(path, input_shapes=SHAPES.get(path.stem))
    source = onnx_runner(path)
    assert graph.batch_is_free
    assert largest_difference(graph, source, seed=1).relative <= TOLERANCE

    def rows(feeds):
        results = [source({n: a[i : i + 1] for n, a in feeds.items()}) for i in range(3)]
        return {name: np.concatenate([r[name] for r in results]) for name in results[0]}

    assert largest_difference(graph, rows, seed=2, batch=3).relative <= TOLERANCE


@pytest.mark.parametrize("stem", ["resnet20", "FastestDet", "crepe_tiny", "light_inception_v1"])
def test_every_value_has_the_shape_and_type_that_a_run_gives_it(stem):
    path = next((p.values[0] for p in _files() if p.values[0].stem == stem), None)
    if path is None:
        pytest.skip(f"{stem}.onnx is absent")
    graph = read_onnx(path)
    names = [name for node in graph.nodes for name in node.outputs]
    values = Runner(graph, outputs=names)(random_feeds(graph, np.random.default_rng(0)))
    for name in names:
        declared = graph.types[name]
        assert (values[name].shape, values[name].dtype) == (
            declared.shape,
            np.dtype(str(declared.dtype)),
        )
