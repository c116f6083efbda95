"""The file that says what to run: written by the host, read by the board."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

Tensor = tuple[str, int]
"""The library's name of a tensor, and the bytes of its stored values."""


@dataclass(frozen=True)
class BoardJob:
    """One call of the runner. Relative paths count from the folder that it is started in.

    Attributes:
        graphs: names of the DLC's graphs.
        cache: (offset, bytes) in the DLC of the compiled context to start from; None compiles on the board.
        soc: QNN id of the SoC to emulate; None on a real device, which knows its own.
        inputs, outputs: in the file's order.
        lines: raw files of every inference, in the order of `inputs`.
        folder: where `Result_<i>/<k>.raw` go, k counting `outputs`.
        warm_up: inferences before the first that is timed.
        repeat: how often the list is run; results are those of the first time.
        power: (corner, latency, scaling, poll) of `qnn.power.Power`; None sets nothing.
        profile: the name of that, for messages.
        token: repeated in the record, so that results of another run are never taken for this one's.
    """

    dlc: str
    graphs: list[str]
    cache: tuple[int, int] | None
    soc: int | None
    inputs: list[Tensor]
    outputs: list[Tensor]
    lines: list[list[str]]
    folder: str = "output"
    warm_up: int = 0
    repeat: int = 1
    token: str = ""
    power: tuple[int, int, int, int] | None = None
    profile: str = ""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self)) + "\n"


def read_job(file: Path) -> BoardJob:
    """The job in a file.

    Raises:
        ValueError, TypeError: it is none.
    """
    return BoardJob(**json.loads(file.read_text(encoding="utf-8")))
