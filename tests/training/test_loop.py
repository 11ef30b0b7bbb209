"""The loop learns, and ends in the same weights whether it was interrupted, killed or shared."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import CLASSES, SIZE, small_network

from tf2.errors import TrainingError
from tf2.model_file.manifest import CompressionSettings
from tf2.training.data import UserDataset
from tf2.training.loop import Trainer
from tf2.training.processes import join
from tf2.training.settings import TrainingSettings
from tf2.training.start import Start, start_of

SETTINGS = TrainingSettings(schedule=(0.5, 1.0), epochs=2, batch=32, lr=0.02, amp="off")


class Blobs(torch.utils.data.Dataset):
    """A centre a class, and noise around it."""

    def __init__(self, count: int = 128, noise: float = 0.3) -> None:
        rng = np.random.default_rng(3)
        centres = rng.standard_normal((CLASSES, 3, SIZE, SIZE)).astype(np.float32)
        self.y = rng.integers(0, CLASSES, count)
        shape = (count, 3, SIZE, SIZE)
        self.x = centres[self.y] + noise * rng.standard_normal(shape).astype(np.float32)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int):
        return torch.from_numpy(self.x[index]), int(self.y[index])


def trainer(settings: TrainingSettings = SETTINGS, *, data=None, **options) -> Trainer:
    torch.set_num_threads(1)
    data = data or Blobs()
    keep, seed = options.pop("keep", ()), options.pop("seed", 1)
    start = begun(keep, settings.starts_compensated, settings.window, seed)
    return Trainer(start, settings, UserDataset(data), join("cpu"), **options)


@functools.cache
def begun(keep: tuple[str, ...], compensated: bool, window: str, seed: int) -> Start:
    graph = small_network(np.random.default_rng(seed))
    settings = CompressionSettings(rows=400, keep=keep)
    batches = [{"x": Blobs().x[:32]}]
    return start_of(graph, batches, settings, compensated=compensated, window=window)


def weights(done: Trainer) -> dict[str, np.ndarray]:
    return done.module.trained_constants()


def assert_equal(first: Trainer, second: Trainer) -> None:
    other = weights(second)
    for name, data in weights(first).items():
        np.testing.assert_array_equal(data, other[name], err_msg=name)


def test_training_learns_and_ends_on_the_grid():
    told = []
    settings = SETTINGS.changed(epochs=5, lr=0.05)
    done = trainer(settings, progress=told.append)
    done.run()
    assert told[-1].accuracy > 0.8 > 0.6 > told[0].accuracy
    assert all(layer.share == 1.0 for layer in done.inq.layers)
    assert [(row["step"], row["epoch"]) for row in done.history] == [
        (step, epoch) for step in (1, 2) for epoch in range(1, 6)
    ]
    assert (told[-1].left, told[-1].batch, told[-1].batches) == (0.0, 4, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "qat"},
        {"order": "random", "start": "float", "window": "layer", "train_gains": False},
        {"distill": 0.5, "bits": 3, "decay": "constant", "int8_features": False},
        {"amp": "bf16", "decay": "tenth", "decay_epochs": 1, "momentum": 0.0},
    ],
)
def test_every_kind_of_training_runs_and_lowers_the_loss(changes):
    done = trainer(SETTINGS.changed(**changes))
    done.run()
    losses = [row["loss"] for row in done.history]
    assert losses[-1] < losses[0]


class StopAfter:
    """Interrupts a training as Ctrl-C does, after some batches."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, _progress) -> None:
        self.count -= 1
        if self.count == 0:
            os.kill(os.getpid(), 2)


@pytest.mark.parametrize("after", [1, 5, 8, 13, 16])  # of 16: 8 and 16 end a step
def test_an_interrupted_training_resumes_to_the_same_weights(after, tmp_path):
    settings = SETTINGS.changed(distill=0.3)
    whole = trainer(settings, keep=("Conv0",))
    whole.run()
    state = tmp_path / "state"
    part = trainer(settings, keep=("Conv0",), progress=StopAfter(after))
    with pytest.raises(KeyboardInterrupt, match=f"the state is in {state}, go on with --resume"):
        part.run(state)
    rest = trainer(settings, keep=("Conv0",))
    assert rest.resume(state)
    rest.run(state)
    assert_equal(whole, rest)
    same = ("step", "epoch", "top1", "share")
    assert [[r[k] for k in same] for r in rest.history] == [
        [r[k] for k in same] for r in whole.history
    ]


