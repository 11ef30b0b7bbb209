"""Retraining by a loop of the user's own, and on the user's own DataLoader."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tf2
from color_classifier import CLASSES, write_images, write_model
from tf2.data import Samples, labels_from_folders
from tf2.errors import DataError
from tf2.evaluation import accuracy
from tf2.flow import open_samples
from tf2.flow.network import fitted_preprocessing
from tf2.training.settings import TrainingSettings


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retraining")
    write_images(folder, count=12)
    write_model(folder)
    return folder


def data_of(place):
    graph = tf2.load_model(place / "colors.onnx").graph
    samples = open_samples(place / "photos", recipe(graph), graph)
    x = torch.from_numpy(samples.stacked().inputs)
    return graph, samples, x, torch.from_numpy(labels_from_folders(samples.names, CLASSES).classes)


def recipe(graph):
    return fitted_preprocessing("unit-rgb", graph)


def top1(model, samples: Samples, classes) -> float:
    return accuracy(tf2.Session(model.graph), samples, classes.numpy()).top1


def test_a_loop_of_the_users_own_is_packed_to_the_bit(place):
    _, samples, x, y = data_of(place)
    work = tf2.retraining(place / "colors.onnx", place / "photos", preprocessing="unit-rgb")
    optimizer = torch.optim.SGD(work.inq.groups(work.module, weight_decay=0.0), lr=0.01)
    work.inq.attach(optimizer)
    for share in (0.5, 1.0):
        work.inq.freeze(share)
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.nll_loss(work.module(x).flatten(1).log(), y).backward()
            optimizer.step()
    model = work.finished()
    codes = work.inq.codes()
    for layer in work.start.layers:
        q = model.graph.constants[model.graph.node(layer.node).inputs[1]]
        np.testing.assert_array_equal(q.reshape(len(q), -1), codes[layer.node].q)
    assert top1(model, samples, y) == 1.0
    with torch.no_grad():
        simulated = work.module.eval()(x).numpy()
    (exact,) = tf2.Session(model.graph).run(None, {"image": x.numpy()})
    np.testing.assert_allclose(simulated, exact, rtol=1e-5, atol=1e-6)
    assert (model.manifest.training, model.manifest.settings.method) == (None, "inq")


def test_a_loader_is_trained_on_and_a_module_or_a_graph_is_taken(place):
    graph, samples, x, y = data_of(place)
    dataset = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(dataset, batch_size=9, shuffle=True)
    told = []
    settings = TrainingSettings(schedule=(0.5, 1.0), epochs=1, batch=4, lr=0.01)
    model = tf2.inq(graph, loader, training=settings, preprocessing="unit-rgb", epochs=told.append)
    assert told[-1].batches == 4
    assert model.manifest.training["batch"] == 9
    assert top1(model, samples, y) == 1.0


def test_targets_that_are_no_classes_are_refused(place):
    graph, _, x, y = data_of(place)
    settings = TrainingSettings(schedule=(1.0,), epochs=1, batch=4)
    for targets, message in (
        (y + 1, "the labels name class 3, but the network has 3 classes"),
        (y - 1, "class -1: classes begin at 0"),
        (torch.zeros(len(y), 2), "not one class for each of 4 samples"),
    ):
        dataset = torch.utils.data.TensorDataset(x, targets)
        with pytest.raises(DataError, match=message):
            tf2.inq(graph, dataset, training=settings, preprocessing="unit-rgb")
