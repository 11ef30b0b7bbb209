"""compress: what goes into the manifest, and the preprocessing fitted to the model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tf2
from color_classifier import CLASSES, write_images, write_model
from tf2.data import Preprocessing, Samples
from tf2.errors import CompressionError, DataError
from tf2.flow.network import class_names, fitted_preprocessing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compress")
    write_images(folder)
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def graph(folder):
    return tf2.load_model(folder / "colors.onnx").graph


def test_the_manifest_says_how_the_model_was_made(folder):
    ticks = itertools.count(10.0, 2.5)
    settings = tf2.CompressionSettings(keep=("conv1",), seed=5, calibration_samples=20)
    model = tf2.compress(
        folder / "colors.onnx",
        folder / "photos",
        preprocessing="unit-rgb",
        labels=CLASSES,
        settings=settings,
        clock=lambda: next(ticks),
    )
    manifest = model.manifest
    assert manifest.source.name == "colors"
    assert manifest.settings == settings
    assert manifest.preprocessing is not None
    assert manifest.labels == CLASSES
    assert [(t.name, t.dtype, t.shape) for t in manifest.inputs] == [
        ("image", "float32", (1, 3, 12, 12))
    ]
    assert [row.weights for row in manifest.layers] == ["int8", "pot4"]
    assert manifest.figures["calibration_samples"] == 20
    assert manifest.seconds == 2.5
    assert manifest.float_weight_bytes == 4 * 96


def test_the_same_seed_draws_the_same_samples(folder):
    def made(seed: int):
        settings = tf2.CompressionSettings(seed=seed, calibration_samples=6)
        return tf2.compress(
            folder / "colors.onnx", folder / "photos", preprocessing="unit-rgb", settings=settings
        ).graph.constants

    first, same, other = made(1), made(1), made(2)
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_samples_in_memory_calibrate(graph, rng):
    data = rng.random((8, 3, 12, 12), np.float32)
    samples = Samples([str(i) for i in range(8)], lambda i: data[i])
    model = tf2.compress(graph, samples)
    assert model.manifest.source.format == "graph"
    assert model.manifest.preprocessing is None


def test_crops_need_photographs(graph, rng):
    data = rng.random((8, 3, 12, 12), np.float32)
    samples = Samples([str(i) for i in range(8)], lambda i: data[i])
    with pytest.raises(DataError, match="views can be made of photographs only"):
        tf2.compress(graph, samples, crops=2)


def test_a_graph_takes_no_weights_beside_it(graph, folder):
    with pytest.raises(CompressionError, match="none can be given beside it"):
        tf2.compress(graph, folder / "photos", weights="w.caffemodel")


def test_progress_is_told_from_start_to_end(folder):
    seen: list[tuple[str, float]] = []
    tf2.compress(
        folder / "colors.onnx",
        folder / "photos",
        preprocessing="unit-rgb",
        progress=lambda stage, share: seen.append((stage, share)),
    )
    assert seen[-1][1] == 1.0
    assert all(0 <= share <= 1 for _, share in seen)
    assert any("conv1" in stage for stage, _ in seen)


def test_a_recipe_of_the_user_is_never_changed(graph):
    recipe = Preprocessing(crop=(224, 224))
    assert fitted_preprocessing(recipe, graph) is recipe


def test_a_preset_gets_the_size_the_model_reads(graph):
    fitted = fitted_preprocessing("torch-imagenet", graph)
    assert fitted is not None
    assert fitted.output_shape == (3, 12, 12)


def test_class_names_must_be_as_many_as_classes(graph):
    assert class_names(CLASSES, graph) == CLASSES
    with pytest.raises(DataError, match=r"2 class names, but output 'scores' has shape"):
        class_names(("a", "b"), graph)


def test_a_target_keeps_no_layer_when_nothing_is_lost(folder):
    target = tf2.AccuracyTarget(points=5, data=folder / "photos")
    model = tf2.compress(
        folder / "colors.onnx",
        folder / "photos",
        preprocessing="unit-rgb",
        labels=CLASSES,
        target=target,
    )
    assert model.manifest.settings.keep == ()
    assert model.manifest.figures["top1_float"] == 1.0
    assert model.manifest.figures["top1_int"] == 1.0
    assert model.manifest.figures["evaluation_samples"] == 24


def test_a_target_keeps_layers_until_it_is_met(folder, monkeypatch):
    # Three samples in four are lost unless conv2 is kept.
    def top1(_self, session) -> float:
        kinds = {n.name: n.attr("weight_kind", "") for n in session.graph.nodes}
        return 1.0 if kinds["conv2"] in ("", "int8") else 0.25

    monkeypatch.setattr("tf2.flow.accuracy_target.AccuracyLoss._top1", top1)
    target = tf2.AccuracyTarget(points=1, data=folder / "photos")
    model = tf2.compress(
        folder / "colors.onnx", folder / "photos", preprocessing="unit-rgb", target=target
    )
    assert "conv2" in model.manifest.settings.keep
    assert model.manifest.figures["top1_int"] == 1.0


def test_points_are_a_share_of_a_hundred():
    with pytest.raises(CompressionError, match=r"0\.\.100, not -1"):
        tf2.AccuracyTarget(points=-1, data="photos")