def test_the_signal_handlers_are_put_back():
    import signal

    before = signal.getsignal(signal.SIGINT)
    trainer().run()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        value = torch.nn.functional.cross_entropy(outputs, targets)
        return value * float("nan") if len(calls) == 7 else value

    state = tmp_path / "state"
    broken = trainer(loss=loss)
    message = rf"nan in step 1 \(50 %\), epoch 2, batch 3; the state is in {state}.*learning rate"
    with pytest.raises(TrainingError, match=message):
        broken.run(state)
    rest = trainer()
    rest.resume(state)
    rest.run()
    whole = trainer()
    whole.run()
    assert_equal(whole, rest)


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tf2.training.loop.write_checkpoint", full)
    done = trainer()
    done.run(tmp_path / "state")
    assert all(layer.share == 1.0 for layer in done.inq.layers)
    assert "No space left on device; training goes on" in caplog.text


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    state = tmp_path / "state"
    trainer().run(state)
    for changed, message in (
        (trainer(SETTINGS.changed(lr=0.5)), r"settings differs \(lr 0.02 there, 0.5 now\)"),
        (trainer(data=Blobs(96)), "number of samples differs"),
        (trainer(keep=("Conv0",)), r"compression settings differs \(keep"),
        (trainer(seed=2), "belongs to another training: its model differs"),
    ):
        with pytest.raises(TrainingError, match=message):
            changed.resume(state)
    content = state.read_bytes()
    for damaged in (content[:100], b"", content[: len(content) // 2], b"{}" + content):
        state.write_bytes(damaged)
        with pytest.raises(TrainingError, match="is no checkpoint"):
            trainer().resume(state)
    assert not trainer().resume(tmp_path / "nothing")


def test_workers_that_read_ahead_change_nothing():
    alone, helped = trainer(), trainer(workers=1)
    alone.run()
    helped.run()
    assert_equal(alone, helped)


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from test_loop import trainer, weights, SETTINGS
done = trainer(SETTINGS.changed(epochs=1))
done.run()
if done._processes.leads:
    np.savez(sys.argv[1], **weights(done))
done._processes.close()
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path):
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[2] / "benchmarks")]
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(paths=paths))
    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.npz"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                   f"--nproc-per-node={count}", str(script), str(out)]  # fmt: skip
        subprocess.run(command, check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
        found.append(np.load(out))
    one, two = found
    for name in one.files:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(tmp_path):
    here = Path(__file__).resolve()
    state = tmp_path / "state"
    script = f"""
import sys
sys.path[:0] = {[str(here.parent), str(here.parents[2] / "benchmarks")]!r}
from pathlib import Path
from test_loop import trainer, SETTINGS
trainer(SETTINGS.changed(epochs=10)).run(Path({str(state)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        deadline = time.monotonic() + 60
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.kill()
    settings = SETTINGS.changed(epochs=10)
    rest, whole = trainer(settings), trainer(settings)
    assert rest.resume(state)
    assert 0 < len(rest.history) < 20
    rest.run()
    whole.run()
    assert_equal(whole, rest)


def test_settings_that_do_not_fit_are_refused(tmp_path):
    for values, message in (
        ({"schedule": (0.5, 0.4, 1.0)}, "must rise"),
        ({"schedule": (0.5, 0.9)}, "must rise from above 0 to 1"),
        ({"epochs": (1, 2, 3)}, "3 numbers of epochs for 4 steps"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"lr": float("nan")}, "lr"),
        ({"sheduel": (1.0,)}, "sheduel"),
    ):
        with pytest.raises(TrainingError, match=message):
            TrainingSettings().changed(**values)
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"lr": 0.5}))
    assert TrainingSettings.load(file).lr == 0.5
    file.write_text("{")
    with pytest.raises(TrainingError, match=r"recipe\.json"):
        TrainingSettings.load(file)


def test_the_learning_rate_rises_and_falls_as_told():
    s = TrainingSettings(lr=1.0, warmup=0.2)
    rates = [s.rate(b, 10, 5) for b in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.05
    s = TrainingSettings(lr=1.0, warmup=0.0, decay="tenth", decay_epochs=1)
    assert [s.rate(b, 10, 5) for b in (0, 4, 5, 9)] == pytest.approx([1, 1, 0.1, 0.1])
