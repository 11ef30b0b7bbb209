"""Record a run on a simulated board for test_recorded_run.

PYTHONPATH=tests python tests/runtime/record_run.py, again when the driver or the encoding of
programs has changed.
"""

from pathlib import Path

import numpy as np

from runtime.compiled_cases import check, compiled_case
from tf2.arch import named_config
from tf2.isa.program_file import program_bytes
from tf2.runtime import BoardDevice, RecordingLink

FOLDER = Path(__file__).with_name("recorded_run")
BOARD, OVERLAY, SEED = "ecpix5-85f", "test-small", 1


def main() -> None:
    from tf2.runtime.simulated_board import SimulatedStream, simulated_link

    config = named_config(OVERLAY)
    stream = SimulatedStream(BOARD, config)
    case = compiled_case(SEED, config)
    FOLDER.mkdir(exist_ok=True)
    stream.design.save(FOLDER / "soc.json")
    (FOLDER / "program.bin").write_bytes(program_bytes(case.program))
    np.savez_compressed(FOLDER / "arena.npz", arena=case.arena)
    with RecordingLink(simulated_link(stream), FOLDER / "run.jsonl") as link:
        device = BoardDevice(stream.design, lambda: link)
        for _ in range(2):
            check(device, case)


if __name__ == "__main__":
    main()
