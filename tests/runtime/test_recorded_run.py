"""The driver against what a whole simulated board once answered; record_run.py made it."""

from pathlib import Path

import numpy as np
import pytest

from runtime.compiled_cases import Case, check
from tf2.isa.program_file import read_program
from tf2.runtime import BoardDevice, ReplayLink
from tf2.soc import MemoryMap

FOLDER = Path(__file__).with_name("recorded_run")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_the_driver_says_and_understands_what_it_did_when_it_was_recorded():
    program = read_program((FOLDER / "program.bin").read_bytes())
    with np.load(FOLDER / "arena.npz") as arrays:
        case = Case(program, arrays["arena"])
    replay = ReplayLink(FOLDER / "run.jsonl")
    device = BoardDevice(MemoryMap.load(FOLDER / "soc.json"), lambda: replay)
    first, again = check(device, case), check(device, case)
    assert first.total.busy == again.total.busy > 0
    assert replay.finished
